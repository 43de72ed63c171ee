"""Cross-entropy with something added: powers of 1 - p_y, or a pull on the largest logit."""

from torch import Tensor

from whyloss.losses.loss import RowLoss


class PolyNCrossEntropyLoss(RowLoss):
    """Cross-entropy with the first terms of its expansion in 1 - p_y reweighted; `Poly1CrossEntropyLoss` is its first.

    The k-th term moves rows with a probability around 1 / k most, so later terms only touch rows that are very wrong.

    Args:
        epsilons: what is added to the factors 1, 1/2, 1/3, ... of (1 - p_y)^k; each at least minus that factor. None is
            cross-entropy.

    Formula: -log p_y + sum_k epsilon_k (1 - p_y)^k. Source: Leng et al. 2022, arXiv:2204.12511, eq. 5.

    >>> import torch, whyloss
    >>> whyloss.PolyNCrossEntropyLoss(epsilons=(2.0, 4.0))(torch.zeros(1, 2), torch.tensor([0]))
    tensor(2.6931)
    """

    epsilons: tuple[float, ...] = (1.0, 1.0)
    source = "Leng et al. 2022, arXiv:2204.12511, eq. 5"
    short = ("poly-n",)
    equation = "-log p_y + sum_k epsilon_k (1 - p_y)^k"
    proper = None
    bounded = False
    symmetric = False

    def check(self) -> None:
        super().check()
        self.epsilons = tuple(float(e) for e in self.epsilons)
        for k, epsilon in enumerate(self.epsilons, 1):
            self.require(epsilon >= -1 / k, f"epsilon_{k} >= -1/{k}", epsilon)

    def formula(self, log_p: Tensor, not_p: Tensor) -> Tensor:
        loss = -log_p
        term = not_p
        for epsilon in self.epsilons:
            loss = loss + epsilon * term
            term = term * not_p
        return loss


class MaxSupLoss(RowLoss):
    """Cross-entropy and a pull on the largest logit, whosever it is, towards the mean of all: max suppression.

    Label smoothing pulls on the label's logit, also where another class wins, and so makes wrong rows surer of
    themselves; this does not.

    Args:
        alpha: >= 0, strength; 0 is cross-entropy.

    Formula: -log p_y + alpha (max_k z_k - mean_k z_k). Source: Zhou et al. 2025, arXiv:2502.15798.

    >>> import torch, whyloss
    >>> whyloss.MaxSupLoss(alpha=0.5)(torch.tensor([[2.0, 0.0]]), torch.tensor([1]))
    tensor(2.6269)
    """

    alpha: float = 0.1
    source = "Zhou et al. 2025, arXiv:2502.15798"
    short = ("maxsup",)
    equation = "-log p_y + alpha (max_k z_k - mean_k z_k)"
    proper = None
    bounded = False
    symmetric = False
    convex = True

    def check(self) -> None:
        super().check()
        self.require(self.alpha >= 0, "alpha >= 0", self.alpha)

    def formula(self, log_p: Tensor, logit: Tensor, rival: Tensor, sum_log_p: Tensor, count: Tensor) -> Tensor:
        largest = log_p + (rival - logit).clamp_min(0)  # relative to the log-sum-exp, as the mean is
        return self.alpha * (largest - sum_log_p / count) - log_p

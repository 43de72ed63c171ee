"""The likelihood of the label, and its regularised kin."""

from torch import Tensor

from whyloss.losses.loss import Link, RowLoss
from whyloss.stats.exact import power


class CrossEntropyLoss(RowLoss):
    """The negative log-likelihood of the label: the reference that every other loss has to beat.

    Training pushes each row in proportion to 1 - p_y, so rows that are right already stop counting and rows that are
    wrong count fully, mislabelled ones included. Soft targets give the usual soft cross-entropy, label smoothing
    torch's.

    Formula: -log p_y. Source: Good 1952, "Rational decisions".

    >>> import torch, whyloss
    >>> logits, target = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), torch.tensor([0, 2])
    >>> whyloss.CrossEntropyLoss()(logits, target)
    tensor(0.8955)
    >>> whyloss.CrossEntropyLoss(label_smoothing=0.2)(logits, target)
    tensor(0.9955)
    """

    source = "Good 1952; as torch.nn.CrossEntropyLoss"
    short = ("ce",)
    equation = "-log p_y"
    proper = True
    bounded = False
    symmetric = False
    convex = True
    likelihood = True

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p

    def average(self, sum_log_p: Tensor, count: Tensor) -> Tensor:
        return -sum_log_p / count


class BinaryCrossEntropyLoss(CrossEntropyLoss):
    """Cross-entropy of independent yes-or-no questions, one per logit: binary and multi-label targets.

    The same formula as `CrossEntropyLoss` under the sigmoid link. `weight=(1, w)` is torch's `pos_weight=w`, except
    that `mean` divides by the weights.

    Formula: softplus(z) - y z.

    >>> import torch, whyloss
    >>> whyloss.BinaryCrossEntropyLoss()(torch.tensor([0.0, 2.0]), torch.tensor([1, 0]))
    tensor(1.4100)
    """

    link: Link = "sigmoid"
    short = ("bce",)
    equation = "softplus(z) - y z"


class LabelSmoothingCrossEntropyLoss(CrossEntropyLoss):
    """Cross-entropy towards a target that keeps a share of doubt: shrinks the logits and the overconfidence.

    `CrossEntropyLoss(label_smoothing=...)` under its usual name. At the optimum p_y is 1 - eps + eps / C, so
    probabilities of a well fitted model are too low by design.

    Args:
        label_smoothing: eps in [0, 1); 0 is cross-entropy.

    Formula: -(1 - eps) log p_y - eps / C sum_j log p_j. Source: Szegedy et al. 2016, arXiv:1512.00567, section 7.

    >>> import torch, whyloss
    >>> whyloss.LabelSmoothingCrossEntropyLoss()(torch.tensor([[4.0, 0.0]]), torch.tensor([0]))
    tensor(0.2181)
    """

    label_smoothing: float = 0.1
    source = "Szegedy et al. 2016, arXiv:1512.00567, section 7"
    short = ("ls",)
    equation = "-(1 - eps) log p_y - eps / C sum_j log p_j"
    proper = None


class Poly1CrossEntropyLoss(RowLoss):
    """Cross-entropy with the first term of its expansion in 1 - p_y reweighted.

    Args:
        epsilon: >= -1; 0 is cross-entropy; above 0 pushes harder on rows that are nearly right, below 0 less.

    Formula: -log p_y + epsilon (1 - p_y). Source: Leng et al. 2022, arXiv:2204.12511, eq. 6.

    >>> import torch, whyloss
    >>> whyloss.Poly1CrossEntropyLoss(epsilon=2.0)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(1.6931)
    """

    epsilon: float = 1.0
    source = "Leng et al. 2022, arXiv:2204.12511, eq. 6"
    short = ("poly1",)
    equation = "-log p_y + epsilon (1 - p_y)"
    proper = None
    bounded = False
    symmetric = False

    def check(self) -> None:
        super().check()
        self.require(self.epsilon >= -1, "epsilon >= -1", self.epsilon)

    def formula(self, log_p: Tensor, not_p: Tensor) -> Tensor:
        return self.epsilon * not_p - log_p

    def average(self, sum_log_p: Tensor, count: Tensor) -> Tensor:
        return self.epsilon * (1 - 1 / count) - sum_log_p / count


class Poly1FocalLoss(RowLoss):
    """Focal loss with the first term of its expansion in 1 - p_y reweighted.

    Args:
        epsilon: >= -1; 0 is focal loss.
        gamma: >= 0, the focusing exponent.

    Formula: -(1 - p_y)^gamma log p_y + epsilon (1 - p_y)^(gamma + 1).
    Source: Leng et al. 2022, arXiv:2204.12511, table 1.

    >>> import torch, whyloss
    >>> whyloss.Poly1FocalLoss()(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.2983)
    """

    epsilon: float = 1.0
    gamma: float = 2.0
    source = "Leng et al. 2022, arXiv:2204.12511, table 1"
    short = ("poly1-focal",)
    equation = "-(1 - p_y)^gamma log p_y + epsilon (1 - p_y)^(gamma + 1)"
    proper = None
    bounded = False
    symmetric = False

    def check(self) -> None:
        super().check()
        self.require(self.epsilon >= -1, "epsilon >= -1", self.epsilon)
        self.require(self.gamma >= 0, "gamma >= 0", self.gamma)

    def formula(self, log_p: Tensor, log_not_p: Tensor, not_p: Tensor) -> Tensor:
        return power(not_p, log_not_p, self.gamma) * (self.epsilon * not_p - log_p)


class ZLoss(RowLoss):
    """Cross-entropy with a spring on the log-sum-exp, which keeps large models' logits from drifting.

    Changes no probability's optimum, because the spring only fixes the constant that a softmax leaves free.

    Args:
        alpha: >= 0; 0 is cross-entropy.

    Formula: -log p_y + alpha log(sum_j exp z_j)^2. Source: Chowdhery et al. 2022 (PaLM), arXiv:2204.02311, section 5.

    >>> import torch, whyloss
    >>> whyloss.ZLoss(alpha=1.0)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(1.1736)
    """

    alpha: float = 1e-4
    source = "Chowdhery et al. 2022, arXiv:2204.02311, section 5"
    short = ("z-loss",)
    equation = "-log p_y + alpha lse(z)^2"
    proper = True
    bounded = False
    symmetric = False

    def check(self) -> None:
        super().check()
        self.require(self.alpha >= 0, "alpha >= 0", self.alpha)

    def formula(self, log_p: Tensor, lse: Tensor) -> Tensor:
        return self.alpha * lse * lse - log_p

    def average(self, sum_log_p: Tensor, count: Tensor, lse: Tensor) -> Tensor:
        return self.alpha * lse * lse - sum_log_p / count


class ConfidencePenaltyLoss(RowLoss):
    """Cross-entropy minus a share of the predicted entropy: discourages certainty without naming a target for it.

    Args:
        beta: >= 0; 0 is cross-entropy.

    Formula: -log p_y - beta H(p), H the entropy in nats. Source: Pereyra et al. 2017, arXiv:1701.06548, eq. 3.

    >>> import torch, whyloss
    >>> whyloss.ConfidencePenaltyLoss(beta=1.0)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.)
    """

    beta: float = 0.1
    source = "Pereyra et al. 2017, arXiv:1701.06548, eq. 3"
    short = ("confpen",)
    equation = "-log p_y - beta H(p)"
    proper = None
    bounded = False
    symmetric = False

    def check(self) -> None:
        super().check()
        self.require(self.beta >= 0, "beta >= 0", self.beta)

    def formula(self, log_p: Tensor, entropy: Tensor) -> Tensor:
        return -log_p - self.beta * entropy

    def average(self, sum_log_p: Tensor, count: Tensor, entropy: Tensor) -> Tensor:
        return -sum_log_p / count - self.beta * entropy

"""Scores of the whole distribution, by distance from the label rather than by likelihood."""

from torch import Tensor

from whyloss.losses.loss import RowLoss


class BrierLoss(RowLoss):
    """Squared distance between the probabilities and the one-hot label: a proper loss that is bounded.

    Forgives confident mistakes more than cross-entropy (a wrong row costs at most 2, and its gradient vanishes), so it
    is calmer under label noise and slower from a bad start. With the sigmoid link both classes count, as in a softmax
    over (0, z): twice (p - y)^2. A soft target q gives sum_j (p_j - q_j)^2.

    Formula: sum_j (p_j - [j = y])^2 = (1 - p_y)^2 + sum over j != y of p_j^2. Source: Brier 1950, eq. 2.

    >>> import torch, whyloss
    >>> whyloss.BrierLoss()(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.5000)
    """

    source = "Brier 1950, eq. 2"
    short = ("brier", "mse")
    equation = "sum_j (p_j - [j = y])^2"
    proper = True
    bounded = True
    symmetric = False
    convex = False

    def formula(self, not_p: Tensor, rest_p_sq: Tensor) -> Tensor:
        return not_p * not_p + rest_p_sq

    def offset(self, target: Tensor) -> Tensor:
        return (target * target).sum(1) - 1


class SquaredLogitLoss(RowLoss):
    """Least squares on the logits themselves: classification as regression to a one-hot code.

    Works surprisingly well on balanced data with many classes if the label's term is scaled up. It punishes logits that
    are *too* right as much as wrong ones, so far outliers hurt even when their label is right.

    Args:
        k: weight of the label's own term, > 0. The paper uses 1 up to some 40 classes, more above.
        m: the value that the label's logit is drawn to, > 0.

    Formula: (k (z_y - m)^2 + sum over j != y of z_j^2) / C. Source: Hui & Belkin 2021, arXiv:2006.07322, eq. 2.

    >>> import torch, whyloss
    >>> whyloss.SquaredLogitLoss()(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    tensor(1.)
    """

    k: float = 1.0
    m: float = 1.0
    source = "Hui & Belkin 2021, arXiv:2006.07322, eq. 2"
    short = ("squared",)
    equation = "(k (z_y - m)^2 + sum_{j != y} z_j^2) / C"
    links = ("softmax",)
    proper = False
    bounded = False
    symmetric = False
    convex = True

    def check(self) -> None:
        super().check()
        self.require(self.k > 0, "k > 0", self.k)
        self.require(self.m > 0, "m > 0", self.m)

    def formula(self, logit: Tensor, rest_z_sq: Tensor, count: Tensor) -> Tensor:
        return (self.k * (logit - self.m) ** 2 + rest_z_sq) / count

"""Losses of which one wrong row can only cost so much."""

from torch import Tensor

from whyloss.losses.loss import RowLoss
from whyloss.stats.exact import expm1


class MeanAbsoluteErrorLoss(RowLoss):
    """Absolute distance between probabilities and the one-hot label: symmetric, so uniform label noise does not move
    its optimum.

    Its first gradient shrinks as 2 / C, so with many classes it hardly starts.

    Formula: sum_j |p_j - [j = y]| = 2 (1 - p_y). Source: Ghosh et al. 2017, arXiv:1712.09482, section 4.

    >>> import torch, whyloss
    >>> whyloss.MeanAbsoluteErrorLoss()(torch.zeros(1, 4), torch.tensor([0]))
    tensor(1.5000)
    """

    source = "Ghosh et al. 2017, arXiv:1712.09482, section 4"
    short = ("mae",)
    equation = "2 (1 - p_y)"
    proper = False
    bounded = True
    symmetric = True
    convex = False

    def formula(self, not_p: Tensor) -> Tensor:
        return 2 * not_p


class GeneralizedCrossEntropyLoss(RowLoss):
    """Between cross-entropy (q -> 0) and half the mean absolute error (q = 1): each row's gradient is scaled by p_y^q.

    Args:
        q: in (0, 1]; higher forgives more label noise and learns more slowly.

    Formula: (1 - p_y^q) / q. Source: Zhang & Sabuncu 2018, arXiv:1805.07836, eq. 6.

    >>> import torch, whyloss
    >>> whyloss.GeneralizedCrossEntropyLoss(q=1.0)(torch.zeros(1, 4), torch.tensor([0]))
    tensor(0.7500)
    """

    q: float = 0.7
    source = "Zhang & Sabuncu 2018, arXiv:1805.07836, eq. 6"
    short = ("gce",)
    equation = "(1 - p_y^q) / q"
    proper = False
    bounded = True
    convex = False

    def check(self) -> None:
        super().check()
        self.require(0 < self.q <= 1, "0 < q <= 1", self.q)

    def formula(self, log_p: Tensor) -> Tensor:
        return -expm1(self.q * log_p) / self.q


class ReverseCrossEntropyLoss(RowLoss):
    """Cross-entropy with label and prediction swapped, log 0 taken as `a`: a scaled mean absolute error.

    Args:
        a: < 0, what log 0 stands for.

    Formula: -sum_j p_j log [j = y] = -a (1 - p_y). Source: Wang et al. 2019, arXiv:1908.06112, eq. 6.

    >>> import torch, whyloss
    >>> whyloss.ReverseCrossEntropyLoss(a=-4.0)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(2.)
    """

    a: float = -4.0
    source = "Wang et al. 2019, arXiv:1908.06112, eq. 6"
    short = ("rce",)
    equation = "-a (1 - p_y)"
    proper = False
    bounded = True
    symmetric = True
    convex = False

    def check(self) -> None:
        super().check()
        self.require(self.a < 0, "a < 0", self.a)

    def formula(self, not_p: Tensor) -> Tensor:
        return -self.a * not_p


class SymmetricCrossEntropyLoss(RowLoss):
    """Cross-entropy, which learns, plus reverse cross-entropy, which forgives.

    Args:
        alpha: >= 0, weight of cross-entropy. Small values forgive more noise; the papers' best depends on the number of
            classes (0.1 for 10 classes, 6 for 100).
        beta: >= 0, weight of reverse cross-entropy.
        a: < 0, what log 0 stands for.

    Formula: -alpha log p_y - beta a (1 - p_y). Source: Wang et al. 2019, arXiv:1908.06112, eq. 7.

    >>> import torch, whyloss
    >>> whyloss.SymmetricCrossEntropyLoss(alpha=1.0)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(2.6931)
    """

    alpha: float = 0.1
    beta: float = 1.0
    a: float = -4.0
    source = "Wang et al. 2019, arXiv:1908.06112, eq. 7"
    short = ("sce",)
    equation = "-alpha log p_y - beta a (1 - p_y)"
    proper = None
    symmetric = None

    def check(self) -> None:
        super().check()
        self.require(self.alpha >= 0, "alpha >= 0", self.alpha)
        self.require(self.beta >= 0, "beta >= 0", self.beta)
        self.require(self.a < 0, "a < 0", self.a)

    def formula(self, log_p: Tensor, not_p: Tensor) -> Tensor:
        return -self.alpha * log_p - self.beta * self.a * not_p

    def average(self, sum_log_p: Tensor, count: Tensor) -> Tensor:
        return -self.alpha * sum_log_p / count - self.beta * self.a * (1 - 1 / count)

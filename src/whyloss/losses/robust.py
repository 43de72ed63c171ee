"""Losses that forgive wrong labels. What they share: the gradient of a row fades when the model is sure that its label
is wrong.

That is also their weakness: rows that are wrong early on are given up, so they need a good start or few classes."""

import math

import torch
from torch import Tensor

from whyloss.losses.imbalance import FocalLoss
from whyloss.losses.loss import RowLoss
from whyloss.stats.exact import expm1, share


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


class NormalizedCrossEntropyLoss(RowLoss):
    """Cross-entropy as a share of its sum over all labels: symmetric, hence robust, but prone to underfit alone.

    Pair it with a passive loss, as the paper does: `a * NormalizedCrossEntropyLoss() + b * ReverseCrossEntropyLoss()`.

    Formula: log p_y / sum_j log p_j. Source: Ma et al. 2020, arXiv:2006.13554, eq. 5.

    >>> import torch, whyloss
    >>> whyloss.NormalizedCrossEntropyLoss()(torch.zeros(1, 4), torch.tensor([0]))
    tensor(0.2500)
    """

    source = "Ma et al. 2020, arXiv:2006.13554, eq. 5"
    short = ("nce",)
    equation = "log p_y / sum_j log p_j"
    proper = False
    bounded = True
    symmetric = True
    convex = False

    def formula(self, log_p: Tensor, log_not_p: Tensor, rest_log_p: Tensor, rest_count: Tensor) -> Tensor:
        return share(-log_p, -rest_count * log_not_p - rest_log_p)

    def average(self, count: Tensor) -> Tensor:
        return 1 / count


class NormalizedFocalLoss(FocalLoss):
    """Focal loss as a share of its sum over all labels. Pair it with a passive loss (`MeanAbsoluteErrorLoss`).

    The sum over all labels takes every class's own 1 - p_j, so this loss reads whole rows: it runs on the reference
    engine, at several times the memory of the others.

    Args:
        gamma: >= 0; 0 is normalised cross-entropy.

    Formula: F(y) / sum_j F(j) with F(j) = -(1 - p_j)^gamma log p_j. Source: Ma et al. 2020, arXiv:2006.13554, eq. 6.

    >>> import torch, whyloss
    >>> whyloss.NormalizedFocalLoss()(torch.zeros(1, 4), torch.tensor([0]))
    tensor(0.2500)
    """

    gamma: float = 0.5
    source = "Ma et al. 2020, arXiv:2006.13554, eq. 6"
    short = ("nfl",)
    equation = "F(y) / sum_j F(j), F(j) = -(1 - p_j)^gamma log p_j"
    proper = False
    bounded = True
    symmetric = True
    convex = False
    normalized = True


class AsymmetricGeneralizedCrossEntropyLoss(RowLoss):
    """Generalised cross-entropy, shifted so that it is asymmetric: enough clean labels outvote the noise entirely.

    Args:
        a: > 0; larger is flatter, nearer to a mean absolute error.
        q: > 0.

    Formula: ((a + 1)^q - (a + p_y)^q) / q. Source: Zhou et al. 2021, arXiv:2106.03110, table 1 (AGCE).

    >>> import torch, whyloss
    >>> whyloss.AsymmetricGeneralizedCrossEntropyLoss(a=1.0, q=1.0)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.5000)
    """

    a: float = 1.0
    q: float = 2.0
    source = "Zhou et al. 2021, arXiv:2106.03110, table 1"
    short = ("agce",)
    equation = "((a + 1)^q - (a + p_y)^q) / q"
    proper = False
    bounded = True
    convex = False

    def check(self) -> None:
        super().check()
        self.require(self.a > 0, "a > 0", self.a)
        self.require(self.q > 0, "q > 0", self.q)

    def formula(self, not_p: Tensor) -> Tensor:
        top = self.a + 1
        return -(top**self.q) * expm1(self.q * torch.log1p(-not_p / top)) / self.q


class AsymmetricUnhingedLoss(RowLoss):
    """A mean absolute error bent by a power, asymmetric in the sense of its paper.

    Args:
        a: > 1.
        q: > 0; 1 is half the mean absolute error.

    Formula: ((a - p_y)^q - (a - 1)^q) / q. Source: Zhou et al. 2021, arXiv:2106.03110, table 1 (AUL).

    >>> import torch, whyloss
    >>> whyloss.AsymmetricUnhingedLoss(a=2.0, q=1.0)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.5000)
    """

    a: float = 6.3
    q: float = 1.5
    source = "Zhou et al. 2021, arXiv:2106.03110, table 1"
    short = ("aul",)
    equation = "((a - p_y)^q - (a - 1)^q) / q"
    proper = False
    bounded = True
    convex = False

    def check(self) -> None:
        super().check()
        self.require(self.a > 1, "a > 1", self.a)
        self.require(self.q > 0, "q > 0", self.q)

    def formula(self, not_p: Tensor) -> Tensor:
        low = self.a - 1
        return low**self.q * expm1(self.q * torch.log1p(not_p / low)) / self.q


class AsymmetricExponentialLoss(RowLoss):
    """An exponential of the label's probability, asymmetric in the sense of its paper.

    Args:
        a: > 0; larger is flatter, nearer to a mean absolute error.

    Formula: exp(-p_y / a). Source: Zhou et al. 2021, arXiv:2106.03110, table 1 (AEL).

    >>> import torch, whyloss
    >>> whyloss.AsymmetricExponentialLoss(a=1.0)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.6065)
    """

    a: float = 2.5
    source = "Zhou et al. 2021, arXiv:2106.03110, table 1"
    short = ("ael",)
    equation = "exp(-p_y / a)"
    proper = False
    bounded = True
    convex = False

    def check(self) -> None:
        super().check()
        self.require(self.a > 0, "a > 0", self.a)

    def formula(self, not_p: Tensor) -> Tensor:
        # exp(-p/a) = exp(-1/a) exp((1-p)/a): the second form moves with 1 - p, which is exact for p near 1.
        return math.exp(-1 / self.a) * torch.exp(not_p / self.a)


class ForwardCorrectionLoss(RowLoss):
    """Cross-entropy of what the *given* labels should look like, if the true ones were corrupted with known rates.

    The model's probabilities then aim at the true labels. As good as its transition matrix.

    Args:
        transition: [C, C], rows sum to 1; entry (i, j) is the rate at which true class i is labelled j.

    Formula: -log sum_i T_iy p_i. Source: Patrini et al. 2017, arXiv:1609.03683, theorem 2.

    >>> import torch, whyloss
    >>> T = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    >>> whyloss.ForwardCorrectionLoss(transition=T)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.5978)
    """

    transition: Tensor
    source = "Patrini et al. 2017, arXiv:1609.03683, theorem 2"
    short = ("forward",)
    equation = "-log sum_i T_iy p_i"
    symmetric = False
    convex = None

    @property
    def table(self) -> Tensor:
        return self.transition.T

    def check(self) -> None:
        super().check()
        _check_transition(self)

    def formula(self, log_expected: Tensor) -> Tensor:
        return -log_expected


class BackwardCorrectionLoss(RowLoss):
    """Cross-entropy averaged over labels so that, under the known noise, its expectation is that of clean labels.

    Unbiased, and of high variance: single rows can be negative and without bound below.

    Args:
        transition: [C, C], invertible, rows sum to 1; entry (i, j) is the rate at which true class i is labelled j.

    Formula: -sum_j (T^-1)_yj log p_j. Source: Patrini et al. 2017, arXiv:1609.03683, theorem 1.

    >>> import torch, whyloss
    >>> T = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    >>> whyloss.BackwardCorrectionLoss(transition=T)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.6931)
    """

    transition: Tensor
    source = "Patrini et al. 2017, arXiv:1609.03683, theorem 1"
    short = ("backward",)
    equation = "-sum_j (T^-1)_yj log p_j"
    symmetric = False
    bounded = False

    def check(self) -> None:
        super().check()
        _check_transition(self)
        rank = int(torch.linalg.matrix_rank(self.transition))
        self.require(rank == len(self.transition), "an invertible transition matrix", f"one of rank {rank}")
        self.register_buffer("inverse", torch.linalg.inv(self.transition.double()))

    @property
    def table(self) -> Tensor:
        return self.get_buffer("inverse")

    def formula(self, affine_log_p: Tensor) -> Tensor:
        return -affine_log_p


def _check_transition(loss: ForwardCorrectionLoss | BackwardCorrectionLoss) -> None:
    t = loss.transition
    square = t.ndim == 2 and t.shape[0] == t.shape[1]
    loss.require(square, "a square transition matrix [C, C]", tuple(t.shape))
    rows_sum = bool(((t.sum(1) - 1).abs() < 1e-3).all()) and bool((t >= 0).all())
    loss.require(rows_sum, "a transition matrix >= 0 whose rows (true class) sum to 1", f"row sums {t.sum(1).tolist()}")

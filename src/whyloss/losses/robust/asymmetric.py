"""Asymmetric losses: as long as most labels of a row's kind are right, the wrong ones are outvoted entirely."""

import math

import torch
from torch import Tensor

from whyloss.losses.loss import RowLoss
from whyloss.stats.exact import expm1


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

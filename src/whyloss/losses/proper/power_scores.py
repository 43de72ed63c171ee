"""Scores of the whole distribution through sums of powers of its probabilities: proper, bounded, one exponent."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from whyloss.losses.loss import RowLoss
from whyloss.stats.exact import expm1, power_divergence

LEAST = torch.finfo(torch.float32).tiny  # stands for a sum of powers over no other class, which is 0


class SphericalScoreLoss(RowLoss):
    """One minus the cosine between the predicted distribution and the label: proper, and never above 1.

    Like the Brier score it forgives confident mistakes; it looks at the direction of the probabilities alone, not at
    their distance from the label.

    Formula: 1 - p_y / (sum_j p_j^2)^(1/2). Source: Gneiting & Raftery 2007, JASA 102, example 2 (alpha = 2).

    >>> import torch, whyloss
    >>> whyloss.SphericalScoreLoss()(torch.zeros(1, 4), torch.tensor([0]))
    tensor(0.5000)
    """

    source = "Gneiting & Raftery 2007, JASA 102, example 2"
    short = ("spherical",)
    equation = "1 - p_y / (sum_j p_j^2)^(1/2)"
    proper = True
    bounded = True
    symmetric = False
    convex = False

    def formula(self, log_odds: Tensor, rest_sq: Tensor) -> Tensor:
        return _missed(log_odds, rest_sq, 2.0)


class PseudosphericalScoreLoss(RowLoss):
    """The spherical score with another norm: between cross-entropy's shape (alpha -> 1) and one that only asks which
    class is the largest (alpha -> infinity).

    Args:
        alpha: > 1; 2 is the spherical score. Divided by alpha - 1 it tends to cross-entropy as alpha -> 1.

    Formula: 1 - p_y^(alpha - 1) / (sum_j p_j^alpha)^((alpha - 1) / alpha).
    Source: Gneiting & Raftery 2007, JASA 102, example 2.

    >>> import torch, whyloss
    >>> whyloss.PseudosphericalScoreLoss(alpha=2.0)(torch.zeros(1, 4), torch.tensor([0]))
    tensor(0.5000)
    """

    alpha: float = 1.5
    source = "Gneiting & Raftery 2007, JASA 102, example 2"
    short = ("pseudospherical",)
    equation = "1 - p_y^(alpha - 1) / (sum_j p_j^alpha)^((alpha - 1) / alpha)"
    proper = True
    bounded = True
    symmetric = False
    convex = False

    @property
    def power(self) -> float:
        return self.alpha

    def check(self) -> None:
        super().check()
        self.require(self.alpha > 1, "alpha > 1", self.alpha)

    def formula(self, log_odds: Tensor, rest_pow: Tensor) -> Tensor:
        return _missed(log_odds, rest_pow, self.alpha)


def _missed(log_odds: Tensor, rest: Tensor, alpha: float) -> Tensor:
    """1 - (p_y^alpha / sum_j p_j^alpha)^((alpha - 1) / alpha), where rest is the sum of r_j^alpha over the others."""
    log_share = logsigmoid(alpha * log_odds - torch.log(rest.clamp_min(LEAST)))
    return -expm1((1 - 1 / alpha) * log_share)


class PowerScoreLoss(RowLoss):
    """The Brier score with another exponent: proper and bounded, sharper on rows near certainty the nearer alpha is
    to 1.

    Args:
        alpha: > 1; 2 is the Brier score. Divided by alpha - 1 it tends to cross-entropy as alpha -> 1.

    Formula: 1 - alpha p_y^(alpha - 1) + (alpha - 1) sum_j p_j^alpha.
    Source: Dawid & Musio 2014, arXiv:1401.0398 (there the Tsallis score, without the constant 1).

    >>> import torch, whyloss
    >>> whyloss.PowerScoreLoss(alpha=2.0)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.5000)
    """

    alpha: float = 1.5
    source = "Dawid & Musio 2014, arXiv:1401.0398"
    short = ("power-score", "tsallis")
    equation = "1 - alpha p_y^(alpha - 1) + (alpha - 1) sum_j p_j^alpha"
    proper = True
    bounded = True
    symmetric = False
    convex = False

    @property
    def power(self) -> float:
        return self.alpha

    def check(self) -> None:
        super().check()
        self.require(self.alpha > 1, "alpha > 1", self.alpha)

    def formula(self, log_p: Tensor, log_not_p: Tensor, rest_pow: Tensor) -> Tensor:
        others = torch.exp(self.alpha * log_not_p) * rest_pow
        return power_divergence(log_p, self.alpha) + (self.alpha - 1) * others

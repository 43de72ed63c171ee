"""Overlaps raised to a power or taken as a logarithm: how hard a poorly found region pulls beside a well found one."""

import torch
from torch import Tensor

from whyloss.losses.region.overlap import TverskyLoss
from whyloss.losses.region.region import RegionLoss


class FocalTverskyLoss(TverskyLoss):
    """Tversky raised to 1 / gamma: with gamma above 1 the gradient grows as a region comes to be found well.

    Below 1 it is the regions that are found poorly which pull harder. Any gamma is safe at a perfect overlap.

    Args:
        alpha: >= 0, weight of false positives (the paper writes beta for it).
        beta: >= 0, weight of false negatives (the paper's alpha).
        gamma: > 0; 1 is Tversky, 4/3 the paper's choice.

    Formula: (1 - Tversky)^(1 / gamma). Source: Abraham & Khan 2019, arXiv:1810.07842, section 3 (the focal Tversky
    loss). Many implementations take gamma itself as the exponent.

    >>> import torch, whyloss
    >>> half = whyloss.FocalTverskyLoss(alpha=0.5, beta=0.5, gamma=0.5)
    >>> half(torch.zeros(1, 2, 4), torch.tensor([[0, 0, 1, 1]]))
    tensor(0.2500)
    """

    gamma: float = 4 / 3
    source = "Abraham & Khan 2019, arXiv:1810.07842, section 3"
    short = ("focal-tversky", "ftl")
    equation = "(1 - Tversky)^(1 / gamma)"

    def check(self) -> None:
        super().check()
        self.require(self.gamma > 0, "gamma > 0", self.gamma)

    def overlap(self, intersection: Tensor, prediction: Tensor, target: Tensor) -> Tensor:
        return raised(super().overlap(intersection, prediction, target), 1 / self.gamma)


class LogDiceLoss(RegionLoss):
    """The negative logarithm of the Dice score: a region that is hardly found pulls harder than one found half.

    Its slope is -1 / Dice where that of `DiceLoss` is constant. In a region whose pixels all have probabilities below
    1e-34 the logarithm ends, and there is no slope.

    Args:
        gamma: > 0, exponent of the logarithm; 1 is the logarithm, 0.3 the paper's choice, whose slope is steep at both
            ends.

    Formula: (-log((2 I + s) / (P + T + s)))^gamma. Source: Wong et al. 2018, arXiv:1809.00076, eq. 2.

    >>> import torch, whyloss
    >>> whyloss.LogDiceLoss()(torch.zeros(1, 2, 4), torch.tensor([[0, 0, 1, 1]]))
    tensor(0.6931)
    """

    gamma: float = 1.0
    source = "Wong et al. 2018, arXiv:1809.00076, eq. 2"
    short = ("log-dice",)
    equation = "(-log((2 I + s) / (P + T + s)))^gamma"
    bounded = False

    def check(self) -> None:
        super().check()
        self.require(self.gamma > 0, "gamma > 0", self.gamma)

    def overlap(self, intersection: Tensor, prediction: Tensor, target: Tensor) -> Tensor:
        size = prediction + target
        # log1p for what is nearly perfect, log for what is not; neither may see an argument that is not its own.
        wrong = (size - 2 * intersection) / (size + self.smooth)
        near = wrong < 0.5
        least = 1e4 * torch.finfo(size.dtype).tiny  # so that one over it, times what comes, is still a number
        found = (2 * intersection + self.smooth).clamp_min(least)
        far = (size + self.smooth).log() - torch.where(near, 1.0, found).log()
        return raised(torch.where(near, -torch.log1p(-torch.where(near, wrong, 0.0)), far), self.gamma)


def raised(x: Tensor, exponent: float | Tensor) -> Tensor:
    """x^exponent; 0 with slope 0 where x is 0, or below it by rounding. Below 1 the exponent's own slope there has no
    end, and meets others that are 0."""
    positive = x > 0
    return torch.where(positive, torch.where(positive, x, 1.0) ** exponent, 0.0)

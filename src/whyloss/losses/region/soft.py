"""Dice and Jaccard in forms that are exact where Dice's own sums are not: squared sizes, and soft labels."""

from typing import Literal

import torch
from torch import Tensor

from whyloss.losses.region.maps import RegionMapLoss
from whyloss.stats import regions
from whyloss.stats.pixels import Pixels


class SquaredDiceLoss(RegionMapLoss):
    """Dice with squared sizes, as in V-Net: half-sure pixels count for less, and the gradient is that of a distance.

    The optimum is that of `DiceLoss`; for soft labels too it is the label itself.

    Formula: 1 - (2 I + s) / (sum p^2 + sum t^2 + s) = (sum (p - t)^2) / (sum p^2 + sum t^2 + s). Source: Milletari et
    al. 2016, arXiv:1606.04797, section 3.

    >>> import torch, whyloss
    >>> whyloss.SquaredDiceLoss()(torch.zeros(1, 2, 4), torch.tensor([[0, 0, 1, 1]]))
    tensor(0.3333)
    """

    source = "Milletari et al. 2016, arXiv:1606.04797, section 3"
    short = ("squared-dice", "vnet-dice")
    equation = "1 - (2 I + s) / (sum p^2 + sum t^2 + s)"
    bounded = True

    def maps(self, p: Tensor, t: Tensor, **reads: Tensor) -> tuple[Tensor, ...]:
        return (p - t).square(), p.square() + t.square()

    def value(self, sums: regions.Sums, more: Tensor) -> Tensor:
        distance, size = more
        return distance / (size + self.smooth)


class _Semimetric(RegionMapLoss):
    """Overlap through the L1 distance D = sum |p - t|, which is 0 at a soft label as at a hard one."""

    variant: Literal[1, 2] = 1

    def check(self) -> None:
        super().check()
        self.require(self.variant in (1, 2), "variant 1 or 2", self.variant)

    def measured(self, z: Tensor, pixels: Pixels, shape: torch.Size, **reads: Tensor) -> tuple[regions.Sums, Tensor]:
        if pixels.target.is_floating_point():
            return super().measured(z, pixels, shape)
        # Of hard labels D is P + T - 2 I: the sums that are quick to take.
        sums = regions.sums(z, pixels)
        distance = sums.prediction + sums.target - 2 * sums.intersection
        return self.from_sums(self.pooled(torch.stack([*sums, distance])))

    def maps(self, p: Tensor, t: Tensor, **reads: Tensor) -> tuple[Tensor, ...]:
        # The slope at p = t = 1 is that from below, at p = t = 0 that from above: probabilities round to these.
        return ((p - t) * torch.where((p < t) | (t == 1), -1.0, 1.0),)


class DiceSemimetricLoss(_Semimetric):
    """Dice for soft labels: smallest exactly at the label, where Dice drives soft probabilities to 0 and 1.

    For distilled, averaged or smoothed masks. On hard labels it is `DiceLoss`, and as fast.

    Args:
        variant: 1 puts the distance in place of the intersection, 2 beside it. The same on hard labels.

    Formula: variant 1: D / (P + T + s), variant 2: D / (2 I + D + s), with D = sum |p - t|. Source: Wang et al. 2023,
    arXiv:2303.16296, the Dice semimetric losses (DML).

    >>> import torch, whyloss
    >>> soft = torch.full((1, 2, 4), 0.5)
    >>> whyloss.DiceSemimetricLoss()(torch.zeros(1, 2, 4), soft), whyloss.DiceLoss()(torch.zeros(1, 2, 4), soft)
    (tensor(0.), tensor(0.5000))
    """

    source = "Wang et al. 2023, arXiv:2303.16296 (DML)"
    short = ("dml",)
    equation = "sum |p - t| / (P + T + s)"
    bounded = True

    def value(self, sums: regions.Sums, more: Tensor) -> Tensor:
        (distance,) = more
        size = sums.prediction + sums.target if self.variant == 1 else 2 * sums.intersection + distance
        return distance / (size + self.smooth)


class JaccardMetricLoss(_Semimetric):
    """Jaccard for soft labels: smallest exactly at the label, where Jaccard drives soft probabilities to 0 and 1.

    A metric, which the semimetric of Dice is not. On hard labels it is `JaccardLoss`, and as fast.

    Args:
        variant: 1 puts the distance in place of the intersection, 2 beside it. The same on hard labels.

    Formula: variant 1: 2 D / (P + T + D + s), variant 2: D / (I + D + s), with D = sum |p - t|. Source: Wang et al.
    2023, arXiv:2302.05666, the Jaccard metric losses (JML).

    >>> import torch, whyloss
    >>> whyloss.JaccardMetricLoss()(torch.zeros(1, 2, 4), torch.tensor([[0, 0, 1, 1]]))
    tensor(0.6667)
    """

    source = "Wang et al. 2023, arXiv:2302.05666 (JML)"
    short = ("jml",)
    equation = "2 sum |p - t| / (P + T + sum |p - t| + s)"
    bounded = True

    def value(self, sums: regions.Sums, more: Tensor) -> Tensor:
        (distance,) = more
        if self.variant == 1:
            # Halved, so that smooth means what it means for JaccardLoss.
            return distance / ((sums.prediction + sums.target + distance) / 2 + self.smooth)
        return distance / (sums.intersection + distance + self.smooth)

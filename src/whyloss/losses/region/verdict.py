"""The value of a region loss by kernels alone, where all of it but `overlap` is what `RegionLoss` says.

Sums over pixels take a GPU less time than the host takes for what is made of them in single operations; so on a GPU
what is made of them is one kernel too."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from whyloss.losses.key import key_of
from whyloss.stats import regions
from whyloss.stats.pixels import Pixels
from whyloss.stats.verdict import Verdict, verdict

if TYPE_CHECKING:
    from whyloss.losses.region.region import RegionLoss


def value(loss: "RegionLoss", z: Tensor, pixels: Pixels) -> Tensor | None:
    """The value for logits [N, C, P]; None where the steps one by one are the way."""
    weight = loss.weight
    if loss.reduction == "none" or loss.over == "world" or z.numel() == 0:
        return None
    if regions.choose(z, pixels)[0] != "kernels":
        return None
    if weight is not None:
        if weight.requires_grad or weight.shape != z.shape[1:2] or weight.device != z.device:
            return None
        weight = weight.to(torch.float32).contiguous()

    reached = found(loss)
    return None if reached is None else regions.judged(z, pixels, reached, weight, lambda sums: loss.reached(z, sums))


def found(loss: "RegionLoss") -> Verdict | None:
    """What a kernel must know of the loss, if its formula can be traced."""

    def judge(*sums: Tensor) -> tuple[Tensor, Tensor | None]:
        of_regions = regions.Sums(*sums)
        return loss.settled(of_regions, loss.of_held(of_regions))

    key = key_of(loss, loss.overlap)
    return verdict(key, judge, loss.over == "batch", loss.reduction == "mean", loss.background)

"""The value of a region loss in one operation, where all of it but `overlap` is what `RegionLoss` says.

Sums over pixels take a GPU less time than the host takes for what is made of them in single operations; so on a GPU
what is made of them is one kernel too. On the CPU it is the arithmetic alone, without what autograd adds to each
operation."""

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor

from whyloss.losses.key import key_of
from whyloss.losses.region.door import look
from whyloss.stats import regions
from whyloss.stats.autocast import without_autocast
from whyloss.stats.pixels import Misread, Pixels
from whyloss.stats.rows import computing_dtype
from whyloss.stats.verdict import Verdict, verdict

if TYPE_CHECKING:
    from whyloss.losses.region.region import RegionLoss


def value(loss: "RegionLoss", z: Tensor, pixels: Pixels) -> Tensor | None:
    """The value for logits [N, C, P] and targets nobody has looked at; None where the steps one by one are the way."""
    weight = loss.weight
    if loss.reduction == "none" or loss.over == "world" or z.numel() == 0:
        return None
    form, classes = regions.choose(z, pixels)[0], z.shape[1]
    if form == "reference":
        return None
    if weight is not None:
        if weight.requires_grad or weight.shape != z.shape[1:2] or weight.device != z.device:
            return None
        weight = weight.to(computing_dtype(z)).contiguous()

    judge = loss.judge(form)
    if judge is None:
        return None
    with without_autocast(z.device.type):

        def judged(pixels: Pixels) -> Tensor:
            return regions.judged(z, pixels, form, judge, weight, lambda sums: loss.reached(z, sums))

        # The usual labels show themselves to be classes when these are counted, and need no look before.
        if form == "blocks" and pixels.labelled and pixels.weight is None and not 0 <= loss.ignore_index < classes:
            try:
                return judged(replace(pixels, guessed=True))
            except Misread:
                pass
        look(loss, pixels, classes)
        return judged(pixels)


def found(loss: "RegionLoss") -> Verdict | None:
    """What must be known of the loss, if its formula can be traced."""

    def judge(*sums: Tensor) -> tuple[Tensor, Tensor | None]:
        of_regions = regions.Sums(*sums)
        return loss.settled(of_regions, loss.of_held(of_regions))

    key = key_of(loss, loss.overlap)
    return verdict(key, judge, loss.over == "batch", loss.reduction == "mean", loss.background)

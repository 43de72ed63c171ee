"""Region losses: functions of three sums per class over the pixels of a region, not of single pixels.

    intersection I = sum p t,   prediction P = sum p,   target T = sum t

The sums are taken per image, over the batch, or over all ranks (`over`); a loss is one small function of them. No
one-hot tensor is built of more than a block of pixels."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from whyloss.losses.loss import Link, Loss, Reduction
from whyloss.losses.reduction import reduced
from whyloss.losses.region import verdict
from whyloss.losses.region.door import check_reads, described, enter
from whyloss.losses.region.ranks import over_ranks
from whyloss.stats import regions
from whyloss.stats.autocast import without_autocast
from whyloss.stats.pixels import Pixels
from whyloss.stats.rows import computing_dtype
from whyloss.stats.verdict import Judge

# Where these are what they are here a loss is its `overlap` alone, and a kernel may take their place.
STEPS = (
    *("_regions", "_entered", "_of_pixels", "_counted", "_reduced", "reached"),
    *("measured", "pooled", "of_held", "settled", "of_absent", "class_weight"),
)


class RegionLoss(Loss):
    """A loss of the overlap between predicted and labelled regions. Subclass it and write `overlap`.

    Args:
        weight: [C] weight of each class in the mean.
        ignore_index: pixels with this label are left out of every sum, whatever their logits hold.
        reduction: "mean" over images and classes that count, "sum", or "none": [N, C] (over="image") or [C].
        link: "softmax", or "sigmoid" for masks that may overlap (targets shaped like the logits).
        over: what one region is: each "image", the whole "batch", or the batches of all ranks, the "world".
        absent: a class that the region's target does not hold has no overlap to measure. "penalise" charges the mean
            probability that was wrongly given to it, so that false positives are never free and always have a gradient;
            "skip" leaves it out of the mean; "zero" counts it as perfect.
        background: False leaves class 0 out.
        smooth: >= 0, added to numerator and denominator.
        validate: check the values of targets. None checks where that is cheap: on the CPU.

    Shapes: logits [N, C, *spatial]; targets [N, *spatial] of any integer type, or soft masks shaped like the logits.
    `sample_weight` weighs pixels (or images, [N]) inside the sums.
    """

    weight: Tensor | None = None
    ignore_index: int = -100
    reduction: Reduction = "mean"
    link: Link = "softmax"
    over: Literal["image", "batch", "world"] = "image"
    absent: Literal["penalise", "skip", "zero"] = "penalise"
    background: bool = True
    smooth: float = 0.0
    validate: bool | None = None

    links: ClassVar[tuple[Link, ...]] = ("softmax", "sigmoid")
    of_sums: ClassVar[bool] = True  # a function of the three sums, so that engines take them
    joint: ClassVar[bool] = False  # all classes are measured together: one loss for a region, not one for each class
    judged: ClassVar[bool] = False  # whether `judge` says what the steps do

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.judge is RegionLoss.judge:
            same = all(getattr(cls, name) is getattr(RegionLoss, name) for name in STEPS)
            cls.judged = same and cls.of_sums and not cls.joint
        else:
            cls.judged = "judge" in vars(cls) or (cls.judged and vars(cls).keys().isdisjoint(STEPS))

    def overlap(self, intersection: Tensor, prediction: Tensor, target: Tensor) -> Tensor:
        """The loss of each region from its sums, all of one shape; `target` > 0."""
        raise NotImplementedError(f"{type(self).__name__} has no overlap.")

    def check(self) -> None:
        super().check()
        for name, allowed in (
            ("reduction", ("mean", "sum", "none")),
            ("link", self.links),
            ("over", ("image", "batch", "world")),
            ("absent", ("penalise", "skip", "zero")),
        ):
            self.require(getattr(self, name) in allowed, f"{name} in {allowed}", getattr(self, name))
        self.require(self.smooth >= 0, "smooth >= 0", self.smooth)

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
        **reads: Tensor,
    ) -> Tensor:
        if self.judged and normalizer is None:
            z, pixels = described(self, logits, target, sample_weight)
            check_reads(self, reads, logits)
            value = verdict.value(self, z, pixels)
            if value is not None:
                return value
        return self._reduced(*self._regions(logits, target, sample_weight, **reads), normalizer)

    def _reduced(self, losses: Tensor, counts: Tensor | None, normalizer: float | Tensor | None = None) -> Tensor:
        return reduced(losses if counts is None else losses * counts, counts, self.reduction, normalizer)

    def parts(
        self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None, **reads: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(sum of the weighted losses, sum of the weights) over regions and classes."""
        losses, counts = self._regions(logits, target, sample_weight, **reads)
        if counts is None:
            counts = torch.ones_like(losses)
        return (losses * counts).sum(), counts.sum()

    def _regions(
        self, logits: Tensor, target: Tensor, sample_weight: Tensor | None, **reads: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """The loss of each region and class, and what it counts for; both [N, C], or [C]. None: each for 1."""
        z, pixels = self._entered(logits, target, sample_weight, reads)
        return self._of_pixels(z, pixels, logits.shape[2:], reads)

    def _entered(
        self, logits: Tensor, target: Tensor, sample_weight: Tensor | None, reads: dict[str, Tensor]
    ) -> tuple[Tensor, Pixels]:
        entered = enter(self, logits, target, sample_weight)
        check_reads(self, reads, logits)
        return entered

    def _of_pixels(
        self, z: Tensor, pixels: Pixels, shape: torch.Size, reads: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        with without_autocast(z.device.type):
            measured = self.measured(z, pixels, shape, **reads)
        return self._counted(z, *measured)

    def _counted(self, z: Tensor, sums: regions.Sums, losses: Tensor) -> tuple[Tensor, Tensor | None]:
        losses, counted = self.settled(sums, losses)
        counts, weight = None if counted is None else counted.to(losses.dtype), self.class_weight(z)
        if weight is not None:
            counts = weight.expand_as(losses) if counts is None else counts * weight
        return losses, counts

    def measured(self, z: Tensor, pixels: Pixels, shape: torch.Size, **reads: Tensor) -> tuple[regions.Sums, Tensor]:
        """The sums of every region, and its loss, which is not used where the class is absent, but must be a number.
        Logits [N, C, P], whose pixels lie in `shape`; `reads`: what the call took besides, shaped like the logits."""
        sums = self.sums(z, pixels)
        return sums, self.of_held(sums)

    def sums(self, z: Tensor, pixels: Pixels) -> regions.Sums:
        """The sums of every region."""
        sums = regions.sums(z, pixels, together=self.over != "image")
        if self.over == "world":
            sums = regions.Sums(*over_ranks(torch.stack(sums)))
        return sums if self.background else regions.Sums(*(x[..., 1:] for x in sums))

    def of_held(self, sums: regions.Sums) -> Tensor:
        """The overlap of each region, where its class is absent that of a class of one pixel."""
        if regions.all_present(sums):
            return self.overlap(*sums[:3])
        present = sums.target > 0
        seen, held = (torch.where(present, part, 1.0) for part in (sums.prediction, sums.target))
        return self.overlap(sums.intersection, seen, held)

    def settled(self, sums: regions.Sums, losses: Tensor) -> tuple[Tensor, Tensor | None]:
        """The losses with those of absent classes, and which of them count; None: all."""
        if regions.all_present(sums):
            return losses, None
        present, counted = sums.target > 0, sums.pixels > 0
        losses = torch.where(present, losses, self.of_absent(sums, losses, counted))
        return losses, present & counted if self.absent == "skip" else counted

    def judge(self, form: str) -> Judge | None:
        """What makes the value of the sums, and its slopes, at once, for a form of regions.py; None: the steps do."""
        return verdict.found(self)

    def reached(self, z: Tensor, sums: regions.Sums) -> Tensor:
        """The value from the sums of images."""
        of_regions = regions.Sums(*self.pooled(torch.stack(sums)))
        return self._reduced(*self._counted(z, of_regions, self.of_held(of_regions)))

    def pooled(self, sums: Tensor) -> Tensor:
        """Sums [K, N, C] of images as those of regions, [K, N, C] or [K, C], with or without class 0."""
        if self.over != "image":
            sums = sums.sum(1)
        if self.over == "world":
            sums = over_ranks(sums)
        return sums if self.background else sums[..., 1:]

    def of_absent(self, sums: regions.Sums, losses: Tensor, counted: Tensor) -> Tensor | float:
        """The loss of a class that the target does not hold."""
        return sums.prediction / torch.where(counted, sums.pixels, 1.0) if self.absent == "penalise" else 0.0

    def class_weight(self, logits: Tensor) -> Tensor | None:
        """[C] what each class counts for, without class 0 where that is left out."""
        if self.weight is None:
            return None
        if self.weight.shape != (logits.shape[1],):
            raise ValueError(
                f"{type(self).__name__}: weight {tuple(self.weight.shape)} but {logits.shape[1]} classes: one number "
                "each is needed."
            )
        weight = self.weight.to(computing_dtype(logits))
        return weight if self.background else weight[1:]

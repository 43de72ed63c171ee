"""Overlaps of all classes together: one number for a region, in which each class has its weight."""

from dataclasses import dataclass
from operator import add, mul
from typing import ClassVar

import torch
from torch import Tensor

from whyloss.losses.region.door import enter
from whyloss.losses.region.maps import counted, opened, summed
from whyloss.losses.region.region import RegionLoss
from whyloss.stats import regions
from whyloss.stats.autocast import without_autocast
from whyloss.stats.rows import computing_dtype
from whyloss.stats.verdict import Judge
from whyloss.stats.visible import visible


class GeneralizedDiceLoss(RegionLoss):
    """One Dice over all classes, each weighed by 1 / (its size)^2: small classes count as much as large ones.

    `reduction="none"` gives one value a region, [N] or a single one; class weights multiply the weights of the classes.

    Args:
        power: >= 0, exponent of the size in the weights: 2 is the paper's, 1 the plain inverse, 0 weighs all alike.
        absent: a class that the region's target does not hold has no size, and its weight would be infinite. "penalise"
            gives it the weight of the smallest class that is there, so that to predict it costs; "skip" and "zero"
            leave it out. A region that holds no class at all is charged the mean probability of all ("penalise"),
            left out ("skip"), or perfect ("zero").

    Formula: 1 - (2 sum_c w_c I_c + s) / (sum_c w_c (P_c + T_c) + s), w_c = 1 / T_c^power. Source: Sudre et al. 2017,
    arXiv:1707.03237, section 2.1 (which does not say what an absent class weighs).

    >>> import torch, whyloss
    >>> whyloss.GeneralizedDiceLoss()(torch.zeros(1, 2, 4), torch.tensor([[0, 0, 0, 1]]))
    tensor(0.6250)
    """

    power: float = 2.0
    source = "Sudre et al. 2017, arXiv:1707.03237, section 2.1"
    short = ("generalized-dice", "gdl")
    equation = "1 - (2 sum_c w_c I_c + s) / (sum_c w_c (P_c + T_c) + s), w_c = 1 / T_c^power"
    bounded = True
    joint = True

    def check(self) -> None:
        super().check()
        self.require(self.power >= 0, "power >= 0", self.power)

    def _regions(
        self, logits: Tensor, target: Tensor, sample_weight: Tensor | None, **reads: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        z, pixels = enter(self, logits, target, sample_weight)
        with without_autocast(z.device.type):
            return self.of_all(self.sums(z, pixels), self.class_weight(z))

    def of_all(self, sums: regions.Sums, importance: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The loss of each region and what it counts for, from the sums of its classes."""
        everywhere, present = regions.all_present(sums), sums.target > 0
        # The weights are relative to that of the smallest class: squares of sizes leave the range of float32.
        if everywhere:
            least = sums.target.amin(-1, keepdim=True)
            weight = (least / sums.target) ** self.power
        else:
            held = torch.where(present, sums.target, torch.inf)
            least = torch.where(present.any(-1, keepdim=True), held.amin(-1, keepdim=True), 1.0)
            weight = torch.where(present, (least / held) ** self.power, 1.0 if self.absent == "penalise" else 0.0)
        if importance is not None:
            weight = weight * importance
        size = sums.prediction + sums.target
        wrong, whole = (weight * (size - 2 * sums.intersection)).sum(-1), (weight * size).sum(-1)
        if self.smooth:
            whole = whole + self.smooth * least.squeeze(-1) ** self.power
        if everywhere:
            return wrong / torch.where(whole > 0, whole, 1.0), None
        some = present.any(-1)
        losses = wrong / torch.where(some & (whole > 0), whole, 1.0)
        held_pixels = torch.where(sums.pixels > 0, sums.pixels, 1.0)
        return _with_empty(self, losses, (sums.prediction / held_pixels).mean(-1), some, (sums.pixels > 0).any(-1))

    def reached(self, z: Tensor, sums: regions.Sums) -> Tensor:
        return self.reduced_of(regions.Sums(*self.pooled(torch.stack(sums))), self.class_weight(z))

    def reduced_of(self, sums: regions.Sums, importance: Tensor | None) -> Tensor:
        return self._reduced(*self.of_all(sums, importance))

    def judge(self, form: str) -> Judge | None:
        if form != "blocks":
            return None
        return _Together(loss=self, pooled=self.over == "batch", background=self.background)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Together(Judge):
    """Generalised Dice, by hand: its weights depend on the target alone."""

    loss: GeneralizedDiceLoss

    def in_numbers(
        self, regions: list[list[float]], classes: int, weight: list[float] | None, sloped: bool
    ) -> tuple[float, list[list[float]]]:
        values, *parts, counts = zip(
            *(
                self.of_one([sums[start : start + classes] for sums in regions], weight)
                for start in range(0, len(regions[0]), classes)
            ),
            strict=True,
        )
        share = 1 / (sum(counts) or 1.0) if self.loss.reduction == "mean" else 1.0
        slopes = [[x * c * share for own, c in zip(part, counts, strict=True) for x in own] for part in parts]
        return sum(map(mul, values, counts)) * share, slopes

    def of_one(
        self, sums: list[list[float]], weight: list[float] | None
    ) -> tuple[float, list[float], list[float], float]:
        """The loss of a region, its slopes, and what it counts for."""
        intersection, prediction, target, pixels = sums
        loss, classes = self.loss, len(target)
        penalised, counts = loss.absent == "penalise", float(max(pixels) > 0)
        held = [t for t in target if t > 0]
        if not held:
            if not penalised:
                return 0.0, [0.0] * classes, [0.0] * classes, 0.0 if loss.absent == "skip" else counts
            each = [1 / (n or 1.0) / classes for n in pixels]
            return sum(map(mul, prediction, each)), [0.0] * classes, each, counts
        least, power = min(held), loss.power
        w = [(least / t) ** power if t > 0 else float(penalised) for t in target]
        w = w if weight is None else list(map(mul, w, weight))
        size = list(map(add, prediction, target))
        whole = sum(map(mul, w, size)) + (loss.smooth * least**power if loss.smooth else 0.0)
        wrong = sum(x * (s - 2 * i) for x, s, i in zip(w, size, intersection, strict=True))
        if whole <= 0:
            return wrong, [-2 * x for x in w], w, counts
        value = wrong / whole
        return value, [-2 * x / whole for x in w], [x * (1 - value) / whole for x in w], counts

    def in_torch(self, sums: Tensor, weight: Tensor | None, sloped: bool) -> tuple[Tensor, Tensor | None]:
        loss = self.loss
        with torch.set_grad_enabled(sloped):
            own = sums[:2].detach().requires_grad_(sloped)
            value = loss.reduced_of(regions.Sums(*own, *sums[2:]), weight)
            return value.detach(), torch.autograd.grad(value, own)[0] if sloped else None


class GeneralizedWassersteinDiceLoss(RegionLoss):
    """Dice in which a mistake costs as much as the classes are far apart: confusing neighbours is nearly forgiven.

    The classes are measured together: `reduction="none"` gives one value a region, [N] or a single one. Class weights
    multiply what a pixel of the class counts for. A soft target is a mixture of labels.

    Args:
        distances: [C, C] from each label to each class, 0 on the diagonal; class 0 is the background, and no class may
            be farther from another than from it.
        absent: a region without foreground has no overlap. "penalise" charges the mean distance of its pixels, "skip"
            leaves it out, "zero" counts it as perfect.

    Formula: 1 - (2 A + s) / (2 A + E + s), with d_i = sum_c D[y_i, c] p_ic, A = sum over foreground pixels of
    D[y_i, 0] - d_i, and E = sum_i d_i. Source: Fidon et al. 2017, arXiv:1707.00478, section 2.2 (generalised
    Wasserstein Dice score).

    >>> import torch, whyloss
    >>> loss = whyloss.GeneralizedWassersteinDiceLoss(distances=1 - torch.eye(3))
    >>> loss(torch.zeros(1, 3, 3), torch.tensor([[0, 1, 2]]))
    tensor(0.6000)
    """

    distances: Tensor
    adds: ClassVar[Tensor]
    source = "Fidon et al. 2017, arXiv:1707.00478, section 2.2"
    short = ("wasserstein-dice", "gwdl")
    equation = "E / (2 sum_fg (D[y_i, 0] - d_i) + E + s), d_i = sum_c D[y_i, c] p_ic, E = sum_i d_i"
    links = ("softmax",)
    bounded = True
    joint = True
    of_sums = False

    def check(self) -> None:
        super().check()
        d = self.distances
        self.require(d.ndim == 2 and d.shape[0] == d.shape[-1], "a square matrix of distances", tuple(d.shape))
        self.require(bool((d >= 0).all()) and not bool(d.diagonal().any()), "distances >= 0, 0 on the diagonal", d)
        farthest = bool((d[1:] <= d[1:, :1]).all()) and bool((d[1:, 0] > 0).all())
        self.require(farthest, "no class farther from another than from class 0, the background", d)
        self.require(self.background, "background=True (the distances are to class 0)", self.background)

    def derive(self) -> None:
        super().derive()
        # What a pixel of each label and class adds to E, and to 2 A + E: [C, C, 2].
        d = self.distances
        whole = torch.cat([d[:1], 2 * d[1:, :1] - d[1:]])
        self.derive_buffer("adds", torch.stack([d, whole], 2))

    def _regions(
        self, logits: Tensor, target: Tensor, sample_weight: Tensor | None, **reads: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        z, pixels = enter(self, logits, target, sample_weight)
        classes, adds, weight = logits.shape[1], self.adds.to(computing_dtype(logits)), self.class_weight(logits)
        if adds.shape[0] != classes:
            raise ValueError(f"{type(self).__name__}: distances {tuple(self.distances.shape)} but {classes} classes.")
        if weight is not None:
            adds = adds * weight.reshape(-1, 1, 1)
        with without_autocast(z.device.type):
            p, t, u = opened(self, z, pixels)
            # [N, label, class] the sums that both parts are linear in.
            confusion, held, total = (t if u is None else t * u) @ p.mT, summed(t, u), counted(t, u)
            if self.over != "image":  # pooled as one
                each = torch.cat([confusion, held.unsqueeze(-1), total.unsqueeze(-1)], 2)
                each = self.pooled(each.movedim(2, 0)).movedim(0, -1)
                confusion, held, total = each[..., :-2], each[..., -2], each[..., -1]
            error, whole = (confusion.flatten(-2) @ adds.flatten(0, 1)).unbind(-1)
        if weight is not None:
            held = held * weight
        some = (held[..., 1:] > 0).any(-1)
        losses = error / torch.where(some & (whole > 0), whole + self.smooth, 1.0)
        if visible(some) and bool(some.all()):
            return losses, None
        total = total[..., 0]
        return _with_empty(self, losses, error / torch.where(total > 0, total, 1.0), some, total > 0)


def _with_empty(
    loss: RegionLoss, losses: Tensor, charge: Tensor, some: Tensor, counted: Tensor
) -> tuple[Tensor, Tensor]:
    """The losses with those of regions that hold nothing, by policy; and what each counts for."""
    losses = torch.where(some, losses, charge if loss.absent == "penalise" else 0.0)
    return losses, ((some & counted) if loss.absent == "skip" else counted).to(losses.dtype)

"""The Jaccard loss itself, made piecewise linear: errors sorted by size, each weighed by what it costs the overlap."""

from typing import Literal

import torch
from torch import Tensor

from whyloss.losses.loss import Link
from whyloss.losses.region.maps import cleaned, counted, summed
from whyloss.losses.region.ranks import of_all_ranks, over_ranks
from whyloss.losses.region.region import RegionLoss
from whyloss.stats import regions
from whyloss.stats.pixels import Pixels
from whyloss.stats.visible import visible


class _LovaszLoss(RegionLoss):
    """What both have in common: the Lovász extension of the Jaccard loss, of errors that one of them defines."""

    charge: Literal["mean", "largest"] = "mean"
    of_sums = False

    def check(self) -> None:
        super().check()
        self.require(self.charge in ("mean", "largest"), "charge in ('mean', 'largest')", self.charge)
        self.require(self.smooth == 0, "smooth = 0 (a sorted loss has no denominator to add to)", self.smooth)

    def errors(self, z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """[N, C, P] probabilities, and errors >= 0, of logits and targets."""
        raise NotImplementedError

    def measured(self, z: Tensor, pixels: Pixels, shape: torch.Size, **reads: Tensor) -> tuple[regions.Sums, Tensor]:
        z, t, u = cleaned(self, z, pixels)
        p, errors = self.errors(z, t)
        each = torch.stack([summed(p * t, u), summed(p, u), summed(t, u), counted(p, u)])
        if u is not None:
            u = u.expand_as(t)
        if self.over != "image":
            errors, t = _joined(errors), _joined(t)
            u = None if u is None else _joined(u)
        if not self.background:
            errors, t = errors[:, 1:], t[:, 1:]
            u = None if u is None else u[:, 1:]
        if self.over != "world":
            losses = (errors * steps(errors.detach(), t, u)).sum(2)
        else:
            losses = over_ranks((errors * _steps_of_the_world(errors.detach(), t, u)).sum(2))
        return regions.Sums(*self.pooled(each)), losses if self.over == "image" else losses.squeeze(0)

    def of_absent(self, sums: regions.Sums, losses: Tensor, counted: Tensor) -> Tensor | float:
        if self.absent == "penalise" and self.charge == "largest":
            return losses  # which is what the extension comes to where no pixel is in the region
        return super().of_absent(sums, losses, counted)


def _steps_of_the_world(errors: Tensor, t: Tensor, u: Tensor | None) -> Tensor:
    """This rank's steps, where the errors of all ranks are sorted together."""
    counts = torch.ones_like(t) if u is None else u
    everyone, mine = of_all_ranks(torch.stack([errors, t.to(errors.dtype), counts]))
    return steps(*everyone)[..., mine]


def _joined(x: Tensor) -> Tensor:
    """[N, C, P] -> [1, C, N P]"""
    return x.transpose(0, 1).flatten(1).unsqueeze(0)


@torch.no_grad()
def steps(errors: Tensor, t: Tensor, u: Tensor | None) -> Tensor:
    """[N, C, P] by how much the Jaccard loss rises when a pixel joins the mistaken ones, the largest error first.

    These are the slopes of the extension in the errors. A pixel is in the region by its share t and counts for u."""
    order = largest_first(errors)
    inside = t if u is None else t * u
    a = inside.gather(2, order)
    b = 1 - a if u is None else u.gather(2, order) - a
    held = inside.sum(2, keepdim=True)
    # A rise of the Jaccard loss 1 - I / U, written without the difference of two numbers that are nearly equal:
    # I_before / U_before - I / U = (a + b I / U) / U_before.
    intersection = (held - a.cumsum(2)).clamp_min(0)
    union = held + b.cumsum(2)
    before = torch.cat([held, union[..., :-1]], 2)
    positive = before > 0
    rise = (a + b * intersection / torch.where(union > 0, union, 1.0)) / torch.where(positive, before, 1.0)
    # The first pixel that counts takes an empty region from 0 to 1.
    rise = torch.where(positive, rise, (union > 0).to(rise.dtype))
    return torch.empty_like(rise).scatter(2, order, rise)


def largest_first(errors: Tensor) -> Tensor:
    """[N, C, P] where each error is found, the largest first, and equal ones as they come."""
    if not visible(errors) or errors.dtype != torch.float32:
        return torch.sort(errors, dim=2, descending=True, stable=True).indices
    # The bits of numbers that are not negative are in their order. With the place below them they are one integer, and
    # numpy, which most have beside torch, sorts integers ten times as fast as torch sorts pairs.
    falling = ~(errors + 0.0).view(torch.int32)  # -0.0 is 0.0
    keys = (falling.long() << 32).bitwise_or_(torch.arange(errors.shape[2]))
    try:
        keys.numpy().sort(axis=2)
    except RuntimeError:  # there is no numpy
        keys = keys.sort(2).values
    return keys.bitwise_and_(2**32 - 1)


class LovaszSoftmaxLoss(_LovaszLoss):
    """The convex extension of the Jaccard loss, in the errors of the probabilities: aims at the Jaccard index itself.

    It is the Jaccard loss wherever predictions are sure, and between these it leans on the largest errors. Best after
    or beside cross-entropy. Computed as plain torch: the time is that of sorting each class's errors.

    Args:
        over: "image", the paper's choice where Jaccard is averaged over images, the whole "batch", or the batches of
            all ranks, the "world": every rank then gets the errors of all and sorts them.
        charge: what "penalise" charges for an absent class: the "mean" of the probabilities wrongly given to it, as
            other region losses do, or the "largest" of them, which is the extension's own value (in the paper "all"
            classes; its "present" classes are absent="skip").

    Formula: sum_i e_(i) (J_i - J_(i-1)), with errors e = |t - p| sorted from the largest, and J_i the Jaccard loss of a
    prediction that is wrong in the first i pixels. Source: Berman et al. 2018, arXiv:1705.08790, section 3.2. Of soft
    masks a pixel is in the region by its share, and weights count as copies of pixels; both are ours.

    >>> import torch, whyloss
    >>> whyloss.LovaszSoftmaxLoss()(torch.zeros(1, 2, 4), torch.tensor([[0, 0, 1, 1]]))
    tensor(0.5000)
    """

    source = "Berman et al. 2018, arXiv:1705.08790, section 3.2"
    short = ("lovasz", "lovasz-softmax")
    equation = "sum_i |t - p|_(i) (J_i - J_(i-1))"
    bounded = True

    def errors(self, z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        p = torch.softmax(z, 1) if self.link == "softmax" else torch.sigmoid(z)
        # Of a label of 1 the error is 1 - p, whatever p rounds to.
        return p, (p - t) * torch.where((p < t) | (t == 1), -1.0, 1.0)


class LovaszHingeLoss(_LovaszLoss):
    """The convex extension of the Jaccard loss in the hinge errors of masks: a max-margin form, convex in the logits.

    Under the sigmoid link alone: every mask is a yes-or-no question. Pixels beyond the margin have no gradient.

    Args:
        over: "image", the whole "batch", or the batches of all ranks, the "world".
        charge: what "penalise" charges for an absent class: the "mean" of its probabilities, as other region losses
            do, or the "largest" hinge error, which is the extension's own value.

    Formula: sum_i e_(i) (J_i - J_(i-1)), with errors e = max(0, 1 - z (2 t - 1)) sorted from the largest, and J_i the
    Jaccard loss of a prediction that is wrong in the first i pixels. Source: Berman et al. 2018, arXiv:1705.08790,
    section 3.1. The error of a soft mask is the expected one.

    >>> import torch, whyloss
    >>> whyloss.LovaszHingeLoss()(torch.tensor([[[2.0, 0.5, -1.0]]]), torch.tensor([[[1, 1, 0]]]))
    tensor(0.2500)
    """

    link: Link = "sigmoid"
    source = "Berman et al. 2018, arXiv:1705.08790, section 3.1"
    short = ("lovasz-hinge",)
    equation = "sum_i max(0, 1 - z (2 t - 1))_(i) (J_i - J_(i-1))"
    links = ("sigmoid",)
    bounded = False

    def errors(self, z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.sigmoid(z), t * (1 - z).clamp_min(0) + (1 - t) * (1 + z).clamp_min(0)

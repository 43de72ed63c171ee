"""A loss as curves: its value and its gradient against the probability of the label, or against the overlap of regions.

Knows how to feed a loss; nothing of how curves are drawn."""

import math

import torch
from torch import Tensor

from whyloss.losses.loss import LabelledLoss, Loss
from whyloss.losses.proper import CrossEntropyLoss
from whyloss.losses.region import DiceLoss, RegionLoss
from whyloss.picture import Line, Panel, nice_top

LOWEST = 0.005  # of p_y; the highest is one minus it
DRAWN_FROM = 0.02  # from this p_y on the axis holds all of a loss; below, unbounded losses may leave the picture
PIXELS = 100  # of a region in its image of five times as many
SURE = 30.0  # a logit that is as good as certain


def panels(loss: Loss, name: str) -> list[Panel]:
    """The curves of a loss; none where no single row or region has a loss of its own."""
    if isinstance(loss, RegionLoss):
        return _region_panels(loss, name)
    return _row_panels(loss, name) if isinstance(loss, LabelledLoss) and not loss.reads else []


def caption(loss: Loss) -> str:
    """What was fed to the loss, in words."""
    if isinstance(loss, RegionLoss):
        return "One region of the image, predicted with certainty, and no background."
    if not isinstance(loss, LabelledLoss) or loss.reads:
        return "No curve: its value is no function of one row's logits and label."
    if loss.link == "sigmoid":
        return "One logit, its answer yes. Gradient: size of the slope in that logit."
    classes = _classes(loss)
    rows = "two classes, logits (d, -d) / 2" if classes == 2 else f"{classes} classes, all but the label's alike"
    label = "" if not _unequal(loss) else ", the label is the last class"
    return f"Rows of {rows}{label}. Gradient: size of the slope in the label's logit."


def _row_panels(loss: LabelledLoss, name: str) -> list[Panel]:
    p = torch.linspace(LOWEST, 1 - LOWEST, 397, dtype=torch.float64)
    value, slope = _along(loss, p)
    reference = _along(CrossEntropyLoss(reduction="none"), p)
    lines = [[Line(name, value.tolist())], [Line(name, slope.tolist())]]
    if not torch.allclose(value, reference[0]):
        for line, y in zip(lines, reference, strict=True):
            line.append(Line("CrossEntropyLoss", y.tolist(), reference=True))
    seen = p >= DRAWN_FROM
    steepest = max(float(slope[seen].max()), float(reference[1].max()))
    titles = ("loss", "gradient |d loss / d z_y|")
    tops = (nice_top(float(value[seen].max())), nice_top(steepest))
    bottoms = (-nice_top(-float(value.min())) if float(value.min()) < -1e-9 else 0.0, 0.0)
    x = [0.0 if i == 0 else 1.0 if i == len(p) - 1 else v for i, v in enumerate(p.tolist())]
    return [Panel(t, "p_y", x, line, b, top) for t, line, b, top in zip(titles, lines, bottoms, tops, strict=True)]


def _along(loss: LabelledLoss, p: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and size of its slope in the label's logit for rows in which the label has the probability p."""
    odds = torch.logit(p)
    if loss.link == "sigmoid":
        z = odds.requires_grad_()
        value = loss(z, torch.ones(len(p), dtype=torch.long))
        (slope,) = torch.autograd.grad(value.sum(), z)
        return value.detach(), slope.abs()
    classes = _classes(loss)
    lead = odds + math.log(classes - 1)
    z = (-lead / classes).unsqueeze(1).repeat(1, classes)
    z[:, -1] += lead
    z.requires_grad_()
    value = loss(z, torch.full((len(p),), classes - 1))
    (slope,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), slope[:, -1].abs()


def _unequal(loss: LabelledLoss) -> list[Tensor]:
    """The parameters that hold a number for every class."""
    found = (getattr(loss, name, None) for name in ("counts", "transition", "weight"))
    return [t for t in found if isinstance(t, Tensor) and t.ndim > 0 and len(t) > 1]


def _classes(loss: LabelledLoss) -> int:
    return next((len(t) for t in _unequal(loss)), 2)


def _region_panels(loss: RegionLoss, name: str) -> list[Panel]:
    image = torch.arange(5 * PIXELS)
    start = 2 * PIXELS
    target = _between(image, start, start + PIXELS)
    covered = list(range(PIXELS + 1))
    shifted = torch.stack([_between(image, start + PIXELS - c, start + 2 * PIXELS - c) for c in covered])
    sizes = list(range(0, 4 * PIXELS + 1, 2))
    grown = torch.stack([_between(image, start + (PIXELS - s) // 2, start + (PIXELS - s) // 2 + s) for s in sizes])
    here, there = _both(loss, shifted, target), _both(loss, grown, target)
    differs = any(abs(a - b) > 1e-6 for own, dice in (here, there) for a, b in zip(own, dice, strict=True))
    found: list[Panel] = []
    for title, x_name, x, (own, dice) in (
        ("loss, right size, shifted", "share covered", [c / PIXELS for c in covered], here),
        ("loss, right place, growing", "size / true size", [s / PIXELS for s in sizes], there),
    ):
        lines = [Line(name, own)] + ([Line("DiceLoss", dice, reference=True)] if differs else [])
        found.append(Panel(title, x_name, x, lines, 0.0, nice_top(max(own))))
    return found


def _both(loss: RegionLoss, masks: Tensor, target: Tensor) -> tuple[list[float], list[float]]:
    """The loss of each predicted mask, and its Dice loss."""
    logits = torch.where(masks, SURE, -SURE).double().unsqueeze(1)
    truth = target.expand(len(masks), 1, -1).long()
    pairs = [(logits[i : i + 1], truth[i : i + 1]) for i in range(len(masks))]
    own, other = ([float(measure(*pair)) for pair in pairs] for measure in (loss, DiceLoss(link="sigmoid")))
    return own, other


def _between(image: Tensor, first: int, end: int) -> Tensor:
    return (image >= first) & (image < end)

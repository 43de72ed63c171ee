"""A loss as curves: its value and its gradient against the probability of the label, or against the overlap of regions.

Knows how to feed a loss; nothing of how curves are drawn."""

import math

import torch
from torch import Tensor

from whyloss.losses.adjust import Adjustment
from whyloss.losses.batch import BatchLoss
from whyloss.losses.continuous import BinnedLoss
from whyloss.losses.continuous.bins import Bins
from whyloss.losses.label_sets import LabelSetLoss
from whyloss.losses.loss import LabelledLoss, Loss
from whyloss.losses.proper import CrossEntropyLoss
from whyloss.losses.region import DiceLoss, RegionLoss
from whyloss.losses.relations import ThresholdLoss, TreeLoss, WordTreeLoss
from whyloss.picture import Line, Panel, nice_top

LOWEST = 0.005  # of p_y; the highest is one minus it
DRAWN_FROM = 0.02  # from this p_y on the axis holds all of a loss; below, unbounded losses may leave the picture
PIXELS = 100  # of a region in its image of five times as many
LEAD = 6.0  # logits that a yes leads a no by, at most
SURE = 30.0  # a logit that is as good as certain


def panels(loss: Loss, name: str) -> list[Panel]:
    """The curves of a loss; none where no single row or region has a loss of its own."""
    if isinstance(loss, RegionLoss):
        return _region_panels(loss, name)
    if loss.reads:
        return []
    if isinstance(loss, LabelSetLoss) or (isinstance(loss, BatchLoss) and loss.link == "sigmoid"):
        return _lead_panels(loss, name)
    if isinstance(loss, LabelledLoss) and loss.cosines:
        return _cosine_panels(loss, name)
    return _row_panels(loss, name) if isinstance(loss, LabelledLoss | BinnedLoss) else []


def caption(loss: Loss) -> str:
    """What was fed to the loss, in words."""
    if isinstance(loss, RegionLoss):
        return "One region of the image, predicted with certainty, and no background."
    if not loss.reads and isinstance(loss, LabelSetLoss):
        return "One sample of two labels, a yes with the logit d / 2 and a no with -d / 2."
    if not loss.reads and isinstance(loss, BatchLoss) and loss.link == "sigmoid":
        return "A batch of two samples, a yes with the logit d / 2 and a no with -d / 2."
    if isinstance(loss, BinnedLoss):
        return f"{_classes(loss)} bins, the number in the middle of the last one, the other bins alike."
    if not isinstance(loss, LabelledLoss) or loss.reads:
        return "No curve: its value is no function of one row's logits and label."
    if loss.cosines:
        return "Rows of ten cosines, all but the label's 0. Gradient: size of the slope in the label's cosine."
    if loss.link == "sigmoid":
        return "One logit, its answer yes. Gradient: size of the slope in that logit."
    if isinstance(loss, ThresholdLoss):
        return "Two classes and one threshold, the label above it. Gradient: size of the slope in its logit."
    if isinstance(loss, WordTreeLoss):
        return "One family of the tree, the label a node in it. Gradient: size of the slope in its logit."
    classes = _classes(loss)
    rows = "two classes, logits (d, -d) / 2" if classes == 2 else f"{classes} classes, all but the label's alike"
    alike = not (_unequal(loss) or loss.ordered or isinstance(loss, TreeLoss))
    label = "" if alike else ", the label is the last class"
    return f"Rows of {rows}{label}. Gradient: size of the slope in the label's logit."


def _row_panels(loss: Loss, name: str) -> list[Panel]:
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


def _lead_panels(loss: LabelSetLoss | BatchLoss, name: str) -> list[Panel]:
    """A yes and a no, in one sample or in two, against how far the yes leads."""
    axis = 1 if isinstance(loss, LabelSetLoss) else 0
    x = torch.linspace(-LEAD, LEAD, 97, dtype=torch.float64)
    value, slope = [], []
    for lead in x:
        z = torch.stack([lead / 2, -lead / 2]).unsqueeze(1 - axis).requires_grad_()
        loss_here = loss(z, torch.tensor([1, 0]).unsqueeze(1 - axis))
        (gradient,) = torch.autograd.grad(loss_here.sum(), z)
        value.append(float(loss_here.sum().detach()))
        slope.append(float(gradient.flatten()[0].abs()))
    titles = ("loss", "gradient |d loss / d z| of the yes")
    found: list[Panel] = []
    for title, y in zip(titles, (value, slope), strict=True):
        low = -nice_top(-min(y)) if min(y) < -1e-9 else 0.0
        found.append(Panel(title, "lead d", x.tolist(), [Line(name, y)], low, nice_top(max(max(y), 1e-9))))
    return found


def _cosine_panels(loss: LabelledLoss, name: str) -> list[Panel]:
    """Against the label's cosine, beside the same without a margin."""
    x = torch.linspace(-1, 1, 401, dtype=torch.float64)
    scale = getattr(loss, "scale", 1.0 if loss.adjust is None else loss.adjust.scale)
    own = _along_cosine(loss, x)
    plain = _along_cosine(CrossEntropyLoss(reduction="none", adjust=Adjustment(scale=float(scale))), x)
    found: list[Panel] = []
    for title, y, reference in zip(("loss", "gradient |d loss / d cos_y|"), own, plain, strict=True):
        lines = [Line(name, y.tolist())]
        if not torch.allclose(own[0], plain[0]):
            lines.append(Line("cross-entropy of s cos", reference.tolist(), reference=True))
        # The slope of an angle has no bound at the ends.
        found.append(Panel(title, "cos_y", x.tolist(), lines, 0.0, nice_top(float(torch.quantile(y, 0.98)))))
    return found


def _along_cosine(loss: LabelledLoss, x: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and size of its slope for rows of ten cosines, the label's x and the others 0."""
    z = torch.nn.functional.pad(x.unsqueeze(1), (0, 9)).requires_grad_()
    value = loss(z, torch.zeros(len(x), dtype=torch.long))
    (slope,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), slope[:, 0].abs()


def _along(loss: Loss, p: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and size of its slope in the label's logit for rows in which the label has the probability p."""
    odds = torch.logit(p)
    if isinstance(loss, ThresholdLoss) or (isinstance(loss, LabelledLoss) and loss.link == "sigmoid"):
        z = odds.requires_grad_()
        value = loss(z.unsqueeze(1) if isinstance(loss, ThresholdLoss) else z, torch.ones(len(p), dtype=torch.long))
        (slope,) = torch.autograd.grad(value.sum(), z)
        return value.detach(), slope.abs()
    if isinstance(loss, WordTreeLoss):
        z = torch.zeros(len(p), loss.tree.nodes, dtype=p.dtype)
        z[:, -1] = odds + math.log(loss.tree.families[-1].shape[1] - 1)
        z.requires_grad_()
        value = loss(z, torch.full((len(p),), loss.tree.nodes - 1))
        (slope,) = torch.autograd.grad(value.sum(), z)
        return value.detach(), slope[:, -1].abs()
    classes = _classes(loss)
    lead = odds + math.log(classes - 1)
    z = (-lead / classes).unsqueeze(1).repeat(1, classes)
    z[:, -1] += lead
    z.requires_grad_()
    last = torch.full((len(p),), classes - 1)
    value = loss(z, _bins(loss).support[last] if isinstance(loss, BinnedLoss) else last)
    (slope,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), slope[:, -1].abs()


def _unequal(loss: Loss) -> list[Tensor]:
    """The parameters that hold a number for every class."""
    found = (getattr(loss, name, None) for name in ("counts", "frequency", "transition", "weight", "cost", "distance"))
    return [t for t in found if isinstance(t, Tensor) and t.ndim > 0 and len(t) > 1]


def _classes(loss: Loss) -> int:
    if isinstance(loss, BinnedLoss):
        return _bins(loss).count
    if isinstance(loss, TreeLoss):
        return loss.tree.classes
    return next((len(t) for t in _unequal(loss)), getattr(loss, "classes", 2))


def _bins(loss: BinnedLoss) -> Bins:
    return getattr(loss, "bins", None) or Bins.around([0, 1, 2, 3, 4])


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
        bottom = -nice_top(-min(own)) if min(own) < -1e-6 else 0.0
        found.append(Panel(title, x_name, x, lines, bottom, nice_top(max(own))))
    return found


def _both(loss: RegionLoss, masks: Tensor, target: Tensor) -> tuple[list[float], list[float]]:
    """The loss of each predicted mask, and its Dice loss."""
    logits = torch.where(masks, SURE, -SURE).double().unsqueeze(1)
    truth = target.expand(len(masks), 1, -1).long()

    def each(measure: RegionLoss) -> list[float]:
        # Where there is no sigmoid link the region and its background are two classes.
        z, t = (logits, truth) if measure.link == "sigmoid" else (torch.cat([-logits, logits], 1), truth[:, 0])
        return [float(measure(z[i : i + 1], t[i : i + 1])) for i in range(len(masks))]

    return each(loss), each(DiceLoss(link="sigmoid"))


def _between(image: Tensor, first: int, end: int) -> Tensor:
    return (image >= first) & (image < end)

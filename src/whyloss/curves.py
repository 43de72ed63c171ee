"""A loss as curves: its value and its gradient against the probability of the label, the overlap of regions, or another
walk through its inputs.

Knows how to feed a loss, with inputs.py; nothing of how curves are drawn."""

import math
from collections.abc import Callable, Iterator
from typing import TypeGuard

import torch
from torch import Tensor

from whyloss import inputs
from whyloss.losses.adjust import Adjustment
from whyloss.losses.batch import BatchLoss
from whyloss.losses.continuous import BinnedLoss
from whyloss.losses.continuous.bins import Bins
from whyloss.losses.label_sets import LabelSetLoss
from whyloss.losses.loss import LabelledLoss, Loss
from whyloss.losses.proper import CrossEntropyLoss
from whyloss.losses.region import DiceLoss, RegionLoss
from whyloss.losses.relations import ThresholdLoss, TreeLoss, WordTreeLoss
from whyloss.picture import Line, Panel, around, nice_top

Curve = tuple[Tensor, Tensor]  # values, and the sizes of their slopes

LOWEST = 0.005  # of p_y; the highest is one minus it
DRAWN_FROM = 0.02  # from this p_y on the axis holds all of a loss; below, unbounded losses may leave the picture
PIXELS = 100  # of a region in its image of five times as many
SURE = 30.0  # a logit that is as good as certain


def panels(loss: Loss, name: str) -> list[Panel]:
    """The curves of a loss; none where nothing is known of what it reads."""
    if isinstance(loss, RegionLoss):
        return _region_panels(loss, name)
    if _led(loss):
        return _lead_panels(loss, name)
    if walk := inputs.walk(loss):
        return _walk_panels(walk)
    if isinstance(loss, BinnedLoss):
        return _row_panels(loss, {name: loss})
    if not isinstance(loss, LabelledLoss) or not (lines := inputs.of_rows(loss, name)):
        return []
    return _cosine_panels(loss, lines) if _of_cosines(loss) else _row_panels(loss, lines)


def caption(loss: Loss) -> str:
    """What was fed to the loss, in words."""
    if isinstance(loss, RegionLoss):
        return "One region of the image, predicted with certainty, and no background."
    if _led(loss):
        samples = "One sample of two labels" if isinstance(loss, LabelSetLoss) else "A batch of two samples"
        return f"{samples}, a yes with the logit d / 2 and a no with -d / 2."
    if walk := inputs.walk(loss):
        return f"{walk.caption} Gradient: size of what backward gives for {walk.varied}."
    if isinstance(loss, BinnedLoss):
        return f"{_classes(loss)} bins, the number in the middle of the last one, the other bins alike."
    if not isinstance(loss, LabelledLoss) or (held := inputs.held(loss)) is None:
        return "No curve: it reads more than is known of here."
    return f"{_rows(loss)} {held}".strip()


def _rows(loss: LabelledLoss) -> str:
    """The rows of a curve, in words."""
    if _of_cosines(loss):
        scaled = "" if loss.cosines else f" times |x| = {inputs.SCALING:g}"
        seen = " A batch with a feature of either length was seen before." if loss.stateful and loss.reads else ""
        rows = f"Rows of ten cosines{scaled}, all but the label's 0.{seen}"
        return f"{rows} Gradient: size of the slope in the label's cosine."
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


def _led(loss: Loss) -> TypeGuard[LabelSetLoss | BatchLoss]:
    """Whether it has a yes and a no, of which one leads."""
    return not loss.reads and (
        isinstance(loss, LabelSetLoss) or (isinstance(loss, BatchLoss) and loss.link == "sigmoid")
    )


def _of_cosines(loss: LabelledLoss) -> bool:
    return loss.cosines or "norm" in loss.reads


def _row_panels(loss: LabelledLoss | BinnedLoss, own: dict[str, inputs.OfRows]) -> list[Panel]:
    p = torch.linspace(LOWEST, 1 - LOWEST, 397, dtype=torch.float64)
    drawn = {name: _along(loss, line, p) for name, line in own.items()}
    plain = CrossEntropyLoss(reduction="none")
    reference = _along(plain, plain, p)
    seen = p >= DRAWN_FROM
    values, slopes = (torch.stack([each[i] for each in drawn.values()]) for i in (0, 1))
    steepest = max(float(slopes[:, seen].max()), float(reference[1].max()))
    titles = ("loss", "gradient |d loss / d z_y|")
    tops = (nice_top(float(values[:, seen].max())), nice_top(steepest))
    bottoms = (-nice_top(-float(values.min())) if float(values.min()) < -1e-9 else 0.0, 0.0)
    x = [0.0 if i == 0 else 1.0 if i == len(p) - 1 else v for i, v in enumerate(p.tolist())]
    lines = _lines(drawn, ("CrossEntropyLoss", reference))
    return [Panel(t, "p_y", x, line, b, top) for t, line, b, top in zip(titles, lines, bottoms, tops, strict=True)]


def _lines(drawn: dict[str, Curve], plain: tuple[str, Curve] | None) -> Iterator[list[Line]]:
    """Of the values, then of the slopes, beside those of a plain loss where that is another."""
    differs = plain and not all(torch.allclose(value, plain[1][0]) for value, _ in drawn.values())
    for i in (0, 1):
        own = [Line(name, curve[i].tolist()) for name, curve in drawn.items()]
        yield own + ([Line(plain[0], plain[1][i].tolist(), reference=True)] if plain and differs else [])


def _walk_panels(walk: inputs.Walk) -> list[Panel]:
    x = torch.linspace(*walk.ends, 97, dtype=torch.float64)
    drawn = {name: _on_the_way(line, x) for name, line in walk.lines.items()}
    plain = walk.reference and (walk.reference[0], _on_the_way(walk.reference[1], x))
    if plain and not _among(plain[1][0], torch.cat([value for value, _ in drawn.values()])):
        plain = None  # of another size, it would say nothing
    found: list[Panel] = []
    for title, lines in zip(("loss", f"gradient |d loss / d {walk.varied}|"), _lines(drawn, plain), strict=True):
        y = [number for line in lines if not line.reference for number in line.y]
        found.append(Panel(title, walk.x_name, x.tolist(), lines, *around(min(y), max(y))))
    return found


def _among(values: Tensor, others: Tensor) -> bool:
    """Whether most of these values are between the others' least and largest."""
    return bool(((values >= others.min()) & (values <= others.max())).double().mean() > 0.5)


def _on_the_way(line: Callable[[Tensor], Tensor], x: Tensor) -> Curve:
    """Its values at these places, and the sizes of its slopes."""
    places = [place.detach().clone().requires_grad_() for place in x]
    values = [line(place) for place in places]
    slopes = [torch.autograd.grad(value, place)[0].abs() for value, place in zip(values, places, strict=True)]
    return torch.stack(values).detach(), torch.stack(slopes)


def _lead_panels(loss: LabelSetLoss | BatchLoss, name: str) -> list[Panel]:
    """A yes and a no, in one sample or in two, against how far the yes leads."""
    axis = 1 if isinstance(loss, LabelSetLoss) else 0
    x = torch.linspace(-inputs.LEAD, inputs.LEAD, 97, dtype=torch.float64)
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


def _cosine_panels(loss: LabelledLoss, own: dict[str, inputs.OfRows]) -> list[Panel]:
    """Against the label's cosine, beside the same without a margin."""
    x = torch.linspace(-1, 1, 401, dtype=torch.float64)
    scale = getattr(loss, "scale", 1.0 if loss.adjust is None else loss.adjust.scale)
    scale = float(scale) if loss.cosines else inputs.SCALING
    drawn = {name: _along_cosine(line, x) for name, line in own.items()}
    plain = _along_cosine(CrossEntropyLoss(reduction="none", adjust=Adjustment(scale=scale)), x)
    titles = ("loss", "gradient |d loss / d cos_y|")
    found: list[Panel] = []
    for title, lines in zip(titles, _lines(drawn, ("cross-entropy of s cos", plain)), strict=True):
        # The slope of an angle has no bound at the ends.
        steepest = max(float(torch.tensor(line.y).quantile(0.98)) for line in lines if not line.reference)
        found.append(Panel(title, "cos_y", x.tolist(), lines, 0.0, nice_top(steepest)))
    return found


def _along_cosine(line: inputs.OfRows, x: Tensor) -> Curve:
    """Loss and size of its slope for rows of ten cosines, the label's x and the others 0."""
    z = torch.nn.functional.pad(x.unsqueeze(1), (0, 9)).requires_grad_()
    value = line(z, torch.zeros(len(x), dtype=torch.long))
    (slope,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), slope[:, 0].abs()


def _along(loss: LabelledLoss | BinnedLoss, line: inputs.OfRows, p: Tensor) -> Curve:
    """Loss and size of its slope in the label's logit for rows in which the label has the probability p."""
    odds = torch.logit(p)
    if isinstance(loss, ThresholdLoss) or (isinstance(loss, LabelledLoss) and loss.link == "sigmoid"):
        z = odds.requires_grad_()
        value = line(z.unsqueeze(1) if isinstance(loss, ThresholdLoss) else z, torch.ones(len(p), dtype=torch.long))
        (slope,) = torch.autograd.grad(value.sum(), z)
        return value.detach(), slope.abs()
    if isinstance(loss, WordTreeLoss):
        z = torch.zeros(len(p), loss.tree.nodes, dtype=p.dtype)
        z[:, -1] = odds + math.log(loss.tree.families[-1].shape[1] - 1)
        last = torch.full((len(p),), loss.tree.nodes - 1)
    else:
        z = inputs.logits(p, _classes(loss))
        last = torch.full((len(p),), z.shape[1] - 1)
    z.requires_grad_()
    value = line(z, _bins(loss).support[last] if isinstance(loss, BinnedLoss) else last)
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
    # With two classes, not to be one is to be the other.
    fewest = 3 if "complement" in loss.reads else 2
    return next((len(t) for t in _unequal(loss)), getattr(loss, "classes", fewest))


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

"""What is fed to losses that need more than a row's logits and label: the lines of inputs along which they are drawn.

Two tables. READS: what a call reads besides, and what is held there while a row's p_y or cosine is varied.
WALKS: losses of something else than rows, and what is varied instead. Knows nothing of how curves are drawn."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from whyloss.losses.batch import BatchLoss
from whyloss.losses.imbalance.hard import HardExamples
from whyloss.losses.loss import LabelledLoss, Loss
from whyloss.losses.margin.center import CenterLoss
from whyloss.losses.proper.adaptive import AdaptiveSoftmaxLoss
from whyloss.losses.proper.likelihood import CrossEntropyLoss
from whyloss.losses.proper.open_set import EntropicOpenSetLoss, ObjectosphereLoss

OfRows = Callable[[Tensor, Tensor], Tensor]  # the losses of logits and labels
DOUBTED, TRUSTED = 0.1, 0.9  # what others say of the label
EPOCHS = 100  # that a loss with a memory has seen
LENGTHS = (20.0, 100.0)  # of features, a short one and a long one
SCALING = 8.0  # the length of a feature that scales its own logits
LEAD = 6.0  # logits that a label leads by, at most
SETTLED = 2.0  # and those that it leads by in the rows that are held


def logits(p: Tensor, classes: int) -> Tensor:
    """[N, C] rows in which the last class, the label, has the probability p and the others are alike."""
    lead = torch.logit(p) + math.log(classes - 1)
    z = (-lead / classes).unsqueeze(1).repeat(1, classes)
    z[:, -1] += lead
    return z


def of_rows(loss: LabelledLoss, name: str) -> dict[str, OfRows]:
    """The lines of a row loss, by their names; none where it reads what nothing is known of."""
    if not loss.reads:
        return {name: loss}
    lines = {} if held(loss) is None else READS[loss.reads[0]][0](loss)
    return {(own or name): line for own, line in lines.items()}


def held(loss: LabelledLoss) -> str | None:
    """What a row is held beside, in words; None where nothing is known of it."""
    if not loss.reads:
        return ""
    return READS[loss.reads[0]][1] if len(loss.reads) == 1 and loss.reads[0] in READS else None


def _alike(z: Tensor, p: float) -> Tensor:
    """As many rows as these, in which the label has this probability."""
    return logits(torch.full((len(z),), p, dtype=z.dtype), z.shape[1])


def _views(loss: LabelledLoss) -> dict[str, OfRows]:
    def beside(z: Tensor, y: Tensor, view: Tensor) -> Tensor:
        return loss(z, y, views=torch.stack([view, view], 1))

    return {
        "views alike": lambda z, y: beside(z, y, z),
        f"views at p_y = {TRUSTED}": lambda z, y: beside(z, y, _alike(z, TRUSTED)),
    }


def _teacher(loss: Any) -> dict[str, OfRows]:
    def taught(z: Tensor, y: Tensor, p: float) -> Tensor:
        said = _alike(z, p)
        return loss(z, said.softmax(1) if loss.teacher == "probabilities" else said, labels=y)

    return {f"teacher at p_y = {p}": lambda z, y, p=p: taught(z, y, p) for p in (TRUSTED, DOUBTED)}


def _complement(loss: LabelledLoss) -> dict[str, OfRows]:
    return {"": lambda z, y: loss(z, y, complement=torch.zeros_like(y))}


def _remembered(loss: LabelledLoss) -> dict[str, OfRows]:
    def after(p: float) -> OfRows:
        known: Any = copy.deepcopy(loss).train()
        row = logits(torch.tensor([p], dtype=torch.float64), getattr(loss, "classes", 2))
        z = row[:, 1] - row[:, 0] if loss.link == "sigmoid" else row
        label, index = torch.tensor([row.shape[1] - 1]), torch.tensor([0])
        for _ in range(EPOCHS):
            known(z, label, index=index)
        if hasattr(known, "prune"):
            known.prune(row, label, index)
        known.eval()
        return lambda z, y: known(z, y, index=torch.zeros_like(y))

    return {f"p_y = {p} so far": after(p) for p in (TRUSTED, DOUBTED)}


def _norms(loss: LabelledLoss) -> dict[str, OfRows]:
    if not loss.cosines:
        return {"": lambda z, y: loss(SCALING * z, y, norm=torch.full_like(z[:, 0], SCALING))}
    known = copy.deepcopy(loss).train()
    lengths = torch.tensor(LENGTHS, dtype=torch.float64)
    known(torch.zeros(len(LENGTHS), 2), torch.zeros(len(LENGTHS), dtype=torch.long), norm=lengths)
    known.eval()
    return {f"|x| = {a:g}": lambda z, y, a=a: known(z, y, norm=torch.full_like(z[:, 0], a)) for a in LENGTHS}


READS: dict[str, tuple[Callable[[Any], dict[str, OfRows]], str]] = {
    "views": (_views, f"Two more views of the sample say the same, or p_y = {TRUSTED} whatever it says."),
    "labels": (_teacher, f"The teacher gives the label {TRUSTED}, or {DOUBTED}."),
    "complement": (_complement, "The class that the row is not: the first."),
    "index": (_remembered, f"The model gave this sample's label {TRUSTED}, or {DOUBTED}, for {EPOCHS} epochs."),
    "norm": (_norms, ""),  # said of the cosines
}


@dataclass(frozen=True)
class Walk:
    """What is varied, from where to where, and each line's loss at a place on the way."""

    x_name: str
    varied: str  # the same in one word
    ends: tuple[float, float]
    lines: dict[str, Callable[[Tensor], Tensor]]
    reference: tuple[str, Callable[[Tensor], Tensor]] | None
    caption: str


def walk(loss: Loss) -> Walk | None:
    """None for a loss of rows, or one that nothing is known of."""
    return next((make(loss) for cls, make in WALKS.items() if isinstance(loss, cls)), None)


def _batch(loss: Any) -> Walk | None:
    """One row among others that stay, and all rows together."""
    if loss.reads:
        return None
    labels = torch.tensor([0, 0, 1, 1])

    def led(lead: Tensor) -> Tensor:
        """[4, 2] logits whose labels lead by [4] `lead`."""
        own = torch.stack([lead, -lead], 1) / 2
        return torch.where((labels == 0).unsqueeze(1), own, -own)

    def one(lead: Tensor) -> Tensor:
        return led(torch.cat([lead.reshape(1), lead.new_full((3,), SETTLED)]))

    return Walk(
        x_name="lead d",
        varied="d",
        ends=(-LEAD, LEAD),
        lines={"one row": lambda d: loss(one(d), labels), "all rows": lambda d: loss(led(d.expand(4)), labels)},
        reference=("CrossEntropyLoss, one row", lambda d: CrossEntropyLoss()(one(d), labels)),
        caption="A batch of four rows, two of each of two classes. One row's label leads by d logits, the others by "
        f"{SETTLED:g}; or all by d.",
    )


def _open_set(loss: ObjectosphereLoss) -> Walk:
    """The length of a feature, in a row of a known class and in an outlier."""
    even = torch.zeros(1, 2, dtype=torch.float64)

    def of(target: int) -> Callable[[Tensor], Tensor]:
        return lambda length: loss(even, torch.tensor([target]), features=length.reshape(1, 1)).sum()

    plain = EntropicOpenSetLoss(outlier=loss.outlier)
    return Walk(
        x_name="length |f|",
        varied="length",
        ends=(0.0, 1.5 * loss.xi),
        lines={"known class": of(0), "outlier": of(loss.outlier)},
        reference=("EntropicOpenSetLoss", lambda length: plain(even, torch.tensor([0])) + 0 * length),
        caption="One row whose feature grows; its two logits stay equal.",
    )


def _centred(loss: CenterLoss) -> Walk:
    """The distance of a feature from its centre, which nothing has moved yet."""
    even, label = torch.zeros(1, loss.classes, dtype=torch.float64), torch.tensor([0])

    def at(distance: Tensor) -> Tensor:
        feature = torch.nn.functional.pad(distance.reshape(1, 1), (0, loss.features - 1))
        return loss(even, label, feature=feature).sum()

    return Walk(
        x_name="distance |x - c_y|",
        varied="distance",
        ends=(0.0, 30.0),
        lines={type(loss).__name__: at},
        reference=("CrossEntropyLoss", lambda distance: CrossEntropyLoss()(even, label) + 0 * distance),
        caption=f"One row whose feature moves away from its centre; its {loss.classes} logits stay equal.",
    )


def _turned(loss: AdaptiveSoftmaxLoss) -> Walk | None:
    """A hidden state that turns from its label's direction towards another class's, and on to its opposite."""
    head = copy.deepcopy(loss).double()
    for weight in head.parameters():
        nn.init.eye_(weight) if weight.ndim == 2 else nn.init.zeros_(weight)
    frequent, rare = 0, loss.cutoffs[0]

    def direction(label: int) -> Tensor:
        """In which the label's probability rises most, from a hidden state of 0."""
        h = torch.zeros(1, loss.hidden_size, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(head(h, torch.tensor([label])).sum(), h)
        return -slope.squeeze(0) / slope.norm()

    def turning(label: int, other: int) -> Callable[[Tensor], Tensor]:
        own, there = direction(label), direction(other)
        across = there - (there @ own) * own

        def at(degrees: Tensor) -> Tensor:
            hidden = degrees.deg2rad().cos() * own + degrees.deg2rad().sin() * across / across.norm()
            return head(SCALING * hidden.unsqueeze(0), torch.tensor([label])).sum()

        return at

    if loss.hidden_size < 2:
        return None  # nothing can turn
    return Walk(
        x_name="angle in degrees",
        varied="angle",
        ends=(0.0, 180.0),
        lines={
            f"label {y}, {place}": turning(y, other)
            for y, other, place in (
                (frequent, rare, "of the head"),
                (rare, frequent, "of a cluster"),
            )
        },
        reference=None,
        caption=f"A hidden state of length {SCALING:g} turns from its label's direction to that of class {rare} or "
        f"{frequent}. The matrices have ones on the diagonal.",
    )


WALKS: dict[type[Loss], Callable[[Any], Walk | None]] = {
    BatchLoss: _batch,
    HardExamples: _batch,
    ObjectosphereLoss: _open_set,
    CenterLoss: _centred,
    AdaptiveSoftmaxLoss: _turned,
}

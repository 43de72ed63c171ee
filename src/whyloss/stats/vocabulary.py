"""The linear engine where even a few rows of all classes are more memory than there is: classes go in parts, twice.

The first time a part's logits leave only their sums behind, which are merged. Then the formula runs, on numbers per
row. The second time they are made again, and become the gradient. So the logits cost two products in place of one, and
a part of them is all that is ever alive. The sums and the slopes are those of the statistics' table, by way of the
plan that kernels are written from."""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from math import isinf
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from whyloss.stats.kernels.plan import Plan, plan, simple
from whyloss.stats.kernels.source import as_torch
from whyloss.stats.program import Program
from whyloss.stats.rows import Rows, computing_dtype, infinite
from whyloss.stats.table import CONSTANT, HUGE
from whyloss.stats.trace import Untraceable

if TYPE_CHECKING:
    from whyloss.stats.heads import Head

CELLS = ("e", "u", "z", "live", "tie")
TENSORS = 7  # of a part's size that are alive at once, in the computing dtype
FEWEST = 64  # classes that go together: a matrix library wants as many
LEAST = 2**16  # logits that go together, whatever the memory: less would only be overhead


class Way:
    """What is summed, what becomes of the sums, and the slopes of the label and of other classes."""

    def __init__(self, found: Plan):
        self.plan = found
        lines, ends = simple(found)
        self.names = tuple(n for n in found.sums if f"sum {n}" in ends)
        rest = ("top", "own", "base", "S", *self.names)
        slopes = tuple(f"c_{n}" for n in found.statistics)
        self.sums = as_torch(lines, {n: ends[f"sum {n}"] for n in self.names}, CELLS) if self.names else None
        given = (*rest, "label", "diagonal")
        self.statistics = as_torch(lines, {n: ends[f"statistic {n}"] for n in found.statistics}, given)
        self.own = as_torch(lines, {"own": ends["own"]}, (*rest, *slopes, "weight"))
        self.slope = as_torch(lines, {"slope": ends["slope"]}, (*CELLS, *rest, *slopes, "weight"))


@lru_cache(maxsize=64)
def _way(names: tuple[str, ...], power: float | None) -> Way | None:
    try:
        return Way(plan(names, None, power, moving=True))
    except Untraceable:
        return None


def fits(rows: Rows) -> bool:
    """Whether a loss can be had from parts: of one label, and no table of as many columns as there are classes."""
    return not rows.every_label and rows.table is None and _way(rows.names, rows.power) is not None


def size(head: "Head", memory: int) -> tuple[int, int]:
    """(rows, classes) that go together."""
    rows, classes = max(1, head.hidden.shape[0]), head.weight.shape[0]
    numbers = max(LEAST, memory // (TENSORS * computing_dtype(head.weight).itemsize))
    width = min(classes, max(FEWEST, numbers // rows // FEWEST * FEWEST))
    return max(1, min(rows, numbers // width)), width


class Part:
    """Logits [R, B] of some classes, adjusted; the label's own, where it is among them, is taken out."""

    def __init__(self, head: "Head", rows: Rows, start: int, stop: int, first: int, room: Tensor):
        assert rows.label is not None
        narrow = replace(
            head, weight=head.weight[start:stop], bias=None if head.bias is None else head.bias[start:stop]
        )
        self.raw = narrow.logits_into(room, first)
        x = self.raw.to(computing_dtype(self.raw), copy=True)
        if rows.shift is not None:
            x += rows.shift[start:stop]
        self.scale = rows.scale[start:stop] if isinstance(rows.scale, Tensor) and rows.scale.ndim else rows.scale
        if self.scale is not None:
            x *= self.scale
        self.inside = (rows.label >= start) & (rows.label < stop)
        self.place = torch.where(self.inside, rows.label - start, 0).unsqueeze(1)
        self.own = x.gather(1, self.place).squeeze(1)
        x.scatter_(1, self.place, torch.where(self.inside, -torch.inf, self.own).unsqueeze(1))
        self.x = x

    def cells(self, top: Tensor, program: Program | None) -> dict[str, Tensor]:
        """What a program reads of a class, relative to `top` [R, 1]; e in any case."""
        names = () if program is None else program.inputs
        move = self.x - top
        found: dict[str, Tensor] = {}
        if "u" in names:
            found["u"] = torch.where(torch.isneginf(move), 0.0, move)
        if "z" in names:
            found["z"] = torch.where(torch.isneginf(move), 0.0, self.x)
        if "live" in names:
            found["live"] = (move > -torch.inf).to(move.dtype)
        if "tie" in names:
            found["tie"] = (move == 0).to(move.dtype)
        return {"e": move.exp_(), **found}


class Sums:
    """Sums of the parts so far, relative to the largest logit so far: one [R] each."""

    def __init__(self, way: Way, like: Tensor):
        self.way = way
        self.top = torch.full_like(like, -torch.inf)
        self.own = torch.full_like(like, -torch.inf)
        self.found = {name: torch.zeros_like(like) for name in ("S", *way.names)}

    def add(self, part: Part) -> None:
        self.own = torch.where(part.inside, part.own, self.own)
        top = torch.maximum(self.top, part.x.amax(1))
        origin = torch.where(torch.isneginf(top), 0.0, top)
        move = torch.where(torch.isneginf(self.top), 0.0, self.top - origin)
        cells = part.cells(origin.unsqueeze(1), self.way.sums)
        added = {"S": cells["e"].sum(1)}
        if self.way.sums is not None:
            added |= {name: x.expand_as(part.x).sum(1) for name, x in self.way.sums(cells)[1].items()}
        self.found = {name: self._moved(name, move) + x for name, x in added.items()}
        self.top = top

    def _moved(self, name: str, move: Tensor) -> Tensor:
        """A sum after the point that exponentials are relative to has moved."""
        if name == "S":
            return self.found[name] * move.exp()
        part = self.way.plan.sums[name]
        value = self.found[name]
        if part.companion is not None:
            value = value + move * self.found[part.companion]
        if isinf(part.degree):
            return torch.where(move == 0, value, 0.0)
        return value * torch.exp(part.degree * move) if part.degree else value


def losses_and_slopes(
    way: Way, rows: Rows, sums: Sums, upstream: Tensor | None, wanted: bool
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted losses, and all that the slopes of classes are made of; "own": that of the label."""
    assert rows.label is not None
    own = sums.own
    if (margins := rows.margins()) is not None:
        own = own - margins[rows.label]
    impossible = torch.isneginf(own)
    base = {"top": torch.where(torch.isneginf(sums.top), 0.0, sums.top), "own": torch.where(impossible, -HUGE, own)}
    base |= {"base": torch.where(impossible, 0.0, own), **sums.found, "label": rows.label.to(own.dtype)}
    base["diagonal"] = torch.zeros_like(own)
    statistics = way.statistics(base)[1]
    with torch.set_grad_enabled(wanted):
        leaves = {n: s.detach().requires_grad_(wanted and n not in CONSTANT) for n, s in statistics.items()}
        value = rows.run(leaves)
    losses = infinite(value.detach(), impossible)
    losses = losses if rows.weight is None else losses * rows.weight
    losses = losses if rows.keep is None else torch.where(rows.keep, losses, 0.0)
    if not wanted:
        return losses, {}
    slopes = dict.fromkeys(statistics, torch.zeros_like(losses))
    if value.requires_grad:
        inputs = {n: s for n, s in leaves.items() if s.requires_grad}
        found = torch.autograd.grad(value, list(inputs.values()), torch.ones_like(value), allow_unused=True)
        slopes |= {n: c for n, c in zip(inputs, found, strict=True) if c is not None}  # pyright: ignore
    base |= {f"c_{n}": c for n, c in slopes.items()}
    weight = torch.ones_like(losses) if upstream is None else upstream.to(losses.dtype).expand_as(losses)
    weight = weight if rows.weight is None else weight * rows.weight
    base["weight"] = weight if rows.keep is None else torch.where(rows.keep, weight, 0.0)
    pulled = way.own(base)[1]["own"]
    return losses, {**base, "slope of label": torch.where(impossible, 0.0, pulled)}


def gradient(way: Way, rows: Rows, part: Part, given: dict[str, Tensor], softcap: float | None) -> Tensor:
    """With respect to a part's logits as the product made them, in their place."""
    columns = {n: x.unsqueeze(1) for n, x in given.items()}
    g = way.slope({**columns, **part.cells(columns["top"], way.slope)})[1]["slope"].expand_as(part.x).contiguous()
    of_label = torch.where(part.inside, given["slope of label"], g.gather(1, part.place).squeeze(1))
    g.scatter_(1, part.place, of_label.unsqueeze(1))
    if part.scale is not None:
        g *= part.scale
    if softcap is not None:
        g *= 1 - (part.raw / softcap) ** 2
    if rows.keep is not None:
        g.masked_fill_(~rows.keep.unsqueeze(1), 0.0)
    return part.raw.copy_(g)


def sweep(head: "Head", rows: Rows, upstream: Tensor | None, wanted: bool) -> Iterator[Any]:
    """Yields (first row, losses of rows) and, if gradients are wanted, (first row, first class, their gradient), which
    is gone when the next is made."""
    assert head.memory is not None
    way = _way(rows.names, rows.power)
    assert way is not None
    (count, classes), (step, width) = (head.hidden.shape[0], head.weight.shape[0]), size(head, head.memory)
    room = torch.empty(step, width, dtype=head.weight.dtype, device=head.weight.device)
    rows = rows.resolved()
    for first in range(0, count, step):
        stop = min(first + step, count)
        of_rows = rows.block(first, stop)
        u = upstream[first:stop] if upstream is not None and upstream.ndim else upstream

        def parts(
            of_rows: Rows = of_rows, first: int = first, height: int = stop - first
        ) -> Iterator[tuple[int, Part]]:
            for start in range(0, classes, width):
                end = min(start + width, classes)
                yield start, Part(head, of_rows, start, end, first, room[:height, : end - start])

        sums = Sums(way, torch.empty(stop - first, dtype=computing_dtype(head.weight), device=head.weight.device))
        for _, part in parts():
            sums.add(part)
            del part
        losses, given = losses_and_slopes(way, of_rows, sums, u, wanted)
        yield first, None, losses
        if wanted:
            for start, part in parts():
                yield first, start, gradient(way, of_rows, part, given, head.softcap)
                del part

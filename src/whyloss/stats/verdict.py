"""What a region loss makes of the sums of a region and class, as one short program: its loss and their slopes.

All of it is arithmetic on four numbers, from the overlap to what is charged for an absent class. It runs once, on
symbols. A kernel then does for all regions what would be dozens of operations on a few numbers each; on the CPU the
program does, and leaves autograd nothing to follow."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from operator import mul
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from whyloss.stats.kept import Kept
from whyloss.stats.measure import Sum
from whyloss.stats.program import Graph, Program, shortened
from whyloss.stats.scalars import REFUSED, on_numbers
from whyloss.stats.slopes import differentiate

FEW = 64  # regions for which Python's own numbers take less time than torch's operations
KEPT = 256  # verdicts
SUMS = ("intersection", "prediction", "target", "pixels")
ENDS = ("loss", "counted", "slope intersection", "slope prediction")


@dataclass(frozen=True, eq=False, kw_only=True)
class Judge:
    """What makes a loss and its slopes of the sums. pooled: a region is all images together. background: class 0 takes
    part."""

    pooled: bool
    background: bool

    def reach(self, sums: Tensor, weight: Tensor | None, sloped: bool) -> tuple[Tensor, Tensor | None]:
        """The value and, if they are wanted, its slopes in intersection and prediction, [2, N, C]; from sums [4, N, C]
        and the weights of classes."""
        shape = sums.shape[1:]
        if self.pooled:
            sums = sums.sum(1, keepdim=True)
        if not self.background:
            sums, weight = sums[..., 1:], None if weight is None else weight[1:]
        value, slopes = self._in_numbers(sums, weight, sloped) or self.in_torch(sums, weight, sloped)
        if slopes is None:
            return value, None
        slopes = slopes if self.background else pad(slopes, (1, 0))
        return value, slopes if slopes.shape[1:] == shape else slopes.expand(2, *shape)

    def _in_numbers(self, sums: Tensor, weight: Tensor | None, sloped: bool) -> tuple[Tensor, Tensor | None] | None:
        """Of a few regions; None of many, and where a number is none."""
        _, images, classes = sums.shape
        if not 0 < images * classes <= FEW:
            return None
        regions: list[list[float]] = sums.flatten(1).tolist()
        if not isfinite(sum(map(sum, regions))):  # Python's max and min may lose what is no number
            return None
        try:
            value, slopes = self.in_numbers(regions, classes, None if weight is None else weight.tolist(), sloped)
        except REFUSED:
            return None
        kept = sums.new_tensor(slopes).view(2, images, classes) if sloped else None
        return sums.new_full((), value), kept

    def in_numbers(
        self, regions: list[list[float]], classes: int, weight: list[float] | None, sloped: bool
    ) -> tuple[float, list[list[float]]]:
        """The value and the slopes in intersection and prediction, from each of the four sums of all regions, those of
        an image side by side. It may raise what is `REFUSED`."""
        raise NotImplementedError

    def in_torch(self, sums: Tensor, weight: Tensor | None, sloped: bool) -> tuple[Tensor, Tensor | None]:
        """The same as tensors, slopes as [2, N, C]."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False, kw_only=True)
class Verdict(Judge):
    """A program of `SUMS`, with `ends` as in `ENDS`, and what becomes of the losses. mean: over what is counted, not
    the sum."""

    lines: list[tuple[Any, ...]]
    ends: list[Any]
    mean: bool

    def in_numbers(
        self, regions: list[list[float]], classes: int, weight: list[float] | None, sloped: bool
    ) -> tuple[float, list[list[float]]]:
        held = min(regions[2]) > 0
        run = on_numbers(_program(self, held, sloped))
        losses, *more = zip(*(run(*region) for region in zip(*regions, strict=True)), strict=True)
        if held and weight is None:
            share = 1 / len(losses) if self.mean else 1.0
            return sum(losses) * share, [[x * share for x in slope] for slope in more[1:]]
        counts = more[0] if weight is None else tuple(map(mul, more[0], weight * (len(losses) // classes)))
        share = 1 / (sum(counts) or 1.0) if self.mean else 1.0
        slopes = [[x * c * share for x, c in zip(slope, counts, strict=True)] for slope in more[1:]]
        return sum(map(mul, losses, counts)) * share, slopes

    def in_torch(self, sums: Tensor, weight: Tensor | None, sloped: bool) -> tuple[Tensor, Tensor | None]:
        parts = sums.unbind()
        held = sums.numel() > 0 and parts[2].amin().item() > 0
        loss, counted, *slopes = (_like(parts[0], x) for x in _program(self, held, sloped).run(*parts))
        counts = None if held else counted.to(loss.dtype)
        if weight is not None:
            counts = weight.expand_as(loss) if counts is None else counts * weight
        value, share = (loss if counts is None else loss * counts).sum(), None
        if self.mean:
            total = loss.new_full((), loss.numel()) if counts is None else counts.sum()
            share = torch.where(total == 0, 1.0, total).reciprocal()
            value *= share
        if not sloped:
            return value, None
        kept = torch.stack(slopes)
        for factor in (counts, share):
            if factor is not None:
                kept *= factor
        return value, kept


def _like(x: Tensor, value: Tensor | float) -> Tensor:
    return value if isinstance(value, Tensor) else torch.full_like(x, value)


@lru_cache(maxsize=KEPT)
def _program(verdict: Verdict, held: bool, sloped: bool) -> Program:
    """In torch, the slopes only if they are wanted. held: all classes are known to be there, and nothing need be asked
    about what is not."""
    inputs = {line[1]: number for number, line in enumerate(verdict.lines) if line[0] == "input"}
    known = {("gt", inputs[name], 0.0) for name in SUMS[2:] if name in inputs} if held else ()
    graph = Graph()
    graph.lines = [("constant", 1.0) if line in known else line for line in verdict.lines]
    ends = dict(zip(ENDS if sloped else ENDS[:2], verdict.ends, strict=False))
    lines, found = shortened(
        graph, {name: end if isinstance(end, int) else graph.add("constant", end) for name, end in ends.items()}
    )
    return Program(SUMS, lines, found["loss"], {name: found[name] for name in list(ends)[1:]})


_verdicts = Kept[Verdict | None](KEPT)


def verdict(key: Hashable, judge: Callable[..., Any], pooled: bool, mean: bool, background: bool) -> Verdict | None:
    """Of a loss that `key` stands for. judge(*sums): (losses, whether they count). None where it cannot be traced."""
    if key is None:
        return None

    def made() -> Verdict | None:
        found = _traced(judge)
        if found is None:
            return None
        return Verdict(lines=found[0], ends=found[1], pooled=pooled, mean=mean, background=background)

    return _verdicts.get(key, made)


def _traced(judge: Callable[..., Any]) -> tuple[list[tuple[Any, ...]], list[Any]] | None:
    graph = Graph()
    inputs = {name: graph.add("input", name) for name in SUMS}
    try:
        loss, counted = (given.line for given in judge(*(Sum(graph, line) for line in inputs.values())))
        slopes = differentiate(graph, loss, {name: inputs[name] for name in SUMS[:2]})
    except Exception:  # whatever it is, the loss itself will show it, in its own words
        return None
    nothing = graph.add("constant", 0.0)
    ends = (loss, counted, *(slopes.get(name, nothing) for name in SUMS[:2]))
    lines, found = shortened(graph, dict(zip(ENDS, ends, strict=True)))
    return lines, [found[name] for name in ENDS]

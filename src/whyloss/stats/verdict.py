"""What a region loss makes of the sums of a region and class, as one short program: its loss and their slopes.

All of it is arithmetic on four numbers, from the overlap to what is charged for an absent class. It runs once, on
symbols; a kernel then does for all regions what would be dozens of operations on a few numbers each."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch

from whyloss.stats.program import Graph, shortened
from whyloss.stats.slopes import differentiate
from whyloss.stats.trace import Symbol

KEPT = 256  # verdicts; a parameter that changes at every step makes one at every step
SUMS = ("intersection", "prediction", "target", "pixels")
ENDS = ("loss", "counted", "slope intersection", "slope prediction")


@dataclass(frozen=True, eq=False)
class Verdict:
    """A program of `SUMS`, with `ends` as in `ENDS`, and what becomes of the losses. pooled: a region is all images
    together. mean: over what is counted, not the sum. background: class 0 takes part."""

    lines: list[tuple[Any, ...]]
    ends: list[Any]
    pooled: bool
    mean: bool
    background: bool


class _Sum(Symbol):
    """A sum while the loss is traced."""

    dtype = torch.float32


_verdicts: OrderedDict[Hashable, Verdict | None] = OrderedDict()


def verdict(key: Hashable, judge: Callable[..., Any], pooled: bool, mean: bool, background: bool) -> Verdict | None:
    """Of a loss that `key` stands for. judge(*sums): (losses, whether they count). None where it cannot be traced."""
    if key is None:
        return None
    if key not in _verdicts:
        found = _traced(judge)
        _verdicts[key] = None if found is None else Verdict(*found, pooled, mean, background)
        if len(_verdicts) > KEPT:
            _verdicts.popitem(last=False)
    return _verdicts[key]


def _traced(judge: Callable[..., Any]) -> tuple[list[tuple[Any, ...]], list[Any]] | None:
    graph = Graph()
    inputs = {name: graph.add("input", name) for name in SUMS}
    try:
        loss, counted = (given.line for given in judge(*(_Sum(graph, line) for line in inputs.values())))
        slopes = differentiate(graph, loss, {name: inputs[name] for name in SUMS[:2]})
    except Exception:  # whatever it is, the loss itself will show it, in its own words
        return None
    nothing = graph.add("constant", 0.0)
    ends = (loss, counted, *(slopes.get(name, nothing) for name in SUMS[:2]))
    lines, found = shortened(graph, dict(zip(ENDS, ends, strict=True)))
    return lines, [found[name] for name in ENDS]

"""A measure of a few sums, as one program with its slopes: it runs once, on symbols. What is then made of the sums of
all classes takes no more operations than the measure itself has."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch

from whyloss.stats.program import Graph, Program, simplified
from whyloss.stats.slopes import differentiate
from whyloss.stats.trace import Symbol

KEPT = 256  # programs; a parameter that changes at every step makes one at every step


class Sum(Symbol):
    """A sum while a measure is traced."""

    dtype = torch.float32


_programs: OrderedDict[Hashable, Program | None] = OrderedDict()


def program(key: Hashable, measure: Callable[..., Any], names: Sequence[str]) -> Program | None:
    """measure(*sums), that `key` stands for, and its slopes in all of them; None where it cannot be traced."""
    if key is None:
        return None
    if key not in _programs:
        _programs[key] = _traced(measure, tuple(names))
        if len(_programs) > KEPT:
            _programs.popitem(last=False)
    return _programs[key]


def _traced(measure: Callable[..., Any], names: tuple[str, ...]) -> Program | None:
    graph = Graph()
    inputs = {name: graph.add("input", name) for name in names}
    try:
        line = measure(*(Sum(graph, line) for line in inputs.values())).line
        slopes = differentiate(graph, line, inputs)
    except Exception:  # whatever it is, the measure itself will show it, in its own words
        return None
    nothing = graph.add("constant", 0.0)
    return simplified(graph, names, line, {name: slopes.get(name, nothing) for name in names})

"""A measure of a few sums, as one program with its slopes: it runs once, on symbols. What is then made of the sums of
all classes takes no more operations than the measure itself has."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch

from whyloss.stats.kept import Kept
from whyloss.stats.program import Graph, Program, simplified
from whyloss.stats.slopes import differentiate
from whyloss.stats.trace import Symbol


class Sum(Symbol):
    """A sum while a measure is traced."""

    dtype = torch.float32


_programs = Kept[Program | None]()


def program(key: Hashable, measure: Callable[..., Any], names: Sequence[str]) -> Program | None:
    """measure(*sums), that `key` stands for, and its slopes in all of them; None where it cannot be traced."""
    return None if key is None else _programs.get(key, lambda: _traced(measure, tuple(names)))


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

"""A program of log-odds, rewritten for those who have the probabilities at hand: the label's, and what the others have
together. Knows programs only."""

from collections.abc import Mapping
from typing import Any

from whyloss.stats.program import Graph, Program, shortened

# The label's probability; one minus that, exact near 0; -log p.
SHARES = ("p", "not_p", "cost")
# Minus the slope in the log-odds, which is the shorter to say; and the same over `not_p`: what the probability of each
# other class is multiplied with in the gradient.
AGAINST, EACH = "against", "each"


def of_shares(program: Program) -> Program:
    """The same loss and slopes, of `SHARES` where these will do. In place of the slope in the log-odds there is
    `AGAINST` and, where these are all that it depends on, `EACH`."""
    graph, new = Graph(), dict[int, Any]()
    given = {name: graph.add("input", name) for name in (*program.inputs, *SHARES)}
    for number, (operation, *arguments) in enumerate(program.lines):
        new[number] = _line(graph, given, operation, [new[a] if isinstance(a, int) else a for a in arguments])
    loss = _as_line(graph, program.loss, new)
    slopes = {name: _as_line(graph, end, new) for name, end in program.slopes.items()}
    if "log_odds" in slopes:
        slopes[AGAINST], by = graph.add("neg", slopes.pop("log_odds")), given["not_p"]
        if len(slopes) == 1:
            quotient = _quotient(graph, slopes[AGAINST], by)
            slopes[EACH] = graph.add("div", slopes[AGAINST], by) if quotient is None else _as_line(graph, quotient)
    lines, ends = shortened(graph, {"loss": loss, **slopes})
    inputs = tuple(line[1] for line in lines if line[0] == "input")
    return Program(inputs or program.inputs, lines, ends.pop("loss"), ends)


def _as_line(graph: Graph, end: Any, new: Mapping[int, int] | None = None) -> int:
    if isinstance(end, float):
        return graph.add("constant", end)
    return end if new is None else new[end]


def _line(graph: Graph, given: dict[str, int], operation: str, a: list[Any]) -> int:
    odds = given["log_odds"]
    if operation == "input":
        return given[a[0]]
    if operation in ("sigmoid", "expit") and a[0] == odds:
        return given["p"]
    if operation in ("sigmoid", "expit") and graph.lines[a[0]] == ("neg", odds):
        return given["not_p"]
    if operation == "log_sigmoid" and a[0] == odds:
        return graph.add("neg", given["cost"])
    return graph.add(operation, *a)


def _quotient(graph: Graph, line: Any, by: int) -> Any:
    """The line divided by another one that it is a multiple of; None where that cannot be seen."""
    if isinstance(line, float):
        return None if line else 0.0
    if line == by:
        return 1.0
    operation, *a = graph.lines[line]
    if operation == "constant":
        return _quotient(graph, a[0], by)
    if operation == "pow" and a[0] == by and isinstance(a[1], float) and a[1] >= 1:
        return graph.add("pow", by, a[1] - 1.0)
    if operation == "mul":
        for one, other in (a, a[::-1]):
            if (found := _quotient(graph, one, by)) is not None:
                return graph.add("mul", found, other)
        return None
    parts = {"neg": a[:1], "div": a[:1], "add": a, "sub": a, "where": a[1:]}.get(operation)
    found = None if parts is None else [_quotient(graph, part, by) for part in parts]
    if found is None or any(x is None for x in found):
        return None
    rest = a[:1] if operation == "where" else []
    return graph.add(operation, *rest, *found, *(a[1:] if operation == "div" else []))

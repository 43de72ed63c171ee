"""The derivative of a program, in reverse: what each operation hands back to its arguments.

The same expressions as autograd's, so that both are equally accurate."""

from collections.abc import Callable, Mapping, Sequence
from math import log
from typing import Any

from whyloss.stats.program import Graph

# (graph, adjoint g of a line, number of the line, its arguments) -> what each argument's adjoint gets.
Rule = Callable[[Graph, int, int, Sequence[Any]], Sequence[Any]]


def _pow_rule(b: Graph, g: int, out: int, a: Sequence[Any]) -> Sequence[Any]:
    x, n = a
    if isinstance(n, float) and not n:  # and not the line of number 0
        return (None, None)
    less = n - 1.0 if isinstance(n, float) else b.add("sub", n, 1.0)
    base = b.add("mul", g, b.add("mul", n, b.add("pow", x, less)))
    if isinstance(n, float):
        return (base, None)
    raised = b.add("mul", g, b.add("mul", out, log(x) if isinstance(x, float) else b.add("log", x)))
    return (base, raised)


RULES: dict[str, Rule] = {
    "add": lambda b, g, out, a: (g, g),
    "sub": lambda b, g, out, a: (g, b.add("neg", g)),
    "mul": lambda b, g, out, a: (b.add("mul", g, a[1]), b.add("mul", g, a[0])),
    "div": lambda b, g, out, a: (
        b.add("div", g, a[1]),
        b.add("neg", b.add("mul", g, b.add("div", b.add("div", a[0], a[1]), a[1]))),
    ),
    "pow": _pow_rule,
    "neg": lambda b, g, out, a: (b.add("neg", g),),
    "exp": lambda b, g, out, a: (b.add("mul", g, out),),
    "expm1": lambda b, g, out, a: (b.add("mul", g, b.add("add", out, 1.0)),),
    "log": lambda b, g, out, a: (b.add("div", g, a[0]),),
    "log1p": lambda b, g, out, a: (b.add("div", g, b.add("add", a[0], 1.0)),),
    "sqrt": lambda b, g, out, a: (b.add("div", g, b.add("mul", 2.0, out)),),
    "abs": lambda b, g, out, a: (b.add("mul", g, b.add("sign", a[0])),),
    "sigmoid": lambda b, g, out, a: (b.add("mul", g, b.add("mul", out, b.add("sub", 1.0, out))),),
    "tanh": lambda b, g, out, a: (b.add("mul", g, b.add("sub", 1.0, b.add("mul", out, out))),),
    "log_sigmoid": lambda b, g, out, a: (b.add("mul", g, b.add("expit", b.add("neg", a[0]))),),
    "logaddexp": lambda b, g, out, a: (
        b.add("div", g, b.add("add", 1.0, b.add("exp", b.add("sub", a[1], a[0])))),
        b.add("div", g, b.add("add", 1.0, b.add("exp", b.add("sub", a[0], a[1])))),
    ),
    "maximum": lambda b, g, out, a: _larger(b, g, a[0], a[1]),
    "minimum": lambda b, g, out, a: _larger(b, g, a[1], a[0]),
    "where": lambda b, g, out, a: (None, b.add("where", a[0], g, 0.0), b.add("where", a[0], 0.0, g)),
}
NO_SLOPE = frozenset({"detach", "lt", "le", "gt", "ge", "and", "or", "not", "sign", "input"})


def _larger(b: Graph, g: int, x: Any, y: Any) -> Sequence[Any]:
    """Adjoints of (x, y) where the larger of both is taken; a tie with a constant belongs to x, as in clamp."""
    if isinstance(x, float) or isinstance(y, float):
        return (b.add("where", b.add("ge", x, y), g, 0.0), b.add("where", b.add("ge", y, x), g, 0.0))
    half = b.add("where", b.add("le", x, y), b.add("where", b.add("le", y, x), b.add("mul", g, 0.5), 0.0), g)
    other = b.add("where", b.add("le", y, x), b.add("where", b.add("le", x, y), b.add("mul", g, 0.5), 0.0), g)
    return (half, other)


def differentiate(graph: Graph, loss: int, inputs: Mapping[str, int]) -> dict[str, int]:
    """The line of the slope of the loss in every input that has one."""
    adjoint: dict[int, int] = {loss: graph.add("one")}
    for line in range(loss, -1, -1):
        operation, *arguments = graph.lines[line]
        if line not in adjoint or operation in NO_SLOPE:
            continue
        if operation not in RULES:
            continue
        given = RULES[operation](graph, adjoint[line], line, arguments)
        for argument, part in zip(arguments, given, strict=True):
            if isinstance(argument, int) and not isinstance(argument, bool) and part is not None:
                before = adjoint.get(argument)
                adjoint[argument] = part if before is None else graph.add("add", before, part)
    return {name: adjoint[line] for name, line in inputs.items() if line in adjoint}

"""A formula, traced: it runs once on symbols that record what is done to them, and becomes a program.

What symbols cannot follow (a branch on a value, an operation without a rule) is no mistake: the formula is then run as
it is, and autograd differentiates it. Knows torch's names of operations; nothing of logits, rows or engines."""

from collections.abc import Callable, Sequence
from typing import Any, Self

from whyloss.stats.exact import times_exp
from whyloss.stats.program import Graph, Program, simplified
from whyloss.stats.slopes import differentiate
from whyloss.stats.table import CONSTANT, derive, needed


def trace(
    formula: Callable[..., Any],
    names: Sequence[str],
    power: float | None = None,
    slopes: bool = True,
    every_label: bool = False,
) -> Program | None:
    """The program of a formula of these statistics, with its slopes or without; None where it cannot be traced.

    every_label: what follows from the log-odds is given too, log_p and log_not_p with slopes of their own; inputs are
    then what the program reads."""
    graph = Graph()
    inputs = {
        name: graph.add("input", name) for name in (*needed(frozenset(names)), *(LOG_ODDS if every_label else ()))
    }
    base: dict[str, Any] = {name: Symbol(graph, line) for name, line in inputs.items()}
    try:
        if every_label:
            base |= {name: times_exp(base[name], base[f"log_{name}"]) for name in ("p", "not_p")}
        result: Any = formula(**derive(names, base if power is None else {**base, "power": power}))
        if not isinstance(result, Symbol):
            return None
    except Exception:  # whatever it is, the formula itself will show it, in its own words
        return None
    sloped = {n: line for n, line in inputs.items() if slopes and n not in CONSTANT and n not in ("p", "not_p")}
    program = simplified(graph, tuple(inputs), result.line, differentiate(graph, result.line, sloped))
    if not every_label:
        return program
    read = tuple(line[1] for line in program.lines if line[0] == "input")
    return Program(read, program.lines, program.loss, program.slopes)


LOG_ODDS = ("log_p", "log_not_p", "p", "not_p")  # what follows from the log-odds alone


COMPARISONS, LOGIC = ("lt", "le", "gt", "ge"), ("and", "or", "not")


class Untraceable(Exception):
    """The formula does something that a symbol cannot follow."""


class Symbol:
    """A statistic while a formula is traced."""

    def __init__(self, graph: Graph, line: int):
        self.graph, self.line = graph, line

    def do(self, operation: str, *arguments: Any) -> Self:
        taken = [_argument(a) for a in arguments]
        asked = len(taken) if operation in LOGIC else int(operation == "where")  # how many of them may be true or false
        taken[asked:] = [self._number(a) for a in taken[asked:]]
        return type(self)(self.graph, self.graph.add(operation, *taken))

    def _number(self, line: Any) -> Any:
        """The line of a number; what is true or false counts as 1 or 0."""
        if isinstance(line, int) and self.graph.lines[line][0] in (*COMPARISONS, *LOGIC):
            return self.graph.add("where", line, 1.0, 0.0)
        return line

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> "Symbol":
        name = getattr(func, "__name__", "")
        symbol = next((a for a in args if isinstance(a, Symbol)), None)
        if symbol is None or name not in FUNCTIONS:
            raise Untraceable(name)
        return FUNCTIONS[name](symbol, *args, **(kwargs or {}))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in FUNCTIONS:
            raise Untraceable(name)
        return lambda *args, **kwargs: FUNCTIONS[name](self, self, *args, **kwargs)  # pyright: ignore

    def __bool__(self) -> bool:
        raise Untraceable("a branch on a value")

    def __add__(self, other: Any) -> "Symbol":
        return self.do("add", self, other)

    def __sub__(self, other: Any) -> "Symbol":
        return self.do("sub", self, other)

    def __rsub__(self, other: Any) -> "Symbol":
        return self.do("sub", other, self)

    def __mul__(self, other: Any) -> "Symbol":
        return self.do("mul", self, other)

    def __truediv__(self, other: Any) -> "Symbol":
        return self.do("div", self, other)

    def __rtruediv__(self, other: Any) -> "Symbol":
        return self.do("div", other, self)

    def __pow__(self, other: Any) -> "Symbol":
        return self.do("pow", self, other)

    def __rpow__(self, other: Any) -> "Symbol":
        return self.do("pow", other, self)

    def __neg__(self) -> "Symbol":
        if self._number(self.line) != self.line:
            raise Untraceable("minus a truth")
        return self.do("neg", self)

    def __abs__(self) -> "Symbol":
        return self.do("abs", self)

    def __lt__(self, other: Any) -> "Symbol":
        return self.do("lt", self, other)

    def __le__(self, other: Any) -> "Symbol":
        return self.do("le", self, other)

    def __gt__(self, other: Any) -> "Symbol":
        return self.do("gt", self, other)

    def __ge__(self, other: Any) -> "Symbol":
        return self.do("ge", self, other)

    def __eq__(self, other: Any) -> Any:  # of numbers, so that no formula takes it for the question who is who
        return self.do("le", self, other) & self.do("ge", self, other)

    def __ne__(self, other: Any) -> Any:
        return ~(self == other)

    __hash__ = object.__hash__

    def __and__(self, other: Any) -> "Symbol":
        return self.do("and", self, other)

    def __or__(self, other: Any) -> "Symbol":
        return self.do("or", self, other)

    def __invert__(self) -> "Symbol":
        return self.do("not", self)

    __radd__, __rmul__ = __add__, __mul__


def _argument(value: Any) -> Any:
    if isinstance(value, Symbol):
        return value.line
    if isinstance(value, bool | int | float):
        return float(value)
    raise Untraceable(f"a {type(value).__name__} among the statistics")


def _same(name: str) -> Callable[..., Symbol]:
    """A torch function that is an operation under its own arguments."""

    def call(symbol: Symbol, *args: Any, **kwargs: Any) -> Symbol:
        if kwargs:
            raise Untraceable(f"{name} with {', '.join(kwargs)}")
        return symbol.do(name, *args)

    return call


def _clamp(symbol: Symbol, x: Any, min: Any = None, max: Any = None) -> Symbol:
    found = x if min is None else symbol.do("maximum", x, min)
    return found if max is None else symbol.do("minimum", found, max)


def _square(symbol: Symbol, x: Any) -> Symbol:
    return symbol.do("pow", x, 2.0)


def _reciprocal(symbol: Symbol, x: Any) -> Symbol:
    return symbol.do("div", 1.0, x)


def _clamp_min(symbol: Symbol, x: Any, min: Any) -> Symbol:
    return symbol.do("maximum", x, min)


def _clamp_max(symbol: Symbol, x: Any, max: Any) -> Symbol:
    return symbol.do("minimum", x, max)


def _relu(symbol: Symbol, x: Any) -> Symbol:
    return symbol.do("maximum", x, 0.0)


def _eq(symbol: Symbol, x: Any, other: Any) -> Symbol:
    return x == other


def _ne(symbol: Symbol, x: Any, other: Any) -> Symbol:
    return x != other


def _expand_as(symbol: Symbol, x: Any, other: Any) -> Symbol:
    return symbol  # all statistics have one shape


def _zeros_like(symbol: Symbol, x: Any) -> Symbol:
    return symbol.do("mul", x, 0.0)


ONE = ("exp", "expm1", "log", "log1p", "sqrt", "abs", "neg", "sigmoid", "tanh", "detach", "log_sigmoid")
TWO = ("add", "sub", "mul", "div", "pow", "maximum", "minimum", "logaddexp", "lt", "le", "gt", "ge")
FUNCTIONS: dict[str, Callable[..., Symbol]] = {
    **{name: _same(name) for name in (*ONE, *TWO, "where")},
    "true_divide": _same("div"),
    "logsigmoid": _same("log_sigmoid"),
    "eq": _eq,
    "ne": _ne,
    "square": _square,
    "reciprocal": _reciprocal,
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": _clamp_min,
    "clamp_max": _clamp_max,
    "relu": _relu,
    "expand_as": _expand_as,
    "zeros_like": _zeros_like,
}

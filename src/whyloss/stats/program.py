"""Short programs on numbers per row: lines of arithmetic, made simple, and run with torch.

Knows arithmetic and how it is written down; nothing of formulas, statistics or engines."""

import operator
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from math import exp
from typing import Any

import torch
from torch import Tensor

from whyloss.stats.visible import visible

NEAR = 80.0  # how far from 0 a sigmoid is exact in float32


class Graph:
    """Lines of a program, each an operation on earlier lines and constants. Equal lines are one line."""

    def __init__(self) -> None:
        self.lines: list[tuple[Any, ...]] = []  # (operation, *arguments): ints are lines, floats constants
        self._known: dict[tuple[Any, ...], int] = {}

    def add(self, operation: str, *arguments: Any) -> int:
        key = (operation, *(("c", repr(a)) if isinstance(a, float) else a for a in arguments))
        if key not in self._known:
            self._known[key] = len(self.lines)
            self.lines.append((operation, *arguments))
        return self._known[key]


class Program:
    """Loss and slopes of a formula as lines; only what they use, in an order in which it can run."""

    def __init__(self, inputs: tuple[str, ...], lines: list[tuple[Any, ...]], loss: Any, slopes: dict[str, Any]):
        self.inputs, self.lines, self.loss, self.slopes = inputs, lines, loss, slopes
        self.run: Callable[..., tuple[Any, ...]] = _compiled(self.source())

    @cached_property
    def run_near(self) -> Callable[..., tuple[Any, ...]]:
        """Of log-odds that are not beyond `NEAR`."""
        return _compiled(self.source(), near=True)

    def source(self) -> str:
        """The program as Python; a scope says what its functions are."""
        kept = {end for end in (self.loss, *self.slopes.values()) if isinstance(end, int)}
        last = {a: number for number, line in enumerate(self.lines) for a in line[1:] if isinstance(a, int)}
        body: list[str] = []
        for number, line in enumerate(self.lines):
            body.append(f"    v{number} = {_spelled(line, self.inputs[0])}")
            # What nobody reads again makes room in the cache.
            body.extend(f"    del v{a}" for a, at in last.items() if at == number and a not in kept)
        results = ", ".join(_value(line) for line in (self.loss, *self.slopes.values()))
        return "\n".join([f"def run({', '.join(self.inputs)}):", *body, f"    return ({results},)", ""])

    def __call__(self, base: Mapping[str, Tensor], near: bool = False) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of every row, and its slope in each statistic that it depends on. near: as `run_near`."""
        given = [base[name] for name in self.inputs]
        run = self.run_near if near else self.run
        loss, *slopes = (x if isinstance(x, Tensor) else torch.full_like(given[0], x) for x in run(*given))
        return loss, dict(zip(self.slopes, slopes, strict=True))


SPELLED = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "pow": "power({}, {})",
    "neg": "-{}",
    "lt": "{} < {}",
    "le": "{} <= {}",
    "gt": "{} > {}",
    "ge": "{} >= {}",
    "and": "{} & {}",
    "or": "{} | {}",
    "not": "opposite({})",
    "log_sigmoid": "log_sigmoid({})",
    "expit": "expit({})",
    "maximum": "maximum({}, {})",
    "minimum": "minimum({}, {})",
}


def _spelled(line: tuple[Any, ...], like: str) -> str:
    operation, *arguments = line
    if operation == "input":
        return arguments[0]
    values = [_value(a) for a in arguments]
    if operation == "where" and isinstance(arguments[1], float) and isinstance(arguments[2], float):
        return f"two_values({', '.join(values)}, {like})"
    return SPELLED[operation].format(*values) if operation in SPELLED else f"torch.{operation}({', '.join(values)})"


def _value(argument: Any) -> str:
    return f"v{argument}" if isinstance(argument, int) else f"({argument!r})"


def _maximum(x: Any, y: Any) -> Any:
    if isinstance(x, Tensor) and isinstance(y, Tensor):
        return torch.maximum(x, y)
    return x.clamp_min(y) if isinstance(x, Tensor) else y.clamp_min(x)


def _minimum(x: Any, y: Any) -> Any:
    if isinstance(x, Tensor) and isinstance(y, Tensor):
        return torch.minimum(x, y)
    return x.clamp_max(y) if isinstance(x, Tensor) else y.clamp_max(x)


def _expit(x: Tensor) -> Tensor:
    """torch.sigmoid, which is 0 from -88 on in float32, where 8e-39 to 1e-45 are still to be had; e^min(x, 0) takes
    them, without torch.where, which does not vectorise."""
    if visible(x) and x.numel() and x.amin().item() > -NEAR:  # as is usual: one look and one operation, not five
        return x.sigmoid()
    return x.clamp_max(0).exp_().mul_(x.abs().sigmoid_())


def _two_values(where: Tensor, yes: float, no: float, like: Tensor) -> Tensor:
    """torch.where of two numbers would have torch's default dtype."""
    return torch.full_like(like, no).masked_fill_(where, yes)


SCOPE: dict[str, Any] = {
    "torch": torch,
    "log_sigmoid": torch.nn.functional.logsigmoid,
    "expit": _expit,
    "maximum": _maximum,
    "minimum": _minimum,
    "power": operator.pow,
    "opposite": operator.inv,
    "two_values": _two_values,
    "inf": float("inf"),
    "nan": float("nan"),
}


@lru_cache(maxsize=256)
def _compiled(source: str, near: bool = False) -> Callable[..., tuple[Any, ...]]:
    return function(source, SCOPE | {"expit": torch.sigmoid} if near else SCOPE)


def function(source: str, scope: Mapping[str, Any]) -> Callable[..., tuple[Any, ...]]:
    """What `Program.source` wrote, of tensors or of whatever the scope has functions for."""
    own = dict(scope)
    exec(source, own)  # of lines that `Program.source` wrote from operations of this file
    return own["run"]


def simplified(graph: Graph, inputs: tuple[str, ...], loss: int, slopes: Mapping[str, int]) -> Program:
    """The program of a loss and its slopes."""
    lines, ends = shortened(graph, {"loss": loss, **{f"slope {name}": line for name, line in slopes.items()}})
    return Program(inputs, lines, ends["loss"], {name: ends[f"slope {name}"] for name in slopes})


def shortened(graph: Graph, ends: Mapping[str, int]) -> tuple[list[tuple[Any, ...]], dict[str, Any]]:
    """The lines that the ends need, and where the ends went: to a line, or to a constant. Without what has no effect:
    detaching (there is nothing left to differentiate), x - x, times one, plus zero."""
    wanted = set(ends.values())
    for line in range(len(graph.lines) - 1, -1, -1):
        if line in wanted:
            wanted |= {a for a in graph.lines[line][1:] if isinstance(a, int)}
    short, new = Graph(), dict[int, Any]()
    for line, (operation, *arguments) in enumerate(graph.lines):
        if line in wanted:
            new[line] = _reduced(short, operation, [new[a] if isinstance(a, int) else a for a in arguments])
    found = {name: new[line] for name, line in ends.items()}
    used = {end for end in found.values() if isinstance(end, int)}
    for line in range(len(short.lines) - 1, -1, -1):
        if line in used:
            used |= {a for a in short.lines[line][1:] if isinstance(a, int)}
    place = {line: number for number, line in enumerate(sorted(used))}

    def moved(end: Any) -> Any:
        return place[end] if isinstance(end, int) else end

    lines = [(short.lines[line][0], *(moved(a) for a in short.lines[line][1:])) for line in place]
    return lines, {name: moved(end) for name, end in found.items()}


def _reduced(b: Graph, operation: str, a: list[Any]) -> Any:
    """The line, or what it comes to: an earlier line or a constant."""
    constant = [isinstance(x, float) for x in a]
    if operation == "one":
        return 1.0
    if operation == "constant":
        return a[0]
    if operation == "detach":
        return a[0]
    if operation in FOLDED and all(constant):
        return float(FOLDED[operation](*a))
    if operation == "neg" and b.lines[a[0]][0] == "neg":
        return b.lines[a[0]][1]
    if operation == "sub" and a[0] == a[1] and not any(constant):
        return 0.0
    if operation == "mul" and 1.0 in [x for x, c in zip(a, constant, strict=True) if c]:
        return a[1] if constant[0] and a[0] == 1.0 else a[0]
    if operation == "mul" and constant[0] and a[0] == -1.0:
        return _reduced(b, "neg", a[1:])
    if operation == "mul" and 0.0 in [x for x, c in zip(a, constant, strict=True) if c]:
        return 0.0
    if operation == "add" and 0.0 in [x for x, c in zip(a, constant, strict=True) if c]:
        return a[1] if constant[0] and a[0] == 0.0 else a[0]
    if operation == "sub" and constant[1] and a[1] == 0.0:
        return a[0]
    if operation in ("div", "pow") and constant[1] and a[1] == 1.0:
        return a[0]
    if operation == "div" and constant[0] and a[0] == 0.0:
        return 0.0
    if operation == "pow" and constant[1] and a[1] == 0.0:
        return 1.0
    if operation in ("and", "or") and any(constant):
        truth, other = (a[0], a[1]) if constant[0] else (a[1], a[0])
        return other if bool(truth) == (operation == "and") else truth
    if operation == "where" and constant[0]:
        return a[1] if a[0] else a[2]
    if operation == "where" and a[1] == a[2] and constant[1] == constant[2]:
        return a[1]
    return b.add(operation, *a)


def _of_numbers(function: Callable[..., Tensor]) -> Callable[..., float]:
    """A function of torch, on Python's numbers: where math would refuse, it has an answer."""

    def of(*a: float) -> float:
        return function(*(torch.tensor(x, dtype=torch.float64, device="cpu") for x in a)).item()

    return of


FUNCTIONS = ("maximum", "minimum", "pow", "log", "log1p", "expm1", "sqrt", "sigmoid", "tanh", "logaddexp")
FOLDED: dict[str, Any] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "exp": exp,
    "abs": abs,
    "log_sigmoid": _of_numbers(torch.nn.functional.logsigmoid),
    "expit": _of_numbers(torch.sigmoid),
    **{name: _of_numbers(getattr(torch, name)) for name in FUNCTIONS},
    **{name: getattr(operator, name) for name in ("lt", "le", "gt", "ge")},  # 1 is what is known to hold
    "not": operator.not_,
}

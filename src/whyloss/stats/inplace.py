"""A program on blocks of numbers, run in memory that is used again and again.

Every line writes into a register, a block of memory that is free once nobody reads it any more, so that a whole program
stays in the cache. Comparisons are masks of bits and a choice is arithmetic on bits: torch's own operations on booleans
do not vectorise, and take thirty times as long. The functions of a sigmoid share one exponential."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from whyloss.stats.exponentials import exp_into
from whyloss.stats.program import Graph, Program, shortened

Line = tuple[Any, ...]
BITS = {torch.float32: torch.int32, torch.float64: torch.int64}
COMPARISONS = frozenset({"lt", "le", "gt", "ge"})
LOGIC = {"and": "bitwise_and", "or": "bitwise_or", "not": "bitwise_not"}
BOUNDS = {"maximum": "clamp_min", "minimum": "clamp_max"}
COMMUTE = frozenset({"add", "mul", *BOUNDS})
SIDES = {"is_le": "le", "is_ge": "ge"}  # comparisons with 0 as the numbers 0 and 1


class Steps:
    """A program made ready for blocks. `wide`: the inputs that are blocks; the others are one number each.

    factor: what the slope is still to be multiplied with, if it is wanted at all."""

    def __init__(self, program: Program, wide: Collection[str], slope: bool):
        ends = {"loss": program.loss, **({"slope": next(iter(program.slopes.values()))} if slope else {})}
        lines, ends = _lowered(program.lines, ends)
        self.factor = 1.0
        if slope:
            ends["slope"], self.factor = _without_factor(lines, ends["slope"])
            lines, ends = _used(lines, ends)
        written = _Written(lines, ends, wide)
        self.inputs, source = written.inputs, written.source()
        self.registers, self._values = written.registers, tuple(written.constants)
        self._constants: dict[torch.dtype, list[Tensor]] = {}
        self._run = _compiled(source)

    def __call__(self, inputs: Mapping[str, Tensor], registers: Sequence[Tensor], results: Sequence[Tensor]) -> None:
        """Fills the results: loss and slope. `registers` are as many blocks as `self.registers` says, of the results'
        size; an input may not be one of them."""
        dtype = results[0].dtype
        if dtype not in self._constants:
            self._constants[dtype] = [torch.tensor(c, dtype=dtype, device="cpu") for c in self._values]
        given = (inputs[name] for name in self.inputs)
        self._run(dtype, BITS[dtype], *given, *self._constants[dtype], *registers, *results)


def _without_factor(lines: Sequence[Line], end: Any) -> tuple[Any, float]:
    """A line without the constants that it is multiplied with at the end, and these."""
    if isinstance(end, int) and lines[end][0] == "neg":
        inner, factor = _without_factor(lines, lines[end][1])
        return inner, -factor
    if isinstance(end, int) and lines[end][0] == "mul" and isinstance(lines[end][2], float):
        inner, factor = _without_factor(lines, lines[end][1])
        return inner, factor * lines[end][2]
    return end, 1.0


def _used(lines: Sequence[Line], ends: Mapping[str, Any]) -> tuple[list[Line], dict[str, Any]]:
    graph = Graph()
    graph.lines = list(lines)
    return shortened(graph, {n: e if isinstance(e, int) else graph.add("constant", e) for n, e in ends.items()})


def _lowered(lines: Sequence[Line], ends: Mapping[str, Any]) -> tuple[list[Line], dict[str, Any]]:
    """The same in fewer passes: the functions of a sigmoid made of e^-|x|, which log p, log(1 - p), p and 1 - p have in
    common, and negations taken outwards, where they end in a subtraction."""
    graph, place = Graph(), list[int]()
    powers = any(line[0] == "sigmoid" for line in lines)  # p itself is raised to powers, and must be exact
    for operation, *arguments in lines:
        moved = [place[a] if isinstance(a, int) else a for a in arguments]
        if operation in ("expit", "sigmoid"):
            place.append(_sigmoid(graph, moved[0]) if powers else graph.add("exp", _log_sigmoid(graph, moved[0])))
        elif operation == "log_sigmoid":
            place.append(_log_sigmoid(graph, moved[0]))
        else:
            place.append(_signed(graph, operation, moved))
    found = {n: place[end] if isinstance(end, int) else graph.add("constant", float(end)) for n, end in ends.items()}
    return shortened(graph, found)


def _log_sigmoid(b: Graph, x: int) -> int:
    log1p, negated = b.add("log1p", _exponential(b, x)), _without_sign(b, x)
    if negated is None:
        return b.add("sub", b.add("minimum", x, 0.0), log1p)
    return b.add("neg", b.add("add", b.add("maximum", negated, 0.0), log1p))


def _sigmoid(b: Graph, x: int) -> int:
    e = _exponential(b, x)
    # e^min(x, 0) is 1 or e, whichever is larger: never a difference, and exact down to the smallest numbers.
    negated = _without_sign(b, x)
    side = b.add("is_ge", x) if negated is None else b.add("is_le", negated)
    return b.add("mul", b.add("maximum", e, side), b.add("div", 1.0, b.add("add", 1.0, e)))


def _exponential(b: Graph, x: int) -> int:
    negated = _without_sign(b, x)
    return b.add("exp", b.add("minus_abs", x if negated is None else negated))


def _without_sign(b: Graph, line: Any) -> int | None:
    """What a line is the negation of, or None."""
    return b.lines[line][1] if isinstance(line, int) and b.lines[line][0] == "neg" else None


def _factor(b: Graph, line: Any) -> float | None:
    """The constant that a line multiplies with, or None."""
    known = isinstance(line, int) and b.lines[line][0] == "mul" and isinstance(b.lines[line][2], float)
    return b.lines[line][2] if known else None


def _signed(b: Graph, operation: str, a: list[Any]) -> int:
    if operation == "pow" and a[1] == 1.5 and isinstance(a[1], float):
        return b.add("mul", a[0], b.add("sqrt", a[0]))
    first, second = _without_sign(b, a[0]) if a else None, _without_sign(b, a[1]) if len(a) > 1 else None
    if operation == "neg":
        if first is not None:
            return first
        if isinstance(a[0], int) and b.lines[a[0]][0] == "sub":
            return b.add("sub", *reversed(b.lines[a[0]][1:]))
        if isinstance(a[0], int) and b.lines[a[0]][0] == "scaled" and isinstance(b.lines[a[0]][1], float):
            _, c, x, factor = b.lines[a[0]]
            return b.add("scaled", -c, x, -factor)
        if isinstance(a[0], int) and b.lines[a[0]][0] in ("mul", "div") and isinstance(b.lines[a[0]][2], float):
            inner, x, c = b.lines[a[0]]
            return b.add(inner, x, -c)
    elif operation in ("add", "sub") and (factor := _factor(b, a[1])) is not None:
        return b.add("scaled", a[0], b.lines[a[1]][1], factor if operation == "add" else -factor)
    elif operation == "add" and (factor := _factor(b, a[0])) is not None:
        return b.add("scaled", a[1], b.lines[a[0]][1], factor)
    elif operation == "add" and second is not None:
        return b.add("sub", a[0], second)
    elif operation == "add" and first is not None:
        return b.add("sub", a[1], first)
    elif operation == "sub" and second is not None:
        return b.add("add", a[0], second)
    elif operation in ("mul", "div") and (first is not None or second is not None):
        product = b.add(operation, a[0] if first is None else first, a[1] if second is None else second)
        return product if first is not None and second is not None else _signed(b, "neg", [product])
    elif operation == "mul" and isinstance(a[0], float):
        return _signed(b, "mul", [a[1], a[0]])
    return b.add(operation, *a)


class _Written:
    """Lines as Python, one torch operation each."""

    def __init__(self, lines: Sequence[Line], ends: Mapping[str, Any], wide: Collection[str]):
        self.lines, self.results = lines, {f"result{i}": end for i, end in enumerate(ends.values())}
        self.inputs = tuple(line[1] for line in lines if line[0] == "input")
        self.constants = list[float]()
        self.wide: set[int] = set()
        for number, (operation, *arguments) in enumerate(lines):
            block = operation == "input" and arguments[0] in wide
            if block or any(a in self.wide for a in arguments if isinstance(a, int)):
                self.wide.add(number)
        self.registers = 0
        self.names: dict[int, str] = {}  # of lines

    def source(self) -> str:
        body = self._body()
        registers = [f"r{i}" for i in range(self.registers)]
        constants = [f"c{i}" for i in range(len(self.constants))]
        arguments = ["REAL", "BITS", *self.inputs, *constants, *registers, *self.results]
        return "\n".join([f"def run({', '.join(arguments)}):", *(f"    {text}" for text in body), ""])

    def _body(self) -> list[str]:
        free, body, room = list[str](), list[str](), set[str]()
        last = {a: number for number, line in enumerate(self.lines) for a in line[1:] if isinstance(a, int)}
        target = {end: name for name, end in reversed(self.results.items()) if isinstance(end, int)}
        if target.get(len(self.lines) - 1) == "result1":  # until the last line there is room in the slope itself
            free.append("result1")
            room.add("result1")
        for number, (operation, *arguments) in enumerate(self.lines):
            if operation == "input":
                self.names[number] = arguments[0]
                continue
            over = [a for a in dict.fromkeys(arguments) if isinstance(a, int) and last[a] == number]
            given_back = [n for a in over if (n := self.names[a]) in room]
            if operation != "where":  # which reads its arguments after it has begun to write
                free += given_back
            self.names[number] = f"v{number}"
            if number in self.wide:
                self.names[number] = target[number] if number in target else self._register(free, room)
            body += self._spelled(number, operation, arguments)
            if operation == "where":
                free += given_back
        for name, end in self.results.items():
            if not isinstance(end, int):
                body.append(f"{name}.fill_({end!r})")
            elif self.names[end] != name:
                body.append(f"{name}.copy_({self.names[end]})")
        return body or ["pass"]

    def _register(self, free: list[str], room: set[str]) -> str:
        if free:
            return free.pop()
        name = f"r{self.registers}"
        room.add(name)
        self.registers += 1
        return name

    def _spelled(self, number: int, operation: str, arguments: list[Any]) -> list[str]:
        if operation in COMPARISONS:
            values = f"{self._tensor(arguments[0])}, {self._value(arguments[1])}"
            if number in self.wide:
                return [f"torch.{operation}({values}, out={self.names[number]}.view(BITS)).neg_()"]
            return [f"{self.names[number]} = torch.{operation}({values}).to(BITS).neg_()"]
        if operation == "where":
            return [self._choice(number, arguments)]
        if operation in LOGIC:
            return [self._call(number, LOGIC[operation], *(self._bits(a) for a in arguments), bits=True)]
        if operation == "minus_abs":  # the sign bit set
            return [self._call(number, "bitwise_or", self._bits(arguments[0]), self._bits(-0.0), bits=True)]
        if operation == "scaled":
            first, second, alpha = self._tensor(arguments[0]), self._tensor(arguments[1]), f"alpha={arguments[2]!r}"
            return [self._call(number, "add", first, second, alpha)]
        if operation == "exp" and number in self.wide:
            return [f"exp_into({self.names[number]}, {self._value(arguments[0])})"]
        if operation in SIDES:
            return [self._call(number, SIDES[operation], self._value(arguments[0]), "0.0")]
        if isinstance(arguments[0], float) and operation in COMMUTE:
            arguments = arguments[::-1]
        if operation in BOUNDS and isinstance(arguments[1], float):
            operation = BOUNDS[operation]
        if operation == "div" and isinstance(arguments[0], float) and arguments[0] == 1.0:
            return [self._call(number, "reciprocal", self._value(arguments[1]))]
        others = [self._tensor(a) if operation == "logaddexp" else self._value(a) for a in arguments[1:]]
        return [self._call(number, operation, self._tensor(arguments[0]), *others)]

    def _call(self, number: int, function: str, *values: str, bits: bool = False) -> str:
        out = self.names[number]
        if number not in self.wide:
            return f"{out} = torch.{function}({', '.join(values)})"
        return f"torch.{function}({', '.join(values)}, out={out}{'.view(BITS)' if bits else ''})"

    def _choice(self, number: int, arguments: list[Any]) -> str:
        """where(c, x, y) is ((x ^ y) & c) ^ y, whatever the numbers are."""
        c, x, y = (self._bits(a) for a in arguments)
        out = self.names[number]
        if number not in self.wide:
            return f"{out} = ((({x} ^ {y}) & {c}) ^ {y}).view(REAL)"
        if isinstance(arguments[2], float) and repr(arguments[2]) == "0.0":
            return f"torch.bitwise_and({c}, {x}, out={out}.view(BITS))"
        if any(a in self.wide for a in arguments[1:] if isinstance(a, int)):
            return f"torch.bitwise_xor({x}, {y}, out={out}.view(BITS)).bitwise_and_({c}).bitwise_xor_({y})"
        return f"torch.bitwise_and({c}, {x} ^ {y}, out={out}.view(BITS)).bitwise_xor_({y})"

    def _bits(self, argument: Any) -> str:
        return f"{self._tensor(argument)}.view(BITS)"

    def _value(self, argument: Any) -> str:
        return repr(argument) if isinstance(argument, float) else self.names[argument]

    def _tensor(self, argument: Any) -> str:
        """The same where torch does not take a plain number."""
        if not isinstance(argument, float):
            return self.names[argument]
        known = [repr(c) for c in self.constants]  # -0.0 is not 0.0
        if repr(argument) not in known:
            self.constants.append(argument)
            return f"c{len(known)}"
        return f"c{known.index(repr(argument))}"


@lru_cache(maxsize=256)
def _compiled(source: str) -> Callable[..., None]:
    scope: dict[str, Any] = {"torch": torch, "exp_into": exp_into, "inf": float("inf"), "nan": float("nan")}
    exec(source, scope)  # of lines that `_Written` wrote from operations of this file
    return scope["run"]

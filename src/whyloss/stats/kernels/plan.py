"""What a kernel has to do for a loss, as one graph: sums over a row, arithmetic on them, and the slope of each logit.

The statistics' table is written for tensors; here it runs on symbols. What it sums becomes an accumulator, what it
does with sums becomes arithmetic on numbers per row, and what it says about slopes becomes the pull-back. So a
statistic that is added to the table is in the kernels, too. Knows the table and graphs; nothing of Triton."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from whyloss.stats.program import Graph, Program, shortened
from whyloss.stats.table import CONSTANT, HUGE, REST, Rest, needed
from whyloss.stats.trace import Symbol, Untraceable

# What a summand or a slope may read of one class: exp(z - top), z - top, z - the label's logit, z, 1 where it is
# neither masked nor the label, 1 where z is the largest, and its entry in the label's row of the table. Of a class
# as the label (mixture.py): its logit and its number.
CELLS = ("e", "u", "v", "z", "live", "tie", "entry", "label_logit", "index")


class Cell(Symbol):
    """A symbol for which a number per row and a number per class are written alike."""

    def unsqueeze(self, dim: int) -> "Cell":
        return self


@dataclass(frozen=True)
class Sum:
    """An accumulator: what each class adds (a line), and what becomes of it when the point moves that exponentials are
    relative to. `degree`: it scales with that power of exp(move); inf: it survives only if nothing moves.
    `companion`: the accumulator that is added to it, times the move."""

    line: int
    degree: float = 0.0
    companion: str | None = None


@dataclass
class Plan:
    """graph: all lines. sums: by name, as the graph's inputs call them. loss: a line or a constant. own: the slope of
    the label's logit. slope: that of the other logits. statistics: lines, if the formula is not part of the graph.
    largest: it matters which of the other logits is the largest."""

    graph: Graph = field(default_factory=Graph)
    sums: dict[str, Sum] = field(default_factory=dict[str, Sum])
    loss: Any = None
    own: Any = None
    slope: Any = None
    statistics: dict[str, Any] = field(default_factory=dict[str, Any])
    largest: bool = False

    def input(self, name: str) -> Cell:
        return Cell(self.graph, self.graph.add("input", name))

    def cell(self, line: Any) -> Cell:
        """A line or a constant as a symbol."""
        return Cell(self.graph, line if isinstance(line, int) else self.graph.add("constant", float(line)))

    def total(self, x: Any) -> Cell:
        """The sum of x over the other classes."""
        if not isinstance(x, Symbol):
            raise Untraceable("a sum of constants")
        if x.line == self.input("e").line:
            return self.input("S")
        for name, known in self.sums.items():
            if known.line == x.line:
                return self.input(name)
        degree, moves = self._degree(x.line)
        name, companion = f"t{len(self.sums)}", None
        if moves > 1:
            raise Untraceable("a sum of squares of z - top")
        self.sums[name] = Sum(x.line)  # its place; the companion may come after it
        if moves:
            companion = self._name(self.total(Cell(self.graph, self._without_u(x.line))))
        self.sums[name] = Sum(x.line, degree, companion)
        return self.input(name)

    def _name(self, symbol: Cell) -> str:
        return self.graph.lines[symbol.line][1]

    def _degree(self, line: int) -> tuple[float, int]:
        """(power of e, power of u) in a product."""
        operation, *arguments = self.graph.lines[line]
        if operation == "input":
            return {"e": (1.0, 0), "u": (0.0, 1), "tie": (float("inf"), 0)}.get(arguments[0], (0.0, 0))
        if operation == "mul":
            parts = [self._degree(a) if isinstance(a, int) else (0.0, 0) for a in arguments]
            return sum(p[0] for p in parts), sum(p[1] for p in parts)
        if operation == "exp":  # of a constant times u
            inner = self.graph.lines[arguments[0]]
            u = self.graph.add("input", "u")
            if inner[0] == "mul" and u in inner[1:]:
                constants = [a for a in inner[1:] if isinstance(a, float)]
                return (constants[0], 0) if constants else (1.0, 0)
        raise Untraceable(f"a sum of {operation}")

    def _without_u(self, line: int) -> int:
        operation, *arguments = self.graph.lines[line]
        if operation == "input":
            return self.graph.add("input", "live") if arguments[0] == "u" else line
        changed = [self._without_u(a) if isinstance(a, int) else a for a in arguments]
        live = self.graph.add("input", "live")
        if operation == "mul" and live in changed:  # u is 0 where a class does not count; what stays must be, too
            changed.remove(live)
            return changed[0] if self._vanishes(changed[0]) else self.graph.add("mul", changed[0], live)
        return self.graph.add(operation, *changed)

    def _vanishes(self, line: Any) -> bool:
        """Whether it is 0 by itself where a class does not count."""
        if not isinstance(line, int):
            return False
        operation, *arguments = self.graph.lines[line]
        if operation == "input":
            return arguments[0] in ("e", "live", "z", "tie")
        return operation == "mul" and any(self._vanishes(a) for a in arguments)


class _Terms:
    """The statistics' table's view of a class, in symbols."""

    def __init__(self, plan: Plan, power: float | None, moving: bool):
        self.plan, self.power, self.moving = plan, power or 0.0, moving
        self.e, self.u, self.v, self.z, self.live = (plan.input(name) for name in ("e", "u", "v", "z", "live"))
        self.member = self.live  # the label is left out of the sums, and its slope is not read
        self.table = plan.input("entry")

    @property
    def sum_u(self) -> Cell:
        if self.moving:
            return self.plan.total(self.u)
        # By way of the label's logit, which does not move as the top does: no second accumulator.
        return self.plan.total(self.v) + self.count * (self.plan.input("base") - self.plan.input("top"))  # pyright: ignore

    @property
    def count(self) -> Cell:
        return self.plan.total(self.live)


def plan(names: tuple[str, ...], program: Program | None, power: float | None, moving: bool = False) -> Plan:
    """The plan of a formula of these statistics; without a program, the formula itself is left to others: the plan then
    takes its slopes as inputs `c_<statistic>`. `moving`: sums are relative to the top, and to nothing else."""
    found = Plan()
    terms, rest = _Terms(found, power, moving), _rest(found)
    S: Any = rest.S
    base: dict[str, Cell] = {
        "log_odds": (found.input("own") - rest.top) - rest.log_S,  # pyright: ignore[reportAssignmentType]
        "logit": found.input("own"),
        "rival": _one_of(S > 0.0, rest.top, _one_of(S <= 0.0, -HUGE, S)),  # NaN where S is
        "label": found.input("label"),
        "own": found.input("diagonal"),
    }
    wanted = needed(frozenset(names))
    found.largest = "rival" in wanted
    for name in wanted:
        if name in REST:
            base[name] = REST[name].value(terms, rest)  # pyright: ignore
    weight = found.input("weight")
    if program is None:
        found.statistics = {name: base[name].line for name in wanted}
        slopes = {name: found.input(f"c_{name}") for name in wanted if name not in CONSTANT}
    else:
        found.loss, lines = spliced(found.graph, program, base)
        slopes = {name: found.cell(line) for name, line in lines.items()}
    slopes = {name: c * weight for name, c in slopes.items()}
    _pull_back(found, terms, rest, base, slopes)
    return found


def _one_of(which: Any, yes: Any, no: Any) -> Any:
    return which.do("where", which, yes, no)


def _rest(found: Plan) -> Any:
    top, S = found.input("top"), found.input("S")
    some = ~(S <= 0.0)  # which a NaN among the logits passes, on its way to the loss: largest numbers overlook it
    safe = some.do("where", some, S, 1.0)
    log_S = some.do("where", some, safe.do("log", safe), -HUGE)
    return Rest(top, S, log_S, 1.0 / safe, found.total)  # pyright: ignore


def spliced(graph: Graph, program: Program, base: Mapping[str, Cell]) -> tuple[Any, dict[str, Any]]:
    """The lines of a program, put into the graph: its loss and its slopes."""
    place: list[int] = []
    for operation, *arguments in program.lines:
        if operation == "input":
            place.append(base[arguments[0]].line)
        else:
            place.append(graph.add(operation, *(place[a] if isinstance(a, int) else a for a in arguments)))

    def moved(end: Any) -> Any:
        return place[end] if isinstance(end, int) else end

    return moved(program.loss), {name: moved(end) for name, end in program.slopes.items()}


def _pull_back(found: Plan, terms: _Terms, rest: Any, base: dict[str, Cell], slopes: Mapping[str, Any]) -> None:
    zero = found.cell(0.0)
    linear, own, curves = zero, zero, list[Any]()
    for name, c in slopes.items():
        if name == "log_odds":
            linear, own = linear - c, own + c
        elif name == "logit":
            own = own + c
        elif name == "rival":
            tie = found.input("tie")  # the largest; where several are, they share
            ties = found.total(tie)
            curves.append(tie * (c / ties.do("maximum", ties, 1.0)))
        else:
            statistic = REST[name]
            if statistic.linear is not None:
                linear = linear + statistic.linear(c, base[name], rest, terms)  # pyright: ignore
            if statistic.curve is not None:
                curves.append(statistic.curve(c, terms, rest))  # pyright: ignore
    slope = terms.e * (linear * rest.inv)
    for curve in curves:
        slope = slope + curve
    found.own, found.slope = own.line, slope.line


def simple(found: Plan, more: Mapping[str, int] | None = None) -> tuple[list[tuple[Any, ...]], dict[str, Any]]:
    """The plan's lines without what has no effect, and where its parts went: "loss", "own", "slope", "statistic ..."
    and "sum ...", to a line or to a constant."""
    ends = {"own": found.own, "slope": found.slope, **{f"sum {n}": s.line for n, s in found.sums.items()}}
    ends |= more or {}
    ends |= {f"statistic {n}": line for n, line in found.statistics.items()}
    if found.statistics:
        return shortened(found.graph, ends)
    return shortened(found.graph, {**ends, "loss": found.cell(found.loss).line})

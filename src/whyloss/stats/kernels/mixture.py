"""Soft targets in kernels: the loss of every class as the label, weighted by its share of the target.

Leaving one class out of a sum is a subtraction, exact unless that class is the largest. So the largest is treated as a
label is (plan.py), and every other as what is left of the sums over all classes without it: `all_S - e`, and so on. The
gradient of class k collects what each label's loss owes to each sum, less k's own."""

from collections.abc import Sequence
from typing import Any

from whyloss.stats.kernels.plan import Cell, Plan, plan, simple, spliced
from whyloss.stats.kernels.source import (
    CELL,
    HEADER,
    Source,
    Writer,
    accumulation,
    computation,
    filled,
    filling,
    made_cells,
    shifted,
    slope_of_class,
    without_blanks,
)
from whyloss.stats.kernels.templates import MIXTURE
from whyloss.stats.program import Program
from whyloss.stats.slopes import differentiate
from whyloss.stats.table import CONSTANT, HUGE, REST, Rest, needed
from whyloss.stats.trace import Untraceable

FITS = frozenset({"log_odds", "logit", "label", "rival"} | {n for n, s in REST.items() if s.argument != "table"})


class _Terms:
    """The statistics' table's view of a class that is the label, in symbols: sums are those of all, without it."""

    def __init__(self, found: Plan, power: float | None):
        self.found, self.power = found, power or 0.0
        self.e, self.u, self.z, self.live = (found.input(name) for name in ("e", "u", "z", "live"))
        self.member = self.live

    def total(self, x: Any) -> Any:
        if x.line == self.e.line:
            return self.found.input("all_S") - x
        name = next((n for n, s in self.found.sums.items() if s.line == x.line), None)
        if name is None:
            raise Untraceable("a sum that the label's plan does not have")
        return self.found.input(f"all_{name}") - x

    @property
    def sum_u(self) -> Any:
        return self.total(self.u)

    @property
    def count(self) -> Any:
        return self.total(self.live)


def mixture(names: tuple[str, ...], program: Program, power: float | None, scales: bool) -> Source:
    """The kernels of a loss under a soft target."""
    wanted = needed(frozenset(names))
    if not FITS.issuperset(wanted):
        raise Untraceable("a statistic with a table")
    found = plan(names, program, power, moving=True)
    terms = _Terms(found, power)
    tie = found.input("tie")
    if "rival" in wanted:
        found.total(tie)
        found.total(tie * terms.u)
    top = found.input("all_top")
    left = {
        "S": terms.total(terms.e),
        **{n: found.input(f"all_{n}") - Cell(found.graph, s.line) for n, s in _sums(found)},
    }
    some = ~(left["S"] <= 0.0)
    safe = some.do("where", some, left["S"], 1.0)
    log_S = some.do("where", some, safe.do("log", safe), -HUGE)
    rest: Any = Rest(top, left["S"], log_S, 1.0 / safe, terms.total)  # pyright: ignore
    own = found.input("label_logit")
    base: dict[str, Any] = {"log_odds": (own - top) - log_S, "logit": own, "label": found.input("index")}
    for name in wanted:
        if name in REST:
            base[name] = REST[name].value(terms, rest)  # pyright: ignore
    if "rival" in wanted:
        # The largest, whose classes share the slope where they are several: a mean of logits, all of which are `top`.
        base["rival"] = top + terms.total(tie * terms.u) / terms.total(tie)
    loss, lines = spliced(found.graph, program, base)
    owed: dict[str, Any] = {}  # what a label's loss owes to its logit and to each sum
    for name, line in lines.items():
        if name in CONSTANT:
            continue
        c = found.cell(line)
        parts = differentiate(found.graph, base[name].line, {"own": own.line, **{n: x.line for n, x in left.items()}})
        for part, slope in parts.items():
            piece = c * Cell(found.graph, slope)
            owed[part] = owed[part] + piece if part in owed else piece
    zero = found.cell(0.0)
    ends = {"others loss": loss, **{f"owed {n}": owed.get(n, zero).line for n in ("own", *left)}}
    ends |= {f"moves {n}": _moves(found, terms, s.line).line for n, s in _sums(found)}
    return _written(found, ends, scales)


def _sums(found: Plan) -> list[tuple[str, Any]]:
    return list(found.sums.items())


def _moves(found: Plan, terms: _Terms, line: int) -> Any:
    """The slope of a summand in its own logit."""
    parts = differentiate(found.graph, line, {"e": terms.e.line, "u": terms.u.line, "z": terms.z.line})
    total = found.cell(0.0)
    for name, slope in parts.items():
        total = total + Cell(found.graph, slope) * (terms.e if name == "e" else terms.live)
    return total


def _written(found: Plan, more: dict[str, Any], scales: bool) -> Source:
    lines, ends = simple(found, {n: found.cell(e).line for n, e in more.items()})
    w = Writer(lines, ends)
    sums = tuple(n for n in found.sums if f"sum {n}" in ends)
    coefficients = w.frontier(ends["slope"])
    names = [f"k{i}" for i in range(len(coefficients))]
    parts = [
        *accumulation(w, found, sums, []),
        computation(w, sums, coefficients),
        slope_of_class(w, dict(zip(coefficients, names, strict=True)), []),
        _moved(found, sums),
        _others(w, sums),
        _steps(w, sums),
    ]
    fill = filling(sums, names, False, scales) | {
        "all": "".join(f", all_{n}" for n in ("S", *sums)),
        "all_column": "".join(f", all_{n}[:, None]" for n in ("S", *sums)),
        "owed": "".join(f", owed_{n}" for n in ("S", *sums)),
        "add_best": [
            "added = terms(top, 0.0, top)",
            *(f"all_{n} = all_{n} + added[{i}]" for i, n in enumerate(("S", *sums))),
        ],
        "unused_k": "".join(f", unused_{n}" for n in names),
        "take_moved": [f"all_{n} = moved_sums[{i}]" for i, n in enumerate(("S", *sums))],
        "weigh_debts": [f"owed_{n} = owed_{n} * q" for n in ("S", *sums)],
        "uncounted": [f"owed_{n} = tl.where(counts, owed_{n}, 0.0)" for n in ("S", *sums)],
        "no_debts": [f"debt_{n} = tl.zeros((T,), ACC)" for n in ("S", *sums)],
        "collect": [f"debt_{n} += tl.where(counts, owed_{n}, 0.0)" for n in ("S", *sums)],
        "collected": [f"debt_{n} = tl.sum(debt_{n}, axis=0)" for n in ("S", *sums)],
        "collect_rows": [f"owed_{n} = tl.where(counts, owed_{n}, 0.0)" for n in ("S", *sums)],
        "collected_rows": [f"debt_{n} = tl.sum(owed_{n}, axis=1)[:, None]" for n in ("S", *sums)],
        "pay": [
            "moves = steps(x, top)",
            *(f"g += (debt_{n} - owed_{n}) * moves[{i}]" for i, n in enumerate(("S", *sums))),
        ],
        "pay_rows": [
            "moves = steps(x, top[:, None])",
            *(f"g += (debt_{n} - owed_{n}) * moves[{i}]" for i, n in enumerate(("S", *sums))),
        ],
        "k_if_any": [f"{n} = tl.where(share_of_best != 0.0, {n}, 0.0)" for n in names],
    }
    text = HEADER + "\n\n".join([*map(without_blanks, parts), *(filled(t, fill) for t in MIXTURE)])
    return Source(text, len(names), sums)


def _moved(found: Plan, sums: Sequence[str]) -> str:
    """The sums without the largest, relative to the largest."""
    frame = ["S", *sums]
    body = "\n    ".join(f"all_{n} = {shifted(found, n)}" for n in frame)
    return f"""@triton.jit
def moved({", ".join(["second", "top", *frame])}):
    move = tl.where(S > 0.0, second - top, 0.0)
    r = tl.exp2(move * LOG2E)
    {body}
    return {", ".join(f"all_{n}" for n in frame)}{"," if len(frame) == 1 else ""}
"""


def _others(w: Writer, sums: Sequence[str]) -> str:
    frame = [f"all_{n}" for n in ("S", *sums)]
    known = {**CELL, "all_top": "top", **{n: n for n in frame}}
    ends = [w.ends[n] for n in ("others loss", "owed own", "owed S", *(f"owed {n}" for n in sums))]
    results = [w.value(end, known, {}) for end in ends]
    results = [r if end in w.cells else f"zero + {r}" for r, end in zip(results, ends, strict=True)]
    return f"""@triton.jit
def others({", ".join(["x", "label_logit", "index", "top", *frame])}):
    # Every class as the label: its loss, and the loss's slopes in its logit and in each sum.
    u = x - top
    e = tl.exp2(u * LOG2E)
    {made_cells(w, ends)}
    zero = tl.zeros_like(x)
    {w.assignments(ends, None, known, {})}
    return {", ".join(results)}
"""


def _steps(w: Writer, sums: Sequence[str]) -> str:
    ends = [w.ends[f"moves {n}"] for n in sums]
    results = [w.value(end, CELL, {}) for end in ends]
    results = ["e", *(r if end in w.cells else f"zero + {r}" for r, end in zip(results, ends, strict=True))]
    return f"""@triton.jit
def steps({", ".join(["x", "top"])}):
    # What each sum gains by a step of this logit.
    u = x - top
    e = tl.exp2(u * LOG2E)
    {made_cells(w, ends)}
    zero = tl.zeros_like(x)
    {w.assignments(ends, True, CELL, {})}
    return {", ".join(results)}{"," if len(results) == 1 else ""}
"""

"""From values to a verdict: does a sentence hold, everywhere, nowhere, or only under a condition, and which?

Sees numbers and names of conditions, never tensors or sentences. The same code judges every claim."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np

from whyloss.advise.evidence import interval
from whyloss.claims.claim import Kind, Measured, Statement

Answer = Literal["holds", "does not hold", "equivalent", "undecided"]
Word = Literal["holds", "does not hold", "equivalent", "holds only when", "undecided"]
Outcome = Literal["both hold", "both under conditions", "one side", "neither", "undecided"]
Where = Mapping[str, str]
FIRST = ("protocol", "meaning", "statement")  # of several factors that explain the same, these come first
EXACT_FIRST = ("meaning", "statement", "protocol")


@dataclass(frozen=True)
class Cell:
    """One figure with its interval, and what it says by itself. `slack` is how far the interval lies beyond what the
    answer needs, in margins; negative where the interval straddles."""

    statement: str
    where: Where
    mean: float
    low: float
    high: float
    margin: float
    seeds: int
    answer: Answer
    slack: float


@dataclass(frozen=True)
class Verdict:
    """`deciding` is the figure that it rests on: the weakest cell that it needs or, where both happen, the clearest for
    it; `against` is then the clearest against it. `condition` lists the combinations of levels under which it holds.
    `parts` are the verdicts of the statements by key, where there are several."""

    word: Word
    deciding: Cell
    against: Cell | None = None
    condition: tuple[Where, ...] = ()
    parts: tuple[tuple[str, "Verdict"], ...] = ()


@dataclass(frozen=True)
class Weighed:
    """Two opposed sentences. `right` tells which of them holds anywhere; `deciding` is the weaker of the two figures
    that their verdicts rest on."""

    word: Outcome
    right: tuple[bool, bool]
    deciding: Cell


def judge(measured: Measured, statement: Statement) -> Cell:
    """The 95 % interval over the seeds against the margin of practical equivalence."""
    values = np.asarray(measured.values, dtype=np.float64)
    mean = float(values.mean())
    several = len(values) > 1 and bool(np.isfinite(values).all())
    low, high = interval(values, measured.test_share) if several else (mean, mean)
    answer, slack = _answer(low, high, statement.margin, statement.kind)
    where = {**measured.where, "statement": statement.key}
    return Cell(statement.key, where, mean, low, high, statement.margin, len(values), answer, slack)


def _answer(low: float, high: float, margin: float, kind: Kind) -> tuple[Answer, float]:
    unit = margin or 1.0
    beyond = (low - margin) / unit
    opposite = (-margin - high) / unit
    inside = (margin - max(abs(low), abs(high))) / unit
    if not np.isfinite(low + high):
        return "undecided", -np.inf
    if kind == "same":
        answers: list[tuple[Answer, float]] = [("holds", inside), ("does not hold", max(beyond, opposite))]
    elif kind == "cannot":
        answers = [("holds", beyond), ("does not hold", (margin - high) / unit)]
    else:
        answers = [("holds", beyond), ("equivalent", inside), ("does not hold", opposite)]
    answer, slack = max(answers, key=lambda pair: pair[1])
    return (answer, slack) if slack >= 0 else ("undecided", slack)


def combine(cells: Sequence[Cell]) -> Verdict:
    """One verdict from all cells. A sentence without conditions holds only if it holds under all that were tried: one
    open cell among cells that agree leaves it undecided. A sentence that states several things is judged in each."""
    keys = dict.fromkeys(cell.statement for cell in cells)
    whole = _combined(cells)
    if len(keys) < 2:
        return whole
    parts = tuple((key, _combined([cell for cell in cells if cell.statement == key])) for key in keys)
    return replace(whole, parts=parts, condition=_of_parts(parts) if whole.condition else ())


def _of_parts(parts: Sequence[tuple[str, Verdict]]) -> tuple[Where, ...]:
    """Which statements hold, and under which condition; no statement is named where one condition is that of all."""
    shared = parts[0][1].condition
    if all(part.word == "holds only when" and part.condition == shared for _, part in parts):
        return shared
    found: list[Where] = []
    for key, part in parts:
        if part.word == "holds":
            found.append({"statement": key})
        found += [{"statement": key, **where} for where in part.condition]
    return tuple(found)


def _combined(cells: Sequence[Cell]) -> Verdict:
    holding = [cell for cell in cells if cell.answer == "holds"]
    failing = [cell for cell in cells if cell.answer in ("does not hold", "equivalent")]
    undecided = [cell for cell in cells if cell.answer == "undecided"]
    if holding and failing:
        # The condition must not cover what is open either.
        found = condition([c.where for c in holding], [c.where for c in (*failing, *undecided)])
        return Verdict("holds only when", *_telling(holding, failing), found)
    if undecided:
        return Verdict("undecided", min(undecided, key=lambda cell: cell.slack))
    refuted = [cell for cell in cells if cell.answer == "does not hold"]
    for word, group in (("holds", holding), ("does not hold", refuted), ("equivalent", failing)):
        if group:
            return Verdict(word, min(group, key=lambda cell: cell.slack))  # pyright: ignore[reportArgumentType]
    raise ValueError("a verdict needs at least one cell")


def _telling(holding: Sequence[Cell], failing: Sequence[Cell]) -> tuple[Cell, Cell]:
    """The clearest for and the clearest against: of one statement if one has both, and measured rather than exact,
    since whatever is exact is clear."""

    def clear(pair: tuple[Cell, Cell]) -> tuple[bool, int, float]:
        one, other = pair
        measured = (one.seeds > 1) + (other.seeds > 1)
        return one.statement == other.statement, measured, min(one.slack, other.slack)

    best = max(((one, other) for one in holding for other in failing), key=clear)
    return _clearest(best[0], holding), _clearest(best[1], failing)


def _clearest(like: Cell, among: Sequence[Cell]) -> Cell:
    """Of the same statement and as exact."""
    alike = [c for c in among if c.statement == like.statement and (c.seeds > 1) == (like.seeds > 1)]
    return max(alike, key=lambda cell: cell.slack)


def weigh(one: Verdict, other: Verdict) -> Weighed:
    """Which of two opposed sentences is right, and whether only under conditions. An open side leaves it open."""
    sides = (one, other)
    right = (_holds_somewhere(one), _holds_somewhere(other))
    if any(side.word == "undecided" for side in sides):
        word: Outcome = "undecided"
    elif all(right):
        word = "both hold" if one.word == other.word == "holds" else "both under conditions"
    else:
        word = "one side" if any(right) else "neither"
    return Weighed(word, right, min((side.deciding for side in sides), key=lambda cell: cell.slack))


def _holds_somewhere(verdict: Verdict) -> bool:
    return verdict.word in ("holds", "holds only when")


def under(cells: Iterable[Cell], protocol: str) -> list[Cell]:
    """The cells of one protocol, and those in which no protocol has a part."""
    return [cell for cell in cells if cell.where["protocol"] in (protocol, "exact")]


def condition(holding: Sequence[Where], failing: Sequence[Where]) -> tuple[Where, ...]:
    """The fewest factors whose levels tell the one from the other, and the levels under which it holds."""
    everywhere = [*holding, *failing]
    names = {name: None for where in everywhere for name in where}  # in order of appearance
    # "Exact" is no protocol that anybody could follow: there, rather name the statement.
    first = FIRST if all(where.get("protocol") != "exact" for where in everywhere) else EXACT_FIRST
    factors = sorted(
        (name for name in names if len({where.get(name) for where in everywhere}) > 1),
        key=lambda name: first.index(name) if name in first else len(first),
    )
    for size in range(1, len(factors) + 1):
        for chosen in combinations(factors, size):
            yes = {_levels(where, chosen) for where in holding}
            no = {_levels(where, chosen) for where in failing}
            if not yes & no:
                ordered = dict.fromkeys(_levels(where, chosen) for where in holding)
                return _distinct(ordered, no)
    return ()


def _levels(where: Where, factors: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, where.get(name, "")) for name in factors)


def _distinct(
    ordered: Iterable[tuple[tuple[str, str], ...]], no: set[tuple[tuple[str, str], ...]]
) -> tuple[Where, ...]:
    short = {tuple(_shortest(dict(levels), no).items()): None for levels in ordered}
    return tuple(dict(levels) for levels in short)


def _shortest(levels: dict[str, str], no: set[tuple[tuple[str, str], ...]]) -> dict[str, str]:
    """Leave out what is not needed to tell these levels from all that failed: first of all that a factor does not
    apply (an empty level), which is said only if nothing else tells."""
    kept = dict(levels)
    said_first = [name for name in reversed(levels) if levels[name]]
    for name in (*(name for name in levels if not levels[name]), *said_first):
        fewer = {k: v for k, v in kept.items() if k != name}
        if fewer and not any(all(dict(other).get(k) == v for k, v in fewer.items()) for other in no):
            kept = fewer
    return kept

"""All figures of a claim on common scales, one for each statement: intervals against the margin of equivalence.

Places are per cents of the width, so that the page can draw them at any size. Knows cells; nothing of HTML."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from whyloss.claims.claim import Statement, Unit
from whyloss.claims.run import Settled
from whyloss.claims.verdict import Answer, Cell

from . import figures, wording
from .wording import Speaker

FAR = 6  # a figure this many times as large as the middle one is drawn as an arrow at the edge
EDGE = 4.0  # per cent of the width that stays free on both sides


@dataclass(frozen=True)
class Line:
    """One cell. `arrow` is -1 or 1 where the figure lies beyond the scale, and 0 where it is drawn."""

    label: str
    figure: str
    span: str
    answer: Answer
    answer_text: str
    low: float
    mean: float
    high: float
    arrow: int
    decides: bool


@dataclass(frozen=True)
class Group:
    """One statement with its cells, by protocol; `ticks` are places and their labels."""

    text: str
    measure: str
    margin: str
    zero: float
    band: tuple[float, float]
    ticks: tuple[tuple[float, str], ...]
    protocols: tuple[tuple[str, tuple[Line, ...]], ...]


def groups(settled: Settled, speaker: Speaker) -> list[Group]:
    """A statement's figures share a scale, since they share a margin and a unit."""
    return [
        _group(statement, cells, speaker, settled)
        for statement in settled.claim.statements
        if (cells := [cell for cell in settled.cells if cell.statement == statement.key])
    ]


def _group(statement: Statement, cells: Sequence[Cell], speaker: Speaker, settled: Settled) -> Group:
    scale = _Scale(cells, statement.margin)
    told = [name for name in wording.varying(settled.cells) if name != "protocol"]
    protocols: dict[str, list[Line]] = {}
    for cell in cells:
        label = speaker.where(cell.where, told) or speaker.where({"protocol": cell.where["protocol"]})
        decides = cell is settled.verdict.deciding or cell is settled.verdict.against
        protocols.setdefault(cell.where["protocol"], []).append(_line(cell, label, speaker, scale, decides))
    ticks = steps(scale.low, scale.high, statement.unit)
    return Group(
        speaker.say(statement.text),
        speaker.say(statement.measure),
        figures.limit(statement.margin, statement.unit, speaker.language),
        scale.place(0.0),
        (scale.place(-statement.margin), scale.place(statement.margin)),
        tuple((scale.place(at), figures.tick(at, statement.unit)) for at in ticks),
        tuple((name, tuple(lines)) for name, lines in protocols.items()),
    )


def _line(cell: Cell, label: str, speaker: Speaker, scale: "_Scale", decides: bool) -> Line:
    return Line(
        label,
        speaker.mean(cell),
        speaker.span(cell),
        cell.answer,
        wording.verdict(cell.answer, speaker.language),
        scale.place(cell.low),
        scale.place(cell.mean),
        scale.place(cell.high),
        scale.beyond(cell.mean),
        decides,
    )


class _Scale:
    """From the lowest to the highest end of an interval, with zero and the margin in view."""

    def __init__(self, cells: Sequence[Cell], margin: float) -> None:
        ends = [end for cell in cells for end in (cell.low, cell.high) if math.isfinite(end)] or [0.0]
        sizes = [max(abs(c.low), abs(c.high)) for c in cells if math.isfinite(c.low) and math.isfinite(c.high)]
        reach = FAR * max(median(sizes or [0.0]), 3 * margin) or 1.0
        room = 1.6 * margin
        self.low = max(min(*ends, -room, 0.0), -reach)
        self.high = min(max(*ends, room, 0.0), reach)
        if self.low == self.high:
            self.low, self.high = -1.0, 1.0

    def place(self, value: float) -> float:
        if math.isnan(value):
            return self.place(0.0)
        inside = min(max(value, self.low), self.high)
        return round(EDGE + (100 - 2 * EDGE) * (inside - self.low) / (self.high - self.low), 2)

    def beyond(self, value: float) -> int:
        return -1 if value < self.low else int(value > self.high)


def steps(low: float, high: float, unit: Unit, wanted: int = 4) -> list[float]:
    """Round numbers between the ends, zero among them; whole powers of two where figures are ratios."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= rough * (1 - 1e-9))
    if unit == "factor":
        step = float(max(1, math.ceil(rough)))
    return [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]

"""What all charts of a report share: size, and lines that carry their name and their figure above the mark.

Names stand above each line and not beside it, so that a chart fits a telephone. Colours are the names of the page's
CSS variables, so that one chart serves light, dark and paper. Knows Vega-Lite, and nothing of reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

STEP = 46  # pixels for one line: its name above, its mark below
SERIES = [f"var(--series-{number})" for number in range(1, 7)]


@dataclass(frozen=True)
class Picture:
    """One chart: its heading, what it shows for those who cannot see it, and the Vega-Lite specification."""

    title: str
    description: str
    spec: dict[str, Any]


def data(values: Sequence[Mapping[str, Any]]) -> alt.Chart:
    return alt.Chart(alt.Data(values=list(values)))


def places() -> alt.Y:
    """One band for each line, by its number: two lines may have the same name."""
    return alt.Y("place:O", axis=None, scale=alt.Scale(padding=0))


def names_and_notes(lines: Sequence[Mapping[str, Any]], lift: int = 9) -> list[alt.Chart]:
    """The `name` at the left edge and the `note` at the right edge of every line; the longest note is never covered."""
    longest = max((len(str(line["note"])) for line in lines), default=0)
    room = alt.ExprRef(f"max(90, width - {7 * longest + 12})")
    chart = data(lines).encode(y=places())
    name = chart.mark_text(align="left", fontWeight=600, color="var(--ink)", yOffset=-lift, limit=room)
    note = chart.mark_text(align="right", color="var(--muted)", yOffset=-lift)
    return [name.encode(x=alt.value(0), text="name:N"), note.encode(x=alt.value("width"), text="note:N")]


def finish(layers: Sequence[alt.Chart], height: int) -> dict[str, Any]:
    """The specification: as wide as its place on the page. Fonts and axes are set by the page, once for all charts.

    Height is a number, since a height by step and a width that fits are one warning on the reader's console."""
    size = alt.AutoSizeParams(type="fit-x", contains="padding")
    spec: dict[str, Any] = alt.layer(*layers).properties(width="container", height=height, autosize=size).to_dict()
    spec.pop("config", None)
    return spec


def spoken(lines: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"{line['name']}: {line['note']}" for line in lines)

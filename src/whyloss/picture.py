"""Curves, drawn twice: with braille dots in a terminal, and as an Altair chart in a file.

Knows panels of lines over a common x; nothing of losses."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

FORMATS = (".svg", ".png", ".html", ".json")
LEGEND: dict[str, Any] = {"symbolType": "stroke", "symbolSize": 400}
# Which bit of a braille character is the dot in this column (2) and row (4).
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
ROWS, COLUMNS = 9, 30  # of one panel; two panels and their axes fit in 80 columns


@dataclass(frozen=True)
class Stroke:
    """How a line looks: dashes are so many dots of a terminal or pixels of a file on, and so many off."""

    name: str
    colour: str
    on_page: str  # the colour, as the page's CSS variable
    in_terminal: str
    dots: tuple[int, int]
    pixels: tuple[int, int]
    sample: str  # of a terminal's legend


OWN = (
    Stroke("own", "#0b6fb8", "var(--series-1)", "bold cyan", (1, 0), (1, 0), "⠤⠤⠤⠤"),
    Stroke("second", "#c2571a", "var(--series-2)", "bold yellow", (4, 2), (10, 3), "⠤⠤ ⠤"),
)
REFERENCE = Stroke("reference", "#8a8a8a", "var(--faint)", "dim", (2, 2), (4, 4), "⠒⠂⠐⠂")


@dataclass(frozen=True)
class Line:
    name: str
    y: list[float]
    reference: bool = False  # drawn behind the others, and lighter; does not widen the axis


@dataclass(frozen=True)
class Panel:
    title: str
    x_name: str
    x: list[float]
    lines: list[Line]
    bottom: float
    top: float


def strokes(lines: list[Line]) -> list[Stroke]:
    """How these lines are drawn: the first two that are no reference in their own way."""
    own = iter(OWN)
    return [REFERENCE if line.reference else next(own) for line in lines]


def in_terminal(panels: list[Panel], width: int = 80) -> RenderableType:
    """The panels side by side where the width allows, one below the other where not, and which line is which."""
    drawn = [_drawn(panel) for panel in panels]
    grid = Table.grid(padding=(0, 2))
    if width >= len(panels) * (COLUMNS + 10):
        grid.add_row(*drawn)
    else:
        for picture in drawn:
            grid.add_row(picture)
    legend = Text()
    for line, stroke in zip(panels[0].lines, strokes(panels[0].lines), strict=True):
        legend.append(f"  {stroke.sample} ", style=stroke.in_terminal).append(line.name)
    return Group(grid, legend)


def _drawn(panel: Panel) -> Text:
    """Title, canvas with its y axis, x axis."""
    bits = [[0] * COLUMNS for _ in range(ROWS)]
    styles = [[""] * COLUMNS for _ in range(ROWS)]
    # The first line comes last, so that it covers the others.
    for line, stroke in reversed(list(zip(panel.lines, strokes(panel.lines), strict=True))):
        on, off = stroke.dots
        before: float | None = None
        for dot_x in range(2 * COLUMNS):
            at = _row(panel, line, dot_x / (2 * COLUMNS - 1))
            start, before = at if before is None else before, at
            if dot_x % (on + off) >= on:
                continue
            for dot_y in _between(start, at):
                bits[dot_y // 4][dot_x // 2] |= DOTS[dot_x % 2][dot_y % 4]
                styles[dot_y // 4][dot_x // 2] = stroke.in_terminal
    labels = {0: panel.top, ROWS // 2: (panel.top + panel.bottom) / 2, ROWS - 1: panel.bottom}
    text = Text(f"       {panel.title}\n", style="")
    for row in range(ROWS):
        label = _figure(labels[row]) if row in labels else ""
        text.append(f"{label:>6}{'┤' if label else '│'}", style="dim")
        for bit, style in zip(bits[row], styles[row], strict=True):
            text.append(chr(0x2800 + bit) if bit else " ", style=style)
        text.append("\n")
    left, right = _figure(panel.x[0]), _figure(panel.x[-1])
    text.append(f"      └{'─' * COLUMNS}\n       {left}", style="dim")
    text.append(panel.x_name.center(COLUMNS - len(left) - len(right)))
    return text.append(right, style="dim")


def _row(panel: Panel, line: Line, share: float) -> float:
    """The dot row (0 at the top) of the line at this share of the width; outside of the canvas where it is cut off."""
    place = share * (len(line.y) - 1)
    low = min(int(place), len(line.y) - 2)
    y = line.y[low] + (place - low) * (line.y[low + 1] - line.y[low])
    return (panel.top - y) / (panel.top - panel.bottom) * (4 * ROWS - 1)


def _between(start: float, end: float) -> list[int]:
    """The dot rows from one height to the next, so that steep lines do not fall apart."""
    here, there = (round(min(max(at, -1), 4 * ROWS)) for at in (start, end))
    step = 1 if there >= here else -1
    rows = range(here + step, there + step, step) if here != there else (here,)
    return [row for row in rows if 0 <= row < 4 * ROWS]


def _figure(number: float) -> str:
    return f"{0.0 if abs(number) < 1e-12 else number:.3g}"


def nice_top(value: float) -> float:
    """The next round number from `value` on.

    >>> nice_top(3.9), nice_top(0.61), nice_top(120.0)
    (4.0, 0.8, 120.0)
    """
    if value <= 0:
        return 1.0
    ten = 10.0 ** math.floor(math.log10(value))
    steps = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
    return next(round(step * ten, 12) for step in steps if step * ten >= value * (1 - 1e-9))


def around(low: float, high: float) -> tuple[float, float]:
    """The ends of an axis for these values: from 0 on, or near them where they would look alike.

    >>> around(0.0, 3.9), around(-0.2, 0.61), around(0.6931, 0.7156)
    ((0.0, 4.0), (-0.2, 0.8), (0.688, 0.72))
    """
    if low > 0 and high - low < high / 5 and high - low > 1e-9 * high:
        step = nice_top((high - low) / 3)
        return round(math.floor(low / step) * step, 12), round(math.ceil(high / step) * step, 12)
    return (-nice_top(-low) if low < -1e-9 else 0.0), nice_top(high if high > 1e-9 else 0.0)


def svg(panel: Panel) -> str:
    """One panel for a page, without its title and legend, in the colours of the page's CSS variables."""
    import vl_convert

    chart = _chart(panel, [stroke.on_page for stroke in strokes(panel.lines)], None).properties(
        title="", width=360, height=220
    )
    spec = chart.to_dict()
    axis = {"labelColor": "var(--muted)", "titleColor": "var(--muted)", "gridColor": "var(--line)", "labelFontSize": 12}
    axis |= {
        "domainColor": "var(--faint)",
        "tickColor": "var(--faint)",
        "titleFontWeight": "normal",
        "titleFontSize": 13,
    }
    spec["config"] = {"background": None, "padding": 2, "view": {"stroke": None}, "axis": axis}
    text = re.sub(r'<svg [^>]*?(viewBox="[^"]+")[^>]*>', r"<svg \1>", vl_convert.vegalite_to_svg(spec), count=1)
    text = re.sub(r'<path class="(?:background|foreground)"[^>]*/>', "", text)
    return re.sub(r' (?:aria-\w+|role|font-family|pointer-events|class)="[^"]*"', "", text)


def to_file(panels: list[Panel], title: str, subtitle: list[str], path: Path) -> None:
    """The same curves as an Altair chart: svg, png (twice the size), html (needs no network), or Vega-Lite json."""
    import altair as alt

    legend = alt.Legend(title=None, orient="bottom", **LEGEND)
    charts = [_chart(panel, [stroke.colour for stroke in strokes(panel.lines)], legend) for panel in panels]
    heading = alt.TitleParams(text=title, subtitle=subtitle, anchor="start", fontSize=15, offset=14)
    whole = alt.hconcat(*charts, spacing=36).properties(title=heading).configure_view(stroke=None)
    whole = whole.configure_axis(gridColor="#ececec", titleFontWeight="normal").configure_title(fontWeight="normal")
    options: dict[str, Any] = {".html": {"inline": True}, ".png": {"scale_factor": 2}}
    kind = path.suffix.lower()
    whole.save(str(path), **{"format": kind[1:]} | options.get(kind, {}))


def _chart(panel: Panel, colours: list[str], legend: Any) -> Any:
    """The lines of a panel as an Altair chart."""
    import altair as alt

    names = [line.name for line in panel.lines]
    dashes = [list(stroke.pixels) for stroke in strokes(panel.lines)]
    values = [{"x": x, "y": y, "loss": line.name} for line in panel.lines for x, y in zip(panel.x, line.y, strict=True)]
    x_scale = alt.Scale(domain=[panel.x[0], panel.x[-1]], nice=False)
    y_scale = alt.Scale(domain=[panel.bottom, panel.top], nice=False)
    return (
        alt.Chart(alt.Data(values=values), title=panel.title)
        .mark_line(strokeWidth=2.5, clip=True)
        .encode(
            x=alt.X("x:Q", title=panel.x_name, scale=x_scale, axis=alt.Axis(tickCount=5)),
            y=alt.Y("y:Q", title=None, scale=y_scale),
            color=alt.Color("loss:N", scale=alt.Scale(domain=names, range=colours), legend=legend),
            strokeDash=alt.StrokeDash("loss:N", scale=alt.Scale(domain=names, range=dashes), legend=legend),
            tooltip=["loss:N", alt.Tooltip("x:Q", format=".3f"), alt.Tooltip("y:Q", format=".4f")],
        )
        .properties(width=300, height=220)
    )

"""The picture of a comparison: a bar for each implementation, as SVG whose colours are the page's CSS variables.

A bar is forward and backward, in full colour as far as forward alone; the tick across it is the floor. Knows
Vega-Altair."""

import re
from typing import Any

import altair as alt

from . import figures
from .table import Comparison

WIDTH, STEP = 380, 38
COLOURS = {"whyloss": "--series-1", "torch": "--faint", "torch.compile": "--series-3", "peer": "--series-2"}
LONGEST = 8  # times the quickest; longer bars are broken off, or the others could not be told apart


def picture(comparison: Comparison) -> str:
    """Nothing where nothing was measured."""
    rows = [row for row, _ in comparison.measured if row["total_ms"]]
    if not rows:
        return ""
    floor = rows[0]["floor_total_ms"]
    end = min(max(row["total_ms"] for row in rows), LONGEST * min(row["total_ms"] for row in rows))
    values = [
        {
            "place": place,
            "name": row["implementation"],
            "note": f"{figures.time(row['total_ms'])} ms" + (" ▸" if row["total_ms"] > end else ""),
            "forward": min(row["forward_ms"], row["total_ms"], end),
            "total": min(row["total_ms"], end),
            "floor": floor,
            "colour": f"var({COLOURS[row['family']]})",
        }
        for place, row in enumerate(rows)
    ]
    chart = alt.Chart(alt.Data(values=values)).encode(y=alt.Y("place:O", axis=None, scale=alt.Scale(padding=0)))
    x = alt.X("total:Q", axis=None, scale=alt.Scale(domain=[0, 1.001 * end], nice=False))
    colour = alt.Color("colour:N", scale=None, legend=None)
    bar = chart.mark_bar(height=11, yOffset=8)
    layers: list[Any] = [
        bar.encode(x=x, color=colour, opacity=alt.value(0.5)),
        bar.encode(x=alt.X("forward:Q"), color=colour),
        chart.mark_text(align="left", yOffset=-7).encode(x=alt.value(0), text="name:N", color=alt.value("var(--ink)")),
        chart.mark_text(align="right", yOffset=-7).encode(
            x=alt.value(WIDTH), text="note:N", color=alt.value("var(--muted)")
        ),
    ]
    if floor is not None and floor < end:
        tick = chart.mark_tick(height=19, thickness=2, yOffset=8, orient="vertical")
        layers.append(tick.encode(x=alt.X("floor:Q"), color=alt.value("var(--ink)")))
    spec = alt.layer(*layers).properties(width=WIDTH, height=STEP * len(rows)).to_dict()
    spec["config"] = {"background": None, "padding": 2, "view": {"stroke": None}, "text": {"fontSize": 13}}
    return _svg(spec)


def spoken(comparison: Comparison) -> str:
    """For those who cannot see it."""
    return "; ".join(f"{row['implementation']}: {figures.time(row['total_ms'])} ms" for row, _ in comparison.measured)


def _svg(spec: dict[str, Any]) -> str:
    import vl_convert

    svg = vl_convert.vegalite_to_svg(spec)
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]+")[^>]*>', r"<svg \1>", svg, count=1)
    svg = re.sub(r'<path class="(?:background|foreground)"[^>]*/>', "", svg)
    return re.sub(r' (?:aria-\w+|role|font-family|pointer-events|class)="[^"]*"', "", svg)

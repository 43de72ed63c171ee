"""The charts that a finding's details hold material for: counts, matrices, reliability bins, curves.

Recognises material by its keys and ignores all else, so a new diagnosis gets its picture without a change here."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

import altair as alt

from . import wording
from .chart import SERIES, Picture, data, finish, names_and_notes, places, spoken

Material = Mapping[str, Any]

MOST_BARS = 24
MOST_CELLS_WITH_TEXT = 12


def pictures(details: Material) -> list[Picture]:
    """Of the details themselves and of the dictionaries right inside them."""
    inner = [item for name, item in details.items() if isinstance(item, Mapping) and name != "counts"]
    return [picture for material in [details, *inner] for picture in _recognised(material)]


def row_tables(details: Material) -> list[tuple[list[str], list[list[str]]]]:
    """(column names, cells) of every list of rows of the user's file: entries with a `row` and what is known of it."""
    made: list[tuple[list[str], list[list[str]]]] = []
    for item in details.values():
        if isinstance(item, list) and item and all(isinstance(entry, Mapping) and "row" in entry for entry in item):
            columns = [str(name) for name in item[0] if any(entry.get(name) is not None for entry in item)]
            cells = [[_cell(name, entry.get(name)) for name in columns] for entry in item]
            made.append(([name.replace("_", " ") for name in columns], cells))
    return made


def _recognised(material: Material) -> Iterator[Picture]:
    title = str(material.get("title") or "")
    counts = material.get("counts")
    if isinstance(counts, Mapping) and counts and all(_is_number(item) for item in counts.values()):
        yield _counts(counts, title)
    matrix, labels = material.get("matrix"), material.get("labels")
    if _is_matrix(matrix) and isinstance(labels, Sequence) and len(labels) == len(matrix):
        yield _matrix(matrix, [str(label) for label in labels], title, material)
    if bins := _points(material.get("bins"), "confidence", "accuracy"):
        yield _reliability(bins, title)
    if curve := _points(material.get("curve"), "y"):
        yield _curve(curve, title, material)


def _counts(counts: Mapping[str, float], title: str) -> Picture:
    total = sum(counts.values()) or 1
    names, left_out = list(counts), ""
    if len(names) > MOST_BARS:
        by_size = sorted(names, key=lambda name: -counts[name])
        names = by_size[: MOST_BARS // 2] + by_size[-MOST_BARS // 2 :]
        left_out = f" (the largest and the smallest {MOST_BARS // 2} of {len(counts)})"
    lines = [
        {"place": place, "name": name, "count": counts[name], "note": _count_and_share(counts[name], total)}
        for place, name in enumerate(names)
    ]
    bars = (
        data(lines)
        .mark_bar(height=8, yOffset=8, color="var(--series-1)", cornerRadius=2)
        .encode(x=alt.X("count:Q", axis=None), y=places(), tooltip=["name:N", "note:N"])
    )
    heading = (wording.capital(title) or "Number of rows") + left_out
    return Picture(
        heading, f"{heading}. {spoken(lines)}", finish([bars, *names_and_notes(lines, lift=8)], 40 * len(lines))
    )


def _matrix(matrix: Sequence[Sequence[float]], labels: list[str], title: str, material: Material) -> Picture:
    """A heat map shaded by the share of its row, so that a rare class is as readable as a frequent one."""
    shares = all(0 <= cell <= 1 for row in matrix for cell in row)
    x_title, y_title = material.get("x_title"), material.get("y_title")
    cells: list[dict[str, Any]] = []
    for name, row in zip(labels, matrix, strict=True):
        total = sum(row) or 1
        for other, cell in zip(labels, row, strict=True):
            shown = f"{100 * cell:.0f}" if shares else wording.figure(cell)
            cells.append({"row": name, "column": other, "shade": cell / total, "text": shown if cell else ""})
    many = len(labels) > 30
    turned = -90 if max(map(len, labels)) > 3 or many else 0
    x_axis = alt.Axis(labelAngle=turned, labelLimit=110, labelOverlap=many, orient="top", ticks=False, grid=False)
    y_axis = alt.Axis(labelLimit=110, labelOverlap=many, ticks=False, grid=False)
    chart = data(cells).encode(
        x=alt.X("column:N", sort=labels, title=x_title, axis=x_axis),
        y=alt.Y("row:N", sort=labels, title=y_title, axis=y_axis),
        tooltip=[
            alt.Tooltip("row:N", title=y_title or "row"),
            alt.Tooltip("column:N", title=x_title or "column"),
            alt.Tooltip("text:N", title="per cent" if shares else "value"),
        ],
    )
    # At most half covered: the figures keep their contrast on the darkest cell, in light and in dark.
    shade = alt.FillOpacity("shade:Q", scale=alt.Scale(type="sqrt", domain=[0, 1], range=[0, 0.55]), legend=None)
    layers = [chart.mark_rect(color="var(--series-1)", stroke="var(--line)", strokeWidth=0.5).encode(fillOpacity=shade)]
    if len(labels) <= MOST_CELLS_WITH_TEXT:
        layers.append(chart.mark_text(fontSize=11, color="var(--ink)").encode(text="text:N"))
    heading = (wording.capital(title) or "Which class is taken for which") + (" (per cent)" if shares else "")
    off = sorted((c for c in cells if c["row"] != c["column"] and c["text"]), key=lambda cell: -cell["shade"])[:3]
    largest = "; ".join(f"{cell['row']} as {cell['column']}: {cell['text']}" for cell in off) or "none"
    step = 30 if len(labels) <= 20 else max(6, 600 // len(labels))
    return Picture(heading, f"{heading}. Largest off the diagonal: {largest}", finish(layers, step * len(labels)))


def _reliability(bins: list[Material], title: str) -> Picture:
    unit, axis = alt.Scale(domain=[0, 1]), alt.Axis(format="%", tickCount=5)
    ideal = data([{"at": 0}, {"at": 1}]).mark_line(color="var(--muted)", strokeDash=[4, 4], strokeWidth=1.5)
    chart = data(bins).encode(
        x=alt.X("confidence:Q", scale=unit, axis=axis, title="confidence of the model"),
        y=alt.Y("accuracy:Q", scale=unit, axis=axis, title="share that is right"),
    )
    shown = [name for name in ("confidence", "accuracy", "count") if name in bins[0]]
    size = alt.Size("count:Q", legend=None, scale=alt.Scale(range=[30, 240])) if "count" in shown else alt.value(80)
    points = chart.mark_circle(color="var(--series-1)", opacity=1).encode(
        size=size, tooltip=[alt.Tooltip(f"{name}:Q", format=".3~r" if name != "count" else "d") for name in shown]
    )
    line = chart.mark_line(color="var(--series-1)", strokeWidth=1.5)
    heading = wording.capital(title) or "Confidence, and how often it is right"
    said = "; ".join(f"confidence {b['confidence']:.2f}: right {b['accuracy']:.2f}" for b in bins)
    return Picture(heading, f"{heading}. {said}", finish([ideal.encode(x="at:Q", y="at:Q"), line, points], 260))


def _curve(curve: list[Material], title: str, material: Material) -> Picture:
    points = [
        {"x": point["x"], "y": point["y"], "series": str(point.get("series") or "")}
        for point in curve
        if point.get("x") is not None
    ]
    series = list(dict.fromkeys(point["series"] for point in points))
    x_title, y_title = str(material.get("x_title") or ""), str(material.get("y_title") or "")
    if all(_is_number(point["x"]) for point in points):
        x = alt.X("x:Q", title=x_title or None, axis=alt.Axis(tickCount=6), scale=alt.Scale(zero=False, nice=False))
    else:  # named steps, in the order in which they came
        steps = list(dict.fromkeys(str(point["x"]) for point in points))
        x = alt.X("x:N", title=x_title or None, sort=steps, axis=alt.Axis(labelAngle=0), scale=alt.Scale(padding=0.5))
    legend = alt.Legend(title=None, orient="top", columns=2, labelLimit=150) if len(series) > 1 else None
    chart = data(points).encode(
        x=x,
        y=alt.Y("y:Q", title=y_title or None, scale=alt.Scale(zero=False)),
        color=alt.Color("series:N", scale=alt.Scale(domain=series, range=SERIES), legend=legend),
        tooltip=["series:N", "x:N", "y:Q"],
    )
    heading = title or (wording.capital(y_title) or "Curve")
    named = ", ".join(name for name in series if name)
    line = chart.mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=50) if len(points) <= 20 else False)
    return Picture(heading, f"Line chart. {heading}. {named}", finish([line], 240))


def _points(items: Any, *keys: str) -> list[Material]:
    """The entries of a list that have all these numbers; an empty bin of a reliability diagram has none."""
    if not isinstance(items, list):
        return []
    return [item for item in items if isinstance(item, Mapping) and all(_is_number(item.get(key)) for key in keys)]


def _is_matrix(item: Any) -> TypeGuard[list[list[float]]]:
    """Square, all numbers, at least two classes."""
    if not isinstance(item, list) or len(item) < 2:
        return False
    return all(isinstance(row, list) and len(row) == len(item) and all(map(_is_number, row)) for row in item)


def _is_number(item: Any) -> bool:
    return isinstance(item, int | float) and not isinstance(item, bool)


def _cell(column: str, item: Any) -> str:
    if isinstance(item, bool):
        return "yes" if item else "no"
    if column == "row" or not isinstance(item, int | float):
        return wording.NONE if item is None else str(item)
    return wording.figure(item)


def _count_and_share(number: float, total: float) -> str:
    return f"{wording.count(number)}  ({100 * number / total:.1f} %)"

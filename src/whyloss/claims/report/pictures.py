"""The picture of a claim: its panels as SVG, or as bars for the page to draw; names and colours are left to the page.

Colours are the names of the page's CSS variables, so that one picture serves light, dark and paper. Knows Vega-Lite."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from whyloss.claims.claim import Curve, Language, Panel
from whyloss.claims.run import Settled
from whyloss.claims.words import level

from . import figures
from .forest import steps

WIDTH, HEIGHT = 380, 210  # the page scales it: letters stay readable at 340 pixels and calm at 500
SERIES = 6  # the page's colours; further series begin again, dashed
DASHES = ((1, 0), (7, 3), (2, 2), (9, 3, 2, 3), (4, 4), (12, 3))
# A loss keeps its colour through all pictures.
OWN = {
    "ce": 0,
    "bce": 0,
    "brier": 1,
    "probabilities": 1,
    "squared": 2,
    "linear": 2,
    "mae": 3,
    "codes": 3,
    "dice": 4,
    "focal": 5,
}
POINTS = 150  # of a line; more are not to be seen
ROWS = 10  # bars with names of their own lie, one below the other; more of them stand


def dash(number: int) -> tuple[int, ...]:
    """How the line of a series is broken, so that colour alone tells nothing apart. Numbers count from 0."""
    return DASHES[(number + number // SERIES) % len(DASHES)]


@dataclass(frozen=True)
class Bar:
    """`start` and `width` in per cent of the room; `series` numbers the colour from 1; `name` is "" for a bar alone."""

    name: str
    series: int
    start: float
    width: float
    figure: str


@dataclass(frozen=True)
class Bars:
    """Named groups of bars, from `zero` per cent of the room on."""

    zero: float
    log: bool
    groups: tuple[tuple[str, tuple[Bar, ...]], ...]


@dataclass(frozen=True)
class Picture:
    """One panel. `legend` holds (colour, dashes, name); `drawn` is SVG, or bars that the page draws itself."""

    title: str
    x: str
    y: str
    mark: str
    legend: tuple[tuple[int, str, str], ...]
    description: str
    drawn: str | Bars


def pictures(settled: Settled, language: Language) -> list[Picture]:
    claim = settled.claim

    def said(key: str) -> str:
        return figures.typeset(level(key, claim.words, language), language)

    found: list[Picture] = []
    for panel in claim.panels:
        curves = [_finite(curve, panel) for curve in settled.curves if curve.panel == panel.key]
        if curves := [curve for curve in curves if curve.x]:
            names = {curve.name: said(curve.name) for curve in curves}
            keys = {str(x): said(str(x)) for c in curves for x in c.x if isinstance(x, str)}
            found.append(_picture(panel, curves, names, keys, language))
    return found


def _picture(
    panel: Panel, curves: Sequence[Curve], names: Mapping[str, str], keys: Mapping[str, str], language: Language
) -> Picture:
    series = _series(list(names))
    rows = dict.fromkeys(x for curve in curves for x in curve.x)
    lying = panel.mark == "bar" and len(rows) <= ROWS
    return Picture(
        *_axes(panel, language),
        panel.mark,
        _legend(names, series) if len(names) > 1 else (),
        _description(panel, curves, names, keys, language),
        _bars(panel, curves, series, names, keys) if lying else _svg(json.dumps(_spec(panel, curves, series, keys))),
    )


def _axes(panel: Panel, language: Language) -> tuple[str, str, str]:
    title, x, y = (figures.typeset(text.say(language), language) for text in (panel.title, panel.x, panel.y))
    return title, x, y


def _finite(curve: Curve, panel: Panel) -> Curve:
    """What can be drawn: finite, and positive on a logarithmic axis; thinned where there is more than can be seen."""

    def shown(value: float | str, log: bool) -> bool:
        return isinstance(value, str) or (math.isfinite(value) and (value > 0 or not log))

    pairs = [
        (x, y)
        for x, y in zip(curve.x, curve.y, strict=True)
        if shown(x, panel.log_x and panel.mark != "bar") and shown(y, panel.log_y)
    ]
    if len(pairs) > 2 * POINTS:
        stride = math.ceil(len(pairs) / POINTS)
        pairs = [*pairs[:-1:stride], pairs[-1]]
    return Curve(curve.panel, curve.name, tuple(x for x, _ in pairs), tuple(y for _, y in pairs))


def _series(names: Sequence[str]) -> dict[str, int]:
    """Each name's number; a loss has its own where it is free."""
    taken: dict[str, int] = {}
    for name in names:
        if name in OWN and OWN[name] not in taken.values():
            taken[name] = OWN[name]
    free = (number for number in range(len(names) + SERIES) if number not in taken.values())
    return {name: taken[name] if name in taken else next(free) for name in names}


def _legend(names: Mapping[str, str], series: Mapping[str, int]) -> tuple[tuple[int, str, str], ...]:
    return tuple((series[key] % SERIES + 1, ",".join(map(str, dash(series[key]))), name) for key, name in names.items())


def _bars(
    panel: Panel,
    curves: Sequence[Curve],
    series: Mapping[str, int],
    names: Mapping[str, str],
    keys: Mapping[str, str],
) -> Bars:
    values = [y for curve in curves for y in curve.y]
    low, high = min(*values, 0.0), max(*values, 0.0)
    if panel.log_y:
        low, high = math.floor(math.log10(min(values)) - 0.3), math.log10(max(values))

    def place(value: float) -> float:
        at = math.log10(value) if panel.log_y else value
        return 100 * (at - low) / ((high - low) or 1.0)

    zero = place(10.0**low if panel.log_y else 0.0)
    rows: dict[float | str, list[Bar]] = {}
    for curve in curves:
        for x, y in zip(curve.x, curve.y, strict=True):
            start, end = sorted((zero, place(y)))
            name = names[curve.name] if len(names) > 1 else ""
            colour, width = series[curve.name] % SERIES + 1, round(max(end - start, 0.6), 2)
            shown = figures.number(y) if panel.log_y else figures.alike(y, max(high, -low))
            bar = Bar(name, colour, round(start, 2), width, shown)
            rows.setdefault(x, []).append(bar)
    named = {x: keys[x] if isinstance(x, str) else figures.number(x) for x in rows}
    return Bars(round(zero, 2), panel.log_y, tuple((named[x], tuple(bars)) for x, bars in rows.items()))


def _spec(panel: Panel, curves: Sequence[Curve], series: Mapping[str, int], keys: Mapping[str, str]) -> dict[str, Any]:
    words = bool(keys) or panel.mark == "bar"
    values = [
        {"x": _name(x, keys) if words else x, "y": y, "s": series[curve.name], "line": place}
        for place, curve in enumerate(curves)
        for x, y in zip(curve.x, curve.y, strict=True)
    ]
    used = sorted(set(series.values()))
    colour = {"domain": used, "range": [f"var(--series-{number % SERIES + 1})" for number in used]}
    y_values = [y for curve in curves for y in curve.y]
    from_zero = panel.mark == "bar" and not panel.log_y
    encoding: dict[str, Any] = {
        "x": {"field": "x", "type": "nominal", "sort": None, "axis": {"title": None, "labelAngle": 0, "grid": False}}
        if words
        else {"field": "x", "type": "quantitative", **_axis([float(v["x"]) for v in values], panel.log_x)},
        "y": {"field": "y", "type": "quantitative", **_axis(y_values, panel.log_y, from_zero)},
        "color": {"field": "s", "type": "nominal", "scale": colour, "legend": None},
    }
    mark: dict[str, Any] = {"type": "line", "strokeWidth": 2.2, "strokeCap": "round"}
    if panel.mark == "bar":
        mark = {"type": "bar"}
        if len(used) > 1:
            encoding["xOffset"] = {"field": "s", "type": "nominal"}
    elif panel.mark == "dot":
        mark = {"type": "point", "filled": True, "size": 55, "opacity": 1}
        encoding["shape"] = {
            "field": "s",
            "type": "nominal",
            "scale": {"domain": used, "range": _shapes(used)},
            "legend": None,
        }
    else:
        dashes = {"domain": used, "range": [dash(number) for number in used]}
        encoding["strokeDash"] = {"field": "s", "type": "nominal", "scale": dashes, "legend": None}
        encoding["detail"] = {"field": "line", "type": "nominal"}
        encoding["order"] = {"field": "x", "type": "quantitative"} if not words else {"value": 0}
    return {
        "data": {"values": values},
        "mark": mark,
        "encoding": encoding,
        "width": WIDTH,
        "height": HEIGHT,
        "autosize": {"type": "fit", "contains": "padding"},
        "config": {
            "background": None,
            "padding": 3,
            "view": {"stroke": None},
            "axis": {
                "labelColor": "var(--muted)",
                "gridColor": "var(--line)",
                "domain": False,
                "ticks": False,
                "labelPadding": 6,
                "labelFontSize": 11.5,
            },
        },
    }


def _axis(values: Sequence[float], log: bool, from_zero: bool = False) -> dict[str, Any]:
    """Scale and axis with round numbers, labelled as all figures are."""
    low, high = min(values), max(values)
    if log:
        at = _decades(low, high)
        domain = [low / 1.05, high * 1.05]
    else:
        if from_zero:
            low, high = min(low, 0.0), max(high, 0.0)
        if low == high:
            low, high = low - 1, high + 1
        room = 0.0 if from_zero else 0.03 * (high - low)
        domain = [low - room * (low != 0), high + room]
        at = steps(domain[0], domain[1], "plain", 5)
    labels = [figures.number(value) for value in at]
    shown = f"{json.dumps(labels, ensure_ascii=False)}[indexof({json.dumps(at)}, datum.value)]"
    scale = {"type": "log" if log else "linear", "domain": domain, "nice": False, "zero": False}
    return {"scale": scale, "axis": {"title": None, "values": at, "labelExpr": shown}}


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten, at most six of them; 1, 2 and 5 of each where there are few."""
    powers = range(math.ceil(math.log10(low) - 0.01), math.floor(math.log10(high) + 0.01) + 1)
    if len(powers) > 2:
        return [10.0**power for power in powers[:: math.ceil(len(powers) / 6)]]
    fine = [k * 10.0**power for power in range(powers.start - 1, powers.stop + 1) for k in (1, 2, 5)]
    return [value for value in fine if low * 0.98 <= value <= high * 1.02] or [low, high]


def _shapes(used: Sequence[int]) -> list[str]:
    shapes = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
    return [shapes[number % len(shapes)] for number in used]


def _name(x: float | str, keys: Mapping[str, str]) -> str:
    return keys[x] if isinstance(x, str) else figures.number(x)


def _description(
    panel: Panel, curves: Sequence[Curve], names: Mapping[str, str], keys: Mapping[str, str], language: Language
) -> str:
    """For those who cannot see it: each series by its first and its last point."""
    colon, stop, point, to = ("：", "；", "。", "至") if language == "zh" else (": ", "; ", ". ", "to")
    said = [
        f"{names[curve.name]}{colon}"
        + f" {to} ".join(
            f"{figures.number(curve.y[end])} ({_name(curve.x[end], keys)})"
            for end in ((0, -1) if len(curve.x) > 1 else (0,))
        )
        for curve in curves
    ]
    title, x, y = _axes(panel, language)
    return f"{title}{point}{y} / {x}{stop}{stop.join(said)}"


@cache
def _svg(spec: str) -> str:
    """Once for each picture, though a contradiction shows it again. Its size is the page's affair."""
    import vl_convert  # a second to start, and only pages need it

    svg = vl_convert.vegalite_to_svg(spec)
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]+")[^>]*>', r"<svg \1>", svg, count=1)
    svg = re.sub(r'<path class="(?:background|foreground)"[^>]*/>', "", svg)
    svg = re.sub(r' (?:aria-\w+|role|font-family|font-size|pointer-events|class)="[^"]*"', "", svg)
    return re.sub(r' (?:d|transform)="[^"]*"', lambda places: re.sub(r"(\d+\.\d)\d+", r"\1", places[0]), svg)

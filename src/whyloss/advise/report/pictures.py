"""The charts of the decision rules and of the race.

Knows the report dictionary; nothing of the page around the charts."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from . import wording
from .chart import STEP, Picture, data, finish, names_and_notes, places, spoken
from .view import Report, names, rule_action, standing

COLOURS = {
    "better": "var(--better)",
    "equivalent": "var(--equivalent)",
    "worse": "var(--worse)",
    "open": "var(--open)",
    "reference": "var(--ink)",
    "screened": "var(--open)",
}
ODDS = ("better", "equivalent", "worse")
NO_ODDS = {"reference": "reference", "screened": "screened out"}


def rules(report: Report) -> Picture | None:
    """Every cheap measure that is judged by the report's metric: its gain over plain argmax, paired."""
    metric = str(report["metric"]["name"])
    tried = [rule for rule in report.get("rules") or [] if rule["metric"] == metric and rule.get("gain") is not None]
    if not any(rule["rule"] != "argmax" for rule in tried):
        return None
    lines = [
        _line(
            place,
            "plain argmax",
            0.0,
            None,
            metric,
            "reference",
            note=f"base line: {wording.value(rule['mean'], metric)}",
        )
        if rule["rule"] == "argmax"
        else _line(place, rule_action(rule), rule["gain"], rule.get("gain_interval"), metric, _rule_kind(rule))
        for place, rule in enumerate(tried)
    ]
    ends = [line[end] for line in lines for end in ("low", "high")]
    title = f"Gain over plain argmax, {_unit(metric)}"
    return Picture(title, f"{title}, with 95 % intervals. {spoken(lines)}", _dots(lines, ends, band=0.0))


def race(report: Report) -> Picture | None:
    """Each candidate's paired difference from the reference, the zero line and the band of practical equivalence."""
    metric = str(report["metric"]["name"])
    lines: list[dict[str, Any]] = []
    for place, (candidate, name) in enumerate(_measured(report)):
        kind, sure = standing(candidate)
        is_reference = kind == "reference"
        interval = None if is_reference else candidate.get("difference_interval")
        note = "reference" if is_reference else None
        lines.append(_line(place, name, candidate["difference"], interval, metric, kind, sure, note))
    if not lines:
        return None
    # A candidate that is plainly worse must not squeeze the scale of those that are close.
    near = [line for line in lines if line["kind"] not in ("worse", "screened")] or lines
    ends = [line[end] for line in near for end in ("low", "high")]
    title = f"Difference from cross-entropy, {_unit(metric)}"
    band = float(report["metric"].get("margin") or 0.0) * _scale(metric)
    return Picture(title, f"{title}, with 95 % intervals. {spoken(lines)}", _dots(lines, ends, band))


def posterior(report: Report) -> Picture | None:
    """P(better), P(equivalent), P(worse) of each candidate, stacked; the same lines as the race."""
    bars: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    for place, (candidate, name) in enumerate(_measured(report)):
        kind, _ = standing(candidate)
        odds = {answer: candidate.get(f"p_{answer}") for answer in ODDS}
        note = NO_ODDS.get(kind)
        if note is None:
            top = max(ODDS, key=lambda answer: odds[answer] or 0.0)
            note = f"{wording.probability(odds[top])} {top}"
            bars += [
                {"place": place, "name": name, "share": odds[answer], "answer": answer, "order": order}
                for order, answer in enumerate(ODDS)
            ]
        lines.append({"place": place, "name": name, "note": note})
    if not bars:
        return None
    colour = alt.Color(
        "answer:N", scale=alt.Scale(domain=list(ODDS), range=[COLOURS[name] for name in ODDS]), legend=None
    )
    axis = alt.Axis(format="%", tickCount=5, title="Posterior probability")
    stack = (
        data(bars)
        .mark_bar(height=10, yOffset=8)
        .encode(
            x=alt.X("share:Q", stack="zero", scale=alt.Scale(domain=[0, 1]), axis=axis),
            y=places(),
            order=alt.Order("order:Q"),
            color=colour,
            tooltip=["name:N", "answer:N", alt.Tooltip("share:Q", format=".1%")],
        )
    )
    description = f"Posterior probabilities beside the reference. {spoken(lines)}"
    return Picture(
        "How likely each answer is", description, finish([stack, *names_and_notes(lines)], STEP * len(lines))
    )


def _measured(report: Report) -> list[tuple[Mapping[str, Any], str]]:
    candidates = report.get("candidates") or []
    named = zip(candidates, names(candidates), strict=True)
    return [(candidate, name) for candidate, name in named if candidate.get("difference") is not None]


def _dots(lines: list[dict[str, Any]], ends: Sequence[float], band: float) -> dict[str, Any]:
    """Dots with intervals on a common scale; an arrow at the edge stands for a dot far outside `ends`."""
    reach = max([abs(end) for end in ends] + [2 * band, 1e-9])
    low = max(min([line["low"] for line in lines] + [-1.5 * band]), -2 * reach)
    high = min(max([line["high"] for line in lines] + [1.5 * band]), 2 * reach)
    for line in lines:
        line["beyond"] = not low <= line["centre"] <= high
        line["arrow"] = "◀" if line["centre"] < low else "▶"
        line["at"], line["from"], line["to"] = (min(max(line[key], low), high) for key in ("centre", "low", "high"))
    pad = 0.06 * (high - low or 1.0)
    scale = alt.Scale(domain=[low - pad, high + pad], nice=False)
    x = alt.X("at:Q", scale=scale, axis=alt.Axis(title="← worse \u00a0·\u00a0 better →", tickCount=6))
    meaning = alt.Scale(domain=list(COLOURS), range=list(COLOURS.values()))
    colour, stroke = alt.Color("kind:N", scale=meaning, legend=None), alt.Stroke("kind:N", scale=meaning, legend=None)
    tooltip = [alt.Tooltip("name:N", title="loss"), alt.Tooltip("note:N", title="difference")]
    chart = data(lines).encode(y=places(), color=colour)
    inside, sure = "!datum.beyond", "!datum.beyond && datum.sure"
    intervals = chart.transform_filter(inside).mark_rule(strokeWidth=2.5, yOffset=8, strokeCap="round")
    settled = chart.transform_filter(sure).mark_point(filled=True, size=95, opacity=1, yOffset=8)
    hollow = chart.transform_filter(f"{inside} && !datum.sure").mark_point(
        filled=True, fill="var(--surface)", strokeWidth=2.5, size=80, opacity=1, yOffset=8
    )
    arrows = chart.transform_filter("datum.beyond").mark_text(yOffset=8, fontSize=13)
    margins = data([{"low": -band, "high": band}]).mark_rect(color="var(--band)").encode(x=alt.X("low:Q"), x2="high:Q")
    zero = data([{"zero": 0}]).mark_rule(color="var(--ink)", opacity=0.6).encode(x="zero:Q")
    return finish(
        [
            *([margins] if band else []),
            zero,
            intervals.encode(x=alt.X("from:Q"), x2="to:Q"),
            settled.encode(x=x, tooltip=tooltip),
            hollow.encode(x=x, tooltip=tooltip, stroke=stroke),
            arrows.encode(x=x, text="arrow:N", tooltip=tooltip),
            *names_and_notes(lines),
        ],
        STEP * len(lines),
    )


def _line(
    place: int,
    name: str,
    centre: float,
    interval: Sequence[float] | None,
    metric: str,
    kind: str,
    sure: bool = True,
    note: str | None = None,
) -> dict[str, Any]:
    low, high = interval if interval is not None else (centre, centre)
    between = f" ({wording.span(interval, metric)})" if interval is not None else ""
    shown = note or (wording.gain(centre, metric, unit=False) + between)
    numbers = {"centre": centre * _scale(metric), "low": low * _scale(metric), "high": high * _scale(metric)}
    return {"place": place, "name": name, "note": wording.minus(shown), "kind": kind, "sure": sure, **numbers}


def _rule_kind(rule: Mapping[str, Any]) -> str:
    interval = rule.get("gain_interval")
    if interval is None or interval[0] <= 0 <= interval[1]:
        return "open"
    return "better" if interval[0] > 0 else "worse"


def _scale(metric: str) -> int:
    return 1 if metric in wording.PLAIN else 100


def _unit(metric: str) -> str:
    return wording.metric_name(metric) if metric in wording.PLAIN else f"points of {wording.metric_name(metric)}"

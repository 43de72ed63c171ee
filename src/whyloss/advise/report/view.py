"""What a report says, in words and in table rows. The terminal, the page and the paper tables all read it from here,
so they cannot disagree.

Knows the report dictionary and no medium: no markup, no colours, no charts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from . import wording

Report = Mapping[str, Any]
Standing = Literal["better", "equivalent", "worse", "open", "reference", "screened"]

SEVERITIES = ("serious", "warning", "note", "info")
SURE = 0.95  # the posterior probability from which a standing counts as settled


@dataclass(frozen=True)
class Row:
    """One candidate as every table shows it."""

    rank: str
    label: str  # unique among the candidates and short enough for an axis; a line break separates the parameters
    loss: str
    parameters: str
    rule: str
    mean: str
    interval: str
    difference: str
    difference_interval: str
    p_better: str
    p_equivalent: str
    p_worse: str
    learning_rate: str
    at_grid_edge: bool
    reason: str
    standing: Standing
    sure: bool


def rows(report: Report) -> list[Row]:
    candidates = report.get("candidates") or []
    return [_row(candidate, label) for candidate, label in zip(candidates, labels(candidates), strict=True)]


def labels(candidates: Sequence[Mapping[str, Any]]) -> list[str]:
    """Short names that differ: the loss, its parameters; where two are still the same, the rule, then the rank."""
    made: list[str] = []
    for candidate in candidates:
        lines = [str(candidate.get("short") or wording.loss_name(str(candidate.get("loss"))))]
        if inside := wording.parameters(candidate.get("parameters")):
            lines.append(inside)
        if "\n".join(lines) in made and candidate.get("rule"):
            lines.append(f"rule: {candidate['rule']}")
        if "\n".join(lines) in made:
            lines.append(f"no. {len(made) + 1}")
        made.append("\n".join(lines))
    return made


def names(candidates: Sequence[Mapping[str, Any]]) -> list[str]:
    """For charts, where room is short: without parameters unless two candidates differ by them alone."""
    full = [label.split("\n") for label in labels(candidates)]
    first = [lines[0] for lines in full]
    return [lines[0] if first.count(lines[0]) == 1 else " · ".join(lines) for lines in full]


def standing(candidate: Mapping[str, Any]) -> tuple[Standing, bool]:
    """What the posterior says of a candidate beside the reference, and whether it is at least 95 % sure."""
    odds = {name: candidate.get(f"p_{name}") for name in ("better", "equivalent", "worse")}
    if any(chance is None for chance in odds.values()):
        return ("screened" if candidate.get("stage") == "screened" else "reference"), True
    top = max(odds, key=lambda name: odds[name] or 0.0)
    chance = odds[top] or 0.0
    return (top if chance > 0.5 else "open"), chance >= SURE  # type: ignore[return-value]


def headline(report: Report) -> str:
    """The answer as one sentence to act on."""
    verdict = report["verdict"]
    loss = wording.loss_with_parameters(str(verdict.get("loss") or "CrossEntropyLoss"), verdict.get("parameters"))
    rule = str(verdict.get("rule") or "argmax")
    match verdict["answer"]:
        case "advised":
            return f"Train on {loss}{_with_rule(rule)}."
        case "worth trying":
            return f"{wording.capital(loss)}{_with_rule(rule)} is worth trying, but not proven better."
        case "no difference":
            return f"Stay with cross-entropy{_do(report, rule)}. No other loss gains enough to matter."
        case _:
            return f"Too little data to tell. For now, stay with cross-entropy{_do(report, rule)}."


def gain_label(report: Report) -> str:
    """What the verdict's figure is the gain of: of choosing, on folds that took no part in it."""
    if str(report["verdict"].get("loss") or "CrossEntropyLoss") == "CrossEntropyLoss":
        return "Gain from choosing another loss, on folds that took no part in choosing"
    return "Gain over cross-entropy with its tuned rule, on folds that took no part in choosing"


def gain_sentence(report: Report) -> str:
    verdict = report["verdict"]
    return wording.gain_sentence(verdict.get("gain"), verdict.get("interval"), str(verdict.get("metric")))


def findings(report: Report) -> list[Mapping[str, Any]]:
    """Serious first; within one severity, in the order of the report."""
    known = {severity: place for place, severity in enumerate(SEVERITIES)}
    return sorted(report.get("findings") or [], key=lambda finding: known.get(finding["severity"], len(known)))


def next_steps(report: Report) -> list[str]:
    """What to do now, cheapest first: mend the data, set the rule, then think of a loss."""
    steps = [str(f["advice"]) for f in findings(report) if f["severity"] == "serious" and f.get("advice")][:2]
    if best := best_rule(report):
        sentence = wording.gain_sentence(best.get("gain"), best.get("gain_interval"), str(best["metric"]))
        exactly = f" ({best['text']})" if best["rule"] == "threshold" and best.get("text") else ""
        steps.append(
            f"{wording.capital(rule_action(best))}{exactly}: {sentence}, over plain argmax and without another loss."
        )
    verdict = report["verdict"]
    if verdict["answer"] in ("advised", "worth trying"):
        loss = wording.loss_with_parameters(str(verdict["loss"]), verdict.get("parameters"))
        steps.append(f"Train on {loss}: paste the lines below.")
    if verdict.get("rows_needed"):
        steps.append(f"To settle it, collect about {wording.count(verdict['rows_needed'])} rows.")
    return steps


def best_rule(report: Report) -> Mapping[str, Any] | None:
    """The rule on the report's own metric whose gain over argmax is surely positive, if there is one."""
    sure: list[Mapping[str, Any]] = [
        rule
        for rule in report.get("rules") or []
        if rule["metric"] == report["metric"]["name"] and rule.get("gain_interval") and rule["gain_interval"][0] > 0
    ]
    gains = [float(rule["gain"]) for rule in sure]
    return sure[gains.index(max(gains))] if gains else None


def rule_action(rule: Mapping[str, Any]) -> str:
    """What to do, in few words; the rule's own text says it exactly."""
    match rule["rule"]:
        case "threshold":
            cut = _parameter(rule, "probability", "threshold")
            return "set one threshold per class" if cut is None else f"set the threshold to {cut}"
        case "prior":
            return "correct for the class prior"
        case "temperature":
            return f"divide the logits by {_parameter(rule, 'temperature') or 'a temperature'}"
        case "median":
            return "decide by the median grade"
        case "usual learning rate":
            return "leave the learning rate untuned"
        case "early stopping":
            epoch = _parameter(rule, "epoch", "epochs")
            return "stop training early" + ("" if epoch is None else f", at epoch {epoch}")
        case other:
            return f"use the rule '{other}'"


def _parameter(rule: Mapping[str, Any], *names: str) -> str | None:
    values: Mapping[str, Any] = rule.get("parameters") or {}
    return next((f"{values[name]:.3g}" for name in names if isinstance(values.get(name), int | float)), None)


def data_line(report: Report) -> str:
    """The data in one line."""
    data = report["data"]
    raced = data.get("raced_rows")
    sampled = f" ({wording.count(raced)} of them raced)" if raced and raced != data["rows"] else ""
    return (
        f"{wording.count(data['rows'])} rows{sampled}, {wording.count(data['features'])} features, "
        f"{len(data['classes'])} classes, label '{data['label']}'"
    )


def folds(report: Report) -> int | None:
    """How many test folds the finalists were judged on."""
    return max((len(candidate.get("scores") or []) for candidate in report.get("candidates") or []), default=0) or None


def _row(candidate: Mapping[str, Any], label: str) -> Row:
    metric = str(candidate.get("metric"))
    place, sure = standing(candidate)
    rank = candidate.get("rank")
    return Row(
        rank=wording.NONE if rank is None else str(rank),
        label=label,
        loss=str(candidate.get("loss")),
        parameters=wording.parameters(candidate.get("parameters")),
        rule=str(candidate.get("rule") or "argmax"),
        mean=wording.value(candidate.get("mean"), metric),
        interval=wording.span(candidate.get("interval"), metric),
        difference="reference"
        if place == "reference"
        else wording.gain(candidate.get("difference"), metric, unit=False),
        difference_interval="" if place == "reference" else wording.span(candidate.get("difference_interval"), metric),
        p_better=wording.probability(candidate.get("p_better")),
        p_equivalent=wording.probability(candidate.get("p_equivalent")),
        p_worse=wording.probability(candidate.get("p_worse")),
        learning_rate=wording.learning_rate(candidate.get("learning_rate")),
        at_grid_edge=bool(candidate.get("at_grid_edge")),
        reason=str(candidate.get("reason") or ""),
        standing=place,
        sure=sure,
    )


def _with_rule(rule: str) -> str:
    return "" if rule == "argmax" else f" with its tuned {rule}"


def _do(report: Report, rule: str) -> str:
    """', and set the threshold to 0.07': the verdict's rule, where the rules table shows that its gain matters."""
    for tried in report.get("rules") or []:
        if tried["rule"] == rule != "argmax":
            matters = (tried.get("gain") or 0) >= report["metric"]["margin"]
            return f", and {rule_action(tried)}" if matters else ""
    return "" if rule == "argmax" else f" with its tuned {rule}"

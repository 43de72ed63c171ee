"""`whyloss advise`, from file to report: read, look, diagnose, decision rules, race, decide, report.

The order matters more than any step. What is cheaper than another loss is tried first, and the verdict comes last."""

import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from whyloss.advise import evidence, report
from whyloss.advise.candidates import Candidate, choose, transition
from whyloss.advise.data import Table, duplicates, encoder, read, sample_rows, split
from whyloss.advise.diagnose import diagnose, first_opinions
from whyloss.advise.finding import Finding, InputError
from whyloss.advise.ledger import Arrays
from whyloss.advise.metrics import choose_metric, metric_named
from whyloss.advise.paste import code
from whyloss.advise.race import BUDGETS, Budget, Fold, Race
from whyloss.advise.standing import Standing, Task, cheaper_measures, natural_interval, standing

LEFT_BEHIND = 0.9  # P(worse by more than the margin) in the first repeat from which a candidate runs no further


def advise(
    source: str | Path | pd.DataFrame | None = None,
    label: str | None = None,
    metric: str | None = None,
    group: str | None = None,
    ordered: list[str] | None = None,
    drop: list[str] | None = None,
    out: Path | str = "whyloss-report",
    seed: int = 0,
    budget: str = "normal",
    jobs: int | None = None,
    backend: str | None = None,
    console: Console | None = None,
    command: str = "",
) -> dict[str, Any]:
    """The measured advice for a table; writes report.html and report.json to `out` and returns the report.

    Raises InputError, with a message for people, where the input cannot be used."""
    began = perf_counter()
    if budget not in BUDGETS:
        raise InputError(f"Unknown budget {budget!r}; {', '.join(BUDGETS)} are known.")
    folder = Path(out)
    ledger = Arrays(folder / "trials")  # first of all: an hour's race must not end at a folder that cannot be written
    with report.Steps(console or Console(quiet=True)) as steps:
        steps.start("read")
        try:
            whole = read(source, label, group, ordered, drop)
            counts = dict(zip(whole.classes, whole.counts.tolist(), strict=True))
            name, why = (metric, "asked for with --metric") if metric else choose_metric(counts, whole.ordered)
            target = metric_named(name, whole.counts.tolist())
        except InputError:
            ledger.remove_if_empty()  # a misspelt name leaves no folder behind
            raise
        plan = BUDGETS[budget]
        steps.start("diagnose")
        findings = [*whole.notes, *_diagnose(whole, target.name, plan, seed)]
        target = replace(target, margin=target.margin * _shrinkage(findings, target.name, len(counts)))
        steps.start("prepare")
        table = whole.take(sample_rows(whole, plan.rows, seed))
        folds = _folds(table, plan, seed)
        candidates = choose(findings, whole.counts, budget)
        steps.start("race", total=len(candidates) * sum(map(len, folds)))
        race = Race(
            folds, len(table.classes), plan, seed, transition(findings), ledger,
            _jobs(jobs, budget), backend, lambda: steps.advance("race"),
        )  # fmt: skip
        task = Task(
            table.label, [_fold_of(repeat) for repeat in folds], target, table.ordered, table.classes,
            plan.plan(0).settings(),
        )  # fmt: skip
        entries = _race(race, candidates, task)
        steps.start("decide")
        found = _decide(entries, task, len(table))
        epochs = _epochs(plan, len(folds[0][0].y_train))
        rules = cheaper_measures(entries[0].predictions, task, epochs)
        given = {"counts": whole.counts, "transition": transition(findings)}
        result = {
            "data": _data(whole, len(table)),
            "metric": {
                "name": target.name, "text": target.text, "higher_is_better": target.higher_is_better,
                "margin": target.margin, "chosen": why,
            },
            "findings": [finding.as_dict() for finding in findings],
            "rules": rules,
            "candidates": found.lines,
            "verdict": found.verdict,
            "code": code(found.winner.candidate, found.winner.standing.rule, given, task),
            "command": command or _call(source, label, metric, group, ordered, drop, out, seed, budget),
            "versions": _versions(),
            "budget": budget,
            "seed": seed,
            "warnings": _warnings(entries, plan, table, whole, findings),
        }  # fmt: skip
        steps.start("report")
        steps.finish()
    result |= {
        "seconds": round(perf_counter() - began, 1),
        "stages": {k: round(v, 2) for k, v in steps.seconds.items()},
    }
    report.write(result, folder)
    return result


class _Entry:
    """A candidate in the race, with its predictions so far."""

    def __init__(self, candidate: Candidate):
        self.candidate = candidate
        self.predictions: dict[int, NDArray[np.float32]] = {}
        self.standing: Standing
        self.final = True


class _Found:
    def __init__(self, lines: list[dict[str, Any]], verdict: dict[str, Any], winner: _Entry):
        self.lines, self.verdict, self.winner = lines, verdict, winner


def _diagnose(table: Table, metric: str, budget: Budget, seed: int) -> list[Finding]:
    features = encoder(table).fit_transform(table.features)
    cut = split(table, 5, seed)
    first, second = first_opinions(features, table.label, cut, seed)
    return diagnose(features, table.label, table.classes, first, metric, table.ordered, duplicates(table), second, seed)


def _folds(table: Table, budget: Budget, seed: int) -> list[list[Fold]]:
    """The cuts of every repeat, each encoded by what its training rows alone tell."""
    found: list[list[Fold]] = []
    for repeat in range(budget.repeats):
        folds: list[Fold] = []
        for k, (train, test) in enumerate(split(table, budget.folds, seed * 1009 + repeat)):
            encode = encoder(table)
            x = encode.fit_transform(table.features.iloc[train])
            x_test = encode.transform(table.features.iloc[test])
            folds.append(Fold(repeat, k, test, x, table.label[train], np.asarray(x_test, dtype=np.float32)))
        found.append(folds)
    return found


def _fold_of(folds: Sequence[Fold]) -> NDArray[np.int64]:
    fold_of = np.empty(sum(len(fold.test) for fold in folds), dtype=np.int64)
    for fold in folds:
        fold_of[fold.test] = fold.fold
    return fold_of


def _race(race: Race, candidates: Sequence[Candidate], task: Task) -> list[_Entry]:
    """The first repeat for all; then those that are surely behind run no further."""
    entries = [_Entry(candidate) for candidate in candidates]
    repeats = range(len(race.folds))
    _run(race, entries, [0], task)
    if len(repeats) > 1:
        reference = entries[0].standing.utilities.ravel()
        for entry in entries[1:]:
            behind = evidence.compare(entry.standing.utilities.ravel() - reference, task.test_share, task.metric.margin)
            entry.final = behind.p_worse < LEFT_BEHIND
        _run(race, [entry for entry in entries if entry.final], list(repeats[1:]), task)
    return entries


def _run(race: Race, entries: Sequence[_Entry], repeats: Sequence[int], task: Task) -> None:
    found = race.run([entry.candidate for entry in entries], repeats)
    for number, entry in enumerate(entries):
        entry.predictions |= {r: found[number, r] for r in repeats}
        entry.standing = standing(entry.predictions, task)


def _decide(entries: Sequence[_Entry], task: Task, rows: int) -> _Found:
    finalists = [entry for entry in entries if entry.final]
    behind = [entry for entry in entries if not entry.final]
    scores = np.stack([entry.standing.utilities for entry in finalists])
    names = [entry.candidate.loss for entry in finalists]
    points = task.metric.name not in report.PLAIN
    verdict = evidence.decide(scores, names, 0, task.metric.margin, task.test_share, rows, len(behind), points)
    reference = finalists[0].standing.utilities
    lines = [_line(entry, task, verdict.ranks[i], verdict.comparisons[i], "final") for i, entry in enumerate(finalists)]
    behind.sort(key=lambda entry: -float(entry.standing.utilities.mean()))
    for i, entry in enumerate(behind):
        difference = (entry.standing.utilities - reference[:1]).ravel()
        pair = evidence.compare(difference, task.test_share, task.metric.margin)
        lines.append(_line(entry, task, len(finalists) + 1 + i, pair, "screened"))
    winner = finalists[verdict.index]
    return _Found(
        sorted(lines, key=lambda line: line["rank"]),
        {
            "answer": verdict.answer,
            "loss": winner.candidate.loss,
            "parameters": dict(winner.candidate.parameters),
            "rule": winner.standing.rule.name,
            "metric": task.metric.name,
            "gain": verdict.gain,
            "interval": list(verdict.interval),
            "rows_needed": verdict.rows_needed,
            "text": verdict.text,
            "rule_text": winner.standing.rule.text(task.classes),
        },
        winner,
    )


def _line(entry: _Entry, task: Task, rank: int, pair: evidence.Comparison | None, stage: str) -> dict[str, Any]:
    s, scores = entry.standing, entry.standing.utilities.ravel()
    return {
        "loss": entry.candidate.loss,
        "short": entry.candidate.short,
        "parameters": dict(entry.candidate.parameters),
        "rule": s.rule.name,
        "rule_text": s.rule.text(task.classes),
        "metric": task.metric.name,
        "mean": task.metric.sign * float(scores.mean()),
        "interval": natural_interval(scores, task),
        "p_better": None if pair is None else pair.p_better,
        "p_equivalent": None if pair is None else pair.p_equivalent,
        "p_worse": None if pair is None else pair.p_worse,
        "rank": rank,
        "difference": 0.0 if pair is None else pair.mean,
        "difference_interval": [0.0, 0.0] if pair is None else list(pair.interval),
        "stage": stage,
        "reason": entry.candidate.reason,
        "learning_rate": s.rate,
        "at_grid_edge": s.at_edge,
        "log_loss": s.log_loss,
        "scores": [task.metric.sign * float(x) for x in scores],
    }


def _shrinkage(findings: Sequence[Finding], metric: str, classes: int) -> float:
    """How much smaller a difference in accuracy looks against the given labels than against the true ones.

    If a share e of the labels is wrong, any other class alike, an accuracy a is measured as
    a (1 - e) + (1 - a) e / (C - 1): a point that matters against the truth shows as 1 - e - e / (C - 1) points."""
    if metric not in ("accuracy", "balanced_accuracy"):
        return 1.0
    wrong = _trusted_noise(findings)
    return max(1 - wrong - wrong / (classes - 1), 0.2)


def _trusted_noise(findings: Sequence[Finding]) -> float:
    """The share of wrong labels, where the diagnosis can tell it from overlap; else 0."""
    return next((f.value or 0.0 for f in findings if f.id == "label_noise" and f.details.get("trusted")), 0.0)


def _call(
    source: Any, label: Any, metric: Any, group: Any, ordered: Any, drop: Any, out: Any, seed: int, budget: str
) -> str:
    """The Python call that makes this report again."""
    given = {"label": label, "metric": metric, "group": group, "ordered": ordered, "drop": drop}
    first = "table" if isinstance(source, pd.DataFrame) else repr(None if source is None else str(source))
    options = [f"{name}={value!r}" for name, value in given.items() if value is not None]
    return (
        f"whyloss.advise.run.advise({', '.join([first, *options])}, out={str(out)!r}, seed={seed}, budget={budget!r})"
    )


def _epochs(budget: Budget, train_rows: int) -> dict[int, float]:
    plan = budget.plan(train_rows)
    return {step: step * min(plan.batch, train_rows) / train_rows for step in plan.snapshots}


def _data(table: Table, raced: int) -> dict[str, Any]:
    return {
        "name": table.name,
        "rows": len(table),
        "features": table.features.shape[1],
        "numeric": len(table.numeric),
        "categorical": len(table.categorical),
        "classes": list(table.classes),
        "counts": dict(zip(table.classes, table.counts.tolist(), strict=True)),
        "label": table.label_column,
        "groups": None if table.groups is None else int(table.groups.max()) + 1,
        "ordered": table.ordered,
        "dropped": table.dropped,
        "raced_rows": raced,
    }


def _warnings(
    entries: Sequence[_Entry], budget: Budget, raced: Table, whole: Table, findings: Sequence[Finding]
) -> list[str]:
    found: list[str] = []
    if wrong := _trusted_noise(findings):
        found.append(
            f"Every figure is against the given labels, of which about {100 * wrong:.0f} % look wrong: against the "
            "true ones it would be higher, and differences larger: the margin of equivalence is smaller by as much. "
            "The ranking holds while each class is named rightly more often than as any other."
        )
    edge = [e.candidate.short for e in entries if e.standing.at_edge]
    if edge:
        found.append(
            f"The best learning rate lies on the edge of the grid ({min(budget.rates):g} to {max(budget.rates):g}) for "
            f"{', '.join(edge)}: a wider grid might do better. A larger --budget has one."
        )
    if len(raced) < len(whole):
        found.append(
            f"The diagnosis saw all {len(whole):,} rows; the race ran on {len(raced):,} of them, drawn in the classes' "
            "proportions with at least 50 rows of each class. A larger --budget races more."
        )
    if whole.ordered:
        found.append(
            "Losses with a head of their own for ordered classes (CORAL, CORN, cumulative link) are not there yet in "
            "this version: the order decides the metric and the median rule, and the losses raced do not know it."
        )
    if budget.repeats == 1:
        found.append(
            "One repeat of the folds only (--budget quick): enough to look around, rarely enough to prove anything."
        )
    return found


def _versions() -> dict[str, str]:
    from whyloss import __version__

    found = {"whyloss": __version__, "python": platform.python_version()}
    for package in ("torch", "numpy", "pandas", "scikit-learn", "cleanlab"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # vendored or renamed: a missing line is better than no report
            continue
    return found


def _jobs(asked: int | None, budget: str) -> int:
    """Processes. The quick budget is over before workers have started."""
    if asked is not None:
        return asked
    if budget == "quick":
        return 1
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, cores)

"""From out-of-fold predictions to scores: what each candidate is worth with everything about it tuned alike.

Learning rate, stopping point and decision rule are chosen on the other folds of the same repeat, for cross-entropy just
as for every candidate. Knows predictions, metrics and rules; nothing of losses or networks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyloss.advise import evidence
from whyloss.advise.metrics import METRICS, Metric, utility
from whyloss.advise.rules import Fitted, FoldScore, Rule, rules_for, score_settings

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
USUAL_RATE = 1e-3  # what Adam is run at when nobody tunes it


@dataclass(frozen=True)
class Task:
    """What predictions are judged against: labels, the folds of each repeat, the metric."""

    label: Ints
    fold_of: Sequence[Ints]  # per repeat, (N,)
    metric: Metric
    ordered: bool
    classes: Sequence[str]
    settings: Sequence[tuple[float, int]]  # (learning rate, step)

    @property
    def test_share(self) -> float:
        return 1 / int(self.fold_of[0].max())

    def last(self) -> list[int]:
        """The settings that train to the end."""
        end = max(step for _, step in self.settings)
        return [i for i, (_, step) in enumerate(self.settings) if step == end]


@dataclass(frozen=True)
class Standing:
    """One candidate's scores (repeats, folds), and the setting and rule that it would be used with."""

    utilities: NDArray[np.float64]
    rate: float
    step: int
    at_edge: bool
    rule: Fitted
    log_loss: float


def standing(predictions: Mapping[int, Floats], task: Task) -> Standing:
    """The standing of a candidate from its predictions, per repeat (settings, N, C)."""
    scored = {
        r: score_settings(p, task.label, task.fold_of[r], task.metric, "tuned", task.ordered)
        for r, p in predictions.items()
    }
    chosen = Counter(score.setting for scores in scored.values() for score in scores).most_common()
    most = max(n for _, n in chosen)
    setting = min(s for s, n in chosen if n == most)
    rate, step = task.settings[setting]
    rates = sorted({r for r, _ in task.settings})
    losses = [
        -utility(METRICS["log_loss"], task.label[task.fold_of[r] == s.fold], p[s.setting, task.fold_of[r] == s.fold])
        for r, p in predictions.items()
        for s in scored[r]
    ]
    pooled = next(iter(predictions.values()))[setting]
    return Standing(
        utilities=np.array([[s.score for s in scores] for scores in scored.values()]),
        rate=rate,
        step=step,
        at_edge=rate in (rates[0], rates[-1]),
        rule=_usual_rule(scored, task).fit(pooled, task.label, task.metric),
        log_loss=float(np.mean(losses)),
    )


def _usual_rule(scored: Mapping[int, Sequence[FoldScore]], task: Task) -> Rule:
    """The kind of rule that most folds chose; of equally frequent ones the simplest."""
    often = Counter(score.rule.name for scores in scored.values() for score in scores)
    return max(rules_for(task.metric, len(task.classes), task.ordered), key=lambda rule: often[rule.name])


def cheaper_measures(
    predictions: Mapping[int, Floats], task: Task, epochs: Mapping[int, float]
) -> list[dict[str, Any]]:
    """What mends cross-entropy without another loss: each decision rule, and stopping early, over plain argmax at the
    end of the training and at its own best learning rate; and what leaving that rate untuned costs. `epochs` translates
    steps."""
    last, metric = task.last(), task.metric

    def scores(choice: str, settings: Sequence[int]) -> list[list[FoldScore]]:
        return [
            score_settings(p[list(settings)], task.label, task.fold_of[r], metric, choice, task.ordered)
            for r, p in predictions.items()
        ]

    plain = _flat(scores("plain", last))
    every = list(range(len(task.settings)))
    text = "say the most probable class" if metric.needs == "decisions" else "the probabilities as they are"
    lines = [_line("argmax", f"plain cross-entropy: {text}", {}, plain, plain, task)]
    for rule in rules_for(metric, len(task.classes), task.ordered)[1:]:
        found = scores(rule.name, last)
        settings = Counter(last[s.setting] for repeat in found for s in repeat)
        pooled = next(iter(predictions.values()))[settings.most_common(1)[0][0]]
        fitted = rule.fit(pooled, task.label, metric)
        lines.append(_line(rule.name, fitted.text(task.classes), dict(fitted.parameters), _flat(found), plain, task))
    if usual := [i for i in last if task.settings[i][0] == USUAL_RATE]:
        best = Counter(task.settings[last[s.setting]][0] for repeat in scores("plain", last) for s in repeat)
        text = f"Adam's usual {USUAL_RATE:g} instead of the best of the grid, here {best.most_common(1)[0][0]:g}"
        untuned = _flat(scores("plain", usual))
        lines.append(_line("usual learning rate", text, {"learning_rate": USUAL_RATE}, untuned, plain, task))
    stopped = scores("plain", every)
    steps = Counter(task.settings[s.setting][1] for repeat in stopped for s in repeat)
    epoch = round(epochs[steps.most_common(1)[0][0]], 1)
    lines.append(
        _line(
            "early stopping",
            f"stop training where other rows say so, here after about {epoch:g} passes",
            {"epochs": epoch},
            _flat(stopped),
            plain,
            task,
        )
    )
    return lines


def _flat(scores: Sequence[Sequence[FoldScore]]) -> NDArray[np.float64]:
    return np.array([s.score for repeat in scores for s in repeat])


def _line(
    rule: str,
    text: str,
    parameters: dict[str, Any],
    scores: NDArray[np.float64],
    plain: NDArray[np.float64],
    task: Task,
) -> dict[str, Any]:
    gain = evidence.compare(scores - plain, task.test_share, task.metric.margin)
    return {
        "rule": rule,
        "text": text,
        "parameters": parameters,
        "metric": task.metric.name,
        "mean": task.metric.sign * float(scores.mean()),
        "interval": natural_interval(scores, task),
        "gain": gain.mean,
        "gain_interval": list(gain.interval),
    }


def natural_interval(utilities: NDArray[np.float64], task: Task) -> list[float]:
    """The interval of the mean, in the metric's own direction."""
    low, high = evidence.interval(utilities, task.test_share)
    return sorted([task.metric.sign * low, task.metric.sign * high])

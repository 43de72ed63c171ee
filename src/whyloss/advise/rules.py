"""What to try before another loss: rules that turn log-probabilities into decisions, or into better probabilities.

A rule is fitted on out-of-fold predictions and applied to a fold that took no part. Every decision rule but the median
is `argmax(log_p + shift)`, so a rule is a finite list of shifts, and one pass counts the confusion matrices of all of
them. Knows numpy and the metrics; must not know losses, networks or tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metrics import Metric, utility
from .temperature import COLDEST, HOTTEST, fit_temperature, tempered

Array = NDArray[Any]
BLOCKS = 8  # of the cross-fit inside the fitting rows that decides which rule is worth having
CUTS = 200
TAUS = np.arange(7) * 0.25
LEAST_GAIN = 0.002  # a rule that gains less than this, or than half its standard error, gives way to a simpler one;
LEAST_ERRORS = 0.5  # a whole error forgoes too much on small imbalanced data (100 rows, 10:1: 6 points instead of 8)
SHORTLIST = 3  # settings whose rule is cross-fitted; the others are out after a look at their fitting rows


@dataclass(frozen=True)
class Fitted:
    """A rule with its parameters, ready to be applied to rows it has not seen."""

    name: str
    parameters: dict[str, float] = field(default_factory=dict[str, float])
    shift: tuple[float, ...] = ()
    temperature: float = 1.0
    utility: float = 0.0  # on the fitting rows, cross-fitted: larger is better

    def decide(self, log_p: Array) -> Array:
        if self.name == "median":
            return np.argmax(np.cumsum(np.exp(log_p, dtype=np.float64), axis=1) >= 0.5 - 1e-7, axis=1)
        return np.argmax(log_p + np.asarray(self.shift) if self.shift else log_p, axis=1)

    def log_p(self, log_p: Array) -> Array:
        return log_p if self.temperature == 1.0 else tempered(log_p, 1 / self.temperature)

    def predict(self, log_p: Array, metric: Metric) -> Array:
        """What the metric is computed from."""
        return self.decide(log_p) if metric.needs == "decisions" else self.log_p(log_p)

    def text(self, classes: Sequence[str]) -> str:
        """The rule in words; `classes` are the names in code order."""
        if self.name == "threshold":
            chosen, cut = int(self.parameters["class"]), self.parameters["probability"]
            return f"say '{classes[chosen]}' when its probability exceeds {cut:.2g}"
        if self.name == "prior":
            tau = self.parameters["tau"]
            return f"say the class with the largest probability divided by its share of the rows to the power {tau:g}"
        if self.name == "median":
            return "say the lowest grade at which the probabilities, added up from the bottom, reach one half"
        if self.name == "temperature" and self.temperature != 1.0:
            softer = "less sure" if self.temperature > 1 else "more sure"
            return f"divide the logits by {self.temperature:.2g}, which makes the probabilities {softer}"
        return "say the most probable class" if self.name == "argmax" else "leave the probabilities as they are"


@dataclass(frozen=True)
class Rule:
    """A rule before it is fitted. `shifts(log_p, y)` lists its options; the median and the temperature have none."""

    name: str
    shifts: Callable[[Array, Array], Array] | None = None

    def fit(self, log_p: Array, y: Array, metric: Metric) -> Fitted:
        return _best_of([self], log_p, y, metric)


def rules_for(metric: Metric, classes: int, ordered: bool = False) -> list[Rule]:
    """The rules that can change the metric, the simplest first."""
    plain = Rule("argmax", lambda log_p, y: np.zeros((1, log_p.shape[1])))
    if metric.needs == "scores":
        return [plain]  # a ranking stays the same under all of them
    if metric.needs == "probabilities":
        return [plain, Rule("temperature")]
    median = [Rule("median")] if ordered and classes > 2 else []
    threshold = [Rule("threshold", _cut_shifts)] if classes == 2 else []
    return [plain, *median, Rule("prior", _prior_shifts), *threshold]


def fit_best(log_p: Array, y: Array, metric: Metric, ordered: bool = False) -> Fitted:
    """The simplest rule that no other beats by more than half a standard error and `LEAST_GAIN`, judged by a cross-fit
    inside these rows: on 100 rows the best of 200 thresholds always looks better than one half."""
    return _best_of(rules_for(metric, log_p.shape[1], ordered), log_p, y, metric)


def _best_of(rules: Sequence[Rule], log_p: Array, y: Array, metric: Metric) -> Fitted:
    if metric.needs != "decisions":
        if rules[-1].name == "temperature":
            return _fit_temperature(log_p, y, metric)
        return Fitted("argmax", utility=utility(metric, y, log_p))
    block = np.empty(len(y), dtype=np.intp)
    blocks = max(2, min(BLOCKS, len(y) // 2))
    block[np.argsort(y, kind="stable")] = np.arange(len(y)) % blocks  # every block has its part of every class
    best, held = None, np.empty(0)
    for rule in rules:
        shifts, tallies = _tallies(rule, log_p, y, block, blocks)
        total = tallies.sum(0)
        values = metric.of_confusions(np.concatenate([total - tallies, total[None]]), y)
        picks = [_middle_of_best(row, shifts) for row in values]
        unseen = tallies[np.arange(blocks), picks[:-1]]  # each block decided by the option the other blocks chose
        if best is None or _worth_it(metric, y, unseen, held):
            found = float(metric.of_confusions(unseen.sum(0), y))
            best, held = replace(_fitted(rule, picks[-1], shifts), utility=found), unseen
    assert best is not None
    return best


def _worth_it(metric: Metric, y: Array, new: Array, old: Array) -> bool:
    """New against old confusion matrices per block: is the gain above what its (jackknife) error asks for?"""
    both = np.stack([new, old])
    totals = both.sum(1, keepdims=True)
    gains = np.subtract(*metric.of_confusions(np.concatenate([totals, totals - both], axis=1), y))
    blocks = len(new)
    error = float(np.sqrt((blocks - 1) / blocks * np.square(gains[1:] - gains[1:].mean()).sum()))
    return bool(gains[0] > max(LEAST_GAIN, LEAST_ERRORS * error))


def _fitted(rule: Rule, option: int, shifts: Array) -> Fitted:
    if rule.name == "prior":
        return Fitted("prior", {"tau": float(TAUS[option])}, tuple(shifts[option].tolist()))
    if rule.name != "threshold":
        return Fitted(rule.name)
    cut = -float(shifts[option, 1])  # of the log-odds of class 1; told as the class whose cut lies below one half
    told = {"class": float(cut <= 0), "probability": float(1 / (1 + np.exp(abs(cut)))), "log_odds": cut}
    return Fitted("threshold", told, (0.0, -cut))


def _middle_of_best(values: Array, shifts: Array) -> int:
    """The middle of the plateau of best options; of several plateaus, the one closest to no shift."""
    if len(values) == 1:
        return 0
    best = np.flatnonzero(values >= values.max() - 1e-12)
    breaks = np.flatnonzero(np.diff(best) > 1)
    first, last = best[np.r_[0, breaks + 1]], best[np.r_[breaks, len(best) - 1]]
    middles = (first + last) // 2
    return int(middles[np.argmin(np.ptp(shifts[middles], axis=1))])


def _log_odds(log_p: Array) -> Array:
    odds = np.maximum(log_p, -700).astype(np.float64)  # -inf - -inf would be NaN
    return odds[:, 1] - odds[:, 0]


def _cut_shifts(log_p: Array, y: Array) -> Array:
    """Cuts mid-way between neighbouring scores: half evenly over the rows, half dense at both ends, where the cut of
    a rare class lies. One half is among them."""
    scores = np.unique(_log_odds(log_p))
    if len(scores) > CUTS:
        ends = 1 / (1 + np.exp(-np.linspace(-1, 1, CUTS // 2) * np.log(len(scores))))
        share = np.concatenate([np.linspace(0, 1, CUTS // 2), ends])
        at = np.unique(np.clip(np.rint(share * len(scores)).astype(np.intp), 1, len(scores) - 1))
    else:
        at = np.arange(1, len(scores))
    cuts = np.unique(np.append((scores[at - 1] + scores[at]) / 2, 0.0))
    return np.stack([np.zeros(len(cuts)), -cuts], axis=1)


def _prior_shifts(log_p: Array, y: Array) -> Array:
    classes = log_p.shape[1]
    share = (np.bincount(y, minlength=classes) + 0.5) / (len(y) + 0.5 * classes)
    return -TAUS[:, None] * np.log(share)


def _tallies(rule: Rule, log_p: Array, y: Array, block: Array, blocks: int) -> tuple[Array, Array]:
    """Shifts (P, C) of a rule's options, and their confusion matrices (blocks, P, C, C)."""
    classes = log_p.shape[1]
    shifts = np.zeros((1, classes)) if rule.shifts is None else rule.shifts(log_p, y)
    if classes == 2:  # all cuts at once: how many rows of each class lie above each
        cuts = shifts[:, 0] - shifts[:, 1]
        order = np.argsort(cuts)
        above = np.searchsorted(cuts[order], _log_odds(log_p), side="left")
        size = len(cuts) + 1
        counts = np.bincount((block * 2 + y) * size + above, minlength=blocks * 2 * size).reshape(blocks, 2, size)
        below = counts.cumsum(-1)
        said_0 = np.empty((blocks, 2, size - 1), dtype=np.intp)
        said_0[..., order] = below[..., :-1]
        return shifts, np.moveaxis(np.stack([said_0, below[..., -1:] - said_0], axis=-1), 1, 2)
    row = block * classes + y
    tallies = np.empty((blocks, len(shifts), classes, classes), dtype=np.intp)
    for option, shift in enumerate(shifts):
        said = Fitted(rule.name, shift=tuple(shift)).decide(log_p)
        found = np.bincount(row * classes + said, minlength=blocks * classes * classes)
        tallies[:, option] = found.reshape(blocks, classes, classes)
    return shifts, tallies


def _fit_temperature(log_p: Array, y: Array, metric: Metric) -> Fitted:
    temperature, unseen = fit_temperature(log_p, y)
    found = utility(metric, y, unseen)
    return Fitted("temperature", {"temperature": temperature}, temperature=temperature, utility=found)


@dataclass(frozen=True)
class FoldScore:
    """A candidate's score on one fold (larger is better), with the setting and the rule that the other folds chose."""

    fold: int
    score: float
    setting: int
    rule: Fitted


def score_settings(
    log_p: Array, y: Array, fold: Array, metric: Metric, choice: str = "tuned", ordered: bool = False
) -> list[FoldScore]:
    """Cross-fitted scores of one candidate in one repeat. `log_p` (settings, N, C) are out-of-fold predictions, `fold`
    (N,) counts from 0; `choice` is "plain", "tuned" or the name of one rule. Bind the metric to the table's counts."""
    rules = rules_for(metric, log_p.shape[2], ordered)
    if choice != "tuned":
        rules = [rule for rule in rules if rule.name == ("argmax" if choice == "plain" else choice)]
    if not rules:
        raise ValueError(f"rule {choice!r} does not bear on {metric.name}")
    seen = np.stack([_at_best(rules, one, y, fold, metric) for one in log_p])  # (settings, folds)
    keep = 1 if rules[-1].name == "argmax" else SHORTLIST
    scores: list[FoldScore] = []
    for k in range(seen.shape[1]):
        rest, here = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        short = np.sort(np.argsort(-seen[:, k], kind="stable")[:keep])
        fits = [_best_of(rules, log_p[s, rest], y[rest], metric) for s in short]
        best = int(np.argmax([fit.utility for fit in fits]))
        setting = int(short[best])
        score = utility(metric, y[here], fits[best].predict(log_p[setting, here], metric))
        scores.append(FoldScore(k, score, setting, fits[best]))
    return scores


def _at_best(rules: Sequence[Rule], log_p: Array, y: Array, fold: Array, metric: Metric) -> Array:
    """For each fold, utility of the best option on the rows of all other folds: cheap, optimistic alike for every
    setting, and good enough for a short list. Options know all scores and the class counts, never a held-out label."""
    folds = int(fold.max()) + 1
    if metric.needs == "decisions":
        tallies = (_tallies(rule, log_p, y, fold, folds)[1] for rule in rules)
        values = [metric.of_confusions(found.sum(0) - found, y).max(axis=1) for found in tallies]
        return np.max(values, axis=0)
    grid = np.geomspace(COLDEST, HOTTEST, 13) if rules[-1].name == "temperature" else np.ones(1)
    softened = [log_p if t == 1 else tempered(log_p, 1 / t) for t in grid]
    return np.max([[utility(metric, y[fold != k], p[fold != k]) for k in range(folds)] for p in softened], axis=0)

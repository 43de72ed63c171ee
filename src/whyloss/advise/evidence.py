"""From scores to a verdict: is a loss better than the reference, by how much, and how sure is that?

Sees numbers, never tensors, tables or losses. Scores are utilities (larger is better), paired over repeats of K folds.
Folds of a repeat train on mostly the same rows, so their spread understates the error; everything here uses the
corrected variance of Nadeau and Bengio (2003) or, read as a posterior, the correlated t-test of Corani and Benavoli
(2015)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

Array = NDArray[Any]
Answer = Literal["advised", "worth trying", "no difference", "undecided"]

# The thresholds of the verdict; tests/advise/test_evidence.py measures what they do among candidates that are equal.
LEVEL = 0.05  # advised: one-sided p after Holm over the candidates, and again for the nested gain
TRYING_LEVEL, TRYING_NESTED = 0.25, 0.25  # worth trying: the same two p-values
TRYING_ALONE = 0.1  # and the p-value before Holm, which does nothing for one challenger
MATTERS = 0.5  # both: least P(better by more than the margin), so the mean gain is at least the margin
SMALL = 0.1  # no difference: most P(better by more than the margin) of one challenger; the best of m looks better than
SMALL_OF_MANY = 0.35  # it is, so it is allowed sqrt(m) times as much, up to this
SMALL_NESTED = 0.2  # no difference: most P(choosing gains more than the margin)


@dataclass(frozen=True)
class Comparison:
    """A candidate against the reference. The p_* are P(better, within, worse than the margin) and add up to one."""

    mean: float
    interval: tuple[float, float]  # 95 %
    p_better: float
    p_equivalent: float
    p_worse: float
    p_value: float  # one-sided, for "better than 0"


def _error(scores: Array, test_share: float) -> float:
    """Corrected standard error of the mean; `test_share` is n_test / n_train."""
    return float(np.sqrt(scores.var(ddof=1) * (1 / len(scores) + test_share)))


def interval(scores: Array, test_share: float) -> tuple[float, float]:
    """95 % interval of a mean over folds."""
    if len(scores) < 2:
        raise ValueError("an interval needs at least two scores")
    mean, half = float(scores.mean()), float(stdtrit(len(scores) - 1, 0.975)) * _error(scores, test_share)
    return mean - half, mean + half


def compare(differences: Array, test_share: float, margin: float) -> Comparison:
    """Paired differences per fold (candidate minus reference) against 0 and against the margin of equivalence."""
    folds, mean = len(differences), float(differences.mean())
    low, high = interval(differences, test_share)
    error = _error(differences, test_share)
    if error < 1e-12 * max(1.0, abs(mean)):  # no spread to measure: all that is left is the sign test
        better, worse = float(mean > margin), float(mean < -margin)
        p_value = 0.5**folds if mean > 0 else 1.0
    else:
        better, worse = (float(stdtr(folds - 1, (sign * mean - margin) / error)) for sign in (1, -1))
        p_value = float(stdtr(folds - 1, -mean / error))
    return Comparison(mean, (low, high), better, max(0.0, 1 - better - worse), worse, p_value)


def holm(p_values: Sequence[float] | Array) -> Array:
    """p-values adjusted for being many (Holm 1979)."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


@dataclass(frozen=True)
class Nested:
    """What choosing gains: the gain on each fold of the candidate that the other folds of its repeat would choose."""

    gains: Array  # (R * K,)
    chosen: Array  # (M,): how often each was


def nested(scores: Array, reference: int) -> Nested:
    """Gain over the reference on folds that took no part in choosing. `scores`: (candidates, repeats, folds >= 2)."""
    others = (scores.sum(2, keepdims=True) - scores) / (scores.shape[2] - 1)
    order = _order(len(scores), reference)
    pick = order[np.argmax(np.round(others[order], 12), axis=0)]  # (R, K); rounded, so that equal means are equal
    gains = np.take_along_axis(scores, pick[None], axis=0)[0] - scores[reference]
    return Nested(gains.ravel(), np.bincount(pick.ravel(), minlength=len(scores)))


def _order(candidates: int, reference: int) -> Array:
    """The order in which ties are broken: the reference, then as given."""
    return np.array([reference, *(m for m in range(candidates) if m != reference)])


def rows_needed(comparison: Comparison, rows: int, margin: float) -> int | None:
    """About how many rows would tell, errors shrinking with the root of the rows: enough for an interval of half width
    `margin`, or half the difference seen where that is more (half, because the best of many is overrated). None when
    the interval is as narrow already."""
    half = (comparison.interval[1] - comparison.interval[0]) / 2
    wanted = max(margin, abs(comparison.mean) / 2)
    if half <= wanted:
        return None
    needed = rows * (half / wanted) ** 2
    unit = 10 ** max(0, int(np.floor(np.log10(needed))) - 1)
    return int(np.ceil(needed / unit) * unit)  # two digits: more would promise too much


@dataclass(frozen=True)
class Verdict:
    """The answer, and everything it rests on. `gain` and `interval` are the nested ones: what choosing by
    cross-validation gained on folds that took no part in it."""

    answer: Answer
    index: int  # of the loss to use; the reference unless it is advised or worth trying
    best: int  # the candidate with the best mean, whatever the answer
    gain: float
    interval: tuple[float, float]
    nested: Comparison
    chosen: tuple[int, ...]
    comparisons: tuple[Comparison | None, ...]  # None for the reference
    p_holm: tuple[float | None, ...]
    ranks: tuple[int, ...]  # from 1
    rows_needed: int | None
    text: str


def decide(
    scores: Array,
    names: Sequence[str],
    reference: int,
    margin: float,
    test_share: float,
    rows: int,
    screened: int = 0,
    points: bool = False,
) -> Verdict:
    """The verdict on utilities (candidates, repeats, folds); `rows` is how many rows were raced, `screened` how many
    candidates fell out before: they count among those that Holm corrects for. `points`: say figures in hundredths."""
    count = len(scores)
    flat = scores.reshape(count, -1)
    others = [m for m in range(count) if m != reference]
    pairs = {m: compare(flat[m] - flat[reference], test_share, margin) for m in others}
    adjusted = holm([pairs[m].p_value for m in others] + [1.0] * screened)
    p_holm = dict(zip(others, adjusted[: len(others)].tolist(), strict=True))
    order = _order(count, reference)
    ranked = order[np.argsort(-np.round(flat[order].mean(1), 12), kind="stable")]
    ranks = np.empty(count, dtype=int)
    ranks[ranked] = np.arange(1, count + 1)
    best = int(ranked[0])
    choice = nested(scores, reference)
    gain = compare(choice.gains, test_share, margin)
    answer = _answer(best, reference, pairs, p_holm, gain)
    index = best if answer in ("advised", "worth trying") else reference
    challenger = next((int(m) for m in ranked if m != reference), None)
    needed = None
    if answer in ("undecided", "worth trying") and challenger is not None:
        needed = max((rows_needed(c, rows, margin) or 0 for c in (pairs[challenger], gain)), default=0) or None
    return Verdict(
        answer,
        index,
        best,
        gain.mean,
        gain.interval,
        gain,
        tuple(choice.chosen.tolist()),
        tuple(pairs.get(m) for m in range(count)),
        tuple(p_holm.get(m) for m in range(count)),
        tuple(ranks.tolist()),
        needed,
        _text(answer, names[best], names[reference], gain, margin, rows, needed, points),
    )


def _answer(
    best: int, reference: int, pairs: dict[int, Comparison], p_holm: dict[int, float], gain: Comparison
) -> Answer:
    if best != reference and gain.mean > 0 and pairs[best].p_better >= MATTERS:
        if p_holm[best] <= LEVEL and gain.p_value <= LEVEL:
            return "advised"
        promising = p_holm[best] <= TRYING_LEVEL and pairs[best].p_value <= TRYING_ALONE
        if promising and gain.p_value <= TRYING_NESTED:
            return "worth trying"
    allowed = min(SMALL_OF_MANY, SMALL * max(1, len(pairs)) ** 0.5)
    if gain.p_better <= SMALL_NESTED and all(pair.p_better <= allowed for pair in pairs.values()):
        return "no difference"
    return "undecided"


def _text(
    answer: Answer,
    best: str,
    reference: str,
    gain: Comparison,
    margin: float,
    rows: int,
    needed: int | None,
    points: bool,
) -> str:
    mean, low, high = ((f"{100 * x:+.1f}" if points else f"{x:+.3f}") for x in (gain.mean, *gain.interval))
    unit, least = (" points", f"{100 * margin:g} points") if points else ("", f"{margin:g}")
    least = "1 point" if least == "1 points" else least
    nested_gain = f"{mean}{unit} (95 % interval {low} to {high}) on folds that took no part in choosing"
    more = f" About {needed:,} rows would tell; there are {rows:,}." if needed else ""
    if answer == "advised":
        return f"{best} is better than {reference}: choosing it gained {nested_gain}."
    if answer == "worth trying":
        return f"{best} is probably better than {reference}, which is not proven: choosing gained {nested_gain}.{more}"
    if answer == "no difference":
        return f"Stay with {reference}: no loss is likely to be better by more than {least}."
    edge = "" if needed else " The differences lie at the edge of what matters: either choice costs little."
    return (
        f"Stay with {reference} for now: {rows:,} rows are too few to tell whether another loss is better.{more}{edge}"
    )

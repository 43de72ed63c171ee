"""Do the probabilities mean what they say, and are there rows that a bounded loss could never learn?

Expected calibration error is biased upwards: even perfect probabilities show some on a finite sample. What perfect
probabilities would show is simulated and taken off. Knows probabilities and labels only."""

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from whyloss.advise.diagnose.case import PROBABILITY, Case, Floats, Ints, percent, share, worst
from whyloss.advise.diagnose.noise import Noise
from whyloss.advise.finding import Finding, Severity

DRAWS = 200
FEWEST = 100  # rows below which a temperature does more harm than good
VANISHING = 0.05  # of the largest gradient that the squared error on probabilities can have


def calibration_findings(case: Case, noise: Noise) -> list[Finding]:
    return [_calibration(case, noise), _saturation(case)]


def _calibration(case: Case, noise: Noise) -> Finding:
    confidence, correct = case.p.max(1), (~case.wrong).astype(float)
    bins = _equal_bins(confidence)
    generator = case.generator(9)
    raw = _gap(confidence, correct, bins)
    perfect = [_gap(confidence, (generator.random(case.rows) < confidence).astype(float), bins) for _ in range(DRAWS)]
    bias = float(np.mean(perfect))
    value = max(0.0, raw - bias)
    again: list[float] = []
    for _ in range(DRAWS):
        rows = generator.integers(0, case.rows, case.rows)
        again.append(_gap(confidence[rows], correct[rows], bins[rows]))
    # A resample is biased upwards once more; centring it on the raw figure takes that off.
    centred = np.asarray(again) - np.mean(again) + raw - bias
    interval = (float(max(0.0, np.quantile(centred, 0.025))), float(max(value, np.quantile(centred, 0.975))))
    chance = (1 + sum(other >= raw for other in perfect)) / (1 + DRAWS)

    matters = case.metric in PROBABILITY
    severity: Severity = "info"
    if chance <= 0.05 and interval[0] > 0.01:
        severity = "warning" if matters and interval[0] > 0.05 else "note" if matters or interval[0] > 0.03 else "info"
    lean = float(confidence.mean() - correct.mean())
    reach = f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"
    text = (
        f"The probabilities are off by {100 * value:.1f} points on average ({reach}), not counting the "
        f"{100 * bias:.1f} points that even perfect probabilities would show on this many rows."
    )
    if severity != "info":
        text += f" They are too {'sure' if lean > 0 else 'cautious'}."
    if noise.trusted:
        text += " This is measured against the given labels, of which some are wrong."
    temperature = _temperature(case)
    advice = ""
    if temperature["helps"]:
        advice = (
            f"Divide the logits by a temperature of {temperature['value']:.2f}: it lowers the log loss out of fold."
        )
    elif severity != "info":
        advice = "A temperature does not lower the log loss out of fold here; more rows or a simpler model may."
    return Finding(
        id="calibration",
        severity=severity,
        text=text,
        value=value,
        interval=interval,
        advice=advice,
        details={
            "bins": _table(confidence, correct, bins),
            "ece": raw,
            "bias": bias,
            "p": chance,
            "log_loss": float(-case.log_p[np.arange(case.rows), case.label].mean()),
            **_brier(case, confidence, correct, bins),
            "temperature": temperature,
        },
    )


def _equal_bins(confidence: Floats) -> Ints:
    """Bins with equally many rows: equal widths leave bins nearly empty, and those are all bias."""
    count = int(np.clip(len(confidence) // 20, 1, 15))
    bins = np.empty(len(confidence), dtype=np.int64)
    bins[np.argsort(confidence, kind="stable")] = np.arange(len(confidence)) * count // len(confidence)
    return bins


def _gap(confidence: Floats, correct: Floats, bins: Ints) -> float:
    return float(np.abs(np.bincount(bins, weights=confidence - correct)).sum() / len(bins))


def _table(confidence: Floats, correct: Floats, bins: Ints) -> list[dict[str, float]]:
    return [
        {
            "confidence": float(confidence[bins == part].mean()),
            "accuracy": float(correct[bins == part].mean()),
            "count": int((bins == part).sum()),
        }
        for part in np.unique(bins)
    ]


def _brier(case: Case, confidence: Floats, correct: Floats, bins: Ints) -> dict[str, float]:
    """Brier score over all classes, and Murphy's decomposition of its top-class part."""
    count = np.bincount(bins)
    accuracy = np.bincount(bins, weights=correct) / np.maximum(count, 1)
    said = np.bincount(bins, weights=confidence) / np.maximum(count, 1)
    mean = correct.mean()
    truth = np.eye(case.p.shape[1])[case.label]
    return {
        "brier": float(((case.p - truth) ** 2).sum(1).mean()),
        "reliability": float((count * (said - accuracy) ** 2).sum() / case.rows),
        "resolution": float((count * (accuracy - mean) ** 2).sum() / case.rows),
        "uncertainty": float(mean * (1 - mean)),
    }


def _temperature(case: Case) -> dict[str, Any]:
    """The temperature of all rows, and whether temperatures from other rows lower the log loss."""
    whole = _best_temperature(case.log_p, case.label)
    if case.rows < FEWEST:
        return {"value": whole, "gain": None, "interval": None, "helps": False, "reason": f"fewer than {FEWEST} rows"}
    fold = case.folds(5, 10)
    gain = np.zeros(case.rows)
    for part in np.unique(fold):
        test = fold == part
        scale = _best_temperature(case.log_p[~test], case.label[~test]) if (~test).any() else 1.0
        at = np.arange(int(test.sum())), case.label[test]
        gain[test] = log_softmax(case.log_p[test] / scale, axis=1)[at] - case.log_p[test][at]
    half = 1.96 * float(gain.std(ddof=1)) / np.sqrt(case.rows)
    mean = float(gain.mean())
    helps = mean - half > 0
    return {"value": whole, "gain": mean, "interval": [mean - half, mean + half], "helps": bool(helps), "reason": ""}


def _best_temperature(log_p: Floats, label: Ints) -> float:
    rows = np.arange(len(label))

    def log_loss(log_scale: float) -> float:
        return float(-log_softmax(log_p / np.exp(log_scale), axis=1)[rows, label].mean())

    # Bounded: on separable rows the best temperature is 0.
    found: Any = minimize_scalar(log_loss, bounds=(np.log(0.25), np.log(4)), method="bounded", options={"xatol": 1e-3})
    return float(np.exp(found.x))


def _saturation(case: Case) -> Finding:
    """Wrong rows on which the squared error of probabilities has no gradient left. Right and saturated is harmless."""
    residual = case.p.copy()
    residual[np.arange(case.rows), case.label] -= 1
    gradient = 2 * case.p * (residual - (case.p * residual).sum(1, keepdims=True))
    small = np.linalg.norm(gradient, axis=1) < VANISHING
    stuck = small & case.wrong
    rows = np.flatnonzero(stuck)
    part = len(rows) / case.rows
    severity: Severity = "warning" if part >= 0.05 else "note" if part >= 0.01 else "info"
    text = "No row is so surely wrong that a bounded loss (Brier, MAE) would hardly move it."
    if len(rows):
        text = (
            f"{percent(part)} of the rows are so surely wrong that a bounded loss (Brier, MAE) would hardly move them."
        )
    return Finding(
        id="saturation",
        severity=severity,
        text=text,
        value=part,
        interval=share(len(rows), case.rows),
        rows=worst(rows, 1 - case.p[rows, case.label[rows]]),
        advice="Look at these rows: sure and wrong is often a wrong label. If the labels are right, cross-entropy "
        "still learns from them where a bounded loss does not; scale the features and lower the learning rate."
        if severity != "info"
        else "",
        details={"wrong_and_saturated": len(rows), "right_and_saturated": int((small & ~case.wrong).sum())},
    )

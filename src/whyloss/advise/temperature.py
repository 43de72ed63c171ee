"""One temperature for all logits, fitted to out-of-fold predictions and kept only when it helps.

Fitted on fewer than some hundred separable rows a temperature makes things worse, hence the bounds and the cross-fit.
Knows numpy only; must not know metrics or folds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
COLDEST, HOTTEST = 0.05, 20.0


def fit_temperature(log_p: Array, y: Array) -> tuple[float, Array]:
    """The temperature, and the log-probabilities as they are under the temperature of the half of the rows they are
    not in. It stays at 1 unless these have the smaller log loss, by more than a standard error."""
    half = np.empty(len(y), dtype=bool)
    half[np.argsort(y, kind="stable")] = np.arange(len(y)) % 2 == 0  # each half has its part of every class
    unseen = log_p.astype(np.float64)
    for part in (half, ~half):
        if part.any():
            unseen[~part] = tempered(log_p[~part], sharpness(log_p[part], y[part]))
    row = np.arange(len(y))
    gain = unseen[row, y] - np.maximum(log_p[row, y], -1000.0)
    if not gain.mean() > gain.std() / np.sqrt(len(y)):
        return 1.0, log_p
    return 1 / sharpness(log_p, y), unseen


def tempered(log_p: Array, sharpness: float) -> Array:
    z = np.maximum(log_p.T, -1000.0, order="C") * sharpness  # classes first: reductions over few classes are slow
    z -= z.max(axis=0)
    return (z - np.log(np.exp(z).sum(axis=0))).T


def sharpness(log_p: Array, y: Array) -> float:
    """1 / temperature of the smallest log loss (convex in it): Newton's method inside a bracket."""
    z = np.maximum(log_p.T, -1000.0, order="C").astype(np.float64).T
    low, high, now, hit = 1 / HOTTEST, 1 / COLDEST, 1.0, z[np.arange(len(y)), y].mean()
    for _ in range(40):
        weighted = np.exp(tempered(z, now).T) * z.T
        mean = weighted.sum(axis=0)
        slope, curvature = mean.mean() - hit, np.einsum("ij,ij->", weighted, z.T) / len(y) - np.square(mean).mean()
        low, high = (low, now) if slope > 0 else (now, high)
        target = now - slope / curvature if curvature > 1e-12 else 0.0
        last, now = now, target if low < target < high else float(np.sqrt(low * high))
        if abs(now - last) < 1e-4 * last:
            break
    return float(now)

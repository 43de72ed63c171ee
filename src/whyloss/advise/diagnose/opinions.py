"""Two quick opinions about every row from models that never saw it: the probabilities that diagnoses stand on.

The first is a log-linear pool of a regularised linear model and extremely randomised trees: strong on tables of any
shape, and calibrated, because the pool is fitted (on other folds) to the log loss. The second is
nearest neighbours, a model that errs differently. Knows nothing of findings, and nothing of torch."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from whyloss.advise.diagnose.case import Floats, Ints

FLOOR = 1e-5  # the probability of a class that a training fold does not hold
WIDE = 96  # from this many columns on, distances and linear weights are taken in fewer directions


def first_opinions(
    features: Floats, label: Ints, folds: Sequence[tuple[Ints, Ints]], seed: int = 0
) -> tuple[Floats, Floats]:
    """Out-of-fold log-probabilities (N, C) of a strong calibrated model, and of nearest neighbours.

    C is the largest code plus one. A row that no fold tests keeps the class frequencies, so no row is lost."""
    count = int(label.max()) + 1
    frequency = np.maximum(np.bincount(label, minlength=count) / len(label), FLOOR)
    opinions = np.log(np.broadcast_to(frequency, (3, len(label), count))).copy()
    fold_of = np.full(len(label), -1)
    for number, (train, test) in enumerate(folds):
        fold_of[test] = number
        for which, model in enumerate(_models(len(train), features.shape[1], seed)):
            opinions[which, test] = _opinion(model, features, label, train, test, count)
    # Votes of few neighbours hold zeros; a little of the frequencies keeps them possible.
    second = np.log(0.98 * np.exp(opinions[2]) + 0.02 * frequency)
    return _pool(opinions[:2], label, fold_of), log_softmax(second, axis=1)


def _models(rows: int, columns: int, seed: int) -> tuple[Any, Any, Any]:
    linear = LogisticRegression(C=0.1, max_iter=200)
    large = rows > 15_000
    trees = ExtraTreesClassifier(60 if large else 100, min_samples_leaf=5 if large else 3, random_state=seed)
    near = KNeighborsClassifier(int(np.clip(np.sqrt(rows) / 2, min(5, rows), 30)), weights="distance")
    if columns < WIDE or rows <= WIDE:
        return linear, trees, near
    fewer = PCA(WIDE // 2, svd_solver="randomized", random_state=seed)
    return make_pipeline(fewer, linear), trees, make_pipeline(fewer, near)


def _opinion(model: Any, features: Floats, label: Ints, train: Ints, test: Ints, count: int) -> Floats:
    probability = np.full((len(test), count), FLOOR)
    present = np.unique(label[train])
    if len(present) == 1:
        probability[:, present] = 1.0
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a linear model that has not quite converged is good enough to look with
            model.fit(features[train], label[train])
        probability[:, present] = model.predict_proba(features[test])
    probability = np.maximum(probability, FLOOR)
    return np.log(probability / probability.sum(1, keepdims=True))


def _pool(opinions: Floats, label: Ints, fold_of: Ints) -> Floats:
    """A softmax of a weighted sum of log-probabilities, mixed with a share of pure chance.

    Without that share no weights fit noisy labels, where a model can know the class and still not the label. Weights
    and share of a fold come from the other folds."""
    pooled = log_softmax(opinions.mean(0), axis=1)
    for fold in np.unique(fold_of[fold_of >= 0]):
        inside, here = (fold_of != fold) & (fold_of >= 0), fold_of == fold
        if inside.any():
            weights, chance = _fit(opinions[:, inside], label[inside])
            q = np.exp(log_softmax(np.tensordot(weights, opinions[:, here], 1), axis=1))
            pooled[here] = np.log(np.maximum((1 - chance) * q + chance / q.shape[1], FLOOR**2))
    return log_softmax(pooled, axis=1)


def _fit(opinions: Floats, label: Ints) -> tuple[Floats, float]:
    rows, count = np.arange(len(label)), opinions.shape[2]
    given = opinions[:, rows, label]
    prior = np.append(np.full(len(opinions), 1 / len(opinions)), 0.01)

    def log_loss(parameters: Floats) -> tuple[float, Floats]:
        weights, chance = parameters[:-1], parameters[-1]
        q = np.exp(log_softmax(np.tensordot(weights, opinions, 1), axis=1))
        hit = q[rows, label]
        p = np.maximum((1 - chance) * hit + chance / count, 1e-12)
        pull = 5 / len(label) * (parameters - prior)  # as much as five rows would say for plain averaging
        slope = -((1 - chance) * hit / p * (given - np.einsum("nc,knc->kn", q, opinions))).mean(1)
        gradient = np.append(slope, -((1 / count - hit) / p).mean()) + pull
        return float(-np.log(p).mean() + pull @ (parameters - prior) / 2), gradient

    bounds = [(0.0, 8.0)] * len(opinions) + [(0.0, 0.9)]
    found: Any = minimize(log_loss, prior, jac=True, bounds=bounds, method="L-BFGS-B")
    return np.asarray(found.x[:-1]), float(found.x[-1])

"""Data with known trouble, and the findings of `diagnose` on it, for the tests of the diagnoses."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from whyloss.advise.diagnose import diagnose, first_opinions
from whyloss.advise.finding import Finding

DATA = Path(__file__).parents[1].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the shared data sets are not at {DATA}")

Array = NDArray[np.generic]


@dataclass
class Twins:
    group: Array
    exact: int
    near: int
    conflicts: Array
    ceiling: float


def twins(features: Array, label: Array) -> Twins:
    group = np.unique(features, axis=0, return_inverse=True)[1].reshape(-1)
    table = np.zeros((group.max() + 1, label.max() + 1), dtype=int)
    np.add.at(table, (group, label), 1)
    repeated = int(len(group) - len(table))
    mixed = (table > 0).sum(1) > 1
    return Twins(group, repeated, repeated, np.flatnonzero(mixed[group]), table.max(1).sum() / len(label))


def scaled(features: Array) -> Array:
    return StandardScaler().fit_transform(np.asarray(features, dtype=float)).astype("float32")


def folds(label: Array, count: int = 3) -> list[tuple[Array, Array]]:
    count = min(count, int(np.bincount(label).max()))
    order = np.argsort(np.random.default_rng(0).permutation(len(label)), kind="stable")
    if np.bincount(label).min() >= count:
        return list(StratifiedKFold(count, shuffle=True, random_state=0).split(label[:, None], label))
    return [(np.flatnonzero(order % count != part), np.flatnonzero(order % count == part)) for part in range(count)]


def noisy(label: Array, rate: float, seed: int = 0) -> Array:
    """Symmetric: a changed label is any other class with equal chance."""
    generator, count = np.random.default_rng(seed), label.max() + 1
    changed = generator.random(len(label)) < rate
    return np.where(changed, (label + generator.integers(1, count, len(label))) % count, label)


def gaussians(rows: int, distance: float, seed: int = 0) -> tuple[Array, Array]:
    generator = np.random.default_rng(seed)
    label = generator.integers(0, 2, rows)
    features = generator.normal(size=(rows, 2))
    features[:, 0] += distance * label
    return scaled(features), label


def simplex(rows: int, classes: int, distance: float, seed: int = 0) -> tuple[Array, Array]:
    """Classes of which every pair lies equally far apart: no two are related."""
    generator = np.random.default_rng(seed)
    label = generator.integers(0, classes, rows)
    return scaled(generator.normal(size=(rows, classes)) + distance * np.eye(classes)[label]), label


def findings(
    features: Array,
    label: Array,
    metric: str = "accuracy",
    ordered: bool = False,
    classes: list[str] | None = None,
    seed: int = 0,
    opinions: tuple[Array, Array] | None = None,
) -> dict[str, Finding]:
    names = classes or [f"class {code}" for code in range(label.max() + 1)]
    log_p, second = opinions or first_opinions(features, label, folds(label), seed)
    found = diagnose(features, label, names, log_p, metric, ordered, twins(features, label), second, seed)
    assert len({finding.id for finding in found}) == len(found)
    return {finding.id: finding for finding in found}

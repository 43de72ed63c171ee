"""What every diagnosis looks at: the rows, the labels, and what models that never saw a row say about it.

Knows plain arrays only; reads no file and trains nothing."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from scipy.stats import beta

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]

MOST_ROWS = 100  # a finding shows at most this many rows

EQUAL_CLASSES = frozenset({"balanced_accuracy", "f1", "average_precision"})  # a rare class counts like a common one
PROBABILITY = frozenset({"log_loss", "brier"})  # read the probabilities themselves, not only their order
DISTANCE = frozenset({"mae", "quadratic_kappa"})  # a far mistake between ordered classes costs more than a near one


class Duplicates(Protocol):
    """What the search for equal rows found."""

    @property
    def group(self) -> NDArray[Any]:
        """(N,), one number per set of equal or nearly equal rows."""
        ...

    @property
    def exact(self) -> int:
        """Rows that repeat an earlier row."""
        ...

    @property
    def near(self) -> int:
        """Rows that repeat an earlier row up to rounding, the exact ones included."""
        ...

    @property
    def conflicts(self) -> NDArray[Any]:
        """Rows that share all features with a row of another class."""
        ...

    @property
    def ceiling(self) -> float:
        """The accuracy that no model can pass, because equal rows carry different labels."""
        ...


@dataclass(frozen=True)
class Case:
    """One data set under diagnosis, with out-of-fold log-probabilities."""

    features: Floats  # (N, D), encoded and scaled
    label: Ints  # (N,), codes 0..C-1
    classes: list[str]
    log_p: Floats  # (N, C), rows sum to one
    metric: str
    ordered: bool
    duplicates: Duplicates
    second: Floats | None  # (N, C), log-probabilities of a model of another kind
    seed: int

    @cached_property
    def p(self) -> Floats:
        return np.exp(self.log_p)

    @cached_property
    def blend(self) -> Floats:
        """Mean probability of both models: sure only where both are."""
        return self.p if self.second is None else (self.p + np.exp(self.second)) / 2

    @cached_property
    def predicted(self) -> Ints:
        return self.p.argmax(1)

    @cached_property
    def wrong(self) -> Bools:
        return self.predicted != self.label

    @property
    def rows(self) -> int:
        return len(self.label)

    def generator(self, stream: int) -> np.random.Generator:
        """Randomness of its own for each diagnosis, so that adding one does not change another."""
        return np.random.default_rng((self.seed, stream))

    def folds(self, count: int, stream: int) -> Ints:
        """A fold number per row; equal rows share it."""
        group = np.unique(self.duplicates.group, return_inverse=True)[1].reshape(-1)
        order = self.generator(stream).permutation(int(group.max()) + 1)
        return (order % count)[group]


def normalised(log_p: Floats) -> Floats:
    """Rows sum to one and no class is impossible: one row with probability zero would decide every mean."""
    finite = np.nan_to_num(np.asarray(log_p, dtype=np.float64), nan=-30.0, neginf=-30.0, posinf=30.0)
    return log_softmax(np.maximum(finite, finite.max(1, keepdims=True) - 30.0), axis=1)


def share(hits: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of a share; (0, 1) where there is nothing to count."""
    if total == 0:
        return 0.0, 1.0
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(beta.ppf(tail, hits, total - hits + 1))
    high = 1.0 if hits == total else float(beta.ppf(1 - tail, hits + 1, total - hits))
    return low, high


def worst(rows: Ints, badness: Floats) -> list[int]:
    """Row numbers, worst first; equal ones in the order of the file."""
    return [int(row) for row in rows[np.argsort(-badness, kind="stable")][:MOST_ROWS]]


def percent(value: float) -> str:
    """A share as a reader wants it: one decimal where it is small."""
    return f"{100 * value:.1f} %" if value < 0.0995 else f"{100 * value:.0f} %"


def counted(number: int, noun: str = "row", plural: str = "") -> str:
    return f"{number} {noun if number == 1 else plural or noun + 's'}"

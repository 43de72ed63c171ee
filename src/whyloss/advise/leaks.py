"""Features that give the label away: a copy is refused, a suspiciously perfect one is reported.

Knows nothing of models: everything here is one pass over each column."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from whyloss.advise.finding import Finding, InputError
from whyloss.advise.names import listing

FEW_ROWS = 10  # with fewer rows a column agrees with the label by chance
REPEATS = 5  # rows per value on average before "each value has one class" means anything


def check(
    features: pd.DataFrame, numeric: list[str], label: NDArray[np.int64], classes: list[str], column: str
) -> list[Finding]:
    """Raise on a recoded copy of the label; return what else determines it."""
    notes: list[Finding] = []
    if len(label) < FEW_ROWS:
        return notes
    perfect = set(_separating(features, numeric, label))
    for name in map(str, features.columns):
        column_values: Any = features[name]
        codes, values = pd.factorize(column_values, use_na_sentinel=False)
        if len(values) <= len(label) / REPEATS:
            pairs = np.unique(codes * np.int64(len(classes)) + label)
            if len(pairs) == len(values) == len(classes):
                raise InputError(_copy(name, column, values, pairs % len(classes), classes))
            if len(pairs) == len(values):
                notes.append(_suspect(name, f"each of its {len(values)} values has rows of one class only"))
                continue
        missing = column_values.isna().to_numpy()
        if name in perfect:
            notes.append(
                _suspect(name, "its ranges for the classes do not overlap, so a threshold on it is always right")
            )
        elif missing.any() and len(np.unique(missing * len(classes) + label)) == len(classes):
            notes.append(_suspect(name, "it is missing in every row of some classes and in no row of the others"))
    return notes


def _copy(name: str, column: str, values: Any, code: NDArray[np.int64], classes: list[str]) -> str:
    # Sorted pairs put the values in order of first appearance, which is how factorize numbers them.
    meaning = listing([f"{value} = {classes[c]}" for value, c in zip(values, code, strict=True)], 3)
    return (
        f"Column {name!r} is a copy of the label {column!r} in other words: each of its {len(values)} values stands "
        f"for one class ({meaning}). Every model would be perfect and no loss could be told from another. Probably the "
        f"label was stored twice. Leave it out with --drop {name}."
    )


def _suspect(name: str, why: str) -> Finding:
    return Finding(
        "leak_suspect",
        "serious",
        f"Column {name!r} alone determines the label: {why}.",
        advice=f"If it is only known after the label is, leave it out: --drop {name}.",
        details={"column": name},
    )


def _separating(features: pd.DataFrame, numeric: list[str], label: NDArray[np.int64]) -> list[str]:
    """Numeric columns in which the classes occupy ranges that do not overlap (NaN counts as overlapping)."""
    if not numeric:
        return []
    by_class = np.argsort(label, kind="stable")
    values = features[numeric].to_numpy()[by_class]
    starts = np.flatnonzero(np.diff(label[by_class], prepend=-1))
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    order = np.argsort(low, axis=0)
    low, high = np.take_along_axis(low, order, 0), np.take_along_axis(high, order, 0)
    apart: NDArray[np.bool_] = np.asarray((high[:-1] < low[1:]).all(axis=0))
    return [name for name, is_apart in zip(numeric, apart, strict=True) if is_apart]

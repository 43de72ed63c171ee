"""Which rows belong together, and how rows are cut into folds.

Knows nothing of models and losses. Everything is a pure function of the table and a seed."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.util import hash_pandas_object
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from whyloss.advise.finding import InputError
from whyloss.advise.names import listing
from whyloss.advise.table import Rows, Table

NEAR = 1e-6  # of a column's spread: what is closer is the same measurement, stored twice
SPACE = 10  # more rows than this per different row: the features simply have few values
MANY_TIES = 2000  # StratifiedGroupKFold loops over groups in Python, so above this whole ties are dealt by class
ATTEMPTS = 20
LEAST = 50  # rows of each class that a sample keeps


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Rows with the same features. Only the columns in use count."""

    exact: int  # rows whose features repeat those of an earlier row
    near: int  # the same up to rounding; includes the exact ones
    group: Rows  # (N,) rows with one number are exact or near duplicates
    conflicts: Rows  # rows that share all features with a row of another class
    ceiling: float  # accuracy that no model can pass, because equal features carry different labels
    few_values: bool  # repeats come from a small space of values rather than from copying


def duplicates(table: Table) -> Duplicates:
    exact, near = _same(table, rounded=False), _same(table, rounded=True)
    rows, classes = len(table), len(table.classes)
    pair, pair_of, count = np.unique(exact * np.int64(classes) + table.label, return_inverse=True, return_counts=True)
    most = np.zeros(exact.max() + 1, dtype=np.int64)
    np.maximum.at(most, pair // classes, count)
    mixed = np.bincount(pair // classes) > 1
    return Duplicates(
        exact=int(rows - len(most)),
        near=int(rows - near.max() - 1),
        group=near,
        conflicts=np.flatnonzero(mixed[pair[pair_of] // classes]),
        ceiling=float(most.sum() / rows),
        few_values=bool((near.max() + 1) * SPACE < rows),
    )


def _same(table: Table, rounded: bool) -> Rows:
    """A number per row, equal where all features are (up to NEAR of each column's spread when `rounded`)."""
    parts: list[Any] = []
    if table.numeric:
        values: Any = table.features[table.numeric].astype("float64") + 0.0  # -0.0 and 0.0 are one value
        if rounded:
            low, middle, high = (values.quantile(share) for share in (0.25, 0.5, 0.75))
            spread = (high - low).where(high > low, values.std()).replace(0.0, 1.0)
            steps = ((values - middle) / (NEAR * spread)).round() + 0.0
            values = steps.where(steps.abs() < 2**52, values)  # beyond that there is nothing to round
        parts.append(values)
    if table.categorical:
        parts.append(table.features[table.categorical].fillna("\0"))
    hashed: Any = hash_pandas_object(pd.concat(parts, axis=1), index=False)  # pyright: ignore[reportCallIssue]
    return pd.factorize(hashed)[0].astype(np.int64)


def split(table: Table, folds: int, seed: int) -> list[tuple[Rows, Rows]]:
    """(train rows, test rows) of each fold: stratified, groups and duplicates kept whole, the same for the same seed.

    Fewer folds come back than asked for where there are fewer groups, or where no class has that many rows."""
    if folds < 2:
        raise ValueError(f"folds should be at least 2, got {folds}")
    _refuse_split_groups(table)
    tied = _ties(table, folds)
    # A tie stands for its rarest class, so that rows of rare classes are the ones that get spread most evenly.
    rarity = np.argsort(np.argsort(-table.counts, kind="stable"), kind="stable")
    stands_for = np.zeros(tied.max() + 1, dtype=np.int64)
    np.maximum.at(stands_for, tied, rarity[table.label])
    folds = min(folds, len(stands_for), int(np.bincount(stands_for).max()), int(table.counts.max()))
    if folds < 2:
        raise InputError(
            f"The {len(table)} rows cannot be cut into folds: they belong to {len(stands_for)} groups of which no two "
            "hold the same class. Bring more rows, or use a finer --group column."
        )
    # A class inside one tie is missing from one training part, whatever the cut.
    unavoidable = int((_spread(table.label, tied) == 1).sum())
    best: tuple[int, Rows] | None = None
    for attempt in range(ATTEMPTS):
        # StratifiedGroupKFold balances rows best but may put all ties of a rare class into one fold, whatever its seed.
        by_class = len(stands_for) == len(table) or len(stands_for) > MANY_TIES or attempt > 0
        fold_of = _deal(table.label, tied, stands_for, folds, seed + 1_000_003 * attempt, by_class)
        missing = _missing(table, fold_of, folds)
        if best is None or missing < best[0]:
            best = missing, fold_of
        if missing <= unavoidable:
            break
    assert best is not None
    fold_of = best[1]
    return [(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(folds)]


def _deal(label: Rows, tied: Rows, stands_for: Rows, folds: int, seed: int, by_class: bool) -> Rows:
    """The fold of each row."""
    seed %= 2**32
    ties = len(stands_for)
    fold_of = np.zeros(len(label), dtype=np.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        if by_class:
            cut = StratifiedKFold(folds, shuffle=True, random_state=seed).split(stands_for, stands_for)
            fold_of_tie = np.zeros(ties, dtype=np.int64)
            for fold, (_, test) in enumerate(cut):
                fold_of_tie[test] = fold
            return fold_of_tie[tied]
        grouped = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(label, label, tied)
        for fold, (_, test) in enumerate(grouped):
            fold_of[test] = fold
    return fold_of


def _missing(table: Table, fold_of: Rows, folds: int) -> int:
    """How many (training part, class) pairs lack the class, plus a penalty for every empty fold."""
    classes = len(table.classes)
    counts = np.bincount(fold_of * classes + table.label, minlength=folds * classes).reshape(folds, classes)
    lacking = (counts == table.counts) & (table.counts > 0)
    return int(lacking.sum() + 1000 * (counts.sum(axis=1) == 0).sum())


def _ties(table: Table, folds: int) -> Rows:
    """(N,) rows with one number have to share a fold: groups joined with duplicates, where that leaves a choice."""
    copies = duplicates(table)
    # A value that a fold cannot hold, or features with few values at all, are no copying: tying them would empty folds.
    too_large = np.bincount(copies.group)[copies.group] > max(len(table) / (2 * folds), 2)
    free = np.full(len(table), copies.few_values) | too_large
    same = np.where(free, copies.group.max() + 1 + np.arange(len(table)), copies.group)
    _, same = np.unique(same, return_inverse=True)
    if table.groups is None:
        return same.astype(np.int64)
    _, groups = np.unique(table.groups, return_inverse=True)
    nodes = int(groups.max() + same.max() + 2)
    edges = coo_array((np.ones(len(groups)), (groups, groups.max() + 1 + same)), shape=(nodes, nodes))
    part = connected_components(edges, directed=False)[1][groups].astype(np.int64)
    # Duplicates that chain the groups into one lump lose against the groups, which the user asked for.
    return part if np.bincount(part).max() <= len(table) / 2 else groups.astype(np.int64)


def _refuse_split_groups(table: Table) -> None:
    if table.groups is None:
        return
    alone = [table.classes[code] for code in np.flatnonzero(_spread(table.label, table.groups) == 1)]
    if alone:
        raise InputError(
            f"{'Class' if len(alone) == 1 else 'Classes'} {listing(alone, 5)}: all rows live in one group only. Groups "
            "are never cut, so such a class cannot be both trained and tested. Use a finer --group column, merge the "
            "class with another, or leave --group out if rows of one group are not alike."
        )


def _spread(label: Rows, tied: Rows) -> Rows:
    """In how many ties each class occurs."""
    pairs = np.unique(np.stack([label, tied]), axis=1)
    return np.bincount(pairs[0]).astype(np.int64)


def sample_rows(table: Table, limit: int, seed: int) -> Rows:
    """About `limit` row numbers in file order, in the classes' proportions, at least min(count, 50) of each."""
    rows = len(table)
    if rows <= limit:
        return np.arange(rows, dtype=np.int64)
    counts = table.counts
    keep = np.maximum(np.minimum(counts, LEAST), np.floor(counts * limit / rows).astype(np.int64))
    while keep.sum() > limit and (keep > np.minimum(counts, LEAST)).any():  # the large classes pay for the small ones
        spare = keep - np.minimum(counts, LEAST)
        keep = keep - np.minimum(spare, np.ceil((keep.sum() - limit) * spare / spare.sum()).astype(np.int64))
    order = np.random.default_rng(seed).permutation(rows)
    chosen = [order[table.label[order] == code][: keep[code]] for code in range(len(counts))]
    return np.sort(np.concatenate(chosen)).astype(np.int64)

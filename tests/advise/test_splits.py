"""Folds: what belongs together stays together, rare classes are never lost where that can be helped."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyloss.advise.data import Table, duplicates, read, sample_rows, split
from whyloss.advise.finding import InputError

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def shared(path: str) -> Path:
    if not (SHARED / path).exists():
        pytest.skip(f"the public data set {path} is not beside the checkout")
    return SHARED / path


def table(label: np.ndarray | list[int], x: np.ndarray | None = None, groups: np.ndarray | None = None) -> Table:
    codes = np.asarray(label, dtype=np.int64)
    values = np.random.default_rng(0).normal(size=(len(codes), 2)) if x is None else np.asarray(x, dtype=float)
    features = pd.DataFrame(values.reshape(len(codes), -1)).add_prefix("x")
    classes = [str(code) for code in range(codes.max() + 1)]
    return Table("t", features, codes, classes, groups, list(features.columns), [], False, [], "y")


def check_partition(made: Table, folds: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Every row is tested once and never trained on in that fold; returns the fold of each row."""
    fold_of = np.full(len(made), -1)
    for number, (train, test) in enumerate(folds):
        assert len(test) > 0
        assert sorted(np.concatenate([train, test])) == list(range(len(made)))
        assert (fold_of[test] == -1).all()
        fold_of[test] = number
    return fold_of


def straddling(fold_of: np.ndarray, tied: np.ndarray) -> int:
    """How many ties lie in more than one fold."""
    pairs = np.unique(np.stack([tied, fold_of]), axis=1)
    return int((np.bincount(pairs[0]) > 1).sum())


def lost(made: Table, folds: list[tuple[np.ndarray, np.ndarray]]) -> int:
    return sum(len(set(made.label) - set(made.label[train])) for train, _ in folds)


def test_plain_folds_are_stratified() -> None:
    made = table([0] * 90 + [1] * 10)
    folds = split(made, 5, 0)
    check_partition(made, folds)
    assert [int(made.label[test].sum()) for _, test in folds] == [2] * 5
    assert [len(test) for _, test in folds] == [20] * 5


def test_same_seed_same_folds() -> None:
    made = table([0, 1] * 30)
    first, again, other = split(made, 4, 3), split(made, 4, 3), split(made, 4, 4)
    assert all((a[1] == b[1]).all() for a, b in zip(first, again, strict=True))
    assert any(a[1].tolist() != b[1].tolist() for a, b in zip(first, other, strict=True))


def test_rare_classes_stay_in_every_training_part() -> None:
    made = table([0] * 60 + [1] * 2 + [2] * 3)
    for seed in range(10):
        folds = split(made, 5, seed)
        check_partition(made, folds)
        assert lost(made, folds) == 0


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(2, 30), min_size=2, max_size=6),
    copies=st.integers(0, 20),
    folds=st.integers(2, 6),
    seed=st.integers(0, 2**40),
)
def test_any_table(counts: list[int], copies: int, folds: int, seed: int) -> None:
    label = np.repeat(np.arange(len(counts)), counts)
    random = np.random.default_rng(seed)
    x = random.normal(size=(len(label), 2))
    for _ in range(min(copies, len(label) // 4)):
        x[random.integers(len(label))] = x[random.integers(len(label))]
    made = table(label, x)
    found = duplicates(made)
    cut = split(made, folds, seed)
    fold_of = check_partition(made, cut)
    size = np.bincount(found.group)
    tied = np.where(size[found.group] <= max(len(made) / (2 * len(cut)), 2), found.group, -1)
    assert straddling(fold_of[tied >= 0], tied[tied >= 0]) == 0
    alone = sum(len(np.unique(found.group[label == code])) == 1 for code in range(len(counts)))
    assert lost(made, cut) <= alone + (found.near > 0) * len(counts)
    if found.near == 0:
        assert lost(made, cut) == 0


def test_duplicates_never_straddle_a_fold() -> None:
    random = np.random.default_rng(0)
    x = np.repeat(random.normal(size=(100, 3)), 3, axis=0)
    x[1::3] += 1e-9  # near duplicates too
    made = table(random.integers(0, 2, 300), x)
    fold_of = check_partition(made, split(made, 5, 0))
    assert straddling(fold_of, np.arange(300) // 3) == 0
    assert np.bincount(fold_of).min() > 40


def test_many_ties_are_dealt_by_class() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(6000, 2))
    x[3000:4000] = x[2000:3000]
    made = table((random.random(6000) < 0.02).astype(int), x)
    fold_of = check_partition(made, split(made, 5, 0))
    assert straddling(fold_of, duplicates(made).group) == 0
    rates = [made.label[fold_of == fold].mean() for fold in range(5)]
    assert max(rates) - min(rates) < 0.01


def test_a_tie_stands_for_its_rarest_class() -> None:
    x = np.random.default_rng(0).normal(size=(3000, 2))
    x[:3] = x[3:6]  # the three rows of class 0, each with a twin of class 1
    made = table([0] * 3 + [1] * 2997, x)
    for seed in range(10):
        fold_of = check_partition(made, split(made, 5, seed))
        assert len(set(fold_of[:3])) == 3


def test_groups_lose_no_class_that_could_be_kept() -> None:
    cut = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        groups = random.integers(0, random.integers(4, 12), 60)
        made = table(random.choice(4, 60, p=[0.5, 0.4, 0.05, 0.05]), groups=groups)
        if any(len(np.unique(groups[made.label == code])) < 2 for code in range(4)):
            continue  # refused, as another test says
        folds = split(made, 4, seed)
        assert straddling(check_partition(made, folds), groups) == 0
        assert lost(made, folds) == 0
        cut += 1
    assert cut > 50


def test_groups_never_straddle_a_fold_and_join_with_duplicates() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 10)
    x = random.normal(size=(200, 2))
    x[5] = x[195]  # ties group 0 to group 19
    made = table(random.integers(0, 3, 200), x, groups)
    fold_of = check_partition(made, split(made, 5, 0))
    assert straddling(fold_of, groups) == 0
    assert fold_of[0] == fold_of[195]


def test_groups_win_over_duplicates_that_chain_everything() -> None:
    groups = np.repeat(np.arange(6), 10)
    x = np.random.default_rng(0).normal(size=(60, 1))
    x[[9, 19, 29, 39, 49]] = x[[10, 20, 30, 40, 50]]
    made = table([0, 1] * 30, x, groups)
    folds = split(made, 3, 0)
    assert straddling(check_partition(made, folds), groups) == 0
    assert len(folds) == 3


def test_fewer_groups_than_folds_give_fewer_folds() -> None:
    made = table([0, 1] * 30, groups=np.repeat(np.arange(3), 20))
    assert len(split(made, 5, 0)) == 3


def test_class_in_one_group_is_refused() -> None:
    groups = np.repeat(np.arange(4), 10)
    label = [0, 1] * 15 + [2] * 10
    with pytest.raises(InputError, match=r"Class '2': all rows live in one group only.*--group"):
        split(table(label, groups=groups), 3, 0)


def test_one_fold_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        split(table([0, 1] * 5), 1, 0)


def test_fifty_thousand_rows_are_cut_quickly() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(50_000, 3))
    x[:5000] = x[5000:10_000]
    made = table(random.integers(0, 4, 50_000), x)
    start = time.perf_counter()
    split(made, 5, 0)
    assert time.perf_counter() - start < 3


# Duplicates and the ceiling


def test_duplicates_are_counted_and_bound_the_accuracy() -> None:
    x = np.arange(40.0) ** 2
    x[[1, 2]] = x[0]  # three equal rows
    x[4] = x[3] + 1e-6  # equal up to rounding, far below the spread of hundreds
    label = [0, 0, 1, 0, 1] + [0, 1] * 17 + [0]
    found = duplicates(table(label, x))
    assert (found.exact, found.near) == (2, 3)
    assert found.conflicts.tolist() == [0, 1, 2]
    assert found.ceiling == pytest.approx(39 / 40)
    assert found.group[0] == found.group[1] == found.group[2] != found.group[3]
    assert found.group[3] == found.group[4]
    assert not found.few_values


def test_missing_and_categories_count_as_values() -> None:
    data = pd.DataFrame({"a": [1.5, 1.5, np.nan, np.nan, 2.5, -0.0, 0.0], "b": ["u", "v", "u", "u", None, "v", "v"]})
    made = Table("t", data, np.zeros(7, dtype=np.int64), ["0"], None, ["a"], ["b"], False, [], "y")
    found = duplicates(made)
    assert found.exact == 2
    assert found.group[2] == found.group[3]
    assert found.group[5] == found.group[6]


def test_few_values_are_a_space_and_no_copies() -> None:
    random = np.random.default_rng(0)
    made = table(random.integers(0, 2, 400), random.integers(0, 3, (400, 2)))
    found = duplicates(made)
    assert found.few_values
    assert found.ceiling < 1
    fold_of = check_partition(made, split(made, 5, 0))
    assert np.bincount(fold_of).tolist() == [80] * 5
    assert straddling(fold_of, found.group) > 0


def test_a_value_too_common_for_one_fold_is_spread() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 2))
    x[:80] = 0
    fold_of = check_partition(table(random.integers(0, 2, 200), x), split(table(random.integers(0, 2, 200), x), 5, 0))
    assert np.bincount(fold_of).tolist() == [40] * 5


# Samples and parts


def test_sample_keeps_proportions_and_rare_classes() -> None:
    made = table([0] * 9000 + [1] * 900 + [2] * 70 + [3] * 30)
    rows = sample_rows(made, 1000, 0)
    counts = made.take(rows).counts
    assert counts[2] >= 50
    assert counts[3] == 30
    assert counts[0] > 8 * counts[1]
    assert 980 <= len(rows) <= 1000
    assert (np.diff(rows) > 0).all()
    assert rows.tolist() == sample_rows(made, 1000, 0).tolist() != sample_rows(made, 1000, 1).tolist()


def test_small_tables_are_not_sampled() -> None:
    assert sample_rows(table([0, 1] * 10), 20, 0).tolist() == list(range(20))


def test_take_keeps_rows_codes_and_groups_together() -> None:
    made = table([0, 1, 2] * 4, groups=np.arange(12) // 2)
    part = made.take(np.array([5, 0, 11]))
    assert part.label.tolist() == [2, 0, 2]
    assert part.groups is not None
    assert part.groups.tolist() == [2, 0, 5]
    assert part.classes == made.classes
    assert part.features.index.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(part.features.to_numpy(), made.features.to_numpy()[[5, 0, 11]])


# Public data sets


@pytest.mark.parametrize(
    ("path", "repeats"),
    [("wine_quality/winequality-red.csv.gz", 240), ("wine_quality/winequality-white.csv.gz", 937)],
)
def test_wine_repeats_stay_in_one_fold(path: str, repeats: int) -> None:
    made = read(shared(path))
    found = duplicates(made)
    assert found.exact == repeats
    folds = split(made, 5, 0)
    assert straddling(check_partition(made, folds), found.group) == 0
    assert lost(made, folds) == 0


@pytest.mark.parametrize("path", ["ecoli_glass/ecoli.csv", "ecoli_glass/glass.csv", "german_credit/german.csv.gz"])
def test_tiny_classes_stay_in_training(path: str) -> None:
    made = read(shared(path))
    for seed in range(3):
        folds = split(made, 5, seed)
        check_partition(made, folds)
        assert lost(made, folds) == 0


def test_mammography_shares_most_of_its_background() -> None:
    made = read(shared("mammography/mammography.csv.gz"))
    found = duplicates(made)
    assert 0.99 < found.ceiling < 1
    positive = [int(made.label[test].sum()) for _, test in split(made, 5, 0)]
    assert max(positive) - min(positive) <= 2

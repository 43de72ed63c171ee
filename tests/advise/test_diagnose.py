"""What `diagnose` finds, and what it must not find: each test is a trap that a naive method falls into."""

import gzip
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from whyloss.advise.diagnose import diagnose, first_opinions
from whyloss.advise.finding import Finding

DATA = Path(__file__).parents[2].parent / "shared" / "data"
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


@pytest.fixture(scope="module")
def digits() -> tuple[Array, Array]:
    features, label = load_digits(return_X_y=True)
    return scaled(features), label


@pytest.fixture(scope="module")
def clean(digits: tuple[Array, Array]) -> dict[str, Finding]:
    return findings(*digits)


@pytest.fixture(scope="module")
def four_tenths(digits: tuple[Array, Array]) -> dict[str, Finding]:
    return findings(digits[0], noisy(digits[1], 0.4))


# --- wrong labels ---------------------------------------------------------------------------------------------------


def test_forty_percent_noise_is_named(four_tenths: dict[str, Finding]) -> None:
    rate = four_tenths["label_noise"]
    assert rate.severity == "serious"
    assert rate.value == pytest.approx(0.4, abs=0.05)
    assert rate.interval[0] <= 0.4 <= rate.interval[1]
    assert rate.details["trusted"]
    assert not rate.details["overlap_explains"]
    assert "semi-supervised" in rate.advice


def test_transition_matrix_of_noise_is_near_the_truth(four_tenths: dict[str, Finding]) -> None:
    details = four_tenths["noise_transition"].details
    matrix = np.array(details["matrix"])
    assert details["trusted"]
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(np.diag(matrix), 0.6, atol=0.12)
    assert np.diag(matrix).mean() == pytest.approx(0.6, abs=0.04)


def test_one_class_written_as_another(digits: tuple[Array, Array]) -> None:
    features, label = digits
    given = np.where((label == 3) & (np.random.default_rng(0).random(len(label)) < 0.4), 8, label)
    found = findings(features, given)
    details = found["noise_transition"].details
    assert found["label_noise"].details["trusted"]
    assert details["matrix"][3][8] == pytest.approx(0.4, abs=0.1)
    assert "class 3 labelled as class 8" in found["noise_transition"].text


def test_ranked_rows_are_the_changed_ones(digits: tuple[Array, Array]) -> None:
    features, label = digits
    given = noisy(label, 0.1, seed=3)
    issues = findings(features, given)["label_issues"]
    assert len(issues.rows) == 100
    assert np.mean((given != label)[issues.rows]) > 0.97
    suspect = issues.details["suspects"][0]
    assert suspect["suggested"] == f"class {label[suspect['row']]}"


def test_clean_digits_have_no_noise(clean: dict[str, Finding]) -> None:
    rate = clean["label_noise"]
    assert rate.severity == "info"
    assert rate.value <= 0.01
    assert rate.interval[1] < 0.035
    assert not rate.details["trusted"]


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer])
def test_clean_small_sets_have_no_noise(load: Callable[..., tuple[Array, Array]]) -> None:
    features, label = load(return_X_y=True)
    rate = findings(scaled(features), label)["label_noise"]
    assert rate.severity in ("info", "note")
    assert rate.value <= 0.02


@pytest.mark.parametrize("distance", [0.5, 1.0, 2.0])
def test_overlap_is_not_noise(distance: float) -> None:
    rate = findings(*gaussians(3000, distance))["label_noise"]
    assert rate.severity in ("info", "note")
    assert rate.interval == (0.0, rate.details["error"])
    assert rate.details["overlap_explains"]
    assert "overlap" in rate.text
    if distance < 2:  # what the confident joint alone would have claimed
        assert rate.details["confident_joint"] > 0.15


def test_labels_that_the_features_do_not_know_are_not_called_noise() -> None:
    features = scaled(np.random.default_rng(0).normal(size=(1500, 6)))
    for label in (np.random.default_rng(1).integers(0, 3, 1500), (np.random.default_rng(2).random(1500) < 0.1) * 1):
        rate = findings(features, label)["label_noise"]
        assert not rate.details["trusted"]
        assert rate.severity == "note"


def test_noise_on_overlapping_classes_is_found_under_the_overlap() -> None:
    features, label = gaussians(4000, 3.0)
    rate = findings(features, noisy(label, 0.2))["label_noise"]
    assert rate.details["trusted"]
    assert rate.value == pytest.approx(0.2, abs=0.04)


def test_equal_rows_with_different_labels_are_overlap() -> None:
    """Four different rows: nothing tells a wrong label from a class that is simply not determined."""
    generator = np.random.default_rng(0)
    side = generator.integers(0, 2, (2000, 2))
    label = np.where(generator.random(2000) < 0.25, 1 - side[:, 0], side[:, 0])
    found = findings(scaled(side), label)
    assert found["label_noise"].details["overlap_explains"]
    assert found["conflicting_duplicates"].severity == "warning"
    assert found["conflicting_duplicates"].details["ceiling"] == pytest.approx(0.75, abs=0.03)


def test_noise_in_one_region_is_foretold_by_the_features() -> None:
    generator = np.random.default_rng(0)
    features, label = simplex(2500, 3, 8.0)
    source = generator.normal(size=2500)
    features = np.column_stack([features, source]).astype("float32")
    odd = generator.random(2500) < np.where(source > 0, 0.4, 0.1)
    given = np.where(odd, (label + 1) % 3, label)
    uneven = findings(features, given)["instance_dependent_noise"]
    even = findings(features, noisy(label, 0.25))["instance_dependent_noise"]
    assert uneven.interval[0] > 0.55
    assert even.interval[0] < 0.53
    assert even.severity == "info"


# --- classes --------------------------------------------------------------------------------------------------------


def test_symmetric_noise_is_no_relation_between_classes(four_tenths: dict[str, Finding]) -> None:
    hits = 0
    for seed in range(4):
        features, label = simplex(900, 5, 4.0, seed)
        hits += "class_relations" in findings(features, noisy(label, 0.4, seed), seed=seed)
    assert hits <= 1
    assert "class_relations" not in four_tenths


def test_related_classes_are_found() -> None:
    generator = np.random.default_rng(0)
    label = generator.integers(0, 5, 2000)
    centre = 5 * np.eye(5)
    centre[1] = centre[0] + 0.4  # two of the five lie close together
    found = findings(scaled(generator.normal(size=(2000, 5)) + centre[label]), label)
    relation = found["class_relations"]
    assert relation.details["pairs"][0]["classes"] == ["class 0", "class 1"]
    assert relation.value > 0.8
    assert set(np.unique(label[relation.rows])) <= {0, 1}


def test_order_shows_only_where_there_is_one() -> None:
    generator = np.random.default_rng(0)
    grade = generator.integers(0, 5, 800)
    features = scaled(np.column_stack([grade + 1.5 * generator.normal(size=800), generator.normal(size=(800, 2))]))
    numbers = ["1", "2", "3", "4", "5"]
    opinions = first_opinions(features, grade, folds(grade))
    undeclared = findings(features, grade, classes=numbers, opinions=opinions)["ordered_classes"]
    assert undeclared.details["shows"]
    assert "--ordered 1,2,3,4,5" in undeclared.advice
    assert findings(features, grade, "mae", True, numbers, 0, opinions)["ordered_classes"].severity == "info"
    assert "ordered_classes" not in findings(features, grade, classes=list("abcde"), opinions=opinions)
    code = np.array([3, 0, 4, 1, 2])
    scrambled, old = code[grade], np.argsort(code)
    moved = opinions[0][:, old], opinions[1][:, old]
    assert findings(features, scrambled, "mae", True, numbers, 0, moved)["ordered_classes"].severity == "warning"
    assert "ordered_classes" not in findings(features, scrambled, classes=numbers, opinions=moved)


def test_digits_are_not_taken_for_grades(digits: tuple[Array, Array]) -> None:
    assert "ordered_classes" not in findings(*digits, classes=[str(code) for code in range(10)])


def test_always_the_middle_class_is_no_order() -> None:
    """A head that knows nothing but answers the middle has the lowest mean absolute error, and kappa 0."""
    label = np.random.default_rng(0).choice(5, 800, p=[0.1, 0.2, 0.4, 0.2, 0.1])
    features = scaled(np.random.default_rng(1).normal(size=(800, 3)))
    finding = findings(features, label, "mae", True)["ordered_classes"]
    assert not finding.details["shows"]
    assert finding.severity == "warning"


def test_imbalance_is_grave_only_where_the_metric_cares() -> None:
    features, label = gaussians(3000, 3.0)
    keep = (label == 0) | (np.random.default_rng(0).random(3000) < 0.02)
    features, label = features[keep], label[keep]
    cares = findings(features, label, "balanced_accuracy")["class_imbalance"]
    careless = findings(features, label, "accuracy")["class_imbalance"]
    assert cares.severity == "serious"
    assert careless.severity == "note"
    assert cares.advice.startswith("Tune the threshold")
    assert cares.interval[0] < cares.value < cares.interval[1]
    assert cares.details["counts"] == {"class 0": int((label == 0).sum()), "class 1": int((label == 1).sum())}
    assert (label[cares.rows] == 1).all()


def test_few_rows_are_said_to_be_few(clean: dict[str, Finding]) -> None:
    features, label = load_iris(return_X_y=True)
    assert findings(scaled(features), label)["small_data"].severity == "warning"
    assert "small_data" not in clean


def test_duplicates_and_conflicts_are_counted() -> None:
    features, label = gaussians(400, 4.0)
    features = np.vstack([features, features[:40]])
    label = np.concatenate([label, label[:30], 1 - label[30:40]])
    found = findings(features, label)
    assert found["duplicates"].severity == "warning"
    assert found["duplicates"].value == pytest.approx(40 / 440)
    assert set(found["conflicting_duplicates"].rows) == {*range(30, 40), *range(430, 440)}
    first, second = found["conflicting_duplicates"].rows[:2]
    assert (features[first] == features[second]).all()


# --- rows -----------------------------------------------------------------------------------------------------------


def far_rows(wrong: bool) -> Finding:
    features, label = simplex(1000, 3, 6.0)
    generator = np.random.default_rng(5)
    rows = np.flatnonzero(label == 0)[:20]
    # Far out along the direction of their own class.
    features[rows] = features[label == 0].mean(0) * generator.uniform(8, 10, (20, 1)) + generator.normal(size=(20, 3))
    given = label.copy()
    if wrong:
        given[rows[:7]] = 1
    finding = findings(features, given)["outliers"]
    assert set(rows) <= set(finding.rows)
    return finding


def test_far_rows_with_right_labels_are_harmless() -> None:
    finding = far_rows(wrong=False)
    assert finding.severity == "info"
    assert "linear output" in finding.advice


def test_far_rows_with_wrong_labels_matter() -> None:
    finding = far_rows(wrong=True)
    assert finding.severity == "warning"
    assert finding.details["mislabelled"] >= 6


def probabilities(rows: int, seed: int, sharpen: float = 1.0) -> tuple[Array, Array, Array]:
    """Labels drawn from the probabilities, so that they are perfect; told `sharpen` times too sure."""
    generator = np.random.default_rng(seed)
    logit = generator.normal(size=(rows, 3)) * 1.5
    p = np.exp(logit) / np.exp(logit).sum(1, keepdims=True)
    label = (p.cumsum(1) < generator.random((rows, 1))).sum(1).clip(max=2)
    return logit.astype("float32"), label, sharpen * logit - np.log(np.exp(sharpen * logit).sum(1, keepdims=True))


def calibration(rows: int, seed: int, sharpen: float, metric: str = "log_loss") -> Finding:
    features, label, log_p = probabilities(rows, seed, sharpen)
    found = diagnose(features, label, ["a", "b", "c"], log_p, metric, False, twins(features, label))
    return next(finding for finding in found if finding.id == "calibration")


def test_perfect_probabilities_on_few_rows_are_not_blamed() -> None:
    found = [calibration(200, seed, 1.0) for seed in range(10)]
    assert np.mean([finding.details["ece"] for finding in found]) > 0.04  # what the naive figure says
    assert np.mean([finding.value for finding in found]) < 0.02
    assert sum(finding.severity != "info" for finding in found) <= 1
    assert sum(finding.details["temperature"]["helps"] for finding in found) <= 1


def test_overconfidence_is_found_and_mended_by_a_temperature() -> None:
    finding = calibration(2000, 0, 3.0)
    assert finding.severity == "warning"
    assert "too sure" in finding.text
    assert finding.details["temperature"]["value"] == pytest.approx(3.0, rel=0.15)
    assert finding.details["temperature"]["helps"]
    assert calibration(2000, 0, 3.0, "accuracy").severity == "note"
    assert sum(bin_["count"] for bin_ in finding.details["bins"]) == 2000


def test_no_temperature_from_fewer_than_a_hundred_rows() -> None:
    assert not calibration(90, 0, 3.0).details["temperature"]["helps"]


def test_right_and_saturated_is_harmless() -> None:
    label = np.arange(400) % 2
    features = np.random.default_rng(0).normal(size=(400, 2)).astype("float32")
    sure = np.where(np.arange(2) == label[:, None], -1e-6, -14.0)
    given = label.copy()
    given[:20] = 1 - label[:20]
    right = diagnose(features, label, ["a", "b"], sure, "accuracy", False, twins(features, label))
    wrong = diagnose(features, given, ["a", "b"], sure, "accuracy", False, twins(features, given))
    harmless = next(finding for finding in right if finding.id == "saturation")
    harmful = next(finding for finding in wrong if finding.id == "saturation")
    assert (harmless.severity, harmless.value, harmless.rows) == ("info", 0.0, [])
    assert harmful.severity == "warning"
    assert sorted(harmful.rows) == list(range(20))


# --- everything -----------------------------------------------------------------------------------------------------


def test_findings_are_fit_for_a_report(four_tenths: dict[str, Finding]) -> None:
    gravity = [("serious", "warning", "note", "info").index(finding.severity) for finding in four_tenths.values()]
    assert gravity == sorted(gravity)
    for finding in four_tenths.values():
        json.dumps(finding.as_dict(), allow_nan=False)
        assert len(finding.rows) <= 100
        assert all(type(row) is int for row in finding.rows)
        assert finding.text.endswith(".")
        if finding.interval is not None:
            assert finding.interval[0] <= finding.value <= finding.interval[1]


def test_same_seed_same_findings(digits: tuple[Array, Array], capsys: pytest.CaptureFixture[str]) -> None:
    features, label = digits[0][:600], noisy(digits[1][:600], 0.2)
    first, second = findings(features, label, seed=4), findings(features, label, seed=4)
    assert [finding.as_dict() for finding in first.values()] == [finding.as_dict() for finding in second.values()]
    assert capsys.readouterr() == ("", "")


def test_opinions_lose_no_row_and_no_class() -> None:
    features, label = simplex(60, 3, 4.0)
    label[:2] = 3  # a class of two rows, both in one fold
    rows = np.arange(60)
    cut = [(rows[20:], rows[:20]), (rows[:20], rows[20:40])]  # and twenty rows in none
    for log_p in first_opinions(features, label, cut):
        assert log_p.shape == (60, 4)
        assert np.isfinite(log_p).all()
        np.testing.assert_allclose(np.exp(log_p).sum(1), 1, atol=1e-6)
        assert (log_p[:2, 3] < -4).all()


def test_classes_without_rows_and_impossible_classes_are_survived() -> None:
    features, label = simplex(120, 3, 4.0)
    log_p = np.full((120, 4), -np.inf)
    log_p[np.arange(120), label] = 0.0
    found = diagnose(features, label, list("abcd"), log_p, "balanced_accuracy", True, twins(features, label))
    assert all(np.isfinite(finding.value) for finding in found)


def test_digits_take_seconds(digits: tuple[Array, Array]) -> None:
    log_p, second = first_opinions(*digits, folds(digits[1]))
    start = time.process_time()
    names = [str(code) for code in range(10)]
    diagnose(digits[0], digits[1], names, log_p, "accuracy", False, twins(*digits), second)
    assert time.process_time() - start < 6  # about half a second on an idle core


# --- shared data ----------------------------------------------------------------------------------------------------


@needs_data
def test_phoneme_overlaps_and_is_noisy_only_when_made_so() -> None:
    with gzip.open(DATA / "phoneme" / "phoneme.csv.gz", "rt") as lines:
        table = pd.read_csv(lines, header=None)
    features, label = scaled(table.iloc[:, :-1]), pd.factorize(table.iloc[:, -1], sort=True)[0]
    rate = findings(features, label)["label_noise"]
    assert rate.severity in ("info", "note")
    assert rate.details["overlap_explains"]
    made = findings(features, noisy(label, 0.2))["label_noise"]
    assert made.details["trusted"]
    assert made.value == pytest.approx(0.2, abs=0.07)


@needs_data
@pytest.mark.parametrize("colour", ["red", "white"])
def test_wine_grades_are_ordered(colour: str) -> None:
    with gzip.open(DATA / "wine_quality" / f"winequality-{colour}.csv.gz", "rt") as lines:
        table = pd.read_csv(lines, header=None)
    label, grades = pd.factorize(table.iloc[:, -1], sort=True)
    found = findings(scaled(table.iloc[:, :-1]), label, classes=[str(grade) for grade in grades])
    assert found["ordered_classes"].details["shows"]
    assert found["duplicates"].severity == "warning"
    assert found["label_noise"].severity == "note"


@needs_data
def test_a_handful_of_real_label_errors_is_no_alarm() -> None:
    with np.load(DATA / "mnist_test_label_errors" / "mnist_test.npz") as stored:
        label, p = stored["given_label"].astype(int), stored["cv_pred_probs"]
        features = scaled(stored["images"][:, ::4, ::4].reshape(len(label), -1))
    votes = json.loads((DATA / "mnist_test_label_errors" / "mturk.json").read_text())
    confirmed = {entry["id"] for entry in votes if entry["mturk"]["given"] < 3}
    names = [str(code) for code in range(10)]
    found = diagnose(features, label, names, np.log(np.maximum(p, 1e-9)), "accuracy", False, twins(features, label))
    by_id = {finding.id: finding for finding in found}
    assert by_id["label_noise"].severity == "info"
    assert by_id["label_noise"].value < 0.005
    assert len(by_id["label_issues"].rows) <= 30
    assert len(confirmed.intersection(by_id["label_issues"].rows[:15])) >= 6

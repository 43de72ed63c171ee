"""What `diagnose` says of wrong labels, and what it must not say: each test is a trap for a naive method."""

import gzip
import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from diagnosed import DATA, Array, findings, gaussians, needs_data, noisy, scaled, simplex, twins
from sklearn.datasets import load_breast_cancer, load_iris, load_wine

from whyloss.advise.diagnose import diagnose, first_opinions
from whyloss.advise.finding import Finding

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

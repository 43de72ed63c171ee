"""What `diagnose` says of classes, outliers and probabilities, and what it must not say."""

import numpy as np
import pytest
from diagnosed import Array, findings, folds, gaussians, noisy, scaled, simplex, twins
from sklearn.datasets import load_iris

from whyloss.advise.diagnose import diagnose, first_opinions
from whyloss.advise.finding import Finding

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

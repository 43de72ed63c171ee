"""Our quick metrics equal scikit-learn's where it has them, and stay finite where it warns."""

import numpy as np
import pytest
from sklearn import metrics as sk

from whyloss.advise.finding import InputError
from whyloss.advise.metrics import METRICS, choose_metric, confusion, metric_named, utility


def predictions(classes, rows=300, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.choice(classes, rows, p=np.arange(classes, 0, -1) / np.arange(1, classes + 1).sum())
    kinds = rng.normal(size=(20, classes, classes))  # 20 kinds of row per class: tied scores
    looks = np.where(rng.random(rows) < 0.6, y, rng.integers(0, classes, rows))
    z = kinds[rng.integers(0, 20, rows), looks] + np.eye(classes)[looks]
    return y, z - np.log(np.exp(z).sum(1, keepdims=True))


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_against_scikit_learn(classes):
    y, log_p = predictions(classes)
    p, said, onehot = np.exp(log_p), log_p.argmax(1), np.eye(classes)[y]
    rare = classes - 1
    many = {"multi_class": "ovr"} if classes > 2 else {}
    expected = {
        "accuracy": sk.accuracy_score(y, said),
        "balanced_accuracy": sk.balanced_accuracy_score(y, said),
        "f1": sk.f1_score(y, said, pos_label=rare) if classes == 2 else sk.f1_score(y, said, average="macro"),
        "log_loss": sk.log_loss(y, p),
        "brier": ((p - onehot) ** 2).sum(1).mean(),
        "roc_auc": sk.roc_auc_score(y, p[:, 1] - p[:, 0] if classes == 2 else p, **many),
        "average_precision": sk.average_precision_score(*((y, p[:, 1]) if classes == 2 else (onehot, p))),
        "mae": sk.mean_absolute_error(y, said),
        "quadratic_kappa": sk.cohen_kappa_score(y, said, weights="quadratic"),
    }
    assert expected.keys() == METRICS.keys()
    for name, value in expected.items():
        metric = metric_named(name, np.bincount(y))
        prediction = said if metric.needs == "decisions" else log_p
        assert metric.value(y, prediction) == pytest.approx(value), name
        assert utility(metric, y, prediction) == pytest.approx(value if metric.higher_is_better else -value)


@pytest.mark.parametrize("name", METRICS)
def test_a_perfect_prediction_is_best(name):
    y, log_p = predictions(4)
    perfect = np.log(np.eye(4)[y] * (1 - 4e-9) + 1e-9)
    metric = METRICS[name]
    best, some = (utility(metric, y, p.argmax(1) if metric.needs == "decisions" else p) for p in (perfect, log_p))
    assert best == pytest.approx(1 if metric.higher_is_better else 0, abs=1e-6)
    assert some < best - metric.margin


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("classes", [2, 4])
def test_absent_classes_and_impossible_rows_stay_finite(name, classes):
    metric = metric_named(name, [50] * classes)
    log_p = np.full((6, classes), -np.inf)
    log_p[:, 1] = 0.0
    for y in (np.zeros(6, int), np.ones(6, int)):  # a test fold with one class only
        value = metric.value(y, log_p.argmax(1) if metric.needs == "decisions" else log_p)
        assert np.isfinite(value)


def test_balanced_accuracy_averages_over_the_classes_present():
    assert METRICS["balanced_accuracy"].value(np.array([0, 0, 1]), np.array([0, 2, 1])) == pytest.approx(0.75)


def test_the_rarer_class_is_the_tables_not_the_folds():
    y, said = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 1])
    assert metric_named("f1", [90, 10]).value(y, said) == pytest.approx(6 / 7)
    assert metric_named("f1", [10, 90]).value(y, said) == pytest.approx(2 / 3)


def test_stacks_of_confusions():
    rng = np.random.default_rng(0)
    y, said = rng.integers(0, 3, 50), rng.integers(0, 3, (2, 4, 50))
    stack = np.array([[confusion(y, one, 3) for one in row] for row in said])
    for name, metric in METRICS.items():
        if metric.needs == "decisions":
            got = metric_named(name, np.bincount(y)).of_confusions(stack, y)
            assert got.shape == (2, 4)
            assert got[1, 2] == pytest.approx(utility(metric, y, said[1, 2]))


def test_unknown_metric_names_the_nearest():
    with pytest.raises(InputError, match=r"Unknown metric 'balanced-acuracy'. Did you mean 'balanced_accuracy'\?"):
        metric_named("balanced-acuracy")
    with pytest.raises(InputError, match="The metrics are: accuracy, balanced_accuracy"):
        metric_named("zzz")
    assert metric_named("ROC-AUC").name == "roc_auc"


@pytest.mark.parametrize(
    ("counts", "ordered", "name", "says"),
    [
        ({"0": 977, "1": 23}, False, "balanced_accuracy", "2.3 % of the rows are class '1': accuracy would be 97.7 %"),
        ({"0": 99_997, "1": 3}, False, "balanced_accuracy", "0.003 % of the rows"),
        ({"no": 752, "yes": 248}, False, "accuracy", "'yes', has 24.8 %"),
        ({"a": 100, "b": 100, "c": 20}, False, "balanced_accuracy", "33.3 % each"),
        ({"a": 100, "b": 90, "c": 60}, False, "accuracy", "No class is rare"),
        ({"bad": 5, "fair": 500, "good": 5}, True, "mae", "ordered"),
    ],
)
def test_choice_of_metric(counts, ordered, name, says):
    chosen, why = choose_metric(counts, ordered)
    assert chosen == name
    assert says in why

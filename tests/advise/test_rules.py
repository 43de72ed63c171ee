"""Decision rules find what is planted, leave alone what is not, and never see the fold they are scored on."""

import json
import time

import numpy as np
import pytest

from whyloss.advise.metrics import METRICS, metric_named, utility
from whyloss.advise.rules import FoldScore, Rule, fit_best, rules_for, score_settings


def made(rows, shares, seed=0, gain=1.5, sharpness=1.0):
    """Labels and calibrated log-probabilities (at sharpness 1): Gaussian features, known class shares."""
    rng = np.random.default_rng(seed)
    shares = np.asarray(shares) / np.sum(shares)
    y = rng.choice(len(shares), rows, p=shares)
    x = rng.normal(size=(rows, len(shares)))
    x[np.arange(rows), y] += gain
    z = sharpness * (gain * x + np.log(shares))
    return y, z - np.log(np.exp(z).sum(1, keepdims=True))


def bound(name, y):
    return metric_named(name, np.bincount(y))


def rule(name, metric, classes, ordered=False) -> Rule:
    return next(r for r in rules_for(metric, classes, ordered) if r.name == name)


def test_threshold_is_the_best_of_all_cuts():
    y, log_p = made(150, [0.8, 0.2])
    for name in ("accuracy", "balanced_accuracy", "f1", "quadratic_kappa"):
        metric = bound(name, y)
        fitted = rule("threshold", metric, 2).fit(log_p, y, metric)
        odds = log_p[:, 1] - log_p[:, 0]
        every = [utility(metric, y, (odds > cut).astype(int)) for cut in [-99.0, *odds]]
        assert utility(metric, y, fitted.decide(log_p)) == pytest.approx(max(every)), name


def test_threshold_of_a_rare_class_is_vital_and_kept():
    y, log_p = made(4000, [42, 1])
    metric = bound("balanced_accuracy", y)
    fitted = fit_best(log_p, y, metric)
    fresh, fresh_p = made(20_000, [42, 1], seed=1)
    gain = utility(metric, fresh, fitted.decide(fresh_p)) - utility(metric, fresh, fresh_p.argmax(1))
    assert fitted.name in ("threshold", "prior")
    assert gain > 0.15
    assert fitted.utility == pytest.approx(utility(metric, fresh, fitted.decide(fresh_p)), abs=0.05)


def test_threshold_tells_the_class_whose_cut_is_below_one_half():
    y, log_p = made(3000, [1, 30])
    metric = bound("balanced_accuracy", y)
    fitted = rule("threshold", metric, 2).fit(log_p, y, metric)
    assert fitted.text(["no", "yes"]).startswith("say 'no' when its probability exceeds 0.0")
    said = fitted.decide(log_p)
    assert ((said == 0) == (np.exp(log_p[:, 0]) > fitted.parameters["probability"])).all()
    assert json.loads(json.dumps(fitted.parameters)) == fitted.parameters


def test_plain_is_kept_where_nothing_is_to_be_gained():
    plain = 0
    for seed in range(60):
        y, log_p = made(100, [1, 1], seed)
        plain += fit_best(log_p, y, bound("accuracy", y)).name == "argmax"
    assert plain >= 33  # measured: 36 of 60; the best of all cuts would be kept in nearly all


@pytest.mark.parametrize("shares", [[12, 4, 1], [42, 1]])
def test_prior_recovers_balanced_accuracy(shares):
    y, log_p = made(4000, shares)
    metric = bound("balanced_accuracy", y)
    fitted = rule("prior", metric, len(shares)).fit(log_p, y, metric)
    assert fitted.parameters["tau"] == pytest.approx(1.0, abs=0.26)  # the Bayes rule for it: divide by the prior
    assert utility(metric, y, fitted.decide(log_p)) > utility(metric, y, log_p.argmax(1)) + 0.02
    assert fit_best(log_p, y, metric).name in ("prior", "threshold")


def test_median_of_ordered_classes():
    metric = METRICS["mae"]
    log_p = np.log([[0.4, 0.25, 0.35], [0.5, 0.2, 0.3], [0.1, 0.2, 0.7]])
    fitted = rule("median", metric, 3, ordered=True).fit(log_p, np.array([1, 0, 2]), metric)
    assert fitted.decide(log_p).tolist() == [1, 0, 2]
    assert "median" not in [r.name for r in rules_for(metric, 3, ordered=False)]


@pytest.mark.parametrize("name", ["log_loss", "brier"])
def test_temperature_undoes_overconfidence(name):
    y, log_p = made(2000, [3, 2, 1], sharpness=4.0)
    metric = bound(name, y)
    fitted = fit_best(log_p, y, metric)
    assert fitted.temperature == pytest.approx(4.0, rel=0.15)
    assert utility(metric, y, fitted.predict(log_p, metric)) > utility(metric, y, log_p) + metric.margin
    assert np.exp(fitted.log_p(log_p)).sum(1) == pytest.approx(1)
    assert "less sure" in fitted.text(["a", "b", "c"])


def test_temperature_is_kept_at_one_on_calibrated_and_bounded_on_separable_rows():
    kept = [fit_best(p, y, METRICS["log_loss"]).temperature == 1 for y, p in (made(100, [1, 1], s) for s in range(40))]
    assert sum(kept) >= 36  # measured: all
    y = np.arange(60) % 2
    log_p = np.log(np.where(np.eye(2)[y] == 1, 0.7, 0.3))  # always right: the colder the better
    fitted = fit_best(log_p, y, METRICS["log_loss"])
    assert 0.05 <= fitted.temperature < 0.06


def test_choosing_the_rule_costs_less_on_balanced_data_than_always_tuning():
    losses = {"chosen": [], "always": []}
    for seed in range(40):
        y, log_p = made(100, [1, 1], seed)
        fresh, fresh_p = made(3000, [1, 1], seed + 1000)
        metric = bound("accuracy", fresh)
        fits = {"chosen": fit_best(log_p, y, metric), "always": rule("threshold", metric, 2).fit(log_p, y, metric)}
        for name, fitted in fits.items():
            lost = utility(metric, fresh, fresh_p.argmax(1)) - utility(metric, fresh, fitted.decide(fresh_p))
            losses[name].append(lost)
    assert np.mean(losses["chosen"]) < 0.005  # measured: 0.003
    assert np.mean(losses["always"]) > 2 * np.mean(losses["chosen"])  # measured: 0.010


def test_no_rule_changes_a_ranking():
    y, log_p = made(200, [3, 1])
    for name in ("roc_auc", "average_precision"):
        assert [r.name for r in rules_for(METRICS[name], 2)] == ["argmax"]
        assert fit_best(log_p, y, bound(name, y)).utility == utility(bound(name, y), y, log_p)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("classes", [2, 4])
def test_extreme_predictions_are_survived(name, classes):
    y = np.arange(40) % classes
    log_p = np.full((40, classes), -np.inf, dtype=np.float32)
    log_p[np.arange(40), np.roll(y, 3)] = 0.0
    fitted = fit_best(log_p, y, bound(name, y), ordered=True)
    assert np.isfinite(fitted.utility)
    assert np.isfinite(utility(bound(name, y), y, fitted.predict(log_p, bound(name, y))))
    one_label = fit_best(log_p, np.zeros(40, int), metric_named(name, [39] + [1] * (classes - 1)))
    assert np.isfinite(one_label.utility)


# Cross-fitted scores of a candidate.


def raced(rows=600, shares=(20, 1), seed=0):
    """Three settings: useless, good, good but at a wrong scale."""
    y, good = made(rows, shares, seed)
    _, useless = made(rows, shares, seed + 1)
    bent = 3 * good + np.linspace(0, 4, good.shape[1])
    bent -= np.log(np.exp(bent).sum(1, keepdims=True))
    return np.stack([useless, good, bent]), y, np.random.default_rng(seed).permutation(rows) % 5


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("choice", ["plain", "tuned"])
@pytest.mark.parametrize("shares", [(20, 1), (5, 2, 1)])
def test_scores_of_every_fold(name, choice, shares):
    log_p, y, fold = raced(shares=shares)
    metric = bound(name, y)
    scores = score_settings(log_p, y, fold, metric, choice, ordered=True)
    assert [s.fold for s in scores] == [0, 1, 2, 3, 4]
    assert all(s.setting in (1, 2) for s in scores)
    for s in scores:
        here = fold == s.fold
        assert s.score == utility(metric, y[here], s.rule.predict(log_p[s.setting, here], metric))
    assert scores == score_settings(log_p, y, fold, metric, choice, ordered=True)


@pytest.mark.parametrize("name", ["balanced_accuracy", "f1", "log_loss", "roc_auc"])
def test_a_folds_own_labels_change_neither_its_setting_nor_its_rule(name):
    log_p, y, fold = raced()
    metric = bound(name, y)
    turned = y.copy()
    here = np.flatnonzero(fold == 2)
    turned[here] = np.random.default_rng(3).permutation(y[here])  # other labels, the same counts

    def chosen(score: FoldScore):
        return score.setting, score.rule

    before, after = (score_settings(log_p, labels, fold, metric)[2] for labels in (y, turned))
    assert chosen(before) == chosen(after)
    assert before.score != after.score


def test_tuning_pays_under_imbalance_and_is_honest_on_noise():
    log_p, y, fold = raced(2000)
    metric = bound("balanced_accuracy", y)
    plain, tuned = (
        np.mean([s.score for s in score_settings(log_p[:2], y, fold, metric, c)]) for c in ("plain", "tuned")
    )
    assert tuned > plain + 0.1
    noise = np.random.default_rng(0).permuted(y)
    blind = np.mean([s.score for s in score_settings(log_p, noise, fold, metric)])
    assert blind == pytest.approx(0.5, abs=0.06)


def test_one_named_rule_and_an_unknown_one():
    log_p, y, fold = raced()
    names = {s.rule.name for s in score_settings(log_p, y, fold, bound("f1", y), "threshold")}
    assert names == {"threshold"}
    with pytest.raises(ValueError, match="'median' does not bear on f1"):
        score_settings(log_p, y, fold, bound("f1", y), "median")


def test_fitting_is_quick():
    y, log_p = made(10_000, [42, 1])
    metric = bound("balanced_accuracy", y)
    took = []
    for _ in range(5):
        start = time.perf_counter()
        fit_best(log_p, y, metric)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.03  # measured: 0.002; generous for a busy machine

"""What the claims about relations between classes, and about continuous targets, are made of."""

import numpy as np
import pytest
import torch
from scipy.stats import norm, spearmanr

from whyloss.claims.claim import Scale
from whyloss.claims.sentences import continuous, relations


def test_likeness_is_the_mean_log_probability_by_class():
    log_p = torch.tensor([[-1.0, -2.0], [-3.0, -4.0], [-5.0, -6.0]])
    found = relations.likeness(log_p, torch.tensor([0, 1, 0]), 2)
    assert found.tolist() == [[-3.0, -4.0], [-3.0, -4.0]]


def test_order_kept_is_the_rank_correlation_without_the_class_itself():
    rng = np.random.default_rng(0)
    found, truth = rng.normal(size=(2, 6, 6))
    rows = [np.delete(np.arange(6), y) for y in range(6)]
    expected = np.mean([spearmanr(found[y, k], truth[y, k]).statistic for y, k in enumerate(rows)])
    got = relations.order_kept(torch.from_numpy(found), torch.from_numpy(truth))
    assert got.item() == pytest.approx(expected)
    assert relations.order_kept(torch.from_numpy(truth), torch.from_numpy(truth)).item() == pytest.approx(1)


def test_grades_are_drawn_from_the_probabilities_that_come_with_them():
    rows = relations.grades([0], (10, 10, 20000)).test
    assert rows.p is not None
    assert torch.allclose(rows.p.sum(-1), torch.ones(1, 20000, dtype=torch.float64))
    shares = torch.bincount(rows.y[0], minlength=relations.GRADES) / 20000
    assert torch.allclose(shares.double(), rows.p[0].mean(0), atol=0.015)


def test_the_median_of_the_true_probabilities_is_nearest():
    p = relations.grades([1], (10, 10, 2000)).test.p
    assert p is not None
    distance = {name: relations.expected_distance(rule(p.log()), p).item() for name, rule in relations.RULES.items()}
    every = (p.unsqueeze(-2) * (torch.arange(6.0).unsqueeze(1) - torch.arange(6.0)).abs()).sum(-1).amin(-1).mean()
    assert distance["median"] == pytest.approx(every.item())
    assert distance["median"] < min(distance["argmax"], distance["mean"])


def test_rules_on_a_lopsided_row():
    logits = torch.tensor([0.4, 0.05, 0.05, 0.1, 0.2, 0.2]).log()
    assert [int(rule(logits)) for rule in relations.RULES.values()] == [0, 2, 2]


def test_squared_emd_by_hand_and_zero_when_certain():
    z = torch.zeros(1, 1, 6)
    by_hand = sum((k / 6 - 1) ** 2 for k in range(1, 6))
    assert relations.squared_emd(z, torch.zeros(1, 1, dtype=torch.long)).item() == pytest.approx(by_hand)
    sure = torch.full((1, 1, 6), -100.0)
    sure[..., 2] = 100
    assert relations.squared_emd(sure, torch.tensor([[2]])).item() == pytest.approx(0)


def test_soft_grades_are_smallest_at_their_labels():
    weight = torch.exp(-(torch.arange(6) - 1).abs().float())
    best = relations.soft_grades(weight.log().view(1, 1, 6), torch.tensor([[1]])).item()
    p = weight / weight.sum()
    assert best == pytest.approx(-(p * p.log()).sum().item(), rel=1e-5)


def test_the_rest_moves_brier_but_not_cross_entropy():
    difference, curves = relations.rest_split(Scale())
    assert difference < 1e-12
    ce, brier = (np.ptp(curve.y) for curve in curves)
    assert ce < 1e-12 < 0.1 < brier


def test_histogram_is_the_gaussian_cut_at_the_edges():
    width = 0.75 * 2 * continuous.REACH / continuous.BINS
    found = continuous.histogram(torch.tensor([0.3, 50.0]))
    cut = np.diff(norm.cdf(continuous.EDGES.numpy(), 0.3, width))
    assert found[0].numpy() == pytest.approx(cut / cut.sum(), abs=1e-5)
    assert found[1].argmax() == continuous.BINS - 1
    assert found.sum(1).tolist() == pytest.approx([1, 1])


def test_mean_and_median_of_bins_find_the_value():
    values = torch.linspace(-3, 3, 41)
    logits = continuous.histogram(values).clamp_min(1e-12).log()
    assert continuous.mean_of_bins(logits).tolist() == pytest.approx(values.tolist(), abs=0.02)
    assert continuous.median_of_bins(logits).tolist() == pytest.approx(values.tolist(), abs=0.03)
    # An outlier's share moves the mean and leaves the median.
    spoiled = (0.8 * continuous.histogram(torch.tensor(0.0)) + 0.2 * continuous.histogram(torch.tensor(4.0))).log()
    assert continuous.mean_of_bins(spoiled).item() > 0.7
    assert abs(continuous.median_of_bins(spoiled).item()) < 0.15


def test_functions_have_the_noise_that_they_say():
    task, clean = continuous.smooth_function([0, 1], (10, 10, 5000), "gaussian")
    spoiled, under = continuous.smooth_function([0, 1], (10, 10, 5000), "outliers")
    assert (task.test.y - clean).std().item() == pytest.approx(0.5, rel=0.05)
    assert ((spoiled.test.y - under).abs() > 2.5).float().mean().item() == pytest.approx(0.2, abs=0.02)


def test_binary_cross_entropy_is_smallest_at_the_mean():
    assert continuous.mean_error(0) < 1e-12

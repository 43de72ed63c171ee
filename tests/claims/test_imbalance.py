"""The ingredients of the claims about unequal classes, against hand values, closed forms and scikit-learn."""

from math import log

import numpy as np
import pytest
import torch
from scipy.special import ndtr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from whyloss.claims.sentences.class_gradients import descend, minimum
from whyloss.claims.sentences.minority import auc, best_cut, mean_loss, mean_recall, pair, recalls
from whyloss.claims.sentences.overlap import LOSSES, average_precision, best_dice, calibration_error, dice_at, images
from whyloss.losses.proper import BinaryCrossEntropyLoss

TASK = pair([0, 1], (1010, 1010, 20000), 100)


def test_the_classes_have_the_ratio_and_the_posterior_of_two_gaussians():
    assert TASK.train.y.sum(1).tolist() == TASK.valid.y.sum(1).tolist() == [10, 10]
    assert TASK.test.y.float().mean(1).tolist() == [0.5, 0.5]
    assert TASK.test.p is not None
    torch.testing.assert_close(TASK.test.p[..., 1], (2 * TASK.test.x[..., 0].double() - log(100)).sigmoid())


def test_recalls_of_the_true_probabilities_are_those_of_the_normal_distribution():
    assert TASK.test.p is not None
    z = TASK.test.p[..., 1].logit()
    rare, common = recalls(z, TASK.test.y, 0.0)
    assert rare.tolist() == pytest.approx([ndtr(1 - log(100) / 2)] * 2, abs=0.01)
    assert common.tolist() == pytest.approx([ndtr(1 + log(100) / 2)] * 2, abs=0.01)
    assert mean_recall(z, TASK.test.y, -log(100)).tolist() == pytest.approx([ndtr(1)] * 2, abs=0.01)
    assert best_cut(z, TASK.test.y).flatten().tolist() == pytest.approx([-log(100)] * 2, abs=0.5)
    assert auc(z, TASK.test.y).tolist() == pytest.approx([ndtr(2**0.5)] * 2, abs=0.01)


def test_areas_and_scores_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    y, z = rng.random(300) < 0.2, rng.normal(size=300)
    labels, logits = torch.from_numpy(y.astype(np.int64)), torch.from_numpy(z + y)
    assert float(auc(logits, labels)) == pytest.approx(roc_auc_score(y, z + y))
    assert float(average_precision(logits, labels)) == pytest.approx(average_precision_score(y, z + y))
    assert float(dice_at(logits, labels, 0.5)) == pytest.approx(f1_score(y, z + y > 0.5))
    best, cut = best_dice(logits, labels)
    assert float(best) == pytest.approx(max(f1_score(y, z + y >= c) for c in z + y))
    assert float(dice_at(logits, labels, cut)) == pytest.approx(float(best))


def test_each_member_has_its_own_mean_loss():
    z = torch.tensor([[[0.0], [0.0]], [[2.0], [-1.0]]])
    y = torch.tensor([[1, 0], [1, 0]])
    mean = mean_loss(BinaryCrossEntropyLoss(reduction="none"))(z, y)
    torch.testing.assert_close(mean, torch.tensor([log(2), (log(1 + np.exp(-2)) + log(1 + np.exp(-1))) / 2]))


def test_the_minimum_is_that_of_logistic_regression_and_descent_comes_to_it():
    rows = pair([0], (220, 2, 2), 10).train
    x = torch.cat([rows.x, torch.ones(1, 220, 1)], -1).double()
    w = minimum(x, rows.y)
    theirs = LogisticRegression(C=1e8, tol=1e-10, max_iter=1000).fit(rows.x[0].numpy(), rows.y[0].numpy())
    expected = [*theirs.coef_[0], theirs.intercept_[0]]
    np.testing.assert_allclose(w.flatten().numpy(), expected, rtol=1e-3, atol=1e-3)
    gap = (x @ w).squeeze(-1).sigmoid() - rows.y
    assert float(gap[rows.y == 1].sum()) == pytest.approx(-float(gap[rows.y == 0].sum()))
    steps, left = descend(x, rows.y, None, 1.0, 2000)
    assert left[int(steps) - 1] <= 0.1 < left[int(steps) - 2]
    assert descend(x, rows.y, None, 1.0, 5)[0].tolist() == [10.0]


def test_pixels_have_the_ratio_and_their_labels_the_stated_probability():
    task = images([0], (4, 2, 2), 10)
    assert task.train.x.shape == (1, 4 * 48 * 48, 3)
    p = torch.cat([rows.p[..., 1] for rows in (task.train, task.valid, task.test) if rows.p is not None], 1)
    y = torch.cat([task.train.y, task.valid.y, task.test.y], 1)
    assert float(p.mean()) == pytest.approx(1 / 11)
    assert float(y.float().mean()) == pytest.approx(1 / 11, abs=0.01)
    likely = p > 0.5
    assert float(y[likely].float().mean()) == pytest.approx(float(p[likely].mean()), abs=0.05)


def test_dice_is_taken_of_each_member_alone_and_calibration_where_there_is_doubt():
    z = torch.tensor([[[0.0], [0.0]], [[9.0], [-9.0]]])
    y = torch.tensor([[1, 0], [1, 0]])
    assert float(LOSSES["dice"](z, y)) == pytest.approx(0.5, abs=1e-3)
    p = torch.linspace(0.001, 0.999, 999, dtype=torch.float64).unsqueeze(0)
    assert float(calibration_error(p.logit(), p)) < 1e-12
    inside = (p > 0.05) & (p < 0.95)
    gap = ((3 * p.logit()).sigmoid() - p)[inside].abs().mean()
    assert float(calibration_error(3 * p.logit(), p)) == pytest.approx(float(gap), rel=0.05)

"""The ingredients of the claims about outliers, against closed forms and brute force."""

import numpy as np
import pytest
import torch
from scipy.special import expit
from scipy.stats import norm

from whyloss.claims.claim import Scale
from whyloss.claims.lab.training import Plan, fit, per_row
from whyloss.claims.sentences.outliers import (
    CLEAN,
    DISTANCE,
    HALF_GAP,
    SHARE,
    SPOILT,
    Scores,
    best_cut,
    chosen,
    cut_accuracy,
    losses,
    pulls,
    scores,
    spoilt_task,
    two_classes,
)

SEEDS = [0, 1, 2]


def test_clean_classes_are_cut_best_at_zero():
    rows = two_classes(SEEDS, 20000, 0)
    assert float(((rows.x[..., 0] > 0) == rows.y.bool()).double().mean()) == pytest.approx(norm.cdf(HALF_GAP), abs=4e-3)


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_tenth_of_the_rows_is_spoilt_as_its_name_says(spoilt: str):
    clean, rows = (two_classes(SEEDS, 20000, 0, kind) for kind in (CLEAN, spoilt))
    far = rows.x[..., 1] > 5  # the second feature tells no classes apart
    assert float(far.double().mean()) == pytest.approx(SHARE if spoilt.startswith("far") else 0.0, abs=6e-3)
    if spoilt == "far_right":
        assert bool(rows.y[far].bool().all())
        # Far rows lie on their class's side: deciding at 0 stays the best answer there.
        assert bool((rows.x[far][:, 0] > 0).all())
    if spoilt == "far_wrong":
        assert not bool(rows.y[far].any())
        assert float(rows.x[far][:, :2].mean()) == pytest.approx(DISTANCE / 2**0.5 + HALF_GAP / 2, abs=0.08)
    if spoilt == "typical_wrong":
        # Half of the hit rows were of class 0: a tenth of all becomes 0, and the cut at 0 is wrong about the most.
        right = float(((rows.x[..., 0] > 0) == rows.y.bool()).double().mean())
        reached = norm.cdf(HALF_GAP)
        assert right == pytest.approx((1 - SHARE) * reached + SHARE * (1 - reached), abs=6e-3)
    assert clean.y.double().mean() == pytest.approx(0.5, abs=0.01)


def test_the_best_cut_is_the_best_of_all():
    generator = torch.Generator().manual_seed(0)
    score = torch.randn(4, 3, 25, generator=generator)
    labels = (torch.randn(3, 25, generator=generator) + score[0] > 0).long()
    reached, cut = best_cut(score, labels)
    again = ((score > cut[..., None]) == labels.bool()).double().mean(-1)
    assert again.flatten().tolist() == pytest.approx(reached.flatten().tolist())
    for i in range(4):
        for j in range(3):
            cuts = [-10.0, *score[i, j].tolist()]
            best = max(float(((score[i, j] > c) == labels[j].bool()).double().mean()) for c in cuts)
            assert float(reached[i, j]) == pytest.approx(best)
    assert float(best_cut(torch.tensor([3.0, 1.0]), torch.tensor([1, 1]))[0]) == 1.0


def test_pulls_are_the_closed_forms():
    leads = np.linspace(-6, 6, 61)
    p = expit(leads)
    expected = {"ce": 1 - p, "brier": 4 * p * (1 - p) ** 2, "squared": abs(leads - 1) / 2}
    for curve in pulls():
        np.testing.assert_allclose(curve.y, expected[curve.name], atol=1e-12)


def test_the_loss_is_chosen_by_validation_rows_alone():
    ones, zeros = torch.ones(2), torch.zeros(2)
    picked = chosen([Scores(ones, torch.tensor([0.9, 0.1]), ones), Scores(zeros, torch.tensor([0.5, 0.6]), zeros)])
    assert picked.clean.tolist() == [1.0, 0.0]
    assert picked.gap.tolist() == [1.0, 0.0]


def test_judged_rows_are_clean_rows_fresh_rows_and_the_training_rows():
    judged = spoilt_task(SEEDS, "far_wrong", Scale(quick=True))
    test = judged.task.test
    torch.testing.assert_close(test.x[:, judged.seen], judged.task.train.x)
    assert not bool((test.x[:, judged.clean, 1] > 5).any())
    assert bool((test.x[:, judged.fresh, 1] > 5).any())


def test_least_squares_ends_where_its_closed_form_does():
    judged = spoilt_task(SEEDS, "far_right", Scale(quick=True))
    plan = Plan((3e-3, 1e-2), 400, (400,), fixed=1)
    trained = scores(fit(per_row(losses()["squared"]), judged.task, plan, SEEDS), judged)["fixed"].clean
    train, test = judged.task.train, judged.task.test
    solved: list[float] = []
    for i in range(len(SEEDS)):
        known = np.hstack([train.x[i].numpy(), np.ones((300, 1))])
        weights = np.linalg.lstsq(known, 2 * train.y[i].numpy() - 1.0, rcond=None)[0]
        x, y = test.x[i, judged.clean].numpy(), test.y[i, judged.clean].numpy()
        solved.append(float(((x @ weights[:-1] + weights[-1] > 0) == y).mean()))
    assert float(trained.mean()) == pytest.approx(np.mean(solved), abs=0.015)
    assert float(trained.mean()) < norm.cdf(HALF_GAP) - 0.02


def test_a_moved_threshold_is_found():
    logits = torch.stack([torch.zeros(6), torch.arange(6.0)], -1)
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    assert float(cut_accuracy(logits, labels)) == 1.0

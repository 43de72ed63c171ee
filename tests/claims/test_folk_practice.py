"""The ingredients of the folk claims on softmax, mixtures, batches and ignored rows, against values known otherwise."""

from math import exp

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from whyloss.claims.lab.tasks import Rows, Task
from whyloss.claims.lab.training import Plan, Trained, accuracy
from whyloss.claims.sentences import batches, halves
from whyloss.claims.sentences.batches import CLASSES, KEPT, TOKENS, deviation, mean_of_means, path, sequences, stopped
from whyloss.claims.sentences.folk_practice import in_a_row, normalised, one_sigmoid_each
from whyloss.claims.sentences.halves import (
    PARTNERS,
    best_threshold,
    dice_at,
    gradient_ratio,
    lacking,
    masked,
    miscalibration,
)
from whyloss.losses.proper import BinaryCrossEntropyLoss, CrossEntropyLoss
from whyloss.losses.region import DiceLoss


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def planted(right: list[list[list[int]]], right_valid: list[list[list[int]]], fixed: int = 0) -> Trained:
    """Ten rows of class 1 for each of two seeds; so many are decided right, [snapshot][rate][seed]."""

    def logits(counts: list[list[list[int]]]) -> Tensor:
        decided = torch.arange(10) < torch.tensor(counts).unsqueeze(-1)
        return F.one_hot(decided.long(), 2).float()

    rows = Rows(torch.zeros(2, 10, 1), torch.ones(2, 10, dtype=torch.long))
    plan = Plan((0.1, 1.0), 2, (1, 2), fixed=fixed)
    return Trained(plan, Task(rows, rows, rows, 2), logits(right_valid), logits(right))


# Softmax or sigmoids


def test_one_sigmoid_each_is_binary_cross_entropy_of_a_one_hot_label():
    z, y = drawn(3, 8, 4), torch.arange(24).view(3, 8) % 4
    expected = sum(F.binary_cross_entropy_with_logits(z[m], F.one_hot(y[m], 4).float()) for m in range(3))
    assert one_sigmoid_each(z, y) == pytest.approx(float(expected), rel=1e-6)


def test_normalised_sigmoids_add_up_to_one():
    z = drawn(5, 3)
    every = torch.stack([normalised(z[:, None], torch.full((5, 1), j)) for j in range(3)])
    torch.testing.assert_close(every.exp().sum(0), torch.ones(5, dtype=torch.float64))
    p = z.sigmoid()
    torch.testing.assert_close(every[0].exp().float(), p[:, 0] / p.sum(1))


def test_linear_softmax_finds_five_classes_in_a_row_and_linear_sigmoids_miss_the_middle():
    shown = {curve.name: torch.tensor(curve.y) for curve in in_a_row()}
    torch.testing.assert_close(shown["softmax"], shown["bayes"], atol=1e-3, rtol=0)
    torch.testing.assert_close(shown["sigmoids"], shown["sigmoids"].flip(0), atol=1e-3, rtol=0)
    assert float(shown["bayes"][48]) == pytest.approx(1 / (1 + 2 * exp(-4.5)))
    assert shown["sigmoids"][48] < 0.5


# Half and half


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_first_gradients_of_the_partners_in_closed_form(classes: int):
    z = torch.zeros(classes, dtype=torch.float64)
    assert gradient_ratio(PARTNERS["mae"], z) == pytest.approx(2 / classes)
    assert gradient_ratio(PARTNERS["brier"], z) == pytest.approx(2 / classes)
    assert gradient_ratio(PARTNERS["gce"], z) == pytest.approx(classes**-0.7)
    assert gradient_ratio(2 * CrossEntropyLoss(), z) == pytest.approx(2)


def test_gradients_of_the_partners_grow_with_the_probability_of_the_label():
    z = drawn(6).double()
    p = float(z.softmax(0)[0])
    assert gradient_ratio(PARTNERS["mae"], z) == pytest.approx(2 * p)
    assert gradient_ratio(PARTNERS["gce"], z) == pytest.approx(p**0.7)


def test_a_mixture_is_held_against_the_part_that_validates_better():
    one = planted([[[0, 0]] * 2, [[6, 6], [0, 0]]], [[[0, 0]] * 2, [[9, 9], [0, 0]]])
    other = planted([[[0, 0]] * 2, [[8, 8], [0, 0]]], [[[0, 0]] * 2, [[5, 5], [0, 0]]])
    mixed = planted([[[0, 0]] * 2, [[5, 9], [0, 0]]], [[[0, 0]] * 2, [[5, 5], [0, 0]]])
    for protocol in ("fixed", "tuned"):
        assert lacking(mixed, (one, other), accuracy, protocol).tolist() == pytest.approx([-0.1, 0.0])


def test_the_best_threshold_is_the_best_of_all():
    z, y = drawn(3, 40, 1), (drawn(3, 40, seed=1) > 0.8).long()
    best, cut = best_threshold(z, y)
    torch.testing.assert_close(dice_at(z, y, cut), best)
    every = torch.stack([dice_at(z, y, torch.full((3,), float(t))) for t in torch.linspace(-4, 4, 2000)])
    assert (every.max(0).values <= best + 1e-6).all()
    torch.testing.assert_close(halves.highest_dice(z[None, :, None], y[None, :, None])[0, :, 0], best)


def test_dice_and_calibration_by_hand():
    z, y = torch.tensor([[[2.0], [1.0], [-1.0], [-2.0]]]), torch.tensor([[1, 0, 1, 0]])
    assert dice_at(z, y, torch.zeros(1)).tolist() == [0.5]  # one hit; two said, two there
    even = torch.zeros(2, 40, 1)
    labels = torch.stack([torch.arange(40) % 2, torch.ones(40, dtype=torch.long)])
    assert miscalibration(even, labels, bins=4).tolist() == pytest.approx([0.0, -0.5])


def test_a_member_of_a_mask_objective_is_one_image():
    z, y = drawn(2, 30, 1), (drawn(2, 30, seed=1) > 0).long()
    p, t = z.squeeze(-1).sigmoid(), y.float()
    dice = (1 - 2 * (p * t).sum(1) / (p.sum(1) + t.sum(1))).sum()
    bce = sum(F.binary_cross_entropy(p[m], t[m]) for m in range(2))
    loss = 0.5 * BinaryCrossEntropyLoss() + 0.5 * DiceLoss(link="sigmoid")
    assert masked(loss)(z, y) == pytest.approx(float(0.5 * dice + 0.5 * bce), rel=1e-5)


# Batches


def test_for_sgd_a_factor_of_the_loss_is_a_factor_of_the_rate_and_for_adam_nothing():
    for optimiser in ("sgd", "adam"):
        loss, rate, kept = (
            path(optimiser, factor * CrossEntropyLoss(), lr, steps=20)[-1]
            for factor, lr in ((16, 1e-3), (1, 16e-3), (1, 1e-3))
        )
        same, other = (rate, kept) if optimiser == "sgd" else (kept, rate)
        torch.testing.assert_close(loss, same, atol=1e-6, rtol=0)
        assert (loss - other).norm() > 0.01


def test_a_run_is_stopped_at_the_end_or_where_it_validates_best():
    right = [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    run = planted(right, [[[9, 0], [0, 9]], [[0, 9], [9, 0]]])
    chosen = torch.tensor([0, 1])
    assert stopped(run, chosen, "fixed").tolist() == pytest.approx([0.5, 0.8])
    assert stopped(run, chosen, "tuned").tolist() == pytest.approx([0.1, 0.4])


def test_a_run_that_overflows_says_the_first_class_throughout():
    run = planted([[[5, 5]] * 2] * 2, [[[5, 5]] * 2] * 2)
    broken = Trained(run.plan, run.task, run.valid, torch.full_like(run.test, torch.nan))
    assert stopped(broken, torch.tensor([0, 0]), "fixed").tolist() == [0, 0]


# Ignored rows


def test_deviation_is_nothing_for_parts_and_for_equal_shares():
    assert deviation((5, 60), "parts", draws=2) == pytest.approx((0, 0), abs=1e-12)
    assert deviation((20, 20), "means", draws=2) == pytest.approx((0, 0), abs=1e-12)
    value, slope = deviation((5, 60), "means", draws=2)
    assert value > 0.01
    assert slope > 0.1


def test_the_mean_of_means_is_what_accumulating_sequence_by_sequence_does():
    z = drawn(2, 4 * TOKENS, 3).requires_grad_()
    y = torch.arange(2 * 4 * TOKENS).view(2, -1) % 3
    y[:, 3 : TOKENS - 1] = batches.IGNORED
    pieces = [(m, slice(s * TOKENS, (s + 1) * TOKENS)) for m in range(2) for s in range(4)]
    expected = sum(F.cross_entropy(z[m, rows], y[m, rows]) / 4 for m, rows in pieces)
    found = mean_of_means(z, y)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(*(torch.autograd.grad(v, z)[0] for v in (found, expected)))


@pytest.mark.parametrize("related", [False, True])
def test_sequences_keep_what_they_should(related: bool):
    task = sequences(range(6), 48, related, (100, 5000))
    kept = task.train.y.view(6, 96, TOKENS)
    assert ((kept != batches.IGNORED).sum(-1) == torch.tensor([KEPT["short"]] * 48 + [KEPT["long"]] * 48)).all()
    first = {"short": kept[:, :48], "long": kept[:, 48:]}
    whole = float((task.test.y == 0).double().mean())
    assert whole == pytest.approx((2 * 0.8 + 30 * 0.05) / 32, abs=0.006)
    for kind, labels in first.items():
        share = float((labels[labels != batches.IGNORED] == 0).double().mean())
        assert share == pytest.approx(CLASSES[kind][0] if related else whole, abs=0.06 if kind == "short" else 0.01)


def test_features_of_kept_rows_belong_to_their_labels():
    task = sequences([0], 48, True, (100, 20_000))
    for label in range(3):
        train, test = (rows.x[rows.y == label].mean(0) for rows in (task.train, task.test))
        torch.testing.assert_close(train, test, atol=0.3, rtol=0)

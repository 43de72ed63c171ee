"""What the claims about codes, the formula and the cost of a loss are made of, against closed forms and hand values."""

import math

import numpy as np
import pytest
import torch

from whyloss.claims.lab.tasks import mixture
from whyloss.claims.lab.training import accuracy, log_likelihood
from whyloss.claims.sentences import coding, computing, formula


def test_numberings_are_those_that_differ_by_more_than_a_mirror_image():
    mirrored = {tuple(3 - code for code in order) for order in coding.NUMBERINGS}
    assert len(coding.NUMBERINGS) == 12
    assert not mirrored & set(coding.NUMBERINGS)
    assert len(mirrored | set(coding.NUMBERINGS)) == math.factorial(4)


def test_renumbering_keeps_rows_and_moves_labels_and_probabilities_alike():
    task = mixture([0, 1], (50, 20, 30), classes=4)
    varied = coding.renumbered(task, [(0, 1, 2, 3), (2, 0, 3, 1)])
    assert torch.equal(varied.train.y[0], task.train.y[0])
    assert torch.equal(varied.train.y[3], torch.tensor([2, 0, 3, 1])[task.train.y[1]])
    assert torch.equal(varied.train.x[2], varied.train.x[3])
    # The class that was most probable still is, under its new number, so the ceiling stays.
    assert torch.equal(varied.test.ceiling(), task.test.ceiling().repeat_interleave(2))


def test_nearest_code_stays_within_the_codes():
    outputs = torch.tensor([[-3.0], [0.4], [1.6], [9.0]])
    assert coding.nearest_code(3)(outputs).tolist() == [0, 0, 2, 2]


def test_label_distributions_are_the_grid_without_ties():
    q = coding.label_distributions(6)
    assert {tuple((row * 6).round().int().tolist()) for row in q} == {
        *((1, 1, 4), (1, 4, 1), (4, 1, 1)),
        *((1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)),
    }


def test_minimisers_have_their_closed_forms():
    q = coding.label_distributions(9)
    for name, truth in (("codes", q @ torch.arange(3.0).double()), ("linear", q), ("probabilities", q)):
        outputs = 1 if name == "codes" else 3
        z = coding.minimiser(coding.expected_loss(name, q), len(q), outputs)
        found = z.squeeze(1) if name == "codes" else z.softmax(1) if name == "probabilities" else z
        assert torch.allclose(found, truth, atol=1e-5)


def test_the_mean_of_two_classes_can_be_a_third():
    q = torch.tensor([[0.45, 0.1, 0.45], [0.8, 0.1, 0.1]], dtype=torch.float64)
    assert coding.decided("codes", q).tolist() == [1, 0]
    assert coding.decided("linear", q[1:]).tolist() == [0]


def test_chance_of_the_best_decisions_is_the_mean_of_the_largest_probabilities():
    rows = mixture([3], (10, 10, 500)).test
    assert rows.p is not None
    best = coding.chance(rows, rows.p.argmax(-1))
    assert best.item() == pytest.approx(rows.p.amax(-1).mean().item())
    assert coding.chance(rows, rows.p.argmin(-1)).item() < best.item()
    assert rows.ceiling().item() == pytest.approx(best.item(), abs=0.06)  # 500 labels drawn


def test_coupling_is_the_product_of_the_probabilities():
    z = torch.tensor([[1.0, 0.0, -1.0], [0.0, 2.0, 2.0]], dtype=torch.float64)
    p = z.softmax(1)
    largest = max(p[0, 0] * p[0, 1], p[1, 1] * p[1, 2]).item()
    y = torch.tensor([0, 1])
    assert formula.coupling("softmax", z, y) == pytest.approx(largest, rel=1e-12)
    assert formula.coupling("sigmoid", z, y) == 0


def test_shuffling_the_rest_leaves_the_first_class_alone():
    y = torch.arange(300) % 3
    changed = formula.shuffled_rest(y, torch.Generator().manual_seed(0))
    assert torch.equal(changed == 0, y == 0)
    assert not torch.equal(changed, y)
    assert set(changed.tolist()) == {0, 1, 2}


def test_the_two_views_have_one_entropy_and_different_accuracies():
    flip = formula.flip_rate()
    assert -(flip * math.log(flip) + (1 - flip) * math.log(1 - flip)) == pytest.approx(math.log(2) / 2, rel=1e-12)
    half, every = formula.two_views([0], (10, 10, 20000))
    assert torch.equal(half.test.y, every.test.y)
    decisions = [(task.test.x.squeeze(-1) > 0).long() for task in (half, every)]
    right = [(d == task.test.y).float().mean().item() for d, task in zip(decisions, (half, every), strict=True)]
    assert right == pytest.approx([0.75, 1 - flip], abs=0.02)


def test_softening_reaches_the_value_and_changes_no_decision():
    generator = torch.Generator().manual_seed(1)
    z = 4 * torch.randn(2, 200, 3, dtype=torch.float64, generator=generator)
    y = z.argmax(-1)
    y[:, ::5] = torch.randint(3, y[:, ::5].shape, generator=generator)
    value = -log_likelihood(z, y) + torch.tensor([0.0, 0.2], dtype=torch.float64)
    soft = formula.softened(z, y, value.clamp_max(1.0))
    reached = -log_likelihood(soft, y)
    assert (reached - -log_likelihood(z, y)).min() > -1e-9 or reached[1] == pytest.approx(value[1].item())
    assert torch.equal(accuracy(soft, y), accuracy(z, y))


def test_disagreement_is_between_nothing_and_everything():
    found = torch.tensor([1.0, 0.0, math.inf, 1.1])
    truth = torch.tensor([1.0, 1e-30, 80.0, 1.0])
    assert computing.disagreement(found, truth).tolist() == pytest.approx([0, 1, 1, 0.1 / 1.1])


def test_the_formulas_agree_where_nothing_is_extreme():
    z = torch.randn(50, 4, generator=torch.Generator().manual_seed(2))
    y = torch.arange(50) % 4
    found = [computing.single_precision(name, z, y) for name in ("naive", "log_softmax", "library")]
    truth = -np.log(torch.softmax(z.double(), 1).numpy())[np.arange(50), y.numpy()]
    for values in found:
        assert values.numpy() == pytest.approx(truth, rel=1e-5)

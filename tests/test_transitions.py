"""Transition matrices: made from what is known, and estimated from what a model says."""

import pytest
import torch
from instances import rows, value_and_gradient
from torch import Tensor

import whyloss

T = torch.tensor([[0.8, 0.15, 0.05], [0.1, 0.7, 0.2], [0.0, 0.3, 0.7]], dtype=torch.float64)


def noisy(count: int = 30000, sure: float = 4.0) -> tuple[Tensor, Tensor]:
    """What a perfect model of the true classes says, and labels that went wrong by T."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.softmax(sure * torch.randn(count, 3, generator=generator, dtype=torch.float64), 1)
    true = torch.multinomial(clean, 1, generator=generator).squeeze(1)
    return clean, torch.multinomial(T[true], 1, generator=generator).squeeze(1)


def test_given_matrices():
    assert whyloss.symmetric_transition(2, 0.25).tolist() == [[0.75, 0.25], [0.25, 0.75]]
    ring = whyloss.pair_transition(3, 0.25)
    assert ring.tolist() == [[0.75, 0.25, 0], [0, 0.75, 0.25], [0.25, 0, 0.75]]
    assert torch.equal(whyloss.pair_transition(3, 0.4, {}), torch.eye(3))
    for matrix in (whyloss.symmetric_transition(7, 0.3), whyloss.pair_transition(7, 0.3)):
        torch.testing.assert_close(matrix.sum(1), torch.ones(7))
        whyloss.ForwardCorrectionLoss(transition=matrix)


def test_no_noise_is_cross_entropy():
    z, y = rows()
    expected = value_and_gradient(whyloss.CrossEntropyLoss(), z, y)
    for matrix in (whyloss.symmetric_transition(4, 0.0), whyloss.pair_transition(4, 0.0), torch.eye(4)):
        for cls in (whyloss.ForwardCorrectionLoss, whyloss.BackwardCorrectionLoss):
            torch.testing.assert_close(value_and_gradient(cls(transition=matrix), z, y), expected)


def test_anchors_find_the_matrix_of_a_model_that_has_learned_the_noisy_labels():
    clean, _ = noisy()
    found = whyloss.anchor_transition(clean @ T, quantile=None)
    torch.testing.assert_close(found, T, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.sum(1), torch.ones(3).double())
    # One outlier spoils the largest, not the quantile.
    spoiled = torch.cat([clean @ T, torch.tensor([[0.02, 0.97, 0.01]]).double()])
    assert abs(whyloss.anchor_transition(spoiled, quantile=None)[1, 1] - 0.7) > 0.2
    torch.testing.assert_close(whyloss.anchor_transition(spoiled, 0.97), T, rtol=0, atol=0.05)


def test_confident_counting_by_hand_and_on_noisy_labels():
    p = torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])
    labels = torch.tensor([0, 0, 1, 1, 1])
    # Thresholds 0.8 and (0.8 + 0.4 + 0.5) / 3: two samples are believed, both as given.
    assert whyloss.confident_joint(p, labels).tolist() == [[1, 0], [0, 1]]
    clean, given = noisy(sure=100.0)
    found = whyloss.confident_transition(clean, given)
    torch.testing.assert_close(found.sum(1), torch.ones(3).double())
    torch.testing.assert_close(found, T, rtol=0, atol=0.02)
    whyloss.ForwardCorrectionLoss(transition=found)


def test_classes_that_nobody_believes_in_are_taken_to_be_right():
    p = torch.tensor([[0.6, 0.3, 0.1], [0.7, 0.2, 0.1]])
    found = whyloss.confident_transition(p, torch.tensor([0, 1]))
    assert found.isfinite().all()
    torch.testing.assert_close(found.sum(1), torch.ones(3))
    assert found[2, 2] == 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: whyloss.symmetric_transition(1, 0.1), "two classes"),
        (lambda: whyloss.symmetric_transition(3, 20.0), "Divide by 100"),
        (lambda: whyloss.pair_transition(3, 0.1, {0: 3}), "classes are 0 to 2"),
        (lambda: whyloss.pair_transition(3, 0.1, {1: 1}), "for itself"),
        (lambda: whyloss.anchor_transition(torch.randn(4, 3)), r"Logits\? Pass logits.softmax"),
        (lambda: whyloss.anchor_transition(torch.zeros(0, 3)), "N > 0"),
        (lambda: whyloss.anchor_transition(torch.eye(3), quantile=97), "quantile <= 1"),
        (lambda: whyloss.confident_joint(torch.eye(3), torch.tensor([0, 1])), "one integer label"),
        (lambda: whyloss.confident_joint(torch.eye(3), torch.tensor([0, 1, -100])), "Leave ignored rows out"),
    ],
)
def test_mistakes_are_answered_in_words(call, words: str):  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=words):
        call()

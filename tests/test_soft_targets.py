"""The cross-entropy towards soft targets of a few rows, by hand (losses/by_hand.py): what the door says."""

from typing import Any
from unittest.mock import patch

import pytest
import torch
from instances import value_and_gradient
from torch import Tensor

import whyloss


def through_the_door(loss: whyloss.RowLoss, z: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    with patch("whyloss.losses.by_hand.reduced", return_value=None):
        return value_and_gradient(loss, z, q)


def shares(classes: int = 5, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    return torch.randn(12, classes, dtype=dtype), torch.randn(12, classes, dtype=dtype).softmax(1)


@pytest.mark.parametrize("spread", [1.0, 8.0, 300.0], ids=["usual", "sure", "far"])
@pytest.mark.parametrize("classes", [2, 5, 40])
def test_soft_targets_of_a_cross_entropy(classes: int, spread: float):
    loss = whyloss.CrossEntropyLoss()
    z, q = shares(classes)
    torch.testing.assert_close(
        value_and_gradient(loss, spread * z, q), through_the_door(loss, spread * z, q), rtol=1e-12, atol=1e-15
    )
    found, expected = value_and_gradient(loss, (spread * z).float(), q.float()), through_the_door(loss, spread * z, q)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("how", ["mean", "sum", "none"])
def test_soft_targets_take_fewer_operations(how: Any):
    z, q = shares()
    with patch("whyloss.losses.rows.enter", side_effect=AssertionError):
        value, gradient = value_and_gradient(whyloss.CrossEntropyLoss(reduction=how), z, q)
    torch.testing.assert_close(value, torch.nn.functional.cross_entropy(z, q, reduction=how))
    torch.testing.assert_close(gradient, (z.softmax(1) - q) / (len(z) if how == "mean" else 1))


def test_single_losses_of_soft_targets():
    z, q = shares()
    loss, u = whyloss.CrossEntropyLoss(reduction="none"), torch.rand(len(z), dtype=z.dtype)
    for spread in (1.0, 8.0, 300.0):
        leaf = (spread * z).requires_grad_()
        (gradient,) = torch.autograd.grad(loss(leaf, q), leaf, u)
        torch.testing.assert_close(gradient, (leaf.softmax(1) - q) * u.unsqueeze(1), rtol=1e-9, atol=1e-12)
    assert torch.autograd.gradgradcheck(lambda z: loss(z, q), z.requires_grad_())
    with pytest.raises(ValueError, match="sum to 1"):
        loss(z, 2 * q)


def test_soft_targets_that_are_not_plain_go_through_the_door():
    loss = whyloss.CrossEntropyLoss()
    z, q = shares()
    for wrong in (2 * q, q - 0.1):
        with pytest.raises(ValueError, match="soft targets must be >= 0 and sum to 1"):
            loss(z, wrong)
    ignored = q.clone()
    ignored[3] = -100
    kept = torch.arange(len(q)) != 3
    torch.testing.assert_close(loss(z, ignored), loss(z[kept], q[kept]))
    hot = torch.nn.functional.one_hot(torch.arange(12) % 5, 5).to(z.dtype)
    for target in (hot, q.float(), q.clone().requires_grad_()):
        torch.testing.assert_close(value_and_gradient(loss, 30 * z, target), through_the_door(loss, 30 * z, target))
    masked = z.clone()
    masked[:, 1] = -torch.inf
    possible = q.clone()
    possible[:, 1] = 0
    possible /= possible.sum(1, keepdim=True)
    for target in (q, possible):
        torch.testing.assert_close(
            value_and_gradient(loss, masked, target), through_the_door(loss, masked, target), equal_nan=True
        )


@pytest.mark.parametrize(
    "loss",
    [
        whyloss.CrossEntropyLoss(label_smoothing=0.1),
        whyloss.CrossEntropyLoss(weight=torch.rand(5) + 0.5),
        whyloss.CrossEntropyLoss(adjust=whyloss.LogitAdjustment(torch.tensor([9.0, 5, 3, 1, 1]))),
        whyloss.LabelSmoothingCrossEntropyLoss(),
        whyloss.FocalLoss(),
        whyloss.LogitNormLoss(),
        whyloss.CrossEntropyLoss(reduction="sum", engine="dense"),
        whyloss.BrierLoss(),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_soft_targets_of_other_losses_are_theirs(loss: whyloss.RowLoss):
    z, q = shares()
    torch.testing.assert_close(value_and_gradient(loss, z, q), through_the_door(loss, z, q), rtol=0, atol=0)


def test_derivatives_of_the_derivative_for_soft_targets():
    z, q = shares()
    loss = whyloss.CrossEntropyLoss()
    assert torch.autograd.gradgradcheck(lambda z: loss(z, q), z.requires_grad_())

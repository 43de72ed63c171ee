"""The mean over plain labels on the CPU skips the door (losses/plain.py); nobody may notice but by the clock."""

from typing import Any
from unittest.mock import patch

import pytest
import torch
from instances import value_and_gradient
from torch import Tensor

import whyloss
from whyloss.losses import rows as door


def case() -> tuple[Tensor, Tensor]:
    return torch.randn(6, 4), torch.tensor([0, 3, 1, 1, 2, 0])


def through_the_door(loss: whyloss.RowLoss, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    with patch("whyloss.losses.plain.reduced", return_value=None):
        return value_and_gradient(loss, z, y)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_the_second_call_asks_the_door_nothing(dtype: torch.dtype):
    z, y = case()
    loss = whyloss.FocalLoss(gamma=1.5, engine="dense")
    expected = through_the_door(loss, z.to(dtype), y)
    torch.testing.assert_close(value_and_gradient(loss, z.to(dtype), y), expected, rtol=0, atol=0)
    with patch.object(door, "enter", side_effect=AssertionError):
        torch.testing.assert_close(value_and_gradient(loss, z.to(dtype), y), expected, rtol=0, atol=0)
        other = y.flip(0)
        found = value_and_gradient(loss, z.to(dtype), other)
    torch.testing.assert_close(found, through_the_door(loss, z.to(dtype), other), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_no_more_does_it_where_the_way_is_chosen(dtype: torch.dtype):
    """A few rows go a way of their own, which rounds otherwise (test_few.py)."""
    z, y = case()
    loss = whyloss.FocalLoss(gamma=1.5)
    expected = through_the_door(loss, z.to(dtype), y)
    loss(z.to(dtype), y)
    with patch.object(door, "enter", side_effect=AssertionError):
        found = value_and_gradient(loss, z.to(dtype), y)
    rtol = {torch.float32: 1e-6, torch.float64: 1e-14}.get(dtype, 0)
    torch.testing.assert_close(found, expected, rtol=rtol, atol=0)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32], ids=str)
@pytest.mark.parametrize("shape", [(6,), (6, 4), (2, 3, 5)])
def test_questions(shape: tuple[int, ...], dtype: torch.dtype):
    z, y = torch.randn(shape), (torch.rand(shape) < 0.4).to(dtype)
    loss = whyloss.FocalLoss(gamma=1.5, link="sigmoid")
    expected = through_the_door(loss, z, y)
    loss(z, y)
    with patch.object(door, "enter", side_effect=AssertionError):
        torch.testing.assert_close(value_and_gradient(loss, z, y), expected, rtol=0, atol=0)
    half = torch.full(shape, 0.5)
    torch.testing.assert_close(value_and_gradient(loss, z, half), through_the_door(loss, z, half))
    with pytest.raises(ValueError, match="target"):
        loss(z, y + 1)


def test_what_is_not_plain_goes_through_the_door():
    z, y = case()
    loss = whyloss.CrossEntropyLoss()
    loss(z, y)
    with pytest.raises(ValueError, match="target holds 4"):
        loss(z, y + 1)
    ignored = torch.where(y == 1, -100, y)
    kept = y != 1
    torch.testing.assert_close(loss(z, ignored), loss(z[kept], y[kept]))
    torch.testing.assert_close(loss(z, y, sample_weight=kept.float()), loss(z[kept], y[kept]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(loss(z, y), through_the_door(loss, z, y)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("loss", [whyloss.CrossEntropyLoss, whyloss.FocalLoss, whyloss.TaylorCrossEntropyLoss])
def test_ignored_rows_and_weights_of_classes(loss: Any, weighted: bool, dtype: torch.dtype):
    z, y = case()
    z, ignored = z.to(dtype), torch.where(y == 1, -100, y)
    weight = torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64) if weighted else None
    built = loss(weight=weight)
    for target in (y, ignored):
        expected = through_the_door(built, z, target)
        built(z, target)
        with patch.object(door, "enter", side_effect=AssertionError):
            found = value_and_gradient(built, z, target)
        torch.testing.assert_close(found, expected, rtol=1e-2 if dtype == torch.bfloat16 else 1e-6, atol=1e-9)
    z[y == 1] = torch.nan
    value, gradient = value_and_gradient(built, z, ignored)
    assert value.isfinite()
    assert not gradient[y == 1].any()


@pytest.mark.parametrize("engine", ["auto", "dense"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("rows", [6, 3000])
def test_weights_of_rows(rows: int, weighted: bool, engine: Any):
    z, y, of_rows = torch.randn(rows, 4), torch.arange(rows) % 4, torch.rand(rows) + 0.1
    loss = whyloss.FocalLoss(weight=torch.rand(4) + 0.5 if weighted else None, engine=engine)
    loss(z, y)
    with patch("whyloss.losses.plain.reduced", return_value=None):
        expected = value_and_gradient(loss, z, y, sample_weight=of_rows)
    with patch.object(door, "enter", side_effect=AssertionError):
        found = value_and_gradient(loss, z, y, sample_weight=of_rows)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-9)


def test_weights_of_rows_that_learn_or_do_not_fit():
    z, y = case()
    of_rows = torch.tensor([0.5, 1.0, 2.0, 3.0, 1.0, 0.25])
    learnt = of_rows.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(whyloss.FocalLoss()(z, y, learnt), learnt)
    assert gradient.abs().max() > 0
    with pytest.raises(ValueError, match="sample_weight"):
        whyloss.FocalLoss()(z, y, of_rows[:3])


def test_weights_of_classes_that_change_in_place():
    z, y = case()
    loss = whyloss.CrossEntropyLoss(weight=torch.tensor([0.5, 1.0, 2.0, 4.0]))
    loss(z, y)
    assert loss.weight is not None
    loss.weight.copy_(torch.tensor([3.0, 1.0, 0.5, 1.0]))
    torch.testing.assert_close(value_and_gradient(loss, z, y), through_the_door(loss, z, y))
    loss.weight[1] = 0.0  # its rows count for nothing, whatever they hold
    z[2:4] = torch.nan
    value, gradient = value_and_gradient(loss, z, y)
    assert value.isfinite()
    assert not gradient[2:4].any()


def test_weights_of_classes_that_learn():
    z, y = case()
    weight = torch.nn.Parameter(torch.tensor([0.5, 1.0, 2.0, 4.0]))
    loss = whyloss.CrossEntropyLoss(weight=weight)
    for _ in range(2):
        (gradient,) = torch.autograd.grad(loss(z, y), weight)
        assert gradient.abs().max() > 0


@pytest.mark.parametrize("label", [4, -1])
def test_a_label_that_is_none_beside_ignored_ones(label: int):
    z, y = case()
    y[0], y[1] = -100, label
    with pytest.raises(ValueError, match=f"target holds {label}"):
        whyloss.CrossEntropyLoss()(z, y)


def test_nothing_but_ignored_rows():
    z, y = case()
    value, gradient = value_and_gradient(whyloss.CrossEntropyLoss(), z, torch.full_like(y, -100))
    assert value == 0
    assert not gradient.any()


def test_a_change_of_the_loss_is_a_change_of_the_way():
    z, y = case()
    loss = whyloss.FocalLoss(gamma=0.0)
    loss(z, y)
    loss.gamma = 2.0
    torch.testing.assert_close(loss(z, y), whyloss.FocalLoss(gamma=2.0)(z, y))
    loss.weight = torch.tensor([1.0, 2.0, 3.0, 4.0])
    torch.testing.assert_close(loss(z, y), through_the_door(loss, z, y)[0])
    loss.reduction = "sum"
    torch.testing.assert_close(loss(z, y), through_the_door(loss, z, y)[0])


def test_derivatives_of_the_derivative():
    z, y = case()
    loss = whyloss.CrossEntropyLoss()
    loss(z, y)

    def of_logits(z: Tensor) -> Tensor:
        return loss(z, y)

    z = z.double().requires_grad_()
    assert torch.autograd.gradgradcheck(of_logits, z)
    torch.testing.assert_close(torch.func.grad(of_logits)(z.detach()), value_and_gradient(loss, z, y)[1])

"""Slopes in closed form: in one block or many, for gradients and for what needs more, they are the function's own."""

from typing import Any

import pytest
import torch
from torch import Tensor

import whyloss
from whyloss.losses.loss import Loss
from whyloss.stats import closed

LOSSES: dict[str, Loss] = {
    "EMD²": whyloss.SquaredEarthMoverLoss(),
    "class distance": whyloss.ClassDistanceWeightedCrossEntropyLoss(alpha=2.0),
    "sparsemax": whyloss.SparsemaxLoss(),
    "entmax": whyloss.EntmaxLoss(alpha=1.3),
    "bi-tempered": whyloss.BiTemperedLogisticLoss(),
    "of one temperature": whyloss.BiTemperedLogisticLoss(t1=1.0, t2=1.5),
    "bounded": whyloss.BiTemperedLogisticLoss(t1=0.0, t2=3.0),
    "ZLPR": whyloss.ZLPRLoss(),
    "MCC": whyloss.SoftMCCLoss(),
}


def inputs(name: str, spread: float = 2.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    z = spread * torch.randn(30, 7, generator=generator, dtype=torch.float64)
    labels = torch.randint(7, (30,), generator=generator)
    sets = (torch.rand(30, 7, generator=generator) < 0.4).double()
    return z, sets if name == "ZLPR" else labels


def gradient(loss: Any, z: Tensor, target: Tensor, more: bool = False) -> Tensor:
    leaf = z.clone().requires_grad_()
    return torch.autograd.grad(loss(leaf, target), leaf, create_graph=more)[0]


def as_written(loss: Any, z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Slope and value; torch.func sees the function as it is written."""
    return torch.func.grad_and_value(lambda z: loss(z, target))(z)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("spread", [0.0, 2.0, 40.0])
def test_the_slope_is_that_of_the_function_as_it_is_written(name: str, spread: float):
    z, target = inputs(name, spread)
    slope, value = as_written(LOSSES[name], z, target)
    torch.testing.assert_close(LOSSES[name](z, target), value)
    torch.testing.assert_close(gradient(LOSSES[name], z, target), slope)
    torch.testing.assert_close(gradient(LOSSES[name], z, target, more=True), slope)


@pytest.mark.parametrize("name", LOSSES)
def test_many_blocks_are_one(name: str, monkeypatch: pytest.MonkeyPatch):
    z, target = inputs(name)
    whole, value = gradient(LOSSES[name], z, target), LOSSES[name](z.requires_grad_(), target)
    monkeypatch.setattr(closed, "AT_ONCE", 40)
    torch.testing.assert_close(gradient(LOSSES[name], z.detach(), target), whole)
    torch.testing.assert_close(LOSSES[name](z, target), value)


@pytest.mark.parametrize("name", ["EMD²", "class distance", "sparsemax", "bi-tempered", "bounded"])
def test_a_masked_class_has_no_slope(name: str):
    z, _ = inputs(name)
    z[:, 2] = -torch.inf
    slope = gradient(LOSSES[name], z, torch.zeros(30, dtype=torch.int64))
    assert slope.isfinite().all()
    assert not slope[:, 2].any()


def test_a_gradient_twice_from_one_graph():
    z, target = inputs("EMD²")
    leaf = z.requires_grad_()
    loss = LOSSES["EMD²"](leaf, target)
    first, second = (torch.autograd.grad(loss, leaf, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)

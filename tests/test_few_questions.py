"""A few logits of the sigmoid link, in one go (stats/elementwise.py), held to the reference engine in float64."""

from typing import Any
from unittest.mock import patch

import pytest
import torch
from instances import SIGMOID, Case, defaults, keeps_its_slopes, times, value_and_gradient
from torch import Tensor

import whyloss
from whyloss.losses import rows as door

HOWS = ("mean", "sum", "none")


def case(scale: float = 1.0) -> tuple[Tensor, Tensor]:
    return scale * torch.randn(12, 5), (torch.rand(12, 5) < 0.4).float()


def compare(loss: Case, z: Tensor, y: Tensor, of_rows: Tensor | None = None, **options: Any) -> None:
    """Value and gradient, of the second call, which may know a short way, against those in float64."""
    for how in HOWS:
        given = options | {"reduction": how, "link": "sigmoid"}
        built, exact = loss.build(2, **given), loss.build(2, engine="reference", **given)
        built(z, y, of_rows)
        upstream = torch.rand(y.shape if how == "none" else ()) + 0.5
        value, gradient = value_and_gradient(times(built, upstream), z, y, sample_weight=of_rows)
        double = times(exact, upstream.double())
        expected, slopes = value_and_gradient(double, z.double(), y.double(), sample_weight=of_rows)
        # Where terms cancel, what is left is as exact as they are.
        for found, known, rtol in ((value, expected, 4e-6), (gradient, slopes, 2e-5)):
            torch.testing.assert_close(found.double(), known, rtol=rtol, atol=2e-7 * float(known.abs().max()))


@pytest.mark.parametrize("scale", [1.0, 8.0, 300.0], ids=["usual", "sure", "too far"])
@pytest.mark.parametrize("loss", SIGMOID, ids=str)
def test_every_loss(loss: Case, scale: float):
    compare(loss, *case(scale))


@pytest.mark.parametrize("loss", defaults(SIGMOID), ids=str)
def test_shares_of_yes(loss: Case):
    z, _ = case()
    compare(loss, z, torch.rand(12, 5))


@pytest.mark.parametrize("loss", [Case(whyloss.CrossEntropyLoss), Case(whyloss.FocalLoss)], ids=str)
def test_weights_of_yes_and_no_of_labels_and_those_that_are_ignored(loss: Case):
    z, y = case()
    both, of_labels, own = torch.tensor([0.5, 3.0]), torch.rand(5, 2) + 0.5, torch.rand(12, 5) + 0.5
    for weight in (both, of_labels):
        compare(loss, z, y, weight=weight)
        compare(loss, z, y, own, weight=weight)
        compare(loss, z, torch.where(y > 0, -100.0, y), weight=weight)
    compare(loss, z, y, own.double())
    compare(loss, z, y, torch.rand(12) + 0.5)  # one for each row
    compare(loss, z, y, weight=torch.tensor([0.0, 1.0]))
    compare(loss, z[:, 0].contiguous().unsqueeze(1), y[:, :1].contiguous(), weight=both)


def test_weights_and_single_losses_go_the_short_way():
    z, y = case()
    for how in HOWS:
        loss: Any = whyloss.CrossEntropyLoss(link="sigmoid", weight=torch.rand(5, 2) + 0.5, reduction=how)
        expected = value_and_gradient(loss, z, y)
        blocks = patch("whyloss.stats.elementwise._Blocks", side_effect=AssertionError)
        with patch.object(door, "enter", side_effect=AssertionError), blocks:
            torch.testing.assert_close(value_and_gradient(loss, z, y), expected)


@pytest.mark.parametrize("how", HOWS)
def test_derivatives_of_the_derivative_and_a_retained_graph(how: Any):
    z, y = case()
    loss = whyloss.FocalLoss(link="sigmoid", reduction=how)
    leaf = z.double().requires_grad_()

    def of(z: Tensor) -> Tensor:
        return loss(z, y)

    assert torch.autograd.gradgradcheck(of, leaf)
    value = 3 * loss(leaf, y).sum()
    first, second = (torch.autograd.grad(value, leaf, retain_graph=True)[0] for _ in range(2))
    torch.testing.assert_close(first, second)


def test_losses_that_are_changed_in_place_keep_their_slopes():
    z, y = case()
    for case_of in defaults(SIGMOID):
        keeps_its_slopes(case_of.build(2, link="sigmoid", reduction="none"), z, y)

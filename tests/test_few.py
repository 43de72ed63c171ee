"""Losses of a few rows (stats/few.py), held to the reference engine in float64."""

from typing import Any
from unittest.mock import patch

import pytest
import torch
from instances import SOFTMAX, Case, defaults, keeps_its_slopes, times, value_and_gradient
from torch import Tensor

import whyloss
from whyloss.stats import dense
from whyloss.stats.few import Few
from whyloss.stats.table import needed


def reads(case: Case, *sums: str) -> bool:
    loss = case.build(5)
    read = {"log_odds", *sums} >= set(needed(frozenset(loss.formulas()[0].names)))
    return read and not loss.normalized and loss.adjust is None


OF_ODDS = [case for case in SOFTMAX if reads(case)]
OF_SUMS = [case for case in SOFTMAX if reads(case, "rest_sq", "rest_entropy") and not reads(case)]


def case(scale: float = 1.0, rows: int = 12, classes: int = 5) -> tuple[Tensor, Tensor]:
    return scale * torch.randn(rows, classes), torch.arange(rows) % classes


def compare(loss: Any, z: Tensor, y: Tensor, slack: float = 1e-9, of_rows: Any = None, **options: Any) -> None:
    """Value and gradient of the second call, which knows the way, against those in float64, reduced as one may ask for.
    slack: of the largest slope. of_rows: the weight of each."""
    for how in ("mean", "sum", "none"):
        given = options | {"reduction": how}
        built, exact = loss.build(z.shape[1], **given), loss.build(z.shape[1], engine="reference", **given)
        built(z, y)
        upstream = torch.rand(y.shape if how == "none" else ()) + 0.5
        value, gradient = value_and_gradient(times(built, upstream), z, y, sample_weight=of_rows)
        expected, slopes = value_and_gradient(times(exact, upstream.double()), z.double(), y, sample_weight=of_rows)
        torch.testing.assert_close(value.double(), expected, rtol=4e-6 if how == "none" else 2e-6, atol=1e-12)
        torch.testing.assert_close(gradient.double(), slopes, rtol=2e-5, atol=slack * float(slopes.abs().max()))


@pytest.mark.parametrize("scale", [1.0, 8.0, 300.0], ids=["usual", "sure", "too far"])
@pytest.mark.parametrize("loss", OF_ODDS, ids=str)
def test_every_loss(loss: Case, scale: float):
    compare(loss, *case(scale), link="softmax")


@pytest.mark.parametrize("scale", [1.0, 8.0], ids=["usual", "sure"])
@pytest.mark.parametrize("loss", OF_SUMS, ids=str)
def test_every_loss_of_a_sum_over_the_others(loss: Case, scale: float):
    """Their slopes are differences."""
    compare(loss, *case(scale), 5e-7, of_rows=torch.rand(12) + 0.5)
    compare(loss, *case(scale, classes=40), 5e-7)


def pixels(scale: float = 1.0) -> tuple[Tensor, Tensor]:
    return scale * torch.randn(2, 5, 6, 7), torch.arange(84).reshape(2, 6, 7) % 5


@pytest.mark.parametrize("scale", [1.0, 8.0, 300.0], ids=["usual", "sure", "too far"])
@pytest.mark.parametrize("loss", defaults(OF_ODDS), ids=str)
def test_pixels_of_a_few_classes(loss: Case, scale: float):
    compare(loss, *pixels(scale), link="softmax")


@pytest.mark.parametrize("scale", [1.0, 8.0], ids=["usual", "sure"])
def test_weights_ignored_pixels_and_smoothed_labels(scale: float):
    z, y = pixels(scale)
    weight, of_pixels = torch.tensor([0.5, 1.0, 2.0, 4.0, 0.1]), torch.rand(2, 6, 7) + 0.5
    ignored = torch.where(y == 1, 255, y)
    for loss in (Case(whyloss.CrossEntropyLoss), Case(whyloss.FocalLoss)):
        compare(loss, z, y, weight=weight, of_rows=of_pixels)
        compare(loss, z, y, of_rows=of_pixels.double())
        compare(loss, z, y, of_rows=torch.tensor([1.0, 0.5]))  # one for each image
        compare(loss, z, ignored, ignore_index=255, weight=weight)
    compare(Case(whyloss.CrossEntropyLoss), z, y, 3e-7, label_smoothing=0.1)
    with pytest.raises(ValueError, match="target holds 255"):
        whyloss.CrossEntropyLoss()(z, ignored)


def test_pixels_many_times():
    z, y = pixels()
    loss = whyloss.FocalLoss(weight=torch.tensor([0.5, 1.0, 2.0, 4.0, 0.1]))
    leaf, other = (x.clone().requires_grad_() for x in (z, z.flip(0)))
    alone = [torch.autograd.grad(loss(x, y), x)[0] for x in (leaf, other)]
    first, second = loss(leaf, y), loss(other, y)  # of which both share what they were computed in
    together = [*torch.autograd.grad(first, leaf, retain_graph=True), *torch.autograd.grad(second, other)]
    again = torch.autograd.grad(first, leaf)[0]
    torch.testing.assert_close([*together, again], [*alone, alone[0]], rtol=1e-6, atol=0)
    assert together[0].shape == z.shape
    exact = z[:, :, :2, :2].double().contiguous().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda z: loss(z, y[:, :2, :2].contiguous()), exact)
    z[0, :, 2, 3] = torch.tensor([100.0, 90.0, 0.0, -torch.inf, 95.0])  # whose exponentials are too large to add up
    compare(Case(whyloss.CrossEntropyLoss), z, y)


@pytest.mark.parametrize("loss", [Case(whyloss.CrossEntropyLoss), Case(whyloss.FocalLoss)], ids=str)
def test_weights_of_classes_ignored_rows_and_one_row(loss: Case):
    z, y = case()
    weight = torch.tensor([0.5, 1.0, 2.0, 4.0, 0.1])
    compare(loss, z, y, weight=weight)
    compare(loss, z[:1], y[:1], weight=weight)
    compare(loss, z, torch.where(y == 1, -100, y), weight=weight)
    compare(loss, z, y, ignore_index=2)
    of_rows = torch.rand(len(y)) + 0.5
    compare(loss, z, y, of_rows=of_rows)
    compare(loss, z, torch.where(y == 1, -100, y), of_rows=of_rows.double(), weight=weight)
    of_rows[3] = 0.0  # counts for nothing
    compare(loss, z, y, of_rows=of_rows)
    compare(loss, z[:, :2].contiguous(), y % 2)


@pytest.mark.parametrize("over", ["all", "others"])
@pytest.mark.parametrize("scale", [1.0, 8.0, 300.0], ids=["usual", "sure", "too far"])
def test_smoothed_labels(scale: float, over: Any):
    """Slopes of smoothed labels are differences."""
    given = {"label_smoothing": 0.1, "smoothing_over": over}
    losses = [Case(whyloss.CrossEntropyLoss), Case(whyloss.MeanAbsoluteErrorLoss)]
    for loss in losses[: 1 if scale > 100 else 2]:  # far from the label the second has no slope but rounding
        for classes in (2, 5, 40):
            z, y = case(scale, classes=classes)
            compare(loss, z, y, 3e-7, **given)
        compare(
            loss, z[:, :5].contiguous(), y % 5, 3e-7, weight=torch.rand(5) + 0.5, smoothing_weight="sample", **given
        )
    z[3, 1] = -torch.inf
    found = value_and_gradient(whyloss.CrossEntropyLoss(**given), z, y)
    expected = value_and_gradient(whyloss.CrossEntropyLoss(engine="reference", **given), z.double(), y)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-7, equal_nan=True)


def test_it_is_the_way_of_a_few_rows_and_no_other():
    z, y = case()
    loss = whyloss.CrossEntropyLoss()
    loss(z, y)
    smooth = whyloss.CrossEntropyLoss(label_smoothing=0.1)
    smooth(z, y)
    sums = [loss.build(5) for loss in OF_SUMS]
    for other in sums:
        other(z, y)
    each, summed = (whyloss.CrossEntropyLoss(reduction=how) for how in ("none", "sum"))
    each(z, y), summed(z, y)
    with (
        patch.object(dense, "total", side_effect=AssertionError),
        patch.object(dense, "each", side_effect=AssertionError),
    ):
        assert loss(z, y).isfinite()
        assert smooth(z, y).isfinite()
        assert all(other(z, y).isfinite() for other in sums)
        torch.testing.assert_close(each(z, y).sum(), summed(z, y))
    with patch.object(Few, "found", side_effect=AssertionError):
        many = torch.randn(600, 50)
        for _ in range(2):
            assert loss(many, torch.zeros(600).long()).isfinite()


@pytest.mark.parametrize("lost", [-torch.inf, torch.inf, torch.nan])
def test_what_is_no_number_or_masked_is_as_before(lost: float):
    z, y = case()
    loss = whyloss.CrossEntropyLoss()
    loss(z, y)
    z[3, 1] = lost
    found = value_and_gradient(loss, z, y)
    expected = value_and_gradient(whyloss.CrossEntropyLoss(engine="reference"), z.double(), y)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("label", [5, -1, 2**40])
def test_labels_that_are_none(label: int):
    z, y = case()
    loss = whyloss.CrossEntropyLoss()
    expected = value_and_gradient(loss, z, y)
    wrong = y.clone()
    wrong[4] = label
    for _ in range(2):  # the second time they are looked at before
        with pytest.raises(ValueError, match=f"target holds {label}"):
            loss(z, wrong)
        torch.testing.assert_close(value_and_gradient(loss, z, y), expected)


@pytest.mark.parametrize("how", ["mean", "sum", "none"])
def test_derivatives_of_the_derivative_and_a_retained_graph(how: Any):
    z, y = case()
    weight, of_rows = torch.tensor([0.5, 1.0, 2.0, 4.0, 0.1]), torch.rand(len(y)) + 0.5
    for given, own in ((None, None), (weight, of_rows)):
        loss = whyloss.FocalLoss(weight=given, reduction=how)
        leaf = z.double().requires_grad_()
        loss(leaf, y)
        assert torch.autograd.gradcheck(lambda z: loss(z, y, own), leaf)  # noqa: B023
        assert torch.autograd.gradgradcheck(lambda z: loss(z, y, own), leaf)  # noqa: B023
        value = 3 * loss(leaf, y, own).sum()
        first, second = (torch.autograd.grad(value, leaf, retain_graph=True)[0] for _ in range(2))
        assert first.data_ptr() != second.data_ptr()
        torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_losses_that_are_changed_in_place_keep_their_slopes():
    z, y = case()
    for case_of in OF_ODDS:  # of some the slope in the odds is the loss itself
        keeps_its_slopes(case_of.build(5, link="softmax", reduction="none"), z, y)


def test_logits_that_are_overwritten_are_missed():
    z, y = case()
    loss = whyloss.CrossEntropyLoss()
    loss(z, y)
    leaf = z.clone().requires_grad_()
    logits = leaf * 1
    value = loss(logits, y)
    logits.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_no_gradient_is_kept_where_none_is_wanted():
    z, y = case()
    loss = whyloss.CrossEntropyLoss()
    expected = loss(z, y)
    assert not expected.requires_grad
    with torch.no_grad():
        assert torch.equal(loss(z.requires_grad_(), y), expected)
        assert not loss(z, y).requires_grad
    with torch.inference_mode():
        torch.testing.assert_close(loss(z.detach(), y), expected)


@pytest.mark.parametrize("weight", [None, torch.tensor([0.5, 1.0, 2.0, 4.0, 0.1])], ids=["", "weighted"])
def test_autocast_computes_as_before(weight: Tensor | None):
    z, y = case()
    loss = whyloss.CrossEntropyLoss(weight=weight)
    expected = value_and_gradient(loss, z, y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = value_and_gradient(loss, z, y)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)

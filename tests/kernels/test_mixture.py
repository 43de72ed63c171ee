"""Soft targets in kernels: every class as the label, beside the reference engine, in float64."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from instances import SOFTMAX, Case, defaults, thinned
from torch import Tensor

import whyloss
from whyloss.losses import rows as door
from whyloss.stats import reference
from whyloss.stats.kernels.mixture import FITS
from whyloss.stats.table import needed

pytestmark = pytest.mark.kernels


# A statistic with a table is the reference engine's.
CASES = [case for case in SOFTMAX if FITS.issuperset(needed(frozenset(case.cls.statistics)))]
OTHERS = [case for case in SOFTMAX if case not in CASES]
NORMALIZED = [case for case in CASES if case.cls.normalized]


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    from whyloss.stats.kernels import launch

    def tile(classes: int, sums: int) -> dict[str, int]:
        return {"K": 2, "T": 8, "num_warps": 1}

    monkeypatch.setattr(launch, "SMALL", 0)
    monkeypatch.setattr(launch, "tile", tile)


def inputs(classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows with a masked class, a very confident one, all weight on one class, an ignored one, and two largest."""
    z = torch.randn(6, classes, dtype=torch.float64) * 3
    z[0, 2] = -torch.inf
    z[1, 1] += 25
    z[3] = torch.nan
    z[5, 0] = z[5, 1] = 9.0
    q = torch.softmax(torch.randn(6, classes, dtype=torch.float64) * 2, 1)
    q[0, 2] = 0
    q[0] /= q[0].sum()
    q[2] = torch.eye(classes, dtype=torch.float64)[1]
    q[3] = -100
    return z, q, torch.tensor([1.0, 2, 3, 1, 0.5, 1], dtype=torch.float64)


def compare(loss: Any, classes: int, target: Tensor | None = None, **changes: Any) -> None:
    from whyloss.stats.kernels import rows as kernels

    z, q, weight = inputs(classes)
    rows = replace(door.enter(loss, z, q if target is None else target, weight).rows, **changes)
    up, share = torch.linspace(-1, 2, 6, dtype=torch.float64), torch.tensor(0.25, dtype=torch.float64)

    def found(each: Any, total: Any) -> list[Tensor]:
        leaf = z.clone().requires_grad_()
        losses = each(leaf)
        one = torch.autograd.grad(losses, leaf, up)[0]
        return [losses.detach(), one, torch.autograd.grad(total(leaf) * 2, leaf)[0]]

    ours = found(lambda z: kernels.each(z, rows), lambda z: kernels.total(z, rows, share))
    theirs = found(lambda z: reference.row_losses(z, rows), lambda z: reference.row_losses(z, rows).sum() * share)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_short_rows(case: Case):
    compare(case.build(6, link="softmax"), 6)


@pytest.mark.parametrize("case", OTHERS, ids=str)
def test_what_does_not_fit_is_refused_by_name_and_goes_elsewhere(case: Case):
    z, q, _ = inputs(6)
    with pytest.raises(ValueError, match="cannot be summed in a kernel"):
        case.build(6, link="softmax", engine="triton")(z, q)
    assert torch.isfinite(case.build(6, link="softmax")(z[4:5], q[4:5]))


@pytest.mark.parametrize("case", thinned(defaults(CASES)))
def test_long_rows(case: Case, small_tiles: None):
    compare(case.build(37, link="softmax"), 37)


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("case", defaults(NORMALIZED), ids=str)
def test_a_normalized_loss_of_labels(case: Case, long: bool, request: pytest.FixtureRequest):
    if long:
        request.getfixturevalue("small_tiles")
    compare(case.build(6, link="softmax"), 6, torch.tensor([0, 1, 4, -100, 5, 1]))
    # Two classes, of which one has nearly all of the losses: its share of them is 1, and has a slope.
    z = torch.tensor([[0.0, 30.0], [40.0, 0.0], [0.5, 0.0]], dtype=torch.float64).requires_grad_()
    y = torch.tensor([0, 0, 1])
    ours, theirs = (
        torch.autograd.grad(case.build(2, link="softmax", engine=engine)(z, y), z)[0]
        for engine in ("triton", "reference")
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-22)


@pytest.mark.parametrize("long", [False, True])
def test_the_rival_where_several_classes_tie(long: bool, request: pytest.FixtureRequest):
    if long:
        request.getfixturevalue("small_tiles")
    z = torch.tensor([[2.0, 2, 2, 0], [2, 2, 1, 0], [1, 3, 2, 0]], dtype=torch.float64).requires_grad_()
    q = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.3, 0.3, 0.3, 0.1], [0, 0, 1, 0]], dtype=torch.float64)
    ours, theirs = (
        torch.autograd.grad(whyloss.MulticlassHingeLoss(engine=engine)(z, q), z)[0]
        for engine in ("triton", "reference")
    )
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NormalizedCrossEntropyLoss"])
def test_a_scale_of_each_class(name: str):
    loss = getattr(whyloss, name)(label_smoothing=0.1)
    scale, margin = torch.linspace(0.5, 2, 6).double(), torch.rand(6).double()
    compare(loss, 6, scale=scale)
    compare(loss, 6, scale=scale, margin=margin)


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "FocalLoss", "BrierLoss"])
def test_adjustments(name: str):
    adjust = whyloss.Adjustment(shift=torch.randn(6).double(), margin=torch.rand(6).double(), scale=1.7)
    weight = torch.tensor([1.0, 0, 2, 1, 1, 3])
    compare(getattr(whyloss, name)(adjust=adjust, weight=weight, label_smoothing=0.1), 6)


def test_pixels_and_16_bits():
    z, q = torch.randn(2, 5, 3, 4).bfloat16(), torch.softmax(torch.randn(2, 5, 3, 4), 1)
    found = list[Tensor]()
    for engine, logits in (("triton", z), ("reference", z.double())):
        leaf = logits.clone().requires_grad_()
        whyloss.FocalLoss(engine=engine)(leaf, q).backward()
        assert leaf.grad is not None
        found.append(leaf.grad.double())
    torch.testing.assert_close(*found, rtol=2**-7, atol=1e-6)

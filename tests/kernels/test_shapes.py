"""The kernels for long rows, on rows of every alignment: the tiles are shrunk, so that a few dozen classes cross many.

Run in Triton's interpreter, or on a GPU; the laws of every loss are in laws.py."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from instances import SOFTMAX, Case, defaults, thinned
from torch import Tensor

import whyloss
from whyloss.losses import rows as door
from whyloss.stats import reference
from whyloss.stats.rows import flat

pytestmark = pytest.mark.kernels
CASES = SOFTMAX
WIDTHS = [3, 31, 32, 37, 40, 64, 67]


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    from whyloss.stats.kernels import launch

    def tile(classes: int, sums: int) -> dict[str, int]:
        return {"K": 2, "T": 8, "num_warps": 1}

    monkeypatch.setattr(launch, "SMALL", 0)
    monkeypatch.setattr(launch, "STRETCH", 16)
    monkeypatch.setattr(launch, "tile", tile)
    monkeypatch.setattr(launch, "near_tile", tile)


def logits(classes: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Five rows: labels at both ends, masked classes, a confident row, one that is ignored and full of NaN."""
    z = torch.randn(5, classes, dtype=torch.float64) * 3
    z[0, classes // 2] = z[2, 2] = -torch.inf  # of row 2, the label's
    z[1, 1] += 25
    z[4] = torch.nan
    return z.to(dtype), torch.tensor([0, 1, 2, classes - 1, -100])


def found(run: Callable[[Tensor], Tensor], z: Tensor, upstream: Tensor) -> tuple[Tensor, Tensor]:
    z = z.detach().clone().requires_grad_()
    value = run(z)
    (gradient,) = torch.autograd.grad(value, z, upstream)
    return value.detach(), gradient


def compare(rows: Any, z: Tensor, exact: Any = None, rtol: float = 1e-10) -> None:
    from whyloss.stats.kernels import rows as kernels

    exact = rows if exact is None else exact
    each, share = torch.linspace(-1, 2, len(z)).to(z.dtype), torch.tensor(0.25, dtype=z.dtype)
    ours = (
        found(lambda z: kernels.each(z, rows), z, each),
        found(lambda z: kernels.total(z, rows, share) * 2, z, share * 4),
    )
    theirs = (
        found(lambda z: reference.row_losses(z, exact), z.double(), each.double()),
        found(lambda z: reference.row_losses(z, exact).sum() * 0.5, z.double(), share.double() * 4),
    )
    for a, b in zip((x for pair in ours for x in pair), (x for pair in theirs for x in pair), strict=True):
        scale = b[torch.isfinite(b)].abs().max() if b.ndim else b.abs()
        torch.testing.assert_close(a.double(), b, rtol=rtol, atol=float(rtol * scale))


@pytest.mark.parametrize("case", thinned(CASES))
def test_every_loss_over_several_tiles(case: Case, small_tiles: None):
    z, y = logits(37)
    rows = door.enter(case.build(37, link="softmax"), z, y, None).rows
    compare(rows, z)


@pytest.mark.parametrize("classes", WIDTHS)
@pytest.mark.parametrize("case", thinned(defaults(CASES)))
def test_rows_of_every_alignment(case: Case, classes: int, small_tiles: None):
    z, y = logits(classes, torch.float32)
    loss = case.build(classes, link="softmax")
    rows = door.enter(loss, z, y, None).rows
    compare(rows, z, door.enter(loss, z.double(), y, None).rows, rtol=1e-4)


@pytest.mark.parametrize("case", [case for case in defaults(CASES) if not case.cls.normalized], ids=str)
def test_a_formula_that_cannot_be_traced_runs_between_two_kernels(case: Case, small_tiles: None):
    z, y = logits(19)
    compare(replace(door.enter(case.build(19, link="softmax"), z, y, None).rows, key=None), z)


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "BrierLoss", "ForwardCorrectionLoss"])
def test_weights_and_adjustments(name: str, small_tiles: None):
    z, y = logits(19)
    case = next(c for c in CASES if str(c) == name)
    adjust = whyloss.Adjustment(shift=torch.randn(19).double(), margin=torch.rand(19).double(), scale=1.7)
    loss = case.build(19, link="softmax", adjust=adjust, weight=torch.rand(19).double())
    compare(door.enter(loss, z, y, torch.tensor([1.0, 0, 2, 3, 1])).rows, z)


def test_a_scale_of_each_class(small_tiles: None, monkeypatch: pytest.MonkeyPatch):
    from whyloss.stats.kernels import launch
    from whyloss.stats.kernels import rows as kernels

    scale, margin = torch.linspace(0.5, 2, 19).double(), torch.rand(19).double()
    for traced in (True, False):
        z, y = logits(19)
        described = door.enter(whyloss.FocalLoss(), z, y, None).rows
        compare(replace(described, scale=scale, margin=margin, key=described.key if traced else None), z)
        monkeypatch.setattr(launch, "SMALL", 4096)  # short rows the second time
    pixels = torch.randn(2, 19, 6, dtype=torch.float64).requires_grad_()
    labels = torch.arange(12) % 19
    described = replace(door.enter(whyloss.FocalLoss(), pixels, labels.view(2, 6), None).rows, scale=scale)
    values = kernels.total(pixels, described), reference.row_losses(flat(pixels), described).sum()
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*(torch.autograd.grad(value, pixels)[0] for value in values))


@pytest.mark.parametrize("view", ["transposed", "every second row", "some columns", "expanded"])
def test_logits_in_any_layout(view: str, small_tiles: None):
    from whyloss.stats.kernels import rows as kernels

    wide = torch.randn(10, 45)
    z = {
        "transposed": wide.T.contiguous().T,
        "every second row": wide[::2],
        "some columns": wide[:, 3:40],
        "expanded": wide[:1].expand(10, 45),
    }[view]
    rows = door.enter(whyloss.BrierLoss(), z, torch.arange(len(z)), None).rows
    ours = found(lambda z: kernels.total(z, rows), z, torch.tensor(1.0))
    leaf = z.detach().requires_grad_()  # of the same layout
    value = kernels.total(leaf, rows)
    (gradient,) = torch.autograd.grad(value, leaf)
    theirs = found(lambda z: reference.row_losses(z, rows).sum(), z.double(), torch.tensor(1.0).double())
    for a, b in zip((*ours, value.detach(), gradient), (*theirs, *theirs), strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-6)


def test_the_gradient_may_take_the_place_of_the_logits(small_tiles: None):
    from whyloss.stats.kernels import rows as kernels

    z, y = torch.randn(6, 45), torch.arange(6) * 7
    rows = door.enter(whyloss.FocalLoss(), z, y, None).rows
    losses, apart, _ = kernels.sweep(z, rows, now=True, later=False)
    again, there, _ = kernels.sweep(z, rows, now=True, later=False, out=z)
    assert there is z
    assert apart is not None
    assert torch.equal(losses, again)
    assert torch.equal(apart, z)


def test_a_wide_row_keeps_coefficients_instead_of_reading_the_logits_twice(
    monkeypatch: pytest.MonkeyPatch, small_tiles: None
):
    from whyloss.stats.kernels import rows as kernels

    monkeypatch.setattr(kernels, "WIDE", 30)
    z, y = logits(37)
    compare(door.enter(whyloss.GeneralizedCrossEntropyLoss(), z, y, None).rows, z)


PLANES = [pytest.param(case, 3, id=str(case)) for case in defaults(CASES)]


@pytest.mark.parametrize(("case", "classes"), [*PLANES, *thinned(defaults(CASES), 40)])
def test_planes_of_pixels(case: Case, classes: int, monkeypatch: pytest.MonkeyPatch):
    from whyloss.stats.kernels import launch

    monkeypatch.setattr(launch, "PIXELS", 8)
    z = torch.randn(2, classes, 3, 5, dtype=torch.float64) * 3
    y = torch.arange(30).reshape(2, 3, 5) % classes
    z[0, 1, 0, 0] = z[1, 2, 1, 2] = -torch.inf
    y[1, 1, 2], y[1, 2, 4] = 2, -100
    z[1, :, 2, 4] = torch.nan
    for reduction, up in (("mean", torch.tensor(1.7).double()), ("none", torch.linspace(-1, 2, 30).double())):
        shape = () if reduction == "mean" else (2, 3, 5)
        pair = [
            found(
                lambda z: case.build(classes, engine=e, reduction=reduction, link="softmax")(z, y),  # noqa: B023
                z,
                up.reshape(shape),
            )
            for e in ("triton", "reference")
        ]
        for ours, theirs in zip(*pair, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("view", ["channels last", "a part of the planes", "every second image"])
def test_planes_in_any_layout(view: str):
    z = torch.randn(4, 6, 4, 5, dtype=torch.float64)
    z = {
        "channels last": z.to(memory_format=torch.channels_last),
        "a part of the planes": z[:, 1:5],
        "every second image": z[::2],
    }[view].requires_grad_()
    y = torch.randint(0, 4, (z.shape[0], 4, 5))
    weight = torch.rand(z.shape[1]).double()
    ours, theirs = (
        torch.autograd.grad(whyloss.FocalLoss(engine=e, weight=weight)(z, y), z)[0] for e in ("triton", "reference")
    )
    torch.testing.assert_close(ours, theirs)

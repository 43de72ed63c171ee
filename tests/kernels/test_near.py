"""Long rows whose sums are relative to the label's logit: where that is enough, and where it is not."""

from typing import Any

import pytest
import torch
from torch import Tensor

import whyloss
from whyloss.losses import rows as door
from whyloss.stats import reference

pytestmark = pytest.mark.kernels
LOSSES = {
    "ce": whyloss.CrossEntropyLoss(),
    "smooth": whyloss.LabelSmoothingCrossEntropyLoss(),
    "brier": whyloss.BrierLoss(),
    "penalty": whyloss.ConfidencePenaltyLoss(),
    "focal": whyloss.FocalLoss(),
}


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Which rows were left to the second kernel. Tiles are shrunk."""
    from whyloss.stats.kernels import launch

    seen, start = list[Tensor](), launch._start

    def noted(kernel: Any, grid: Any, arguments: Any, size: Any) -> None:
        if kernel.fn.__name__ == "far_rows":
            seen.append(arguments[11].clone())
        start(kernel, grid, arguments, size)

    monkeypatch.setattr(launch, "_start", noted)
    monkeypatch.setattr(launch, "SMALL", 0)
    monkeypatch.setattr(launch, "SEEKERS", 2)
    for name in ("tile", "near_tile"):
        monkeypatch.setattr(launch, name, lambda *_: {"K": 2, "T": 8, "num_warps": 1})
    return seen


def compare(name: str, z: Tensor, y: Tensor) -> None:
    from whyloss.stats.kernels import rows as kernels

    rows = door.enter(LOSSES[name], z, y, None).rows
    z = z.requires_grad_()
    for ours, theirs in (
        (kernels.each(z, rows), reference.row_losses(z, rows)),
        (kernels.total(z, rows), reference.row_losses(z, rows).sum()),
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12, equal_nan=True)
        found = [torch.autograd.grad(x.sum(), z)[0] for x in (ours, theirs)]
        torch.testing.assert_close(*found, rtol=1e-9, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("classes", [39, 48, 53])
@pytest.mark.parametrize("name", LOSSES)
def test_labels_far_above_and_below_the_others(name: str, classes: int, far: list[Tensor]):
    z, y = torch.randn(9, classes, dtype=torch.float64), torch.arange(9) * 7 % classes
    lead = torch.tensor([0, 10, 20, 40, 90, -10, -20, -40, -90]).double()
    z[torch.arange(9), y] += lead
    compare(name, z, y)
    if name != "ce" and name != "focal":
        assert far[-1].tolist() == [0, 0, 0, 1, 1, 0, 0, 1, 1]


@pytest.mark.parametrize("classes", [37, 48])
@pytest.mark.parametrize("name", LOSSES)
def test_a_masked_class_wherever_it_is(name: str, classes: int, far: list[Tensor]):
    z, y = torch.randn(classes, classes, dtype=torch.float64), torch.full((classes,), 11)
    z.fill_diagonal_(-torch.inf)  # row 11: the label itself
    compare(name, z, y)
    if name == "smooth":
        assert far[-1].all()


@pytest.mark.parametrize("name", LOSSES)
def test_rows_that_are_no_numbers(name: str, far: list[Tensor]):
    z, y = torch.randn(4, 37, dtype=torch.float64), torch.tensor([3, 4, -100, 5])
    z[0, 20] = z[2] = torch.nan
    compare(name, z, y)
    row = torch.full((2, 37), -torch.inf, dtype=torch.float64)  # nothing but the label, and nothing at all
    row[0, 1] = 0.5
    compare(name, row, torch.tensor([1, 1]))


def test_a_loss_that_asks_for_the_largest_takes_the_other_way():
    from whyloss.stats.kernels import rows as kernels

    for loss, near in ((whyloss.BrierLoss(), True), (whyloss.MulticlassHingeLoss(), False)):
        source = kernels.source(door.enter(loss, torch.zeros(2, 4), torch.tensor([0, 1]), None).rows)
        assert source is not None
        assert source.near == near

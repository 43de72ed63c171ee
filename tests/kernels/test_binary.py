"""The kernel of the sigmoid link over several programs: last ones that are incomplete, every kind of target, layouts.

Run in Triton's interpreter, or on a GPU; the laws of every loss are in laws.py."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from instances import SIGMOID, Case, defaults
from torch import Tensor

import whyloss
from whyloss.losses import rows as door
from whyloss.stats import reference

pytestmark = pytest.mark.kernels
COUNTS = [1, 15, 16, 17, 48]


@pytest.fixture(autouse=True)
def small_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    from whyloss.stats.kernels import launch

    monkeypatch.setattr(launch, "QUESTIONS", 16)


def logits(count: int, dtype: torch.dtype = torch.float64) -> Tensor:
    z = 5 * torch.randn(count, dtype=torch.float64)
    z[count // 2], z[-1] = torch.inf, -torch.inf
    return z.to(dtype)


def compare(rows: Any, z: Tensor, rtol: float = 1e-10) -> None:
    from whyloss.stats.kernels import binary

    each, share = torch.linspace(-1, 2, len(z)).to(z.dtype), torch.tensor(0.25, dtype=z.dtype)
    leaf = z.detach().clone().requires_grad_()
    exact = reference.binary_losses(leaf, rows)
    for ours, theirs, upstream in (
        (binary.each(leaf, rows), exact, each),
        (binary.total(leaf, rows, share) * 2, exact.sum() * 0.5, share),
    ):
        torch.testing.assert_close(ours, theirs, rtol=rtol, atol=rtol, equal_nan=True)
        found = [torch.autograd.grad(x, leaf, upstream, retain_graph=True)[0] for x in (ours, theirs)]
        torch.testing.assert_close(*found, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("case", defaults(SIGMOID), ids=str)
def test_every_loss_over_several_programs(case: Case, count: int):
    z = logits(count)
    compare(door.enter(case.build(2, link="sigmoid"), z, torch.arange(count) % 2, None).rows, z)
    z = logits(count, torch.float32)
    rows = door.enter(case.build(2, link="sigmoid"), z, torch.arange(count) // 2 % 2, None).rows
    compare(rows, z, rtol=1e-4)


@pytest.mark.parametrize("target", ["bool", "uint8", "0.0 and 1.0", "soft", "smoothed", "ignored", "weighted"])
def test_every_kind_of_target(target: str):
    z, y = logits(40), torch.arange(40) // 3 % 2
    options: dict[str, Any] = {"smoothed": {"label_smoothing": 0.1}, "weighted": {"weight": torch.tensor([0.5, 2.0])}}
    loss = whyloss.SigmoidFocalLoss(**options.get(target, {}))
    kinds = {"bool": y.bool(), "uint8": y.byte(), "0.0 and 1.0": y.double(), "soft": torch.linspace(0, 1, 40)}
    y = kinds.get(target, y)
    if target == "ignored":
        y[3] = y[17] = -100
        z[3] = torch.nan
    weight = torch.arange(40) % 3 if target == "weighted" else None
    compare(door.enter(loss, z, y, weight).rows, z)


def test_adjusted_logits():
    z = logits(40)
    adjust = whyloss.Adjustment(shift=torch.tensor([0.5, -1.0]), margin=torch.tensor([0.3, 1.0]), scale=1.5)
    rows = door.enter(whyloss.BinaryCrossEntropyLoss(adjust=adjust), z, torch.arange(40) % 2, None).rows
    compare(rows, z)
    compare(replace(rows, scale=torch.tensor([2.0, 0.5])), z)


def test_logits_that_are_not_side_by_side():
    z = torch.randn(8, 12).double()
    for view in (z.T, z[:, ::2], z[:1].expand(5, 12)):
        y = torch.zeros(view.shape).long()
        loss = whyloss.BinaryCrossEntropyLoss(reduction="none")
        found = []
        for engine in ("triton", "reference"):
            loss.engine = engine
            leaf = view.detach().requires_grad_()
            value = loss(leaf, y)
            found.append((value.detach(), torch.autograd.grad(value.sum(), leaf)[0]))
        for ours, theirs in zip(*found, strict=True):
            torch.testing.assert_close(ours, theirs)

"""Losses of labels by hand (losses/by_hand.py): what the door says, in fewer operations, and nothing else."""

import copy
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import whyloss
from whyloss.losses.loss import LabelledLoss
from whyloss.losses.relations.distances import _from_both_ends  # pyright: ignore[reportPrivateUsage]
from whyloss.stats import closed, tables
from whyloss.stats.tables import lower, steps_apart, table

CLASSES = 20
LOSSES: dict[str, LabelledLoss] = {
    "code distance": whyloss.ECOCDistanceLoss(),
    "coral": whyloss.CoralLoss(),
    "class distance": whyloss.ClassDistanceWeightedCrossEntropyLoss(alpha=2.0),
    "EMD²": whyloss.SquaredEarthMoverLoss(),
    "triangular": whyloss.TriangularCrossEntropyLoss(classes=CLASSES),
    "SORD": whyloss.SORDLoss(classes=CLASSES),
    "Poisson": whyloss.PoissonCrossEntropyLoss(classes=CLASSES),
}
OPERATIONS = {
    "code distance": 25,
    "coral": 25,
    "class distance": 45,
    "EMD²": 45,
    "triangular": 35,
}  # forward and backward
by_name = pytest.mark.parametrize("name", LOSSES)


def inputs(name: str, dtype: torch.dtype = torch.float64, spread: float = 2.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    logits = CLASSES - LOSSES[name].missing
    z = spread * torch.randn(30, logits, generator=generator, dtype=torch.float64)
    return z.to(dtype), torch.randint(CLASSES, (30,), generator=generator)


def both(loss: LabelledLoss, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    leaf = z.clone().requires_grad_()
    value = loss(leaf, y)
    return value.detach(), torch.autograd.grad(value, leaf)[0]


def as_written(loss: LabelledLoss, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """torch.func sees the loss as it is written."""
    slope, value = torch.func.grad_and_value(lambda z: loss(z, y))(z)
    return value, slope


def through_the_door(loss: LabelledLoss, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    with patch("whyloss.losses.by_hand.reduced", return_value=None):
        return both(loss, z, y)


@pytest.fixture
def no_door() -> Iterator[None]:
    error = AssertionError("the door was asked")
    with (
        patch("whyloss.losses.rows.enter", side_effect=error),
        patch("whyloss.losses.whole.enter", side_effect=error),
    ):
        yield


@by_name
@pytest.mark.parametrize("how", ["sum", "none"])
def test_sums_and_single_losses(name: str, how: Any):
    loss = copy.deepcopy(LOSSES[name])
    loss.reduction = how
    z, y = inputs(name)
    u = torch.rand(z.shape[:1] if how == "none" else (), dtype=z.dtype) + 0.5

    def weighed(z: Tensor) -> Tensor:
        return (loss(z, y) * u).sum()

    leaf = z.clone().requires_grad_()
    value = weighed(leaf)
    (slope,) = torch.autograd.grad(value, leaf)
    expected_slope, expected = torch.func.grad_and_value(weighed)(z)
    torch.testing.assert_close((value, slope), (expected, expected_slope), rtol=1e-12, atol=1e-15)
    with patch("whyloss.losses.rows.enter", side_effect=Asked), patch("whyloss.losses.whole.enter", side_effect=Asked):
        loss(z, y)
    ignored = torch.where(y == 3, -100, y)
    found = loss(z, ignored)
    kept = ignored != -100
    torch.testing.assert_close(found[kept] if how == "none" else found, loss(z[kept], y[kept]))


class Asked(Exception):
    """The door was asked."""


@by_name
@pytest.mark.parametrize("spread", [0.1, 2.0, 10.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_value_and_slope_are_those_of_the_loss_as_it_is_written(name: str, dtype: torch.dtype, spread: float):
    z, y = inputs(name, dtype, spread)
    value, slope = as_written(LOSSES[name], z.double(), y)
    rough = 2e-6 if dtype == torch.float32 else 1e-12
    found = both(LOSSES[name], z, y)
    torch.testing.assert_close(found[0].double(), value, rtol=rough, atol=0)
    torch.testing.assert_close(found[1].double(), slope, rtol=50 * rough, atol=rough * float(slope.abs().max()))


@by_name
@pytest.mark.parametrize("lead", [8.0, 14.0, -12.0, -25.0])
def test_sure_rows_keep_their_digits(name: str, lead: float):
    """Labels that lead, or trail, by as much: every slope, however small, is that of float64."""
    z, y = inputs(name, torch.float32, 0.5)
    z = z + lead * torch.nn.functional.one_hot(y, CLASSES)[:, : z.shape[1]]
    value, slope = as_written(LOSSES[name], z.double(), y)
    found = both(LOSSES[name], z, y)
    torch.testing.assert_close(found[0].double(), value, rtol=2e-6, atol=0)
    # But where one changes its sign.
    size = slope.abs()
    clear = size > 1e-3 * size.mean(1, keepdim=True) if lead < 0 else size > 1e-30
    if name in ("SORD", "Poisson"):
        clear &= size > 1e-2 * size.amax(1, keepdim=True)
    torch.testing.assert_close(found[1].double()[clear], slope[clear], rtol=3e-4, atol=0)
    assert float(((found[1].double() - slope).abs() / size)[clear].median()) < 2e-6


@by_name
def test_the_door_is_asked_nothing(name: str, no_door: None):
    z, y = inputs(name, torch.float32)
    both(LOSSES[name], z, y)
    with torch.no_grad():
        assert not LOSSES[name](z, y).requires_grad


@by_name
def test_so_it_is_in_many_blocks(name: str, monkeypatch: pytest.MonkeyPatch):
    z, y = inputs(name)
    whole = both(LOSSES[name], z, y)
    monkeypatch.setattr(closed, "AT_ONCE", 100)
    torch.testing.assert_close(both(LOSSES[name], z, y), whole)


@by_name
def test_what_is_not_plain_goes_through_the_door(name: str):
    loss, (z, y) = LOSSES[name], inputs(name)
    kept = y != 1
    ignored = torch.where(kept, y, -100)
    torch.testing.assert_close(loss(z, ignored), loss(z[kept], y[kept]))
    torch.testing.assert_close(loss(z, y, sample_weight=kept.double()), loss(z[kept], y[kept]))
    with pytest.raises(ValueError, match="target holds"):
        loss(z, y + CLASSES)
    with pytest.raises(ValueError, match="target holds"):
        loss(z, y - CLASSES)
    with patch.object(loss, "ignore_index", 1):
        torch.testing.assert_close(loss(z, y), loss(z[kept], y[kept]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(both(loss, z, y), through_the_door(loss, z, y))
    assert loss(z[:0], y[:0]) == 0


@by_name
@pytest.mark.parametrize("number", [torch.inf, -torch.inf, torch.nan, 1e30], ids=str)
def test_numbers_beyond_bounds_are_the_doors(name: str, number: float):
    z, y = inputs(name, torch.float32)
    z[3, 4] = number
    found, expected = both(LOSSES[name], z, y), through_the_door(LOSSES[name], z, y)
    torch.testing.assert_close(found, expected, equal_nan=True)


@by_name
def test_derivatives_of_the_derivative(name: str):
    z, y = inputs(name)
    z, y = z[:3].requires_grad_(), y[:3]
    assert torch.autograd.gradgradcheck(lambda z: LOSSES[name](z, y), z)


@by_name
def test_a_second_backward_pass_gives_the_same(name: str):
    z, y = inputs(name)
    leaf = z.clone().requires_grad_()
    value = 3 * LOSSES[name](leaf, y)
    (first,) = torch.autograd.grad(value, leaf, retain_graph=True)
    kept = first.clone()
    first.zero_()  # it is the caller's
    (second,) = torch.autograd.grad(value, leaf, retain_graph=True)
    torch.testing.assert_close(second, kept)
    torch.testing.assert_close(kept, 3 * both(LOSSES[name], z, y)[1])
    with torch.no_grad():
        leaf.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(value, leaf)


@by_name
def test_every_reduction_agrees(name: str):
    z, y = inputs(name)
    loss = LOSSES[name]
    options = {field: getattr(loss, field) for field in loss.changed()}
    mean = both(loss, z, y)
    total = both(type(loss)(reduction="sum", **options), z, y)
    torch.testing.assert_close((total[0] / len(z), total[1] / len(z)), mean)
    torch.testing.assert_close(type(loss)(reduction="none", **options)(z, y).mean(), mean[0])


def test_who_says_anew_what_the_loss_is_has_nothing_by_hand():
    class Twice(whyloss.SquaredEarthMoverLoss):
        def losses(self, logits: Tensor, target: Tensor) -> Tensor:
            return 2 * super().losses(logits, target)

    class Squared(whyloss.SORDLoss):
        def formula(self, affine_log_p: Tensor) -> Tensor:
            return affine_log_p * affine_log_p

    class Other(whyloss.SORDLoss):
        """Another table, by the same formula."""

    assert whyloss.SquaredEarthMoverLoss.closed
    assert Other.closed
    assert not Twice.closed
    assert not Squared.closed
    z, y = inputs("EMD²")
    torch.testing.assert_close(Twice()(z, y), 2 * LOSSES["EMD²"](z, y))


def test_a_table_that_changes_is_followed():
    z, y = inputs("SORD")
    loss = whyloss.SORDLoss(classes=CLASSES)
    loss(z, y)
    loss.alpha = 2.0
    torch.testing.assert_close(loss(z, y), whyloss.SORDLoss(classes=CLASSES, alpha=2.0)(z, y))
    loss.get_buffer("soft").copy_(torch.full((CLASSES, CLASSES), 1 / CLASSES))
    torch.testing.assert_close(loss(z, y), -torch.log_softmax(z, 1).mean())
    with pytest.raises(ValueError, match="made for 20 classes"):
        loss(z[:, 1:], y.clamp_max(CLASSES - 2))


def test_what_learns_besides_the_logits_gets_its_gradient():
    class Learned(whyloss.SORDLoss):
        @property
        def table(self) -> Tensor:
            return learned.softmax(1)

    learned = torch.zeros(CLASSES, CLASSES, dtype=torch.float64, requires_grad=True)
    alpha = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    importance = torch.nn.Parameter(torch.ones(CLASSES - 1, dtype=torch.float64))
    for name, loss, leaf in (
        ("SORD", Learned(classes=CLASSES), learned),
        ("coral", whyloss.CoralLoss(importance=importance), importance),
        ("class distance", whyloss.ClassDistanceWeightedCrossEntropyLoss(alpha=alpha), alpha),  # pyright: ignore
    ):
        z, y = inputs(name)
        (slope,) = torch.autograd.grad(loss(z.requires_grad_(), y), leaf)
        assert float(slope.abs().max()) > 0


def test_labels_that_are_hardly_soft_stay_exact():
    """Where one class has nearly all of label and prediction both, value and slope are the reference's."""
    y = torch.arange(CLASSES)
    z = 20.0 * torch.eye(CLASSES)
    loss = whyloss.SORDLoss(classes=CLASSES, alpha=30.0)
    value, slope = as_written(loss, z.double(), y)
    found = both(loss, z, y)
    torch.testing.assert_close(found[0].double(), value, rtol=2e-6, atol=0)
    torch.testing.assert_close(found[1].double(), slope, rtol=1e-5, atol=0)


def test_a_label_with_most_of_a_soft_label_keeps_its_digits():
    z, y = inputs("triangular", torch.float32, 0.5)
    z = z + 17.0 * torch.nn.functional.one_hot(y, CLASSES)
    loss = whyloss.TriangularCrossEntropyLoss(classes=CLASSES, alpha=0.01)
    own = y.unsqueeze(1)
    slope, found = as_written(loss, z.double(), y)[1].gather(1, own), both(loss, z, y)[1].gather(1, own)
    torch.testing.assert_close(found.double(), slope, rtol=4e-7, atol=0)


def test_a_rival_that_leaves_nothing_goes_another_way():
    loss, (z, y) = LOSSES["class distance"], inputs("class distance", torch.float32, 0.5)
    z = z + 95.0 * torch.nn.functional.one_hot((y + 7) % CLASSES, CLASSES)
    value, slope = as_written(loss, z.double(), y)
    found = both(loss, z, y)
    torch.testing.assert_close(found[0].double(), value, rtol=5e-6, atol=0)
    clear = slope.abs() > 1e-6 * slope.abs().max()
    torch.testing.assert_close(found[1].double()[clear], slope[clear], rtol=2e-5, atol=0)


def test_sums_past_a_label_that_has_all_go_another_way():
    """EMD² of labels that leave so little that float64 may not have the digits of what lies beyond them."""
    loss, (z, y) = LOSSES["EMD²"], inputs("EMD²", torch.float32, 0.5)
    beyond = torch.arange(CLASSES) - y.unsqueeze(1)
    z = z - 23.0 * (beyond != 0) - 18.0 * (beyond > 0)
    slope = as_written(loss, z.double(), y)[1]
    clear = slope.abs() > 1e-36
    with patch("whyloss.losses.relations.distances._from_both_ends", wraps=_from_both_ends) as other:
        found = both(loss, z, y)[1].double()
    assert other.called
    torch.testing.assert_close(found[clear], slope[clear], rtol=2e-5, atol=0)


class Counted(TorchDispatchMode):
    """How many operations there are that do more than look at memory in another way."""

    FREE = ("detach", "view", "unsqueeze", "squeeze", "expand", "select", "slice", "t.", "alias", "as_strided")

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not any(func.__name__.startswith(name) for name in self.FREE)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_are_few(name: str):
    z, y = inputs(name, torch.float32)
    both(LOSSES[name], z, y)
    with Counted() as counted:
        both(LOSSES[name], z, y)
    assert counted.count <= OPERATIONS[name]


def test_bins_take_the_short_way(no_door: None):
    bins, generator = whyloss.Bins.uniform(0.0, 1.0, 32), torch.Generator().manual_seed(3)
    z, v = torch.randn(40, 32, generator=generator), torch.rand(40, generator=generator)
    q = bins.gaussian(v, 0.75 / 32)
    value, slope = both(whyloss.HLGaussLoss(bins=bins), z, v)  # pyright: ignore[reportArgumentType]
    p = torch.softmax(z.double(), 1)
    torch.testing.assert_close(value.double(), -(q.double() * p.log()).sum(1).mean())
    torch.testing.assert_close(slope, ((p - q.double()) / len(z)).float())


def test_a_table_is_made_once():
    like = torch.zeros(1)
    kept = table(steps_apart, 7, 2.0, like=like)
    assert table(steps_apart, 7, 2.0, like=like) is kept
    assert table(steps_apart, 7, 1.0, like=like) is not kept
    assert table(steps_apart, 7, 2.0, like=like.double()).dtype == torch.float64


def test_a_table_of_inference_can_be_trained_with(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "_kept", {})
    with torch.inference_mode():
        assert not table(lower, 5, like=torch.zeros(1)).is_inference()
    z = torch.zeros(2, 5, requires_grad=True)
    torch.autograd.grad((z @ table(lower, 5, like=z)).sum(), z)


def test_large_tables_and_those_of_transforms_are_not_kept(monkeypatch: pytest.MonkeyPatch):
    kept: dict[Any, Tensor] = {}
    monkeypatch.setattr(tables, "_kept", kept)
    table(lower, 600, like=torch.zeros(1))
    torch.func.grad(lambda z: (z * table(lower, 4, like=z)).sum())(torch.zeros(4))
    table(lower, 4, like=torch.zeros(1, device="meta"))
    assert not kept

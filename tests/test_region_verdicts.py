"""Region losses on the CPU as one operation: sums, verdict and pull-back, held to the steps one by one in float64."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from instances import OVERLAPS, Case, value_and_gradient
from judged import OPTIONS, agree, case
from torch import Tensor

import whyloss
from whyloss.losses.region.region import RegionLoss
from whyloss.stats import region_blocks, regions, verdict
from whyloss.stats.pixels import Pixels


class Branching(RegionLoss):
    """A user's own loss that no symbol can follow."""

    def overlap(self, intersection: Tensor, prediction: Tensor, target: Tensor) -> Tensor:
        size = prediction + target
        return (size - 2 * intersection) / (size if bool((size > 0).all()) else size + 1)


class Logarithmic(RegionLoss):
    """A user's own loss, infinite where nothing is found."""

    share: float = 0.5

    def overlap(self, intersection: Tensor, prediction: Tensor, target: Tensor) -> Tensor:
        recall = intersection / target
        return -self.share * torch.log(recall) + torch.where(prediction > target, 0.25 * prediction / target, 0.25)


@pytest.fixture(params=[0, 64], ids=["torch", "numbers"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Regions up to which Python's own numbers are taken."""
    monkeypatch.setattr(verdict, "FEW", request.param)
    return request.param


@pytest.fixture(autouse=True)
def judged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The verdicts that were reached."""
    judge, found = regions.judged, list[Any]()

    def noted(*given: Any) -> Tensor:
        value = judge(*given)
        found.append(given[3])
        return value

    monkeypatch.setattr(regions, "judged", noted)
    yield found
    verdict._verdicts.found.clear()


@contextmanager
def steps():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "choose", lambda *_: ("reference", "for a test"))
        yield


def compare(loss: Any, z: Tensor, target: Tensor, **call: Any) -> None:
    """The value, and the gradient of some multiple of it."""

    def scaled(*given: Any, **call: Any) -> Tensor:
        return -3.0 * loss(*given, **call)

    found = value_and_gradient(scaled, z, target, **call)
    with steps():
        expected = value_and_gradient(scaled, z.double(), target, **call)
    with torch.no_grad():
        torch.testing.assert_close(scaled(z, target, **call), found[0], rtol=1e-6, atol=0)
    agree(found, expected, z.dtype)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("loss", OVERLAPS, ids=str)
def test_every_overlap_where_all_classes_are_there_and_where_not(loss: Case, link: str, few: int, judged: list[Any]):
    compare(loss.build(4, link=link), *case(link))
    z, t = torch.randn(2, 4, 30), torch.arange(60).reshape(2, 30) % 4
    compare(loss.build(4, link=link), z, t if link == "softmax" else torch.stack([t == c for c in range(4)], 1))
    assert len(judged) == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("options", [{}, *OPTIONS], ids=str)
@pytest.mark.parametrize("loss", [whyloss.DiceLoss, whyloss.LogDiceLoss, whyloss.GeneralizedDiceLoss])
def test_every_option(loss: Any, options: dict[str, Any], dtype: torch.dtype, few: int, judged: list[Any]):
    compare(loss(**options), *case("softmax", dtype))
    assert len(judged) == 2


@pytest.mark.parametrize("over", ["image", "batch"])
@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("kind", [whyloss.TverskyLoss, whyloss.GeneralizedDiceLoss])
def test_weights_of_classes_and_pixels(kind: Any, background: bool, over: str, few: int, judged: list[Any]):
    weight = torch.tensor([2.0, 0.5, 0.0, 3.0], dtype=torch.float64)
    loss = kind(background=background, over=over, weight=weight)
    z, t = case("softmax")
    compare(loss, z, t, sample_weight=torch.rand(3, 10, 7))
    compare(loss, z, t, sample_weight=torch.tensor([0.5, 2.0, 1.0]))
    assert len(judged) == 4


def test_float64_stays_float64(few: int):
    z, t = torch.randn(2, 3, 50, dtype=torch.float64), torch.randint(0, 3, (2, 50))
    loss = whyloss.FocalTverskyLoss()
    found = value_and_gradient(loss, z, t)
    with steps():
        expected = value_and_gradient(loss, z, t)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("lost", [-200.0, -torch.inf])
def test_what_numbers_refuse_is_what_torch_says(lost: float, few: int, judged: list[Any]):
    """The logarithm of nothing; a slope without end."""
    z, t = torch.zeros(1, 2, 12), torch.arange(12).reshape(1, 12) % 2
    z[0, 1] = lost
    loss = Logarithmic()
    found = value_and_gradient(loss, z, t)
    with steps():
        expected = loss(z, t)
    assert len(judged) == 1
    torch.testing.assert_close(found[0], expected)
    assert found[0].isinf()
    assert not found[1].isfinite().all()


class Clamped(RegionLoss):
    """A user's own loss, of which a bound might hide what is no number."""

    def overlap(self, intersection: Tensor, prediction: Tensor, target: Tensor) -> Tensor:
        return torch.maximum(0.1 + 0 * target, 1 - intersection / target)


@pytest.mark.parametrize("loss", [whyloss.DiceLoss, whyloss.GeneralizedDiceLoss, Clamped])
def test_what_is_no_number_is_seen(loss: Any, few: int, judged: list[Any]):
    z, t = torch.randn(2, 3, 20), torch.arange(40).reshape(2, 20) % 3
    z[0, 1, 4] = torch.nan
    assert loss()(z, t).isnan()
    assert len(judged) == 1


def test_a_formula_that_branches_goes_step_by_step(judged: list[Any]):
    compare(Branching(), torch.randn(2, 3, 20), torch.arange(40).reshape(2, 20) % 3)
    assert not judged


def test_parameters_that_change(few: int, judged: list[Any]):
    z, t = torch.randn(2, 3, 20), torch.arange(40).reshape(2, 20) % 3
    loss = Logarithmic()
    for share in (0.5, 2.0, 0.5):
        loss.share = share
        compare(loss, z, t)
    assert len({id(found) for found in judged}) == 2


def test_losses_that_take_turns_share_no_buffer():
    """The way back of the first begins after the way there of the second."""
    z, t = torch.randn(2, 4, 5, 300).requires_grad_(), torch.randint(0, 4, (2, 5, 300))
    other = torch.randn(2, 4, 5, 300).requires_grad_()
    loss = whyloss.DiceLoss()
    alone = [torch.autograd.grad(loss(x, t), x)[0] for x in (z, other)]
    first, second = loss(z, t), loss(other, t)
    loss(other.detach(), t)
    together = [*torch.autograd.grad(first, z, retain_graph=True), *torch.autograd.grad(second, other)]
    again = torch.autograd.grad(first, z)[0]
    assert torch.equal(again, alone[0])
    for found, expected in zip(together, alone, strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("block", [2**20, 24], ids=["one block", "many"])
@pytest.mark.parametrize("place", [(0, 0), (1, 29)], ids=["first", "last"])
@pytest.mark.parametrize("label", [-100, 3, 255, 2**24 + 1, -(2**40)])
def test_labels_show_themselves_to_be_none(
    label: int, place: tuple[int, int], block: int, judged: list[Any], monkeypatch: pytest.MonkeyPatch
):
    """Nobody looks at labels before they are counted, and whatever is no class is found then."""
    monkeypatch.setattr(region_blocks, "BLOCK", block)
    z, t = torch.randn(2, 3, 30), torch.arange(60).reshape(2, 30) % 3
    t[place] = label
    compare(whyloss.DiceLoss(ignore_index=label), z, t)
    assert len(judged) == 2
    if label != -100:
        with pytest.raises(ValueError, match=f"target holds {label} but there are 3 classes"):
            whyloss.DiceLoss()(z, t)
        unchecked = whyloss.DiceLoss(validate=False)
        assert value_and_gradient(unchecked, z, t)[0].isfinite()


def test_usual_labels_are_not_looked_at(judged: list[Any], monkeypatch: pytest.MonkeyPatch):
    z, t = torch.randn(2, 3, 30), torch.arange(60).reshape(2, 30) % 3
    expected = value_and_gradient(whyloss.DiceLoss(), z, t)
    monkeypatch.setattr(Pixels, "span", property(lambda _: pytest.fail("looked at")))
    found = value_and_gradient(whyloss.DiceLoss(), z, t)
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("absent", ["penalise", "skip", "zero"])
@pytest.mark.parametrize("over", ["image", "batch"])
@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_classes_together_where_some_or_all_are_absent(
    power: float, over: Any, absent: Any, few: int, judged: list[Any]
):
    z, t = torch.randn(3, 4, 20), torch.randint(0, 2, (3, 20))
    t[1], t[2, 4:] = 3, -100
    for background in (True, False):
        loss = whyloss.GeneralizedDiceLoss(power=power, over=over, absent=absent, background=background)
        compare(loss, z, t)
        compare(loss, z, torch.zeros_like(t))
        compare(loss, z, torch.full_like(t, -100))
    assert len(judged) == 12


def test_a_class_that_is_ignored(few: int):
    z, t = torch.randn(2, 3, 30), torch.arange(60).reshape(2, 30) % 3
    compare(whyloss.DiceLoss(ignore_index=1), z, t)


def test_buffers_of_inference_mode_serve_outside_of_it():
    z, t = torch.randn(2, 4, 5, 30), torch.randint(0, 4, (2, 5, 30))
    loss = whyloss.DiceLoss()
    with torch.inference_mode():
        value = loss(z, t)
    found, gradient = value_and_gradient(loss, z, t)
    assert torch.equal(found, value)
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("kind", [whyloss.LogDiceLoss, whyloss.GeneralizedDiceLoss])
def test_derivatives_of_the_derivative(kind: Any, few: int):
    z, t = torch.randn(2, 3, 9, dtype=torch.float64).requires_grad_(), torch.randint(0, 3, (2, 9))
    loss = kind()
    assert torch.autograd.gradcheck(lambda z: loss(z, t), z)
    assert torch.autograd.gradgradcheck(lambda z: loss(z, t), z)

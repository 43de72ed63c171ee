"""Region losses by kernels alone: sums, verdict and pull-back, held to the steps one by one in float64."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from instances import OVERLAPS, Case, value_and_gradient
from judged import OPTIONS, agree, case
from noted import Operations
from torch import Tensor

import whyloss
from whyloss.losses.region.region import RegionLoss
from whyloss.stats import regions, verdict
from whyloss.stats.kernels import absent

pytest.importorskip("triton")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
pytestmark = [
    pytest.mark.kernels,
    pytest.mark.skipif(absent(DEVICE) != "", reason="neither a GPU nor TRITON_INTERPRET=1"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # numpy, in place of a GPU, of numbers no thread looks at
]


class Branching(RegionLoss):
    """A user's own loss that no symbol can follow."""

    def overlap(self, intersection: Tensor, prediction: Tensor, target: Tensor) -> Tensor:
        size = prediction + target
        return (size - 2 * intersection) / (size if bool((size > 0).all()) else size + 1)


class Kulczynski(RegionLoss):
    """A user's own loss."""

    share: float = 0.25

    def overlap(self, intersection: Tensor, prediction: Tensor, target: Tensor) -> Tensor:
        precision = (intersection + self.smooth) / (prediction + self.smooth)
        recall = (intersection + self.smooth) / (target + self.smooth)
        return torch.sqrt(1.5 - self.share * precision - (1 - self.share) * recall) - 0.5**0.5


class Charging(Kulczynski):
    """Another policy for absent classes."""

    def of_absent(self, sums: regions.Sums, losses: Tensor, counted: Tensor) -> Tensor | float:
        return sums.prediction * 0.5


@pytest.fixture(autouse=True)
def judged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Kernels also for logits on the CPU; the verdicts that were reached."""
    choose, judge, found = regions.choose, regions.judged, list[Any]()

    def chosen(*given: Any) -> tuple[str, str]:
        name, why = choose(*given)
        return ("kernels" if name == "blocks" else name), why

    def noted(*given: Any) -> Tensor:
        found.append(given[2])
        return judge(*given)

    monkeypatch.setattr(regions, "choose", chosen)
    monkeypatch.setattr(regions, "judged", noted)
    yield found
    verdict._verdicts.found.clear()


def exact(loss: Any, z: Tensor, target: Tensor, **call: Any) -> tuple[Tensor, Tensor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "choose", lambda *_: ("reference", "for a test"))
        return value_and_gradient(loss, z.double(), target, **call)


def compare(loss: Any, z: Tensor, target: Tensor, **call: Any) -> None:
    """The value, and the gradient of some multiple of it."""
    loss, z, target = loss.to(DEVICE), z.to(DEVICE), target.to(DEVICE)
    call = {name: x.to(DEVICE) for name, x in call.items()}

    def scaled(*given: Any, **call: Any) -> Tensor:
        return -3.0 * loss(*given, **call)

    found, expected = value_and_gradient(scaled, z, target, **call), exact(scaled, z, target, **call)
    agree(found, expected, z.dtype)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("loss", OVERLAPS, ids=str)
def test_every_overlap(loss: Case, link: str, judged: list[Any]):
    compare(loss.build(4, link=link), *case(link))
    assert len(judged) == 1


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("loss", [whyloss.DiceLoss, whyloss.LogDiceLoss, Kulczynski])
def test_every_option(loss: Any, link: str, options: dict[str, Any], judged: list[Any]):
    compare(loss(link=link, **options), *case(link))
    assert len(judged) == 1


@pytest.mark.parametrize("over", ["image", "batch"])
@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_weights_of_classes_and_pixels(link: str, background: bool, over: str, judged: list[Any]):
    weight = torch.tensor([2.0, 0.5, 0.0, 3.0], dtype=torch.float64)
    loss = whyloss.TverskyLoss(link=link, background=background, over=over, weight=weight)
    z, t = case(link)
    compare(loss, z, t, sample_weight=torch.rand(3, 10, 7))
    compare(loss, z, t, sample_weight=torch.tensor([0.5, 2.0, 1.0]))
    assert len(judged) == 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_16_bits(link: str, dtype: torch.dtype, judged: list[Any]):
    compare(whyloss.FocalTverskyLoss(link=link), *case(link, dtype))
    assert len(judged) == 1


@pytest.mark.parametrize(("count", "classes"), [(1, 2), (2, 33), (3, 9)])
@pytest.mark.parametrize("many", [0, 2**17])
@pytest.mark.parametrize("over", ["image", "batch"])
def test_few_and_many_regions(
    over: str, many: int, count: int, classes: int, judged: list[Any], monkeypatch: pytest.MonkeyPatch
):
    """In one piece or several; with partial sums that come as they are, or added up before."""
    from whyloss.stats.kernels import region
    from whyloss.stats.kernels import verdict as kernels

    monkeypatch.setattr(region, "_room", lambda _: 3 * count)
    monkeypatch.setattr(kernels, "MANY", many)
    monkeypatch.setattr(kernels, "REGIONS", 16)
    z, t = 2 * torch.randn(count, classes, 300), torch.randint(0, classes, (count, 300))
    compare(whyloss.DiceLoss(over=over, absent="skip"), z, t)
    assert len(judged) == 1


def test_both_terms_of_a_sum(judged: list[Any]):
    z, t = case("softmax")
    t[2] = 1
    for loss in (whyloss.DiceCrossEntropyLoss(), whyloss.DiceFocalLoss(), whyloss.UnifiedFocalLoss()):
        compare(loss, z, t)
    assert len(judged) == 3


def test_losses_of_the_user(judged: list[Any]):
    z, t = case("softmax")
    compare(Kulczynski(share=0.3), z, t)
    assert len(judged) == 1
    compare(Branching(), z, t)
    compare(Charging(), z, t)
    loss = Kulczynski()
    loss.overlap = lambda intersection, prediction, target: 1 - intersection / target  # pyright: ignore
    compare(loss, z, t)
    assert len(judged) == 1


def test_parameters_that_change(judged: list[Any], monkeypatch: pytest.MonkeyPatch):
    traced, trace = list[None](), verdict._traced

    def noted(judge: Any) -> Any:
        traced.append(None)
        return trace(judge)

    monkeypatch.setattr(verdict, "_traced", noted)
    z, t = case("softmax")
    weight = torch.ones(4)
    for alpha in (0.5, 0.7, 0.5):
        for _ in range(2):
            compare(whyloss.TverskyLoss(alpha=alpha, weight=weight), z, t)
            compare(whyloss.DiceCrossEntropyLoss(smooth=alpha), z, t)
    assert len(traced) == 4  # of two losses with two parameters each, however often they are made
    loss = whyloss.TverskyLoss(weight=weight)
    compare(loss, z, t)
    loss.weight[1] = 5.0  # pyright: ignore[reportOptionalSubscript]
    compare(loss, z, t)
    loss.absent = "zero"
    compare(loss, z, t)
    assert len(judged) == 15


def test_what_goes_step_by_step(judged: list[Any]):
    z, t = case("softmax")
    z, t = z.to(DEVICE), t.to(DEVICE)
    z[0, ..., 4] = 0.0
    learnt = torch.ones(4, device=DEVICE).requires_grad_()
    assert whyloss.DiceLoss(reduction="none").to(DEVICE)(z, t).shape == (3, 4)
    for loss, logits, call in (
        (whyloss.DiceLoss(), z, {"normalizer": 2.0}),
        (whyloss.DiceLoss(over="world"), z, {}),
        (whyloss.DiceLoss(weight=learnt), z, {}),
        (whyloss.GeneralizedDiceLoss(), z, {}),
        (whyloss.DiceLoss(), z[:0], {}),
        (whyloss.SquaredDiceLoss(), z, {}),
    ):
        value_and_gradient(loss, logits, t[: len(logits)], **call)
    with pytest.raises(ValueError, match="4 classes"):
        whyloss.DiceLoss(weight=torch.ones(3, device=DEVICE))(z, t)
    per_image = torch.func.vmap(torch.func.grad(lambda z, t: whyloss.DiceLoss(validate=False)(z[None], t[None])))(z, t)
    assert per_image.shape == z.shape
    assert not judged


def test_derivatives_of_the_derivative(judged: list[Any]):
    z, t = case("softmax")
    z[0, ..., 4] = 0.0
    loss = whyloss.FocalTverskyLoss(weight=torch.rand(4), absent="skip", background=False).to(DEVICE)
    found = list[Tensor]()
    for name, x in (("kernels", z), ("reference", z.double())):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(regions, "choose", lambda *_, name=name: (name, "for a test"))
            x = x.to(DEVICE).requires_grad_()
            (first,) = torch.autograd.grad(2 * loss(x, t.to(DEVICE)), x, create_graph=True)
            found += [first, *torch.autograd.grad(first.square().sum(), x)]
    assert len(judged) == 1
    assert found[1].any()
    for ours, theirs in zip(found[:2], found[2:], strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-5 * theirs.abs().max().item())


def test_what_was_written_over_is_not_read_again():
    z, t = case("softmax")
    x = z.to(DEVICE).requires_grad_() * 1
    value = whyloss.DiceLoss()(x, t.to(DEVICE))
    x.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()
    z = z.to(DEVICE).requires_grad_()
    value = whyloss.DiceLoss()(z, t.to(DEVICE))
    value /= 4  # as gradient accumulation does
    value.backward()
    with torch.no_grad():
        assert not whyloss.DiceLoss()(z, t.to(DEVICE)).requires_grad


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_the_host_does_little_and_waits_for_nothing(link: str, monkeypatch: pytest.MonkeyPatch):
    from whyloss.stats.kernels import handles

    started = list[str]()
    monkeypatch.setattr(handles, "start", lambda kernel, *_: started.append(kernel.__name__))
    z, t = case(link)
    z, t = z.to(DEVICE).requires_grad_(), t.to(DEVICE)
    loss = whyloss.DiceLoss(link=link, validate=False)  # pyright: ignore[reportArgumentType]
    with Operations() as forward:
        value = loss(z, t)
    with Operations() as backward:
        torch.autograd.grad(value, z)
    kernels = ["sums", "verdict", "pull_back"] if link == "softmax" else ["switch_sums", "verdict", "switch_pull_back"]
    assert started == kernels
    ours = [name for name in forward.names + backward.names if name != "detach"]
    assert sorted(ours) == ["empty", "empty", "empty", "empty_like", "ones_like", "view", "view", "view"]

"""The sums of region losses: every form gives the value and the gradient of the reference form in float64."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from instances import OVERLAPS, Case, defaults, value_and_gradient
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import whyloss
from whyloss.stats import region_blocks, regions
from whyloss.stats.pixels import Pixels

KINDS = ["labels", "masks", "sigmoid"]


@pytest.fixture(params=[(2**14, False), (0, True)], ids=["softmax", "exponentials"])
def small_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven pixels of three classes a block, so that a handful of pixels already crosses several; by torch's softmax,
    as few of them usually go, and by its parts, as many do."""
    monkeypatch.setattr(region_blocks, "BLOCK", 21)
    few, replaces = request.param
    monkeypatch.setattr(region_blocks, "FEW", few)
    monkeypatch.setattr(region_blocks, "slopes_of_softmax_may_replace_it", lambda: replaces)
    monkeypatch.setattr(region_blocks, "NARROW", 0)


def test_torch_s_slopes_of_a_softmax_may_replace_it():
    assert region_blocks.slopes_of_softmax_may_replace_it()


@contextmanager
def reference() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "choose", lambda *_: ("reference", "for a test"))
        yield


def case(kind: str, shape: tuple[int, ...] = (3, 3, 4, 5), dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Logits, some of them sure, and a target with one ignored pixel."""
    z = (4 * torch.randn(shape, dtype=torch.float64)).to(dtype)
    if kind == "labels":
        t = torch.randint(0, shape[1], (shape[0], *shape[2:]))
        t[0, ..., 0] = -100
    elif kind == "masks":
        t = torch.softmax(torch.randn(shape, dtype=torch.float64), 1)
        t[0, ..., 0] = -100
    else:
        t = torch.randint(0, 2, shape)
        t[0, 1, ..., 0] = -100
    return z, t


def as_in_float64(loss: Any, z: Tensor, target: Tensor, **call: Any) -> tuple[Tensor, Tensor]:
    with reference():
        return value_and_gradient(loss, z.double(), target, **call)


def assert_close(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor], rtol: float = 2e-5) -> None:
    largest = expected[1].abs().max().item()
    torch.testing.assert_close(found[0].double(), expected[0], rtol=rtol, atol=1e-6)
    torch.testing.assert_close(found[1].double(), expected[1], rtol=rtol, atol=5e-6 * largest)


@pytest.mark.parametrize("over", ["image", "batch", "world"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", OVERLAPS, ids=str)
def test_every_region_loss_is_that_of_the_reference_in_float64(loss: Case, kind: str, over: str, small_blocks: None):
    z, t = case(kind)
    weights = torch.rand(3, 4, 5)
    weights[1, 2] = 0
    for options in ({}, {"background": False, "reduction": "sum"}, {"weight": torch.tensor([1.0, 2, 0.5])}):
        built = loss.build(3, over=over, link="sigmoid" if kind == "sigmoid" else "softmax", **options)
        for sample_weight in (None, weights):
            found = value_and_gradient(built, z, t, sample_weight=sample_weight)
            assert_close(found, as_in_float64(built, z, t, sample_weight=sample_weight))
            assert found[0].dtype == found[1].dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_way_back_gives_the_same_gradient(kind: str, small_blocks: None):
    z, t = case(kind)
    z.requires_grad_()
    value = whyloss.DiceLoss(link="sigmoid" if kind == "sigmoid" else "softmax")(z, t)
    first, second = (torch.autograd.grad(value, z, retain_graph=True)[0] for _ in range(2))
    assert first.data_ptr() != second.data_ptr()
    torch.testing.assert_close(first, second, rtol=0, atol=0)


@pytest.mark.parametrize("wrong", [8.0, 40.0])
def test_pixels_sure_of_a_wrong_class_keep_the_accuracy_of_their_slopes(wrong: float):
    """The label's share is a small rest there, and the slopes of a region that is hardly found are large."""
    z = torch.randn(1, 3, 40)
    z[:, 0] += wrong
    t = torch.randint(1, 3, (1, 40))
    loss = whyloss.LogDiceLoss(background=False)
    (found, gradient), (expected, reference) = value_and_gradient(loss, z, t), as_in_float64(loss, z, t)
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient.double(), reference, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_both_derivatives_of_the_sums(kind: str, small_blocks: None):
    z, t = case(kind, (2, 3, 9), torch.float64)
    weight = torch.rand(2, 9, dtype=torch.float64)
    pixels = Pixels(t, "sigmoid" if kind == "sigmoid" else "softmax", weight=weight)
    z.requires_grad_()

    def found(z: Tensor) -> tuple[Tensor, ...]:
        assert regions.choose(z, pixels)[0] == "blocks"
        return regions.sums(z, pixels)[:2]

    assert gradcheck(found, z)
    assert gradgradcheck(found, z)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("scale", [1.0, 20.0])  # without and with the largest logit taken off
@pytest.mark.parametrize("kind", KINDS)
def test_16_bit_gradients_are_rounded_once(kind: str, scale: float, dtype: torch.dtype, small_blocks: None):
    z, t = case(kind)
    z = (scale * z).to(dtype)
    loss = whyloss.DiceLoss(link="sigmoid" if kind == "sigmoid" else "softmax")
    value, gradient = value_and_gradient(loss, z, t)
    expected, exact = value_and_gradient(loss, z.float(), t)
    assert torch.equal(value, expected)
    assert torch.equal(gradient, exact.to(dtype))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [30.0, 1e4])
def test_sure_pixels_keep_their_relative_accuracy(kind: str, scale: float, small_blocks: None):
    """The gradient at a class that is nearly certain is the sum of what is left, not a difference of ones; whether the
    prediction is right or wrong."""
    z, t = torch.randn(1, 3, 40), torch.arange(40).unsqueeze(0) % 3
    z.scatter_add_(1, t.unsqueeze(1), torch.full((1, 1, 40), 14.0 if kind == "sigmoid" else 25.0))
    t[:, 30:] = (t[:, 30:] + 1) % 3
    z[:, :, 0] = torch.tensor([scale, -scale, scale + 2])
    t[:, 0] = 2
    link = "sigmoid" if kind == "sigmoid" else "softmax"
    if kind != "labels":
        t = torch.nn.functional.one_hot(t, 3).movedim(-1, 1)
        t = t.double() if kind == "masks" else t
    found = value_and_gradient(whyloss.DiceLoss(link=link), z, t)
    expected = as_in_float64(whyloss.DiceLoss(link=link), z, t)
    assert torch.isfinite(found[1]).all()
    sure = expected[1].abs() > 1e-30
    if kind == "sigmoid":  # whose own p (1 - p) is not exact for the first pixel, in float64 either
        sure[:, :, 0] = False
    torch.testing.assert_close(found[1].double()[sure], expected[1][sure], rtol=1e-4, atol=0)


@pytest.mark.parametrize("kind", ["labels", "masks"])
@pytest.mark.parametrize("loss", OVERLAPS, ids=str)
def test_a_masked_class_has_no_part(loss: Case, kind: str):
    z, t = case(kind, (2, 3, 12))
    if kind == "labels":
        t = t.clamp(max=1)
    else:
        t[:, 2] = torch.where(t[:, 2] < 0, t[:, 2], 0.0)
    with_it = torch.cat([z[:, :2], torch.full((2, 1, 12), -torch.inf)], 1)
    options = {"reduction": "none", "link": "softmax"}
    value, gradient = value_and_gradient(loss.build(3, **options), with_it, t)
    expected, slopes = value_and_gradient(loss.build(2, **options), z[:, :2], t if kind == "labels" else t[:, :2])
    torch.testing.assert_close(value[:, :2], expected)
    torch.testing.assert_close(gradient[:, :2], slopes)
    assert not value[:, 2].any()
    assert not gradient[:, 2].any()


def layouts(z: Tensor) -> list[Tensor]:
    """The same logits [N, C, H, W], otherwise laid out."""
    wide = torch.randn(*z.shape[:3], 2 * z.shape[3])
    wide[..., ::2] = z
    return [
        z.to(memory_format=torch.channels_last),
        z.transpose(2, 3).contiguous().transpose(2, 3),
        z.flip(0).contiguous().flip(0),
        wide[..., ::2],
        torch.cat([z, z], 1)[:, : z.shape[1]],
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_layouts(kind: str, small_blocks: None):
    z, t = case(kind)
    loss = whyloss.DiceLoss(link="sigmoid" if kind == "sigmoid" else "softmax")
    expected = value_and_gradient(loss, z, t)
    for other in layouts(z):
        x = other.detach().requires_grad_()
        value = loss(x, t)
        (gradient,) = torch.autograd.grad(value, x)
        torch.testing.assert_close((value.detach(), gradient), expected)
    one = z[:1, :, :1, :1].clone().requires_grad_()
    alike = one.expand(3, 3, 4, 5)
    (gradient,) = torch.autograd.grad(loss(alike, t), one)
    whole = value_and_gradient(loss, alike.contiguous(), t)[1]
    torch.testing.assert_close(gradient, whole.sum((0, 2, 3)).reshape(1, 3, 1, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_passes_may_be_taken_again_or_not_at_all(kind: str):
    z, t = case(kind)
    z.requires_grad_()
    loss = whyloss.DiceLoss(link="sigmoid" if kind == "sigmoid" else "softmax", reduction="none", over="batch")
    value = loss(z, t)
    first, again = (torch.autograd.grad(value, z, torch.tensor([1.0, 2, 3]), retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, again)
    (scaled,) = torch.autograd.grad(3 * value.sum(), z)
    torch.testing.assert_close(scaled, 3 * value_and_gradient(loss, z, t)[1])
    with torch.no_grad():
        still = loss(z, t)
    assert torch.equal(still, value)
    assert not still.requires_grad
    value = loss(z, t)
    t.fill_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.sum().backward()


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 3, 0), (2, 3)])
@pytest.mark.parametrize("few", [0, 8])
def test_empty_and_single_pixels(shape: tuple[int, ...], few: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(regions, "FEW", few)  # 0: by blocks, 8: by the reference
    z, t = torch.randn(shape), torch.zeros(shape[0], *shape[2:]).long()
    for link, target in (("softmax", t), ("softmax", torch.zeros(shape)), ("sigmoid", torch.zeros(shape))):
        for over in ("image", "batch"):
            value, gradient = value_and_gradient(whyloss.DiceLoss(link=link, over=over), z, target)
            assert torch.isfinite(value)
            assert gradient.shape == z.shape
            if z.numel() == 0:
                assert value == 0


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.bool, torch.uint16], ids=str
)
def test_labels_and_masks_of_any_integer_type(dtype: torch.dtype):
    z, t = torch.randn(2, 2, 9), torch.randint(0, 2, (2, 9))
    both = torch.randint(0, 2, (2, 2, 9))
    for loss, target in ((whyloss.DiceLoss(), t), (whyloss.DiceLoss(link="sigmoid"), both)):
        assert torch.equal(loss(z, target.to(dtype)), loss(z, target))


def test_large_sums_do_not_drift():
    z = torch.zeros(1, 2, 2**22)
    z[:, 0] = 2.0
    t = torch.zeros(1, 2**22).long()
    weight = torch.full((1, 2**22), 0.1)
    found = regions.sums(z, Pixels(t, weight=weight))
    p, u = torch.sigmoid(torch.tensor(2.0, dtype=torch.float64)).item(), float(torch.tensor(0.1))
    expected = torch.tensor([p, p, 1, 1], dtype=torch.float64) * u * 2**22
    torch.testing.assert_close(torch.stack(found)[:, 0, 0].double(), expected, rtol=2e-7, atol=0)


def test_the_form_is_chosen_with_a_reason():
    z, t = case("masks", (2, 3, 8))
    learnt = torch.ones(2, 8, requires_grad=True)
    for pixels, word in ((Pixels(t.requires_grad_()), "gradient"), (Pixels(t.detach(), weight=learnt), "gradient")):
        name, why = regions.choose(z, pixels)
        assert name == "reference"
        assert word in why
    t = t.detach()
    far, labels = z.to("meta"), t.argmax(1).to("meta")  # neither CPU nor GPU
    for logits, target, word in (
        (far, labels, "meta"),
        (far.double(), labels, "float64"),
        (far, t.to("meta"), "masks"),
        (z[:, :, :7], t[:, :, :7], "fewer than 8 pixels"),
    ):
        name, why = regions.choose(logits, Pixels(target))
        assert name == "reference"
        assert word in why
    (gradient,) = torch.autograd.grad(whyloss.DiceLoss()(z, t.argmax(1), sample_weight=learnt), learnt)
    assert gradient.any()
    assert gradient.shape == learnt.shape


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_around_the_backward_pass_changes_nothing(kind: str):
    z, t = case(kind)
    z.requires_grad_()
    loss = whyloss.DiceLoss(link="sigmoid" if kind == "sigmoid" else "softmax")
    (expected,) = torch.autograd.grad(loss(z, t), z)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (found,) = torch.autograd.grad(loss(z, t), z)
    assert torch.equal(found, expected)


def test_vmap_over_targets_alone():
    z, t = torch.randn(2, 3, 9), torch.randint(0, 3, (4, 2, 9))
    each = torch.func.vmap(lambda t: whyloss.DiceLoss()(z, t))(t)
    torch.testing.assert_close(each, torch.stack([whyloss.DiceLoss()(z, one) for one in t]))


def test_inference_mode():
    z, t = case("labels")
    with torch.inference_mode():
        torch.testing.assert_close(whyloss.DiceLoss()(z.clone(), t), whyloss.DiceLoss()(z, t))


def test_the_same_call_twice_is_the_same_to_the_bit():
    z, t = torch.randn(2, 19, 100, 100), torch.randint(0, 19, (2, 100, 100))
    for loss in (case.build(19) for case in defaults(OVERLAPS)):
        once, twice = (value_and_gradient(loss, z, t) for _ in range(2))
        assert torch.equal(once[0], twice[0])
        assert torch.equal(once[1], twice[1])

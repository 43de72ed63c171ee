"""Laws of losses of whole rows: they keep the face and the options of row losses."""

from typing import Any

import pytest
import torch
from instances import WHOLE, Case, defaults, rows, soft, steady, value_and_gradient
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import whyloss

SOFTMAX = [case for case in WHOLE if "softmax" in case.links]
ON_LINK = [pytest.param(c, link, id=f"{c}-{link}") for c in WHOLE for link in c.links]
BY_DEFAULT = [pytest.param(c, link, id=f"{c}-{link}") for c in defaults(WHOLE) for link in c.links]
HALF = [torch.bfloat16, torch.float16]


class Distance(whyloss.WholeRowLoss):
    """Between cumulative distributions: as plain as such a loss can be."""

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        return (logits.softmax(1).cumsum(1) - target.cumsum(1)).square().sum(1)


def inputs(case: Case, link: str, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, dict[str, Any]]:
    z, y = rows(dtype=dtype)
    if link == "softmax":
        return case.logits(z), y, {"classes": 4, "link": link}
    return z[:, :3], (torch.arange(18) % 2).reshape(6, 3), {"classes": 2, "link": link}


def call(case: Case, shape: torch.Size, link: str = "softmax") -> dict[str, Tensor]:
    return case.reads(shape, link)


@pytest.mark.parametrize(("case", "link"), [p for p in ON_LINK if not p.values[0].cls.steered])
def test_derivatives_are_the_finite_differences(case: Case, link: str):
    z, y, own = inputs(case, link)
    more = call(case, y.shape, link)
    loss = steady(case.build(**own, reduction="none"), z, y, **more)
    z.requires_grad_()
    assert gradcheck(lambda z: loss(z, y, **more), z)
    assert gradgradcheck(lambda z: loss(z, y, **more), z, atol=1e-4)


@pytest.mark.parametrize(("case", "link"), ON_LINK)
def test_float32_holds_to_float64(case: Case, link: str):
    z, y, own = inputs(case, link, torch.float32)
    loss, more = case.build(**own, reduction="none"), call(case, y.shape, link)
    exact = value_and_gradient(loss, z.double(), y, **more)
    for ours, theirs in zip(value_and_gradient(loss, z, y, **more), exact, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=float(4e-6 * theirs.abs().max()))


@pytest.mark.parametrize("dtype", HALF, ids=str)
@pytest.mark.parametrize(("case", "link"), BY_DEFAULT)
def test_16_bits_are_computed_in_float32(case: Case, link: str, dtype: torch.dtype):
    z, y, own = inputs(case, link, dtype)
    loss, more = case.build(**own), call(case, y.shape, link)
    value, gradient = value_and_gradient(loss, z, y, **more)
    exact, slope = value_and_gradient(loss, z.double(), y, **more)
    assert (value.dtype, gradient.dtype) == (torch.float32, dtype)
    torch.testing.assert_close(value.double(), exact, rtol=2e-5, atol=1e-6)
    torch.testing.assert_close(gradient.double(), slope, rtol=torch.finfo(dtype).eps, atol=1e-6)


@pytest.mark.parametrize(("case", "link"), ON_LINK)
def test_weight_two_is_the_row_twice(case: Case, link: str):
    z, y, own = inputs(case, link)
    loss, more = case.build(**own), call(case, y.shape, link)
    weight = torch.tensor([1, 2, 1, 1, 3, 0])
    again = torch.arange(6).repeat_interleave(weight)
    twice = loss(z[again], y[again], **{n: x[again] for n, x in more.items()})
    torch.testing.assert_close(loss(z, y, sample_weight=weight.double(), **more), twice)


@pytest.mark.parametrize(("case", "link"), ON_LINK)
def test_an_ignored_row_counts_for_nothing_whatever_it_holds(case: Case, link: str):
    z, y, own = inputs(case, link)
    more = call(case, y.shape, link)
    for reduction in ("mean", "none"):
        loss = case.build(**own, reduction=reduction)
        clean, gradient = value_and_gradient(loss, z[:4], y[:4], **{n: x[:4] for n, x in more.items()})
        dirty, labels = z.clone(), y.clone()
        dirty[4], dirty[5, 0], labels[4:] = torch.nan, torch.inf, -100
        value, with_ignored = value_and_gradient(loss, dirty, labels, **more)
        torch.testing.assert_close(with_ignored[:4], gradient)
        assert torch.equal(with_ignored[4:], torch.zeros_like(with_ignored[4:]))
        torch.testing.assert_close(value if reduction == "mean" else value[:4], clean)
        weight = torch.tensor([1.0, 1, 1, 1, 0, 0])
        assert torch.equal(value_and_gradient(loss, dirty, y, sample_weight=weight, **more)[1], with_ignored)


@pytest.mark.parametrize(("case", "link"), BY_DEFAULT)
def test_nothing_counted_is_0_with_a_graph(case: Case, link: str):
    z, y, own = inputs(case, link)
    more = call(case, y.shape, link)
    value, gradient = value_and_gradient(case.build(**own), z * torch.nan, torch.full_like(y, -100), **more)
    assert value == 0
    assert torch.equal(gradient, torch.zeros_like(gradient))
    none = {n: x[:0] for n, x in more.items()}
    assert value_and_gradient(case.build(**own), z[:0], y[:0], **none)[0] == 0
    assert torch.isnan(case.build(**own, empty="nan")(z, torch.full_like(y, -100), **more))


@pytest.mark.parametrize("case", SOFTMAX, ids=str)
def test_a_one_hot_target_is_its_label_with_class_weights_too(case: Case):
    z, y = rows()
    z, more, entries = case.logits(z), call(case, y.shape), case.entries(4)
    one_hot = torch.nn.functional.one_hot(y, entries).double()
    weight = torch.tensor([1.0, 2, 0, 4, *[1.0] * (entries - 4)])
    for reduction in ("mean", "sum", "none"):
        loss = case.build(reduction=reduction, weight=weight)
        for ours, theirs in zip(
            value_and_gradient(loss, z, one_hot, **more), value_and_gradient(loss, z, y, **more), strict=True
        ):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("case", [c for c in SOFTMAX if not issubclass(c.cls, whyloss.ThresholdLoss)], ids=str)
def test_a_masked_class_is_as_good_as_absent(case: Case):
    """Its gradient is 0, and value and gradient of the others are finite, wherever it stands."""
    z, y = rows(dtype=torch.float32)
    z = case.logits(z)
    z[torch.arange(6), (y + 1) % 4] = -torch.inf
    value, gradient = value_and_gradient(case.build(reduction="none"), z, y, **call(case, y.shape))
    assert torch.isfinite(value).all()
    assert torch.isfinite(gradient).all()
    assert (gradient[torch.arange(6), (y + 1) % 4] == 0).all()


@pytest.mark.parametrize(("case", "link"), BY_DEFAULT)
def test_soft_targets_smoothing_and_adjustments_have_slopes(case: Case, link: str):
    z, y, own = inputs(case, link)
    more = call(case, y.shape, link)
    q = soft(classes=case.entries(4)) if link == "softmax" else torch.linspace(0, 1, 18, dtype=z.dtype).reshape(6, 3)
    loss = steady(case.build(**own), z, q, **more)
    smoothed = steady(case.build(**own, label_smoothing=0.2), z, y, **more)
    x = z.clone().requires_grad_()
    assert gradcheck(lambda z: loss(z, q, **more), x)
    assert gradcheck(lambda z: smoothed(z, y, **more), x)
    loss = case.build(**own)
    if loss.adjust is None:
        adjust = whyloss.Adjustment(scale=0.5)
        torch.testing.assert_close(case.build(**own, adjust=adjust)(2 * z, y, **more), loss(z, y, **more))


@pytest.mark.parametrize("size", [15.0, 40.0, 100.0, 1e4])
@pytest.mark.parametrize("case", SOFTMAX, ids=str)
def test_confident_rows_are_finite(case: Case, size: float):
    z = torch.tensor([[size, 0.0, -size, 0.0], [-size, size, 0.0, 0.0], [0.0, size, size, -size]])
    z, y = case.logits(z), torch.tensor([0, 0, 3])
    value, gradient = value_and_gradient(case.build(reduction="none"), z, y, **call(case, y.shape))
    assert torch.isfinite(value).all()
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("case", [case for case in defaults(SOFTMAX) if not case.cls.neighbours], ids=str)
def test_pixels_are_rows(case: Case):
    z, y = rows(12)
    z = case.logits(z)
    image, labels = z.reshape(2, 3, 2, -1).movedim(-1, 1), y.reshape(2, 3, 2)
    more = call(case, y.shape)
    each = case.build(reduction="none")(image, labels, **{n: x.reshape(2, 3, 2, *x.shape[1:]) for n, x in more.items()})
    torch.testing.assert_close(each.flatten(), case.build(reduction="none")(z, y, **more))


BOTH = [case for case in SOFTMAX if "sigmoid" in case.links]
TO_THE_LAST_DIGIT = (
    *(whyloss.DistillationLoss, whyloss.JensenShannonDistillationLoss, whyloss.TotalVariationDistillationLoss),
    *(whyloss.GeneralizedJensenShannonLoss, whyloss.JensenShannonConsistencyLoss, whyloss.OptimalTransportLoss),
)


@pytest.mark.parametrize("case", BOTH, ids=str)
def test_an_answer_is_a_row_of_two_classes(case: Case):
    z = rows()[0][:, :3].flatten()
    pairs = torch.stack([torch.zeros_like(z), z], 1)
    more = call(case, z.shape, "sigmoid")
    of_pairs = {n: torch.stack([0 * x, x], -1) if n == "views" else x for n, x in more.items()}
    yes = torch.linspace(0, 1, 18, dtype=z.dtype)
    for answer, target in ((torch.arange(18) % 2, torch.arange(18) % 2), (yes, torch.stack([1 - yes, yes], 1))):
        value, slope = value_and_gradient(case.build(2, link="sigmoid", reduction="none"), z, answer, **more)
        expected, of_both = value_and_gradient(case.build(2, reduction="none"), pairs, target, **of_pairs)
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(slope, of_both[:, 1])


@pytest.mark.parametrize("size", [15.0, 40.0, 100.0, 1e4])
@pytest.mark.parametrize("case", [case for case in BOTH if issubclass(case.cls, TO_THE_LAST_DIGIT)], ids=str)
def test_confident_answers_hold_to_float64(case: Case, size: float):
    z, y = torch.tensor([size, size, -size, -size]), torch.tensor([0, 1, 0, 1])
    loss, more = case.build(2, link="sigmoid", reduction="none"), call(case, y.shape, "sigmoid")
    exact = value_and_gradient(loss, z.double(), y, **more)
    for ours, theirs in zip(value_and_gradient(loss, z, y, **more), exact, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-6 + 1.5e-7 * size, atol=1e-30)


def test_the_reductions_of_a_loss_of_ones_own():
    z, y = rows()
    each = Distance(reduction="none")(z, y)
    weight = torch.tensor([1.0, 2, 3, 4])
    torch.testing.assert_close(Distance()(z, y), each.mean())
    torch.testing.assert_close(Distance(reduction="sum")(z, y), each.sum())
    torch.testing.assert_close(Distance()(z, y, normalizer=7), each.sum() / 7)
    torch.testing.assert_close(Distance(weight=weight)(z, y), (each * weight[y]).sum() / weight[y].sum())
    total, count = Distance(weight=weight).parts(z, y)
    torch.testing.assert_close(total / count, Distance(weight=weight)(z, y))
    sum_of_both = 0.5 * Distance() + whyloss.CrossEntropyLoss()
    torch.testing.assert_close(sum_of_both(z, y), 0.5 * each.mean() + whyloss.CrossEntropyLoss()(z, y))


def test_what_the_call_takes_besides_is_checked():
    class Scaled(whyloss.WholeRowLoss):
        reads = ("norm",)

        def losses(self, logits: Tensor, target: Tensor, norm: Tensor) -> Tensor:
            return norm * (logits * target).sum(1)

    z, y = rows()
    norm = torch.arange(6.0).double()
    torch.testing.assert_close(Scaled(reduction="none")(z, y, norm=norm), norm * z[torch.arange(6), y])
    with pytest.raises(TypeError, match=r"takes norm=\.\.\.; got nothing"):
        Scaled()(z, y)
    with pytest.raises(ValueError, match=r"norm \(5,\) but one entry for each of \(6,\)"):
        Scaled()(z, y, norm=norm[:5])
    with pytest.raises(TypeError, match="takes nothing besides"):
        Distance()(z, y, norm=norm)

"""Laws that hold for every loss there is, on every engine and link: gradients, engines, invariances, reductions.

What each loss does at the edges of its input is in test_edges.py, the facts it declares in test_facts.py."""

from typing import Any

import pytest
import torch
from instances import ROWS, SIGMOID, SOFTMAX, SOFTMAX_REGIONS, Case, defaults, rows, soft, value_and_gradient
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import whyloss
from whyloss.stats import block, elementwise

ON_ENGINE = [pytest.param(c, e, id=f"{c}-{e}") for c in SOFTMAX for e in c.engines]
BINARY_ENGINE = [pytest.param(c, e, id=f"{c}-{e}") for c in SIGMOID for e in c.binary_engines]
ON_LINK = [pytest.param(c, link, id=f"{c}-{link}") for c in ROWS for link in c.links]
HALF = [torch.bfloat16, torch.float16]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows of four classes a block, so that a handful of rows already crosses several."""
    monkeypatch.setattr(block, "SIZE", 8)
    monkeypatch.setattr(elementwise, "BLOCK", 8)


def inputs(case: Case, link: str, dtype: torch.dtype = torch.float64):
    z, y = rows(dtype=dtype)
    if link == "softmax":
        return z, y, {"classes": 4, "link": link}
    return z[:, :3], (torch.arange(18) % 2).reshape(6, 3), {"classes": 2, "link": link}


# --- gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("case", "link"), ON_LINK)
def test_first_and_second_derivatives_are_the_finite_differences(case: Case, link: str):
    z, y, own = inputs(case, link)
    z.requires_grad_()
    loss = case.build(**own, engine="reference", reduction="none")
    assert gradcheck(lambda z: loss(z, y), z)
    assert gradgradcheck(lambda z: loss(z, y), z, atol=1e-4)


@pytest.mark.parametrize("case", SOFTMAX, ids=str)
def test_the_default_engine_has_both_derivatives_too(case: Case, small_blocks: None):
    z, y = rows(4, 3)
    z.requires_grad_()
    for reduction in ("mean", "none"):
        loss = case.build(3, reduction=reduction, link="softmax")
        assert gradcheck(lambda z: loss(z, y), z)  # noqa: B023
    assert gradgradcheck(lambda z: loss(z, y), z, atol=1e-4)


@pytest.mark.parametrize(("case", "link"), ON_LINK)
def test_soft_targets_and_smoothing_have_derivatives(case: Case, link: str):
    z, y, own = inputs(case, link)
    q = soft() if link == "softmax" else torch.linspace(0, 1, 18, dtype=z.dtype).reshape(6, 3)
    z.requires_grad_()
    loss = case.build(**own)
    assert gradcheck(lambda z: loss(z, q), z)
    loss = case.build(**own, label_smoothing=0.2)
    assert gradcheck(lambda z: loss(z, y), z)


# --- engines ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("case", [c for c in SOFTMAX if "dense" in c.engines], ids=str)
def test_engines_agree_in_float64(case: Case, reduction: str, small_blocks: None):
    z, y = rows(7, 5)
    z[1, (int(y[1]) + 1) % 5] = -torch.inf
    y[2] = -100
    weight = torch.tensor([0.5, 2, 1, 0, 3])
    upstream = torch.linspace(-1, 2, 7, dtype=z.dtype) if reduction == "none" else torch.tensor(1.7)
    found = {}
    for engine in case.engines:
        loss = case.build(5, engine=engine, reduction=reduction, link="softmax")
        if loss.weight is None and not loss.label_smoothing:
            loss.weight = weight
        found[engine] = value_and_gradient(lambda z, y: loss(z, y) * upstream, z, y)  # noqa: B023
    for engine in case.engines[1:]:
        for ours, theirs in zip(found[engine], found["reference"], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("case", "engine"), ON_ENGINE)
def test_engines_hold_to_float64_in_float32(case: Case, engine: str, small_blocks: None):
    z, y = rows(12, 5, dtype=torch.float32)
    loss = case.build(5, reduction="none", engine=engine, link="softmax")
    exact = case.build(5, reduction="none", engine="reference", link="softmax")
    for ours, theirs in zip(value_and_gradient(loss, z, y), value_and_gradient(exact, z.double(), y), strict=True):
        assert ours.dtype == torch.float32
        scale = theirs.abs().max()
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=float(2e-6 * scale))


@pytest.mark.parametrize("dtype", HALF, ids=str)
@pytest.mark.parametrize(("case", "engine"), ON_ENGINE)
def test_engines_hold_to_float64_in_16_bits(case: Case, engine: str, dtype: torch.dtype, small_blocks: None):
    z, y = rows(12, 5, dtype=dtype)
    exact = case.build(5, engine="reference", link="softmax")
    value, gradient = value_and_gradient(case.build(5, engine=engine, link="softmax"), z, y)
    true_value, true_gradient = value_and_gradient(exact, z.double(), y)
    assert value.dtype == torch.float32
    assert gradient.dtype == dtype
    torch.testing.assert_close(value.double(), true_value, rtol=2e-5, atol=1e-6)
    # The gradient is rounded to the logits' dtype once, at the end; what is too steep for that is infinite.
    expected = held(true_gradient, dtype)
    torch.testing.assert_close(gradient.double(), expected, rtol=torch.finfo(dtype).eps, atol=1e-6)


def held(x: Tensor, dtype: torch.dtype) -> Tensor:
    """x, infinite where this dtype does not reach."""
    return torch.where(torch.isinf(x.to(dtype)), x * torch.inf, x)


def questions(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Logits from far on either side, in every order with the labels 0 and 1."""
    z, _ = rows(12, 3, scale=3.0, dtype=dtype)
    return z, (torch.arange(36) // 3 % 2).reshape(12, 3)


@pytest.mark.parametrize(
    "options", [{}, {"label_smoothing": 0.2}, {"adjust": True}], ids=["plain", "smoothed", "adjusted"]
)
@pytest.mark.parametrize("case", SIGMOID, ids=str)
def test_engines_agree_on_the_sigmoid_link_in_float64(case: Case, options: dict[str, Any], small_blocks: None):
    z, y = questions()
    y[2, 1], y[5, 0], z[5, 0] = -100, -100, torch.nan
    z[0, 0], z[1, 1], z[3, 2], z[6, 2] = torch.inf, torch.inf, -torch.inf, -torch.inf
    soft = torch.linspace(0, 1, 36, dtype=z.dtype).reshape(12, 3)
    if "adjust" in options:
        if case.build(2).adjust is not None:
            return
        options = {
            "adjust": whyloss.Adjustment(shift=torch.tensor([0.5, -1.0]), margin=torch.tensor([0.3, 1.0]), scale=1.5)
        }
    for target, reduction in ((y, "mean"), (y, "none"), (soft, "sum"), (soft, "none")):
        upstream = torch.linspace(-1, 2, 36, dtype=z.dtype).reshape(12, 3) if reduction == "none" else 1.7
        clean = torch.where(torch.isnan(z), 0.0, z) if target is soft else z
        found = {}
        for engine in case.binary_engines:
            loss = case.build(2, engine=engine, reduction=reduction, link="sigmoid", **options)
            if loss.weight is None and not loss.label_smoothing:
                loss.weight = torch.tensor([0.5, 2.0])
            found[engine] = value_and_gradient(lambda z, y: loss(z, y) * upstream, clean, target)  # noqa: B023
        for engine in case.binary_engines[1:]:
            for ours, theirs in zip(found[engine], found["reference"], strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, *HALF], ids=str)
@pytest.mark.parametrize(("case", "engine"), BINARY_ENGINE)
def test_the_sigmoid_link_holds_to_float64_in_fewer_bits(
    case: Case, engine: str, dtype: torch.dtype, small_blocks: None
):
    z, y = questions(dtype)
    loss, exact = (case.build(2, reduction="none", engine=e, link="sigmoid") for e in (engine, "reference"))
    value, gradient = value_and_gradient(loss, z, y)
    true_value, true_gradient = value_and_gradient(exact, z.double(), y)
    assert value.dtype == torch.float32
    assert gradient.dtype == dtype
    scale = float(2e-6 * true_value.abs().max())
    torch.testing.assert_close(value.double(), true_value, rtol=1e-5, atol=scale)
    rtol = 1e-5 if dtype == torch.float32 else torch.finfo(dtype).eps
    torch.testing.assert_close(gradient.double(), held(true_gradient, dtype), rtol=rtol, atol=scale)


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize(("case", "engine"), [p for p in BINARY_ENGINE if p.values[0].numbers == {}])
def test_the_sigmoid_link_twice_and_backward_twice(case: Case, engine: str, reduction: str, small_blocks: None):
    z, y = questions(torch.float32)
    kept = z.clone(), y.clone()
    loss = case.build(2, engine=engine, reduction=reduction, link="sigmoid")
    first, second = value_and_gradient(loss, z, y), value_and_gradient(loss, z, y)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(kept, (z, y), strict=True))
    z.requires_grad_()
    value = loss(z, y).sum() * 0.3
    value.backward(retain_graph=True)
    assert z.grad is not None
    z.grad.zero_()  # in place: a gradient that the loss still held would be lost
    value.backward(retain_graph=True)
    value.backward()
    torch.testing.assert_close(z.grad, 0.6 * first[1])


@pytest.mark.parametrize("case", SIGMOID, ids=str)
def test_the_sigmoid_links_default_engine_has_both_derivatives_too(case: Case, small_blocks: None):
    z, y = questions()
    z = z[:3].requires_grad_()
    for reduction in ("mean", "none"):
        loss = case.build(2, reduction=reduction, link="sigmoid")
        assert gradcheck(lambda z: loss(z, y[:3]), z)  # noqa: B023
    assert gradgradcheck(lambda z: loss(z, y[:3]), z, atol=1e-4)


@pytest.mark.parametrize("case", defaults(SOFTMAX), ids=str)
def test_smoothing_and_margins_agree_with_the_sum_over_labels(case: Case):
    """The short form of smoothing, and the mixture in one go, against one call for each label."""
    z, y = rows(8, 4)
    margin = {} if case.build().adjust is not None else {"adjust": _adjustment()}
    for options in ({}, margin):
        each = case.build(**options, reduction="none", link="softmax", label_smoothing=0.0)
        smoothed = case.build(**options, reduction="none", link="softmax", label_smoothing=0.3)
        labels = torch.stack([each(z, torch.full_like(y, j)) for j in range(4)], 1)
        expected = 0.7 * labels.gather(1, y[:, None]).squeeze(1) + 0.3 * labels.mean(1)
        if case.cls.__name__ == "BrierLoss":
            q = 0.7 * torch.nn.functional.one_hot(y, 4) + 0.3 / 4
            expected = expected + (q * q).sum(1) - 1
        torch.testing.assert_close(smoothed(z, y), expected)


def _adjustment():
    return whyloss.Adjustment(
        shift=torch.tensor([0.5, 0.0, -1.0, 0.2]), margin=torch.tensor([0.3, 1.0, 0.1, 0.0]), scale=1.5
    )


# --- invariances -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("case", "engine"), ON_ENGINE)
def test_a_constant_added_to_a_row_changes_nothing(case: Case, engine: str):
    z, y = rows()
    loss = case.build(engine=engine, link="softmax")
    shifted = z + torch.linspace(-30, 50, len(z), dtype=z.dtype).unsqueeze(1)
    for ours, theirs in zip(value_and_gradient(loss, shifted, y), value_and_gradient(loss, z, y), strict=True):
        if case.reads_raw_logits and case.numbers.get("alpha") != 0:
            assert not torch.allclose(ours, theirs)
        elif not case.reads_cosines:
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("case", "engine"), [p for p in ON_ENGINE if not p.values[0].cls.ordered])
def test_permuting_classes_permutes_the_gradient(case: Case, engine: str):
    z, y = rows()
    order = torch.tensor([2, 0, 3, 1])
    plain = {"counts", "label_smoothing"} & set(vars(case.cls).get("__annotations__", ()))
    weight = None if plain else torch.tensor([1.0, 2, 3, 4])
    plain = case.build(engine=engine, weight=weight, link="softmax")
    permuted = case.build(order=order, engine=engine, weight=None if weight is None else weight[order], link="softmax")
    value, gradient = value_and_gradient(plain, z, y)
    other_value, other_gradient = value_and_gradient(permuted, z[:, order], order.argsort()[y])
    torch.testing.assert_close(other_value, value)
    torch.testing.assert_close(other_gradient, gradient[:, order])


@pytest.mark.parametrize(("case", "link"), ON_LINK)
def test_weight_two_is_the_row_twice(case: Case, link: str):
    z, y, own = inputs(case, link)
    loss = case.build(**own)
    weight = torch.tensor([1.0, 2, 1, 1, 3, 0])
    again = weight.long().repeat_interleave(1)
    repeated = torch.arange(6).repeat_interleave(again)
    torch.testing.assert_close(loss(z, y, sample_weight=weight), loss(z[repeated], y[repeated]))


@pytest.mark.parametrize(("case", "link"), ON_LINK)
def test_sum_is_the_sum_of_none_and_mean_the_weighted_mean(case: Case, link: str):
    z, y, own = inputs(case, link)
    y = y.clone()
    y[0] = -100
    each = case.build(**own, reduction="none")(z, y)
    assert each.shape == y.shape
    loss = case.build(**own)
    total, weight = loss.parts(z, y)
    torch.testing.assert_close(case.build(**own, reduction="sum")(z, y), each.sum())
    torch.testing.assert_close(total, each.sum())
    torch.testing.assert_close(loss(z, y), total / weight)


@pytest.mark.parametrize(("case", "link"), ON_LINK)
def test_an_ignored_row_counts_for_nothing_whatever_it_holds(case: Case, link: str):
    z, y, own = inputs(case, link)
    for engine in case.engines if link == "softmax" else case.binary_engines:
        for reduction in ("mean", "none"):
            loss = case.build(**own, engine=engine, reduction=reduction)
            clean, gradient = value_and_gradient(loss, z[:4], y[:4])
            dirty, labels = z.clone(), y.clone()
            dirty[4], dirty[5, 0], labels[4:] = torch.nan, torch.inf, -100
            value, with_ignored = value_and_gradient(loss, dirty, labels)
            torch.testing.assert_close(with_ignored[:4], gradient)
            assert torch.equal(with_ignored[4:], torch.zeros_like(with_ignored[4:]))
            torch.testing.assert_close(value if reduction == "mean" else value[:4], clean)
            weight = torch.tensor([1.0, 1, 1, 1, 0, 0])
            assert torch.equal(value_and_gradient(loss, dirty, y, sample_weight=weight)[1], with_ignored)


@pytest.mark.parametrize("case", SIGMOID, ids=str)
def test_the_sigmoid_link_of_z_is_the_softmax_link_of_0_and_z(case: Case):
    if "softmax" not in case.links:
        return
    z = torch.cat([torch.linspace(-30, 30, 21, dtype=torch.float64), torch.tensor([-1e4, 1e4])])
    for target in (torch.zeros(23).long(), torch.ones(23).long(), torch.linspace(0, 1, 23, dtype=z.dtype)):
        for options in ({}, {"label_smoothing": 0.2}):
            sigmoid = case.build(2, link="sigmoid", **options)
            softmax = case.build(2, link="softmax", **options)
            value, gradient = value_and_gradient(sigmoid, z, target)
            pairs = torch.stack([torch.zeros_like(z), z], 1)
            both = torch.stack([1 - target, target], 1) if target.is_floating_point() else target
            other, pair_gradient = value_and_gradient(softmax, pairs, both)
            torch.testing.assert_close(value, other)
            torch.testing.assert_close(gradient, pair_gradient[:, 1])


# --- calling it ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("case", "engine"), ON_ENGINE)
def test_the_same_call_twice_is_bit_identical_and_writes_to_nothing(case: Case, engine: str):
    z, y = rows(dtype=torch.float32)
    kept = z.clone(), y.clone()
    loss = case.build(engine=engine, link="softmax")
    first, second = value_and_gradient(loss, z, y), value_and_gradient(loss, z, y)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(kept, (z, y), strict=True))


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize(("case", "engine"), [p for p in ON_ENGINE if p.values[0].numbers == {}])
def test_backward_twice_and_two_losses_on_one_tensor(case: Case, engine: str, reduction: str):
    z, y = rows(dtype=torch.float32)
    upstream = torch.linspace(-1, 1, 6) if reduction == "none" else torch.tensor(0.3)
    loss = case.build(engine=engine, reduction=reduction, link="softmax")
    _, once = value_and_gradient(lambda z, y: loss(z, y) * upstream, z, y)
    z.requires_grad_()
    value = (loss(z, y) * upstream).sum()
    value.backward(retain_graph=True)
    torch.testing.assert_close(z.grad, once)
    assert z.grad is not None
    z.grad.zero_()  # in place: a gradient that the loss still held would be lost
    value.backward(retain_graph=True)
    value.backward()
    torch.testing.assert_close(z.grad, 2 * once)
    z.grad = None
    (loss(z, y) * upstream).sum().add((loss(z, y) * upstream).sum()).backward()
    torch.testing.assert_close(z.grad, 2 * once)


@pytest.mark.parametrize(("case", "link"), [p for p in ON_LINK if p.values[0].numbers == {}])
def test_autocast_changes_nothing(case: Case, link: str):
    z, y, own = inputs(case, link, torch.float32)
    q = soft(dtype=torch.float32) if link == "softmax" else None
    loss = case.build(**own)
    for target in (y, q):
        if target is None:
            continue
        plain = loss(z, target)
        with torch.autocast(z.device.type, dtype=torch.bfloat16):
            cast = loss(z, target)
        assert cast.dtype == torch.float32
        assert torch.equal(plain, cast)


@pytest.mark.parametrize("case", SOFTMAX_REGIONS, ids=str)
def test_region_losses_have_both_derivatives(case: Case):
    z = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[0, 1, 1, -100], [2, 2, 0, 2]])
    for over in ("image", "batch"):
        loss = case.build(3, over=over)
        assert gradcheck(lambda z: loss(z, target), z)  # noqa: B023
        assert gradgradcheck(lambda z: loss(z, target), z)  # noqa: B023

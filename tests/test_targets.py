"""Targets of every kind, and the weights that go with them: soft, smoothed, ignored, of any integer type and shape."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from instances import ROWS, SIGMOID, SOFTMAX, Case, defaults, rows, soft, value_and_gradient
from torch import Tensor

import whyloss

# --- soft targets ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", SOFTMAX, ids=str)
def test_a_one_hot_soft_target_is_the_index_target(case: Case):
    z, y = rows()
    one_hot = torch.nn.functional.one_hot(y, 4).double()
    own_weight = case.build().weight is not None
    for weight in (None,) if own_weight else (None, torch.tensor([1.0, 9, 0.5, 2])):
        for reduction in ("mean", "none"):
            loss = case.build(weight=weight, reduction=reduction, link="softmax", label_smoothing=0.0)
            hard, mixed = value_and_gradient(loss, z, y), value_and_gradient(loss, z, one_hot)
            torch.testing.assert_close(mixed, hard)


@pytest.mark.parametrize("case", SOFTMAX, ids=str)
def test_a_soft_target_is_the_expected_loss(case: Case):
    z, _ = rows()
    q = soft()
    weight = torch.tensor([1.0, 9, 0.5, 2])
    plain = case.build(reduction="none", link="softmax", label_smoothing=0.0)
    own = plain.weight is not None
    labels = torch.stack([plain(z, torch.full((6,), j)) for j in range(4)], 1)
    constant = (q * q).sum(1) - 1 if case.cls.__name__ == "BrierLoss" else torch.zeros(6)
    counts = q if not own else q * plain.weight
    mixed = case.build(reduction="none", link="softmax", label_smoothing=0.0)(z, q)
    torch.testing.assert_close(mixed, (labels * q).sum(1) + constant)
    mean = case.build(link="softmax", label_smoothing=0.0)(z, q)
    torch.testing.assert_close(mean, mixed.sum() / counts.sum())
    if not own:
        w = q * weight
        weighted = case.build(link="softmax", weight=weight, label_smoothing=0.0)(z, q)
        torch.testing.assert_close(weighted, ((labels * w).sum() + (constant * w.sum(1)).sum()) / w.sum())


@pytest.mark.parametrize("case", SIGMOID, ids=str)
def test_a_soft_yes_or_no_is_the_expected_loss(case: Case):
    z, q = torch.linspace(-5, 5, 9, dtype=torch.float64), torch.linspace(0, 1, 9, dtype=torch.float64)
    loss = case.build(2, link="sigmoid", reduction="none", label_smoothing=0.0)
    yes, no = loss(z, torch.ones(9).long()), loss(z, torch.zeros(9).long())
    constant = q**2 + (1 - q) ** 2 - 1 if case.cls.__name__ == "BrierLoss" else 0.0
    torch.testing.assert_close(loss(z, q), q * yes + (1 - q) * no + constant)


@pytest.mark.parametrize("case", defaults(SOFTMAX), ids=str)
def test_mixup_is_linear_in_the_target(case: Case):
    z, y = rows()
    other, share = y.flip(0), 0.3
    loss = case.build(reduction="none", link="softmax", label_smoothing=0.0)
    hot = torch.nn.functional.one_hot
    q = (1 - share) * hot(y, 4) + share * hot(other, 4)
    expected = (1 - share) * loss(z, y) + share * loss(z, other)
    if case.cls.__name__ == "BrierLoss":
        expected = expected + (q * q).sum(1) - 1
    torch.testing.assert_close(loss(z, q.double()), expected)


def test_brier_of_a_soft_target_is_the_squared_distance():
    z, q = rows()[0], soft()
    p = torch.softmax(z, 1)
    torch.testing.assert_close(whyloss.BrierLoss(reduction="none")(z, q), ((p - q) ** 2).sum(1))
    value, gradient = value_and_gradient(whyloss.BrierLoss(reduction="none"), torch.log(q), q)
    torch.testing.assert_close(value, torch.zeros(6).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(gradient, torch.zeros_like(z), atol=1e-12, rtol=0)


@pytest.mark.parametrize("case", defaults(SOFTMAX), ids=str)
def test_an_ignored_soft_row_counts_for_nothing(case: Case):
    z, q = rows()[0], soft()
    loss = case.build(link="softmax")
    value, _ = value_and_gradient(loss, z[:4], q[:4])
    z[4], z[5, 1] = torch.nan, torch.inf
    q[4:] = -100
    other_value, other_gradient = value_and_gradient(loss, z, q)
    torch.testing.assert_close(other_value, value)
    assert not other_gradient[4:].any()
    weight = torch.tensor([1.0, 1, 1, 1, 0, 0])
    q[4:] = 0.25
    torch.testing.assert_close(value_and_gradient(loss, z, q, sample_weight=weight)[1], other_gradient)


def test_soft_targets_in_16_bits_are_accepted():
    q = torch.softmax(torch.randn(64, 1000), 1)
    for dtype in (torch.bfloat16, torch.float16):
        assert torch.isfinite(whyloss.CrossEntropyLoss()(torch.randn(64, 1000), q.to(dtype)))


def test_soft_targets_may_need_a_gradient():
    q = soft().requires_grad_()
    z, _ = rows()
    for loss in (whyloss.CrossEntropyLoss(), whyloss.BrierLoss()):
        (gradient,) = torch.autograd.grad(loss(z, q), q)
        assert torch.isfinite(gradient).all()
        assert gradient.any()


# --- smoothing -------------------------------------------------------------------------------------------------------


def test_smoothing_over_the_other_classes():
    z, y = rows()
    loss = whyloss.CrossEntropyLoss(label_smoothing=0.3, smoothing_over="others", reduction="none")
    q = 0.7 * torch.nn.functional.one_hot(y, 4) + 0.1 * (1 - torch.nn.functional.one_hot(y, 4))
    torch.testing.assert_close(loss(z, y), -(q * torch.log_softmax(z, 1)).sum(1))
    torch.testing.assert_close(loss(z, torch.nn.functional.one_hot(y, 4).double()), loss(z, y))


def test_the_weight_may_belong_to_the_sample():
    z, y = rows()
    weight = torch.tensor([1.0, 2, 3, 4])
    loss = whyloss.CrossEntropyLoss(label_smoothing=0.3, smoothing_weight="sample", weight=weight)
    each = whyloss.CrossEntropyLoss(label_smoothing=0.3, reduction="none")(z, y)
    torch.testing.assert_close(loss(z, y), (each * weight[y]).sum() / weight[y].sum())
    torch.testing.assert_close(loss(z, torch.nn.functional.one_hot(y, 4).double()), loss(z, y))


@settings(max_examples=150, deadline=None)
@given(
    smoothing=st.sampled_from([0.0, 0.1, 0.9]),
    weighted=st.booleans(),
    ignore=st.sampled_from([-100, 0, 2, 255]),
    reduction=st.sampled_from(["mean", "sum", "none"]),
    shape=st.sampled_from([(), (2,), (3, 2), (1, 2, 3)]),
    batch=st.integers(1, 5),
    unbatched=st.booleans(),
    engine=st.sampled_from(["auto", "reference"]),
    seed=st.integers(0, 2**16),
)
def test_cross_entropy_equals_torchs_over_every_combination_of_options(
    smoothing: float,
    weighted: bool,
    ignore: int,
    reduction: str,
    shape: tuple[int, ...],
    batch: int,
    unbatched: bool,
    engine: str,
    seed: int,
):
    generator = torch.Generator().manual_seed(seed)
    z = 3 * torch.randn(batch, 3, *shape, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 3, (batch, *shape), generator=generator)
    if ignore == 255:
        y = torch.where(torch.rand(y.shape, generator=generator) < 0.3, 255, y)
    if unbatched and not shape:
        z, y = z[0], y[0]
    options = {
        "weight": torch.tensor([0.5, 2.0, 0.0], dtype=torch.float64) if weighted else None,
        "ignore_index": ignore,
        "reduction": reduction,
        "label_smoothing": smoothing,
    }
    theirs, gradient = value_and_gradient(torch.nn.CrossEntropyLoss(**options), z, y)
    if not torch.isfinite(theirs).all():
        return  # the mean of nothing, where we differ on purpose
    ours, our_gradient = value_and_gradient(whyloss.CrossEntropyLoss(**options, engine=engine), z, y)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(our_gradient, gradient)


@settings(max_examples=60, deadline=None)
@given(
    smoothing=st.sampled_from([0.0, 0.2]),
    reduction=st.sampled_from(["mean", "sum", "none"]),
    shape=st.sampled_from([(), (2, 3)]),
    seed=st.integers(0, 2**16),
)
def test_soft_cross_entropy_equals_torchs(smoothing: float, reduction: str, shape: tuple[int, ...], seed: int):
    generator = torch.Generator().manual_seed(seed)
    z = 3 * torch.randn(4, 3, *shape, generator=generator, dtype=torch.float64)
    q = torch.softmax(torch.randn(4, 3, *shape, generator=generator, dtype=torch.float64), 1)
    theirs = torch.nn.CrossEntropyLoss(label_smoothing=smoothing, reduction=reduction)
    ours = whyloss.CrossEntropyLoss(label_smoothing=smoothing, reduction=reduction)
    torch.testing.assert_close(value_and_gradient(ours, z, q), value_and_gradient(theirs, z, q))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_binary_cross_entropy_equals_torchs(reduction: str):
    z, y = torch.randn(5, 3, dtype=torch.float64), torch.rand(5, 3, dtype=torch.float64)
    theirs = torch.nn.BCEWithLogitsLoss(reduction=reduction)(z, y)
    torch.testing.assert_close(whyloss.BinaryCrossEntropyLoss(reduction=reduction)(z, y), theirs)
    positive = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    weight = torch.stack([torch.ones(3), positive], 1)
    each = torch.nn.BCEWithLogitsLoss(reduction="none", pos_weight=positive)(z, y)
    torch.testing.assert_close(whyloss.BinaryCrossEntropyLoss(reduction="none", weight=weight)(z, y), each)
    images = whyloss.BinaryCrossEntropyLoss(reduction="none", weight=weight.reshape(3, 1, 1, 2))
    z, y = torch.randn(2, 3, 4, 4, dtype=torch.float64), torch.randint(0, 2, (2, 3, 4, 4))
    theirs = torch.nn.BCEWithLogitsLoss(reduction="none", pos_weight=positive.reshape(3, 1, 1))(z, y.double())
    torch.testing.assert_close(images(z, y), theirs)


# --- shapes and types ------------------------------------------------------------------------------------------------


def _flat(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return z.movedim(1, -1).reshape(-1, z.shape[1]), y.reshape(-1)


@pytest.mark.parametrize("case", defaults(ROWS), ids=str)
def test_any_number_of_dimensions_and_any_layout(case: Case):
    link = case.links[0]
    classes = 3 if link == "softmax" else 2
    loss = case.build(classes, link=link, reduction="none")
    for shape in ((), (4,), (4, 2), (4, 2, 3)):
        z = torch.randn(2, 3, *shape)
        y = torch.randint(0, classes, (2, *shape) if link == "softmax" else z.shape)
        value, gradient = value_and_gradient(loss, z, y)
        assert value.shape == y.shape
        assert gradient.shape == z.shape
        if link == "softmax":
            flat, flat_gradient = value_and_gradient(loss, *_flat(z, y))
            torch.testing.assert_close(value.reshape(-1), flat)
            torch.testing.assert_close(_flat(gradient, y)[0], flat_gradient)
        layouts = [z.transpose(0, -1).contiguous().transpose(0, -1)]
        if len(shape) == 2:
            layouts.append(z.to(memory_format=torch.channels_last))
        for other in layouts:
            torch.testing.assert_close(value_and_gradient(loss, other, y), (value, gradient))
    z = torch.randn(3) if link == "softmax" else torch.randn(())
    y = torch.tensor(1)
    value, gradient = value_and_gradient(loss, z, y)
    assert value.shape == ()
    torch.testing.assert_close(value, loss(z[None], y[None])[0])
    assert case.build(classes, link=link)(z, y).shape == ()
    expanded = torch.randn(1, 3).expand(4, 3)
    y = torch.tensor([0, 1, 1, 0]) if link == "softmax" else torch.tensor([[0, 1, 1]] * 4)
    torch.testing.assert_close(loss(expanded, y), loss(expanded.contiguous(), y))


INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool, torch.uint16, torch.uint32]


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_targets_of_any_integer_type(dtype: torch.dtype):
    z = torch.randn(4, 3)
    y = torch.tensor([0, 1, 1, 0])
    for case in defaults(SOFTMAX):
        loss = case.build(3, link="softmax")
        assert torch.equal(loss(z, y.to(dtype)), loss(z, y))
    for case in defaults(SIGMOID):
        loss = case.build(2, link="sigmoid")
        assert torch.equal(loss(z[:, 0], y.to(dtype)), loss(z[:, 0], y))


def test_an_ignore_index_does_not_wrap_around_in_narrow_integers():
    z = torch.randn(2, 200)
    y = torch.tensor([156, 3], dtype=torch.uint8)  # -100 as an unsigned byte is 156
    assert whyloss.CrossEntropyLoss(reduction="none")(z, y)[0] > 0
    assert whyloss.DiceLoss(reduction="none", over="batch")(z, y)[156] > 0
    void = torch.tensor([255, 3], dtype=torch.uint8)
    assert whyloss.CrossEntropyLoss(reduction="none", ignore_index=255)(z, void)[0] == 0


# --- weights and denominators ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", defaults(ROWS), ids=str)
def test_halves_add_up_to_the_whole(case: Case):
    link = case.links[0]
    z, y = rows(8, 4)
    if link == "sigmoid":
        z, y = z[:, 0], y % 2
    y = torch.where(torch.arange(8) == 1, -100, y)
    weight = torch.linspace(0.5, 2, 8)
    loss = case.build(4 if link == "softmax" else 2, link=link)
    whole, gradient = value_and_gradient(loss, z, y, sample_weight=weight)
    halves = [slice(0, 3), slice(3, 8)]
    parts = [loss.parts(z[h], y[h], sample_weight=weight[h]) for h in halves]
    total = sum(p[1] for p in parts)
    torch.testing.assert_close(sum(p[0] for p in parts) / total, whole)
    accumulated = z.clone().requires_grad_()
    for h in halves:
        loss(accumulated[h], y[h], sample_weight=weight[h], normalizer=total).backward()
    torch.testing.assert_close(accumulated.grad, gradient)
    assert torch.equal(loss(z, y, normalizer=2.0), loss.parts(z, y)[0] / 2)


def test_a_weight_per_image_or_per_pixel():
    z, y = torch.randn(3, 4, 2, 5), torch.randint(0, 4, (3, 2, 5))
    loss = whyloss.FocalLoss()
    weight = torch.tensor([1.0, 0, 2])
    per_pixel = weight.reshape(3, 1, 1).expand(3, 2, 5)
    assert torch.equal(loss(z, y, sample_weight=weight), loss(z, y, sample_weight=per_pixel))
    each = whyloss.FocalLoss(reduction="none")(z, y)
    torch.testing.assert_close(loss(z, y, sample_weight=weight), (each * per_pixel).sum() / per_pixel.sum())


def test_learnable_weights_and_adjustments_get_gradients():
    z, y = rows()
    weight = torch.nn.Parameter(torch.ones(4, dtype=torch.float64))
    shift = torch.nn.Parameter(torch.zeros(4, dtype=torch.float64))
    loss = whyloss.CrossEntropyLoss(weight=weight, adjust=whyloss.Adjustment(shift=shift), reduction="sum")
    loss(z, y).backward()
    each = whyloss.CrossEntropyLoss(reduction="none")(z, y)
    torch.testing.assert_close(weight.grad, torch.zeros(4).double().index_add(0, y, each))
    _, gradient = value_and_gradient(whyloss.CrossEntropyLoss(reduction="sum"), z, y)
    torch.testing.assert_close(shift.grad, gradient.sum(0))

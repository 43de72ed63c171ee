"""The edge contract, row by row: what every loss does where losses elsewhere go wrong. Single cases in which released
libraries fail are data of the benchmark; bench/test_edges.py holds ours to them."""

import math

import pytest
import torch
from instances import (
    BATCHES,
    KERNELS,
    LABEL_SETS,
    ROWS,
    SIGMOID,
    SOFTMAX,
    WHOLE,
    Case,
    defaults,
    rows,
    value_and_gradient,
)
from torch import Tensor

import whyloss

ON_ENGINE = [pytest.param(c, e, id=f"{c}-{e}") for c in SOFTMAX for e in c.engines]
INF = float("inf")


def finite(*tensors: Tensor) -> bool:
    return all(bool(torch.isfinite(t).all()) for t in tensors)


# --- nothing counted -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("case", "engine"), ON_ENGINE)
def test_the_mean_of_nothing_is_zero_with_a_zero_gradient(case: Case, engine: str):
    z, y = rows()
    loss = case.build(engine=engine, link="softmax")
    nothing = torch.zeros(6)
    for value, gradient in (
        value_and_gradient(loss, z, torch.full_like(y, -100)),
        value_and_gradient(loss, z[:0], y[:0]),
        value_and_gradient(loss, z, y, sample_weight=nothing),
        value_and_gradient(case.build(engine=engine, link="softmax", reduction="sum"), z, y, sample_weight=nothing),
    ):
        assert value == 0
        assert torch.equal(gradient, torch.zeros_like(gradient))
    assert torch.isnan(case.build(engine=engine, link="softmax", empty="nan")(z, torch.full_like(y, -100)))
    assert case.build(engine=engine, link="softmax", reduction="none")(z[:0], y[:0]).shape == (0,)


@pytest.mark.parametrize("case", defaults(ROWS), ids=str)
def test_class_weights_of_zero_count_for_nothing(case: Case):
    if "counts" in case.cls.fields() and "max_margin" not in case.cls.fields() and "tau" not in case.cls.fields():
        return  # has weights of its own
    z, y = rows()
    if "softmax" in case.links:
        value, gradient = value_and_gradient(case.build(link="softmax", weight=torch.zeros(4)), z, y)
        assert value == 0
        assert not gradient.any()
    if "sigmoid" in case.links:
        value, gradient = value_and_gradient(case.build(2, link="sigmoid", weight=torch.zeros(2)), z[:, 0], y % 2)
        assert value == 0
        assert not gradient.any()


@pytest.mark.parametrize("case", defaults(SIGMOID), ids=str)
def test_the_sigmoid_links_mean_of_nothing(case: Case):
    z = torch.randn(4, 3)
    value, gradient = value_and_gradient(case.build(2, link="sigmoid"), z, torch.full((4, 3), -100))
    assert value == 0
    assert not gradient.any()
    assert case.build(2, link="sigmoid")(z[:0], torch.zeros(0, 3).long()) == 0


# --- masked classes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("case", "engine"), ON_ENGINE)
def test_a_masked_class_is_left_out_of_every_sum(case: Case, engine: str):
    """A class at minus infinity: as if there were one class fewer, for losses that know nothing of the classes."""
    if case.knows_classes:
        z, y = rows(6, 5)
        z[:, 4] = -torch.inf
        value, gradient = value_and_gradient(case.build(5, engine=engine, link="softmax"), z, y % 4)
        assert finite(value, gradient)
        assert not gradient[:, 4].any()
        return
    z, y = rows(6, 4)
    wide = torch.cat([z[:, :2], torch.full((6, 1), -torch.inf, dtype=z.dtype), z[:, 2:]], 1)
    labels = torch.where(y >= 2, y + 1, y)
    for eps in (0.0, 0.2):
        loss = case.build(engine="auto" if eps else engine, link="softmax", label_smoothing=eps)
        soft_loss = case.build(link="softmax", label_smoothing=eps)
        value, gradient = value_and_gradient(loss, z, y)
        masked_value, masked_gradient = value_and_gradient(loss, wide, labels)
        torch.testing.assert_close(masked_value, value)
        assert not masked_gradient[:, 2].any()
        torch.testing.assert_close(masked_gradient[:, [0, 1, 3, 4]], gradient)
        soft = torch.nn.functional.one_hot(labels, 5).double()
        torch.testing.assert_close(value_and_gradient(soft_loss, wide, soft)[1], masked_gradient)


@pytest.mark.parametrize("case", SOFTMAX, ids=str)
def test_a_masked_label_costs_infinity_or_the_bound_and_keeps_other_gradients_finite(case: Case):
    z = torch.tensor([[-torch.inf, 0.0, 1.0], [0.5, 0.0, 1.0]])
    y = torch.tensor([0, 1])
    found = []
    for engine in case.engines:
        loss = case.build(3, engine=engine, reduction="none", link="softmax")
        value, gradient = value_and_gradient(loss, z, y)
        assert not value.isnan().any()
        assert finite(gradient)
        assert gradient[0, 0] == 0
        assert finite(value[1])
        nearly = torch.where(torch.isneginf(z), -1e6, z)
        if case.cls.bounded is False and (loss(nearly, y)[0] > 1e4):  # it rises as the label becomes impossible
            assert value[0] == INF
        elif case.cls.bounded:
            assert finite(value)
        found.append((value, gradient))
        one_hot = torch.nn.functional.one_hot(y, 3).float()
        mixed = case.build(3, reduction="none", link="softmax")
        torch.testing.assert_close(value_and_gradient(mixed, z, one_hot)[0], value)
    for other in found[1:]:
        torch.testing.assert_close(other, found[0])


def test_a_shift_can_mask_a_class():
    z, y = rows(5, 3)
    adjust = whyloss.Adjustment(shift=torch.tensor([0.0, 0.0, -torch.inf]))
    for case in defaults(SOFTMAX):
        if case.build().adjust is not None or case.knows_classes:
            continue
        loss = case.build(3, adjust=adjust, link="softmax")
        value, gradient = value_and_gradient(loss, z, y % 2)
        torch.testing.assert_close(value, case.build(2, link="softmax")(z[:, :2], y % 2))
        assert not gradient[:, 2].any()


def test_a_nan_in_an_ignored_row_hides_no_masked_class_from_its_neighbours():
    z = torch.tensor([[torch.nan, 0, 0], [-torch.inf, 0.0, 0.0]])
    loss = whyloss.ConfidencePenaltyLoss(engine="dense")
    assert loss(z, torch.tensor([-100, 1])) == pytest.approx(0.9 * math.log(2))


def test_infinite_logits_of_the_sigmoid_link():
    z = torch.tensor([INF, -INF, -INF, INF])
    y = torch.tensor([1, 0, 1, 0])
    for case in SIGMOID:
        value, gradient = value_and_gradient(case.build(2, link="sigmoid", reduction="none"), z, y)
        assert not value.isnan().any(), case
        assert finite(gradient), case
    assert whyloss.BinaryCrossEntropyLoss(reduction="none")(z, y).tolist() == [0, 0, INF, INF]


# --- very confident rows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [15.0, 40.0, 100.0, 1e4])
@pytest.mark.parametrize("case", ROWS, ids=str)
def test_confident_rows_right_and_wrong_are_finite_and_alive(case: Case, gap: float):
    for link in case.links:
        if link == "softmax":
            z = torch.tensor([[gap, 0.0, 0.0], [0.0, gap, 0.0], [-gap, 0.0, gap], [gap, gap, -gap]])
            y = torch.tensor([0, 0, 0, 0])
            settings = [(e, 3) for e in case.engines]
        else:
            z, y, settings = torch.tensor([gap, gap, -gap, -gap]), torch.tensor([1, 0, 1, 0]), [("auto", 2)]
        for engine, classes in settings:
            loss = case.build(classes, engine=engine, link=link, reduction="none")
            exact = case.build(classes, engine="reference", link=link, reduction="none")
            value, gradient = value_and_gradient(loss, z, y)
            true_value, true_gradient = value_and_gradient(exact, z.double(), y)
            assert finite(value, gradient)
            if loss.adjust is not None and gap == 1e4:
                continue  # float32 cannot add a shift to such logits more exactly than 5e-4
            torch.testing.assert_close(value.double(), true_value, rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(gradient.double(), true_gradient, rtol=1e-4, atol=1e-6)
            # Where float64 has a slope that float32 can write down, float32 has one: no dead gradients.
            alive, should = gradient.abs() > 0, true_gradient.abs() > 1e-37
            # Sums of powers, and what goes through a whole row of logits, have differences in single slopes.
            if "rest_pow" in loss.statistics or (loss.adjust is not None and loss.adjust.of_rows):
                alive, should = alive.reshape(len(z), -1).any(1), should.reshape(len(z), -1).any(1)
            if loss.stateful:  # a mixture of labels that it learned: what is left between its parts may cancel
                should = should & (true_gradient.abs() > 1e-7)
            assert alive[should].all()


def test_margins_do_not_disturb_smoothing():
    """With a margin each label has its own distribution; the short form of smoothing must not be used."""
    loss = whyloss.LDAMLoss(counts=torch.tensor([10.0, 1.0]), scale=1.0, label_smoothing=0.2, reduction="none")
    z = torch.tensor([[0.3, -0.2]])
    margin = 0.5 * torch.tensor([0.1**0.25, 1.0])
    each = [-torch.log_softmax(z - margin * torch.eye(2)[j], 1)[0, j] for j in range(2)]
    assert loss(z, torch.tensor([0])).item() == pytest.approx(float(0.9 * each[0] + 0.1 * each[1]))


# --- 16 bits, large inputs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_16_bit_extremes_do_not_overflow(dtype: torch.dtype):
    top = 65504.0 if dtype == torch.float16 else 3e30
    z = torch.tensor([[top, -top, 0.0], [-top, top, 0.0], [0.0, 1.0, 2.0]], dtype=dtype)
    y = torch.tensor([0, 0, 1])
    for case in defaults(SOFTMAX):
        if case.reads_raw_logits:
            continue  # squares of logits
        if dtype == torch.bfloat16 and case.cls.__name__ == "LDAMLoss":
            continue  # multiplies the logits by 30
        value, gradient = value_and_gradient(case.build(3, link="softmax", reduction="none"), z, y)
        assert value.dtype == torch.float32, case
        assert gradient.dtype == dtype
        assert finite(value[[0, 2]], gradient[[0, 2]]), case
        steep = value_and_gradient(case.build(3, link="softmax", reduction="none"), z.double(), y)[1].abs() > top
        assert finite(gradient[~steep]), case


def test_many_rows_and_many_classes_in_float16():
    z = torch.full((1_000_000, 2), 8.0, dtype=torch.float16)
    z[:, 1] = -8
    loss = whyloss.CrossEntropyLoss()
    assert loss(z, torch.ones(1_000_000).long()).item() == pytest.approx(16, rel=1e-6)
    z = torch.full((2, 256_000), -20.0, dtype=torch.float16)
    z[:, 7] = 20
    smooth = whyloss.CrossEntropyLoss(label_smoothing=0.1)
    y = torch.tensor([7, 7])
    value, gradient = value_and_gradient(smooth, z, y)
    assert value.item() == pytest.approx(float(torch.nn.CrossEntropyLoss(label_smoothing=0.1)(z.double(), y)), rel=1e-5)
    assert finite(gradient)


def test_a_loss_scaler_reaches_float16_gradients_before_they_underflow():
    z = torch.tensor([[0.0, -20.0]], dtype=torch.float16, requires_grad=True)
    (whyloss.CrossEntropyLoss()(z, torch.tensor([0])) * 2.0**16).backward()
    assert z.grad is not None
    assert z.grad[0, 1].item() == pytest.approx(2**16 * math.exp(-20), rel=1e-3)


# --- counts ----------------------------------------------------------------------------------------------------------


def test_adding_an_unseen_class_to_the_counts_is_finite():
    counts = torch.tensor([100.0, 10.0, 0.0])
    z, y = rows(6, 3)
    for loss in (
        whyloss.ClassBalancedLoss(counts=counts),
        whyloss.ClassBalancedLoss(counts=counts, beta=None),
        whyloss.LogitAdjustedLoss(counts=counts),
    ):
        assert finite(*value_and_gradient(loss, z, y % 2))


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("z", "y", "error", "words"),
    [
        (torch.zeros(4, 1), torch.zeros(4).long(), ValueError, 'link="sigmoid"'),
        (torch.zeros(4, 0), torch.zeros(4).long(), ValueError, "no classes"),
        (torch.tensor(1.0), torch.tensor(0), ValueError, "class axis"),
        (torch.zeros(2, 3), torch.tensor([1, 3]), ValueError, "Subtract 1"),
        (torch.zeros(2, 3), torch.tensor([0, 255]), ValueError, "ignore_index=255"),
        (torch.zeros(2, 3), torch.tensor([0, -1]), ValueError, "target holds -1"),
        (torch.zeros(2, 3), torch.zeros(3).long(), ValueError, r"target \(2,\) is needed"),
        (torch.zeros(2, 3), torch.zeros(2, 1).long(), ValueError, "squeeze"),
        (torch.zeros(2, 3), torch.eye(3)[:2].long(), ValueError, r"target\.float\(\)"),
        (torch.zeros(2, 3), torch.zeros(2), ValueError, r"target\.long\(\)"),
        (torch.zeros(2, 4, 4, 3), torch.zeros(2, 4, 4).long(), ValueError, r"movedim\(-1, 1\)"),
        (torch.zeros(2, 2), torch.tensor([[1.5, -0.5], [1, 0]]), ValueError, "row 0"),
        (torch.zeros(2, 2), torch.tensor([[1.0, 0], [1, 1]]), ValueError, "link='sigmoid'"),
        (torch.zeros(2, 2), torch.tensor([[1.0, 0], [torch.nan, 1]]), ValueError, "row 1"),
        (torch.zeros(2, 2).long(), torch.zeros(2).long(), TypeError, "swapped"),
        (torch.zeros(2, 2), torch.zeros(2, dtype=torch.complex64), TypeError, "complex"),
        ([[0.0, 1.0]], torch.tensor([0]), TypeError, "list"),
        (torch.zeros(1, 2), [0], TypeError, "list"),
    ],
)
def test_bad_input_is_refused_in_words(z: Tensor, y: Tensor, error: type[Exception], words: str):
    for loss in (whyloss.CrossEntropyLoss(), whyloss.BrierLoss(), whyloss.NormalizedFocalLoss()):
        with pytest.raises(error, match=words) as caught:
            loss(z, y)
        assert type(loss).__name__ in str(caught.value)


@pytest.mark.parametrize(
    ("options", "call", "words"),
    [
        ({"weight": torch.ones(2)}, {}, r"weight \(2,\) but 3 classes"),
        ({}, {"sample_weight": torch.ones(5)}, r"sample_weight \(5,\)"),
        ({"reduction": "sum"}, {"normalizer": 3}, "normalizer"),
        ({"engine": "triton"}, {"sample_weight": torch.ones(2, requires_grad=True)}, "engine='triton' cannot"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, object], call: dict[str, object], words: str):
    with pytest.raises(ValueError, match=words):
        whyloss.CrossEntropyLoss(**options)(torch.zeros(2, 3), torch.tensor([0, 1]), **call)


def test_parameters_out_of_range_are_refused():
    for make, words in (
        (lambda: whyloss.FocalLoss(gamma=-1.0), "gamma >= 0"),
        (lambda: whyloss.GeneralizedCrossEntropyLoss(q=0.0), "0 < q <= 1"),
        (lambda: whyloss.CrossEntropyLoss(reduction="avg"), "reduction in"),
        (lambda: whyloss.CrossEntropyLoss(label_smoothing=1.0), "label_smoothing"),
        (lambda: whyloss.SquaredLogitLoss(link="sigmoid"), "link in"),
        (lambda: whyloss.LDAMLoss(counts=torch.tensor([1.0, 0.0])), "a count > 0"),
        (lambda: whyloss.LogitAdjustedLoss(counts=torch.tensor([0.0, 0.0])), "counts"),
        (lambda: whyloss.ForwardCorrectionLoss(transition=torch.ones(2, 2)), "sum to 1"),
        (lambda: whyloss.BackwardCorrectionLoss(transition=torch.full((2, 2), 0.5)), "invertible"),
    ):
        with pytest.raises(ValueError, match=words):
            make()
    with pytest.raises(TypeError):
        whyloss.FocalLoss(gama=2.0)


def test_values_are_checked_on_request_only_where_that_costs():
    bad = torch.tensor([[2.0, -1.0]])
    assert torch.isfinite(whyloss.CrossEntropyLoss(validate=False)(torch.zeros(1, 2), bad))


@pytest.mark.parametrize("engine", ["reference", "dense", *KERNELS])
@pytest.mark.parametrize("shape", [(3, 5), (3, 5000), (2, 5, 3)])
def test_a_nan_among_the_other_logits_reaches_the_loss(engine: str, shape: tuple[int, ...]):
    for cls in (whyloss.CrossEntropyLoss, whyloss.FocalLoss, whyloss.BrierLoss, whyloss.MulticlassHingeLoss):
        z, y = torch.randn(shape), torch.zeros(shape[0], *shape[2:], dtype=torch.int64)
        z[1, 2] = math.nan
        soft = torch.nn.functional.one_hot(y, shape[1]).movedim(-1, 1).float()
        for target in (y, 0.9 * soft + 0.1 / shape[1]):
            found = cls(engine=engine, reduction="none")(z, target).isnan()
            assert found[1].all()
            assert not found[0].any()


OTHERS = [case for case in defaults([*WHOLE, *LABEL_SETS, *BATCHES]) if "sigmoid" in case.links]


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("case", OTHERS, ids=str)
def test_infinite_answers_are_the_limit_of_large_ones(case: Case, right: bool):
    """Of losses that are no functions of sums; a loss that grows (of peers, falls) without end is infinite there, and
    its slopes are numbers."""
    _, targets, classes, reads = case.call("sigmoid")
    z, t = torch.randn(targets[0].shape, dtype=torch.float64), targets[0].long()

    def at(size: float) -> tuple[Tensor, Tensor]:
        moved = z.clone()
        moved[0, :2] = size * torch.where((t[0, :2] == 1) == right, 1.0, -1.0).double()
        loss = case.build(classes, link="sigmoid").double()
        return value_and_gradient(loss, moved, t, **reads)

    (near, _), (far, _), (value, slope) = at(1e5), at(1e6), at(INF)
    if right and case.cls in (whyloss.PairwiseAUCLoss, whyloss.PartialAUCLoss):
        assert not value.isnan()  # sums of squares over sorted logits: one that large takes all the digits
    elif torch.isfinite(far) and abs(far - near) > 1:
        assert value == math.copysign(INF, far - near)
    else:
        torch.testing.assert_close(value, far, rtol=1e-4, atol=1e-4)
    assert not slope.isnan().any()

"""Overlaps beyond Dice and Tversky: values by hand, what each generalises, and what must not fail."""

import math
from typing import Any

import pytest
import torch
from instances import SOFTMAX_REGIONS, Case, defaults, value_and_gradient
from torch import Tensor

import whyloss

SURE = 50.0


def masks(prediction: list[list[int]], classes: int) -> Tensor:
    """Logits that are sure of these classes."""
    return SURE * torch.nn.functional.one_hot(torch.tensor(prediction), classes).movedim(-1, 1).double()


# Class 0: TP 2, FP 1, FN 0. Class 1: TP 1, FP 1, FN 1. Class 2: TP 1, FP 0, FN 1.
FOUND, LABEL = masks([[0, 0, 0, 1, 1, 2]], 3), torch.tensor([[0, 0, 1, 1, 2, 2]])
DICE = [4 / 5, 2 / 4, 2 / 3]


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (whyloss.FocalTverskyLoss(alpha=0.5, beta=0.5, gamma=0.5), [(1 - d) ** 2 for d in DICE]),
        (whyloss.FocalTverskyLoss(alpha=1.0, beta=2.0, gamma=2.0), [(1 / 3) ** 0.5, (3 / 4) ** 0.5, (2 / 3) ** 0.5]),
        (whyloss.LogDiceLoss(), [-math.log(d) for d in DICE]),
        (whyloss.LogDiceLoss(gamma=0.3), [(-math.log(d)) ** 0.3 for d in DICE]),
        (whyloss.SquaredDiceLoss(), [1 - d for d in DICE]),
        (whyloss.DiceSemimetricLoss(), [1 - d for d in DICE]),
        (whyloss.DiceSemimetricLoss(variant=2), [1 - d for d in DICE]),
        (whyloss.JaccardMetricLoss(), [1 / 3, 2 / 3, 1 / 2]),
        (whyloss.JaccardMetricLoss(variant=2), [1 / 3, 2 / 3, 1 / 2]),
        (whyloss.LovaszSoftmaxLoss(), [1 / 3, 2 / 3, 1 / 2]),
    ],
    ids=lambda x: repr(x)[:50] if isinstance(x, whyloss.Loss) else "",
)
def test_hand_counted(loss: whyloss.RegionLoss, expected: list[float]):
    loss.reduction = "none"
    hot = torch.nn.functional.one_hot(LABEL, 3).movedim(-1, 1).double()
    for target in (LABEL, hot):
        torch.testing.assert_close(loss(FOUND, target)[0], torch.tensor(expected).double())


def test_generalised_dice_by_hand():
    """Weights 1/4, 1/4, 1/4 for LABEL; with one pixel less of class 2 its weight is 1."""
    assert whyloss.GeneralizedDiceLoss()(FOUND, LABEL).item() == pytest.approx(1 - 2 * 4 / 12)
    label = torch.tensor([[0, 0, 1, 1, 0, 2]])  # sizes 3, 2, 1; found 2, 1, 1 of 3, 2, 1
    weights = [1 / 9, 1 / 4, 1]
    expected = 1 - 2 * (2 * weights[0] + weights[1] + 1) / (6 * weights[0] + 4 * weights[1] + 2 * weights[2])
    assert whyloss.GeneralizedDiceLoss()(FOUND, label).item() == pytest.approx(expected)
    smooth = whyloss.GeneralizedDiceLoss(smooth=0.5)(FOUND, label).item()
    above, below = 2 * (2 * weights[0] + weights[1] + 1) + 0.5, 6 * weights[0] + 4 * weights[1] + 2 * weights[2] + 0.5
    assert smooth == pytest.approx(1 - above / below)


def test_generalised_dice_without_weights_is_dice_of_all_classes_as_one():
    z, y = torch.randn(2, 3, 7).double(), torch.randint(0, 3, (2, 7))
    p, t = torch.softmax(z, 1), torch.nn.functional.one_hot(y, 3).movedim(-1, 1)
    pooled = 1 - 2 * (p * t).sum((1, 2)) / (p + t).sum((1, 2))
    torch.testing.assert_close(whyloss.GeneralizedDiceLoss(power=0.0, reduction="none")(z, y), pooled)
    one = whyloss.GeneralizedDiceLoss(link="sigmoid", power=2.0)
    mask = (y == 1).long().unsqueeze(1)
    torch.testing.assert_close(one(z[:, :1], mask), whyloss.DiceLoss(link="sigmoid")(z[:, :1], mask))


def test_generalised_dice_where_others_fail():
    """An empty mask must not be free; a class that is absent must not outweigh all others, and costs if predicted."""
    z = torch.full((1, 1, 4, 4), 2.0)
    value, gradient = value_and_gradient(whyloss.GeneralizedDiceLoss(link="sigmoid"), z, torch.zeros_like(z))
    assert value.item() == pytest.approx(1 / (1 + math.exp(-2)))
    assert (gradient > 0).all()
    label = torch.tensor([[0, 0, 0, 1, 1, 1]])
    loss = whyloss.GeneralizedDiceLoss()
    assert loss(masks([[0, 0, 0, 1, 1, 1]], 3), label).item() == pytest.approx(0, abs=1e-9)
    assert loss(masks([[1, 1, 1, 0, 0, 0]], 3), label).item() == pytest.approx(1)
    absent, present = masks([[0, 0, 2, 1, 1, 1]], 3), masks([[0, 0, 1, 1, 1, 1]], 3)
    assert loss(absent, label) > 0.1
    free = whyloss.GeneralizedDiceLoss(absent="skip")
    assert free(absent, label) < free(present, label)
    z = torch.zeros(1, 3, 6, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(z, label), z)
    assert (gradient[:, 2] > 0).all()


def test_sizes_of_any_scale_keep_their_weights():
    z, y = torch.randn(1, 3, 9), torch.arange(9).unsqueeze(0) % 3
    loss = whyloss.GeneralizedDiceLoss()
    for scale in (1e-15, 1e15):
        torch.testing.assert_close(loss(z, y, sample_weight=torch.full((1, 9), scale)), loss(z, y))


# --- generalised Wasserstein Dice -------------------------------------------------------------------------------------

TREE = torch.tensor([[0.0, 1, 1], [1, 0, 0.25], [1, 0.25, 0]])


def test_wasserstein_dice_by_hand():
    """FOUND for LABEL: one pixel of 1 called 0 (distance 1), one of 2 called 1 (1/4); 4 pixels of foreground."""
    loss = whyloss.GeneralizedWassersteinDiceLoss(distances=TREE)
    error, found = 1.25, (1 + 1 + 1 + 1) - 1.25
    assert loss(FOUND, LABEL).item() == pytest.approx(error / (2 * found + error))
    assert loss(masks(LABEL.tolist(), 3), LABEL).item() == pytest.approx(0, abs=1e-12)


def test_wasserstein_dice_with_equal_distances_is_dice_of_the_foreground():
    """The paper's reduction: with distances 0 and 1, and two classes, it is Dice of class 1."""
    z, y = torch.randn(2, 2, 9).double(), torch.randint(0, 2, (2, 9))
    wasserstein = whyloss.GeneralizedWassersteinDiceLoss(distances=1 - torch.eye(2), reduction="none")
    dice = whyloss.DiceLoss(reduction="none", background=False)
    torch.testing.assert_close(value_and_gradient(wasserstein, z, y)[0], value_and_gradient(dice, z, y)[0][:, 0])
    torch.testing.assert_close(value_and_gradient(wasserstein, z, y)[1], value_and_gradient(dice, z, y)[1])
    many = torch.randn(1, 4, 12).double(), torch.randint(0, 4, (1, 12))
    p, t = torch.softmax(many[0], 1), torch.nn.functional.one_hot(many[1], 4).movedim(-1, 1)
    wrong = 1 - (p * t).sum(1)
    hits = ((1 - wrong) * (many[1] > 0)).sum()
    expected = 1 - 2 * hits / (2 * hits + wrong.sum())
    loss = whyloss.GeneralizedWassersteinDiceLoss(distances=1 - torch.eye(4))
    torch.testing.assert_close(loss(*many), expected)


def test_wasserstein_dice_of_background_alone():
    z, y = torch.zeros(1, 3, 4), torch.zeros(1, 4).long()
    value, gradient = value_and_gradient(whyloss.GeneralizedWassersteinDiceLoss(distances=TREE), z, y)
    assert value.item() == pytest.approx(2 / 3)
    assert (gradient[:, 1:] > 0).all()
    for absent in ("skip", "zero"):
        assert whyloss.GeneralizedWassersteinDiceLoss(distances=TREE, absent=absent)(z, y) == 0


@pytest.mark.parametrize(
    ("distances", "words"),
    [
        (torch.ones(2, 3), "square"),
        (torch.ones(2, 2), "diagonal"),
        (torch.tensor([[0.0, 1, 1], [1, 0, 2], [1, 2, 0]]), "background"),
    ],
)
def test_distances_that_make_no_sense_are_refused(distances: Tensor, words: str):
    with pytest.raises(ValueError, match=words):
        whyloss.GeneralizedWassersteinDiceLoss(distances=distances)
    with pytest.raises(ValueError, match="3 classes"):
        whyloss.GeneralizedWassersteinDiceLoss(distances=1 - torch.eye(2))(FOUND, LABEL)


def test_the_engine_is_named_as_it_is():
    z, y = torch.randn(1, 3, 12), torch.randint(0, 3, (1, 12))
    assert whyloss.explain_engine(whyloss.FocalTverskyLoss(), z, y).startswith("blocks")
    assert whyloss.explain_engine(whyloss.GeneralizedDiceLoss(), z, y).startswith("blocks")
    assert whyloss.explain_engine(whyloss.LovaszSoftmaxLoss(), z, y).startswith("reference: reads more of the pixels")


# --- identities, and ends ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_what_equals_what(link: Any):
    z = torch.randn(2, 3, 4, 5).double()
    y = torch.randint(0, 3, (2, 4, 5)) if link == "softmax" else torch.randint(0, 2, z.shape)
    for ours, theirs in (
        (whyloss.FocalTverskyLoss(alpha=0.2, gamma=1.0), whyloss.TverskyLoss(alpha=0.2)),
        (whyloss.DiceSemimetricLoss(), whyloss.DiceLoss()),
        (whyloss.DiceSemimetricLoss(variant=2, smooth=1.0), whyloss.DiceLoss(smooth=1.0)),
        (whyloss.JaccardMetricLoss(smooth=1.0), whyloss.JaccardLoss(smooth=1.0)),
        (whyloss.JaccardMetricLoss(variant=2), whyloss.JaccardLoss()),
    ):
        ours.link = theirs.link = link
        torch.testing.assert_close(value_and_gradient(ours, z, y), value_and_gradient(theirs, z, y))
        torch.testing.assert_close(
            value_and_gradient(ours, z, y.bool() if link == "sigmoid" else y), value_and_gradient(theirs, z, y)
        )


@pytest.mark.parametrize("variant", [1, 2])
@pytest.mark.parametrize("cls", [whyloss.DiceSemimetricLoss, whyloss.JaccardMetricLoss])
def test_soft_labels_have_their_minimum_at_themselves(cls: Any, variant: int):
    q = torch.softmax(torch.randn(1, 3, 20).double(), 1)
    loss = cls(variant=variant)
    assert loss(q.log(), q).item() == pytest.approx(0, abs=1e-9)
    assert loss((q * q).log(), q) > 1e-3
    p = torch.softmax(2 * q.log(), 1)
    distance, inside = (p - q).abs().sum(2), (p * q).sum(2)
    size = (p + q).sum(2)
    expected = {
        (whyloss.DiceSemimetricLoss, 1): 1 - (size - distance) / size,
        (whyloss.DiceSemimetricLoss, 2): 1 - 2 * inside / (2 * inside + distance),
        (whyloss.JaccardMetricLoss, 1): 1 - (size - distance) / (size + distance),
        (whyloss.JaccardMetricLoss, 2): 1 - inside / (inside + distance),
    }
    torch.testing.assert_close(loss(2 * q.log(), q), expected[cls, variant].mean())


@pytest.mark.parametrize("case", SOFTMAX_REGIONS, ids=str)
def test_perfect_and_hopeless_predictions_have_finite_slopes(case: Case):
    y = torch.randint(0, 3, (2, 6, 5))
    right = torch.nn.functional.one_hot(y, 3).movedim(-1, 1).float()
    for size in (5.0, 30.0, 1e4):
        for z in (size * right, -size * right, size * right.roll(1, 1)):
            value, gradient = value_and_gradient(case.build(3), z, y)
            assert torch.isfinite(value)
            assert torch.isfinite(gradient).all()
        if case.cls.bounded:
            assert value_and_gradient(case.build(3), 1e4 * right, y)[0].item() == pytest.approx(0, abs=1e-6)


def test_log_dice_of_no_overlap_still_pulls():
    """Where the label's probability is e^-40; others clamp there and have no gradient."""
    z = torch.zeros(1, 2, 8)
    z[:, 0] = 40.0
    y = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1]])
    value, gradient = value_and_gradient(whyloss.LogDiceLoss(reduction="none"), z, y)
    assert value[0, 1].item() == pytest.approx(40 - math.log(2), rel=1e-5)
    assert gradient[0, 1, 4:].tolist() == pytest.approx([-0.25] * 4, rel=1e-4)


@pytest.mark.parametrize("case", defaults(SOFTMAX_REGIONS), ids=str)
def test_float32_holds_to_float64(case: Case):
    z, y = 3 * torch.randn(2, 3, 8, 6), torch.randint(0, 3, (2, 8, 6))
    y[0, 0] = -100
    weight = torch.rand(2, 8, 6)
    for over in ("image", "batch"):
        loss = case.build(3, over=over)
        for target in (y, torch.softmax(torch.randn(2, 3, 8, 6), 1)):
            value, gradient = value_and_gradient(loss, z, target, sample_weight=weight)
            exact, slope = value_and_gradient(loss, z.double(), target, sample_weight=weight)
            assert (value.dtype, gradient.dtype) == (torch.float32, torch.float32)
            torch.testing.assert_close(value.double(), exact, rtol=2e-5, atol=1e-6)
            torch.testing.assert_close(gradient.double(), slope, rtol=1e-4, atol=float(5e-6 * slope.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", defaults(SOFTMAX_REGIONS), ids=str)
def test_16_bits_are_computed_in_32(case: Case, dtype: torch.dtype):
    z, y = (3 * torch.randn(1, 3, 12, 10)).to(dtype), torch.randint(0, 3, (1, 12, 10))
    value, gradient = value_and_gradient(case.build(3), z, y)
    expected, slope = value_and_gradient(case.build(3), z.float(), y)
    assert (value.dtype, gradient.dtype) == (torch.float32, dtype)
    assert torch.equal(value, expected)
    torch.testing.assert_close(gradient, slope.to(dtype), rtol=torch.finfo(dtype).eps, atol=1e-7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(case.build(3)(z, y), value)


@pytest.mark.parametrize("case", [case for case in SOFTMAX_REGIONS if not case.cls.joint], ids=str)
def test_a_masked_class_has_no_part(case: Case):
    z, y = torch.randn(2, 2, 12), torch.randint(0, 2, (2, 12))
    with_it = torch.cat([z, torch.full((2, 1, 12), -torch.inf)], 1)
    value, gradient = value_and_gradient(case.build(3, reduction="none"), with_it, y)
    expected, slopes = value_and_gradient(case.build(2, reduction="none"), z, y)
    torch.testing.assert_close(value[:, :2], expected)
    torch.testing.assert_close(gradient[:, :2], slopes)
    assert not value[:, 2].any()
    assert not gradient[:, 2].any()

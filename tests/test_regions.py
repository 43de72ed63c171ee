"""Region losses: hand-counted overlaps, the policy for absent classes, what a region is, and many ranks as one."""

from functools import partial
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from instances import REGIONS, SOFTMAX_REGIONS, Case, defaults, value_and_gradient
from ranks import SHARES, model, on_a_rank, world_losses
from ranks import value_and_gradient as of_one_rank
from torch import Tensor

import whyloss

ALONE = [case for case in REGIONS if not case.cls.joint]  # every class by itself
APART = [case for case in SOFTMAX_REGIONS if not case.cls.neighbours]  # every pixel by itself
SURE = 50.0  # logits so far apart that probabilities are 0 and 1


def masks(prediction: list[list[int]], classes: int) -> Tensor:
    """Logits that are sure of these classes."""
    return SURE * torch.nn.functional.one_hot(torch.tensor(prediction), classes).movedim(-1, 1).double()


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        # Class 0: TP 2, FP 1, FN 0. Class 1: TP 1, FP 1, FN 1. Class 2: TP 0, FP 0, FN 1.
        (whyloss.DiceLoss(reduction="none"), [1 - 4 / 5, 1 - 2 / 4, 1]),
        (whyloss.JaccardLoss(reduction="none"), [1 - 2 / 3, 1 - 1 / 3, 1]),
        (whyloss.TverskyLoss(alpha=0.25, beta=2.0, reduction="none"), [1 - 2 / 2.25, 1 - 1 / 3.25, 1]),
        (whyloss.DiceLoss(reduction="none", smooth=1.0), [1 - 5 / 6, 1 - 3 / 5, 1 - 1 / 2]),
        (whyloss.DiceLoss(reduction="none", background=False), [1 - 2 / 4, 1]),
    ],
)
def test_hand_counted(loss: whyloss.Loss, expected: list[float]):
    z, y = masks([[0, 0, 0, 1, 1]], 3), torch.tensor([[0, 0, 1, 1, 2]])
    torch.testing.assert_close(loss(z, y)[0], torch.tensor(expected).double())


def test_false_positives_and_false_negatives_are_not_swapped():
    """One class under the sigmoid link, 3 FP and 1 FN: alpha is for false positives."""
    z = torch.tensor([[[SURE, SURE, SURE, SURE, -SURE, -SURE]]]).double()
    y = torch.tensor([[[1, 0, 0, 0, 1, 0]]])
    for alpha, beta in ((1.0, 0.0), (0.0, 1.0), (0.3, 0.7)):
        loss = whyloss.TverskyLoss(alpha=alpha, beta=beta, link="sigmoid")
        assert loss(z, y).item() == pytest.approx(1 - 1 / (1 + 3 * alpha + beta))


@pytest.mark.parametrize("over", ["image", "batch"])
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_tversky_is_dice_and_jaccard(over: str, link: str):
    z = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    y = torch.randint(0, 3, (2, 4, 5)) if link == "softmax" else torch.randint(0, 2, z.shape)
    options: dict[str, Any] = {"over": over, "link": link}
    half, one = whyloss.TverskyLoss(alpha=0.5, beta=0.5, **options), whyloss.TverskyLoss(alpha=1.0, beta=1.0, **options)
    for ours, theirs in ((half, whyloss.DiceLoss(**options)), (one, whyloss.JaccardLoss(**options))):
        torch.testing.assert_close(value_and_gradient(ours, z, y), value_and_gradient(theirs, z, y))


@pytest.mark.parametrize("case", [case for case in REGIONS if "sigmoid" in case.links], ids=str)
def test_false_positives_on_an_empty_mask_are_never_free(case: Case):
    z, y = torch.full((1, 1, 4, 4), 2.0), torch.zeros(1, 1, 4, 4)
    value, gradient = value_and_gradient(case.build(link="sigmoid"), z, y)
    assert value.item() == pytest.approx(torch.sigmoid(torch.tensor(2.0)).item())
    assert (gradient > 0).all()  # pushes the logits down


@pytest.mark.parametrize("case", [case for case in ALONE if "softmax" in case.links], ids=str)
def test_nor_are_they_on_classes_that_are_absent(case: Case):
    z, y = torch.zeros(1, 3, 8), torch.zeros(1, 8).long()
    value, gradient = value_and_gradient(case.build(reduction="none"), z, y)
    assert value[0, 1:].tolist() == pytest.approx([1 / 3, 1 / 3])
    assert (gradient[0, 1:] > 0).all()


@pytest.mark.parametrize("case", [case for case in ALONE if "softmax" in case.links], ids=str)
def test_absent_classes_by_policy(case: Case):
    z, y = torch.randn(1, 3, 8), torch.tensor([[0, 0, 0, 1, 1, 0, 1, 0]])
    each = {p: case.build(absent=p, reduction="none")(z, y)[0] for p in ("penalise", "skip", "zero")}
    mean = {p: case.build(absent=p)(z, y) for p in each}
    assert each["penalise"][2] == pytest.approx(torch.softmax(z, 1)[0, 2].mean())
    assert each["skip"][2] == each["zero"][2] == 0
    torch.testing.assert_close(mean["penalise"], each["penalise"].mean())
    torch.testing.assert_close(mean["zero"], each["zero"].mean())
    torch.testing.assert_close(mean["skip"], each["skip"][:2].mean())
    nothing = torch.full((1, 8), -100)
    for policy in each:
        value, gradient = value_and_gradient(case.build(absent=policy), z, nothing)
        assert value == 0
        assert not gradient.any()


@pytest.mark.parametrize("case", APART, ids=str)
def test_ignored_pixels_count_for_nothing_whatever_they_hold(case: Case):
    z, y = torch.randn(2, 3, 6), torch.randint(0, 3, (2, 6))
    for over in ("image", "batch"):
        loss = case.build(3, over=over)
        value, gradient = value_and_gradient(loss, z[:, :, :4], y[:, :4])
        dirty, labels = z.clone(), y.clone()
        dirty[:, :, 4], dirty[:, 1, 5], labels[:, 4:] = torch.nan, torch.inf, -100
        weight = torch.tensor([[1.0, 1, 1, 1, 0, 0]] * 2)
        for found in (
            value_and_gradient(loss, dirty, labels),
            value_and_gradient(loss, dirty, y, sample_weight=weight),
        ):
            torch.testing.assert_close(found[0], value)
            torch.testing.assert_close(found[1][:, :, :4], gradient)
            assert not found[1][:, :, 4:].any()


@pytest.mark.parametrize("case", [case for case in REGIONS if "sigmoid" in case.links], ids=str)
def test_a_pixel_that_one_mask_ignores(case: Case):
    z, labels = torch.randn(2, 3, 6), torch.randint(0, 2, (2, 3, 6))
    labels[:, 1, 2] = -100
    expected = value_and_gradient(case.build(link="sigmoid"), z, labels)
    z[:, 1, 2] = torch.nan
    value, gradient = value_and_gradient(case.build(link="sigmoid"), z, labels)
    assert torch.isfinite(value)
    assert not gradient[:, 1, 2].any()
    torch.testing.assert_close((value, gradient), expected)


@pytest.mark.parametrize("case", [case for case in SOFTMAX_REGIONS if case.cls.neighbours], ids=str)
def test_what_an_ignored_neighbour_holds_does_not_matter(case: Case):
    z, y = torch.randn(2, 3, 7, 6), torch.randint(0, 3, (2, 7, 6))
    y[:, 2:4, 3] = -100
    expected = value_and_gradient(case.build(3), z, y)
    z[:, :, 2:4, 3] = torch.nan
    value, gradient = value_and_gradient(case.build(3), z, y)
    torch.testing.assert_close((value, gradient), expected)
    assert not gradient[:, :, 2:4, 3].any()
    weight = torch.ones(2, 7, 6)
    weight[:, 2:4, 3] = 0
    torch.testing.assert_close(value_and_gradient(case.build(3), z, y.clamp_min(0), sample_weight=weight), expected)


@pytest.mark.parametrize("case", SOFTMAX_REGIONS, ids=str)
def test_shapes_reductions_and_weights(case: Case):
    made = partial(case.build, 3)
    weight = torch.tensor([1.0, 3, 0.5])
    for shape in ((), (5,), (4, 5), (2, 3, 4)):
        z, y = torch.randn(2, 3, *shape), torch.randint(0, 3, (2, *shape))
        flat = torch.cat([z.reshape(2, 3, -1), z.reshape(2, 3, -1)], 2), torch.cat([y.reshape(2, -1)] * 2, 1)
        if case in APART:
            torch.testing.assert_close(made()(z, y), made()(*flat))
        none = made(reduction="none", weight=weight)(z, y)
        assert none.shape == ((2,) if case.cls.joint else (2, 3))
        assert made(reduction="none", over="batch")(z, y).shape == (() if case.cls.joint else (3,))
        torch.testing.assert_close(made(reduction="sum", weight=weight)(z, y), none.sum())
        divisor = 2 if case.cls.joint else 2 * weight.sum()
        torch.testing.assert_close(made(weight=weight)(z, y), none.sum() / divisor)
        total, count = made(weight=weight).parts(z, y)
        torch.testing.assert_close(total / count, made(weight=weight)(z, y))
        torch.testing.assert_close(made(weight=weight)(z, y, normalizer=2.0), total / 2)
    image = torch.randn(2, 3, 4, 4)
    y = torch.randint(0, 3, (2, 4, 4))
    last = image.to(memory_format=torch.channels_last)
    torch.testing.assert_close(made()(last, y.to(torch.uint8)), made()(image, y))
    if not case.numbers.get("smooth"):
        per_image = made()(image, y, sample_weight=torch.tensor([1.0, 2]))
        torch.testing.assert_close(per_image, made()(image, y))  # a whole image's weight cancels in its ratios
    one = made()
    torch.testing.assert_close(one(image, y), (one(image[:1], y[:1]) + one(image[1:], y[1:])) / 2)


@pytest.mark.parametrize("case", SOFTMAX_REGIONS, ids=str)
def test_soft_masks(case: Case):
    made = partial(case.build, 3)
    z, y = torch.randn(2, 3, 6, dtype=torch.float64), torch.randint(0, 3, (2, 6))
    hot = torch.nn.functional.one_hot(y, 3).movedim(-1, 1).double()
    torch.testing.assert_close(value_and_gradient(made(), z, hot), value_and_gradient(made(), z, y))
    mixed = 0.7 * hot + 0.1
    value, gradient = value_and_gradient(made(), z, mixed)
    assert 0 < value < 1 or not case.cls.bounded
    assert torch.isfinite(gradient).all()
    hot[:, :, 3] = -100
    labels = y.clone()
    labels[:, 3] = -100
    torch.testing.assert_close(made()(z, hot), made()(z, labels))
    with pytest.raises(ValueError, match="between 0 and 1"):
        made()(z, 2 * mixed + 1)


def test_bad_input_is_refused_in_words():
    dice = whyloss.DiceLoss()
    with pytest.raises(ValueError, match="one class"):
        dice(torch.zeros(1, 1, 4), torch.zeros(1, 4).long())
    with pytest.raises(ValueError, match="Subtract 1"):
        dice(torch.zeros(1, 2, 4), torch.tensor([[1, 2, 1, 2]]))
    with pytest.raises(ValueError, match="weight"):
        whyloss.DiceLoss(weight=torch.ones(3))(torch.zeros(1, 2, 4), torch.zeros(1, 4).long())
    with pytest.raises(ValueError, match="sample_weight"):
        dice(torch.zeros(1, 2, 4), torch.zeros(1, 4).long(), sample_weight=torch.ones(3))
    with pytest.raises(ValueError, match="normalizer"):
        whyloss.DiceLoss(reduction="sum")(torch.zeros(1, 2, 4), torch.zeros(1, 4).long(), normalizer=1.0)
    with pytest.raises(ValueError, match="alpha"):
        whyloss.TverskyLoss(alpha=-0.1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_16_bits_are_summed_in_32(dtype: torch.dtype):
    z = torch.zeros(1, 2, 400, 400, dtype=dtype)
    z[:, 0] = 3
    y = torch.zeros(1, 400, 400).long()
    y[:, :200] = 1
    for case in defaults(APART):
        loss = case.build(2, over="batch")
        value, gradient = value_and_gradient(loss, z, y)
        expected = loss(z.double(), y)
        assert value.dtype == torch.float32
        assert gradient.dtype == dtype
        assert value.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-6)
        assert torch.isfinite(gradient).all()


# --- the world: two ranks give the value, and under data parallelism the gradient, of one process --------------------


def test_two_ranks_are_one_process(tmp_path: Any):
    mp.spawn(on_a_rank, args=(str(tmp_path),), nprocs=2)
    found = [torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2)]
    # Without a process group the world is this process.
    alone = [of_one_rank(model(), loss, slice(None)) for loss in world_losses()]
    for rank in found:
        for share in SHARES:
            torch.testing.assert_close(rank[share], alone)

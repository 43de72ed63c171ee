"""Dice + cross-entropy and Dice + focal: the sum of the two terms, each under the same options."""

import pytest
import torch
from torch import Tensor

import whyloss

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(3, 4, 5, 6, generator=GENERATOR, dtype=torch.float64)
LABEL = torch.randint(0, 4, (3, 5, 6), generator=GENERATOR)
MASKS = (torch.rand(3, 4, 5, 6, generator=GENERATOR) > 0.7).double()
WEIGHT = torch.tensor([1.0, 2.0, 0.5, 4.0], dtype=torch.float64)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_softmax_is_the_sum_of_its_terms(reduction: str, weight: Tensor | None):
    label = LABEL.clone()
    label[0, :2] = 255
    options = {"reduction": reduction, "weight": weight, "ignore_index": 255}
    dice, ce = whyloss.DiceLoss(**options)(LOGITS, label), whyloss.CrossEntropyLoss(**options)(LOGITS, label)
    both = whyloss.DiceCrossEntropyLoss(dice_weight=0.3, pixel_weight=2.0, **options)(LOGITS, label)
    torch.testing.assert_close(both, 0.3 * dice + 2 * ce)
    focal = whyloss.FocalLoss(gamma=1.5, **options)(LOGITS, label)
    torch.testing.assert_close(whyloss.DiceFocalLoss(gamma=1.5, **options)(LOGITS, label), dice + focal)


def test_masks_get_binary_cross_entropy_with_the_mask_s_weight():
    """Both terms follow the link, and one weight per mask means the same for both."""
    both = whyloss.DiceCrossEntropyLoss(link="sigmoid", weight=WEIGHT)(LOGITS, MASKS)
    dice = whyloss.DiceLoss(link="sigmoid", weight=WEIGHT)(LOGITS, MASKS)
    bce = torch.nn.functional.binary_cross_entropy_with_logits(LOGITS, MASKS, reduction="none").mean((0, 2, 3))
    torch.testing.assert_close(both, dice + (bce * WEIGHT).sum() / WEIGHT.sum())


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_weights_of_images_and_pixels_reach_both_terms(link: str):
    target = LABEL if link == "softmax" else MASKS
    loss = whyloss.DiceCrossEntropyLoss(link=link)
    without = loss(LOGITS[1:], target[1:])
    torch.testing.assert_close(loss(LOGITS, target, torch.tensor([0.0, 1.0, 1.0])), without)
    pixels = torch.ones(3, 5, 6)
    pixels[0] = 0
    torch.testing.assert_close(loss(LOGITS, target, pixels), without)


def test_gamma_0_is_dice_plus_cross_entropy_and_gradients_hold():
    torch.testing.assert_close(
        whyloss.DiceFocalLoss(gamma=0.0)(LOGITS, LABEL), whyloss.DiceCrossEntropyLoss()(LOGITS, LABEL)
    )
    z = LOGITS[:1, :, :2, :2].clone().requires_grad_()
    for loss in (whyloss.DiceCrossEntropyLoss(), whyloss.DiceFocalLoss(gamma=0.5)):
        assert torch.autograd.gradcheck(lambda x, loss=loss: loss(x, LABEL[:1, :2, :2]), z)
        assert torch.autograd.gradgradcheck(lambda x, loss=loss: loss(x, LABEL[:1, :2, :2]), z)


def test_false_positives_on_an_empty_mask_are_not_free():
    z = torch.full((1, 1, 4, 4), 2.0, requires_grad=True)
    whyloss.DiceCrossEntropyLoss(link="sigmoid")(z, torch.zeros(1, 1, 4, 4)).backward()
    assert z.grad is not None
    assert (z.grad > 0).all()


def test_what_has_no_meaning_is_refused():
    with pytest.raises(ValueError, match="different shapes"):
        whyloss.DiceCrossEntropyLoss(reduction="none")
    with pytest.raises(ValueError, match="two denominators"):
        whyloss.DiceCrossEntropyLoss()(LOGITS, LABEL, normalizer=3)
    with pytest.raises(ValueError, match="two denominators"):
        whyloss.DiceCrossEntropyLoss().parts(LOGITS, LABEL)

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


# --- unified focal, exponential logarithms ----------------------------------------------------------------------------


def tversky(delta: float, background: bool = True) -> Tensor:
    """[N, C] one minus the Tversky index of LOGITS for LABEL."""
    return whyloss.TverskyLoss(alpha=1 - delta, beta=delta, reduction="none", background=background)(LOGITS, LABEL)


def test_unified_focal_is_its_two_terms():
    p = torch.softmax(LOGITS, 1).gather(1, LABEL.unsqueeze(1)).squeeze(1)
    share = torch.where(LABEL > 0, 0.7, 0.3)
    pixels = (-share * (1 - p) ** 0.8 * p.log()).mean()
    loss = whyloss.UnifiedFocalLoss(balance=0.4, delta=0.7, gamma=0.2)
    torch.testing.assert_close(loss(LOGITS, LABEL), 0.4 * pixels + 0.6 * (tversky(0.7) ** 0.2).mean())
    pixels = (-share * torch.where(LABEL > 0, 1.0, (1 - p) ** 0.2) * p.log()).mean()
    exponent = torch.tensor([1.0, 0.8, 0.8, 0.8])
    regions = (tversky(0.7) ** exponent).mean()
    loss = whyloss.AsymmetricUnifiedFocalLoss(balance=0.4, delta=0.7, gamma=0.2)
    torch.testing.assert_close(loss(LOGITS, LABEL), 0.4 * pixels + 0.6 * regions)
    loss = whyloss.AsymmetricUnifiedFocalLoss(balance=0.0, delta=0.7, gamma=0.2, background=False)
    torch.testing.assert_close(loss(LOGITS, LABEL), (tversky(0.7, background=False) ** 0.8).mean())
    masks = whyloss.AsymmetricUnifiedFocalLoss(balance=0.0, delta=0.7, gamma=0.2, link="sigmoid")
    of_masks = whyloss.TverskyLoss(alpha=0.3, beta=0.7, link="sigmoid", reduction="none")(LOGITS, MASKS)
    torch.testing.assert_close(masks(LOGITS, MASKS), (of_masks**0.8).mean())


def test_every_class_of_unified_focal_has_a_gradient():
    """Elsewhere only the first two have, whatever the number of classes."""
    for cls in (whyloss.UnifiedFocalLoss, whyloss.AsymmetricUnifiedFocalLoss):
        z = LOGITS.clone().requires_grad_()
        cls()(z, LABEL).backward()
        assert z.grad is not None
        assert (z.grad.abs().amax((0, 2, 3)) > 1e-4).all()
        perfect = (1e4 * torch.nn.functional.one_hot(LABEL, 4).movedim(-1, 1)).requires_grad_(False).double()
        perfect.requires_grad_()
        value = cls()(perfect, LABEL)
        value.backward()
        assert value == 0
        assert perfect.grad is not None
        assert torch.isfinite(perfect.grad).all()


def test_exponential_logarithms_are_their_two_terms():
    dice = whyloss.DiceLoss(reduction="none")(LOGITS, LABEL)
    ce = torch.nn.functional.cross_entropy(LOGITS, LABEL, reduction="none")
    expected = 0.6 * ((-torch.log(1 - dice)) ** 0.5).mean() + 0.4 * (ce**0.5).mean()
    loss = whyloss.ExponentialLogarithmicLoss(gamma=0.5, dice_weight=0.6, pixel_weight=0.4)
    torch.testing.assert_close(loss(LOGITS, LABEL), expected)
    one = whyloss.ExponentialLogarithmicLoss(gamma=1.0, dice_weight=1.0, pixel_weight=1.0)
    torch.testing.assert_close(one(LOGITS, LABEL), whyloss.LogDiceLoss()(LOGITS, LABEL) + ce.mean())


@pytest.mark.parametrize("gamma", [0.2, 0.5, 0.9])
def test_the_slopes_of_pairs(gamma: float):
    z = LOGITS[:1, :, :2, :2].clone().requires_grad_()
    for cls in (whyloss.UnifiedFocalLoss, whyloss.AsymmetricUnifiedFocalLoss, whyloss.ExponentialLogarithmicLoss):
        loss = cls(gamma=gamma)
        # A second pass back takes another way than the first, which differs by rounding.
        assert torch.autograd.gradcheck(lambda x: loss(x, LABEL[:1, :2, :2]), z, nondet_tol=1e-12)  # noqa: B023
        assert torch.autograd.gradgradcheck(lambda x: loss(x, LABEL[:1, :2, :2]), z, fast_mode=True)  # noqa: B023


def test_pairs_of_ones_own():
    class TverskyBrierLoss(whyloss.PairLoss, whyloss.TverskyLoss):
        def pixel_loss(self) -> whyloss.RowLoss:
            return whyloss.BrierLoss(**self.shared())

        def shares(self) -> tuple[float, float]:
            return 1.0, 2.0

    loss = TverskyBrierLoss(alpha=0.4, beta=0.6)
    expected = whyloss.TverskyLoss(alpha=0.4, beta=0.6)(LOGITS, LABEL) + 2 * whyloss.BrierLoss()(LOGITS, LABEL)
    torch.testing.assert_close(loss(LOGITS, LABEL), expected)

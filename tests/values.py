"""Values that can be computed by hand or are printed in papers, and losses that must equal one another."""

import math
from decimal import Decimal, localcontext

import pytest
import torch
from instances import rows, soft, value_and_gradient
from torch import Tensor

import whyloss
from whyloss import functional as F

LOG2, LOG3 = math.log(2), math.log(3)
EVEN = torch.zeros(1, 2)  # p = 1/2, 1/2
THIRD = torch.tensor([[LOG2, 0.0]])  # p = 2/3, 1/3
QUARTER = torch.tensor([[LOG2, 0.0, 0.0]])  # p = 1/2, 1/4, 1/4


@pytest.mark.parametrize(
    ("loss", "z", "y", "expected"),
    [
        (whyloss.CrossEntropyLoss(), EVEN, 0, LOG2),
        (whyloss.CrossEntropyLoss(), THIRD, 1, LOG3),
        (whyloss.CrossEntropyLoss(label_smoothing=0.1), THIRD, 1, 0.95 * LOG3 - 0.05 * math.log(2 / 3)),
        (whyloss.LabelSmoothingCrossEntropyLoss(label_smoothing=0.3), QUARTER, 0, 0.8 * LOG2 + 0.2 * 2 * LOG2),
        (whyloss.BrierLoss(), THIRD, 1, 4 / 9 + 4 / 9),
        (whyloss.BrierLoss(), QUARTER, 0, 1 / 4 + 2 / 16),
        (whyloss.SquaredLogitLoss(k=2.0, m=3.0), torch.tensor([[1.0, 2.0]]), 0, (2 * 4 + 4) / 2),
        (whyloss.Poly1CrossEntropyLoss(epsilon=3.0), THIRD, 1, LOG3 + 3 * 2 / 3),
        (whyloss.Poly1FocalLoss(epsilon=2.0, gamma=1.0), THIRD, 1, 2 / 3 * LOG3 + 2 * 4 / 9),
        (whyloss.ZLoss(alpha=0.5), THIRD, 1, LOG3 + 0.5 * LOG3**2),
        (whyloss.ConfidencePenaltyLoss(beta=1.0), QUARTER, 1, 2 * LOG2 - 1.5 * LOG2),
        (whyloss.FocalLoss(gamma=2.0), THIRD, 1, 4 / 9 * LOG3),
        (whyloss.FocalLoss(gamma=0.5), THIRD, 0, (1 / 3) ** 0.5 * math.log(1.5)),
        (whyloss.MeanAbsoluteErrorLoss(), QUARTER, 1, 1.5),
        (whyloss.GeneralizedCrossEntropyLoss(q=0.5), QUARTER, 1, (1 - 0.5) / 0.5),
        (whyloss.ReverseCrossEntropyLoss(a=-6.0), QUARTER, 1, 4.5),
        (whyloss.SymmetricCrossEntropyLoss(alpha=0.5, beta=2.0, a=-3.0), QUARTER, 1, LOG2 + 2 * 3 * 0.75),
        (whyloss.NormalizedCrossEntropyLoss(), QUARTER, 0, 1 / 5),
        (whyloss.NormalizedFocalLoss(gamma=1.0), QUARTER, 0, 0.5 / (0.5 + 2 * 0.75 * 2)),
        (whyloss.AsymmetricGeneralizedCrossEntropyLoss(a=1.0, q=2.0), QUARTER, 0, (4 - 2.25) / 2),
        (whyloss.AsymmetricUnhingedLoss(a=2.0, q=2.0), QUARTER, 0, (2.25 - 1) / 2),
        (whyloss.AsymmetricExponentialLoss(a=2.0), QUARTER, 0, math.exp(-0.25)),
        (whyloss.MulticlassHingeLoss(), torch.tensor([[0.0, 2.0, 1.0]]), 0, 3.0),
        (whyloss.MulticlassHingeLoss(power=2, margin=0.5), torch.tensor([[1.0, 0.75, 0.0]]), 0, 0.0625),
        (whyloss.ClassBalancedLoss(counts=torch.tensor([3.0, 1.0]), reduction="sum"), EVEN, 0, None),
        (whyloss.LogitAdjustedLoss(counts=torch.tensor([3.0, 1.0]), tau=2.0), EVEN, 1, math.log(10)),
        (whyloss.BalancedSoftmaxLoss(counts=torch.tensor([3.0, 1.0])), EVEN, 0, math.log(4 / 3)),
        (whyloss.LDAMLoss(counts=torch.tensor([16.0, 1.0]), scale=2.0), EVEN, 0, math.log1p(math.exp(0.5))),
        (whyloss.LDAMLoss(counts=torch.tensor([16.0, 1.0]), scale=2.0), EVEN, 1, math.log1p(math.exp(1.0))),
        (whyloss.ForwardCorrectionLoss(transition=torch.tensor([[0.9, 0.1], [0.2, 0.8]])), THIRD, 1, None),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, whyloss.Loss) else None,
)
def test_values_by_hand(loss: whyloss.Loss, z: Tensor, y: int, expected: float | None):
    if isinstance(loss, whyloss.ClassBalancedLoss):
        weights = [1 / 2.997001, 1.0]
        expected = LOG2 * 2 * weights[0] / sum(weights)
    if isinstance(loss, whyloss.ForwardCorrectionLoss):
        expected = -math.log(2 / 3 * 0.1 + 1 / 3 * 0.8)
    assert expected is not None
    assert loss(z.double(), torch.tensor([y])).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("loss", "z", "y", "expected"),
    [
        (whyloss.BinaryCrossEntropyLoss(), LOG3, 1, math.log(4 / 3)),
        (whyloss.BinaryCrossEntropyLoss(), LOG3, 0, math.log(4)),
        (whyloss.BrierLoss(link="sigmoid"), LOG3, 0, 2 * 9 / 16),
        (whyloss.SigmoidFocalLoss(), LOG3, 0, 0.75 * 9 / 16 * math.log(4)),
        (whyloss.SigmoidFocalLoss(alpha=0.9, gamma=1.0), LOG3, 1, 0.9 * 1 / 4 * math.log(4 / 3)),
        (whyloss.BinaryHingeLoss(), 0.25, 1, 0.75),
        (whyloss.BinaryHingeLoss(power=2), 0.25, 0, 1.25**2),
        # p = 1/2 is a no with its focus; p = 3/4 is past tau and taken for a yes; a yes is a margin of 1 behind.
        (whyloss.SelfPacedCorrectionLoss(), 0.0, 0, LOG2 / 4),
        (whyloss.SelfPacedCorrectionLoss(), LOG3, 0, math.log(4 / 3) / 16),
        (whyloss.SelfPacedCorrectionLoss(gamma=1.0), -LOG3, 0, math.log(4 / 3) / 4),
        (whyloss.SelfPacedCorrectionLoss(), 1 + LOG3, 1, math.log(4 / 3) / 16),
    ],
)
def test_values_of_the_sigmoid_link_by_hand(loss: whyloss.Loss, z: float, y: int, expected: float):
    assert loss(torch.tensor([z]).double(), torch.tensor([y])).item() == pytest.approx(expected, rel=1e-6)


def test_values_printed_in_papers():
    """Lin et al. 2017, section 3.2: with gamma = 2 a row with p = 0.9 costs 100 times less than with cross-entropy, one
    with p = 0.968 1000 times. Poly-1: the gradient at the start is (1 + epsilon) times as large to first order."""
    for p, ratio in ((0.9, 100), (0.968, 1000)):
        z = torch.tensor([[math.log(p / (1 - p)), 0.0]]).double()
        y = torch.tensor([0])
        assert (F.cross_entropy_loss(z, y) / F.focal_loss(z, y)).item() == pytest.approx(ratio, rel=0.03)


def test_bounds_printed_in_papers():
    """Lin et al. 2017, section 3.2: with gamma = 2 rows with p <= 1/2 are scaled down at most 4 times. Zhang & Sabuncu
    2018: summed over the labels GCE lies between (c - c^(1 - q)) / q and (c - 1) / q. Ghosh et al. 2017: MAE sums to
    2 (c - 1). Ma et al. 2020: a normalised loss sums to 1. Brier 1950: the score runs from 0 to 2. Cui et al. 2019: E_1
    = 1, and E_n tends to N = 1 / (1 - beta)."""
    even, y = torch.zeros(1, 2).double(), torch.tensor([0])
    assert (F.cross_entropy_loss(even, y) / F.focal_loss(even, y)).item() == pytest.approx(4)
    c, labels = 5, torch.arange(5)
    flat, sure = torch.zeros(5, c).double(), torch.tensor([[1e4, 0, 0, 0, 0]]).double().expand(5, c)
    for q in (0.3, 0.7, 1.0):
        gce = whyloss.GeneralizedCrossEntropyLoss(q=q, reduction="sum")
        assert gce(flat, labels).item() == pytest.approx((c - c ** (1 - q)) / q)
        assert gce(sure, labels).item() == pytest.approx((c - 1) / q)
    z = rows(1, c)[0].expand(5, c)
    assert whyloss.MeanAbsoluteErrorLoss(reduction="sum")(z, labels).item() == pytest.approx(2 * (c - 1))
    for cls in (whyloss.NormalizedCrossEntropyLoss, whyloss.NormalizedFocalLoss):
        assert cls(reduction="sum")(z, labels).item() == pytest.approx(1)
    assert whyloss.BrierLoss(reduction="none")(sure, labels).tolist() == [0, 2, 2, 2, 2]
    once, often = whyloss.effective_number_weights(torch.tensor([1, 10**9]), beta=0.9999).double().tolist()
    assert once / often == pytest.approx(10_000, rel=1e-6)


# What the papers chose, where it is the default here.
CHOSEN: list[tuple[whyloss.Loss, dict[str, float]]] = [
    (whyloss.SigmoidFocalLoss(), {"gamma": 2.0, "alpha": 0.25}),  # Lin et al. 2017
    (whyloss.GeneralizedCrossEntropyLoss(), {"q": 0.7}),  # Zhang & Sabuncu 2018
    (whyloss.ArcFaceLoss(), {"scale": 64.0, "margin": 0.5}),  # Deng et al. 2019
    (whyloss.CosFaceLoss(), {"scale": 64.0, "margin": 0.35}),  # Wang et al. 2018
    (whyloss.AdaFaceLoss(), {"margin": 0.4, "spread": 0.333}),  # Kim et al. 2022
    (whyloss.SeesawLoss(counts=torch.zeros(2)), {"p": 0.8, "q": 2.0}),  # Wang et al. 2021
    (whyloss.EqualizationV2Loss(classes=2), {"alpha": 4.0, "gamma": 12.0, "mu": 0.8}),  # Tan et al. 2021
    (whyloss.VarifocalLoss(), {"alpha": 0.75, "gamma": 2.0}),  # Zhang et al. 2021
    (whyloss.JensenShannonConsistencyLoss(), {"factor": 12.0}),  # Hendrycks et al. 2020
    (whyloss.EarlyLearningRegularizationLoss(samples=1, classes=2), {"beta": 0.7, "strength": 3.0}),  # Liu et al. 2020
]


@pytest.mark.parametrize(("loss", "chosen"), CHOSEN, ids=lambda x: type(x).__name__)
def test_defaults_are_the_papers_choices(loss: whyloss.Loss, chosen: dict[str, float]):
    assert {name: getattr(loss, name) for name in chosen} == chosen


@pytest.mark.parametrize(
    ("t", "expected"), [(1.5, 0.0), (1.0, 0.0), (0.0, 0.25), (-0.5, 0.5625), (-1.0, 1.0), (-3.0, 3.0)]
)
def test_sparsemax_of_two_classes_is_the_papers_huber_loss(t: float, expected: float):
    """Martins & Astudillo 2016: 0 from t = 1 on, -t up to -1, in between (t - 1)^2 / 4."""
    z = torch.tensor([[t, 0.0]]).double()
    assert whyloss.SparsemaxLoss()(z, torch.tensor([0])).item() == pytest.approx(expected, abs=1e-12)


def test_optima_and_limits_by_hand():
    eps, c, y = 0.1, 4, torch.tensor([2])
    # Smoothing is content where p_y = 1 - eps + eps / C: a lead of log((C (1 - eps) + eps) / eps).
    z = torch.zeros(1, c).double()
    z[0, 2] = math.log((c * (1 - eps) + eps) / eps)
    assert value_and_gradient(whyloss.CrossEntropyLoss(label_smoothing=eps), z, y)[1].abs().max() < 1e-15
    # A no below the clip is free, above it costs -(p - m)^4 log(1 - (p - m)); a yes is cross-entropy.
    asl = whyloss.AsymmetricLoss(gamma_positive=0.0, gamma_negative=4.0, clip=0.05, reduction="none")
    logits = torch.tensor([0.04, 0.55, 0.55]).double().logit()
    found = asl(logits, torch.tensor([0, 0, 1]))
    assert found.tolist() == pytest.approx([0.0, 0.5**4 * LOG2, -math.log(0.55)], rel=1e-6)
    # A sure answer k steps off costs k.
    sure = 1e4 * torch.eye(4).double()
    emd = whyloss.SquaredEarthMoverLoss(reduction="none")(sure, torch.tensor([0, 0, 0, 0]))
    assert emd.tolist() == [0, 1, 2, 3]


def test_thresholds_decode_by_hand():
    """Answers 0.9, 0.6 and 0.6 to "above class 0, 1, 2?". CORAL counts those above 1/2 (Cao et al. 2020): class 3. To
    CORN they are conditional, 0.9, 0.54 and 0.324 in all (Shi et al. 2021): class 2."""
    z = torch.tensor([[0.9, 0.6, 0.6]]).double().logit()
    coral, corn = whyloss.CoralLoss(), whyloss.CornLoss()
    assert coral.labels(z).tolist() == [3]
    assert corn.labels(z).tolist() == [2]
    assert corn.probabilities(z)[0].tolist() == pytest.approx([0.1, 0.36, 0.216, 0.324])
    # Class 1: yes to the first question, no to the second, which CORN asks last.
    y = torch.tensor([1])
    assert coral(z, y).item() == pytest.approx(-math.log(0.9) - 2 * math.log(0.4))
    assert corn(z, y).item() == pytest.approx((-math.log(0.9) - math.log(0.4)) / 2)


def test_overlaps_by_hand():
    """Three of four pixels found, one besides, of sure masks: I = 3, P = 4, T = 4. Of Tversky, half and half is Dice,
    one and one is Jaccard (Salehi et al. 2017). The Lovász losses are Jaccard where all is sure (Berman et
    al. 2018), and of one pixel the hinge loss."""
    z = 1e4 * torch.tensor([[[1.0, 1, 1, -1, 1, -1, -1, -1]]]).double()
    y = torch.tensor([[[1, 1, 1, 1, 0, 0, 0, 0]]])
    for loss, expected in (
        (whyloss.DiceLoss(link="sigmoid"), 1 - 6 / 8),
        (whyloss.JaccardLoss(link="sigmoid"), 1 - 3 / 5),
        (whyloss.TverskyLoss(link="sigmoid", alpha=0.5, beta=0.5), 1 - 6 / 8),
        (whyloss.TverskyLoss(link="sigmoid", alpha=1.0, beta=1.0), 1 - 3 / 5),
        (whyloss.LovaszSoftmaxLoss(link="sigmoid"), 1 - 3 / 5),
    ):
        assert loss(z, y).item() == pytest.approx(expected)
    for logit, label in ((0.25, 1), (-2.0, 1), (3.0, 1), (2.0, 0)):
        one = torch.full((1, 1, 1), logit).double()
        hinge = whyloss.LovaszHingeLoss(charge="largest")(one, torch.full((1, 1, 1), label))
        assert hinge.item() == pytest.approx(max(0.0, 1 - logit * (2 * label - 1)))
    # Errors 1.5, 0.5 and 0: the missed pixel of two takes J from 0 to 1/2, the false one to 2/3.
    hinge = whyloss.LovaszHingeLoss()(torch.tensor([[[-0.5, 2.0, -0.5]]]).double(), torch.tensor([[[1, 1, 0]]]))
    assert hinge.item() == pytest.approx(1.5 / 2 + 0.5 / 6)


# --- a loss that generalises another equals it -----------------------------------------------------------------------

COUNTS = torch.tensor([50.0, 30.0, 15.0, 5.0])
PAIRS = {
    "focal, gamma = 0": (whyloss.FocalLoss(gamma=0.0), whyloss.CrossEntropyLoss(), 1.0),
    "poly-1, epsilon = 0": (whyloss.Poly1CrossEntropyLoss(epsilon=0.0), whyloss.CrossEntropyLoss(), 1.0),
    "poly-1 focal, epsilon = 0": (whyloss.Poly1FocalLoss(epsilon=0.0), whyloss.FocalLoss(), 1.0),
    "poly-1 focal, gamma = 0": (whyloss.Poly1FocalLoss(gamma=0.0), whyloss.Poly1CrossEntropyLoss(), 1.0),
    "z-loss, alpha = 0": (whyloss.ZLoss(alpha=0.0), whyloss.CrossEntropyLoss(), 1.0),
    "confidence penalty, beta = 0": (whyloss.ConfidencePenaltyLoss(beta=0.0), whyloss.CrossEntropyLoss(), 1.0),
    "GCE, q = 1": (whyloss.GeneralizedCrossEntropyLoss(q=1.0), whyloss.MeanAbsoluteErrorLoss(), 0.5),
    "GCE, q -> 0": (whyloss.GeneralizedCrossEntropyLoss(q=1e-9), whyloss.CrossEntropyLoss(), 1.0),
    "RCE": (whyloss.ReverseCrossEntropyLoss(a=-2.0), whyloss.MeanAbsoluteErrorLoss(), 1.0),
    "SCE, beta = 0": (whyloss.SymmetricCrossEntropyLoss(alpha=0.7, beta=0.0), whyloss.CrossEntropyLoss(), 0.7),
    "SCE, alpha = 0": (whyloss.SymmetricCrossEntropyLoss(alpha=0.0), whyloss.ReverseCrossEntropyLoss(), 1.0),
    "NFL, gamma = 0": (whyloss.NormalizedFocalLoss(gamma=0.0), whyloss.NormalizedCrossEntropyLoss(), 1.0),
    "AUL, q = 1": (whyloss.AsymmetricUnhingedLoss(q=1.0), whyloss.MeanAbsoluteErrorLoss(), 0.5),
    "AGCE, q = 1": (whyloss.AsymmetricGeneralizedCrossEntropyLoss(q=1.0), whyloss.MeanAbsoluteErrorLoss(), 0.5),
    "smoothing, eps = 0": (
        whyloss.LabelSmoothingCrossEntropyLoss(label_smoothing=0.0),
        whyloss.CrossEntropyLoss(),
        1.0,
    ),
    "smoothing, two names": (
        whyloss.LabelSmoothingCrossEntropyLoss(label_smoothing=0.2),
        whyloss.CrossEntropyLoss(label_smoothing=0.2),
        1.0,
    ),
    "logit adjustment, tau = 0": (whyloss.LogitAdjustedLoss(counts=COUNTS, tau=0.0), whyloss.CrossEntropyLoss(), 1.0),
    "logit adjustment, tau = 1": (
        whyloss.LogitAdjustedLoss(counts=COUNTS),
        whyloss.BalancedSoftmaxLoss(counts=COUNTS),
        1.0,
    ),
    "balanced softmax as an adjustment": (
        whyloss.CrossEntropyLoss(adjust=whyloss.LogitAdjustment(counts=COUNTS)),
        whyloss.BalancedSoftmaxLoss(counts=COUNTS),
        1.0,
    ),
    "class balanced, beta = 0": (whyloss.ClassBalancedLoss(counts=COUNTS, beta=0.0), whyloss.CrossEntropyLoss(), 1.0),
    "class balanced, inverse frequency": (
        whyloss.ClassBalancedLoss(counts=COUNTS, beta=None),
        whyloss.CrossEntropyLoss(weight=1 / COUNTS),
        1.0,
    ),
    "forward, T = I": (whyloss.ForwardCorrectionLoss(transition=torch.eye(4)), whyloss.CrossEntropyLoss(), 1.0),
    "backward, T = I": (whyloss.BackwardCorrectionLoss(transition=torch.eye(4)), whyloss.CrossEntropyLoss(), 1.0),
}


@pytest.mark.parametrize(("general", "special", "factor"), PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("target", ["index", "soft"])
def test_a_generalisation_equals_what_it_generalises(general, special, factor: float, target: str):  # type: ignore[no-untyped-def]
    z, y = rows(12)
    found = value_and_gradient(general, z, y if target == "index" else soft(12))
    expected = value_and_gradient(special, z, y if target == "index" else soft(12))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, factor * theirs, rtol=1e-6, atol=1e-8)


def test_forward_and_backward_correction_are_unbiased():
    """Over noisy labels, backward correction averages to the clean loss; forward correction reads p T."""
    T = torch.tensor([[0.8, 0.15, 0.05], [0.1, 0.7, 0.2], [0.0, 0.3, 0.7]], dtype=torch.float64)
    z, y = rows(6, 3)
    clean = -torch.log_softmax(z, 1)
    backward = whyloss.BackwardCorrectionLoss(transition=T, reduction="none")
    forward = whyloss.ForwardCorrectionLoss(transition=T, reduction="none")
    noisy = torch.stack([backward(z, torch.full((6,), j)) for j in range(3)], 1)
    torch.testing.assert_close((noisy * T[y]).sum(1), clean.gather(1, y[:, None]).squeeze(1))
    torch.testing.assert_close(forward(z, y), -torch.log(torch.softmax(z, 1) @ T).gather(1, y[:, None]).squeeze(1))


def test_the_sum_of_nce_and_rce_is_the_paper_s_active_passive_loss():
    z, y = rows()
    p = torch.softmax(z, 1)
    nce = p.log().gather(1, y[:, None]).squeeze(1) / p.log().sum(1)
    rce = 4 * (1 - p.gather(1, y[:, None]).squeeze(1))
    pair = 10.0 * whyloss.NormalizedCrossEntropyLoss() + 0.1 * whyloss.ReverseCrossEntropyLoss()
    torch.testing.assert_close(pair(z, y), (10 * nce + 0.1 * rce).mean())


def test_shift_margin_and_scale_by_hand():
    z, y = rows(5, 3)
    shift, margin = torch.tensor([0.1, -2.0, 1.0]).double(), torch.tensor([1.0, 0.5, 2.0]).double()
    adjust = whyloss.Adjustment(shift=shift, margin=margin, scale=3.0)
    hit = torch.nn.functional.one_hot(y, 3)
    adjusted = 3 * (z + shift - margin * hit)
    for loss in (whyloss.CrossEntropyLoss, whyloss.BrierLoss, whyloss.MulticlassHingeLoss, whyloss.ZLoss):
        ours = value_and_gradient(loss(adjust=adjust), z, y)
        value, gradient = value_and_gradient(loss(), adjusted, y)
        torch.testing.assert_close(ours, (value, 3 * gradient))
    binary = whyloss.BinaryCrossEntropyLoss(adjust=whyloss.Adjustment(shift=shift[:2], margin=margin[:2], scale=3.0))
    pairs = torch.stack([torch.zeros(5).double(), z[:, 0]], 1)
    plain = whyloss.CrossEntropyLoss(adjust=whyloss.Adjustment(shift=shift[:2], margin=margin[:2], scale=3.0))
    torch.testing.assert_close(binary(z[:, 0], y % 2), plain(pairs, y % 2))


def test_class_weights_from_counts():
    balanced = whyloss.balanced_weights(torch.tensor([30, 10]))
    assert balanced.tolist() == pytest.approx([2 / 3, 2.0])
    weights = whyloss.effective_number_weights(torch.tensor([10, 1000, 0]), beta=0.99)
    effective = [(1 - 0.99**n) / 0.01 for n in (10, 1000)]
    assert (weights[0] / weights[1]).item() == pytest.approx(effective[1] / effective[0])
    assert weights[2] == 0
    assert whyloss.effective_number_weights(torch.tensor([5, 50]), beta=0.0).tolist() == [1, 1]


@pytest.mark.parametrize("beta", [0.9, 0.999, 0.9999, 0.999999, 1 - 1e-9, 1 - 1e-12])
def test_effective_numbers_near_the_end_of_beta(beta: float):
    """Against the formula in 60 digits: near 1 a beta of float32 is another one, or 1 itself."""
    counts = [3, 100, 10**6]
    with localcontext() as context:
        context.prec = 60
        exact = [float((1 - Decimal(beta)) / (1 - Decimal(beta) ** n)) for n in counts]
    expected = [3 * weight / sum(exact) for weight in exact]
    found = whyloss.effective_number_weights(torch.tensor(counts), beta=beta)
    assert found.tolist() == pytest.approx(expected, rel=1e-6)


def test_distribution_balanced_loss_has_the_weights_and_shifts_of_its_paper():
    # The sample's one label has r = 1, the other (1/5) / (1/50) = 10; shifts are 0.05 log(100 / n - 1), 0 and log 19.
    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    loss = whyloss.DistributionBalancedLoss(counts=torch.tensor([50.0, 5.0]), samples=100)
    yes = (0.1 + sigmoid(10 * (1 - 0.2))) * LOG2
    no = (0.1 + sigmoid(10 * (10 - 0.2))) * math.log1p(19 ** (-2 * 0.05)) / 2
    assert loss(torch.zeros(1, 2).double(), torch.tensor([[1, 0]])).item() == pytest.approx((yes + no) / 2, rel=1e-6)


def test_region_mutual_information_of_single_pixels_is_what_is_left_of_a_variance():
    # Half the pixels are of each class: the labels' variance is 1/4, all of which a perfect prediction explains but
    # for epsilon, which is added to both variances.
    loss = whyloss.RegionMutualInformationLoss(balance=0.0, side=1, stride=1)
    y = torch.tensor([[0, 0, 1, 1]])
    perfect = 80 * torch.nn.functional.one_hot(y, 2).movedim(-1, 1).double()
    left = 1 / 4 - (1 / 4) ** 2 / (1 / 4 + 1e-6) + 1e-6
    assert loss(perfect, y).item() == pytest.approx(math.log(left) / 2, rel=1e-6)
    assert loss(torch.zeros(1, 2, 4).double(), y).item() == pytest.approx(math.log(1 / 4 + 1e-6) / 2, rel=1e-6)

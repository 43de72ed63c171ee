"""Scores, boosting's losses and polynomials: values by hand, and what their papers say of them."""

import math

import pytest
import torch
from instances import rows, soft, value_and_gradient
from torch import Tensor

import whyloss
from whyloss.stats.exact import power_divergence

LOG2, LOG3 = math.log(2), math.log(3)
THIRD = torch.tensor([[LOG2, 0.0]])  # p = 2/3, 1/3
QUARTER = torch.tensor([[LOG2, 0.0, 0.0]])  # p = 1/2, 1/4, 1/4


@pytest.mark.parametrize(
    ("loss", "z", "y", "expected"),
    [
        (whyloss.SphericalScoreLoss(), QUARTER, 0, 1 - 0.5 / math.sqrt(3 / 8)),
        (whyloss.SphericalScoreLoss(), QUARTER, 1, 1 - 0.25 / math.sqrt(3 / 8)),
        (whyloss.PseudosphericalScoreLoss(alpha=3.0), QUARTER, 0, 1 - 0.25 / (1 / 8 + 2 / 64) ** (2 / 3)),
        (whyloss.PowerScoreLoss(alpha=3.0), QUARTER, 1, 1 - 3 / 16 + 2 * (1 / 8 + 2 / 64)),
        (whyloss.ExponentialLoss(link="softmax"), QUARTER, 1, 2 + 1),
        (whyloss.MulticlassExponentialLoss(), torch.tensor([[2.0, 1.0, -4.0]]), 0, math.exp(-(2 + 1.5) / 3)),
        (whyloss.PerceptronLoss(), torch.tensor([[1.0, 3.5, 2.0]]), 2, 1.5),
        (whyloss.PerceptronLoss(), torch.tensor([[1.0, 3.5, 2.0]]), 1, 0.0),
        (whyloss.PolyNCrossEntropyLoss(epsilons=(1.0, 2.0, 3.0)), THIRD, 1, LOG3 + 2 / 3 + 2 * 4 / 9 + 3 * 8 / 27),
        (whyloss.MaxSupLoss(alpha=0.5), torch.tensor([[0.0, LOG2]]), 0, LOG3 + 0.5 * LOG2 / 2),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, whyloss.Loss) else None,
)
def test_values_by_hand(loss: whyloss.Loss, z: Tensor, y: int, expected: float):
    assert loss(z.double(), torch.tensor([y])).item() == pytest.approx(expected, rel=1e-6)


def test_labels_of_boosting_are_plus_and_minus_one():
    z, y = torch.tensor([0.5, 0.5, -2.0, -2.0]).double(), torch.tensor([1, 0, 1, 0])
    f = z * (2 * y - 1)
    torch.testing.assert_close(whyloss.ExponentialLoss(reduction="none")(z, y), torch.exp(-f))
    torch.testing.assert_close(whyloss.BinaryPerceptronLoss(reduction="none")(z, y), (-f).clamp_min(0))


PAIRS = {
    "power, alpha = 2": (whyloss.PowerScoreLoss(alpha=2.0), whyloss.BrierLoss(), 1.0),
    "pseudospherical, alpha = 2": (whyloss.PseudosphericalScoreLoss(alpha=2.0), whyloss.SphericalScoreLoss(), 1.0),
    "power, alpha -> 1": (whyloss.PowerScoreLoss(alpha=1 + 1e-8), whyloss.CrossEntropyLoss(), 1e-8),
    "pseudospherical, alpha -> 1": (
        whyloss.PseudosphericalScoreLoss(alpha=1 + 1e-8),
        whyloss.CrossEntropyLoss(),
        1e-8,
    ),
    "poly-1": (whyloss.PolyNCrossEntropyLoss(epsilons=(0.7,)), whyloss.Poly1CrossEntropyLoss(epsilon=0.7), 1.0),
    "no polynomial": (whyloss.PolyNCrossEntropyLoss(epsilons=()), whyloss.CrossEntropyLoss(), 1.0),
    "MaxSup, alpha = 0": (whyloss.MaxSupLoss(alpha=0.0), whyloss.CrossEntropyLoss(), 1.0),
}


@pytest.mark.parametrize(("general", "special", "factor"), PAIRS.values(), ids=PAIRS)
def test_a_generalisation_equals_what_it_generalises(general: whyloss.Loss, special: whyloss.Loss, factor: float):
    z, y = rows(12)
    for found, expected in zip(value_and_gradient(general, z, y), value_and_gradient(special, z, y), strict=True):
        torch.testing.assert_close(found / factor, expected, rtol=1e-6, atol=2e-7)


def test_soft_targets_of_the_power_score_are_those_of_brier_but_for_a_constant():
    z, q = rows(6)[0], soft(6)
    power = value_and_gradient(whyloss.PowerScoreLoss(alpha=2.0), z, q)
    brier = value_and_gradient(whyloss.BrierLoss(), z, q)
    torch.testing.assert_close(power[1], brier[1])
    torch.testing.assert_close(power[0] + ((q * q).sum(1) - 1).mean(), brier[0])


def test_the_power_divergence_keeps_its_digits_near_certainty():
    """For alpha = 3 it is (1 - p)^2 (1 + 2 p)."""
    log_p = -torch.logspace(-12, 1, 200).double()
    exact = torch.expm1(log_p) ** 2 * (1 + 2 * log_p.exp())
    torch.testing.assert_close(power_divergence(log_p, 3.0), exact, rtol=1e-13, atol=0)
    torch.testing.assert_close(power_divergence(log_p.float(), 3.0).double(), exact, rtol=2e-6, atol=0)
    slope = torch.autograd.functional.jacobian(lambda x: power_divergence(x, 3.0).sum(), log_p)
    p = log_p.exp()
    torch.testing.assert_close(slope, 6 * p * p * torch.expm1(log_p), rtol=1e-12, atol=0)


def test_probabilities_at_the_optimum_of_boosting():
    """AdaBoost: f is half the log-odds. SAMME: the probabilities are softmax(z / (C - 1))."""
    p = torch.tensor([0.1, 0.4, 0.8]).double()
    half = torch.logit(p) / 2
    assert value_and_gradient(whyloss.ExponentialLoss(), half, p)[1].abs().max() < 1e-12
    q = soft(6)
    assert value_and_gradient(whyloss.MulticlassExponentialLoss(), 3 * q.log(), q)[1].abs().max() < 1e-12
    scaled = whyloss.ExponentialLoss(adjust=whyloss.Adjustment(scale=0.5))
    assert value_and_gradient(scaled, torch.logit(p), p)[1].abs().max() < 1e-12


def test_the_exponential_goes_on_in_a_straight_line():
    z = torch.tensor([-59.0, -61.0, -160.0])
    value, slope = value_and_gradient(whyloss.ExponentialLoss(reduction="none"), z, torch.ones(3).long())
    end = math.exp(60)
    assert value.tolist() == pytest.approx([math.exp(59), 2 * end, 101 * end], rel=1e-6)
    assert slope.tolist() == pytest.approx([-math.exp(59), -end, -end], rel=1e-6)


def test_a_perceptron_that_starts_from_zero_moves():
    value, slope = value_and_gradient(whyloss.PerceptronLoss(), torch.zeros(1, 2), torch.tensor([0]))
    assert value == 0
    assert slope.tolist() == [[-1, 1]]


def test_dropping_the_first_terms_of_the_expansion():
    """Leng et al. 2022, section 4.1: with epsilon_k = -1 / k the first terms are gone."""
    z = torch.tensor([[LOG2, 0.0, 0.0]]).double()
    rest = sum(0.5**k / k for k in range(3, 60))
    loss = whyloss.PolyNCrossEntropyLoss(epsilons=(-1.0, -0.5))
    assert loss(z, torch.tensor([0])).item() == pytest.approx(rest)
    with pytest.raises(ValueError, match="epsilon_2 >= -1/2"):
        whyloss.PolyNCrossEntropyLoss(epsilons=(1.0, -0.6))


def test_max_suppression_is_what_its_formula_says():
    z, y = rows(12)
    plain = torch.nn.functional.cross_entropy(z, y, reduction="none") + 0.3 * (z.amax(1) - z.mean(1))
    torch.testing.assert_close(whyloss.MaxSupLoss(alpha=0.3, reduction="none")(z, y), plain)
    weight = torch.tensor([1.0, 2, 3, 4]).double()
    weighted = (plain * weight[y]).sum() / weight[y].sum()
    torch.testing.assert_close(whyloss.MaxSupLoss(alpha=0.3, weight=weight)(z, y), weighted)

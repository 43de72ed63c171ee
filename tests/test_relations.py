"""Losses of ordered classes and of costs: values by hand, and what they must equal."""

import math

import pytest
import torch
from instances import rows, soft, value_and_gradient
from torch import Tensor

import whyloss

CLASSES = 5


def labels(z: Tensor, loss: whyloss.Loss) -> Tensor:
    """[N, C] the loss of each class as label."""
    return torch.stack([loss(z, torch.full(z.shape[:1], j)) for j in range(z.shape[1])], 1)


# --- distances between distributions ---------------------------------------------------------------------------------


def test_squared_earth_mover_by_hand():
    z = torch.log(torch.tensor([[0.5, 0.25, 0.125, 0.125]]))
    loss = whyloss.SquaredEarthMoverLoss()
    assert loss(z, torch.tensor([0])).item() == pytest.approx(0.5**2 + 0.25**2 + 0.125**2)
    assert loss(z, torch.tensor([2])).item() == pytest.approx(0.5**2 + 0.75**2 + 0.125**2)
    q = torch.tensor([[0.0, 0.5, 0.5, 0.0]])
    assert loss(z, q).item() == pytest.approx(0.5**2 + 0.25**2 + 0.125**2)
    # All mass at one end, the label at the other: every cumulative sum is wrong by 1.
    assert loss(torch.tensor([[50.0, 0, 0, 0]]), torch.tensor([3])).item() == pytest.approx(3)


def test_squared_earth_mover_is_proper():
    q = soft(12, CLASSES)
    loss = whyloss.SquaredEarthMoverLoss(reduction="none")
    best = (q * labels(q.log(), loss)).sum(1)
    for seed in range(20):
        other = rows(12, CLASSES, seed=seed)[0]
        assert ((q * labels(other, loss)).sum(1) >= best - 1e-12).all()


def test_class_distance_weighting_by_hand():
    p = torch.tensor([[0.5, 0.25, 0.125, 0.125]])
    expected = -sum(k**3 * math.log(1 - float(p[0, k])) for k in range(1, 4))
    loss = whyloss.ClassDistanceWeightedCrossEntropyLoss(alpha=3.0)
    assert loss(p.log(), torch.tensor([0])).item() == pytest.approx(expected)
    # The worst mistake, by 30: 2^5 (30 - log 2), but for terms of exp(-30)
    value, gradient = value_and_gradient(
        whyloss.ClassDistanceWeightedCrossEntropyLoss(), torch.tensor([[0.0, 0.0, 30.0]]), torch.tensor([0])
    )
    assert value.item() == pytest.approx(32 * (30 - math.log(2)), rel=1e-6)
    assert gradient[0].tolist() == pytest.approx([-16, -16, 32], rel=1e-5)


def test_slace_accumulates_from_near_to_far():
    z, _ = rows(6, CLASSES)
    p = z.softmax(1)
    place = torch.arange(CLASSES)
    for y in range(CLASSES):
        steps = (place - y).abs()
        soft_label = torch.softmax(-0.7 * steps.double(), 0)
        inside = torch.stack([(p * (steps <= steps[k])).sum(1) for k in range(CLASSES)], 1)
        found = whyloss.SLACELoss(alpha=0.7, reduction="none")(z, torch.full((6,), y))
        torch.testing.assert_close(found, -(soft_label * inside.log()).sum(1))
    sharp = whyloss.SLACELoss(alpha=100.0)
    torch.testing.assert_close(sharp(z, place[:1].expand(6)), whyloss.CrossEntropyLoss()(z, place[:1].expand(6)))


def test_slace_falls_when_mass_moves_nearer():
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(50, CLASSES, generator=generator).double() + 0.05
    p = p / p.sum(1, keepdim=True)
    loss = whyloss.SLACELoss(reduction="none")
    for y, near, far in ((0, 1, 3), (2, 1, 4), (4, 3, 0), (1, 2, 4)):
        moved = p.clone()
        step = 0.5 * p[:, far]
        moved[:, near] += step
        moved[:, far] -= step
        target = torch.full((50,), y)
        assert (loss(moved.log(), target) < loss(p.log(), target)).all()


# --- soft labels -----------------------------------------------------------------------------------------------------

TARGETS = {
    "distance": whyloss.distance_targets(CLASSES),
    "squared distance": whyloss.distance_targets(CLASSES, 0.5, 2.0),
    "poisson": whyloss.poisson_targets(CLASSES),
    "binomial": whyloss.binomial_targets(CLASSES),
    "beta": whyloss.beta_targets(CLASSES),
    "blunt beta": whyloss.beta_targets(CLASSES, 2.0),
    "triangular": whyloss.triangular_targets(CLASSES, 0.2),
}
SOFT = {
    "distance": whyloss.SORDLoss(classes=CLASSES),
    "squared distance": whyloss.SORDLoss(classes=CLASSES, alpha=0.5, distance_power=2.0),
    "poisson": whyloss.PoissonCrossEntropyLoss(classes=CLASSES),
    "binomial": whyloss.BinomialCrossEntropyLoss(classes=CLASSES),
    "beta": whyloss.BetaCrossEntropyLoss(classes=CLASSES),
    "triangular": whyloss.TriangularCrossEntropyLoss(classes=CLASSES, alpha=0.2),
}


@pytest.mark.parametrize("name", TARGETS)
def test_soft_labels_are_distributions_with_one_peak_at_the_label(name: str):
    A = TARGETS[name]
    torch.testing.assert_close(A.sum(1), torch.ones(CLASSES).double())
    assert (A >= 0).all()
    assert torch.equal(A.argmax(1), torch.arange(CLASSES))
    for y in range(CLASSES):
        assert (A[y, : y + 1].diff() >= 0).all()
        assert (A[y, y:].diff() <= 0).all()


def test_soft_labels_by_hand():
    binomial = [math.comb(4, k) * 0.3**k * 0.7 ** (4 - k) for k in range(5)]
    assert TARGETS["binomial"][1].tolist() == pytest.approx(binomial)
    poisson = [2.5**k / math.factorial(k) for k in range(5)]
    assert TARGETS["poisson"][2].tolist() == pytest.approx([x / sum(poisson) for x in poisson])
    assert TARGETS["triangular"][0].tolist() == pytest.approx([0.8, 0.2, 0, 0, 0])
    # A beta distribution with whole a and b is a binomial tail: I_x(a, b) = P(Binomial(a + b - 1, x) >= a).
    a, b = 6, 14
    below = [sum(math.comb(19, k) * x**k * (1 - x) ** (19 - k) for k in range(a, 20)) for x in (0.2, 0.4, 0.6, 0.8)]
    masses = [u - v for u, v in zip([*below, 1.0], [0.0, *below], strict=True)]
    assert (a + b, a / (a + b)) == (4 * CLASSES, pytest.approx(0.3))
    assert TARGETS["beta"][1].tolist() == pytest.approx(masses, rel=1e-9)


@pytest.mark.parametrize("name", SOFT)
def test_losses_of_soft_labels_are_cross_entropy_with_these_targets(name: str):
    z, y = rows(10, CLASSES)
    found = value_and_gradient(SOFT[name], z, y)
    expected = value_and_gradient(whyloss.CrossEntropyLoss(), z, TARGETS[name][y])
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_sharp_soft_labels_are_cross_entropy():
    z, y = rows(10, CLASSES)
    expected = whyloss.CrossEntropyLoss()(z, y)
    for loss in (
        whyloss.SORDLoss(classes=CLASSES, alpha=60.0),
        whyloss.ExponentialCrossEntropyLoss(classes=CLASSES, tau=1 / 60),
        whyloss.TriangularCrossEntropyLoss(classes=CLASSES, alpha=1e-12),
        whyloss.PoissonCrossEntropyLoss(classes=CLASSES, eta=1e-12),
    ):
        torch.testing.assert_close(loss(z, y), expected)


def test_a_masked_class_leaves_its_share_of_a_soft_label_to_the_others():
    z, _ = rows(6, 3)
    wide = torch.cat([z, torch.full((6, 1), -torch.inf).double()], 1)
    y = torch.arange(6) % 3
    found = value_and_gradient(whyloss.SORDLoss(classes=4), wide, y)
    value, gradient = value_and_gradient(whyloss.SORDLoss(classes=3), z, y)
    torch.testing.assert_close(found[0], value)
    torch.testing.assert_close(found[1], torch.cat([gradient, torch.zeros(6, 1).double()], 1))


# --- agreement -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("exponent", "name"), [(2.0, "quadratic"), (1.0, "linear")])
def test_kappa_of_hard_predictions_is_scikit_learns(exponent: float, name: str):
    metrics = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(0)
    y, predicted = torch.randint(0, CLASSES, (2, 60), generator=generator)
    z = 200 * torch.nn.functional.one_hot(predicted, CLASSES).double()
    kappa = metrics.cohen_kappa_score(y.numpy(), predicted.numpy(), weights=name)
    plain = whyloss.WeightedKappaLoss(log=False, exponent=exponent)
    assert plain(z, y).item() == pytest.approx(1 - kappa)
    assert whyloss.WeightedKappaLoss(exponent=exponent)(z, y).item() == pytest.approx(math.log(1 - kappa))
    weight = torch.randint(1, 4, (60,), generator=generator).double()
    kappa = metrics.cohen_kappa_score(y.numpy(), predicted.numpy(), weights=name, sample_weight=weight.numpy())
    assert plain(z, y, sample_weight=weight).item() == pytest.approx(1 - kappa)


def test_kappa_knows_how_nearly_perfect_it_is():
    y = torch.arange(10) % CLASSES
    z = 120.0 * torch.nn.functional.one_hot(y, CLASSES)
    value, gradient = value_and_gradient(whyloss.WeightedKappaLoss(), z, y)
    assert value.item() == pytest.approx(-120, abs=5)
    assert gradient.abs().sum() > 0.5


# --- costs -----------------------------------------------------------------------------------------------------------


def test_expected_cost_with_equal_costs_is_the_chance_to_be_wrong():
    z, y = rows(10, CLASSES)
    equal = whyloss.ExpectedCostLoss(cost=1 - torch.eye(CLASSES))
    wrong = 1 - z.softmax(1).gather(1, y[:, None]).squeeze(1)
    torch.testing.assert_close(equal(z, y), wrong.mean())
    torch.testing.assert_close(equal(z, y), whyloss.MeanAbsoluteErrorLoss()(z, y) / 2)
    cost = whyloss.distance_cost(CLASSES, 2).double()
    found = whyloss.ExpectedCostLoss(cost=cost)(z, y)
    torch.testing.assert_close(found, (cost[y] * z.softmax(1)).sum(1).mean())


def test_expected_cost_of_a_yes_or_no():
    loss = whyloss.ExpectedCostLoss(cost=torch.tensor([[0.0, 1.0], [9.0, 0.0]]), link="sigmoid")
    assert loss(torch.zeros(2), torch.tensor([0, 1])).item() == pytest.approx((0.5 + 4.5) / 2)


def test_distance_costs():
    assert whyloss.distance_cost(3).tolist() == [[0, 1, 2], [1, 0, 1], [2, 1, 0]]
    assert whyloss.distance_cost(3, 0).tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]


@pytest.mark.parametrize("epsilon", [0.02, 0.1, 1.0])
def test_transport_to_one_label_is_the_expected_cost(epsilon: float):
    z, y = rows(10, CLASSES)
    cost = whyloss.distance_cost(CLASSES, 1.5)
    found = value_and_gradient(whyloss.OptimalTransportLoss(cost=cost, epsilon=epsilon), z, y)
    expected = value_and_gradient(whyloss.ExpectedCostLoss(cost=cost), z, y)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)


def test_transport_between_distributions_nears_the_cheapest_plan():
    """On a line it is the distance between cumulative distributions; the expected cost is more, and wrongly so."""
    p, q = soft(6, 4, seed=1), soft(6, 4, seed=2)
    cheapest = (p.cumsum(1) - q.cumsum(1)).abs().sum(1)
    loss = whyloss.OptimalTransportLoss(cost=whyloss.distance_cost(4), epsilon=0.02, iterations=2000, reduction="none")
    torch.testing.assert_close(loss(p.log(), q), cheapest, rtol=0.02, atol=0.01)
    assert (loss(p.log(), q) >= cheapest - 1e-6).all()
    assert loss(q.log(), q).max() < 0.05
    assert (whyloss.ExpectedCostLoss(cost=whyloss.distance_cost(4), reduction="none")(q.log(), q) > 0.05).any()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: whyloss.ExpectedCostLoss(cost=torch.ones(2, 3)), "square cost matrix"),
        (lambda: whyloss.ExpectedCostLoss(cost=torch.tensor([[0.0, math.inf], [1, 0]])), "finite cost"),
        (lambda: whyloss.OptimalTransportLoss(cost=-torch.ones(2, 2)), "cost >= 0"),
        (lambda: whyloss.OptimalTransportLoss(cost=torch.zeros(2, 2)), "not all 0"),
        (lambda: whyloss.OptimalTransportLoss(cost=torch.ones(2, 2), epsilon=0.001), "epsilon >= 0.02"),
        (lambda: whyloss.SORDLoss(classes=1), "classes >= 2"),
        (lambda: whyloss.SORDLoss(classes=3, eta=0.0), "0 < eta <= 1"),
        (lambda: whyloss.TriangularCrossEntropyLoss(classes=3, alpha=0.4), "alpha < 1/3"),
        (lambda: whyloss.SoftHierarchyLoss(distance=torch.zeros(2, 2)), "not all 0"),
        (lambda: whyloss.WeightedKappaLoss(exponent=0.0), "exponent > 0"),
        (lambda: whyloss.distance_targets(3, alpha=-1.0), "alpha > 0"),
        (lambda: whyloss.distance_cost(1), "classes >= 2"),
        (lambda: whyloss.SORDLoss(classes=4)(torch.zeros(1, 3), torch.tensor([0])), "made for 4 classes, but"),
        (lambda: whyloss.ExpectedCostLoss(cost=torch.ones(4, 4))(torch.zeros(1, 3), torch.tensor([0])), "4 classes"),
        (
            lambda: whyloss.OptimalTransportLoss(cost=torch.ones(4, 4))(torch.zeros(1, 3), torch.tensor([0])),
            "3 classes",
        ),
    ],
)
def test_what_is_refused(make, words: str):  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=words):
        make()


def test_a_formula_of_ones_own_is_not_taken_for_the_soft_labels_of_its_base():
    class Squared(whyloss.SORDLoss):
        def formula(self, affine_log_p: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            return affine_log_p * affine_log_p

    z, y = torch.randn(6, 4, dtype=torch.float64), torch.arange(6) % 4
    squared, plain = Squared(classes=4, reduction="none"), whyloss.SORDLoss(classes=4, reduction="none")
    torch.testing.assert_close(squared(z, y), plain(z, y) ** 2)

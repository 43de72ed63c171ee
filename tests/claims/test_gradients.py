"""The gradients, starts and descents of the claims against closed forms."""

import math

import pytest
import torch

from whyloss.claims.claim import Scale
from whyloss.claims.lab.descent import CAP, ERRORS, gradient_size, logit, octaves, slope, standardised, wrong_start
from whyloss.claims.lab.tasks import Rows, Task, mixture
from whyloss.claims.lab.training import Plan, train
from whyloss.claims.sentences.slopes import (
    Path,
    at_error,
    descend,
    ends,
    explosion,
    fading,
    long_plan,
    octave_rates,
    vanishing,
    with_far_points,
)

P = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
CLOSED = {
    "ce": 1 - P,
    "probabilities": 4 * P * (1 - P) ** 2,
    "mae": 2 * P * (1 - P),
    "focal": (1 - P) ** 2 * (1 - P - 2 * P * P.log()),
    "linear": (logit(P) - 1).abs(),
    "codes": 2 * (logit(P) - 1).abs(),
}


@pytest.mark.parametrize("name", CLOSED)
def test_the_gradient_of_a_row_is_the_closed_form(name: str):
    torch.testing.assert_close(slope(name, logit(P)), CLOSED[name], rtol=1e-9, atol=1e-12)


def test_the_bound_of_squared_error_on_two_probabilities():
    assert float(slope("probabilities", torch.linspace(-20, 20, 40001)).max()) == pytest.approx(16 / 27, abs=1e-7)


@pytest.mark.parametrize(("name", "order"), [("ce", 1), ("probabilities", 2), ("mae", 1), ("focal", 3), ("linear", 1)])
def test_the_order_in_which_gradients_vanish(name: str, order: int):
    errors = torch.tensor([2.0**-12, 2.0**-13], dtype=torch.float64)
    far, near = at_error(name, errors)
    assert math.log2(far / near) == pytest.approx(order, abs=0.01)


def test_octaves_are_capped():
    found = octaves(torch.tensor([4.0, 0.0, torch.inf, torch.nan, 1e-30]))
    assert found.tolist() == [2, -CAP, CAP, CAP, -CAP]
    assert fading("ce") == pytest.approx(19)


def test_exact_parts_say_what_the_formulas_say():
    grown = {m.where["meaning"]: m.values[0] for m in explosion("exact", Scale()).measured}
    assert grown["probabilities"] == pytest.approx(0, abs=1e-6)
    assert grown["linear"] == grown["codes"] == pytest.approx(math.log2(101 / 11))
    assert len(vanishing("exact", Scale()).measured) == 6
    assert {m.where["end"]: round(m.values[0]) for m in ends("exact", Scale()).measured} == {"zero": 0, "one": 20}


@pytest.mark.parametrize("name", ["probabilities", "linear", "codes"])
def test_a_factor_is_a_learning_rate(name: str):
    task = mixture([0], (50, 1, 1))
    x, y = task.train.x[0].double(), task.train.y[0]
    whole, _ = descend(name, 1, 0.02, x, y, 20)
    half, _ = descend(name, 0.5, 0.04, x, y, 20)
    other, _ = descend(name, 0.55, 0.04, x, y, 20)
    assert torch.equal(whole, half)
    assert (whole - other).abs().max() > 1e-3


def test_least_squares_is_stable_up_to_two_over_the_curvature():
    rows = standardised(mixture([3], (80, 1, 1), features=3)).train
    h = torch.cat([rows.x[0], torch.ones(80, 1)], 1)
    limit = 2 / float(torch.linalg.eigvalsh(2 / 3 * h.T @ h / 80).max())
    plan = Plan((0.95 * limit, 1.05 * limit), 400, (0, 400), 0, batch=None, optimiser="sgd")
    sizes = []
    for _, net in train(lambda z, y: ERRORS["linear"](z, y).mean(-1).sum(), rows, 3, plan, [3]):
        sizes.append(gradient_size("linear", net, rows))
    below, above = (sizes[1] / sizes[0]).flatten().tolist()
    assert below < 1e-3
    assert not above < 1e3


def test_the_wrong_start_is_wrong():
    rows = mixture([0, 1], (60, 1, 1), features=10, clusters=3, distance=1.5).train
    plan = Plan((0.1, 1.0), 0, (0,), 0, hidden=32, batch=None, optimiser="sgd")
    nets = list(train(lambda z, y: ERRORS["ce"](z, y).sum(), rows, 3, plan, [0, 1], wrong_start(rows, 3, 10)))
    z = nets[0][1].logits(rows.x)
    assert z.shape == (2, 2, 60, 3)
    own = z.gather(-1, rows.y.expand(2, 2, -1).unsqueeze(-1)).squeeze(-1)
    assert (own < z.max(-1).values).float().mean() > 0.99
    assert 7 < float((z.sum(-1) - 3 * own).mean() / 2) < 11


def test_far_points_and_scaling():
    rows = Rows(torch.ones(2, 40, 3), torch.zeros(2, 40, dtype=torch.long))
    far = with_far_points(rows)
    assert far.x[:, :2].eq(30).all()
    assert far.x[:, 2:].eq(1).all()
    assert rows.x.eq(1).all()
    train_rows = standardised(mixture([0], (200, 5, 5))).train
    assert train_rows.x.mean(1).abs().max() < 1e-5
    assert (train_rows.x.std(1) - 1).abs().max() < 1e-5


def test_rates_and_snapshots():
    assert octave_rates(-2, 1) == pytest.approx((0.025, 0.05, 0.1, 0.2))
    assert octave_rates(-1, 0, 2)[2] == pytest.approx(0.1)
    plan = long_plan(1000)
    assert plan.rates[plan.fixed] == pytest.approx(0.1)
    assert (plan.snapshots[0], plan.snapshots[-1]) == (0, 1000)


def test_confidence_of_a_descent_needs_ten_times_as_long_for_each_further_nine():
    """The odds of the label grow about linearly in time."""
    x = torch.ones(1, 9, 3)
    y = torch.arange(9).view(1, 9) % 3
    rows = Rows(torch.nn.functional.one_hot(y, 3) * x, y)
    plan = Plan((4.0, 12.0), 400, tuple(range(0, 401, 2)), 0, batch=None, optimiser="sgd")
    path = Path("ce", Task(rows, rows, rows, 3), plan, [0])
    steps = {level: float(path.steps(level)[0, 0]) for level in (0.8, 0.98, 0.998)}
    assert 8 < (steps[0.998] - steps[0.98]) / (steps[0.98] - steps[0.8]) < 14
    assert float(path.steps(1.1)[0, 0]) == 800
    assert {p: int(place[0][0]) for p, place in path.rates(path.steps(0.998)).items()} == {"fixed": 0, "tuned": 1}

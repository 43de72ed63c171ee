"""The races of the claims about optimising: counted steps, choices, and the exact parts."""

import math

import pytest
import torch

from whyloss.claims.claim import Scale
from whyloss.claims.lab.training import Plan
from whyloss.claims.sentences.optimising import CLAIMS
from whyloss.claims.sentences.races import RATES, Race, clusters, log2_ratio, plan_of, race, speed, starts


def planted() -> Race:
    return Race(
        fixed=1,
        steps=torch.tensor([[8.0, 40.0], [4.0, 10.0], [600.0, 2.0]]),
        path=torch.zeros(3, 2),
        valid=torch.tensor([[0.5, 0.9], [0.7, 0.8], [0.6, 0.1]]),
        test=torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]),
    )


def test_protocols_of_a_race():
    found = planted()
    assert found.speed("fixed").tolist() == [4, 10]
    assert found.speed("tuned").tolist() == [4, 2]
    assert found.accuracy("fixed").tolist() == pytest.approx([0.3, 0.4])
    assert found.accuracy("tuned").tolist() == pytest.approx([0.3, 0.2])  # chosen on the validation rows
    assert log2_ratio(torch.tensor([8.0]), torch.tensor([2.0])) == (2.0,)


def test_the_plan_of_a_race():
    plan = plan_of(20)
    assert plan.rates[plan.fixed] == 0.1
    assert plan.snapshots == tuple(range(0, 21, 2))
    assert RATES[0] < 0.001 < 100 < RATES[-1]


def test_a_race_counts_steps_and_what_never_arrives_counts_twice():
    seeds = [0, 1]
    task = clusters(seeds)
    plan = Plan((1e-6, 3.0), 60, tuple(range(0, 61, 2)), 1, hidden=32, batch=None, optimiser="sgd")
    found = race("ce", task, plan, seeds)
    assert found.steps[0].tolist() == [120, 120]
    assert (found.steps[1] < 60).all()
    for seed, steps in enumerate(found.steps[1].long().tolist()):
        assert found.path[steps // 2, seed] >= 0.9
        assert found.path[: steps // 2, seed].max() < 0.9
    assert found.test.shape == (2, 2)


def test_a_wrong_start_silences_probabilities_and_not_cross_entropy():
    seeds = [0, 1, 2]
    task = clusters(seeds)
    plan = Plan((0.1,), 40, tuple(range(0, 41, 2)), 0, hidden=32, batch=None, optimiser="sgd")
    moved = {name: race(name, task, plan, seeds, wrong=True).path for name in ("ce", "probabilities")}
    assert moved["ce"][0].max() < 0.1
    assert moved["ce"][-1].min() > 0.3
    assert moved["probabilities"][-1].max() < moved["ce"][-1].min()


def test_exact_parts_are_the_closed_forms():
    silent = {m.where["meaning"]: m.values[0] for m in starts("exact", Scale()).measured}
    assert silent["linear"] == silent["codes"] == pytest.approx(-math.log2(21))
    assert silent["probabilities"] > 10
    large = {m.where["loss"]: m.values[0] for m in speed("exact", Scale()).measured}
    assert large["brier"] == pytest.approx(math.log2(0.99 / (4 * 0.01 * 0.99**2)))
    assert large["mae"] == pytest.approx(math.log2(0.99 / (2 * 0.01 * 0.99)))
    assert large["squared"] == pytest.approx(math.log2(0.99 / (math.log(99) + 1)))


def test_every_part_of_the_experiments_exists():
    for claim in CLAIMS:
        assert "exact" in claim.experiment.parts
    assert CLAIMS[0].experiment is CLAIMS[1].experiment  # so that it runs once

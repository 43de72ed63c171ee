"""The data and the training that experiments share, against what is known in closed form."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from whyloss.claims.claim import Curve, Measured, Results, Scale
from whyloss.claims.lab.tasks import Rows, bundled, mixture, pair_noise, symmetric_noise
from whyloss.claims.lab.training import Plan, accuracy, fit, log_likelihood, per_row, steps_to, train
from whyloss.losses.proper import CrossEntropyLoss

CE = per_row(CrossEntropyLoss())


def test_the_true_probabilities_of_a_mixture_are_true():
    task = mixture([3], (10, 10, 40_000), classes=3, distance=1.5)
    p, y = task.test.p, task.test.y
    assert p is not None
    assert torch.allclose(p.sum(-1), torch.ones(1, 40_000, dtype=torch.float64))
    for low in np.arange(0.05, 0.95, 0.1):  # among rows said to have this probability, this share has the class
        here = (p[0, :, 1] >= low) & (p[0, :, 1] < low + 0.1)
        share, said = (y[0, here] == 1).double().mean(), p[0, here, 1].mean()
        assert float(share) == pytest.approx(float(said), abs=4 * (0.25 / int(here.sum())) ** 0.5)


def test_priors_and_seeds_are_what_was_asked_for():
    task = mixture([1, 2], (5000, 10, 10), classes=2, priors=(0.9, 0.1))
    assert torch.allclose((task.train.y == 1).double().mean(1), torch.tensor(0.1, dtype=torch.float64), atol=0.015)
    assert not torch.equal(task.train.x[0], task.train.x[1])
    assert torch.equal(mixture([2], (5000, 10, 10), classes=2, priors=(0.9, 0.1)).train.x[0], task.train.x[1])


def test_bundled_data_is_split_and_scaled_on_the_training_rows():
    task = bundled("iris", [0, 1])
    assert task.train.x.shape == (2, 75, 4)
    assert torch.allclose(task.train.x.mean(1), torch.zeros(2, 4), atol=1e-5)
    assert task.test_share == pytest.approx(task.test.y.shape[1] / 75)
    assert torch.bincount(task.train.y[0]).tolist() == [25, 25, 25]


@pytest.mark.parametrize("rate", [0.2, 0.6])
def test_label_noise_has_its_rate(rate: float):
    y = torch.zeros(1, 20_000, dtype=torch.long)
    noisy = symmetric_noise(rate, 5)(y, torch.Generator().manual_seed(0))
    shares = torch.bincount(noisy[0], minlength=5) / 20_000
    assert torch.allclose(shares, torch.tensor([1 - rate] + [rate / 4] * 4), atol=0.012)
    paired = pair_noise(rate, 5)(y, torch.Generator().manual_seed(0))
    assert float((paired == 1).double().mean()) == pytest.approx(rate, abs=0.012)


def test_a_linear_model_reaches_the_maximum_of_the_likelihood():
    task = mixture([0, 1], (300, 50, 50), classes=2, distance=1.0)
    plan = Plan((1.0,), 3000, (3000,), 0, batch=None, optimiser="sgd")
    ((_, net),) = train(CE, task.train, 2, plan, [0, 1])
    ours = log_likelihood(net.logits(task.train.x)[0], task.train.y)
    for seed in range(2):
        x, y = task.train.x[seed].numpy(), task.train.y[seed].numpy()
        best = LogisticRegression(C=1e8, tol=1e-10, max_iter=10_000).fit(x, y)
        assert float(ours[seed]) == pytest.approx(best.predict_log_proba(x)[np.arange(300), y].mean(), abs=1e-6)


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_members_train_as_if_alone(optimiser: str):
    task = mixture([0, 1], (128, 20, 20), classes=3)
    plan = Plan((0.01, 0.1), 12, (0, 5, 12), 1, hidden=8, batch=32, optimiser=optimiser, momentum=0.5)  # pyright: ignore
    together = fit(CE, task, plan, [0, 1])
    alone_task = mixture([1], (128, 20, 20), classes=3)
    alone_plan = Plan((0.1,), 12, (0, 5, 12), 0, hidden=8, batch=32, optimiser=optimiser, momentum=0.5)  # pyright: ignore
    alone = fit(CE, alone_task, alone_plan, [1])
    assert together.test.shape == (3, 2, 2, 20, 3)
    assert torch.allclose(together.test[:, 1, 1], alone.test[:, 0, 0], atol=1e-5)
    assert torch.equal(together.fixed(), together.test[-1, 1])


def test_adam_is_torchs():
    task = mixture([4], (64, 10, 10), classes=3)
    plan = Plan((0.01,), 7, (0, 7), 0, batch=None)
    snapshots = [
        (step, [p.detach().clone() for p in net.parameters]) for step, net in train(CE, task.train, 3, plan, [4])
    ]
    weight, bias = (p[0].clone().requires_grad_() for p in snapshots[0][1])
    optimiser = torch.optim.Adam([weight, bias], 0.01)
    for _ in range(7):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(task.train.x[0] @ weight + bias, task.train.y[0]).backward()
        optimiser.step()
    assert torch.allclose(snapshots[1][1][0][0], weight, atol=1e-6)


def test_tuning_picks_the_rate_and_the_step_that_validation_likes():
    task = mixture([0, 1, 2], (200, 300, 300), classes=3, distance=1.5)
    trained = fit(CE, task, Plan((1e-5, 0.05, 1e4), 40, (0, 40), 0), [0, 1, 2])
    assert set(trained.chosen_rates(accuracy)) <= {0.05, 1e4}
    assert trained.chosen_rates(log_likelihood) == [0.05] * 3
    score = accuracy(trained.tuned(accuracy), task.test.y)
    assert (score > task.test.ceiling() - 0.08).all()


def test_a_broken_member_is_never_chosen():
    task = mixture([0], (64, 30, 30), classes=2)
    trained = fit(CE, task, Plan((0.1, float("nan")), 5, (5,), 0), [0])
    assert trained.chosen_rates(accuracy) == [0.1]


def test_steps_are_counted_and_censored():
    task = mixture([0, 1], (100, 10, 10), classes=2, distance=8.0)
    plan = Plan((1e-9, 0.5), 30, (), 1, optimiser="sgd", batch=None)
    found = steps_to(lambda z: accuracy(z, task.train.y) >= 0.95, CE, task.train, 2, plan, [0, 1])
    assert found.shape == (2, 2)
    assert (found[1] <= 30).all()
    assert (found[1] >= 1).all()
    never = steps_to(lambda z: torch.zeros(z.shape[:2], dtype=torch.bool), CE, task.train, 2, plan, [0, 1])
    assert (never == 60).all()


def test_results_survive_the_ledger():
    found = Results(
        (Measured("a", {"protocol": "fixed"}, (1.0, 2.0), 0.5),), (Curve("p", "ce", (0.0, "x"), (1.0, 2.0)),)
    )
    assert Results.from_json(found.as_json()) == found


def test_seeds_of_two_runs_are_disjoint():
    assert not set(Scale(0).seeds(20)) & set(Scale(1).seeds(20))
    assert len(Scale(0, quick=True).seeds(20, 4)) == 4


def test_a_ceiling_is_the_best_there_is():
    rows = Rows(torch.zeros(1, 2, 1), torch.tensor([[0, 1]]), torch.tensor([[[0.9, 0.1], [0.6, 0.4]]]))
    assert rows.ceiling().tolist() == [0.5]

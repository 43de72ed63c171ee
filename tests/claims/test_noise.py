"""The ingredients of the claims about wrong labels: planted effects, and rates that are known."""

import pytest
import torch

from whyloss.claims.lab.tasks import Rows, Task, mixture
from whyloss.claims.lab.training import Plan, Trained, accuracy, fit, per_row
from whyloss.claims.sentences.accuracy import losses
from whyloss.claims.sentences.noise import CLASSES, PAIR, ROBUST, SYMMETRIC, Scores, chosen, noisy, scores

SEEDS = [0, 1, 2, 3]


@pytest.fixture(scope="module")
def clean() -> Task:
    return mixture(SEEDS, (300, 500, 500), CLASSES, 16, distance=0.8)


@pytest.mark.parametrize(("name", "rate"), [*SYMMETRIC.items(), *PAIR.items()])
def test_training_and_tuning_labels_are_disturbed_and_test_labels_are_not(clean: Task, name: str, rate: float):
    task = noisy(clean, name, 0)
    assert torch.equal(task.test.y, clean.test.y)
    for now, before in ((task.train.y, clean.train.y), (task.valid.y, clean.valid.y)):
        assert float((now != before).double().mean()) == pytest.approx(rate, abs=0.06)
        if name in PAIR:
            assert set(((now - before) % CLASSES).unique().tolist()) == {0, 1}
    assert noisy(clean, "clean", 0) is clean


def test_the_robust_loss_is_chosen_by_noisy_validation_rows_alone():
    good = Scores(torch.tensor([0.9, 0.9]), torch.tensor([0.3, 0.5]))
    bad = Scores(torch.tensor([0.1, 0.1]), torch.tensor([0.4, 0.4]))
    assert chosen([good, bad]).test.tolist() == pytest.approx([0.1, 0.9])


def test_the_last_step_and_the_early_stop_are_told_apart():
    """Two rates and two snapshots of one seed: answers right at first, wrong at the end at the first rate."""
    rows = Rows(torch.zeros(1, 2, 1), torch.tensor([[0, 1]]))
    right = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    half, wrong = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), 1 - right
    logits = torch.stack([torch.stack([right, half]), torch.stack([wrong, half])])[:, :, None]
    run = Trained(Plan((0.1, 0.2), 2, (1, 2), fixed=0), Task(rows, rows, rows, 2), logits, logits)
    assert scores(run, "fixed", "last").test.tolist() == [0.0]
    assert scores(run, "tuned", "last").test.tolist() == [0.5]
    assert scores(run, "tuned", "early").test.tolist() == [1.0]


def test_the_network_can_learn_every_wrong_label_by_heart_and_stopping_early_avoids_it(clean: Task):
    task = noisy(clean, "symmetric_40", 0)
    both = Task(task.train, task.valid, Rows(torch.cat([task.test.x, task.train.x], 1), clean.test.y), CLASSES)
    plan = Plan((3e-3,), 450, (50, 450), fixed=0, hidden=128, batch=32)
    test = fit(per_row(losses()["ce"]), both, plan, SEEDS).test[:, 0]
    seen = accuracy(test[:, :, 500:], task.train.y).mean(-1)
    unseen = accuracy(test[:, :, :500], task.test.y).mean(-1)
    assert float(seen[1]) > 0.97
    assert float(unseen[0] - unseen[1]) > 0.1


@pytest.mark.parametrize("name", ROBUST)
def test_robust_losses_let_a_hopeless_row_go_and_cross_entropy_does_not(name: str):
    z = torch.tensor([[12.0, *[0.0] * 9]], requires_grad=True)
    wrong = torch.tensor([3])
    pull = {n: float(torch.autograd.grad(losses()[n](z, wrong), z)[0].abs().max()) for n in ("ce", name)}
    assert pull["ce"] > 0.99
    assert pull[name] < 0.15

"""The ingredients of the claims about accuracy, against hand values, least squares in closed form and Bayes' rule."""

import numpy as np
import pytest
import torch

from whyloss.claims.claim import Scale
from whyloss.claims.lab.tasks import Rows, Task
from whyloss.claims.lab.training import accuracy, fit, per_row
from whyloss.claims.sentences.accuracy import (
    MEANINGS,
    clean_tasks,
    code_accuracy,
    code_error,
    losses,
    plan_for,
    pooled,
    ranks,
    scatter,
    scores,
)
from whyloss.losses.proper import BrierLoss, CrossEntropyLoss

SEEDS = [0, 1, 2]


def three_in_a_row(rows: int, seed: int) -> Rows:
    """Three classes on a line at -4, 0 and 4: every two neighbours are told apart, but the middle one never has the
    largest of three straight lines fitted to one-hot labels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=(len(SEEDS), rows))
    x = rng.normal(4.0 * (y - 1), 1.0)[..., None]
    return Rows(torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y))


def test_codes_are_a_distance_and_decided_by_rounding():
    outputs = torch.tensor([[[0.0], [1.4], [4.0]]])
    labels = torch.tensor([[0, 1, 2]])
    assert float(code_error(outputs, labels)) == pytest.approx((0 + 0.16 + 4) / 3)
    assert code_accuracy(outputs, labels).tolist() == pytest.approx([2 / 3])


def test_pooled_figures_widen_only_what_comes_from_one_table():
    steady, loose = torch.tensor([1.0, 1.1, 0.9]), torch.tensor([0.0, 2.0, -2.0])
    values, share = pooled([steady, loose], [0.5, 0.0])
    assert values == pytest.approx((0.5, 1.55, -0.55))
    assert share == pytest.approx(0.5 * 0.01 / (0.01 + 4.0))
    assert pooled([steady, steady], [0.5, 0.5])[1] == pytest.approx(0.5)


def test_ranks_share_ties_and_scatter_compares_with_the_median():
    test = torch.tensor([[0.9, 0.5], [0.9, 0.7], [0.8, 0.6], [0.5, 0.1]])
    assert ranks(test).tolist() == [[1.5, 3.0], [1.5, 1.0], [3.0, 2.0], [4.0, 4.0]]
    # Distances from the mean: 0.2 for the first; 0.1, 0.1 and 0.2 for the others.
    assert scatter(test).tolist() == pytest.approx([0.1, 0.1])


def test_least_squares_on_linear_outputs_hides_the_middle_class_as_its_closed_form_does():
    task = Task(three_in_a_row(300, 0), three_in_a_row(300, 1), three_in_a_row(1000, 2), 3)
    plan = plan_for("line", 300)
    objective, metric, outputs = MEANINGS["linear"]
    trained = scores(fit(objective, task, plan, SEEDS, outputs), metric)["fixed"]
    solved: list[float] = []
    for x, y, x_test, y_test in zip(task.train.x, task.train.y, task.test.x, task.test.y, strict=True):
        one = np.ones((len(x), 1))
        weights = np.linalg.lstsq(np.hstack([x.numpy(), one]), np.eye(3)[y.numpy()], rcond=None)[0]
        decided = (np.hstack([x_test.numpy(), np.ones((len(x_test), 1))]) @ weights).argmax(1)
        solved.append(float((decided == y_test.numpy()).mean()))
    # Codes in their natural order are what a line fits best.
    codes, nearest, single = MEANINGS["codes"]
    assert float(trained.mean()) < 0.8
    assert float(trained.mean()) == pytest.approx(np.mean(solved), abs=0.05)
    assert float(scores(fit(codes, task, plan, SEEDS, single), nearest)["tuned"].mean()) > 0.93
    assert float(scores(fit(per_row(CrossEntropyLoss()), task, plan, SEEDS), accuracy)["tuned"].mean()) > 0.93


@pytest.mark.parametrize("loss", [BrierLoss(), CrossEntropyLoss()])
def test_proper_losses_come_near_the_best_possible_answer(loss: BrierLoss | CrossEntropyLoss):
    task = clean_tasks(Scale(quick=True), SEEDS)["gaussians"]
    found = scores(fit(per_row(loss), task, plan_for("line", 200), SEEDS), accuracy)["tuned"]
    assert float((task.test.ceiling() - found).mean()) < 0.03


def test_eleven_losses_from_the_same_start_are_all_different():
    logits, labels = torch.randn(50, 4), torch.arange(50) % 4
    values = {name: float(loss(logits, labels)) for name, loss in losses().items()}
    assert len(values) == 11
    assert len({round(value, 6) for value in values.values()}) == 11

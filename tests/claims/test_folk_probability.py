"""Calibration error, temperatures and pairs of models, against closed forms and planted effects."""

from math import log

import pytest
import torch
from scipy.optimize import minimize_scalar

from whyloss.claims.claim import Scale
from whyloss.claims.lab.calibration import best_sharpness, calibration_error, reliability, top_class, true_accuracy
from whyloss.claims.lab.tasks import mixture
from whyloss.claims.lab.training import Plan, fit, per_row
from whyloss.claims.sentences import folk_models, folk_probability
from whyloss.losses.proper import CrossEntropyLoss


def truth(rows: int = 6000) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that are the true log-probabilities, and these probabilities."""
    p = mixture([0, 1], (10, 10, rows), distance=1.2).test.p
    assert p is not None
    return p.log(), p


def test_true_probabilities_have_no_calibration_error():
    z, p = truth()
    assert calibration_error(*top_class(z, p)).max() < 1e-12
    x, y = reliability(*top_class(z, p))
    assert x == pytest.approx(y)


def test_a_planted_shift_is_the_calibration_error():
    true = torch.linspace(0.2, 0.8, 1501, dtype=torch.float64)
    assert float(calibration_error(true + 0.07, true)) == pytest.approx(0.07)
    by_hand = torch.stack([true + 0.1, true - 0.1]).clamp(0, 1)
    assert calibration_error(by_hand, torch.stack([true, true])).tolist() == pytest.approx([0.1, 0.1])


def test_the_accuracy_of_the_truth_is_the_ceiling():
    task = mixture([4], (10, 10, 40_000), distance=1.2)
    assert task.test.p is not None
    assert float(true_accuracy(task.test.p.log(), task.test.p)) == pytest.approx(float(task.test.ceiling()), abs=0.006)


def test_the_sharpness_is_that_of_a_scalar_search():
    generator = torch.Generator().manual_seed(3)
    z, y = torch.randn(2, 60, 3, generator=generator) * 4, torch.randint(0, 3, (2, 60), generator=generator)
    z = z + 3 * torch.nn.functional.one_hot(y, 3)
    for ours, one, labels in zip(best_sharpness(z, y), z, y, strict=True):

        def loss(t: float, one: torch.Tensor = one, labels: torch.Tensor = labels) -> float:
            return float(torch.nn.functional.cross_entropy(one.double() * t, labels))

        assert float(ours) == pytest.approx(minimize_scalar(loss, bounds=(0, 5), method="bounded").x, rel=1e-3)


def test_a_planted_temperature_is_found_and_separable_rows_have_none():
    z, _ = truth()
    labels = torch.distributions.Categorical(logits=z).sample()
    assert best_sharpness(z * 2.5, labels).tolist() == pytest.approx([0.4, 0.4], rel=0.06)
    sure = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    assert float(best_sharpness(sure, torch.tensor([[0, 1]]))) > 1e5


def test_label_smoothing_draws_a_well_fitted_model_to_its_minimiser():
    """One constant feature: the best logits give (1 - eps) share + eps / C."""
    labels = torch.tensor([[0] * 90 + [1] * 10])
    rows = mixture([0], (100, 100, 100), classes=2).train
    rows = type(rows)(torch.ones(1, 100, 1), labels)
    task = mixture([0], (10, 10, 10), classes=2)
    task = type(task)(rows, rows, rows, 2)
    plan = Plan((0.3,), 400, (400,), 0, batch=None)
    z = fit(per_row(CrossEntropyLoss(label_smoothing=0.1)), task, plan, [0]).fixed()
    assert float(z[0, 0, 0] - z[0, 0, 1]) == pytest.approx(log((0.9 * 0.9 + 0.05) / (0.9 * 0.1 + 0.05)), abs=0.01)


def test_pairs_are_counted_as_by_hand():
    loss, right = torch.tensor([0.5, 0.6, 0.62, 0.9]), torch.tensor([0.80, 0.85, 0.70, 0.795])
    scores = torch.stack([loss, right], -1).unsqueeze(1)
    # Clearly lower: 0 < 1, 0 < 2, 0 < 3, 1 < 3, 2 < 3. Clearly worse in spite of it: 0 than 1, and 2 than 3.
    assert folk_models.inversions(scores).tolist() == pytest.approx([2 / 5])


@pytest.mark.parametrize("run", [folk_probability.smoothing, folk_probability.temperature])
def test_the_same_seed_measures_the_same(run):
    one, two = (run("line", Scale(3, quick=True)) for _ in range(2))
    assert one == two
    assert {m.where["protocol"] for m in one.measured} == {"fixed", "tuned"}

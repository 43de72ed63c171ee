"""The ingredients of the claims about probabilities, against hand values and closed forms."""

import pytest
import torch

from whyloss.claims.sentences.estimating import brier, calibration_error, clipped, gaussians, squared_distance
from whyloss.claims.sentences.truthful import losses, lowest


def test_linear_outputs_are_read_as_clipped_shares():
    p = clipped(torch.tensor([[1.2, 0.0, -0.5], [0.2, 0.2, 0.4]])).exp()
    torch.testing.assert_close(p, torch.tensor([[1 / 1.02, 0.01 / 1.02, 0.01 / 1.02], [0.25, 0.25, 0.5]]))


def test_the_distance_is_a_root_mean_square():
    p = torch.tensor([[[0.5, 0.5], [0.2, 0.8]]], dtype=torch.float64)
    said = torch.tensor([[[0.6, 0.4], [0.2, 0.8]]], dtype=torch.float64)
    assert float(squared_distance(said.log(), p)) == pytest.approx((0.02 / 4) ** 0.5)


def test_true_probabilities_are_calibrated_and_sharpened_ones_are_not():
    p = torch.softmax(torch.randn(2, 4000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64), -1)
    assert float(calibration_error(p.log(), p).max()) < 1e-12
    sharp = torch.softmax(3 * p.log(), -1)
    over = (sharp.max(-1).values - p.max(-1).values).mean(-1)  # every bin is overconfident
    torch.testing.assert_close(calibration_error(sharp.log(), p), over)


def test_the_brier_score_estimates_the_distance_from_the_truth():
    task = gaussians([0], 50)
    p, y = task.test.p, task.test.y
    assert p is not None
    said = 0.7 * p + 0.1
    gain = brier(p.log(), y) - brier(said.log(), y)
    assert float(gain) == pytest.approx(float((said - p).square().sum(-1).mean()), abs=0.01)


def test_expected_losses_are_smallest_where_theory_says():
    q = torch.tensor([0.01, 0.3, 0.5, 0.9], dtype=torch.float64)
    found = {name: lowest(loss, q) for name, loss in losses("none").items()}
    torch.testing.assert_close(found["ce"], q)
    torch.testing.assert_close(found["brier"], q)
    torch.testing.assert_close(found["ls"], 0.9 * q + 0.05)
    odds = (q / (1 - q)) ** (1 / 0.3)  # GCE with its default exponent 0.7: p ~ q^(1 / (1 - 0.7))
    torch.testing.assert_close(found["gce"], odds / (1 + odds))
    assert found["mae"][[0, 3]].round(decimals=6).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("name", ["ce", "brier"])
def test_a_proper_loss_has_no_slope_at_the_truth_with_many_classes_too(name: str):
    q = torch.softmax(torch.randn(4, generator=torch.Generator().manual_seed(1), dtype=torch.float64), 0)
    z = q.log().expand(4, 4).clone().requires_grad_()
    each = losses("none")[name](z, torch.arange(4))
    (slope,) = torch.autograd.grad((q * each).sum(), z)
    assert float(slope.sum(0).abs().max()) < 1e-12

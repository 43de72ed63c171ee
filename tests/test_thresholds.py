"""Ordered classes told apart by thresholds: values by hand, likelihoods in the far tails, decoding, what is refused."""

import math
from typing import Any

import pytest
import torch
from instances import rows, soft, value_and_gradient
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, softplus

import whyloss

LOSSES = [whyloss.CoralLoss, whyloss.CornLoss, whyloss.CumulativeLinkLoss, whyloss.ECOCDistanceLoss]
CURVES = ["logit", "probit", "cloglog"]


def falling(count: int = 8, columns: int = 4) -> tuple[Tensor, Tensor]:
    """Logits that fall from class to class, and labels that go round."""
    z, y = rows(count, columns)
    return z.sort(1, descending=True).values, y % (columns + 1)


def above(y: Tensor, columns: int) -> Tensor:
    return (y.unsqueeze(1) > torch.arange(columns)).double()


def test_coral_is_the_sum_of_binary_cross_entropies():
    z, y = rows(8, 4)
    y[0] = 4
    each = binary_cross_entropy_with_logits(z, above(y, 4), reduction="none")
    torch.testing.assert_close(whyloss.CoralLoss()(z, y), each.sum(1).mean())
    importance = torch.tensor([1.0, 2.0, 0.5, 3.0])
    torch.testing.assert_close(whyloss.CoralLoss(importance=importance)(z, y), (each * importance).sum(1).mean())


def test_coral_by_hand():
    z = torch.tensor([[3.0, 0.0]])
    assert whyloss.CoralLoss()(z, torch.tensor([2])).item() == pytest.approx(math.log1p(math.exp(-3)) + math.log(2))
    assert whyloss.CoralLoss()(z, torch.tensor([0])).item() == pytest.approx(math.log1p(math.exp(3)) + math.log(2))


def test_biases_in_order_make_consistent_ranks():
    """With shared weights the answers of a row are in order if the biases are, and training puts them in order."""
    torch.manual_seed(0)
    x = torch.randn(300, 3)
    y = torch.bucketize(x[:, 0] + 0.3 * torch.randn(300), torch.tensor([-1.0, 0.0, 1.0]))
    head, loss = whyloss.CoralHead(3, classes=4), whyloss.CoralLoss()
    head.bias.data = torch.tensor([-1.0, 0.0, 1.0])  # the wrong way round
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=100)

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(head(x), y)
        value.backward()
        return value

    optimizer.step(closure)  # pyright: ignore
    assert (head.bias.diff() < 0).all()
    p = loss.probabilities(head(x).detach())
    assert (p > 0).all()
    torch.testing.assert_close(p.sum(1), torch.ones(300))
    assert (loss.labels(head(x)) == y).double().mean() > 0.7


def test_corn_is_the_likelihood_of_a_chain():
    z, y = rows(8, 4)
    y[0] = 4
    loss = whyloss.CornLoss(mean_over="rows", reduction="none")
    p = loss.probabilities(z)
    torch.testing.assert_close(p.sum(1), torch.ones(8).double())
    torch.testing.assert_close(loss(z, y), -p.gather(1, y[:, None]).squeeze(1).log())


def test_the_mean_of_corn_over_questions_and_over_rows():
    """All logits 1, five classes: alone 1.313 and 0.3133 a question; the paper's mean divides by 1 + 4 questions."""
    z, y = torch.ones(2, 4), torch.tensor([0, 4])
    no, yes = softplus(torch.tensor(1.0)).item(), softplus(torch.tensor(-1.0)).item()
    assert whyloss.CornLoss()(z, y).item() == pytest.approx((no + 4 * yes) / 5)
    assert whyloss.CornLoss(mean_over="rows")(z, y).item() == pytest.approx((no + 4 * yes) / 2)
    total, count = whyloss.CornLoss().parts(z, y)
    assert (total.item(), count.item()) == (pytest.approx(no + 4 * yes), 5)
    weighted = whyloss.CornLoss()(z, y, sample_weight=torch.tensor([3.0, 1.0]))
    assert weighted.item() == pytest.approx((3 * no + 4 * yes) / (3 + 4))


def test_ecoc_distance_is_the_squared_error_to_the_code():
    z, y = rows(8, 4)
    loss = whyloss.ECOCDistanceLoss(reduction="none")
    torch.testing.assert_close(loss(z, y), (torch.sigmoid(z) - above(y, 4)).square().sum(1))
    codes = above(torch.arange(5), 4)
    nearest = torch.cdist(torch.sigmoid(z), codes).argmin(1)
    assert torch.equal(loss.labels(z), nearest)


@pytest.mark.parametrize("curve", CURVES)
def test_cumulative_links_are_differences_of_the_distribution(curve: Any):
    z, y = falling()
    z = z / z.abs().amax(1, keepdim=True)
    F = {
        "logit": torch.sigmoid,
        "probit": torch.special.ndtr,
        "cloglog": lambda x: -torch.expm1(-torch.exp(x)),
    }[curve](-z)
    p = torch.cat([F, torch.ones(8, 1).double()], 1).diff(dim=1, prepend=torch.zeros(8, 1).double())
    loss = whyloss.CumulativeLinkLoss(curve=curve, reduction="none")
    torch.testing.assert_close(loss.probabilities(z), p)
    torch.testing.assert_close(loss(z, y), -p.gather(1, y[:, None]).squeeze(1).log())
    torch.testing.assert_close(loss.log_survival(z).exp(), 1 - F)
    z.requires_grad_()
    assert gradcheck(lambda z: loss(z, y), z)
    assert gradgradcheck(lambda z: loss(z, y), z)


def test_far_tails_of_cumulative_links_by_hand():
    """A score 60 off: the difference of sigmoids is 0 in float32; its logarithm is not."""
    z = torch.tensor([[-60.0, -61.0]])
    value, gradient = value_and_gradient(whyloss.CumulativeLinkLoss(), z, torch.tensor([1]))
    # log(s(61) - s(60)) = -60 + log(1 - 1/e), but for terms of exp(-60)
    assert value.item() == pytest.approx(60 - math.log(1 - math.exp(-1)), rel=1e-6)
    assert gradient[0].tolist() == pytest.approx([-1 - 1 / (math.e - 1), 1 / (math.e - 1)], rel=1e-5)
    # The normal's tail: -log(phi(40) / 40) to first order in 1 / 40^2
    value = whyloss.CumulativeLinkLoss(curve="probit")(torch.tensor([[-40.0, -41.0]]), torch.tensor([1]))
    assert value.item() == pytest.approx(804.60844, rel=1e-6)
    value = whyloss.CumulativeLinkLoss(curve="probit")(torch.tensor([[41.0, 40.0]]), torch.tensor([1]))
    assert value.item() == pytest.approx(804.60844, rel=1e-6)
    # cloglog: exp(-exp(3)) - exp(-exp(4)), and far below exp(-20) - exp(-19.5) in the limit
    value = whyloss.CumulativeLinkLoss(curve="cloglog")(torch.tensor([[-3.0, -4.0]]), torch.tensor([1]))
    assert value.item() == pytest.approx(math.exp(3), rel=1e-6)
    value = whyloss.CumulativeLinkLoss(curve="cloglog")(torch.tensor([[200.0, 199.5]]), torch.tensor([1]))
    assert value.item() == pytest.approx(200 - math.log(math.expm1(0.5)), rel=1e-6)


@pytest.mark.parametrize("curve", CURVES)
def test_narrow_classes_are_exact_in_float32(curve: Any):
    """Neighbouring thresholds: the difference of two nearly equal probabilities is never taken."""
    z = torch.tensor([[1.0, 1.0 - 2.0**-10], [3.0, 3.0 - 2.0**-10], [-2.0, -2.0 - 2.0**-12]])
    loss = whyloss.CumulativeLinkLoss(curve=curve, reduction="none")
    y = torch.ones(3).long()
    ours, exact = value_and_gradient(loss, z, y), value_and_gradient(loss, z.double(), y)
    torch.testing.assert_close(ours[0].double(), exact[0], rtol=2e-4 if curve == "probit" else 1e-6, atol=0)
    torch.testing.assert_close(ours[1].double(), exact[1], rtol=2e-3 if curve == "probit" else 1e-5, atol=0)


def test_equal_thresholds_leave_no_room_for_a_class():
    value, gradient = value_and_gradient(
        whyloss.CumulativeLinkLoss(reduction="none"), torch.tensor([[1.0, 1.0], [1.0, 1.0]]), torch.tensor([1, 2])
    )
    assert value[0] == math.inf
    assert value[1].item() == pytest.approx(-logsigmoid(torch.tensor(1.0)).item())
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("cls", LOSSES)
def test_soft_targets_are_the_expected_loss(cls: type[whyloss.ThresholdLoss]):
    z, _ = falling()
    q = soft(8, 5)
    each = torch.stack([cls(reduction="none")(z, torch.full((8,), j)) for j in range(5)], 1)
    torch.testing.assert_close(cls(reduction="none")(z, q), (q * each).sum(1))


@pytest.mark.parametrize("cls", LOSSES)
def test_predictions_of_pixels_and_of_single_rows(cls: type[whyloss.ThresholdLoss]):
    z, _ = falling(12, 3)
    loss = cls()
    image = z.reshape(2, 2, 3, 3).movedim(-1, 1)
    assert torch.equal(loss.labels(image).flatten(), loss.labels(z))
    torch.testing.assert_close(loss.probabilities(image).movedim(1, -1).reshape(12, 4), loss.probabilities(z))
    torch.testing.assert_close(loss.probabilities(z[0]), loss.probabilities(z)[0])
    torch.testing.assert_close(loss(z[0], torch.tensor(2)), loss(z[:1], torch.tensor([2])))


def test_two_classes_need_one_threshold_and_are_binary_cross_entropy():
    z, y = torch.linspace(-3, 3, 7).double(), torch.arange(7) % 2
    expected = binary_cross_entropy_with_logits(z, y.double())
    for loss in (whyloss.CoralLoss(), whyloss.CornLoss(), whyloss.CumulativeLinkLoss()):
        torch.testing.assert_close(loss(z.unsqueeze(1), y), expected)


@pytest.mark.parametrize("cls", [whyloss.CoralHead, whyloss.CornHead, whyloss.CumulativeLinkHead])
def test_heads(cls: Any):
    head = cls(5, classes=4)
    z = head(torch.randn(6, 5))
    assert z.shape == (6, 3)
    z.sum().backward()
    assert all(p.grad is not None for p in head.parameters())
    with pytest.raises(ValueError, match="classes >= 2"):
        cls(5, classes=1)


def test_thresholds_are_in_order_whatever_the_parameters():
    head = whyloss.CumulativeLinkHead(2, classes=6)
    for p in head.parameters():
        p.data.normal_(0, 3)
    assert (head.thresholds.diff() > 0).all()
    assert torch.isfinite(whyloss.CumulativeLinkLoss()(head(torch.randn(30, 2)), torch.arange(30) % 6))


def test_what_is_refused():
    z = torch.zeros(2, 4)
    for cls in LOSSES:
        with pytest.raises(ValueError, match=r"target holds 9 but there are 5 classes"):
            cls()(z, torch.tensor([0, 9]))
        with pytest.raises(ValueError, match="scales only"):
            cls(adjust=whyloss.Adjustment(shift=torch.zeros(4)))
        with pytest.raises(ValueError, match="axis of thresholds"):
            cls()(torch.tensor(1.0), torch.tensor(0))
    with pytest.raises(ValueError, match="must fall from class to class"):
        whyloss.CumulativeLinkLoss()(torch.tensor([[0.0, 1.0]]), torch.tensor([1]))
    with pytest.raises(ValueError, match="curve in"):
        whyloss.CumulativeLinkLoss(curve="cauchit")  # pyright: ignore
    with pytest.raises(ValueError, match="mean_over in"):
        whyloss.CornLoss(mean_over="tasks")  # pyright: ignore

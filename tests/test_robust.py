"""Losses for noisy labels: values by hand, and the losses that they become at the ends of their parameters."""

import math
from typing import Any

import pytest
import torch
from instances import rows, soft, value_and_gradient
from torch import Tensor

import whyloss
from whyloss.losses.algebra import RowSum
from whyloss.stats.each import log_softmax, log_softmax_both
from whyloss.stats.exact import HUGE

LOG2 = math.log(2)
EVEN = torch.zeros(1, 2)  # p = 1/2, 1/2
QUARTER = torch.tensor([[LOG2, 0.0, 0.0]])  # p = 1/2, 1/4, 1/4


@pytest.mark.parametrize(
    ("loss", "z", "y", "expected"),
    [
        (whyloss.TaylorCrossEntropyLoss(order=3), QUARTER, 1, 0.75 + 0.75**2 / 2 + 0.75**3 / 3),
        (whyloss.PartiallyHuberizedCrossEntropyLoss(tau=2.0), QUARTER, 1, LOG2 + 1 - 2 / 4),
        (whyloss.PartiallyHuberizedCrossEntropyLoss(tau=5.0), QUARTER, 1, 2 * LOG2),
        (whyloss.SoftBootstrappingLoss(beta=0.5), QUARTER, 1, 0.5 * 2 * LOG2 + 0.5 * 1.5 * LOG2),
        (whyloss.HardBootstrappingLoss(beta=0.8), QUARTER, 1, 0.8 * 2 * LOG2 + 0.2 * LOG2),
        (whyloss.HardBootstrappingLoss(beta=0.8), QUARTER, 0, LOG2),
        (whyloss.JensenShannonLoss(), EVEN, 0, (2 * LOG2 - 0.75 * math.log(3) - 0.5 * LOG2) / (0.5 * LOG2)),
        (whyloss.TruncatedGeneralizedCrossEntropyLoss(q=0.5, k=0.36), QUARTER, 1, (1 - 0.6) / 0.5),
        (whyloss.TruncatedGeneralizedCrossEntropyLoss(q=0.5, k=0.2), QUARTER, 1, (1 - 0.5) / 0.5),
        (whyloss.NormalizedNegativeCrossEntropyLoss(floor=1 / 16), QUARTER, 0, 1 - 3 / 7),
        (whyloss.NormalizedNegativeFocalLoss(gamma=1.0, floor=1 / 16), QUARTER, 0, 1 - 3.25 / 7.75),
        (whyloss.NegativeLearningLoss(), QUARTER, 0, LOG2),
        (whyloss.SelectivePositiveLearningLoss(threshold=0.4), QUARTER, 0, LOG2),
        (whyloss.SelectivePositiveLearningLoss(), QUARTER, 1, 0.0),
        (whyloss.OnlineLabelSmoothingLoss(classes=3, alpha=0.4).eval(), QUARTER, 0, 0.4 * LOG2 + 0.6 * 5 / 3 * LOG2),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, whyloss.Loss) else None,
)
def test_values_by_hand(loss: whyloss.Loss, z: Tensor, y: int, expected: float):
    assert loss(z.double(), torch.tensor([y])).item() == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_the_unhinged_loss_is_linear_in_the_logit():
    z = torch.tensor([0.25, -3.0, 1e4], dtype=torch.float64)
    found = whyloss.UnhingedLoss(reduction="none")(z, torch.tensor([1, 0, 1]))
    assert found.tolist() == [0.75, -2.0, 1 - 1e4]


MAE, CE = whyloss.MeanAbsoluteErrorLoss(), whyloss.CrossEntropyLoss()
PAIRS = {
    "Taylor, one term": (whyloss.TaylorCrossEntropyLoss(order=1), MAE, 0.5, 1e-9),
    "PHuber, tau = 1": (whyloss.PartiallyHuberizedCrossEntropyLoss(tau=1.0), MAE, 0.5, 1e-9),
    "PHuber, tau large": (whyloss.PartiallyHuberizedCrossEntropyLoss(tau=1e30), CE, 1.0, 1e-9),
    "soft bootstrapping, beta = 1": (whyloss.SoftBootstrappingLoss(beta=1.0), CE, 1.0, 1e-9),
    "hard bootstrapping, beta = 1": (whyloss.HardBootstrappingLoss(beta=1.0), CE, 1.0, 1e-9),
    "JS, label_share -> 0": (whyloss.JensenShannonLoss(label_share=1e-13), CE, 1.0, 1e-6),
    "JS, label_share -> 1": (whyloss.JensenShannonLoss(label_share=1 - 1e-15), MAE, 0.5, 0.05),
    "truncated GCE, k -> 0": (
        whyloss.TruncatedGeneralizedCrossEntropyLoss(k=1e-12),
        whyloss.GeneralizedCrossEntropyLoss(),
        1.0,
        1e-9,
    ),
    "selective positive learning, threshold -> 0": (
        whyloss.SelectivePositiveLearningLoss(threshold=1e-30),
        CE,
        1.0,
        1e-9,
    ),
    "online smoothing, alpha = 1": (whyloss.OnlineLabelSmoothingLoss(classes=4, alpha=1.0).eval(), CE, 1.0, 1e-9),
    "online smoothing, before it has seen anything": (
        whyloss.OnlineLabelSmoothingLoss(classes=4, alpha=0.9).eval(),
        whyloss.CrossEntropyLoss(label_smoothing=0.1),
        1.0,
        1e-6,
    ),
    "negative focal loss, gamma = 0": (
        whyloss.NormalizedNegativeFocalLoss(gamma=0.0),
        whyloss.NormalizedNegativeCrossEntropyLoss(),
        1.0,
        1e-9,
    ),
}


@pytest.mark.parametrize(("general", "special", "factor", "rtol"), PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("target", ["index", "soft"])
def test_at_the_ends_of_their_parameters_they_are_other_losses(
    general: Any, special: Any, factor: float, rtol: float, target: str
):
    z, y = rows(12)
    t = y if target == "index" else soft(12)
    for ours, theirs in zip(value_and_gradient(general, z, t), value_and_gradient(special, z, t), strict=True):
        torch.testing.assert_close(ours, factor * theirs, rtol=rtol, atol=1e-2 if rtol > 1e-2 else 1e-6)


def test_taylors_series_goes_to_cross_entropy():
    z = torch.logit(torch.linspace(0.1, 0.99, 30, dtype=torch.float64))
    z, y = torch.stack([z, torch.zeros_like(z)], 1), torch.zeros(30).long()
    ours = value_and_gradient(whyloss.TaylorCrossEntropyLoss(order=300, reduction="none"), z, y)
    torch.testing.assert_close(ours, value_and_gradient(whyloss.CrossEntropyLoss(reduction="none"), z, y))


def test_the_huberised_loss_is_smooth_where_it_is_joined():
    loss = whyloss.PartiallyHuberizedCrossEntropyLoss(tau=4.0, reduction="none")
    at = math.log(1 / 3)  # of two classes, p = 1/4
    z = torch.tensor([[at - 1e-9, 0], [at + 1e-9, 0]], dtype=torch.float64)
    value, gradient = value_and_gradient(loss, z, torch.tensor([0, 0]))
    assert value.tolist() == pytest.approx([math.log(4)] * 2, abs=1e-8)
    torch.testing.assert_close(gradient[0], gradient[1], rtol=0, atol=1e-8)
    # The slope in p is never steeper than tau.
    z = torch.linspace(-20, 20, 401, dtype=torch.float64)
    p = torch.sigmoid(z)
    slope = value_and_gradient(loss, torch.stack([z, 0 * z], 1), torch.zeros(401).long())[1][:, 0] / (p * (1 - p))
    assert slope.abs().max() <= 4 + 1e-9


# --- divergences -----------------------------------------------------------------------------------------------------


def entropy(p: Tensor) -> Tensor:
    return -torch.special.xlogy(p, p).sum(-1)


def test_jensen_shannon_is_the_divergence_of_its_definition():
    z, y = rows(12)
    p, e = torch.softmax(z, 1), torch.nn.functional.one_hot(y, 4).double()
    for share in (0.1, 0.5, 0.9):
        scale = -(1 - share) * math.log(1 - share)
        expected = (entropy(share * e + (1 - share) * p) - (1 - share) * entropy(p)) / scale
        torch.testing.assert_close(whyloss.JensenShannonLoss(label_share=share, reduction="none")(z, y), expected)


def test_generalised_jensen_shannon_by_its_definition():
    z, y = rows(12)
    views = torch.randn(12, 2, 4, dtype=torch.float64)
    loss = whyloss.GeneralizedJensenShannonLoss(label_share=0.3, reduction="none")
    same = whyloss.JensenShannonLoss(label_share=0.3, reduction="none")
    torch.testing.assert_close(loss(z, y, views=z), same(z, y))
    torch.testing.assert_close(loss(z, y, views=torch.stack([z, z, z], 1)), same(z, y))
    p = torch.softmax(torch.cat([z.unsqueeze(1), views], 1), 2)
    for target in (y, soft(12)):
        q = target if target.is_floating_point() else torch.nn.functional.one_hot(y, 4).double()
        mean = 0.3 * q + 0.7 * p.mean(1)
        scale = -0.7 * math.log(0.7)
        expected = (entropy(mean) - 0.3 * entropy(q) - 0.7 * entropy(p).mean(1)) / scale
        torch.testing.assert_close(loss(z, target, views=views), expected)
    views.requires_grad_()
    loss(z, y, views=views).sum().backward()
    assert views.grad is not None
    assert views.grad.abs().min() > 0
    with pytest.raises(ValueError, match=r"views \[N, C\] or \[N, V, C\] with 4 classes"):
        loss(z, y, views=views[..., :3])


# --- pairs -----------------------------------------------------------------------------------------------------------


def test_active_passive_pairs_are_the_papers_sums():
    z, y = rows(12)
    p = torch.softmax(z, 1)
    py = p.gather(1, y[:, None]).squeeze(1)

    def normalized(each: Tensor) -> Tensor:
        return each.gather(1, y[:, None]).squeeze(1) / each.sum(1)

    ce, focal = -p.log(), -((1 - p) ** 0.5) * p.log()
    below, below_focal = (-math.log(1e-7) + p.log()), -math.log(1e-7) * (1 - 1e-7) ** 0.5 - focal
    assert p.min() > 1e-7
    expected = {
        "nce+mae": (normalized(ce), 2 * (1 - py)),
        "nce+rce": (normalized(ce), 4 * (1 - py)),
        "nfl+mae": (normalized(focal), 2 * (1 - py)),
        "nfl+rce": (normalized(focal), 4 * (1 - py)),
        "nce+agce": (normalized(ce), (2**2 - (1 + py) ** 2) / 2),
        "nce+aul": (normalized(ce), ((6.3 - py) ** 1.5 - 5.3**1.5) / 1.5),
        "nce+ael": (normalized(ce), torch.exp(-py / 2.5)),
        "anl-ce": (normalized(ce), 1 - normalized(below)),
        "anl-fl": (normalized(focal), 1 - normalized(below_focal)),
    }
    for name, (active, passive) in expected.items():
        loss = whyloss.active_passive(name, alpha=5.0, beta=0.3)
        torch.testing.assert_close(loss(z, y), (5 * active + 0.3 * passive).mean(), msg=name)
        assert isinstance(loss, RowSum) == (name.startswith("nce")), name


def test_parameters_of_a_pair_go_where_they_belong():
    z, y = rows()
    ours = whyloss.active_passive("NFL+RCE", alpha=2.0, gamma=3.0, a=-6.0, ignore_index=1)
    theirs = 2.0 * whyloss.NormalizedFocalLoss(gamma=3.0, ignore_index=1) + whyloss.ReverseCrossEntropyLoss(
        a=-6.0, ignore_index=1
    )
    torch.testing.assert_close(ours(z, y), theirs(z, y))
    with pytest.raises(ValueError, match="no pair named 'nce'; there are nce"):
        whyloss.active_passive("nce")
    with pytest.raises(TypeError, match="has a parameter gamma"):
        whyloss.active_passive("nce+mae", gamma=1.0)
    with pytest.raises(ValueError, match="beta >= 0"):
        whyloss.active_passive("nce+mae", beta=-1.0)


@pytest.mark.parametrize("cls", [whyloss.NormalizedNegativeCrossEntropyLoss, whyloss.NormalizedNegativeFocalLoss])
def test_negative_losses_are_symmetric_and_bounded(cls: Any):
    z, _ = rows(12, 5, scale=20.0)
    each = torch.stack([cls(reduction="none")(z, torch.full((12,), j)) for j in range(5)], 1)
    torch.testing.assert_close(each.sum(1), torch.full((12,), 4.0).double())
    assert each.min() >= 0
    assert each.max() <= 1
    with pytest.raises(ValueError, match="floor < 1 / C"):
        cls(floor=0.3)(z, torch.zeros(12).long())


# --- negative learning -----------------------------------------------------------------------------------------------


def test_complementary_labels_are_every_other_class_equally_often():
    y = torch.arange(4).repeat(3000)
    generator = torch.Generator().manual_seed(0)
    other = whyloss.complementary_labels(y, 4, generator)
    table = torch.bincount(4 * y + other, minlength=16).reshape(4, 4)
    assert (table.diagonal() == 0).all()
    assert table[~torch.eye(4).bool()].min() > 900
    again = whyloss.complementary_labels(y, 4, torch.Generator().manual_seed(0))
    assert torch.equal(again, other)
    with pytest.raises(ValueError, match="two classes"):
        whyloss.complementary_labels(y, 1)


def test_selective_negative_learning_reads_the_label_to_choose_and_the_complement_to_learn():
    z, y = rows(12)
    k = whyloss.complementary_labels(y, 4)
    negative = whyloss.NegativeLearningLoss(reduction="none")(z, k)
    p = torch.softmax(z, 1).gather(1, y[:, None]).squeeze(1)
    for threshold, least in ((None, 0.25), (0.6, 0.6)):
        found = whyloss.SelectiveNegativeLearningLoss(threshold=threshold, reduction="none")(z, y, complement=k)
        torch.testing.assert_close(found, torch.where(p > least, negative, 0.0))
        assert 0 < (found == 0).sum() < 12


# --- exact logarithms ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [0.5, 15.0, 60.0, 1e4])
def test_log_softmax_is_exact_at_both_ends(gap: float):
    z = torch.tensor([[gap, 0.0, -1.0, -torch.inf], [0.0, gap, gap, -gap], [-torch.inf, 3.0, -torch.inf, -torch.inf]])
    log_p, log_not_p = log_softmax_both(z)
    wide, wide_not = log_softmax_both(z.double())
    torch.testing.assert_close(log_p.double(), wide, rtol=2e-6, atol=0)
    torch.testing.assert_close(log_not_p.double()[:2], wide_not[:2], rtol=2e-6, atol=1e-37)
    assert log_p[2].tolist() == pytest.approx([-HUGE, 0, -HUGE, -HUGE])
    torch.testing.assert_close(wide[1], torch.log_softmax(z[1].double(), 0))
    z = z[:2].clone().requires_grad_()
    (slope,) = torch.autograd.grad(log_softmax(z)[:, 0].sum(), z)
    expected = torch.softmax(z.detach().double(), 1).neg()
    expected[0, 0] = torch.exp(wide_not[0, 0])
    expected[1, 0] += 1
    seen = expected.abs() > 1e-37
    torch.testing.assert_close(slope.double()[seen], expected[seen], rtol=2e-6, atol=0)

"""Multi-label losses: values by hand, identities, brute force, and labels that nobody looked at."""

import math

import pytest
import torch
from torch import Tensor

import whyloss

LOG2 = math.log(2)


def samples(seed: int = 0, shape: tuple[int, int] = (7, 6)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    z = 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return z, (torch.rand(shape, generator=generator) < 0.4).long()


@pytest.mark.parametrize(
    ("loss", "z", "y", "expected"),
    [
        (whyloss.AsymmetricLoss(gamma_positive=1.0, clip=0.0), [0.0], [1], 0.5 * LOG2),
        (whyloss.AsymmetricLoss(gamma_negative=2.0, clip=0.25), [0.0], [0], -(0.25**2) * math.log(0.75)),
        (whyloss.AsymmetricLoss(clip=0.6), [0.0], [0], 0.0),
        (whyloss.HillLoss(lam=2.0), [-math.log(3)], [0], (2 - 0.25) / 16),
        (whyloss.HillLoss(margin=LOG2, gamma=1.0), [0.0], [1], 2 / 3 * math.log(3)),
        (
            whyloss.SelfPacedCorrectionLoss(margin=0.0, gamma=0.0),
            [0.0, math.log(3)],
            [0, 0],
            (LOG2 + math.log(4 / 3)) / 2,
        ),
        (whyloss.MultiLabelSoftMarginLoss(), [[0.0, -math.log(3)]], [[1, 1]], (LOG2 + 2 * LOG2) / 2),
        (whyloss.MultiLabelMarginLoss(margin=2.0), [[1.0, 0.0, -5.0]], [[1, 0, 0]], 1 / 3),
        (whyloss.ZLPRLoss(), [[LOG2, 0.0, -LOG2]], [[1, 0, 1]], math.log(2) + math.log(1 + 0.5 + 2)),
        (whyloss.ListwiseSoftmaxLoss(), [[LOG2, 0.0, 0.0]], [[3.0, 1.0, 0.0]], 0.75 * LOG2 + 0.25 * 2 * LOG2),
        (whyloss.CandidateSetLoss(), [[LOG2, 0.0, 0.0]], [[1, 1, 0]], -math.log(0.75)),
        (whyloss.RiskConsistentCandidatesLoss(), [[LOG2, 0.0, 0.0]], [[1, 1, 0]], (2 * LOG2 + 2 * LOG2) / 3),
        (whyloss.PositiveUnlabelledLoss(prior=0.25), [[0.0], [math.log(3)]], [[1], [0]], 0.125 + 0.75 - 0.125),
        (whyloss.PositiveUnlabelledLoss(prior=0.5), [[0.0], [-9.0]], [[1], [0]], 0.25),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, whyloss.Loss) else None,
)
def test_values_by_hand(loss: whyloss.Loss, z: list[float], y: list[float], expected: float):
    assert float(loss(torch.tensor(z, dtype=torch.float64), torch.tensor(y))) == pytest.approx(expected, abs=1e-12)


def test_asymmetric_loss_without_asymmetry_is_cross_entropy_or_focal_loss():
    z, y = samples()
    plain = whyloss.AsymmetricLoss(gamma_negative=0.0, clip=0.0)
    torch.testing.assert_close(plain(z, y), whyloss.BinaryCrossEntropyLoss()(z, y))
    focal = whyloss.AsymmetricLoss(gamma_positive=2.0, gamma_negative=2.0, clip=0.0)
    torch.testing.assert_close(focal(z, y), whyloss.FocalLoss(link="sigmoid")(z, y))


def test_torchs_losses_agree():
    z, y = samples()
    ours = whyloss.MultiLabelSoftMarginLoss(reduction="none")(z, y)
    torch.testing.assert_close(ours, torch.nn.MultiLabelSoftMarginLoss(reduction="none")(z, y.double()))
    # torch's form lists the labels' indices first and stops at -1.
    listed = torch.full_like(y, -1)
    for row, labels in enumerate(y):
        own = labels.nonzero().squeeze(1)
        listed[row, : len(own)] = own
    ours = whyloss.MultiLabelMarginLoss(reduction="none")(z, y)
    torch.testing.assert_close(ours, torch.nn.MultiLabelMarginLoss(reduction="none")(z, listed))


def test_sorted_pairs_are_all_pairs():
    z, y = samples(1, (5, 30))
    weight = torch.linspace(0, 2, 30).double()
    gap = 0.7 - (z.unsqueeze(2) - z.unsqueeze(1))
    pairs = gap.clamp_min(0) * (y * weight).unsqueeze(2) * ((1 - y) * weight).unsqueeze(1)
    ours = whyloss.MultiLabelMarginLoss(margin=0.7, weight=weight, reduction="none")(z, y)
    torch.testing.assert_close(ours, pairs.sum((1, 2)) / weight.sum())


def test_zlpr_is_the_log_of_all_pairs_and_the_threshold():
    """log(1 + sum e^z_no) + log(1 + sum e^-z_yes) is a softmax over pairs, the threshold 0 among both sides."""
    z, y = samples()
    yes, no = (torch.where(y == k, z, s * torch.inf) for k, s in ((1, 1), (0, -1)))
    zero = torch.zeros(len(z), 1, dtype=z.dtype)
    pairs = torch.cat([no, zero], 1).unsqueeze(2) - torch.cat([yes, zero], 1).unsqueeze(1)
    torch.testing.assert_close(whyloss.ZLPRLoss(reduction="none")(z, y), torch.logsumexp(pairs.flatten(1), 1))


def test_candidates_of_one_are_the_label():
    z, _ = samples()
    y = torch.arange(7) % 6
    one = torch.nn.functional.one_hot(y, 6)
    for loss in (whyloss.CandidateSetLoss(), whyloss.RiskConsistentCandidatesLoss(), whyloss.ListwiseSoftmaxLoss()):
        torch.testing.assert_close(loss(z, one), whyloss.CrossEntropyLoss()(z, y))
    sure = torch.tensor([[40.0, 0.0, 0.0]])
    value = whyloss.CandidateSetLoss()(sure, torch.tensor([[1, 0, 0]]))
    assert float(value) == pytest.approx(2 * math.exp(-40), rel=1e-6)  # where log_softmax has 0
    assert whyloss.CandidateSetLoss()(z, torch.ones_like(z)) == 0


def test_two_way_loss_at_temperature_1_is_a_softplus_of_two_sums():
    z, y = samples()
    value = torch.tensor(0.0, dtype=z.dtype)
    for a, b in ((z, y), (z.T, y.T)):
        a, b = a[(b > 0).any(1)], b[(b > 0).any(1)]
        sums = [(torch.exp(s * a) * (b == k)).sum(1) for s, k in ((1, 0), (-1, 1))]
        value = value + torch.log1p(sums[0] * sums[1]).mean()
    torch.testing.assert_close(whyloss.TwoWayLoss(positive_temperature=1.0)(z, y), value)


def test_distribution_balance_without_its_parts_is_cross_entropy():
    """With equal counts and one label a sample every ratio is 1."""
    z, _ = samples()
    y = torch.nn.functional.one_hot(torch.arange(7) % 6, 6)
    loss = whyloss.DistributionBalancedLoss(counts=torch.full((6,), 50.0), samples=100, lam=1.0, beta=1e9, alpha=0.0)
    torch.testing.assert_close(loss(z, y), whyloss.MultiLabelSoftMarginLoss()(z, y))


def test_what_was_not_annotated_is_a_no_unless_it_is_likely():
    z, y = samples()
    asked = whyloss.AsymmetricLoss(reduction="none")
    for options in ({"top": 0}, {"top": 2}, {"priors": torch.tensor([0.9, 0, 0, 0, 0, 0]), "top": 0}):
        loss = whyloss.SelectivePartialLoss(**options, gamma_unannotated=1.0, reduction="none")
        torch.testing.assert_close(loss(z, y), asked(z, y))
    open_ = torch.where(y == 0, -1, y)
    unsaid = whyloss.AsymmetricLoss(gamma_negative=1.0, reduction="none")(z, torch.zeros_like(y))
    loss = whyloss.SelectivePartialLoss(top=2, gamma_unannotated=1.0, reduction="none")
    for row in range(7):
        left = z[row].masked_fill(y[row] == 1, -torch.inf).topk(2).indices
        expected = torch.where(y[row] == 1, asked(z, y)[row], unsaid[row])
        expected[left[y[row, left] == 0]] = 0
        torch.testing.assert_close(loss(z, open_)[row], expected)
    mean = whyloss.SelectivePartialLoss(top=2, gamma_unannotated=1.0)
    counted = (y == 1).sum() + ((y == 0).sum(1) - 2).clamp_min(0).sum()
    torch.testing.assert_close(mean(z, open_), loss(z, open_).sum() / counted)
    total, weight = mean.parts(z, open_)
    torch.testing.assert_close(total / weight, mean(z, open_))
    assert mean(z, torch.full_like(y, -100)) == 0
    priors = torch.tensor([1.0, 1, 1, 1, 1, 1])
    assert whyloss.SelectivePartialLoss(top=0, priors=priors)(z, torch.full_like(y, -1)) == 0


def test_the_step_back_of_nonnegative_risk():
    """Where the estimated risk of negatives is below 0, only its slope remains, upwards."""
    z = torch.tensor([[0.0], [-9.0]], requires_grad=True)
    y = torch.tensor([[1], [0]])
    for gamma in (1.0, 0.5):
        value = whyloss.PositiveUnlabelledLoss(prior=0.5, gamma=gamma)(z, y)
        (slope,) = torch.autograd.grad(value, z)
        s = torch.sigmoid(torch.tensor([0.0, -9.0]))
        expected = gamma * torch.stack([0.5 * s[0] * (1 - s[0]), -s[1] * (1 - s[1])])
        torch.testing.assert_close(slope.squeeze(1), expected)
    unbiased = whyloss.PositiveUnlabelledLoss(prior=0.5, nonnegative=False)(z, y)
    torch.testing.assert_close(unbiased, 0.25 + s[1] - 0.25)


def test_the_unbiased_risk_is_that_of_known_labels():
    """With every label known and the true prior, on average over which positives are labelled."""
    z, _ = samples(3, (200, 1))
    truth = (torch.arange(200) % 4 == 0).long().unsqueeze(1)
    logistic = whyloss.BinaryCrossEntropyLoss()(z, truth)
    # The positives twice: once labelled, once among the unlabelled.
    both = torch.cat([z[truth.squeeze(1) == 1], z])
    labels = torch.cat([torch.ones(50, 1), torch.zeros(200, 1)])
    pu = whyloss.PositiveUnlabelledLoss(prior=0.25, surrogate="logistic", nonnegative=False)
    torch.testing.assert_close(pu(both, labels), logistic)

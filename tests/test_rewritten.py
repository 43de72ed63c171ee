"""Logits that go through a function first, evidence, outliers, teachers, views and clusters."""

import copy
import math
import pickle

import pytest
import torch
from instances import rows, soft, value_and_gradient
from torch import Tensor
from torch.autograd import gradcheck
from torch.distributions import Dirichlet, kl_divergence
from torch.nn.functional import cross_entropy, one_hot

import whyloss

# --- adjustments -----------------------------------------------------------------------------------------------------


def test_a_soft_cap_for_any_loss_and_link():
    z, y = rows(8)
    adjust = whyloss.Adjustment(softcap=3.0, scale=2.0, shift=torch.tensor([0.0, 1, 2, 3]).double())
    capped = 2 * (3 * torch.tanh(z / 3) + torch.arange(4).double())
    for cls in (whyloss.FocalLoss, whyloss.MulticlassHingeLoss, whyloss.SparsemaxLoss):
        each = cls(adjust=adjust, reduction="none")(z, y)
        torch.testing.assert_close(each, cls(reduction="none")(capped, y))
    binary = whyloss.BinaryCrossEntropyLoss(adjust=whyloss.Adjustment(softcap=3.0))
    torch.testing.assert_close(
        binary(z, y.unsqueeze(1) < 2 * torch.ones_like(z)),
        whyloss.BinaryCrossEntropyLoss()(3 * torch.tanh(z / 3), y.unsqueeze(1) < 2 * torch.ones_like(z)),
    )


def test_a_soft_cap_keeps_masks_ignores_and_slopes():
    z = torch.tensor([[-torch.inf, 200.0, 0.0], [torch.nan, 0.0, 0.0]])
    loss = whyloss.SoftCappedCrossEntropyLoss(cap=10.0)
    value, gradient = value_and_gradient(loss, z, torch.tensor([2, -100]))
    assert value.item() == pytest.approx(10 + math.log1p(math.exp(-10)))
    assert gradient[0, 0] == 0
    assert not gradient[1].any()
    slope = 4 * math.exp(-40) / (1 + math.exp(-40)) ** 2
    assert gradient[0, 1].item() == pytest.approx(slope / (1 + math.exp(-10)), abs=0, rel=1e-5)
    half = value_and_gradient(loss, torch.tensor([[2.0, -3.0]], dtype=torch.float16), torch.tensor([0]))
    assert (half[0].dtype, half[1].dtype) == (torch.float32, torch.float16)


def test_soft_caps_of_a_linear_head():
    h, weight = torch.randn(40, 5).double(), torch.randn(7, 5).double()
    bias = torch.tensor([0.0, -torch.inf, 0, 1, 0, 0, 2]).double()
    y = torch.tensor([0, 2, 3, 4, 5, 6, 0, 2]).repeat(5)
    loss, plain = whyloss.SoftCappedCrossEntropyLoss(cap=2.0), whyloss.CrossEntropyLoss()
    expected = loss(h @ weight.T + bias, y)
    for found in (loss.linear(h, weight, y, bias), plain.linear(h, weight, y, bias, softcap=2.0)):
        torch.testing.assert_close(found, expected)
    h.requires_grad_()
    ours = torch.autograd.grad(plain.linear(h, weight, y, bias, softcap=2.0), h)
    torch.testing.assert_close(ours, torch.autograd.grad(loss(h @ weight.T + bias, y), h))
    with pytest.raises(ValueError, match="one of its own"):
        loss.linear(h, weight, y, softcap=3.0)
    for other in (whyloss.LogitNormLoss(temperature=1.0), whyloss.TaylorSoftmaxLoss()):
        torch.testing.assert_close(other.linear(h, weight, y), other(h @ weight.T, y))


def test_logit_norm_is_what_its_paper_says_and_bounded_at_zero():
    z, y = rows(8)
    plain = cross_entropy(z / (0.5 * z.norm(dim=1, keepdim=True)), y)
    torch.testing.assert_close(whyloss.LogitNormLoss(temperature=0.5)(z, y), plain)
    value, gradient = value_and_gradient(whyloss.LogitNormLoss(), torch.zeros(1, 3), torch.tensor([0]))
    assert value.item() == pytest.approx(math.log(3))
    assert gradient.abs().max().item() == pytest.approx(2 / 3 / (0.04 * 0.01))
    huge = torch.tensor([[3e30, 4e30]])
    assert whyloss.LogitNormLoss(temperature=1.0)(huge, torch.tensor([0])).item() == pytest.approx(0.7981, abs=1e-4)


@pytest.mark.parametrize("order", [2, 4, 6])
def test_taylor_softmax_is_what_its_paper_says(order: int):
    z, y = rows(12)
    f = sum(z**k / math.factorial(k) for k in range(order + 1))
    assert isinstance(f, Tensor)
    plain = -torch.log(f / f.sum(1, keepdim=True)).gather(1, y.unsqueeze(1)).mean()
    torch.testing.assert_close(whyloss.TaylorSoftmaxLoss(order=order)(z, y), plain)
    far = torch.tensor([[1e30, -torch.inf, 0.0]])
    value = whyloss.TaylorSoftmaxLoss(order=order)(far, torch.tensor([2]))
    assert value.item() == pytest.approx(order * math.log(1e30) - math.log(math.factorial(order)), rel=1e-5)
    with pytest.raises(ValueError, match="even order"):
        whyloss.TaylorSoftmaxLoss(order=order + 1)


# --- evidence --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("risk", ["squared", "likelihood", "cross-entropy"])
@pytest.mark.parametrize("evidence", ["softplus", "relu", "exp"])
def test_evidential_risks_and_divergence_are_those_of_the_dirichlet_distribution(risk: str, evidence: str):
    z, y = rows(8)
    q = one_hot(y, 4).double()
    alpha = {"softplus": torch.log1p(z.exp()), "relu": torch.relu(z), "exp": z.exp()}[evidence] + 1
    S = alpha.sum(1, keepdim=True)
    p, left = alpha / S, q + (1 - q) * alpha
    kl = kl_divergence(Dirichlet(left), Dirichlet(torch.ones_like(left)))
    each = {
        "squared": ((q - p) ** 2 + p * (1 - p) / (S + 1)).sum(1),
        "likelihood": (q * (S.log() - alpha.log())).sum(1),
        "cross-entropy": (q * (torch.digamma(S) - torch.digamma(alpha))).sum(1),
    }[risk]
    loss = whyloss.EvidentialLoss(risk=risk, evidence=evidence, kl=0.3, reduction="none")
    torch.testing.assert_close(loss(z, y), each + 0.3 * kl, rtol=1e-8, atol=1e-8)
    assert gradcheck(lambda z: loss(z, y), z.requires_grad_())
    exact, found = loss(z, y).detach(), loss(z.detach().float(), y)
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=2e-5)


def test_the_paper_s_evidence_has_no_slope_below_zero():
    z, y = -torch.ones(1, 3), torch.tensor([0])
    assert not value_and_gradient(whyloss.EvidentialLoss(evidence="relu"), z, y)[1].any()
    assert value_and_gradient(whyloss.EvidentialLoss(), z, y)[1].all()


# --- outliers --------------------------------------------------------------------------------------------------------


def outliers() -> tuple[Tensor, Tensor]:
    return rows(8)[0], torch.tensor([0, 1, -1, 2, -100, -1, 3, 0])


def test_open_set_losses_by_their_formulas():
    z, y = outliers()
    known, out = y >= 0, y == -1
    ce = cross_entropy(z, y.clamp_min(0), reduction="none")
    flat, energy = -torch.log_softmax(z, 1).mean(1), -torch.logsumexp(z, 1)
    each = torch.where(known, ce, 0.0) + torch.where(out, flat, 0.0)
    torch.testing.assert_close(whyloss.EntropicOpenSetLoss(reduction="none")(z, y), each)
    torch.testing.assert_close(whyloss.EntropicOpenSetLoss()(z, y), each.sum() / 7)
    torch.testing.assert_close(whyloss.EntropicOpenSetLoss()(z, y, normalizer=5.0), each.sum() / 5)
    exposed = ce[known].mean() + 0.5 * flat[out].mean()
    torch.testing.assert_close(whyloss.OutlierExposureLoss()(z, y), exposed)
    hinge = (energy + 2).clamp_min(0)[known].square().mean() + (1 - energy).clamp_min(0)[out].square().mean()
    loss = whyloss.EnergyHingeLoss(inside=-2.0, outside=1.0)
    torch.testing.assert_close(loss(z, y), ce[known].mean() + 0.1 * hinge)
    features = torch.randn(8, 3).double()
    length = features.norm(dim=1)
    more = torch.where(known, (2 - length).clamp_min(0) ** 2, 0.0) + torch.where(out, length**2, 0.0)
    loss = whyloss.ObjectosphereLoss(xi=2.0, factor=0.3)
    torch.testing.assert_close(loss(z, y, features=features), (each + 0.3 * more).sum() / 7)


OPEN_SET = [
    whyloss.EntropicOpenSetLoss,
    whyloss.ObjectosphereLoss,
    whyloss.OutlierExposureLoss,
    whyloss.EnergyHingeLoss,
]


@pytest.mark.parametrize("cls", OPEN_SET)
def test_an_outlier_of_questions_is_a_target_of_zeros(cls: type[whyloss.Loss]):
    with pytest.raises(ValueError, match="a no to each, a target of 0"):
        cls(link="sigmoid")


@pytest.mark.parametrize("cls", OPEN_SET)
def test_open_set_losses_have_slopes_and_hold_at_the_edges(cls: type[whyloss.Loss]):
    z, y = outliers()
    more = {"features": torch.randn(8, 3).double()} if cls.reads else {}
    for reduction in ("mean", "sum", "none"):
        loss = cls(reduction=reduction)
        assert gradcheck(lambda z: loss(z, y, **more), z.detach().requires_grad_())  # noqa: B023
    dirty = z.detach().clone()
    dirty[4] = torch.nan
    dirtied = {n: torch.where((y == -100).unsqueeze(1), torch.nan, x) for n, x in more.items()}
    clean, gradient = value_and_gradient(cls(), z, y, **more)
    torch.testing.assert_close(value_and_gradient(cls(), dirty, y, **dirtied), (clean, gradient))
    value, gradient = value_and_gradient(cls(), z, torch.full_like(y, -100), **more)
    assert value == 0
    assert not gradient.any()
    assert torch.isnan(cls(empty="nan")(z, torch.full_like(y, -100), **more))
    masked = torch.cat([z[:, :1], torch.full((8, 1), -torch.inf).double(), z[:, 1:]], 1)
    torch.testing.assert_close(cls()(masked, torch.where(y > 0, y + 1, y), **more), clean)
    for only in (y.clamp_min(0), torch.full_like(y, -1)):  # one kind of rows alone
        assert torch.isfinite(value_and_gradient(cls(), z, only, **more)[1]).all()
    weight = torch.tensor([1.0, 2, 1, 0, 5, 1, 1, 3]).double()
    again = torch.arange(8).repeat_interleave(weight.long())
    twice = cls()(z[again], y[again], **{n: x[again] for n, x in more.items()})
    torch.testing.assert_close(cls()(z, y, weight, **more), twice)
    half = value_and_gradient(cls(), z.half(), y, **more)
    assert (half[0].dtype, half[1].dtype) == (torch.float32, torch.float16)
    one = one_hot(y.clamp_min(0), 4).double()
    mixed = torch.where((y == -1).unsqueeze(1), -1.0, torch.where((y == -100).unsqueeze(1), -100.0, one))
    torch.testing.assert_close(cls()(z, mixed, **more), clean)
    pixels = {n: x.reshape(2, 4, 3) for n, x in more.items()}
    torch.testing.assert_close(cls()(z.reshape(2, 4, 4).movedim(-1, 1), y.reshape(2, 4), **pixels), clean)


# --- teachers and views ----------------------------------------------------------------------------------------------


def test_distillation_by_its_formula():
    (z, _), teacher = rows(8), rows(8, seed=3)[0]
    p, q = (torch.softmax(x / 3, 1) for x in (z, teacher))
    kl = (q * (q / p).log()).sum(1)
    loss = whyloss.DistillationLoss(temperature=3.0, reduction="none")
    torch.testing.assert_close(loss(z, teacher), 9 * kl)
    given = whyloss.DistillationLoss(temperature=3.0, teacher="probabilities", reduction="none")
    torch.testing.assert_close(given(z, torch.softmax(teacher, 1)), 9 * kl)
    value, gradient = value_and_gradient(whyloss.DistillationLoss(reduction="sum"), z, z)
    assert value.abs() < 1e-12
    assert gradient.abs().max() < 1e-12
    m = 0.3 * q + 0.7 * p
    js = 0.3 * (q * (q / m).log()).sum(1) + 0.7 * (p * (p / m).log()).sum(1)
    loss = whyloss.JensenShannonDistillationLoss(beta=0.3, temperature=3.0, reduction="none")
    torch.testing.assert_close(loss(z, teacher), js)
    loss = whyloss.TotalVariationDistillationLoss(temperature=3.0, reduction="none")
    torch.testing.assert_close(loss(z, teacher), (p - q).abs().sum(1) / 2)


def test_high_temperatures_match_differences_of_logits():
    """Hinton et al. 2015, section 2.1: the gradient tends to (z - v) / N for centred logits, times T^2 / T^2."""
    z, v = (x - x.mean(1, keepdim=True) for x in (rows(4)[0], rows(4, seed=3)[0]))
    loss = whyloss.DistillationLoss(temperature=1e5, reduction="sum")
    torch.testing.assert_close(value_and_gradient(loss, z, v)[1], (z - v) / 4, rtol=1e-3, atol=1e-3)


def test_labels_beside_a_teacher_and_rows_left_out():
    (z, y), teacher = rows(8), rows(8, seed=3)[0]
    loss = whyloss.LabelledDistillationLoss(temperature=2.0, share=0.7, reduction="none")
    soft_part = whyloss.DistillationLoss(temperature=2.0, reduction="none")(z, teacher)
    hard = cross_entropy(z, y, reduction="none")
    torch.testing.assert_close(loss(z, teacher, labels=y), 0.7 * soft_part + 0.3 * hard)
    y[1], teacher[2] = -100, -100.0
    each = loss(z, teacher, labels=y)
    torch.testing.assert_close(each[1], 0.7 * soft_part[1])
    assert each[2] == 0
    teacher.requires_grad_()
    assert gradcheck(lambda t: whyloss.DistillationLoss()(z[3:], t[3:]), teacher)


def test_teachers_of_answers():
    """By hand, and near certainty: both shares of a teacher are exact, so that slopes are."""
    z, teacher = torch.tensor([0.3, -2.0]).double(), torch.tensor([1.0, -0.5]).double()
    p, q = torch.sigmoid(z / 3), torch.sigmoid(teacher / 3)
    loss = whyloss.DistillationLoss(temperature=3.0, link="sigmoid", reduction="none")
    expected = 9 * (q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log())
    torch.testing.assert_close(loss(z, teacher), expected)
    given = whyloss.DistillationLoss(temperature=3.0, link="sigmoid", reduction="none", teacher="probabilities")
    torch.testing.assert_close(given(z, torch.sigmoid(teacher)), expected)
    distance = whyloss.TotalVariationDistillationLoss(temperature=3.0, link="sigmoid", reduction="none")
    torch.testing.assert_close(distance(z, teacher), (p - q).abs())
    torch.testing.assert_close(loss.each(z, teacher)[0], expected)
    z = torch.tensor([30.0, 25.0, -25.0, -40.0, 1e4, 30.0])
    sure = torch.tensor([25.0, 30.0, -30.0, -30.0, 40.0, torch.inf])
    for loss in (
        whyloss.DistillationLoss(temperature=1.0, link="sigmoid", reduction="none"),
        whyloss.TotalVariationDistillationLoss(link="sigmoid", reduction="none"),
    ):
        found, exact = value_and_gradient(loss, z, sure), value_and_gradient(loss, z.double(), sure.double())
        for ours, theirs in zip(found, exact, strict=True):
            torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=0)
    z, t = torch.randn(4, 3).double(), torch.randn(4, 3).double()
    dirty = t.clone()
    dirty[1, 2] = -100
    value, gradient = value_and_gradient(loss, z, dirty)
    torch.testing.assert_close(value[dirty != -100], loss(z, t)[dirty != -100])
    assert value[1, 2] == gradient[1, 2] == 0


def test_views_that_agree_cost_nothing_more():
    (z, y), views = rows(8), torch.stack([rows(8, seed=s)[0] for s in (3, 4)], 1)
    loss = whyloss.JensenShannonConsistencyLoss(factor=2.0, reduction="none")
    ce = cross_entropy(z, y, reduction="none")
    torch.testing.assert_close(loss(z, y, views=z.unsqueeze(1).expand(8, 3, 4)), ce)
    p = torch.softmax(torch.cat([z.unsqueeze(1), views], 1), 2)
    js = (p * (p / p.mean(1, keepdim=True)).log()).sum(2).mean(1)
    torch.testing.assert_close(loss(z, y, views=views), ce + 2 * js)
    views.requires_grad_()
    assert gradcheck(lambda v: loss(z, y, views=v), views)
    dirty, ignored = views.detach().clone(), y.clone()
    dirty[3], ignored[3] = torch.nan, -100
    dirty.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(z, ignored, views=dirty).sum(), dirty)
    assert torch.isfinite(gradient).all()
    assert not gradient[3].any()
    q = soft(8)
    torch.testing.assert_close(loss(z, q, views=views), -(q * torch.log_softmax(z, 1)).sum(1) + 2 * js)


# --- clusters --------------------------------------------------------------------------------------------------------


def adaptive(**options: object) -> tuple[whyloss.AdaptiveSoftmaxLoss, torch.nn.AdaptiveLogSoftmaxWithLoss]:
    ours = whyloss.AdaptiveSoftmaxLoss(hidden_size=16, classes=50, cutoffs=(10, 25), bias=True, **options).double()
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(16, 50, [10, 25], head_bias=True).double()
    for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        other.data.copy_(own.data)
    return ours, theirs


def test_adaptive_softmax_is_torchs_and_has_the_options_of_other_losses():
    ours, theirs = adaptive(reduction="none")
    h = torch.randn(30, 16).double().requires_grad_()
    y = torch.arange(30) * 50 // 30
    torch.testing.assert_close(ours(h, y), -theirs(h, y).output)
    torch.testing.assert_close(
        torch.autograd.grad(ours(h, y).sum(), [h, *ours.parameters()]),
        torch.autograd.grad(-theirs(h, y).output.sum(), [h, *theirs.parameters()]),
    )
    torch.testing.assert_close(ours.log_softmax(h), theirs.log_prob(h))
    each, weight = ours(h, y).detach(), torch.linspace(0, 2, 50).double()
    loss = copy.deepcopy(ours)
    loss.weight, loss.reduction = weight, "mean"
    torch.testing.assert_close(loss(h, y), (each * weight[y]).sum() / weight[y].sum())
    total, count = loss.parts(h, y)
    torch.testing.assert_close(total / count, loss(h, y))
    torch.testing.assert_close(loss(h, y, normalizer=3.0), total / 3)
    loss.weight = None
    dirty, ignored = h.detach().clone(), y.clone()
    dirty[4], ignored[4] = torch.nan, -100
    value, gradient = value_and_gradient(loss, dirty, ignored)
    torch.testing.assert_close(value, (each.sum() - each[4]) / 29)
    assert not gradient[4].any()
    assert torch.isfinite(gradient).all()
    value, gradient = value_and_gradient(loss, dirty, torch.full_like(y, -100))
    assert value == 0
    assert not gradient.any()
    again = torch.arange(30).repeat_interleave(torch.arange(30) % 3)
    torch.testing.assert_close(loss(h, y, sample_weight=torch.arange(30) % 3), loss(h[again], y[again]))
    torch.testing.assert_close(loss(h.reshape(5, 6, 16), y.reshape(5, 6)), loss(h, y))
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        torch.testing.assert_close(other(h, y), loss(h, y))


def test_adaptive_softmax_refuses_in_words_and_takes_a_cluster_of_one():
    loss = whyloss.AdaptiveSoftmaxLoss(hidden_size=4, classes=6, cutoffs=(2, 5))
    each = -loss.log_softmax(torch.ones(6, 4)).diagonal()
    loss.reduction = "none"
    torch.testing.assert_close(loss(torch.ones(6, 4), torch.arange(6)), each)
    with pytest.raises(ValueError, match="rising cutoffs"):
        whyloss.AdaptiveSoftmaxLoss(hidden_size=4, classes=6, cutoffs=(5, 2))
    with pytest.raises(ValueError, match=r"hidden \(2, 3\)"):
        loss(torch.ones(2, 3), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="holds 6"):
        loss(torch.ones(1, 4), torch.tensor([6]))

"""Sparse and heavy-tailed maps, their Fenchel-Young losses, and bi-tempered logistic loss."""

import copy
import math

import pytest
import torch
from instances import rows, soft, value_and_gradient
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import whyloss
from whyloss.losses.proper import simplex

# Torch's own forward mode loads a module that warns of torch.jit.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")

MAPS = {
    "sparsemax": whyloss.sparsemax,
    "entmax 1.1": lambda z: whyloss.entmax(z, 1.1),
    "entmax 1.5": whyloss.entmax,
    "entmax 3": lambda z: whyloss.entmax(z, 3.0),
    "normmax 2": whyloss.normmax,
    "normmax 1.2": lambda z: whyloss.normmax(z, 1.2),
    "tempered 0.5": lambda z: whyloss.tempered_softmax(z, 0.5),
    "tempered 1.2": lambda z: whyloss.tempered_softmax(z, 1.2),
    "tempered 4": lambda z: whyloss.tempered_softmax(z, 4.0),
}


def by_sorting(z: Tensor) -> Tensor:
    """Sparsemax as in algorithm 1 of its paper."""
    ordered = z.sort(1, descending=True).values
    total, k = ordered.cumsum(1), torch.arange(1, z.shape[1] + 1)
    size = (1 + k * ordered > total).sum(1, keepdim=True)
    return (z - (total.gather(1, size - 1) - 1) / size).clamp_min(0)


@pytest.mark.parametrize("name", MAPS)
def test_maps_have_both_derivatives(name: str):
    z = rows(5, 4)[0].requires_grad_()
    assert gradcheck(MAPS[name], z)
    assert gradgradcheck(MAPS[name], z, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("classes", [2, 1000])
@pytest.mark.parametrize("name", MAPS)
def test_maps_give_distributions_that_ignore_a_constant_and_an_order(name: str, classes: int, scale: float):
    z = scale * torch.randn(8, classes, generator=torch.Generator().manual_seed(0))
    p = MAPS[name](z)
    assert (p >= 0).all()
    torch.testing.assert_close(p.sum(1), torch.ones(8), rtol=3e-6, atol=0)
    torch.testing.assert_close(MAPS[name](z.flip(1)).flip(1), p)
    exact = MAPS[name](z.double())
    torch.testing.assert_close(MAPS[name](z.double() - 7), exact, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(p.double(), exact, rtol=1e-4, atol=2e-3 if name == "entmax 3" else 2e-5)


@pytest.mark.parametrize("name", MAPS)
def test_a_masked_class_is_as_good_as_absent(name: str):
    z = torch.tensor([[0.3, -torch.inf, 0.1, -0.2]])
    assert MAPS[name](z)[0, 1] == 0
    torch.testing.assert_close(MAPS[name](z)[:, [0, 2, 3]], MAPS[name](z[:, [0, 2, 3]]))


def test_maps_take_any_axis_and_16_bits():
    z = torch.randn(2, 5, 3)
    torch.testing.assert_close(whyloss.sparsemax(z, dim=1), whyloss.sparsemax(z.movedim(1, -1)).movedim(-1, 1))
    half = whyloss.entmax(z.half(), 1.5)
    assert half.dtype == torch.float16
    torch.testing.assert_close(half, whyloss.entmax(z.half().float(), 1.5).half())
    torch.testing.assert_close(whyloss.entmax(z, 1.0), z.softmax(-1))
    for wrong in (
        lambda: whyloss.entmax(z, 0.9),
        lambda: whyloss.normmax(z, 1.0),
        lambda: whyloss.tempered_softmax(z, -1),
    ):
        with pytest.raises(ValueError, match="is needed"):
            wrong()


def test_sparsemax_is_what_sorting_finds_in_few_steps(monkeypatch: pytest.MonkeyPatch):
    taken: list[int] = []
    step = simplex._step
    monkeypatch.setattr(simplex, "_step", lambda *a: taken.append(1) or step(*a))
    for scale in (1e-3, 0.1, 1.0, 10.0):
        z = scale * torch.randn(16, 3000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        taken.clear()
        torch.testing.assert_close(whyloss.sparsemax(z), by_sorting(z), rtol=1e-12, atol=1e-14)
        assert len(taken) < 16


def test_entmax_and_normmax_by_hand():
    """Of two classes with the gap d: sparsemax (1 + d) / 2; entmax 1.5 has p = (1/2 + d sqrt(8 - d^2) / 8, ...)."""
    d = 0.8
    z = torch.tensor([[d, 0.0]]).double()
    assert whyloss.sparsemax(z)[0, 0].item() == pytest.approx((1 + d) / 2)
    assert whyloss.entmax(z)[0, 0].item() == pytest.approx(0.5 + d * math.sqrt(8 - d * d) / 8)
    above = (d + math.sqrt(2 - d * d)) / 2  # (v, v - d) has length 1
    assert whyloss.normmax(z)[0, 0].item() == pytest.approx(above / (2 * above - d))
    root = (math.sqrt(13) - 1) / 2  # 1/a + 1/(a + 3) = 1
    heavy = whyloss.tempered_softmax(torch.tensor([[3.0, 0.0]]).double(), 2.0)
    assert heavy[0, 0].item() == pytest.approx(1 / root)


# --- losses ----------------------------------------------------------------------------------------------------------


def negative_tsallis(alpha: float):
    return lambda p: ((p**alpha - p) / (alpha * (alpha - 1))).sum(1)


def negative_norm(alpha: float):
    return lambda p: (p**alpha).sum(1) ** (1 / alpha) - 1


FAMILY = {
    "sparsemax": (whyloss.SparsemaxLoss(), negative_tsallis(2.0), whyloss.sparsemax),
    "entmax 1.5": (whyloss.Entmax15Loss(), negative_tsallis(1.5), whyloss.entmax),
    "entmax 1.2": (whyloss.EntmaxLoss(alpha=1.2), negative_tsallis(1.2), lambda z: whyloss.entmax(z, 1.2)),
    "entmax 3": (whyloss.EntmaxLoss(alpha=3.0), negative_tsallis(3.0), lambda z: whyloss.entmax(z, 3.0)),
    "normmax 2": (whyloss.NormmaxLoss(), negative_norm(2.0), whyloss.normmax),
    "normmax 5": (whyloss.NormmaxLoss(alpha=5.0), negative_norm(5.0), lambda z: whyloss.normmax(z, 5.0)),
    "softmax": (whyloss.FenchelYoungLoss(), lambda p: torch.xlogy(p, p).sum(1), lambda z: z.softmax(1)),
}


@pytest.mark.parametrize("name", FAMILY)
def test_losses_are_fenchel_young(name: str):
    """Ω*(z) + Ω(q) - <z, q> as written; the gradient is p - q; nothing is lost where q = p."""
    loss, omega, argmax = FAMILY[name]
    (z, y), q = rows(), soft()
    p = argmax(z)
    one_hot = torch.nn.functional.one_hot(y, 4).double()
    for target, distribution in ((y, one_hot), (q, q)):
        plain = (p * z).sum(1) - omega(p) + omega(distribution) - (z * distribution).sum(1)
        value, gradient = value_and_gradient(lambda z, t: loss(z, t).sum() * 6, z, target)
        torch.testing.assert_close(value, plain.sum())
        torch.testing.assert_close(gradient, p - distribution)
        general = whyloss.FenchelYoungLoss(omega=omega, argmax=argmax)
        torch.testing.assert_close(value_and_gradient(general, z, target), value_and_gradient(loss, z, target))
    assert loss(z, p).abs() < 1e-14


@pytest.mark.parametrize("name", FAMILY)
def test_a_target_that_learns_gets_its_slope(name: str):
    loss, z = copy.deepcopy(FAMILY[name][0]), rows(3)[0]
    loss.validate = False  # a finite difference leaves the simplex
    q = soft(3).requires_grad_()
    assert gradcheck(lambda q: loss(z, q), q)


def test_the_second_derivative_of_entmax_is_there():
    z = torch.tensor([[0.1, 0.2, 0.3]]).double()
    hessian = torch.autograd.functional.hessian(lambda z: whyloss.Entmax15Loss()(z, torch.tensor([0])), z)
    assert hessian.abs().max().item() == pytest.approx(0.3992, abs=1e-4)
    compiled = torch.func.hessian(lambda z: whyloss.Entmax15Loss()(z, torch.tensor([0])))(z)
    torch.testing.assert_close(compiled, hessian)


def test_sparsemax_loss_of_two_classes_is_the_huber_loss_of_classification():
    """Martins & Astudillo 2016, eq. 20: 0 from a lead of 1 on, (t - 1)^2 / 4 within 1, -t below."""
    t = torch.tensor([-30.0, -1.0, -0.5, 0.0, 0.5, 1.0, 30.0]).double()
    z, y = torch.stack([t, torch.zeros_like(t)], 1), torch.zeros(7).long()
    expected = torch.where(t >= 1, 0.0, torch.where(t <= -1, -t, (t - 1) ** 2 / 4))
    torch.testing.assert_close(whyloss.SparsemaxLoss(reduction="none")(z, y), expected)


def test_entmax_tends_to_cross_entropy():
    z, y = rows(scale=0.5)
    near = value_and_gradient(whyloss.EntmaxLoss(alpha=1.0001), z, y)
    for ours, theirs in zip(near, value_and_gradient(whyloss.CrossEntropyLoss(), z, y), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=1e-4)


def test_an_impossible_label_costs_infinity():
    z = torch.tensor([[-torch.inf, 0.0, 0.2]])
    for loss in (whyloss.SparsemaxLoss(), whyloss.NormmaxLoss(), whyloss.FenchelYoungLoss()):
        value, gradient = value_and_gradient(loss, z, torch.tensor([0]))
        assert value == torch.inf
        assert torch.isfinite(gradient).all()
        assert gradient[0, 0] == 0


# --- two temperatures ------------------------------------------------------------------------------------------------


def test_bi_tempered_by_hand():
    """t2 = 2 and a gap of 3: p as above. t1 = 0: log_0 x = x - 1, so the loss is half the squared distance."""
    z, p = torch.tensor([[3.0, 0.0]]).double(), 2 / (math.sqrt(13) - 1)
    loss = whyloss.BiTemperedLogisticLoss(t1=0.0, t2=2.0)
    assert loss(z, torch.tensor([1])).item() == pytest.approx(p * p)
    loss = whyloss.BiTemperedLogisticLoss(t1=0.5, t2=2.0)
    written = 2 * (1 - math.sqrt(1 - p)) - (1 - p**1.5 - (1 - p) ** 1.5) / 1.5
    assert loss(z, torch.tensor([1])).item() == pytest.approx(written)


def test_temperatures_of_one_are_cross_entropy_and_equal_ones_a_fenchel_young_loss():
    (z, y), q = rows(), soft()
    both = whyloss.BiTemperedLogisticLoss(t1=1.0, t2=1.0), whyloss.CrossEntropyLoss()
    torch.testing.assert_close(*(value_and_gradient(loss, z, y) for loss in both))
    # Where every class has a share, Amid et al.'s matching loss is the Fenchel-Young loss of the same entropy.
    z = 0.2 * z
    equal = whyloss.BiTemperedLogisticLoss(t1=0.5, t2=0.5), whyloss.Entmax15Loss()
    assert (whyloss.entmax(z[:3]) > 0).all()
    torch.testing.assert_close(*(value_and_gradient(loss, z[:3], q[:3]) for loss in equal))


def test_tails_are_exact_in_float32():
    z = torch.tensor([[1e4, 0.0, 0.0], [0.0, 1e4, 0.0], [30.0, 0.0, 1.0]])
    y = torch.tensor([0, 0, 0])
    for t1, t2 in ((0.8, 1.4), (0.2, 4.0), (1.0, 1.2)):
        loss = whyloss.BiTemperedLogisticLoss(t1=t1, t2=t2, reduction="none")
        for ours, exact in zip(value_and_gradient(loss, z, y), value_and_gradient(loss, z.double(), y), strict=True):
            torch.testing.assert_close(ours.double(), exact, rtol=1e-4, atol=0)
            assert (ours != 0).all()


def test_with_ending_tails_a_label_out_of_reach_costs_the_bound():
    z = torch.tensor([[0.0, 30.0]])
    value, gradient = value_and_gradient(whyloss.BiTemperedLogisticLoss(t1=0.5, t2=0.5), z, torch.tensor([0]))
    assert value.item() == pytest.approx(1 / (0.5 * 1.5) + 1 / 1.5)
    assert not gradient.any()
    value, gradient = value_and_gradient(whyloss.BiTemperedLogisticLoss(t1=1.0, t2=0.5), z, torch.tensor([0]))
    assert value == torch.inf
    assert torch.isfinite(gradient).all()

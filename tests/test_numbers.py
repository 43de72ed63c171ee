"""Regression as classification: bins, targets, decoding, and the laws of the losses of numbers."""

import math

import pytest
import torch
from instances import NUMBERS, Case, defaults, value_and_gradient
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import whyloss

UNIFORM = whyloss.Bins.uniform(-1.0, 1.0, 8)
BINS = {
    "uniform": UNIFORM,
    "atoms": whyloss.Bins.atoms(-1.0, 1.0, 8),
    "symlog": whyloss.Bins.symlog(-50.0, 20.0, 8),
    "quantiles": whyloss.Bins.quantiles(torch.randn(200, generator=torch.Generator().manual_seed(0)), 8),
    "by hand": whyloss.Bins([0.0, 1.0, 4.0, 5.0], support=[0.5, 2.0, 4.75]),
}


def batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Logits over 4 bins and numbers within and beyond the support 0 to 3."""
    z = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).double() * torch.logspace(-1, 1, 6)[:, None]
    return z.to(dtype), torch.tensor([0.0, 0.3, 1.5, 2.999, -4.0, 30.0]).to(dtype)


# --- laws ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", NUMBERS, ids=str)
def test_derivatives_are_the_finite_differences(case: Case):
    z, v = batch()
    z.requires_grad_()
    loss = case.build(4, reduction="none")
    assert gradcheck(lambda z: loss(z, v), z)
    assert gradgradcheck(lambda z: loss(z, v), z)


@pytest.mark.parametrize("case", NUMBERS, ids=str)
def test_lower_precision_holds_to_float64(case: Case):
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        z, v = batch(dtype)
        value, gradient = value_and_gradient(case.build(4), z, v)
        exact, slope = value_and_gradient(case.build(4), z.double(), v.double())
        assert (value.dtype, gradient.dtype) == (torch.float32, dtype)
        torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(gradient.double(), slope, rtol=max(1e-5, torch.finfo(dtype).eps), atol=2e-6)


@pytest.mark.parametrize("case", defaults(NUMBERS), ids=str)
def test_reductions_weights_and_missing_numbers(case: Case):
    z, v = batch()
    each = case.build(4, reduction="none")(z, v)
    weight = torch.tensor([1, 2, 1, 1, 3, 0])
    again = torch.arange(6).repeat_interleave(weight)
    loss = case.build(4)
    torch.testing.assert_close(loss(z, v), each.mean())
    torch.testing.assert_close(case.build(4, reduction="sum")(z, v), each.sum())
    torch.testing.assert_close(loss(z, v, sample_weight=weight.double()), loss(z[again], v[again]))
    torch.testing.assert_close(loss(z, v, normalizer=4), each.sum() / 4)
    total, count = loss.parts(z, v)
    assert (total.item(), count.item()) == (pytest.approx(each.sum().item()), 6)
    dirty, missing = z.clone(), v.clone()
    dirty[0], missing[0] = torch.nan, torch.nan
    tolerant = case.build(4, ignore_nan=True)
    value, gradient = value_and_gradient(tolerant, dirty, missing)
    torch.testing.assert_close(value, each[1:].mean())
    assert not gradient[0].any()
    value, gradient = value_and_gradient(tolerant, z, v * torch.nan)
    assert value == 0
    assert not gradient.any()
    assert loss(z[:0], v[:0]) == 0
    with pytest.raises(ValueError, match="ignore_nan=True"):
        loss(z, missing)


@pytest.mark.parametrize("case", defaults(NUMBERS), ids=str)
def test_pixels_and_single_rows(case: Case):
    z, v = batch()
    loss = case.build(4, reduction="none")
    image = z.reshape(2, 3, 4).movedim(-1, 1)
    torch.testing.assert_close(loss(image, v.reshape(2, 3)).flatten(), loss(z, v))
    torch.testing.assert_close(loss(z[1], v[1]), loss(z, v)[1])
    assert torch.equal(loss(z, torch.arange(6)), loss(z, torch.arange(6.0)))


@pytest.mark.parametrize("case", NUMBERS, ids=str)
def test_a_number_far_outside_costs_a_wrong_prediction_dearly(case: Case):
    z = torch.tensor([[30.0, 0.0, 0.0, 0.0]])
    for v in (1e3, 1e8, 1e30):
        value, gradient = value_and_gradient(case.build(4), z, torch.tensor([v]))
        assert value.item() == pytest.approx(30, rel=1e-6)
        assert gradient[0].tolist() == pytest.approx([1, 0, 0, -1], abs=1e-6)
        assert value_and_gradient(case.build(4), z, torch.tensor([-v]))[0].item() < 1e-6


# --- identities ------------------------------------------------------------------------------------------------------


def test_hl_gauss_towards_sigma_zero_is_one_hot():
    bins = UNIFORM
    v = bins.support.double()
    torch.testing.assert_close(bins.gaussian(v, 1e-6), torch.eye(8).double())
    z = torch.randn(8, 8).double()
    sharp = whyloss.HLGaussLoss(bins=bins, sigma=1e-6)
    torch.testing.assert_close(sharp(z, v), whyloss.CrossEntropyLoss()(z, torch.arange(8)))


def test_hl_gauss_masses_are_differences_of_erf():
    v = torch.linspace(-0.9, 0.9, 7).double()
    cdf = torch.special.ndtr((UNIFORM.edges.double() - v[:, None]) / 0.2)
    masses = cdf.diff(dim=1)
    torch.testing.assert_close(UNIFORM.gaussian(v, 0.2), masses / masses.sum(1, keepdim=True))
    # 0.75 bin widths, as the paper advises
    z = torch.randn(7, 8).double()
    expected = whyloss.CrossEntropyLoss()(z, UNIFORM.gaussian(v, 0.75 * 0.25))
    torch.testing.assert_close(whyloss.HLGaussLoss(bins=UNIFORM)(z, v), expected)


def test_hl_gauss_masses_far_in_the_tails():
    """100 sigma beyond the last edge both differences of erf are 0; their ratio is not."""
    bins = whyloss.Bins([0.0, 0.01, 0.02])
    low, high = bins.gaussian(torch.tensor([100.02]).double(), 1.0)[0].tolist()
    # masses of [x, x + 0.01] about 100 sigma off fall by exp(-100 * 0.01 - ...) for each bin
    assert high / low == pytest.approx(math.exp(100.01 * 0.01), rel=2e-3)
    assert low + high == pytest.approx(1)


@pytest.mark.parametrize("name", BINS)
def test_two_hot_decoding_returns_the_number(name: str):
    bins = BINS[name]
    low, high = float(bins.support[0]), float(bins.support[-1])
    v = torch.linspace(low, high, 41).double()
    q = bins.two_hot(v)
    torch.testing.assert_close(q.sum(1), torch.ones(41).double())
    assert ((q > 0).sum(1) <= 2).all()
    torch.testing.assert_close(bins.mean(q.log()), v, rtol=1e-5, atol=1e-5)


def test_distribution_focal_loss_is_two_hot_on_the_grid():
    z, v = batch()
    grid = whyloss.TwoHotLoss(bins=whyloss.Bins.around([0, 1, 2, 3]))
    torch.testing.assert_close(whyloss.DistributionFocalLoss()(z, v), grid(z, v))
    own = whyloss.DistributionFocalLoss(bins=whyloss.Bins.around([0, 1, 2, 3]))
    torch.testing.assert_close(own(z, v), grid(z, v))
    by_hand = -0.7 * z[1].log_softmax(0)[0] - 0.3 * z[1].log_softmax(0)[1]
    torch.testing.assert_close(whyloss.DistributionFocalLoss(reduction="none")(z, v)[1], by_hand)


def test_the_categorical_projection_by_hand():
    """A Bellman backup r + gamma z of three atoms: each share goes to its neighbours, and the mean is kept."""
    bins = whyloss.Bins.atoms(-1.0, 1.0, 3)
    p = torch.tensor([[0.2, 0.5, 0.3]])
    projected = bins.project(0.25 + 0.5 * bins.support, p)
    # the atoms land on -0.25, 0.25 and 0.75
    expected = [0.2 * 0.25, 0.2 * 0.75 + 0.5 * 0.75 + 0.3 * 0.25, 0.5 * 0.25 + 0.3 * 0.75]
    assert projected[0].tolist() == pytest.approx(expected)
    assert float(projected @ bins.support) == pytest.approx(0.25 + 0.5 * 0.1)


def test_decoding():
    bins = whyloss.Bins([0.0, 1.0, 3.0, 4.0])
    logits = torch.log(torch.tensor([[0.25, 0.5, 0.25], [0.8, 0.1, 0.1]]))
    assert bins.mean(logits).tolist() == pytest.approx([2.0, 0.4 + 0.2 + 0.35])
    assert bins.mode(logits).tolist() == [2.0, 0.5]
    assert bins.median(logits).tolist() == pytest.approx([2.0, 0.625])
    assert bins.quantile(logits, 0.75)[0].item() == pytest.approx(3.0)
    assert bins.quantile(logits, 0.0).tolist() == [0.0, 0.0]
    assert bins.quantile(logits, 1.0).tolist() == pytest.approx([4.0, 4.0])
    image = logits.reshape(1, 2, 3).movedim(-1, 1)
    assert torch.equal(bins.mean(image), bins.mean(logits)[None])
    assert torch.equal(bins.median(image), bins.median(logits)[None])


def test_spacings():
    assert whyloss.Bins.uniform(0, 2, 4).edges.tolist() == [0, 0.5, 1, 1.5, 2]
    assert whyloss.Bins.atoms(-10, 10, 51).support[[0, 25, 50]].tolist() == pytest.approx([-10, 0, 10])
    symlog = whyloss.Bins.symlog(-100, 100, 21).support
    assert symlog[10].item() == pytest.approx(0, abs=1e-12)
    assert symlog.diff()[10] < symlog.diff()[19] / 10
    values = torch.arange(100.0)
    quantiles = whyloss.Bins.quantiles(values, 4)
    assert torch.bincount(torch.bucketize(values, quantiles.edges[1:-1])).tolist() == [25] * 4
    assert quantiles.support.tolist() == [12, 37, 62, 87]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: whyloss.Bins([0.0, 2.0, 1.0]), "finite numbers that rise"),
        (lambda: whyloss.Bins([0.0, 1.0]), "B >= 2"),
        (lambda: whyloss.Bins([0.0, 1.0, math.inf]), "finite numbers that rise"),
        (lambda: whyloss.Bins.around([1.0]), "at least two"),
        (lambda: whyloss.Bins.quantiles(torch.zeros(10), 3), "too few different"),
        (lambda: UNIFORM.quantile(torch.zeros(1, 8), 1.5), "0 <= level <= 1"),
        (lambda: whyloss.HLGaussLoss(bins=UNIFORM, sigma=0.0), "sigma > 0"),
        (lambda: whyloss.HLGaussLoss(bins=UNIFORM)(torch.zeros(1, 5), torch.zeros(1)), "5 logits but 8 bins"),
        (lambda: whyloss.TwoHotLoss(bins=UNIFORM)(torch.zeros(2, 8), torch.zeros(3)), "one number for each"),
        (
            lambda: whyloss.TwoHotLoss(bins=UNIFORM)(torch.zeros(1, 8), torch.tensor([math.inf])),
            "finite numbers, got inf",
        ),
    ],
)
def test_what_is_refused(make, words: str):  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=words):
        make()

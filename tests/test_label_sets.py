"""Laws of losses of label sets: unknown labels, weights, reductions, derivatives."""

import pytest
import torch
from instances import LABEL_SETS, Case, defaults, steady, value_and_gradient
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import whyloss


class Lead(whyloss.LabelSetLoss):
    """How far the mean logit of the noes leads that of the yeses."""

    def losses(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        yes, no = ((logits * part).sum(1) / part.sum(1).clamp_min(1) for part in (positive, negative))
        return no - yes


def samples(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Among them one without a yes, one without a no, and two with an unknown label."""
    generator = torch.Generator().manual_seed(0)
    z = 2 * torch.randn(6, 5, generator=generator, dtype=torch.float64)
    y = torch.tensor(
        [[1, 0, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 1, -100, 0, 1], [1, 0, 0, 0, -100], [0, 0, 1, 1, 0]]
    )
    return z.to(dtype), y


@pytest.mark.parametrize("case", [c for c in LABEL_SETS if not c.cls.steered], ids=str)
def test_derivatives_are_the_finite_differences(case: Case):
    z, y = samples()
    loss = steady(case.build(5, reduction="none"), z, y)
    z.requires_grad_()
    assert gradcheck(lambda z: loss(z, y), z)
    assert gradgradcheck(lambda z: loss(z, y), z, atol=1e-4)


@pytest.mark.parametrize("case", LABEL_SETS, ids=str)
def test_lower_precision_holds_to_float64(case: Case):
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        z, y = samples(dtype)
        value, gradient = value_and_gradient(case.build(5), z, y)
        exact, slope = value_and_gradient(case.build(5), z.double(), y)
        assert (value.dtype, gradient.dtype) == (torch.float32, dtype)
        torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(gradient.double(), slope, rtol=max(1e-5, torch.finfo(dtype).eps), atol=2e-6)


@pytest.mark.parametrize("case", LABEL_SETS, ids=str)
def test_an_unknown_label_counts_for_nothing_whatever_its_logit_holds(case: Case):
    z, y = samples()
    dirty = torch.where(y == -100, torch.nan, z)
    loss = case.build(5, reduction="none")
    value, gradient = value_and_gradient(loss, dirty, y)
    assert torch.isfinite(value).all()
    assert (gradient[y == -100] == 0).all()
    torch.testing.assert_close(value_and_gradient(loss, z, y)[0], value)


@pytest.mark.parametrize("case", defaults(LABEL_SETS), ids=str)
def test_nothing_known_is_0_with_a_graph(case: Case):
    z, y = samples()
    value, gradient = value_and_gradient(case.build(5), z * torch.nan, torch.full_like(y, -100))
    assert value == 0
    assert (gradient == 0).all()
    assert torch.isnan(case.build(5, empty="nan")(z, torch.full_like(y, -100)))
    assert value_and_gradient(case.build(5), z[:0], y[:0])[0] == 0


@pytest.mark.parametrize("case", LABEL_SETS, ids=str)
def test_weights_of_samples(case: Case):
    z, y = samples()
    weight = torch.tensor([1, 2, 1, 0, 3, 1])
    again = torch.arange(6).repeat_interleave(weight)
    loss = case.build(5)
    torch.testing.assert_close(loss(z, y, sample_weight=weight.double()), loss(z[again], y[again]))


@pytest.mark.parametrize("size", [15.0, 100.0, 1e4])
@pytest.mark.parametrize("case", LABEL_SETS, ids=str)
def test_confident_labels_are_finite(case: Case, size: float):
    z, y = samples(torch.float32)
    value, gradient = value_and_gradient(case.build(5, reduction="none"), size * z.sign(), y)
    assert torch.isfinite(value).all()
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("case", defaults(LABEL_SETS), ids=str)
def test_permuting_labels_permutes_the_gradient(case: Case):
    z, y = samples()
    order = torch.tensor([3, 0, 4, 1, 2])
    value, gradient = value_and_gradient(case.build(5), z, y)
    other, permuted = value_and_gradient(case.build(5, order=order), z[:, order], y[:, order])
    torch.testing.assert_close(other, value)
    torch.testing.assert_close(permuted, gradient[:, order])


def test_the_face_of_a_loss_of_ones_own():
    z, y = samples()
    each = Lead(reduction="none")(z, y)
    torch.testing.assert_close(each[0], z[0, [1, 2, 4]].mean() - z[0, [0, 3]].mean())
    torch.testing.assert_close(each[3], z[3, [0, 3]].mean() - z[3, [1, 4]].mean())
    torch.testing.assert_close(Lead()(z, y), each.mean())
    torch.testing.assert_close(Lead(reduction="sum")(z, y), each.sum())
    torch.testing.assert_close(Lead()(z, y, normalizer=3), each.sum() / 3)
    total, count = Lead().parts(z, y)
    torch.testing.assert_close(total / count, each.mean())
    pixels = Lead(reduction="none")(z.reshape(2, 3, 5).movedim(-1, 1), y.reshape(2, 3, 5).movedim(-1, 1))
    torch.testing.assert_close(pixels.flatten(), each)
    torch.testing.assert_close(Lead(reduction="none")(z[0], y[0]), each[0])
    twice = torch.tensor([1.0, 2, 1, 1, 1]).double()
    torch.testing.assert_close(
        Lead(weight=twice, reduction="none")(z, y)[0], (2 * z[0, 1] + z[0, 2] + z[0, 4]) / 4 - z[0, [0, 3]].mean()
    )


def test_what_does_not_fit_is_refused_in_words():
    z, y = samples()
    for call, words in (
        (lambda: Lead()(z, y + 1), "between 0 and 1"),
        (lambda: Lead(weight=torch.ones(4))(z, y), r"weight \(4,\) but 5 labels"),
        (lambda: Lead()(z, y, sample_weight=torch.ones(5)), r"sample_weight \(5,\)"),
        (lambda: Lead(reduction="none")(z, y, normalizer=2), "normalizer"),
        (lambda: Lead()(z, y[:, :4]), "must agree"),
        (lambda: Lead(reduction="avg"), "reduction in"),
    ):
        with pytest.raises(ValueError, match=words):
            call()

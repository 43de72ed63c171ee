"""Laws of losses of a batch: what is ignored, weights, derivatives, batches in which nothing counts."""

import pytest
import torch
from instances import BATCHES, Case, defaults, rows, steady, value_and_gradient
from torch import Tensor
from torch.autograd import gradcheck

import whyloss

ON_LINK = [pytest.param(c, link, id=f"{c}-{link}") for c in BATCHES for link in c.links]
BY_DEFAULT = [pytest.param(c, link, id=f"{c}-{link}") for c in defaults(BATCHES) for link in c.links]


class Spread(whyloss.BatchLoss):
    """The weighted variance of the label's probability."""

    def value(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        p = (logits.softmax(1) * target).sum(1) if self.link == "softmax" else torch.sigmoid(logits)
        mean = (weight * p).sum() / weight.sum()
        return (weight * (p - mean) ** 2).sum() / weight.sum()


def batch(link: str, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """A batch in which every class, or both answers to every question, occur."""
    z, y = rows(8, dtype=dtype)
    return (z, y) if link == "softmax" else (z[:, :3], torch.tensor([[0, 1, 1], [1, 0, 1], [0, 0, 0], [1, 1, 0]] * 2))


def size(link: str) -> int:
    return 4 if link == "softmax" else 3


@pytest.mark.parametrize(("case", "link"), [p for p in ON_LINK if not p.values[0].cls.steered])
def test_the_gradient_is_the_finite_difference(case: Case, link: str):
    z, y = batch(link)
    more = case.reads(y.shape, link)
    loss = steady(case.build(size(link), link=link), z, y, **more)
    z.requires_grad_()
    assert gradcheck(lambda z: loss(z, y, **more), z)


@pytest.mark.parametrize(("case", "link"), ON_LINK)
def test_lower_precision_holds_to_float64(case: Case, link: str):
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        z, y = batch(link, dtype)
        loss, more = case.build(size(link), link=link), case.reads(y.shape, link)
        value, gradient = value_and_gradient(loss, z, y, **more)
        exact, slope = value_and_gradient(loss, z.double(), y, **more)
        assert (value.dtype, gradient.dtype) == (torch.float32, dtype)
        torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(gradient.double(), slope, rtol=max(1e-5, torch.finfo(dtype).eps), atol=2e-6)


@pytest.mark.parametrize(("case", "link"), BY_DEFAULT)
def test_what_is_ignored_counts_for_nothing_whatever_it_holds(case: Case, link: str):
    z, y = batch(link)
    loss, more = case.build(size(link), link=link), case.reads(y.shape, link)
    # A row, or one answer to each question, is taken out.
    dirty, labels = z.clone(), y.clone()
    dirty[0], labels[0] = torch.nan, -100
    fewer = {n: x[1:] if len(x) == len(y) else x for n, x in more.items()}
    value, gradient = value_and_gradient(loss, z[1:], y[1:], **fewer)
    ours, slope = value_and_gradient(loss, dirty, labels, **more)
    torch.testing.assert_close(ours, value)
    torch.testing.assert_close(slope[1:], gradient)
    assert (slope[0] == 0).all()


@pytest.mark.parametrize(("case", "link"), BY_DEFAULT)
def test_nothing_counted_is_0_with_a_graph(case: Case, link: str):
    z, y = batch(link)
    loss, more = case.build(size(link), link=link), case.reads(y.shape, link)
    value, gradient = value_and_gradient(loss, z * torch.nan, torch.full_like(y, -100), **more)
    assert value == 0
    assert (gradient == 0).all()
    assert torch.isnan(case.build(size(link), link=link, empty="nan")(z, torch.full_like(y, -100), **more))


@pytest.mark.parametrize(("case", "link"), BY_DEFAULT)
def test_a_batch_with_one_class_only_has_finite_value_and_gradient(case: Case, link: str):
    z, y = batch(link, torch.float32)
    loss, more = case.build(size(link), link=link), case.reads(y.shape, link)
    for label in (0, 1):
        for logits in (z, torch.zeros_like(z), 1e4 * z.sign()):
            value, gradient = value_and_gradient(loss, logits, torch.full_like(y, label), **more)
            assert torch.isfinite(value).all()
            assert torch.isfinite(gradient).all()


def test_the_face_of_a_loss_of_ones_own():
    z, y = rows(8)
    p = z.softmax(1)[torch.arange(8), y]
    torch.testing.assert_close(Spread()(z, y), p.var(correction=0))
    torch.testing.assert_close(Spread()(z, torch.nn.functional.one_hot(y, 4).double()), p.var(correction=0))
    weight = torch.tensor([2, 1, 1, 0, 1, 3, 1, 1])
    again = torch.arange(8).repeat_interleave(weight)
    torch.testing.assert_close(Spread()(z, y, sample_weight=weight), p[again].var(correction=0))
    torch.testing.assert_close(Spread(link="sigmoid")(z, torch.ones_like(z)), torch.sigmoid(z).var(correction=0))
    image = z.reshape(2, 4, 4).movedim(-1, 1)
    torch.testing.assert_close(Spread()(image, y.reshape(2, 4)), p.var(correction=0))
    with pytest.raises(ValueError, match="no normalizer"):
        Spread()(z, y, normalizer=3)
    with pytest.raises(TypeError, match="takes nothing besides"):
        Spread()(z, y, index=y)

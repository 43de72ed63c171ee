"""`linear` of sums of losses that are no one row loss: a product makes the logits for all, and nothing else differs."""

from typing import Any

import pytest
import torch
from instances import soft
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import linear as layer

import whyloss
from whyloss.losses.algebra import LossSum
from whyloss.stats import heads

N, D, C = 13, 3, 5
pytestmark = pytest.mark.usefixtures("small_chunks")


def parts(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    hidden, weight, bias = (torch.randn(*shape, dtype=torch.float64).to(dtype) for shape in ((N, D), (C, D), (C,)))
    return hidden, weight, bias, torch.arange(N) % C


def of_class() -> Tensor:
    return torch.linspace(0.5, 2, C)


def summed(**options: Any) -> LossSum:
    """A loss that is divided by its sum over the labels, one with class weights, one with smoothed labels."""
    loss = (
        whyloss.NormalizedFocalLoss(**options)
        + 0.5 * whyloss.CrossEntropyLoss(weight=of_class(), **options)
        + -2 * whyloss.BrierLoss(label_smoothing=0.1, **options)
    )
    assert isinstance(loss, LossSum)
    return loss


def compare(
    loss: Any, hidden: Tensor, weight: Tensor, target: Tensor, bias: Tensor | None, up: Any, **call: Any
) -> None:
    found = list[list[Tensor]]()
    memory = call.pop("memory", None)
    for fused in (True, False):
        leaves = [x.detach().clone().requires_grad_() for x in (hidden, weight, bias) if x is not None]
        h, w, *b = leaves
        made = b[0] if b else None
        value = (
            loss.linear(h, w, target, made, memory=memory, **call) if fused else loss(layer(h, w, made), target, **call)
        )
        found.append([value.detach(), *torch.autograd.grad((value * up).sum(), leaves)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("memory", [None, 3 * 8 * C * 4, 1], ids=["rule", "4 rows", "least"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("ignored", [0, 2, 13])
def test_values_and_gradients_are_those_of_the_logits(ignored: int, reduction: Any, memory: int | None):
    hidden, weight, bias, labels = parts()
    labels[:ignored] = -100
    up = torch.linspace(-1, 2, N, dtype=torch.float64) if reduction == "none" else 1.7
    loss = summed(reduction=reduction)
    compare(loss, hidden, weight, labels, bias, up, memory=memory)
    compare(loss, hidden, weight, labels, None, up, memory=memory, sample_weight=torch.linspace(0, 2, N).double())


def test_soft_targets_normalizers_and_rows_that_only_some_ignore():
    hidden, weight, bias, labels = parts()
    compare(summed(), hidden, weight, soft(N, C), bias, 1.0)
    compare(summed(), hidden, weight, labels, bias, 1.0, normalizer=7.0)
    some = whyloss.FocalLoss(ignore_index=1) + whyloss.CrossEntropyLoss(ignore_index=2, weight=of_class())
    compare(some, hidden, weight, labels, bias, 1.0)
    divisor = torch.tensor(7.0, dtype=torch.float64, requires_grad=True)
    value = summed().linear(hidden, weight, labels, bias, normalizer=divisor)
    theirs = summed()(layer(hidden, weight, bias), labels, normalizer=divisor)
    torch.testing.assert_close(torch.autograd.grad(value, divisor), torch.autograd.grad(theirs, divisor))


def test_questions():
    hidden, weight, bias, _ = parts()
    target = (torch.arange(N * C) % 3 == 0).long().reshape(N, C)
    for reduction in ("mean", "none"):
        loss = whyloss.FocalLoss(link="sigmoid", reduction=reduction) + whyloss.BinaryCrossEntropyLoss(
            weight=torch.tensor([1.0, 3.0]), reduction=reduction
        )
        assert isinstance(loss, LossSum)
        compare(loss, hidden, weight, target, bias, 1.7)


def test_a_softcap():
    hidden, weight, _, labels = parts()
    leaves = [x.clone().requires_grad_() for x in (hidden, weight)]
    ours = summed().linear(*leaves, labels, softcap=3.0)
    theirs = summed()(3 * torch.tanh(layer(*leaves) / 3), labels)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, leaves), torch.autograd.grad(theirs, leaves))


def test_derivatives_of_both_orders_and_a_retained_graph():
    hidden, weight, bias, labels = parts()
    leaves = [x.requires_grad_() for x in (hidden, weight, bias)]
    for reduction in ("mean", "none"):
        loss = summed(reduction=reduction)
        assert gradcheck(lambda h, w, b: loss.linear(h, w, labels, b), leaves)  # noqa: B023
        assert gradgradcheck(lambda h, w, b: loss.linear(h, w, labels, b), leaves, atol=1e-4)  # noqa: B023
    value = summed().linear(hidden, weight, labels, bias)
    first, second = (torch.autograd.grad(value, leaves, retain_graph=True) for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_lower_precision_errs_as_the_terms_do(dtype: torch.dtype):
    hidden, weight, bias, labels = parts(dtype)
    leaves = [x.requires_grad_() for x in (hidden, weight, bias)]
    exact = [x.detach().double().requires_grad_() for x in leaves]
    truth = torch.autograd.grad(summed()(layer(*exact), labels), exact)
    ours = torch.autograd.grad(summed().linear(hidden, weight, labels, bias), leaves)
    for a, b in zip(ours, truth, strict=True):
        assert (a.double() - b).norm() <= 4 * torch.finfo(dtype).eps * b.norm()


def test_float16_keeps_what_is_divided_by_many_rows():
    """Scaled when a loss scaler has had its say: 1e-9 is nothing in float16."""
    hidden, weight, bias, labels = parts(torch.float16)
    leaf = hidden.requires_grad_()
    loss = whyloss.NormalizedFocalLoss() + 1e-9 * whyloss.CrossEntropyLoss(weight=of_class())
    (gradient,) = torch.autograd.grad(loss.linear(leaf, weight, labels, bias, normalizer=1e9) * 1e9, leaf)
    (alone,) = torch.autograd.grad(whyloss.NormalizedFocalLoss().linear(leaf, weight, labels, bias) * N, leaf)
    torch.testing.assert_close(gradient, alone, rtol=1e-2, atol=1e-4)


def test_the_logits_are_made_once(monkeypatch: pytest.MonkeyPatch):
    hidden, weight, bias, labels = parts()
    made, real = list[int](), heads.Head.logits_into

    def noted(head: heads.Head, out: Tensor, start: int) -> Tensor:
        made.append(start)
        return real(head, out, start)

    monkeypatch.setattr(heads.Head, "logits_into", noted)
    summed().linear(hidden.requires_grad_(), weight, labels, bias).backward()
    assert made == [0, 4, 8, 12]
    made.clear()
    odd = whyloss.FocalLoss() + whyloss.CrossEntropyLoss(engine="reference")  # each by itself
    torch.testing.assert_close(odd.linear(hidden, weight, labels, bias), odd(layer(hidden, weight, bias), labels))
    assert made == [0, 4, 8, 12]


def test_autocast():
    hidden, weight, _, labels = parts(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = summed().linear(hidden, weight, labels)
    torch.testing.assert_close(value, summed().linear(hidden.bfloat16(), weight.bfloat16(), labels))


def test_terms_of_which_one_has_no_linear_are_refused_before_anything_is_done():
    hidden, weight, _, labels = parts(torch.float32)
    with pytest.raises(TypeError, match=r"LossSum\.linear: SparsemaxLoss has no linear.*with logits"):
        (whyloss.CrossEntropyLoss() + whyloss.SparsemaxLoss()).linear(hidden, weight, labels)  # pyright: ignore

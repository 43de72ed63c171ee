"""`loss.linear` with kernels between the products: chunks in place, ragged classes in products of their own."""

from typing import Any

import pytest
import torch
from instances import SOFTMAX, Case, defaults
from torch import Tensor

import whyloss
from whyloss.stats import heads
from whyloss.stats.heads import Head

pytestmark = pytest.mark.kernels
CASES = defaults(SOFTMAX)
N, D, C = 13, 8, 70


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "CPU_CHUNK", 4 * C)
    monkeypatch.setattr(heads, "GPU_ROWS", 4)
    monkeypatch.setattr(heads, "GPU_BYTES", 0)
    monkeypatch.setattr(heads, "FEWEST_ROWS", 1)


def leaves(dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator(device=torch.get_default_device()).manual_seed(0)
    shapes = ((N, D), (C, D), (C,))
    return [torch.randn(*s, generator=generator, dtype=torch.float64).to(dtype).requires_grad_() for s in shapes]


def run(loss: Any, dtype: torch.dtype = torch.float64, up: Any = 1.7, **call: Any) -> list[Tensor]:
    hidden, weight, bias = leaves(dtype)
    target = torch.arange(N) * 5 % C
    target[3] = -100
    value = loss.linear(hidden, weight, target, bias, **call)
    return [value.detach(), *torch.autograd.grad((value * up).sum(), (hidden, weight, bias))]


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_is_the_loss_of_the_logits(case: Case, reduction: str):
    up = torch.linspace(-1, 2, N, dtype=torch.float64) if reduction == "none" else 1.7
    ours, theirs = (
        run(case.build(C, engine=engine, reduction=reduction, link="softmax"), up=up)
        for engine in ("triton", "reference")
    )
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("softcap", [None, 5.0])
@pytest.mark.parametrize("memory", [None, 4096])
def test_classes_in_two_products(monkeypatch: pytest.MonkeyPatch, softcap: float | None, memory: int | None):
    monkeypatch.setattr(Head, "parts", lambda self: [slice(0, 64), slice(64, C)])  # as on a GPU
    for dtype, rtol in ((torch.float64, 1e-9), (torch.bfloat16, 2e-2)):
        ours = run(whyloss.FocalLoss(engine="triton"), dtype, softcap=softcap, memory=memory)
        theirs = run(whyloss.FocalLoss(engine="reference"), softcap=softcap)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a.double(), b, rtol=rtol, atol=float(rtol * b.abs().max()))


@pytest.mark.parametrize("softcap", [None, 5.0])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_sum_of_losses_whose_logits_are_made_once(reduction: Any, softcap: float | None):
    up = torch.linspace(-1, 2, N, dtype=torch.float64) if reduction == "none" else 1.7

    def summed(engine: Any) -> Any:
        given = {"engine": engine, "reduction": reduction}
        weighted = whyloss.CrossEntropyLoss(weight=torch.linspace(0.5, 2, C), **given)
        return whyloss.NormalizedFocalLoss(**given) + 0.5 * weighted + -2 * whyloss.BrierLoss(**given)

    ours, theirs = (run(summed(engine), up=up, softcap=softcap) for engine in ("triton", "reference"))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)

"""Numbers that no machine changes: bytes that are alive at once, above what goes in and what comes out."""

from typing import Any

import pytest
import torch
from torch.nn.functional import linear as layer

import whyloss
from whyloss.bench.memory import peak_bytes


def test_the_counter_counts():
    assert peak_bytes(lambda: torch.ones(1000).add(1).sum()) in range(8000, 8100)

    def one_after_the_other() -> None:
        for _ in range(5):
            torch.ones(1000)

    assert peak_bytes(one_after_the_other) == 4000


@pytest.mark.parametrize("loss", [whyloss.CrossEntropyLoss(), whyloss.FocalLoss(), whyloss.BrierLoss()], ids=str)
def test_linear_needs_a_quarter_of_what_the_logits_would(loss: Any):
    hidden, weight = torch.randn(2048, 64).requires_grad_(), torch.randn(20_000, 64).requires_grad_()
    labels = torch.arange(2048)
    fused = peak_bytes(lambda: torch.autograd.grad(loss.linear(hidden, weight, labels), (hidden, weight)))
    kept = peak_bytes(lambda: torch.autograd.grad(loss(layer(hidden, weight), labels), (hidden, weight)))
    outputs = 4 * (hidden.numel() + weight.numel())
    assert fused - outputs <= 0.25 * (kept - outputs)
    least = peak_bytes(lambda: torch.autograd.grad(loss.linear(hidden, weight, labels, memory=1), (hidden, weight)))
    assert least - outputs <= 0.05 * (kept - outputs)


@pytest.mark.parametrize("loss", [whyloss.CrossEntropyLoss(), whyloss.FocalLoss(), whyloss.BrierLoss()], ids=str)
def test_dense_makes_no_tensor_of_the_logits_size_but_the_gradient(loss: Any):
    z = torch.randn(20_000, 1000).requires_grad_()
    labels = torch.arange(20_000) % 1000
    extra = peak_bytes(lambda: torch.autograd.grad(loss(z, labels), z)) - 4 * z.numel()
    assert extra <= 0.5 * 4 * z.numel()
    with torch.no_grad():
        assert peak_bytes(lambda: loss(z, labels)) <= 0.5 * 4 * z.numel()

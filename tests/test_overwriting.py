"""`inplace=True`: the gradient takes the memory of the logits, and autograd knows."""

from typing import Any

import pytest
import torch
from instances import KERNELS
from torch import Tensor

import whyloss
from whyloss.bench.memory import peak_bytes
from whyloss.stats import block, dense, elementwise

ENGINES = ("dense", *KERNELS)
LOSSES = {
    "ce": whyloss.CrossEntropyLoss,
    "penalty": whyloss.ConfidencePenaltyLoss,
    "normalized": whyloss.NormalizedFocalLoss,
    "sigmoid": whyloss.SigmoidFocalLoss,
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block, "SIZE", 16)
    monkeypatch.setattr(dense, "IMAGE", 20)
    monkeypatch.setattr(elementwise, "BLOCK", 16)


def inputs(shape: tuple[int, ...], link: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    z = (torch.randn(shape, dtype=torch.float64) * 3).to(dtype).requires_grad_()
    labels = shape if link == "sigmoid" else (shape[0], *shape[2:])
    return z, torch.arange(torch.Size(labels).numel()).reshape(labels) % (2 if link == "sigmoid" else shape[1])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("shape", [(7, 5), (2, 3, 8), (2, 3, 3)])
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("engine", ENGINES)
def test_the_gradient_is_there_and_is_the_same(
    engine: str, name: str, shape: tuple[int, ...], reduction: str, dtype: torch.dtype
):
    loss = LOSSES[name](engine=engine, reduction=reduction)
    leaf, y = inputs(shape, loss.link, dtype)
    up = torch.tensor(1.7) if reduction == "mean" else torch.linspace(1, 2, y.numel()).reshape(y.shape)
    found = list[Tensor]()
    for inplace in (False, True):
        loss.inplace = inplace
        z = leaf * 1
        seen = list[Tensor]()
        z.register_hook(seen.append)
        value = loss(z, y)
        (gradient,) = torch.autograd.grad((value * up).sum(), leaf)
        found += [value.detach(), gradient]
        # Kernels of every label put pixels in order first: what is overwritten then is that copy.
        there = inplace and not (engine == "triton" and name == "normalized" and z.ndim == 3)
        assert (seen[0].untyped_storage()._cdata == z.untyped_storage()._cdata) == there
        assert bool((z.detach() != leaf.detach()).any()) == there
    torch.testing.assert_close(found[2:], found[:2])


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("engine", ENGINES)
def test_whoever_still_needs_the_logits_is_told(engine: str, name: str):
    loss = LOSSES[name](engine=engine, inplace=True)
    leaf, y = inputs((7, 5), loss.link, torch.float32)

    z = leaf * 1
    value, other = loss(z, y), (z * z).sum()
    value.backward(retain_graph=True)
    for later in (other, value):
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            later.backward()
    z = leaf * 1
    exact = torch.autograd.grad(LOSSES[name](engine=engine)(leaf, y) + (leaf * leaf).sum(), leaf)[0]
    ours = torch.autograd.grad(loss(z, y) + (z * z).sum(), leaf)[0]  # in one pass the square comes first
    torch.testing.assert_close(ours, exact)
    capped = torch.tanh(leaf)  # needs its result
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss(capped, y).backward()


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_not_to_be_overwritten_is_not(engine: str):
    loss = whyloss.FocalLoss(engine=engine, inplace=True)
    leaf, y = inputs((7, 5), "softmax", torch.float32)
    kept = leaf.detach().clone()
    loss(leaf, y).backward()
    loss(leaf.view(7, 5), y).backward()
    wide = (leaf[:1] * 1).expand(7, 5)
    loss(wide, y).backward()
    with torch.no_grad():
        loss(leaf * 1, y)
    z = leaf * 1
    (first,) = torch.autograd.grad(loss(z, y), z, create_graph=True)
    assert first.requires_grad
    for x in (leaf, z, wide[:1]):
        assert torch.equal(x.detach(), kept[: len(x)])
    assert leaf.grad is not None


@pytest.mark.parametrize("loss", [whyloss.CrossEntropyLoss, whyloss.BrierLoss, whyloss.SigmoidFocalLoss])
def test_no_memory_of_the_logits_size_is_needed(loss: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(block, "SIZE", 2**16)
    monkeypatch.setattr(elementwise, "BLOCK", 2**14)
    z, y = inputs((4000, 250), loss().link, torch.float32)

    scaled = torch.zeros(1).requires_grad_()

    def run(inplace: bool) -> int:
        def call() -> None:
            x = z.detach() * (1 + scaled)
            torch.autograd.grad(loss(inplace=inplace)(x, y), x)

        call()
        return peak_bytes(call)

    assert run(True) <= run(False) - 0.7 * 4 * z.numel()

"""Numbers that no machine changes: bytes that are alive at once, above what goes in and what comes out."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear as layer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

import whyloss
from whyloss.bench.memory import peak_bytes
from whyloss.stats import elementwise, exponentials, heads, region_blocks


def test_the_counter_counts():
    assert peak_bytes(lambda: torch.ones(1000).add(1).sum()) in range(8000, 8100)

    def one_after_the_other() -> None:
        for _ in range(5):
            torch.ones(1000)

    assert peak_bytes(one_after_the_other) == 4000


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch):
    """The blocks of the sigmoid link are kept for the next call: none are here, and small ones take their place."""
    monkeypatch.setattr(elementwise, "BLOCK", 2**14)
    monkeypatch.setattr(elementwise, "_memory", elementwise._Memory())


SLOW = [pytest.param(loss, marks=pytest.mark.slow) for loss in (whyloss.FocalLoss(), whyloss.BrierLoss())]


@pytest.mark.parametrize("loss", [whyloss.CrossEntropyLoss(), *SLOW], ids=str)
def test_linear_needs_a_quarter_of_what_the_logits_would(loss: Any):
    hidden, weight = torch.randn(2048, 64).requires_grad_(), torch.randn(20_000, 64).requires_grad_()
    labels = torch.arange(2048)
    fused = peak_bytes(lambda: torch.autograd.grad(loss.linear(hidden, weight, labels), (hidden, weight)))
    kept = peak_bytes(lambda: torch.autograd.grad(loss(layer(hidden, weight), labels), (hidden, weight)))
    outputs = 4 * (hidden.numel() + weight.numel())
    assert fused - outputs <= 0.25 * (kept - outputs)
    least = peak_bytes(lambda: torch.autograd.grad(loss.linear(hidden, weight, labels, memory=1), (hidden, weight)))
    assert least - outputs <= 0.05 * (kept - outputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "loss", [whyloss.CrossEntropyLoss(), whyloss.ConfidencePenaltyLoss(), whyloss.MulticlassHingeLoss()], ids=str
)
def test_a_memory_less_than_a_few_rows_is_kept(loss: Any, dtype: torch.dtype):
    hidden, weight = torch.randn(64, 16).to(dtype).requires_grad_(), torch.randn(100_000, 16).to(dtype).requires_grad_()
    labels, memory = torch.arange(64) * 1500, 3_000_000
    outputs = dtype.itemsize * (hidden.numel() + weight.numel())
    peak = peak_bytes(lambda: torch.autograd.grad(loss.linear(hidden, weight, labels, memory=memory), (hidden, weight)))
    assert peak - outputs <= memory
    assert memory < heads.FEWEST_ROWS * weight.shape[0] * dtype.itemsize
    logits = peak_bytes(lambda: loss.linear(hidden.detach(), weight.detach(), labels, memory=memory))
    assert logits <= memory


@pytest.mark.parametrize("loss", [whyloss.CrossEntropyLoss(), whyloss.FocalLoss(), whyloss.BrierLoss()], ids=str)
def test_dense_makes_no_tensor_of_the_logits_size_but_the_gradient(loss: Any):
    z = torch.randn(20_000, 1000).requires_grad_()
    labels = torch.arange(20_000) % 1000
    extra = peak_bytes(lambda: torch.autograd.grad(loss(z, labels), z)) - 4 * z.numel()
    assert extra <= 0.5 * 4 * z.numel()
    with torch.no_grad():
        assert peak_bytes(lambda: loss(z, labels)) <= 0.5 * 4 * z.numel()


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("kind", ["int64", "bool", "0.0 and 1.0", "soft"])
@pytest.mark.parametrize("loss", [whyloss.BinaryCrossEntropyLoss(), whyloss.SigmoidFocalLoss()], ids=str)
def test_the_sigmoid_link_makes_no_tensor_of_the_logits_size_but_the_gradient(loss: Any, kind: str):
    z, y = torch.randn(3000, 1000).requires_grad_(), torch.arange(3_000_000).reshape(3000, 1000) % 2
    kinds = {"int64": y, "bool": y.bool(), "0.0 and 1.0": y.float()}
    target = kinds[kind] if kind in kinds else torch.linspace(0, 1, y.numel()).reshape(y.shape)
    extra = peak_bytes(lambda: torch.autograd.grad(loss(z, target), z)) - 4 * z.numel()
    assert extra <= 0.12 * 4 * z.numel()
    with torch.no_grad():
        assert peak_bytes(lambda: loss(z, target)) <= 0.12 * 4 * z.numel()


@pytest.mark.usefixtures("small_blocks")
def test_binary_heads_keep_no_logits():
    hidden, weight = torch.randn(2048, 64).requires_grad_(), torch.randn(10_000, 64).requires_grad_()
    target = torch.zeros(2048, 10_000, dtype=torch.bool)
    loss = whyloss.SigmoidFocalLoss()
    fused = peak_bytes(lambda: torch.autograd.grad(loss.linear(hidden, weight, target), (hidden, weight)))
    kept = peak_bytes(lambda: torch.autograd.grad(loss(layer(hidden, weight), target), (hidden, weight)))
    outputs = 4 * (hidden.numel() + weight.numel())
    assert fused - outputs <= 0.45 * (kept - outputs)


# --- region losses ---------------------------------------------------------------------------------------------------


class Reads(TorchDispatchMode):
    """Counts the elements of one storage that operations read; views of it are free."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.storage, self.elements = x.untyped_storage()._cdata, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        made = {x.untyped_storage()._cdata for x in tree_iter(result) if isinstance(x, Tensor)}
        if self.storage not in made and "empty_like" not in str(func):
            given = [x for x in tree_iter(args) if isinstance(x, Tensor)]
            self.elements += sum(x.numel() for x in given if x.untyped_storage()._cdata == self.storage)
        return result


def region_case(kind: str) -> tuple[whyloss.RegionLoss, Tensor, Tensor]:
    z = torch.randn(2, 19, 64, 128)
    if kind == "sigmoid":
        return whyloss.DiceLoss(link="sigmoid"), z, torch.randint(0, 2, z.shape, dtype=torch.uint8)
    soft = torch.softmax(torch.randn(z.shape), 1)
    return whyloss.DiceLoss(), z, torch.randint(0, 19, (2, 64, 128)) if kind == "labels" else soft


@pytest.mark.parametrize("kind", ["labels", "masks", "sigmoid"])
def test_region_losses_make_one_gradient_and_a_few_blocks(kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(region_blocks, "BLOCK", 2**14)
    loss, z, target = region_case(kind)
    z.requires_grad_()
    own, blocks = 4 * z.numel(), 4 * 4 * 2**14
    assert peak_bytes(lambda: torch.autograd.grad(loss(z, target), z)) <= own + blocks
    with torch.no_grad():
        assert peak_bytes(lambda: loss(z, target)) <= blocks


@pytest.mark.parametrize("kind", ["labels", "masks", "sigmoid"])
def test_region_losses_read_the_logits_once(kind: str, monkeypatch: pytest.MonkeyPatch):
    # The exponential for other processors reads one number of each of its rows again.
    monkeypatch.setattr(exponentials, "mkl_is_slow", lambda: False)
    loss, z, target = region_case(kind)
    z.requires_grad_()
    with Reads(z) as reads:
        value = loss(z, target)
    assert reads.elements == z.numel()
    with Reads(z) as reads:
        torch.autograd.grad(value, z)
    again = 1 if kind == "sigmoid" else 0  # for 1 - p
    assert reads.elements == again * z.numel()

"""What no machine changes: how often the logits are read, and that nothing waits for the GPU."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import whyloss
from whyloss.losses import checks
from whyloss.stats import linear

pytestmark = pytest.mark.kernels
WAITS = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "unique")


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the kernels that were started."""
    from whyloss.stats.kernels import handles

    names, start = list[str](), handles.start

    def noted(kernel: Any, *rest: Any) -> Any:
        names.append(kernel.fn.__name__)
        return start(kernel, *rest)

    monkeypatch.setattr(handles, "start", noted)
    return names


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU labels are looked at because that costs nothing."""
    monkeypatch.setattr(checks, "looks", lambda *_: False)
    monkeypatch.setattr(checks, "worth_masking", lambda *_: True)
    monkeypatch.setattr(linear, "_kept", lambda head, terms: (head, terms, None))


class Waits(TorchDispatchMode):
    """Notes every operation whose result the host must see before it can go on."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().removeprefix("aten::").partition(".")[0]
        if name in WAITS:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def steps(**options: Any) -> Callable[[Tensor, Tensor], None]:
    loss = whyloss.FocalLoss(engine="triton", **options)

    def forward_and_backward(z: Tensor, y: Tensor) -> None:
        loss(z, y).sum().backward()

    return forward_and_backward


@pytest.mark.parametrize("width", [20, 5000])
def test_a_mean_reads_the_logits_in_one_kernel(width: int, launched: list[str]):
    # Labels that the host looks at; where it does not, test_plain.py has what is small.
    z, y = torch.randn(3, width).requires_grad_(), torch.tensor([0, 1, 2])
    steps(validate=True)(z, y)
    assert launched == ["small" if width == 20 else "stream", "sum_of_losses", "_scale"]
    launched.clear()
    steps(reduction="none", validate=True)(z, y)
    assert launched == (["small", "small"] if width == 20 else ["stream", "pull_back"])
    launched.clear()
    with torch.no_grad():
        whyloss.FocalLoss(engine="triton", validate=True)(z, y)
    assert launched == ["small" if width == 20 else "stream", "sum_of_losses"]


def test_pixels_are_read_in_one_kernel_and_copied_in_none(launched: list[str]):
    z, y = torch.randn(2, 5, 4, 6).requires_grad_(), torch.randint(0, 5, (2, 4, 6))
    steps(validate=True)(z, y)
    assert launched == ["planes", "sum_of_losses", "_scale"]


@pytest.mark.parametrize("shape", [(6, 20), (6, 5000), (2, 5, 3, 4)])
def test_labels_are_looked_at_where_they_are(shape: tuple[int, ...], launched: list[str], as_on_a_gpu: None):
    z = torch.randn(shape).requires_grad_()
    y = torch.arange(6 if len(shape) == 2 else 24).reshape(shape[:1] + shape[2:]) % shape[1]
    y.reshape(-1)[1] = -100
    with torch.no_grad():
        z.movedim(1, -1)[y == -100] = torch.nan
    for reduction in ("mean", "none"):
        found = list[Tensor]()
        for engine in ("triton", "reference"):
            launched.clear()
            value = whyloss.FocalLoss(engine=engine, reduction=reduction)(z, y)
            (gradient,) = torch.autograd.grad(value.sum(), z)
            found += [value.detach(), gradient]
            if engine == "triton" and reduction == "mean":
                reads = "planes" if len(shape) > 2 else "stream"
                early = ["share_of_targets", reads, "sum_of_losses", "_scale"]
                assert launched == (["small", "mean_of_losses", "small"] if shape == (6, 20) else early)
        torch.testing.assert_close(found[0], found[2])
        torch.testing.assert_close(found[1], found[3])
    smoothed = [
        torch.autograd.grad(whyloss.CrossEntropyLoss(engine=e, label_smoothing=0.1)(z, y), z)[0]
        for e in ("triton", "reference")
    ]
    torch.testing.assert_close(*smoothed)
    nothing = torch.full_like(y, -100)
    assert whyloss.FocalLoss(engine="triton")(z, nothing) == 0
    assert torch.isnan(whyloss.FocalLoss(engine="triton", empty="nan")(z, nothing))
    value, count = whyloss.FocalLoss(engine="triton").parts(z, y)
    assert count == y.numel() - 1


def test_losses_in_a_sum_share_the_kernel(launched: list[str]):
    z, y = torch.randn(3, 20).requires_grad_(), torch.tensor([0, 1, 2])
    parts = (
        whyloss.CrossEntropyLoss(engine="triton", validate=True),
        whyloss.BrierLoss(engine="triton", validate=True),
    )
    loss = parts[0] + 0.5 * parts[1]
    loss(z, y).backward()
    assert launched == ["small", "sum_of_losses", "_scale"]
    assert z.grad is not None
    kept = z.grad.clone()
    z.grad = None
    (whyloss.CrossEntropyLoss()(z, y) + 0.5 * whyloss.BrierLoss()(z, y)).backward()
    torch.testing.assert_close(kept, z.grad)


@pytest.mark.parametrize("over", ["logits", "labels"])
def test_no_kernel_is_started_on_what_a_transform_holds(over: str, launched: list[str], as_on_a_gpu: None):
    z, y = torch.randn(3, 4, 20), torch.tensor([[0, 1, 2, -100]]).expand(3, 4)
    loss = whyloss.FocalLoss(engine="triton")
    dims = (0, None) if over == "logits" else (0, 0)
    with pytest.raises(ValueError, match=r"torch\.func"):
        torch.func.vmap(loss, in_dims=dims)(z, y[0] if over == "logits" else y)
    assert not launched


def test_a_parameter_on_a_schedule_is_not_compiled_at_every_step(launched: list[str], monkeypatch: pytest.MonkeyPatch):
    from whyloss.stats.kernels import rows as kernels

    monkeypatch.setattr(kernels, "_values", {})
    z, y = torch.randn(3, 20, dtype=torch.float64).requires_grad_(), torch.tensor([0, 1, 2])
    loss = whyloss.FocalLoss(engine="triton", validate=True)
    for step in range(kernels.SETTLED + 3):
        loss.gamma = 1 + step / 10
        ours = torch.autograd.grad(loss(z, y), z)[0]
        exact = torch.autograd.grad(whyloss.FocalLoss(gamma=loss.gamma, engine="reference")(z, y), z)[0]
        torch.testing.assert_close(ours, exact)
    assert launched.count("small") == kernels.SETTLED
    assert launched.count("small_sums") == 3


def test_a_loss_made_anew_for_every_call_keeps_its_kernel(launched: list[str]):
    z, y = torch.randn(3, 20), torch.tensor([0, 1, 2])
    for _ in range(20):
        whyloss.LogitAdjustedLoss(counts=torch.ones(20), engine="triton", validate=True)(z, y)
    assert set(launched) == {"small", "sum_of_losses"}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_nothing_waits_for_the_gpu(reduction: str, weighted: bool, as_on_a_gpu: None):
    z, y = torch.randn(4, 20).requires_grad_(), torch.tensor([0, 1, 2, -100])
    weight = torch.rand(20) if weighted else None
    run = steps(reduction=reduction, weight=weight)
    run(z, y)
    with Waits() as waits:
        run(z, y)
    assert not waits.found


def test_neither_do_pixels_nor_a_linear_head(as_on_a_gpu: None):
    loss = whyloss.FocalLoss(engine="triton")
    z, y = torch.randn(2, 5, 6).requires_grad_(), torch.zeros(2, 6, dtype=torch.int64)
    hidden, weight = torch.randn(4, 8).requires_grad_(), torch.randn(20, 8).requires_grad_()
    loss(z, y).backward()
    with Waits() as waits:
        loss(z, y).backward()
        loss.linear(hidden, weight, torch.tensor([0, 1, 2, -100]))
    assert not waits.found

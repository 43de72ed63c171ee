"""`loss.linear` inside torch.compile: one operator that the compiler does not look into, so that no logits are kept
there either.

An operator takes tensors and numbers; the loss itself travels as its handle, a number that leads back to it."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from whyloss.losses.declared import KNOWN
from whyloss.stats.rows import computing_dtype

if TYPE_CHECKING:
    from whyloss.losses.loss import RowLoss

Parts = tuple[Tensor, Tensor, Tensor, Tensor]


def fits(loss: "RowLoss", *others: Any) -> bool:
    """Inside torch.compile, with nothing but the head to differentiate. torch.export leaves this process, and with it
    the handles; there the plain operations are what is wanted."""
    if not torch.compiler.is_compiling() or torch.compiler.is_exporting():
        return False
    return not any(isinstance(x, Tensor) and x.requires_grad for x in (*others, *loss.parameters(), *loss.buffers()))


def linear(
    loss: "RowLoss",
    hidden: Tensor,
    weight: Tensor,
    target: Tensor,
    bias: Tensor | None,
    sample_weight: Tensor | None,
    normalizer: float | Tensor | None,
    softcap: float | None,
    memory: int | None,
) -> Tensor:
    wanted = [torch.is_grad_enabled() and x is not None and x.requires_grad for x in (hidden, weight, bias)]
    divisor = None if normalizer is None else torch.as_tensor(normalizer)
    given = (hidden, weight, target, bias, sample_weight, divisor, softcap, memory, loss.handle, wanted)
    return _linear(*given)[0]  # pyright: ignore[reportIndexIssue]


@torch.library.custom_op("whyloss::linear", mutates_args=())
def _linear(
    hidden: Tensor,
    weight: Tensor,
    target: Tensor,
    bias: Tensor | None,
    sample_weight: Tensor | None,
    normalizer: Tensor | None,
    softcap: float | None,
    memory: int | None,
    handle: int,
    wanted: list[bool],
) -> Parts:
    """The value and, where it is one number, its gradients, which backward then scales."""
    loss: Any = KNOWN[handle]
    call = (target, sample_weight, normalizer, softcap, memory)
    if loss.reduction == "none":
        with torch.no_grad():
            return _run(loss, hidden, weight, bias, *call), *_nothing(hidden)
    return _with_gradients(loss, hidden, weight, bias, *call, wanted, None)


@torch.library.custom_op("whyloss::linear_backward", mutates_args=())
def _linear_backward(
    upstream: Tensor,
    hidden: Tensor,
    weight: Tensor,
    target: Tensor,
    bias: Tensor | None,
    sample_weight: Tensor | None,
    normalizer: Tensor | None,
    softcap: float | None,
    memory: int | None,
    handle: int,
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of a loss per row, under the upstream gradient of each."""
    call = (target, sample_weight, normalizer, softcap, memory)
    return _with_gradients(KNOWN[handle], hidden, weight, bias, *call, wanted, upstream)[1:]


def _run(
    loss: Any,
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    sample_weight: Tensor | None,
    normalizer: Tensor | None,
    softcap: float | None,
    memory: int | None,
) -> Tensor:
    options = {"sample_weight": sample_weight, "normalizer": normalizer, "softcap": softcap, "memory": memory}
    return loss.linear(hidden, weight, target, bias, **options)


def _with_gradients(loss: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any) -> Parts:
    *call, wanted, upstream = rest
    with _autograd():
        parts = [
            None if x is None else x.detach().requires_grad_(want)
            for x, want in zip((hidden, weight, bias), wanted, strict=True)
        ]
        value = _run(loss, *parts, *call)  # pyright: ignore[reportArgumentType]
        leaves = [x for x, want in zip(parts, wanted, strict=True) if want and x is not None]
        found = iter(torch.autograd.grad(value, leaves, upstream) if leaves else ())
    first, second, third = (next(found) if want else hidden.new_empty(0) for want in wanted)
    return value.detach(), first, second, third


@contextmanager
def _autograd() -> Generator[None]:
    """Autograd inside an operator, which torch runs with it switched off below the level of grad mode. The engines use
    it on the numbers of a row, to differentiate the formula."""
    from torch import _C  # pyright: ignore

    off = _C._dispatch_tls_local_exclude_set().remove(_C.DispatchKey.AutogradFunctionality)  # pyright: ignore
    with _C._ForceDispatchKeyGuard(_C._dispatch_tls_local_include_set(), off), torch.enable_grad():  # pyright: ignore
        yield


def _nothing(like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return like.new_empty(0), like.new_empty(0), like.new_empty(0)


@_linear.register_fake
def _(hidden: Tensor, weight: Tensor, target: Tensor, bias: Tensor | None, *rest: Any) -> Parts:
    handle, wanted = rest[-2:]
    loss: Any = KNOWN[handle]
    each = loss.reduction == "none"
    shape = hidden.shape[:-1] if loss.link == "softmax" else (*hidden.shape[:-1], weight.shape[0])
    value = hidden.new_empty(shape if each else (), dtype=computing_dtype(hidden))
    return value, *_shaped(hidden, weight, bias, wanted if not each else [False] * 3)


@_linear_backward.register_fake
def _(
    upstream: Tensor, hidden: Tensor, weight: Tensor, target: Tensor, bias: Tensor | None, *rest: Any
) -> tuple[Tensor, Tensor, Tensor]:
    return _shaped(hidden, weight, bias, rest[-1])


def _shaped(hidden: Tensor, weight: Tensor, bias: Tensor | None, wanted: list[bool]) -> tuple[Tensor, Tensor, Tensor]:
    first, second, third = (
        torch.empty_like(x) if want and x is not None else hidden.new_empty(0)
        for x, want in zip((hidden, weight, bias), wanted, strict=True)
    )
    return first, second, third


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Parts) -> None:
    *tensors, softcap, memory, handle, wanted = inputs
    ctx.rest = (softcap, memory, handle, wanted)
    each = KNOWN[handle].reduction == "none"
    ctx.each = each
    ctx.save_for_backward(*(tensors if each else output[1:]))


def _back(ctx: Any, upstream: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    wanted = ctx.rest[-1]
    if ctx.each:
        found = _linear_backward(upstream, *ctx.saved_tensors, *ctx.rest)
    else:
        found = [g * upstream.to(g.dtype) for g in ctx.saved_tensors]
    hidden, weight, bias = (g if want else None for g, want in zip(found, wanted, strict=True))  # pyright: ignore
    return hidden, weight, None, bias, *(None,) * 6


_linear.register_autograd(_back, setup_context=_keep)

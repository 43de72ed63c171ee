"""The dense engine for the CPU: from logits that exist to losses and the gradient, in two passes.

Rows go in blocks (block.py), which stay in the cache while their logits become exponentials, in the memory that will
hold the gradient. No other tensor of the logits' size is made.

Pixels stay where they are: a block of an image's is a transposed view, [B, C] with the pixels side by side, and torch's
loops go along the strides."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from whyloss.stats import mixture, reference
from whyloss.stats.block import Block, block_rows
from whyloss.stats.rows import Rows, computing_dtype, flat, infinite, over
from whyloss.stats.table import CONSTANT

# Logits of an image from which on blocks of its own are worth their few dozen operations; smaller ones become rows.
IMAGE = 2**15


def total(z: Tensor, rows: Rows, share: Tensor | None = None) -> Tensor:
    """The sum of the weighted row losses of logits [N, C] or [N, C, P], times `share` (one over what a mean divides
    by). The gradient is formed with it; if the result is what is differentiated, the backward pass only hands it on,
    else it scales it.

    16-bit gradients are formed in the backward pass instead, when their scale is known: rounded once, and a loss scaler
    comes before float16 underflows, not after."""
    return _Dense.apply(z, rows, True, share, torch.is_grad_enabled())  # pyright: ignore[reportReturnType]


def each(z: Tensor, rows: Rows) -> Tensor:
    """[N] weighted row losses. The backward pass reads the logits again, with the upstream gradients in hand."""
    return _Dense.apply(z, rows, False, None, False)  # pyright: ignore[reportReturnType]


class _Dense(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, rows: Rows, total: bool, share: Tensor | None, gradients: bool) -> Tensor:
        # Under no_grad torch still says that the logits could have a gradient.
        now = gradients and total and ctx.needs_input_grad[0] and z.dtype == computing_dtype(z) and not rows.inplace
        losses, ctx.gradient = _swept(z, rows, gradient=now, upstream=share)
        ctx.rows, ctx.total, ctx.share = rows, total, share
        ctx.save_for_backward(z)
        if not total:
            return _joined(losses)
        # Float64 carries the sum over the rows: a million float32 losses add up without drift.
        value = sum((part.sum(dtype=torch.float64) for part in losses[1:]), losses[0].sum(dtype=torch.float64))
        return (value if share is None else value * share).to(losses[0].dtype)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (u,) = upstream  # one number for the total, [N] for each
        (z,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph: the derivative itself must be differentiable
            scaled = u if ctx.share is None else u * ctx.share
            return _differentiable_gradient(z, ctx.rows, scaled, ctx.total), None, None, None, None
        # Whoever asks first gets the gradient itself; a second backward pass computes it again.
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            out = over(z, ctx.rows)  # whose change autograd sees
            gradient = sweep(z, ctx.rows, gradient=True, upstream=u if ctx.share is None else u * ctx.share, out=out)[1]
        elif float(u) != 1:
            gradient.mul_(u)
        return gradient, None, None, None, None


def _differentiable_gradient(z: Tensor, rows: Rows, upstream: Tensor, total: bool) -> Tensor:
    losses = reference.row_losses(computing(flat(z)), rows)
    (gradient,) = torch.autograd.grad(losses.sum() if total else losses, z, upstream, create_graph=True)
    return gradient


def computing(z: Tensor) -> Tensor:
    """The logits in the dtype that losses are computed in."""
    return z.to(computing_dtype(z))


def sweep(
    z: Tensor, rows: Rows, gradient: bool, upstream: Tensor | None = None, out: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Losses of all rows of logits [N, C] or [N, C, P] and, if asked for, the gradient of their sum weighted by
    `upstream`, a number or one a row, in `out` if that is given."""
    losses, grad = _swept(z, rows, gradient, upstream, out)
    return _joined(losses), grad


def _joined(losses: list[Tensor]) -> Tensor:
    return losses[0] if len(losses) == 1 else torch.cat(losses)


def _swept(
    z: Tensor, rows: Rows, gradient: bool, upstream: Tensor | None = None, out: Tensor | None = None
) -> tuple[list[Tensor], Tensor | None]:
    """The same, the losses block by block: there is at least one block."""
    classes = z.shape[1]
    if z.ndim == 3 and classes * z.shape[2] < IMAGE:
        losses, found = _swept(flat(z), rows, gradient, upstream)
        found = None if found is None else found.unflatten(0, (z.shape[0], z.shape[2])).movedim(2, 1)
        return losses, found if out is None or found is None else out.copy_(found)
    grad = (torch.empty_like(z) if out is None else out) if gradient else None
    step, dtype = block_rows(classes), computing_dtype(z)
    width = z.shape[0] if z.ndim == 2 else z.shape[2]
    spare = None
    # What is computed takes the logits' place when it is done.
    shared = grad is not None and grad.data_ptr() == z.data_ptr()
    if grad is None or grad.dtype != dtype or shared:
        size = min(step, width)
        spare = torch.empty((size, classes) if z.ndim == 2 else (classes, size), dtype=dtype, device=z.device)
        spare = spare if z.ndim == 2 else spare.T
    losses: list[Tensor] = []
    for start, stop, of_z, of_grad in _blocks(z, grad, width, step):
        whole = (stop - start) * classes == z.numel()
        of_rows = rows if whole else rows.block(start, stop)
        of_upstream = upstream if whole or upstream is None or upstream.ndim == 0 else upstream[start:stop]
        losses.append(_one_block(of_z, of_grad, spare, of_rows, of_upstream))
    return losses or [torch.empty(0, dtype=dtype, device=z.device)], grad


def _blocks(z: Tensor, grad: Tensor | None, width: int, step: int) -> Iterator[tuple[int, int, Tensor, Tensor | None]]:
    """Numbers of the first and the last row but one of every block, its logits [B, C] and its place in the gradient."""
    for number in range(1 if z.ndim == 2 else z.shape[0]):
        of_z, of_grad = (x if x is None or z.ndim == 2 else x[number].T for x in (z, grad))
        assert of_z is not None
        for start in range(0, width, step):
            stop = min(start + step, width)
            to = None if of_grad is None else of_grad[start:stop]
            yield number * width + start, number * width + stop, of_z[start:stop], to


def _one_block(z: Tensor, grad: Tensor | None, spare: Tensor | None, rows: Rows, upstream: Tensor | None) -> Tensor:
    """Losses of a block; fills its `grad`. `spare` is where to compute if that is not in `grad`."""
    buffer = grad if spare is None else spare[: len(z)]
    assert buffer is not None
    gradient, losses = grad is not None, None
    if rows.every_label:
        losses = mixture.losses(z, buffer, rows, upstream, gradient)
    elif rows.soft_labels and z.stride(1) == 1:
        losses = mixture.of_soft_labels(z, buffer, rows, upstream, gradient)
    if losses is None:
        losses = _of_labels(z, buffer, rows, upstream, gradient)
    if grad is not None and buffer is not grad:
        grad.copy_(buffer)
    return losses


def _of_labels(z: Tensor, buffer: Tensor, rows: Rows, upstream: Tensor | None, gradient: bool) -> Tensor:
    """The weighted losses; leaves the gradient in the buffer if one is wanted."""
    assert rows.label is not None
    block = Block(z, buffer, rows.label, rows)
    ignored = None if rows.keep is None or bool(rows.keep.all()) else ~rows.keep
    program = rows.program(gradient)
    value, slopes = _by_autograd(block, gradient) if program is None else program(block.base, block.near)
    if gradient:
        weight = rows.weight if upstream is None else upstream if rows.weight is None else upstream * rows.weight
        if weight is not None:
            slopes = {name: slope * weight for name, slope in slopes.items()}
        if ignored is not None:
            slopes = {name: slope.masked_fill(ignored, 0.0) for name, slope in slopes.items()}
        block.pull_back(slopes)
        if ignored is not None and not block.finite:
            buffer[ignored] = 0.0
    if block.impossible is not None:
        value = infinite(value, block.impossible)
    if rows.weight is not None:
        value = value * rows.weight
    return value if ignored is None else value.masked_fill(ignored, 0.0)


def _by_autograd(block: Block, gradient: bool) -> tuple[Tensor, dict[str, Tensor]]:
    """The formula run as it is, and differentiated by autograd."""
    with torch.set_grad_enabled(gradient):
        base = {n: s.detach().requires_grad_(gradient and n not in CONSTANT) for n, s in block.base.items()}
        loss = block.rows.run(base)
    if not loss.requires_grad:
        return loss, {}
    leaves = {name: s for name, s in base.items() if s.requires_grad}
    slopes = torch.autograd.grad(loss, list(leaves.values()), torch.ones_like(loss), allow_unused=True)
    return loss.detach(), {n: c for n, c in zip(leaves, slopes, strict=True) if c is not None}  # pyright: ignore[reportUnnecessaryComparison]

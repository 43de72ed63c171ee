"""The linear engine: from hidden states and a weight matrix to losses and gradients; the logits are never kept.

Rows go in chunks: a product makes the logits of a chunk, the dense engine turns them into losses and their gradient,
two more products turn that into gradients of the hidden states and of the weights. The products are the matrix
library's. Only a chunk of logits and of their gradient is alive at any time."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from whyloss.stats import dense, elementwise, reference, vocabulary
from whyloss.stats.engine import obstacle, obstacle_to_kernels, transformed
from whyloss.stats.heads import Head
from whyloss.stats.kernels import absent
from whyloss.stats.kernels import binary as binary_kernels
from whyloss.stats.kernels import rows as kernels
from whyloss.stats.products import Total, add_product
from whyloss.stats.rows import Rows, computing_dtype

WORTH_DROPPING = 0.02  # share of ignored rows from which leaving them out of the products pays for the copy

Gradients = tuple[Tensor | None, Tensor | None, Tensor | None]
# A loss of rows, and what its weighted losses are multiplied by, or nothing.
Term = tuple[Rows, Tensor | None]


def total(head: Head, *terms: Term) -> Tensor:
    """The sum of the weighted row losses. All gradients are formed on the way forward. Terms share the logits."""
    if len(terms) > 1 and not _share_logits(head, terms):
        return torch.stack([total(head, term) for term in terms]).sum(0)
    head, terms, _ = _kept(head, terms)
    share = terms[0][1]
    if _materialise(head, terms):
        value = _reference(head, terms[0][0]).sum()
        return value if share is None else value * share
    if share is not None and share.requires_grad:
        return total(head, (terms[0][0], None)) * share
    given = (head, terms, True, torch.is_grad_enabled())
    return _Linear.apply(head.hidden, head.weight, head.bias, *given)  # pyright: ignore[reportReturnType]


def each(head: Head, *terms: Term) -> Tensor:
    """[N] weighted row losses ([N * C] if binary). The backward pass makes the logits again, with the upstream
    gradients in hand."""
    if len(terms) > 1 and not _share_logits(head, terms):
        return torch.stack([each(head, term) for term in terms]).sum(0)
    head, terms, kept = _kept(head, terms)
    if _materialise(head, terms):
        losses, share = _reference(head, terms[0][0]), terms[0][1]
        losses = losses if share is None else losses * share
    else:
        losses: Any = _Linear.apply(head.hidden, head.weight, head.bias, head, terms, False, False)
    if kept is None:
        return losses
    return losses.new_zeros(kept[1]).index_put((kept[0],), losses)


def choose(head: Head, rows: Rows) -> tuple[str, str]:
    """The engine's name, and the reason in words."""
    if head.engine == "reference":
        return "reference", "asked for by name; all logits are made"
    if head.engine == "triton" and (reason := absent(head.hidden.device)):
        raise ValueError(f"engine='triton' cannot compute this: {reason}. Use engine='auto' or 'reference'.")
    found = _beyond(head, rows)
    if found:
        return "reference", f"{found}; all logits are made"
    size, chunk = head.hidden.shape[0], head.chunk()
    if head.in_parts(rows):
        assert head.memory is not None
        chunk, width = vocabulary.size(head, head.memory)
        parts = -(-head.weight.shape[0] // width)
        return (
            "linear",
            f"{-(-size // chunk)} chunks of {chunk} rows, each in {parts} parts of {width} classes, made twice",
        )
    return "linear", f"{-(-size // chunk)} chunks of {chunk} rows; the logits are never kept"


def _materialise(head: Head, terms: tuple[Term, ...]) -> bool:
    return any(choose(head, rows)[0] == "reference" for rows, _ in terms)


def _share_logits(head: Head, terms: tuple[Term, ...]) -> bool:
    """Whether chunks of logits serve all terms."""
    if _materialise(head, terms) or any(share is not None and share.requires_grad for _, share in terms):
        return False
    return not any(replace(head, several=True).in_parts(rows) for rows, _ in terms)


def _beyond(head: Head, rows: Rows) -> str:
    """Why chunks do not fit, or nothing."""
    if torch.compiler.is_compiling():
        return "inside torch.compile"
    if head.change is not None:
        return "the adjustment changes whole rows of logits"
    if transformed(head.hidden) or transformed(head.weight):
        return "inside a torch.func transform, which needs plain differentiable operations"
    spread = None if rows.smoothing is None else rows.smoothing.weight
    extra = (rows.weight, rows.offset, rows.shift, rows.scale, rows.margin, rows.table, rows.mix, spread)
    if rows.learnable or any(isinstance(x, Tensor) and x.requires_grad for x in extra):
        return "something besides hidden states, weights and bias needs a gradient"
    return ""


def _reference(head: Head, rows: Rows) -> Tensor:
    z = head.logits()
    return reference.binary_losses(z.reshape(-1), rows) if head.binary else reference.row_losses(z, rows)


def _kept(head: Head, terms: tuple[Term, ...]) -> tuple[Head, tuple[Term, ...], tuple[Tensor, int] | None]:
    """Without the rows that all terms ignore, where finding them costs no wait and leaving them out saves work."""
    head = replace(head, several=len(terms) > 1)
    keeps = [rows.keep for rows, _ in terms if rows.keep is not None]
    if torch.compiler.is_compiling() or head.binary or len(keeps) < len(terms):
        return head, terms, None
    if any(keep.device.type != "cpu" or transformed(keep) for keep in keeps):
        return head, terms, None
    keep = keeps[0] if len(keeps) == 1 else torch.stack(keeps).any(0)
    count = int(keep.sum())
    if count >= len(keep) * (1 - WORTH_DROPPING) or count == 0:
        return head, terms, None
    kept = keep.nonzero().squeeze(1)
    fewer = tuple((rows.take(kept), share) for rows, share in terms)
    return replace(head, hidden=head.hidden[kept]), fewer, (kept, len(keep))


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        head: Head,
        terms: tuple[Term, ...],
        total: bool,
        gradients: bool,
    ) -> Tensor:
        head = replace(head, hidden=hidden, weight=weight, bias=bias)
        # Under no_grad torch still says which inputs could have a gradient.
        wanted = tuple(w and total and gradients for w in ctx.needs_input_grad[:3])
        # Float16 cannot hold gradients that are divided by many rows: they are scaled when a loss scaler has had its
        # say, in the backward pass.
        ctx.late, ctx.scaled = _late(terms) if total and hidden.dtype == torch.float16 else (None, terms)
        losses, ctx.gradients = _sweep(head, ctx.scaled, wanted, total and head.binary)
        ctx.head, ctx.terms, ctx.total = replace(head, hidden=hidden[:0]), terms, total
        ctx.save_for_backward(hidden, weight, bias)
        # Float64 carries the sum over the rows: a million float32 losses add up without drift.
        values = [x.sum(dtype=torch.float64) if total else x for x in losses]
        shared = [x if share is None else x * share for x, (_, share) in zip(values, terms, strict=True)]
        return sum(shared[1:], shared[0]).to(losses[0].dtype)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (u,) = upstream  # one number for the total, one a row for each
        hidden, weight, bias = ctx.saved_tensors
        head = replace(ctx.head, hidden=hidden, weight=weight, bias=bias)
        wanted = tuple(ctx.needs_input_grad[:3])
        nothing = (None,) * 4
        if torch.is_grad_enabled():  # create_graph: the derivative itself must be differentiable
            return *_differentiable(head, ctx.terms, u, wanted), *nothing
        found, ctx.gradients = ctx.gradients, None
        if not ctx.total:
            terms = [(rows, u if share is None else u * share) for rows, share in ctx.terms]
            return *_sweep(head, terms, wanted)[1], *nothing
        if found is None:  # a second backward pass over a retained graph
            found = _sweep(head, ctx.scaled, wanted)[1]
        scale = u if ctx.late is None else u * ctx.late
        return *(None if g is None else scaled(g, scale) for g in found), *nothing


def _late(terms: tuple[Term, ...]) -> tuple[Tensor | None, tuple[Term, ...]]:
    """The largest share, and the terms with what is left of theirs."""
    if len(terms) == 1:
        return terms[0][1], ((terms[0][0], None),)
    shares = [share for _, share in terms if share is not None]
    if not shares:
        return None, terms
    largest = torch.stack([share.abs() for share in shares]).amax()
    largest = torch.where(largest > 0, largest, 1.0)
    return largest, tuple((rows, 1 / largest if share is None else share / largest) for rows, share in terms)


def scaled(gradient: Tensor, scale: Tensor) -> Tensor:
    """In place, and without a pass over the gradient if the scale is 1."""
    if gradient.is_cuda and not absent(gradient.device) and gradient.is_contiguous():
        from whyloss.stats.kernels.launch import scale_

        return scale_(gradient, scale)  # looks at the scale where it is, without a wait
    if scale.device.type == "cpu" and bool(scale == 1):
        return gradient
    return gradient.mul_(scale.to(torch.promote_types(gradient.dtype, scale.dtype)))


def _differentiable(head: Head, terms: Sequence[Term], u: Tensor, wanted: tuple[bool, ...]) -> Gradients:
    value = torch.zeros_like(u)
    for rows, share in terms:
        losses = _reference(head, rows)
        own = losses if u.ndim else losses.sum()
        value = value + (own if share is None else own * share)
    inputs = [
        x for x, want in zip((head.hidden, head.weight, head.bias), wanted, strict=True) if want and x is not None
    ]
    found = iter(torch.autograd.grad(value, inputs, u, create_graph=True))
    first, second, third = (next(found) if want else None for want in wanted)
    return first, second, third


def _sweep(
    head: Head, terms: Sequence[Term], wanted: tuple[bool, ...], summed: bool = False
) -> tuple[list[Tensor], Gradients]:
    """Losses of all rows, or their sums over chunks, of each term; and the wanted gradients of the sum of all, where
    those of a term are weighted by its share, which here is a number or one for each row."""
    if head.in_parts(terms[0][0]):
        (rows, share), *_ = terms  # several go in rows
        losses, found = _in_parts(head, rows, wanted, share)
        return [losses], found
    count, classes = head.hidden.shape[0], head.weight.shape[0]
    wide = classes if head.binary else 1  # rows of the loss in a row of hidden states
    step, exact = head.chunk(), computing_dtype(head.weight)
    numbers = -(-count // step) if summed else count * wide
    losses = [torch.empty(numbers, dtype=exact, device=head.hidden.device) for _ in terms]
    shares = [x if x is None or not x.ndim else x.expand(count * wide) for _, x in terms]
    to_hidden = torch.empty_like(head.hidden) if wanted[0] else None
    to_weight = Total(head, step) if wanted[1] else None
    to_bias = torch.zeros(classes, dtype=exact, device=head.hidden.device) if wanted[2] else None
    z_chunk = head.room(min(step, count))
    slopes = None if not any(wanted) else z_chunk if head.in_place() else torch.empty_like(z_chunk)
    more = torch.empty_like(z_chunk) if slopes is not None and len(terms) > 1 else None
    for start in range(0, count, step):
        stop = min(start + step, count)
        block = slice(start * wide, stop * wide)
        z = head.logits_into(z_chunk[: stop - start], start)
        slope = None
        for number, (rows, _) in enumerate(terms):
            u = shares[number]
            u = u[block] if u is not None and u.ndim else u
            out = more if number else slopes
            out = None if out is None else out[: stop - start]
            part, found = _slopes(z, rows.block(block.start, block.stop), head, u, out)
            at = start // step if summed else block
            losses[number][at] = part.sum(dtype=torch.float64) if summed else part
            slope = found if slope is None else slope if found is None else slope.add_(found)
        if slope is None:
            continue
        head.uncapped(slope, z)
        if to_hidden is not None:
            first, *others = head.parts()
            torch.mm(slope[:, first], head.weight[first], out=to_hidden[start:stop])
            for part in others:
                to_hidden[start:stop].addmm_(slope[:, part], head.weight[part])
        if to_weight is not None:
            to_weight.add(slope, head.hidden[start:stop])
        if to_bias is not None:
            to_bias += slope.sum(0, dtype=exact)
    gradients = (
        to_hidden,
        None if to_weight is None else to_weight.value(),
        None if to_bias is None else to_bias.to(head.weight.dtype),
    )
    return losses, gradients


def _in_parts(head: Head, rows: Rows, wanted: tuple[bool, ...], upstream: Tensor | None) -> tuple[Tensor, Gradients]:
    """The same where classes go in parts."""
    assert head.memory is not None
    count, exact = head.hidden.shape[0], computing_dtype(head.weight)
    losses = torch.empty(count, dtype=exact, device=head.hidden.device)
    step, width = vocabulary.size(head, head.memory)
    # A sum over parts is rounded once, at the end.
    to_hidden = torch.zeros(head.hidden.shape, dtype=exact, device=head.hidden.device) if wanted[0] else None
    to_weight = Total(head, step) if wanted[1] else None
    to_bias = torch.zeros(head.weight.shape[0], dtype=exact, device=head.hidden.device) if wanted[2] else None
    for first, start, found in vocabulary.sweep(head, rows, upstream, any(wanted)):
        block = slice(first, first + len(found))
        if start is None:
            losses[block] = found
            continue
        part = slice(start, start + width)
        if to_hidden is not None:
            add_product(to_hidden[block], found, head.weight[part])
        if to_weight is not None:
            to_weight.add(found, head.hidden[block], part)
        if to_bias is not None:
            to_bias[part] += found.sum(0, dtype=exact)
    return losses, (
        None if to_hidden is None else to_hidden.to(head.hidden.dtype),
        None if to_weight is None else to_weight.value(),
        None if to_bias is None else to_bias.to(head.weight.dtype),
    )


def _slopes(
    z: Tensor, rows: Rows, head: Head, upstream: Tensor | None, out: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Losses of a chunk and, if there is an `out` for it, the gradient with respect to its logits; by an engine for
    logits that exist, where one fits."""
    wanted, binary = out is not None, head.binary
    if binary:
        flat, to = z.view(-1), None if out is None else out.view(-1)
        if head.engine != "triton" and not obstacle(flat, rows):
            return elementwise.sweep(flat, rows, wanted, upstream, to)[0], out
        if not obstacle_to_kernels(flat, rows):
            return binary_kernels.sweep(flat, rows, wanted, upstream, to)[0], out
    if not binary and head.engine != "triton" and not obstacle(z, rows):
        return dense.sweep(z, rows, wanted, upstream, out)
    if not binary and not obstacle_to_kernels(z, rows):
        return kernels.sweep(z, rows, now=wanted, later=False, upstream=upstream, out=out)[:2]
    with torch.enable_grad():
        leaf = z.detach().requires_grad_(wanted)
        exact = dense.computing(leaf)
        losses = reference.binary_losses(exact.reshape(-1), rows) if binary else reference.row_losses(exact, rows)
        if not wanted or not losses.requires_grad:
            return losses.detach(), None
        weight = torch.ones_like(losses) if upstream is None else upstream.to(losses.dtype).expand_as(losses)
        (slope,) = torch.autograd.grad(losses, leaf, weight)
    return losses.detach(), slope

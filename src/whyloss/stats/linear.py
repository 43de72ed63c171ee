"""The linear engine: from hidden states and a weight matrix to losses and gradients; the logits are never kept.

Rows go in chunks: a product makes the logits of a chunk, the dense engine turns them into losses and their gradient,
two more products turn that into gradients of the hidden states and of the weights. The products are the matrix
library's. Only a chunk of logits and of their gradient is alive at any time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from whyloss.stats import dense, elementwise, reference, vocabulary
from whyloss.stats.block import elements
from whyloss.stats.engine import Engine, obstacle, obstacle_to_kernels, transformed
from whyloss.stats.exact import soft_capped
from whyloss.stats.kernels import absent
from whyloss.stats.kernels import binary as binary_kernels
from whyloss.stats.kernels import rows as kernels
from whyloss.stats.products import Total, add_product
from whyloss.stats.rows import Rows, computing_dtype

# Logits in a chunk where nobody says how much memory there is. On the CPU: products of this size run at full speed and
# what lies between them is still in the last-level cache. On a GPU: rows, unless one chunk is cheaper anyway, or small
# beside the memory that a GPU has.
CPU_CHUNK = 2**22
GPU_ROWS = 2048
GPU_BYTES = 2**30
FEWEST_ROWS = 16
WORTH_DROPPING = 0.02  # share of ignored rows from which leaving them out of the products pays for the copy

Gradients = tuple[Tensor | None, Tensor | None, Tensor | None]


@dataclass(frozen=True)
class Head:
    """A linear layer on hidden states: [N, D] hidden, [C, D] weight, [C] bias. softcap c: the logits are c tanh(z / c).
    binary: each logit is a question of its own, so that the rows of the loss are N * C. memory: bytes that the logits
    and their gradient may take; None: by rule. engine: what turns a chunk of logits into their gradient. change: what
    the logits go through before the loss sees them, all at once."""

    hidden: Tensor
    weight: Tensor
    bias: Tensor | None = None
    softcap: float | None = None
    binary: bool = False
    memory: int | None = None
    engine: Engine = "auto"
    change: Callable[[Tensor], Tensor] | None = None

    def logits(self) -> Tensor:
        z = dense.computing(torch.nn.functional.linear(self.hidden, self.weight, self.bias))
        if self.softcap is not None:
            z = soft_capped(z, self.softcap)
        return z if self.change is None else self.change(z.reshape(-1) if self.binary else z)

    def masked(self) -> Tensor | None:
        """The classes that the bias masks, which a softcap would bring back."""
        return None if self.softcap is None or self.bias is None else torch.isneginf(self.bias)

    def logits_into(self, out: Tensor, start: int) -> Tensor:
        """The logits of as many rows as `out` has. The same memory for every chunk: fresh memory costs page faults."""
        hidden = self.hidden[start : start + len(out)]
        for part in self.parts():
            torch.mm(hidden, self.weight[part].T, out=out[:, part])
        if self.bias is not None:
            out.add_(self.bias)
        if self.softcap is not None:
            out.div_(self.softcap).tanh_().mul_(self.softcap)
        return out if (masked := self.masked()) is None else out.masked_fill_(masked, -torch.inf)

    def uncapped(self, slope: Tensor, z: Tensor) -> None:
        """Makes of slopes in the logits those in the products, in place."""
        if self.softcap is None:
            return
        slope.mul_(1 - (z / self.softcap) ** 2)
        if (masked := self.masked()) is not None:
            slope.masked_fill_(masked, 0.0)

    def parts(self) -> list[slice]:
        """The classes that go through one product. A GPU's matrix library wants sizes that are multiples of 16 bytes;
        of 50257 classes it makes a slow product, of 50240 and 17 two fast ones."""
        classes = self.weight.shape[0]
        main = classes // 64 * 64
        if self.hidden.device.type == "cpu" or classes % 8 == 0 or not main:
            return [slice(0, classes)]
        return [slice(0, main), slice(main, classes)]

    def room(self, rows: int) -> Tensor:
        """For the logits of this many rows, each starting at a multiple of 16 bytes."""
        classes, whole = self.weight.shape[0], 16 // self.weight.element_size()
        padded = classes if self.hidden.device.type == "cpu" or self.binary else -(-classes // whole) * whole
        return torch.empty(rows, padded, dtype=self.weight.dtype, device=self.weight.device)[:, :classes]

    def in_place(self) -> bool:
        """Whether the gradient of a chunk takes the place of its logits: the kernels can, the softcap needs both."""
        return self.softcap is None and not self.binary and (self.engine == "triton" or self.hidden.is_cuda)

    def in_parts(self, rows: Rows) -> bool:
        """Whether classes go in parts: the fewest rows of all of them would be more than the memory."""
        tight = self.memory is not None and self._within(self.memory) < min(FEWEST_ROWS, self.hidden.shape[0])
        return tight and not self.binary and vocabulary.fits(rows)

    def _within(self, memory: int) -> int:
        """Rows of all classes that a memory holds: the chunk's logits, their gradient, and on the CPU in 16 bits the
        block that is being computed in 32."""
        classes = self.weight.shape[0]
        row = classes * self.weight.element_size() * (1 if self.in_place() else 2)
        if self.hidden.device.type != "cpu" or self.weight.element_size() >= 4:
            return memory // row
        return max(memory // (row + 4 * classes), (memory - 4 * elements()) // row)  # a small block, or one of many

    def chunk(self) -> int:
        """Rows that go together."""
        rows, classes = max(1, self.hidden.shape[0]), self.weight.shape[0]
        if self.memory is not None:
            chosen = self._within(self.memory)
        elif self.hidden.device.type == "cpu":
            chosen = CPU_CHUNK // classes
        else:
            # One chunk needs no accumulator, and takes less than one in float32 would: N * C * 2 <= C * D * 4.
            one = rows <= 2 * self.hidden.shape[1] or rows * classes * self.weight.element_size() <= GPU_BYTES
            chosen = rows if one else GPU_ROWS
        chunks = -(-rows // max(FEWEST_ROWS, chosen))
        return -(-rows // chunks)  # equal ones


def total(head: Head, rows: Rows, engine: Engine = "auto", share: Tensor | None = None) -> Tensor:
    """The sum of the weighted row losses, times `share`. All gradients are formed on the way forward."""
    head, rows, _ = _kept(head, rows)
    if _materialise(head, rows, engine):
        value = _reference(head, rows).sum()
        return value if share is None else value * share
    late = share is not None and share.requires_grad
    given = (head, rows, True, None if late else share, torch.is_grad_enabled())
    value: Any = _Linear.apply(head.hidden, head.weight, head.bias, *given)
    return value * share if late else value


def each(head: Head, rows: Rows, engine: Engine = "auto") -> Tensor:
    """[N] weighted row losses ([N * C] if binary). The backward pass makes the logits again, with the upstream
    gradients in hand."""
    head, rows, kept = _kept(head, rows)
    if _materialise(head, rows, engine):
        losses = _reference(head, rows)
    else:
        losses: Any = _Linear.apply(head.hidden, head.weight, head.bias, head, rows, False, None, False)
    if kept is None:
        return losses
    return losses.new_zeros(kept[1]).index_put((kept[0],), losses)


def choose(head: Head, rows: Rows, engine: Engine = "auto") -> tuple[str, str]:
    """The engine's name, and the reason in words."""
    if engine == "reference":
        return "reference", "asked for by name; all logits are made"
    if engine == "triton" and (reason := absent(head.hidden.device)):
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


def _materialise(head: Head, rows: Rows, engine: Engine) -> bool:
    return choose(head, rows, engine)[0] == "reference"


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


def _kept(head: Head, rows: Rows) -> tuple[Head, Rows, tuple[Tensor, int] | None]:
    """Without the ignored rows, where finding them costs no wait and leaving them out saves work."""
    keep = rows.keep
    if keep is None or torch.compiler.is_compiling() or head.binary or keep.device.type != "cpu" or transformed(keep):
        return head, rows, None
    count = int(keep.sum())
    if count >= len(keep) * (1 - WORTH_DROPPING) or count == 0:
        return head, rows, None
    kept = keep.nonzero().squeeze(1)
    return replace(head, hidden=head.hidden[kept]), rows.take(kept), (kept, len(keep))


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        head: Head,
        rows: Rows,
        total: bool,
        share: Tensor | None,
        gradients: bool,
    ) -> Tensor:
        head = replace(head, hidden=hidden, weight=weight, bias=bias)
        # Under no_grad torch still says which inputs could have a gradient.
        wanted = tuple(w and total and gradients for w in ctx.needs_input_grad[:3])
        # Float16 cannot hold gradients that are divided by many rows: they are scaled when a loss scaler has had its
        # say, in the backward pass.
        ctx.late = share if hidden.dtype == torch.float16 else None
        losses, ctx.gradients = _sweep(
            head, rows, wanted, None if ctx.late is not None else share, total and head.binary
        )
        ctx.head, ctx.rows, ctx.total, ctx.share = replace(head, hidden=hidden[:0]), rows, total, share
        ctx.save_for_backward(hidden, weight, bias)
        if not total:
            return losses
        # Float64 carries the sum over the rows: a million float32 losses add up without drift.
        value = losses.sum(dtype=torch.float64)
        return (value if share is None else value * share).to(losses.dtype)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (u,) = upstream  # one number for the total, one a row for each
        hidden, weight, bias = ctx.saved_tensors
        head = replace(ctx.head, hidden=hidden, weight=weight, bias=bias)
        wanted = tuple(ctx.needs_input_grad[:3])
        nothing = (None,) * 5
        if torch.is_grad_enabled():  # create_graph: the derivative itself must be differentiable
            return *_differentiable(head, ctx.rows, ctx.share, u, wanted), *nothing
        found, ctx.gradients = ctx.gradients, None
        if not ctx.total:
            return *_sweep(head, ctx.rows, wanted, u)[1], *nothing
        if found is None:  # a second backward pass over a retained graph
            found = _sweep(head, ctx.rows, wanted, None if ctx.late is not None else ctx.share)[1]
        scale = u if ctx.late is None else u * ctx.late
        return *(None if g is None else scaled(g, scale) for g in found), *nothing


def scaled(gradient: Tensor, scale: Tensor) -> Tensor:
    """In place, and without a pass over the gradient if the scale is 1."""
    if gradient.is_cuda and not absent(gradient.device) and gradient.is_contiguous():
        from whyloss.stats.kernels.launch import scale_

        return scale_(gradient, scale)  # looks at the scale where it is, without a wait
    if scale.device.type == "cpu" and bool(scale == 1):
        return gradient
    return gradient.mul_(scale.to(torch.promote_types(gradient.dtype, scale.dtype)))


def _differentiable(head: Head, rows: Rows, share: Tensor | None, u: Tensor, wanted: tuple[bool, ...]) -> Gradients:
    losses = _reference(head, rows)
    value = losses if u.ndim else losses.sum() if share is None else losses.sum() * share
    inputs = [
        x for x, want in zip((head.hidden, head.weight, head.bias), wanted, strict=True) if want and x is not None
    ]
    found = iter(torch.autograd.grad(value, inputs, u, create_graph=True))
    first, second, third = (next(found) if want else None for want in wanted)
    return first, second, third


def _sweep(
    head: Head, rows: Rows, wanted: tuple[bool, ...], upstream: Tensor | None, summed: bool = False
) -> tuple[Tensor, Gradients]:
    """Losses of all rows, or their sums over chunks, and the wanted gradients of their sum weighted by `upstream`, a
    number or one for each."""
    if head.in_parts(rows):
        return _in_parts(head, rows, wanted, upstream)
    count, classes = head.hidden.shape[0], head.weight.shape[0]
    wide = classes if head.binary else 1  # rows of the loss in a row of hidden states
    step, exact = head.chunk(), computing_dtype(head.weight)
    losses = torch.empty(-(-count // step) if summed else count * wide, dtype=exact, device=head.hidden.device)
    if upstream is not None and upstream.ndim:
        upstream = upstream.expand(count * wide)
    to_hidden = torch.empty_like(head.hidden) if wanted[0] else None
    to_weight = Total(head, step) if wanted[1] else None
    to_bias = torch.zeros(classes, dtype=exact, device=head.hidden.device) if wanted[2] else None
    z_chunk = head.room(min(step, count))
    slopes = None if not any(wanted) else z_chunk if head.in_place() else torch.empty_like(z_chunk)
    for start in range(0, count, step):
        stop = min(start + step, count)
        block = slice(start * wide, stop * wide)
        u = upstream[block] if upstream is not None and upstream.ndim else upstream
        z = head.logits_into(z_chunk[: stop - start], start)
        out = None if slopes is None else slopes[: stop - start]
        part, slope = _slopes(z, rows.block(block.start, block.stop), head, u, out)
        losses[start // step if summed else block] = part.sum(dtype=torch.float64) if summed else part
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

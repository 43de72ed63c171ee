"""`loss.linear` of a head whose classes are split over the ranks of torch.distributed; no rank ever keeps its logits.

Each rank makes the logits of its own classes for a chunk of rows, which go through the door as sharded logits do, and
turns their slopes into those of its weights and its part of those of the hidden states, which the ranks add up."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from whyloss.losses import checks, targets
from whyloss.losses import rows as door
from whyloss.stats.exact import soft_capped
from whyloss.stats.heads import CPU_CHUNK, FEWEST_ROWS, GPU_ROWS, Head
from whyloss.stats.linear import Gradients, scaled
from whyloss.stats.products import Total
from whyloss.stats.rows import computing_dtype
from whyloss.stats.shard import Shard, shard_of

if TYPE_CHECKING:
    from whyloss.losses.loss import RowLoss


def linear(*given: Any) -> Tensor:
    """`RowLoss.linear`, with a group. Its loop has collectives in it: the compiler leaves it as it is."""
    aside: Any = torch.compiler.disable  # whose mention at import would load the compiler
    return aside(_linear)(*given) if torch.compiler.is_compiling() else _linear(*given)


def _linear(
    loss: "RowLoss",
    hidden: Tensor,
    weight: Tensor,
    target: Tensor,
    bias: Tensor | None,
    group: Any,
    start: int | None,
    sample_weight: Tensor | None,
    normalizer: float | Tensor | None,
    softcap: float | None,
    memory: int | None,
) -> Tensor:
    name, labels = type(loss).__name__, hidden.shape[:-1]
    hidden, weight, bias = door.head_of(loss, hidden, weight, bias, softcap, memory)
    if softcap is not None and loss.adjust is not None and loss.adjust.softcap is not None:
        raise ValueError(f"{name}.linear: softcap={softcap}, but the loss has one of its own, {loss.adjust.softcap}.")
    flat = hidden.reshape(-1, hidden.shape[-1])
    of_rows = targets.flat(target, labels)
    stand_in = flat.new_zeros(()).expand(len(flat), len(weight))
    checks.shardable(loss, stand_in, of_rows)
    checks.target(name, stand_in, of_rows, loss.link)
    per_row = targets.sample_weight(name, sample_weight, labels, computing_dtype(hidden))
    shard = shard_of(stand_in, start, group, loss)
    others = (*loss.parameters(), *loss.buffers(), target, per_row, normalizer)
    if any(isinstance(x, Tensor) and x.requires_grad for x in others):  # all logits are made
        z = torch.nn.functional.linear(_Shared.apply(flat, shard), weight, bias)  # pyright: ignore
        z = z if softcap is None else soft_capped(z.to(computing_dtype(z)), softcap)
        value = loss.sharded(z, of_rows, group=group, start=start, sample_weight=per_row, normalizer=normalizer)
        return value.reshape(labels) if loss.reduction == "none" else value
    split = _Split(loss, of_rows, per_row, group, start, shard, softcap, _rows(flat, weight, shard, memory))
    given = (flat, weight, bias, split, normalizer, torch.is_grad_enabled())
    value: Any = _Linear.apply(*given)
    return value.reshape(labels) if loss.reduction == "none" else value


def _rows(hidden: Tensor, weight: Tensor, shard: Shard, memory: int | None) -> int:
    """Rows that go together: as many on every rank, whatever its slice."""
    ranks = 1 if shard.group is None else dist.get_world_size(shard.group)
    classes, count = -(-shard.classes // ranks) or 1, max(1, len(hidden))
    if memory is not None:
        chosen = memory // (2 * classes * weight.element_size())
    else:
        chosen = CPU_CHUNK // classes if hidden.device.type == "cpu" else GPU_ROWS
    return -(-count // -(-count // max(FEWEST_ROWS, chosen)))


class _Shared(torch.autograd.Function):
    """What is the same on every rank, and whose slopes the ranks each have a part of."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shard: Shard) -> Tensor:
        ctx.shard = shard
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return ctx.shard.over_ranks(upstream[0].clone(memory_format=torch.contiguous_format), "SUM"), None


@dataclass(frozen=True)
class _Split:
    """One call: the loss, what each row asks for and counts for, which classes are here, and rows that go together."""

    loss: "RowLoss"
    target: Tensor
    weight: Tensor | None
    group: Any
    start: int | None
    shard: Shard
    softcap: float | None
    rows: int

    def enter(self, z: Tensor, part: slice) -> door.Entered:
        weight = None if self.weight is None else self.weight[part]
        return door.enter_sharded(self.loss, z, self.target[part], self.group, self.start, weight)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        split: _Split,
        normalizer: float | Tensor | None,
        gradients: bool,
    ) -> Tensor:
        loss = split.loss
        if normalizer is not None and loss.reduction != "mean":
            raise ValueError(
                f"normalizer replaces the denominator of reduction='mean'; the reduction is {loss.reduction!r}."
            )
        ctx.each = loss.reduction == "none"
        # Under no_grad torch still says which inputs could have a gradient.
        wanted = tuple(w and gradients and not ctx.each for w in ctx.needs_input_grad[:3])
        value, counted, ctx.gradients = _sweep(split, hidden, weight, bias, wanted)
        ctx.split, ctx.share = split, None
        ctx.save_for_backward(hidden, weight, bias)
        if loss.reduction != "mean":
            return value
        if normalizer is None:
            empty = torch.nan if loss.empty == "nan" else 0.0
            ctx.share = torch.where(counted == 0, empty, 1 / torch.where(counted == 0, 1.0, counted))
        else:
            ctx.share = 1 / torch.as_tensor(normalizer, dtype=value.dtype, device=value.device)
        return value * ctx.share

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (u,) = upstream
        hidden, weight, bias = ctx.saved_tensors
        given = (ctx.split, hidden, weight, bias, ctx.needs_input_grad[:3])
        found, ctx.gradients = ctx.gradients, None
        if ctx.each:
            found = _sweep(*given, u)[2]
        else:
            if found is None:  # a second backward pass over a retained graph
                found = _sweep(*given)[2]
            scale = u if ctx.share is None else u * ctx.share
            found = tuple(None if g is None else scaled(g, scale) for g in found)
        return *found, None, None, None


def _sweep(
    split: _Split,
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    wanted: tuple[bool, ...],
    upstream: Tensor | None = None,
) -> tuple[Tensor, Tensor, Gradients]:
    """The losses of all rows or their sum, what they count for, and the wanted gradients of the sum, weighted by
    `upstream`."""
    head, exact = Head(hidden, weight, bias, split.softcap), computing_dtype(weight)
    to_hidden = torch.empty_like(hidden) if wanted[0] else None
    to_weight = Total(head, split.rows) if wanted[1] else None
    to_bias = torch.zeros(len(weight), dtype=exact, device=weight.device) if wanted[2] else None
    values, counts = list[Tensor](), list[Tensor]()
    room = head.room(min(split.rows, len(hidden)))
    for first in range(0, max(1, len(hidden)), split.rows):
        part = slice(first, min(first + split.rows, len(hidden)))
        z = head.logits_into(room[: part.stop - first], first)
        leaf = z.detach().requires_grad_(any(wanted))
        with torch.set_grad_enabled(any(wanted)):
            entered = split.enter(leaf, part)
            if split.loss.reduction == "none":
                value = entered.reduced("none", None)
            else:
                value, counted = entered.parts()
                counts.append(counted.detach())
            values.append(value.detach())
            if not any(wanted):
                continue
            due = value if upstream is None else (value * upstream[part]).sum()
            slope = torch.autograd.grad(due, leaf)[0] if due.requires_grad else torch.zeros_like(leaf)
        head.uncapped(slope, z)
        if to_hidden is not None:
            torch.mm(slope, weight, out=to_hidden[part])
        if to_weight is not None:
            to_weight.add(slope, hidden[part])
        if to_bias is not None:
            to_bias += slope.sum(0, dtype=exact)
    if to_hidden is not None:
        split.shard.over_ranks(to_hidden, "SUM")
    found = (
        to_hidden,
        None if to_weight is None else to_weight.value(),
        None if to_bias is None else to_bias.to(weight.dtype),
    )
    if split.loss.reduction == "none":
        return torch.cat(values), torch.zeros(()), found
    # Float64 carries the sums over the chunks.
    value, counted = (torch.stack(x).sum(dtype=torch.float64).to(exact) for x in (values, counts))
    return value, counted, found

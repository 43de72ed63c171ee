"""The engine of the sigmoid link for logits that exist: their program, over blocks that stay in the cache.

Nothing of the logits' size is made but the gradient. With a mean or a sum it is formed on the way forward."""

import threading
from collections.abc import Callable
from functools import lru_cache
from math import isfinite
from typing import Any, NamedTuple

import torch
from torch import Tensor

from whyloss.stats import binary, reference
from whyloss.stats.inplace import BITS, Steps
from whyloss.stats.program import NEAR, Program
from whyloss.stats.rows import Rows, computing_dtype, over, spent

# Elements for each thread, and for all: enough that the calls are not what takes time, few enough for a program's
# registers to stay in the last-level cache.
BLOCK, MOST = 2**17, 2**20
FEW = 2**12  # elements that are not worth a block
MARKS = ("label", "mix", "mix0", "mix1")  # what a program reads of a target


class Way(NamedTuple):
    """How a sweep over the logits is done. early: whether the gradient of each loss, or of their total, may be made on
    the way forward. scale: multiplies a gradient by a number, or by one for each, in place."""

    sweep: Callable[..., tuple[Tensor, Tensor | None]]
    early: Callable[[Tensor, bool], bool]
    scale: Callable[[Tensor, Tensor], Any]


def total(z: Tensor, rows: Rows, share: Tensor | None = None) -> Tensor:
    """The sum of the weighted losses of logits [N], times `share`."""
    return differentiable(z, rows, True, share, WAY)


def each(z: Tensor, rows: Rows) -> Tensor:
    """[N] weighted losses. The backward pass reads the logits again, if they are many, with the upstream gradients in
    hand."""
    return differentiable(z, rows, False, None, WAY)


def differentiable(z: Tensor, rows: Rows, total: bool, share: Tensor | None, way: Way) -> Tensor:
    return _Elementwise.apply(z, rows, total, share, way, torch.is_grad_enabled())  # pyright: ignore[reportReturnType]


class _Elementwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, z: Tensor, rows: Rows, total: bool, share: Tensor | None, way: Way, gradients: bool
    ) -> Tensor:
        # Under no_grad torch still says that the logits could have a gradient.
        now = gradients and ctx.needs_input_grad[0] and way.early(z, total) and not rows.inplace
        ctx.rows, ctx.total, ctx.share, ctx.way = rows, total, share, way
        ctx.save_for_backward(z)
        losses, ctx.gradient = way.sweep(z, rows, now, share, summed=total)
        return losses if share is None else losses * share

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (u,) = upstream  # one number for the total, [N] for each
        (z,) = ctx.saved_tensors
        nothing = (None,) * 5
        if torch.is_grad_enabled():  # create_graph: the derivative itself must be differentiable
            losses = reference.binary_losses(z.to(computing_dtype(z)), ctx.rows)
            value = losses.sum() if ctx.total else losses
            (gradient,) = torch.autograd.grad(value, z, _scaled(u, ctx.share), create_graph=True)
            return gradient, *nothing
        # Whoever asks first gets the gradient itself; a second backward pass computes it again.
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            out = over(z, ctx.rows)
            gradient = ctx.way.sweep(z, ctx.rows, True, _scaled(u, ctx.share), out, summed=True)[1]
            if out is not None:
                spent(z)
        else:
            ctx.way.scale(gradient, u)
        return gradient, *nothing


def _scaled(u: Tensor, share: Tensor | None) -> Tensor:
    return u if share is None else u * share


def sweep(
    z: Tensor,
    rows: Rows,
    gradient: bool,
    upstream: Tensor | None = None,
    out: Tensor | None = None,
    summed: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Losses of all logits, or their sum, and, if asked for, the gradient of that sum weighted by `upstream`, a number
    or [N], in `out` if that is given."""
    count, dtype = z.shape[0], computing_dtype(z)
    if 0 < count <= FEW and out is None and rows.keep is None and z.dtype == dtype:
        found = _at_once(z, rows, gradient, upstream, summed)
        if found is not None:
            return found
    grad = (torch.empty(count, dtype=z.dtype, device=z.device) if out is None else out) if gradient else None
    losses = None if summed else torch.empty(count, dtype=dtype, device=z.device)
    value = 0.0  # in float64: a million float32 losses add up without drift
    blocks = _Blocks(rows, dtype)
    step = min(BLOCK * torch.get_num_threads(), MOST)
    for start in range(0, count, step):
        part = slice(start, min(start + step, count))
        loss, slope = blocks.begin(part.stop - start)
        if losses is not None:
            loss = losses[part]
        apart = grad is not None and (grad.dtype != dtype or grad.data_ptr() == z.data_ptr())
        if grad is not None and not apart:
            slope = grad[part]
        of_part = upstream[part] if upstream is not None and upstream.ndim else upstream
        blocks.run(z[part], part, of_part, loss, slope if gradient else None)
        if losses is None:
            value += float(loss.sum())
        if grad is not None and apart:
            grad[part] = slope
    return torch.tensor(value, dtype=dtype, device=z.device) if losses is None else losses, grad


def _at_once(
    z: Tensor, rows: Rows, gradient: bool, upstream: Tensor | None, summed: bool
) -> tuple[Tensor, Tensor | None] | None:
    """The same of a few logits: each operation takes longer than what it does, and blocks cost more than they save.
    None where a logit is infinite."""
    square = torch.dot(z, z).item()
    program = binary.program(rows, endless=False) if isfinite(square) else None
    if program is None:
        return None
    given = {"z": z} | (binary.numbers(rows, z) if len(program.inputs) > 2 else {})
    given |= {name: _entry(rows, name).to(z.dtype) for name in program.inputs if name in MARKS}
    losses, slopes = program(given, near=square < NEAR**2)
    if rows.offset is not None:
        losses = losses + rows.offset
    if rows.weight is not None:
        losses = losses * rows.weight
    slope = slopes["z"] if gradient else None
    if slope is not None:
        for factor in (rows.weight, upstream):
            slope = slope if factor is None else slope * factor
        slope = slope.clone() if slope is slopes["z"] else slope  # whose program may hand out one tensor twice
    return losses.sum() if summed else losses, slope


class _Memory(threading.local):
    """Blocks that are used again, because fresh memory costs more than what is done in it."""

    def __init__(self) -> None:
        self.blocks: dict[torch.dtype, list[Tensor]] = {}

    def room(self, number: int, count: int, dtype: torch.dtype) -> list[Tensor]:
        """As many blocks, for `count` elements each."""
        blocks = self.blocks.setdefault(dtype, [])
        if blocks and len(blocks[0]) < count:
            blocks.clear()
        size = len(blocks[0]) if blocks else count
        with torch.inference_mode(False):  # what is made in that mode may not be written to outside of it
            while len(blocks) < number:
                blocks.append(torch.empty(size, dtype=dtype, device="cpu"))
        found = blocks[:number]
        return found if size == count else [block[:count] for block in found]


_memory = _Memory()


def room(number: int, count: int, dtype: torch.dtype) -> list[Tensor]:
    """Memory for as many blocks of `count` elements, until somebody asks again."""
    return _memory.room(number, count, dtype)


OWN = 6  # blocks of a sweep itself, besides a program's registers


class _Blocks:
    """What is done to a block."""

    def __init__(self, rows: Rows, dtype: torch.dtype):
        self.rows, self.dtype = rows, dtype
        self.numbers = binary.numbers(rows, torch.empty((), dtype=dtype, device="cpu"))
        self.room: list[Tensor] = []
        self._found: dict[tuple[bool, bool], Steps] = {}

    def steps(self, z: Tensor, slope: bool) -> Steps:
        """The program for these logits; another one where some are infinite."""
        # Products that overflow without need do no harm.
        kind = (not isfinite(float(torch.dot(z, z))), slope)
        if kind not in self._found:
            program = binary.program(self.rows, kind[0])
            assert program is not None
            self._found[kind] = _steps(program, slope)
        return self._found[kind]

    def begin(self, count: int) -> tuple[Tensor, Tensor]:
        """Room for blocks of this size, and that for losses and slopes."""
        if not self.room or len(self.room[0]) != count:
            self.room = _memory.room(OWN, count, self.dtype)
        return self.room[0], self.room[1]

    def run(self, z: Tensor, part: slice, upstream: Tensor | None, loss: Tensor, slope: Tensor | None) -> None:
        rows, (_, _, exact, kept, *shares) = self.rows, self.room[:OWN]
        kept = None if rows.keep is None else _mask(rows.keep[part], kept)
        if kept is not None or z.dtype != self.dtype:
            z = exact.copy_(z)
            _blank(z, kept)
        steps, inputs = self.steps(z, slope is not None), {"z": z, **self.numbers}
        for name, room in zip(MARKS, (shares[0], shares[0], *shares), strict=True):
            if name in steps.inputs:
                inputs[name] = _real(_entry(rows, name)[part], room, loss)
        if len(self.room) < OWN + steps.registers:
            self.room = _memory.room(OWN + steps.registers, len(z), self.dtype)
        steps(inputs, self.room[OWN : OWN + steps.registers], (loss,) if slope is None else (loss, slope))
        weight = None if rows.weight is None else rows.weight[part]
        if rows.offset is not None:
            loss.add_(rows.offset[part])
        if weight is not None:
            loss.mul_(weight)
        _blank(loss, kept)
        if slope is None:
            return
        if steps.factor != 1:
            upstream = slope.new_tensor(steps.factor) if upstream is None else upstream * steps.factor
        for factor in (weight, upstream):
            if factor is not None:
                slope.mul_(factor)
        _blank(slope, kept)


def _entry(rows: Rows, name: str) -> Tensor:
    """What an input of the program is called in the rows."""
    found = rows.label if name == "label" else rows.mix
    assert found is not None
    return found[:, int(name[3])] if name in ("mix0", "mix1") else found


def _real(x: Tensor, room: Tensor, spare: Tensor) -> Tensor:
    """x in the dtype of `room`, there if it is not that already."""
    if x.dtype == room.dtype:
        return x
    if x.dtype == torch.int64 and room.dtype == torch.float32:  # in two steps, which vectorise
        x = spare.view(torch.int32).copy_(x)
    return room.copy_(_plain(x))


def _plain(x: Tensor) -> Tensor:
    """Booleans as the numbers that they are stored as, which are copied several times as fast."""
    return x.view(torch.uint8) if x.dtype == torch.bool else x


def _mask(keep: Tensor, room: Tensor) -> Tensor:
    """All bits of what is kept, in `room`."""
    return room.view(BITS[room.dtype]).copy_(_plain(keep)).neg_()


def _blank(x: Tensor, kept: Tensor | None) -> None:
    """0 where x counts for nothing, whatever it holds."""
    if kept is not None:
        x.view(kept.dtype).bitwise_and_(kept)


@lru_cache(maxsize=256)
def _steps(program: Program, slopes: bool) -> Steps:
    return Steps(program, binary.ELEMENTS, slopes)


def _early(z: Tensor, total: bool) -> bool:
    # 16-bit gradients are made in the backward pass, when their scale is known: rounded once, and a loss scaler comes
    # before float16 underflows, not after.
    return z.dtype == computing_dtype(z) and (total or len(z) <= FEW)


def _scale(gradient: Tensor, factor: Tensor) -> None:
    if factor.ndim or float(factor) != 1:
        gradient.mul_(factor)


WAY = Way(sweep, _early, _scale)

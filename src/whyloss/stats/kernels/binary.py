"""The Triton engine of the sigmoid link: its program as a kernel of one pass, loss and gradient together."""

from functools import lru_cache
from string import Template
from typing import Any

import torch
from torch import Tensor

from whyloss.stats import binary, elementwise
from whyloss.stats.kernels.source import HEADER, Writer
from whyloss.stats.program import Program
from whyloss.stats.rows import Rows, computing_dtype

# Pointers: z, out, label, keep, weight, offset, upstream [N], mix [N] or, with PAIRS, [N, 2], share, and `numbers` of
# the program; None where there is none. `ignore`: the label, or share, of what counts for nothing. `losses` takes a
# number for each logit or, if SUMMED, for each program. `counts`: how many logits of a program count; the gradient is
# then that of the mean over all N, and owed a factor where some do not. Only the last program is incomplete, so that
# the others read and write in wide accesses.
TEMPLATE = """@triton.jit
def question($inputs):
    $lines
    return $loss, $slope


@triton.jit
def elementwise(z, out, label, mix, ignore, keep, weight, offset, share, upstream, numbers, losses, counts, N,
                B: tl.constexpr, GRADIENT: tl.constexpr, SUMMED: tl.constexpr, PAIRS: tl.constexpr):
    first = tl.program_id(0).to(tl.int64) * B
    if first + B <= N:
        block(z, out, label, mix, ignore, keep, weight, offset, share, upstream, numbers, losses, counts, N, first,
              B, GRADIENT, SUMMED, PAIRS, False)
    else:
        block(z, out, label, mix, ignore, keep, weight, offset, share, upstream, numbers, losses, counts, N, first,
              B, GRADIENT, SUMMED, PAIRS, True)


@triton.jit
def block(z, out, label, mix, ignore, keep, weight, offset, share, upstream, numbers, losses, counts, N, first,
          B: tl.constexpr, GRADIENT: tl.constexpr, SUMMED: tl.constexpr, PAIRS: tl.constexpr, LAST: tl.constexpr):
    o = first + tl.arange(0, B)
    live = o < N if LAST else None
    other = 0.0 if LAST else None
    x = tl.load(z + o, mask=live, other=other).to(ACC)
    y = x * 0.0
    share1, mix0, mix1 = y, y, y
    kept = x == x
    if keep is not None:
        kept = tl.load(keep + o, mask=live, other=0 if LAST else None) != 0
    if label is not None:
        found = tl.load(label + o, mask=live, other=0 if LAST else None)
        if ignore is not None:
            kept = found != ignore
            found = tl.where(kept, found, 0)
        y = found.to(ACC)
    if mix is not None and not PAIRS:
        share1 = tl.load(mix + o, mask=live, other=other).to(ACC)
        if ignore is not None:
            kept = share1 != ignore
            share1 = tl.where(kept, share1, 0.0)
    if mix is not None and PAIRS:
        mix0 = tl.load(mix + 2 * o, mask=live, other=other).to(ACC)
        mix1 = tl.load(mix + 2 * o + 1, mask=live, other=other).to(ACC)
    if keep is not None or ignore is not None:
        x = tl.where(kept, x, 0.0)
    loss, slope = question($given)
    if offset is not None:
        loss = loss + tl.load(offset + o, mask=live, other=other)
    if weight is not None:
        w = tl.load(weight + o, mask=live, other=other)
        loss, slope = loss * w, slope * w
    if keep is not None or ignore is not None:
        loss = tl.where(kept, loss, 0.0)
    if counts is not None:
        counted = tl.where(kept & live, 1, 0) if LAST else tl.where(kept, 1, 0)
        tl.store(counts + tl.program_id(0), tl.sum(counted, axis=0))
        slope = slope / N
    if SUMMED:
        if LAST:
            loss = tl.where(live, loss, 0.0)
        tl.store(losses + tl.program_id(0), tl.sum(loss, axis=0))
    else:
        tl.store(losses + o, loss, mask=live)
    if GRADIENT:
        if share is not None:
            slope = slope * tl.load(share)
        if upstream is not None:
            slope = slope * tl.load(upstream + o, mask=live, other=other).to(ACC)
        if keep is not None or ignore is not None:
            slope = tl.where(kept, slope, 0.0)
        tl.store(out + o, slope.to(out.dtype.element_ty), mask=live)
"""


@lru_cache(maxsize=256)
def text(program: Program) -> str:
    """The kernel of a program."""
    slope = program.slopes["z"]
    scalars = [name for name in program.inputs if name not in binary.ELEMENTS]
    inputs = [*binary.ELEMENTS, *scalars]
    w = Writer(program.lines, {})  # the lines behind "z" are its cells
    known = {name: name for name in inputs}
    ends = [program.loss, slope]
    lines = [w.assignments(ends, cells, known, {}) for cells in (False, True)]
    loss, slope = (w.value(end, known, {}) if isinstance(end, int) else f"z * 0.0 + {end!r}" for end in ends)
    given = ["x", "y", "share1", "mix0", "mix1", *(f"tl.load(numbers + {i})" for i in range(len(scalars)))]
    filled = Template(TEMPLATE).substitute(
        inputs=", ".join(inputs),
        lines="\n    ".join(line for line in lines if line != "pass") or "pass",
        loss=loss,
        slope=slope,
        given=", ".join(given),
    )
    return HEADER + filled


def source(rows: Rows) -> tuple[str, tuple[str, ...]]:
    """The kernel of a loss, and the names of the numbers that it reads."""
    program = binary.program(rows, endless=True)
    assert program is not None
    return text(program), tuple(name for name in program.inputs if name not in binary.ELEMENTS)


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
    from whyloss.stats.kernels import launch

    z = z.contiguous()
    count = z.shape[0]
    made, names = source(rows)
    if gradient and out is None:
        out = torch.empty(count, dtype=z.dtype, device=z.device)
    each = upstream is not None and upstream.ndim > 0
    row: dict[str, Any] = {name: _flat(getattr(rows, name)) for name in ("label", "mix", "keep", "weight", "offset")}
    row |= {"share": None if each else upstream, "upstream": _flat(upstream) if each else None}
    row["ignore"] = rows.ignore
    row["numbers"] = number_of_each(rows, names, z)
    losses, _ = launch.elementwise(made, z, row, out if gradient else None, summed)
    return losses.sum() if summed else losses, out if gradient else None


def number_of_each(rows: Rows, names: tuple[str, ...], z: Tensor) -> Tensor | None:
    """The numbers of these names, as kernels read them."""
    if not names:
        return None
    found = binary.numbers(rows, torch.empty((), dtype=computing_dtype(z), device=z.device))
    return torch.stack([found[name] for name in names])


def _flat(x: Tensor | None) -> Tensor | None:
    """As kernels read it: one after the other, and booleans as numbers."""
    if x is None:
        return None
    return x.contiguous().view(torch.uint8) if x.dtype == torch.bool else x.contiguous()


def _early(z: Tensor, total: bool) -> bool:
    # Float16 cannot hold gradients that are divided by many rows: a loss scaler must have its say before.
    return total and z.dtype != torch.float16


def _scale(gradient: Tensor, factor: Tensor) -> None:
    from whyloss.stats.kernels import launch

    launch.scale_(gradient, factor)


WAY = elementwise.Way(sweep, _early, _scale)


def total(z: Tensor, rows: Rows, share: Tensor | None = None) -> Tensor:
    """The sum of the weighted losses of logits [N], times `share`."""
    return elementwise.differentiable(z, rows, True, share, WAY)


def each(z: Tensor, rows: Rows) -> Tensor:
    """[N] weighted losses."""
    return elementwise.differentiable(z, rows, False, None, WAY)

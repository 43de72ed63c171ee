"""A region loss from what the programs have summed, as one kernel: the value, and the slopes for the way back.

The kernel is one program, because its numbers are few: it adds up, in float64, what `region.partial_sums` leaves, and
does for each region and class what verdict.py, a floor below, has traced. Nothing of it comes to the host."""

from functools import lru_cache
from string import Template
from types import ModuleType

import torch
from torch import Tensor

from whyloss.stats.kernels.source import HEADER, Writer
from whyloss.stats.verdict import KEPT, SUMS, Verdict

# partial [N, programs, 4, C]; kept [2, N, C] slopes of intersection and prediction, then what they are to be multiplied
# by. Of pooled images there is one with the programs of all, and `copies` of the slopes.
TEMPLATE = """@triton.jit
def judged($sums):
    zero = tl.zeros_like(intersection)
    $lines
    return $results


@triton.jit
def verdict(partial, weight, value, kept, images, programs, copies, C,
            R: tl.constexpr, T: tl.constexpr, MEAN: tl.constexpr, BACKGROUND: tl.constexpr):
    total, counts = tl.zeros((R,), ACC), tl.zeros((R,), ACC)
    regions = images * C
    for first in range(0, regions, R):
        o = first + tl.arange(0, R)
        c = o % C
        live = o < regions
        if not BACKGROUND:
            live = live & (c > 0)
        hits, found = tl.zeros((T, R), ACC), tl.zeros((T, R), ACC)
        held, seen = tl.zeros((T, R), ACC), tl.zeros((T, R), ACC)
        begin = partial + o // C * programs * 4 * C + c
        for p in range(0, programs, T):
            program = p + tl.arange(0, T)[:, None]
            own = begin[None, :] + program * 4 * C
            ok = live[None, :] & (program < programs)
            hits += tl.load(own, mask=ok, other=0.0).to(ACC)
            found += tl.load(own + C, mask=ok, other=0.0).to(ACC)
            held += tl.load(own + 2 * C, mask=ok, other=0.0).to(ACC)
            seen += tl.load(own + 3 * C, mask=ok, other=0.0).to(ACC)
        loss, counted, of_intersection, of_prediction = judged(
            tl.sum(hits, axis=0), tl.sum(found, axis=0), tl.sum(held, axis=0), tl.sum(seen, axis=0)
        )
        w = tl.where(counted, 1.0, 0.0).to(ACC)
        if weight is not None:
            w *= tl.load(weight + c, mask=live, other=0.0).to(ACC)
        total += loss * w
        counts += w
        for i in range(copies):
            own = kept + i * C + o
            tl.store(own, (of_intersection * w).to(tl.float32), mask=o < regions)
            tl.store(own + copies * regions, (of_prediction * w).to(tl.float32), mask=o < regions)
    share = 1.0
    if MEAN:
        all_counts = tl.sum(counts, axis=0)
        share = 1.0 / tl.where(all_counts == 0.0, 1.0, all_counts)
    tl.store(value, (tl.sum(total, axis=0) * share).to(tl.float32))
    tl.store(kept + 2 * copies * regions, share)


@triton.jit
def together(partial, found, programs, size, T: tl.constexpr, B: tl.constexpr):
    n, o = tl.program_id(0), tl.program_id(1) * B + tl.arange(0, B)
    total = tl.zeros((T, B), ACC)
    for p in range(0, programs, T):
        program = p + tl.arange(0, T)[:, None]
        ok = (o < size)[None, :] & (program < programs)
        total += tl.load(partial + (n * programs + program) * size + o[None, :], mask=ok, other=0.0).to(ACC)
    tl.store(found + n * size + o, tl.sum(total, axis=0), mask=o < size)
"""
ELEMENTS = 4096  # partial sums at a time, 8 of them in each of 512 threads: what their registers hold
REGIONS = 512  # at a time: the arithmetic of one takes all of a thread's registers
MANY = 2**17  # partial sums that are first added by as many programs as there are images
ADDING = {"T": 32, "B": 64, "num_warps": 8}


def text(verdict: Verdict) -> str:
    """The kernels of a verdict."""
    w, ends, known = Writer(verdict.lines, {}), verdict.ends, {name: name for name in SUMS}
    results = [w.value(end, known, {}) for end in ends]
    # A constant takes the shape of the others.
    results = [r if isinstance(end, int) else f"zero + {r}" for r, end in zip(results, ends, strict=True)]
    filled = Template(TEMPLATE).substitute(
        sums=", ".join(SUMS), lines=w.assignments(ends, None, known, {}), results=", ".join(results)
    )
    return HEADER + filled


@lru_cache(maxsize=KEPT)
def made(verdict: Verdict) -> ModuleType:
    from whyloss.stats.kernels import launch

    return launch.module(text(verdict), True)


def reach(verdict: Verdict, partial: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """(the value, what the pull-back reads) from partial sums [N, programs, 4, C] and the weights of classes."""
    from whyloss.stats.kernels import handles, launch

    module = made(verdict)
    images, programs, _, classes = partial.shape
    if programs > 1 and partial.numel() > MANY:
        sums = partial.new_empty((images, 1, 4, classes), dtype=torch.float64)
        grid = (images, launch.cdiv(4 * classes, ADDING["B"]))
        handles.start(module.together, grid, (partial, sums, programs, 4 * classes), {**ADDING, **launch.ALWAYS})
        partial, programs = sums, 1
    value = torch.empty((), dtype=torch.float32, device=partial.device)
    kept = torch.empty(2 * images * classes + 1, dtype=torch.float32, device=partial.device)
    shape = (1, images * programs, images) if verdict.pooled else (images, programs, 1)
    flags = {"MEAN": verdict.mean, "BACKGROUND": verdict.background}
    size = {**block(shape[0] * classes, shape[1]), **flags, **launch.ALWAYS}
    handles.start(module.verdict, (1,), (partial, weight, value, kept, *shape, classes), size)
    return value, kept


@lru_cache(maxsize=256)
def block(regions: int, programs: int) -> dict[str, int]:
    """R regions and T programs of each that are read at a time."""
    from whyloss.stats.kernels.launch import power_of_2

    R = min(power_of_2(regions), REGIONS)
    T = min(power_of_2(programs), ELEMENTS // R)
    return {"R": R, "T": T, "num_warps": max(1, R // 32, R * T // 256)}

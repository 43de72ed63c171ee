"""The mean's part in kernels: what it divides by, and the sum. In torch each takes half a dozen operations, which are
longer in coming than in doing."""

# pyright: basic, reportMissingImports=false, reportGeneralTypeIssues=false, reportOperatorIssue=false

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from whyloss.stats.kernels import handles

COUNTED = 2**16  # targets that one program counts while more of them would still be on their way
COUNT = {"B": 4096, "num_warps": 8}
COUNTERS = 1024  # programs that count together
SUM = {"B": 4096, "num_warps": 8}
SUMMED = 2**16  # losses that one program adds up before torch's two kernels have
ALWAYS = {"enable_fp_fusion": True}  # said, because Triton's default is to change


def share_of_each(target: Tensor, ignore: int, empty: float, dtype: torch.dtype) -> Tensor:
    """One over the number of contiguous targets that are not `ignore`; `empty` if there are none."""
    share = torch.empty((), dtype=dtype, device=target.device)
    count = target.numel()
    if count <= COUNTED:
        _start(share_of_targets, 1, (target, share, count, ignore, empty), COUNT)
        return share
    found = torch.empty(COUNTERS, dtype=torch.int32, device=target.device)
    _start(count_targets, COUNTERS, (target, found, count, ignore), {**COUNT, "PROGRAMS": COUNTERS})
    _start(share_of_counts, 1, (found, share, empty), {"B": COUNTERS, "num_warps": 4})
    return share


def mean_of_parts(losses: Tensor, counts: Tensor, count: int, empty: float) -> tuple[Tensor, Tensor]:
    """(the mean, from sums and counts of programs; what a mean over all `count` is to be multiplied by)."""
    value, owed = (torch.empty((), dtype=losses.dtype, device=losses.device) for _ in range(2))
    _start(mean_of_programs, 1, (losses, counts, value, owed, losses.numel(), count, empty), SUM)
    return value, owed


def total(losses: Tensor, share: Tensor | None) -> Tensor:
    """The sum of contiguous losses, times `share`."""
    if share is None or not 0 < losses.numel() <= SUMMED or share.dtype != losses.dtype:
        value = losses.sum()
        return value if share is None else value * share
    value = torch.empty((), dtype=losses.dtype, device=losses.device)
    _start(sum_of_losses, 1, (losses, share, value, losses.numel()), SUM)
    return value


def _start(kernel: Any, programs: int, arguments: tuple[Any, ...], size: dict[str, Any]) -> None:
    handles.start(kernel, (programs,), arguments, {**size, **ALWAYS})


@triton.jit
def one_over(count, empty):
    count = count.to(tl.float64)
    return tl.where(count > 0, 1 / tl.where(count > 0, count, 1.0), empty)


@triton.jit
def counted(target, o, n, ignore):
    """1 for each target there is that is not `ignore`."""
    live = o < n
    return tl.where(live & (tl.load(target + o, mask=live, other=0) != ignore), 1, 0)


@triton.jit
def share_of_targets(target, share, n, ignore, empty, B: tl.constexpr):
    found = tl.zeros((B,), tl.int32)
    for i in range(0, n, B):
        found += counted(target, i + tl.arange(0, B), n, ignore)
    tl.store(share, one_over(tl.sum(found, axis=0), empty).to(share.dtype.element_ty))


@triton.jit
def count_targets(target, counts, n, ignore, B: tl.constexpr, PROGRAMS: tl.constexpr):
    found = tl.zeros((B,), tl.int32)
    for b in range(tl.program_id(0), tl.cdiv(n, B), PROGRAMS):
        found += counted(target, (tl.zeros((B,), tl.int64) + b) * B + tl.arange(0, B), n, ignore)
    tl.store(counts + tl.program_id(0), tl.sum(found, axis=0))


@triton.jit
def share_of_counts(counts, share, empty, B: tl.constexpr):
    found = tl.load(counts + tl.arange(0, B)).to(tl.int64)
    tl.store(share, one_over(tl.sum(found, axis=0), empty).to(share.dtype.element_ty))


@triton.jit
def sum_of_losses(losses, share, value, n, B: tl.constexpr):
    """Their sum, times `share`."""
    found = tl.zeros((B,), tl.float64)
    for i in range(0, n, B):
        o = i + tl.arange(0, B)
        found += tl.load(losses + o, mask=o < n, other=0.0).to(tl.float64)
    tl.store(value, (tl.sum(found, axis=0) * tl.load(share).to(tl.float64)).to(value.dtype.element_ty))


@triton.jit
def mean_of_programs(losses, counts, value, owed, n, count, empty, B: tl.constexpr):
    """What `mean_of_parts` gives."""
    found, kept = tl.zeros((B,), tl.float64), tl.zeros((B,), tl.int64)
    for i in range(0, n, B):
        o = i + tl.arange(0, B)
        found += tl.load(losses + o, mask=o < n, other=0.0).to(tl.float64)
        kept += tl.load(counts + o, mask=o < n, other=0).to(tl.int64)
    all_kept = tl.sum(kept, axis=0)
    share = one_over(all_kept, empty)
    tl.store(value, (tl.sum(found, axis=0) * share).to(value.dtype.element_ty))
    tl.store(owed, tl.where(all_kept > 0, share * count, 0.0).to(owed.dtype.element_ty))


@triton.jit
def mean_of_losses(losses, label, value, share, n, ignore, empty, B: tl.constexpr):
    """The mean of the losses of rows whose label is not `ignore`, and one over their number; `empty` if there are
    none."""
    found, count = tl.zeros((B,), tl.float64), tl.zeros((B,), tl.int32)
    for i in range(0, n, B):
        o = i + tl.arange(0, B)
        found += tl.load(losses + o, mask=o < n, other=0.0).to(tl.float64)
        count += counted(label, o, n, ignore)
    one = one_over(tl.sum(count, axis=0), empty)
    tl.store(share, one.to(share.dtype.element_ty))
    tl.store(value, (tl.sum(found, axis=0) * one).to(value.dtype.element_ty))

"""Which kernel for which shape, and how it is started. The one place that knows launch sizes.

A module of kernels is written, once, for each formula; Triton compiles of it what is started."""

import linecache
from collections.abc import Callable
from functools import lru_cache
from types import ModuleType
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from whyloss.stats.kernels import functions
from whyloss.stats.kernels.source import Source

SMALL = 4096  # widest row that is kept in registers
ELEMENTS = 2048  # of small rows that go together
STRETCH = 4096  # of a row's gradient that one program makes
VECTOR = 16  # bytes of the widest access


@lru_cache(maxsize=256)
def module(text: str) -> ModuleType:
    """The kernels of a source. Triton asks Python for the text of what it compiles, as tracebacks do."""
    name = f"<whyloss kernels {abs(hash(text)):x}>"
    made = ModuleType(name)
    scope = {n: v for n, v in vars(functions).items() if not n.startswith("__")}
    vars(made).update(scope, triton=triton, tl=tl, __file__=name)
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    exec(compile(text, name, "exec"), vars(made))
    return made


def tile(classes: int, sums: int) -> dict[str, int]:
    """How a long row is read: K values a lane, T lanes."""
    if classes >= 60_000:
        return {"K": 4, "T": 4096, "num_warps": 16}
    return {"K": 4 if sums else 8, "T": 2048, "num_warps": 8}


def _long(classes: int, source: Source) -> dict[str, int]:
    """The same, with J: how many elements of a row fall to one lane, as a power of two."""
    size = tile(classes, len(source.sums))
    return {**size, "J": triton.next_power_of_2(triton.cdiv(classes, size["T"]))}


def aligned(*tensors: Tensor) -> tuple[int, bool]:
    """(elements of a wide access, whether every row of every tensor is made of whole ones)."""
    vec = VECTOR // tensors[0].element_size()
    return vec, all(t.stride(0) % vec == 0 and t.shape[1] % vec == 0 and t.data_ptr() % VECTOR == 0 for t in tensors)


def forward(
    source: Source,
    z: Tensor,
    row: dict[str, Any],
    losses: Tensor,
    out: Tensor | None,
    share: Tensor | None,
    saved: Tensor | None,
) -> None:
    """Losses of all rows and, in the same pass, the gradient into `out` or its coefficients into `saved`."""
    count, classes = z.shape
    made = module(source.text)
    target = z if out is None else out
    given = {**_common(row), "weight": row["weight"], "share": share, "diagonal": row["diagonal"]}
    given |= {"losses": losses, "saved": losses if saved is None else saved, "margin": row["margin"]}
    flags = {"GRADIENT": out is not None, "SAVE": saved is not None}
    sizes = (count, classes, z.stride(0), target.stride(0))
    names = ("label", "keep", "weight", "share", "shift", "scale", "margin", "diagonal", "table", "losses", "saved")
    arguments = (z, target, *(given[n] for n in names), *sizes)
    if classes <= SMALL:
        B = triton.next_power_of_2(classes)
        R = max(1, ELEMENTS // B)
        warps = min(32, max(4, R * B // 1024))
        _start(made.small, (triton.cdiv(count, R),), arguments, {"R": R, "B": B, **flags, "num_warps": warps})
        return
    vec, even = aligned(z, target)
    size = {**_long(classes, source), "VEC": vec, "ALIGNED": even}
    _start(made.stream, (count,), arguments, {**size, **flags})


def sums(source: Source, z: Tensor, row: dict[str, Any], saved: Tensor) -> None:
    """top, the label's logit, S and the sums of all rows, into `saved`."""
    count, classes = z.shape
    given = {**_common(row), "margin": row["margin"]}
    vec, even = aligned(z)
    names = ("label", "keep", "shift", "scale", "margin", "table")
    arguments = (z, *(given[n] for n in names), saved, count, classes, z.stride(0))
    size = {**_long(classes, source), "VEC": vec, "ALIGNED": even}
    _start(module(source.text).sums, (count,), arguments, size)


def pull_back(source: Source, z: Tensor, row: dict[str, Any], saved: Tensor, upstream: Tensor, out: Tensor) -> None:
    """The gradient from coefficients, times `upstream`: one number, or one a row."""
    count, classes = z.shape
    vec, even = aligned(z, out)
    stretch = min(STRETCH, triton.next_power_of_2(classes))
    blocks = triton.cdiv(classes, stretch)
    given = {**_common(row), "upstream": upstream}
    names = ("label", "keep", "upstream", "shift", "scale", "table")
    arguments = (z, out, *(given[n] for n in names), saved, count, classes, z.stride(0), out.stride(0), blocks)
    size = {"T": stretch, "VEC": vec, "ALIGNED": even, "EACH": upstream.ndim > 0, "num_warps": 4}
    _start(module(source.text).pull_back, (count * blocks,), arguments, size)


def scale_(x: Tensor, factor: Tensor) -> Tensor:
    """x *= factor, read on the device; nothing is touched where it is 1."""
    programs = min(132 * 8, triton.cdiv(x.numel(), 4096))
    _start(_scale, (programs,), (x, factor, x.numel()), {"B": 4096, "PROGRAMS": programs, "num_warps": 8})
    return x


@triton.jit
def _scale(x, factor, n, B: tl.constexpr, PROGRAMS: tl.constexpr):  # pyright: ignore
    s = tl.load(factor).to(tl.float32)
    if s != 1.0:
        for b in range(tl.program_id(0), tl.cdiv(n, B), PROGRAMS):
            o = (tl.zeros((B,), tl.int64) + b) * B + tl.arange(0, B)
            live = o < n
            v = tl.load(x + o, mask=live).to(tl.float32) * s
            tl.store(x + o, v.to(x.dtype.element_ty), mask=live)


def _common(row: dict[str, Any]) -> dict[str, Any]:
    return {n: row[n] for n in ("label", "keep", "shift", "scale", "table")}


def _start(kernel: Any, grid: tuple[int, ...], arguments: tuple[Any, ...], size: dict[str, Any]) -> None:
    if grid[0] == 0:
        return
    first = arguments[0]
    if first.device.type == "cuda":
        with torch.cuda.device(first.device):
            kernel[grid](*arguments, **size)
    else:  # Triton's interpreter
        kernel[grid](*arguments, **size)


Kernel = Callable[..., Any]

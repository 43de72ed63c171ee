"""Which kernel for which shape, and how it is started. The one place that knows launch sizes.

A module of kernels is written, once, for each formula; Triton compiles of it what is started."""

import linecache
from functools import lru_cache
from types import ModuleType
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from whyloss.stats.kernels import functions, handles
from whyloss.stats.kernels.means import ALWAYS
from whyloss.stats.kernels.source import Source

SMALL = 4096  # widest row that is kept in registers
MIXED = 2048  # the same where every class is a label
ELEMENTS = 2048  # of small rows that go together
QUESTIONS = 1024  # logits of the sigmoid link that go together: two wide accesses a thread in float32
HELD = 32  # most classes of a pixel that are kept in registers
PIXELS = 256  # that go together
WIDE = 60_000  # classes from which few rows at a time fill the second-level cache
STRETCH = 4096  # of a row's gradient that one program makes
SEEKERS = 512  # programs that look for rows which are left
VECTOR = 16  # bytes of the widest access


# Triton's own are made for kernels, and take ten times as long on the host.
def cdiv(a: int, b: int) -> int:
    return -(-a // b)


def power_of_2(n: int) -> int:
    """The least that is not below n."""
    return 1 << (n - 1).bit_length()


@lru_cache(maxsize=256)
def module(text: str, double: bool = False) -> ModuleType:
    """The kernels of a source. Triton asks Python for the text of what it compiles, as tracebacks do."""
    name = f"<whyloss kernels {abs(hash((text, double))):x}>"
    made = ModuleType(name)
    scope = {n: v for n, v in vars(functions).items() if not n.startswith("__")}
    exact = tl.constexpr(tl.float64 if double else tl.float32)
    vars(made).update(scope, triton=triton, tl=tl, ACC=exact, __file__=name)
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    exec(compile(text, name, "exec"), vars(made))
    return made


def tile(classes: int, sums: int) -> dict[str, int]:
    """How a long row is read: K values a lane, T lanes; the quickest of ten on an H200. Of the widest rows few must be
    on their way at once, or the second-level cache forgets them before their second reading."""
    if classes >= WIDE and not sums:
        return {"K": 4, "T": 4096, "num_warps": 16, "maxnreg": 64}
    return {"K": 4 if sums else 8, "T": 2048, "num_warps": 8}


def near_tile(classes: int, sums: int) -> dict[str, int]:
    """The same where sums are relative to the label's logit."""
    if classes >= WIDE:
        size = {"K": 4, "T": 4096, "num_warps": 16}
        return size if sums > 1 else {**size, "maxnreg": 64}
    if not sums:
        return {"K": 8, "T": 2048, "num_warps": 8, "maxnreg": 80}
    return {"K": 4, "T": 2048, "num_warps": 8, "maxnreg": 64 if sums == 1 else 80}


def row_size(classes: int, source: Source, near: bool = False) -> dict[str, int]:
    """Either of them, with J: how many elements of a row fall to one lane, as a power of two."""
    size = (near_tile if near else tile)(classes, len(source.sums))
    return {**size, "J": power_of_2(cdiv(classes, size["T"]))}


def mixture_size(classes: int, source: Source) -> dict[str, int]:
    """The same for soft targets. Left alone, the assembler spares registers for a third block of threads, and takes
    them from a few numbers that then live in memory."""
    size = {**row_size(classes, source), "K": 4}
    return size if source.sums else {**size, "maxnreg": 128}


def mixture_warps(size: dict[str, int]) -> int:
    """For short rows: a thread takes 8 elements, of each of which it keeps a dozen numbers."""
    return max(4, size["R"] * size["B"] // 256)


def like(z: Tensor) -> Tensor:
    """Room for the gradient, with rows that start where those of the logits do: a kernel steps through both alike."""
    if z.ndim == 3:
        return torch.empty(z.shape, dtype=z.dtype, device=z.device)
    return torch.empty(z.shape[0], z.stride(0), dtype=z.dtype, device=z.device)[:, : z.shape[1]]


def aligned(*tensors: Tensor) -> tuple[int, bool]:
    """(elements of a wide access, whether every row of every tensor is made of whole ones)."""
    vec = VECTOR // tensors[0].element_size()
    return vec, all(t.stride(0) % vec == 0 and t.shape[1] % vec == 0 and t.data_ptr() % VECTOR == 0 for t in tensors)


def keeps_coefficients(classes: int) -> bool:
    """Whether making a gradient later is cheaper from coefficients than by going through the row again."""
    return classes > SMALL


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
    made = module(source.text, z.dtype == torch.float64)
    target = z if out is None else out
    given = {**row, "share": share, "upstream": None, "losses": losses, "saved": losses if saved is None else saved}
    names = ["label", "keep", "ignore", "weight", "share", "shift", "scale", "margin", "diagonal", "table", "losses"]
    sizes = (count, classes, z.stride(0), target.stride(0))
    if classes <= SMALL:
        size, blocks = short_rows(z, target)
        arguments = (z, target, *(given[n] for n in (*names[:5], "upstream", *names[5:])), *sizes)
        _start(made.small, (blocks,), arguments, {**size, "GRADIENT": out is not None})
        return
    vec, even = aligned(z, target)
    flags = {"VEC": vec, "ALIGNED": even, "GRADIENT": out is not None}
    # With one sum and whole accesses the shorter way is not worth the second kernel.
    if source.near and saved is None and (source.sums or not even):
        far = torch.empty(count, dtype=torch.uint8, device=z.device)
        arguments = (z, target, *(given[n] for n in names), far, *sizes)
        _start(made.near_rows, (count,), arguments, {**row_size(classes, source, near=True), **flags})
        arguments = (z, target, *(given[n] for n in ("label", *names[3:])), far, *sizes)
        R = max(1, power_of_2(cdiv(count, SEEKERS)))
        _start(made.far_rows, (cdiv(count, R),), arguments, {**row_size(classes, source), **flags, "R": R})
        return
    size = {**row_size(classes, source), **flags, "SAVE": saved is not None}
    _start(made.stream, (count,), (z, target, *(given[n] for n in (*names, "saved")), *sizes), size)


def planes(
    source: Source, z: Tensor, row: dict[str, Any], out: Tensor | None, share: Tensor | None, summed: bool
) -> Tensor:
    """Losses of all pixels of logits [N, C, P], each class a plane, or if `summed` their sums over programs; in the
    same pass the gradient into `out`, which is contiguous."""
    images, classes, pixels = z.shape
    target, blocks = z if out is None else out, cdiv(pixels, PIXELS)
    exact = torch.float64 if z.dtype == torch.float64 else torch.float32
    losses = torch.empty(images * (blocks if summed else pixels), dtype=exact, device=z.device)
    given = {**row, "share": share, "losses": losses}
    names = ("label", "keep", "ignore", "weight", "share", "shift", "scale", "margin", "diagonal", "table", "losses")
    guard = row["keep"] is not None or row["ignore"] is not None
    size = {
        "C": classes,
        "T": PIXELS,
        "GUARD": guard,
        "HELD": classes <= HELD,
        "GRADIENT": out is not None,
        "SUMMED": summed,
        "num_warps": 4,
    }
    arguments = (z, target, *(given[n] for n in names), pixels)
    strides = {"image_stride": z.stride(0), "stride": z.stride(1)}
    made = module(source.text, z.dtype == torch.float64)
    _start(made.planes, (blocks, images), arguments, {**size, **strides})
    return losses


def mixture(
    source: Source, z: Tensor, row: dict[str, Any], losses: Tensor, out: Tensor | None, share: Tensor | None
) -> None:
    """The same for soft targets, and for losses as shares of those of all labels."""
    count, classes = z.shape
    target = z if out is None else out
    given = {**row, "share": share, "losses": losses}
    names = ("label", "mix", "keep", "weight", "offset", "share", "shift", "scale", "margin", "losses")
    arguments = (z, target, *(given[n] for n in names), count, classes, z.stride(0), target.stride(0))
    made = module(source.text, z.dtype == torch.float64)
    flags = {"GRADIENT": out is not None, "NORMALIZED": row["normalized"]}
    if classes <= min(SMALL, MIXED):
        size, blocks = short_rows(z, target)
        _start(made.mixture_small, (blocks,), arguments, {**size, **flags, "num_warps": mixture_warps(size)})
        return
    vec, even = aligned(z)
    size = {**mixture_size(classes, source), "VEC": vec, "ALIGNED": even, **flags}
    _start(made.mixture_stream, (count,), arguments, size)


def sums(source: Source, z: Tensor, row: dict[str, Any], saved: Tensor) -> None:
    """top, the label's logit, S and the sums of all rows, into `saved`."""
    count, classes = z.shape
    made = module(source.text, z.dtype == torch.float64)
    names = ("label", "keep", "ignore", "shift", "scale", "margin", "table")
    arguments = (z, *(row[n] for n in names), saved, count, classes, z.stride(0))
    if classes <= SMALL:
        size, blocks = short_rows(z)
        _start(made.small_sums, (blocks,), arguments, size)
        return
    vec, even = aligned(z)
    _start(made.sums, (count,), arguments, {**row_size(classes, source), "VEC": vec, "ALIGNED": even})


def pull_back(source: Source, z: Tensor, row: dict[str, Any], saved: Tensor, upstream: Tensor, out: Tensor) -> None:
    """The gradient from coefficients, times `upstream`: one number, or one a row."""
    count, classes = z.shape
    made = module(source.text, z.dtype == torch.float64)
    given = {**row, "upstream": upstream}
    names = ("label", "keep", "ignore", "upstream", "shift", "scale", "table")
    arguments = (z, out, *(given[n] for n in names), saved, count, classes, z.stride(0), out.stride(0))
    each = upstream.ndim > 0
    if classes <= SMALL:
        size, blocks = short_rows(z, out)
        _start(made.small_pull_back, (blocks,), arguments, {**size, "EACH": each})
        return
    vec, even = aligned(z, out)
    stretch = min(STRETCH, power_of_2(classes))
    blocks = cdiv(classes, stretch)
    size = {"T": stretch, "VEC": vec, "ALIGNED": even, "EACH": each, "num_warps": 4}
    _start(made.pull_back, (count * blocks,), (*arguments, blocks), size)


def short_rows(z: Tensor, *others: Tensor) -> tuple[dict[str, int], int]:
    """The size of a block of short rows, and how many there are."""
    (count, classes), (vec, even) = z.shape, aligned(z, *others)
    B = power_of_2(classes)
    R = max(1, ELEMENTS // B)
    size = {"R": R, "B": B, "VEC": vec if even else 1, "num_warps": min(32, max(4, R * B // 1024))}
    return size, cdiv(count, R)


def elementwise(
    text: str, z: Tensor, row: dict[str, Any], out: Tensor | None, summed: bool, counted: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Losses of all logits [N], or their sums over programs; in the same pass the gradient into `out`. If `counted`,
    how many logits of each program count, and the gradient is divided by N."""
    exact = torch.float64 if z.dtype == torch.float64 else torch.float32
    made, programs = module(text, exact == torch.float64), cdiv(z.numel(), QUESTIONS)
    losses = torch.empty(programs if summed else z.numel(), dtype=exact, device=z.device)
    counts = torch.empty(programs, dtype=torch.int32, device=z.device) if counted else None
    names = ("label", "mix", "ignore", "keep", "weight", "offset", "share", "upstream", "numbers")
    arguments = (z, z if out is None else out, *(row[n] for n in names), losses, counts, z.numel())
    size = {"B": QUESTIONS, "GRADIENT": out is not None, "SUMMED": summed, "num_warps": 4}
    size["PAIRS"] = row["mix"] is not None and row["mix"].ndim == 2
    _start(made.elementwise, (programs,), arguments, size)
    return losses, counts


def scale_(x: Tensor, factor: Tensor, owed: Tensor | None = None) -> Tensor:
    """x *= factor * owed, read on the device; nothing is touched where that is 1."""
    programs = min(132 * 8, cdiv(x.numel(), 4096))
    _start(_scale, (programs,), (x, factor, owed, x.numel()), {"B": 4096, "PROGRAMS": programs, "num_warps": 8})
    return x


@triton.jit
def _scale(x, factor, owed, n, B: tl.constexpr, PROGRAMS: tl.constexpr):  # pyright: ignore
    s = tl.load(factor)
    if owed is not None:
        s = s * tl.load(owed)
    if s != 1.0:
        for b in range(tl.program_id(0), tl.cdiv(n, B), PROGRAMS):
            o = (tl.zeros((B,), tl.int64) + b) * B + tl.arange(0, B)
            live = o < n
            v = tl.load(x + o, mask=live) * s
            tl.store(x + o, v.to(x.dtype.element_ty), mask=live)


def _start(kernel: Any, grid: tuple[int, ...], arguments: tuple[Any, ...], size: dict[str, Any]) -> None:
    if all(grid):
        handles.start(kernel, grid, arguments, {**size, **ALWAYS})

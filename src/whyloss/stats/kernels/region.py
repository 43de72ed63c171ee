"""The sums of regions and their pull-back on a GPU: which kernel of region_kernels.py, and how it is started."""

# pyright: reportMissingImports=false

from functools import cache
from typing import Any

import torch
from torch import Tensor

from whyloss.stats.kernels import handles
from whyloss.stats.kernels import region_kernels as kernels
from whyloss.stats.kernels.launch import ALWAYS, cdiv
from whyloss.stats.pixels import Pixels

PLANES = 32  # classes that fit the registers
FEW = 16  # planes at a time, where there are more
PROGRAMS = 8  # a multiprocessor, each of `WARPS` warps
WARPS = 4


def take(z: Tensor, pixels: Pixels) -> Tensor:
    """The sums [4, N, C] of logits [N, C, P], in float64."""
    if z.numel() == 0:
        return torch.zeros(4, *z.shape[:2], dtype=torch.float64, device=z.device)
    return partial_sums(z, pixels).sum(1, dtype=torch.float64).movedim(1, 0)


def partial_sums(z: Tensor, pixels: Pixels) -> Tensor:
    """[N, programs, 4, C], what each program has summed of its pixels, in float32."""
    count, classes, size = z.shape
    if not pixels.labelled:
        start = _Start(z, pixels, _width(8), count * classes)
        partial = start.empty(count, start.programs, 4, classes)
        start(kernels.switch_sums, (partial,), (size, classes))
        return partial
    # Three sums of each class and pixel take as many registers again as the pixel itself.
    start = _Start(z, pixels, _width(4 if classes <= 4 else 2 if classes <= 8 else 1), count)
    partial = start.empty(count, start.programs, 4, classes)
    if classes <= PLANES:
        start(kernels.sums, (z, partial), (size, classes), K=classes, GIVEN=False)
    else:
        given = start.empty(count, 2, size)
        start(kernels.normalise, (given,), (size, classes))
        start(kernels.sums, (given, partial), (size, classes), cdiv(classes, FEW), K=FEW, GIVEN=True)
    return partial


def pull_back(z: Tensor, pixels: Pixels, slopes: Tensor, upstream: Tensor | None = None) -> Tensor:
    """The gradient of the logits, from the slopes of intersection and prediction, [2, N, C]; or, times `upstream`, from
    what a verdict has left."""
    count, classes, size = z.shape
    out = torch.empty_like(z)
    if z.numel() == 0:
        return out
    given = (slopes, upstream, out)
    if not pixels.labelled:
        start = _Start(z, pixels, _width(8), count * classes)
        start(kernels.switch_pull_back, given, (size, classes), strides=out.stride())
        return out
    start = _Start(z, pixels, _width(4 if classes <= 4 else 2 if classes <= 20 else 1), count)
    if classes <= PLANES:
        start(kernels.pull_back, given, (size,), strides=out.stride(), C=classes)
    else:
        start(kernels.pull_back_many, given, (size, classes), strides=out.stride())
    return out


def _width(pixels: int) -> int:
    """Pixels of a program at a time, from those of a thread."""
    return 32 * WARPS * pixels


class _Start:
    """What all kernels of one call share: logits, target and weights with their strides, and the grid."""

    def __init__(self, z: Tensor, pixels: Pixels, width: int, images: int):
        target = pixels.target.view(torch.uint8) if pixels.target.dtype == torch.bool else pixels.target
        weight = z if pixels.weight is None else pixels.weight
        self.z, self.width, self.images = z, width, images
        self.programs = max(1, min(cdiv(z.shape[2], width), _room(z.device) // images))
        self.tensors = (z, target, weight)
        self.strides = (*target.stride(), *((0, 0) if pixels.weight is None else weight.stride()))
        self.ignore = pixels.ignore_index if pixels.labelled else float(pixels.ignore_index)
        reach = max(z.stride(2), target.stride(-1), weight.stride(-1)) * (z.shape[2] + width * self.programs)
        self.flags = {"WIDE": reach >= 2**31, "WEIGHTED": pixels.weight is not None}

    def empty(self, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.float32, device=self.z.device)

    def __call__(
        self,
        kernel: Any,
        others: tuple[Tensor | None, ...],
        sizes: tuple[int, ...],
        chunks: int = 1,
        strides: tuple[int, ...] = (),
        **constants: Any,
    ) -> None:
        arguments = (*self.tensors, *others, self.programs, *sizes)
        arguments += (*self.z.stride(), *strides, *self.strides, self.ignore)
        size = {"B": self.width, "num_warps": WARPS, **self.flags, **constants, **ALWAYS}
        grid = (self.images * self.programs, chunks)
        handles.start(kernel, grid, arguments, size)


def _room(device: torch.device) -> int:
    """Programs that run at the same time."""
    if device.type != "cuda":
        return 4
    return _processors(device.index or 0) * PROGRAMS


@cache
def _processors(device: int) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count

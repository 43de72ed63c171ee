"""What crosses from a region loss down to its sums: labels or masks, and which pixels count for how much."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import torch
from torch import Tensor

from whyloss.stats.visible import visible


class Misread(Exception):
    """Labels that were taken for classes, and are not."""


UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)  # torch can do little with them but convert


def masks_of(label: Tensor, classes: int, dtype: torch.dtype, out: Tensor | None = None) -> Tensor:
    """Labels [N, P] as masks [N, C, P] of 0 and 1, all 0 where a label is no class."""
    label = label.to(dtype).unsqueeze(1)
    if not visible(label):
        return (label == _places(classes, dtype, label.device)).to(dtype)
    places = _numbers(classes, dtype) if label.is_cpu else _places(classes, dtype, label.device)
    # In one dtype this takes a fifth of the time of what is compared, or scattered, in two.
    shape = label.shape[0], classes, label.shape[2]
    return torch.eq(label, places, out=places.new_empty(shape) if out is None else out)


def _places(classes: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[C, 1]"""
    return torch.arange(classes, dtype=dtype, device=device).unsqueeze(1)


@lru_cache(maxsize=16)
def _numbers(classes: int, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):
        return _places(classes, dtype, torch.device("cpu"))


@dataclass(frozen=True)
class Pixels:
    """One call of a region loss; everything but the logits [N, C, P].

    target: [N, P] class indices (softmax link), or [N, C, P] masks; integers of any type, or masks in [0, 1].
    ignore_index: a target that counts for nothing. Under the softmax link a pixel is ignored where all its masks are.
    weight: [N, P], multiplies what a pixel counts for; what a pixel of weight 0 holds does not matter.
    guessed: every target is taken for a class that counts, without a look; what reads them raises `Misread` if not."""

    target: Tensor
    link: Literal["softmax", "sigmoid"] = "softmax"
    ignore_index: int = -100
    weight: Tensor | None = None
    guessed: bool = False

    @property
    def labelled(self) -> bool:
        """Whether the target is one class index a pixel."""
        return self.target.ndim == 2

    @cached_property
    def span(self) -> tuple[float, float]:
        """The least and the largest target; one look at the values, and only where that is cheap."""
        if self.target.numel() == 0:
            return 0, 0
        low, high = (self.target.long() if self.target.dtype in UNSIGNED else self.target).aminmax()
        return low.item(), high.item()

    @property
    def complete(self) -> bool:
        """Whether it is known, or taken for known, that nothing is ignored."""
        return self.guessed or self.ignore_index < self.span[0] or self.ignore_index > self.span[1]

    def part(self, images: slice, pixels: slice) -> "Pixels":
        weight = None if self.weight is None else self.weight[images, pixels]
        return Pixels(self.target[images, ..., pixels], self.link, self.ignore_index, weight, self.guessed)

    def read(self, dtype: torch.dtype) -> Tensor:
        """Indices as int64, masks as `dtype`."""
        return self.target.long() if self.labelled else self.target.to(dtype)

    def ignored(self, t: Tensor) -> Tensor:
        """Where the target, as read, counts for nothing: [N, 1, P], or [N, C, P] under the sigmoid link."""
        ignored = t == self.ignore_index
        if self.labelled:
            return ignored.unsqueeze(1)
        return ignored.all(1, keepdim=True) if self.link == "softmax" else ignored

    def counted(self, ignored: Tensor, dtype: torch.dtype) -> Tensor:
        """What each pixel counts for, in the shape of `ignored`: its weight, and 0 where it is ignored."""
        keep = (~ignored).to(dtype)
        return keep if self.weight is None else keep * self.weight.unsqueeze(1)

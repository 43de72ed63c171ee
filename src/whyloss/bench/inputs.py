"""Random inputs that look like those of training: half of the targets are predicted well, labels come in patches.

Knows shapes; the same seed gives the same inputs."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .case import HEADS, YES_OR_NO, Case

SPREAD = 2.0  # standard deviation of the logits of the other classes
SURE = 3.0  # standard deviation of the target's log-odds, about 0
PATCHES = (8, 4, 2, 1)  # pixels on a side that have one label: the most that leave enough patches of each class
ENOUGH = 16
POSITIVE = 0.03  # share of the labels that are on in multilabel


@dataclass(frozen=True)
class Inputs:
    """`leaves` want gradients: (logits,), or (hidden, weight) of a linear head."""

    leaves: tuple[Tensor, ...]
    target: Tensor

    @property
    def bytes(self) -> int:
        return sum(x.nbytes for x in (*self.leaves, self.target))

    def fresh(self) -> tuple[Tensor, ...]:
        """Leaves on the same memory without a gradient yet."""
        return tuple(x.detach().requires_grad_() for x in self.leaves)

    def clone(self) -> "Inputs":
        return Inputs(tuple(x.clone() for x in self.leaves), self.target.clone())


def make(case: Case, device: str, seed: int) -> Inputs:
    generator = torch.Generator(device).manual_seed(seed)
    how: dict[str, Any] = {"generator": generator, "device": device}
    if case.kind in HEADS:
        return _head(case, how)
    z = torch.randn(case.shape, dtype=case.torch_dtype, **how).mul_(SPREAD)
    if case.kind == "steps":
        return Inputs((z,), torch.randint(case.classes, case.shape[:1], **how))
    if case.kind == "bins":
        return Inputs((z,), torch.rand(case.shape[:1], dtype=case.torch_dtype, **how))
    if case.kind in YES_OR_NO:
        target = (torch.rand(case.shape, **how) < POSITIVE).to(case.torch_dtype)
        return Inputs((z.add_(2 * SPREAD * target).sub_(SPREAD),), target)
    target = _labels(case, how)
    own = math.log(case.shape[1]) + SPREAD**2 / 2 + SURE * torch.randn(target.shape, **how)
    return Inputs((z.scatter_(1, target.unsqueeze(1), own.unsqueeze(1).to(z.dtype)),), target)


def _labels(case: Case, how: dict[str, Any]) -> Tensor:
    """[N, *pixels]; every class is as frequent as any other, and neighbouring pixels mostly have the same."""
    count, classes, *pixels = case.shape
    side = next((p for p in PATCHES if math.prod(size // p for size in pixels) >= ENOUGH * classes), 1)
    labels = torch.randint(classes, (count, *(-(-size // side) for size in pixels)), **how)
    for axis, size in enumerate(pixels, 1):
        labels = labels.repeat_interleave(side, axis).narrow(axis, 0, size)
    return labels.contiguous()


def _head(case: Case, how: dict[str, Any]) -> Inputs:
    """Hidden states that lean towards the weights of their class, and logits with the spread of the other cases."""
    rows, width, classes = case.shape
    weight = torch.randn((classes, width), dtype=case.torch_dtype, **how).mul_(SPREAD / math.sqrt(width))
    target = torch.randint(classes, (rows,), **how)
    hidden = torch.randn((rows, width), dtype=case.torch_dtype, **how)
    lead = math.log(classes) + SPREAD**2 / 2 + SURE * torch.randn((rows, 1), **how)
    hidden += (weight[target] * (lead / SPREAD**2)).to(hidden.dtype)
    return Inputs((hidden, weight), target)

"""Rows of a softmax in which one class may have nearly everything: its share of the slopes is what the others leave.

Every slope of a softmax is a difference that cancels in that class alone, and rounding finds it more quickly than a
search for the largest does. Knows torch only."""

import torch
from torch import Tensor


def shares(z: Tensor) -> tuple[Tensor, Tensor]:
    """[N, C] a softmax, and 1 for the class that has more than half of its row, else 0. Not numbers where a row is all
    masked, or has an infinite logit."""
    e = (z - z.amax(1, keepdim=True)).exp_()
    p = e.div_(e.sum(1, keepdim=True))
    return p, p.round()


def without(x: Tensor, majority: Tensor) -> Tensor:
    return torch.addcmul(x, x, majority, value=-1)


def balanced(slope: Tensor, majority: Tensor) -> Tensor:
    """Slopes [N, C], 0 for a majority, which gets, in place, what makes its row's sum 0."""
    return slope.addcmul_(majority, slope.sum(1, keepdim=True), value=-1)

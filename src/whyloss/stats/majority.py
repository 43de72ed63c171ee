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


def log_shares(z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same, the shares without a majority, and the logarithms of all. Where a class is masked, its is no number."""
    u = z - z.amax(1, keepdim=True)
    e = u.exp()
    total = e.sum(1, keepdim=True)
    p = e.div_(total)
    small = without(p, majority := p.round())
    left = small.sum(1, keepdim=True).clamp_max_(0.5)  # by a majority
    log_p = without(u.sub_(total.log_()), majority).addcmul_(majority, left.neg_().log1p_())
    return p, majority, small, log_p


def without(x: Tensor, majority: Tensor) -> Tensor:
    return torch.addcmul(x, x, majority, value=-1)


def balanced(slope: Tensor, majority: Tensor) -> Tensor:
    """Slopes [N, C], 0 for a majority, which gets, in place, what makes its row's sum 0."""
    return slope.addcmul_(majority, slope.sum(1, keepdim=True), value=-1)

"""Rows of a softmax in which one class may have nearly everything: its share of the slopes is what the others leave.

Every slope of a softmax is a difference that cancels in that class alone, and rounding finds it more quickly than a
search for the largest does. Knows torch only."""

import torch
from torch import Tensor

from whyloss.stats.visible import visible

# Logits whose exponentials are neither too large to be summed nor too small to be exact; and classes from which on
# torch's own softmax is the quickest way.
NEAR, MANY = 30.0, 16


def shares(z: Tensor) -> tuple[Tensor, Tensor]:
    """[N, C] a softmax, and 1 for the class that has more than half of its row, else 0. Not numbers where a row is all
    masked, or has an infinite logit."""
    if z.shape[1] >= MANY:
        p = torch.softmax(z, 1)
    else:
        e = z.exp() if _near(z) else (z - z.amax(1, keepdim=True)).exp_()
        p = e.div_(sums(e).unsqueeze(1))
    return p, p.round()


def _near(z: Tensor) -> bool:
    """Whether one look says so: it takes less time than a search for the largest of each row."""
    return visible(z) and z.numel() > 0 and all(abs(x.item()) < NEAR for x in z.aminmax())


def sums(x: Tensor) -> Tensor:
    """[N] the sums of rows: few numbers at a time are summed more quickly by a product."""
    return x.mv(x.new_ones(x.shape[1]))


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

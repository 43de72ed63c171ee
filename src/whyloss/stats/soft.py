"""Cross-entropy towards soft labels of many classes, in as few operations as it takes. Knows torch only."""

import torch
from torch import Tensor
from torch.linalg import vecdot

# The least loss that is exact where a softmax rounds to 1: a label that is soft costs at least its entropy.
LEAST = 0.05


def cross_entropies(z: Tensor, q: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor] | None:
    """[N] losses of logits [N, C] for distributions q, and [N, C] `share` times their slopes; None where they are not
    exact: labels that are hardly soft, masked classes."""
    p = torch.softmax(z, 1)
    # log p of the largest, and how far below it the others are
    losses = vecdot(q, z.amax(1, keepdim=True) - z).sub_(p.amax(1).log_())
    if not losses.min().item() > LEAST:
        return None
    # Where a class has most of both, p - q is exact as what the slopes of the others leave.
    slope = p.sub_(q).mul_(share)
    return losses, slope.addcmul_(q.round(), slope.sum(1, keepdim=True), value=-1)

"""Cross-entropy towards soft labels of many classes, in as few operations as it takes: torch's own log-softmax and its
slope, of which only the entry of a class that has nearly all of its row loses digits. Knows torch only."""

import torch
from torch import Tensor
from torch.linalg import vecdot

# Classes from which on torch's log-softmax is the quickest way, and the least loss of which its error is no part: a
# label that is soft costs at least its entropy.
MANY, LEAST = 16, 0.05


def cross_entropies(z: Tensor, q: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor] | None:
    """[N] losses of logits [N, C] for distributions q, and [N, C] `share` times their slopes; None where they are not
    exact: labels that are hardly soft, masked classes."""
    log_p = torch.log_softmax(z, 1)
    losses = vecdot(q, log_p).neg_()
    if not losses.min().item() > LEAST:
        return None
    # share (p - q): the slope of log p pulls back -share q. Where a class has most of both, that is exact as what the
    # slopes of the others leave.
    slope = torch.ops.aten._log_softmax_backward_data(q * -share, log_p, 1, z.dtype)
    return losses, slope.addcmul_(q.round(), slope.sum(1, keepdim=True), value=-1)

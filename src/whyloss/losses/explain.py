"""Which engine a call would use, in words."""

import torch
from torch import Tensor

from whyloss.losses import rows as door
from whyloss.losses.loss import Loss, RowLoss
from whyloss.stats.engine import choose


def explain_engine(loss: Loss, logits: Tensor, target: Tensor | None = None) -> str:
    """The engine that `loss(logits, target)` would use, and why. Without a target: for class indices.

    >>> import torch, whyloss
    >>> whyloss.explain_engine(whyloss.FocalLoss(), torch.zeros(8, 3))
    'dense: logits on the CPU: two passes in cache-sized blocks'
    """
    if not isinstance(loss, RowLoss):
        return "reference: not a row loss, computed as plain differentiable torch"
    if loss.link == "sigmoid":
        return "reference: elementwise under the sigmoid link, nothing to sum over classes"
    if target is None:
        target = torch.zeros(logits.shape[:1] + logits.shape[2:], dtype=torch.int64, device=logits.device)
    entered = door.enter(loss, logits, target, None)
    name, why = choose(entered.z, entered.rows, loss.engine)
    return f"{name}: {why}"

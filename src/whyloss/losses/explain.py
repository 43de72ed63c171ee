"""Which engine a call would use, in words."""

import torch
from torch import Tensor

from whyloss.losses import rows as door
from whyloss.losses.loss import Loss, RowLoss
from whyloss.losses.region import door as of_regions
from whyloss.losses.region.region import RegionLoss
from whyloss.stats import regions
from whyloss.stats.engine import choose


def explain_engine(loss: Loss, logits: Tensor, target: Tensor | None = None) -> str:
    """The engine that `loss(logits, target)` would use, and why. Without a target: for class indices.

    >>> import torch, whyloss
    >>> whyloss.explain_engine(whyloss.FocalLoss(), torch.zeros(8, 3))
    'dense: logits on the CPU: two passes in cache-sized blocks'
    """
    if isinstance(loss, RegionLoss) and not loss.of_sums:
        return "reference: reads more of the pixels than the three sums, computed as plain differentiable torch"
    if isinstance(loss, RegionLoss):
        name, why = regions.choose(*of_regions.enter(loss, logits, _labels(loss, logits, target), None))
        return f"{name}: {why}"
    if not isinstance(loss, RowLoss):
        return "reference: not a row loss, computed as plain differentiable torch"
    entered = door.enter(loss, logits, _labels(loss, logits, target), None)
    name, why = choose(entered.z, entered.rows, loss.engine)
    return f"{name}: {why}"


def _labels(loss: RowLoss | RegionLoss, logits: Tensor, target: Tensor | None) -> Tensor:
    """The target, or one of the usual shape."""
    if target is not None:
        return target
    shape = logits.shape if loss.link == "sigmoid" else logits.shape[:1] + logits.shape[2:]
    return torch.zeros(shape, dtype=torch.int64, device=logits.device)

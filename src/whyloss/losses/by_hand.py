"""Losses of labels whose slopes are known in closed form, by the shortest way on the CPU.

Where each operation takes longer than what it does, those of a small batch are counted: there are the loss's own and
hardly another. Whatever is not plain goes to the door (rows.py, whole.py)."""

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from whyloss.losses import checks
from whyloss.losses.plain import TENSORS
from whyloss.stats import engine, soft
from whyloss.stats.closed import ByRows, by_rows, mean_by_rows
from whyloss.stats.few import LOGGED, ROWS
from whyloss.stats.majority import MANY

if TYPE_CHECKING:
    from whyloss.losses.loss import LabelledLoss, RowLoss

EXACT = (torch.float32, torch.float64)


class ByHand:
    """Has its slopes in closed form if it says so: write `by_hand`."""

    missing: ClassVar[int] = 0  # classes that have no logit of their own
    closed: ClassVar[bool] = False  # `by_hand` speaks of what the losses are, and not of those of a class above
    closed_from: ClassVar[int] = 2  # classes from which on it is the quickest way
    likelihood: ClassVar[bool] = False  # it is -log p, whose slopes for soft targets are known too

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        other = not vars(cls).keys().isdisjoint(("formula", "table", "losses", "answers", "enter", "forward", "offset"))
        if "by_hand" in vars(cls):
            cls.closed = True
        elif other:
            cls.closed = False
        if other and "likelihood" not in vars(cls):
            cls.likelihood = False

    def by_hand(self, logits: Tensor, label: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor] | None:
        """Losses >= 0 of labels, [N] or parts of them [N, C], and [N, C] `share` times their slopes; None where these
        are not exact. What belongs to a label it finds by `index_select`, which raises IndexError where there is no
        such label."""


def reduced(loss: "LabelledLoss", logits: Tensor, target: Tensor) -> Tensor | None:
    """The loss; None where the door is the way."""
    if not (loss.closed or loss.likelihood) or type(target) is not Tensor:
        return None
    if target.is_floating_point():
        return _of_shares(loss, logits, target) if loss.likelihood else None
    if not loss.closed or loss.link != "softmax" or not _plain(loss, logits):
        return None
    rows, classes = len(logits), logits.shape[1] + loss.missing
    labels = target.shape == (rows,) and target.dtype == torch.int64 and target.is_cpu
    if not labels or classes < loss.closed_from or 0 <= loss.ignore_index < classes:
        return None
    if not _bare(loss):
        return None
    try:
        return _reduced(loss, loss.by_hand, logits, target)
    except IndexError:  # a label that is ignored, or that does not exist
        return None


def _of_shares(loss: "LabelledLoss", logits: Tensor, q: Tensor) -> Tensor | None:
    """The cross-entropy towards soft targets, of which one look finds all to be distributions."""
    if loss.link != "softmax" or not _plain(loss, logits) or not _bare(loss) or not checks.looks(loss, q):
        return None
    if q.shape != logits.shape or q.dtype != logits.dtype or q.requires_grad or getattr(loss, "engine", "") != "auto":
        return None
    if logits.numel() > LOGGED or (logits.shape[1] < MANY and len(logits) > ROWS):
        return None
    least, off = q.amin().item(), q.sum(1).sub_(1.0).abs_().amax().item()
    if not (least >= 0 and off <= checks.SLACK):
        return None
    return _reduced(loss, soft.cross_entropies, logits, q)


def _reduced(loss: "LabelledLoss", both: ByRows, logits: Tensor, target: Tensor) -> Tensor | None:
    written = partial(_of_rows, loss)
    if loss.reduction == "mean":
        return mean_by_rows(written, both, logits, target)
    losses = by_rows(written, both, logits, target)
    return losses if loss.reduction == "none" else losses.sum()


def _bare(loss: "LabelledLoss") -> bool:
    """Whether nothing changes the logits, the labels or what they count for, and nothing learns."""
    learns = bool(loss._parameters) or any(isinstance(x, Tensor) for x in vars(loss).values())  # pyright: ignore
    return not learns and loss.weight is None and loss.adjust is None and not loss.label_smoothing


def towards(loss: "RowLoss", logits: Tensor, q: Tensor) -> Tensor | None:
    """A plain cross-entropy towards distributions that are known to be such."""
    if q.shape[-1] < MANY or logits.shape != q.shape or loss.engine not in ("auto", "dense"):
        return None
    if not _plain(loss, logits) or q.requires_grad or logits.dtype != q.dtype:
        return None
    return _reduced(loss, soft.cross_entropies, logits, q)


def _plain(loss: "LabelledLoss", logits: Tensor) -> bool:
    """Whether logits can be looked at, and nothing but the loss and its gradient is asked for."""
    return (
        not torch.compiler.is_compiling()
        and type(logits) in TENSORS
        and logits.ndim == 2
        and logits.is_cpu
        and logits.dtype in EXACT
        and len(logits) > 0
        and not torch.is_autocast_enabled("cpu")
        and not engine.transforming()
    )


def _of_rows(loss: Any, z: Tensor, target: Tensor) -> Tensor:
    return loss.each(z, target)[0]

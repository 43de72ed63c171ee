"""Online hard example mining: the easy rows of a batch are left out."""

from dataclasses import field
from typing import Any

import torch
from torch import Tensor

from whyloss.losses.loss import LabelledLoss, Loss
from whyloss.losses.proper.likelihood import CrossEntropyLoss


class HardExamples(Loss):
    """Any loss of rows or label sets, of the hardest rows of each batch only; the others get no gradient at all.

    Hardest are those with the largest loss, class and sample weights included. What is kept is reduced as the loss
    says: its mean is over the rows that are kept. If all are kept it is the loss itself; if nothing counts it is 0.

    Args:
        loss: the loss; its options (`ignore_index`, `weight`, `reduction`, ...) are its own.
        keep: how many rows, an integer >= 1, or which share of those that count, a float in (0, 1], rounded up.
        threshold: in (0, 1]: keep every row whose label has a lower probability than this, and if these are fewer than
            `keep`, the hardest `keep`. None: the hardest `keep`.

    >>> import torch, whyloss
    >>> loss = whyloss.HardExamples(whyloss.FocalLoss(reduction="none"), keep=1)
    >>> loss(torch.tensor([[3.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 0]))
    tensor([0.0000, 0.1733])
    """

    loss: Any = field(kw_only=False)
    keep: float = 0.25
    threshold: float | None = None

    def check(self) -> None:
        super().check()
        self.require(hasattr(self.loss, "each"), "a loss of rows or of label sets", type(self.loss).__name__)
        whole = isinstance(self.keep, int)
        self.require(self.keep >= 1 if whole else 0 < self.keep <= 1, "a number >= 1 or a share in (0, 1]", self.keep)
        self.require(self.threshold is None or 0 < self.threshold <= 1, "0 < threshold <= 1", self.threshold)
        if self.threshold is not None:
            self.require(isinstance(self.loss, LabelledLoss), "a loss of labels for a threshold", self.loss)

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
        **reads: Tensor,
    ) -> Tensor:
        with torch.no_grad():
            kept = self.kept(logits, target, sample_weight, **reads)
        if sample_weight is not None:
            given = torch.as_tensor(sample_weight, device=kept.device)
            kept = kept * (given.reshape(-1, *[1] * (kept.ndim - 1)) if given.ndim == 1 else given)
        return self.loss(logits, target, sample_weight=kept, normalizer=normalizer, **reads)

    def kept(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None, **reads: Tensor) -> Tensor:
        """1 for a row that is kept, else 0, in the rows' shape."""
        losses, weights = self.loss.each(logits, target, sample_weight, **reads)
        counted = (weights != 0).flatten()
        order = torch.where(counted, losses.flatten(), -torch.inf).argsort(descending=True, stable=True)
        rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        # A share that is a whole number but for rounding is that number.
        wanted = self.keep if isinstance(self.keep, int) else torch.ceil(self.keep * counted.sum() * (1 - 1e-6))
        kept = rank < wanted
        if self.threshold is not None:
            kept = kept | (self._probability(logits, target).flatten() < self.threshold)
        return (kept & counted).reshape(losses.shape).to(losses.dtype)

    def _probability(self, logits: Tensor, target: Tensor) -> Tensor:
        """Of each row's label, by the logits as they are."""
        plain = CrossEntropyLoss(link=self.loss.link, ignore_index=self.loss.ignore_index, validate=False)
        return torch.exp(-plain.each(logits, target)[0])


class HardExampleCrossEntropyLoss(HardExamples):
    """Cross-entropy of the hardest rows of each batch: online hard example mining (OHEM), or top-k cross-entropy.

    What a common label error costs is kept too, for it looks hard. `HardExamples` does the same for other losses.

    Args:
        loss: None is `CrossEntropyLoss()`; give one of your own for its options, such as `ignore_index`.
        keep: how many rows, an integer >= 1, or which share of those that count, a float in (0, 1], rounded up.
        threshold: in (0, 1]: keep every row whose label has a lower probability than this (0.7 is usual for pixels),
            and if these are fewer than `keep`, the hardest `keep`. None: the hardest `keep`.

    Formula: 1/|K| sum_i in K -log p_i, K the rows with the largest losses. Source: Shrivastava et al. 2016,
    arXiv:1604.03540 (hardest rows); Wu et al. 2016, arXiv:1605.06885 (threshold).

    >>> import torch, whyloss
    >>> loss = whyloss.HardExampleCrossEntropyLoss(keep=0.5)
    >>> loss(torch.tensor([[3.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 0]))
    tensor(0.6931)
    """

    loss: Loss | None = None
    source = "Shrivastava et al. 2016, arXiv:1604.03540; Wu et al. 2016, arXiv:1605.06885"
    short = ("ohem", "topk-ce")
    equation = "1/|K| sum_i in K -log p_i, K the rows with the largest losses"
    proper = False
    bounded = False

    def check(self) -> None:
        if self.loss is None:
            self.loss = CrossEntropyLoss()
        super().check()

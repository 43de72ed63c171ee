"""Losses that give up on rows: from some loss on, a row counts for nothing."""

import math

import torch
from torch import Tensor

from whyloss.losses.loss import RowLoss
from whyloss.losses.whole import WholeRowLoss
from whyloss.stats.each import log_softmax
from whyloss.stats.exact import expm1


class TruncatedGeneralizedCrossEntropyLoss(RowLoss):
    """Generalised cross-entropy that is constant where p_y <= k: such rows are not learned from.

    A model that has not started has no p_y above k and never starts: train with `GeneralizedCrossEntropyLoss` first.
    `PrunedGeneralizedCrossEntropyLoss` decides once in several epochs which rows to give up, as the paper does.

    Args:
        q: in (0, 1]; higher forgives more label noise and learns more slowly.
        k: in (0, 1); the paper's choice is 0.5.

    Formula: (1 - p_y^q) / q where p_y > k, else (1 - k^q) / q. Source: Zhang & Sabuncu 2018, arXiv:1805.07836,
    section 3.3.

    >>> import torch, whyloss
    >>> loss = whyloss.TruncatedGeneralizedCrossEntropyLoss(q=1.0, reduction="none")
    >>> loss(torch.tensor([[2.0, 0.0], [-2.0, 0.0]]), torch.tensor([0, 0]))
    tensor([0.1192, 0.5000])
    """

    q: float = 0.7
    k: float = 0.5
    source = "Zhang & Sabuncu 2018, arXiv:1805.07836, section 3.3"
    short = ("truncated-gce", "tgce")
    equation = "(1 - max(p_y, k)^q) / q"
    proper = False
    bounded = True
    symmetric = False
    convex = False

    def check(self) -> None:
        super().check()
        self.require(0 < self.q <= 1, "0 < q <= 1", self.q)
        self.require(0 < self.k < 1, "0 < k < 1", self.k)

    def formula(self, log_odds: Tensor, log_p: Tensor) -> Tensor:
        least = math.log(self.k) - math.log1p(-self.k)
        return torch.where(log_odds > least, -expm1(self.q * log_p) / self.q, (1 - self.k**self.q) / self.q)


class PrunedGeneralizedCrossEntropyLoss(WholeRowLoss):
    """Generalised cross-entropy of the rows that are kept: those whose p_y was above k when `prune` last looked.

    To begin with all are kept. After some epochs, and again every few, call `prune` over the training data with the
    model in evaluation mode; it decides by the truncated loss which samples are worth keeping. The call takes `index`,
    each row's number in the training data; what is kept is part of the state.

    Args:
        samples: >= 1, how many samples the training data has.
        q: in (0, 1]; higher forgives more label noise and learns more slowly.
        k: in (0, 1); the paper's choice is 0.5.

    Formula: w (1 - p_y^q) / q + (1 - w) (1 - k^q) / q with w = 1 for a row that is kept, else 0.
    Source: Zhang & Sabuncu 2018, arXiv:1805.07836, section 3.3, algorithm 1.

    >>> import torch, whyloss
    >>> loss = whyloss.PrunedGeneralizedCrossEntropyLoss(samples=2, q=1.0, reduction="none")
    >>> z, y, index = torch.tensor([[2.0, 0.0], [-2.0, 0.0]]), torch.tensor([0, 0]), torch.tensor([0, 1])
    >>> loss(z, y, index=index)
    tensor([0.1192, 0.8808])
    >>> loss.prune(z, y, index)
    >>> loss(z, y, index=index)
    tensor([0.1192, 0.5000])
    """

    samples: int
    q: float = 0.7
    k: float = 0.5
    source = "Zhang & Sabuncu 2018, arXiv:1805.07836, section 3.3"
    short = ("pruned-gce",)
    equation = "w (1 - p_y^q) / q + (1 - w) (1 - k^q) / q, w in {0, 1} by sample"
    reads = ("index",)
    stateful = True
    proper = False
    bounded = True
    symmetric = False
    convex = False
    fixed = ("samples",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.register_buffer("kept", torch.ones(self.samples, dtype=torch.bool))

    def check(self) -> None:
        super().check()
        self.require(self.samples >= 1, "samples >= 1", self.samples)
        self.require(0 < self.q <= 1, "0 < q <= 1", self.q)
        self.require(0 < self.k < 1, "0 < k < 1", self.k)

    @torch.no_grad()
    def prune(self, logits: Tensor, target: Tensor, index: Tensor) -> None:
        """Keeps those of these samples ([N, C] logits, [N] labels) that the truncated loss would learn from."""
        own = log_softmax(logits).gather(1, target.unsqueeze(1)).squeeze(1)
        self.get_buffer("kept")[index] = own > math.log(self.k)

    def losses(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        each = (target * -expm1(self.q * log_softmax(logits))).sum(1) / self.q
        return torch.where(self.get_buffer("kept")[index], each, (1 - self.k**self.q) / self.q)

"""Rows weighted by how many others have a gradient of their size."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from whyloss.losses.batch import BatchLoss
from whyloss.losses.loss import Link


class GradientHarmonizingLoss(BatchLoss):
    """Binary cross-entropy, each answer divided by the number of answers whose gradient is as large (GHM-C).

    The many easy negatives share one weight, and so do the very hard answers, which are often outliers. The gradient
    takes the weights as given; they are piecewise constant.

    Counts are averaged over the batches of training (not in eval mode, nor without gradients), and travel in
    `state_dict()`; a first batch counts fully. As in the paper the density of a bin is its count times the number of
    bins; common code counts the bins that are not empty in place of all.

    Args:
        bins: >= 1, into which |p - t| is sorted; 1 is binary cross-entropy.
        momentum: in [0, 1), the share of the counts that earlier batches keep; 0 looks at this batch only.

    Formula: 1/N sum_i N / D(g_i) CE_i with g = |p - t| and D(g) = bins * (count of g's bin). Source: Li, Liu & Wang
    2019, arXiv:1811.05181, GHM-C loss.

    >>> import torch, whyloss
    >>> z, y = torch.tensor([-3.0, -3.0, -3.0, 1.0]), torch.tensor([0, 0, 0, 0])
    >>> whyloss.GradientHarmonizingLoss(bins=4, momentum=0.0)(z, y)
    tensor(0.3405)
    """

    link: Link = "sigmoid"
    bins: int = 30
    momentum: float = 0.75
    source = "Li, Liu & Wang 2019, arXiv:1811.05181, GHM-C loss"
    short = ("ghm-c", "ghm")
    equation = "1/N sum_i N / D(g_i) CE_i, g = |p - t|, D its density"
    links = ("sigmoid",)
    bounded = False
    stateful = True
    fixed = ("bins",)

    counts: ClassVar[Tensor]  # buffers; ClassVar keeps them out of the constructor
    batches: ClassVar[Tensor]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.register_buffer("counts", torch.zeros(self.bins))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def check(self) -> None:
        super().check()
        self.require(self.bins >= 1, "bins >= 1", self.bins)
        self.require(0 <= self.momentum < 1, "0 <= momentum < 1", self.momentum)

    def value(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        losses = target * softplus(-logits) + (1 - target) * softplus(logits)
        z = logits.detach()
        size = (target * torch.sigmoid(-z) - (1 - target) * torch.sigmoid(z)).abs()
        place = (size * self.bins).long().clamp(max=self.bins - 1).flatten()
        now = torch.zeros_like(self.counts, dtype=z.dtype).index_add(0, place, weight.flatten())
        past = self.counts.to(z.dtype)
        counts = torch.where(self.batches > 0, self.momentum * past + (1 - self.momentum) * now, now)
        if self.training and torch.is_grad_enabled():
            self.counts.copy_(counts)
            self.batches.add_(1)
        density = self.bins * counts[place].reshape(logits.shape)
        return (weight * losses / torch.where(weight != 0, density, 1.0)).sum()

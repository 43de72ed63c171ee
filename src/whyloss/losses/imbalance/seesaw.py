"""Seesaw loss: how hard a class is pushed down depends on whose row it is."""

import torch
from torch import Tensor

from whyloss.losses.imbalance.counts import class_counts
from whyloss.losses.loss import Link
from whyloss.losses.whole import WholeRowLoss
from whyloss.stats.each import lse_of_others


class SeesawLoss(WholeRowLoss):
    """Cross-entropy that pushes rare classes down less for the rows of frequent ones, and more where they win wrongly.

    With counts given it is a loss like any other. With `cumulative=True` it counts the labels of its training batches
    itself (summed over ranks; not in eval mode, nor without gradients), as the paper does: start from zeros. A class
    not seen yet counts as one example. As in the paper the gradient takes the factors as given. A soft target is
    compared by its mean logit and its mean log count, so it is no mixture of labels.

    Args:
        counts: [C] examples of each class.
        p: >= 0, the strength of the mitigation by counts; 0 is none.
        q: >= 0, the strength of the compensation of mistakes; 0 is none, and with p = 0 cross-entropy.
        cumulative: whether to add the labels of each training batch to the counts.

    Formula: -log(exp z_y / (exp z_y + sum_j!=y S_j exp z_j)) with S_j = min(1, n_j / n_y)^p max(1, p_j / p_y)^q.
    Source: Wang et al. 2021, arXiv:2008.10032, section 3. The authors' code takes p_y for 0.01 where it is less.

    >>> import torch, whyloss
    >>> loss = whyloss.SeesawLoss(counts=torch.tensor([100.0, 1.0]), p=0.5)
    >>> loss(torch.zeros(1, 2), torch.tensor([0])), loss(torch.zeros(1, 2), torch.tensor([1]))
    (tensor(0.0953), tensor(0.6931))
    """

    link: Link = "softmax"
    counts: Tensor
    p: float = 0.8
    q: float = 2.0
    cumulative: bool = False
    source = "Wang et al. 2021, arXiv:2008.10032, section 3"
    short = ("seesaw",)
    equation = "-log(e^z_y / (e^z_y + sum_j S_j e^z_j)), S_j = min(1, n_j/n_y)^p max(1, p_j/p_y)^q"
    proper = None
    bounded = False
    links = ("softmax",)
    stateful = True
    held = ("factors",)

    def check(self) -> None:
        super().check()
        self.require(bool((self.counts >= 0).all()), "counts >= 0", self.counts.tolist())
        self.require(self.p >= 0, "p >= 0", self.p)
        self.require(self.q >= 0, "q >= 0", self.q)

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
        **reads: Tensor,
    ) -> Tensor:
        if self.cumulative and self.training and torch.is_grad_enabled():
            self.counts.add_(class_counts(target, len(self.counts), self.ignore_index).to(self.counts.device))
        return super().forward(logits, target, sample_weight, normalizer)

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        rivals = lse_of_others(logits + self.factors(logits, target))
        wanted = target > 0
        lead = torch.where(wanted, logits - rivals, 0.0)
        return -(target * torch.nn.functional.logsigmoid(lead)).sum(1)

    def factors(self, logits: Tensor, target: Tensor) -> Tensor:
        """[N, C] log S_j."""
        log_counts = self.counts.to(logits.dtype).clamp_min(1).log()
        mitigation = self.p * (log_counts - (target * log_counts).sum(1, keepdim=True)).clamp_max(0)
        z = logits.detach()
        own = torch.where(target > 0, target * z, 0.0).sum(1, keepdim=True)
        return mitigation + self.q * (z - own).clamp_min(0)

"""Losses of the top of a ranking: average precision, the hardest negative, recall above a quantile."""

import torch
from torch import Tensor

from whyloss.losses.imbalance.ranking import RankingLoss, those


class SmoothAveragePrecisionLoss(RankingLoss):
    """One minus the average precision, with the count of who scores higher made smooth.

    Mistakes at the top of the ranking cost most. Takes O(N^2) of time and memory.

    Args:
        temperature: > 0, over which distance of logits two rows trade places. The paper's 0.01 is for cosines; small
            values follow the average precision closely and give gradients to near ties only.

    Formula: 1 - mean over positives i of R(i, P) / (R(i, P) + R(i, N)), R(i, S) = [i in S] + sum over j != i in S of
    sigmoid((z_j - z_i) / T). Source: Brown et al. 2020, arXiv:2007.12163, Smooth-AP.

    >>> import torch, whyloss
    >>> loss = whyloss.SmoothAveragePrecisionLoss(temperature=0.01)
    >>> loss(torch.tensor([1.0, 2.0, 3.0, 0.0]), torch.tensor([1, 0, 1, 0]))
    tensor(0.1667)
    """

    temperature: float = 0.1
    source = "Brown et al. 2020, arXiv:2007.12163, Smooth-AP"
    short = ("smooth-ap", "ap")
    equation = "1 - mean_i R(i, P) / (R(i, P) + R(i, N)), R a smooth rank"
    bounded = True

    def check(self) -> None:
        super().check()
        self.require(self.temperature > 0, "temperature > 0", self.temperature)

    def columns(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        i = those(positive)
        above = torch.sigmoid((logits.unsqueeze(0) - logits[i].unsqueeze(1)) / self.temperature)
        over = (above * negative).sum(1) - negative[i] / 2  # among them is the row itself, as one half
        among = (above * positive).sum(1) + positive[i] / 2
        # A row that is no positive has no precision; it must not be 0 / 0 either.
        missed = over / torch.where(positive[i] > 0, among + over, 1.0)
        return (positive[i] * missed).sum(0) / positive.sum(0)


class TopPushLoss(RankingLoss):
    """How far each positive falls short of the hardest negative: pushes positives to the very top.

    One mislabelled negative moves everything. Takes O(N).

    Args:
        margin: > 0, by how much a positive should lead.

    Formula: mean over positives i of max(0, margin - z_i + max_j z_j)^2. Source: Li et al. 2014, arXiv:1410.1462, eq.
    4.

    >>> import torch, whyloss
    >>> whyloss.TopPushLoss()(torch.tensor([1.0, 0.5, 0.0]), torch.tensor([1, 0, 0]))
    tensor(0.2500)
    """

    margin: float = 1.0
    source = "Li et al. 2014, arXiv:1410.1462, TopPush"
    short = ("top-push",)
    equation = "mean_i max(0, margin - z_i + max_j z_j)^2"
    bounded = False

    def check(self) -> None:
        super().check()
        self.require(self.margin > 0, "margin > 0", self.margin)

    def columns(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        hardest = torch.where(negative > 0, logits, -torch.inf).amax(0)
        return _short_of(logits, hardest, positive, self.margin)


class RecallAtQuantileLoss(RankingLoss):
    """How far each positive falls short of the score that the top share of the batch reaches: recall at a budget.

    For problems in which only so many cases can be looked at. The threshold is a score of the batch and gets a
    gradient.

    Args:
        quantile: in (0, 1], the share of the rows, by weight, that can be looked at.
        margin: > 0, by how much a positive should lead.

    Formula: mean over positives i of max(0, margin - z_i + t)^2, t the lowest score of the top share of all rows.
    Source: Adam et al. 2020, arXiv:2002.10923 (Grill; Boyd et al. 2012, accuracy at the top).

    >>> import torch, whyloss
    >>> whyloss.RecallAtQuantileLoss(quantile=0.5)(torch.tensor([3.0, 2.0, 1.5, 0.0]), torch.tensor([1, 0, 1, 0]))
    tensor(1.1250)
    """

    quantile: float = 0.1
    margin: float = 1.0
    source = "Adam et al. 2020, arXiv:2002.10923; Boyd et al. 2012, accuracy at the top"
    short = ("recall-at-quantile", "accuracy-at-top")
    equation = "mean_i max(0, margin - z_i + t)^2, t the top quantile of the scores"
    bounded = False

    def check(self) -> None:
        super().check()
        self.require(0 < self.quantile <= 1, "0 < quantile <= 1", self.quantile)
        self.require(self.margin > 0, "margin > 0", self.margin)

    def columns(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        weight = (positive + negative).double()
        order = torch.where(weight > 0, logits.detach(), -torch.inf).argsort(dim=0, descending=True, stable=True)
        reached = weight.gather(0, order).cumsum(0)
        last = (reached < self.quantile * reached[-1] * (1 - 1e-9)).sum(0, keepdim=True)
        threshold = logits.gather(0, order.gather(0, last)).squeeze(0)
        return _short_of(logits, threshold, positive, self.margin)


def _short_of(logits: Tensor, bar: Tensor, positive: Tensor, margin: float) -> Tensor:
    """[L] the mean over positives of the squared hinge of their lead over a bar."""
    return (positive * (margin - logits + bar).clamp_min(0) ** 2).sum(0) / positive.sum(0)

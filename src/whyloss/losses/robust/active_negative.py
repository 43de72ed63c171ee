"""Normalised negative losses: the passive part of an active-negative loss, which is cross-entropy turned upside down.

The mean absolute error treats all rows alike; a negative loss looks most at rows that the model has learned, which are
mostly clean. `active_passive("anl-ce")` and `active_passive("anl-fl")` pair them with their active losses."""

import math

import torch
from torch import Tensor

from whyloss.losses.batch import BatchLoss
from whyloss.losses.whole import WholeRowLoss
from whyloss.stats.each import log_softmax, log_softmax_both
from whyloss.stats.exact import share


class NormalizedNegativeCrossEntropyLoss(WholeRowLoss):
    """How far the other classes are from their largest cross-entropy, as a share of all classes: symmetric and passive.

    A probability below `floor` counts as `floor`, as in the paper: a negative loss is measured from the largest
    cross-entropy there is, which has to be finite. `active_passive("anl-ce")` adds the active loss; the paper trains
    with an L1 penalty on the parameters, too.

    Args:
        floor: in (0, 1 / C), the smallest probability.

    Formula: 1 - (A + log p_y) / sum_j (A + log p_j) with A = -log floor. Source: Ye et al. 2023, NeurIPS, "Active
    negative loss functions for learning with noisy labels", section 3.

    >>> import torch, whyloss
    >>> whyloss.NormalizedNegativeCrossEntropyLoss()(torch.zeros(1, 4), torch.tensor([0]))
    tensor(0.7500)
    """

    floor: float = 1e-7
    source = "Ye et al. 2023, NeurIPS, section 3"
    short = ("nnce",)
    equation = "1 - (A + log p_y) / sum_j (A + log p_j), A = -log floor"
    proper = False
    bounded = True
    symmetric = True
    convex = False

    def check(self) -> None:
        super().check()
        self.require(0 < self.floor < 0.5, "0 < floor < 1 / C", self.floor)

    def active(self, logits: Tensor) -> Tensor:
        """The loss of every class as label, of which this is the negative."""
        return -log_softmax(logits)

    def most(self) -> float:
        """A: the active loss of a class whose probability is `floor`."""
        return -math.log(self.floor)

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        self.require(self.floor * logits.shape[1] < 1, "floor < 1 / C", self.floor)
        below = (self.most() - self.active(logits)).clamp_min(0)
        return share(((1 - target) * below).sum(1), (target * below).sum(1))


class NormalizedNegativeFocalLoss(NormalizedNegativeCrossEntropyLoss):
    """The same of the focal loss: how far the other classes are from their largest focal loss, as a share.

    Args:
        gamma: >= 0, the focusing exponent; 0 is `NormalizedNegativeCrossEntropyLoss`.
        floor: in (0, 1 / C), the smallest probability.

    Formula: 1 - (A - F(y)) / sum_j (A - F(j)) with F(j) = -(1 - p_j)^gamma log p_j and A = F at p = floor.
    Source: Ye et al. 2023, NeurIPS, section 3.

    >>> import torch, whyloss
    >>> whyloss.NormalizedNegativeFocalLoss()(torch.zeros(1, 4), torch.tensor([0]))
    tensor(0.7500)
    """

    gamma: float = 0.5
    source = "Ye et al. 2023, NeurIPS, section 3"
    short = ("nnfl",)
    equation = "1 - (A - F(y)) / sum_j (A - F(j)), F(j) = -(1 - p_j)^gamma log p_j"

    def check(self) -> None:
        super().check()
        self.require(self.gamma >= 0, "gamma >= 0", self.gamma)

    def active(self, logits: Tensor) -> Tensor:
        log_p, log_not_p = log_softmax_both(logits)
        return -torch.exp(self.gamma * log_not_p) * log_p

    def most(self) -> float:
        return -((1 - self.floor) ** self.gamma) * math.log(self.floor)


class PredictionBalanceLoss(BatchLoss):
    """Keeps the batch's mean prediction from leaning to a few classes, as it does where noise moves labels to them: to
    be added to a robust loss, `active_passive("anl-ce") + 0.5 * PredictionBalanceLoss()`.

    It reads no labels (they only say which rows count). Leave it out where the classes themselves are out of balance.
    With the sigmoid link every question is balanced by itself.

    Formula: log C - H(mean of the rows' p), H the entropy. Source: Ye et al. 2024, arXiv:2412.02373, the entropy-based
    regularisation, up to its constant.

    >>> import torch, whyloss
    >>> whyloss.PredictionBalanceLoss()(torch.tensor([[9.0, -9.0], [-9.0, 9.0]]), torch.tensor([0, 1]))
    tensor(0.)
    """

    source = "Ye et al. 2024, arXiv:2412.02373"
    short = ("prediction-balance",)
    equation = "log C - H(mean of the rows' p)"
    proper = False
    bounded = True

    def value(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        if self.link == "softmax":
            mean = (weight.unsqueeze(1) * torch.softmax(logits, 1)).sum(0) / weight.sum()
            return math.log(logits.shape[1]) + _p_log_p(mean).sum()
        count = weight.sum(0)
        asked = count > 0
        both = torch.stack([torch.sigmoid(logits), torch.sigmoid(-logits)], 2)
        mean = (weight.unsqueeze(2) * both).sum(0) / torch.where(asked, count, 1.0).unsqueeze(1)
        return torch.where(asked, math.log(2) + _p_log_p(mean).sum(1), 0.0).sum() / asked.sum()


def _p_log_p(p: Tensor) -> Tensor:
    some = p > 0
    return torch.where(some, p * torch.log(torch.where(some, p, 1.0)), 0.0)

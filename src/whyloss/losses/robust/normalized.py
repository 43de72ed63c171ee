"""Losses as a share of their sum over all labels: symmetric by construction, and to be paired with a passive loss."""

from torch import Tensor

from whyloss.losses.imbalance.focal import FocalLoss
from whyloss.losses.loss import RowLoss
from whyloss.stats.exact import share


class NormalizedCrossEntropyLoss(RowLoss):
    """Cross-entropy as a share of its sum over all labels: symmetric, hence robust, but prone to underfit alone.

    Pair it with a passive loss, as the paper does: `a * NormalizedCrossEntropyLoss() + b * ReverseCrossEntropyLoss()`.

    Formula: log p_y / sum_j log p_j. Source: Ma et al. 2020, arXiv:2006.13554, eq. 5.

    >>> import torch, whyloss
    >>> whyloss.NormalizedCrossEntropyLoss()(torch.zeros(1, 4), torch.tensor([0]))
    tensor(0.2500)
    """

    source = "Ma et al. 2020, arXiv:2006.13554, eq. 5"
    short = ("nce",)
    equation = "log p_y / sum_j log p_j"
    proper = False
    bounded = True
    symmetric = True
    convex = False

    def formula(self, log_p: Tensor, log_not_p: Tensor, rest_log_p: Tensor, rest_count: Tensor) -> Tensor:
        return share(-log_p, -rest_count * log_not_p - rest_log_p)

    def average(self, count: Tensor) -> Tensor:
        return 1 / count


class NormalizedFocalLoss(FocalLoss):
    """Focal loss as a share of its sum over all labels. Pair it with a passive loss (`MeanAbsoluteErrorLoss`).

    The sum over all labels takes every class's own 1 - p_j, so this loss reads whole rows: it runs on the reference
    engine, at several times the memory of the others.

    Args:
        gamma: >= 0; 0 is normalised cross-entropy.

    Formula: F(y) / sum_j F(j) with F(j) = -(1 - p_j)^gamma log p_j. Source: Ma et al. 2020, arXiv:2006.13554, eq. 6.

    >>> import torch, whyloss
    >>> whyloss.NormalizedFocalLoss()(torch.zeros(1, 4), torch.tensor([0]))
    tensor(0.2500)
    """

    gamma: float = 0.5
    source = "Ma et al. 2020, arXiv:2006.13554, eq. 6"
    short = ("nfl",)
    equation = "F(y) / sum_j F(j), F(j) = -(1 - p_j)^gamma log p_j"
    proper = False
    bounded = True
    symmetric = True
    convex = False
    normalized = True

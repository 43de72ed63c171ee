"""Labels of a sample against one another, and samples of a label against one another, in one loss."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

from whyloss.losses.batch import BatchLoss
from whyloss.losses.loss import Link
from whyloss.losses.multilabel.sets import lse
from whyloss.stats.closed import pulled_back
from whyloss.stats.visible import visible

MILD = 40.0  # exponents up to which sums of exponentials and what is made of them keep their digits


class TwoWayLoss(BatchLoss):
    """Yeses above noes twice: among the labels of each sample, and among the samples of each label.

    The second way compares samples of one batch, so it wants batches in which a label occurs more than once. Each way
    is averaged over the samples (labels) that have a yes.

    Args:
        positive_temperature: > 0; above 1 all yeses share the gradient, towards 0 the lowest gets it.
        negative_temperature: > 0; the same for the noes and the highest.

    Formula: mean over rows of softplus(T- lse over noes of z / T- + T+ lse over yeses of -z / T+), plus the same over
    columns. Source: Kobayashi 2023, CVPR, "Two-way multi-label loss", eqs. 7-9.

    >>> import torch, whyloss
    >>> whyloss.TwoWayLoss(positive_temperature=1.0)(torch.zeros(2, 2), torch.tensor([[1, 0], [0, 1]]))
    tensor(1.3863)
    """

    link: Link = "sigmoid"
    positive_temperature: float = 4.0
    negative_temperature: float = 1.0
    source = "Kobayashi 2023, CVPR, eqs. 7-9"
    short = ("two-way",)
    equation = "mean of softplus(T- lse_no(z / T-) + T+ lse_yes(-z / T+)) over rows, plus over columns"
    links = ("sigmoid",)
    bounded = False
    convex = True

    def check(self) -> None:
        super().check()
        self.require(self.positive_temperature > 0, "positive_temperature > 0", self.positive_temperature)
        self.require(self.negative_temperature > 0, "negative_temperature > 0", self.negative_temperature)

    def value(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        yes, no = target * weight, (1 - target) * weight
        return pulled_back(self._both_ways, self._both_ways_by_hand, logits, yes, no)

    def _both_ways(self, z: Tensor, yes: Tensor, no: Tensor) -> Tensor:
        return self._way(z, yes, no, 1) + self._way(z, yes, no, 0)

    def _way(self, z: Tensor, yes: Tensor, no: Tensor, axis: int) -> Tensor:
        high, low = self.positive_temperature, self.negative_temperature
        has = (yes > 0).any(axis)
        lowest = torch.where(has, lse(-z / high, yes, axis), 0.0)
        losses = torch.where(has, softplus(low * lse(z / low, no, axis) + high * lowest), 0.0)
        return losses.sum() / has.sum().clamp_min(1)

    def _both_ways_by_hand(
        self, z: Tensor, yes: Tensor, no: Tensor
    ) -> tuple[tuple[Tensor], Callable[[Tensor], Tensor]] | None:
        """Both ways sum the same exponentials. None where these would not keep their digits."""
        high, low = self.positive_temperature, self.negative_temperature
        if not visible(z) or z.numel() == 0 or not _mild(z, min(high, low)):
            return None
        of_yes, of_no = torch.mul(z, -1 / high).exp_().mul_(yes), torch.mul(z, 1 / low).exp_().mul_(no)
        value, pulls = z.new_zeros(()), list[tuple[Tensor, Tensor]]()
        for axis in (1, 0):
            y, n = of_yes.sum(axis, keepdim=True), of_no.sum(axis, keepdim=True)
            has, some = y > 0, n > 0
            beside = low * torch.where(some, n, 1.0).log() + high * torch.where(has, y, 1.0).log()
            counts = (has & some).to(z.dtype) / has.sum().clamp_min(1)
            value = value + (softplus(beside) * counts).sum()
            slope = torch.sigmoid(beside) * counts
            pulls.append((slope / torch.where(has, y, 1.0), slope / torch.where(some, n, 1.0)))
        (of_rows_yes, of_rows_no), (of_columns_yes, of_columns_no) = pulls
        slope = of_no.mul_(of_rows_no + of_columns_no).sub_(of_yes.mul_(of_rows_yes + of_columns_yes))
        return (value,), slope.mul


def _mild(z: Tensor, temperature: float) -> bool:
    return all(abs(v.item()) < MILD * temperature for v in z.aminmax())

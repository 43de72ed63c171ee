"""Measures of overlap from three sums per class."""

from torch import Tensor

from whyloss.losses.region.region import RegionLoss


class DiceLoss(RegionLoss):
    """One minus twice the overlap over the sum of the sizes: aims at the Dice (F1) score of each class's region.

    Small regions weigh as much as large ones. Its probabilities are poor; a threshold tuned on cross-entropy often
    reaches the same Dice score.

    Formula: 1 - (2 I + s) / (P + T + s). Source: Milletari et al. 2016, arXiv:1606.04797, section 3 (with P and T not
    squared, as is usual).

    >>> import torch, whyloss
    >>> logits = torch.zeros(1, 2, 4)
    >>> whyloss.DiceLoss()(logits, torch.tensor([[0, 0, 1, 1]]))
    tensor(0.5000)
    """

    source = "Milletari et al. 2016, arXiv:1606.04797, section 3"
    short = ("dice",)
    equation = "1 - (2 I + s) / (P + T + s)"
    bounded = True

    def overlap(self, intersection: Tensor, prediction: Tensor, target: Tensor) -> Tensor:
        size = prediction + target
        return (size - 2 * intersection) / (size + self.smooth)


class JaccardLoss(RegionLoss):
    """One minus intersection over union (soft IoU): the same optimum as Dice, harsher on poor overlap.

    Formula: 1 - (I + s) / (P + T - I + s). Source: Rahman & Wang 2016, ISVC, eq. 3.

    >>> import torch, whyloss
    >>> whyloss.JaccardLoss()(torch.zeros(1, 2, 4), torch.tensor([[0, 0, 1, 1]]))
    tensor(0.6667)
    """

    source = "Rahman & Wang 2016, ISVC, eq. 3"
    short = ("jaccard", "iou")
    equation = "1 - (I + s) / (P + T - I + s)"
    bounded = True

    def overlap(self, intersection: Tensor, prediction: Tensor, target: Tensor) -> Tensor:
        union = prediction + target - intersection
        return (union - intersection) / (union + self.smooth)


class TverskyLoss(RegionLoss):
    """Overlap with a price for each kind of mistake: alpha for false positives, beta for false negatives.

    Args:
        alpha: >= 0, weight of false positives P - I.
        beta: >= 0, weight of false negatives T - I. Both 1/2 is Dice, both 1 Jaccard.

    Formula: 1 - (I + s) / (I + alpha (P - I) + beta (T - I) + s). Source: Salehi et al. 2017, arXiv:1706.05721, eq. 4.

    >>> import torch, whyloss
    >>> whyloss.TverskyLoss(alpha=0.5, beta=0.5)(torch.zeros(1, 2, 4), torch.tensor([[0, 0, 1, 1]]))
    tensor(0.5000)
    """

    alpha: float = 0.3
    beta: float = 0.7
    source = "Salehi et al. 2017, arXiv:1706.05721, eq. 4"
    short = ("tversky",)
    equation = "1 - (I + s) / (I + alpha FP + beta FN + s)"
    bounded = True

    def check(self) -> None:
        super().check()
        self.require(self.alpha >= 0, "alpha >= 0", self.alpha)
        self.require(self.beta >= 0, "beta >= 0", self.beta)
        self.require(self.alpha + self.beta > 0, "alpha + beta > 0", (self.alpha, self.beta))

    def overlap(self, intersection: Tensor, prediction: Tensor, target: Tensor) -> Tensor:
        wrong = self.alpha * (prediction - intersection) + self.beta * (target - intersection)
        return wrong / (intersection + wrong + self.smooth)

"""A region loss and a row loss on the same pixels: overlap for the regions, likelihood for each pixel.

Both terms mean the same thing by every shared option, and each divides by its own weights. For other pairs add two
losses: `whyloss.TverskyLoss() + 0.5 * whyloss.GeneralizedCrossEntropyLoss()`."""

from typing import Any

from torch import Tensor

from whyloss.losses.imbalance.focal import FocalLoss
from whyloss.losses.loss import RowLoss
from whyloss.losses.proper.likelihood import CrossEntropyLoss
from whyloss.losses.region.overlap import DiceLoss
from whyloss.losses.region.region import RegionLoss


class PairLoss(RegionLoss):
    """A region loss with the loss of single pixels beside it. Subclass it together with the region loss; write
    `pixel_loss`, and `shares` of the two.

    Args:
        reduction: "mean" or "sum", of each term over what it counts (regions, pixels).
        label_smoothing: in [0, 1), of the pixel term.

    Other options are those of `RegionLoss`, and mean the same for both terms.
    """

    label_smoothing: float = 0.0

    def compose(self) -> None:
        self.pixels = self.pixel_loss()  # a part of this module: moved and compiled with it

    def check(self) -> None:
        super().check()
        self.require(0 <= self.label_smoothing < 1, "0 <= label_smoothing < 1", self.label_smoothing)
        self.require(self.reduction != "none", "reduction 'mean' or 'sum' (the terms have different shapes)", "none")

    def pixel_loss(self) -> RowLoss:
        """The row loss of the sum, with the options that the two terms share: `self.shared()`."""
        raise NotImplementedError(f"{type(self).__name__} has no pixel_loss.")

    def shares(self) -> tuple[float, float]:
        """What the region term and the pixel term are multiplied by."""
        raise NotImplementedError(f"{type(self).__name__} has no shares.")

    def shared(self) -> dict[str, Any]:
        weight = self.weight
        if weight is not None and self.link == "sigmoid":
            # A mask's weight is the same for its positives and its negatives.
            weight = weight.unsqueeze(-1).repeat(1, 2)
        return {
            "weight": weight,
            "ignore_index": self.ignore_index,
            "reduction": self.reduction,
            "link": self.link,
            "label_smoothing": self.label_smoothing,
            "validate": self.validate,
        }

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
        **reads: Tensor,
    ) -> Tensor:
        if normalizer is not None:
            raise ValueError(f"{type(self).__name__}: two terms have two denominators; normalizer has no meaning here.")
        of_regions, of_pixels = self.shares()
        overlap = super().forward(logits, target, sample_weight, **reads)
        if self.link == "sigmoid":  # the pixel term reads [..., C], where a weight per mask broadcasts
            logits, target = logits.movedim(1, -1), target.movedim(1, -1)
            sample_weight = _per_mask(sample_weight, logits)
        return _times(of_regions, overlap) + _times(of_pixels, self.pixels(logits, target, sample_weight))

    def parts(
        self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None, **reads: Tensor
    ) -> tuple[Tensor, Tensor]:
        raise ValueError(
            f"{type(self).__name__}: two terms have two denominators. Take parts() of the region loss and of the pixel "
            "loss."
        )


def _times(share: float, value: Tensor) -> Tensor:
    """Without an operation, and another on the way back, for a share of 1."""
    return value if share == 1 else share * value


def _per_mask(weight: Tensor | None, logits: Tensor) -> Tensor | None:
    """A pixel's weight for each of its masks: [N, *spatial] or [N] -> [N, *spatial, C]."""
    if weight is None:
        return None
    weight = weight.reshape(-1, *[1] * (logits.ndim - 2)) if weight.ndim == 1 else weight
    return weight.expand(logits.shape[:-1]).unsqueeze(-1).expand(logits.shape)


class DiceCrossEntropyLoss(PairLoss, DiceLoss):
    """Dice plus cross-entropy: the overlap that is wanted, and a gradient for every pixel from the start.

    The usual choice for segmentation. `reduction` is "mean" or "sum", of each term over what it counts (regions,
    pixels); the options are those of `DiceLoss`, and mean the same for cross-entropy.

    Args:
        dice_weight: >= 0, multiplies the Dice term.
        pixel_weight: >= 0, multiplies the cross-entropy term.
        label_smoothing: in [0, 1), of the cross-entropy term.

    Formula: dice_weight Dice + pixel_weight (-log p_y). Source: Taghanaki et al. 2019, arXiv:1805.02798, eq. 3 (in the
    form with softmax cross-entropy, as in Isensee et al. 2021, nnU-Net).

    >>> import torch, whyloss
    >>> logits, target = torch.zeros(1, 2, 4), torch.tensor([[0, 0, 1, 1]])
    >>> whyloss.DiceCrossEntropyLoss()(logits, target)
    tensor(1.1931)
    """

    dice_weight: float = 1.0
    pixel_weight: float = 1.0
    source = "Taghanaki et al. 2019, arXiv:1805.02798, eq. 3"
    short = ("dice-ce",)
    equation = "dice_weight Dice + pixel_weight (-log p_y)"
    bounded = False

    def check(self) -> None:
        super().check()
        self.require(self.dice_weight >= 0, "dice_weight >= 0", self.dice_weight)
        self.require(self.pixel_weight >= 0, "pixel_weight >= 0", self.pixel_weight)

    def pixel_loss(self) -> RowLoss:
        return CrossEntropyLoss(**self.shared())

    def shares(self) -> tuple[float, float]:
        return self.dice_weight, self.pixel_weight


class DiceFocalLoss(DiceCrossEntropyLoss):
    """Dice plus focal loss, both on the same probabilities: softmax with softmax, sigmoid with sigmoid.

    Args:
        dice_weight: >= 0, multiplies the Dice term.
        pixel_weight: >= 0, multiplies the focal term.
        gamma: >= 0; 0 is Dice plus cross-entropy.

    Formula: dice_weight Dice + pixel_weight (-(1 - p_y)^gamma log p_y). Source: Zhu et al. 2019 (AnatomyNet),
    arXiv:1808.05238, eq. 4.

    >>> import torch, whyloss
    >>> logits, target = torch.zeros(1, 2, 4), torch.tensor([[0, 0, 1, 1]])
    >>> whyloss.DiceFocalLoss(gamma=2.0)(logits, target)
    tensor(0.6733)
    """

    gamma: float = 2.0
    source = "Zhu et al. 2019, arXiv:1808.05238, eq. 4"
    short = ("dice-focal",)
    equation = "dice_weight Dice + pixel_weight (-(1 - p_y)^gamma log p_y)"

    def check(self) -> None:
        super().check()
        self.require(self.gamma >= 0, "gamma >= 0", self.gamma)

    def pixel_loss(self) -> RowLoss:
        return FocalLoss(gamma=self.gamma, **self.shared())

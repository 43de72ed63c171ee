"""Regions and pixels under one pair of knobs: unified focal losses, and exponential logarithms."""

import torch
from torch import Tensor

from whyloss.losses.loss import RowLoss
from whyloss.losses.region.combined import PairLoss
from whyloss.losses.region.focused import LogDiceLoss, raised
from whyloss.stats.exact import power


class _UnifiedPixels(RowLoss):
    """The pixel term of the unified focal losses; `label` is the class, or 1 for a pixel inside a mask."""

    delta: float = 0.6
    gamma: float = 0.5
    asymmetric: bool = False

    def formula(self, log_p: Tensor, not_p: Tensor, log_not_p: Tensor, label: Tensor) -> Tensor:
        rare = label > 0
        share = torch.where(rare, self.delta, 1 - self.delta)
        if self.asymmetric:
            return -share * torch.where(rare, 1.0, power(not_p, log_not_p, self.gamma)) * log_p
        return -share * power(not_p, log_not_p, 1 - self.gamma) * log_p


class UnifiedFocalLoss(PairLoss):
    """Focal loss for pixels and focal Tversky for regions with shared knobs: for foregrounds that are very small.

    For any number of classes; class 0 is the frequent one. Under the sigmoid link every mask is a rare region, and the
    pixels outside of it are the frequent class. Each term is a mean over what it counts, where the paper adds classes.

    Args:
        balance: in [0, 1], the share of the pixel term (the paper's lambda).
        delta: in [0, 1], the weight of rare classes' pixels and of false negatives; 1 - delta is that of class 0 and of
            false positives.
        gamma: in (0, 1]; 1 leaves cross-entropy and Tversky as they are. Below, easy pixels are turned down, and a
            region pulls the harder the better it is found; any value is safe at a perfect prediction.

    Formula: balance (-delta_y (1 - p_y)^(1 - gamma) log p_y) + (1 - balance) (1 - TI)^gamma, TI = I / (I + delta FN +
    (1 - delta) FP). Source: Yeung et al. 2022, arXiv:2102.04525, symmetric unified focal loss.

    >>> import torch, whyloss
    >>> whyloss.UnifiedFocalLoss()(torch.zeros(1, 2, 4), torch.tensor([[0, 0, 1, 1]]))
    tensor(0.4761)
    """

    balance: float = 0.5
    delta: float = 0.6
    gamma: float = 0.5
    source = "Yeung et al. 2022, arXiv:2102.04525, symmetric unified focal loss"
    short = ("unified-focal",)
    equation = "balance (-delta_y (1 - p_y)^(1 - gamma) log p_y) + (1 - balance) (1 - TI)^gamma"
    bounded = False

    def check(self) -> None:
        super().check()
        self.require(0 <= self.balance <= 1, "0 <= balance <= 1", self.balance)
        self.require(0 <= self.delta <= 1, "0 <= delta <= 1", self.delta)
        self.check_gamma()

    def check_gamma(self) -> None:
        self.require(0 < self.gamma <= 1, "0 < gamma <= 1", self.gamma)

    def shares(self) -> tuple[float, float]:
        return 1 - self.balance, self.balance

    def pixel_loss(self) -> RowLoss:
        return _UnifiedPixels(delta=self.delta, gamma=self.gamma, **self.shared())

    def overlap(self, intersection: Tensor, prediction: Tensor, target: Tensor) -> Tensor:
        return raised(self._missed(intersection, prediction, target), self.gamma)

    def _missed(self, intersection: Tensor, prediction: Tensor, target: Tensor) -> Tensor:
        wrong = (1 - self.delta) * (prediction - intersection) + self.delta * (target - intersection)
        return wrong / (intersection + wrong + self.smooth)


class AsymmetricUnifiedFocalLoss(UnifiedFocalLoss):
    """Unified focal loss that turns down easy pixels of the background alone, and turns up the rare regions alone.

    Class 0 is the frequent one; all others are rare. Under the sigmoid link every mask is a rare region, and the pixels
    outside of it are the frequent class.

    Args:
        balance: in [0, 1], the share of the pixel term (the paper's lambda).
        delta: in [0, 1], the weight of rare classes' pixels and of false negatives; 1 - delta is that of class 0 and of
            false positives.
        gamma: in [0, 1); 0 leaves cross-entropy and Tversky as they are.

    Formula: pixels: -delta log p_y of rare ones, -(1 - delta) (1 - p_y)^gamma log p_y of class 0; regions:
    (1 - TI)^(1 - gamma) of rare ones, 1 - TI of class 0; TI = I / (I + delta FN + (1 - delta) FP). Source: Yeung et al.
    2022, arXiv:2102.04525, asymmetric unified focal loss.

    >>> import torch, whyloss
    >>> whyloss.AsymmetricUnifiedFocalLoss()(torch.zeros(1, 2, 4), torch.tensor([[0, 0, 1, 1]]))
    tensor(0.4548)
    """

    source = "Yeung et al. 2022, arXiv:2102.04525, asymmetric unified focal loss"
    short = ("asymmetric-unified-focal",)
    equation = (
        "balance (-(1 - delta or delta) ((1 - p_0)^gamma or 1) log p_y) + (1 - balance) (1 - TI)^(1 or 1 - gamma)"
    )

    def check_gamma(self) -> None:
        self.require(0 <= self.gamma < 1, "0 <= gamma < 1", self.gamma)

    def pixel_loss(self) -> RowLoss:
        return _UnifiedPixels(delta=self.delta, gamma=self.gamma, asymmetric=True, **self.shared())

    def overlap(self, intersection: Tensor, prediction: Tensor, target: Tensor) -> Tensor:
        exponent = torch.full(target.shape[-1:], 1 - self.gamma, dtype=target.dtype, device=target.device)
        if self.background and self.link == "softmax":
            exponent = torch.cat([torch.ones_like(exponent[:1]), exponent[1:]])
        return raised(self._missed(intersection, prediction, target), exponent)


class ExponentialLogarithmicCrossEntropyLoss(RowLoss):
    """Cross-entropy to the power gamma: below 1 its gradient is steep for very sure and very wrong rows, flat between.

    The pixel term of `ExponentialLogarithmicLoss`.

    Args:
        gamma: > 0; 1 is cross-entropy.

    Formula: (-log p_y)^gamma. Source: Wong et al. 2018, arXiv:1809.00076, eq. 3.

    >>> import torch, whyloss
    >>> whyloss.ExponentialLogarithmicCrossEntropyLoss(gamma=0.5)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.8326)
    """

    gamma: float = 0.3
    source = "Wong et al. 2018, arXiv:1809.00076, eq. 3"
    short = ("exp-log-ce",)
    equation = "(-log p_y)^gamma"
    proper = None
    bounded = False

    def check(self) -> None:
        super().check()
        self.require(self.gamma > 0, "gamma > 0", self.gamma)

    def formula(self, log_p: Tensor, log_odds: Tensor) -> Tensor:
        # log(-log p): of a sure row -log p is exp(-log_odds), which leaves the range of the numbers before its power
        # does.
        sure = log_odds > 20
        log_loss = torch.where(sure, -log_odds, torch.log(-torch.where(sure, -1.0, log_p)))
        loss = torch.exp(self.gamma * log_loss)
        # A label that is masked out comes as a log-odds of -HUGE, and costs infinity: no power may hide that.
        return torch.where(log_odds < -1e25, -log_odds, loss)


class ExponentialLogarithmicLoss(PairLoss, LogDiceLoss):
    """Logarithms of Dice and of probabilities, to the power gamma: the harder a region or a pixel, the more it pulls.

    The paper weighs the pixels of class l by (sum_k f_k / f_l)^(1/2), f the frequencies: pass these as `weight` to
    weigh both terms, or add `LogDiceLoss` and `ExponentialLogarithmicCrossEntropyLoss(weight=...)` yourself.

    Args:
        gamma: > 0, exponent of both terms.
        dice_weight: >= 0, multiplies the Dice term.
        pixel_weight: >= 0, multiplies the pixel term.

    Formula: dice_weight (-log Dice)^gamma + pixel_weight (-log p_y)^gamma. Source: Wong et al. 2018, arXiv:1809.00076,
    eq. 1-3.

    >>> import torch, whyloss
    >>> whyloss.ExponentialLogarithmicLoss()(torch.zeros(1, 2, 4), torch.tensor([[0, 0, 1, 1]]))
    tensor(0.8959)
    """

    gamma: float = 0.3
    dice_weight: float = 0.8
    pixel_weight: float = 0.2
    source = "Wong et al. 2018, arXiv:1809.00076, eq. 1-3"
    short = ("exp-log",)
    equation = "dice_weight (-log Dice)^gamma + pixel_weight (-log p_y)^gamma"
    bounded = False

    def check(self) -> None:
        super().check()
        self.require(self.dice_weight >= 0, "dice_weight >= 0", self.dice_weight)
        self.require(self.pixel_weight >= 0, "pixel_weight >= 0", self.pixel_weight)

    def shares(self) -> tuple[float, float]:
        return self.dice_weight, self.pixel_weight

    def pixel_loss(self) -> RowLoss:
        return ExponentialLogarithmicCrossEntropyLoss(gamma=self.gamma, **self.shared())

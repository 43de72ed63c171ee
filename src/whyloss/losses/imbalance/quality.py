"""Focal losses whose target is a quality in [0, 1], such as the overlap of a detected box, and not a mixture of labels.

With the rest of the library a soft target is a mixture: its loss is the expected loss of a label. Here it is a number
that the prediction should equal, as the papers have it; for targets of 0 and 1 the two meanings agree."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from whyloss.losses.loss import Link
from whyloss.losses.whole import WholeRowLoss
from whyloss.stats.closed import closed
from whyloss.stats.exact import logistic


class QualityFocalLoss(WholeRowLoss):
    """Cross-entropy with a quality in [0, 1], turned down where the prediction is near it: smallest where they are
    equal.

    Args:
        beta: 0 or >= 1, the focusing exponent; 0 is binary cross-entropy, 2 the paper's choice. (In between, the slope
            at the optimum is infinite.)

    Formula: -|t - p|^beta (t log p + (1 - t) log(1 - p)). Source: Li et al. 2020, arXiv:2006.04388, eq. 2.

    >>> import torch, whyloss
    >>> whyloss.QualityFocalLoss(reduction="none")(torch.zeros(3), torch.tensor([0.0, 0.5, 1.0]))
    tensor([0.1733, 0.0000, 0.1733])
    """

    link: Link = "sigmoid"
    beta: float = 2.0
    source = "Li et al. 2020, arXiv:2006.04388, eq. 2"
    short = ("qfl", "quality-focal")
    equation = "-|t - p|^beta (t log p + (1 - t) log(1 - p))"
    links = ("sigmoid",)
    takes_odds = True
    bounded = False

    def check(self) -> None:
        super().check()
        self.require(self.beta == 0 or self.beta >= 1, "beta = 0 or beta >= 1", self.beta)

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        return closed(self._losses, self._with_slope, logits, target)

    def _losses(self, odds: Tensor, yes: Tensor) -> Tensor:
        # t - p without a difference of nearly equal numbers where t is 0 or 1.
        no = 1 - yes
        distance = (yes * torch.sigmoid(-odds) - no * torch.sigmoid(odds)).abs()
        return distance**self.beta * (yes * softplus(-odds) + no * softplus(odds))

    def _with_slope(self, odds: Tensor, yes: Tensor) -> tuple[Tensor, Tensor]:
        no, p, not_p = 1 - yes, torch.sigmoid(odds), torch.sigmoid(-odds)
        missing = yes * not_p - no * p  # the cross-entropy falls by as much
        entropy = logistic(odds, yes, no)
        if self.beta == 0:
            return entropy, -missing
        distance = missing.abs()
        focus = distance**self.beta
        falls = (distance ** (self.beta - 1)).copysign(missing).mul_(p).mul_(not_p).mul_(entropy).mul_(self.beta)
        return focus * entropy, falls.add_(focus * missing).neg_()


class VarifocalLoss(WholeRowLoss):
    """Cross-entropy with a quality in [0, 1] for positives, weighted by that quality; focal loss for negatives only.

    Positives are rare, so they are not turned down. The paper divides the sum by the number of positives:
    `normalizer=(target > 0).sum()`.

    Args:
        alpha: >= 0, the weight of the negatives.
        gamma: >= 0, the focusing exponent of the negatives.

    Formula: -t (t log p + (1 - t) log(1 - p)) where t > 0, else -alpha p^gamma log(1 - p). Source: Zhang et al. 2021,
    arXiv:2008.13367, eq. 2.

    >>> import torch, whyloss
    >>> whyloss.VarifocalLoss(reduction="none")(torch.zeros(3), torch.tensor([0.0, 0.5, 1.0]))
    tensor([0.1300, 0.3466, 0.6931])
    """

    link: Link = "sigmoid"
    alpha: float = 0.75
    gamma: float = 2.0
    source = "Zhang et al. 2021, arXiv:2008.13367, eq. 2"
    short = ("vfl", "varifocal")
    equation = "-t (t log p + (1 - t) log(1 - p)) if t > 0 else -alpha p^gamma log(1 - p)"
    links = ("sigmoid",)
    takes_odds = True
    bounded = False

    def check(self) -> None:
        super().check()
        self.require(self.alpha >= 0, "alpha >= 0", self.alpha)
        self.require(self.gamma >= 0, "gamma >= 0", self.gamma)

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        return closed(self._losses, self._with_slope, logits, target)

    def _losses(self, odds: Tensor, yes: Tensor) -> Tensor:
        of_yes, of_no = softplus(-odds), softplus(odds)
        negative = self.alpha * torch.exp(-self.gamma * of_yes) * of_no
        return yes * (yes * of_yes + (1 - yes) * of_no) + (yes == 0) * negative

    def _with_slope(self, odds: Tensor, yes: Tensor) -> tuple[Tensor, Tensor]:
        no, p, not_p = 1 - yes, torch.sigmoid(odds), torch.sigmoid(-odds)
        of_no = softplus(odds)
        negative = (yes == 0) * (self.alpha * torch.exp(-self.gamma * softplus(-odds)))
        value = yes * logistic(odds, yes, no) + negative * of_no
        return value, yes * (no * p - yes * not_p) + negative * (p + self.gamma * not_p * of_no)

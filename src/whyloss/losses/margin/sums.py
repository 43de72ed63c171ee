"""The hinge summed over the rivals, which is no function of sums over a row: every rival has a corner of its own."""

from typing import ClassVar

import torch
from torch import Tensor

from whyloss.losses.whole import WholeRowLoss


class WestonWatkinsLoss(WholeRowLoss):
    """Every rival that comes within the margin of the label's logit costs; `MulticlassHingeLoss` counts the largest.

    torch.nn.MultiMarginLoss, which divides by the number of classes: so does this, unless `summed`. Class weights
    multiply the loss and divide the mean (torch's mean divides by the number of rows).

    Args:
        margin: > 0.
        power: 1 (hinge) or 2 (squared hinge, smooth where the hinge has its corner).
        summed: True: the sum over the rivals, as in the paper. False: that over the number of classes, as in torch;
            masked classes are none.

    A soft target is a mixture of labels, and takes C^2 numbers a row.

    Formula: sum over j != y of max(0, margin - z_y + z_j)^power / C. Source: Weston & Watkins 1999, "Support vector
    machines for multi-class pattern recognition", ESANN (with margin 2).

    >>> import torch, whyloss
    >>> whyloss.WestonWatkinsLoss()(torch.tensor([[1.0, 0.5, 0.75]]), torch.tensor([0]))
    tensor(0.4167)
    """

    margin: float = 1.0
    power: int = 1
    summed: bool = False
    source = "Weston & Watkins 1999, ESANN"
    short = ("weston-watkins", "multi-margin")
    equation = "sum over j != y of max(0, margin - z_y + z_j)^power / C"
    proper = False
    bounded = False
    symmetric = False
    convex = True

    takes_labels: ClassVar[bool] = True

    def check(self) -> None:
        super().check()
        self.require(self.margin > 0, "margin > 0", self.margin)
        self.require(self.power in (1, 2), "power 1 or 2", self.power)

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        if target.ndim == 1:
            label = target.unsqueeze(1)
            own = logits.gather(1, label)
            masked = torch.isneginf(own)
            slack = self._slack(logits, torch.where(masked, 0.0, own)).scatter(1, label, 0.0)
            total, impossible = self._powers(slack).sum(1), masked.squeeze(1)
        else:
            masked = torch.isneginf(logits)
            slack = self._slack(logits.unsqueeze(1), torch.where(masked, 0.0, logits).unsqueeze(2))
            itself = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
            each = self._powers(torch.where(itself, 0.0, slack)).sum(2)  # [N, label]
            total, impossible = (each * target).sum(1), ((target != 0) & masked).any(1)
        if not self.summed:
            total = total / (logits > -torch.inf).sum(1)
        return total + torch.where(impossible, torch.inf, 0.0)

    def _slack(self, z: Tensor, own: Tensor) -> Tensor:
        return (z - own + self.margin).clamp_min(0)

    def _powers(self, slack: Tensor) -> Tensor:
        return slack if self.power == 1 else slack * slack

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
    machines for multi-class pattern recognition", ESANN, eq. 1 (with margin 2).

    >>> import torch, whyloss
    >>> whyloss.WestonWatkinsLoss()(torch.tensor([[1.0, 0.5, 0.75]]), torch.tensor([0]))
    tensor(0.4167)
    """

    margin: float = 1.0
    power: int = 1
    summed: bool = False
    source = "Weston & Watkins 1999, ESANN, eq. 1"
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
        live = ~torch.isneginf(logits)
        z = torch.where(live, logits, 0.0)
        classes = 1 if self.summed else live.sum(1)
        if target.ndim == 1:
            label = target.unsqueeze(1)
            rival = live.scatter(1, label, torch.zeros_like(label, dtype=torch.bool))
            total = self._hinges(z, z.gather(1, label), rival).sum(1)
            impossible = ~live.gather(1, label).squeeze(1)
        else:
            own = torch.eye(z.shape[1], dtype=torch.bool, device=z.device)
            rival = live.unsqueeze(1) & ~own  # [N, label, rival]
            each = self._hinges(z.unsqueeze(1), z.unsqueeze(2), rival).sum(2)
            total = torch.where(target != 0, each * target, 0.0).sum(1)
            impossible = ((target != 0) & ~live).any(1)
        return total / classes + torch.where(impossible, torch.inf, 0.0)

    def _hinges(self, z: Tensor, own: Tensor, rival: Tensor) -> Tensor:
        slack = torch.where(rival, self.margin - (own - z), 0.0).clamp_min(0)
        return slack if self.power == 1 else slack * slack

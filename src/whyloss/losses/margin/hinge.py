"""Hinges: nothing is left to pay once the label leads by the margin."""

from torch import Tensor

from whyloss.losses.loss import Link, RowLoss


class MulticlassHingeLoss(RowLoss):
    """Costs nothing once the label's logit leads its largest rival by the margin; a straight line below that.

    Gives a ranking and no probabilities.

    Args:
        margin: > 0.
        power: 1 (hinge) or 2 (squared hinge, smooth where the hinge has its corner).

    Formula: max(0, margin - (z_y - max over j != y of z_j))^power. Source: Crammer & Singer 2001, JMLR 2, eq. 3.

    >>> import torch, whyloss
    >>> whyloss.MulticlassHingeLoss()(torch.tensor([[1.5, 1.0, 0.0]]), torch.tensor([0]))
    tensor(0.5000)
    """

    margin: float = 1.0
    power: int = 1
    source = "Crammer & Singer 2001, JMLR 2, eq. 3"
    short = ("hinge",)
    equation = "max(0, margin - (z_y - max_{j != y} z_j))^power"
    proper = False
    bounded = False
    symmetric = False
    convex = True

    def check(self) -> None:
        super().check()
        self.require(self.margin > 0, "margin > 0", self.margin)
        self.require(self.power in (1, 2), "power 1 or 2", self.power)

    def formula(self, logit: Tensor, rival: Tensor) -> Tensor:
        slack = (self.margin - (logit - rival)).clamp_min(0)
        return slack if self.power == 1 else slack * slack


class BinaryHingeLoss(MulticlassHingeLoss):
    """The support vector machine's loss: labels 0 and 1 stand for -1 and +1, max(0, margin - y f)^power.

    Formula: max(0, margin - y f)^power with f the logit. Source: Cortes & Vapnik 1995, eq. 18 (with power 1 or 2).

    >>> import torch, whyloss
    >>> whyloss.BinaryHingeLoss()(torch.tensor([0.25, -3.0]), torch.tensor([1, 0]))
    tensor(0.3750)
    """

    link: Link = "sigmoid"
    source = "Cortes & Vapnik 1995, eq. 18"
    short = ("binary-hinge",)
    equation = "max(0, margin - y f)^power"

"""Hinges with a round corner, and the logistic loss by its name among them. Labels 0 and 1 stand for -1 and +1."""

from torch import Tensor

from whyloss.losses.loss import Link, RowLoss
from whyloss.losses.proper.likelihood import BinaryCrossEntropyLoss


class SmoothHingeLoss(RowLoss):
    """The hinge with a parabola in place of its corner: a straight line for wrong rows, nothing beyond the margin of 1.

    With the softmax link f is the lead of the label's logit over its largest rival.

    Formula: 1/2 - y f for y f <= 0, (1 - y f)^2 / 2 up to 1, and 0. Source: Rennie & Srebro 2005, "Loss functions for
    preference levels", IJCAI workshop.

    >>> import torch, whyloss
    >>> whyloss.SmoothHingeLoss(reduction="none")(torch.tensor([0.5, -2.0, 2.0]), torch.tensor([1, 1, 1]))
    tensor([0.1250, 2.5000, 0.0000])
    """

    link: Link = "sigmoid"
    source = "Rennie & Srebro 2005, IJCAI workshop"
    short = ("smooth-hinge",)
    equation = "1/2 - y f for y f <= 0, (1 - y f)^2 / 2 up to 1, and 0"
    proper = False
    bounded = False
    symmetric = False
    convex = True

    def formula(self, logit: Tensor, rival: Tensor) -> Tensor:
        lead = logit - rival
        bent = (1 - lead).clamp(0, 1)
        return bent * bent / 2 - lead.clamp_max(0)


class ModifiedHuberLoss(RowLoss):
    """The squared hinge that goes on as a straight line for rows that are very wrong: outliers pull no harder.

    With the softmax link f is the lead of the label's logit over its largest rival. (f + 1) / 2, cut to [0, 1], is an
    estimate of the probability of a yes.

    Formula: max(0, 1 - y f)^2 for y f >= -1, else -4 y f. Source: Zhang 2004, "Solving large scale linear prediction
    problems using stochastic gradient descent algorithms", ICML, section 2.

    >>> import torch, whyloss
    >>> whyloss.ModifiedHuberLoss(reduction="none")(torch.tensor([0.5, -2.0, 2.0]), torch.tensor([1, 1, 1]))
    tensor([0.2500, 8.0000, 0.0000])
    """

    link: Link = "sigmoid"
    source = "Zhang 2004, ICML, section 2"
    short = ("modified-huber",)
    equation = "max(0, 1 - y f)^2 for y f >= -1, else -4 y f"
    proper = False
    bounded = False
    symmetric = False
    convex = True

    def formula(self, logit: Tensor, rival: Tensor) -> Tensor:
        lead = logit - rival
        bent = (1 - lead).clamp(0, 2)
        return bent * bent - 4 * (lead + 1).clamp_max(0)


class SoftMarginLoss(BinaryCrossEntropyLoss):
    """The logistic loss of labels -1 and +1: binary cross-entropy by its name among margins.

    torch.nn.SoftMarginLoss; as everywhere here the labels are given as 0 and 1.

    Formula: log(1 + e^(-y f)). Source: Cox 1958, "The regression analysis of binary sequences".

    >>> import torch, whyloss
    >>> whyloss.SoftMarginLoss()(torch.tensor([0.0, 2.0]), torch.tensor([1, 0]))
    tensor(1.4100)
    """

    source = "Cox 1958; as torch.nn.SoftMarginLoss"
    short = ("soft-margin",)
    equation = "log(1 + e^(-y f))"

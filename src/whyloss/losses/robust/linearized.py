"""Cross-entropy and the margin loss, made linear where they would run after wrong labels."""

import math

import torch
from torch import Tensor

from whyloss.losses.loss import Link, RowLoss
from whyloss.stats.exact import expm1


class UnhingedLoss(RowLoss):
    """The hinge without its hinge: a straight line in the logit, so that symmetric label noise only scales the risk.

    Convex and robust at once, which costs it its lower bound: rows that are right go on being rewarded. Train it with
    weight decay, or on logits of bounded size. The mean absolute error is the unhinged loss of probabilities.

    Formula: 1 - y f with y in {-1, 1} and f the logit. Source: van Rooyen et al. 2015, arXiv:1505.07634.

    >>> import torch, whyloss
    >>> whyloss.UnhingedLoss()(torch.tensor([0.25, -3.0]), torch.tensor([1, 0]))
    tensor(-0.6250)
    """

    link: Link = "sigmoid"
    source = "van Rooyen et al. 2015, arXiv:1505.07634"
    short = ("unhinged",)
    equation = "1 - y f"
    links = ("sigmoid",)
    proper = False
    bounded = False
    symmetric = True
    convex = True

    def formula(self, logit: Tensor, rival: Tensor) -> Tensor:
        return 1 - (logit - rival)


class TaylorCrossEntropyLoss(RowLoss):
    """The first terms of cross-entropy's Taylor series at p_y = 1: more of them fit harder, fewer forgive more.

    Args:
        order: >= 1, how many terms: 1 is half the mean absolute error, and with more it nears cross-entropy.

    Formula: sum over i = 1 .. order of (1 - p_y)^i / i. Source: Feng et al. 2020, IJCAI, "Can cross entropy loss be
    robust to label noise?".

    >>> import torch, whyloss
    >>> whyloss.TaylorCrossEntropyLoss(order=2)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.6250)
    """

    order: int = 2
    source = "Feng et al. 2020, IJCAI"
    short = ("taylor-ce", "taylor")
    equation = "sum_{i <= order} (1 - p_y)^i / i"
    proper = False
    bounded = True
    symmetric = None  # with one term
    convex = False

    def check(self) -> None:
        super().check()
        self.require(self.order >= 1 and self.order == int(self.order), "a whole order >= 1", self.order)

    def formula(self, not_p: Tensor) -> Tensor:
        total = not_p / self.order
        for i in range(self.order - 1, 0, -1):
            total = not_p * (1 / i + total)
        return total


class PartiallyHuberizedCrossEntropyLoss(RowLoss):
    """Cross-entropy that becomes linear in p_y below 1 / tau: the gradient of a row is clipped as a loss, not as a
    step.

    Clipping gradients by norm does not make training robust to noise; this does.

    Args:
        tau: >= 1, the steepest slope in p_y; 1 is half the mean absolute error, infinitely large cross-entropy. The
            paper's choices are 2 for 10 classes and 10 for 100.

    Formula: -log p_y where p_y > 1 / tau, else log tau + 1 - tau p_y. Source: Menon et al. 2020, ICLR, "Can gradient
    clipping mitigate label noise?", the partially Huberised cross-entropy.

    >>> import torch, whyloss
    >>> whyloss.PartiallyHuberizedCrossEntropyLoss(tau=4.0)(torch.zeros(1, 8), torch.tensor([0]))
    tensor(1.8863)
    """

    tau: float = 10.0
    source = "Menon et al. 2020, ICLR"
    short = ("phuber-ce", "phuber")
    equation = "-log p_y where p_y > 1 / tau, else log tau + 1 - tau p_y"
    proper = False
    bounded = True
    symmetric = None  # with tau = 1
    convex = False

    def check(self) -> None:
        super().check()
        self.require(1 <= self.tau < math.inf, "1 <= tau < inf", self.tau)

    def formula(self, log_p: Tensor) -> Tensor:
        log_tau = math.log(self.tau)
        above = log_p + log_tau  # log of tau p
        return torch.where(above > 0, -log_p, log_tau - expm1(above))

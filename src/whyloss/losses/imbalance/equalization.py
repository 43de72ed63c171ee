"""Equalization losses: rare classes are pushed down less by the rows of other classes."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from whyloss.losses.imbalance.counts import over_ranks
from whyloss.losses.label_sets import LabelSetLoss
from whyloss.losses.loss import Link
from whyloss.losses.whole import WholeRowLoss
from whyloss.stats.closed import cross_entropies
from whyloss.stats.each import lse_of_others


class EqualizationLoss(LabelSetLoss):
    """Binary cross-entropy of all classes that leaves rare classes alone where another class is the answer.

    A row without any yes is background, and pushes every class down. As in the paper a row's loss is the sum over its
    classes.

    Args:
        frequency: [C] in [0, 1], the share of the images (or rows) that hold each class.
        threshold: >= 0, the frequency below which a class is rare; 0 is binary cross-entropy.

    Formula: sum_j w_j BCE_j with w_j = 0 where t_j = 0, some t_k = 1 and f_j < threshold, else 1. Source: Tan et al.
    2020, arXiv:2003.05176, section 3.2.

    >>> import torch, whyloss
    >>> loss = whyloss.EqualizationLoss(frequency=torch.tensor([0.5, 0.001]))
    >>> loss(torch.zeros(1, 2), torch.tensor([[1, 0]])), loss(torch.zeros(1, 2), torch.tensor([[0, 0]]))
    (tensor(0.6931), tensor(1.3863))
    """

    frequency: Tensor
    threshold: float = 1.76e-3
    source = "Tan et al. 2020, arXiv:2003.05176, section 3.2"
    short = ("eql",)
    equation = "sum_j w_j BCE_j, w_j = 0 for rare j in rows of another class"
    bounded = False

    def check(self) -> None:
        super().check()
        _check(self, self.frequency, self.threshold)

    def losses(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        spared = (self.frequency < self.threshold) & (positive > 0).any(1, keepdim=True)
        return cross_entropies(logits, positive, torch.where(spared, 0.0, negative)).sum(1)


class SoftmaxEqualizationLoss(WholeRowLoss):
    """Cross-entropy whose softmax leaves rare classes out, at random, where another class is the label.

    In eval mode it is not drawn: a rare class counts for its expected share, 1 - gamma. A soft target spares a rare
    class to the extent that it is not asked for, so it is no mixture of labels.

    Args:
        frequency: [C] in [0, 1], the share of the rows that are of each class.
        threshold: >= 0, the frequency below which a class is rare; 0 is cross-entropy.
        gamma: in [0, 1], how often a rare class is left out; 0 is cross-entropy.

    Formula: -log(exp z_y / sum_k w_k exp z_k) with w_k = 1 - b [f_k < threshold] (1 - t_k), b = 1 with probability
    gamma, else 0. Source: Tan et al. 2020, arXiv:2003.05176, section 3.3.

    >>> import torch, whyloss
    >>> loss = whyloss.SoftmaxEqualizationLoss(frequency=torch.tensor([0.5, 0.499, 0.001]), gamma=1.0)
    >>> loss(torch.zeros(1, 3), torch.tensor([0]))
    tensor(0.6931)
    """

    link: Link = "softmax"
    frequency: Tensor
    threshold: float = 3e-3
    gamma: float = 0.9
    source = "Tan et al. 2020, arXiv:2003.05176, section 3.3"
    short = ("seql", "softmax-eql")
    equation = "-log(e^z_y / sum_k w_k e^z_k), w_k = 1 - b [k rare] (1 - t_k), b drawn"
    proper = None
    bounded = False
    links = ("softmax",)
    stateful = True

    def check(self) -> None:
        super().check()
        _check(self, self.frequency, self.threshold)
        self.require(0 <= self.gamma <= 1, "0 <= gamma <= 1", self.gamma)

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        share = torch.full_like(logits, self.gamma)
        left_out = torch.bernoulli(share) if self.training else share
        weight = 1 - left_out * (self.frequency < self.threshold) * (1 - target)
        rivals = lse_of_others(logits + weight.log())
        lead = torch.where(target > 0, logits - rivals, 0.0)
        return -(target * logsigmoid(lead)).sum(1)


class EqualizationV2Loss(LabelSetLoss):
    """Binary cross-entropy of all classes, reweighted so that what pulls each class up and down stays in balance.

    It remembers how large the gradients of the yeses and of the noes of each class were, and weighs them by their
    ratio; a class that had none yet has weights of 1. The memory is written in training (not in eval mode, nor without
    gradients), summed over ranks, and travels in `state_dict()`. As in the paper a row's loss is the sum over its
    classes; its extra output for objectness is left to the model.

    Args:
        classes: C.
        alpha: >= 0, how much the yeses of a class in need are raised.
        gamma: > 0, how sharply the weights change with the ratio.
        mu: the ratio of gradients at which they do.

    Formula: sum_j w_j BCE_j with w_j = 1 + alpha (1 - f_j) where t_j = 1, else f_j; f_j = sigmoid(gamma (g_j - mu)),
    g_j the ratio of the gradients so far. Source: Tan et al. 2021, arXiv:2012.08548, section 3.

    >>> import torch, whyloss
    >>> loss = whyloss.EqualizationV2Loss(classes=2)
    >>> z, y = torch.zeros(4, 2), torch.tensor([[1, 0], [1, 0], [1, 0], [0, 1]])
    >>> loss(z, y), loss(z, y)
    (tensor(1.3863), tensor(1.5589))
    """

    classes: int
    alpha: float = 4.0
    gamma: float = 12.0
    mu: float = 0.8
    source = "Tan et al. 2021, arXiv:2012.08548, section 3"
    short = ("eqlv2",)
    equation = "sum_j w_j BCE_j, w from the ratio of each class's gradients so far"
    bounded = False
    stateful = True
    fixed = ("classes",)

    pulled_up: ClassVar[Tensor]  # buffers; ClassVar keeps them out of the constructor
    pushed_down: ClassVar[Tensor]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.register_buffer("pulled_up", torch.zeros(self.classes))
        self.register_buffer("pushed_down", torch.zeros(self.classes))

    def check(self) -> None:
        super().check()
        self.require(self.classes >= 1, "classes >= 1", self.classes)
        self.require(self.alpha >= 0, "alpha >= 0", self.alpha)
        self.require(self.gamma > 0, "gamma > 0", self.gamma)

    def losses(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        balance = self.balance().to(logits.dtype)
        positive, negative = positive * (1 + self.alpha * (1 - balance)), negative * balance
        if self.training and torch.is_grad_enabled():
            z = logits.detach()
            self.pulled_up.add_(over_ranks((positive * torch.sigmoid(-z)).sum(0)))
            self.pushed_down.add_(over_ranks((negative * torch.sigmoid(z)).sum(0)))
        return cross_entropies(logits, positive, negative).sum(1)

    def balance(self) -> Tensor:
        """[C] f_j: 1 for a class in balance, near 0 for one that is mostly pushed down."""
        up, down = self.pulled_up, self.pushed_down
        ratio = torch.where(down > 0, up / torch.where(down > 0, down, 1.0), torch.inf)
        return torch.sigmoid(self.gamma * (ratio - self.mu))


def _check(loss: EqualizationLoss | SoftmaxEqualizationLoss, frequency: Tensor, threshold: float) -> None:
    loss.require(bool(((frequency >= 0) & (frequency <= 1)).all()), "0 <= frequency <= 1", frequency.tolist())
    loss.require(threshold >= 0, "threshold >= 0", threshold)

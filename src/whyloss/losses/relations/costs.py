"""Losses with a price for every confusion of one class with another."""

import torch
from torch import Tensor

from whyloss.losses.loss import RowLoss
from whyloss.losses.whole import WholeRowLoss
from whyloss.stats.each import log_softmax
from whyloss.stats.table import HUGE


def distance_cost(classes: int, power: float = 1.0) -> Tensor:
    """[C, C] |i - j|^power, the cost of confusing ordered classes: 1 absolute, 2 squared, near 0 all mistakes alike.

    >>> import whyloss
    >>> whyloss.distance_cost(3, power=2)
    tensor([[0., 1., 4.],
            [1., 0., 1.],
            [4., 1., 0.]])
    """
    if classes < 2 or power < 0:
        raise ValueError(f"distance_cost: classes >= 2 and power >= 0 are needed, got {classes} and {power}.")
    place = torch.arange(classes, dtype=torch.float32)
    apart = (place.unsqueeze(1) - place).abs()
    return torch.where(apart == 0, 0.0, apart**power)


class ExpectedCostLoss(RowLoss):
    """What acting on the predicted probabilities would cost on average: the user's own prices, and nothing else.

    Linear in the probabilities, so it drives them to whichever class is cheapest, not to the truth: train with
    cross-entropy and decide by `(probabilities @ cost).argmin` where probabilities are wanted.

    Args:
        cost: [C, C], entry (y, j) is the price of saying j where y is true; prices below 0 are gains.

    Formula: sum_j C_yj p_j. Source: Elkan 2001, "The foundations of cost-sensitive learning", IJCAI.

    >>> import torch, whyloss
    >>> loss = whyloss.ExpectedCostLoss(cost=torch.tensor([[0.0, 1.0], [5.0, 0.0]]))
    >>> loss(torch.zeros(1, 2), torch.tensor([1]))
    tensor(2.5000)
    """

    cost: Tensor
    source = "Elkan 2001, IJCAI"
    short = ("expected-cost", "cost")
    equation = "sum_j C_yj p_j"
    proper = False
    bounded = True
    convex = False

    @property
    def table(self) -> Tensor:
        return self.cost

    def check(self) -> None:
        super().check()
        square = self.cost.ndim == 2 and self.cost.shape[0] == self.cost.shape[1]
        self.require(square, "a square cost matrix [C, C]", tuple(self.cost.shape))
        self.require(bool(torch.isfinite(self.cost).all()), "a finite cost for every confusion", self.cost.tolist())

    def formula(self, expected: Tensor) -> Tensor:
        return expected


class OptimalTransportLoss(WholeRowLoss):
    """What it costs to carry the predicted distribution over to the target one, at a price for each pair of classes.

    For one label this is the expected cost exactly; it differs where targets are distributions, which the expected cost
    would have the model collapse. The plan is an entropic one (Sinkhorn's algorithm, in logarithms).

    Args:
        cost: [C, C], >= 0, entry (y, j) is the price of carrying mass from j to y; with the sigmoid link [2, 2], of
            (no, yes).
        epsilon: >= 0.02, entropy of the plan, in units of the largest cost; smaller is nearer to the cheapest plan and
            takes more iterations.
        iterations: >= 1, of Sinkhorn's algorithm, each two products of [N, C] and [C, C].

    Formula: sum_yj T_yj C_yj, T the plan with margins q and p. Source: Frogner et al. 2015, arXiv:1506.05439.

    >>> import torch, whyloss
    >>> loss = whyloss.OptimalTransportLoss(cost=whyloss.distance_cost(3), epsilon=0.02)
    >>> loss(torch.zeros(1, 3), torch.tensor([0]))
    tensor(1.0000)
    >>> loss(torch.zeros(1, 3), torch.tensor([[0.5, 0.0, 0.5]]))
    tensor(0.3333)
    """

    cost: Tensor
    epsilon: float = 0.1
    iterations: int = 20
    source = "Frogner et al. 2015, arXiv:1506.05439"
    short = ("ot", "wasserstein")
    equation = "sum_yj T_yj C_yj, T the entropic plan with margins q and p"
    proper = False
    bounded = True
    convex = False

    def check(self) -> None:
        super().check()
        square = self.cost.ndim == 2 and self.cost.shape[0] == self.cost.shape[1]
        self.require(square, "a square cost matrix [C, C]", tuple(self.cost.shape))
        self.require(bool((self.cost >= 0).all()), "a cost >= 0 for every pair", self.cost.tolist())
        self.require(bool((self.cost > 0).any()), "a cost matrix that is not all 0", self.cost.tolist())
        self.require(self.epsilon >= 0.02, "epsilon >= 0.02", self.epsilon)
        self.require(self.iterations >= 1, "iterations >= 1", self.iterations)

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        cost = self.cost.to(logits.dtype)
        if cost.shape[0] != logits.shape[1]:
            raise ValueError(f"{type(self).__name__}: cost {tuple(cost.shape)} but {logits.shape[1]} classes.")
        kernel = torch.exp(-cost / (self.epsilon * cost.max()))
        log_p = log_softmax(logits)
        log_q = torch.where(target > 0, torch.log(torch.where(target > 0, target, 1.0)), -HUGE)
        of_p = log_p
        of_q = log_q
        for _ in range(self.iterations):
            of_q = log_q - _log_product(of_p, kernel.T)
            of_p = log_p - _log_product(of_q, kernel)
        return torch.exp(of_p + _log_product(of_q, kernel * cost)).sum(1)  # the plan is exp(of_q) kernel exp(of_p)


def _log_product(x: Tensor, matrix: Tensor) -> Tensor:
    """log(exp(x) @ matrix), minus infinity without a slope where that is 0."""
    top = x.detach().amax(1, keepdim=True)
    product = torch.exp(x - top) @ matrix
    return torch.where(product > 0, top + torch.log(torch.where(product > 0, product, 1.0)), -torch.inf)

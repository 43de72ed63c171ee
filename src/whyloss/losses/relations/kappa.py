"""Agreement of a whole batch with its labels, beyond chance."""

from collections.abc import Callable

import torch
from torch import Tensor

from whyloss.losses.batch import BatchLoss
from whyloss.stats.closed import pulled_back
from whyloss.stats.each import log_softmax, log_sum_exp, softmax_and_rest
from whyloss.stats.majority import balanced, shares, without
from whyloss.stats.tables import steps_apart, table
from whyloss.stats.visible import SURE, visible


class WeightedKappaLoss(BatchLoss):
    """What is missing to full agreement, 1 - kappa, with disagreements weighted by their distance squared.

    Trains the metric itself. Its chance term is that of the batch: small batches make it noisy, and a batch with one
    class only teaches nothing.

    Args:
        exponent: > 0, of the distance; 2: quadratic weights, 1: linear.
        log: take the logarithm, as the paper does, so that the last mistakes are not neglected; it has no lower end.

    Formula: log(sum_n w(y_n, j) p_nj / sum_ij w(i, j) n_i sum_n p_nj / N), w(i, j) = |i - j|^exponent.
    Source: de la Torre et al. 2018, "Weighted kappa loss function for multi-class classification of ordinal data in
    deep learning", Pattern Recognition Letters 105.

    >>> import torch, whyloss
    >>> loss = whyloss.WeightedKappaLoss(log=False)
    >>> loss(torch.zeros(2, 2), torch.tensor([0, 1]))  # no better than chance
    tensor(1.)
    """

    exponent: float = 2.0
    log: bool = True
    source = "de la Torre et al. 2018, Pattern Recognition Letters 105"
    short = ("kappa", "qwk")
    equation = "log(1 - kappa) of the batch, kappa weighted by |i - j|^exponent"
    links = ("softmax",)
    takes_labels = True
    ordered = True
    proper = False
    convex = False

    def check(self) -> None:
        super().check()
        self.require(self.exponent > 0, "exponent > 0", self.exponent)

    def value(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        share = (weight / weight.sum()).unsqueeze(1)
        apart = table(steps_apart, logits.shape[1], self.exponent, like=logits)
        if target.ndim == 1:
            costs = apart.index_select(0, target)
            held = torch.zeros_like(logits[0]).index_add(0, target, share.squeeze(1))
        else:
            costs, held = target @ apart, (share * target).sum(0)
        if visible(logits):
            observed, by_chance = pulled_back(_costs, _costs_by_hand, logits, share, costs, held @ apart)
            if bool(observed > SURE) and bool(by_chance > SURE):
                return torch.log(observed / by_chance) if self.log else observed / by_chance
        # In logarithms, as the odds of the last few mistakes may be too small to write down.
        log_p = log_softmax(logits)
        observed = log_sum_exp((torch.log(share * costs) + log_p).reshape(-1))
        by_chance = log_sum_exp((torch.log(share * (held @ apart)) + log_p).reshape(-1))
        # Labels and predictions all in one class: both are sums of nothing, and agreement is no better than chance.
        some = ~torch.isneginf(by_chance)
        ratio = torch.where(some, torch.where(some, observed, 0.0) - torch.where(some, by_chance, 0.0), 0.0)
        return ratio if self.log else torch.exp(ratio)


def _costs(z: Tensor, share: Tensor, costs: Tensor, by_chance: Tensor) -> tuple[Tensor, Tensor]:
    """Expected costs of the predictions: [N, C] as they are, and [C] if they had been dealt out among the rows."""
    predicted = share * softmax_and_rest(z)[0]
    return (costs * predicted).sum(), by_chance @ predicted.sum(0)


def _costs_by_hand(
    z: Tensor, share: Tensor, costs: Tensor, by_chance: Tensor
) -> tuple[tuple[Tensor, Tensor], Callable[..., Tensor]]:
    p, majority = shares(z)
    predicted = p * share

    def back(of_costs: Tensor | None, of_chance: Tensor | None) -> Tensor:
        price = costs * (0.0 if of_costs is None else of_costs)
        if of_chance is not None:
            price.add_(by_chance * of_chance)
        price.sub_((p * price).sum(1, keepdim=True))
        return balanced(price.mul_(without(predicted, majority)), majority)

    return ((costs * predicted).sum(), by_chance @ predicted.sum(0)), back

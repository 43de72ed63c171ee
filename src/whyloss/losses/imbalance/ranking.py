"""Losses of pairs: every positive should score above every negative, or above the hardest of them.

They read the order of the logits only, so what they train is no probability until it is calibrated."""

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from whyloss.losses.batch import BatchLoss
from whyloss.losses.checks import traced
from whyloss.losses.loss import Link

Surrogate = Literal["squared_hinge", "hinge", "logistic"]


class RankingLoss(BatchLoss):
    """A loss of the scores of positives against those of negatives. Subclass it and write `columns`.

    Shapes: logits [N] or [N, L] with targets of the same shape; each of the L labels is a ranking of its own, and the
    value is the mean over the labels of which the batch holds both a positive and a negative (0 if there are none). A
    soft target is a positive by its share and a negative by the rest. Options are those of `BatchLoss`."""

    link: Link = "sigmoid"
    links: ClassVar[tuple[Link, ...]] = ("sigmoid",)

    def columns(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """[L] from logits [N, L] and how much each row is a positive and a negative, [N, L]; neither is all 0."""
        raise NotImplementedError(f"{type(self).__name__} has no columns.")

    def value(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        positive, negative = weight * target, weight * (1 - target)
        both = (positive > 0).any(0) & (negative > 0).any(0)
        # A column without both is computed with innocent weights, and not used.
        losses = self.columns(logits, torch.where(both, positive, 1.0), torch.where(both, negative, 1.0))
        return torch.where(both, losses, 0.0).sum() / both.sum().clamp_min(1)


class PairwiseAUCLoss(RankingLoss):
    """How far each positive falls short of each negative, over all pairs: a surrogate of 1 - AUC.

    The hinges take O(N log N), the logistic surrogate O(N^2) of time and memory.

    Args:
        surrogate: "squared_hinge", "logistic" (both consistent with the AUC), or "hinge", which is not.
        margin: > 0, by how much a positive should lead; not used by "logistic".

    Formula: mean over pairs of f(z_i - z_j), f(d) = max(0, margin - d)^2, max(0, margin - d) or log(1 + exp(-d)).
    Source: Gao & Zhou 2015, arXiv:1208.0645, consistent surrogates; Rust & Hocking 2023, arXiv:2302.11062 (in O(N log
    N)).

    >>> import torch, whyloss
    >>> whyloss.PairwiseAUCLoss()(torch.tensor([1.0, 0.5, 0.0]), torch.tensor([1, 0, 0]))
    tensor(0.1250)
    """

    surrogate: Surrogate = "squared_hinge"
    margin: float = 1.0
    source = "Gao & Zhou 2015, arXiv:1208.0645, consistent surrogates"
    short = ("auc", "pairwise-auc")
    equation = "mean over pairs of f(z_i - z_j)"
    bounded = False

    def check(self) -> None:
        super().check()
        known = ("squared_hinge", "hinge", "logistic")
        self.require(self.surrogate in known, f"surrogate in {known}", self.surrogate)
        self.require(self.margin > 0, "margin > 0", self.margin)

    def columns(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        pairs = positive.sum(0) * negative.sum(0)
        if self.surrogate == "logistic":
            i, j = those(positive), those(negative)
            each = softplus(logits[j].unsqueeze(0) - logits[i].unsqueeze(1))
            return ((each * negative[j]).sum(1) * positive[i]).sum(0) / pairs
        power = 1 if self.surrogate == "hinge" else 2
        return _hinges(logits, positive, negative, self.margin, power).to(logits.dtype) / pairs


class PartialAUCLoss(PairwiseAUCLoss):
    """How far each positive falls short of the hardest negatives only: a surrogate of the AUC up to a false positive
    rate.

    Args:
        fpr: in (0, 1], the share of the negatives, by weight, that counts: those with the highest scores. 1 is
            `PairwiseAUCLoss`.
        surrogate: "squared_hinge", "hinge" or "logistic".
        margin: > 0, by how much a positive should lead; not used by "logistic".

    Formula: mean of f(z_i - z_j) over positives i and the top fpr of negatives j. Source: Zhu et al. 2022,
    arXiv:2203.00176, CVaR estimator.

    >>> import torch, whyloss
    >>> whyloss.PartialAUCLoss(fpr=0.5)(torch.tensor([1.0, 0.5, 0.0]), torch.tensor([1, 0, 0]))
    tensor(0.2500)
    """

    fpr: float = 0.3
    source = "Zhu et al. 2022, arXiv:2203.00176, CVaR estimator"
    short = ("pauc", "partial-auc")
    equation = "mean of f(z_i - z_j) over the top fpr of negatives j"

    def check(self) -> None:
        super().check()
        self.require(0 < self.fpr <= 1, "0 < fpr <= 1", self.fpr)

    def columns(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        order = logits.detach().argsort(dim=0, descending=True, stable=True)
        sorted_weights = negative.gather(0, order)
        before = sorted_weights.cumsum(0) - sorted_weights
        top = (self.fpr * negative.sum(0) - before).clamp_min(0).minimum(sorted_weights)
        return super().columns(logits, positive, torch.zeros_like(negative).scatter(0, order, top))


class SoftPartialAUCLoss(RankingLoss):
    """How far each positive falls short of the negatives, the hard ones weighted up smoothly: a soft partial AUC.

    The worst case over distributions of the negatives near their own (in Kullback-Leibler divergence). Takes O(N^2) of
    time and memory.

    Args:
        temperature: > 0; near 0 only the hardest negative counts, large values are `PairwiseAUCLoss`.
        margin: > 0, by how much a positive should lead.

    Formula: mean over i of T log mean over j of exp(f_ij / T), f_ij = max(0, margin - z_i + z_j)^2. Source: Zhu et al.
    2022, arXiv:2203.00176, KL-DRO estimator.

    >>> import torch, whyloss
    >>> whyloss.SoftPartialAUCLoss()(torch.tensor([1.0, 0.5, 0.0]), torch.tensor([1, 0, 0]))
    tensor(0.1328)
    """

    temperature: float = 1.0
    margin: float = 1.0
    source = "Zhu et al. 2022, arXiv:2203.00176, KL-DRO estimator"
    short = ("pauc-kl", "soft-partial-auc")
    equation = "mean_i T log mean_j exp(f(z_i - z_j) / T)"
    bounded = False

    def check(self) -> None:
        super().check()
        self.require(self.temperature > 0, "temperature > 0", self.temperature)
        self.require(self.margin > 0, "margin > 0", self.margin)

    def columns(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        i, j = those(positive), those(negative)
        short = (self.margin - logits[i].unsqueeze(1) + logits[j].unsqueeze(0)).clamp_min(0) ** 2
        share = (negative[j] / negative.sum(0)).log()
        worst = self.temperature * torch.logsumexp(short / self.temperature + share, 1)
        return (positive[i] * worst).sum(0) / positive.sum(0)


def those(weight: Tensor) -> "Tensor | slice":
    """The rows with a weight in any column; all of them where values cannot be looked at."""
    return slice(None) if traced(weight) else (weight > 0).any(1).nonzero().squeeze(1)


def _hinges(z: Tensor, positive: Tensor, negative: Tensor, margin: float, power: int) -> Tensor:
    """[L] the sum over pairs of positive_i negative_j max(0, margin - z_i + z_j)^power, by sorting once.

    Negatives at z_j and positives at z_i - margin stand in one line. Walking it from the top, a positive meets exactly
    the negatives that come too near, of which three sums are all that it needs. In float64, where their differences
    lose nothing that float32 could hold."""
    z = z.double()
    z = z - z.detach().mean(0)
    places = torch.cat([z - margin, z])
    here, meets = (torch.cat(pair) for pair in ((positive, 0 * positive), (0 * negative, negative)))
    order = places.detach().argsort(dim=0, descending=True)
    x, here, meets = (part.gather(0, order) for part in (places, here.double(), meets.double()))
    count, first = meets.cumsum(0), (meets * x).cumsum(0)
    if power == 1:
        return (here * (first - x * count)).sum(0)
    return (here * ((meets * x * x).cumsum(0) - 2 * x * first + x * x * count)).sum(0)

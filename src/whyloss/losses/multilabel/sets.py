"""The labels of one sample against one another: yeses should come out above noes."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from whyloss.losses.label_sets import LabelSetLoss
from whyloss.stats.closed import by_rows, cross_entropies


class MultiLabelSoftMarginLoss(LabelSetLoss):
    """Binary cross-entropy averaged over a sample's labels: every sample counts alike, however many labels are known.

    Formula: -1/L sum_j (y_j log p_j + (1 - y_j) log(1 - p_j)). Source: torch.nn.MultiLabelSoftMarginLoss.

    >>> import torch, whyloss
    >>> whyloss.MultiLabelSoftMarginLoss()(torch.zeros(1, 3), torch.tensor([[1, 0, 1]]))
    tensor(0.6931)
    """

    source = "torch.nn.MultiLabelSoftMarginLoss"
    short = ("ml-soft-margin",)
    equation = "-1/L sum_j (y_j log p_j + (1 - y_j) log(1 - p_j))"

    def losses(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return cross_entropies(logits, positive, negative).sum(1) / _known(positive, negative)


class MultiLabelMarginLoss(LabelSetLoss):
    """Every yes should lead every no by the margin; each pair that does not costs what is missing.

    All pairs are summed by sorting the noes, in L log L steps instead of L^2.

    Args:
        margin: > 0.

    Formula: 1/L sum over yes i, no j of max(0, margin - (z_i - z_j)). Source: torch.nn.MultiLabelMarginLoss; Elisseeff
    & Weston 2001, NIPS (with the hinge in place of its constraint).

    >>> import torch, whyloss
    >>> whyloss.MultiLabelMarginLoss()(torch.tensor([[0.1, 0.2, 0.4, 0.8]]), torch.tensor([[0, 0, 1, 1]]))
    tensor(0.5500)
    """

    margin: float = 1.0
    source = "Elisseeff & Weston 2001; torch.nn.MultiLabelMarginLoss"
    short = ("ml-margin",)
    equation = "1/L sum_{yes i, no j} max(0, margin - (z_i - z_j))"
    convex = True

    def check(self) -> None:
        super().check()
        self.require(self.margin > 0, "margin > 0", self.margin)

    def losses(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        # In float64, because sums over all larger noes are compared with single margins.
        z, yes, no = logits.double(), positive.double(), negative.double()
        ranked, order = torch.where(no > 0, z, -torch.inf).sort(1)
        weight = no.gather(1, order)
        above = _from_the_end(weight)
        sums = _from_the_end(torch.where(weight > 0, weight * z.gather(1, order), 0.0))
        first = torch.searchsorted(ranked.detach(), (z - self.margin).detach().contiguous(), right=True)
        total = (self.margin - z) * above.gather(1, first) + sums.gather(1, first)
        losses = torch.where(yes > 0, yes * total, 0.0).sum(1) / _known(yes, no)
        return losses.to(logits.dtype)


class ZLPRLoss(LabelSetLoss):
    """Yeses above a threshold of 0 and noes below it, as in a softmax: the worst of each side get most of the pull.

    The number of labels is balanced by itself: there is one term for the yeses and one for the noes. Labels are those
    with a logit above 0.

    Formula: log(1 + sum over noes of exp z_j) + log(1 + sum over yeses of exp(-z_i)). Source: Su et al. 2022,
    arXiv:2208.02955, eq. 5.

    >>> import torch, whyloss
    >>> whyloss.ZLPRLoss()(torch.zeros(1, 3), torch.tensor([[1, 0, 0]]))
    tensor(1.7918)
    """

    source = "Su et al. 2022, arXiv:2208.02955, eq. 5"
    short = ("zlpr",)
    equation = "log(1 + sum_no exp z_j) + log(1 + sum_yes exp(-z_i))"
    bounded = False
    convex = True

    def losses(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return by_rows(_both_sides, _both_sides_by_hand, logits, positive, negative)


def _both_sides(logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    return softplus(lse(logits, negative)) + softplus(lse(-logits, positive))


def _both_sides_by_hand(logits: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    (above, rises), (below, falls) = _with_threshold(logits, negative), _with_threshold(-logits, positive)
    return above.add_(below), rises.sub_(falls)


def _with_threshold(z: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """log(1 + sum of weight * exp z) of each row, and its slope."""
    top = (z * weight.sign()).amax(1, keepdim=True).clamp_min_(0)
    # What is larger counts for nothing.
    terms = (z - top).clamp_max_(0).exp_().mul_(weight)
    total, one = terms.sum(1, keepdim=True), torch.exp(-top)
    value = torch.where(top > 0, top + torch.log(one + total), torch.log1p(total))
    return value.squeeze(1), terms.div_(one + total)


class ListwiseSoftmaxLoss(LabelSetLoss):
    """Cross-entropy of a softmax over a list against its grades of relevance: the relevant items should come out first.

    Targets may be any grades >= 0; they are scaled to sum to 1. Items with `ignore_index` are no part of the list, a
    list without a relevant item costs nothing.

    Formula: -sum_j (y_j / sum y) log softmax(z)_j. Source: Cao et al. 2007, ICML (ListNet), eq. 4, with the grades
    themselves for the target's distribution, as ranking libraries have it.

    >>> import torch, whyloss
    >>> whyloss.ListwiseSoftmaxLoss()(torch.zeros(1, 4), torch.tensor([[2.0, 0.0, 1.0, -100.0]]))
    tensor(1.0986)
    """

    source = "Cao et al. 2007, ICML (ListNet), eq. 4"
    short = ("listwise", "listnet")
    equation = "-sum_j (y_j / sum y) log softmax(z)_j"
    highest = float("inf")
    bounded = False
    convex = True

    def losses(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        listed = positive + negative
        total = lse(logits, listed).unsqueeze(1)
        gap = torch.where(positive > 0, total - logits, 0.0)
        relevant = positive.sum(1)
        return (positive * gap).sum(1) / torch.where(relevant > 0, relevant, 1.0)


class CandidateSetLoss(LabelSetLoss):
    """One label is true and a set of candidates holds it: the likelihood of the set.

    Which of the candidates it is, is left to the model. A row whose candidates are all classes costs nothing.

    Formula: -log sum over candidates of softmax(z)_j. Source: Feng et al. 2020, arXiv:2007.08929, eq. 10 (the
    classifier-consistent loss CC); Jin & Ghahramani 2002, NIPS.

    >>> import torch, whyloss
    >>> whyloss.CandidateSetLoss()(torch.zeros(1, 4), torch.tensor([[1, 1, 0, 0]]))
    tensor(0.6931)
    """

    source = "Feng et al. 2020, arXiv:2007.08929, eq. 10"
    short = ("candidates", "cc")
    equation = "-log sum_{j in S} softmax(z)_j"
    bounded = False

    def losses(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        inside = (positive > 0).any(1)
        return torch.where(inside, softplus(lse(logits, negative) - torch.where(inside, lse(logits, positive), 0.0)), 0)


class RiskConsistentCandidatesLoss(LabelSetLoss):
    """One label is true and a set of candidates holds it: cross-entropy of each candidate, by how likely the model
    holds it to be the true one.

    Formula: -sum over candidates of w_j log softmax(z)_j, w_j = p_j / sum over candidates of p, without a gradient of
    its own. Source: Feng et al. 2020, arXiv:2007.08929, eq. 8 (the risk-consistent loss RC).

    >>> import torch, whyloss
    >>> whyloss.RiskConsistentCandidatesLoss()(torch.zeros(1, 4), torch.tensor([[1, 1, 0, 0]]))
    tensor(1.3863)
    """

    source = "Feng et al. 2020, arXiv:2007.08929, eq. 8"
    short = ("rc",)
    equation = "-sum_{j in S} w_j log softmax(z)_j, w_j = p_j / sum_{k in S} p_k"
    held = ("shares",)
    bounded = False

    def losses(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        total = lse(logits, positive + negative).unsqueeze(1)
        return (self.shares(logits, positive) * torch.where(positive > 0, total - logits, 0.0)).sum(1)

    def shares(self, logits: Tensor, positive: Tensor) -> Tensor:
        """[N, L] the share of each candidate in the probability of all of them."""
        inside, candidate = (positive > 0).any(1, keepdim=True), positive > 0
        own = torch.where(inside, lse(logits, positive).unsqueeze(1), 0.0)
        return torch.where(candidate, positive * torch.exp(torch.where(candidate, logits - own, 0.0)), 0.0).detach()


def lse(z: Tensor, weight: Tensor, axis: int = 1) -> Tensor:
    """log of the sum of weight * exp z; minus infinity where every weight is 0, and without a slope there."""
    counted = weight > 0
    some = counted.any(axis, keepdim=True)
    terms = torch.where(counted, z + torch.log(torch.where(counted, weight, 1.0)), -torch.inf)
    total = torch.logsumexp(torch.where(some, terms, 0.0), axis)
    return torch.where(some.squeeze(axis), total, -torch.inf)


def _known(positive: Tensor, negative: Tensor) -> Tensor:
    known = (positive + negative).sum(1)
    return torch.where(known > 0, known, 1.0)


def _from_the_end(x: Tensor) -> Tensor:
    """[N, L + 1] sums of x[i:], for i from 0 to L."""
    return torch.cat([x.flip(1).cumsum(1).flip(1), x.new_zeros(len(x), 1)], 1)

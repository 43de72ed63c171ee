"""Losses of ordered classes that read a softmax: a mistake costs more the farther off it is."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, pad

from whyloss.losses.whole import WholeRowLoss
from whyloss.stats.closed import by_rows
from whyloss.stats.each import above, log_cumsum_exp, log_not_p, softmax_and_rest, to_infinity, weighed
from whyloss.stats.exact import HUGE
from whyloss.stats.majority import balanced, shares, sums, without
from whyloss.stats.tables import lower, others, steps_apart, table
from whyloss.stats.visible import SURE, visible


class SquaredEarthMoverLoss(WholeRowLoss):
    """The squared distance between cumulative distributions: mass is moved towards the label step by step.

    The ranked probability score by another name. Never larger than the number of classes less one, so wrong labels pull
    less than under cross-entropy, and rows that are far off teach little at first.

    Formula: sum_k (P(class <= k) - Q(class <= k))^2. Source: Hou et al. 2016, arXiv:1611.05916.

    >>> import torch, whyloss
    >>> whyloss.SquaredEarthMoverLoss()(torch.zeros(1, 4), torch.tensor([0]))
    tensor(0.8750)
    """

    source = "Hou et al. 2016, arXiv:1611.05916"
    short = ("emd2", "emd", "rps")
    equation = "sum_k (P(class <= k) - Q(class <= k))^2"
    links = ("softmax",)
    ordered = True
    takes_labels = True
    proper = True
    bounded = True
    symmetric = False
    convex = False

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        if target.ndim == 1:
            return by_rows(_squares, self.by_hand, logits, target)
        p, _ = softmax_and_rest(logits.clamp_min(-HUGE))
        # P_k - Q_k, where P_k and Q_k are shares, without subtracting what is nearly 1 from 1
        difference = p.cumsum(1) * above(target) - above(p) * target.cumsum(1)
        return (difference * difference).sum(1)

    def by_hand(self, logits: Tensor, label: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor]:
        p, majority = shares(logits)
        # Half the slope in each share, of which the loss is the mean under the shares.
        found, half = _in_double(p, label) or _from_both_ends(p, label)
        slope = half.mul_(without(p, majority).mul_(2 * share))
        return found, balanced(slope, majority)


def _squares(logits: Tensor, label: Tensor) -> Tensor:
    p, _ = softmax_and_rest(logits.clamp_min(-HUGE))
    before = torch.ones(logits.shape[1], logits.shape[1], dtype=torch.bool, device=p.device).tril(-1)
    difference = torch.where(before[label], p.cumsum(1), above(p))
    return (difference * difference).sum(1)


def _in_double(p: Tensor, label: Tensor) -> tuple[Tensor, Tensor] | None:
    """The losses, and half their slopes in the shares less their mean, where float64 has the digits that float32 loses
    when sums from the first class on pass the label."""
    if p.dtype == torch.float64:
        return None
    moved = table(others, p.shape[1], like=p).index_select(0, label).mul_(p).double()
    away = moved.sum(1, keepdim=True)
    if not away.min().item() > SURE * p.shape[1]:
        return None
    label = label.unsqueeze(1)
    difference = moved.scatter_(1, label, away.neg_()).cumsum_(1)  # P_k - Q_k
    found = torch.linalg.vector_norm(difference, dim=1, keepdim=True).square_()
    before = difference.cumsum(1).sub_(difference)
    half = torch.sub(before.gather(1, label).sub_(found), before, out=before)
    return found.squeeze(1).to(p.dtype), half.to(p.dtype)


def _from_both_ends(p: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """The same: below the label sums go up from the first class, above it down from the last: the same, with the order
    turned."""
    before, last = table(lower, p.shape[1], like=p), p.shape[1] - 1
    up = p.cumsum(1).mul_(before.index_select(0, label))
    down = p.flip(1).cumsum(1).mul_(before.index_select(0, last - label))
    found = (up * up).sum(1).add_((down * down).sum(1))
    half = up.flip(1).cumsum(1).flip(1).add_(down.flip(1).cumsum(1))
    return found, half.sub_(found.unsqueeze(1))


class ClassDistanceWeightedCrossEntropyLoss(WholeRowLoss):
    """Pushes the probability of every wrong class down, the harder the farther that class is from the label.

    The label's own probability is not read: it takes what the others lose.

    Args:
        alpha: > 0, the power of the distance; higher leaves near misses alone and punishes far ones.

    Formula: -sum_k |k - y|^alpha log(1 - p_k). Source: Polat et al. 2022, arXiv:2202.05167.

    >>> import torch, whyloss
    >>> loss = whyloss.ClassDistanceWeightedCrossEntropyLoss(alpha=5.0)
    >>> loss(torch.tensor([[0.0, 0.0, 30.0]]), torch.tensor([0]))
    tensor(937.8193)
    """

    alpha: float = 5.0
    source = "Polat et al. 2022, arXiv:2202.05167"
    short = ("cdw-ce", "cdw")
    equation = "-sum_k |k - y|^alpha log(1 - p_k)"
    links = ("softmax",)
    ordered = True
    takes_labels = True
    proper = False
    bounded = False
    symmetric = False

    def check(self) -> None:
        super().check()
        self.require(self.alpha > 0, "alpha > 0", self.alpha)

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        weight = self._weights(logits)
        weight = weight.index_select(0, target) if target.ndim == 1 else target @ weight
        return to_infinity(by_rows(_log_not, _log_not_by_hand, logits, weight))

    def by_hand(self, logits: Tensor, label: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor] | None:
        # All is in proportion to the weights.
        found = _log_not_by_hand(logits, (self._weights(logits) * share).index_select(0, label))
        return found if found is None else (found[0].div_(share), found[1])

    def _weights(self, logits: Tensor) -> Tensor:
        return table(steps_apart, logits.shape[1], self.alpha, like=logits)


def _log_not(logits: Tensor, weight: Tensor) -> Tensor:
    return -(weight * log_not_p(logits)).sum(1)


def _log_not_by_hand(logits: Tensor, weight: Tensor) -> tuple[Tensor, Tensor] | None:
    p, majority = shares(logits)
    small = without(p, majority)
    left = sums(small)  # by the majority
    if not left.min().item() > SURE:
        return None
    of_majority = sums(majority.mul_(weight))
    found = sums(small.neg().log1p_().mul_(weight)).addcmul_(of_majority, left.log()).neg_()
    # What the loss gains by each share: weight / (1 - p). In the slope of a majority 1 - p cancels.
    gain = weight / (1 - small)
    slope = gain.sub_(sums(gain * small).unsqueeze(1)).mul_(p)
    of_majority.mul_((1 - left).div_(left))
    return found, slope.sub_(small.mul_(of_majority.unsqueeze(1)))


class SLACELoss(WholeRowLoss):
    """Cross-entropy of soft labels that accumulate: every class answers for all classes at least as near to the label.

    Moving mass nearer to the label always lowers it, which other losses of soft labels cannot promise. Its work grows
    with the square of the number of classes.

    Args:
        alpha: > 0, how sharply the soft label falls with the distance; large: cross-entropy.

    Formula: -sum_k softmax(-alpha |k - y|)_k log sum_{j: |j - y| <= |k - y|} p_j.
    Source: Nachmani et al. 2025, "SLACE: A monotone and balance-sensitive loss function for ordinal regression", AAAI.

    >>> import torch, whyloss
    >>> whyloss.SLACELoss()(torch.zeros(1, 4), torch.tensor([0]))
    tensor(1.0819)
    """

    alpha: float = 1.0
    source = "Nachmani et al. 2025, AAAI 39(18), SLACE"
    short = ("slace",)
    equation = "-sum_k softmax(-alpha |k - y|)_k log sum_{j: |j - y| <= |k - y|} p_j"
    links = ("softmax",)
    ordered = True
    takes_labels = True
    proper = False
    bounded = False
    symmetric = False

    def check(self) -> None:
        super().check()
        self.require(self.alpha > 0, "alpha > 0", self.alpha)

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        steps = table(steps_apart, logits.shape[1], 1.0, like=logits)
        near_to_far = steps.argsort(dim=1, stable=True)
        # For each label and class, how many classes are at least as near; the last of them closes the sum.
        last = (steps.unsqueeze(1) <= steps.unsqueeze(2)).sum(2) - 1
        soft_label = torch.softmax(-self.alpha * steps, 1)
        # A class further off closes the same sum as one as far: all together they count for the place that does.
        counts = torch.zeros_like(soft_label).scatter_add(1, last, soft_label)
        if target.ndim == 1:
            z, counts = logits.gather(1, near_to_far[target]), counts[target]
            return to_infinity(-weighed(counts, _log_shares_up_to(z)).sum(1))
        log_share = _log_shares_up_to(logits[:, near_to_far])  # [N, label, place]
        return to_infinity(weighed(target, -weighed(counts, log_share).sum(2)).sum(1))


def _log_shares_up_to(z: Tensor) -> Tensor:
    """[..., C] log of what a softmax gives to the classes k <= j."""
    if visible(z):
        e = torch.exp(z - z.detach().amax(-1, keepdim=True))
        if bool((e.detach()[..., 0] > SURE).all()):
            return -torch.log1p(above(e) / e.cumsum(-1))
    inside, outside = log_cumsum_exp(z), log_cumsum_exp(z.flip(-1)).flip(-1)
    return logsigmoid(inside - pad(outside[..., 1:], (0, 1), value=-HUGE))

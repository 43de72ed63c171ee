"""Losses of ordered classes that read a softmax: a mistake costs more the farther off it is."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, pad

from whyloss.losses.whole import WholeRowLoss
from whyloss.stats.closed import pulled_back
from whyloss.stats.each import (
    above,
    log_cumsum_exp,
    log_not_p,
    softmax_and_rest,
    softmax_by_hand,
    through_softmax,
    to_infinity,
    up_from,
    weighed,
)
from whyloss.stats.exact import HUGE
from whyloss.stats.visible import SURE, visible


def steps_apart(classes: int, like: Tensor) -> Tensor:
    """[C, C] how many steps class j is from class i."""
    place = torch.arange(classes, dtype=like.dtype, device=like.device)
    return (place.unsqueeze(1) - place).abs()


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
            return pulled_back(_squares, _squares_by_hand, logits, target)
        p, _ = softmax_and_rest(logits.clamp_min(-HUGE))
        # P_k - Q_k, where P_k and Q_k are shares, without subtracting what is nearly 1 from 1
        return (p.cumsum(1) * above(target) - above(p) * target.cumsum(1)).square().sum(1)


def _squares(z: Tensor, label: Tensor) -> Tensor:
    """Of the shares up to every class before the label, and of the shares beyond every class from it on."""
    p, _ = softmax_and_rest(z.clamp_min(-HUGE))
    return torch.where(_before(label, z) == 1, p.cumsum(1), above(p)).square().sum(1)


def _squares_by_hand(z: Tensor, label: Tensor) -> tuple[tuple[Tensor], Callable[[Tensor], Tensor]]:
    p, _, best = softmax_by_hand(z)
    before = _before(label, z)[:, :-1]
    # A choice, for which torch.where would take longer; beyond the last class there is nothing.
    share = torch.lerp(up_from(p)[:, 1:], p.cumsum(1)[:, :-1], before)

    def back(g: Tensor) -> Tensor:
        # A class before the label is in the shares from itself on to the label's, one behind it in those back to it.
        ahead = share * before
        slope = torch.zeros_like(p)
        slope[:, :-1] = up_from(ahead)
        slope[:, 1:] += (share - ahead).cumsum_(1)
        return through_softmax(p, best, slope).mul_((2 * g).unsqueeze(1))

    return (share.square().sum(1),), back


def _before(label: Tensor, like: Tensor) -> Tensor:
    """[N, C] 1 for the classes before the label, else 0."""
    return like.new_ones(like.shape[1], like.shape[1]).tril(-1).index_select(0, label)


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
        weight = steps_apart(logits.shape[1], logits) ** self.alpha
        weight = weight[target] if target.ndim == 1 else target @ weight
        return to_infinity(-(weight * log_not_p(logits)).sum(1))


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
        steps = steps_apart(logits.shape[1], logits)
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

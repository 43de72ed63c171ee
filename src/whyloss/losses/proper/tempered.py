"""Bi-tempered logistic loss: the logistic loss with a bounded logarithm and a softmax of heavy tails."""

import torch
from torch import Tensor

from whyloss.losses.proper.simplex import tempered_logs, tempered_rows
from whyloss.losses.whole import WholeRowLoss
from whyloss.stats.closed import by_rows
from whyloss.stats.each import log_softmax, others
from whyloss.stats.exact import HUGE, given_slope, tsallis_divergence
from whyloss.stats.majority import balanced, without
from whyloss.stats.smoothing import one_hot


class BiTemperedLogisticLoss(WholeRowLoss):
    """Cross-entropy with two temperatures against noise: t1 < 1 bounds what an outlier costs, t2 > 1 gives the softmax
    heavy tails, so that wrong labels near the boundary pull less.

    Its probabilities are `whyloss.tempered_softmax(logits, t2)`; it is proper for these. With t2 < 1 classes can get
    exactly 0: a row whose label is one of them costs the bound and has no gradient (with t1 = 1, infinity), as the
    formula has it.

    Args:
        t1: in [0, 1], the logarithm's temperature; 1 is the logarithm. The loss is at most 1 / ((1 - t1) (2 - t1)) plus
            a constant below 1 / (2 - t1).
        t2: >= 0, the softmax's temperature; 1 is the softmax, above 1 tails are heavier, below 1 they end.

    Formula: sum_j q_j (log_t1 q_j - log_t1 p_j) - (q_j^(2 - t1) - p_j^(2 - t1)) / (2 - t1), where
    log_t x = (x^(1 - t) - 1) / (1 - t). Source: Amid et al. 2019, arXiv:1906.03361, eq. 8.

    >>> import torch, whyloss
    >>> whyloss.BiTemperedLogisticLoss(t1=0.5, t2=1.5)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.3905)
    """

    t1: float = 0.8
    t2: float = 1.2
    source = "Amid et al. 2019, arXiv:1906.03361, eq. 8"
    short = ("bi-tempered",)
    equation = "sum_j q_j (log_t1 q_j - log_t1 p_j) - (q_j^(2 - t1) - p_j^(2 - t1)) / (2 - t1)"
    proper = None
    bounded = None
    symmetric = False
    takes_labels = True

    def check(self) -> None:
        super().check()
        self.require(0 <= self.t1 <= 1, "0 <= t1 <= 1", self.t1)
        self.require(self.t2 >= 0, "t2 >= 0", self.t2)

    def losses(self, logits: Tensor, target: Tensor, **reads: Tensor) -> Tensor:
        if target.ndim == 1:
            return by_rows(self._of_labels, self._of_labels_by_hand, logits, target)
        return by_rows(self._written, self._value_and_slope, logits, target)

    def _of_labels(self, logits: Tensor, label: Tensor) -> Tensor:
        return self._written(logits, one_hot(label, logits.shape[1], logits.dtype))

    def _written(self, logits: Tensor, target: Tensor) -> Tensor:
        return given_slope(*self._value_and_slope(logits, target), logits)

    def _value_and_slope(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        p = torch.exp(log_softmax(logits)) if self.t2 == 1 else tempered_rows(logits, self.t2, derivatives=1)
        rest = others(p)
        fixed, left = p.detach(), rest.detach()
        log_p = torch.where(left < 0.5, torch.log1p(-left.clamp_max(0.5)), torch.log(torch.where(fixed > 0, fixed, 1)))
        return tsallis_divergence(target, fixed, 2 - self.t1, log_p), self._slope(target, p, rest)

    def _slope(self, q: Tensor, p: Tensor, rest: Tensor) -> Tensor:
        """p_j^t2 (h_j - sum_k p_k^t2 h_k / sum_k p_k^t2) where h_j = p_j^(-t1) (p_j - q_j) is the slope in p_j."""
        some = p > 0
        base = torch.where(some, p, 1.0)
        away = torch.where(q == 1, -rest, p - q)  # exact where p is nearly 1
        s = torch.where(some, base**self.t2, 0.0)
        sh = torch.where(some, base ** (self.t2 - self.t1) * away, 0.0)
        # sh - s sum(sh) / sum(s), each class against the others, so that a class with nearly all of p loses no digits.
        of_others = others(sh.clamp_min(0)) - others((-sh).clamp_min(0))
        return (sh * others(s) - s * of_others) / s.sum(1, keepdim=True)

    def _of_labels_by_hand(self, logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """The same where one class is asked for: all others cost p^alpha / alpha, or nothing for the logarithm."""
        place = label.unsqueeze(1)
        if self.t2 <= 1:  # where a class may have nothing
            return self._value_and_slope(logits, one_hot(label, logits.shape[1], logits.dtype))
        log_p = tempered_logs(logits, self.t2)
        p = log_p.exp()
        majority = p.round()
        small = without(p, majority)
        left = small.sum(1, keepdim=True).clamp_max(0.5)  # by a majority
        own, alpha = p.gather(1, place), 2 - self.t1
        own_log_p = torch.where(own > 0.5, torch.log1p(-left), log_p.gather(1, place))
        if alpha == 1:
            found = -own_log_p.squeeze(1)
        else:
            of_others = torch.exp(log_p * alpha).scatter_(1, place, 0.0).sum(1) / alpha
            found = of_others + tsallis_divergence(torch.ones_like(own), own, alpha, own_log_p)
        # p - q, exact for a majority
        away = majority.scatter_add(1, place, -torch.ones_like(own)).add_(small).addcmul_(majority, left, value=-1)
        sh = torch.exp(log_p * (self.t2 - self.t1))
        s = sh * (p if self.t1 == 1 else log_p.clamp_min_(-HUGE).mul_(self.t1).exp_())
        sh.mul_(away)
        sh.addcmul_(s, sh.sum(1, keepdim=True) / s.sum(1, keepdim=True), value=-1)
        return found, balanced(without(sh, majority), majority)

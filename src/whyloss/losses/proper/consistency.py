"""Agreement between views of the same row."""

import torch
from torch import Tensor

from whyloss.losses import targets
from whyloss.losses.whole import WholeRowLoss
from whyloss.stats.closed import by_rows
from whyloss.stats.dense import computing
from whyloss.stats.each import log_softmax
from whyloss.stats.exact import HUGE
from whyloss.stats.majority import balanced, log_shares, without


class JensenShannonConsistencyLoss(WholeRowLoss):
    """Cross-entropy of the clean view, and a pull on it and its augmented views to agree: the loss of AugMix.

    The call takes `views` besides, the logits of the augmented views, [N, V, C] (or [N, *spatial, V, C]):
    `loss(clean, y, views=torch.stack([first, second], 1))`. With the sigmoid link they are shaped like the logits, V
    last, and the disagreement is that about each answer. The agreement is blind to the label, so it also spreads
    what a wrong label says less than cross-entropy on every view would.

    Args:
        factor: >= 0, weight of the disagreement; the paper's is 12.

    Formula: -log p_y + factor JS(p, p_1, ..., p_V), JS the mean of KL(p_i, m) with m the mean of the V + 1
    distributions. Source: Hendrycks et al. 2020, arXiv:1912.02781, section 3.

    >>> import torch, whyloss
    >>> clean, views = torch.zeros(1, 2), torch.zeros(1, 2, 2)
    >>> whyloss.JensenShannonConsistencyLoss()(clean, torch.tensor([0]), views=views)
    tensor(0.6931)
    """

    factor: float = 12.0
    source = "Hendrycks et al. 2020, arXiv:1912.02781, section 3"
    short = ("augmix", "jsd")
    equation = "-log p_y + factor JS(p, p_1, ..., p_V)"
    reads = ("views",)
    proper = None
    bounded = False
    symmetric = False

    def check(self) -> None:
        super().check()
        self.require(self.factor >= 0, "factor >= 0", self.factor)

    def losses(self, logits: Tensor, target: Tensor, **reads: Tensor) -> Tensor:
        views = computing(reads["views"]).to(logits.dtype)
        views = targets.pairs(views) if self.link == "sigmoid" else views
        if views.ndim != 3 or views.shape[2] != logits.shape[1]:
            name, wanted = type(self).__name__, "[..., V]" if self.link == "sigmoid" else "[N, V, C]"
            raise ValueError(f"{name}: views of {logits.shape[1]} classes, {wanted}, are needed.")
        every = torch.cat([logits.unsqueeze(1), views], 1).flatten(1)
        return by_rows(self._written, self._by_hand, every, target)

    def _written(self, logits: Tensor, target: Tensor) -> Tensor:
        """Of the logits of all views of a row, [N, (V + 1) C]."""
        count, classes = target.shape
        every = log_softmax(logits.reshape(-1, classes)).reshape(count, logits.shape[1] // classes, classes)
        log_p, some = every[:, 0], target > 0
        impossible = some & (log_p <= -HUGE)
        likelihood = torch.where(some, torch.where(impossible, torch.inf, -target * log_p), 0.0).sum(1)
        p = torch.exp(every)
        m = p.mean(1, keepdim=True)
        log_m = torch.log(torch.where(m > 0, m, 1.0))
        terms = torch.where(p > 0, p * (torch.where(p > 0, every, 0.0) - log_m), 0.0)
        return likelihood + self.factor * terms.sum(2).mean(1)

    def _by_hand(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        p, majority, small, log_p = log_shares(logits.reshape(-1, target.shape[1]))
        count, classes = target.shape
        shape = (count, logits.shape[1] // classes, classes)
        p, small, log_p, own = (x.view(shape) for x in (p, small, log_p, majority))
        apart = log_p - torch.log(p.mean(1, keepdim=True))
        divergence = (p * apart).sum(2, keepdim=True)
        slope = apart.sub_(divergence).mul_(small).mul_(self.factor / p.shape[1])
        slope[:, 0] += small[:, 0] * target.sum(1, keepdim=True) - without(target, own[:, 0])
        balanced(slope.view(-1, classes), majority)
        return self.factor * divergence.mean(1).squeeze(1) - (target * log_p[:, 0]).sum(1), slope.flatten(1)

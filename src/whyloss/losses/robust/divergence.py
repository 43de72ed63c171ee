"""Jensen-Shannon divergences between labels and predictions: bounded, and in between cross-entropy and the mean
absolute error."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from whyloss.losses import targets
from whyloss.losses.loss import Link, RowLoss
from whyloss.losses.whole import WholeRowLoss
from whyloss.stats.each import log_shares, log_softmax


class JensenShannonLoss(RowLoss):
    """The weighted Jensen-Shannon divergence between label and prediction, scaled so that it runs from cross-entropy
    (label_share -> 0) to half the mean absolute error (label_share -> 1).

    A soft target is a mixture of labels here as everywhere; `GeneralizedJensenShannonLoss` takes the divergence from
    the distribution itself.

    Args:
        label_share: in (0, 1), the label's weight pi_1 in the mean distribution; more forgives more label noise.

    Formula: (H(m) - (1 - pi_1) H(p)) / Z with m = pi_1 e_y + (1 - pi_1) p and Z = -(1 - pi_1) log(1 - pi_1).
    Source: Englesson & Azizpour 2021, arXiv:2105.04522, section 3.

    >>> import torch, whyloss
    >>> whyloss.JensenShannonLoss()(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.6226)
    """

    label_share: float = 0.5
    source = "Englesson & Azizpour 2021, arXiv:2105.04522, section 3"
    short = ("js",)
    equation = "(H(m) - (1 - pi_1) H(p)) / Z, m = pi_1 e_y + (1 - pi_1) p"
    proper = False
    bounded = True
    symmetric = False
    convex = False

    def check(self) -> None:
        super().check()
        self.require(0 < self.label_share < 1, "0 < label_share < 1", self.label_share)

    def formula(self, log_odds: Tensor, log_p: Tensor, p: Tensor, not_p: Tensor) -> Tensor:
        mine, rest, scale = self.label_share, 1 - self.label_share, _scale(self.label_share)
        near = rest * not_p < 0.5
        log_m = torch.where(  # of m_y = 1 - rest (1 - p) = mine + rest p
            near,
            torch.log1p(-torch.where(near, rest * not_p, 0.0)),
            math.log(mine) + torch.log1p(torch.exp(log_p + math.log(rest / mine))),
        )
        apart = rest / scale * -logsigmoid(log_odds - math.log(mine))  # log m_y / p, times rest / Z
        likely = log_odds > 0
        log_apart = torch.log(torch.where(likely, 1.0, apart))  # large where p is tiny, so that both go in one exp
        weighed = torch.where(likely, p * apart, torch.exp(log_p + log_apart))
        return -mine / scale * log_m - weighed + not_p  # Z is -rest log rest


class GeneralizedJensenShannonLoss(WholeRowLoss):
    """The Jensen-Shannon divergence between a label and the predictions for several views of one sample: agreement
    with the label, and of the views with one another.

    The second part is what keeps the model from fitting wrong labels. Divergences are taken from soft targets as they
    are. The call takes `views`: the logits [N, C] of another view, or [N, V, C] of V others (classes last); with the
    sigmoid link shaped like the logits, or with V last, and the divergence is that of each answer.

    Args:
        label_share: in (0, 1), the label's weight pi_1; the predictions share the rest evenly.

    Formula: (H(m) - pi_1 H(q) - sum_i pi_i H(p_i)) / Z with m = pi_1 q + sum_i pi_i p_i and
    Z = -(1 - pi_1) log(1 - pi_1). Source: Englesson & Azizpour 2021, arXiv:2105.04522, section 3.

    >>> import torch, whyloss
    >>> z = torch.zeros(1, 2)
    >>> whyloss.GeneralizedJensenShannonLoss()(z, torch.tensor([0]), views=z)
    tensor(0.6226)
    >>> whyloss.GeneralizedJensenShannonLoss()(z, torch.tensor([0]), views=torch.tensor([[9.0, -9.0]]))
    tensor(0.5871)
    """

    link: Link = "softmax"
    label_share: float = 0.5
    source = "Englesson & Azizpour 2021, arXiv:2105.04522, section 3"
    short = ("gjs",)
    equation = "(H(m) - pi_1 H(q) - sum_i pi_i H(p_i)) / Z, m = pi_1 q + sum_i pi_i p_i"
    reads = ("views",)
    proper = False
    bounded = True
    symmetric = False
    convex = False

    def check(self) -> None:
        super().check()
        self.require(0 < self.label_share < 1, "0 < label_share < 1", self.label_share)

    def losses(self, logits: Tensor, target: Tensor, views: Tensor) -> Tensor:
        count, classes = logits.shape
        views = targets.pairs(views) if self.link == "sigmoid" else views
        fits = views.shape[-1] == classes and views.ndim in (2, 3)
        self.require(fits, f"views [N, C] or [N, V, C] with {classes} classes", tuple(views.shape))
        more = views.to(logits.dtype) if views.ndim == 3 else views.to(logits.dtype).unsqueeze(1)
        # A class that is masked in the logits is masked in every view.
        more = torch.where(torch.isneginf(logits).unsqueeze(1), -torch.inf, more)
        each = torch.cat([logits.unsqueeze(1), more], 1)
        parts = each.shape[1]
        log_p = log_softmax(each.reshape(-1, classes)).view(count, parts, classes)
        p, weight = torch.exp(log_p), (1 - self.label_share) / parts
        mean = self.label_share * target + weight * p.sum(1)
        log_mean = log_shares(mean)
        divergence = weight * _times(p, log_p - log_mean.unsqueeze(1)).sum((1, 2))
        own = torch.log(torch.where(target > 0, target, 1.0)) - log_mean
        return (divergence + self.label_share * _times(target, own).sum(1)) / _scale(self.label_share)


def _scale(label_share: float) -> float:
    """Z: what bounds the loss by 1 over it, and makes its limits the losses that they are."""
    return -(1 - label_share) * math.log1p(-label_share)


def _times(p: Tensor, logarithm: Tensor) -> Tensor:
    """p * logarithm, 0 where p is, whatever the logarithm."""
    return p * torch.where(p > 0, logarithm, 0.0)

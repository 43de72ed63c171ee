"""Yeses and noes treated differently: a sample has few of the one and hundreds of the other."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from whyloss.losses.loss import Link, RowLoss
from whyloss.stats.exact import power


class AsymmetricLoss(RowLoss):
    """Focal loss with a strong focus for the many noes and a weak one for the few yeses; noes that are easy enough cost
    nothing at all.

    Noes that the model doubts (perhaps missing labels) still pull hard until p is near 1. The mean is taken over the
    labels; the paper's sum over them ties the learning rate to their number.

    Args:
        gamma_positive: >= 0, focus of the yeses.
        gamma_negative: >= 0, focus of the noes.
        clip: in [0, 1), the probability below which a no is free.

    Formula: yes: -(1 - p)^g+ log p; no: -p_m^g- log(1 - p_m), p_m = max(p - clip, 0). Source: Ridnik et al. 2021,
    arXiv:2009.14119, eq. 7.

    >>> import torch, whyloss
    >>> whyloss.AsymmetricLoss(gamma_negative=1.0, clip=0.25)(torch.zeros(2), torch.tensor([1, 0]))
    tensor(0.3825)
    """

    link: Link = "sigmoid"
    gamma_positive: float = 0.0
    gamma_negative: float = 4.0
    clip: float = 0.05
    source = "Ridnik et al. 2021, arXiv:2009.14119, eq. 7"
    short = ("asl",)
    equation = "yes: -(1 - p)^g+ log p; no: -p_m^g- log(1 - p_m), p_m = max(p - clip, 0)"
    links = ("sigmoid",)
    bounded = None

    def check(self) -> None:
        super().check()
        self.require(self.gamma_positive >= 0, "gamma_positive >= 0", self.gamma_positive)
        self.require(self.gamma_negative >= 0, "gamma_negative >= 0", self.gamma_negative)
        self.require(0 <= self.clip < 1, "0 <= clip < 1", self.clip)

    def formula(self, log_p: Tensor, log_not_p: Tensor, not_p: Tensor, label: Tensor) -> Tensor:
        yes = -power(not_p, log_not_p, self.gamma_positive) * log_p
        if self.clip == 0:
            no = -power(not_p, log_not_p, self.gamma_negative) * log_p
        else:
            # Of a no, not_p is the probability of the yes. The power takes the logarithm of p_m, which keeps more
            # digits than p_m; 1 - p_m is p_y + clip, a sum that loses none.
            costs, log_clip = not_p > self.clip, math.log(self.clip)
            log_q = torch.where(costs, log_not_p, 0.0)
            over = torch.exp(log_clip - log_q)
            shifted = torch.where(costs, not_p - self.clip, 0.25)
            log_rest = torch.where(shifted < 0.5, torch.log1p(-shifted), log_clip - logsigmoid(log_clip - log_p))
            no = torch.where(costs, -torch.exp(self.gamma_negative * (log_q + torch.log1p(-over))) * log_rest, 0.0)
        return torch.where(label > 0.5, yes, no)


class HillLoss(RowLoss):
    """For labels of which many yeses are missing: a no costs less again once the model is sure that it is a yes.

    Args:
        lam: >= 1, where the hill of the noes' gradient comes down; 1.5 is the paper's.
        margin: >= 0, by which yeses must exceed p = 1/2 to count as half right.
        gamma: >= 0, focus of the yeses.

    Formula: yes: -(1 - p_m)^gamma log p_m, p_m = sigmoid(z - margin); no: (lam - p) p^2. Source: Zhang et al. 2021,
    arXiv:2112.07368, section 3.2 (Hill) with the focal margin loss of section 3.1 for yeses.

    >>> import torch, whyloss
    >>> whyloss.HillLoss()(torch.zeros(1), torch.tensor([0]))
    tensor(0.2500)
    """

    link: Link = "sigmoid"
    lam: float = 1.5
    margin: float = 1.0
    gamma: float = 2.0
    source = "Zhang et al. 2021, arXiv:2112.07368, section 3.2"
    short = ("hill",)
    equation = "yes: -(1 - p_m)^gamma log p_m, p_m = sigmoid(z - margin); no: (lam - p) p^2"
    links = ("sigmoid",)
    bounded = False

    def check(self) -> None:
        super().check()
        self.require(self.lam >= 1, "lam >= 1", self.lam)
        self.require(self.margin >= 0, "margin >= 0", self.margin)
        self.require(self.gamma >= 0, "gamma >= 0", self.gamma)

    def formula(self, log_odds: Tensor, p: Tensor, not_p: Tensor, label: Tensor) -> Tensor:
        # Of a no, not_p is the probability of the yes. Near 1 the hill is written in p_y, so that value and slope keep
        # their digits where they vanish with it (lam = 1, lam = 3/2).
        a = self.lam - 1
        far = a + p * ((1 - 2 * a) + p * ((a - 2) + p))
        no = torch.where(not_p > 0.5, far, (self.lam - not_p) * not_p * not_p)
        return torch.where(label > 0.5, _focal(log_odds - self.margin, self.gamma), no)


class SelfPacedCorrectionLoss(RowLoss):
    """For labels of which many yeses are missing: a no of which the model is sure that it is a yes is taken for one.

    Start it after the first epochs, or from a trained model: a model that knows nothing corrects at random.

    Args:
        tau: in (0, 1), the probability above which a no is taken for a yes.
        margin: >= 0, by which yeses must exceed p = 1/2 to count as half right.
        gamma: >= 0, focus of yeses and noes; with margin and gamma 0 both cost cross-entropy.

    Formula: yes: -(1 - p_m)^gamma log p_m, p_m = sigmoid(z - margin); no: -p^gamma log(1 - p) if p <= tau, else
    -(1 - p)^gamma log p. Source: Zhang et al. 2021, arXiv:2112.07368, section 3.3 (SPLC), with the focal margin loss;
    as in the authors' code a no that is taken for a yes has no margin.

    >>> import torch, whyloss
    >>> whyloss.SelfPacedCorrectionLoss()(torch.tensor([0.0, 3.0]), torch.tensor([0, 0]))
    tensor(0.0867)
    """

    link: Link = "sigmoid"
    tau: float = 0.6
    margin: float = 1.0
    gamma: float = 2.0
    source = "Zhang et al. 2021, arXiv:2112.07368, section 3.3"
    short = ("splc",)
    equation = "yes: -(1 - p_m)^gamma log p_m; no: -p^gamma log(1 - p) if p <= tau, else -(1 - p)^gamma log p"
    links = ("sigmoid",)
    bounded = False

    def check(self) -> None:
        super().check()
        self.require(0 < self.tau < 1, "0 < tau < 1", self.tau)
        self.require(self.margin >= 0, "margin >= 0", self.margin)
        self.require(self.gamma >= 0, "gamma >= 0", self.gamma)

    def formula(self, log_odds: Tensor, not_p: Tensor, label: Tensor) -> Tensor:
        # Of a no, not_p is the probability of the yes; to take it for a yes turns its log-odds round.
        no = torch.where(not_p > self.tau, -log_odds, log_odds)
        return _focal(torch.where(label > 0.5, log_odds - self.margin, no), self.gamma)


def _focal(log_odds: Tensor, gamma: float) -> Tensor:
    return -power(torch.sigmoid(-log_odds), logsigmoid(-log_odds), gamma) * logsigmoid(log_odds)

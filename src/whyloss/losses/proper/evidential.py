"""Evidential learning: logits as evidence for a Dirichlet distribution over the probabilities.

Everything is computed from log alpha, so that evidence of any size neither overflows nor cancels: what is left of
log-gamma and digamma after Stirling's formula is small."""

from math import log, pi
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from whyloss.losses.whole import WholeRowLoss

LARGE = 8.0  # from here on the asymptotic series are exact to float64


class EvidentialLoss(WholeRowLoss):
    """Learns how much evidence a row holds for each class, and with it how little it knows: evidential deep learning.

    The concentrations of the Dirichlet distribution are alpha = evidence + 1, its mean alpha / sum(alpha) are the
    probabilities, C / sum(alpha) is the uncertainty. A divergence from "knows nothing" takes evidence for wrong classes
    away; let it grow over the first epochs, or nothing is learnt: `loss.kl = min(1.0, epoch / 10)`.

    Args:
        risk: "squared" error of the mean plus its variance (the paper's choice), the "likelihood" of the label (type II
            maximum likelihood), or the expected "cross-entropy" (digamma).
        evidence: what makes evidence >= 0 of a logit: "softplus", "relu" (the paper's, whose gradient is 0 where a
            logit is below 0: a label with such a logit is not learnt) or "exp".
        kl: >= 0, weight of the divergence.

    Formula: risk + kl KL(Dirichlet(q + (1 - q) alpha), Dirichlet(1)); the risks are sum_j (q_j - p_j)^2 +
    p_j (1 - p_j) / (S + 1); sum_j q_j (log S - log alpha_j); sum_j q_j (digamma S - digamma alpha_j).
    Source: Sensoy, Kaplan & Kandemir 2018, arXiv:1806.01768, eqs. 3 to 5 and section 4.

    >>> import torch, whyloss
    >>> loss = whyloss.EvidentialLoss(risk="likelihood", evidence="relu", kl=0.0)
    >>> loss(torch.tensor([[2.0, -5.0]]), torch.tensor([0]))  # alpha = 3, 1
    tensor(0.2877)
    """

    risk: Literal["squared", "likelihood", "cross-entropy"] = "squared"
    evidence: Literal["softplus", "relu", "exp"] = "softplus"
    kl: float = 1.0
    source = "Sensoy, Kaplan & Kandemir 2018, arXiv:1806.01768, eqs. 3 to 5"
    short = ("evidential", "edl")
    equation = "risk(q, Dirichlet(alpha)) + kl KL(Dirichlet(q + (1 - q) alpha), Dirichlet(1))"
    links = ("softmax",)
    proper = None
    bounded = None
    symmetric = False

    def check(self) -> None:
        super().check()
        risks, kinds = ("squared", "likelihood", "cross-entropy"), ("softplus", "relu", "exp")
        self.require(self.risk in risks, f"risk in {risks}", self.risk)
        self.require(self.evidence in kinds, f"evidence in {kinds}", self.evidence)
        self.require(self.kl >= 0, "kl >= 0", self.kl)

    def losses(self, logits: Tensor, target: Tensor, **reads: Tensor) -> Tensor:
        live = ~torch.isneginf(logits)
        z = torch.where(live, logits, 0.0)
        log_alpha = torch.where(live, self._log_alpha(z), -torch.inf)
        risk = self._risk(log_alpha, live, target)
        return risk + self.kl * self._divergence(log_alpha, live, target) if self.kl else risk

    def _log_alpha(self, z: Tensor) -> Tensor:
        softplus = -logsigmoid(-z)  # torch's own gives up its last digits beyond 20
        if self.evidence == "exp":
            return softplus
        return torch.log1p(torch.relu(z) if self.evidence == "relu" else softplus)

    def _risk(self, log_alpha: Tensor, live: Tensor, q: Tensor) -> Tensor:
        log_S = torch.logsumexp(log_alpha, 1, keepdim=True)
        if self.risk == "squared":
            p = torch.exp(log_alpha - log_S)
            return ((q - p) ** 2 + p * (1 - p) * torch.sigmoid(-log_S)).sum(1)
        each = log_S - torch.where(live, log_alpha, 0.0)
        if self.risk == "cross-entropy":
            each = each - _log_less_digamma(log_S) + _log_less_digamma(torch.where(live, log_alpha, 0.0))
        return torch.where(q > 0, torch.where(live, q * each, torch.inf), 0.0).sum(1)

    def _divergence(self, log_alpha: Tensor, live: Tensor, q: Tensor) -> Tensor:
        """KL(Dirichlet(a), Dirichlet(1)) for a = q + (1 - q) alpha, over the classes that are not masked."""
        own = (q == 1) | ~live
        safe = torch.where(own, 0.0, log_alpha)
        log_a = torch.where(own, 0.0, safe + torch.log1p(torch.where(own, 0.0, q) * torch.expm1(-safe)))
        log_S = torch.logsumexp(torch.where(live, log_a, -torch.inf), 1)
        count = live.sum(1).to(log_a.dtype)
        at_S = (count - 0.5) * log_S + _stirling_rest(log_S) + _times_gap(log_S) - count * _log_less_digamma(log_S)
        at_a = 0.5 * log_a + _stirling_rest(log_a) + _times_gap(log_a) - _log_less_digamma(log_a)
        constant = 0.5 * (count - 1) * log(2 * pi) + torch.lgamma(count)
        return at_S - torch.where(live, at_a, 0.0).sum(1) - constant


def _log_less_digamma(log_x: Tensor) -> Tensor:
    """log x - digamma x, for x >= 1."""
    return torch.exp(-log_x) * _times_gap(log_x)


def _times_gap(log_x: Tensor) -> Tensor:
    """x (log x - digamma x), which tends to 1/2."""
    large = log_x > log(LARGE)
    x = torch.exp(torch.where(large, 0.0, log_x))
    i = torch.exp(-torch.where(large, log_x, log(LARGE)))
    s = i * i
    series = 0.5 + i * (1 / 12 - s * (1 / 120 - s * (1 / 252 - s * (1 / 240 - s * (1 / 132 - s * (691 / 32760))))))
    return torch.where(large, series, x * (torch.where(large, 0.0, log_x) - torch.digamma(x)))


def _stirling_rest(log_x: Tensor) -> Tensor:
    """log gamma(x) - ((x - 1/2) log x - x + log(2 pi) / 2), which tends to 0."""
    large = log_x > log(LARGE)
    small = torch.where(large, 0.0, log_x)
    x = torch.exp(small)
    i = torch.exp(-torch.where(large, log_x, log(LARGE)))
    s = i * i
    series = i * (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s * (1 / 1188 - s * (691 / 360360))))))
    return torch.where(large, series, torch.lgamma(x) - ((x - 0.5) * small - x + 0.5 * log(2 * pi)))

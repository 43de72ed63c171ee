"""Several labels of unequal frequency: weights that know which labels occur together."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from whyloss.losses.label_sets import LabelSetLoss


class DistributionBalancedLoss(LabelSetLoss):
    """Binary cross-entropy for long-tailed labels: re-weighted by what co-occurs, and tolerant of easy noes.

    Sampling rare labels more often samples their frequent companions too often; `alpha + sigmoid(beta (r - mu))` takes
    that back. A no is bent (`lam`) and shifted (`kappa`), so that frequent labels do not push rare ones down for ever.

    Args:
        counts: [L] samples that have each label.
        samples: > every count, how many samples there are.
        alpha: >= 0, lifts the smoothed weight.
        beta: > 0, how steeply the weight is smoothed.
        mu: in [0, 1], the ratio that is weighted with alpha + 1/2; the authors' is 0.2 for COCO and 0.3 for VOC.
        lam: >= 1, how much less easy noes cost; 1 is none. The authors' is 2 for COCO and 5 for VOC.
        kappa: >= 0, share of the prior's log-odds that each label's logit is shifted by.

    Formula: 1/L sum_j w_j (y_j softplus(-(z_j - v_j)) + (1 - y_j) softplus(lam (z_j - v_j)) / lam), with
    w_j = alpha + sigmoid(beta (r_j - mu)), r_j = (1/n_j) / sum over the sample's labels of 1/n_k, and
    v_j = kappa log(N / n_j - 1). Source: Wu et al. 2020, arXiv:2007.09654, eqs. 4-8. Common implementations divide v_j
    by lam as well; this is the paper's.

    A sample without any label has r_j = 1/n_j over the sum over all labels.

    >>> import torch, whyloss
    >>> loss = whyloss.DistributionBalancedLoss(counts=torch.tensor([50.0, 5.0]), samples=100)
    >>> loss(torch.zeros(1, 2), torch.tensor([[1, 0]]))
    tensor(0.5342)
    """

    counts: Tensor
    samples: int
    alpha: float = 0.1
    beta: float = 10.0
    mu: float = 0.2
    lam: float = 2.0
    kappa: float = 0.05
    source = "Wu et al. 2020, arXiv:2007.09654, eqs. 4-8"
    short = ("db",)
    equation = "1/L sum_j w_j (y_j softplus(-(z_j - v_j)) + (1 - y_j) softplus(lam (z_j - v_j)) / lam)"
    bounded = False
    convex = True

    def check(self) -> None:
        super().check()
        counts = self.counts
        self.require(counts.ndim == 1 and bool((counts > 0).all()), "a count > 0 for every label", counts.tolist())
        self.require(bool((counts < self.samples).all()), "samples > every count", self.samples)
        for name in ("alpha", "kappa"):
            self.require(getattr(self, name) >= 0, f"{name} >= 0", getattr(self, name))
        self.require(self.beta > 0, "beta > 0", self.beta)
        self.require(0 <= self.mu <= 1, "0 <= mu <= 1", self.mu)
        self.require(self.lam >= 1, "lam >= 1", self.lam)

    def losses(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        counts = self.counts.to(logits.dtype)
        if len(counts) != logits.shape[1]:
            raise ValueError(f"{type(self).__name__}: counts of {len(counts)} labels but {logits.shape[1]} logits.")
        share = 1 / counts
        held = ((positive > 0) * share).sum(1, keepdim=True)
        ratio = share / torch.where(held > 0, held, share.sum())
        weight = self.alpha + torch.sigmoid(self.beta * (ratio - self.mu))
        led = logits - self.kappa * torch.log(self.samples / counts - 1)
        each = positive * softplus(-led) + negative * softplus(self.lam * led) / self.lam
        known = (positive + negative).sum(1)
        return (weight * each).sum(1) / torch.where(known > 0, known, 1.0)

"""Focal loss, reduced and normalised."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from whyloss.losses.batch import BatchLoss
from whyloss.losses.loss import RowLoss
from whyloss.stats.each import lse_of_others
from whyloss.stats.exact import power


class ReducedFocalLoss(RowLoss):
    """Focal loss that leaves the hard rows alone: cross-entropy below a probability, turned down only above it.

    Plain focal loss turns down rows near the threshold as well. Continuous for a threshold of 1/2; for others the
    paper's factor jumps there, to ((1 - threshold) / threshold)^gamma.

    Args:
        gamma: >= 0; 0 is cross-entropy.
        threshold: in (0, 1), the label's probability from which on a row is turned down.

    Formula: -f log p_y with f = 1 where p_y < threshold, else ((1 - p_y) / threshold)^gamma. Source: Sergievskiy &
    Ponamarev 2019, arXiv:1903.01347, section 3.

    >>> import torch, whyloss
    >>> whyloss.ReducedFocalLoss(reduction="none")(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.tensor([0, 0]))
    tensor([0.0906, 1.3133])
    """

    gamma: float = 2.0
    threshold: float = 0.5
    source = "Sergievskiy & Ponamarev 2019, arXiv:1903.01347, section 3"
    short = ("reduced-focal",)
    equation = "-f log p_y, f = 1 if p_y < threshold else ((1 - p_y) / threshold)^gamma"
    proper = None
    bounded = False

    def check(self) -> None:
        super().check()
        self.require(self.gamma >= 0, "gamma >= 0", self.gamma)
        self.require(0 < self.threshold < 1, "0 < threshold < 1", self.threshold)

    def formula(self, log_p: Tensor, not_p: Tensor, log_not_p: Tensor, log_odds: Tensor) -> Tensor:
        start = math.log(self.threshold / (1 - self.threshold))
        turned_down = power(not_p, log_not_p, self.gamma) / self.threshold**self.gamma
        return -torch.where(log_odds <= start, 1.0, turned_down) * log_p


class BatchNormalizedFocalLoss(BatchLoss):
    """Focal loss divided by the batch's sum of focal weights: the mean cross-entropy, weighted towards the hard rows.

    Its gradients do not fade as the rows become easy, as those of focal loss do. Not to be confused with
    `NormalizedFocalLoss` (Ma et al. 2020), which divides each row by the sum over its possible labels. The paper
    divides by the sum over an image, and its gradient takes that sum as given; some implementations differentiate it,
    or divide by the number of rows as well.

    Args:
        gamma: >= 0; 0 is cross-entropy.

    Formula: -sum_i (1 - p_i)^gamma log p_i / sum_i (1 - p_i)^gamma, p_i the probability of label i. Source: Sofiiuk et
    al. 2019 (AdaptIS), arXiv:1909.07829, appendix A.

    >>> import torch, whyloss
    >>> loss = whyloss.BatchNormalizedFocalLoss()
    >>> loss(torch.tensor([[3.0, 0.0], [9.0, 0.0]]), torch.tensor([0, 0]))
    tensor(0.0486)
    """

    gamma: float = 2.0
    source = "Sofiiuk et al. 2019, arXiv:1909.07829, appendix A"
    short = ("batch-normalized-focal", "adaptis-focal")
    equation = "-sum_i f_i log p_i / sum_i f_i, f_i = (1 - p_i)^gamma"
    proper = None
    bounded = False
    held = ("log_total",)
    takes_labels = True

    def check(self) -> None:
        super().check()
        self.require(self.gamma >= 0, "gamma >= 0", self.gamma)

    def value(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        if self.link == "sigmoid":
            odds, share = torch.stack([logits, -logits]), weight * torch.stack([target, 1 - target])
        elif target.ndim == 1:
            odds, share = _log_odds(logits, target), weight
        else:
            odds, share = logits - lse_of_others(logits), weight.unsqueeze(1) * target
        asked = share != 0
        odds = torch.where(asked, odds, 0.0)
        focus = self.gamma * logsigmoid(-odds)
        # Weights relative to their sum: where all rows are easy each of them may be too small to write down.
        relative = torch.exp(torch.where(asked, focus - self.log_total(focus, share), 0.0))
        return -(share * relative * logsigmoid(odds)).sum()

    def log_total(self, focus: Tensor, share: Tensor) -> Tensor:
        """The logarithm of the sum of focal weights."""
        return torch.logsumexp((focus + share.log()).flatten(), 0).detach()


class _LogOdds(RowLoss):
    """The log-odds of the label, by the engines of row losses."""

    def formula(self, log_odds: Tensor) -> Tensor:
        return log_odds


_log_odds = _LogOdds(reduction="none", validate=False)

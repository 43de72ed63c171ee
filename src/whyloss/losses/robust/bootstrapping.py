"""Labels that are believed in part: the rest of the target is what the model says itself."""

import torch
from torch import Tensor

from whyloss.losses.loss import RowLoss


class SoftBootstrappingLoss(RowLoss):
    """Cross-entropy of a target that is part label, part prediction: confident models may overrule their labels.

    The prediction in the target has its gradient too, so this is cross-entropy with the entropy as a penalty. Common
    implementations cut that gradient off.

    Args:
        beta: in (0, 1], how far the label is believed; 1 is cross-entropy, 0.95 the paper's choice.

    Formula: -sum_k (beta [k = y] + (1 - beta) p_k) log p_k. Source: Reed et al. 2015, arXiv:1412.6596, section 3.

    >>> import torch, whyloss
    >>> whyloss.SoftBootstrappingLoss(beta=0.5)(torch.tensor([[4.0, 0.0]]), torch.tensor([1]))
    tensor(2.0541)
    """

    beta: float = 0.95
    source = "Reed et al. 2015, arXiv:1412.6596, section 3"
    short = ("soft-bootstrapping",)
    equation = "-sum_k (beta [k = y] + (1 - beta) p_k) log p_k"
    proper = False
    bounded = False
    symmetric = False

    def check(self) -> None:
        super().check()
        self.require(0 < self.beta <= 1, "0 < beta <= 1", self.beta)

    def formula(self, log_p: Tensor, entropy: Tensor) -> Tensor:
        return -self.beta * log_p + (1 - self.beta) * entropy

    def average(self, sum_log_p: Tensor, count: Tensor, entropy: Tensor) -> Tensor:
        return -self.beta * sum_log_p / count + (1 - self.beta) * entropy


class HardBootstrappingLoss(RowLoss):
    """Cross-entropy of a target that is part label, part the class that the model finds likeliest.

    Args:
        beta: in (0, 1], how far the label is believed; 1 is cross-entropy, 0.8 the paper's choice.

    Formula: -beta log p_y - (1 - beta) log max_k p_k. Source: Reed et al. 2015, arXiv:1412.6596, section 3.

    >>> import torch, whyloss
    >>> whyloss.HardBootstrappingLoss(beta=0.5)(torch.tensor([[4.0, 0.0]]), torch.tensor([1]))
    tensor(2.0181)
    """

    beta: float = 0.8
    source = "Reed et al. 2015, arXiv:1412.6596, section 3"
    short = ("hard-bootstrapping",)
    equation = "-beta log p_y - (1 - beta) log max_k p_k"
    proper = False
    bounded = False
    symmetric = False

    def check(self) -> None:
        super().check()
        self.require(0 < self.beta <= 1, "0 < beta <= 1", self.beta)

    def formula(self, log_p: Tensor, logit: Tensor, rival: Tensor) -> Tensor:
        behind = torch.where(rival > logit, rival - logit, 0.0)
        return -log_p - (1 - self.beta) * behind

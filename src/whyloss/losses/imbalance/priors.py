"""Class counts in the loss: as weights, as shifts of the logits, as margins."""

from torch import Tensor

from whyloss.losses.adjust import Adjustment, LogitAdjustment, balanced_weights, effective_number_weights
from whyloss.losses.proper.likelihood import CrossEntropyLoss


class ClassBalancedLoss(CrossEntropyLoss):
    """Cross-entropy with weights from the class counts: by inverse frequency, or by the effective number of examples.

    Moves the decision boundary towards the frequent classes at the cost of calibration.

    Args:
        counts: [C] examples of each class.
        beta: in [0, 1): effective-number weights; 0 is no weights, 1 - 1/N nearly inverse frequency. None: inverse
            frequency.

    Formula: -w_y log p_y, w = (1 - beta) / (1 - beta^n_y). Source: Cui et al. 2019, arXiv:1901.05555, eq. 4.

    >>> import torch, whyloss
    >>> loss = whyloss.ClassBalancedLoss(counts=torch.tensor([90.0, 10.0]), beta=None)
    >>> loss.weight
    tensor([0.5556, 5.0000])
    """

    counts: Tensor
    beta: float | None = 0.999
    source = "Cui et al. 2019, arXiv:1901.05555, eq. 4"
    short = ("class-balanced", "cb")
    equation = "-w_y log p_y"
    proper = False
    fixed = ("counts", "beta")

    def check(self) -> None:
        super().check()
        self.require(self.weight is None, "no weight besides the one from the counts", self.weight)
        beta = self.beta
        self.weight = balanced_weights(self.counts) if beta is None else effective_number_weights(self.counts, beta)


class LogitAdjustedLoss(CrossEntropyLoss):
    """Cross-entropy of logits shifted by tau * log prior: the model learns to rank classes as if they were equally
    frequent.

    With tau = 1 this is balanced softmax. At test time use the logits as they are.

    Args:
        counts: [C] examples of each class.
        tau: >= 0; 0 is cross-entropy.

    Formula: -log softmax(z + tau log prior)_y. Source: Menon et al. 2021, arXiv:2007.07314, eq. 10.

    >>> import torch, whyloss
    >>> whyloss.LogitAdjustedLoss(counts=torch.tensor([90.0, 10.0]))(torch.zeros(1, 2), torch.tensor([1]))
    tensor(2.3026)
    """

    counts: Tensor
    tau: float = 1.0
    source = "Menon et al. 2021, arXiv:2007.07314, eq. 10"
    short = ("logit-adjusted", "la")
    equation = "-log softmax(z + tau log prior)_y"
    proper = False

    def own_adjust(self) -> Adjustment:
        return LogitAdjustment(counts=self.counts, tau=self.tau)


class BalancedSoftmaxLoss(LogitAdjustedLoss):
    """Cross-entropy of a softmax that is weighted by the class counts: logit adjustment with tau = 1 by another name.

    Args:
        counts: [C] examples of each class.

    Formula: -log(n_y exp z_y / sum_j n_j exp z_j). Source: Ren et al. 2020, arXiv:2007.10740, eq. 4.

    >>> import torch, whyloss
    >>> whyloss.BalancedSoftmaxLoss(counts=torch.tensor([90.0, 10.0]))(torch.zeros(1, 2), torch.tensor([1]))
    tensor(2.3026)
    """

    source = "Ren et al. 2020, arXiv:2007.10740, eq. 4"
    short = ("balanced-softmax",)
    equation = "-log(n_y exp z_y / sum_j n_j exp z_j)"

    def check(self) -> None:
        self.require(self.tau == 1, "tau = 1 (LogitAdjustedLoss has the general form)", self.tau)
        super().check()


class LDAMLoss(CrossEntropyLoss):
    """Cross-entropy with a margin that is larger for rarer classes: label-distribution-aware margin.

    Written for logits that are cosines; for plain logits use `scale=1` or a small one.

    Args:
        counts: [C] examples of each class, all > 0.
        max_margin: > 0, the margin of the rarest class.
        scale: > 0, multiplies the logits after the margin is taken off.

    Formula: -log softmax(s (z - m_y [j = y]))_y with m_j = max_margin (n_min / n_j)^(1/4).
    Source: Cao et al. 2019, arXiv:1906.07413, eq. 13.

    >>> import torch, whyloss
    >>> whyloss.LDAMLoss(counts=torch.tensor([16.0, 1.0]), scale=1.0)(torch.zeros(1, 2), torch.tensor([1]))
    tensor(0.9741)
    """

    counts: Tensor
    max_margin: float = 0.5
    scale: float = 30.0
    source = "Cao et al. 2019, arXiv:1906.07413, eq. 13"
    short = ("ldam",)
    equation = "-log softmax(s (z - m_y [j = y]))_y, m_j ~ n_j^(-1/4)"
    proper = False

    def check(self) -> None:
        super().check()
        self.require(bool((self.counts > 0).all()), "a count > 0 for every class", self.counts.tolist())
        self.require(self.max_margin > 0, "max_margin > 0", self.max_margin)
        self.require(self.scale > 0, "scale > 0", self.scale)

    def own_adjust(self) -> Adjustment:
        margin = self.max_margin * (self.counts.min() / self.counts) ** 0.25
        return Adjustment(margin=margin, scale=self.scale)

"""Focusing: rows that the model already gets right are turned down."""

from torch import Tensor

from whyloss.losses.loss import Link, RowLoss
from whyloss.stats.exact import power


class FocalLoss(RowLoss):
    """Cross-entropy, turned down on rows that the model already gets right.

    Probabilities come out too low where the model is right, on purpose. Per-class weights are `weight`; there is no
    alpha (`SigmoidFocalLoss` has the detection form).

    Args:
        gamma: >= 0; 0 is cross-entropy, 2 the paper's choice. Any value is safe, those below 1 too.

    Formula: -(1 - p_y)^gamma log p_y. Source: Lin et al. 2017, arXiv:1708.02002, eq. 4.

    >>> import torch, whyloss
    >>> whyloss.FocalLoss()(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.1733)
    """

    gamma: float = 2.0
    source = "Lin et al. 2017, arXiv:1708.02002, eq. 4"
    short = ("focal",)
    equation = "-(1 - p_y)^gamma log p_y"
    proper = None
    bounded = False

    def check(self) -> None:
        super().check()
        self.require(self.gamma >= 0, "gamma >= 0", self.gamma)

    def formula(self, log_p: Tensor, not_p: Tensor, log_not_p: Tensor) -> Tensor:
        return -power(not_p, log_not_p, self.gamma) * log_p


class SigmoidFocalLoss(RowLoss):
    """Focal loss of independent yes-or-no questions, with the detection papers' balance between the two answers.

    alpha multiplies the loss and is no class weight: `mean` divides by the number of logits.

    Args:
        gamma: >= 0, the focusing exponent.
        alpha: in [0, 1], the share of the positives; 0.5 weighs both alike (and halves the loss).

    Formula: -alpha_y (1 - p_y)^gamma log p_y, alpha_1 = alpha, alpha_0 = 1 - alpha. Source: Lin et al. 2017,
    arXiv:1708.02002, eq. 5.

    >>> import torch, whyloss
    >>> whyloss.SigmoidFocalLoss()(torch.zeros(2), torch.tensor([1, 0]))
    tensor(0.0866)
    """

    link: Link = "sigmoid"
    gamma: float = 2.0
    alpha: float = 0.25
    source = "Lin et al. 2017, arXiv:1708.02002, eq. 5"
    short = ("sigmoid-focal",)
    equation = "-alpha_y (1 - p_y)^gamma log p_y"
    links = ("sigmoid",)
    bounded = False

    def check(self) -> None:
        super().check()
        self.require(self.gamma >= 0, "gamma >= 0", self.gamma)
        self.require(0 <= self.alpha <= 1, "0 <= alpha <= 1", self.alpha)

    def formula(self, log_p: Tensor, not_p: Tensor, log_not_p: Tensor, label: Tensor) -> Tensor:
        balance = (1 - self.alpha) + (2 * self.alpha - 1) * label
        return -balance * power(not_p, log_not_p, self.gamma) * log_p

"""Negative learning: "it is none of these" is right more often than "it is this" where labels are noisy."""

import math

import torch
from torch import Tensor

from whyloss.losses.loss import RowLoss
from whyloss.losses.whole import WholeRowLoss
from whyloss.stats.each import log_softmax_both


def complementary_labels(target: Tensor, classes: int, generator: torch.Generator | None = None) -> Tensor:
    """A class other than the label for each label, all of them equally likely: what negative learning is told.

    Labels out of range, such as an ignore_index, stay as they are.

    >>> complementary_labels(torch.tensor([0, 1, -100]), 2)
    tensor([   1,    0, -100])
    """
    if classes < 2:
        raise ValueError(f"complementary_labels: at least two classes are needed, got {classes}.")
    device = target.device if generator is None else generator.device
    step = torch.randint(1, classes, target.shape, generator=generator, device=device).to(target.device)
    return torch.where((target >= 0) & (target < classes), (target + step) % classes, target)


class NegativeLearningLoss(RowLoss):
    """Pushes down the probability of a class that the row is said not to be; the target is this class, not the label.

    Draw a new one for every row at every step, with `complementary_labels`.

    Formula: -log(1 - p_k) with k the complementary label. Source: Kim et al. 2019, arXiv:1908.07387, eq. 2.

    >>> import torch, whyloss
    >>> whyloss.NegativeLearningLoss()(torch.zeros(1, 4), torch.tensor([0]))
    tensor(0.2877)
    """

    source = "Kim et al. 2019, arXiv:1908.07387, eq. 2"
    short = ("negative-learning", "nl")
    equation = "-log(1 - p_k)"
    proper = False
    bounded = False
    symmetric = False
    convex = False

    def formula(self, log_not_p: Tensor) -> Tensor:
        return -log_not_p


class SelectiveNegativeLearningLoss(WholeRowLoss):
    """Negative learning of those rows alone whose own label the model finds likelier than a guess (SelNL).

    The target is the label as given; the call takes `complement`, a class that it is not (`complementary_labels`). The
    mean is over all rows; common implementations divide by the number of rows chosen.

    Args:
        threshold: in [0, 1), or None for one over the number of classes; rows with a smaller p_y cost nothing.

    Formula: -log(1 - p_k) where p_y > threshold, else 0. Source: Kim et al. 2019, arXiv:1908.07387, section 3.3.

    >>> import torch, whyloss
    >>> loss = whyloss.SelectiveNegativeLearningLoss(reduction="none")
    >>> z = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> loss(z, torch.tensor([0, 0]), complement=torch.tensor([1, 1]))
    tensor([0.2382, 0.0000])
    """

    threshold: float | None = None
    source = "Kim et al. 2019, arXiv:1908.07387, section 3.3"
    short = ("selective-negative-learning", "selnl")
    equation = "-log(1 - p_k) where p_y > threshold, else 0"
    reads = ("complement",)
    bounded = False

    def check(self) -> None:
        super().check()
        self.require(self.threshold is None or 0 <= self.threshold < 1, "0 <= threshold < 1", self.threshold)

    def losses(self, logits: Tensor, target: Tensor, complement: Tensor) -> Tensor:
        log_p, log_not_p = log_softmax_both(logits)
        least = 1 / logits.shape[1] if self.threshold is None else self.threshold
        chosen = (target * torch.exp(log_p.detach())).sum(1) > least
        return torch.where(chosen, -log_not_p.gather(1, complement.unsqueeze(1)).squeeze(1), 0.0)


class SelectivePositiveLearningLoss(RowLoss):
    """Cross-entropy of those rows alone whose label the model believes in already (SelPL): the last step of NLNL, after
    negative and selective negative learning.

    The mean is over all rows; common implementations divide by the number of rows chosen.

    Args:
        threshold: in (0, 1); rows with a smaller p_y cost nothing.

    Formula: -log p_y where p_y > threshold, else 0. Source: Kim et al. 2019, arXiv:1908.07387, section 3.4.

    >>> import torch, whyloss
    >>> loss = whyloss.SelectivePositiveLearningLoss(reduction="none")
    >>> loss(torch.tensor([[2.0, 0.0], [-2.0, 0.0]]), torch.tensor([0, 0]))
    tensor([0.1269, 0.0000])
    """

    threshold: float = 0.5
    source = "Kim et al. 2019, arXiv:1908.07387, section 3.4"
    short = ("selective-positive-learning", "selpl")
    equation = "-log p_y where p_y > threshold, else 0"
    proper = False
    bounded = True
    symmetric = False
    convex = False

    def check(self) -> None:
        super().check()
        self.require(0 < self.threshold < 1, "0 < threshold < 1", self.threshold)

    def formula(self, log_odds: Tensor, log_p: Tensor) -> Tensor:
        return torch.where(log_odds > math.log(self.threshold) - math.log1p(-self.threshold), -log_p, 0.0)

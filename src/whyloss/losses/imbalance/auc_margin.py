"""The AUC margin loss: the area under the ROC curve as a game between a model and a price."""

import torch
from torch import Tensor, nn

from whyloss.losses.imbalance.ranking import RankingLoss


class AUCMarginLoss(RankingLoss):
    """Pulls the scores of each class to a mean of its own, and the means apart up to a margin: an AUC for large
    batches.

    Scores are sigmoid(z). It has parameters to learn: the means a and b, and the price alpha >= 0 of an unmet margin,
    which is to be maximised. Its gradient comes with the sign turned, so that one optimizer that descends trains all:
    `SGD([*model.parameters(), *loss.parameters()], lr=0.1)`. The expectations are those of each class within the batch:
    the paper's min-max objective, divided by p (1 - p) for a share p of positives.

    Args:
        a: the mean score of the positives, a number or one for each of several labels.
        b: the mean score of the negatives.
        alpha: >= 0, the price.
        margin: > 0, by which the means should differ; at most 1, for scores in [0, 1], can be met.

    Formula: E[(h - a)^2 | 1] + E[(h - b)^2 | 0] + 2 alpha (margin + E[h | 0] - E[h | 1]) - alpha^2, h = sigmoid(z).
    Source: Yuan et al. 2021, arXiv:2012.03173, AUC margin loss.

    >>> import torch, whyloss
    >>> loss = whyloss.AUCMarginLoss(alpha=1.0)
    >>> loss(torch.zeros(2), torch.tensor([1, 0])).item()
    1.5
    """

    a: float | Tensor = 0.0
    b: float | Tensor = 0.0
    alpha: float | Tensor = 0.0
    margin: float = 1.0
    source = "Yuan et al. 2021, arXiv:2012.03173, AUC margin loss"
    short = ("aucm", "auc-margin")
    equation = "E[(h-a)^2|1] + E[(h-b)^2|0] + 2 alpha (m + E[h|0] - E[h|1]) - alpha^2"
    bounded = None
    stateful = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("a", "b", "alpha"):
            value = torch.as_tensor(getattr(self, name)).clone()
            self.__dict__.pop(name, None)
            self._buffers.pop(name, None)
            setattr(self, name, nn.Parameter(value))

    def check(self) -> None:
        super().check()
        self.require(bool((torch.as_tensor(self.alpha) >= 0).all()), "alpha >= 0", self.alpha)
        self.require(self.margin > 0, "margin > 0", self.margin)

    def columns(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        if self.training:
            self.alpha.data.clamp_(min=0)  # pyright: ignore - where an optimizer went too far
        a, b, alpha = (torch.as_tensor(x).to(logits.dtype) for x in (self.a, self.b, self.alpha))
        h = torch.sigmoid(logits)
        spread = _mean((h - a) ** 2, positive) + _mean((h - b) ** 2, negative)
        # Its value is alpha, and its slope minus one: what descends the loss ascends in alpha.
        price = 2 * alpha.detach() - alpha
        return spread + 2 * price * (self.margin + _mean(h, negative) - _mean(h, positive)) - price**2


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    """[L]."""
    return (x * weight).sum(0) / weight.sum(0)

"""Last layers for ordered classes: hidden states in, one logit for every step from class to class out."""

import torch
from torch import Tensor, nn


class CoralHead(nn.Module):
    """One weight vector for all thresholds, and a bias for each: the head of `CoralLoss`.

    The biases start where every class is equally likely.

    >>> import torch, whyloss
    >>> head = whyloss.CoralHead(8, classes=4)
    >>> head(torch.zeros(2, 8)).sigmoid()[0]
    tensor([0.7500, 0.5000, 0.2500], grad_fn=<SelectBackward0>)
    """

    def __init__(self, features: int, classes: int):
        super().__init__()
        _check(type(self).__name__, classes)
        self.score = nn.Linear(features, 1, bias=False)
        self.bias = nn.Parameter(_even(classes))

    def forward(self, hidden: Tensor) -> Tensor:
        return self.score(hidden) + self.bias


class CornHead(nn.Linear):
    """A plain linear layer with a logit for every threshold: the head of `CornLoss` and `ECOCDistanceLoss`.

    >>> import torch, whyloss
    >>> whyloss.CornHead(8, classes=4)(torch.zeros(2, 8)).shape
    torch.Size([2, 3])
    """

    def __init__(self, features: int, classes: int):
        _check(type(self).__name__, classes)
        super().__init__(features, classes - 1)


class CumulativeLinkHead(nn.Module):
    """A score less thresholds that are in order whatever the parameters: the head of `CumulativeLinkLoss`.

    What is learned besides the score is the first threshold and the logarithms of the gaps between them. They start
    where every class is equally likely.

    >>> import torch, whyloss
    >>> head = whyloss.CumulativeLinkHead(8, classes=4)
    >>> head(torch.zeros(2, 8)).sigmoid()[0]
    tensor([0.7500, 0.5000, 0.2500], grad_fn=<SelectBackward0>)
    """

    def __init__(self, features: int, classes: int):
        super().__init__()
        _check(type(self).__name__, classes)
        self.score = nn.Linear(features, 1, bias=False)
        even = -_even(classes)
        self.first = nn.Parameter(even[:1])
        self.log_gaps = nn.Parameter(even.diff().log())

    @property
    def thresholds(self) -> Tensor:
        """[C - 1], rising."""
        return torch.cat([self.first, self.log_gaps.exp()]).cumsum(0)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.score(hidden) - self.thresholds


def _check(name: str, classes: int) -> None:
    if classes < 2:
        raise ValueError(f"{name}: classes >= 2 is needed, got {classes}.")


def _even(classes: int) -> Tensor:
    """[C - 1] log-odds of being above each class, if all are equally likely."""
    return torch.logit(torch.arange(classes - 1, 0, -1) / classes)

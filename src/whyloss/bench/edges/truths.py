"""What is right, as formulas in float64 that share nothing with the library: written from the definitions, by the
log-odds of the label, so that they keep their digits however confident the row is."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Formula = Callable[[Tensor, Tensor], Tensor]


def log_odds(z: Tensor, y: Tensor) -> Tensor:
    """[N] from logits [N, C]: the label's logit over the log-sum of the others."""
    label = F.one_hot(y, z.shape[1]).bool()
    return z[label] - z.masked_fill(label, -torch.inf).logsumexp(1)


def cross_entropy_rows(z: Tensor, y: Tensor) -> Tensor:
    return F.softplus(-log_odds(z, y), threshold=700.0)


def cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    return cross_entropy_rows(z, y).mean()


def smoothed_rows(z: Tensor, y: Tensor, share: float) -> Tensor:
    every = torch.stack([cross_entropy_rows(z, torch.full_like(y, j)) for j in range(z.shape[1])])
    return (1 - share) * cross_entropy_rows(z, y) + share * every.mean(0)


def focal_rows(z: Tensor, y: Tensor, gamma: float) -> Tensor:
    m = log_odds(z, y)
    return torch.exp(-gamma * F.softplus(m, threshold=700.0)) * F.softplus(-m, threshold=800.0)


def focal(gamma: float) -> Formula:
    return lambda z, y: focal_rows(z, y, gamma).mean()


def signed(z: Tensor, y: Tensor) -> Tensor:
    """The log-odds of yes-or-no questions."""
    return torch.where(y == 1, z, -z)


def binary_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    return F.softplus(-signed(z, y), threshold=700.0).mean()


def sigmoid_focal(gamma: float, alpha: float | None = None) -> Formula:
    def loss(z: Tensor, y: Tensor) -> Tensor:
        m = signed(z, y)
        balance = 1.0 if alpha is None else torch.where(y == 1, alpha, 1 - alpha)
        each = torch.exp(-gamma * F.softplus(m, threshold=700.0)) * F.softplus(-m, threshold=800.0)
        return (balance * each).mean()

    return loss


def nothing(z: Tensor, y: Tensor) -> Tensor:
    """0, and a gradient of 0 whatever the logits hold."""
    return torch.where(torch.zeros_like(z, dtype=torch.bool), z, 0.0).sum()


def as_rows(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels [N, C, *spatial] as rows [P, C]."""
    return z.movedim(1, -1).flatten(0, -2), y.flatten()


def of_counted(rows: Formula, ignored: int = -100) -> Formula:
    """The mean of a loss's rows over those whose label is not `ignored`, on pixels too."""

    def loss(z: Tensor, y: Tensor) -> Tensor:
        z, y = as_rows(z, y)
        kept = y != ignored
        return rows(z[kept], y[kept]).mean()

    return loss


def overlap_sums(p: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sums over the pixels of [N, C, *spatial]: of p t, of p and of t."""
    return tuple(part.flatten(2).sum(2) for part in (p * t, p, t))  # type: ignore[return-value]


def one_hot(y: Tensor, classes: int) -> Tensor:
    return F.one_hot(y, classes).movedim(-1, 1).double()


def dice(z: Tensor, y: Tensor) -> Tensor:
    """The mean over images and classes, softmax."""
    target = one_hot(y, z.shape[1]) if y.ndim < z.ndim else y
    both, prediction, truth = overlap_sums(torch.softmax(z, 1), target)
    return (1 - 2 * both / (prediction + truth)).mean()

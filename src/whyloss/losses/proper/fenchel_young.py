"""Fenchel-Young losses: each belongs to a map from logits to probabilities, and its gradient is p - q for that p.

Ω*(z) + Ω(q) - <z, q>, where the map is argmax_p <z, p> - Ω(p). The value is computed as what it is, a divergence that
vanishes at p = q and nowhere else, plus what the target holds of classes that the map gives nothing; no difference of
large numbers."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from whyloss.losses.proper.simplex import entmax_rows, normmax_rows, power
from whyloss.losses.whole import WholeRowLoss
from whyloss.stats.closed import by_rows
from whyloss.stats.each import log_softmax, others
from whyloss.stats.exact import HUGE, given_slope, tsallis_divergence
from whyloss.stats.smoothing import one_hot


class EntmaxLoss(WholeRowLoss):
    """Cross-entropy's counterpart for entmax: rows that lead by enough cost nothing, and wrong rows pay in a straight
    line.

    Its probabilities are `whyloss.entmax(logits, alpha)`, with exact zeros, and it is proper for these. Only classes
    within reach of the largest get a gradient, so with many classes the gradient is sparse.

    Args:
        alpha: > 1; towards 1 cross-entropy, 2 is sparsemax. The larger, the sooner a class is out of reach.

    Formula: Ω*(z) + Ω(q) - <z, q> with Ω(p) = sum_j (p_j^alpha - p_j) / (alpha (alpha - 1)).
    Source: Peters, Niculae & Martins 2019, arXiv:1905.05702, eq. 14; Blondel et al. 2020, arXiv:1901.02324.

    >>> import torch, whyloss
    >>> whyloss.EntmaxLoss(alpha=1.5)(torch.tensor([[0.0, 0.0], [2.5, 0.0]]), torch.tensor([0, 0]))
    tensor(0.1953)
    """

    alpha: float = 1.5
    source = "Peters, Niculae & Martins 2019, arXiv:1905.05702, eq. 14"
    short = ("entmax",)
    equation = "Ω*(z) + Ω(q) - <z, q>, Ω(p) = sum_j (p_j^alpha - p_j) / (alpha (alpha - 1))"
    proper = None
    bounded = False
    symmetric = False
    convex = True
    takes_labels = True

    def check(self) -> None:
        super().check()
        self.require(self.alpha > 1, "alpha > 1", self.alpha)

    def losses(self, logits: Tensor, target: Tensor, **reads: Tensor) -> Tensor:
        if target.ndim == 1:
            return by_rows(self._of_labels, self._of_labels_by_hand, logits, target)
        return _of_map(self._mapped, logits, target)

    def _mapped(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        p, short = entmax_rows(logits, self.alpha, derivatives=1)
        return p, tsallis_divergence(target, p.detach(), self.alpha), short

    def _of_labels(self, logits: Tensor, label: Tensor) -> Tensor:
        return _of_map(self._mapped, logits, one_hot(label, logits.shape[1], logits.dtype))

    def _of_labels_by_hand(self, logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """All other classes cost p^alpha / alpha."""
        place = label.unsqueeze(1)
        p, short = entmax_rows(logits, self.alpha, derivatives=1)
        own = p.gather(1, place)
        one = torch.ones_like(own)
        of_own = tsallis_divergence(one, own, self.alpha).add_(short.gather(1, place).squeeze(1))
        of_others = power(p.scatter(1, place, 0.0), self.alpha).sum(1)
        return of_own.add_(of_others, alpha=1 / self.alpha), p.scatter_add(1, place, -one)


class Entmax15Loss(EntmaxLoss):
    """`EntmaxLoss` with alpha = 1.5, the usual middle way: sparse, and smooth where a class comes within reach.

    Formula: that of `EntmaxLoss`. Source: Peters, Niculae & Martins 2019, arXiv:1905.05702, section 3.

    >>> import torch, whyloss
    >>> whyloss.Entmax15Loss()(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.3905)
    """

    source = "Peters, Niculae & Martins 2019, arXiv:1905.05702, section 3"
    short = ("entmax15",)

    def check(self) -> None:
        super().check()
        self.require(self.alpha == 1.5, "alpha = 1.5 (EntmaxLoss has the general form)", self.alpha)


class SparsemaxLoss(EntmaxLoss):
    """The loss of sparsemax: a quadratic near the decision, nothing once the label leads by 1, a line if it is far off.

    With two classes it is the Huber loss of classification. Its probabilities are `whyloss.sparsemax(logits)`.

    Formula: 1/2 sum over the support of (z_j^2 - threshold^2) + 1/2 - z_y.
    Source: Martins & Astudillo 2016, arXiv:1602.02068, eq. 18.

    >>> import torch, whyloss
    >>> whyloss.SparsemaxLoss(reduction="none")(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 0]))
    tensor([0.2500, 0.0000])
    """

    alpha: float = 2.0
    source = "Martins & Astudillo 2016, arXiv:1602.02068, eq. 18"
    short = ("sparsemax",)
    equation = "1/2 sum_{j in support} (z_j^2 - threshold^2) + 1/2 - z_y"

    def check(self) -> None:
        super().check()
        self.require(self.alpha == 2, "alpha = 2 (EntmaxLoss has the general form)", self.alpha)


class NormmaxLoss(WholeRowLoss):
    """The Fenchel-Young loss of a norm: sparse like sparsemax's, and it spreads what remains more evenly.

    Its probabilities are `whyloss.normmax(logits, alpha)`. A label that leads by 1 costs nothing.

    Args:
        alpha: > 1, which norm; the larger, the more equal the classes that get anything.

    Formula: Ω*(z) + Ω(q) - <z, q> with Ω(p) = (sum_j p_j^alpha)^(1 / alpha) - 1.
    Source: Blondel, Martins & Niculae 2020, arXiv:1901.02324, section 4.

    >>> import torch, whyloss
    >>> whyloss.NormmaxLoss()(torch.zeros(1, 4), torch.tensor([0]))
    tensor(0.5000)
    """

    alpha: float = 2.0
    source = "Blondel, Martins & Niculae 2020, arXiv:1901.02324, section 4"
    short = ("normmax",)
    equation = "Ω*(z) + Ω(q) - <z, q>, Ω(p) = (sum_j p_j^alpha)^(1 / alpha) - 1"
    proper = None
    bounded = False
    symmetric = False
    convex = True

    def check(self) -> None:
        super().check()
        self.require(self.alpha > 1, "alpha > 1", self.alpha)

    def losses(self, logits: Tensor, target: Tensor, **reads: Tensor) -> Tensor:
        return _of_map(self._mapped, logits, target)

    def _mapped(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        p, slope = normmax_rows(logits, self.alpha, derivatives=1)
        v = slope.detach()
        # The norm's slope v at p has the dual norm 1; of the largest, 1 - v follows from the others.
        rest = others(v.clamp_min(0) ** (self.alpha / (self.alpha - 1)))
        missing = -torch.expm1((1 - 1 / self.alpha) * torch.log1p(-rest.clamp_max(0.5)))
        missing = torch.where(v > 0.5, torch.where(rest < 0.5, missing, 1 - v), 1 - v.clamp_min(0))
        norm = (target.clamp_min(0) ** self.alpha).sum(1) ** (1 / self.alpha)
        return p, norm - 1 + (target * missing).sum(1), (-v).clamp_min(0)


class FenchelYoungLoss(WholeRowLoss):
    """The loss that belongs to a map of your own from logits to probabilities, with the gradient p - q.

    Args:
        omega: the regulariser Ω, from [N, C] probabilities to [N]; convex. None is Shannon's negative entropy.
        argmax: from logits [N, C] to the [N, C] that maximise <z, p> - Ω(p), differentiable; None is the softmax, which
            with Shannon's entropy makes the loss cross-entropy.

    Formula: Ω*(z) + Ω(q) - <z, q>. Source: Blondel, Martins & Niculae 2020, arXiv:1901.02324, definition 2.

    >>> import torch, whyloss
    >>> half_square = lambda p: (p * p).sum(1) / 2
    >>> loss = whyloss.FenchelYoungLoss(omega=half_square, argmax=whyloss.sparsemax)
    >>> z, y = torch.tensor([[0.5, 0.0]]), torch.tensor([0])
    >>> loss(z, y), whyloss.SparsemaxLoss()(z, y)
    (tensor(0.0625), tensor(0.0625))
    """

    omega: Callable[..., Any] | None = None
    argmax: Callable[..., Any] | None = None
    source = "Blondel, Martins & Niculae 2020, arXiv:1901.02324, definition 2"
    short = ("fenchel-young",)
    equation = "Ω*(z) + Ω(q) - <z, q>"
    proper = None
    bounded = None
    symmetric = None
    convex = True

    def check(self) -> None:
        super().check()
        both = (self.omega is None) == (self.argmax is None)
        self.require(both, "both omega and argmax, or neither", (self.omega, self.argmax))

    def losses(self, logits: Tensor, target: Tensor, **reads: Tensor) -> Tensor:
        if self.omega is None or self.argmax is None:
            log_p = log_softmax(logits)
            p = torch.exp(log_p)
            return given_slope(_cross(target, log_p.detach()), p - target, logits)
        p = self.argmax(logits)
        fixed, bare = p.detach(), torch.where(torch.isneginf(logits), 0.0, logits).detach()
        value = ((fixed - target) * bare).sum(1) - self.omega(fixed) + self.omega(target)
        return _with_slope(logits, target, p, value, torch.where(torch.isneginf(logits), torch.inf, 0.0))


def _cross(q: Tensor, log_p: Tensor) -> Tensor:
    """[N] the Kullback-Leibler divergence from p to q."""
    some = q > 0
    log_q = torch.log(torch.where(some, q, 1.0))
    impossible = some & (log_p <= -HUGE)
    return torch.where(some, torch.where(impossible, torch.inf, q * (log_q - log_p)), 0.0).sum(1)


# Logits and targets -> probabilities of the map, their divergence from the targets, and by how much each logit falls
# short of a probability above 0, which adds to the divergence what the target holds there.
Mapped = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


def _of_map(mapped: Mapped, z: Tensor, q: Tensor) -> Tensor:
    """The loss with gradient p - q."""

    def written(z: Tensor, q: Tensor) -> Tensor:
        return _with_slope(z, q, *mapped(z, q))

    def by_hand(z: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        p, divergence, short = mapped(z, q)
        return divergence + (q * short).sum(1), p - q  # not a number where a class is masked

    return by_rows(written, by_hand, z, q)


def _with_slope(z: Tensor, q: Tensor, p: Tensor, divergence: Tensor, short: Tensor) -> Tensor:
    return given_slope(divergence + torch.where(q > 0, q * short.detach(), 0.0).sum(1), p - q, z)

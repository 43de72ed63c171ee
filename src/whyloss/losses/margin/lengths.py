"""Angular margins that read the length of each feature: as the scale of its logits, or as the quality of its image.

They take it at the call, `loss(logits, target, norm=...)`, and are computed in plain torch."""

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from whyloss.losses.loss import Link
from whyloss.losses.margin.angles import multiplied, turned
from whyloss.losses.margin.plain import cross_entropy
from whyloss.losses.whole import WholeRowLoss
from whyloss.stats import reference
from whyloss.stats.rows import Rows


class _MarginByRow(WholeRowLoss):
    """Cross-entropy where `change` moves the label's logit. A soft target is a mixture of labels: the loss is the
    expected one."""

    proper = False
    bounded = False
    symmetric = False

    links: ClassVar[tuple[Link, ...]] = ("softmax",)
    takes_labels: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("norm",)
    of_each_class: ClassVar[bool] = False  # whether `norm` may be [N, C]

    def change(self, logit: Tensor, norm: Tensor) -> Tensor:
        """What is added to the label's logit; both are [N], or [N, C] where every class may be the label."""
        raise NotImplementedError

    def of_rows(self, logits: Tensor, target: Tensor, norm: Tensor) -> Tensor:
        """[N] losses of logits that have their scale."""
        if norm.ndim != 1 and not (self.of_each_class and norm.shape == logits.shape):
            more = ", or one for each class," if self.of_each_class else ""
            raise ValueError(f"{type(self).__name__}: one norm for each row{more} is needed, got {tuple(norm.shape)}.")
        if target.ndim == 1:
            place = target.unsqueeze(1)
            norm = norm if norm.ndim == 1 else norm.gather(1, place).squeeze(1)
            own = logits.gather(1, place)
            angled = torch.where(torch.isneginf(own), 0.0, own).squeeze(1)  # a masked label has none
            return cross_entropy(logits.scatter_add(1, place, self.change(angled, norm).unsqueeze(1)), target)

        def formula(log_odds: Tensor, logit: Tensor) -> Tensor:
            lengths = norm if norm.ndim == log_odds.ndim else norm.unsqueeze(1)
            return -logsigmoid(log_odds + self.change(logit, lengths))

        return reference.row_losses(logits, Rows(("log_odds", "logit"), formula, label=None, mix=target))


class LargeMarginSoftmaxLoss(_MarginByRow):
    """Cross-entropy of a linear layer that multiplies the label's angle by a margin: L-Softmax.

    Takes the layer's plain logits, without a bias, and what they would be at an angle of 0.

    Args:
        margin: 1, 2, 3, ...; 1 is cross-entropy.
        annealing: lambda >= 0: the label's logit becomes (lambda z + |w||x| psi) / (1 + lambda), which is easier to
            start from. Let it fall while training (`margin_annealing`).

    Shapes: `norm` is [N], |w_y||x| of each row; or [N, C], |w_j||x|, for soft targets and label smoothing, where each
    class has its turn as the label.

    Formula: -log(e^(|w_y||x| psi) / (e^(|w_y||x| psi) + sum_{j != y} e^(z_j))), psi = (-1)^k cos(m theta_y) - 2 k for
    theta_y in [k pi / m, (k + 1) pi / m]. Source: Liu et al. 2016, arXiv:1612.02295, eq. 4-6.

    >>> import torch, whyloss
    >>> features, weight, target = torch.tensor([[0.0, 2.0]]), torch.eye(2), torch.tensor([0])
    >>> norm = features.norm(dim=1) * weight.norm(dim=1)[target]
    >>> whyloss.LargeMarginSoftmaxLoss(margin=2)(features @ weight.T, target, norm=norm)
    tensor(4.0181)
    """

    margin: int = 4
    annealing: float = 0.0
    source = "Liu et al. 2016, arXiv:1612.02295, eq. 4-6"
    short = ("l-softmax", "large-margin-softmax")
    equation = "-log(e^(|w_y||x| psi(t_y)) / (e^(|w_y||x| psi(t_y)) + sum_{j != y} e^(z_j)))"

    of_each_class: ClassVar[bool] = True

    def check(self) -> None:
        super().check()
        whole = isinstance(self.margin, int) and self.margin >= 1  # pyright: ignore[reportUnnecessaryIsInstance]
        self.require(whole, "a whole margin >= 1", self.margin)
        self.require(self.annealing >= 0, "annealing >= 0", self.annealing)

    def change(self, logit: Tensor, norm: Tensor) -> Tensor:
        some = norm > 0  # a feature or a centre of length 0 has no angle, and nothing to lose
        cosine = torch.where(some, logit, 0.0) / torch.where(some, norm, 1.0)
        return norm * multiplied(cosine, self.margin) / (1 + self.annealing)

    def losses(self, logits: Tensor, target: Tensor, norm: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.of_rows(logits, target, norm)


class AngularSoftmaxLoss(LargeMarginSoftmaxLoss):
    """L-Softmax with centres of length 1: A-Softmax, the loss of SphereFace as first published.

    Takes features times centres of length 1, and the features' lengths, each the scale of its own softmax.
    `SphereFaceLoss` has one scale for all.

    Args:
        margin: 1, 2, 3, ...; 1 is the paper's modified softmax loss.
        annealing: lambda >= 0: the label's logit becomes (lambda z + |x| psi) / (1 + lambda), which is easier to start
            from. Let it fall while training (`margin_annealing`).

    Shapes: `norm` is [N], |x| of each row.

    Formula: -log(e^(|x| psi) / (e^(|x| psi) + sum_{j != y} e^(|x| cos theta_j))), psi as for L-Softmax.
    Source: Liu et al. 2017, arXiv:1704.08063, eq. 6-7.

    >>> import torch, whyloss
    >>> features, centers, target = torch.tensor([[0.0, 2.0]]), torch.eye(2), torch.tensor([0])
    >>> whyloss.AngularSoftmaxLoss(margin=2)(features @ centers.T, target, norm=features.norm(dim=1))
    tensor(4.0181)
    """

    source = "Liu et al. 2017, arXiv:1704.08063, eq. 6-7"
    short = ("a-softmax", "angular-softmax")
    equation = "-log(e^(|x| psi(t_y)) / (e^(|x| psi(t_y)) + sum_{j != y} e^(|x| cos t_j)))"


class MagFaceLoss(_MarginByRow):
    """ArcFace whose margin grows with the length of the feature, and a pull towards long ones: length becomes quality.

    A feature that is near its centre can afford the larger margin and grows; one that is not stays short. Lengths
    outside [low, high], which the paper rules out, have the margin of the nearest end, and the pull goes on.

    Args:
        scale: > 0, what the cosines are multiplied by.
        low: > 0, the least length that is looked for.
        high: > low, the largest.
        least: margin at the least length, in [0, pi], in radians.
        most: margin at the largest length, in [least, pi].
        pull: >= 0, what the regulariser is multiplied by; 0 with equal margins is ArcFace.

    Shapes: the logits are cosines (`CosineHead`); `norm` is [N], |x| of each row.

    Formula: -log(e^(s cos(theta_y + m(a))) / (e^(s cos(theta_y + m(a))) + sum_{j != y} e^(s cos theta_j)))
    + pull (1/a + a / high^2), a = |x|, m(a) = least + (most - least) (a - low) / (high - low).
    Source: Meng et al. 2021, arXiv:2103.06627, section 3.

    >>> import torch, whyloss
    >>> loss = whyloss.MagFaceLoss(scale=4.0)
    >>> loss(torch.tensor([[1.0, 0.0]]), torch.tensor([0]), norm=torch.tensor([10.0]))
    tensor(3.5558)
    """

    scale: float = 64.0
    low: float = 10.0
    high: float = 110.0
    least: float = 0.45
    most: float = 0.8
    pull: float = 35.0
    source = "Meng et al. 2021, arXiv:2103.06627, section 3"
    short = ("magface",)
    equation = "ArcFace with m = least + (most - least) (a - low) / (high - low), + pull (1/a + a / high^2)"

    cosines: ClassVar[bool] = True

    def check(self) -> None:
        super().check()
        self.require(self.scale > 0, "scale > 0", self.scale)
        self.require(0 < self.low < self.high, "0 < low < high", (self.low, self.high))
        self.require(0 <= self.least <= self.most <= math.pi, "0 <= least <= most <= pi", (self.least, self.most))
        self.require(self.pull >= 0, "pull >= 0", self.pull)

    def change(self, logit: Tensor, norm: Tensor) -> Tensor:
        share = (norm.clamp(self.low, self.high) - self.low) / (self.high - self.low)
        margin = self.least + (self.most - self.least) * share
        cosine = (logit / self.scale).clamp(-1, 1)
        return self.scale * (turned(cosine, margin.cos(), margin.sin()) - cosine)

    def losses(self, logits: Tensor, target: Tensor, norm: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        each = self.of_rows(self.scale * logits, target, norm)
        length = norm.clamp_min(self.low)
        # Below the least length the straight line goes on that touches the curve there: no length is infinitely dear.
        regulariser = 1 / length + length / self.high**2
        regulariser = regulariser + (norm - length) * (1 / self.high**2 - 1 / self.low**2)
        return each + self.pull * regulariser


class AdaFaceLoss(_MarginByRow):
    """A margin that is angular for short features and additive for long ones: hard examples count if the image is good.

    The length of a feature, beside those of its batch, stands for the quality of the image; no gradient flows through
    it. The batch's mean and deviation are remembered (`alpha` is the share of the new batch, as the paper writes it;
    the authors' code: 0.01) and used as they are in evaluation mode.

    Args:
        scale: > 0, what the cosines are multiplied by.
        margin: in [0, pi]; 0 is NormFace.
        spread: h > 0: lengths within a deviation over h of the mean tell qualities apart.
        alpha: in (0, 1], share of the new batch in the mean and deviation.

    Shapes: the logits are cosines (`CosineHead`); `norm` is [N], |x| of each row.

    Formula: -log(e^(s (cos(theta_y - m q) - m q - m)) / (e^(s (cos(theta_y - m q) - m q - m))
    + sum_{j != y} e^(s cos theta_j))), q = clip(h (|x| - mean) / deviation, -1, 1).
    Source: Kim et al. 2022, arXiv:2204.00964, section 3.

    >>> import torch, whyloss
    >>> cosines, target = torch.tensor([[1.0, 0.0], [0.5, 0.0]]), torch.tensor([0, 0])
    >>> whyloss.AdaFaceLoss(scale=4.0)(cosines, target, norm=torch.tensor([10.0, 30.0]))
    tensor(0.3020)
    """

    scale: float = 64.0
    margin: float = 0.4
    spread: float = 0.333
    alpha: float = 0.99
    source = "Kim et al. 2022, arXiv:2204.00964, section 3"
    short = ("adaface",)
    equation = "-log softmax(s (cos(t - m q [j = y]) - (m q + m) [j = y]))_y, q from |x|"

    stateful: ClassVar[bool] = True
    cosines: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("deviation", torch.tensor(math.inf))  # no batch yet: all lengths are average

    def check(self) -> None:
        super().check()
        self.require(self.scale > 0, "scale > 0", self.scale)
        self.require(0 <= self.margin <= math.pi, "margin in [0, pi]", self.margin)
        self.require(self.spread > 0, "spread > 0", self.spread)
        self.require(0 < self.alpha <= 1, "alpha in (0, 1]", self.alpha)

    def before(self, logits: Tensor, target: Tensor, counted: Tensor, norm: Tensor) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        rows = counted.sum()
        mean = (counted * norm).sum() / rows
        deviation = ((counted * (norm - mean) ** 2).sum() / rows).sqrt()
        known = self.get_buffer("mean"), self.get_buffer("deviation")
        first = torch.isinf(known[1])
        for kept, new in zip(known, (mean, deviation), strict=True):
            mixed = torch.where(first, new, self.alpha * new + (1 - self.alpha) * torch.where(first, 0.0, kept))
            kept.copy_(torch.where(rows > 0, mixed, kept))

    def change(self, logit: Tensor, norm: Tensor) -> Tensor:
        mean, deviation = self.get_buffer("mean"), self.get_buffer("deviation")
        some = deviation > 0
        quality = self.spread * (norm.detach() - mean) / torch.where(some, deviation, 1.0)
        turn = self.margin * torch.where(some, quality.clamp(-1, 1), 0.0).to(logit.dtype)
        cosine = (logit / self.scale).clamp(-1, 1)
        return self.scale * (turned(cosine, turn.cos(), -turn.sin()) - cosine - turn - self.margin)

    def losses(self, logits: Tensor, target: Tensor, norm: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.of_rows(self.scale * logits, target, norm)

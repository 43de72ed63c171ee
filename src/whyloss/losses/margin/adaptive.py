"""Losses of cosines that adapt while a model trains: their scale, or the weight of what is hard, follows the batches.

What they have seen is kept in buffers, changed in training mode only."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from whyloss.losses.loss import Link
from whyloss.losses.margin.angles import added
from whyloss.losses.margin.cosine import adacos_scale
from whyloss.losses.margin.plain import cross_entropy
from whyloss.losses.whole import WholeRowLoss


class _Adaptive(WholeRowLoss):
    proper = False
    bounded = False
    symmetric = False

    links: ClassVar[tuple[Link, ...]] = ("softmax",)
    takes_labels: ClassVar[bool] = True
    stateful: ClassVar[bool] = True
    cosines: ClassVar[bool] = True


class AdaCosLoss(_Adaptive):
    """NormFace whose scale follows the training: it falls as the features of a batch come nearer to their centres.

    So rows that are right never stop counting all at once. `FixedAdaCosLoss` is the form that stays where it starts.

    Args:
        classes: >= 3. The scale starts at sqrt(2) log(classes - 1).

    Formula: -log softmax(s cos)_y; s = log B / cos(min(pi / 4, median theta_y)), B the batch's mean of
    sum_{j != y} e^(s cos theta_j) with the s before. Source: Zhang et al. 2019, arXiv:1905.00292, section 4.

    >>> import torch, whyloss
    >>> loss = whyloss.AdaCosLoss(classes=3)
    >>> value = loss(torch.tensor([[0.8, 0.6, 0.5]]), torch.tensor([0]))
    >>> value, loss.scale
    (tensor(0.8605), tensor(1.5419))
    """

    classes: int
    source = "Zhang et al. 2019, arXiv:1905.00292, section 4"
    short = ("adacos",)
    equation = "-log softmax(s cos)_y, s = log B / cos(min(pi / 4, median t_y))"
    fixed = ("classes",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.register_buffer("scale", torch.tensor(adacos_scale(self.classes)))

    def check(self) -> None:
        super().check()
        self.require(self.classes >= 3, "classes >= 3", self.classes)

    def before(self, logits: Tensor, target: Tensor, counted: Tensor) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        some, scale = counted > 0, self.get_buffer("scale")
        exponents = scale * logits
        if target.ndim == 1:
            others = exponents.scatter(1, target.unsqueeze(1), -torch.inf)
        else:
            others = exponents + torch.log1p(-target.clamp_max(1))  # each class by its share of not being the label
        of_rows = torch.where(some, torch.logsumexp(others, 1), -torch.inf)
        log_b = torch.logsumexp(of_rows, 0) - counted.sum().log()
        angle = torch.acos(_of_label(logits, target).clamp(-1, 1))
        median = torch.nanmedian(torch.where(some, angle, torch.nan))
        new = log_b / torch.cos(median.clamp_max(math.pi / 4))
        # With a handful of classes B may be below 1; a scale that is not positive would turn the loss round.
        scale.copy_(torch.where(new > 0, new, scale))

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return cross_entropy(self.get_buffer("scale").to(logits.dtype, copy=True) * logits, target)


class CurricularFaceLoss(_Adaptive):
    """ArcFace that turns to the hard negatives as training goes on: their cosines count t + cos times.

    A negative is hard if its cosine exceeds the label's with its margin. t follows the label's mean cosine: at first,
    near 0, hard negatives count less than easy ones; later more. Under a soft target each cosine is, by its share, a
    label's and a negative's, and what is hard is measured by the mean of the labels.

    Args:
        scale: > 0, what the cosines are multiplied by.
        margin: in [0, pi], in radians.
        alpha: in (0, 1], share of the new batch in t, as the paper writes it (common implementations: 0.01).

    Formula: -log(e^(s cos(theta_y + m)) / (e^(s cos(theta_y + m)) + sum_{j != y} e^(s N_j))), N_j = cos theta_j where
    cos theta_j <= cos(theta_y + m), else cos theta_j (t + cos theta_j); t <- alpha mean(cos theta_y) + (1 - alpha) t.
    Source: Huang et al. 2020, arXiv:2004.00288, section 3.

    >>> import torch, whyloss
    >>> loss = whyloss.CurricularFaceLoss(scale=4.0, alpha=1.0)
    >>> loss(torch.tensor([[0.8, 0.6, 0.2]]), torch.tensor([0])), loss.t
    (tensor(1.9331), tensor(0.8000))
    """

    scale: float = 64.0
    margin: float = 0.5
    alpha: float = 0.99
    source = "Huang et al. 2020, arXiv:2004.00288, section 3"
    short = ("curricularface",)
    equation = "ArcFace with cos_j (t + cos_j) for each j != y that exceeds cos(t_y + m)"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.register_buffer("t", torch.tensor(0.0))

    def check(self) -> None:
        super().check()
        self.require(self.scale > 0, "scale > 0", self.scale)
        self.require(0 <= self.margin <= math.pi, "margin in [0, pi]", self.margin)
        self.require(0 < self.alpha <= 1, "alpha in (0, 1]", self.alpha)

    def before(self, logits: Tensor, target: Tensor, counted: Tensor) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        rows, kept = counted.sum(), self.get_buffer("t")
        cosine = torch.where(counted > 0, _of_label(logits, target), 0.0)
        t = self.alpha * cosine.sum() / rows + (1 - self.alpha) * kept
        kept.copy_(torch.where(rows > 0, t, kept))

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        t = self.get_buffer("t").to(logits.dtype, copy=True)  # the next batch may change it before backward reads it
        if target.ndim == 1:
            place = target.unsqueeze(1)
            own = logits.gather(1, place)
            own = own + added(own, self.margin)
            return cross_entropy(self.scale * _hard(logits, own, t).scatter(1, place, own), target)
        masked = torch.isneginf(logits)
        cosine = torch.where(masked, 0.0, logits)
        label = cosine + added(cosine, self.margin)
        rest = _hard(cosine, _of_label(label, target).unsqueeze(1), t)
        changed = target * label + (1 - target) * rest
        return cross_entropy(torch.where(masked, -torch.inf, self.scale * changed), target)


def _hard(cosine: Tensor, threshold: Tensor, t: Tensor) -> Tensor:
    """Cosines, t + cosine times those that exceed the threshold."""
    return cosine * torch.where(cosine > threshold, t + cosine, 1.0)


def _of_label(x: Tensor, target: Tensor) -> Tensor:
    """[N] the label's entry, or the mean of the entries under a soft target."""
    if target.ndim == 1:
        return x.gather(1, target.unsqueeze(1)).squeeze(1)
    return torch.where(target > 0, x * target, 0.0).sum(1)

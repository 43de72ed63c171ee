"""Losses of pixels that look at the labels around: softer targets, or softer logits, where regions meet."""

import math
from typing import Any

import torch
from torch import Tensor

from whyloss.losses import checks, targets
from whyloss.losses.loss import LabelledLoss
from whyloss.losses.proper.likelihood import CrossEntropyLoss
from whyloss.losses.whole import Whole, WholeRowLoss, enter
from whyloss.stats.closed import by_rows
from whyloss.stats.pixels import Pixels, masks_of
from whyloss.stats.rows import computing_dtype
from whyloss.stats.smoothing import one_hot


class SpatiallyVaryingLabelSmoothingLoss(LabelledLoss):
    """Cross-entropy with labels smoothed by those around: soft where regions meet, hard inside them (SVLS).

    For calibrated borders where experts would not draw the same line. For another row loss give it
    `whyloss.smoothed_by_neighbours(target, classes)` as its target.

    Args:
        sigma: > 0, width of the Gaussian that weighs the neighbours, in pixels.
        radius: >= 0, how many neighbours on each side; 0 is cross-entropy.

    Formula: -sum_c q_c log p_c, q the labels about a pixel weighed by a Gaussian whose centre weighs as much as all
    neighbours together. Source: Islam & Glocker 2021, arXiv:2104.05788, section 2.2. Ignored neighbours, and those
    beyond the border, are left out; the authors' own implementation repeats the labels of the border beyond it.

    >>> import torch, whyloss
    >>> logits = torch.tensor([[[0.0, 0, 0], [1, 1, 1]]])
    >>> whyloss.SpatiallyVaryingLabelSmoothingLoss(reduction="none")(logits, torch.tensor([[0, 0, 1]]))
    tensor([[1.3133, 1.0633, 0.6466]])
    """

    sigma: float = 1.0
    radius: int = 1
    source = "Islam & Glocker 2021, arXiv:2104.05788, section 2.2"
    short = ("svls",)
    equation = "-sum_c q_c log p_c, q: Gaussian mean of the labels around"
    proper = None
    bounded = False
    neighbours = True

    def check(self) -> None:
        super().check()
        self.require(self.sigma > 0, "sigma > 0", self.sigma)
        self.require(self.radius >= 0, "radius >= 0", self.radius)

    def compose(self) -> None:
        options: dict[str, Any] = {name: getattr(self, name) for name in LabelledLoss.fields()}
        self.pixels = CrossEntropyLoss(**options)  # a part of this module: moved and compiled with it

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
    ) -> Tensor:
        return self.pixels(logits, self.smoothed(logits, target), sample_weight, normalizer)

    def parts(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(sum of the weighted losses, sum of the weights): add both over ranks or accumulation steps, divide once."""
        return self.pixels.parts(logits, self.smoothed(logits, target), sample_weight)

    def smoothed(self, logits: Tensor, target: Tensor) -> Tensor:
        """The soft target of each pixel, shaped like the logits."""
        hot, ignored = _labels(self, logits, target)
        soft = _doubled(hot, ignored, self.sigma, self.radius)
        return _with_ignored(soft, ignored, self.ignore_index).reshape(logits.shape)


class NeighborAwareCalibrationLoss(WholeRowLoss):
    """Cross-entropy, with logits held near the shares of the labels around: bounded logits, so calibrated ones (NACL).

    Args:
        penalty: >= 0, weight of the distance between logits and shares; 0 is cross-entropy.
        norm: 1 (the paper's choice) for absolute, 2 for squared distances.
        radius: >= 0, how many neighbours on each side are counted with the pixel itself, all alike.

    Formula: -log p_y + penalty sum_c |tau_c - z_c|^norm, tau_c the share of label c about the pixel. Source: Murugesan
    et al. 2023, arXiv:2303.06268, section 2 (the sum over classes; the authors' code takes the mean). Ignored
    neighbours, and those beyond the border, are left out.

    >>> import torch, whyloss
    >>> loss = whyloss.NeighborAwareCalibrationLoss(reduction="none")
    >>> loss(torch.zeros(1, 2, 3), torch.tensor([[0, 0, 1]]))
    tensor([[0.7931, 0.7931, 0.7931]])
    """

    penalty: float = 0.1
    norm: int = 1
    radius: int = 1
    source = "Murugesan et al. 2023, arXiv:2303.06268, section 2"
    short = ("nacl",)
    equation = "-log p_y + penalty sum_c |tau_c - z_c|^norm, tau: shares of the labels around"
    proper = None
    bounded = False
    links = ("softmax",)
    takes_labels = True
    neighbours = True

    def check(self) -> None:
        super().check()
        self.require(self.penalty >= 0, "penalty >= 0", self.penalty)
        self.require(self.norm in (1, 2), "norm 1 or 2", self.norm)
        self.require(self.radius >= 0, "radius >= 0", self.radius)

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
        **reads: Tensor,
    ) -> Tensor:
        return self._entered(logits, target, sample_weight, reads).reduced(self.reduction, normalizer)

    def parts(
        self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None, **reads: Tensor
    ) -> tuple[Tensor, Tensor]:
        return self._entered(logits, target, sample_weight, reads).parts()

    def _entered(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None, reads: dict[str, Tensor]) -> Whole:
        entered = enter(self, logits, target, sample_weight, reads)
        shares = _shares(*_labels(self, logits, target), self.radius)
        entered.reads = {"shares": targets.side_by_side(shares)}
        return entered

    def losses(self, logits: Tensor, target: Tensor, **reads: Tensor) -> Tensor:
        if target.ndim == 1:
            return by_rows(self._of_labels, self._of_labels_by_hand, logits, target, reads["shares"])
        masked = logits == -torch.inf
        log_p = torch.where(masked, 0.0, torch.log_softmax(logits, 1))
        impossible = torch.where((masked & (target > 0)).any(1), torch.inf, 0.0)
        apart = torch.where(masked, 0.0, reads["shares"] - torch.where(masked, 0.0, logits)).abs() ** self.norm
        return impossible - (target * log_p).sum(1) + self.penalty * apart.sum(1)

    def _of_labels(self, logits: Tensor, label: Tensor, shares: Tensor) -> Tensor:
        return self.losses(logits, one_hot(label, logits.shape[1], logits.dtype), shares=shares)

    def _of_labels_by_hand(self, logits: Tensor, label: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        top, apart = logits.amax(1, keepdim=True), logits - shares
        slope = (logits - top).exp_()
        total = slope.sum(1, keepdim=True)
        own = (logits.gather(1, label.unsqueeze(1)) - top).sub_(torch.log(total)).squeeze(1)
        distance, rise = (apart.abs(), apart.sign_()) if self.norm == 1 else (apart * apart, apart.mul_(2))
        slope.div_(total).add_(rise, alpha=self.penalty)
        slope.scatter_add_(1, label.unsqueeze(1), torch.full_like(total, -1.0))
        return distance.sum(1).mul_(self.penalty).sub_(own), slope


def smoothed_by_neighbours(
    target: Tensor, classes: int, sigma: float = 1.0, radius: int = 1, ignore_index: int = -100
) -> Tensor:
    """Labels [N, *spatial] as soft targets [N, C, *spatial] for any loss: Gaussian means of the labels around, in which
    a pixel counts as much as all its neighbours together, where they are all there.

    Ignored pixels, and those beyond the border, are left out of the means; the ignored ones stay ignored.

    >>> smoothed_by_neighbours(torch.tensor([[0, 0, 1]]), 2)
    tensor([[[1.0000, 0.7500, 0.3333],
             [0.0000, 0.2500, 0.6667]]])
    """
    hot, ignored = _hot(Pixels(target.flatten(1), ignore_index=ignore_index), classes, torch.get_default_dtype())
    hot, ignored = (x.reshape(*x.shape[:2], *target.shape[1:]) for x in (hot, ignored))
    return _with_ignored(_doubled(hot, ignored, sigma, radius), ignored, ignore_index)


def _with_ignored(soft: Tensor, ignored: Tensor | None, ignore_index: int) -> Tensor:
    return soft if ignored is None else torch.where(ignored, float(ignore_index), soft)


def _labels(loss: LabelledLoss, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
    """The target shaped like the logits, in their computing dtype, 0 in pixels that are ignored; and which these are,
    where there are any."""
    name, dtype = type(loss).__name__, computing_dtype(logits)
    checks.logits(name, logits, loss.link)
    soft = checks.target(name, logits, target, loss.link)
    if logits.ndim == 1:
        logits, target = logits.unsqueeze(0), target.unsqueeze(0)
    lead = logits.shape[: 2 if soft or loss.link == "sigmoid" else 1]
    flat = target.reshape(*lead, logits.shape[2:].numel())
    pixels = Pixels(flat, loss.link, loss.ignore_index)
    if pixels.labelled and checks.plain_labels(loss, flat, logits.shape[1]):
        # The pixels of a class beside one another, as the rows will be.
        hot = masks_of(flat.reshape(1, -1), logits.shape[1], dtype)
        return hot.reshape(-1, len(logits), *logits.shape[2:]).transpose(0, 1), None
    if pixels.labelled and checks.looks(loss, target):
        label = flat.long()
        checks.labels(loss, label, label == loss.ignore_index, logits.shape[1])
    hot, ignored = _hot(pixels, logits.shape[1], dtype)
    return hot.reshape(logits.shape), ignored.reshape(len(logits), ignored.shape[1], *logits.shape[2:])


def _hot(pixels: Pixels, classes: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """[N, C, P] shares of the classes, 0 where a pixel is ignored; and where that is."""
    t = pixels.read(dtype)
    ignored = pixels.ignored(t)
    if not pixels.labelled:
        return torch.where(ignored, 0.0, t), ignored
    return masks_of(torch.where(ignored.squeeze(1), classes, t), classes, dtype), ignored


def _doubled(hot: Tensor, ignored: Tensor | None, sigma: float, radius: int) -> Tensor:
    """Means in which each pixel weighs as much as all its neighbours would together."""
    axes = hot.ndim - 2
    if radius == 0 or axes == 0:
        return hot
    weights = [math.exp(-(k**2) / (2 * sigma**2)) for k in range(radius + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    weights = [w / total for w in weights]
    own = weights[0] ** axes
    part, whole = (_around(x, weights) + (1 - 2 * own) * x for x in (hot, _counted(hot, ignored)))
    return part / torch.where(whole > 0, whole, 1.0)


def _shares(hot: Tensor, ignored: Tensor | None, radius: int) -> Tensor:
    """The share of each label among the pixels about each one, itself included."""
    part, whole = (_around(x, [1.0] * (radius + 1)) for x in (hot, _counted(hot, ignored)))
    return part.div_(torch.where(whole > 0, whole, 1.0))


def _counted(hot: Tensor, ignored: Tensor | None) -> Tensor:
    """[N, 1, *spatial], or where all images are alike [1, 1, *spatial], 1 in pixels that count."""
    return hot.new_ones(1, 1, *hot.shape[2:]) if ignored is None else (~ignored).to(hot.dtype)


def _around(x: Tensor, weights: list[float]) -> Tensor:
    """Sums over the neighbours along all axes, those at distance k weighed by weights[k]; beyond the border is 0."""
    for axis in range(2, x.ndim):
        size, total = x.shape[axis], weights[0] * x
        for k, w in enumerate(weights[1 : min(len(weights), size)], 1):
            total.narrow(axis, k, size - k).add_(x.narrow(axis, 0, size - k), alpha=w)
            total.narrow(axis, 0, size - k).add_(x.narrow(axis, k, size - k), alpha=w)
        x = total
    return x

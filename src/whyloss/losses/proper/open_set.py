"""Open-set training: rows of known classes, and outliers that belong to none, marked by a target of their own.

Each loss is two row losses, one for known rows and one for outliers, so it runs on their engines."""

from collections.abc import Iterable
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from whyloss.losses import checks
from whyloss.losses import rows as door
from whyloss.losses.loss import LabelledLoss, RowLoss
from whyloss.losses.proper.likelihood import CrossEntropyLoss
from whyloss.losses.rows import Entered
from whyloss.stats.rows import computing_dtype

SHARED = ("ignore_index", "reduction", "adjust", "empty", "validate")
OF_CLASSES = ("weight", "label_smoothing", "smoothing_over", "smoothing_weight")


class _OpenSetLoss(LabelledLoss):
    """separate: the mean is one over the known rows and one over the outliers; else it is one over all rows."""

    outlier: int = -1

    links = ("softmax",)
    separate: ClassVar[bool] = True

    def known(self) -> RowLoss:
        return CrossEntropyLoss()

    def unknown(self) -> RowLoss:
        """The loss of an outlier; it must not read the label."""
        return _UniformCrossEntropyLoss()

    def strength(self) -> float:
        """What the loss of the outliers is multiplied by."""
        return 1.0

    def compose(self) -> None:
        known, unknown = self.known(), self.unknown()
        for loss, names in ((known, (*SHARED, *OF_CLASSES)), (unknown, SHARED)):
            for name in names:
                setattr(loss, name, getattr(self, name))
        self.kinds = nn.ModuleList([known, unknown])

    def check(self) -> None:
        reason = "an outlier has equal shares of all classes; of yes-or-no questions it has a no to each, a target of 0"
        self.require(self.link == "softmax", f"link='softmax' ({reason})", self.link)
        super().check()
        self.require(self.outlier != self.ignore_index, "outlier other than ignore_index", self.outlier)

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
        **reads: Tensor,
    ) -> Tensor:
        inside, outside = self._entered(logits, target, sample_weight)
        nothing = None
        if self.reduction == "mean" and normalizer is None and not self.separate:
            counted = _weights(inside).sum() + _weights(outside).sum()
            nothing = counted == 0
            normalizer = torch.where(nothing, 1.0, counted)
        value, other = (part.reduced(self.reduction, normalizer) for part in (inside, outside))
        value = value + self.strength() * other
        more = self._more(inside, outside, **reads)
        if more is not None:
            more = more.reshape(inside.shape) if self.reduction == "none" else more.sum()
            value = value + (more if normalizer is None else more / normalizer)
        return value if nothing is None or self.empty == "zero" else torch.where(nothing, torch.nan, value)

    def parts(
        self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None, **reads: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(sum of the weighted losses, sum of the weights), known rows and outliers together."""
        inside, outside = self._entered(logits, target, sample_weight)
        (one, a), (other, b) = inside.parts(), outside.parts()
        total, more = one + self.strength() * other, self._more(inside, outside, **reads)
        return total if more is None else total + more.sum(), a + b

    def _more(self, inside: Entered, outside: Entered, **reads: Tensor) -> Tensor | None:
        """[N] what is added to the weighted losses of the rows."""
        if reads:
            raise TypeError(f"{type(self).__name__}: the call takes nothing besides; got {', '.join(reads)}.")
        return None

    def _entered(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None) -> tuple[Entered, Entered]:
        """Known rows and outliers on their way in, each with the other kind ignored."""
        checks.logits(type(self).__name__, logits, "softmax")
        soft = checks.target(type(self).__name__, logits, target, "softmax")
        axis = min(1, logits.ndim - 1)
        outside = (target == self.outlier).all(axis) if soft else target == self.outlier
        labels = target if soft else target.long()
        known = torch.where(outside.unsqueeze(axis) if soft else outside, self.ignore_index, labels)
        # To the door an outlier has a label like any row: its largest class, which is not masked.
        largest = torch.where(outside, logits.detach().argmax(axis), self.ignore_index)
        inside, unknown = cast(Iterable[RowLoss], self.kinds)
        return (
            door.enter(inside, logits, known, sample_weight),
            door.enter(unknown, logits, largest, sample_weight),
        )


class _UniformCrossEntropyLoss(RowLoss):
    """Cross-entropy towards equal shares for all classes that are not masked."""

    def formula(self, sum_log_p: Tensor, count: Tensor) -> Tensor:
        return -sum_log_p / count


class EntropicOpenSetLoss(_OpenSetLoss):
    """Cross-entropy on known rows; on outliers it asks for equal probabilities, so that they end up with short
    features and small logits.

    Args:
        outlier: the target of a row that belongs to no class.

    Formula: known rows -log p_y; outliers -1/C sum_j log p_j; the mean over all of them.
    Source: Dhamija, Günther & Boult 2018, arXiv:1811.04110, eq. 1.

    >>> import torch, whyloss
    >>> whyloss.EntropicOpenSetLoss(reduction="none")(torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, -1]))
    tensor([0.1269, 1.1269])
    """

    source = "Dhamija, Günther & Boult 2018, arXiv:1811.04110, eq. 1"
    short = ("entropic-open-set",)
    equation = "-log p_y; outliers: -1/C sum_j log p_j"
    proper = None
    bounded = False
    symmetric = False
    convex = True
    separate = False


class ObjectosphereLoss(EntropicOpenSetLoss):
    """The entropic open-set loss, which also pushes the features of known rows out to a radius and those of outliers
    to 0, so that their length tells them apart.

    The call takes `features`, [N, D] (or [N, *spatial, D]): what the head makes logits of.

    Args:
        outlier: the target of a row that belongs to no class.
        xi: > 0, the radius beyond which features of known rows are left alone.
        factor: >= 0, weight of the features' term.

    Formula: entropic open-set loss + factor (max(0, xi - |f|)^2 on known rows, |f|^2 on outliers).
    Source: Dhamija, Günther & Boult 2018, arXiv:1811.04110, eq. 2.

    >>> import torch, whyloss
    >>> loss = whyloss.ObjectosphereLoss(xi=5.0, factor=1.0, reduction="none")
    >>> z, features = torch.zeros(2, 2), torch.tensor([[0.0, 3.0], [0.0, 3.0]])
    >>> loss(z, torch.tensor([0, -1]), features=features)
    tensor([4.6931, 9.6931])
    """

    xi: float = 10.0
    factor: float = 1e-4
    source = "Dhamija, Günther & Boult 2018, arXiv:1811.04110, eq. 2"
    short = ("objectosphere",)
    equation = "entropic open-set + factor (max(0, xi - |f|)^2; outliers: |f|^2)"
    reads = ("features",)

    def check(self) -> None:
        super().check()
        self.require(self.xi > 0, "xi > 0", self.xi)
        self.require(self.factor >= 0, "factor >= 0", self.factor)

    def _more(self, inside: Entered, outside: Entered, **reads: Tensor) -> Tensor:
        name, shape = type(self).__name__, inside.shape
        if set(reads) != {"features"}:
            raise TypeError(f"{name}: the call takes features=...; got {', '.join(reads) or 'nothing'}.")
        features = reads["features"]
        if features.shape[:-1] != shape:
            raise ValueError(f"{name}: features {tuple(features.shape)} but [..., D] for {tuple(shape)} is needed.")
        known, unknown = _weights(inside), _weights(outside)
        counted = (known + unknown != 0).unsqueeze(1)
        f = torch.where(counted, features.reshape(-1, features.shape[-1]).to(known.dtype), 0.0)
        square = f.square().sum(1)
        some = square > 0
        length = torch.where(some, torch.where(some, square, 1.0).sqrt(), 0.0)
        return self.factor * (known * (self.xi - length).clamp_min(0).square() + unknown * square)


def _weights(part: Entered) -> Tensor:
    """[N] what each row counts for."""
    size, dtype, device = part.shape.numel(), computing_dtype(part.z), part.z.device
    weight = torch.ones(size, dtype=dtype, device=device) if part.weight is None else part.weight.to(dtype)
    keep = part.rows.resolved().keep
    return weight if keep is None else torch.where(keep, weight, 0.0)


class OutlierExposureLoss(_OpenSetLoss):
    """Cross-entropy on known rows, and beside it on outliers a pull towards equal probabilities: a classifier that has
    seen what it does not know is less sure of other things that it does not know.

    Args:
        outlier: the target of a row that belongs to no class.
        factor: >= 0, weight of the outliers' mean.

    Formula: mean over known rows of -log p_y + factor mean over outliers of -1/C sum_j log p_j.
    Source: Hendrycks, Mazeika & Dietterich 2019, arXiv:1812.04606, section 3 and 4.3.

    >>> import torch, whyloss
    >>> whyloss.OutlierExposureLoss()(torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, -1]))
    tensor(0.6904)
    """

    factor: float = 0.5
    source = "Hendrycks, Mazeika & Dietterich 2019, arXiv:1812.04606, section 3"
    short = ("outlier-exposure", "oe")
    equation = "mean_known -log p_y + factor mean_outliers -1/C sum_j log p_j"
    proper = None
    bounded = False
    symmetric = False
    convex = True

    def strength(self) -> float:
        return self.factor

    def check(self) -> None:
        super().check()
        self.require(self.factor >= 0, "factor >= 0", self.factor)


class EnergyHingeLoss(_OpenSetLoss):
    """Cross-entropy on known rows, and two hinges on the free energy -log sum_j exp z_j: known rows below one value,
    outliers above another, so that a threshold in between tells them apart.

    Args:
        outlier: the target of a row that belongs to no class.
        inside: the energy that known rows should not exceed.
        outside: the energy that outliers should not fall below; > inside.
        factor: >= 0, weight of both hinges.

    Formula: mean over known rows of -log p_y + factor (mean over known rows of max(0, E - inside)^2 + mean over
    outliers of max(0, outside - E)^2), E = -log sum_j exp z_j. Source: Liu et al. 2020, arXiv:2010.03759, eqs. 7, 8.

    >>> import torch, whyloss
    >>> loss = whyloss.EnergyHingeLoss(inside=-3.0, outside=-1.0, factor=1.0)
    >>> loss(torch.tensor([[4.0, 4.0], [2.0, 2.0]]), torch.tensor([0, -1]))
    tensor(3.5599)
    """

    inside: float = -23.0
    outside: float = -5.0
    factor: float = 0.1
    source = "Liu et al. 2020, arXiv:2010.03759, eqs. 7, 8"
    short = ("energy",)
    equation = "mean_known -log p_y + factor (mean_known max(0, E - in)^2 + mean_outliers max(0, out - E)^2)"
    proper = None
    bounded = False
    symmetric = False

    def check(self) -> None:
        super().check()
        self.require(self.inside < self.outside, "inside < outside", (self.inside, self.outside))
        self.require(self.factor >= 0, "factor >= 0", self.factor)

    def known(self) -> RowLoss:
        return _KnownEnergyLoss(energy=self.inside, factor=self.factor)

    def unknown(self) -> RowLoss:
        return _OutlierEnergyLoss(energy=self.outside)

    def strength(self) -> float:
        return self.factor


class _KnownEnergyLoss(RowLoss):
    energy: float = 0.0
    factor: float = 1.0

    def formula(self, log_p: Tensor, lse: Tensor) -> Tensor:
        excess = (-lse - self.energy).clamp_min(0)
        return self.factor * excess * excess - log_p


class _OutlierEnergyLoss(RowLoss):
    energy: float = 0.0

    def formula(self, lse: Tensor) -> Tensor:
        lack = (self.energy + lse).clamp_min(0)
        return lack * lack

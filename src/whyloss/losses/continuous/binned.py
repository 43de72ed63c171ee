"""Regression as classification: cross-entropy over bins, with a distribution over them in place of a number.

The gradient of a row stays bounded however wrong it is, and the model says how sure it is; `Bins` turns its logits back
into numbers."""

from math import isfinite
from typing import Literal

import torch
from torch import Tensor

from whyloss.losses import by_hand, checks
from whyloss.losses.continuous.bins import Bins
from whyloss.losses.loss import Loss, Reduction
from whyloss.losses.proper.likelihood import CrossEntropyLoss
from whyloss.stats.engine import Engine
from whyloss.stats.rows import computing_dtype


class BinnedLoss(Loss):
    """A loss of numbers from logits over bins. Subclass it and write `masses`.

    Args:
        reduction: "mean" (weighted sum over the sum of weights), "sum", or "none" (one value per number).
        ignore_nan: take numbers that are NaN for missing, instead of refusing them.
        empty: the mean of nothing is "zero" (with a zero gradient) or "nan".
        validate: check the values of targets. None checks where that is cheap: on the CPU.
        engine: "auto", or one by name.

    Shapes: logits [N, B, *spatial] (or [B]) with numbers [N, *spatial] as targets."""

    reduction: Reduction = "mean"
    ignore_nan: bool = False
    empty: Literal["zero", "nan"] = "zero"
    validate: bool | None = None
    engine: Engine = "auto"

    def masses(self, values: Tensor, count: int) -> Tensor:
        """[..., B] distributions over B bins for numbers [...]."""
        raise NotImplementedError(f"{type(self).__name__} has no masses.")

    def compose(self) -> None:
        self.cross_entropy = CrossEntropyLoss(
            reduction=self.reduction, empty=self.empty, engine=self.engine, validate=False
        )

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
    ) -> Tensor:
        q, plainly = self._distribution(logits, target), sample_weight is None and normalizer is None
        if plainly and (value := by_hand.towards(self.cross_entropy, logits, q)) is not None:
            return value
        return self.cross_entropy(logits, q, sample_weight=sample_weight, normalizer=normalizer)

    def parts(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(sum of the weighted losses, sum of the weights): add both over ranks or accumulation steps, divide once."""
        return self.cross_entropy.parts(logits, self._distribution(logits, target), sample_weight)

    def _distribution(self, logits: Tensor, target: Tensor) -> Tensor:
        name = type(self).__name__
        checks.logits(name, logits, "softmax")
        shape = logits.shape[:1] + logits.shape[2:] if logits.ndim > 1 else logits.shape[:0]
        if target.shape != shape:
            raise ValueError(
                f"{name}: logits {tuple(logits.shape)} but target {tuple(target.shape)}: one number for each of "
                f"{tuple(shape)} is needed. Distributions over the bins? CrossEntropyLoss takes these."
            )
        values = target.to(computing_dtype(logits))
        axis = min(1, logits.ndim - 1)
        if self._all_finite(values):
            return self.masses(values, logits.shape[axis]).movedim(-1, axis)
        finite = torch.isfinite(values)
        if checks.looks(self, values) and not bool((finite | (values.isnan() & self.ignore_nan)).all()):
            raise ValueError(
                f"{name}: targets must be finite numbers, got {float(values[~finite][0])}. "
                "Missing ones? Pass ignore_nan=True."
            )
        masses = self.masses(torch.where(finite, values, 0.0), logits.shape[axis])
        if self.ignore_nan:
            masses = torch.where(finite.unsqueeze(-1), masses, float(self.cross_entropy.ignore_index))
        return masses.movedim(-1, axis)

    def _all_finite(self, values: Tensor) -> bool:
        """Whether one look says so, as is usual."""
        if not values.numel() or not checks.looks(self, values):
            return False
        return all(isfinite(x.item()) for x in values.detach().aminmax())

    # checks.looks asks for it; numbers have no mark but NaN
    ignore_index = -100


class HLGaussLoss(BinnedLoss):
    """Cross-entropy towards a normal distribution about the number, cut into bins: the histogram loss.

    Neighbouring bins share what they learn; sigma says over how many. A number beyond the bins counts as the bin at
    that end.

    Args:
        bins: where the bins are.
        sigma: > 0, in units of the mean bin width; 0.75 spreads a number over about six bins. Towards 0 it is one-hot.

    Formula: -sum_j (F((e_{j+1} - v) / s) - F((e_j - v) / s)) / Z log p_j. Source: Imani & White 2018, arXiv:1806.04613;
    Farebrother et al. 2024, arXiv:2403.03950, section 3.

    >>> import torch, whyloss
    >>> loss = whyloss.HLGaussLoss(bins=whyloss.Bins.uniform(0.0, 1.0, 10))
    >>> loss(torch.zeros(2, 10), torch.tensor([0.33, 5.0]))
    tensor(2.3026)
    """

    bins: Bins
    sigma: float = 0.75
    source = "Imani & White 2018, arXiv:1806.04613; Farebrother et al. 2024, arXiv:2403.03950"
    short = ("hl-gauss",)
    equation = "-sum_j (F((e_{j+1} - v) / s) - F((e_j - v) / s)) / Z log p_j"
    proper = False
    bounded = False
    convex = True

    def check(self) -> None:
        super().check()
        self.require(self.sigma > 0, "sigma > 0", self.sigma)

    def masses(self, values: Tensor, count: int) -> Tensor:
        _same(self, self.bins, count)
        width = (self.bins.edges[-1] - self.bins.edges[0]) / count
        return self.bins.gaussian(values, self.sigma * width)


class TwoHotLoss(BinnedLoss):
    """Cross-entropy towards the two support points beside the number, in the proportion that makes it their mean.

    At the optimum the mean of the prediction is the conditional mean. Targets that are distributions of numbers (C51):
    `whyloss.CrossEntropyLoss()(logits, bins.project(values, probabilities))`.

    Args:
        bins: where the support points are; a number beyond them counts as the last one.

    Formula: -(1 - a) log p_j - a log p_{j+1}, v = (1 - a) s_j + a s_{j+1}. Source: Bellemare et al. 2017,
    arXiv:1707.06887, eq. 7; for single numbers Hafner et al. 2023, arXiv:2301.04104.

    >>> import torch, whyloss
    >>> loss = whyloss.TwoHotLoss(bins=whyloss.Bins.atoms(0.0, 2.0, 3))
    >>> loss(torch.tensor([[1.0, 2.0, 0.0]]), torch.tensor([0.25]))
    tensor(1.1576)
    """

    bins: Bins
    source = "Bellemare et al. 2017, arXiv:1707.06887, eq. 7; Hafner et al. 2023, arXiv:2301.04104"
    short = ("two-hot", "c51")
    equation = "-(1 - a) log p_j - a log p_{j+1}, v = (1 - a) s_j + a s_{j+1}"
    proper = False
    bounded = False
    convex = True

    def masses(self, values: Tensor, count: int) -> Tensor:
        _same(self, self.bins, count)
        return self.bins.two_hot(values)


class DistributionFocalLoss(BinnedLoss):
    """Cross-entropy towards the two grid points beside the number: sides of boxes as distributions over 0, 1, 2, ...

    `TwoHotLoss` on the grid of detectors. In spite of its name nothing in it is focal.

    Args:
        bins: support points other than 0, 1, ..., B - 1.

    Formula: -(y_{i+1} - y) log p_i - (y - y_i) log p_{i+1}. Source: Li et al. 2020, arXiv:2006.04388, eq. 6.

    >>> import torch, whyloss
    >>> whyloss.DistributionFocalLoss()(torch.tensor([[1.0, 2.0, 0.0]]), torch.tensor([0.25]))
    tensor(1.1576)
    """

    bins: Bins | None = None
    source = "Li et al. 2020, arXiv:2006.04388, eq. 6"
    short = ("dfl",)
    equation = "-(y_{i+1} - y) log p_i - (y - y_i) log p_{i+1}"
    proper = False
    bounded = False
    convex = True

    def masses(self, values: Tensor, count: int) -> Tensor:
        if self.bins is not None:
            _same(self, self.bins, count)
            return self.bins.two_hot(values)
        # The distance to a grid point takes its share away; beyond one step nothing is left.
        place = torch.arange(count, dtype=values.dtype, device=values.device)
        return (1 - (values.clamp(0, count - 1).unsqueeze(-1) - place).abs()).clamp_min(0)


def _same(loss: Loss, bins: Bins, count: int) -> None:
    if bins.count != count:
        raise ValueError(f"{type(loss).__name__}: {count} logits but {bins.count} bins.")

"""Losses of a set of labels at once: what they compare is the logits of one sample's labels with one another.

Losses of each label by itself are row losses with the sigmoid link."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from whyloss.losses import checks, targets
from whyloss.losses.loss import Link, Loss, Reduction
from whyloss.losses.reduction import reduced
from whyloss.stats.autocast import without_autocast
from whyloss.stats.dense import computing
from whyloss.stats.each import to_infinity


class LabelSetLoss(Loss):
    """A loss of several labels at once. Subclass it and write `losses`, in plain torch.

    Args:
        weight: [L] weight of each label; 2 is the label twice.
        ignore_index: an entry with this value is unknown and counts for nothing, whatever its logit holds.
        reduction: "mean" over the samples with a known label, "sum", or "none" (one value per sample).
        empty: the mean of nothing is "zero" (with a zero gradient) or "nan".
        validate: check the values of targets. None checks where that is cheap: on the CPU.

    Shapes: logits [N, L, *spatial] (or [L]) and targets of the same shape: 0, 1 or shares in between. `sample_weight`
    is [N, *spatial] (or [N])."""

    weight: Tensor | None = None
    ignore_index: int = -100
    reduction: Reduction = "mean"
    empty: Literal["zero", "nan"] = "zero"
    validate: bool | None = None

    link: ClassVar[Link] = "sigmoid"
    highest: ClassVar[float] = 1.0  # a target may be

    def losses(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """[N] from logits [N, L] (0 where unknown) and how much each label is a yes and a no: [N, L] each, weights
        included, both 0 where unknown; float32 or float64."""
        raise NotImplementedError(f"{type(self).__name__} has no losses.")

    def check(self) -> None:
        super().check()
        for name, allowed in (("reduction", ("mean", "sum", "none")), ("empty", ("zero", "nan"))):
            self.require(getattr(self, name) in allowed, f"{name} in {allowed}", getattr(self, name))

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
    ) -> Tensor:
        losses, weights = self.each(logits, target, sample_weight)
        return reduced(losses, weights, self.reduction, normalizer, self.empty)

    def parts(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(sum of the weighted losses, sum of the weights): add both over ranks or accumulation steps, divide once."""
        losses, counts = self.each(logits, target, sample_weight)
        return losses.sum(), counts.sum()

    def each(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(weighted loss, weight) of each sample, whatever the reduction."""
        name = type(self).__name__
        checks.logits(name, logits, "sigmoid")
        checks.target(name, logits, target, "sigmoid")
        if logits.ndim == 0:
            raise ValueError(f"{name}: logits need an axis of labels, [N, L, ...] or [L], got a single number.")
        axis = min(1, logits.ndim - 1)
        shape = logits.shape[:axis] + logits.shape[axis + 1 :]
        z = computing(logits.movedim(axis, -1).reshape(-1, logits.shape[axis]))
        t = target.movedim(axis, -1).reshape(z.shape)
        alike = sample_weight is None and self.weight is None and t.dtype != torch.bool
        if alike and checks.plain_shares(self, t, self.highest):
            return self._plain(z, t.to(z.dtype), shape)
        known = t != self.ignore_index
        yes = torch.where(known, t.to(z.dtype), 0.0)
        _check_values(self, yes)
        weight = known.to(z.dtype)
        if self.weight is not None:
            if self.weight.shape != z.shape[1:]:
                raise ValueError(
                    f"{name}: weight {tuple(self.weight.shape)} but {z.shape[1]} labels: one number each is needed."
                )
            weight = weight * self.weight.to(z.dtype)
        counts = (weight != 0).any(1).to(z.dtype)
        if sample_weight is not None:
            counts = counts * _per_sample(name, sample_weight, shape).to(z.dtype)
        counted = known & (counts != 0).unsqueeze(1)
        z, weight = torch.where(counted, z, 0.0), torch.where(counted, weight, 0.0)
        with without_autocast(z.device.type):
            losses = to_infinity(self.losses(targets.finite(z), yes * weight, (1 - yes) * weight))
        losses = torch.where(counts != 0, losses * counts, 0.0)
        return losses.reshape(shape), counts.reshape(shape)

    def _plain(self, z: Tensor, yes: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
        """The same where every label is known and counts once."""
        with without_autocast(z.device.type):
            losses = to_infinity(self.losses(targets.finite(z), yes, 1 - yes))
        return losses.reshape(shape), torch.ones_like(losses).reshape(shape)


def _check_values(loss: LabelSetLoss, yes: Tensor) -> None:
    if not yes.numel() or not checks.looks(loss, yes):
        return
    wrong = (yes < 0) | (yes > loss.highest)
    if bool(wrong.any()):
        row, column = (int(i) for i in wrong.nonzero()[0])
        expected = "lie between 0 and 1" if loss.highest == 1 else "be >= 0"
        raise ValueError(
            f"{type(loss).__name__}: targets must {expected}; sample {row}, label {column} is "
            f"{float(yes[row, column]):.4g}. A mark for unknown labels? Pass it as ignore_index."
        )


def _per_sample(name: str, weight: Tensor, shape: torch.Size) -> Tensor:
    weight = torch.as_tensor(weight)
    if weight.ndim == 1 and len(shape) > 1 and weight.shape[0] == shape[0]:
        weight = weight.reshape(-1, *[1] * (len(shape) - 1))
    try:
        return weight.expand(shape).reshape(-1)
    except RuntimeError:
        raise ValueError(
            f"{name}: sample_weight {tuple(weight.shape)} does not fit samples of shape {tuple(shape)}; one weight per "
            "sample is needed."
        ) from None

"""Losses of a whole batch: ranks, correlations and confusion, which no row has by itself.

What they estimate belongs to a population, so their value changes with the batch's size and mixture. Average them over
batches of one size; there is nothing to accumulate over smaller ones."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from whyloss.losses import checks, targets
from whyloss.losses.loss import Link, Loss
from whyloss.stats.autocast import without_autocast
from whyloss.stats.dense import computing
from whyloss.stats.each import to_infinity
from whyloss.stats.rows import computing_dtype
from whyloss.stats.smoothing import one_hot


class BatchLoss(Loss):
    """A loss of a batch as a whole. Subclass it and write `value`, in plain torch.

    Args:
        ignore_index: a target with this value takes its row out, whatever the logits there hold.
        link: "softmax" (one label out of C) or "sigmoid" (every logit its own yes or no).
        empty: the value of a batch in which nothing counts is "zero" (with a zero gradient) or "nan".
        validate: check the values of targets. None checks where that is cheap: on the CPU.

    Shapes: logits [N, C, *spatial] with targets [N, *spatial] of any integer type, or soft targets shaped like the
    logits; with the sigmoid link logits [N, *labels] and targets of the same shape. The value is one number.
    `sample_weight` weighs the rows; a weight of 0 takes a row out."""

    ignore_index: int = -100
    link: Link = "softmax"
    empty: Literal["zero", "nan"] = "zero"
    validate: bool | None = None

    links: ClassVar[tuple[Link, ...]] = ("softmax", "sigmoid")
    takes_labels: ClassVar[bool] = False  # with the softmax link `value` gets labels, [N], where targets are labels

    def value(self, *args: Any, **kwargs: Any) -> Tensor:
        """value(logits, target, weight): one number.

        Softmax link: logits [N, C], target distributions [N, C], weights [N]. Sigmoid link: logits, targets in [0, 1]
        and weights, [N, L] each. Where a weight is 0 the logits are 0 and the target means nothing. Some weight is not
        0."""
        raise NotImplementedError(f"{type(self).__name__} has no value.")

    def check(self) -> None:
        super().check()
        self.require(self.link in self.links, f"link in {self.links}", self.link)
        self.require(self.empty in ("zero", "nan"), "empty in ('zero', 'nan')", self.empty)

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
        **reads: Tensor,
    ) -> Tensor:
        name, dtype = type(self).__name__, computing_dtype(logits)
        if normalizer is not None:
            raise ValueError(f"{name} is the loss of a batch, not a mean over rows: it has no normalizer.")
        if set(reads) != set(self.reads):
            wanted = ", ".join(f"{n}=..." for n in self.reads) or "nothing besides logits and target"
            raise TypeError(f"{name}: the call takes {wanted}; got {', '.join(reads) or 'nothing'}.")
        checks.logits(name, logits, self.link)
        soft = checks.target(name, logits, target, self.link)
        z, t, keep = (
            _of_labels(self, logits, target) if self.link == "sigmoid" else _of_rows(self, logits, target, soft)
        )
        shape = torch.Size((*logits.shape[:1], *logits.shape[2:])) if self.link == "softmax" else logits.shape
        if logits.ndim == 1 and self.link == "softmax":
            shape = torch.Size(())
        given = targets.sample_weight(name, sample_weight, shape, dtype)
        weight = torch.ones(z.shape[:1] if self.link == "softmax" else z.shape, dtype=dtype, device=z.device)
        if given is None and keep is None and z.numel():
            with without_autocast(z.device.type):
                return to_infinity(self.value(z, t, weight, **reads))
        if given is not None:
            weight = weight * given.reshape(weight.shape)
        weight = weight if keep is None else torch.where(keep, weight, 0.0)
        counted = weight != 0
        some = counted.any()
        if keep is not None or given is not None:
            z = torch.where(counted if self.link == "sigmoid" else counted.unsqueeze(1), z, 0.0)
        # With nothing in the batch, `value` sees a batch of equal rows and its result is not used.
        seen = torch.where(some, weight, 1.0)
        with without_autocast(z.device.type):
            value = to_infinity(self.value(z, t, seen, **reads))
        return torch.where(some, value, value.detach().nan_to_num() * 0 + (torch.nan if self.empty == "nan" else 0.0))


def _of_rows(loss: BatchLoss, logits: Tensor, target: Tensor, soft: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    z = computing(targets.side_by_side(logits))
    label, mix, keep = targets.of_softmax(loss, target, soft, z.shape[1], z.dtype)
    if loss.takes_labels and label is not None:
        return z, label, keep
    q = mix if mix is not None else one_hot(targets.known(label), z.shape[1], z.dtype)
    return z, q, keep


def _of_labels(loss: BatchLoss, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    z = targets.finite(computing(logits.reshape(len(logits), -1) if logits.ndim > 1 else logits.reshape(-1, 1)))
    label, mix, keep = targets.of_sigmoid(loss, target, target.is_floating_point(), z.dtype)
    t = (mix if mix is not None else targets.known(label)).to(z.dtype).reshape(z.shape)
    return z, t, None if keep is None else keep.reshape(z.shape)

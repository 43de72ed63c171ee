"""Row losses that need more of a row than sums: sorted logits, cumulative distributions, projections.

They keep the face of `RowLoss` and run as plain differentiable torch, on any device."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from whyloss.losses import by_hand, checks, targets
from whyloss.losses.adjust import Adjustment
from whyloss.losses.loss import LabelledLoss
from whyloss.losses.rows import Entered
from whyloss.stats import engine
from whyloss.stats.autocast import without_autocast
from whyloss.stats.dense import computing
from whyloss.stats.each import to_infinity
from whyloss.stats.rows import Rows, computing_dtype
from whyloss.stats.smoothing import Smoothing, one_hot


class WholeRowLoss(LabelledLoss):
    """A loss of whole rows. Subclass it and write `losses`, in plain torch.

    Options and shapes are those of `LabelledLoss`. With the sigmoid link each logit z is the row (0, z).

    A soft target is handed to `losses` as it is: where a loss is no mixture of its values at the labels, the docstring
    says what it makes of a distribution. Class weights multiply the loss of a row, by the mean weight of its target.

    A loss that remembers what it has seen (`stateful`) keeps it in buffers, and writes to them in `before` or `after`.

    >>> import torch, whyloss
    >>> class Distance(whyloss.WholeRowLoss):
    ...     def losses(self, logits, target):
    ...         return (logits.softmax(1).cumsum(1) - target.cumsum(1)).abs().sum(1)
    >>> Distance()(torch.zeros(1, 4), torch.tensor([0]))
    tensor(1.5000)
    """

    takes_labels: ClassVar[bool] = False  # where targets are labels, `losses` gets these, [N], and no distributions
    takes_odds: ClassVar[bool] = False  # with the sigmoid link `losses` gets logits and shares of yes, [N] each

    def losses(self, *args: Any, **kwargs: Any) -> Tensor:
        """losses(logits, target, **reads): [N] from logits [N, C], minus infinity where a class is masked, and target
        distributions [N, C], both float32 or float64. reads: what the call took besides, [N] each (or [N, ...])."""
        raise NotImplementedError(f"{type(self).__name__} has no losses.")

    def before(self, *args: Any, **kwargs: Any) -> None:
        """before(logits, target, counted, **reads): takes note of a batch that is trained on, before its loss is
        computed. counted: [N], 1 for a row that counts and 0 for one that does not. Without gradients."""

    def after(self, *args: Any, **kwargs: Any) -> None:
        """The same once the loss is computed. What is written in place must not be what `losses` differentiates."""

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
        **reads: Tensor,
    ) -> Tensor:
        plainly = sample_weight is None and normalizer is None and not reads
        if plainly and (value := by_hand.reduced(self, logits, target)) is not None:
            return value
        return self.enter(logits, target, sample_weight, reads).reduced(self.reduction, normalizer)

    def parts(
        self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None, **reads: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(sum of the weighted losses, sum of the weights): add both over ranks or accumulation steps, divide once."""
        return self.enter(logits, target, sample_weight, reads).parts()

    def enter(
        self, logits: Tensor, target: Tensor, sample_weight: Tensor | None, reads: Mapping[str, Tensor]
    ) -> "Whole":
        """The rows. Losses whose logits are not one a class change here what comes to the door."""
        return enter(self, logits, target, sample_weight, reads)

    def each(
        self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None, **reads: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(weighted loss, weight) of each row, whatever the reduction; both 0 for rows that are ignored."""
        return self.enter(logits, target, sample_weight, reads).each()


@dataclass
class Whole(Entered):
    """Rows with their target distributions. `weight` is what each counts for in the mean, `factor` in the sum."""

    target: Tensor = field(default_factory=lambda: torch.empty(0))
    factor: Tensor | None = None
    reads: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])

    def _run(self, run: Any, share: Tensor | None = None) -> Tensor:
        loss: Any = self.loss
        with without_autocast(self.z.device.type):
            self._noted(loss.before)
            each = loss.losses(self.z, self.target, **self.reads)
            self._noted(loss.after)
        if loss.link == "sigmoid":
            each = to_infinity(each)
        if self.factor is not None:
            each = each * self.factor
        if self.rows.keep is not None:
            each = torch.where(self.rows.keep, each, 0.0)
        if run is engine.each:
            return each
        return each.sum() if share is None else each.sum() * share

    def _noted(self, note: Any) -> None:
        if not (self.loss.stateful and self.loss.training):
            return
        keep = self.rows.keep
        with torch.no_grad():
            counted = torch.ones_like(self.z[:, 0]) if keep is None else keep.to(self.z.dtype)
            note(self.z, self.target, counted, **self.reads)


def enter(
    loss: WholeRowLoss,
    logits: Tensor,
    target: Tensor,
    sample_weight: Tensor | None,
    reads: Mapping[str, Tensor],
) -> Whole:
    """The door for whole rows: what every option means is what it means for `RowLoss`."""
    name, dtype, binary = type(loss).__name__, computing_dtype(logits), loss.link == "sigmoid"
    checks.logits(name, logits, loss.link)
    soft = checks.target(name, logits, target, loss.link)
    shape = logits.shape if binary else torch.Size((*logits.shape[:1], *logits.shape[2:]))
    if logits.ndim == 1 and not binary:
        shape = torch.Size(())
    z = computing(targets.as_rows(logits, loss.link) if binary else targets.side_by_side(logits))
    as_odds = binary and loss.takes_odds and loss.weight is None and not loss.label_smoothing and loss.adjust is None
    if binary:
        z = targets.finite(z)
        label, mix, keep = targets.of_sigmoid(loss, target, soft, dtype)
        if not as_odds:
            z = torch.stack([torch.zeros_like(z), z], 1)
            mix = None if mix is None else torch.stack([1 - mix, mix], 1)
    else:
        label, mix, keep = targets.of_softmax(loss, target, soft, z.shape[1], dtype)
    # Of labels no distribution is made where the loss can do without.
    as_labels = loss.takes_labels and mix is None and not loss.label_smoothing
    as_labels = as_labels and (loss.adjust is None or loss.adjust.margin is None)
    if as_odds:
        q = mix if mix is not None else targets.known(label).to(dtype)
    elif as_labels:
        q = targets.known(label).long()
    else:
        q = mix if mix is not None else one_hot(targets.known(label).long(), z.shape[1], dtype)
    per_sample = targets.sample_weight(name, sample_weight, shape, dtype)
    class_weight = targets.class_weight(loss, logits, dtype)
    of_classes = targets.of_classes(label, mix, class_weight)
    if loss.adjust is not None:
        counted = keep if per_sample is None else targets.both(keep, per_sample != 0)
        z = adjusted(loss.adjust, z if counted is None else torch.where(counted.unsqueeze(1), z, 0.0), q)
    if loss.label_smoothing:
        live = torch.ones_like(z) if binary else targets.live(z, None, dtype)
        q = Smoothing(loss.label_smoothing, loss.smoothing_over).spread(q, live)
    landed = of_classes
    if class_weight is not None and loss.label_smoothing and loss.smoothing_weight == "class":
        landed = (q * class_weight).sum(1)
    factor, counts_for = _product(landed, per_sample), _product(of_classes, per_sample)
    if factor is not None:
        keep = targets.both(keep, factor != 0)
    if binary and loss.takes_odds and not as_odds:
        z, q = z[:, 1] - z[:, 0], q[:, 1]
    if keep is not None:
        z = torch.where(keep if z.ndim == 1 else keep.unsqueeze(1), z, 0.0)
    rows = Rows(names=(), formula=loss.losses, label=None, keep=keep)
    read = {n: _safe(x, keep, dtype) for n, x in _reads(loss, reads, shape).items()}
    return Whole(loss, z, rows, counts_for, shape, target=q, factor=factor, reads=read)


def _product(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return a if b is None else b if a is None else a * b


def adjusted(adjust: Adjustment, z: Tensor, q: Tensor) -> Tensor:
    """The rows after an adjustment, for targets q."""
    z = adjust.rewritten(z)
    if adjust.shift is not None:
        z = z + adjust.shift.to(z.dtype)
    if adjust.margin is not None:
        z = z - q * adjust.margin.to(z.dtype)
    scale = adjust.scale_in(z.dtype)
    return z if scale is None else z * scale


def _safe(read: Tensor, keep: Tensor | None, dtype: torch.dtype) -> Tensor:
    """In the dtype of the logits, and 0 where the row does not count, whatever it holds there."""
    read = read.to(dtype) if read.is_floating_point() else read
    return read if keep is None else torch.where(keep.reshape(-1, *[1] * (read.ndim - 1)), read, 0)


def _reads(loss: WholeRowLoss, reads: Mapping[str, Tensor], shape: torch.Size) -> dict[str, Tensor]:
    """What the call took besides, one entry a row."""
    name = type(loss).__name__
    if set(reads) != set(loss.reads):
        wanted = ", ".join(f"{n}=..." for n in loss.reads) or "nothing besides logits and target"
        raise TypeError(f"{name}: the call takes {wanted}; got {', '.join(reads) or 'nothing'}.")
    for key, value in reads.items():
        if value.shape[: len(shape)] != shape:
            raise ValueError(f"{name}: {key} {tuple(value.shape)} but one entry for each of {tuple(shape)} is needed.")
    return {key: value.reshape(-1, *value.shape[len(shape) :]) for key, value in reads.items()}

"""The door: labels, soft labels, pixels, multi-label, ignored rows and weights become rows; losses become a reduction.

The one file that knows what each option means at every edge. On the way in: what came is checked, the class axis moves
last, targets become labels or a mixture of labels, weights and ignored rows become one number and one flag a row."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from whyloss.losses import checks
from whyloss.stats import engine, linear
from whyloss.stats.linear import Head
from whyloss.stats.rows import Rows, computing_dtype, flat
from whyloss.stats.smoothing import Smoothing, one_hot

if TYPE_CHECKING:
    from whyloss.losses.loss import RowLoss


@dataclass
class Entered:
    """A loss on its way: logits as rows, the rows' description, what each row weighs, and the shape to go back to."""

    loss: "RowLoss"
    z: Tensor  # [N, C], or [N] with the sigmoid link; [N, C, P] where engines read pixels as they lie
    rows: Rows
    weight: Tensor | None  # [N] what each row counts for in the mean; None: 1
    shape: torch.Size
    head: Head | None = None  # where the logits come from, if they do not exist; `z` then only has their shape

    def reduced(self, reduction: str, normalizer: float | Tensor | None) -> Tensor:
        if reduction != "mean" and normalizer is not None:
            raise ValueError(
                f"normalizer replaces the denominator of reduction='mean'; the reduction is {reduction!r}."
            )
        if reduction == "none":
            return self._run(engine.each).reshape(self.shape)
        if reduction == "sum":
            return self._run(engine.total)
        if normalizer is not None:
            divisor = torch.as_tensor(normalizer, dtype=computing_dtype(self.z), device=self.z.device)
            return self._run(engine.total, 1 / divisor)
        # Where nothing counted the value is 0 that still has a graph, or NaN, if asked for.
        empty = torch.nan if self.loss.empty == "nan" else 0.0
        if self.weight is None and self.rows.keep is None and self.rows.ignore is None:
            count = self.shape.numel()
            share = 1 / count if count else empty
            return self._run(engine.total, torch.full((), share, dtype=computing_dtype(self.z), device=self.z.device))
        if (share := engine.share(self.rows, empty, computing_dtype(self.z))) is not None:
            return self._run(engine.total, share)
        counted = self._counted()
        nothing = counted == 0
        return self._run(engine.total, torch.where(nothing, empty, 1 / torch.where(nothing, 1.0, counted)))

    def parts(self) -> tuple[Tensor, Tensor]:
        return self._run(engine.total), self._counted()

    def _run(self, run: Any, share: Tensor | None = None) -> Tensor:
        with _without_autocast(self.z.device.type):
            if self.head is not None:
                through = linear.total if run is engine.total else linear.each
                return through(self.head, self.rows, self.loss.engine, *(() if share is None else (share,)))
            return run(self.z, self.rows, self.loss.engine, *(() if share is None else (share,)))

    def _counted(self) -> Tensor:
        dtype = computing_dtype(self.z)
        if self.weight is not None:
            weight = self.weight if self.rows.keep is None else torch.where(self.rows.keep, self.weight, 0.0)
            return weight.sum().to(dtype)
        if (keep := self.rows.resolved().keep) is not None:
            return keep.sum().to(dtype)
        return torch.tensor(self.shape.numel(), dtype=dtype, device=self.z.device)


def _without_autocast(device: str) -> AbstractContextManager[Any]:
    # Made only where it does something: entering it takes as long as several operations on a small batch.
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


def enter(loss: "RowLoss", logits: Tensor, target: Tensor, sample_weight: Tensor | None) -> Entered:
    """Checks what came and turns it into rows."""
    name = type(loss).__name__
    checks.logits(name, logits, loss.link)
    soft = checks.target(name, logits, target, loss.link)
    shape = logits.shape if loss.link == "sigmoid" else torch.Size((*logits.shape[:1], *logits.shape[2:]))
    if logits.ndim == 1 and loss.link == "softmax":
        shape = torch.Size(())
    planes = logits.ndim > 2 and loss.link == "softmax" and not soft and engine.reads_planes(logits, loss.engine)
    z, dtype = logits.flatten(2) if planes else _as_rows(logits, loss.link), computing_dtype(logits)
    raw = not soft and sample_weight is None and _looked_at_by_kernels(loss, logits)
    if loss.link == "sigmoid":
        label, mix, keep = _binary_target(loss, target, soft, dtype)
    elif raw:
        label, mix, keep = target.reshape(-1).long(), None, None
    else:
        label, mix, keep = _target(loss, target, soft, z.shape[1], dtype)
    per_sample = _sample_weight(name, sample_weight, shape, dtype)
    class_weight = _class_weight(loss, logits, dtype)
    rows, counts_for = _weighted(loss, z, label, mix, per_sample, class_weight, keep)
    if raw:
        rows = replace(rows, ignore=loss.ignore_index)
    return Entered(loss, z if rows.mix is None else flat(z) if planes else z, rows, counts_for, shape)


def _looked_at_by_kernels(loss: "RowLoss", logits: Tensor) -> bool:
    """Whether labels may go to the kernels as they came: these see themselves which are ignored, and what would be
    done about them here takes longer than a small loss."""
    short = loss.averaged is not None and (loss.adjust is None or loss.adjust.margin is None)
    plain = loss.link == "softmax" and loss.weight is None and not loss.normalized
    return (
        plain
        and (short or not loss.label_smoothing)
        and engine.looks_at_labels(logits, loss.engine)
        and not checks.looks(loss, logits)
    )


def enter_linear(
    loss: "RowLoss",
    hidden: Tensor,
    weight: Tensor,
    target: Tensor,
    bias: Tensor | None,
    sample_weight: Tensor | None,
    softcap: float | None,
    memory: int | None,
) -> Entered:
    """The same for logits that are never made: what stands in for them has their shape and takes no memory."""
    checks.head(type(loss).__name__, hidden, weight, bias, softcap, memory)
    if torch.is_autocast_enabled(hidden.device.type):
        dtype = torch.get_autocast_dtype(hidden.device.type)
        hidden, weight = hidden.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    checks.one_dtype(type(loss).__name__, hidden, weight, bias)
    binary = loss.link == "sigmoid"
    shape = (*hidden.shape[:-1], weight.shape[0])
    flat = hidden.reshape(-1, hidden.shape[-1])
    # A class that the bias masks out (minus infinity) is masked for label smoothing too.
    stand_in = hidden.new_zeros(()) if bias is None or binary else bias.detach()
    if binary:
        entered = enter(loss, stand_in.expand(shape), target, sample_weight)
    else:
        labels = hidden.shape[:-1]
        rows_of_target = (
            target.reshape(-1) if target.shape == labels else target.reshape(-1, *target.shape[len(labels) :])
        )
        per_row = _sample_weight(type(loss).__name__, sample_weight, labels, computing_dtype(hidden))
        entered = enter(loss, stand_in.expand(flat.shape[0], shape[-1]), rows_of_target, per_row)
        entered.shape = labels
    entered.head = Head(flat, weight, bias, softcap, binary, memory, loss.engine)
    return entered


def _as_rows(logits: Tensor, link: str) -> Tensor:
    if link == "sigmoid":
        return logits.reshape(-1)
    if logits.ndim == 1:
        return logits.unsqueeze(0)
    return logits if logits.ndim == 2 else logits.movedim(1, -1).reshape(-1, logits.shape[1])


def _target(
    loss: "RowLoss", target: Tensor, soft: bool, classes: int, dtype: torch.dtype
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """(label, soft target, keep) with ignored labels made harmless."""
    if soft:
        mix = _as_rows(target, "softmax").to(dtype)
        if not checks.worth_masking(mix[:, 0] == loss.ignore_index):
            checks.distribution(loss, mix, None, target.dtype)
            return None, mix, None
        ignored = (mix == loss.ignore_index).all(1)
        checks.distribution(loss, mix, ignored, target.dtype)
        return None, torch.where(ignored.unsqueeze(1), 0.0, mix), ~ignored
    label = target.reshape(-1).long()
    if checks.plain_labels(loss, label, classes):
        return label, None, None
    ignored = label == loss.ignore_index
    checks.labels(loss, label, ignored, classes)
    return torch.where(ignored, 0, label), None, ~ignored if checks.worth_masking(ignored) else None


def _binary_target(
    loss: "RowLoss", target: Tensor, soft: bool, dtype: torch.dtype
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    flat = target.reshape(-1)
    if flat.dtype == torch.bool or (soft and checks.zeros_and_ones(loss, flat)):
        return flat, None, None
    if soft and checks.plain_shares(loss, flat):
        return None, flat.to(dtype), None
    flat = flat if soft else flat.long()
    if not soft and checks.plain_labels(loss, flat, 2):
        return flat, None, None
    ignored = flat == loss.ignore_index
    keep = ~ignored if checks.worth_masking(ignored) else None
    if not soft:
        checks.labels(loss, flat, ignored, 2)
        return torch.where(ignored, 0, flat), None, keep
    positive = torch.where(ignored, 0.0, flat.to(dtype))
    checks.distribution(loss, torch.stack([1 - positive, positive], 1), ignored, target.dtype)
    return None, positive, keep


def _sample_weight(name: str, weight: Tensor | None, shape: torch.Size, dtype: torch.dtype) -> Tensor | None:
    if weight is None:
        return None
    weight = torch.as_tensor(weight).to(dtype)
    # One weight per image: [N] beside [N, H, W].
    if weight.ndim == 1 and len(shape) > 1 and weight.shape[0] == shape[0]:
        weight = weight.reshape(-1, *[1] * (len(shape) - 1))
    try:
        return weight.expand(shape).reshape(-1)
    except RuntimeError:
        raise ValueError(
            f"{name}: sample_weight {tuple(weight.shape)} does not fit targets of shape {tuple(shape)}; one weight per "
            "target, or one per sample of the batch, is needed."
        ) from None


def _weighted(
    loss: "RowLoss",
    z: Tensor,
    label: Tensor | None,
    mix: Tensor | None,
    per_sample: Tensor | None,
    class_weight: Tensor | None,
    keep: Tensor | None,
) -> tuple[Rows, Tensor | None]:
    """Class weights, smoothing and the formula, put together; and what each row counts for in the mean."""
    own, average = loss.formulas()
    adjust, table, eps, dtype = loss.adjust, loss.argument("table"), loss.label_smoothing, computing_dtype(z)
    shift = None if adjust is None or adjust.shift is None else adjust.shift.to(dtype)
    margin = None if adjust is None or adjust.margin is None else adjust.margin.to(dtype)
    if (
        mix is not None
        and mix.ndim == 1
        and (eps or class_weight is not None or loss.offset(mix.new_zeros(1, 2)) is not None)
    ):
        mix = torch.stack([1 - mix, mix], 1)
    of_classes = _of_classes(label, mix, class_weight)
    counts_for = of_classes if per_sample is None else per_sample if of_classes is None else of_classes * per_sample
    # The short form knows one distribution for all labels; a margin makes another of it for each.
    short = mix is None and margin is None and (class_weight is None or loss.smoothing_weight == "sample")
    names, formula, key = own.names, own.function, own.key()
    smoothing, offset = None, None
    if eps and short and average is not None:
        names, formula = _smoothed(loss, own, average, eps)
        keys = (key, average.key())
        key = None if None in keys else (*keys, eps, loss.smoothing_over)
    elif mix is not None and mix.ndim == 1:
        pass  # shares of yes, as they came
    elif eps or mix is not None:
        smoothing = Smoothing(eps, loss.smoothing_over, class_weight, loss.smoothing_weight)
        if loss.link == "sigmoid" or loss.offset(torch.ones(1, 1)) is not None:
            classes = 2 if loss.link == "sigmoid" else z.shape[1]
            q = mix if mix is not None else one_hot(_known(label), classes, dtype)
            live = torch.ones_like(q) if loss.link == "sigmoid" or not eps else _live(flat(z), shift, dtype)
            mix = smoothing.mix(q, live)
            offset = loss.offset(smoothing.spread(q, live))
            if offset is not None and class_weight is not None:
                offset = offset * mix.sum(1)
            label, smoothing = None, None
            if class_weight is not None:
                keep = _and(keep, (mix != 0).any(1))
        elif class_weight is not None:
            # Weights of 0 on all that a target asks for take its row out.
            asked = class_weight.any() if eps and loss.smoothing_weight == "class" else None
            keep = _and(keep, _known(of_classes) != 0 if asked is None else asked.expand_as(_known(of_classes)))
        elif not eps:
            smoothing = None
    short = mix is None and smoothing is None
    row_weight = counts_for if short else per_sample
    if row_weight is not None:
        keep = _and(keep, row_weight != 0)
    rows = Rows(
        names=names,
        formula=formula,
        label=label,
        mix=mix,
        smoothing=smoothing,
        weight=row_weight,
        keep=keep,
        shift=shift,
        scale=None if adjust is None or adjust.scale == 1 else adjust.scale,
        margin=margin,
        table=None if table is None else table.to(dtype),
        power=loss.argument("power"),
        normalized=loss.normalized,
        inplace=loss.inplace,
        offset=offset,
        learnable=bool(loss._parameters or loss._modules) and any(p.requires_grad for p in loss.parameters()),  # pyright: ignore[reportPrivateUsage]
        key=key,
    )
    return rows, counts_for


def _of_classes(label: Tensor | None, mix: Tensor | None, class_weight: Tensor | None) -> Tensor | None:
    """[N] the class weight of each row's label, or of its mixture of labels."""
    if class_weight is None:
        return None
    if mix is None:
        return _pick(class_weight, _known(label))
    return (mix * class_weight).sum(1)


def _known(x: Tensor | None) -> Tensor:
    assert x is not None
    return x


def _live(z: Tensor, shift: Tensor | None, dtype: torch.dtype) -> Tensor:
    """1 for a class that is not masked, else 0."""
    return (~torch.isneginf(z if shift is None else z + shift)).to(dtype)


def _and(keep: Tensor | None, counted: Tensor) -> Tensor:
    return counted if keep is None else keep & counted


def _class_weight(loss: "RowLoss", logits: Tensor, dtype: torch.dtype) -> Tensor | None:
    """[C], or with the sigmoid link [2], or [N, 2] for N logits."""
    if loss.weight is None:
        return None
    weight = loss.weight.to(dtype)
    if loss.link == "softmax":
        checks.class_weight(loss, weight, logits.shape[min(1, logits.ndim - 1)])
        return weight
    checks.class_weight(loss, weight, 2)
    if weight.ndim == 1:
        return weight
    try:
        return weight.expand(*logits.shape, 2).reshape(-1, 2)
    except RuntimeError:
        raise ValueError(
            f"{type(loss).__name__}: weight {tuple(weight.shape)} does not fit logits {tuple(logits.shape)}; but for "
            "its last axis, (negative, positive), it must broadcast to them."
        ) from None


def _pick(class_weight: Tensor, label: Tensor) -> Tensor:
    label = label.long()  # of the sigmoid link it may be anything that holds 0 and 1
    return class_weight[label] if class_weight.ndim == 1 else class_weight.gather(1, label.unsqueeze(1)).squeeze(1)


def _smoothed(loss: "RowLoss", own: Any, average: Any, eps: float) -> tuple[tuple[str, ...], Any]:
    """Smoothing by the short form: (1 - eps) loss(y) + eps * mean over the labels, or over the other labels."""
    names = tuple(dict.fromkeys((*own.names, *average.names, "count")))

    def over_all(**s: Tensor) -> Tensor:
        return (1 - eps) * own(s) + eps * average(s)

    def over_others(**s: Tensor) -> Tensor:
        here = own(s)
        return (1 - eps) * here + eps * (s["count"] * average(s) - here) / (s["count"] - 1).clamp_min(1)

    return names, over_all if loss.smoothing_over == "all" else over_others

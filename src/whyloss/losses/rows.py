"""The door: labels, soft labels, pixels, multi-label, ignored rows and weights become rows; losses become a reduction.

The one file that knows what each option means at every edge. On the way in: what came is checked, the class axis moves
last, targets become labels or a mixture of labels, weights and ignored rows become one number and one flag a row."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from whyloss.losses import checks, targets
from whyloss.stats import engine, linear, sharded
from whyloss.stats.autocast import without_autocast
from whyloss.stats.heads import Head
from whyloss.stats.meeting import Met, meet
from whyloss.stats.rows import Rows, computing_dtype, flat
from whyloss.stats.shard import Shard, shard_of
from whyloss.stats.smoothing import Smoothing, one_hot

if TYPE_CHECKING:
    from whyloss.losses.loss import LabelledLoss, RowLoss


@dataclass
class Entered:
    """A loss on its way: logits as rows, the rows' description, what each row weighs, and the shape to go back to."""

    loss: "LabelledLoss"
    z: Tensor  # [N, C], or [N] with the sigmoid link; [N, C, P] where engines read pixels as they lie
    rows: Rows
    weight: Tensor | None  # [N] what each row counts for in the mean; None: 1
    shape: torch.Size
    chosen: engine.Engine = "auto"
    head: Head | None = None  # where the logits come from, if they do not exist; `z` then only has their shape
    shard: Shard | None = None  # which of the classes `z` has, if others have the rest
    met: Met | None = None  # what those have told, where every class may be the label

    def reduced(self, reduction: str, normalizer: float | Tensor | None) -> Tensor:
        share = self.share(reduction, normalizer)
        return self._run(engine.each).reshape(self.shape) if reduction == "none" else self._run(engine.total, share)

    def share(self, reduction: str, normalizer: float | Tensor | None) -> Tensor | None:
        """What a reduction multiplies the sum of the losses by; None: nothing."""
        if reduction != "mean" and normalizer is not None:
            raise ValueError(
                f"normalizer replaces the denominator of reduction='mean'; the reduction is {reduction!r}."
            )
        if reduction != "mean":
            return None
        dtype = computing_dtype(self.z)
        if normalizer is not None:
            return 1 / torch.as_tensor(normalizer, dtype=dtype, device=self.z.device)
        # Where nothing counted the value is 0 that still has a graph, or NaN, if asked for.
        empty = torch.nan if self.loss.empty == "nan" else 0.0
        if self.weight is None and self.rows.keep is None and self.rows.ignore is None:
            count = self.shape.numel()
            return torch.full((), 1 / count if count else empty, dtype=dtype, device=self.z.device)
        if (share := engine.share(self.rows, empty, dtype)) is not None:
            return share
        counted = self._counted()
        nothing = counted == 0
        return torch.where(nothing, empty, 1 / torch.where(nothing, 1.0, counted))

    def parts(self) -> tuple[Tensor, Tensor]:
        return self._run(engine.total), self._counted()

    def each(self) -> tuple[Tensor, Tensor]:
        """The weighted loss of each row, and what it counts for in the mean; both 0 for rows that are ignored."""
        losses, keep = self._run(engine.each), self.rows.resolved().keep
        weight = torch.ones_like(losses) if self.weight is None else self.weight
        weight = weight if keep is None else torch.where(keep, weight, 0.0)
        return losses.reshape(self.shape), weight.reshape(self.shape)

    def _run(self, run: Any, share: Tensor | None = None) -> Tensor:
        with without_autocast(self.z.device.type):
            if self.head is not None:
                through = linear.total if run is engine.total else linear.each
                return through(self.head, (self.rows, share))
            if self.shard is not None:
                through = sharded.total if run is engine.total else sharded.each
                return through(self._logits(), self.rows, self.shard, self.met, *(() if share is None else (share,)))
            return run(self._logits(), self.rows, self.chosen, *(() if share is None else (share,)))

    def _logits(self) -> Tensor:
        """The logits, after what an adjustment makes of a row of them. Ignored rows may hold anything."""
        return _rewritten(self.loss, self.z, self.rows)

    def _counted(self) -> Tensor:
        dtype = computing_dtype(self.z)
        if self.weight is not None:
            weight = self.weight if self.rows.keep is None else torch.where(self.rows.keep, self.weight, 0.0)
            return weight.sum().to(dtype)
        if (keep := self.rows.resolved().keep) is not None:
            return keep.sum().to(dtype)
        return torch.tensor(self.shape.numel(), dtype=dtype, device=self.z.device)


def of_one_head(entered: list[Entered]) -> bool:
    """Whether losses of hidden states can be had from the same logits, and come as one number each, or one a row."""
    kinds = set[Any]()
    for one in entered:
        assert one.head is not None
        kinds.add((one.head.softcap, one.head.binary, one.head.engine, one.head.change, one.loss.reduction == "none"))
    return len(kinds) == 1


def together(entered: list[Entered], factors: tuple[float, ...], normalizer: float | Tensor | None) -> Tensor:
    """The weighted sum of losses of one head, whose logits are made once for all of them."""
    first, terms = entered[0], list[tuple[Rows, Tensor]]()
    assert first.head is not None
    for one, factor in zip(entered, factors, strict=True):
        share = one.share(one.loss.reduction, normalizer)
        share = torch.ones((), dtype=computing_dtype(one.z), device=one.z.device) if share is None else share
        terms.append((one.rows, factor * share))
    with without_autocast(first.z.device.type):
        if first.loss.reduction == "none":
            return linear.each(first.head, *terms).reshape(first.shape)
        return linear.total(first.head, *terms)


def _rewritten(loss: "LabelledLoss", z: Tensor, rows: Rows | None = None) -> Tensor:
    adjust = loss.adjust
    if adjust is None or not adjust.rewrites:
        return z
    z, keep = z.to(computing_dtype(z)), None if rows is None else rows.resolved().keep
    if keep is not None:
        kept = keep if z.ndim == 1 else keep.reshape(len(z), 1, *z.shape[2:])
        z = torch.where(kept, z, 0.0)
    return adjust.rewritten(z)


def enter(loss: "RowLoss", logits: Tensor, target: Tensor, sample_weight: Tensor | None, whole: bool = True) -> Entered:
    """Checks what came and turns it into rows. whole: whether what a row has for each class may be made here."""
    name = type(loss).__name__
    checks.logits(name, logits, loss.link)
    soft = checks.target(name, logits, target, loss.link)
    shape = logits.shape if loss.link == "sigmoid" else torch.Size((*logits.shape[:1], *logits.shape[2:]))
    if logits.ndim == 1 and loss.link == "softmax":
        shape = torch.Size(())
    planes = logits.ndim > 2 and loss.link == "softmax" and not soft and engine.reads_planes(logits, loss.engine)
    z, dtype = logits.flatten(2) if planes else targets.as_rows(logits, loss.link), computing_dtype(logits)
    raw = sample_weight is None and _looked_at_by_kernels(loss, logits, target, soft)
    if raw:
        label, mix, keep = (None, target.reshape(-1), None) if soft else (target.reshape(-1).long(), None, None)
    elif loss.link == "sigmoid":
        label, mix, keep = targets.of_sigmoid(loss, target, soft, dtype)
    else:
        label, mix, keep = targets.of_softmax(loss, target, soft, z.shape[1], dtype)
    per_sample = targets.sample_weight(name, sample_weight, shape, dtype)
    class_weight = targets.class_weight(loss, logits, dtype)
    rows, counts_for = _weighted(loss, z, label, mix, per_sample, class_weight, keep, whole)
    if raw:
        rows = replace(rows, ignore=loss.ignore_index)
    return Entered(loss, z if rows.mix is None else flat(z) if planes else z, rows, counts_for, shape, loss.engine)


def _looked_at_by_kernels(loss: "RowLoss", logits: Tensor, target: Tensor, soft: bool) -> bool:
    """Whether targets may go to the kernels as they came: these see themselves which are ignored, and what would be
    done about them here takes longer than a small loss."""
    if loss.link == "softmax":
        short = loss.averaged is not None and (loss.adjust is None or loss.adjust.margin is None)
        plain = not soft and not loss.normalized and (short or not loss.label_smoothing)
    else:
        plain = target.dtype != torch.bool and not loss.label_smoothing and not (soft and _has_offset(loss))
    return (
        plain and loss.weight is None and engine.looks_at_labels(logits, loss.engine) and not checks.looks(loss, logits)
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
    hidden, weight, bias = head_of(loss, hidden, weight, bias, softcap, memory)
    binary = loss.link == "sigmoid"
    shape = (*hidden.shape[:-1], weight.shape[0])
    flat = hidden.reshape(-1, hidden.shape[-1])
    # A class that the bias masks out (minus infinity) is masked for label smoothing too.
    stand_in = hidden.new_zeros(()) if bias is None or binary else bias.detach()
    if binary:
        entered = enter(loss, stand_in.expand(shape), target, sample_weight)
    else:
        labels = hidden.shape[:-1]
        rows_of_target = targets.flat(target, labels)
        per_row = targets.sample_weight(type(loss).__name__, sample_weight, labels, computing_dtype(hidden))
        entered = enter(loss, stand_in.expand(flat.shape[0], shape[-1]), rows_of_target, per_row)
        entered.shape = labels
    adjust = loss.adjust
    own = None if adjust is None or adjust.of_rows else adjust.softcap
    if own is not None and softcap is not None:
        raise ValueError(f"{type(loss).__name__}.linear: softcap={softcap}, but the loss has one of its own, {own}.")
    change = adjust.rewritten if adjust is not None and adjust.of_rows else None
    entered.head = Head(flat, weight, bias, softcap or own, binary, memory, loss.engine, change)
    return entered


def head_of(
    loss: "RowLoss",
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    softcap: float | None,
    memory: int | None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """What a linear head is made of, checked and in one dtype: that of autocast, inside one."""
    checks.head(type(loss).__name__, hidden, weight, bias, softcap, memory)
    if torch.is_autocast_enabled(hidden.device.type):
        dtype = torch.get_autocast_dtype(hidden.device.type)
        hidden, weight = hidden.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    checks.one_dtype(type(loss).__name__, hidden, weight, bias)
    return hidden, weight, bias


def enter_sharded(
    loss: "RowLoss", logits: Tensor, target: Tensor, group: Any, start: int | None, sample_weight: Tensor | None
) -> Entered:
    """The same for logits of which this process has some classes: what stands in for all of them takes no memory."""
    checks.shardable(loss, logits, target)
    z, dtype = targets.as_rows(logits, "softmax"), computing_dtype(logits)
    shard = shard_of(z, start, group, loss)
    shape = (*logits.shape[:1], shard.classes, *logits.shape[2:]) if logits.ndim > 1 else (shard.classes,)
    nothing = logits.detach().new_zeros(())
    shift, scale = _changes(loss, dtype)

    def met(target: Tensor, weight: Tensor | None, rows: Rows | None = None) -> Met:
        with torch.no_grad():
            seen = _rewritten(loss, z, rows)
        return meet(seen, target, shard, shift, scale, weight, smoothed=loss.label_smoothing > 0)

    if not (isinstance(target, Tensor) and target.is_floating_point()):  # pyright: ignore[reportUnnecessaryIsInstance]
        entered = enter(loss, nothing.expand(shape), target, sample_weight, whole=False)
        if entered.rows.every_label:
            smoothing = entered.rows.smoothing
            weight = None if smoothing is None else smoothing.weight
            entered.met = met(targets.known(entered.rows.label), weight, entered.rows)
        entered.z, entered.shard = z, shard
        return entered
    name, stand_in = type(loss).__name__, nothing.expand(len(z), shard.classes)
    checks.logits(name, stand_in, loss.link)
    weight, q = targets.class_weight(loss, stand_in, dtype), targets.as_rows(target, "softmax").to(dtype)
    told = met(q, weight)
    ignored = (told.least == loss.ignore_index) & (told.most == loss.ignore_index)
    checks.distribution(loss, q, ignored, target.dtype, (told.mass, told.least))
    shape = torch.Size((*logits.shape[:1], *logits.shape[2:]) if logits.ndim > 1 else ())
    per_sample = targets.sample_weight(name, sample_weight, shape, dtype)
    keep = ~ignored if checks.worth_masking(ignored) else None
    of_classes = None if weight is None else told.weight
    rows, counts_for = _weighted(loss, stand_in, None, q, per_sample, weight, keep, False, of_classes)
    return Entered(loss, z, rows, counts_for, shape, shard=shard, met=told)


def _changes(loss: "RowLoss", dtype: torch.dtype) -> tuple[Tensor | None, Tensor | float | None]:
    """Shift and scale of the logits."""
    adjust = loss.adjust
    if adjust is None:
        return None, None
    return None if adjust.shift is None else adjust.shift.to(dtype), adjust.scale_in(dtype)


def _weighted(
    loss: "RowLoss",
    z: Tensor,
    label: Tensor | None,
    mix: Tensor | None,
    per_sample: Tensor | None,
    class_weight: Tensor | None,
    keep: Tensor | None,
    whole: bool,
    of_classes: Tensor | None = None,
) -> tuple[Rows, Tensor | None]:
    """Class weights, smoothing and the formula, put together; and what each row counts for in the mean."""
    own, average = loss.formulas()
    adjust, table, eps, dtype = loss.adjust, loss.argument("table"), loss.label_smoothing, computing_dtype(z)
    if table is not None:
        checks.table(type(loss).__name__, table, 2 if loss.link == "sigmoid" else z.shape[1])
    shift, scale = _changes(loss, dtype)
    margin = None if adjust is None or adjust.margin is None else adjust.margin.to(dtype)
    if mix is not None and mix.ndim == 1 and (eps or class_weight is not None or _has_offset(loss)):
        mix = torch.stack([1 - mix, mix], 1)
    if of_classes is None:
        of_classes = targets.of_classes(label, mix, class_weight)
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
        if whole and (loss.link == "sigmoid" or _has_offset(loss)):
            classes = 2 if loss.link == "sigmoid" else z.shape[1]
            q = mix if mix is not None else one_hot(targets.known(label), classes, dtype)
            live = torch.ones_like(q) if loss.link == "sigmoid" or not eps else targets.live(flat(z), shift, dtype)
            mix = smoothing.mix(q, live)
            offset = loss.offset(smoothing.spread(q, live))
            if offset is not None and class_weight is not None:
                offset = offset * mix.sum(1)
            label, smoothing = None, None
            if class_weight is not None:
                keep = targets.both(keep, (mix != 0).any(1))
        elif class_weight is not None:
            # Weights of 0 on all that a target asks for take its row out.
            asked = class_weight.any() if eps and loss.smoothing_weight == "class" else None
            weights = targets.known(of_classes)
            keep = targets.both(keep, weights != 0 if asked is None else asked.expand_as(weights))
        elif not eps:
            smoothing = None
    short = mix is None and smoothing is None
    row_weight = counts_for if short else per_sample
    if row_weight is not None:
        keep = targets.both(keep, row_weight != 0)
    rows = Rows(
        names=names,
        formula=formula,
        label=label,
        mix=mix,
        smoothing=smoothing,
        weight=row_weight,
        keep=keep,
        shift=shift,
        scale=scale,
        margin=margin,
        table=None if table is None else table.to(dtype),
        power=loss.argument("power"),
        soft_labels=loss.soft_labelled and margin is None,
        normalized=loss.normalized,
        inplace=loss.inplace,
        offset=offset,
        offset_of=None if whole or short or not _has_offset(loss) else cast(Any, loss.offset),
        learnable=bool(loss._parameters or loss._modules) and any(p.requires_grad for p in loss.parameters()),  # pyright: ignore[reportPrivateUsage]
        key=key,
    )
    return rows, counts_for


def _has_offset(loss: "RowLoss") -> bool:
    """Whether a soft target adds something to the expected loss."""
    return loss.offset(torch.ones(1, 1, device="cpu")) is not None


def _smoothed(loss: "RowLoss", own: Any, average: Any, eps: float) -> tuple[tuple[str, ...], Any]:
    """Smoothing by the short form: (1 - eps) loss(y) + eps * mean over the labels, or over the other labels."""
    names = tuple(dict.fromkeys((*own.names, *average.names, "count")))

    def over_all(**s: Tensor) -> Tensor:
        return (1 - eps) * own(s) + eps * average(s)

    def over_others(**s: Tensor) -> Tensor:
        here = own(s)
        return (1 - eps) * here + eps * (s["count"] * average(s) - here) / (s["count"] - 1).clamp_min(1)

    return names, over_all if loss.smoothing_over == "all" else over_others

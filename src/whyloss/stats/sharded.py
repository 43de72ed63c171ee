"""The sharded engine: each rank holds the logits of some of the classes, and the ranks add up their sums.

Two rounds: the largest of the other classes, and then all sums at once, a few numbers a row. What follows from them is
the same on every rank, and the way back needs no communication: each rank knows all that its own logits' slopes need.

The statistics come from the table, as everywhere. `_statistics` runs twice: on this rank's classes, noting its part of
every sum that is asked for, and on no classes at all, when each such question is answered with the sum over all ranks.

Where every class may be the label, as soft targets have it, sharded_mixture.py does it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from whyloss.stats import sharded_mixture
from whyloss.stats.meeting import Met
from whyloss.stats.reference import rest_of, weighted
from whyloss.stats.rows import Rows, computing_dtype, infinite
from whyloss.stats.shard import Shard, blocks
from whyloss.stats.table import CONSTANT, HUGE, REST, Rest, Terms, needed


def total(z: Tensor, rows: Rows, shard: Shard, met: Met | None = None, share: Tensor | None = None) -> Tensor:
    """The sum of the weighted row losses, times `share`."""
    losses = each(z, rows, shard, met)
    value = losses.sum(dtype=torch.float64)
    return (value if share is None else value * share).to(losses.dtype)


def each(z: Tensor, rows: Rows, shard: Shard, met: Met | None = None) -> Tensor:
    """[N] weighted row losses of this rank's slice [N, C_local] of the logits, the same on every rank.

    met: what the ranks know of each other already, where every class may be the label."""
    if reason := obstacle(rows):
        raise ValueError(f"The logits are sharded over the classes, but {reason}.")
    if met is not None:
        return weighted(sharded_mixture.each(z, rows, shard, met), rows)
    rows = rows.resolved()
    assert rows.label is not None
    names = _summed(rows)
    impossible, *values = _Statistics.apply(z, rows, shard)  # pyright: ignore[reportGeneralTypeIssues]
    base: dict[str, Tensor] = dict(zip(names, values, strict=True))
    if (margins := rows.margins()) is not None:
        for name in ("log_odds", "logit"):
            if name in base:
                base[name] = base[name] - margins[rows.label]
    base["label"] = rows.label.to(base["log_odds"].dtype)
    if rows.table is not None:
        base["own"] = rows.table.diagonal()[rows.label]
    return weighted(infinite(rows.run(base), impossible), rows)


def obstacle(rows: Rows) -> str:
    """What this engine cannot do, or nothing."""
    fixed: tuple[Any, ...] = (rows.shift, rows.scale, rows.table)
    if rows.every_label:
        if rows.table is not None:
            return (
                "the loss of every class as label (soft targets, or label smoothing with these options) takes a matrix "
                "product over all classes where a loss has a table; only class indices without smoothing are supported"
            )
        if rows.learnable:
            return "the formula learns something, of whose gradient each rank would only have a part"
        fixed = (*fixed, rows.mix, rows.margin, None if rows.smoothing is None else rows.smoothing.weight)
    if any(isinstance(x, Tensor) and x.requires_grad for x in fixed):
        return (
            "the adjustment, the table, the class weights or the soft target need a gradient, of which each rank would "
            "only have a part"
        )
    return ""


def _summed(rows: Rows) -> tuple[str, ...]:
    return tuple(name for name in needed(frozenset(rows.names)) if name not in ("label", "own"))


class _Statistics(torch.autograd.Function):
    """Logits -> which rows' labels are masked out, and the statistics."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, rows: Rows, shard: Shard) -> tuple[Tensor, ...]:
        names = _summed(rows)
        tops = [_Slice(z[b], rows.block(b.start, b.stop), shard.start).top() for b in blocks(z)]
        top = shard.over_ranks(torch.cat(tops), "MAX")
        parts = [_noted(_Slice(z[b], rows.block(b.start, b.stop), shard.start, top[b]), names) for b in blocks(z)]
        sums = iter(shard.over_ranks(torch.cat(parts, 1), "SUM"))
        nothing = _Slice(z[:, :0], rows, shard.start, top, lambda _: next(sums))
        ctx.found = _statistics(nothing, names)
        ctx.rows, ctx.shard, ctx.names = rows, shard, names
        ctx.save_for_backward(z)
        values = ctx.found.values
        outputs = tuple(values[name].clone() for name in names)
        ctx.mark_non_differentiable(
            ctx.found.impossible, *(x for n, x in zip(names, outputs, strict=True) if n in CONSTANT)
        )
        ctx.set_materialize_grads(False)
        return ctx.found.impossible, *outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (z,) = ctx.saved_tensors
        given = {n: c for n, c in zip(ctx.names, upstream[1:], strict=True) if c is not None and n not in CONSTANT}
        grad = torch.empty_like(z)
        for b in blocks(z):
            found = ctx.found.block(b)
            part = _Slice(z[b], ctx.rows.block(b.start, b.stop), ctx.shard.start, found.top)
            grad[b] = _pull_back(part, found, {name: c[b] for name, c in given.items()})
        return grad, None, None


def _known_elsewhere(_: Tensor) -> Tensor:
    raise AssertionError("the way back must not ask for a sum")


class _Slice:
    """Some rows of this rank's logits: the `Terms` of its classes.

    top: [N] the largest of the other classes, over all ranks. total: the sum over the classes of all ranks."""

    def __init__(
        self,
        z: Tensor,
        rows: Rows,
        start: int,
        top: Tensor | None = None,
        total: Callable[[Tensor], Tensor] = _known_elsewhere,
    ):
        assert rows.label is not None
        self.rows, self.mine, self.total = rows, slice(start, start + z.shape[1]), total
        place = rows.label - start
        self.here = (place >= 0) & (place < z.shape[1])
        self.place = torch.where(self.here, place, 0).unsqueeze(1)
        x = z.to(computing_dtype(z), copy=True)
        if rows.keep is not None:
            x.masked_fill_(~rows.keep.unsqueeze(1), 0.0)
        if rows.shift is not None:
            x.add_(rows.shift[self.mine])
        if rows.scale is not None:
            x.mul_(self.scale)
        self.own = torch.where(self.here, self._at_label(x), 0.0)
        self.others = self.put(x, torch.full_like(self.own, -torch.inf))
        self.highest = top

    @property
    def scale(self) -> Any:
        scale = self.rows.scale
        return scale[self.mine] if isinstance(scale, Tensor) and scale.ndim else scale

    def _at_label(self, x: Tensor) -> Tensor:
        return x.gather(1, self.place).squeeze(1) if x.shape[1] else x.new_zeros(len(x))

    def put(self, x: Tensor, value: Tensor) -> Tensor:
        """x with this value at the label, where the label is one of this rank's classes."""
        if not x.shape[1]:
            return x
        return x.scatter_(1, self.place, torch.where(self.here, value, self._at_label(x)).unsqueeze(1))

    def top(self) -> Tensor:
        return self.others.amax(1) if self.others.shape[1] else torch.full_like(self.own, -torch.inf)

    @property
    def terms(self) -> Terms:
        return cast(Any, self)  # a cached property is no property to the type checker

    @cached_property
    def origin(self) -> Tensor:
        """What exponentials are relative to: `highest`, but 0 where there are no others."""
        assert self.highest is not None
        return torch.where(torch.isneginf(self.highest), 0.0, self.highest)

    @cached_property
    def e(self) -> Tensor:
        return (self.others - self.origin.unsqueeze(1)).exp_()

    @cached_property
    def masked(self) -> Tensor:
        return torch.isneginf(self.others)

    @cached_property
    def u(self) -> Tensor:
        return (self.others - self.origin.unsqueeze(1)).masked_fill_(self.masked, 0.0)

    @cached_property
    def z(self) -> Tensor:
        return self.others.masked_fill(self.masked, 0.0)

    @cached_property
    def member(self) -> Tensor:
        return (~self.masked).to(self.others.dtype)

    @property
    def live(self) -> Tensor:
        return self.member

    @cached_property
    def sum_u(self) -> Tensor:
        return self.total(self.u)

    @cached_property
    def count(self) -> Tensor:
        return self.total(self.member)

    @cached_property
    def table(self) -> Tensor:
        assert self.rows.table is not None
        return self.rows.table[self.rows.label, self.mine]

    @property
    def power(self) -> float:
        return self.rows.power or 0.0

    @property
    def ties(self) -> Tensor:
        """1 for the largest of the others, and for each of them if there are several."""
        assert self.highest is not None
        return (self.others == self.highest.unsqueeze(1)).to(self.others.dtype) * self.member


@dataclass
class _Found:
    """The statistics, and what the way back needs: numbers per row."""

    top: Tensor
    S: Tensor
    impossible: Tensor
    values: dict[str, Tensor]
    linear: dict[str, Tensor]  # of each statistic the part of the slope that is proportional to r_j
    ties: Tensor | None

    def block(self, b: slice) -> "_Found":
        linear = {name: x[b] for name, x in self.linear.items()}
        return _Found(
            self.top[b], self.S[b], self.impossible[b], {}, linear, None if self.ties is None else self.ties[b]
        )


def _noted(part: _Slice, names: tuple[str, ...]) -> Tensor:
    """[sums, N] this rank's part of every sum that the statistics ask for, in the order of the questions."""
    noted: list[Tensor] = []

    def total(x: Tensor) -> Tensor:
        noted.append(x.sum(1))
        return noted[-1]

    part.total = total
    _statistics(part, names)
    return torch.stack(noted)


def _statistics(t: _Slice, names: tuple[str, ...]) -> _Found:
    """What `t.total` is asked for must not depend on what it answers."""
    assert t.highest is not None
    rest = rest_of(t.origin, t.total(t.e), t.total)
    # The label's logit comes from the one rank that has it; a label that none has must not pass for a number.
    held, own = t.total(t.here.unsqueeze(1).to(rest.S.dtype)), t.total(t.own.unsqueeze(1))
    own = torch.where(held == 1, own, torch.nan)
    impossible = torch.isneginf(own)
    own = torch.where(impossible, -HUGE, own)
    values = {"log_odds": (own - t.origin) - rest.log_S, "logit": own}
    one = torch.ones_like(own)
    linear, ties = {"log_odds": -one}, None
    for name in names:
        if name == "rival":
            values[name] = torch.where(torch.isneginf(t.highest), -HUGE, t.highest)
            ties = t.total(t.ties)
        elif name in REST:
            values[name] = REST[name].value(t.terms, rest)
            slope = REST[name].linear
            if slope is not None:
                linear[name] = slope(one, values[name], rest, t.terms)
    return _Found(t.highest, rest.S, impossible, values, linear, ties)


def _pull_back(t: _Slice, found: _Found, coefficients: dict[str, Tensor]) -> Tensor:
    """The gradient of some rows, given what each statistic is worth."""
    rest: Rest = rest_of(t.origin, found.S, _known_elsewhere)
    none = torch.zeros_like(found.S)
    slope = sum((c * found.linear[name] for name, c in coefficients.items() if name in found.linear), none)
    curves: list[Tensor] = []
    for name, c in coefficients.items():
        if name == "rival":
            assert found.ties is not None
            curves.append(t.ties * (c / found.ties.clamp_min(1)).unsqueeze(1))
        elif name in REST and (curve := REST[name].curve) is not None:
            curves.append(curve(c, t.terms, rest))
    grad = t.e.mul_((slope * rest.inv).unsqueeze(1))  # nobody reads the exponentials after this
    for curve in curves:
        grad.add_(curve)
    own = sum((c for name, c in coefficients.items() if name in ("log_odds", "logit")), none)
    grad = t.put(grad, torch.where(found.impossible, 0.0, own))
    return grad if t.rows.scale is None else grad.mul_(t.scale)

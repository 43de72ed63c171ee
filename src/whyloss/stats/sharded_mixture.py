"""The sharded engine where every class may be the label: soft targets, smoothing, and losses divided by their sum.

A rank makes the losses of its own classes as label, from sums over all classes: of all less one's own term, or, for the
largest class, of all others, which have an origin of their own. So three rounds do: the two largest logits and what
there is to know of the target (meeting.py); the sums; what the labels' losses add up to, and what slope they have in
the sums. For a loss that is divided by their sum that slope is known only in the end, and is a round on the way back.

The definition is the reference engine's, and so are the slopes: autograd makes them, for some rows at a time.

Of a multiple of log p_j only the sums matter: two rounds, and none on the way back."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from whyloss.stats.meeting import Met, adjusted, classes, coefficients, of_rank, put, some
from whyloss.stats.mixture import multiple_of_log_p
from whyloss.stats.reference import rest_of
from whyloss.stats.rows import Rows, computing_dtype, infinite
from whyloss.stats.shard import Shard, blocks
from whyloss.stats.table import HUGE, REST, needed


def each(z: Tensor, rows: Rows, shard: Shard, met: Met) -> Tensor:
    """[N] row losses before they are weighted, the same on every rank."""
    own = {name: shard.of(getattr(rows, name)) for name in ("shift", "scale", "margin")}
    if rows.smoothing is not None:
        own["smoothing"] = replace(rows.smoothing, weight=shard.of(rows.smoothing.weight))
    rows = replace(rows, **own)
    if multiple_of_log_p(rows) is not None and rows.offset_of is None:
        return cast(Tensor, _LogP.apply(z, rows, shard, met))
    return cast(Tensor, _EveryLabel.apply(z, rows, shard, met, torch.is_grad_enabled()))


def _without_ignored(grad: Tensor, rows: Rows) -> Tensor:
    return grad if rows.keep is None else grad.masked_fill_(~rows.keep.unsqueeze(1), 0.0)


class _LogP(torch.autograd.Function):
    """A multiple of log p_j, and a constant: sum of mix_j (z_j - lse), relative to the largest logit."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, rows: Rows, shard: Shard, met: Met) -> Tensor:
        found = multiple_of_log_p(rows)
        assert found is not None
        ctx.slope, constant = found
        ctx.rows, ctx.shard, ctx.met = rows, shard, met
        parts: list[Tensor] = []
        for b in blocks(z):
            told = met.block(b)
            u, e, mix = _LogP.terms(z[b], rows.block(b.start, b.stop), shard, told)
            logs = torch.where(mix == 0, 0.0, mix * u)  # not 0 * inf; a NaN shows in e
            parts.append(torch.stack([x.sum(1) for x in (e, logs, mix, put(mix.clone(), told.place, 0.0))]))
        R, logs, whole, others = shard.over_ranks(torch.cat(parts, 1), "SUM")
        ctx.save_for_backward(z, R, whole, others)
        return (logs - whole * R.log1p()) * ctx.slope + whole * constant

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        z, R, whole, others = ctx.saved_tensors
        c, each = upstream * ctx.slope, whole / (R + 1)
        of_best = c * (each * R - others)  # minus the sum of the others' slopes, where its own would cancel
        grad = torch.empty_like(z)
        for b in blocks(z):
            rows = ctx.rows.block(b.start, b.stop)
            u, e, mix = _LogP.terms(z[b], rows, ctx.shard, ctx.met.block(b))
            found = mix.masked_fill(torch.isneginf(u), 0.0).sub_(e.mul_(each[b].unsqueeze(1))).mul_(c[b].unsqueeze(1))
            put(found, ctx.met.place[b], of_best[b])
            grad[b] = _without_ignored(found if rows.scale is None else found.mul_(rows.scale), rows)
        return grad, None, None, None

    @staticmethod
    def terms(z: Tensor, rows: Rows, shard: Shard, met: Met) -> tuple[Tensor, Tensor, Tensor]:
        """Logits less the largest, their exponentials without it, and the labels' coefficients."""
        x = adjusted(z, rows.shift, rows.scale)
        u = x - torch.where(torch.isneginf(met.top), 0.0, met.top).unsqueeze(1)
        return u, put(u.exp(), met.place, 0.0), coefficients(x, rows, shard, met)


class _EveryLabel(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, rows: Rows, shard: Shard, met: Met, gradients: bool) -> Tensor:
        ctx.rows, ctx.shard, ctx.met = rows, shard, met
        # Known before the losses are: what each of them is worth. Then there is nothing to ask on the way back.
        early = gradients and ctx.needs_input_grad[0] and not rows.normalized

        def noted(b: slice) -> Tensor:
            labels = _Labels(z[b], rows.block(b.start, b.stop), shard, met.block(b))
            labels.statistics()
            return torch.stack(labels.noted)

        sums = shard.over_ranks(torch.cat([noted(b) for b in blocks(z)], 1), "SUM")

        def parts(b: slice) -> Tensor:
            labels, losses, answers = _asking(z, sums, rows, shard, met, b, early)
            asked = _gradient([losses], [labels.mix], answers) if early else answers[:0]
            return torch.cat([torch.stack(labels.parts(losses.detach())), asked])

        told = torch.cat([parts(b) for b in blocks(z)], 1)
        told = shard.gathered(told) if rows.normalized else shard.over_ranks(told, "SUM").unsqueeze(0)
        ctx.asked, parts_of_ranks = (told[0, -len(sums) :], told[:, : -len(sums)]) if early else (None, told)
        ctx.shares = shares = _Shares(parts_of_ranks, shard.rank) if rows.normalized else None
        ctx.save_for_backward(z, sums)
        value = told[:, 0].sum(0) if shares is None else shares.value()
        return value if rows.offset_of is None else value + _offset(parts_of_ranks, rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        z, sums = ctx.saved_tensors
        rows, shard, met, shares = ctx.rows, ctx.shard, ctx.met, ctx.shares

        def slopes(labels: _Labels, losses: Tensor, b: slice) -> Tensor:
            return (labels.mix if shares is None else shares.slopes(labels, losses, b)) * upstream[b].unsqueeze(1)

        def asked(b: slice) -> Tensor:
            labels, losses, answers = _asking(z, sums, rows, shard, met, b, True)
            return _gradient([losses], [slopes(labels, losses, b)], answers)

        if ctx.asked is None:
            of_sums = shard.over_ranks(torch.cat([asked(b) for b in blocks(z)], 1), "SUM")
        else:
            of_sums = ctx.asked * upstream
        grad = torch.empty_like(z)
        for b in blocks(z):
            of_rows = rows.block(b.start, b.stop)
            with torch.enable_grad():
                leaf = z[b].detach().to(computing_dtype(z)).requires_grad_()
                labels = _Labels(leaf, of_rows, shard, met.block(b), sums[:, b])
                losses = labels.losses()
            found = _gradient([losses, *labels.noted], [slopes(labels, losses, b), *of_sums[:, b]], leaf)
            grad[b] = _without_ignored(found, of_rows)
        return grad, None, None, None, None


def _asking(
    z: Tensor, sums: Tensor, rows: Rows, shard: Shard, met: Met, b: slice, gradients: bool
) -> "tuple[_Labels, Tensor, Tensor]":
    """Labels of rows b and their losses; and the sums that they know, of which gradients may be asked."""
    with torch.set_grad_enabled(gradients):
        answers = sums[:, b].detach().requires_grad_(gradients)
        labels = _Labels(z[b].detach(), rows.block(b.start, b.stop), shard, met.block(b), answers)
        return labels, labels.losses(), answers


def _gradient(outputs: list[Tensor], upstream: list[Tensor], leaf: Tensor) -> Tensor:
    asked = [(x, g) for x, g in zip(outputs, upstream, strict=True) if x.requires_grad]
    if not asked:
        return torch.zeros_like(leaf)
    outputs, upstream = ([pair[i] for pair in asked] for i in (0, 1))
    return torch.autograd.grad(outputs, leaf, upstream, materialize_grads=True)[0]


class _Labels:
    """Some rows of this rank's logits, each of its classes the label.

    noted: this rank's part of every sum that is asked for. sums: what all ranks have of them; None: not known yet."""

    def __init__(self, z: Tensor, rows: Rows, shard: Shard, met: Met, sums: Tensor | None = None):
        self.rows, self.shard, self.met, self.sums = rows, shard, met, sums
        self.x = adjusted(z, rows.shift, rows.scale)
        self.noted: list[Tensor] = []
        self.best = torch.arange(z.shape[1], device=z.device) == met.place.unsqueeze(1)
        self.impossible = torch.isneginf(self.x)
        with torch.no_grad():
            self.mix = coefficients(self.x, rows, shard, met)

    def total(self, x: Tensor) -> Tensor:
        """[N, 1]"""
        self.noted.append(x.sum(1))
        return (self.noted[-1] if self.sums is None else self.sums[len(self.noted) - 1]).unsqueeze(1)

    def statistics(self) -> dict[str, Tensor]:
        """[N, C_local] of each label, as the reference engine has them."""
        names, x = needed(frozenset(self.rows.names)), self.x
        top, second = self.met.top.unsqueeze(1), self.met.second.unsqueeze(1)
        empty = torch.isneginf(second)
        others, origin = torch.where(self.best, -torch.inf, x), torch.where(empty, 0.0, second)
        of_best = _Terms(others, origin, self.total, self.rows.power)
        of_others = _Terms(x, top, lambda x: self.total(x) - x, self.rows.power)
        rest = rest_of(origin, of_best.S, of_best.total)
        # The largest class means nothing there, and must not become infinite.
        general = rest_of(top, torch.where(self.best, 1.0, of_others.S), of_others.total)
        base: dict[str, Tensor] = {}
        for name in names:
            if name in REST:
                value = REST[name].value
                base[name] = torch.where(self.best, value(of_best.terms, rest), value(of_others.terms, general))
        margins = self.rows.margins()
        own = torch.where(self.impossible, -HUGE, x if margins is None else x - margins)
        log_S = torch.where(self.best, rest.log_S, general.log_S)
        base["log_odds"] = (own - torch.where(self.best, origin, top)) - log_S
        base["logit"] = own
        base["label"] = classes(x, self.shard).to(x.dtype).expand_as(x)
        if "rival" in names:
            base["rival"] = torch.where(self.best, self._second(others, second), self._top(top))
        return base

    def _top(self, top: Tensor) -> Tensor:
        """The largest of all others than a label that is not the largest; if there are several, they share."""
        tied = self.x == top
        number = self.total(tied.to(self.x.dtype)) - tied.to(self.x.dtype)
        held = torch.where(tied, self.x, 0.0)
        return (self.total(held) - held) / torch.where(self.best, 1.0, number)

    def _second(self, others: Tensor, second: Tensor) -> Tensor:
        tied = (others == second) & ~torch.isneginf(second)
        number = self.total(tied.to(self.x.dtype))
        held = self.total(torch.where(tied, others, 0.0))
        return torch.where(number == 0, -HUGE, held / number.clamp_min(1))

    def losses(self) -> Tensor:
        """[N, C_local] of each label that counts; 0 of others."""
        base, possible, wanted = self.statistics(), ~self.impossible, self.mix != 0
        # A label that nobody asks for must add nothing, not 0 * inf: its log-odds becomes an innocent 0 beforehand.
        safe = possible if self.rows.normalized else possible | wanted
        for name in ("log_odds", "logit"):
            base[name] = torch.where(safe, base[name], 0.0)
        loss = self.rows.run(base)
        if self.rows.normalized:
            return torch.where(possible, loss, 0.0)
        return torch.where(wanted, infinite(loss, self.impossible), 0.0)

    def parts(self, losses: Tensor) -> list[Tensor]:
        """What the other ranks need to know of these labels' losses, and of the smoothed target's offset."""
        offset: list[Tensor] = []
        if (of := self.rows.offset_of) is not None:
            spread = coefficients(self.x, self.rows, self.shard, self.met, weighted=False)
            # A sum over the classes, and a constant, which is there once.
            constant = of(spread[:, :0])
            offset = [of(spread) - (constant if self.shard.rank else 0), self.mix.sum(1)]
        if not self.rows.normalized:
            return [(losses * self.mix).sum(1), *offset]
        losses, mix = some(losses, 0.0), some(self.mix, 0.0)
        most, at = losses.max(1, keepdim=True)
        others = losses.scatter(1, at, 0.0)
        sums = [x.sum(1) for x in (others, others * mix, self.mix * self.impossible)]
        return [most.squeeze(1), mix.gather(1, at).squeeze(1), *sums, *offset]


class _Terms:
    """`Terms` of the table. total: the sum over the rest, [N, 1], or one for each label."""

    def __init__(self, z: Tensor, origin: Tensor, total: Callable[[Tensor], Tensor], power: float | None):
        masked = torch.isneginf(z)
        self.total, self.power = total, power or 0.0
        self.live = self.member = (~masked).to(z.dtype)
        self.u = torch.where(masked, 0.0, z - origin)
        self.z = torch.where(masked, 0.0, z)
        self.e = self.u.exp() * self.live
        self.S = total(self.e)

    @property
    def terms(self) -> Any:
        return self  # a cached property is no property to the type checker

    @cached_property
    def sum_u(self) -> Tensor:
        return self.total(self.u)

    @cached_property
    def count(self) -> Tensor:
        return self.total(self.live)


def _offset(parts: Tensor, rows: Rows) -> Tensor:
    added, mass = parts[:, -2:].sum(0)
    weighted = rows.smoothing is not None and rows.smoothing.weight is not None
    return added * mass if weighted else added


class _Shares:
    """The labels' shares in the sum of all losses; the largest of these gets sums of the others' own.

    parts: [ranks, parts, N], as `_Labels.parts` has them."""

    def __init__(self, parts: Tensor, rank: int):
        most, share, others, mixed, self.masked = parts[:, :5].unbind(1)
        owner = of_rank(most.argmax(0), len(most))
        self.here = owner[rank]
        others = (others + torch.where(owner, 0.0, most)).sum(0)
        mixed = (mixed + torch.where(owner, 0.0, most * share)).sum(0)
        most, share = (torch.where(owner, x, 0.0).sum(0) for x in (most, share))
        whole = others + most
        self.whole = torch.where(whole == 0, 1.0, whole)
        self.mean = (mixed + share * most) / self.whole
        self.slope = (share * others - mixed) / self.whole / self.whole

    def value(self) -> Tensor:
        return self.mean + self.masked.sum(0)  # the share of a class that cannot be is 1

    def slopes(self, labels: _Labels, losses: Tensor, b: slice) -> Tensor:
        """[B, C_local] of rows b, in each loss."""
        found = (labels.mix - self.mean[b].unsqueeze(1)) / self.whole[b].unsqueeze(1)
        if not found.shape[1]:
            return found
        return put(found, torch.where(self.here[b], losses.detach().argmax(1), -1), self.slope[b])

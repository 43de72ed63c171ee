"""The sharded engine where every class may be the label: soft targets, smoothing, and losses divided by their sum.

A rank makes the losses of its own classes as label, from sums over all classes: of all less one's own term, or, for the
largest class, of all others, which have an origin of their own. So three rounds do: the two largest logits and what
there is to know of the target; the sums; what the labels' losses add up to. On the way back each rank's labels ask
something of the sums, and what they ask together is one round more.

The definition is the reference engine's, and so are the slopes: autograd makes them, for some rows at a time.

Of a multiple of log p_j only the sums matter: two rounds, and none on the way back."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from whyloss.stats.largest import largest
from whyloss.stats.mixture import multiple_of_log_p
from whyloss.stats.reference import rest_of
from whyloss.stats.rows import Rows, computing_dtype, infinite
from whyloss.stats.shard import Shard, blocks
from whyloss.stats.smoothing import Totals
from whyloss.stats.table import HUGE, REST, needed


@dataclass(frozen=True)
class Met:
    """What the ranks tell each other first, one number a row.

    top, second: the largest logit, and the largest of the others. place: of the largest among this rank's classes; -1:
    on another rank. live, others, weight: `Totals` of the target. mass, least: its sum and its smallest entry. present:
    how many of its entries are not the one that stands for an ignored row."""

    top: Tensor
    second: Tensor
    place: Tensor
    live: Tensor
    others: Tensor
    weight: Tensor
    mass: Tensor
    least: Tensor
    present: Tensor

    def block(self, b: slice) -> "Met":
        return Met(**{name: x[b] for name, x in vars(self).items()})

    @property
    def totals(self) -> Totals:
        return Totals(*(x.unsqueeze(1) for x in (self.live, self.others, self.weight)))


def meet(
    z: Tensor,
    target: Tensor,
    shard: Shard,
    shift: Tensor | None = None,
    scale: Tensor | float | None = None,
    weight: Tensor | None = None,
    ignore: int = -100,
    smoothed: bool = True,
) -> Met:
    """Of logits [N, C_local] and class indices [N] or this rank's slice [N, C_local] of soft targets. weight: of each
    class. smoothed: whether all that smoothing reads is needed."""
    shift, scale, weight = (shard.of(x) for x in (shift, scale, weight))
    told: list[Tensor] = []
    places: list[Tensor] = []
    with torch.no_grad():
        for b in blocks(z):
            x = _adjusted(z[b], shift, scale)
            q = _target(target[b], x, shard)
            top, place = largest(_some(x, -torch.inf))
            second = _some(x, -torch.inf).scatter(1, place, -torch.inf).amax(1)
            live, mass = _live(x) if smoothed else x[:, :0], q.sum(1)
            sums = [live.sum(1), ((1 - q) * live).sum(1) if smoothed else live.sum(1)]
            sums.append(mass if weight is None else q @ weight)
            facts = [mass, _some(q, 0.0).amin(1), (q != ignore).sum(1).to(q.dtype)]
            told.append(torch.stack([top.squeeze(1), second, *sums, *facts]))
            places.append(place.squeeze(1))
        tops, seconds, live, others, weighed, mass, least, present = shard.gathered(torch.cat(told, 1)).unbind(1)
        owner = tops.argmax(0)
        second = torch.where(_of_rank(owner, len(tops)), seconds, tops).amax(0)
        place = torch.where(owner == shard.rank, torch.cat(places), -1)
        sums = [x.sum(0) for x in (live, others, weighed, mass)]
        return Met(tops.amax(0), second, place, *sums, least.amin(0), present.sum(0))


def each(z: Tensor, rows: Rows, shard: Shard, met: Met) -> Tensor:
    """[N] row losses before they are weighted, the same on every rank."""
    own = {name: shard.of(getattr(rows, name)) for name in ("shift", "scale", "margin")}
    if rows.smoothing is not None:
        own["smoothing"] = replace(rows.smoothing, weight=shard.of(rows.smoothing.weight))
    rows = replace(rows, **own)
    if multiple_of_log_p(rows) is not None and rows.offset_of is None:
        return cast(Tensor, _LogP.apply(z, rows, shard, met))
    return cast(Tensor, _EveryLabel.apply(z, rows, shard, met, torch.is_grad_enabled()))


def _adjusted(z: Tensor, shift: Tensor | None, scale: Tensor | float | None) -> Tensor:
    x = z.to(computing_dtype(z))
    x = x if shift is None else x + shift
    return x if scale is None else x * scale


def _some(x: Tensor, value: float) -> Tensor:
    """x, with a column of this value where there is none."""
    return x if x.shape[1] else x.new_full((len(x), 1), value)


def _live(x: Tensor) -> Tensor:
    return (~torch.isneginf(x)).to(x.dtype)


def _of_rank(owner: Tensor, ranks: int) -> Tensor:
    """[ranks, N] whether a rank is a row's owner."""
    return torch.arange(ranks, device=owner.device).unsqueeze(1) == owner


def _classes(x: Tensor, shard: Shard) -> Tensor:
    return torch.arange(shard.start, shard.start + x.shape[1], device=x.device)


def _target(target: Tensor, x: Tensor, shard: Shard) -> Tensor:
    """[N, C_local] the shares of this rank's classes."""
    return target if target.ndim == 2 else (_classes(x, shard) == target.unsqueeze(1)).to(x.dtype)


def _mix(x: Tensor, rows: Rows, shard: Shard, met: Met, weighted: bool = True) -> Tensor:
    """[N, C_local] coefficients of this rank's labels, or the smoothed target."""
    target = rows.label if rows.mix is None else rows.mix
    assert target is not None
    q = _target(target, x, shard)
    if rows.smoothing is None:
        return q
    return (rows.smoothing.mix if weighted else rows.smoothing.spread)(q, _live(x), met.totals)


def _without_ignored(grad: Tensor, rows: Rows) -> Tensor:
    return grad if rows.keep is None else grad.masked_fill_(~rows.keep.unsqueeze(1), 0.0)


class _LogP(torch.autograd.Function):
    """A multiple of log p_j, and a constant: sum of mix_j (z_j - lse), relative to the largest logit."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, rows: Rows, shard: Shard, met: Met) -> Tensor:
        program = multiple_of_log_p(rows)
        assert program is not None
        ctx.slope = program.slopes["log_p"]
        ctx.rows, ctx.shard, ctx.met = rows, shard, met
        parts: list[Tensor] = []
        for b in blocks(z):
            u, e, mix, best = _LogP.terms(z[b], rows.block(b.start, b.stop), shard, met.block(b))
            logs = torch.where(mix == 0, 0.0, mix * u)  # not 0 * inf; a NaN shows in e
            parts.append(torch.stack([x.sum(1) for x in (e, logs, mix, mix.masked_fill(best, 0.0))]))
        R, logs, whole, others = shard.over_ranks(torch.cat(parts, 1), "SUM")
        ctx.save_for_backward(z, R, whole, others)
        constant = program.run(R.new_zeros(()))[0]
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
            u, e, mix, best = _LogP.terms(z[b], rows, ctx.shard, ctx.met.block(b))
            found = (mix * _live(u)).sub_(e.mul_(each[b].unsqueeze(1))).mul_(c[b].unsqueeze(1))
            found = torch.where(best, of_best[b].unsqueeze(1), found)
            grad[b] = _without_ignored(found if rows.scale is None else found.mul_(rows.scale), rows)
        return grad, None, None, None

    @staticmethod
    def terms(z: Tensor, rows: Rows, shard: Shard, met: Met) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits less the largest, their exponentials without it, the labels' coefficients, and where the largest is."""
        x = _adjusted(z, rows.shift, rows.scale)
        best = torch.arange(x.shape[1], device=x.device) == met.place.unsqueeze(1)
        u = x - torch.where(torch.isneginf(met.top), 0.0, met.top).unsqueeze(1)
        return u, u.exp().masked_fill_(best, 0.0), _mix(x, rows, shard, met), best


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
        ctx.asked = told[0, -len(sums) :] if early else None
        ctx.shares = _Shares(told[:, : -len(sums)] if early else told, rows, shard)
        ctx.save_for_backward(z, sums)
        return ctx.shares.value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        z, sums = ctx.saved_tensors
        rows, shard, met, shares = ctx.rows, ctx.shard, ctx.met, ctx.shares

        def slopes(labels: _Labels, losses: Tensor, b: slice) -> Tensor:
            return shares.slopes(labels, losses, b) * upstream[b].unsqueeze(1)

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
    found = torch.autograd.grad([x for x, _ in asked], leaf, [g for _, g in asked], allow_unused=True)[0]
    return torch.zeros_like(leaf) if found is None else found


class _Labels:
    """Some rows of this rank's logits, each of its classes the label.

    noted: this rank's part of every sum that is asked for. sums: what all ranks have of them; None: not known yet."""

    def __init__(self, z: Tensor, rows: Rows, shard: Shard, met: Met, sums: Tensor | None = None):
        self.x, self.rows, self.shard, self.met, self.sums = _adjusted(z, rows.shift, rows.scale), rows, shard, met, sums
        self.noted: list[Tensor] = []
        self.best = torch.arange(z.shape[1], device=z.device) == met.place.unsqueeze(1)
        self.impossible = torch.isneginf(self.x)
        with torch.no_grad():
            self.mix = _mix(self.x, rows, shard, met)

    def total(self, x: Tensor) -> Tensor:
        """[N, 1]"""
        self.noted.append(x.sum(1))
        return (self.noted[-1] if self.sums is None else self.sums[len(self.noted) - 1]).unsqueeze(1)

    def statistics(self) -> dict[str, Tensor]:
        """[N, C_local] of each label; as the reference engine has them."""
        names, x = needed(frozenset(self.rows.names)), self.x
        top, second = self.met.top.unsqueeze(1), self.met.second.unsqueeze(1)
        empty = torch.isneginf(second)
        others, origin = torch.where(self.best, -torch.inf, x), torch.where(empty, 0.0, second)
        of_best = _Terms(others, origin, self.total, self.rows.power)
        of_others = _Terms(x, top, lambda x: self.total(x) - x, self.rows.power)
        rest = rest_of(origin, of_best.S, of_best.total)
        # The largest class means nothing there, and must not become infinite.
        general = rest_of(top, torch.where(self.best, 1.0, of_others.S), of_others.total)
        base = {
            name: torch.where(
                self.best, REST[name].value(of_best.terms, rest), REST[name].value(of_others.terms, general)
            )
            for name in names
            if name in REST
        }
        margins = self.rows.margins()
        own = torch.where(self.impossible, -HUGE, x if margins is None else x - margins)
        log_S = torch.where(self.best, rest.log_S, general.log_S)
        base["log_odds"] = (own - torch.where(self.best, origin, top)) - log_S
        base["logit"] = own
        base["label"] = _classes(x, self.shard).to(x.dtype).expand_as(x)
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
            spread = _mix(self.x, self.rows, self.shard, self.met, weighted=False)
            # A sum over the classes, and a constant, which is there once.
            constant = of(spread[:, :0])
            offset = [of(spread) - (constant if self.shard.rank else 0), self.mix.sum(1)]
        if not self.rows.normalized:
            return [(losses * self.mix).sum(1), *offset]
        losses, mix = _some(losses, 0.0), _some(self.mix, 0.0)
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


class _Shares:
    """The losses of rows, from what all ranks know of their labels; and what each label's loss is worth."""

    def __init__(self, parts: Tensor, rows: Rows, shard: Shard):
        """parts: [ranks, parts, N], as `_Labels.parts` has them."""
        self.normalized = rows.normalized
        found = list(parts.unbind(1))
        self.value = self._of_sum(found, shard.rank) if self.normalized else found[0].sum(0)
        if rows.offset_of is not None:
            added, mass = (x.sum(0) for x in found[-2:])
            weighed = rows.smoothing is not None and rows.smoothing.weight is not None
            self.value = self.value + (added * mass if weighed else added)

    def _of_sum(self, parts: list[Tensor], rank: int) -> Tensor:
        """The shares of the labels in the sum of all losses; the largest of these gets sums of the others' own."""
        most, share, others, mixed, masked = parts[:5]
        owner = _of_rank(most.argmax(0), len(most))
        self.mine = owner[rank]
        of_others = (others + torch.where(owner, 0.0, most)).sum(0)
        mixed = (mixed + torch.where(owner, 0.0, most * share)).sum(0)
        most, share = (torch.where(owner, x, 0.0).sum(0) for x in (most, share))
        whole = of_others + most
        self.whole = torch.where(whole == 0, 1.0, whole)
        self.share = (mixed + share * most) / self.whole
        self.of_largest = (share * of_others - mixed) / self.whole / self.whole
        return self.share + masked.sum(0)  # of a class that cannot be the share is 1

    def slopes(self, labels: _Labels, losses: Tensor, b: slice) -> Tensor:
        """[B, C_local] of rows b."""
        if not self.normalized:
            return labels.mix
        found = (labels.mix - self.share[b].unsqueeze(1)) / self.whole[b].unsqueeze(1)
        if not found.shape[1]:
            return found
        at = losses.detach().argmax(1, keepdim=True)
        return found.scatter(1, at, torch.where(self.mine[b], self.of_largest[b], found.gather(1, at).squeeze(1)).unsqueeze(1))

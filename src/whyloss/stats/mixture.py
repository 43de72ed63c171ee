"""A tile of the dense engine where every class may be the label: soft targets, and losses divided by their sum.

Every statistic is made for every label at once, [B, C]: a sum over the rest is the sum of all less one's own term,
which is exact unless that term is by far the largest; so the largest logit's class gets sums of its own. The formula's
program then runs on all labels, and the slopes come back the way that the sums were made.

What that cannot do exactly (a class is masked, a row so sure that the others all but underflow) the reference engine
does, on the tile."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from math import exp, isfinite
from typing import Any

import torch
from torch import Tensor
from torch.linalg import vecdot

from whyloss.stats import reference
from whyloss.stats.block import needed, scaled_into
from whyloss.stats.exponentials import exp_into
from whyloss.stats.largest import largest
from whyloss.stats.program import Program
from whyloss.stats.rows import Rows, computing_dtype
from whyloss.stats.smoothing import Smoothing
from whyloss.stats.table import REST, Rest

# Elements in a tile: with the few tensors of its size that a loss makes, it fits the second-level cache.
TILE = 2**18
# The sum of the others' exponentials, the largest being 1, from which on it is exact as that of all less 1.
CLOSE = 0.125
# The least sum of the others' exponentials, the largest being 1: its square, or its power, keeps all its digits.
LEAST = -80.0


def losses(z: Tensor, buffer: Tensor, rows: Rows, upstream: Tensor | None, gradient: bool) -> Tensor:
    """The weighted losses of a block; fills the buffer with their gradient, if that is wanted."""
    if (direct := multiple_of_log_p(rows)) is not None:  # which makes little of the block's size: no tiles
        value = _linear(*direct, z, buffer[: len(z)], rows, upstream, gradient)
        if value is not None:
            return value
    step = max(1, TILE * torch.get_num_threads() // z.shape[1])
    found: list[Tensor] = []
    for start in range(0, len(z), step):
        part = slice(start, min(start + step, len(z)))
        of_part = upstream[part] if upstream is not None and upstream.ndim else upstream
        out = buffer[part] if gradient else buffer[: part.stop - start]
        of_rows = rows if part.stop - start == len(z) else rows.block(start, part.stop)
        found.append(_of_tile(z[part], out, of_rows, of_part, gradient))
    return found[0] if len(found) == 1 else torch.cat(found)


def _of_tile(z: Tensor, out: Tensor, rows: Rows, upstream: Tensor | None, gradient: bool) -> Tensor:
    value, program = None, rows.program(every_label=True)
    if (direct := multiple_of_log_p(rows)) is not None:
        value = _linear(*direct, z, out, rows, upstream, gradient)
    elif program is not None and _every_label_alike(rows) and (labels := _labels(z, out, rows)) is not None:
        value = _by_program(program, labels, rows, upstream, gradient)
    return _by_reference(z, out, rows, upstream, gradient) if value is None else value


def _every_label_alike(rows: Rows) -> bool:
    return rows.margin is None and "rival" not in needed(frozenset(rows.names))


def of_soft_labels(z: Tensor, out: Tensor, rows: Rows, upstream: Tensor | None, gradient: bool) -> Tensor | None:
    """The same for labels that stand for a row of the table each; None where a class is masked, which those leave out
    that know the rows apart."""
    assert rows.table is not None
    assert rows.label is not None
    mix = rows.table.index_select(0, rows.label)
    return _linear(-1.0, 0.0, z, out, replace(rows, mix=mix), upstream, gradient)


def multiple_of_log_p(rows: Rows) -> tuple[float, float] | None:
    """Factor and constant of a loss that is a multiple of log p_j, and a constant."""
    program = rows.program(every_label=True)
    if program is None or rows.normalized or not _every_label_alike(rows) or program.inputs != ("log_p",):
        return None
    slope = program.slopes.get("log_p")
    if not isinstance(slope, float):
        return None
    return slope, float(program.run(torch.zeros((), dtype=torch.float64, device="cpu"))[0])


def _by_reference(z: Tensor, out: Tensor, rows: Rows, upstream: Tensor | None, gradient: bool) -> Tensor:
    with torch.set_grad_enabled(gradient):
        leaf = z.detach().to(computing_dtype(z)).requires_grad_(gradient)
        value = reference.row_losses(leaf, rows)
    if gradient and value.requires_grad:
        weight = torch.ones_like(value) if upstream is None else upstream.to(value.dtype).expand_as(value)
        out.copy_(torch.autograd.grad(value, leaf, weight)[0])
    elif gradient:  # a formula without a slope
        out.zero_()
    return value.detach()


def _linear(
    slope: float, constant: float, z: Tensor, out: Tensor, rows: Rows, upstream: Tensor | None, gradient: bool
) -> Tensor | None:
    """Of a multiple of log p_j, and a constant: sums over the labels need no number for each of them, and any logits
    will do, but for infinite ones."""
    z = _adjusted(z, out, rows)
    mix = _mix(rows, z)
    top, whole = z.amax(1, keepdim=True), mix.sum(1, keepdim=True)
    logs = vecdot(mix, torch.sub(z, top, out=out)).unsqueeze(1)
    R = exp_into(out, out).sum(1, keepdim=True).sub_(1)  # without the largest, whose exponential is 1
    sure = _Sure(out, R)
    value = ((logs - whole * R.log1p()) * slope + whole * constant).squeeze(1)
    if not isfinite(value.sum()):
        return None
    if gradient:
        weighted, weight = _weighted(mix, rows, upstream)
        of_all = whole if weighted is mix else weighted.sum(1, keepdim=True)
        out.mul_(of_all * (-slope * weight) / (R + 1)).add_(weighted, alpha=slope * weight)
        sure.balance(out)
        if rows.scale is not None:
            out.mul_(rows.scale)
    return _finished(value, rows)


class _Sure:
    """Those rows of exponentials [B, C] of which one class has nearly all: what is left is not the sum of all less its
    own 1, nor do slopes add up that nearly cancel. Both are made of the others. R: [B, 1] their sums, mended here."""

    def __init__(self, e: Tensor, R: Tensor):
        self.rows = (R < CLOSE).squeeze(1).nonzero().squeeze(1)
        if len(self.rows) == 0:
            return
        others = e.index_select(0, self.rows)
        # No two are 1: the others are less together.
        is_top = torch.eq(others, 1.0, out=torch.empty_like(others))
        self.place = is_top.mv(torch.arange(e.shape[1], dtype=e.dtype, device=e.device)).long()
        R[self.rows] = self._without(others)

    def _without(self, x: Tensor) -> Tensor:
        place = self.place.unsqueeze(1)
        return x.scatter_(1, place, torch.zeros_like(place, dtype=x.dtype)).sum(1, keepdim=True)

    def balance(self, slope: Tensor) -> None:
        """Gives the class that has nearly all what makes the sum of its row 0."""
        if len(self.rows):
            slope[self.rows, self.place] = self._without(slope.index_select(0, self.rows)).squeeze(1).neg_()


def _by_program(
    program: Program, labels: "Labels", rows: Rows, upstream: Tensor | None, gradient: bool
) -> Tensor | None:
    """None if a number beyond all bounds came up, which the reference engine knows how to take."""
    if not gradient:
        program = rows.program(slopes=False, every_label=True) or program
    loss, *slopes = program.run(*(labels.statistic(name) for name in program.inputs))
    loss = loss if isinstance(loss, Tensor) else torch.full_like(labels.e, loss)
    mix = _mix(rows, labels.z)
    if rows.normalized:
        value, mix = _shares(loss, mix)
    else:
        value = vecdot(mix, loss)
    if not isfinite(value.sum()):
        return None
    if gradient:
        mix, weight = _weighted(mix, rows, upstream)
        labels.pull_back(mix if weight == 1 else mix * weight, dict(zip(program.slopes, slopes, strict=True)))
        if rows.scale is not None:
            labels.e.mul_(rows.scale)
    return _finished(value, rows)


def _pull_back(e: Tensor, mix: Tensor, S: Tensor, best: Tensor) -> None:
    """Turns exponentials into the gradient of the sum of mix_j log p_j: in z_k it is mix_k less p_k times the sum of
    all. The largest class, where that cancels, gets minus the sum of the others'."""
    e.mul_(mix.sum(1, keepdim=True) / -S).add_(mix)
    e.scatter_(1, best, torch.zeros_like(S))
    e.scatter_(1, best, -e.sum(1, keepdim=True))


def _mix(rows: Rows, z: Tensor) -> Tensor:
    """[B, C] coefficients of the labels, if no class is masked."""
    if rows.mix is None:
        assert rows.label is not None
        return (rows.smoothing or Smoothing()).mix_of_labels(rows.label, torch.empty_like(z))
    return rows.mix if rows.smoothing is None else rows.smoothing.mix(rows.mix, z.new_ones(1, z.shape[1]))


def _weighted(mix: Tensor, rows: Rows, upstream: Tensor | None) -> tuple[Tensor, float]:
    """The coefficients of the labels in the gradient, and a number to multiply them with."""
    weight = rows.weight if upstream is None else upstream if rows.weight is None else upstream * rows.weight
    if (ignored := _ignored(rows)) is not None:
        weight = torch.where(ignored, 0.0, 1.0 if weight is None else weight)
    if weight is None or weight.ndim == 0:
        return mix, 1.0 if weight is None else float(weight)
    return mix * weight.to(mix.dtype).unsqueeze(1), 1.0


def _finished(value: Tensor, rows: Rows) -> Tensor:
    if rows.offset is not None:
        value = value + rows.offset
    if rows.weight is not None:
        value = value * rows.weight
    ignored = _ignored(rows)
    return value if ignored is None else value.masked_fill(ignored, 0.0)


def _ignored(rows: Rows) -> Tensor | None:
    return None if rows.keep is None or bool(rows.keep.all()) else ~rows.keep


def _adjusted(z: Tensor, out: Tensor, rows: Rows) -> Tensor:
    """The logits as the loss sees them, in the dtype that it is computed in."""
    if rows.shift is None and rows.scale is None and z.dtype == out.dtype:
        return z
    return scaled_into(torch.empty_like(out), z, rows)


def _shares(loss: Tensor, mix: Tensor) -> tuple[Tensor, Tensor]:
    """The mixture of every label's share of the sum of all losses, and its slope in each loss. The largest loss gets
    sums of the others' own."""
    at = loss.argmax(1, keepdim=True)
    most, share = loss.gather(1, at), mix.gather(1, at)
    others = loss.scatter(1, at, 0.0)
    of_others, mixed = others.sum(1, keepdim=True), vecdot(mix, others).unsqueeze(1)
    whole = of_others + most
    value = (mixed + share * most) / whole
    slope = (mix - value) / whole
    return value.squeeze(1), slope.scatter_(1, at, (share * of_others - mixed) / (whole * whole))


def _labels(z: Tensor, out: Tensor, rows: Rows) -> "Labels | None":
    """Every label's statistics, where they can be had exactly."""
    z = _adjusted(z, out, rows)
    top, best = largest(z, out)
    if not (isfinite(z.amin()) and isfinite(top.amax())):
        return None
    labels = Labels(z, top, best, out, rows)
    return labels if float(labels.R.amin()) > exp(LEAST / max(2.0, rows.power or 0.0)) else None


class Labels:
    """Some rows, and their `Terms` in the statistics' table, for every class as the label.

    e: exponentials relative to the largest logit, in the buffer that will hold the gradient. best: its class. R: their
    sum without it."""

    def __init__(self, z: Tensor, top: Tensor, best: Tensor, out: Tensor, rows: Rows):
        self.z, self.top, self.best, self.rows = z, top, best, rows
        self.power = rows.power or 0.0
        self.u = z - top
        one = torch.ones_like(top)
        self.e = exp_into(out, self.u).scatter_(1, best, one - one)
        self.R = self.e.sum(1, keepdim=True)
        self.e.scatter_(1, best, one)
        self.S, self.log_S = self.R + 1, self.R.log1p()
        self._values: dict[str, Tensor] = {}

    def statistic(self, name: str) -> Tensor:
        if name in REST:
            if name not in self._values:
                self._values[name] = REST[name].value(self, self._rest_of(name))
            return self._values[name]
        if name == "label":
            return torch.arange(self.z.shape[1], device=self.z.device, dtype=self.z.dtype).expand_as(self.z)
        if name == "own":
            assert self.rows.table is not None
            return self.rows.table.diagonal().expand_as(self.z)
        return self.z if name == "logit" else getattr(self, name)

    @cached_property
    def p(self) -> Tensor:
        return self.e * self.S.reciprocal()

    @cached_property
    def not_p(self) -> Tensor:
        return (1 - self.p).scatter_(1, self.best, self.R / self.S)

    @cached_property
    def log_p(self) -> Tensor:
        return self.u - self.log_S

    @cached_property
    def log_not_p(self) -> Tensor:
        return self.p.neg().log1p_().scatter_(1, self.best, self.R.log() - self.log_S)

    @cached_property
    def log_odds(self) -> Tensor:
        return self.log_p - self.log_not_p

    # The terms that only some statistics read.

    @property
    def sum_u(self) -> Tensor:
        return self.rest.total(self.u)

    @property
    def live(self) -> Tensor:
        return self.e.new_ones(1, 1)

    @property
    def member(self) -> Tensor:
        return torch.ones_like(self.e)

    @property
    def count(self) -> Tensor:
        return torch.full_like(self.e, self.e.shape[1] - 1)

    @property
    def table(self) -> Tensor:
        return self.e.new_ones(())  # it is in the sums

    @cached_property
    def rest(self) -> Rest:
        inverse = (self.not_p * self.S).reciprocal_()
        return Rest(self.top, self.not_p * self.S, self.log_not_p + self.log_S, inverse, self._others, self._others)

    def _rest_of(self, name: str) -> Rest:
        if REST[name].argument != "table":
            return self.rest
        assert self.rows.table is not None
        return replace(self.rest, total=self._through(self.rows.table), spread=self._through(self.rows.table.T))

    def _others(self, x: Tensor) -> Tensor:
        """The sum of x over the other classes, for every class. It is its own transpose."""
        of_best = x.gather(1, self.best)
        x = x.scatter(1, self.best, torch.zeros_like(of_best))
        total = x.sum(1, keepdim=True)
        return ((total + of_best) - x).scatter_(1, self.best, total)

    def _through(self, table: Tensor) -> Callable[[Tensor], Tensor]:
        """The same of table[j, k] x_k, for every class j."""

        def total(x: Tensor) -> Tensor:
            of_best = x.gather(1, self.best)
            x = x.scatter(1, self.best, torch.zeros_like(of_best))
            found = x @ table.T
            others = found - x * table.diagonal() + of_best * table.T[self.best.squeeze(1)]
            return others.scatter_(1, self.best, found.gather(1, self.best))

        return total

    def pull_back(self, mix: Tensor, slopes: Mapping[str, Tensor | float]) -> None:
        """Turns the exponentials into the gradient of the sum of mix_j * loss(j), given the slopes of each loss."""
        if slopes.keys() <= {"log_p", "log_not_p", "log_odds"}:
            _pull_back(self.e, mix * self._in_log_p(slopes), self.S, self.best)
            return
        odds, own, curves = self._in_log_odds(mix, slopes), list[Tensor](), list[Tensor]()
        linear = None if odds is None else -odds
        for name, slope in slopes.items():
            if name == "logit":
                own.append(mix * slope)
            elif name in REST:
                statistic, c, rest = REST[name], mix * slope, self._rest_of(name)
                if statistic.linear is not None:
                    part = statistic.linear(c, self.statistic(name), rest, self)
                    linear = part if linear is None else linear + part
                if statistic.curve is not None:
                    curves.append(statistic.curve(c, self, rest))
        grad = self.e.zero_() if linear is None else self.e.mul_(self._others(linear * self.rest.inv))
        for part in (*curves, *own, *(() if odds is None else (odds,))):
            grad.add_(part)

    def _in_log_p(self, slopes: Mapping[str, Tensor | float]) -> Tensor | float:
        """The slopes in what follows from the log-odds, as one in log p."""
        slope: Any = slopes.get("log_odds", 0.0)
        if "log_not_p" in slopes:
            slope = slope - self.p * slopes["log_not_p"]
        if isinstance(slope, Tensor):
            slope = slope / self.not_p
        elif slope:
            slope = slope * self.not_p.reciprocal()
        return slope + slopes["log_p"] if "log_p" in slopes else slope

    def _in_log_odds(self, mix: Tensor, slopes: Mapping[str, Tensor | float]) -> Tensor | None:
        """The slopes in what follows from the log-odds, as one in the log-odds."""
        slope: Any = slopes.get("log_odds", 0.0)
        if "log_p" in slopes:
            slope = self.not_p * slopes["log_p"] + slope
        if "log_not_p" in slopes:
            slope = slope - self.p * slopes["log_not_p"]
        return None if isinstance(slope, float) else mix * slope

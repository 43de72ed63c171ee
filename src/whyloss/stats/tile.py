"""A tile of the dense engine: a few rows, small enough for the cache, on their way from logits to gradient.

Each tile's logits are read once. They become exponentials in the buffer that will hold the gradient, with a 0 where the
label is; the sums over the other classes are taken; and when the formula's slopes are known, the same buffer turns into
the gradient. No mask is made: the label is scattered in and out."""

from collections.abc import Mapping
from functools import cache, cached_property
from math import inf, isfinite

import torch
from torch import Tensor

from whyloss.stats import table
from whyloss.stats.rows import Rows
from whyloss.stats.table import HUGE, REST, Rest

needed = cache(table.needed)  # asked several times a call; torch.compile, which likes no caches, never comes here

# Exponentials may be relative to the label's own logit, which spares the search for the largest, where nothing that is
# summed depends on what they are relative to.
ANY_ORIGIN = frozenset(
    {"log_odds", "logit", "label", "own", "rest_sq", "rest_log_p", "rest_count", "rest_z_sq", "rest_expected"}
    | {"rest_table"}
)
# Where a sum of exponentials keeps its relative accuracy, as bounds of the log-odds: above HIGHEST the others all but
# underflow beside the label, below LOWEST the label beside them. Between LOW and HIGH, squares and inverses do as well.
LOWEST, HIGHEST = -27.0, 60.0
LOW, HIGH = -20.0, 30.0


class Tile:
    """Some rows, and their `Terms` in the statistics' table: what is not the buffer is made when a statistic asks.

    base: the statistics. e: the buffer. impossible: rows whose label is masked; None: there is none."""

    def __init__(self, z: Tensor, buffer: Tensor, label: Tensor, rows: Rows):
        self.rows, self.e, self.source = rows, buffer, z
        self.label, self.y = label, label.unsqueeze(1)
        self.names = needed(frozenset(rows.names))
        self.power = rows.power or 0.0
        self.base: dict[str, Tensor] = {}
        self.impossible: Tensor | None = None
        self._sum_u: Tensor | None = None  # where it fell to hand
        if not self._with_label_in():
            self._with_label_out()
        for name in self.names:
            if name in REST:
                self.base[name] = REST[name].value(self, self.rest)

    def _with_label_in(self) -> bool:
        """The usual tile: exponentials relative to the label's logit, or to the largest, and then a 0 for the label.
        Spares passes over the buffer. False where that is not exact: the sum of the others all but underflows or
        overflows, or a logit is infinite."""
        if "rival" in self.names:
            return False
        adjusted = self.rows.shift is not None or self.rows.scale is not None or self.source.dtype != self.e.dtype
        z = self._scaled_into(self.e) if adjusted else self.source
        own = z.gather(1, self.y)
        free = ANY_ORIGIN.issuperset(self.names)
        top = own if free else z.amax(1, keepdim=True)
        torch.sub(z, top, out=self.e)
        none = torch.zeros_like(own)  # to scatter; many times as fast as scattering a number
        if "rest_log_p" in self.names:  # while the buffer holds what it sums
            self._sum_u = (self.e if free else self.e.scatter_(1, self.y, none)).sum(1)
        S = self.e.exp_().scatter_(1, self.y, none).sum(1)
        own, top, log_S, inverse = own.squeeze(1), top.squeeze(1), S.log(), S.reciprocal()
        log_odds = -log_S if free else (own - top) - log_S
        least, most = (float(x) for x in log_odds.aminmax())
        if not (least > (LOWEST if free else -inf) and most < HIGHEST):  # nor if one is NaN
            return False
        if free and not (least > LOW and most < HIGH):
            self.e.mul_(inverse.unsqueeze(1))  # once and for all: products with it would underflow
            inverse = torch.ones_like(inverse)
        self._found(log_odds, own, top, Rest(top, S, log_S, inverse, _row_sum))
        return True

    def _with_label_out(self) -> None:
        """Any tile: the label is taken out first, so that the largest of the others is what all is relative to."""
        self._sum_u = None
        own = self._scaled_into(self.e).gather(1, self.y).squeeze(1)
        top = self.e.scatter_(1, self.y, -torch.inf).amax(1)
        empty = torch.isneginf(top)  # every other class is masked
        origin = torch.where(empty, 0.0, top)
        S = self.e.sub_(origin.unsqueeze(1)).exp_().sum(1)
        some = S > 0
        safe = torch.where(some, S, 1.0)
        self.impossible = torch.isneginf(own)
        own = torch.where(self.impossible, -HUGE, own)
        rest = Rest(origin, S, torch.where(some, safe.log(), -HUGE), safe.reciprocal(), _row_sum)
        self._found((own - origin) - rest.log_S, own, torch.where(empty, -HUGE, top), rest)

    def _found(self, log_odds: Tensor, own: Tensor, rival: Tensor, rest: Rest) -> None:
        rows, names = self.rows, self.names
        if (margins := rows.margins()) is not None:
            margin = margins[self.label]
            log_odds, own = log_odds - margin, own - margin
        self.rest = rest
        self.base["log_odds"] = log_odds
        if "logit" in names:
            self.base["logit"] = own
        if "rival" in names:
            self.base["rival"] = rival
        if "label" in names:
            self.base["label"] = self.label.to(own.dtype)
        if rows.table is not None:
            self.base["own"] = rows.table.diagonal()[self.label]

    def _scaled_into(self, out: Tensor) -> Tensor:
        out.copy_(self.source)
        if self.rows.shift is not None:
            out.add_(self.rows.shift)
        if self.rows.scale is not None:
            out.mul_(self.rows.scale)
        return out

    # The terms that only some statistics read.

    @cached_property
    def masked(self) -> bool:
        """Whether any class of the tile is masked out: rare, so that the usual tile skips the masks."""
        if self._sum_u is not None:
            return not isfinite(self._sum_u.sum())
        least = self.source.amin(1)  # per row, so that a NaN in an ignored row hides nothing
        if self.rows.shift is not None:
            least = least + self.rows.shift.amin()
        return bool(torch.isneginf(least).any())

    @property
    def u(self) -> Tensor:
        u, top = torch.empty_like(self.e), self.rest.top.unsqueeze(1)
        if self.rows.shift is None and self.rows.scale is None:
            torch.sub(self.source, top, out=u)  # one pass for two
        else:
            self._scaled_into(u).sub_(top)
        u.scatter_(1, self.y, 0.0)
        return u.masked_fill_(torch.isneginf(u), 0.0) if self.masked else u

    @property
    def sum_u(self) -> Tensor:
        return self.u.sum(1) if self._sum_u is None or self.masked else self._sum_u

    @property
    def z(self) -> Tensor:
        z = self._scaled_into(torch.empty_like(self.e)).scatter_(1, self.y, 0.0)
        return z.masked_fill_(torch.isneginf(z), 0.0) if self.masked else z

    @property
    def live(self) -> Tensor:
        if not self.masked:
            return self.e.new_ones(1, 1)
        return (~torch.isneginf(self._scaled_into(torch.empty_like(self.e)))).to(self.e.dtype)

    @property
    def member(self) -> Tensor:
        return self.live.expand_as(self.e).clone().scatter_(1, self.y, 0.0)

    @property
    def count(self) -> Tensor:
        return self.member.sum(1) if self.masked else torch.full_like(self.rest.top, self.e.shape[1] - 1)

    @property
    def table(self) -> Tensor:
        assert self.rows.table is not None
        return self.rows.table[self.label]

    def pull_back(self, coefficients: Mapping[str, Tensor]) -> None:
        """Turns the exponentials in the buffer into the gradient, given the slope of the loss in each statistic."""
        rest, linear, own = self.rest, list[Tensor](), list[Tensor]()
        factors, curves = list[Tensor](), list[Tensor]()
        for name, c in coefficients.items():
            if name == "log_odds":
                linear.append(-c)
                own.append(c)
            elif name == "logit":
                own.append(c)
            elif name == "rival":
                ties = (self.e == 1).to(c.dtype)  # the largest is where exp(z - top) is 1; ties share
                curves.append(ties * (c / ties.sum(1).clamp_min(1)).unsqueeze(1))
            else:
                statistic = REST[name]
                if statistic.linear is not None:
                    linear.append(statistic.linear(c, self.base[name], rest, self))
                if statistic.factor is not None:
                    factors.append(statistic.factor(c, self, rest))
                elif statistic.curve is not None:
                    curves.append(statistic.curve(c, self, rest))
        # Of the others: e * (linear / S + factors) + curves. Products and sums one by one: torch's addcmul does not
        # vectorise a broadcast row factor.
        slope = (_total(linear, rest.top) * rest.inv).unsqueeze(1)
        for factor in factors:
            slope = factor.add_(slope)
        grad = self.e.mul_(slope)
        for curve in curves:
            grad.add_(curve)
        at_label = _total(own, rest.top)
        if self.impossible is not None:
            at_label = torch.where(self.impossible, 0.0, at_label)
        grad.scatter_(1, self.y, at_label.unsqueeze(1))
        if self.rows.scale is not None:
            grad.mul_(self.rows.scale)


def _total(parts: list[Tensor], like: Tensor) -> Tensor:
    return sum(parts[1:], parts[0]) if parts else torch.zeros_like(like)


def _row_sum(x: Tensor) -> Tensor:
    return x.sum(1)

"""A block of the dense engine: some rows, small enough for the cache, on their way from logits to gradient.

Its logits are read once. They become exponentials in the buffer that will hold the gradient, with a 0 where the label
is; the sums over the other classes are taken; and when the formula's slopes are known, the same buffer turns into the
gradient. No mask is made: the label is scattered in and out."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, cached_property
from math import inf, isfinite, log, nan
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.linalg import vector_norm

from whyloss.stats import table
from whyloss.stats.exponentials import exp_into, mkl_is_slow
from whyloss.stats.rows import Rows
from whyloss.stats.table import HUGE, REST, Rest, Terms

needed = cache(table.needed)  # asked several times a call; torch.compile, which likes no caches, never comes here


def _last_level_cache() -> int:
    """Bytes of the cache that cores share; 0 where the system does not say."""
    own = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")  # os.sysconf has no name for it
    try:
        return int(own.read_text().strip().removesuffix("K")) * 2**10
    except (ValueError, OSError):
        return 0


# Elements of each thread, of all of them, and rows: so many that the calls cost little beside them, so few that the
# block and what a statistic makes of it stay in the last-level cache, and the numbers per row in the second.
MOST, ROWS = 2**22, 2**16
SIZE = min(max(2**20, _last_level_cache() // 32), MOST)
NORM = 2**10  # classes up to which torch's norm, which adds up one by one, is as exact as a sum
FEW = 2**5  # classes up to which a product with ones is quicker than a sum, and as exact
# Elements for which a product of two of the block's tensors is made at a time; more where each call of an exponential
# costs more.
TILE = 2**20 if mkl_is_slow() else 2**17
# Statistics that are the same, and as exact, whatever point the exponentials are relative to.
ANY_ORIGIN = frozenset(
    {
        *("log_odds", "logit", "label", "own", "rest_lse", "rest_log_p", "rest_count", "rest_sq", "rest_z_sq"),
        *("rest_expected", "rest_table"),
    }
)
LOGS = frozenset({"rest_entropy", "rest_pow", "rest_affine"})  # statistics that read the logits relative to that point
LOG_SUM = frozenset({"rest_lse", "rest_log_p"})  # which of them read the logarithm of the sum
TABLE_SUM = frozenset({"rest_affine", "rest_table"})  # which statistics read the sum of the table's row
# Bounds, as logarithms, within which sums of exponentials and what is made of them keep their relative accuracy: of
# log-odds (beyond them the others all but underflow beside the label, or the label beside them), of the sum if it is
# relative to nothing; and of both, those within which slopes, some as steep as (1 - p_y)^3, may be divided by the sum.
ODDS, SUM, MILD, POWERS = (-27.0, 60.0), (-20.0, 30.0), (-20.0, 20.0), 80.0


def elements() -> int:
    """Logits in a block."""
    return min(SIZE * torch.get_num_threads(), MOST)


def block_rows(classes: int) -> int:
    """Rows in a block."""
    return max(1, min(elements() // classes, ROWS))


def scaled_into(out: Tensor, z: Tensor, rows: Rows) -> Tensor:
    """The logits as the loss sees them, but for margins."""
    out.copy_(z)
    if rows.shift is not None:
        out.add_(rows.shift)
    if rows.scale is not None:
        out.mul_(rows.scale)
    return out


def _within(x: Tensor, low: float, high: float, logs: bool = True) -> tuple[bool, bool]:
    """Whether all of x, or their logarithms, are between these bounds (NaN is not), and mild."""
    least, most = (float(v) for v in x.aminmax())
    if not logs:
        least, most = (log(v) if v > 0 else nan for v in (least, most))
    return low < least and most < high, least > MILD[0] and most < MILD[1]


class _Labels:
    """The label's entry of each row of [B, C], read and written. Where the rows lie side by side (pixels) the memory is
    taken as one line, which is twice as quick as an axis across it."""

    def __init__(self, label: Tensor):
        self.label, self.y = label, label.unsqueeze(1)
        self.places: dict[int, Tensor] = {}

    def of(self, x: Tensor) -> Tensor:
        if x.stride(0) != 1 or x.stride(1) == 1:
            return x.gather(1, self.y).squeeze(1)
        return self._line(x).index_select(0, self._places(x))

    def put(self, x: Tensor, value: Tensor) -> Tensor:
        if x.stride(0) != 1 or x.stride(1) == 1:
            return x.scatter_(1, self.y, value.unsqueeze(1))
        self._line(x).index_copy_(0, self._places(x), value)
        return x

    def _line(self, x: Tensor) -> Tensor:
        return x.as_strided(((x.shape[1] - 1) * x.stride(1) + len(x),), (1,))

    def _places(self, x: Tensor) -> Tensor:
        step = x.stride(1)
        if step not in self.places:
            self.places[step] = torch.arange(len(x), device=x.device).add_(self.label, alpha=step)
        return self.places[step]


class Block:
    """Some rows, and their `Terms` in the statistics' table: what is not the buffer is made when a statistic asks.

    base: the statistics. e: the buffer. impossible: rows whose label is masked; None: there is none. finite: known to
    hold finite numbers only, so that coefficients of 0 make a gradient of 0. near: no log-odds is far from 0."""

    def __init__(self, z: Tensor, buffer: Tensor, label: Tensor, rows: Rows):
        self.rows, self.e, self.source = rows, buffer, z
        self.label, self.labels = label, _Labels(label)
        self.names = needed(frozenset(rows.names))
        self.power = rows.power or 0.0
        self.base: dict[str, Tensor] = {}
        self.impossible: Tensor | None = None
        self._sum_u: Tensor | None = None  # where it fell to hand
        self._u: Tensor | None = None  # the same, but for the label and masked classes
        usual = self._as_they_are()
        self.near = usual and rows.margin is None
        self.finite = usual or self._from_the_largest()
        if not self.finite:
            self._from_the_largest_other()
        for name in self.names:
            if name in REST:
                self.base[name] = REST[name].value(self.terms, self.rest)

    def _as_they_are(self) -> bool:
        """The usual block: exponentials of the logits as they are, no pass for a point that they are relative to. False
        where that is not exact, or a statistic depends on that point."""
        if not ANY_ORIGIN.issuperset(self.names):
            return False
        z, own = self._adjusted(), None
        if "logit" in self.names or "rest_log_p" in self.names:
            own = self.labels.of(z)
            self._sum_u = z.sum(1) - own if "rest_log_p" in self.names else None
        at_label, S, square = self._exponentials(z)
        none = torch.zeros_like(at_label)
        log_S, inverse = S.log() if LOG_SUM.intersection(self.names) else none, S.reciprocal()
        log_odds = (at_label / S).log_()  # not a difference of logarithms, which would lose digits
        (sound, mild), (sound_sum, mild_sum) = _within(log_odds, *ODDS), _within(S, *SUM, logs=False)
        if not (sound and sound_sum):
            return False
        if not (mild and mild_sum):
            self.e.mul_(inverse.unsqueeze(1))  # once and for all: a slope times the inverse would underflow
            inverse, square = torch.ones_like(inverse), None
        self._found(log_odds, own, None, _Rest(none, S, log_S, inverse, _row_sum, square=square))
        return True

    def _exponentials(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Fills the buffer with exponentials, 0 at the label. Returns that of the label, the sum of the others and, if
        it is asked for and falls to hand, of their squares: of a few rows at a time, while they are in the cache."""
        if "rest_sq" not in self.names or z.stride(1) != 1 or z.shape[1] > NORM:
            at_label = self.labels.of(exp_into(self.e, z))
            return at_label, _row_sum(self.labels.put(self.e, torch.zeros_like(at_label))), None
        parts = list[tuple[Tensor, ...]]()
        for e, x, y in _tiles(self.e, z, self.labels.y):
            at_label = exp_into(e, x).gather(1, y)
            e.scatter_(1, y, torch.zeros_like(at_label))
            parts.append((at_label.squeeze(1), _row_sum(e), vector_norm(e, dim=1).square_()))
        at_label, S, square = parts[0] if len(parts) == 1 else (torch.cat(part) for part in zip(*parts, strict=True))
        return at_label, S, square

    def _from_the_largest(self) -> bool:
        """Exponentials relative to the largest logit, the label's included and then set to 0. False where that is not
        exact: the others all but underflow, or a logit is infinite."""
        if "rival" in self.names:
            return False
        z = self._adjusted()
        top, own = z.amax(1), self.labels.of(z)
        none = torch.zeros_like(own)
        u = torch.empty_like(self.e) if LOGS.intersection(self.names) else self.e
        torch.sub(z, top.unsqueeze(1), out=u)
        if "rest_log_p" in self.names:  # while there is what it sums
            self._sum_u = _row_sum(self.labels.put(u, none))
        S = _row_sum(self.labels.put(exp_into(self.e, u), none))
        log_S = S.log()
        log_odds = (own - top) - log_S
        # Where powers of the exponentials are summed, these too must not underflow.
        if not _within(log_odds, -inf, min(ODDS[1], POWERS / self.power) if "rest_pow" in self.names else ODDS[1])[0]:
            return False
        if u is not self.e:
            self._u = u
        self._found(log_odds, own, None, _Rest(top, S, log_S, S.reciprocal(), _row_sum))
        return True

    def _from_the_largest_other(self) -> None:
        """Any block: the label is taken out first, so that the largest of the others is what all is relative to."""
        self._sum_u = None
        own = self.labels.of(self._scaled_into(self.e))
        top = self.e.scatter_(1, self.labels.y, -torch.inf).amax(1)
        empty = torch.isneginf(top)  # every other class is masked
        origin = torch.where(empty, 0.0, top)
        S = exp_into(self.e, self.e.sub_(origin.unsqueeze(1))).sum(1)
        some = S > 0
        safe = torch.where(some, S, 1.0)
        self.impossible = torch.isneginf(own)
        own = torch.where(self.impossible, -HUGE, own)
        rest = _Rest(origin, S, torch.where(some, safe.log(), -HUGE), safe.reciprocal(), _row_sum)
        self._found((own - origin) - rest.log_S, own, torch.where(empty, -HUGE, top), rest)

    def _found(self, log_odds: Tensor, own: Tensor | None, rival: Tensor | None, rest: Rest) -> None:
        rows, names = self.rows, self.names
        if (margins := rows.margins()) is not None:
            margin = margins[self.label]
            log_odds, own = log_odds - margin, None if own is None else own - margin
        if not TABLE_SUM.isdisjoint(names) and not self.masked:
            rest = replace(rest, table_sum=self.table.sum(1))
        self.rest = rest
        self.base["log_odds"] = log_odds
        if "logit" in names and own is not None:
            self.base["logit"] = own
        if "rival" in names and rival is not None:
            self.base["rival"] = rival
        if "label" in names:
            self.base["label"] = self.label.to(log_odds.dtype)
        if rows.table is not None:
            self.base["own"] = rows.table.diagonal()[self.label]

    def _adjusted(self) -> Tensor:
        """The logits as the loss sees them; in the buffer, if they are not simply the source."""
        if self.rows.shift is None and self.rows.scale is None and self.source.dtype == self.e.dtype:
            return self.source
        return self._scaled_into(self.e)

    def _scaled_into(self, out: Tensor) -> Tensor:
        return scaled_into(out, self.source, self.rows)

    # The terms that only some statistics read.

    @property
    def terms(self) -> Terms:
        return cast(Any, self)  # a cached property is no property to the type checker

    @cached_property
    def masked(self) -> bool:
        """Whether any class of the block is masked out: rare, so that the usual block skips the masks."""
        if self._sum_u is not None:
            return not isfinite(self._sum_u.sum())
        shift = 0.0 if self.rows.shift is None else self.rows.shift.amin()
        least = self.source.amin() + shift
        if torch.isnan(least):  # of an ignored row, maybe, where it hides nothing of the others
            least = self.source.amin(1) + shift
        return bool(torch.isneginf(least).any())

    @cached_property
    def u(self) -> Tensor:
        u, top = self._u, self.rest.top.unsqueeze(1)
        if u is None:
            u = torch.empty_like(self.e)
            if self.rows.shift is None and self.rows.scale is None:
                torch.sub(self.source, top, out=u)  # one pass for two
            else:
                self._scaled_into(u).sub_(top)
        u.scatter_(1, self.labels.y, 0.0)
        return u.masked_fill_(torch.isneginf(u), 0.0) if self.masked else u

    @property
    def sum_u(self) -> Tensor:
        return self.u.sum(1) if self._sum_u is None or self.masked else self._sum_u

    @property
    def z(self) -> Tensor:
        z = self._scaled_into(torch.empty_like(self.e)).scatter_(1, self.labels.y, 0.0)
        return z.masked_fill_(torch.isneginf(z), 0.0) if self.masked else z

    @property
    def live(self) -> Tensor:
        if not self.masked:
            return self.e.new_ones(1, 1)
        return (~torch.isneginf(self._scaled_into(torch.empty_like(self.e)))).to(self.e.dtype)

    @property
    def member(self) -> Tensor:
        return self.live.expand_as(self.e).clone().scatter_(1, self.labels.y, 0.0)

    @cached_property
    def count(self) -> Tensor:
        return self.member.sum(1) if self.masked else torch.full_like(self.rest.top, self.e.shape[1] - 1)

    @cached_property
    def table(self) -> Tensor:
        """0 at the label."""
        assert self.rows.table is not None
        return self.rows.table.index_select(0, self.label).scatter_(1, self.labels.y, 0.0)

    def pull_back(self, coefficients: Mapping[str, Tensor]) -> None:
        """Turns the exponentials in the buffer into the gradient, given the slope of the loss in each statistic."""
        rest, linear, own = self.rest, list[Tensor](), list[Tensor]()
        factors, curves = list[tuple[Tensor, Tensor]](), list[Tensor]()
        alike: dict[Callable[..., Tensor], Tensor] = {}  # one curve for all statistics that have the same
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
                    linear.append(statistic.linear(c, self.base[name], rest, self.terms))
                if statistic.factor is not None:
                    term, number = statistic.factor
                    factors.append((getattr(self, term), number(c, rest).unsqueeze(1)))
                elif statistic.curve is not None:
                    alike[statistic.curve] = alike[statistic.curve] + c if statistic.curve in alike else c
        curves.extend(curve(c, self.terms, rest) for curve, c in alike.items())
        # Of the others: e * (linear / S + factors) + curves. Products and sums one by one: torch's addcmul does not
        # vectorise a broadcast row factor.
        slope = (_total(linear, rest.top) * rest.inv).unsqueeze(1)
        grad = self.e
        if factors:
            _times_sums(grad, slope, factors)
        else:
            grad.mul_(slope)
        for curve in curves:
            grad.add_(curve)
        at_label = _total(own, rest.top)
        if self.impossible is not None:
            at_label = torch.where(self.impossible, 0.0, at_label)
        self.labels.put(grad, at_label)
        if self.rows.scale is not None:
            grad.mul_(self.rows.scale)


def _total(parts: list[Tensor], like: Tensor) -> Tensor:
    return sum(parts[1:], parts[0]) if parts else torch.zeros_like(like)


def _row_sum(x: Tensor) -> Tensor:
    classes = x.shape[1]
    return torch.mv(x, _ones(classes, x.dtype)) if classes <= FEW and x.stride(1) == 1 else x.sum(1)


@cache
def _ones(classes: int, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):
        return torch.ones(classes, dtype=dtype, device="cpu")


class _Rest(Rest):
    def dot(self, x: Tensor, y: Tensor) -> Tensor:
        if x is y and x.stride(1) == 1 and x.shape[1] <= NORM:
            return vector_norm(x, dim=1).square()  # one pass, and nothing made
        parts = [(a * b).sum(1) for a, b in _tiles(x, y)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def _times_sums(e: Tensor, slope: Tensor, factors: list[tuple[Tensor, Tensor]]) -> None:
    """Multiplies e by slope + the sum of the products in `factors`, in which e itself may be."""
    for tile, s, *parts in _tiles(e, slope, *(x for factor in factors for x in factor)):
        products = [x * number for x, number in zip(parts[::2], parts[1::2], strict=True)]
        for product in products:
            s = product.add_(s)
        tile.mul_(s)


def _tiles(*of_rows: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """A few rows of each at a time, so that what is made of them stays in the second-level cache."""
    rows = max(1, TILE // of_rows[0].shape[1])
    return zip(*(x.split(rows) for x in of_rows), strict=True)

"""Every statistic that a formula can ask for: what it is, what is summed for it, and its slope.

A row of logits z with label y splits into two independent things: the log-odds of the label against all other classes,
and the *rest*, the distribution over the other classes once the label is ruled out,

    r_j = exp(z_j) / sum of exp(z_k) over k != y,     p_j = (1 - p_y) r_j.

Every statistic is a function of the log-odds and of a sum over the rest. Nothing is ever the difference of two nearly
equal numbers, so a confident row keeps full relative accuracy: 1 - p_y is sigmoid(-log_odds), the Brier score is
(1 - p_y)^2 (1 + sum r_j^2), the entropy is that of a coin plus (1 - p_y) times the entropy of the rest.

`REST` holds the sums (an engine computes them), `DERIVED` what follows from them in plain torch on numbers per row.
To add a statistic, add a row to one of the two."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from whyloss.stats.exact import HUGE, times_exp


class Terms(Protocol):
    """What the summand of one class may read; each is [..., C], and 0 where the class does not count."""

    @property
    def e(self) -> Tensor:
        """exp(z - top)."""
        ...

    @property
    def u(self) -> Tensor:
        """z - top, 0 for a masked class."""
        ...

    @property
    def z(self) -> Tensor:
        """The logits, 0 for a masked class."""
        ...

    @property
    def sum_u(self) -> Tensor:
        """The sum of u over the rest."""
        ...

    @property
    def live(self) -> Tensor:
        """1 for a class that is not masked, else 0; broadcasts. The label's own entry means nothing."""
        ...

    @property
    def member(self) -> Tensor:
        """1 for a class that is neither masked nor the label, else 0."""
        ...

    @property
    def count(self) -> Tensor:
        """How many classes are in the rest, one number per row (or per row and possible label)."""
        ...

    @property
    def table(self) -> Tensor:
        """The label's row of the loss's table."""
        ...

    @property
    def power(self) -> float:
        """The loss's exponent."""
        ...


def _column(value: Tensor) -> Tensor:
    return value.unsqueeze(-1)


@dataclass
class Rest:
    """The sums over the rest that every statistic may use, one number per row (or per row and possible label).

    top: the point that exponentials are relative to. S: sum of exp(z - top). log_S: its logarithm. inv: 1 / S, or 1
    where `e` has been divided by S.
    total: sums a [..., C] tensor of terms over the rest. spread: its transpose, from numbers per row (or per row and
    possible label) to what each class gets of them. If they are at hand: table_sum, of the table's row over the rest;
    square, of exp(z - top)^2."""

    top: Tensor
    S: Tensor
    log_S: Tensor
    inv: Tensor
    total: Callable[[Tensor], Tensor]
    spread: Callable[[Tensor], Tensor] = _column
    table_sum: Tensor | None = None
    square: Tensor | None = None

    def dot(self, x: Tensor, y: Tensor) -> Tensor:
        """The sum of x * y over the rest."""
        return self.total(x * y)


@dataclass(frozen=True)
class Statistic:
    """A sum over the rest. Its slope in z_j (j != y) is `linear * r_j + curve_j`; in z_y it is 0.

    value(terms, rest): the statistic. linear(c, v, rest, terms): coefficient c times the part of the slope that is
    proportional to r_j, given the value v. curve(c, terms, rest): what remains, [..., C], or None if nothing does.
    factor: where the curve is e times a term times a number per row, the term's name and the number from (c, rest), for
    an engine that multiplies by e once."""

    caption: str
    value: Callable[[Terms, Rest], Tensor]
    linear: Callable[[Tensor, Tensor, Rest, Terms], Tensor] | None = None
    curve: Callable[[Tensor, Terms, Rest], Tensor] | None = None
    factor: tuple[str, Callable[[Tensor, Rest], Tensor]] | None = None
    argument: str | None = None  # the loss's attribute that it reads


def _table_sum(t: Terms, r: Rest) -> Tensor:
    return r.dot(t.table, t.member) if r.table_sum is None else r.table_sum


def _table_curve(c: Tensor, t: Terms, r: Rest) -> Tensor:
    return t.table * (t.live * r.spread(c))


REST: Mapping[str, Statistic] = {
    "rest_lse": Statistic(
        "log-sum-exp of the other classes",
        value=lambda t, r: r.top + r.log_S,
        linear=lambda c, v, r, t: c,
    ),
    "rest_sq": Statistic(
        "sum of r_j^2: how concentrated the rest is",
        value=lambda t, r: (r.dot(t.e, t.e) if r.square is None else r.square) * r.inv * r.inv,
        linear=lambda c, v, r, t: -2 * c * v,
        curve=lambda c, t, r: t.e * t.e * r.spread(2 * c * r.inv * r.inv),
        factor=("e", lambda c, r: 2 * c * r.inv * r.inv),
    ),
    "rest_pow": Statistic(
        "sum of r_j^power",
        # Through the logarithm, so that e = 0 (the label, a masked class) has a slope for powers below 1 too.
        value=lambda t, r: r.total(torch.exp(t.power * t.u) * t.member) * r.inv**t.power,
        linear=lambda c, v, r, t: -t.power * c * v,
        curve=lambda c, t, r: torch.exp(t.power * t.u) * t.member * r.spread(t.power * c * r.inv**t.power),
        argument="power",
    ),
    "rest_entropy": Statistic(
        "-sum of r_j log r_j: entropy of the rest",
        value=lambda t, r: r.log_S - r.dot(t.e, t.u) * r.inv,
        linear=lambda c, v, r, t: c * (r.log_S - v),
        curve=lambda c, t, r: t.e * t.u * r.spread(-c * r.inv),
        factor=("u", lambda c, r: -c * r.inv),
    ),
    "rest_log_p": Statistic(
        "sum of log r_j over the classes that are not masked",
        value=lambda t, r: t.sum_u - t.count * r.log_S,
        linear=lambda c, v, r, t: -c * t.count,
        curve=lambda c, t, r: t.live * r.spread(c),
    ),
    "rest_count": Statistic(
        "number of other classes that are not masked",
        value=lambda t, r: t.count,
    ),
    "rest_z_sq": Statistic(
        "sum of z_j^2 over the other classes",
        value=lambda t, r: r.dot(t.z, t.z),
        curve=lambda c, t, r: t.z * r.spread(2 * c),
    ),
    "rest_expected": Statistic(
        "sum of A[y, j] r_j",
        value=lambda t, r: r.dot(t.table, t.e) * r.inv,
        linear=lambda c, v, r, t: -c * v,
        curve=lambda c, t, r: t.table * t.e * r.spread(c * r.inv),
        factor=("table", lambda c, r: c * r.inv),
        argument="table",
    ),
    "rest_affine": Statistic(
        "sum of A[y, j] log r_j",
        value=lambda t, r: r.dot(t.table, t.u) - _table_sum(t, r) * r.log_S,
        linear=lambda c, v, r, t: -c * _table_sum(t, r),
        curve=_table_curve,
        argument="table",
    ),
    "rest_affine_z": Statistic(
        "sum of A[y, j] z_j over the other classes",
        value=lambda t, r: r.dot(t.table, t.z),
        curve=_table_curve,
        argument="table",
    ),
    "rest_table": Statistic(
        "sum of A[y, j] over the other classes",
        value=_table_sum,
        argument="table",
    ),
}

# Not sums, so the engines make them themselves: the log-odds, the label's logit, the largest other logit, the label's
# own entry of the table, and the label.
OWN: Mapping[str, str] = {
    "log_odds": "log p_y / (1 - p_y) = z_y - log-sum-exp of the other classes",
    "logit": "z_y, the label's own logit",
    "rival": "the largest logit that is not the label's",
    "own": "A[y, y]",
    "label": "y, the label's index, as a number",
}
ARGUMENTS = {"own": "table"} | {name: s.argument for name, s in REST.items() if s.argument}


def _log_or_none(value: Tensor) -> Tensor:
    """log(value), and a constant near minus infinity where value is 0, so that 0 has no slope instead of a NaN."""
    positive = value > 0
    return torch.where(positive, torch.log(torch.where(positive, value, 1.0)), -HUGE)


class _Derived:
    """Statistics that follow from others, in plain torch; the parameter names say from which."""

    @staticmethod
    def log_p(log_odds: Tensor) -> Tensor:
        "log p_y"
        return logsigmoid(log_odds)

    @staticmethod
    def log_not_p(log_odds: Tensor) -> Tensor:
        "log(1 - p_y)"
        return logsigmoid(-log_odds)

    @staticmethod
    def p(log_odds: Tensor, log_p: Tensor) -> Tensor:
        "p_y"
        return times_exp(torch.sigmoid(log_odds), log_p)

    @staticmethod
    def not_p(log_odds: Tensor, log_not_p: Tensor) -> Tensor:
        "1 - p_y, exact near 0"
        return times_exp(torch.sigmoid(-log_odds), log_not_p)

    @staticmethod
    def lse(log_odds: Tensor, logit: Tensor, rest_lse: Tensor, log_p: Tensor, log_not_p: Tensor) -> Tensor:
        "log-sum-exp of all logits"
        # Whichever is the larger part is corrected by a little, so that the smaller part keeps its slope.
        return torch.where(log_odds > 0, logit - log_p, rest_lse - log_not_p)

    @staticmethod
    def count(rest_count: Tensor) -> Tensor:
        "number of classes that are not masked"
        return rest_count + 1

    @staticmethod
    def rest_p_sq(not_p: Tensor, rest_sq: Tensor) -> Tensor:
        "sum of p_j^2 over the other classes"
        return not_p * not_p * rest_sq

    @staticmethod
    def p_sq(p: Tensor, rest_p_sq: Tensor) -> Tensor:
        "sum of p_j^2"
        return p * p + rest_p_sq

    @staticmethod
    def entropy(p: Tensor, log_p: Tensor, not_p: Tensor, log_not_p: Tensor, rest_entropy: Tensor) -> Tensor:
        "-sum of p_j log p_j"
        return not_p * (rest_entropy - log_not_p) - p * log_p

    @staticmethod
    def sum_log_p(log_p: Tensor, log_not_p: Tensor, rest_log_p: Tensor, rest_count: Tensor) -> Tensor:
        "sum of log p_j"
        return log_p + rest_count * log_not_p + rest_log_p

    @staticmethod
    def sum_z(sum_log_p: Tensor, count: Tensor, lse: Tensor) -> Tensor:
        "sum of z_j"
        return sum_log_p + count * lse

    @staticmethod
    def z_sq(logit: Tensor, rest_z_sq: Tensor) -> Tensor:
        "sum of z_j^2"
        return logit * logit + rest_z_sq

    @staticmethod
    def p_pow(log_p: Tensor, log_not_p: Tensor, rest_pow: Tensor, power: float) -> Tensor:
        "sum of p_j^power"
        return torch.exp(power * log_p) + torch.exp(power * log_not_p) * rest_pow

    @staticmethod
    def expected(own: Tensor, p: Tensor, not_p: Tensor, rest_expected: Tensor) -> Tensor:
        "sum of A[y, j] p_j"
        return own * p + not_p * rest_expected

    @staticmethod
    def log_expected(own: Tensor, log_p: Tensor, log_not_p: Tensor, rest_expected: Tensor) -> Tensor:
        "log of the sum of A[y, j] p_j, for a table of numbers >= 0"
        return torch.logaddexp(_log_or_none(own) + log_p, _log_or_none(rest_expected) + log_not_p)

    @staticmethod
    def affine_log_p(
        own: Tensor,
        log_p: Tensor,
        log_not_p: Tensor,
        rest_affine: Tensor,
        rest_table: Tensor,
        rest_affine_z: Tensor,
        logit: Tensor,
        log_odds: Tensor,
    ) -> Tensor:
        "sum of A[y, j] log p_j"
        value = own * log_p + rest_table * log_not_p + rest_affine
        # The slope in a class with A[y, j] = 0 is p_j = (1 - p_y) r_j. With the label likely, the slopes above make it
        # r_j - p_y r_j, and 0 where p_y rounds to 1; the same sum written with lse = logit - log_p has it exactly.
        near = own * log_p + rest_affine_z - rest_table * (logit - log_p)
        return torch.where(log_odds > 0, value.detach() + (near - near.detach()), value)


DERIVED: Mapping[str, Callable[..., Tensor]] = {
    name: method.__func__ for name, method in vars(_Derived).items() if isinstance(method, staticmethod)
}
_READS: Mapping[str, tuple[str, ...]] = {name: tuple(inspect.signature(f).parameters) for name, f in DERIVED.items()}
CONSTANT = frozenset({"rest_count", "rest_table", "own", "label"})  # no slope in the logits


def captions() -> dict[str, str]:
    """Name and meaning of every statistic that a formula can name, the usual ones first."""
    derived = {name: inspect.getdoc(f) or "" for name, f in DERIVED.items()}
    return {**OWN, **derived, **{name: s.caption for name, s in REST.items()}}


def needed(names: frozenset[str]) -> tuple[str, ...]:
    """The statistics that an engine must compute so that those in `names` can be derived; sorted, log_odds included."""
    found: set[str] = {"log_odds"}
    todo = set(names)
    while todo:
        name = todo.pop()
        if name in DERIVED:
            todo |= {n for n in _READS[name] if n != "power"}
        else:
            found.add(name)
    return tuple(sorted(found))


def arguments(names: tuple[str, ...]) -> frozenset[str]:
    """The attributes ("power", "table") that a loss must have to use these statistics."""
    return frozenset(ARGUMENTS[n] for n in needed(frozenset(names)) if n in ARGUMENTS)


def derive(names: Iterable[str], base: Mapping[str, Any]) -> dict[str, Tensor]:
    """The named statistics from those that an engine computed (`base`, with `power` where one is used)."""
    known = dict(base)
    return {name: _derived(name, known) for name in names}


def _derived(name: str, known: dict[str, Any]) -> Any:
    if name not in known:
        known[name] = DERIVED[name](*[_derived(n, known) for n in _READS[name]])
    return known[name]

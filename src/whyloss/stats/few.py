"""A loss of a few rows on the CPU, where each operation takes longer than what it does.

Straight down, with no block and no look at what an operation sees anyway: the probabilities of a row, the odds of its
label, the formula, the gradient. For formulas of the odds and of some sums over the other classes; where the odds are
extreme or a label is none, it says so, and the dense engine, which is exact everywhere, has its turn."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor

from whyloss.stats import reference
from whyloss.stats.elementwise import room
from whyloss.stats.pixels import Misread, masks_of
from whyloss.stats.rows import Rows, flat
from whyloss.stats.shares import AGAINST, EACH, of_shares
from whyloss.stats.table import REST, Rest, Terms, needed

# Logits, those of which logarithms are made too, and rows: a softmax over a few classes takes as long for each as over
# many.
MOST, LOGGED, ROWS = 2**18, 2**17, 2**9
# Pixels: classes for which it pays, and logits of all.
NARROW, PIXELS = 8, 2**18
EXACT = (torch.float32, torch.float64)
# Statistics: of all shapes, and of rows.
KNOWN, OF_ROWS = {"log_odds", "rest_log_p", "rest_count"}, {"rest_sq", "rest_entropy"}
SUMS = ("rest_log_p", *sorted(OF_ROWS))  # sums over the other classes
LOGS = {"rest_log_p", "rest_entropy"}  # that read logarithms
FAINT, LOUD = 1e-15, 1e15  # sums of exponentials that are relative to nothing, and exact
NEAR, FAR = 1e-26, 1e26  # odds within which no probability comes near what a dtype can hold


class Few:
    """How it is made: of the loss that `rows` speak of, with no label of their own. ignore: the label of no row.
    trusts: no label was none so far; to be told so costs more than a look before."""

    def __init__(self, rows: Rows, ignore: int):
        self.rows, self.ignore, self.trusts = replace(rows, label=None), ignore, True
        program = rows.program() if (KNOWN | OF_ROWS).issuperset(needed(frozenset(rows.names))) else None
        self.program = of_shares(program) if program is not None and program.inputs else None
        reads = frozenset(() if self.program is None else self.program.inputs)
        # Those that are masked are no part of the number of the others; only their sum tells of them.
        self.reads = reads | {"rest_log_p"} if "rest_count" in reads else reads

    def fits(self, z: Tensor) -> bool:
        if z.ndim == 2:
            few = len(z) <= ROWS and z.numel() <= (MOST if self.reads.isdisjoint(LOGS) else LOGGED)
        else:
            few = z.shape[1] <= NARROW and z.numel() <= PIXELS and self.reads.isdisjoint(OF_ROWS)
        return few and self.program is not None and z.dtype in EXACT and not 0 <= self.ignore < z.shape[1]

    def reduced(
        self, z: Tensor, label: Tensor, how: str, weight: Tensor | None = None, of_rows: Tensor | None = None
    ) -> Tensor | None:
        """Of logits [N, C]: the "mean", the "sum" or, with "none", each loss; a row for 1, or for the weight [C] of its
        class, or its own, [N], or both. None where it is not exact, or a label is none."""
        if how == "none" and z.ndim > 2:
            return None  # pixels share what they are computed in, which is gone when their gradient is asked for
        wanted = z.requires_grad and torch.is_grad_enabled()
        found = self.found(z.detach(), label, how, weight, of_rows, wanted)
        if found is None or not wanted:
            return None if found is None else found[0]
        return _Few.apply(z, (found, self, label, how, weight, of_rows))  # pyright: ignore[reportReturnType]

    def found(
        self,
        z: Tensor,
        label: Tensor,
        how: str,
        weight: Tensor | None,
        of_rows: Tensor | None,
        wanted: bool = True,
    ) -> tuple[Tensor, Callable[[Tensor], Tensor] | None] | None:
        """The same without autograd and, if it is wanted, the gradient from that of the result, which may be asked for
        once."""
        assert self.program is not None
        try:
            parts = _Rows(z, label, self.reads) if z.ndim == 2 else _Pixels(z, label, self.reads)
        except Misread:
            self.trusts = False
            return None
        given = parts.given() if all(NEAR < x.item() < FAR for x in parts.odds_against.aminmax()) else None
        if given is None:
            return None
        losses, *slopes = self.program.run(*(given[name] for name in self.program.inputs))
        if isinstance(losses, float):
            losses = torch.full_like(parts.others, losses)
        counts = weights_of_rows(label, weight, of_rows, z.dtype)
        if counts is not None:
            if not counts.amin().item() > 0:
                return None
            counts = counts.view_as(losses)

        def gradient(share: Tensor | float) -> Tensor:
            return parts.gradient(dict(zip(self.program.slopes, slopes, strict=True)), share)  # pyright: ignore

        if how == "none":
            # A sum over one: whoever changes the losses in place must not change what slopes are made of.
            if counts is None:
                return losses.sum(1), lambda u: gradient(u.unsqueeze(1))
            return (losses * counts).sum(1), lambda u: gradient(u.unsqueeze(1) * counts)
        if counts is None:
            share = 1 / label.numel() if how == "mean" else 1.0
            value = losses.sum().mul_(share)  # in less time than a mean takes
        else:
            share = counts / counts.sum() if how == "mean" else counts
            value = (losses * share).sum()
        if not wanted:
            return value, None
        slope = gradient(share)
        return value, lambda u: slope if u.item() == 1 else slope.mul_(u)

    def exactly(self, z: Tensor, label: Tensor, how: str, weight: Tensor | None, of_rows: Tensor | None) -> Tensor:
        """In plain differentiable torch."""
        losses = reference.row_losses(flat(z.flatten(2)) if z.ndim > 2 else z, self.rows.of_labels(label.reshape(-1)))
        counts = weights_of_rows(label, weight, of_rows, z.dtype)
        if counts is not None:
            losses = losses * counts.reshape(-1)
        if how == "none":
            return losses
        if how == "sum":
            return losses.sum()
        return losses.mean() if counts is None else losses.sum() / counts.sum()


class _Parts:
    """What a program reads of rows, and what it takes to make a gradient of its slopes. e: what each class has of the
    probability, 0 at the label; others, own: what they have together, and the label; all times what a row has
    (`unit`), where that is not 1."""

    unit: Tensor | None = None
    square: Tensor | None = None  # the table asks whether it is at hand
    e: Tensor
    others: Tensor
    own: Tensor
    classes: int

    def __init__(self, reads: frozenset[str]):
        self.reads, self.values = reads, dict[str, Tensor]()

    @cached_property
    def odds_against(self) -> Tensor:
        return self.others / self.own

    @cached_property
    def inv(self) -> Tensor:
        return self.others.reciprocal()

    @cached_property
    def log_S(self) -> Tensor:
        return self.others.log()

    # As the table of statistics calls them.

    @property
    def rest(self) -> Rest:
        return cast(Any, self)

    @property
    def terms(self) -> Terms:
        return cast(Any, self)

    @property
    def count(self) -> int:
        return self.classes - 1

    @property
    def sum_u(self) -> Tensor:
        """Of the logarithms of what each other class has."""
        raise NotImplementedError

    def given(self) -> dict[str, Tensor] | None:
        """None where one is infinite."""
        found, reads = self.values, self.reads
        if "log_odds" in reads:
            found["log_odds"] = self.odds_against.log().neg_()
        if "cost" in reads:
            found["cost"] = self.odds_against.log1p()
        if "p" in reads:
            found["p"] = self.own if self.unit is None else self.own / self.unit
        if "not_p" in reads:
            found["not_p"] = self.others if self.unit is None else self.others / self.unit
        if "rest_count" in reads:
            found["rest_count"] = torch.full_like(self.others, self.count)
        for name in filter(reads.__contains__, SUMS):
            found[name] = REST[name].value(self.terms, self.rest)
            if not math.isfinite(found[name].sum().item()):
                return None
        return found

    def gradient(self, slopes: Mapping[str, Tensor | float], share: Tensor | float) -> Tensor:
        """`share` times the gradient, from the slopes in the statistics. To be asked for once."""
        of_label, of_all = slopes.get(AGAINST, 0.0) * -share, None
        if EACH in slopes:
            factor = slopes[EACH] * share if self.unit is None else slopes[EACH] * share / self.unit
            return self.put(self.e.mul_(factor), of_label, None)
        linear, more = -of_label, list[Tensor]()
        for name in filter(self.values.__contains__, slopes):
            statistic, c = REST[name], cast(Tensor, slopes[name] * share)
            if statistic.linear is not None:
                linear = linear + statistic.linear(c, self.values[name], self.rest, self.terms)
            if statistic.factor is not None:
                term, number = statistic.factor
                more.append(getattr(self, term) * number(c, self.rest))
            if name == "rest_log_p":
                of_all = c
        factor = linear * self.inv
        for part in more:
            factor = part.add_(factor)
        return self.put(self.e.mul_(factor), of_label, of_all)

    def put(self, found: Tensor, of_label: Tensor | float, of_all: Tensor | float | None) -> Tensor:
        """The slopes of all logits, and of the label's, which have none so far."""
        raise NotImplementedError


class _Rows(_Parts):
    """[N, 1] of each, and e [N, C]."""

    def __init__(self, z: Tensor, label: Tensor, reads: frozenset[str]):
        super().__init__(reads)
        self.classes, self.places = z.shape[1], label.unsqueeze(1)
        log_p = None if reads.isdisjoint(LOGS) else torch.log_softmax(z, 1)
        p = torch.softmax(z, 1) if log_p is None else log_p.exp()
        try:
            self.own = p.gather(1, self.places)
        except RuntimeError:  # an index is out of bounds
            raise Misread from None
        self.e = p.scatter_(1, self.places, 0.0)
        self.others = self.e.sum(1, keepdim=True)
        self.u = self.e if log_p is None else log_p.scatter_(1, self.places, 0.0)

    def dot(self, x: Tensor, y: Tensor) -> Tensor:
        return (x * y).sum(1, keepdim=True)

    @property
    def sum_u(self) -> Tensor:
        return self.u.sum(1, keepdim=True)

    def put(self, found: Tensor, of_label: Tensor | float, of_all: Tensor | float | None) -> Tensor:
        if of_all is not None:
            found.add_(of_all)
        return found.scatter_(1, self.places, of_label)  # pyright: ignore[reportArgumentType, reportCallIssue]


class _Pixels(_Parts):
    """[N, 1, P] of each for a few classes, and e [N, C, P]. Products with masks of 0 and 1 take less time than to
    gather and to scatter."""

    def __init__(self, z: Tensor, label: Tensor, reads: frozenset[str]):
        super().__init__(reads)
        self.shape, z, label = z.shape, z.flatten(2), label.flatten(1)
        self.z, e, self.classes = z, torch.exp(z), z.shape[1]
        masks, self.of_label = (x.view(z.shape) for x in room(2, z.numel(), z.dtype))
        self.masks = masks_of(label, z.shape[1], z.dtype, masks)
        if self.masks.sum(2).sum(dtype=torch.float64).item() != label.numel():
            raise Misread
        self.ones = e.new_ones(len(z), 1, z.shape[1])
        self.e = e.sub_(torch.mul(self.masks, e, out=self.of_label))
        self.others, self.own = self.ones @ self.e, self.ones @ self.of_label
        self.unit = self.others + self.own

    @cached_property
    def odds_against(self) -> Tensor:
        # Of sums that are too large or too small to be exact the odds are none.
        least, most = (x.item() for x in self.others.aminmax())
        sound = least > FAINT and most < LOUD and self.own.amin().item() > FAINT
        return self.others / self.own if sound else torch.full_like(self.own, torch.nan)

    @property
    def sum_u(self) -> Tensor:
        return self.ones @ (self.z - self.masks * self.z)

    def put(self, found: Tensor, of_label: Tensor | float, of_all: Tensor | float | None) -> Tensor:
        if of_all is not None:
            found.add_(of_all)
            of_label = of_label - of_all
        if isinstance(of_label, Tensor):
            found.add_(torch.mul(self.masks, of_label, out=self.of_label))
        else:
            found.add_(self.masks, alpha=of_label)
        return found.view(self.shape)


def weights_of_rows(label: Tensor, weight: Tensor | None, of_rows: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Like labels, from the weights of classes and of rows; None: 1 each."""
    own = None if of_rows is None else of_rows.to(dtype)
    if weight is None:
        return own
    counts = weight.detach().to(dtype).index_select(0, label.reshape(-1)).view_as(label)
    return counts if own is None else counts * own


class _Few(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, given: tuple[Any, ...]) -> Tensor:  # each argument takes time
        (value, ctx.gradient), ctx.few, label, ctx.how, weight, of_rows = given
        ctx.save_for_backward(z, label, weight, of_rows)
        return value

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (u,) = upstream
        z, label, *weights = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph: the derivative itself must be differentiable
            value = ctx.few.exactly(z, label, ctx.how, *weights)
            return *torch.autograd.grad(value, z, u, create_graph=True), None
        # Whoever asks first gets the gradient itself; a second backward pass computes it again.
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            gradient = ctx.few.found(z.detach(), label, ctx.how, *weights)[1]
        return gradient(u), None

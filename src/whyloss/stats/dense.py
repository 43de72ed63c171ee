"""The dense engine for the CPU: from logits that exist, in blocks of rows that stay in the cache.

Each block is read once. Its label is taken out (gather), what is left becomes exponentials in the buffer that will hold
the gradient, the sums are taken, the formula runs on numbers per row, and the pull-back turns the same buffer into the
gradient. No tensor of the logits' size is made but the gradient, and no mask: the label is scattered in and out."""

from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor

from whyloss.stats import reference, table
from whyloss.stats.rows import Rows, computing_dtype, infinite
from whyloss.stats.table import CONSTANT, HUGE, REST, Rest

needed = cache(table.needed)  # asked several times a call; torch.compile, which likes no caches, never comes here

# Elements in a block: large enough that running the formula once a block costs little beside it, which measured better
# than fitting the second-level cache; small enough that what a statistic makes for a block is not fresh memory every
# time. Where no statistic makes anything, a block may be larger.
BLOCK, BARE_BLOCK = 2**21, 2**22
BARE = frozenset({"log_odds", "logit", "rival", "label", "rest_lse", "rest_count", "rest_log_p"})
# Least sum of the other classes' exponentials, relative to the largest logit, that keeps its relative accuracy.
FAINT = 1e-26


def total(z: Tensor, rows: Rows, share: Tensor | None = None) -> Tensor:
    """The sum of the weighted row losses, times `share` (one over what a mean divides by). The gradient is formed with
    it; if the result is what is differentiated, the backward pass only hands it on, else it scales it.

    16-bit gradients are formed in the backward pass instead, when their scale is known: rounded once, and a loss scaler
    comes before float16 underflows, not after."""
    return _Dense.apply(z, rows, True, share, torch.is_grad_enabled())  # pyright: ignore[reportReturnType]


def each(z: Tensor, rows: Rows) -> Tensor:
    """[N] weighted row losses. The backward pass reads the logits again, with the upstream gradients in hand."""
    return _Dense.apply(z, rows, False, None, False)  # pyright: ignore[reportReturnType]


class _Dense(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, rows: Rows, total: bool, share: Tensor | None, gradients: bool) -> Tensor:
        # Under no_grad torch still says that the logits could have a gradient.
        now = gradients and total and ctx.needs_input_grad[0] and z.dtype == computing_dtype(z)
        losses, ctx.gradient = sweep(z, rows, gradient=now, upstream=share)
        ctx.rows, ctx.total, ctx.share = rows, total, share
        ctx.save_for_backward(z)
        if not total:
            return losses
        # Float64 carries the sum over the rows: a million float32 losses add up without drift.
        value = losses.sum(dtype=torch.float64)
        return (value if share is None else value * share).to(losses.dtype)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (u,) = upstream  # one number for the total, [N] for each
        (z,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph: the derivative itself must be differentiable
            scaled = u if ctx.share is None else u * ctx.share
            return _differentiable_gradient(z, ctx.rows, scaled, ctx.total), None, None, None, None
        # Whoever asks first gets the gradient itself; a second backward pass computes it again.
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            gradient = sweep(z, ctx.rows, gradient=True, upstream=u if ctx.share is None else u * ctx.share)[1]
        elif bool(u != 1):
            gradient.mul_(u)
        return gradient, None, None, None, None


def _differentiable_gradient(z: Tensor, rows: Rows, upstream: Tensor, total: bool) -> Tensor:
    losses = reference.row_losses(computing(z), rows)
    (gradient,) = torch.autograd.grad(losses.sum() if total else losses, z, upstream, create_graph=True)
    return gradient


def computing(z: Tensor) -> Tensor:
    """The logits in the dtype that losses are computed in."""
    return z.to(computing_dtype(z))


def sweep(
    z: Tensor, rows: Rows, gradient: bool, upstream: Tensor | None = None, out: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Losses of all rows and, if asked for, the gradient of their sum weighted by `upstream`, a number or [N], in
    `out` if that is given."""
    count, classes = z.shape
    if upstream is not None:
        upstream = upstream.expand(count)
    dtype = computing_dtype(z)
    losses = torch.empty(count, dtype=dtype, device=z.device)
    grad = (torch.empty(z.shape, dtype=z.dtype, device=z.device) if out is None else out) if gradient else None
    in_place = grad is not None and grad.dtype == dtype
    step = max(1, (BARE_BLOCK if BARE.issuperset(needed(frozenset(rows.names))) else BLOCK) // classes)
    spare = None if in_place else torch.empty(min(step, count), classes, dtype=dtype, device=z.device)
    for start in range(0, count, step):
        stop = min(start + step, count)
        buffer = grad[start:stop] if grad is not None and in_place else spare[: stop - start]  # pyright: ignore[reportOptionalSubscript]
        block = _Block(z[start:stop], buffer, rows.block(start, stop))
        losses[start:stop] = block.losses(None if upstream is None else upstream[start:stop], gradient)
        if grad is not None:
            block.pull_back()
            if not in_place:
                grad[start:stop] = buffer
    return losses, grad


class _Block:
    """Some rows on their way from logits to gradient; `buffer` [B, C] holds first one, then the other.

    It is also the `Terms` of the statistics' table: what is not simply the buffer is made when a statistic asks."""

    def __init__(self, z: Tensor, buffer: Tensor, rows: Rows):
        assert rows.label is not None
        self.rows, self.buffer, self.source = rows, buffer, z
        self.y = rows.label.unsqueeze(1)
        self.power = rows.power or 0.0
        self.e = buffer
        self.base: dict[str, Tensor] = {}
        self.coefficients: dict[str, Tensor] = {}
        self.impossible: Tensor | None = None  # rows whose label is masked; None: there is none
        self._sum_u: Tensor | None = None  # where it fell to hand
        if not self._with_label_in():
            self._with_label_out()
        for name in needed(frozenset(rows.names)):
            if name in REST:
                self.base[name] = REST[name].value(self, self.rest)

    def _with_label_in(self) -> bool:
        """The usual block: exponentials relative to the largest logit, the label's included and then set to 0. Spares a
        pass over the buffer. False where that is not exact: the others all but underflow, or a logit is infinite."""
        unchanged = self.rows.shift is None and self.rows.scale is None and self.source.dtype == self.buffer.dtype
        if not unchanged or "rival" in needed(frozenset(self.rows.names)):
            return False
        top, own = self.source.amax(1), self.source.gather(1, self.y).squeeze(1)
        torch.sub(self.source, top.unsqueeze(1), out=self.e)
        if "rest_log_p" in needed(frozenset(self.rows.names)):  # while the buffer holds what it sums
            self._sum_u = self.e.scatter_(1, self.y, 0.0).sum(1)
        S = self.e.exp_().scatter_(1, self.y, 0.0).sum(1)
        if not bool(((S > FAINT) & (own > -torch.inf)).all()):
            return False
        self._found(own, top, Rest(top, S, S.log(), S.reciprocal(), _row_sum))
        return True

    def _with_label_out(self) -> None:
        """Any block: the label is taken out first, so that the largest of the others is what all is relative to."""
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
        self._found(own, torch.where(empty, -HUGE, top), rest)

    def _found(self, own: Tensor, rival: Tensor, rest: Rest) -> None:
        if (margins := self.rows.margins()) is not None:
            assert self.rows.label is not None
            own = own - margins[self.rows.label]
        self.rest = rest
        self.base["log_odds"] = (own - rest.top) - rest.log_S
        self._own_statistics(own, rival)

    def _own_statistics(self, own: Tensor, rival: Tensor) -> None:
        rows, names = self.rows, needed(frozenset(self.rows.names))
        assert rows.label is not None
        if "logit" in names:
            self.base["logit"] = own
        if "rival" in names:
            self.base["rival"] = rival
        if "label" in names:
            self.base["label"] = rows.label.to(own.dtype)
        if rows.table is not None:
            self.base["own"] = rows.table.diagonal()[rows.label]

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
        """Whether any class of the block is masked out: rare, so that the usual block skips the masks."""
        if self._sum_u is not None:
            return not bool(torch.isfinite(self._sum_u).all())
        least = self.source.amin(1)  # per row, so that a NaN in an ignored row hides nothing
        if self.rows.shift is not None:
            least = least + self.rows.shift.amin()
        return bool(torch.isneginf(least).any())

    @property
    def u(self) -> Tensor:
        u, top = torch.empty_like(self.buffer), self.rest.top.unsqueeze(1)
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
        z = self._scaled_into(torch.empty_like(self.buffer)).scatter_(1, self.y, 0.0)
        return z.masked_fill_(torch.isneginf(z), 0.0) if self.masked else z

    @property
    def live(self) -> Tensor:
        if not self.masked:
            return self.buffer.new_ones(1, 1)
        return (~torch.isneginf(self._scaled_into(torch.empty_like(self.buffer)))).to(self.buffer.dtype)

    @property
    def member(self) -> Tensor:
        return self.live.expand_as(self.buffer).clone().scatter_(1, self.y, 0.0)

    @property
    def count(self) -> Tensor:
        return self.member.sum(1) if self.masked else torch.full_like(self.rest.top, self.buffer.shape[1] - 1)

    @property
    def table(self) -> Tensor:
        assert self.rows.table is not None
        assert self.rows.label is not None
        return self.rows.table[self.rows.label]

    def losses(self, upstream: Tensor | None, gradient: bool) -> Tensor:
        """The weighted losses; keeps the coefficients of the pull-back if a gradient is wanted."""
        program = self.rows.program() if gradient else None
        value, slopes = self._by_autograd(gradient) if program is None else program(self.base)
        if gradient:
            weight = self._row_weight(upstream)
            self.coefficients = slopes if weight is None else {name: slope * weight for name, slope in slopes.items()}
        if self.impossible is not None:
            value = infinite(value, self.impossible)
        if self.rows.weight is not None:
            value = value * self.rows.weight
        return value if self.rows.keep is None else torch.where(self.rows.keep, value, 0.0)

    def _by_autograd(self, gradient: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """The formula run as it is, and differentiated by autograd."""
        with torch.set_grad_enabled(gradient):
            base = {n: s.detach().requires_grad_(gradient and n not in CONSTANT) for n, s in self.base.items()}
            loss = self.rows.run(base)
        if not loss.requires_grad:
            return loss, {}
        leaves = {name: s for name, s in base.items() if s.requires_grad}
        slopes = torch.autograd.grad(loss, list(leaves.values()), torch.ones_like(loss), allow_unused=True)
        return loss.detach(), {n: c for n, c in zip(leaves, slopes, strict=True) if c is not None}  # pyright: ignore[reportUnnecessaryComparison]

    def _row_weight(self, upstream: Tensor | None) -> Tensor | None:
        if upstream is None or self.rows.weight is None:
            return self.rows.weight if upstream is None else upstream
        return upstream * self.rows.weight

    def pull_back(self) -> None:
        """Turns the exponentials in the buffer into the gradient."""
        rest, own = self.rest, torch.zeros_like(self.rest.top)
        linear, curves = own, list[Tensor]()
        for name, c in self.coefficients.items():
            if name == "log_odds":
                linear, own = linear - c, own + c
            elif name == "logit":
                own = own + c
            elif name == "rival":
                ties = (self.e == 1).to(c.dtype)  # the largest is where exp(z - top) is 1; ties share
                curves.append(ties * (c / ties.sum(1).clamp_min(1)).unsqueeze(1))
            else:
                statistic = REST[name]
                if statistic.linear is not None:
                    linear = linear + statistic.linear(c, self.base[name], rest, self)
                if statistic.curve is not None:
                    curves.append(statistic.curve(c, self, rest))
        grad = self.e.mul_((linear * rest.inv).unsqueeze(1))
        for curve in curves:
            grad.add_(curve)  # two operations: torch's addcmul does not vectorise a broadcast row factor
        if self.impossible is not None:
            own = torch.where(self.impossible, 0.0, own)
        grad.scatter_(1, self.y, own.unsqueeze(1))
        if self.rows.scale is not None:
            grad.mul_(self.rows.scale)
        if self.rows.keep is not None:
            ignored = ~self.rows.keep
            if bool(ignored.any()):
                grad[ignored] = 0.0


def _row_sum(x: Tensor) -> Tensor:
    return x.sum(1)

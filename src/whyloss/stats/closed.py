"""Functions whose slope is known in closed form: computed with the value, so that no intermediate result is kept.

Where more is asked for than a gradient (second derivatives, forward mode, torch.func, torch.compile), autograd
differentiates the function as it is written. Knows torch only."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from whyloss.stats.exact import HUGE, logistic, times_exp
from whyloss.stats.visible import traced, visible

FEW, MANY = 32, 256  # classes and rows: sums over so few of one are made for many of the other at a time
# (logits, what else is given) -> results, and what makes of their gradients that of the logits; None where it has to
# be the function as it is written. What it keeps must not be the results themselves, which know where they come from.
Forward = Callable[..., tuple[tuple[Tensor, ...], Callable[..., Tensor]] | None]
# (logits [B, C], what else is given for each row, what to multiply slopes with: 1 where nothing is said) -> losses [B],
# or parts of them [B, C], and slopes [B, C]
ByRows = Callable[..., tuple[Tensor, Tensor] | None]
AT_ONCE = 2**18  # numbers


def closed(function: Callable[..., Tensor], both: Callable[..., tuple[Tensor, Tensor]], z: Tensor, *given: Any) -> Any:
    """function(z, *given), an elementwise function of z, where both(z, *given) is (its value, its slope)."""

    def forward(z: Tensor, *given: Any) -> tuple[tuple[Tensor, ...], Callable[..., Tensor]]:
        value, slope = both(z, *given)
        return (value,), slope.mul

    return pulled_back(function, forward, z, *given) if _followed(z) else function(z, *given)


def expit(z: Tensor) -> Tensor:
    """sigmoid(z), whose slope stays alive where it rounds to 1."""

    def written(z: Tensor) -> Tensor:
        return times_exp(torch.sigmoid(z), logsigmoid(z))

    def both(z: Tensor) -> tuple[Tensor, Tensor]:
        p = torch.sigmoid(z)
        return p, p * torch.sigmoid(-z)

    return closed(written, both, z)


def cross_entropies(z: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """yes * softplus(-z) + no * softplus(z): what a yes-or-no question costs by how much the answer is either."""

    def written(z: Tensor, yes: Tensor, no: Tensor) -> Tensor:
        return yes * softplus(-z) + no * softplus(z)

    def both(z: Tensor, yes: Tensor, no: Tensor) -> tuple[Tensor, Tensor]:
        return logistic(z, yes, no), (no * torch.sigmoid(z)).sub_(yes * torch.sigmoid(-z))

    return closed(written, both, z, yes, no)


def pulled_back(function: Callable[..., Any], forward: Forward, z: Tensor, *given: Any) -> Any:
    """function(z, *given), one tensor or several, where `forward` has its results and its pull-back."""
    if _more(z, given):
        return function(z, *given)
    with torch.no_grad():
        found = forward(z.detach(), *given)
    if found is None:
        return function(z, *given)
    if not _followed(z):
        results = found[0]
        return results[0] if len(results) == 1 else results
    return _Closed.apply(z, function, forward, given, *found)


def class_by_class(x: Tensor) -> Tensor:
    """The same [N, C] with the rows side by side in memory where classes are few: sums over these, and what is done to
    all of a row alike, then go for many rows at a time."""
    few = x.device.type == "cpu" and x.shape[1] <= FEW and len(x) >= MANY
    return x.T.contiguous().T if few else x


def _followed(z: Tensor) -> bool:
    return torch.is_grad_enabled() and z.requires_grad


def by_rows(function: Callable[..., Tensor], both: ByRows, z: Tensor, *given: Tensor) -> Tensor:
    """function(z, *given), [N] losses of the rows of [N, C] and of what else is given for each, where `both` has them
    and their slopes, or None. Rows go in blocks that stay in the cache. Where a loss is not finite, or cannot be looked
    at, it is the function as it is written."""
    if not visible(z) or not z.numel():
        return function(z, *given)

    def forward(z: Tensor, *given: Tensor) -> tuple[tuple[Tensor], Callable[[Tensor], Tensor]] | None:
        if (found := _in_blocks(both, z, given)) is None:
            return None
        losses, slopes = found
        losses = losses if losses.ndim == 1 else losses.sum(1)
        return ((losses,), lambda u: slopes.mul_(u.unsqueeze(1))) if bool(losses.isfinite().all()) else None

    return pulled_back(function, forward, z, *given)


def mean_by_rows(function: Callable[..., Tensor], both: ByRows, z: Tensor, *given: Tensor) -> Tensor | None:
    """The mean of the same, of losses >= 0 and logits that can be looked at, in as few operations as it takes. None
    where it has to be the function as it is written."""
    value: Tensor = _Mean.apply(z, function, both, given)  # pyright: ignore[reportAssignmentType]
    # What is larger stands for infinity.
    return value if value.detach().item() * len(z) < HUGE**0.5 else None


def _in_blocks(both: ByRows, z: Tensor, given: tuple[Any, ...]) -> tuple[Tensor, Tensor] | None:
    rows = max(1, AT_ONCE // max(1, z.shape[1]))
    if len(z) <= rows:
        return both(z, *given)
    losses, slopes = list[Tensor](), torch.empty_like(z)  # in memory as the logits are
    for start in range(0, len(z), rows):
        block = slice(start, start + rows)
        if (found := both(z[block], *(x[block] if isinstance(x, Tensor) else x for x in given))) is None:
            return None
        losses.append(found[0])
        slopes[block] = found[1]
    return torch.cat(losses), slopes


def _more(z: Tensor, given: tuple[Any, ...]) -> bool:
    """Whether more than the gradient of z may be asked for."""
    others = any(isinstance(x, Tensor) and x.requires_grad for x in given)
    functorch = torch._C._functorch  # pyright: ignore
    return (
        others
        or traced(z)
        or functorch.peek_interpreter_stack() is not None
        or torch.autograd.forward_ad._current_level >= 0  # pyright: ignore
    )


class _Closed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        z: Tensor,
        function: Any,
        forward: Forward,
        given: tuple[Any, ...],
        results: tuple[Tensor, ...],
        back: Any,
    ) -> Any:
        ctx.set_materialize_grads(False)
        ctx.function, ctx.forward, ctx.given, ctx.back = function, forward, given, back
        ctx.save_for_backward(z)
        return results[0] if len(results) == 1 else results

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Tensor | None, ...]:
        nothing = (None,) * 5
        if all(u is None for u in upstream):
            return None, *nothing
        # Whoever asks first gets what is kept itself; a second backward pass computes it again.
        if not torch.is_grad_enabled() and ctx.back is not None:
            back, ctx.back = ctx.back, None
            return back(*upstream), *nothing
        (z,) = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return ctx.forward(z.detach(), *ctx.given)[1](*upstream), *nothing
        # create_graph: the derivative itself must be differentiable
        results = ctx.function(z, *ctx.given)
        results = (results,) if isinstance(results, Tensor) else results
        asked = [(r, u) for r, u in zip(results, upstream, strict=True) if u is not None]
        (gradient,) = torch.autograd.grad([r for r, _ in asked], z, [u for _, u in asked], create_graph=True)
        return gradient, *nothing


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, function: Any, both: ByRows, given: tuple[Any, ...]) -> Tensor:
        ctx.function, ctx.both, ctx.given = function, both, given
        ctx.save_for_backward(z)
        if (found := _in_blocks(both, z, (*given, 1 / len(z)))) is None:
            return z.new_full((), torch.nan)
        losses, ctx.slopes = found
        return losses.sum() * (1 / len(z))

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (u,) = upstream
        (z,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            value = ctx.function(z, *ctx.given).mean()
            return *torch.autograd.grad(value, z, u, create_graph=True), None, None, None
        slopes, ctx.slopes = ctx.slopes, None
        if slopes is None:
            slopes = _in_blocks(ctx.both, z, (*ctx.given, 1 / len(z)))[1]  # pyright: ignore
        return slopes if u.item() == 1 else slopes.mul_(u), None, None, None

"""Functions whose slope is known in closed form: computed with the value, so that no intermediate result is kept.

Where more is asked for than a gradient (second derivatives, forward mode, torch.func, torch.compile), autograd
differentiates the function as it is written. Knows torch only."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from whyloss.stats.exact import logistic, times_exp
from whyloss.stats.visible import traced, visible

FEW, MANY = 32, 256  # classes and rows: sums over so few of one are made for many of the other at a time
# (logits, what else is given) -> results, and what makes of their gradients that of the logits; None where it has to
# be the function as it is written. What it keeps must not be the results themselves, which know where they come from.
Forward = Callable[..., tuple[tuple[Tensor, ...], Callable[..., Tensor]] | None]
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
    return _Closed.apply(z, function, given, *found)


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
    if not visible(z):
        return function(z, *given)

    def forward(z: Tensor, *given: Tensor) -> tuple[tuple[Tensor], Callable[[Tensor], Tensor]] | None:
        rows = max(1, AT_ONCE // max(1, z.shape[1]))
        losses, slopes = list[Tensor](), torch.empty_like(z)  # in memory as the logits are
        for n, block in enumerate(zip(z.split(rows), *(x.split(rows) for x in given), strict=True)):
            found = both(*block)
            if found is None or not bool(found[0].isfinite().all()):
                return None
            losses.append(found[0])
            if len(z) <= rows:
                slopes = found[1]
            else:
                slopes[n * rows : (n + 1) * rows] = found[1]
        return (torch.cat(losses),), lambda u: slopes * u.unsqueeze(1)

    return pulled_back(function, forward, z, *given)


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
        ctx: Any, z: Tensor, function: Any, given: tuple[Any, ...], results: tuple[Tensor, ...], back: Any
    ) -> Any:
        ctx.set_materialize_grads(False)
        ctx.function, ctx.given, ctx.back = function, given, back
        ctx.save_for_backward(z)
        return results[0] if len(results) == 1 else results

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Tensor | None, ...]:
        nothing = (None,) * 4
        if all(u is None for u in upstream):
            return None, *nothing
        if not torch.is_grad_enabled():
            return ctx.back(*upstream), *nothing
        (z,) = ctx.saved_tensors  # create_graph: the derivative itself must be differentiable
        results = ctx.function(z, *ctx.given)
        results = (results,) if isinstance(results, Tensor) else results
        asked = [(r, u) for r, u in zip(results, upstream, strict=True) if u is not None]
        (gradient,) = torch.autograd.grad([r for r, _ in asked], z, [u for _, u in asked], create_graph=True)
        return gradient, *nothing

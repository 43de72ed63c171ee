"""Every class of a row at once, without differences of nearly equal numbers: log-odds, and logarithms of partial sums.

Knows torch only. All of it works on the last axis, on any device, and can be differentiated twice. A class at minus
infinity is masked: it adds nothing, and its own logarithm is a huge negative number, so that nothing becomes NaN."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, pad
from torch.special import log_ndtr

from whyloss.stats.closed import class_by_class, pulled_back
from whyloss.stats.exact import HUGE, share
from whyloss.stats.largest import largest
from whyloss.stats.visible import SURE, visible


def log_odds_of_each(z: Tensor) -> Tensor:
    """[..., C] log p_j / (1 - p_j) of every class of a softmax over the last axis.

    Leaving a class out of the sum is a subtraction, exact unless that class is the largest. Beside the largest the
    others may all be too small to write down, so it has a sum of its own.

    >>> log_odds_of_each(torch.tensor([200.0, 0.0, -torch.inf]))
    tensor([ 2.0000e+02, -2.0000e+02, -1.2677e+30])
    """
    return pulled_back(_log_odds, _log_odds_by_hand, z)


def _log_odds(z: Tensor) -> Tensor:
    z = z.clamp_min(-HUGE)
    top, place = z.detach().max(-1, keepdim=True)
    u = z - top
    e = torch.exp(u)
    others = (e.sum(-1, keepdim=True) - e).scatter(-1, place, 1.0)
    rest = z.scatter(-1, place, -2 * HUGE)
    rest_top = rest.detach().amax(-1, keepdim=True)
    log_rest = torch.log(torch.exp(rest - rest_top).sum(-1, keepdim=True))
    of_top = (z.gather(-1, place) - rest_top) - log_rest
    return (u - torch.log(others)).scatter(-1, place, of_top)


def _log_odds_by_hand(z: Tensor) -> tuple[tuple[Tensor], Callable[[Tensor], Tensor]] | None:
    if (row := _row(z)) is None:
        return None
    e, rest, place = row.e, row.rest, row.place
    others = 1 + rest - e  # of the largest this is meaningless

    def back(g: Tensor) -> Tensor:
        of_top = g.gather(-1, place)
        b = (g / others).scatter_(-1, place, 0.0)
        total = b.sum(-1, keepdim=True)
        found = (b - total).mul_(e).add_(g).addcmul_(row.spread(), of_top, value=-1)
        return row.unmasked(found.scatter_(-1, place, of_top - total))

    return ((row.u - torch.log(others)).scatter_(-1, place, -row.log_rest),), back


def log_not_p(z: Tensor) -> Tensor:
    """[..., C] log(1 - p) of every class of a softmax over the last axis, exact wherever p is.

    >>> log_not_p(torch.tensor([20.0, 0.0]))
    tensor([-2.0000e+01, -2.0612e-09])
    """
    return pulled_back(_log_not_p, _log_not_p_by_hand, z)


def _log_not_p(z: Tensor) -> Tensor:
    return logsigmoid(-_log_odds(z))


def _log_not_p_by_hand(z: Tensor) -> tuple[tuple[Tensor], Callable[[Tensor], Tensor]] | None:
    if (row := _row(z)) is None:
        return None
    place, total = row.place, 1 + row.rest
    p = row.e * total.reciprocal()  # 0 for the largest

    def back(g: Tensor) -> Tensor:
        of_top = g.gather(-1, place) / total  # times p of the largest
        falls = g * p / (1 - p)
        whole = falls.sum(-1, keepdim=True)
        found = (p * whole).sub_(falls).addcmul_(row.spread(), of_top)
        return row.unmasked(found.scatter_(-1, place, whole / total - of_top))

    return (torch.log1p(-p).scatter_(-1, place, row.log_rest - torch.log1p(row.rest)),), back


@dataclass
class _Row:
    """Rows relative to their largest logit, which has a place of its own."""

    u: Tensor  # [..., C] logits less the largest, and for that a huge negative number
    e: Tensor  # [..., C] exponentials of these
    rest: Tensor  # [..., 1] their sum
    place: Tensor  # [..., 1] where the largest is
    masked: Tensor | None
    log_rest: Tensor
    # e and rest relative to the second largest, where beside the largest they may be too small to write down
    near: tuple[Tensor, Tensor] | None

    def spread(self) -> Tensor:
        """[..., C] softmax of the others."""
        e, rest = self.near or (self.e, self.rest)
        return e * rest.reciprocal()

    def unmasked(self, slope: Tensor) -> Tensor:
        return slope if self.masked is None else slope.masked_fill_(self.masked, 0.0)


def _row(z: Tensor) -> _Row | None:
    if not visible(z) or not z.numel():
        return None
    z = class_by_class(z) if z.ndim == 2 else z
    top, place = largest(z) if z.ndim == 2 else z.max(-1, keepdim=True)
    if not bool((top > -HUGE).all()):
        return None
    masked = z < -HUGE if bool(z.min() < -HUGE) else None
    u = z - top
    if masked is not None:
        u.clamp_min_(-HUGE)
    e = torch.exp(u).scatter_(-1, place, 0.0)  # not of a huge negative number, which takes ten times as long
    u.scatter_(-1, place, -2 * HUGE)
    rest = e.sum(-1, keepdim=True)
    if bool((rest > SURE).all()):
        return _Row(u, e, rest, place, masked, torch.log(rest), None)
    others = z.clamp_min(-HUGE).scatter_(-1, place, -2 * HUGE)  # not u, which is rounded
    second = others.amax(-1, keepdim=True)
    by_second = others.sub_(second).exp_()
    of_second = by_second.sum(-1, keepdim=True)
    return _Row(u, e, rest, place, masked, (second - top) + torch.log(of_second), (by_second, of_second))


def others(x: Tensor) -> Tensor:
    """[N, C] the sum of the other entries of each row of numbers >= 0. Leaving one out of the sum is exact but for the
    largest, which gets a sum of its own."""
    best = x.argmax(1, keepdim=True)
    rest = x.scatter(1, best, 0.0).sum(1, keepdim=True)
    return (rest + x.gather(1, best) - x).scatter(1, best, rest)


def shares(x: Tensor) -> Tensor:
    """[N, C] what share of its row's sum each number >= 0 is."""
    return share(x, others(x))


def log_shares(distribution: Tensor) -> Tensor:
    """[N, C] the logarithm of a distribution, of a share near 1 from what is left for the others; 0 of 0."""
    rest, near = others(distribution), distribution > 0.5
    some = torch.where(distribution > 0, distribution, 1.0)
    return torch.where(near, torch.log1p(-torch.where(near, rest, 0.0)), torch.log(some))


def log_softmax(z: Tensor) -> Tensor:
    """log p of every class of logits [N, C], exact however near to 0 it is; -HUGE stands for minus infinity.

    >>> log_softmax(torch.tensor([[20.0, 0.0]]))
    tensor([[-2.0612e-09, -2.0000e+01]])
    """
    return _log_softmax(z)[0]


def log_softmax_both(z: Tensor) -> tuple[Tensor, Tensor]:
    """The same, and log(1 - p) of every class.

    >>> log_softmax_both(torch.tensor([[20.0, 0.0]]))[1]
    tensor([[-2.0000e+01, -2.0612e-09]])
    """
    log_p, log_rest, best = _log_softmax(z)
    small = torch.exp(log_p.scatter(1, best, -HUGE))
    return log_p, torch.log1p(-small).scatter(1, best, logsigmoid(log_rest))


def lse_of_others(z: Tensor) -> Tensor:
    """[N, C] for every class the log-sum-exp of the other classes; -HUGE where no other remains.

    Leaving one class out of a sum is a subtraction, exact unless that class is the largest; the largest gets its own.

    >>> lse_of_others(torch.tensor([[40.0, 0.0, -torch.inf]]))
    tensor([[ 0., 40., 40.]])
    """
    best = z.detach().argmax(1, keepdim=True)
    top = _finite(z.detach().gather(1, best))
    e = torch.exp(z - top)
    rest = z.scatter(1, best, -torch.inf)
    second = _finite(rest.detach().amax(1, keepdim=True))
    own = torch.exp(rest - second).sum(1, keepdim=True)
    some = own > 0
    of_largest = torch.where(some, second + torch.log(torch.where(some, own, 1.0)), -HUGE)
    # The largest is among the others, at 1; less is left only where every class is masked.
    others = top + torch.log((e.sum(1, keepdim=True) - e).clamp_min(0.5))
    return others.scatter(1, best, of_largest)


def softmax_and_rest(z: Tensor) -> tuple[Tensor, Tensor]:
    """[N, C] p and 1 - p, each exact near 0, and so are their slopes: all is put together from what is small.

    >>> softmax_and_rest(torch.tensor([[30.0, 0.0]]))
    (tensor([[1.0000e+00, 9.3576e-14]]), tensor([[9.3576e-14, 1.0000e+00]]))
    """
    return pulled_back(_softmax_and_rest, _softmax_and_rest_by_hand, z)


def _softmax_and_rest(z: Tensor) -> tuple[Tensor, Tensor]:
    best = z.detach().argmax(1, keepdim=True)
    p = torch.softmax(z, 1).scatter(1, best, 0.0)
    rest = p.sum(1, keepdim=True)
    return p.scatter(1, best, 1 - rest), (1 - p).scatter(1, best, rest)


def _softmax_and_rest_by_hand(z: Tensor) -> tuple[tuple[Tensor, Tensor], Callable[..., Tensor]]:
    top, best = largest(z)
    p = torch.sub(z, top.clamp_min(-HUGE)).exp_().scatter_(1, best, 0.0)
    left = p.sum(1, keepdim=True)
    of_best = (1 + left).reciprocal()
    p, rest = p.mul_(of_best).scatter_(1, best, of_best), left * of_best
    not_p = (1 - p).scatter_(1, best, rest)
    kept = p.detach()

    def back(of_p: Tensor | None, of_rest: Tensor | None) -> Tensor:
        slope = of_p if of_rest is None else -of_rest if of_p is None else of_p - of_rest
        assert slope is not None
        ahead = slope - slope.gather(1, best)  # the largest has what the others leave it
        return ahead.sub_((kept * ahead).sum(1, keepdim=True)).mul_(kept)

    return (p, not_p), back


def log_sum_exp(z: Tensor) -> Tensor:
    """[...] over the last axis; minus infinity, without a slope, where every class is masked."""
    top = z.detach().amax(-1, keepdim=True)
    masked = torch.isneginf(top)
    total = torch.exp(z - torch.where(masked, 0.0, top)).sum(-1, keepdim=True)
    found = torch.where(masked, 0.0, top) + torch.log(torch.where(masked, 1.0, total))
    return torch.where(masked, -torch.inf, found).squeeze(-1)


def log_cumsum_exp(z: Tensor) -> Tensor:
    """[..., C] log of the sum of exp(z_k) over k <= j."""
    z, step = torch.where(torch.isneginf(z), -HUGE, z), 1
    while step < z.shape[-1]:
        z = _log_add(z, pad(z[..., :-step], (step, 0), value=-HUGE))
        step *= 2
    return z


def log_one_minus_exp(d: Tensor) -> Tensor:
    """log(1 - exp(-d)) for d >= 0; a huge negative number without a slope at 0."""
    small, positive = d < 0.7, d > 0
    near = torch.log(-torch.expm1(-torch.where(small & positive, d, 0.5)))
    far = torch.log1p(-torch.exp(-torch.where(small, 1.0, d)))
    return torch.where(positive, torch.where(small, near, far), -HUGE)


def log_normal_between(upper: Tensor, lower: Tensor) -> Tensor:
    """log of the mass that a standard normal distribution has between two numbers, upper > lower, however far out.

    The lower tail is known to full accuracy; what lies above the middle is reflected there.

    >>> log_normal_between(torch.tensor(41.0).double(), torch.tensor(40.0).double())
    tensor(-804.6084, dtype=torch.float64)
    """
    over = upper + lower > 0
    upper, lower = torch.where(over, -lower, upper), torch.where(over, -upper, lower)
    log_upper = log_ndtr(upper)
    return log_upper + log_one_minus_exp(log_upper - log_ndtr(lower))


def below(x: Tensor) -> Tensor:
    """[..., C] sum of x_k over k < j."""
    return pad(x[..., :-1], (1, 0)).cumsum(-1)


def above(x: Tensor) -> Tensor:
    """[..., C] sum of x_k over k > j."""
    return pad(x[..., 1:], (0, 1)).flip(-1).cumsum(-1).flip(-1)


def weighed(weight: Tensor, value: Tensor) -> Tensor:
    """weight * value, and 0 where the weight is 0, whatever the value."""
    return torch.where(weight == 0, 0.0, weight * value)


def to_infinity(loss: Tensor) -> Tensor:
    """The loss, infinite where an impossible label made it huge."""
    return loss + torch.where(loss.detach() > HUGE**0.5, torch.inf, 0.0)


def _log_add(a: Tensor, b: Tensor) -> Tensor:
    """log(exp(a) + exp(b)); both slopes keep their accuracy."""
    larger, smaller = torch.where(a > b, a, b), torch.where(a > b, b, a)
    return larger - logsigmoid(larger - smaller)


def _log_softmax(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """log p, the log-odds against each row's largest class, and which that is. Of no other can 1 - p be small, so that
    its log-odds make every p."""
    best = z.argmax(1, keepdim=True)
    top = z.gather(1, best)
    u = z - torch.where(torch.isneginf(top), 0.0, top)
    log_rest = torch.logsumexp(u.scatter(1, best, -HUGE), 1, keepdim=True)
    return u.scatter(1, best, 0.0).clamp_min(-HUGE) + logsigmoid(-log_rest), log_rest, best


def _finite(x: Tensor) -> Tensor:
    return torch.where(torch.isneginf(x), 0.0, x)

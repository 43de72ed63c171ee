"""Arithmetic whose slopes are as accurate as its values. Knows torch only.

Autograd differentiates y = sigmoid(m) as y (1 - y) and y = expm1(x) as y + 1: both are 0 where y rounds to 1 or -1,
although the true slope is small and known well. A row that is very wrong would never be learned. Here the value comes
from one expression and every derivative from another that equals it."""

from math import factorial

import torch
from torch import Tensor

# Stands in for an infinite logit: large enough that every probability underflows, small enough that no formula makes
# inf - inf or 0 * inf of it. A power of two, so that it is the same number in every type.
HUGE = 2.0**100


def times_exp(value: Tensor, logarithm: Tensor) -> Tensor:
    """`value`, which must equal exp(logarithm), differentiated as that."""
    return value.detach() * torch.exp(logarithm - logarithm.detach())


def logistic(z: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """yes * softplus(-z) + no * softplus(z) for finite z: a sum of what is not below 0, so that no digit is lost."""
    common = torch.log1p(torch.exp(-z.abs()))
    return (yes + no) * common + yes * (-z).clamp_min(0) + no * z.clamp_min(0)


def power(x: Tensor, log_x: Tensor, exponent: float) -> Tensor:
    """x^exponent, with finite slopes where x is 0, whatever the exponent.

    >>> x = torch.zeros(1, requires_grad=True)
    >>> power(x, torch.full((1,), -HUGE), 0.5)
    tensor([0.])
    """
    return times_exp(x**exponent, exponent * log_x)


def expm1(x: Tensor) -> Tensor:
    """exp(x) - 1.

    >>> x = torch.tensor([-30.0], requires_grad=True)
    >>> torch.autograd.grad(torch.expm1(x), x), torch.autograd.grad(expm1(x), x)
    ((tensor([0.]),), (tensor([9.3576e-14]),))
    """
    e = torch.exp(x)
    return torch.expm1(x).detach() + (e - e.detach())


def share(a: Tensor, b: Tensor) -> Tensor:
    """a / (a + b) for a, b >= 0, and 0 where both are.

    Autograd's slope 1 / (a + b) - a / (a + b)^2 cancels where a is by far the larger."""
    larger = a > b
    most = torch.where(larger, a, b)
    ratio = torch.where(larger, b, a) / torch.where(most > 0, most, 1.0)
    return torch.where(larger, 1, ratio) / (1 + ratio)


def soft_capped(z: Tensor, cap: float) -> Tensor:
    """cap tanh(z / cap), whose slope stays alive where tanh rounds to 1; minus infinity stays what it is.

    >>> soft_capped(torch.tensor([1.0, 100.0, -torch.inf]), 2.0)
    tensor([0.9242, 2.0000,   -inf])
    """
    masked = torch.isneginf(z)
    x = torch.where(masked, 0.0, z) * (1 / cap)
    positive = x > 0
    # tanh x = 1 - 2 sigmoid(-2 x) = 2 sigmoid(2 x) - 1: the sigmoid that is small has the whole slope.
    small = 2 * torch.sigmoid(torch.where(positive, -2 * x, 2 * x))
    slope = torch.where(positive, -small, small)
    return torch.where(masked, -torch.inf, cap * (torch.tanh(x).detach() + (slope - slope.detach())))


def power_divergence(x: Tensor, alpha: float) -> Tensor:
    """1 - alpha p^(alpha - 1) + (alpha - 1) p^alpha from x = log p <= 0, for alpha > 1: the power score of the label's
    own probability. It is about alpha (alpha - 1) x^2 / 2 near p = 1, where the formula as written cancels.

    >>> power_divergence(torch.tensor([-1e-6, -0.7]), 2.0)
    tensor([1.0000e-12, 2.5343e-01])
    """
    near = x > -0.5 / alpha
    far = 1 - alpha * torch.exp((alpha - 1) * x) + (alpha - 1) * torch.exp(alpha * x)
    return torch.where(near, _divergence_near_one(torch.where(near, x, 0.0), alpha), far)


def _divergence_near_one(x: Tensor, alpha: float) -> Tensor:
    """`power_divergence` by its series, for |x| <= 0.5 / alpha."""
    series = 0.0
    for k in range(16, 1, -1):
        series = series * x + alpha * (alpha - 1) * (alpha ** (k - 1) - (alpha - 1) ** (k - 1)) / factorial(k)
    return x * x * series


def tsallis_divergence(q: Tensor, p: Tensor, alpha: float, log_p: Tensor | None = None) -> Tensor:
    """[N] the Bregman divergence of sum_j p_j^alpha / (alpha (alpha - 1)) from distributions p to q, [N, C] each:
    sum_j (q_j^alpha - alpha q_j p_j^(alpha - 1) + (alpha - 1) p_j^alpha) / (alpha (alpha - 1)). For alpha = 2 half the
    squared distance, for alpha = 1 the Kullback-Leibler divergence. log_p: where it is known better than by p.

    >>> tsallis_divergence(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]]), 2.0)
    tensor([0.2500])
    """
    if alpha in (1.5, 2) and log_p is None and not q.requires_grad:  # squares as they are
        if alpha == 2:
            return (q - p).square().sum(1) / 2
        root_q, root_p = q.sqrt(), p.sqrt()
        return ((root_q - root_p).square() * (2 * root_q + root_p)).sum(1) * (2 / 3)
    both = (q > 0) & (p > 0)
    log_p = torch.log(torch.where(both, p, 1.0)) if log_p is None else torch.where(both, log_p, 0.0)
    x = log_p - torch.log(torch.where(both, q, 1.0))
    if alpha == 1:
        return torch.where(q > 0, torch.where(p > 0, -q * x, torch.inf), 0.0).sum(1)
    near = both & (x.abs() < 0.5 / alpha)
    close = q**alpha * _divergence_near_one(torch.where(near, x, 0.0), alpha)
    far = q**alpha - alpha * q * p ** (alpha - 1) + (alpha - 1) * p**alpha
    return torch.where(near, close, far).sum(1) / (alpha * (alpha - 1))


def given_slope(value: Tensor, slope: Tensor, z: Tensor) -> Tensor:
    """[N] values of functions of the rows of z [N, C] whose slope [N, C] is known: its derivative is `slope`, to the
    last bit, and its second derivative that of `slope`. What `value` has of a slope in z must have been cut off.

    >>> z = torch.tensor([[2.0]], requires_grad=True)
    >>> torch.autograd.grad(given_slope(z.detach()[:, 0] ** 2, 2 * z, z), z)
    (tensor([[4.]]),)
    """
    finite = torch.where(torch.isneginf(z), 0.0, z)
    return value + ((slope + slope.detach()) / 2 * (finite - finite.detach())).sum(1)

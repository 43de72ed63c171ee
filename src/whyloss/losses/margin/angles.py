"""Arithmetic on the cosines of angles: margins that turn an angle or multiply it, with slopes that end nowhere.

Cosines come from a network, rounded, so a few lie just outside [-1, 1]. Every function here changes a cosine by what it
changes the nearest one in the interval. All of it can be traced into a program of a loss (stats/trace.py)."""

import math

import torch
from torch import Tensor


def sine(cosine: Tensor) -> Tensor:
    """sqrt(1 - cosine^2) of an angle from 0 to pi.

    Its slope in the cosine has no bound towards 0 and pi. At these two points, where a feature lies on its class centre
    or opposite to it and no direction is better than another, the slope is taken to be 0.

    >>> c = torch.tensor([1.0, 0.6], requires_grad=True)
    >>> sine(c), torch.autograd.grad(sine(c).sum(), c)[0]
    (tensor([0.0000, 0.8000], grad_fn=<WhereBackward0>), tensor([ 0.0000, -0.7500]))
    """
    square = (1 - cosine) * (1 + cosine)
    positive = square > 0
    return torch.where(positive, torch.sqrt(torch.where(positive, square, 1.0)), 0.0)


def turned(cosine: Tensor, cos: float | Tensor, sin: float | Tensor) -> Tensor:
    """cos(theta + m) from cos(theta), and from cos and sin of m."""
    return cosine * cos - sine(cosine) * sin


def added(cosine: Tensor, margin: float) -> Tensor:
    """cos(theta + margin) - cos(theta): what an additive angular margin takes off a cosine.

    >>> added(torch.tensor([0.0, 1.0]), math.pi / 6)
    tensor([-0.5000, -0.1340])
    """
    c = cosine.clamp(-1, 1)
    return -2 * math.sin(margin / 2) ** 2 * c - math.sin(margin) * sine(c)


def multiplied(cosine: Tensor, margin: int) -> Tensor:
    """psi(theta) - cos(theta): what a multiplicative angular margin takes off a cosine.

    psi is cos(margin theta) down to its first minimum, and falls on from there: (-1)^k cos(margin theta) - 2 k in the
    k-th piece of length pi / margin. Cosines of multiples are polynomials, so its slopes are finite.

    >>> multiplied(torch.tensor([1.0, 0.0, -1.0]), 2)
    tensor([ 0., -1., -2.])
    """
    c = cosine.clamp(-1, 1)
    before, of_multiple = 1.0, c
    for _ in range(margin - 1):
        before, of_multiple = of_multiple, 2 * c * of_multiple - before
    psi = of_multiple
    for k in range(1, margin):
        psi = torch.where(c < math.cos(k * math.pi / margin), (-1) ** k * of_multiple - 2 * k, psi)
    return psi - c

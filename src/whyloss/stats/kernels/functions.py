"""Arithmetic of formulas in Triton, where the language has none, or none that keeps the last digits.

`exp` and `log` are the language's; what is made of them here loses no digits where they cancel."""

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
IMPOSSIBLE = tl.constexpr(-(2.0**100))  # the logit that stands for minus infinity: exact.py's -HUGE


@triton.jit
def log1p(x):
    """log(1 + x). The rounding of 1 + x is known, and taken out (Kahan)."""
    w = 1.0 + x
    small = w == 1.0
    exact = tl.log(w) * (x / tl.where(small, 1.0, w - 1.0))
    return tl.where(small, x, tl.where(x > 1e30, tl.log(x), exact))


@triton.jit
def expm1(x):
    """exp(x) - 1. The rounding of exp(x) is known from its logarithm, and taken out (Kahan)."""
    w = tl.exp(x)
    less = w - 1.0
    plain = (w == 1.0) | (less == -1.0) | (x > 80.0)
    exact = less * (x / tl.log(tl.where(plain, 2.0, w)))
    return tl.where(w == 1.0, x, tl.where(plain, less, exact))


@triton.jit
def tanh(x):
    t = expm1(-2.0 * tl.abs(x))
    y = -t / (t + 2.0)
    return tl.where(x < 0, -y, y)


@triton.jit
def expit(x):
    e = tl.exp(-tl.abs(x))
    return tl.where(x > 0, 1.0, e) / (1.0 + e)


@triton.jit
def log_sigmoid(x):
    return tl.minimum(x, 0.0) - log1p(tl.exp(-tl.abs(x)))


@triton.jit
def logaddexp(x, y):
    high = tl.maximum(x, y)
    return high + log1p(tl.exp(tl.minimum(x, y) - high))


@triton.jit
def power(x, n):
    """x^n for x >= 0, as exp(n log x); of a negative x NaN, as torch has it for an n that is no integer."""
    zero = x == 0.0
    found = tl.exp(n * tl.log(tl.where(zero, 1.0, x)))
    at_zero = tl.where(n > 0.0, 0.0, tl.where(n < 0.0, float("inf"), 1.0))
    return tl.where(zero, at_zero, found)


@triton.jit
def sign(x):
    return tl.where(x > 0.0, 1.0, tl.where(x < 0.0, -1.0, 0.0))

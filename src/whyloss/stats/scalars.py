"""A program on Python's own numbers, in float64: for so few of them that a call of torch, which costs as much as some
hundred such operations, would be most of the time."""

import math
import operator
from collections.abc import Callable
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from whyloss.stats.program import Program, function

# What math refuses (a logarithm of 0, a division by it) raises; torch then says what comes of it.
REFUSED = (ArithmeticError, ValueError, AttributeError)


def _log_sigmoid(x: float) -> float:
    return min(x, 0.0) - math.log1p(math.exp(-abs(x)))


def _expit(x: float) -> float:
    return math.exp(min(x, 0.0)) / (1 + math.exp(-abs(x)))


def _chosen(where: bool, yes: float, no: float, *_: float) -> float:
    return yes if where else no


ONE = ("exp", "expm1", "log", "log1p", "sqrt", "tanh")
SCOPE: dict[str, Any] = {
    "torch": SimpleNamespace(
        **{name: getattr(math, name) for name in ONE}, abs=abs, where=_chosen, sigmoid=_expit, expit=_expit
    ),
    "log_sigmoid": _log_sigmoid,
    "expit": _expit,
    "maximum": max,
    "minimum": min,
    "power": math.pow,
    "opposite": operator.not_,
    "two_values": _chosen,
    "inf": math.inf,
    "nan": math.nan,
}


@lru_cache(maxsize=256)
def on_numbers(program: Program) -> Callable[..., tuple[float, ...]]:
    """The program as a function of as many numbers as it has inputs; raises one of `REFUSED` where math does.

    >>> from whyloss.stats.trace import trace
    >>> on_numbers(trace(lambda log_odds: log_odds * log_odds, ["log_odds"]))(3.0)
    (9.0, 6.0)
    """
    return function(program.source(), SCOPE)

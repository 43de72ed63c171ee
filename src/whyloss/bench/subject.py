"""What is measured: one loss, ours and plain."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from whyloss.losses.loss import Loss

from .case import Case, Kind

Plain = Callable[[Tensor, Tensor], Tensor]


def _nothing(case: Case) -> dict[str, Any]:
    return {}


def _as_they_are(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    return logits, target


@dataclass(frozen=True)
class Subject:
    """A loss under its name here. `ours` is its class, `options` what it takes besides an engine; `enters` makes of the
    case's logits and target those that this loss reads, whoever computes it."""

    name: str
    kinds: tuple[Kind, ...]
    ours: Callable[..., Loss]
    plain: Plain
    options: Callable[[Case], dict[str, Any]] = _nothing
    enters: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = _as_they_are

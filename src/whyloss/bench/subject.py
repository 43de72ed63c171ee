"""What is measured: a loss of ours, and the same written by hand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from whyloss.losses.loss import Loss

from .case import Kind

Plain = Callable[..., Tensor]


def nothing(classes: int) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Subject:
    """A loss under its name here; `ours` makes it, from an engine's name where its class takes one, and from what
    `options` makes of the number of classes. Without a plain form ours in float64 is the truth; `call` says how a loss
    is called that takes more or other things than the inputs and the target."""

    name: str
    kinds: tuple[Kind, ...]
    ours: Callable[..., Loss]
    plain: Plain | None = None
    options: Callable[[int], dict[str, Any]] = nothing
    call: Callable[[Any], Plain] = lambda loss: loss

    def made(self, classes: int, **options: Any) -> Any:
        return self.ours(**self.options(classes), **options)

"""What a case is: inputs, what is right, the call on our loss, and the calls on other people's.

Knows no loss and no package; both go by their names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import environ
from types import FunctionType
from typing import Any

from torch import Tensor

from whyloss.losses.catalogue import catalogue

from ..peer import version_of
from .reading import Call, Reading, value_and_gradient


def interpreted() -> bool:
    """Whether Triton's kernels run in its interpreter."""
    return environ.get("TRITON_INTERPRET") == "1"


@dataclass(frozen=True)
class Ours:
    """A loss of ours by the name of its class. `how` makes a call of it, where it is more than loss(logits, target); an
    option that is a function is called first, so that it may name what does not exist yet."""

    loss: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    how: Callable[[Any], Call] = lambda loss: loss

    @property
    def exists(self) -> bool:
        return self.loss in catalogue()

    def build(self, **more: Any) -> Call:
        options = {name: x() if isinstance(x, FunctionType) else x for name, x in {**self.options, **more}.items()}
        return self.how(catalogue()[self.loss](**options))


def ours(loss: str, how: Callable[[Any], Call] = lambda loss: loss, **options: Any) -> Ours:
    return Ours(loss, options, how)


@dataclass(frozen=True)
class Peer:
    """A call of a package, by the name that pip knows. `build` imports it and returns the call.

    otherwise: another definition that is in use, in words and as a formula. What equals it is no mistake."""

    package: str
    call: str
    build: Callable[[], Call]
    otherwise: tuple[str, Call] | None = None
    triton: bool = False

    @property
    def version(self) -> str | None:
        return version_of(self.package)

    @property
    def missing(self) -> str:
        """Why it is not called, or nothing."""
        if self.version is None:
            return "not installed"
        if self.triton and not interpreted():
            return "its kernels run here with TRITON_INTERPRET=1 only"
        return ""


@dataclass(frozen=True)
class Edge:
    """One case. `truth` is the formula in float64; None: the input is to be refused.

    given and contract: what comes in and what the contract says of it, in words.
    ignoring: what the formula gives when what it was asked for is dropped without a word."""

    name: str
    topic: str
    given: str
    contract: str
    logits: Tensor
    target: Tensor
    truth: Call | None
    ours: Ours
    peers: tuple[Peer, ...] = ()
    read: Reading = value_and_gradient
    ignoring: Call | None = None

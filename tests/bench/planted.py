"""Implementations whose figures are known beforehand, as peers of a package that is always there."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from whyloss.bench.peers import Entry, Peer


def right() -> Callable[..., Tensor]:
    return F.cross_entropy


def double() -> Callable[..., Tensor]:
    """Value and gradient are wrong by 100 %."""
    return lambda z, y: 2 * F.cross_entropy(z, y)


def tilted() -> Callable[..., Tensor]:
    """The value is right, the gradient three times what it should be."""

    def loss(z: Tensor, y: Tensor) -> Tensor:
        value = F.cross_entropy(z, y)
        return 3 * value - 2 * value.detach()

    return loss


def undefined() -> Callable[..., Tensor]:
    return lambda z, y: F.cross_entropy(z, y) * torch.nan


def hungry() -> Callable[..., Tensor]:
    """Holds another eight megabytes."""

    def loss(z: Tensor, y: Tensor) -> Tensor:
        room = torch.zeros(2**21)
        return F.cross_entropy(z, y) + 0 * room.sum()

    return loss


def refusing() -> Callable[..., Tensor]:
    def loss(z: Tensor, y: Tensor) -> Tensor:
        raise RuntimeError("Widths of 10 are not for us.\nSecond line.")

    return loss


def missing_part() -> Callable[..., Tensor]:
    raise ImportError("no such thing")


def overwriting() -> Callable[..., Tensor]:
    """Writes over the logits, as fused kernels do."""

    def loss(z: Tensor, y: Tensor) -> Tensor:
        value = F.cross_entropy(z, y)
        z.data.zero_()
        return value

    return loss


def interrupted() -> Callable[..., Tensor]:
    raise KeyboardInterrupt


def peer(
    *builds: Callable[[], Callable[..., Tensor]], package: str = "torch", devices: tuple[str, ...] = ("cpu",)
) -> Peer:
    """Each under its name, on logits and cross-entropy."""
    entries = tuple(Entry("logits", "cross-entropy", build.__name__, build) for build in builds)
    return Peer(package, entries, devices)

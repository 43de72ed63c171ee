"""What is known of another package: its name, its version, and how each of its losses is called."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

from torch import Tensor

from .case import Kind

Call = Callable[..., Tensor]
OnLogits = Callable[[Tensor, Tensor], Tensor]
OnHead = Callable[[Tensor, Tensor, Tensor], Tensor]


def version_of(package: str) -> str | None:
    """None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@dataclass(frozen=True)
class Entry:
    """One way to compute one loss. `build` imports the package and returns a function of the inputs and the target.
    `same`: by the same definition, so that an error is one."""

    kind: Kind
    subject: str
    label: str
    build: Callable[[], Call]
    same: bool = True


@dataclass(frozen=True)
class Peer:
    """A package by the name that pip knows, and what of it is measured."""

    package: str
    entries: tuple[Entry, ...]
    devices: tuple[str, ...] = ("cpu", "cuda")

    @property
    def version(self) -> str | None:
        return version_of(self.package)

    def status(self, device: str) -> str:
        """Why none of it is measured, or nothing."""
        if self.version is None:
            return "not installed"
        return "" if device in self.devices else f"runs on {' and '.join(self.devices)} only"

"""Every finished trial on disk at once, under a name made of everything that it depends on.

Kill the race and start it again: what is here is read, what is not is run. Knows keys and how results are stored,
nothing of losses."""

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from whyloss.advise.finding import InputError

Found = TypeVar("Found")


class Ledger(ABC, Generic[Found]):
    """A folder of trials. A name is the hash of a trial's key, so a changed setting makes another trial."""

    suffix: str

    @abstractmethod
    def _read(self, file: BinaryIO) -> Found: ...

    @abstractmethod
    def _write(self, file: BinaryIO, found: Found) -> None: ...

    def __init__(self, folder: Path):
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".write-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise InputError(
                f"Cannot write to {str(folder.parent)!r}: {error.strerror}. The report and the finished trials go "
                "there. Pass another folder with --out."
            ) from None

    def remove_if_empty(self) -> None:
        """Leave no trace of a run that never began."""
        with suppress(OSError):  # not empty, and then it stays
            self.folder.rmdir()
            self.folder.parent.rmdir()

    def path(self, key: Mapping[str, Any]) -> Path:
        text = json.dumps(dict(key), sort_keys=True, default=str)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}{self.suffix}"

    def get(self, key: Mapping[str, Any]) -> Found | None:
        path = self.path(key)
        try:
            with path.open("rb") as file:
                return self._read(file)
        except FileNotFoundError:
            return None
        except (ValueError, OSError, EOFError):  # not one of ours, or damaged: run it again
            path.unlink(missing_ok=True)
            return None

    def put(self, key: Mapping[str, Any], found: Found) -> None:
        """Whole or not at all: written beside, then moved into place."""
        path = self.path(key)
        beside = path.with_suffix(f".{os.getpid()}.tmp")
        with beside.open("wb") as file:
            self._write(file, found)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)


class Arrays(Ledger[NDArray[np.float32]]):
    """Trials whose result is an array."""

    suffix = ".npy"

    def _read(self, file: BinaryIO) -> NDArray[np.float32]:
        return np.load(file, allow_pickle=False)

    def _write(self, file: BinaryIO, found: NDArray[np.float32]) -> None:
        np.save(file, found, allow_pickle=False)


class Records(Ledger[dict[str, Any]]):
    """Trials whose result is a dictionary of plain values."""

    suffix = ".json"

    def _read(self, file: BinaryIO) -> dict[str, Any]:
        return json.load(file)

    def _write(self, file: BinaryIO, found: dict[str, Any]) -> None:
        file.write(json.dumps(found).encode())


def fingerprint(*parts: NDArray[Any]) -> str:
    """A short name for the content of arrays."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part.dtype}{part.shape}".encode())
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:24]

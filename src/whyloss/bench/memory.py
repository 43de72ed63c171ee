"""The most bytes that a call holds at once above its inputs (its results count), and whether there were too few."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class Alive(TorchDispatchMode):
    """Counts the bytes of storages made inside it that have not been freed; `peak` is the most at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {_key(x) for x in tree_iter((args, kwargs)) if isinstance(x, Tensor)}
        result = func(*args, **(kwargs or {}))
        for made in tree_iter(result):
            if isinstance(made, Tensor) and (key := _key(made)) not in given | self.known:
                size = made.untyped_storage().nbytes()
                self.known.add(key)
                self.now += size
                self.peak = max(self.peak, self.now)
                weakref.finalize(made.untyped_storage(), self._freed, key, size)
        return result

    def _freed(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


def _key(x: Tensor) -> int:
    return x.untyped_storage()._cdata  # pyright: ignore[reportPrivateUsage] - views of one storage share it


def peak_bytes(run: Callable[[], object], device: str = "cpu") -> int:
    """Of one call; make one before, so that the workspaces of libraries are not counted."""
    if device != "cuda":
        with Alive() as alive:
            run()
        return alive.peak
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def exhausted(error: BaseException) -> bool:
    """Whether this is how torch says that memory is at an end."""
    return isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)

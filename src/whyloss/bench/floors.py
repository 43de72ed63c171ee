"""How fast it could be at best: the bytes that must move, or the products that must be made, at measured rates.

Forward: the logits are read once. Forward and backward: they are read once, and the gradient is written once. Region
losses need their sums before any gradient: the logits are read twice. A linear head makes one product, or three."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch

from .case import HEADS, Case, Dtype
from .clock import once

REGION = frozenset({"dice", "dice-and-cross-entropy"})
TRIES = 15


@dataclass(frozen=True)
class Floors:
    """Bytes per second of a copy on the device, read and written; operations per second of a square product."""

    copy: float
    product: dict[Dtype, float] = field(default_factory=dict[Dtype, float])

    def seconds(self, case: Case, subject: str) -> tuple[float, float]:
        """The floor of forward, and of forward and backward."""
        if case.kind in HEADS:
            rows, width, classes = case.shape
            once = 2 * rows * width * classes / self.product[case.dtype]
            return once, 3 * once
        logits, target = case.logits_bytes, case.target_bytes
        forward = logits + target
        total = 3 * logits + 2 * target if subject in REGION or case.kind == "masks" else 2 * logits + target
        return forward / self.copy, total / self.copy


def measure(device: str, dtypes: Iterable[Dtype]) -> Floors:
    """`dtypes` are those of the linear heads that will be measured."""
    size = 2**30 if device == "cuda" else 2**26
    source = torch.ones(size // 4, device=device)
    copy = torch.empty_like(source)
    moved = 2 * size / _quickest(lambda: copy.copy_(source), device)
    return Floors(moved, {dtype: _product(device, dtype) for dtype in dict.fromkeys(dtypes)})


def _product(device: str, dtype: Dtype) -> float:
    size = 8192 if device == "cuda" else 1024
    # Random numbers: a device that multiplies ones draws less power, and runs faster than it does in earnest.
    a = torch.randn(size, size, dtype=getattr(torch, dtype), device=device)
    out = torch.empty_like(a)
    return 2 * size**3 / _quickest(lambda: torch.mm(a, a, out=out), device)


def _quickest(run: Callable[[], object], device: str) -> float:
    return min([once(run, device, busy=True) for _ in range(TRIES)][1:])

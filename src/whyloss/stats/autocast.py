"""Out of an autocast: what computes a loss chooses its dtypes itself. Knows torch only."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def without_autocast(device: str) -> AbstractContextManager[Any]:
    """A context in which none is at work on this kind of device."""
    # Made only where it does something: entering it takes as long as several operations on a small batch.
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()

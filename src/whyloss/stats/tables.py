"""Tables that follow from a few numbers alone, such as how far any class is from any other.

On the CPU they are made once: to make them again takes as long as a small loss. Knows torch only."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from whyloss.stats.visible import traced

ELEMENTS, KEPT = 2**18, 64  # of a table that is kept, and how many are
_kept: dict[Any, Tensor] = {}


def table(make: Callable[..., Tensor], *numbers: float, like: Tensor) -> Tensor:
    """make(*numbers, dtype, device), for logits `like`. It may be shared: nobody may write to it.

    >>> from whyloss.stats.tables import lower
    >>> table(lower, 3, like=torch.zeros(1))
    tensor([[0., 0., 0.],
            [1., 0., 0.],
            [1., 1., 0.]])
    """
    # Elsewhere a table belongs to a stream; under a tracer or a transform it may be no numbers at all. What is made of
    # tensors may change with them.
    kept = like.device.type == "cpu" and type(like) in (Tensor, nn.Parameter) and not traced(like)
    if not kept or any(isinstance(x, Tensor) for x in numbers):
        return make(*numbers, like.dtype, like.device)
    key = (make, numbers, like.dtype)
    if (found := _kept.get(key)) is not None:
        return found
    with torch.inference_mode(False), torch.no_grad():
        made = make(*numbers, like.dtype, like.device)
    if made.numel() <= ELEMENTS and type(made) is Tensor and not traced(made):
        if len(_kept) >= KEPT:
            _kept.clear()
        _kept[key] = made
    return made


def others(classes: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[C, C] 1 where class j is not class i."""
    return 1 - torch.eye(classes, dtype=dtype, device=device)


def lower(classes: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[C, C] 1 where class j comes before class i."""
    return torch.ones(classes, classes, dtype=dtype, device=device).tril(-1)


def steps_apart(classes: int, power: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[C, C] how many steps class j is from class i, to a power."""
    place = torch.arange(classes, dtype=dtype, device=device)
    return (place.unsqueeze(1) - place).abs() ** power


def answers(steps: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[C, C - 1] for each class 1 where it is above a step, else -1."""
    return torch.ones(steps + 1, steps, dtype=dtype, device=device).tril(-1) * 2 - 1

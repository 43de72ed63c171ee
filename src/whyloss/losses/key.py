"""What the result of a formula depends on besides its statistics, as a key: equal keys, equal formulas.

An engine that has traced a formula once may use what it found for as long as the key stays the same."""

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor, nn

from whyloss.losses.declared import Declared

NUMBERS = (bool, int, float)
PLAIN = (bool, int, float, str, type(None))
OWN = {*vars(nn.Module()), "handle", "state", "noted", "adjust"}  # of every module; adjust is no part of the formula


def key_of(loss: nn.Module, formula: Callable[..., Any]) -> Hashable:
    """The loss's class, its numbers, those of losses in it, and the numbers that the formula finds elsewhere (globals,
    closures, class attributes). None if there is something else that it might read: a list, an object, another module;
    and inside torch.compile, which keeps its own account of that."""
    if torch.compiler.is_compiling():
        return None
    own = loss.noted["own"] if isinstance(loss, Declared) and "own" in loss.noted else _own(loss)
    if own is None:
        return None
    function = getattr(formula, "__func__", formula)
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    places = (function.__globals__, vars(type(loss)))
    found: list[Hashable] = [(n, v) for n in code.co_names for p in places if isinstance(v := p.get(n), NUMBERS)]
    cells = (cell.cell_contents for cell in function.__closure__ or ())
    found.extend(v for v in cells if isinstance(v, NUMBERS))
    return (function, own, *found)


def _own(loss: nn.Module) -> Hashable:
    """`_state`, noted where it speaks of nothing that changes without the loss's knowing."""
    found = _state(loss)
    own = None if found is None else tuple(found)
    parts = (*loss._parameters.values(), *loss._buffers.values(), *loss._modules.values())  # pyright: ignore
    if isinstance(loss, Declared) and all(part is None for part in parts):
        loss.noted["own"] = own
    return own


def _state(loss: nn.Module) -> list[Hashable] | None:
    """The class and the numbers of a loss, and of the losses that it is made of."""
    found: list[Hashable] = [type(loss)]
    for name, value in vars(loss).items():
        if name in OWN:
            continue
        if not _plain(value):
            return None
        found.append((name, value))
    for name, tensor in (*loss._parameters.items(), *loss._buffers.items()):  # pyright: ignore[reportPrivateUsage]
        # A formula that reads a tensor is not traced; one that reads its value (`float(self.x)`) depends on this.
        found.append((name, id(tensor), tensor._version if isinstance(tensor, Tensor) else None))
    for name, module in loss._modules.items():  # pyright: ignore[reportPrivateUsage]
        if name == "adjust":
            continue
        part = _state(module) if isinstance(module, Declared) else None
        if part is None:
            return None
        found.append((name, *part))
    return found


def _plain(value: object) -> bool:
    """A number, a name, or a tuple of such: what cannot change behind the key's back."""
    return isinstance(value, PLAIN) or (isinstance(value, tuple) and all(map(_plain, value)))  # pyright: ignore

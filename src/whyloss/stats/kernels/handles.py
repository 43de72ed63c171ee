"""Starting a kernel again, without the way through Triton's dispatch.

At every start Triton binds the arguments, finds out what it would compile differently for them, looks that up, and asks
the driver about every pointer: longer than a small kernel runs. What it found at the first start is kept here, by
everything that it compiles differently for (`told`), and started directly from then on."""

from collections.abc import Callable
from typing import Any

import torch
import triton
from torch import Tensor
from triton import knobs
from triton.runtime import driver

Run = Callable[..., None]

KEPT = 256  # of one kernel: widths and alignments that it has met
# Since when a compiled kernel is started with all arguments of its function, constants included. Before: Triton's way.
SINCE = (3, 6)
DIRECT = torch.version.hip is None and tuple(int(n) for n in triton.__version__.split(".")[:2]) >= SINCE

ONE, BYTES, WIDE, WIDER, FLOAT = 1, 2, 4, 8, 16  # what is told of a number
LOW, HIGH, HIGHEST = -(2**31), 2**31, 2**63


def told(arguments: tuple[Any, ...]) -> tuple[list[Any] | None, list[Any]]:
    """(what Triton compiles differently for, the arguments as a started kernel takes them: addresses in place of
    tensors). Of a tensor, its dtype, its device and whether it starts at a multiple of 16 bytes; of an integer, whether
    it is 1, a multiple of 16, and how many bits it takes; whether something is None. None: nobody knows."""
    key, values = list[Any](), list[Any]()
    for a in arguments:
        if a is None:
            key.append(None)
            values.append(None)
        elif isinstance(a, Tensor):
            address = a.data_ptr()
            key += (a.dtype, address & 15 == 0, a.get_device())
            values.append(address)
        elif type(a) is int:
            key.append(number(a))
            values.append(a)
        elif type(a) is float:
            key.append(FLOAT)
            values.append(a)
        else:
            return None, []
    return key, values


def number(a: int) -> int:
    """What is told of an integer."""
    if a == 1:
        return ONE
    return BYTES * (a & 15 == 0) + (0 if LOW <= a < HIGH else WIDE if a < HIGHEST else WIDER)


def start(kernel: Any, grid: tuple[int, ...], arguments: tuple[Any, ...], size: dict[str, Any]) -> Run | None:
    """Starts a kernel on the device that its first argument is on. `size`: the other arguments, by name, and options.
    What it returns starts it again, on arguments of which the same is told."""
    device = arguments[0].get_device()
    if device < 0 or device == torch.cuda.current_device():
        return _start(kernel, grid, arguments, size, device)
    with torch.cuda.device(device):
        return _start(kernel, grid, arguments, size, device)


def _start(
    kernel: Any, grid: tuple[int, ...], arguments: tuple[Any, ...], size: dict[str, Any], device: int
) -> Run | None:
    if not DIRECT or _watched() or not hasattr(kernel, "device_caches"):  # that an interpreted kernel does not have
        kernel[grid](*arguments, **size)
        return None
    key, values = told(arguments)
    known: dict[Any, Run] = vars(kernel).setdefault("whyloss", {})  # they live as long as it does
    place = None if key is None else (*key, *size.items())
    run = known.get(place)
    if run is not None:
        run(grid, device, values)
        return run
    compiled = kernel[grid](*arguments, **size)
    run = _ready(compiled, kernel, len(arguments), size)
    if place is not None and run is not None:
        if len(known) >= KEPT:
            known.clear()
        known[place] = run
        return run
    return None


def _ready(compiled: Any, kernel: Any, given: int, size: dict[str, Any]) -> Run | None:
    """What starts a compiled kernel on (grid, device, values); the values are those of its first `given` arguments."""
    if not isinstance(compiled, triton.compiler.CompiledKernel):  # one that is still being compiled
        return None
    rest = [size[name] for name in kernel.arg_names[given:]]
    active: Any = driver.active
    launch: Any = compiled.run
    function, packed = compiled.function, compiled.packed_metadata

    def run(grid: tuple[int, ...], device: int, values: Any) -> None:
        x, y = grid if len(grid) == 2 else (*grid, 1)
        stream = active.get_current_stream(device)
        launch(x, y, 1, stream, function, packed, None, None, None, *values, *rest)

    run.compiled = compiled  # pyright: ignore - keeps the module loaded that the function is in
    return run


def direct(device: int) -> bool:
    """Whether what `start` returned may be used on this device now."""
    return device >= 0 and device == torch.cuda.current_device() and not _watched()


def _watched() -> bool:
    """Whether a profiler wants to know of every start: Triton's own way tells it."""
    for hook in (knobs.runtime.launch_enter_hook, knobs.runtime.launch_exit_hook):
        if getattr(hook, "calls", hook):
            return True
    return False

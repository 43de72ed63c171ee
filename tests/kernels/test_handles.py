"""Kernels started directly, on a GPU that only writes down what it is told: Triton compiles for it, as for an H200.

Whatever is started must be the kernel that Triton's own dispatch would have started, on the same arguments."""

import gc
from collections.abc import Iterator
from itertools import product
from typing import Any, ClassVar

import pytest
import torch
from noted import Operations
from torch import Tensor

import whyloss

pytestmark = [
    pytest.mark.kernels,
    # What is to be compiled must not be interpreted: the job runs this file by itself.
    pytest.mark.skipif("__import__('os').environ.get('TRITON_INTERPRET') == '1'", reason="interpreted"),
]
STREAM = 7
NUMBERS = [
    0,
    1,
    2,
    15,
    16,
    17,
    -1,
    -16,
    -100,
    2**31 - 16,
    2**31 - 1,
    2**31,
    2**31 + 1,
    -(2**31),
    -(2**31) - 16,
    2**63 - 1,
]
NUMBERS += [2**63, 2**63 + 1]


class Launcher:
    """Notes what is started in place of starting it."""

    started: ClassVar[list[Any]] = []

    def __init__(self, source: Any, metadata: Any):
        self.constants = {path[0] for path in source.constants}

    def __call__(self, x: int, y: int, z: int, stream: int, function: Any, *rest: Any) -> None:
        given = [a for place, a in enumerate(rest[4:]) if place not in self.constants]
        values = [a.data_ptr() if isinstance(a, Tensor) else a for a in given]
        Launcher.started.append((function, (x, y, z), stream, values))


class Utilities:
    def load_binary(self, name: str, *rest: Any) -> tuple[Any, Any, int, int, int]:
        return object(), object(), 32, 0, 1024  # the second: the function, one for each that is compiled

    def get_device_properties(self, device: int) -> dict[str, int]:
        return {"max_shared_mem": 232448}

    def unload_module(self, module: Any) -> None:
        pass


class Driver:
    launcher_cls, utils = Launcher, Utilities()

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return STREAM


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    from triton.runtime import driver
    from triton.runtime.jit import JITFunction

    from whyloss.stats import engine, kernels
    from whyloss.stats.kernels import handles

    monkeypatch.setattr(driver, "_active", Driver())
    monkeypatch.setattr(kernels, "absent", lambda device: "")
    monkeypatch.setattr(engine.kernels, "absent", lambda device: "")
    monkeypatch.setattr(handles, "direct", lambda device: not handles._watched())
    _forget()
    run, Launcher.started = JITFunction.run, []

    def dispatched(self: Any, *args: Any, **options: Any) -> Any:
        if not options["warmup"]:
            Launcher.started.append("dispatch")
        return run(self, *args, **options)

    monkeypatch.setattr(JITFunction, "run", dispatched)
    yield Launcher.started
    Launcher.started = []
    _forget()  # while there is a driver that unloads


def _forget() -> None:
    from whyloss.losses import plain
    from whyloss.stats.kernels import launch, means

    for kernel in (launch._scale, means.share_of_targets, means.mean_of_losses, means.sum_of_losses):
        kernel.device_caches.clear()
        vars(kernel).pop("whyloss", None)
    launch.module.cache_clear()
    plain._plans.clear()
    gc.collect()


def start_and_compare(gpu: list[Any], kernel: Any, arguments: tuple[Any, ...], size: dict[str, Any]) -> bool:
    """Whether it went by dispatch; fails unless it is the kernel and the arguments of Triton's own choice."""
    from whyloss.stats.kernels import handles

    gpu.clear()
    handles.start(kernel, (3, 2), arguments, size)
    by_dispatch = "dispatch" in gpu
    function, grid, stream, values = gpu[-1]
    chosen = kernel.run(*arguments, grid=(3, 2), warmup=True, **size)
    assert function is chosen.function
    assert (grid, stream) == ((3, 2, 1), STREAM)
    gpu.clear()
    kernel[(3, 2)](*arguments, **size)
    assert gpu[-1] == (function, grid, stream, values)
    return by_dispatch


def test_what_is_told_apart_is_what_triton_tells_apart():
    from triton._C.libtriton import native_specialize_impl
    from triton.backends.nvidia.compiler import CUDABackend

    from whyloss.stats.kernels import handles

    wide = torch.zeros(64, dtype=torch.float64)
    tensors = [wide.to(d)[i:] for d in (torch.float32, torch.bfloat16, torch.int64, torch.uint8) for i in (0, 1, 4, 16)]
    values = [*NUMBERS, 0.0, 1.0, 2.5, torch.inf, None, *tensors, torch.zeros(0)]
    found = [(handles.told((v,))[0], native_specialize_impl(CUDABackend, v, False, True, True)) for v in values]
    for (ours, theirs), (our_other, their_other) in product(found, found):
        assert ours != our_other or theirs == their_other
    assert len({str(ours) for ours, _ in found}) <= len({theirs for _, theirs in found}) + 1
    for unknown in (True, "text", torch.float32, (1, 2)):
        assert handles.told((unknown,))[0] is None


def test_a_kernel_is_started_as_triton_would_start_it(gpu: list[Any]):
    from whyloss.stats.kernels import launch

    x, wide, factor = torch.zeros(64), torch.zeros(64).double(), torch.ones(4)
    ways = list[bool]()
    variants = [
        *((x, factor, None, n) for n in (64, 48, 17, 19, 1, 2**31, 2**31 + 1)),
        *((x[i:], factor, None, 32) for i in (1, 4)),
        (x, factor[1:], None, 32),
        (x, factor, factor, 32),
        (wide, factor, None, 64),
        (wide, factor.double(), None, 64),
        (x, factor, None, True),
    ]
    for _ in range(2):
        for arguments in variants:
            for programs in (8, 16):
                size = {"B": 64, "PROGRAMS": programs, "num_warps": 1, **launch.ALWAYS}
                ways.append(start_and_compare(gpu, launch._scale, arguments, size))
    again = ways[len(ways) // 2 :]
    assert again == [False] * (len(again) - 2) + [True] * 2  # nobody knows about a boolean
    assert ways[:4] == [True, True, False, False]  # 64 and 48 are alike


def test_constants_among_the_arguments_and_numbers_by_name(gpu: list[Any]):
    from whyloss.losses import rows as door
    from whyloss.stats.kernels import launch, rows

    z, y = torch.zeros(2, 3, 32), torch.zeros(64, dtype=torch.int64)
    described = door.enter(whyloss.CrossEntropyLoss(), torch.zeros(2, 3), torch.tensor([0, 1]), None).rows
    source = rows.source(described)
    assert source is not None
    row = {**rows.described(described), "label": y}
    out, kept = torch.zeros_like(z), list[Tensor]()  # so that no two results share an address
    noted = list[Any]()
    for pixels, by_dispatch in ((32, True), (32, False), (16, False), (17, True)):
        gpu.clear()
        kept.append(launch.planes(source, z[:, :, :pixels], row, out, None, summed=False))
        assert ("dispatch" in gpu) == by_dispatch
        noted.append(gpu[-1])
        assert noted[-1][3][-3:] == [pixels, z.stride(0), z.stride(1)]
        noted[-1][3].remove(kept[-1].data_ptr())
    assert noted[0] == noted[1]
    assert noted[0][0] is noted[2][0]
    assert noted[0][0] is not noted[3][0]


def test_a_profiler_sees_every_start(gpu: list[Any]):
    from triton import knobs

    from whyloss.stats.kernels import launch

    x, seen = torch.zeros(64), []
    launch.scale_(x, torch.ones(()))
    gpu.clear()
    launch.scale_(x, torch.ones(()))
    assert "dispatch" not in gpu
    knobs.runtime.launch_enter_hook.add(seen.append)
    try:
        launch.scale_(x, torch.ones(()))
    finally:
        knobs.runtime.launch_enter_hook.remove(seen.append)
    assert "dispatch" in gpu


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_small_mean_is_three_kernels_of_tritons_choice(gpu: list[Any], dtype: torch.dtype):
    loss = whyloss.CrossEntropyLoss(engine="triton", validate=False)
    functions: dict[Any, Any] = {}
    for rows, offset in product((32, 48, 17, 19, 1), (0, 1, 16)):
        z = torch.zeros(rows * 40 + offset, dtype=dtype)[offset:].view(rows, 40).requires_grad_()
        y = torch.zeros(rows + 1, dtype=torch.int64)[offset == 16 :][:rows]
        for again in (False, True):
            gpu.clear()
            loss(z, y).backward()
            assert not again or "dispatch" not in gpu
            first, _, last = (s for s in gpu if s != "dispatch")
            ones = 3 if rows == 1 else 4  # a 1 is compiled in
            assert first[3][-ones:] == last[3][-ones:] == [rows, 40, 40, 40][-ones:]
            assert first[3][0] == first[3][1] == last[3][0] == z.data_ptr()
            assert first[3][2] == last[3][2] == y.data_ptr()
            # A kernel for each that Triton tells apart, and for no other.
            apart = (rows == 1, rows % 16 == 0, z.data_ptr() % 16 == 0, y.data_ptr() % 16 == 0)
            for place, started in (("first", first), ("last", last)):
                assert functions.setdefault((place, apart), started[0]) is started[0]
    assert len(set(map(id, functions.values()))) == len(functions)


@pytest.mark.parametrize("loss", [whyloss.CrossEntropyLoss, whyloss.FocalLoss, whyloss.BrierLoss])
def test_the_host_does_little_for_a_small_mean(gpu: list[Any], loss: Any):
    z, y = torch.zeros(4, 20).requires_grad_(), torch.zeros(4, dtype=torch.int64)
    made = loss(engine="triton", validate=False)
    made(z, y).backward()
    gpu.clear()
    with Operations() as forward:
        value = made(z, y)
    with Operations() as backward:
        torch.autograd.grad(value, z)
    assert "dispatch" not in gpu
    assert len(gpu) == 3
    assert [n for n in forward.names if n != "detach"] == ["empty", "empty"]
    assert [n for n in backward.names if n != "detach"] == ["ones_like", "empty_like"]


def test_a_loss_that_changes_is_another_loss(gpu: list[Any], monkeypatch: pytest.MonkeyPatch):
    class Steep(whyloss.RowLoss):
        slope: float = 2.0
        extra = 0.0

        def formula(self, log_p: Tensor) -> Tensor:
            return -self.slope * log_p + self.extra + AMOUNT

    z, y = torch.zeros(4, 8).requires_grad_(), torch.zeros(4, dtype=torch.int64)
    loss, seen = Steep(engine="triton", validate=False), set[int]()

    def first() -> int:
        gpu.clear()
        loss(z, y)
        found = next(s for s in gpu if s != "dispatch")
        return id(found[0])

    seen.add(first())
    assert first() in seen
    loss.slope = 3.0
    seen.add(first())
    Steep.extra = 1.0
    seen.add(first())
    monkeypatch.setitem(globals(), "AMOUNT", 5.0)
    seen.add(first())
    loss.training = False
    assert first() in seen
    assert len(seen) == 4
    loss.weight = torch.ones(8)
    assert first() not in seen  # by way of the door


AMOUNT = 0.0

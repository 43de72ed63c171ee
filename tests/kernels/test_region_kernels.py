"""The kernels of region losses: their numbers on a GPU or in Triton's interpreter; what compiling makes of them.

Without a GPU the numbers are tested with TRITON_INTERPRET=1, and what is compiled for one without it."""

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from instances import OVERLAPS, Case, defaults, value_and_gradient
from torch import Tensor

import whyloss
from whyloss.stats import regions
from whyloss.stats.kernels import absent
from whyloss.stats.pixels import Pixels

triton = pytest.importorskip("triton")
pytestmark = [
    pytest.mark.kernels,
    pytest.mark.filterwarnings("ignore:TRITON_DEFAULT_FP_FUSION"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # numpy, in place of a GPU, of numbers no thread looks at
]
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
HERE = absent(DEVICE) == ""
numbers = pytest.mark.skipif(not HERE, reason="neither a GPU nor TRITON_INTERPRET=1")
alone = pytest.mark.skipif(HERE, reason="in the interpreter, or on a GPU, already")


# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def by_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels also for logits on the CPU."""
    monkeypatch.setattr(regions, "choose", lambda *_: ("kernels", "for a test"))


def exact(loss: Any, z: Tensor, target: Tensor, **call: Any) -> tuple[Tensor, Tensor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "choose", lambda *_: ("reference", "for a test"))
        return value_and_gradient(loss, z.double(), target, **call)


def compare(loss: Any, z: Tensor, target: Tensor, **call: Any) -> None:
    z, target = z.to(DEVICE), target.to(DEVICE)
    call = {name: x.to(DEVICE) for name, x in call.items()}
    found, expected = value_and_gradient(loss, z, target, **call), exact(loss, z, target, **call)
    assert found[1].dtype == z.dtype
    torch.testing.assert_close(found[0].double(), expected[0], rtol=2e-5, atol=1e-6)
    rtol = 2e-5 if z.dtype == torch.float32 else torch.finfo(z.dtype).eps
    torch.testing.assert_close(
        found[1].double(), expected[1], rtol=rtol, atol=5e-6 * expected[1].abs().max().item() + (rtol > 1e-4) * 1e-7
    )


@numbers
@pytest.mark.parametrize("over", ["image", "batch"])
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("case", defaults(OVERLAPS), ids=str)
def test_every_region_loss_is_that_of_the_reference(case: Case, link: str, over: str, by_kernels: None):
    z = 4 * torch.randn(2, 3, 15, 9)
    t = torch.randint(0, 3, (2, 15, 9)) if link == "softmax" else torch.randint(0, 2, z.shape)
    t[0, ..., 4], z[0, ..., 4] = -100, torch.nan
    weight = torch.rand(2, 15, 9)
    weight[1, 3], z[1, 1, 3] = 0, torch.inf
    loss = case.build(3, link=link, over=over)
    compare(loss, z[:1], t[:1])
    compare(loss, z, t, sample_weight=weight)


@numbers
@pytest.mark.parametrize("programs", [1, 8])
@pytest.mark.parametrize("classes", [2, 20, 33])
def test_few_and_many_classes(classes: int, programs: int, by_kernels: None, monkeypatch: pytest.MonkeyPatch):
    """In registers, or in two passes over planes; one program or several for all pixels of an image."""
    from whyloss.stats.kernels import region

    monkeypatch.setattr(region, "_room", lambda _: programs)
    count, size = (1, 140) if classes == 33 else (2, 600)
    z, t = 3 * torch.randn(count, classes, size), torch.randint(0, classes, (count, size))
    z[:, 1], t[t == 1] = -torch.inf, 0
    compare(whyloss.DiceLoss(over="batch"), z, t, sample_weight=torch.rand(count, size))
    found = regions.sums(z.to(DEVICE), Pixels(t.to(DEVICE)))
    torch.testing.assert_close(found.pixels, torch.full_like(found.pixels, size))


TARGETS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool, torch.uint16]


@numbers
@pytest.mark.parametrize("dtype", TARGETS, ids=str)
def test_labels_and_masks_of_any_integer_type(dtype: torch.dtype, by_kernels: None):
    z = torch.randn(2, 2, 40, device=DEVICE)
    for loss, shape in ((whyloss.DiceLoss(), (2, 40)), (whyloss.DiceLoss(link="sigmoid"), (2, 2, 40))):
        t = torch.randint(0, 2, shape, device=DEVICE)
        assert torch.equal(loss(z, t.to(dtype)), loss(z, t))
    if dtype == torch.uint8:
        wide, t = torch.randn(1, 160, 8, device=DEVICE), torch.full((1, 8), 156, dtype=dtype, device=DEVICE)
        assert regions.sums(wide, Pixels(t)).target[0, 156] == 8  # not the ignored -100
        assert regions.sums(z[:1, :, :8], Pixels(t, ignore_index=156)).pixels.sum() == 0


@numbers
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_16_bits(link: str, dtype: torch.dtype, by_kernels: None):
    z = (3 * torch.randn(1, 4, 200)).to(dtype)
    t = torch.randint(0, 4, (1, 200)) if link == "softmax" else torch.rand(z.shape)
    compare(whyloss.TverskyLoss(link=link), z, t)


@numbers
@pytest.mark.parametrize("classes", [3, 33])
def test_sure_pixels_keep_their_relative_accuracy(classes: int, by_kernels: None):
    z, t = torch.randn(1, classes, 40), torch.arange(40).unsqueeze(0) % classes
    z.scatter_add_(1, t.unsqueeze(1), torch.full((1, 1, 40), 25.0))
    z[0, :2, 1] = torch.tensor([-1e4, 1e4])
    z, t = z.to(DEVICE), t.to(DEVICE)
    found, expected = value_and_gradient(whyloss.DiceLoss(), z, t)[1], exact(whyloss.DiceLoss(), z, t)[1]
    assert torch.isfinite(found).all()
    sure = expected.abs() > 1e-30
    torch.testing.assert_close(found.double()[sure], expected[sure], rtol=1e-4, atol=0)


@numbers
def test_layouts_empties_and_second_derivatives(by_kernels: None):
    z, t = torch.randn(2, 3, 6, 10, device=DEVICE), torch.randint(0, 3, (2, 6, 10), device=DEVICE)
    wide = torch.randn(2, 5, 6, 20, device=DEVICE)
    wide[:, 1:4, :, ::2] = z
    for loss, target in ((whyloss.DiceLoss(), t), (whyloss.DiceLoss(link="sigmoid"), (z > 0).transpose(2, 3))):
        straight = z if target is t else z.transpose(2, 3)
        expected = value_and_gradient(loss, straight.contiguous(), target.contiguous())
        for x in (straight, straight.to(memory_format=torch.channels_last)):
            torch.testing.assert_close(value_and_gradient(loss, x, target), expected)
    torch.testing.assert_close(whyloss.DiceLoss()(wide[:, 1:4, :, ::2], t), whyloss.DiceLoss()(z, t))
    for shape in ((0, 3, 4), (2, 3, 0)):
        empty, nothing = torch.randn(shape, device=DEVICE), torch.zeros(shape[0], shape[2], device=DEVICE).long()
        assert value_and_gradient(whyloss.DiceLoss(), empty, nothing)[0] == 0
    z.requires_grad_()
    (first,) = torch.autograd.grad(whyloss.DiceLoss()(z, t), z, create_graph=True)
    (second,) = torch.autograd.grad(first.pow(2).sum(), z)
    assert second.any()


# --- what compiling for a GPU makes of them ---------------------------------------------------------------------------

BIN = Path(triton.__file__).parent / "backends/nvidia/bin"
POINTERS = dict.fromkeys(("weight", "given", "partial", "intersection", "upstream", "value", "kept", "found"), "*fp32")


def compiled(name: str, dtype: str, label: str = "*i64", mask: str = "*u8", **constants: int) -> Any:
    """The kernel for compute capability 9.0; images laid out plane after plane, of a multiple of 16 pixels."""
    from whyloss.stats.kernels import region_kernels

    constants = {"sp": 1, "ts": 1, "tp": 1, "us": 1, "dp": 1, "WIDE": False, **constants}
    types = {**POINTERS, "z": f"*{dtype}", "out": f"*{dtype}", "label": label, "mask": mask}
    return built(getattr(region_kernels, name), types, constants, 4)


def built(kernel: Any, types: dict[str, str], constants: dict[str, Any], warps: int) -> Any:
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    constants = {n: v for n, v in constants.items() if n in kernel.arg_names}
    signature = {n: "constexpr" if n in constants else types.get(n, "i32") for n in kernel.arg_names}
    places = {n: (kernel.arg_names.index(n),) for n in kernel.arg_names}
    even = [n for n in signature if n not in constants and (n in types or n in ("P", "sn", "sc", "dn", "dc", "tn"))]
    attributes = {places[n]: [["tt.divisibility", 16]] for n in even}
    source = ASTSource(kernel, signature, {places[n]: v for n, v in constants.items()}, attributes)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps})


def registers(kernel: Any) -> tuple[int, int]:
    """(registers of a thread, bytes that it keeps in memory for want of registers)."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        command = [str(BIN / "cuobjdump"), "--dump-resource-usage", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = {key: int(value) for key, value in re.findall(r"\b(REG|STACK|LOCAL):(\d+)", text)}
    return found["REG"], found["STACK"] + found["LOCAL"]


MANY = {"B": 128, "WEIGHTED": True}
KERNELS: list[tuple[str, dict[str, int], int]] = [
    ("sums", {"K": 4, "B": 512, "WEIGHTED": False, "GIVEN": False}, 128),
    ("sums", {"K": 19, "B": 128, "WEIGHTED": False, "GIVEN": False}, 128),
    ("sums", {"K": 32, "B": 128, "WEIGHTED": True, "GIVEN": False}, 255),
    ("sums", {"K": 16, "GIVEN": True, **MANY}, 128),
    ("normalise", MANY, 64),
    ("pull_back", {"C": 4, "B": 512, "WEIGHTED": False}, 64),
    ("pull_back", {"C": 20, "B": 256, "WEIGHTED": True}, 168),
    ("pull_back", {"C": 32, "B": 128, "WEIGHTED": True}, 255),
    ("pull_back_many", MANY, 64),
    ("switch_sums", {"B": 1024, "WEIGHTED": True}, 128),
    ("switch_pull_back", {"B": 1024, "WEIGHTED": True}, 128),
]


@alone
@pytest.mark.parametrize(("name", "constants", "most"), KERNELS, ids=lambda x: str(x))
def test_nothing_is_spilled(name: str, constants: dict[str, int], most: int):
    if not (BIN / "cuobjdump").exists():
        pytest.skip("Triton came without cuobjdump")
    used, spilled = registers(compiled(name, "fp32", **constants))
    assert spilled == 0
    assert used <= most


@alone
@pytest.mark.parametrize("case", [*defaults(OVERLAPS), Case(whyloss.UnifiedFocalLoss)], ids=str)
def test_no_verdict_is_spilled(case: Case):
    if not (BIN / "cuobjdump").exists():
        pytest.skip("Triton came without cuobjdump")
    from whyloss.losses.region.verdict import found
    from whyloss.stats.kernels import verdict

    reached = found(case.build())
    assert reached is not None
    kernels = verdict.made(reached)
    for count, programs, mean, more in (
        (19, 1056, True, {"images": 1}),
        (152, 132, False, {"weight": None, "copies": 1}),
        (600, 16, True, {"copies": 1}),
        (5000, 1, True, {"programs": 1, "copies": 1}),
    ):
        size = verdict.block(count, programs)
        types = {**POINTERS, "partial": "*fp64"} if programs == 1 else POINTERS
        kernel = built(
            kernels.verdict, types, {"MEAN": mean, "BACKGROUND": not mean, **size, **more}, size["num_warps"]
        )
        assert registers(kernel)[1] == 0
    assert registers(built(kernels.together, {**POINTERS, "found": "*fp64"}, {**verdict.ADDING}, 8))[1] == 0


LABELS = ["*u8", "*i8", "*i16", "*i32", "*i64", "*u16", "*u32", "*u64"]
ODD = {"WEIGHTED": True, "B": 128, "programs": 1, "ignore": 1}  # numbers that Triton takes for constants


@alone
@pytest.mark.parametrize("wide", [False, True])
def test_every_target_and_layout_compiles(wide: bool):
    for label in LABELS:
        compiled("sums", "fp16", label=label, K=2, GIVEN=False, WIDE=wide, **ODD)
    for mask in ("*fp32", "*bf16", "*i64", "*u8"):
        compiled("switch_sums", "bf16", mask=mask, C=1, WIDE=wide, **ODD)
        compiled("switch_pull_back", "bf16", mask=mask, C=1, WIDE=wide, **ODD)
    last = {"sc": 1, "dc": 1, **ODD}  # channels last
    compiled("sums", "fp32", K=3, GIVEN=False, WIDE=wide, **last)
    compiled("pull_back", "fp32", C=3, WIDE=wide, **last)
    compiled("pull_back_many", "fp32", WIDE=wide, **last)


@alone
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_accesses_are_wide(dtype: str):
    """Four pixels of a thread are read at once, and their gradient is written at once."""
    width = "v4.b32" if dtype == "fp32" else "v2.b32"
    read = compiled("sums", dtype, K=4, B=512, WEIGHTED=False, GIVEN=False).asm["ptx"]
    assert len(re.findall(rf"ld\.global[\w.]*\.{re.escape(width)}", read)) >= 4
    written = compiled("pull_back", dtype, C=4, B=512, WEIGHTED=False).asm["ptx"]
    assert len(re.findall(rf"st\.global[\w.]*\.{re.escape(width)}", written)) == 4

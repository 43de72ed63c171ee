"""Kernels compiled for an H200 on a machine that has none: registers, spills and the width of every access.

What a compiler decides shows in the machine code: a loop that lost its 16-byte accesses, or keeps more numbers than a
thread has registers for, is several times slower and passes every other test."""

import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import whyloss
from whyloss.losses import rows as door

pytestmark = [
    pytest.mark.kernels,
    # What is to be compiled must not be interpreted: the job runs this file by itself.
    pytest.mark.skipif("__import__('os').environ.get('TRITON_INTERPRET') == '1'", reason="interpreted"),
]
LOSSES = {
    "ce": whyloss.CrossEntropyLoss(),
    "smooth": whyloss.CrossEntropyLoss(label_smoothing=0.1),
    "focal": whyloss.FocalLoss(),
    "gce": whyloss.GeneralizedCrossEntropyLoss(),
    "brier": whyloss.BrierLoss(),
    "penalty": whyloss.ConfidencePenaltyLoss(),
    "nce": whyloss.NormalizedCrossEntropyLoss(),
    "nfl": whyloss.NormalizedFocalLoss(),
}
PLAIN = [name for name, loss in LOSSES.items() if not loss.normalized]
SHORT = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
EXTENTS = ("C", "P", "stride", "out_stride", "image_stride")
WIDTHS = [32000, 50257, 128256]


@dataclass
class Code:
    """What the assembler says of a kernel. spills: how many instructions move a number between a register and a
    thread's own memory. loads and stores: how many of each width, in bytes."""

    registers: int
    stack: int
    spills: int
    loads: Counter[int]
    stores: Counter[int]


BINARY = {
    "bce": whyloss.BinaryCrossEntropyLoss(),
    "focal": whyloss.SigmoidFocalLoss(),
    "gce": whyloss.GeneralizedCrossEntropyLoss(link="sigmoid"),
}


def rows_of(name: str, kernel: str) -> Any:
    soft = kernel.startswith("mixture") and not LOSSES[name].normalized
    target = torch.full((2, 4), 0.25) if soft else torch.tensor([0, 1])
    return door.enter(LOSSES[name], torch.zeros(2, 4), target, None).rows


@cache
def compiled(name: str, kernel: str, classes: int, dtype: torch.dtype, save: bool = False) -> Code:
    import triton

    from whyloss.stats.kernels import launch, rows

    source = rows.source(rows_of(name, kernel))
    assert source is not None
    function = getattr(launch.module(source.text), kernel)
    vec = 16 // dtype.itemsize
    if kernel in ("small", "mixture_small"):
        B = triton.next_power_of_2(classes)
        R = max(1, launch.ELEMENTS // B)
        size: dict[str, Any] = {"R": R, "B": B, "VEC": vec if classes % vec == 0 else 1, "GRADIENT": True}
        mixed = kernel == "mixture_small"
        options = {"num_warps": launch.mixture_warps(size) if mixed else min(32, max(4, R * B // 1024))}
        if mixed:
            size["NORMALIZED"] = LOSSES[name].normalized
    elif kernel == "planes":
        size = {"C": classes, "T": launch.PIXELS, "GUARD": True, "HELD": True, "GRADIENT": True}
        options = {"num_warps": 4}
    elif kernel == "pull_back":
        size = {"T": launch.STRETCH, "VEC": vec, "ALIGNED": classes % vec == 0, "EACH": True}
        options = {"num_warps": 4}
    else:
        mixed = kernel == "mixture_stream"
        near = kernel == "near_rows"
        size = launch.mixture_size(classes, source) if mixed else launch.row_size(classes, source, near)
        size |= {"VEC": vec, "ALIGNED": classes % vec == 0, "GRADIENT": not save}
        if mixed:
            size["NORMALIZED"] = LOSSES[name].normalized
        elif kernel == "stream":
            size["SAVE"] = save
        elif kernel == "far_rows":
            size["R"] = 16
        options = {n: size.pop(n) for n in ("num_warps", "maxnreg") if n in size}
    short = SHORT[dtype]
    types = {"z": f"*{short}", "out": f"*{short}", "losses": "*fp32", "saved": "*fp32", "far": "*u8"}
    soft = kernel.startswith("mixture") and not LOSSES[name].normalized
    types |= {"mix": "*fp32"} if soft else {"label": "*i64"}
    types |= {"share": "*fp32", "upstream": "*fp32", "N": "i32", "C": "i32", "stride": "i32", "out_stride": "i32"}
    types |= {"blocks": "i32", "P": "i32", "image_stride": "i32", "ignore": "i32"}
    return _code(function, types, size, options, EXTENTS if classes % 16 == 0 or kernel == "planes" else ())


@cache
def compiled_binary(name: str, dtype: torch.dtype, label: str) -> Code:
    from whyloss.stats.kernels import binary, launch

    text, _ = binary.source(door.enter(BINARY[name], torch.zeros(2), torch.tensor([0, 1]), None).rows)
    short = SHORT[dtype]
    types = {
        "z": f"*{short}",
        "out": f"*{short}",
        "label": f"*{label}",
        "losses": "*fp32",
        "share": "*fp32",
        "N": "i32",
    }
    size = {"B": launch.QUESTIONS, "GRADIENT": True, "SUMMED": True, "PAIRS": False}
    return _code(launch.module(text).elementwise, types, size, {"num_warps": 4})


def _code(
    function: Any, types: dict[str, str], size: dict[str, Any], options: dict[str, Any], whole: tuple[str, ...] = ()
) -> Code:
    """`whole`: numbers that are multiples of 16, as pointers are."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    signature, constants, attributes = {}, {}, {}
    for place, argument in enumerate(function.arg_names):
        if argument in size or argument not in types:
            signature[argument], constants[(place,)] = "constexpr", size.get(argument)
            continue
        signature[argument] = types[argument]
        if types[argument].startswith("*") or argument in whole:  # as Triton finds by itself, of pointers and numbers
            attributes[(place,)] = [["tt.divisibility", 16]]
    made = triton.compile(
        ASTSource(function, signature, constants, attributes),
        target=GPUTarget("cuda", 90, 32),
        options={**options, "enable_fp_fusion": True},
    )
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(made.asm["cubin"])
        used = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
        sass = subprocess.run([tool, "-sass", file.name], capture_output=True, text=True, check=True).stdout
    sizes = re.search(r"REG:(\d+) STACK:(\d+)", used)
    assert sizes is not None
    spills = len(re.findall(r"\b(?:LDL|STL)\b", sass))
    return Code(int(sizes[1]), int(sizes[2]), spills, _widths("LDG", sass), _widths("STG", sass))


def _widths(instruction: str, sass: str) -> Counter[int]:
    bits = {"U8": 8, "S8": 8, "U16": 16, "64": 64, "128": 128}
    found = re.findall(rf"{instruction}\.E((?:\.\w+)*)", sass)
    return Counter(next((bits[p] for p in f.split(".") if p in bits), 32) // 8 for f in found)


@pytest.mark.parametrize("classes", WIDTHS)
@pytest.mark.parametrize("name", PLAIN)
def test_long_rows(name: str, classes: int):
    code = compiled(name, "stream", classes, torch.bfloat16)
    assert code.stack == code.spills == 0
    # Two blocks of threads share a processor's 65536 registers, so that one can wait for memory while another counts.
    assert code.registers <= 128
    wide, narrow = code.loads[16], code.loads[2]
    assert wide >= 16
    assert narrow <= (11 if classes % 8 else 2), "an access lost its width"  # the label's, the ends', the label's lane
    assert code.stores[16] >= 8
    assert code.stores[2] <= (3 if classes % 8 else 1)  # the label's, the ends'


@pytest.mark.parametrize("classes", WIDTHS)
@pytest.mark.parametrize("name", PLAIN)
def test_long_rows_relative_to_the_label(name: str, classes: int):
    code = compiled(name, "near_rows", classes, torch.bfloat16)
    assert code.spills <= 4  # a number or two of the row, which wait while the loops run
    # As many blocks of threads as the second-level cache has room for rows: four, or of the widest rows two.
    assert code.registers <= 80
    assert code.loads[16] >= 16
    assert code.loads[2] <= (11 if classes % 8 else 2), "an access lost its width"
    assert code.stores[16] >= 8
    compiled(name, "far_rows", classes, torch.bfloat16)


@pytest.mark.parametrize("classes", [128256, 670091])
@pytest.mark.parametrize("name", PLAIN)
def test_coefficients_and_the_gradient_from_them(name: str, classes: int):
    for kernel in ("stream", "pull_back"):
        code = compiled(name, kernel, classes, torch.bfloat16, save=kernel == "stream")
        assert code.stack == code.spills == 0
        assert code.registers <= 128
        assert code.loads[16] >= 4
        assert code.loads[2] <= (11 if classes % 8 else 2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("name", ["ce", "focal", "brier"])
def test_pixels(name: str, dtype: torch.dtype):
    code = compiled(name, "planes", 19, dtype)
    assert code.stack == code.spills == 0
    assert code.registers <= 128
    # Two pixels a thread: an access holds both.
    pair = 2 * dtype.itemsize
    assert code.loads[pair] >= 19
    assert code.stores[pair] >= 19


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("name", PLAIN)
def test_short_rows(name: str, dtype: torch.dtype):
    code = compiled(name, "small", 1000, dtype)
    assert code.stack == code.spills == 0
    assert code.registers <= 128
    assert code.loads[16]
    assert code.stores[16]
    assert not code.loads[2]


@pytest.mark.parametrize(
    ("kernel", "classes"), [("mixture_small", 1000), ("mixture_small", 2048), ("mixture_stream", 32000)]
)
@pytest.mark.parametrize("name", ["ce", "focal", "brier", "nce", "nfl"])
def test_soft_targets(name: str, kernel: str, classes: int):
    code = compiled(name, kernel, classes, torch.float32)
    assert code.stack == code.spills == 0
    assert code.registers <= 168  # up to five passes, and every class as the label: fewer rows are on their way


@pytest.mark.parametrize("label", ["i64", "u8", "fp32"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("name", BINARY)
def test_questions(name: str, dtype: torch.dtype, label: str):
    code = compiled_binary(name, dtype, label)
    assert code.stack == code.spills == 0
    assert code.registers <= 96
    # The usual program; the last one, which may be incomplete, takes one element at a time.
    size = {"i64": 8, "u8": 1, "fp32": 4}[label]
    a_thread = 8
    assert code.loads[16] >= (a_thread * dtype.itemsize + a_thread * size) // 16
    assert code.stores[16] >= a_thread * dtype.itemsize // 16

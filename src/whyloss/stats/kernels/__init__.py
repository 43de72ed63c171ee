"""The same two passes in Triton: what a loss needs is generated from the statistics' table and its traced formula.

plan.py: sums, formula and pull-back as one graph. source.py: the graph as Triton, spliced into templates/, the kernels
but for what depends on the loss. mixture.py: the same for soft targets. functions.py: arithmetic as accurate as
torch's. launch.py: which kernel for which shape. means.py: sums of losses, and what a mean divides by. handles.py: how
a kernel is started. rows.py: the engine, an autograd function. plain.py: the same for means, by the shortest way.
binary.py: for the sigmoid link. region.py and region_kernels.py: sums and pull-back of region losses. verdict.py: what
is between them. Only functions, launch, means, handles, plain, region and region_kernels import Triton."""

import importlib.util
import os
from functools import cache

import torch

OLDEST = (8, 0)  # compute capability: bfloat16


def interpreted() -> bool:
    """Whether Triton runs on the CPU, one program after the other, for tests."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def absent(device: torch.device) -> str:
    """Why there are no kernels on this device, or nothing."""
    if device.type == "cpu" and interpreted():
        return "" if _installed() else "Triton is not installed"
    if device.type != "cuda":
        return f"the logits are on {device.type}; the kernels are for GPUs"
    return _absent_on_gpu(device.index or 0)


@cache
def _absent_on_gpu(index: int) -> str:
    if not _installed():
        return "Triton is not installed"
    found = torch.cuda.get_device_capability(index)
    if torch.version.hip is None and found < OLDEST:
        return f"the GPU is of compute capability {found[0]}.{found[1]}; the kernels need {OLDEST[0]}.{OLDEST[1]}"
    return ""


@cache
def _installed() -> bool:
    return importlib.util.find_spec("triton") is not None

"""What the figures depend on: processor, device, threads, versions."""

import os
import platform
from pathlib import Path
from typing import Any

import torch

from whyloss import __version__


def machine(device: str, threads: int) -> dict[str, Any]:
    gpu = torch.cuda.get_device_name() if device == "cuda" else None
    return {
        "device": device,
        "processor": processor(),
        "cores": os.cpu_count(),
        "gpu": gpu,
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    found = {"whyloss": __version__, "torch": str(torch.__version__), "python": platform.python_version()}
    return found | ({"cuda": torch.version.cuda} if torch.version.cuda else {})


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()

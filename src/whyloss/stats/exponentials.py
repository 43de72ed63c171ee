"""e^x of large tensors on the CPU, as fast as the processor can. Knows torch only; autograd does not follow.

torch.exp asks the MKL where torch was built with it, and with 16-fold instructions (AVX512) the MKL takes up to twice
as long on processors that Intel did not make. torch has an exponential of its own, as exact, inside of other
operations: the slope of log_softmax is g - e^y sum(g), and that is e^y wherever g is 0, if each row of g has one -1."""

from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# Elements from which on it pays; they are taken in rows of WIDTH, whatever the tensor's shape is, AT_ONCE in one call.
LEAST, WIDTH, AT_ONCE = 2**15, 2**8, 2**20


def exp_into(out: Tensor, x: Tensor) -> Tensor:
    """Fills `out`, which may be x itself, with e^x, computed in the dtype of `out`.

    >>> exp_into(torch.empty(2), torch.tensor([0.0, 1.0]))
    tensor([1.0000, 2.7183])
    """
    if x.dtype != out.dtype:
        x = out.copy_(x)
    if out.ndim == 2 and out.stride(0) == 1:  # pixels
        exp_into(out.T, x.T)
        return out
    if x.numel() < LEAST or not out.is_contiguous() or out.device.type != "cpu" or not mkl_is_slow():
        return torch.exp(x, out=out)
    if not x.is_contiguous():
        x = out.copy_(x)
    count = x.numel()
    if count <= AT_ONCE and count % WIDTH == 0:
        _rows_into(out.view(-1, WIDTH), x.view(-1, WIDTH))
        return out
    for source, to in zip(x.view(-1).split(AT_ONCE), out.view(-1).split(AT_ONCE), strict=True):
        whole = len(to) // WIDTH * WIDTH
        _rows_into(to[:whole].view(-1, WIDTH), source[:whole].view(-1, WIDTH))
        if whole < len(to):
            torch.exp(source[whole:], out=to[whole:])
    return out


def _rows_into(e: Tensor, y: Tensor) -> None:
    at_minus_one = y.select(1, 0).exp()
    slope: Any = torch._log_softmax_backward_data  # pyright: ignore
    slope(_minus_one_and_zeros(e.dtype, len(e)), y, 1, y.dtype, out=e)
    e.select(1, 0).copy_(at_minus_one)


@cache
def mkl_is_slow() -> bool:
    """Whether torch asks the MKL, and the processor is one that it does not favour. With 8-fold instructions (AVX2) the
    MKL takes less time than the detour there too."""
    processor = Path("/proc/cpuinfo")  # where there is none, torch.exp will do
    wide = torch.backends.mkl.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX512"
    return wide and processor.exists() and "AuthenticAMD" in processor.read_text()[:2000]


@lru_cache(maxsize=64)
def _minus_one_and_zeros(dtype: torch.dtype, rows: int) -> Tensor:
    """[rows, WIDTH] that have a -1 first."""
    if rows < AT_ONCE // WIDTH:
        return _minus_one_and_zeros(dtype, AT_ONCE // WIDTH)[:rows]
    with torch.inference_mode(False):
        g = torch.zeros(rows, WIDTH, dtype=dtype, device="cpu")
    g[:, 0] = -1
    return g

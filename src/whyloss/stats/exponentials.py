"""e^x of large tensors on the CPU, as fast as the processor can. Knows torch only; autograd does not follow.

torch.exp asks the MKL where torch was built with it, and the MKL takes up to twice as long on processors that Intel did
not make. torch has an exponential of its own, as exact, inside of other operations: the slope of log_softmax is
g - e^y sum(g), and that is e^y wherever g is 0, if each row of g has one -1."""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

# Elements from which on it pays. They are taken in rows of WIDTH, whatever the tensor's shape is, ROWS in one call.
LEAST, WIDTH, ROWS = 2**17, 2**12, 2**8


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
    source, to, whole = x.view(-1), out.view(-1), x.numel() // WIDTH * WIDTH
    if whole < x.numel():
        torch.exp(source[whole:], out=to[whole:])
    for y, e in zip(_in_rows(source, whole), _in_rows(to, whole), strict=True):
        at_minus_one = y[:, 0].exp()
        torch.ops.aten._log_softmax_backward_data.out(_one_minus_one(e.dtype)[: len(y)], y, 1, y.dtype, out=e)
        e[:, 0] = at_minus_one
    return out


def _in_rows(x: Tensor, whole: int) -> tuple[Tensor, ...]:
    return x[:whole].view(-1, WIDTH).split(ROWS)


@cache
def mkl_is_slow() -> bool:
    """Whether torch asks the MKL, and the processor is one that it does not favour."""
    processor = Path("/proc/cpuinfo")  # where there is none, torch.exp will do
    return torch.backends.mkl.is_available() and processor.exists() and "AuthenticAMD" in processor.read_text()[:2000]


@cache
def _one_minus_one(dtype: torch.dtype) -> Tensor:
    g = torch.zeros(ROWS, WIDTH, dtype=dtype, device="cpu")
    g[:, 0] = -1
    return g

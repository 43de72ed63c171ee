"""The linear head: a layer whose logits are made a chunk of rows at a time, and how many rows a chunk has."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from whyloss.stats import dense, vocabulary
from whyloss.stats.block import elements
from whyloss.stats.engine import Engine
from whyloss.stats.exact import soft_capped
from whyloss.stats.rows import Rows

# Logits in a chunk where nobody says how much memory there is. On the CPU: products of this size run at full speed and
# what lies between them is still in the last-level cache. On a GPU: rows, unless one chunk is cheaper anyway, or small
# beside the memory that a GPU has.
CPU_CHUNK = 2**22
GPU_ROWS = 2048
GPU_BYTES = 2**30
FEWEST_ROWS = 16


@dataclass(frozen=True)
class Head:
    """A linear layer on hidden states: [N, D] hidden, [C, D] weight, [C] bias. softcap c: the logits are c tanh(z / c).
    binary: each logit is a question of its own, so that the rows of the loss are N * C. memory: bytes that the logits
    and their gradient may take; None: by rule. engine: what turns a chunk of logits into their gradient. change: what
    the logits go through before the loss sees them, all at once. several: more than one loss reads the logits."""

    hidden: Tensor
    weight: Tensor
    bias: Tensor | None = None
    softcap: float | None = None
    binary: bool = False
    memory: int | None = None
    engine: Engine = "auto"
    change: Callable[[Tensor], Tensor] | None = None
    several: bool = False

    def logits(self) -> Tensor:
        z = dense.computing(torch.nn.functional.linear(self.hidden, self.weight, self.bias))
        if self.softcap is not None:
            z = soft_capped(z, self.softcap)
        return z if self.change is None else self.change(z.reshape(-1) if self.binary else z)

    def masked(self) -> Tensor | None:
        """The classes that the bias masks, which a softcap would bring back."""
        return None if self.softcap is None or self.bias is None else torch.isneginf(self.bias)

    def logits_into(self, out: Tensor, start: int) -> Tensor:
        """The logits of as many rows as `out` has. The same memory for every chunk: fresh memory costs page faults."""
        hidden = self.hidden[start : start + len(out)]
        for part in self.parts():
            torch.mm(hidden, self.weight[part].T, out=out[:, part])
        if self.bias is not None:
            out.add_(self.bias)
        if self.softcap is not None:
            out.div_(self.softcap).tanh_().mul_(self.softcap)
        return out if (masked := self.masked()) is None else out.masked_fill_(masked, -torch.inf)

    def uncapped(self, slope: Tensor, z: Tensor) -> None:
        """Makes of slopes in the logits those in the products, in place."""
        if self.softcap is None:
            return
        slope.mul_(1 - (z / self.softcap) ** 2)
        if (masked := self.masked()) is not None:
            slope.masked_fill_(masked, 0.0)

    def parts(self) -> list[slice]:
        """The classes that go through one product. A GPU's matrix library wants sizes that are multiples of 16 bytes;
        of 50257 classes it makes a slow product, of 50240 and 17 two fast ones."""
        classes = self.weight.shape[0]
        main = classes // 64 * 64
        if self.hidden.device.type == "cpu" or classes % 8 == 0 or not main:
            return [slice(0, classes)]
        return [slice(0, main), slice(main, classes)]

    def room(self, rows: int) -> Tensor:
        """For the logits of this many rows, each starting at a multiple of 16 bytes."""
        classes, whole = self.weight.shape[0], 16 // self.weight.element_size()
        padded = classes if self.hidden.device.type == "cpu" or self.binary else -(-classes // whole) * whole
        return torch.empty(rows, padded, dtype=self.weight.dtype, device=self.weight.device)[:, :classes]

    def in_place(self) -> bool:
        """Whether the gradient of a chunk takes the place of its logits: the kernels can; the softcap needs both, and
        so does another loss."""
        if self.softcap is not None or self.binary or self.several:
            return False
        return self.engine == "triton" or self.hidden.is_cuda

    def in_parts(self, rows: Rows) -> bool:
        """Whether classes go in parts: the fewest rows of all of them would be more than the memory."""
        tight = self.memory is not None and self._within(self.memory) < min(FEWEST_ROWS, self.hidden.shape[0])
        return tight and not self.binary and vocabulary.fits(rows)

    def _within(self, memory: int) -> int:
        """Rows of all classes that a memory holds: the chunk's logits, their gradient, and on the CPU in 16 bits the
        block that is being computed in 32."""
        classes = self.weight.shape[0]
        row = classes * self.weight.element_size() * (3 if self.several else 1 if self.in_place() else 2)
        if self.hidden.device.type != "cpu" or self.weight.element_size() >= 4:
            return memory // row
        return max(memory // (row + 4 * classes), (memory - 4 * elements()) // row)  # a small block, or one of many

    def chunk(self) -> int:
        """Rows that go together."""
        rows, classes = max(1, self.hidden.shape[0]), self.weight.shape[0]
        if self.memory is not None:
            chosen = self._within(self.memory)
        elif self.hidden.device.type == "cpu":
            chosen = CPU_CHUNK // classes
        else:
            # One chunk needs no accumulator, and takes less than one in float32 would: N * C * 2 <= C * D * 4.
            one = rows <= 2 * self.hidden.shape[1] or rows * classes * self.weight.element_size() <= GPU_BYTES
            chosen = rows if one else GPU_ROWS
        chunks = -(-rows // max(FEWEST_ROWS, chosen))
        return -(-rows // chunks)  # equal ones

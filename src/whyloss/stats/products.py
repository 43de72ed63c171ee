"""Matrix products that are summed over chunks, with as many digits as the sum needs."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from whyloss.stats.heads import Head

# Whether a GPU's product of 16-bit numbers can leave its sum in float32.
FLOAT32_PRODUCTS = tuple(int(n) for n in torch.__version__.split(".")[:2]) >= (2, 8)


def add_product(into: Tensor, a: Tensor, b: Tensor) -> None:
    """into += a @ b, where `into` may hold more digits."""
    if into.dtype == a.dtype:
        into.addmm_(a, b)
    elif a.is_cuda and FLOAT32_PRODUCTS:
        torch.addmm(into, a, b, out_dtype=into.dtype, out=into)
    else:
        into.add_(a @ b)


class Total:
    """The gradient of the weights, a sum over chunks. In 16 bits it is kept in float32 until the last one, unless the
    memory that the user allowed is less than that takes."""

    def __init__(self, head: "Head", step: int):
        self.head, weight = head, head.weight
        self.several = head.hidden.shape[0] > step
        short = weight.element_size() < 4
        tight = head.memory is not None and head.memory < 4 * weight.numel()
        self.dtype = torch.float32 if short and self.several and not tight else weight.dtype
        self.sum: Tensor | None = None

    def add(self, slope: Tensor, hidden: Tensor, classes: slice | None = None) -> None:
        """The product of slopes of all classes, or of some, with their hidden states."""
        weight, first = self.head.weight, self.sum is None
        if self.sum is None:
            make = torch.empty if classes is None else torch.zeros
            self.sum = make(weight.shape, dtype=self.dtype, device=weight.device)
        if classes is not None:
            add_product(self.sum[classes], slope.T, hidden)
            return
        for part in self.head.parts():
            given, into = slope[:, part].T, self.sum[part]
            if not first:
                add_product(into, given, hidden)
            elif self.dtype == weight.dtype:
                torch.mm(given, hidden, out=into)
            elif weight.is_cuda and FLOAT32_PRODUCTS:
                torch.mm(given, hidden, out_dtype=torch.float32, out=into)  # pyright: ignore
            else:
                into.copy_(given @ hidden)

    def value(self) -> Tensor:
        return torch.zeros_like(self.head.weight) if self.sum is None else self.sum.to(self.head.weight.dtype)

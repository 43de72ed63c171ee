"""Whether values may be looked at before a way is chosen. Knows torch only."""

import torch
from torch import Tensor

# A sum of exponentials above this, beside a largest of 1, is exact in float32, and so is all that counts beside it.
SURE = 1e-8


def traced(x: Tensor) -> bool:
    """Inside torch.compile or a torch.func transform, where a value cannot be looked at."""
    return torch.compiler.is_compiling() or torch._C._functorch.is_functorch_wrapped_tensor(x)  # pyright: ignore


def visible(x: Tensor) -> bool:
    """Whether a look at values costs nothing: elsewhere than on the CPU it makes the host wait."""
    return x.device.type == "cpu" and not traced(x)

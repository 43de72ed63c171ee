"""What the verdicts of region losses are tried on, by kernels (kernels/test_verdicts.py) and on the CPU
(test_region_verdicts.py): images, options, and how close a result must come to float64."""

from typing import Any

import torch
from torch import Tensor

OPTIONS: list[dict[str, Any]] = [
    {"absent": "skip"},
    {"absent": "zero", "reduction": "sum"},
    {"background": False, "smooth": 0.5},
    {"over": "batch", "background": False},
    {"over": "batch", "absent": "skip", "smooth": 1.0},
]


def case(link: str, dtype: torch.dtype = torch.float32, classes: int = 4) -> tuple[Tensor, Tensor]:
    """Images with ignored pixels whose logits are no numbers, an absent class, and one image without any pixel."""
    z = (3 * torch.randn(3, classes, 10, 7)).to(dtype)
    t = torch.randint(0, classes - 1, (3, 10, 7)) if link == "softmax" else torch.randint(0, 2, z.shape)
    if link == "sigmoid":
        t[0, 1] = 0
    t[0, ..., 4], z[0, ..., 4], t[2] = -100, torch.nan, -100
    return z, t


def agree(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor], dtype: torch.dtype) -> None:
    """Value and gradient of logits of this dtype, and those of float64."""
    assert found[0].dtype == torch.float32
    assert found[1].dtype == dtype
    torch.testing.assert_close(found[0].double(), expected[0], rtol=2e-6, atol=1e-6)
    rtol = 2e-5 if dtype == torch.float32 else torch.finfo(dtype).eps
    torch.testing.assert_close(
        found[1].double(), expected[1], rtol=rtol, atol=5e-6 * expected[1].abs().max().item() + (rtol > 1e-4) * 1e-7
    )

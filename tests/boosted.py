"""Rows to boost, and what LightGBM and XGBoost hand to an objective."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import whyloss

BINARY = whyloss.CrossEntropyLoss(link="sigmoid")
Z = torch.linspace(-6, 6, 25, dtype=torch.float64)
Y = torch.arange(25) % 2
Z3 = torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator(torch.get_default_device()).manual_seed(1)) * 2
Y3 = torch.tensor([0, 1, 2, 0, 0, 1, 0])
W3 = torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0, 0.0, 1.0], dtype=torch.float64)


def close(found: Any, right: Any, within: float = 1e-12):
    if isinstance(found, tuple):
        for part, other in zip(found, right, strict=True):
            close(part, other, within)
    else:
        found, right = (torch.as_tensor(x, dtype=torch.float64) for x in (found, right))
        torch.testing.assert_close(found, right, rtol=within, atol=within)


@dataclass
class Data:
    """A Dataset of LightGBM or a DMatrix of XGBoost: labels in float32; no weights are None, or an empty array."""

    label: Any
    weight: Any = None

    def get_label(self) -> Any:
        return np.asarray(self.label, dtype=np.float32)

    def get_weight(self) -> Any:
        return self.weight

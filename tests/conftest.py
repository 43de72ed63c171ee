"""For every test: one torch thread, because the tests themselves run side by side, and a fixed seed."""

import os

import pytest
import torch

from whyloss.stats import block, heads
from whyloss.stats.kernels import interpreted

torch.set_num_threads(1)
if device := os.environ.get("WHYLOSS_DEVICE"):  # where every tensor of the tests is made
    torch.set_default_device(device)
if interpreted():  # numpy takes the place of a GPU there, and warns of numbers that no thread looks at
    import numpy as np

    np.seterr(all="ignore")


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a head of five classes: four rows a chunk and two a block, so that a handful already crosses several."""
    monkeypatch.setattr(heads, "CPU_CHUNK", 4 * 5)
    monkeypatch.setattr(heads, "FEWEST_ROWS", 1)
    monkeypatch.setattr(block, "SIZE", 2 * 5)

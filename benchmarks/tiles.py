"""Which tile sizes are quickest for long rows on this GPU: `python benchmarks/tiles.py` prints a table for each shape.

What launch.py has in `tile` and `near_tile` was chosen by this on an H200. All sizes are compiled first, in as many
processes as there are cores; then they take turns on the GPU, alone. Forward and backward, GPU time, median, and as a
share of two passes over the logits at the rate of a copy."""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from statistics import median
from typing import Any

import torch

import whyloss
from whyloss.bench.clock import once
from whyloss.stats.kernels import launch

SHAPES = ((8192, 128256), (8192, 50257), (16384, 32000), (1024, 21841))
LOSSES = {  # by the number of their sums
    "cross-entropy": whyloss.CrossEntropyLoss,
    "brier": whyloss.BrierLoss,
    "confidence penalty": whyloss.ConfidencePenaltyLoss,
    "label smoothing": whyloss.LabelSmoothingCrossEntropyLoss,
}
SIZES = [
    {"K": K, "T": T, "num_warps": warps, **({"maxnreg": registers} if registers else {})}
    for K, (T, warps), registers in product((4, 8), ((1024, 4), (2048, 8), (4096, 16)), (None, 64, 80))
    if not (warps == 16 and registers == 80)
]
ROUNDS = 9


def step(loss: whyloss.RowLoss, z: torch.Tensor, y: torch.Tensor) -> None:
    z.grad = None
    loss(z, y).backward()


def use(size: dict[str, int]) -> None:
    launch.tile = launch.near_tile = lambda classes, sums: dict(size)  # pyright: ignore


def inputs(rows: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    z = torch.randn(rows, classes, device="cuda", dtype=torch.bfloat16).requires_grad_()
    return z, torch.randint(classes, (rows,), device="cuda")


def compile_all(classes: int, size: dict[str, int]) -> None:
    """On a few rows: kernels know the width, not the number of rows, but whether 16 divides it."""
    use(size)
    z, y = inputs(32, classes)
    for loss in LOSSES.values():
        step(loss(), z, y)
    torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes that compile")
    jobs: Any = parser.parse_args().jobs
    if not torch.cuda.is_available():
        raise SystemExit("torch sees no CUDA device here, and tiles can only be timed on one.")
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        for done in [pool.submit(compile_all, classes, size) for (_, classes), size in product(SHAPES, SIZES)]:
            done.result()
    source = torch.empty(2**28, device="cuda")
    copy = 2 * source.nbytes / min(once(source.clone, "cuda", busy=True) for _ in range(ROUNDS))
    for (rows, classes), (name, loss) in product(SHAPES, LOSSES.items()):
        z, y = inputs(rows, classes)
        times = dict[int, list[float]]()
        for round, (place, size) in product(range(-1, ROUNDS), enumerate(SIZES)):
            use(size)
            took = once(lambda loss=loss, z=z, y=y: step(loss(), z, y), "cuda", busy=True)
            if round >= 0:
                times.setdefault(place, []).append(took)
        print(f"\n{name}, {rows} x {classes}")
        for place in sorted(times, key=lambda place: median(times[place])):
            seconds = median(times[place])
            print(f"{seconds * 1e3:8.3f} ms {2 * z.nbytes / copy / seconds:5.0%}  {SIZES[place]}")


if __name__ == "__main__":
    main()

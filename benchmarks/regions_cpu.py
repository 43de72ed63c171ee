"""The Dice loss beside plain torch written by hand (softmax, one-hot, sums): forward and backward, one thread, float32.

Both run on the same inputs in turns, and CPU time is counted, so that a busy machine slows both alike. The ratio is
plain time / our time: above 1 whyloss is faster."""

import statistics
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

import whyloss

SHAPES = [(2, 19, 128, 256), (8, 4, 64, 64), (1, 3, 64, 64, 64)]


def plain_dice(z: Tensor, y: Tensor) -> Tensor:
    p, t = torch.softmax(z, 1), F.one_hot(y, z.shape[1]).movedim(-1, 1)
    space = tuple(range(2, z.ndim))
    return (1 - 2 * (p * t).sum(space) / (p.sum(space) + t.sum(space))).mean()


def step(loss: Callable[[Tensor, Tensor], Tensor], z: Tensor, y: Tensor) -> float:
    """Milliseconds of one forward and backward pass."""
    z.grad = None
    start = time.process_time()
    loss(z, y).backward()
    return 1e3 * (time.process_time() - start)


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    losses = {"plain": plain_dice, "whyloss": whyloss.DiceLoss()}
    for shape in SHAPES:
        generator = torch.Generator().manual_seed(0)
        z = (2 * torch.randn(shape, generator=generator)).requires_grad_()
        y = torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)
        assert abs(plain_dice(z, y).item() - losses["whyloss"](z, y).item()) < 1e-5
        times: dict[str, list[float]] = {name: [] for name in losses}
        for number in range(rounds + 3):
            for name, loss in losses.items():
                spent = step(loss, z, y)
                if number >= 3:  # the first rounds warm up
                    times[name].append(spent)
        plain, ours = (statistics.median(times[name]) for name in losses)
        quickest = min(times["plain"]) / min(times["whyloss"])
        print(
            f"{'x'.join(map(str, shape)):>14}  plain {plain:7.2f} ms  whyloss {ours:7.2f} ms  "
            f"ratio {plain / ours:5.2f}  of quickest {quickest:5.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)

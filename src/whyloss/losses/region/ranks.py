"""What all ranks of a process group hold, as one: sums over them, and pixels side by side.

Without a process group the world is this process."""

import torch
import torch.distributed as dist
from torch import Tensor


def over_ranks(sums: Tensor) -> Tensor:
    """The sums over all ranks, differentiable: each rank's gradient is that of the loss of the whole."""
    if not _several():
        return sums
    from torch.distributed.nn.functional import all_reduce

    # Data parallelism averages gradients over the ranks, and the derivative of an all-reduce sums over them: the two
    # cancel, so that N ranks give the gradient that one process gives.
    return all_reduce(sums)  # pyright: ignore


@torch.no_grad()
def of_all_ranks(mine: Tensor) -> tuple[Tensor, slice]:
    """The columns [..., P] of all ranks side by side, however many each has, and where this rank's are among them."""
    if not _several():
        return mine, slice(None)
    sizes = [torch.empty_like(_size(mine)) for _ in range(dist.get_world_size())]
    dist.all_gather(sizes, _size(mine))
    widths = [int(size) for size in sizes]
    # Some backends gather only tensors of one shape.
    room = mine.new_zeros(*mine.shape[:-1], max(widths))
    room[..., : mine.shape[-1]] = mine
    found = [torch.empty_like(room) for _ in widths]
    dist.all_gather(found, room)
    start = sum(widths[: dist.get_rank()])
    everyone = torch.cat([x[..., :width] for x, width in zip(found, widths, strict=True)], -1)
    return everyone, slice(start, start + mine.shape[-1])


def _size(x: Tensor) -> Tensor:
    return torch.tensor(x.shape[-1], device=x.device)


def _several() -> bool:
    return dist.is_available() and dist.is_initialized()

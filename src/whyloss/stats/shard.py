"""Which classes are on which rank of torch.distributed, and how the ranks tell each other numbers.

Knows nothing of losses."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.distributed as dist
from torch import Tensor

BLOCK, BLOCK_ELSEWHERE = 2**18, 2**25  # elements that temporary tensors are made for at once, on the CPU (each thread)


@dataclass(frozen=True)
class Shard:
    """The classes of this rank: `size` of all the `classes`, from `start` on. group: None if they are all here."""

    start: int
    size: int
    classes: int
    group: Any = None

    def over_ranks(self, x: Tensor, operation: str) -> Tensor:
        """The sum ("SUM") or largest ("MAX") of what the ranks have, in x's own memory."""
        if self.group is not None:
            dist.all_reduce(x, getattr(dist.ReduceOp, operation), self.group)
        return x

    def gathered(self, x: Tensor) -> Tensor:
        """[ranks, ...] what each rank has."""
        if self.group is None:
            return x.unsqueeze(0)
        found = [torch.empty_like(x) for _ in range(dist.get_world_size(self.group))]
        dist.all_gather(found, x.contiguous(), self.group)
        return torch.stack(found)

    @property
    def rank(self) -> int:
        """Which of the gathered this one is."""
        return 0 if self.group is None else dist.get_rank(self.group)

    def of(self, x: Any) -> Any:
        """This rank's part of what has an entry for each class; numbers are for all of them."""
        return x[self.start : self.start + self.size] if isinstance(x, Tensor) and x.ndim else x


def of_dtensor(logits: Tensor, group: Any, start: int | None) -> tuple[Tensor, Any, int | None]:
    """Of a DTensor that is sharded on the class axis the local slice, its group and start; else what came."""
    if not hasattr(logits, "device_mesh"):
        return logits, group, start
    spread: Any = logits
    split = [i for i, placed in enumerate(spread.placements) if placed.is_shard(1)]
    if len(split) != 1 or not all(placed.is_shard(1) or placed.is_replicate() for placed in spread.placements):
        raise ValueError(
            f"A DTensor of logits with placements {spread.placements}: Shard(1), the classes, on one axis of the mesh "
            "is needed and Replicate() on the others. Redistribute it, or pass logits.to_local() and the group."
        )
    if group is not None or start is not None:
        raise ValueError("A DTensor knows its group and its slice; do not pass group or start.")
    mesh, axis, classes = spread.device_mesh, split[0], logits.shape[1]
    start = min(classes, -(-classes // mesh.size(axis)) * mesh.get_local_rank(axis))  # as torch.chunk does it
    return spread.to_local(), mesh.get_group(axis), start


_asked_for: WeakKeyDictionary[Any, WeakKeyDictionary[Any, dict[tuple[int, int | None], Shard]]] = WeakKeyDictionary()


def shard_of(z: Tensor, start: int | None, group: Any, loss: Any) -> Shard:
    """Which classes are on this rank, found by asking all of them, once for each loss, group and slice.

    What is remembered belongs to a loss: were it shared by two heads, a rank whose slices of both look alike would not
    ask while the others do, and wait for ever."""
    size = z.shape[1]
    if not (dist.is_available() and dist.is_initialized()):
        if start or group is not None:
            raise ValueError(
                f"start={start} and group={group}, but torch.distributed is not initialised, so that this process is "
                "alone and all classes are here. Call torch.distributed.init_process_group first."
            )
        return Shard(0, size, size)
    group = dist.group.WORLD if group is None else group
    known = _asked_for.setdefault(loss, WeakKeyDictionary()).setdefault(group, {})
    if (size, start) not in known:
        known[size, start] = _asked(z, start, group)
    return known[size, start]


def _asked(z: Tensor, start: int | None, group: Any) -> Shard:
    mine = torch.tensor([z.shape[0], z.shape[1], -1 if start is None else start], device=z.device)
    answers = [torch.empty_like(mine) for _ in range(dist.get_world_size(group))]
    dist.all_gather(answers, mine, group)
    counts, sizes, starts = (list(x) for x in zip(*(answer.tolist() for answer in answers), strict=True))
    if len(set(counts)) > 1:
        raise ValueError(
            f"The ranks hold logits of {', '.join(map(str, counts))} rows; all need the same rows, each rank some of "
            "their classes. Is the batch split over this group as well? Pass the group that only the classes are "
            "split over."
        )
    if all(s == -1 for s in starts):
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
    pieces = sorted(zip(starts, sizes, strict=True))
    at = 0
    for first, size in pieces:
        if first != at:
            raise ValueError(
                f"The slices of the ranks, (start, size) {pieces}, leave a gap or overlap at class {min(first, at)}. "
                "Pass on every rank the first class of its slice, or on none, for slices in the order of the ranks."
            )
        at += size
    rank = dist.get_rank(group)
    return Shard(starts[rank], sizes[rank], at, group if len(sizes) > 1 else None)


def blocks(z: Tensor) -> Iterator[slice]:
    """At least one, of rows."""
    elements = BLOCK * torch.get_num_threads() if z.device.type == "cpu" else BLOCK_ELSEWHERE
    step = max(1, elements // max(1, z.shape[1]))
    for start in range(0, max(1, len(z)), step):
        yield slice(start, min(start + step, len(z)))

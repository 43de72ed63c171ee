"""What each of two processes does in the test of region losses over all ranks; in a file that a process can import."""

import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

import whyloss

LOVASZ: tuple[dict[str, Any], ...] = ({}, {"charge": "largest"}, {"absent": "skip"}, {"background": False})


def world_losses() -> list[whyloss.RegionLoss]:
    losses = (whyloss.DiceLoss, whyloss.TverskyLoss, whyloss.GeneralizedDiceLoss, whyloss.CenterlineDiceLoss)
    found = [loss(over="world", absent=absent) for loss in losses for absent in ("penalise", "skip")]
    found += [whyloss.LovaszSoftmaxLoss(over="world", **options) for options in LOVASZ]
    return [*found, whyloss.GeneralizedWassersteinDiceLoss(distances=1 - torch.eye(3), over="world")]


def images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(3, 2, 6, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 2, (3, 6), generator=generator)
    y[0, 2] = -100
    return x, y


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Conv1d(2, 3, 1).double()  # three classes; the third is in no target


def on_a_rank(rank: int, folder: str) -> None:
    """Saves the value and the data-parallel gradient of each loss, on this rank's share of the images."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    x, y = images()
    mine = slice(0, 1) if rank == 0 else slice(1, 3)  # unequal shares
    found = []
    for loss in world_losses():
        parallel = torch.nn.parallel.DistributedDataParallel(model())
        value = loss(parallel(x[mine]), y[mine])
        value.backward()
        found.append((value.detach(), [p.grad for p in parallel.parameters()]))
    torch.save(found, f"{folder}/rank{rank}.pt")
    dist.barrier()  # nobody hangs up while the other still talks
    dist.destroy_process_group()
    os._exit(0)  # gloo's threads sometimes abort a process that takes its time to leave

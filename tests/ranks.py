"""What each of two processes does in the test of region losses over all ranks; in a file that a process can import."""

import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

import whyloss

SHARES = {"unequal": (slice(0, 1), slice(1, 3)), "one has none": (slice(0, 0), slice(0, 3))}  # of the images


def world_losses() -> list[whyloss.RegionLoss]:
    losses = (whyloss.DiceLoss, whyloss.TverskyLoss, whyloss.GeneralizedDiceLoss, whyloss.CenterlineDiceLoss)
    found = [loss(over="world", absent=absent) for loss in losses for absent in ("penalise", "skip")]
    found.append(whyloss.GeneralizedWassersteinDiceLoss(distances=1 - torch.eye(3), over="world"))
    for more in ({}, {"absent": "skip"}, {"charge": "largest"}, {"background": False}, {"reduction": "none"}):
        options: dict[str, Any] = {"over": "world", **more}
        found += [whyloss.LovaszSoftmaxLoss(**options), whyloss.LovaszHingeLoss(**options)]
    return found


def images(loss: whyloss.RegionLoss) -> tuple[Tensor, Tensor, Tensor | None]:
    """Images, their labels or masks, and weights of the pixels; a pixel of the first image is ignored."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(3, 2, 6, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 2, (3, 6), generator=generator)
    weight = torch.ones(3, 6).double() if isinstance(loss, whyloss.LovaszSoftmaxLoss) and loss.background else None
    if weight is not None:
        weight[1:] = torch.rand(2, 6, generator=generator)
    if loss.link == "sigmoid":
        y = torch.stack([y, 1 - y, torch.zeros_like(y)], 1)
        y[0, 1, 2] = -100
    else:
        y[0, 2] = -100
    return x, y, weight


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Conv1d(2, 3, 1).double()  # three classes; the third is in no target


def value_and_gradient(network: torch.nn.Module, loss: Any, mine: slice) -> tuple[Tensor, list[Tensor | None]]:
    x, y, weight = images(loss)
    value = loss(network(x[mine]), y[mine], sample_weight=None if weight is None else weight[mine])
    value.sum().backward()
    return value.detach(), [p.grad for p in network.parameters()]


def on_a_rank(rank: int, folder: str) -> None:
    """Saves the value and the data-parallel gradient of each loss, on this rank's share of the images."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    found = {
        name: [
            value_and_gradient(torch.nn.parallel.DistributedDataParallel(model()), loss, shares[rank])
            for loss in world_losses()
        ]
        for name, shares in SHARES.items()
    }
    torch.save(found, f"{folder}/rank{rank}.pt")
    dist.barrier()  # nobody hangs up while the other still talks
    dist.destroy_process_group()
    os._exit(0)  # gloo's threads sometimes abort a process that takes its time to leave

"""Exact Euclidean distances of every pixel to a mask, in plain torch: on any device, inside torch.compile, unaided.

One axis after the other: along the last by running maxima, along each further one as the least of f_j + (i - j)^2 over
the line; on the CPU only of those j that may be nearer than what was found, where they are few. Distances have no
gradient."""

import torch
from torch import Tensor

from whyloss.stats.visible import visible

ROOM = {"cpu": 2**16}  # numbers at a time: what stays in a cache
AMPLE = 2**26  # elsewhere
FEW = 1 / 4  # of a line: from there on it takes less time to look at all of it at once


def signed_distance(masks: Tensor, spatial: int | None = None) -> Tensor:
    """Distances to the border of each mask, in pixels: negative inside, positive outside, 0 where there is no border.

    The border runs between pixels, so that those on its two sides are at -1/2 and 1/2.

    Args:
        masks: bool [..., *spatial].
        spatial: how many of the last axes are spatial; None: all but the first two.

    >>> signed_distance(torch.tensor([[[False, True, True, False, False]]]))
    tensor([[[ 0.5000, -0.5000, -0.5000,  0.5000,  1.5000]]])
    """
    spatial = masks.ndim - 2 if spatial is None else spatial
    lead, shape = masks.shape[: masks.ndim - spatial], masks.shape[masks.ndim - spatial :]
    flat = masks.reshape(-1, *shape)
    outside, inside = squared_distance(torch.stack([flat, ~flat])).sqrt()
    # Where a mask is empty or full one of the two has no end, and there is no border.
    signed = torch.where(flat, 0.5 - inside, outside - 0.5)
    return torch.where(signed.isfinite(), signed, 0.0).reshape(*lead, *shape)


@torch.library.custom_op("whyloss::squared_distance", mutates_args=())
def squared_distance(sites: Tensor) -> Tensor:
    """[K, M, *spatial] the squared distance of each pixel to the nearest site; infinite where there is none."""
    if not sites.numel():
        return sites.to(torch.float32)
    found = _to_nearest(sites)
    room = ROOM.get(found.device.type, found.numel())
    for masks in found.flatten(0, 1).split(max(1, room // max(1, sites.shape[2:].numel()))):
        for axis in range(1, masks.ndim - 1):
            few = visible(masks) and masks.amax().item() <= (FEW * masks.shape[axis]) ** 2
            masks.copy_(_within_reach(masks, axis) if few else _least(masks.transpose(axis, -1)).transpose(axis, -1))
    return found


@squared_distance.register_fake
def _(sites: Tensor) -> Tensor:
    return torch.empty(sites.shape, dtype=torch.float32, device=sites.device)


def _to_nearest(sites: Tensor) -> Tensor:
    """The squared distance along the last axis."""
    at = torch.arange(sites.shape[-1], dtype=torch.float32, device=sites.device)
    before = torch.where(sites, at, -torch.inf).cummax(-1).values
    after = torch.where(sites, at, torch.inf).flip(-1).cummin(-1).values.flip(-1)
    return torch.minimum(at - before, after - at).square()


def _least(f: Tensor) -> Tensor:
    """min_j f_j + (i - j)^2 along the last axis."""
    size = f.shape[-1]
    at = torch.arange(size, dtype=f.dtype, device=f.device)
    cost = (at.unsqueeze(1) - at).square()
    lines = f.contiguous().view(-1, size)
    found = torch.empty_like(lines)
    step = max(1, ROOM.get(f.device.type, AMPLE) // max(1, size * size))
    for start in range(0, len(lines), step):
        part = lines[start : start + step]
        torch.amin(part.unsqueeze(1) + cost, 2, out=found[start : start + step])
    return found.view(f.shape)


def _within_reach(f: Tensor, axis: int) -> Tensor:
    """The same along any axis, by steps; one longer than the largest distance that is left ends them."""
    found, moved, size = f.clone(), torch.empty_like(f), f.shape[axis]
    for step in range(1, size):
        if found.amax() <= step * step:
            break
        torch.add(f, step * step, out=moved)
        for here, there in ((step, 0), (0, step)):
            part = found.narrow(axis, here, size - step)
            torch.minimum(part, moved.narrow(axis, there, size - step), out=part)
    return found

"""The largest of each row and its place, on the CPU three times as quick as torch.max, whose search is not vectorised.

Knows torch only; autograd does not follow."""

import torch
from torch import Tensor

# Elements from which on it pays, and classes, where these lie side by side.
LEAST, CLASSES = 2**14, 32


def largest(z: Tensor, room: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Of [N, C] the largest number of each row and the place of one that is it, both [N, 1].

    room: memory of z's shape and dtype to work in.

    >>> largest(torch.tensor([[1.0, 3.0, 2.0]]))
    (tensor([[3.]]), tensor([[1]]))
    """
    exact = z.dtype in (torch.float32, torch.float64) and z.shape[1] <= 2**24  # of places as numbers
    if z.device.type != "cpu" or z.numel() < LEAST or (z.shape[1] < CLASSES and z.stride(1) == 1) or not exact:
        top, place = z.max(1, keepdim=True)
        return top, place
    top = z.amax(1, keepdim=True)
    is_top = torch.eq(z, top, out=torch.empty_like(z) if room is None else room)
    place = is_top.mv(torch.arange(z.shape[1], dtype=z.dtype, device="cpu")).long()
    several = is_top.sum(1) != 1  # the sum of their places, or NaN
    if bool(several.any()):
        place[several] = z[several].argmax(1)
    return top, place.unsqueeze(1)

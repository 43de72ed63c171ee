"""Region losses that read more of the pixels than the three sums: squares, differences, distances, skeletons.

They keep the face of `RegionLoss` and run as plain differentiable torch on probabilities and one-hot targets."""

import torch
from torch import Tensor

from whyloss.losses import checks
from whyloss.losses.region.region import RegionLoss
from whyloss.stats import regions
from whyloss.stats.pixels import Pixels, masks_of
from whyloss.stats.rows import computing_dtype


class RegionMapLoss(RegionLoss):
    """A loss of sums of more than p t, p and t over the pixels of a region. Subclass it and write `maps` and `value`.

    Options and shapes are those of `RegionLoss`.
    """

    of_sums = False

    def maps(self, p: Tensor, t: Tensor, **reads: Tensor) -> tuple[Tensor, ...]:
        """[N, C, *spatial] each: what is summed besides, of probabilities and targets of that shape. Both are 0 in
        pixels that do not count. `reads`: what the call took besides, of the same shape."""
        raise NotImplementedError(f"{type(self).__name__} has no maps.")

    def value(self, sums: regions.Sums, more: Tensor) -> Tensor:
        """The loss of each region from its sums; `more` [K, ...] those of `maps`. All are 1 where the class is absent,
        whose loss is not used."""
        raise NotImplementedError(f"{type(self).__name__} has no value.")

    def measured(self, z: Tensor, pixels: Pixels, shape: torch.Size, **reads: Tensor) -> tuple[regions.Sums, Tensor]:
        p, t, u = opened(self, z, pixels)
        whole = (*p.shape[:2], *(shape or (1,)))
        more = {name: x.reshape(whole) for name, x in reads.items()}
        maps = (p * t, p, t, *(m.flatten(2) for m in self.maps(p.reshape(whole), t.reshape(whole), **more)))
        each = [summed(m, u) for m in maps]
        each.insert(3, counted(p, u))
        return self.from_sums(self.pooled(torch.stack(each)))

    def from_sums(self, each: Tensor) -> tuple[regions.Sums, Tensor]:
        sums = regions.Sums(*each[:4])
        safe = torch.where(sums.target > 0, each, 1.0)
        return sums, self.value(regions.Sums(*safe[:4]), safe[4:])


def opened(loss: RegionLoss, z: Tensor, pixels: Pixels) -> tuple[Tensor, Tensor, Tensor | None]:
    """Probabilities and targets [N, C, P], 0 in pixels that do not count, and what pixels count for: [N, 1, P], under
    the sigmoid link [N, C, P]; None where every one counts for 1."""
    z, t, u = cleaned(loss, z, pixels)
    p = torch.softmax(z, 1) if pixels.link == "softmax" else torch.sigmoid(z)
    return (p, t, u) if u is None else (torch.where(u == 0, 0.0, p), t, u)


def cleaned(loss: RegionLoss, z: Tensor, pixels: Pixels) -> tuple[Tensor, Tensor, Tensor | None]:
    """As `opened`, with logits in place of probabilities."""
    z = z.to(computing_dtype(z))
    t, u = pixels.read(z.dtype), None
    if pixels.weight is not None or not checks.looks(loss, pixels.target) or not pixels.complete:
        ignored = pixels.ignored(t)
        u = pixels.counted(ignored, z.dtype)
        t = t if pixels.labelled else torch.where(ignored, 0, t)
        z = torch.where(u == 0, 0.0, z)
    if pixels.labelled:
        t = masks_of(t, z.shape[1], z.dtype)
    return z, t if u is None else torch.where(u == 0, 0.0, t), u


def summed(x: Tensor, u: Tensor | None) -> Tensor:
    """[N, C] sums over the pixels [N, C, P], each for what it counts."""
    return (x if u is None else x * u).sum(2)


def counted(x: Tensor, u: Tensor | None) -> Tensor:
    """[N, C] what the pixels of `x` count for together."""
    total = x.new_full((), x.shape[2]) if u is None else u.sum(2)
    return total.expand(x.shape[:2])

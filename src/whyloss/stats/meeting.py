"""What the ranks of class-sharded logits tell each other before anything is summed, where every class may be the label;
and a slice of the target, after smoothing, which needs some of that."""

from dataclasses import dataclass

import torch
from torch import Tensor

from whyloss.stats.largest import largest
from whyloss.stats.rows import Rows, computing_dtype
from whyloss.stats.shard import Shard, blocks
from whyloss.stats.smoothing import Totals


@dataclass(frozen=True)
class Met:
    """What the ranks tell each other first, one number a row.

    top, second: the largest logit, and the largest of the others. place: of the largest among this rank's classes; -1:
    on another rank. least, most, mass: smallest and largest entry of the target, and their sum. weight, live, others:
    its `Totals`, the latter two 0 where nothing is smoothed."""

    top: Tensor
    second: Tensor
    place: Tensor
    least: Tensor
    most: Tensor
    mass: Tensor
    weight: Tensor
    live: Tensor
    others: Tensor

    def block(self, b: slice) -> "Met":
        return Met(**{name: x[b] for name, x in vars(self).items()})

    @property
    def totals(self) -> Totals:
        return Totals(*(x.unsqueeze(1) for x in (self.live, self.others, self.weight)))


def meet(
    z: Tensor,
    target: Tensor,
    shard: Shard,
    shift: Tensor | None = None,
    scale: Tensor | float | None = None,
    weight: Tensor | None = None,
    smoothed: bool = True,
) -> Met:
    """Of logits [N, C_local] and class indices [N] or this rank's slice [N, C_local] of soft targets.

    shift, scale, weight: of all classes. smoothed: whether the target will be."""
    shift, scale, weight = (shard.of(x) for x in (shift, scale, weight))
    told: list[Tensor] = []
    places: list[Tensor] = []
    with torch.no_grad():
        for b in blocks(z):
            x = adjusted(z[b], shift, scale)
            q = shares(target[b], x, shard)
            top, place = largest(some(x, -torch.inf))
            second = some(x, -torch.inf).scatter(1, place, -torch.inf).amax(1)
            bounds = [top.squeeze(1), second, some(q, torch.inf).amin(1), some(q, -torch.inf).amax(1)]
            mass, live = q.sum(1), live_classes(x) if smoothed else x[:, :0]
            sums = [mass, mass if weight is None else q @ weight, live.sum(1)]
            sums.append(((1 - q) * live).sum(1) if smoothed else sums[-1])
            told.append(torch.stack([*bounds, *sums]))
            places.append(place.squeeze(1))
        tops, seconds, least, most, *sums = shard.gathered(torch.cat(told, 1)).unbind(1)
    owner = tops.argmax(0)
    second = torch.where(of_rank(owner, len(tops)), seconds, tops).amax(0)
    place = torch.where(owner == shard.rank, torch.cat(places), -1)
    return Met(tops.amax(0), second, place, least.amin(0), most.amax(0), *(x.sum(0) for x in sums))


def adjusted(z: Tensor, shift: Tensor | None, scale: Tensor | float | None) -> Tensor:
    x = z.to(computing_dtype(z))
    x = x if shift is None else x + shift
    return x if scale is None else x * scale


def some(x: Tensor, value: float) -> Tensor:
    """x, with a column of this value where there is none."""
    return x if x.shape[1] else x.new_full((len(x), 1), value)


def put(x: Tensor, place: Tensor, value: Tensor | float) -> Tensor:
    """x with this value at a place in each row, in its own memory; -1: nowhere."""
    if not x.shape[1]:
        return x
    at = place.clamp_min(0).unsqueeze(1)
    return x.scatter_(1, at, torch.where(place >= 0, value, x.gather(1, at).squeeze(1)).unsqueeze(1))


def live_classes(x: Tensor) -> Tensor:
    return (~torch.isneginf(x)).to(x.dtype)


def of_rank(owner: Tensor, ranks: int) -> Tensor:
    """[ranks, N] whether a rank is a row's owner."""
    return torch.arange(ranks, device=owner.device).unsqueeze(1) == owner


def classes(x: Tensor, shard: Shard) -> Tensor:
    return torch.arange(shard.start, shard.start + x.shape[1], device=x.device)


def shares(target: Tensor, x: Tensor, shard: Shard) -> Tensor:
    """[N, C_local] the shares of this rank's classes."""
    return target if target.ndim == 2 else (classes(x, shard) == target.unsqueeze(1)).to(x.dtype)


def coefficients(x: Tensor, rows: Rows, shard: Shard, met: Met, weighted: bool = True) -> Tensor:
    """[N, C_local] coefficients of this rank's labels; before class weights the smoothed target."""
    target = rows.label if rows.mix is None else rows.mix
    assert target is not None
    q = shares(target, x, shard)
    if rows.smoothing is None:
        return q
    return (rows.smoothing.mix if weighted else rows.smoothing.spread)(q, live_classes(x), met.totals)

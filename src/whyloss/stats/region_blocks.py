"""The sums of regions and their pull-back on the CPU, in blocks of pixels that stay in the cache.

A block becomes probabilities in a buffer, and matrix products sum over its classes; nothing of the logits' size is made
but the gradient. Float64 carries the sums from block to block."""

import math
import threading
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor

from whyloss.stats.block import SIZE
from whyloss.stats.exponentials import exp_into, mkl_is_slow
from whyloss.stats.pixels import Misread, Pixels, masks_of
from whyloss.stats.rows import computing_dtype
from whyloss.stats.verdict import Judge

# Elements for each thread, and for all: few enough for a block and its buffers to stay in the last-level cache, enough
# for the calls not to be what takes time.
BLOCK, MOST = SIZE // 2, 2**22
# Between these, a sum of exponentials taken without subtracting the largest logit has lost nothing of it.
FAINT, LOUD = 1e-6, 1e15
# Where torch's own softmax takes no more time than its parts: up to so many classes if exponentials are slow, else up
# to so many elements.
NARROW, FEW = (8 if mkl_is_slow() else 0), 2**14
WHOLE = slice(None)


class Passes:
    """The two passes of one call. keep: the first leaves its probabilities where the second makes the gradient, which
    would be as large, and its last block as it is. Logits that are computed in another dtype are read twice."""

    def __init__(self, keep: bool):
        self.keep = keep
        self.kept: Tensor | None = None
        self.last: _Block | None = None

    def take(self, z: Tensor, pixels: Pixels) -> Tensor:
        """The sums [4, N, C] of logits [N, C, P]; in float64, but where one block has them all."""
        self.kept = _home(z) if self.keep else None
        places = _places(z)
        total = None if len(places) == 1 else torch.zeros(4, *z.shape[:2], dtype=torch.float64)
        for place, block in _blocks(z, pixels, places, self.kept):
            block.fill()
            sums = block.sums()
            if total is None:
                total = sums
            else:
                total[:, place[0]].add_(sums)
            self.last = block
        if self.kept is None:
            _spares.give_back(self.last)
            self.last = None
        return total  # pyright: ignore[reportReturnType]

    def reach(self, z: Tensor, pixels: Pixels, judge: Judge, weight: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The value of a loss, and its slopes in intersection and prediction."""
        value, slopes = judge.reach(self.take(z, pixels), weight, sloped=self.keep)
        dtype = computing_dtype(z)
        return value.to(dtype), None if slopes is None else slopes.to(dtype)

    def pull_back(self, z: Tensor, pixels: Pixels, slopes: Tensor, upstream: Tensor | None = None) -> Tensor:
        """The gradient of the logits, from the slopes of intersection and prediction, [2, N, C], times `upstream`."""
        if upstream is not None and upstream.item() != 1:
            slopes = slopes * upstream
        kept, last = self.kept, self.last
        self.kept = self.last = None  # there may be another way back
        home = _home(z) if kept is None else kept
        gradient = torch.empty_like(z) if home is None else home
        slopes = slopes.unsqueeze(-1)
        for place, block in _blocks(z, pixels, _places(z)[::-1], home, last):
            if kept is None:
                block.fill()
            block.pull_back(*slopes[:, place[0]])
            if block.u is not None and not bool(slopes.isfinite().all()):
                block.p.masked_fill_(block.u == 0, 0.0)  # 0 times a slope that is no number
            if home is None:
                gradient[place] = block.p  # rounded once
            last = block
        _spares.give_back(last)
        return gradient


class _Spares(threading.local):
    """Buffers of blocks that are used again, because fresh memory costs more than what is done in it. A block has them
    to itself until it gives them back, and they go with it if it never does."""

    def __init__(self) -> None:
        self.free: dict[torch.dtype, Tensor] = {}

    def take(self, number: int, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        """[number, *shape] or more."""
        found = self.free.pop(dtype, None)
        if found is not None and len(found) >= number and found[0].numel() >= shape.numel():
            return found[:number]
        with torch.inference_mode(False):  # what is made in that mode may not be written to outside of it
            return torch.empty(number, *shape, dtype=dtype, device="cpu")

    def give_back(self, block: "_Block | None") -> None:
        if block is not None and block.spare.numel() <= MOST:
            self.free[block.spare.dtype] = block.spare


_spares = _Spares()


def _shaped(spare: Tensor, shape: torch.Size) -> tuple[Tensor, ...]:
    """The same buffers for a block that may be smaller."""
    if spare.shape[1:] != shape:
        spare = spare.flatten(1)[:, : shape.numel()].unflatten(1, shape)
    return spare.unbind()


def _home(z: Tensor) -> Tensor | None:
    return torch.empty_like(z) if z.dtype == computing_dtype(z) else None


_Place = tuple[slice, slice, slice]  # images, all their classes, pixels


def _places(z: Tensor) -> list[_Place]:
    """Of blocks: each is several small images, or a part of a large one."""
    count, classes, size = z.shape
    if z.numel() <= BLOCK:
        return [(WHOLE, WHOLE, WHOLE)]
    most = max(1, min(BLOCK * torch.get_num_threads(), MOST) // max(1, classes))
    images, step = max(1, most // max(1, size)), _even(size, most)
    return [
        (slice(n, n + images), WHOLE, slice(start, start + step))
        for n in range(0, count, images)
        for start in range(0, size, step)
    ]


def _even(size: int, most: int) -> int:
    """The size of parts of which none has more than `most`, and none is a small rest."""
    return math.ceil(size / max(1, math.ceil(size / most))) or 1


def _blocks(
    z: Tensor, pixels: Pixels, places: list[_Place], home: Tensor | None, block: "_Block | None" = None
) -> Iterator[tuple[_Place, "_Block"]]:
    """The blocks at these places, computed in `home`, like z, where there is one. block: the first, if it is there."""
    kind = _Softmax if pixels.link == "softmax" else _Sigmoid
    if len(places) == 1:  # nothing to cut
        yield places[0], block or kind(z, pixels, pixels.complete, home)
        return
    for n, place in enumerate(places):
        if n or block is None:
            images, _, part = place
            own = None if home is None else home[place]
            block = kind(z[place], pixels.part(images, part), pixels.complete, own, block and block.spare)
        yield place, block


class _Block:
    """k images, and B of their pixels. [k, C, B] each: `p` holds probabilities and in the end the gradient, `t` the
    targets; `f` and `more` are free."""

    free = 1

    def __init__(self, x: Tensor, pixels: Pixels, complete: bool, home: Tensor | None, spare: Tensor | None = None):
        dtype = computing_dtype(x)
        if spare is None or spare[0].numel() < x.numel():
            spare = _spares.take(self.free + (home is None), x.shape, dtype)
        self.x, self.spare = x, spare
        self.f, *self.more = _shaped(spare, x.shape)
        self.p = self.more.pop() if home is None else home
        t = pixels.target.to(dtype)
        self.u: Tensor | None = None  # what a pixel counts for: [k, 1, B] or [k, C, B]; None: every one for 1
        ignored = None if complete else pixels.ignored(t)
        if pixels.weight is not None or (ignored is not None and bool(ignored.any())):
            ignored = pixels.ignored(t) if ignored is None else ignored
            self.u = pixels.counted(ignored, dtype)
            t = t if pixels.labelled else t.masked_fill(ignored, 0)
        self.guessed = pixels.guessed
        self.t = masks_of(t, x.shape[1], dtype, self.more[0]) if pixels.labelled else t

    def fill(self) -> None:
        """Makes the probabilities."""
        raise NotImplementedError

    def pull_back(self, intersection: Tensor, prediction: Tensor) -> None:
        """Makes the gradient of the probabilities, from the slopes of the sums, [k, C, 1]."""
        raise NotImplementedError

    def sums(self) -> Tensor:
        """[4, k, C]"""
        found = self.p.new_empty(4, *self.p.shape[:2])
        intersection, prediction, target, count = found.unbind()
        torch.sum(self.weighted(self.p), 2, out=prediction)
        torch.sum(self.weighted(self.t), 2, out=target)
        if self.guessed and target.sum().item() != self.t.numel() / self.t.shape[1]:
            raise Misread
        torch.sum(self.weighted(torch.mul(self.p, self.t, out=self.f)), 2, out=intersection)
        count.copy_(self.u.sum(2)) if self.u is not None else count.fill_(self.t.shape[2])
        return found

    def weighted(self, x: Tensor) -> Tensor:
        return x if self.u is None else x * self.u

    def clean(self) -> Tensor:
        """The logits, without what pixels hold that count for nothing."""
        return self.x if self.u is None else self.x.masked_fill(self.u == 0, 0.0)

    def worth(self, intersection: Tensor, prediction: Tensor) -> Tensor:
        """[k, C, B], what each probability is worth; in the buffer `f`."""
        return torch.mul(self.t, intersection, out=self.f).add_(prediction)


class _Softmax(_Block):
    """Softmax link. Labels are masks of 0 and 1: products with these take less time than to gather and to scatter."""

    free = 2

    def fill(self) -> None:
        if self.p.shape[1] <= NARROW or self.p.numel() < FEW:
            torch.softmax(self.clean().to(self.p.dtype), 1, out=self.p)
            return
        for shifted in (False, True):
            self.exponentials(shifted)
            total = self.over_classes(self.p)
            if _sound(total):
                break
        self.p.mul_(total.reciprocal_())  # pyright: ignore[reportPossiblyUnboundVariable]

    def exponentials(self, shifted: bool) -> None:
        """Shifted: relative to the largest logit of each pixel, and without what an ignored pixel holds; if that is no
        number then no sum of exponentials is sound."""
        if shifted:
            x = self.clean().to(self.p.dtype)
            exp_into(self.p, torch.sub(x, x.amax(1, keepdim=True), out=self.p))
        else:
            exp_into(self.p, self.x)

    def over_classes(self, x: Tensor) -> Tensor:
        """[k, 1, B]; a matrix product takes less time than `sum` does."""
        return torch.bmm(_ones(x.shape[0], x.shape[1], x.dtype), x)

    def pull_back(self, intersection: Tensor, prediction: Tensor) -> None:
        w = self.worth(intersection, prediction)
        # Only differences of the worths of a pixel count. They are taken from that of a class with more than half of
        # the probability: what a pixel loses on average is then the others' part alone, and nothing cancels however
        # sure the prediction is.
        major = torch.round(self.p, out=self.more[0]).mul_(w)
        w.sub_(self.over_classes(major))
        if self.p.is_contiguous() and slopes_of_softmax_may_replace_it():
            torch._softmax_backward_data(w, self.p, 1, self.p.dtype, grad_input=self.p)  # pyright: ignore
        else:
            torch.addcmul(w.mul_(self.p), self.p, self.over_classes(w), value=-1, out=self.p)
        if self.u is not None:
            self.p.mul_(self.u)


@cache
def slopes_of_softmax_may_replace_it() -> bool:
    """Whether torch's own p (w - sum p w), the quickest way to it, may write over p. It reads what it needs of an
    element before, but nobody promises that; so it is tried, over more pixels than it takes at once."""
    slopes: Any = getattr(torch, "_softmax_backward_data", None)
    w = torch.linspace(-3, 3, 2 * 3 * 5000).view(2, 3, 5000)
    p = torch.softmax(w.flip(2), 1)
    try:
        expected = slopes(w, p, 1, p.dtype)
        return torch.equal(slopes(w, p, 1, p.dtype, grad_input=p), expected)
    except (TypeError, RuntimeError):
        return False


@lru_cache(maxsize=16)
def _ones(images: int, classes: int, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):
        return torch.ones(images, 1, classes, dtype=dtype, device="cpu")


def _sound(total: Tensor) -> bool:
    return total.amin().item() > FAINT and total.amax().item() < LOUD  # of floats, quicker than aminmax


class _Sigmoid(_Block):
    """Sigmoid link: a mask for each class, each on its own."""

    def fill(self) -> None:
        torch.sigmoid(self.clean().to(self.p.dtype), out=self.p)

    def pull_back(self, intersection: Tensor, prediction: Tensor) -> None:
        w = self.worth(intersection, prediction).mul_(self.p)
        torch.neg(self.clean().to(self.p.dtype), out=self.p).sigmoid_().mul_(w)  # 1 - p, exact
        if self.u is not None:
            self.p.mul_(self.u)

"""The sums of regions and their pull-back on the CPU, in blocks of pixels that stay in the cache.

A block becomes probabilities in a buffer, and matrix products sum over its classes; nothing of the logits' size is made
but the gradient. Float64 carries the sums from block to block."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from whyloss.stats.exponentials import exp_into
from whyloss.stats.pixels import Pixels, masks_of
from whyloss.stats.rows import computing_dtype

# Elements for each thread, and for all: few enough for the second-level cache, enough for the calls not to be what
# takes time.
BLOCK, MOST = 2**18, 2**22
# Between these, a sum of exponentials taken without subtracting the largest logit has lost nothing of it.
FAINT, LOUD = 1e-6, 1e15


class Passes:
    """The two passes of one call. keep: the first leaves its probabilities where the second makes the gradient, which
    would be as large. Logits that are computed in another dtype are read twice."""

    def __init__(self, keep: bool):
        self.keep = keep
        self.kept: Tensor | None = None

    def take(self, z: Tensor, pixels: Pixels) -> Tensor:
        """The sums [4, N, C] of logits [N, C, P], in float64."""
        total = torch.zeros(4, *z.shape[:2], dtype=torch.float64)
        if self.keep:
            self.kept = _home(z)
        for block in _blocks(z, pixels, self.kept):
            block.fill()
            total[:, block.images].add_(torch.stack(block.sums()))
        return total

    def pull_back(self, z: Tensor, pixels: Pixels, slopes: Tensor) -> Tensor:
        """The gradient of the logits, from the slopes of intersection and prediction, [2, N, C]."""
        kept, self.kept = self.kept, None  # there may be another way back
        home = _home(z) if kept is None else kept
        gradient = torch.empty_like(z) if home is None else home
        finite = bool(slopes.isfinite().all())
        for block in _blocks(z, pixels, home):
            if kept is None:
                block.fill()
            block.pull_back(*slopes[:, block.images].unsqueeze(-1))
            if not finite and block.u is not None:
                block.p.masked_fill_(block.u == 0, 0.0)  # 0 times a slope that is no number
            if home is None:
                gradient[block.images, :, block.part] = block.p  # rounded once
        return gradient


def _home(z: Tensor) -> Tensor | None:
    return torch.empty_like(z) if z.dtype == computing_dtype(z) else None


def _blocks(z: Tensor, pixels: Pixels, home: Tensor | None) -> Iterator["_Block"]:
    """Several small images at once, or a part of a large one; computed in `home`, like z, where there is one."""
    count, classes, size = z.shape
    most = max(1, min(BLOCK * torch.get_num_threads(), MOST) // max(1, classes))
    images, step = max(1, most // max(1, size)), _even(size, most)
    kind = _Labels if pixels.labelled else _Masks if pixels.link == "softmax" else _Switches
    spare = torch.empty(1 if home is not None else 2, min(images, count) * classes * step, dtype=computing_dtype(z))
    for n in range(0, count, images):
        for start in range(0, size, step):
            block = kind(z, pixels, slice(n, n + images), slice(start, start + step), spare)
            if home is not None:
                block.p = home[block.images, :, block.part]
            yield block


def _even(size: int, most: int) -> int:
    """The size of parts of which none has more than `most`, and none is a small rest."""
    return math.ceil(size / max(1, math.ceil(size / most))) or 1


class _Block:
    """k images, and B of their pixels. `p` [k, C, B] holds probabilities, and in the end the gradient."""

    def __init__(self, z: Tensor, pixels: Pixels, images: slice, part: slice, spare: Tensor):
        self.images, self.part = images, part
        own = pixels.part(images, part)
        self.x, self.t = z[images, :, part], own.target.to(spare.dtype)
        views = [flat[: self.x.numel()].view(self.x.shape) for flat in spare]
        self.p, self.f = views[-1], views[0]  # `f` is free
        self.u: Tensor | None = None  # what a pixel counts for: [k, 1, B] or [k, C, B]; None: every one for 1
        ignored = None if pixels.complete else own.ignored(self.t)
        if own.weight is not None or (ignored is not None and bool(ignored.any())):
            ignored = own.ignored(self.t) if ignored is None else ignored
            self.u = own.counted(ignored, spare.dtype)
            if not own.labelled:
                self.t = self.t.masked_fill(ignored, 0)

    def fill(self) -> None:
        """Makes the probabilities."""
        raise NotImplementedError

    def pull_back(self, intersection: Tensor, prediction: Tensor) -> None:
        """Makes the gradient of the probabilities, from the slopes of the sums, [k, C, 1]."""
        raise NotImplementedError

    def sums(self) -> tuple[Tensor, ...]:
        """[k, C] each."""
        p, t = self.weighted(self.p), self.weighted(self.t)
        count = t.new_full((), t.shape[2]) if self.u is None else self.u.sum(2)
        prediction = p.sum(2)
        return torch.mul(p, self.t, out=self.f).sum(2), prediction, t.sum(2), count.expand_as(prediction)

    def weighted(self, x: Tensor) -> Tensor:
        return x if self.u is None else x * self.u

    def clean(self) -> Tensor:
        """The logits, without what pixels hold that count for nothing."""
        return self.x if self.u is None else self.x.masked_fill(self.u == 0, 0.0)

    def worth(self, intersection: Tensor, prediction: Tensor) -> Tensor:
        """[k, C, B], what each probability is worth where targets are masks; in the buffer `f`."""
        return torch.mul(self.t, intersection, out=self.f).add_(prediction)


class _Masks(_Block):
    """Softmax link, a mask for each class."""

    def fill(self) -> None:
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
        return torch.bmm(x.new_ones(x.shape[0], 1, x.shape[1]), x)

    def pull_back(self, intersection: Tensor, prediction: Tensor) -> None:
        w = self.worth(intersection, prediction)
        w.sub_((self.p * w).sum(1, keepdim=True))
        self.p.mul_(self.weighted(w))


def _sound(total: Tensor) -> bool:
    return total.amin().item() > FAINT and total.amax().item() < LOUD  # of floats, quicker than aminmax


class _Labels(_Masks):
    """Softmax link, a class index for each pixel. As masks of 0 and 1: products with these take less time than to
    gather and to scatter."""

    def __init__(self, z: Tensor, pixels: Pixels, images: slice, part: slice, spare: Tensor):
        super().__init__(z, pixels, images, part, spare)
        self.t = masks_of(self.t, z.shape[1], spare.dtype)

    def pull_back(self, intersection: Tensor, prediction: Tensor) -> None:
        w = torch.bmm((intersection + prediction).mT, self.t)  # what the label's own probability is worth
        of_label = self.t.mul_(self.p)
        self.p.sub_(of_label)  # so that what is left of a sure pixel's probabilities is summed, not cancelled
        own = self.over_classes(of_label)
        others, rest = torch.bmm(torch.cat([torch.ones_like(prediction), prediction], 2).mT, self.p).split(1, 1)
        mean = torch.addcmul(rest, own, w)  # sum_k p_k w_k
        ahead = w.mul_(others).sub_(rest)  # w_t - sum_k p_k w_k, as sum_k p_k (w_t - w_k)
        self.p.mul_(torch.sub(prediction, mean, out=self.f)).add_(of_label.mul_(ahead))
        if self.u is not None:
            self.p.mul_(self.u)


class _Switches(_Block):
    """Sigmoid link: a mask for each class, each on its own."""

    def fill(self) -> None:
        torch.sigmoid(self.clean().to(self.p.dtype), out=self.p)

    def pull_back(self, intersection: Tensor, prediction: Tensor) -> None:
        w = self.worth(intersection, prediction).mul_(self.p)
        torch.neg(self.clean().to(self.p.dtype), out=self.p).sigmoid_().mul_(w)  # 1 - p, exact
        if self.u is not None:
            self.p.mul_(self.u)

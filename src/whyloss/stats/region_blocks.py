"""The sums of regions and their pull-back on the CPU, in blocks of pixels that stay in the cache.

Each pass reads the logits once. A block becomes exponentials in a buffer, matrix products sum them, labels are gathered
and scattered; no tensor of the logits' size is made but the gradient. Float64 carries the sums from block to block."""

from collections.abc import Iterator

import torch
from torch import Tensor

from whyloss.stats.exponentials import exp_into
from whyloss.stats.pixels import Pixels
from whyloss.stats.rows import computing_dtype

# Elements for each thread, and for all: few enough for the last-level cache, enough for the calls not to be what takes
# time.
BLOCK, MOST = 2**19, 2**22
# Between these, a sum of exponentials taken without subtracting the largest logit has lost nothing of it.
FAINT, LOUD = 1e-6, 1e15


def take(z: Tensor, pixels: Pixels) -> Tensor:
    """The sums [4, N, C] of logits [N, C, P], in float64."""
    total = torch.zeros(4, *z.shape[:2], dtype=torch.float64)
    for block in _blocks(z, pixels):
        intersection, prediction, target, count = total[:, block.images]
        block.add(intersection, prediction, target)
        count.add_(block.x.shape[2] if block.u is None else block.u.sum(2))
    return total


def pull_back(z: Tensor, pixels: Pixels, slopes: Tensor) -> Tensor:
    """The gradient of the logits, from the slopes of intersection and prediction, [2, N, C]."""
    gradient = torch.empty_like(z)
    finite = bool(slopes.isfinite().all())
    for block in _blocks(z, pixels, gradient):
        block.pull_back(*slopes[:, block.images].unsqueeze(-1))
        if not finite and block.u is not None:
            block.e.masked_fill_(block.u == 0, 0.0)  # 0 times a slope that is no number
        if gradient.dtype != block.e.dtype:
            gradient[block.images, :, block.part] = block.e  # rounded once
    return gradient


def _blocks(z: Tensor, pixels: Pixels, gradient: Tensor | None = None) -> Iterator["_Block"]:
    """Several small images at once, or a part of a large one; computed in the gradient itself where that can be."""
    count, classes, size = z.shape
    step = max(1, min(BLOCK * torch.get_num_threads(), MOST) // max(1, classes))
    images = max(1, step // max(1, size))
    kind = _Labels if pixels.labelled else _Masks if pixels.link == "softmax" else _Switches
    dtype = computing_dtype(z)
    home = gradient if gradient is not None and gradient.dtype == dtype else None
    buffers = 1 if gradient is home else 2
    spare = torch.empty(buffers, min(images, count) * classes * min(step, size), dtype=dtype)
    for n in range(0, count, images):
        for start in range(0, size, step):
            block = kind(z, pixels, slice(n, n + images), slice(start, start + step), spare)
            if home is not None:
                block.e = home[block.images, :, block.part]
            yield block


class _Block:
    """k images, and B of their pixels. `e` [k, C, B] holds what becomes of the logits, and in the end the gradient."""

    def __init__(self, z: Tensor, pixels: Pixels, images: slice, part: slice, spare: Tensor):
        self.images, self.part = images, part
        own = pixels.part(images, part)
        self.x, self.t = z[images, :, part], own.read(spare.dtype)
        views = [flat[: self.x.numel()].view(self.x.shape) for flat in spare]
        self.e, self.f = views[-1], views[0]  # `f` is for the way back
        self.u: Tensor | None = None  # what a pixel counts for: [k, 1, B] or [k, C, B]; None: every one for 1
        ignored = None if pixels.complete else own.ignored(self.t)
        if own.weight is not None or (ignored is not None and bool(ignored.any())):
            ignored = own.ignored(self.t) if ignored is None else ignored
            self.u = own.counted(ignored, spare.dtype)
            self.t = self.t.masked_fill(ignored.squeeze(1) if own.labelled else ignored, 0)

    def clean(self) -> Tensor:
        """The logits, without what pixels hold that count for nothing."""
        return self.x if self.u is None else self.x.masked_fill(self.u == 0, 0.0)

    def add(self, intersection: Tensor, prediction: Tensor, target: Tensor) -> None:
        """Adds to the sums [k, C]."""
        raise NotImplementedError

    def pull_back(self, intersection: Tensor, prediction: Tensor) -> None:
        """Leaves the gradient in `e`, from the slopes of the sums, [k, C, 1]."""
        raise NotImplementedError

    def weighted(self, x: Tensor) -> Tensor:
        return x if self.u is None else x * self.u

    def worth(self, intersection: Tensor, prediction: Tensor) -> Tensor:
        """[k, C, B], what each probability is worth where targets are masks; in the buffer `f`."""
        return torch.mul(self.t, intersection, out=self.f).add_(prediction)

    def exponentials(self, shifted: bool) -> None:
        """Fills `e`. Shifted: relative to the largest logit of each pixel, and without what an ignored pixel holds; if
        that is no number then no sum of exponentials is sound."""
        if shifted:
            x = self.clean().to(self.e.dtype)
            exp_into(self.e, torch.sub(x, x.amax(1, keepdim=True), out=self.e))
        else:
            exp_into(self.e, self.e.copy_(self.x))

    def inverse(self) -> Tensor:
        """Fills `e` with exponentials; [k, 1, B], one over their sum."""
        ones = self.e.new_ones(1, 1, 1).expand(self.e.shape[0], 1, self.e.shape[1])
        for shifted in (False, True):
            self.exponentials(shifted)
            total = torch.bmm(ones, self.e)
            if _sound(total):
                break
        return total.reciprocal_()  # pyright: ignore[reportPossiblyUnboundVariable]

    def probabilities(self) -> Tensor:
        """[k, C, B], weighted, in `e`."""
        return self.e.mul_(self.weighted(self.inverse()))


def _sound(total: Tensor) -> bool:
    return total.amin().item() > FAINT and total.amax().item() < LOUD  # of floats, quicker than aminmax


class _Labels(_Block):
    """Softmax link, a class index for each pixel."""

    def add(self, intersection: Tensor, prediction: Tensor, target: Tensor) -> None:
        p = self.probabilities()
        prediction.add_(p.sum(2))
        # Scattered sums are taken one by one, not pairwise: hence float64.
        hit = p.gather(1, self.t.unsqueeze(1)).squeeze(1).double()
        intersection.scatter_add_(1, self.t, hit)
        u = hit.new_ones(1, 1).expand_as(hit) if self.u is None else self.u.squeeze(1).double()
        target.scatter_add_(1, self.t, u)

    def pull_back(self, intersection: Tensor, prediction: Tensor) -> None:
        label = self.t.unsqueeze(1)
        w = (intersection + prediction).squeeze(2).gather(1, self.t).unsqueeze(1)
        rows = torch.cat([-prediction, torch.ones_like(prediction)], 2)
        # Without the label, so that what is left of a sure pixel's probabilities is summed, not cancelled.
        own, others, rest = self.without_label(label, rows.mT)
        factors = own.new_empty(label.shape[0], 2, label.shape[2])
        r, rw = factors[:, :1], factors[:, 1:]
        torch.reciprocal(own + others, out=r)
        ahead = torch.addcmul(rest, w, others).mul_(r)  # w_t - sum_k p_k w_k, as sum_k p_k (w_t - w_k)
        if self.u is not None:
            r.mul_(self.u)
        torch.mul(w.sub_(ahead), r, out=rw)
        self.e.mul_(torch.baddbmm(self.f, rows, factors, beta=0, alpha=-1, out=self.f))
        self.e.scatter_(1, label, own.mul_(r).mul_(ahead))

    def without_label(self, label: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Fills `e` with exponentials, 0 at the label; the label's own, the sum of the others, and that of the others
        times what they are worth, negative; each [k, 1, B]."""
        for shifted in (False, True):
            self.exponentials(shifted)
            own = self.e.gather(1, label)
            self.e.scatter_(1, label, own.new_zeros(1, 1, 1).expand_as(own))
            sums = torch.bmm(rows, self.e)
            if _sound(own + sums[:, 1:]):
                break
        return own, sums[:, 1:], sums[:, :1]  # pyright: ignore[reportPossiblyUnboundVariable]


class _Masks(_Block):
    """Softmax link, a mask for each class."""

    def add(self, intersection: Tensor, prediction: Tensor, target: Tensor) -> None:
        p = self.probabilities()
        prediction.add_(p.sum(2))
        intersection.add_(p.mul_(self.t).sum(2))
        target.add_(self.weighted(self.t).sum(2))

    def pull_back(self, intersection: Tensor, prediction: Tensor) -> None:
        r, w = self.inverse(), self.worth(intersection, prediction)
        w.sub_((self.e * w).sum(1, keepdim=True).mul_(r))
        self.e.mul_(w.mul_(self.weighted(r)))


class _Switches(_Block):
    """Sigmoid link: a mask for each class, each on its own."""

    def add(self, intersection: Tensor, prediction: Tensor, target: Tensor) -> None:
        p = torch.sigmoid(self.clean().to(self.e.dtype), out=self.e)
        if self.u is not None:
            p.mul_(self.u)
        prediction.add_(p.sum(2))
        intersection.add_(p.mul_(self.t).sum(2))
        target.add_(self.weighted(self.t).sum(2))

    def pull_back(self, intersection: Tensor, prediction: Tensor) -> None:
        x, w = self.clean().to(self.e.dtype), self.worth(intersection, prediction)
        w.mul_(torch.sigmoid(x, out=self.e))
        torch.neg(x, out=self.e).sigmoid_().mul_(w)  # 1 - p, exact
        if self.u is not None:
            self.e.mul_(self.u)

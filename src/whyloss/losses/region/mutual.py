"""Regions as variables: what the labels of a patch say about its predictions, beyond each pixel by itself."""

import math

import torch
from torch import Tensor

from whyloss.losses.loss import RowLoss
from whyloss.losses.proper.likelihood import CrossEntropyLoss
from whyloss.losses.region.combined import PairLoss
from whyloss.losses.region.maps import counted, opened, summed
from whyloss.stats import regions
from whyloss.stats.pixels import Pixels


class RegionMutualInformationLoss(PairLoss):
    """Cross-entropy, and a bound on what patches of predictions do not tell of patches of labels (RMI).

    Pixels of a patch of `side` per axis are one variable of side^d dimensions; the loss is the logarithm of how much of
    the labels' variance is left when the predictions are known. It rewards structure: edges in the right place.
    `reduction="none"` is not offered, two terms have two shapes. In float64 within, by Cholesky factors.

    Args:
        balance: in [0, 1], the share of the cross-entropy (the paper's lambda).
        side: > 0, pixels of a patch along each axis.
        stride: > 0, images are first averaged over blocks of this many pixels along each axis; 1 leaves them.
        epsilon: > 0, added to every variance, so that a class without variance has a loss too. The authors' code adds
            5e-4 to sums over the patches, which are their number times the variances.

    Formula: balance CE + (1 - balance) mean over classes of log det(V_t - V_tp V_p^-1 V_pt + epsilon) / (2 side^d),
    with V covariances over patches, V_p with epsilon on its diagonal. Source: Zhao et al. 2019, arXiv:1910.12037,
    section 3 (there the classes are added, and the cross-entropy is that of `link="sigmoid"`). Patches with a pixel
    that does not count are left out; weights of pixels reach the cross-entropy alone.

    >>> import torch, whyloss
    >>> target = (torch.arange(12) % 5 > 2).long().expand(1, 12, 12)
    >>> good = 4.0 * torch.nn.functional.one_hot(target, 2).movedim(-1, 1)
    >>> loss = whyloss.RegionMutualInformationLoss(stride=1)
    >>> loss(good, target) < loss(0 * good, target)
    tensor(True)
    """

    balance: float = 0.5
    side: int = 3
    stride: int = 3
    epsilon: float = 1e-6
    source = "Zhao et al. 2019, arXiv:1910.12037, section 3"
    short = ("rmi",)
    equation = "balance CE + (1 - balance) log det(V_t - V_tp V_p^-1 V_pt + epsilon) / (2 side^d)"
    bounded = False
    neighbours = True
    of_sums = False

    def check(self) -> None:
        super().check()
        self.require(0 <= self.balance <= 1, "0 <= balance <= 1", self.balance)
        self.require(self.side > 0, "side > 0", self.side)
        self.require(self.stride > 0, "stride > 0", self.stride)
        self.require(self.epsilon > 0, "epsilon > 0", self.epsilon)

    def shares(self) -> tuple[float, float]:
        return 1 - self.balance, self.balance

    def pixel_loss(self) -> RowLoss:
        return CrossEntropyLoss(**self.shared())

    def measured(self, z: Tensor, pixels: Pixels, shape: torch.Size, **reads: Tensor) -> tuple[regions.Sums, Tensor]:
        p, t, u = opened(self, z, pixels)
        sums = self.pooled(torch.stack([summed(p * t, u), summed(p, u), summed(t, u), counted(p, u)]))
        moments = self.pooled(self._moments(p, t, u, shape or torch.Size([1])))
        return regions.Sums(*sums), self._left(moments.movedim(0, -1)).to(p.dtype)

    def _moments(self, p: Tensor, t: Tensor, u: Tensor | None, shape: torch.Size) -> Tensor:
        """[K, N, C] number, sums and sums of products of the patches (t, p), of K = 1 + 2 D + 4 D^2."""
        both = torch.stack([t, p], 2).reshape(*p.shape[:2], 2, *shape)
        patches = self._patches(self._averaged(both)).movedim(2, 3).flatten(3).double()
        counts = torch.ones_like(patches[..., :1])
        if u is not None:
            keep = (u != 0).to(p.dtype).expand_as(p).reshape(*p.shape[:2], 1, *shape)
            whole = self._patches(self._averaged(keep)).squeeze(2).amin(-1, keepdim=True) > 1 - 1e-4
            patches, counts = patches * whole, counts * whole
        products = (patches.mT @ patches).flatten(2)
        return torch.cat([counts.sum(2), patches.sum(2), products], 2).movedim(-1, 0)

    def _averaged(self, x: Tensor) -> Tensor:
        """Means over blocks of `stride` pixels along each spatial axis; what does not fill a block is left out."""
        for axis in range(3, x.ndim):
            step = min(self.stride, x.shape[axis])
            x = x.narrow(axis, 0, x.shape[axis] // step * step).unflatten(axis, (-1, step)).mean(axis + 1)
        return x

    def _patches(self, x: Tensor) -> Tensor:
        """[N, C, 2, *spatial] -> [N, C, 2, number of patches, D]."""
        axes = x.ndim - 3
        for axis in range(3, 3 + axes):
            x = x.unfold(axis, min(self.side, x.shape[axis]), 1)
        return x.flatten(3, 2 + axes).flatten(4)

    def _left(self, moments: Tensor) -> Tensor:
        """log det of what is left of the labels' covariance, by dimension, from moments [..., K]."""
        size = math.isqrt(moments.shape[-1] - 1)  # 2 D: K = 1 + 2 D + (2 D)^2
        count = moments[..., :1]
        count = torch.where(count > 0, count, 1.0)
        mean = moments[..., 1 : 1 + size] / count
        of_all = (moments[..., 1 + size :] / count).unflatten(-1, (size, size)) - mean.unsqueeze(-1) * mean.unsqueeze(
            -2
        )
        half = size // 2
        noise = self.epsilon * torch.eye(half, dtype=of_all.dtype, device=of_all.device)
        root = torch.linalg.cholesky(of_all[..., half:, half:] + noise)
        known = torch.linalg.solve_triangular(root, of_all[..., half:, :half], upper=False)
        left = of_all[..., :half, :half] - known.mT @ known + noise
        return torch.linalg.cholesky(left).diagonal(dim1=-2, dim2=-1).log().sum(-1) / half

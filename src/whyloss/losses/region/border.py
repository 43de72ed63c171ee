"""Losses of borders: how far from the labelled border the mistakes lie."""

from typing import ClassVar

import torch
from torch import Tensor

from whyloss.losses.region.distance import signed_distance
from whyloss.losses.region.maps import RegionMapLoss
from whyloss.stats import regions


class BoundaryLoss(RegionMapLoss):
    """The mean signed distance of the predicted region from the labelled border: far mistakes cost more than near ones.

    Linear in the probabilities and negative where the prediction lies inside. It says nothing about regions that are
    missed altogether for long, so add it to an overlap and raise its share while training:
    `whyloss.GeneralizedDiceLoss() + 0.01 * whyloss.BoundaryLoss()`.

    A call may bring the distances, `loss(logits, target, distance=...)`, shaped like the logits: made once per image,
    by `whyloss.signed_distance` or scaled otherwise. Without them they are computed from the target (shares of 1/2 and
    more are inside).

    Formula: sum_i phi_i p_i / pixels, phi the signed distance to the labelled border, negative inside. Source: Kervadec
    et al. 2019, arXiv:1812.07032, eq. 5. The border runs between pixels, so that phi is -1/2 and 1/2 beside it; common
    implementations let it run through the pixels inside, which are then at 0.

    >>> import torch, whyloss
    >>> target = torch.tensor([[[0, 1, 1, 0, 0]]])
    >>> whyloss.BoundaryLoss(link="sigmoid")(torch.zeros(1, 1, 5), target)
    tensor(0.1500)
    """

    source = "Kervadec et al. 2019, arXiv:1812.07032, eq. 5"
    short = ("boundary",)
    equation = "sum_i phi_i p_i / pixels, phi: signed distance to the labelled border"
    bounded = None
    neighbours = True
    may_read: ClassVar[tuple[str, ...]] = ("distance",)

    def check(self) -> None:
        super().check()
        self.require(self.smooth == 0, "smooth = 0 (a mean has no denominator to add to)", self.smooth)

    def maps(self, p: Tensor, t: Tensor, **reads: Tensor) -> tuple[Tensor, ...]:
        phi = reads["distance"].to(p.dtype) if reads else signed_distance(t >= 0.5)
        return (phi * p,)

    def value(self, sums: regions.Sums, more: Tensor) -> Tensor:
        return more[0] / sums.pixels


class HausdorffDistanceLoss(RegionMapLoss):
    """Squared errors, each weighed by its distance from the two borders: aims at the Hausdorff distance.

    What lies far from both the labelled border and the predicted one counts most. Beside a Dice loss, which holds it
    while predictions are poor. Distances are exact, come from predictions cut at 1/2, and have no gradient themselves.

    Args:
        alpha: > 0, exponent of the distances in pixels; 2 is the paper's choice. A border that does not exist, because
            nothing or everything is predicted, has no distances and adds nothing.

    Formula: sum_i (p_i - t_i)^2 (d_p^alpha + d_t^alpha) / pixels. Source: Karimi & Salcudean 2019, arXiv:1904.10030,
    the loss by distance transforms. Borders run between pixels, so that distances start at 1/2.

    >>> import torch, whyloss
    >>> loss = whyloss.HausdorffDistanceLoss(link="sigmoid")
    >>> target, near, far = torch.eye(5).long()[[1, 2, 4]].reshape(3, 1, 1, 5)
    >>> loss(30.0 - 60.0 * (near == 0), target), loss(30.0 - 60.0 * (far == 0), target)
    (tensor(0.2000), tensor(2.6000))
    """

    alpha: float = 2.0
    source = "Karimi & Salcudean 2019, arXiv:1904.10030 (distance transforms)"
    short = ("hausdorff", "hausdorff-dt")
    equation = "sum_i (p_i - t_i)^2 (d_p^alpha + d_t^alpha) / pixels"
    bounded = None
    neighbours = True

    def check(self) -> None:
        super().check()
        self.require(self.alpha > 0, "alpha > 0", self.alpha)
        self.require(self.smooth == 0, "smooth = 0 (a mean has no denominator to add to)", self.smooth)

    def maps(self, p: Tensor, t: Tensor, **reads: Tensor) -> tuple[Tensor, ...]:
        far = signed_distance(torch.stack([p.detach() >= 0.5, t >= 0.5]), p.ndim - 2).abs() ** self.alpha
        return ((p - t).square() * far.sum(0),)

    def value(self, sums: regions.Sums, more: Tensor) -> Tensor:
        return more[0] / sums.pixels


class HausdorffErosionLoss(RegionMapLoss):
    """Squared errors that survive erosion, the more often the dearer: Hausdorff without distances, quick and smooth.

    An error k pixels thick is still there after about k erosions; thin ones along the border are forgiven.

    Args:
        alpha: > 0, exponent of the number of erosions; 2 is the paper's choice.
        erosions: > 0, how many; 10 is the paper's choice.

    Formula: sum_(k=1..erosions) sum_i k^alpha (E^k (p - t)^2)_i / pixels, with E x = max(0, 2 (mean of x over a pixel
    and its neighbours along the axes) - 1). Source: Karimi & Salcudean 2019, arXiv:1904.10030, the loss by erosions,
    whose soft threshold of 1/2 is scaled here so that the inside of a full error stays 1.

    >>> import torch, whyloss
    >>> loss = whyloss.HausdorffErosionLoss(link="sigmoid")
    >>> target = torch.tensor([[[1, 0, 0, 0, 0, 0]]])
    >>> loss(torch.full((1, 1, 6), 30.0), target)
    tensor(2.7407)
    """

    alpha: float = 2.0
    erosions: int = 10
    source = "Karimi & Salcudean 2019, arXiv:1904.10030 (erosions)"
    short = ("hausdorff-er",)
    equation = "sum_k sum_i k^alpha (E^k (p - t)^2)_i / pixels"
    bounded = None
    neighbours = True

    def check(self) -> None:
        super().check()
        self.require(self.alpha > 0, "alpha > 0", self.alpha)
        self.require(self.erosions > 0, "erosions > 0", self.erosions)
        self.require(self.smooth == 0, "smooth = 0 (a mean has no denominator to add to)", self.smooth)

    def maps(self, p: Tensor, t: Tensor, **reads: Tensor) -> tuple[Tensor, ...]:
        left = (p - t).square()
        total = torch.zeros_like(left)
        for k in range(1, self.erosions + 1):
            left = (2 * _cross_mean(left) - 1).relu()
            total = total + k**self.alpha * left
        return (total,)

    def value(self, sums: regions.Sums, more: Tensor) -> Tensor:
        return more[0] / sums.pixels


def _cross_mean(x: Tensor) -> Tensor:
    """The mean of each pixel and its neighbours along the axes; beyond the border there are zeros."""
    total = x
    for axis in range(2, x.ndim):
        zero = torch.zeros_like(x.narrow(axis, 0, 1))
        kept = x.shape[axis] - 1
        total = (
            total + torch.cat([x.narrow(axis, 1, kept), zero], axis) + torch.cat([zero, x.narrow(axis, 0, kept)], axis)
        )
    return total / (2 * x.ndim - 3)

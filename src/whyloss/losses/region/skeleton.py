"""Overlap of centre lines, for vessels, roads and other things whose connections matter more than their width."""

from typing import Any

import torch
from torch import Tensor

from whyloss.losses.region.maps import RegionMapLoss
from whyloss.stats import regions


class CenterlineDiceLoss(RegionMapLoss):
    """Dice, and Dice of centre lines (clDice): the predicted centre line must lie in the label, the label's in the
    prediction.

    A thin structure that is broken loses little area and much of its centre line. Skeletons are soft: made of minima
    and maxima over neighbours, and differentiable. In 1, 2 or 3 spatial dimensions, on any device, as plain torch.

    Args:
        alpha: in [0, 1], the share of the centre-line term (the paper: up to 1/2); 0 is Dice.
        iterations: >= 0, how often the skeleton is peeled: at least half the width of the widest structure, in pixels.
        smooth: >= 0, added to numerator and denominator of each ratio. What has no centre line at all (a constant map)
            has none outside of the other either: its ratio is 1.

    Formula: (1 - alpha) Dice + alpha (1 - 2 A B / (A + B)), A = sum S_p t / sum S_p, B = sum S_t p / sum S_t, with soft
    skeletons S. Source: Shit et al. 2021, arXiv:2003.07311, section 3 and algorithms 1 and 2.

    >>> import torch, whyloss
    >>> line = torch.tensor([[[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]])
    >>> broken = torch.tensor([[[0, 0, 0, 0], [1, 1, 0, 1], [0, 0, 0, 0]]])
    >>> logits = torch.where(broken == 1, 30.0, -30.0).unsqueeze(1)
    >>> whyloss.CenterlineDiceLoss(link="sigmoid")(logits, line.unsqueeze(1))
    tensor(0.1429)
    """

    alpha: float = 0.5
    iterations: int = 5
    source = "Shit et al. 2021, arXiv:2003.07311, section 3"
    short = ("cldice", "centerline-dice")
    equation = "(1 - alpha) Dice + alpha (1 - 2 A B / (A + B)), A = sum S_p t / sum S_p, B = sum S_t p / sum S_t"
    bounded = True
    neighbours = True

    def check(self) -> None:
        super().check()
        self.require(0 <= self.alpha <= 1, "0 <= alpha <= 1", self.alpha)
        self.require(self.iterations >= 0, "iterations >= 0", self.iterations)

    def maps(self, p: Tensor, t: Tensor, **reads: Tensor) -> tuple[Tensor, ...]:
        of_p, of_t = soft_skeleton(p, self.iterations), soft_skeleton(t, self.iterations)
        return of_p * t, of_p, of_t * p, of_t

    def value(self, sums: regions.Sums, more: Tensor) -> Tensor:
        inside, own, covered, label = more
        precision, recall = self._ratio(inside, own), self._ratio(covered, label)
        both = precision + recall
        centre = 1 - 2 * precision * recall / torch.where(both > 0, both, 1.0)
        size = sums.prediction + sums.target
        dice = (size - 2 * sums.intersection) / (size + self.smooth)
        return (1 - self.alpha) * dice + self.alpha * centre

    def _ratio(self, part: Tensor, whole: Tensor) -> Tensor:
        empty = whole + self.smooth == 0
        return torch.where(empty, 1.0, (part + self.smooth) / torch.where(empty, 1.0, whole + self.smooth))


def soft_skeleton(x: Tensor, iterations: int) -> Tensor:
    """The soft skeleton of masks [N, C, *spatial] with values in [0, 1]: what each of several erosions takes away that
    an opening does not give back.

    >>> bar = torch.zeros(1, 1, 5, 7)
    >>> bar[..., 1:4, 1:6] = 1
    >>> soft_skeleton(bar, 2)[0, 0].long()
    tensor([[0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0],
            [0, 0, 1, 1, 1, 0, 0],
            [0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0]])
    """
    eroded = _eroded(x)
    skeleton = (x - _dilated(eroded)).relu()
    for _ in range(iterations):
        x, eroded = eroded, _eroded(eroded)
        ridge = (x - _dilated(eroded)).relu()
        skeleton = skeleton + (ridge - skeleton * ridge).relu()
    return skeleton


def _eroded(x: Tensor) -> Tensor:
    """The least of each pixel and its neighbours along the axes."""
    return -_Largest.apply(-x, tuple(range(2, x.ndim)))  # pyright: ignore


def _dilated(x: Tensor) -> Tensor:
    """The largest of each pixel and all its neighbours, diagonal ones too."""
    for axis in range(2, x.ndim):
        x = _Largest.apply(x, (axis,))  # pyright: ignore
    return x


class _Largest(torch.autograd.Function):
    """The largest of each pixel and its two neighbours along each of some axes; there are none beyond the border.

    The gradient goes to where the largest is: the pixel itself if it is one of several. Autograd's own, of maxima of
    shifted views, takes twenty times as long."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, axes: tuple[int, ...]) -> Tensor:
        largest = x.clone()
        for axis in axes:
            kept = x.shape[axis] - 1
            for here, there in ((0, 1), (1, 0)):
                part = largest.narrow(axis, here, kept)
                part.copy_(torch.maximum(part, x.narrow(axis, there, kept)))
        return largest

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, ctx.axes = inputs
        ctx.save_for_backward(x, output)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, largest = ctx.saved_tensors
        (left,) = upstream
        own = x == largest
        gradient, left = torch.where(own, left, 0.0), torch.where(own, 0.0, left)
        for axis in ctx.axes:
            kept = x.shape[axis] - 1
            for here, there in ((0, 1), (1, 0)):
                waiting = left.narrow(axis, here, kept)
                found = x.narrow(axis, there, kept) == largest.narrow(axis, here, kept)
                taken = torch.where(found, waiting, 0.0)
                gradient.narrow(axis, there, kept).add_(taken)
                waiting.sub_(taken)
        return gradient, None

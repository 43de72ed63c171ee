"""Targets spread over the classes and weighted by class: coefficients of every label, made where they are needed.

For a whole batch they would take as much memory as the logits; an engine makes them for a few rows."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Totals:
    """[N, 1] sums over a row's classes that smoothing reads, where not all of them are here: how many are not masked,
    how much of a target is elsewhere than on each of those, and what the labels of the target weigh."""

    live: Tensor
    others: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Smoothing:
    """A share eps of the target moves evenly to all classes that are not masked, or to the others; then the label that
    each share lands on, or the target, says its weight.

    weight: [C], of each class. by: whose weight counts, the "class" that mass lands on or the "sample"."""

    eps: float = 0.0
    over: Literal["all", "others"] = "all"
    weight: Tensor | None = None
    by: Literal["class", "sample"] = "class"

    def mix(self, q: Tensor, live: Tensor, known: Totals | None = None) -> Tensor:
        """[N, C] coefficients of the labels for targets q, where `live` is 1 for a class that is not masked, else 0.
        known: the sums over all classes, where q has some of them."""
        smooth = self.spread(q, live, known)
        if self.weight is None:
            return smooth
        if self.by == "class":
            return smooth * self.weight
        return smooth * ((q * self.weight).sum(1, keepdim=True) if known is None else known.weight)

    def spread(self, q: Tensor, live: Tensor, known: Totals | None = None) -> Tensor:
        """The same before weights."""
        if not self.eps:
            return q
        if self.over == "all":
            count = live.sum(1, keepdim=True) if known is None else known.live
            return (1 - self.eps) * q + self.eps * live / count.clamp_min(1)
        others = ((1 - q) * live).sum(1, keepdim=True) if known is None else known.others
        return (1 - self.eps) * q + self.eps * (1 - q) * live / torch.where(others == 0, 1.0, others)

    def mix_of_labels(self, label: Tensor, out: Tensor) -> Tensor:
        """The same for labels, in `out`, where no class is masked: two passes."""
        classes, place = out.shape[1], label.unsqueeze(1)
        others = self.eps / (classes if self.over == "all" else classes - 1)
        own = 1 - self.eps + (others if self.over == "all" else 0.0)
        if self.weight is None:
            return out.fill_(others).scatter_(1, place, own)
        of_label = self.weight[place]
        out.copy_(others * (self.weight if self.by == "class" else of_label))
        return out.scatter_(1, place, own * of_label)


def one_hot(label: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    # A comparison, because torch.nn.functional.one_hot cannot be vmapped.
    return (torch.arange(classes, device=label.device) == label.unsqueeze(1)).to(dtype)

"""Adaptive softmax: a head for very many classes in which the rare ones share small projections."""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from whyloss.losses import checks, targets
from whyloss.losses.loss import Loss, Reduction
from whyloss.losses.proper.likelihood import CrossEntropyLoss
from whyloss.losses.reduction import reduced
from whyloss.stats.rows import computing_dtype


class AdaptiveSoftmaxLoss(Loss):
    """A head and its cross-entropy for large vocabularies: frequent classes have logits of their own, rare ones come in
    clusters with smaller projections, which only rows with such a label compute.

    It has the weights of the head: `loss(hidden, target)` takes hidden states, not logits, and its parameters belong to
    the optimizer. Classes must be ordered by frequency, the most frequent first. No logits are kept.

    Args:
        hidden_size: D of the hidden states.
        classes: C, how many classes.
        cutoffs: rising; the first classes, up to the first of them, stand in the head, those between two are a cluster.
        shrink: > 0; the i-th cluster is computed from D / shrink^i numbers.
        bias: whether the head has one.
        weight: [C] weight of each class.
        ignore_index: a target with this value takes its row out, whatever the hidden states there hold.
        reduction: "mean" (weighted sum over the sum of weights), "sum", or "none".
        empty: the mean of nothing is "zero" (with a zero gradient) or "nan".
        validate: check the values of targets. None checks where that is cheap: on the CPU.

    Shapes: hidden [..., D] and targets [...]; `sample_weight` [...] or one per entry of the first axis.

    Formula: -log p(class in head), or -log p(cluster) - log p(class given cluster).
    Source: Grave et al. 2017, arXiv:1609.04309, section 4; as torch.nn.AdaptiveLogSoftmaxWithLoss.

    >>> import torch, whyloss
    >>> loss = whyloss.AdaptiveSoftmaxLoss(hidden_size=8, classes=100, cutoffs=(10, 30))
    >>> [tuple(p.shape) for p in loss.parameters()]
    [(12, 8), (2, 8), (20, 2), (1, 8), (70, 1)]
    """

    hidden_size: int
    classes: int
    cutoffs: tuple[int, ...]
    shrink: float = 4.0
    bias: bool = False
    weight: Tensor | None = None
    ignore_index: int = -100
    reduction: Reduction = "mean"
    empty: Literal["zero", "nan"] = "zero"
    validate: bool | None = None

    source = "Grave et al. 2017, arXiv:1609.04309, section 4"
    short = ("adaptive-softmax",)
    equation = "-log p(class in head), or -log p(cluster) - log p(class | cluster)"
    proper = True
    bounded = False
    symmetric = False
    stateful = True
    head = True
    fixed = ("hidden_size", "classes", "cutoffs", "shrink", "bias")

    def __post_init__(self) -> None:
        super().__post_init__()
        edges, size = (*self.cutoffs, self.classes), self.hidden_size
        self.first = nn.Linear(size, edges[0] + len(self.cutoffs), bias=self.bias)
        self.tails = nn.ModuleList(
            nn.Sequential(
                nn.Linear(size, max(1, int(size // self.shrink ** (i + 1))), bias=False),
                nn.Linear(max(1, int(size // self.shrink ** (i + 1))), edges[i + 1] - edges[i], bias=False),
            )
            for i in range(len(self.cutoffs))
        )

    def check(self) -> None:
        super().check()
        self.cutoffs = tuple(int(c) for c in self.cutoffs)
        edges = (0, *self.cutoffs, self.classes)
        rising = bool(self.cutoffs) and all(a < b for a, b in pairwise(edges))
        self.require(rising, f"rising cutoffs between 0 and classes={self.classes}", self.cutoffs)
        self.require(self.shrink > 0, "shrink > 0", self.shrink)
        self.require(self.hidden_size > 0, "hidden_size > 0", self.hidden_size)
        for name, allowed in (("reduction", ("mean", "sum", "none")), ("empty", ("zero", "nan"))):
            self.require(getattr(self, name) in allowed, f"{name} in {allowed}", getattr(self, name))
        shape = None if self.weight is None else tuple(self.weight.shape)
        self.require(shape in (None, (self.classes,)), f"a weight for each of {self.classes} classes", shape)

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
    ) -> Tensor:
        """`logits` are hidden states here, [..., D]."""
        losses, weights = self._rows(logits, target, sample_weight)
        losses = losses.reshape(target.shape) if self.reduction == "none" else losses
        return reduced(losses, weights, self.reduction, normalizer, self.empty)

    def parts(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(sum of the weighted losses, sum of the weights): add both over ranks or accumulation steps, divide once."""
        losses, weight = self._rows(logits, target, sample_weight)
        return losses.sum(), weight.sum()

    def _rows(self, hidden: Tensor, target: Tensor, sample_weight: Tensor | None) -> tuple[Tensor, Tensor]:
        """The weighted loss of each row, and what it counts for."""
        name = type(self).__name__
        if hidden.shape[-1:] != (self.hidden_size,) or hidden.shape[:-1] != target.shape:
            raise ValueError(
                f"{name}: hidden {tuple(hidden.shape)} and target {tuple(target.shape)}; hidden states "
                f"[..., {self.hidden_size}] and one class index for each are needed."
            )
        if target.is_floating_point() or target.is_complex():
            raise TypeError(f"{name}: target must hold class indices, got {target.dtype}.")
        h, y, dtype = hidden.reshape(-1, self.hidden_size), target.reshape(-1).long(), computing_dtype(hidden)
        ignored = y == self.ignore_index
        checks.labels(self, y, ignored, self.classes)
        weight = (~ignored).to(dtype)
        if self.weight is not None:
            weight = weight * self.weight.to(dtype)[torch.where(ignored, 0, y)]
        if (given := targets.sample_weight(name, sample_weight, target.shape, dtype)) is not None:
            weight = weight * torch.where(ignored, 0.0, given)
        counted = weight != 0
        h = torch.where(counted.unsqueeze(1), h, 0.0)
        y = torch.where(counted, y, 0)
        cluster = torch.bucketize(y, torch.tensor(self.cutoffs, device=y.device), right=True)
        each = CrossEntropyLoss(reduction="none")
        at_head = torch.where(cluster == 0, y, self.cutoffs[0] + cluster - 1)
        losses = each.linear(h, self.first.weight, at_head, self.first.bias)
        for i, tail in enumerate(self.tails):
            if tail[1].out_features == 1:  # pyright: ignore[reportIndexIssue]
                continue  # the only class of its cluster is certain
            rows = (cluster == i + 1).nonzero().squeeze(1)
            inside = tail[0](h[rows])  # pyright: ignore[reportIndexIssue]
            of_cluster = each.linear(inside, tail[1].weight, y[rows] - self.cutoffs[i])  # pyright: ignore
            losses = losses.index_add(0, rows, of_cluster)
        return torch.where(counted, losses * weight, 0.0), weight

    def log_softmax(self, hidden: Tensor) -> Tensor:
        """[..., C] log-probabilities of all classes: all logits are made."""
        first = torch.log_softmax(self.first(hidden), -1)
        parts = [first[..., : self.cutoffs[0]]]
        for i, tail in enumerate(self.tails):
            cluster = first[..., self.cutoffs[0] + i].unsqueeze(-1)
            parts.append(cluster + torch.log_softmax(tail(hidden), -1))
        return torch.cat(parts, -1)

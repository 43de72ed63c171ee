"""Center loss: cross-entropy that draws the features of a class together."""

from typing import ClassVar

import torch
from torch import Tensor

from whyloss.losses.loss import Link
from whyloss.losses.margin.plain import cross_entropy
from whyloss.losses.whole import WholeRowLoss


class CenterLoss(WholeRowLoss):
    """Cross-entropy plus the squared distance of each feature from the running centre of its class.

    Classes become compact as well as separable, so that distances mean something for classes not trained on. The
    centres are buffers that follow the features after each batch in training mode; no gradient moves them. Under a soft
    target a feature is drawn to the mean of the centres, which is the expected distance but for a constant.

    Args:
        classes: number of classes.
        features: number of features.
        pull: >= 0, the paper's lambda; 0 is cross-entropy.
        rate: in (0, 1], the paper's alpha: how far a centre moves towards its features in one batch.

    Shapes: `feature` is [N, features], what the logits are made of.

    Formula: -log p_y + pull / 2 |x - c_y|^2; c_j <- c_j - rate sum_{y = j} (c_j - x) / (1 + n_j), n_j rows of class j.
    Source: Wen et al. 2016, "A discriminative feature learning approach for deep face recognition", ECCV, eq. 2-5.

    >>> import torch, whyloss
    >>> loss = whyloss.CenterLoss(classes=2, features=2, pull=1.0)
    >>> loss(torch.zeros(1, 2), torch.tensor([1]), feature=torch.tensor([[1.0, 2.0]]))
    tensor(3.1931)
    >>> loss.centers
    tensor([[0.0000, 0.0000],
            [0.2500, 0.5000]])
    """

    classes: int
    features: int
    pull: float = 0.003
    rate: float = 0.5
    source = "Wen et al. 2016, ECCV, eq. 2-5"
    short = ("center",)
    equation = "-log p_y + pull / 2 |x - c_y|^2"
    bounded = False
    symmetric = False
    fixed = ("classes", "features")

    links: ClassVar[tuple[Link, ...]] = ("softmax",)
    takes_labels: ClassVar[bool] = True
    stateful: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("feature",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.register_buffer("centers", torch.zeros(self.classes, self.features))

    def check(self) -> None:
        super().check()
        self.require(self.classes >= 2, "classes >= 2", self.classes)
        self.require(self.features >= 1, "features >= 1", self.features)
        self.require(self.pull >= 0, "pull >= 0", self.pull)
        self.require(0 < self.rate <= 1, "rate in (0, 1]", self.rate)

    def losses(self, logits: Tensor, target: Tensor, feature: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        centers = self.get_buffer("centers").to(logits.dtype)
        # A copy, where backward would read centres that have moved on.
        center = centers[target] if target.ndim == 1 else target @ centers.clone()
        return cross_entropy(logits, target) + self.pull / 2 * (feature - center).square().sum(1)

    def after(self, logits: Tensor, target: Tensor, counted: Tensor, feature: Tensor) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        kept = self.get_buffer("centers")
        centers = kept.to(feature.dtype)
        if target.ndim == 1:
            number = counted.new_zeros(self.classes).index_add(0, target, counted)
            total = torch.zeros_like(centers).index_add(0, target, counted.unsqueeze(1) * feature)
        else:
            share = counted.unsqueeze(1) * target
            number, total = share.sum(0), share.T @ feature
        number = number.unsqueeze(1)
        kept.copy_(centers - self.rate * (number * centers - total) / (1 + number))

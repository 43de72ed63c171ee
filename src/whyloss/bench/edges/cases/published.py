"""Failures of published code that no package carries, so that there is mostly nobody to call."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..edge import Call, Edge, Peer, ours
from ..truths import as_rows, cross_entropy, cross_entropy_rows, dice, nothing, of_counted, sigmoid_focal, smoothed_rows
from . import calls
from .ignored import HALF, LABELS
from .nothing import NO_PIXELS, PIXELS

TOPIC = "Further cases"
COUNTS = torch.tensor([100.0, 16.0, 1.0])
ROWS, THREE = torch.tensor([[0.3, -0.4, 0.1], [1.5, 0.2, -1.0]]), torch.tensor([2, 0])
SOFT = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.4, 0.0]])


def ldam(z: Tensor, y: Tensor) -> Tensor:
    margin = 0.5 * (1 / COUNTS.to(z)) ** 0.25
    return cross_entropy(30 * (z - margin * F.one_hot(y, 3)), y)


def linear(loss: Any) -> Call:
    return lambda h, y: loss.linear(h, torch.eye(3, dtype=h.dtype), y)


def torch_linear(**options: float) -> Call:
    function = calls.torch_linear(**options)
    return lambda h, y: function(h, torch.eye(3), y)


def soft(z: Tensor, q: Tensor) -> Tensor:
    return -(q * torch.log_softmax(z, 1)).sum(1).mean()


def normalized_focal(z: Tensor, y: Tensor) -> Tensor:
    """Over the sum of the focal weights, which is taken as given."""
    rows, labels = as_rows(z, y)
    loss = cross_entropy_rows(rows, labels)
    weight = (1 - torch.exp(-loss)) ** 2
    return (weight * loss).sum() / weight.sum().detach()


def twice(loss: Call) -> Call:
    return lambda z, y: loss(z.repeat(2, 1, 1, 1), y.repeat(2, 1, 1))


EDGES = (
    Edge(
        "weights-and-ignored",
        TOPIC,
        "cross-entropy of pixels, class weights of 1, every other label is 255 and ignored",
        "the mean over the pixels that count",
        PIXELS,
        torch.where(HALF == -100, 255, HALF),
        of_counted(cross_entropy_rows, 255),
        ours("CrossEntropyLoss", weight=torch.ones(3), ignore_index=255),
        (
            Peer(
                "torch",
                "CrossEntropyLoss(weight, ignore_index=255)",
                lambda: torch.nn.CrossEntropyLoss(weight=torch.ones(3), ignore_index=255),
            ),
        ),
    ),
    Edge(
        "focal-float16",
        TOPIC,
        "sigmoid focal loss, gamma 1, float16 logits -20 and 20, labels yes and no",
        "value 20, gradient -1/2 and 1/2",
        torch.tensor([-20.0, 20.0], dtype=torch.float16),
        torch.tensor([1, 0]),
        sigmoid_focal(1.0),
        ours("FocalLoss", gamma=1.0, link="sigmoid"),
    ),
    Edge(
        "hard-examples-all-sure",
        TOPIC,
        "hard-example cross-entropy, every pixel right with p = 1",
        "0",
        1e4 * F.one_hot(LABELS, 3).movedim(-1, 1).float(),
        LABELS,
        nothing,
        ours("HardExampleCrossEntropyLoss", threshold=0.7),
    ),
    Edge(
        "hard-examples-small",
        TOPIC,
        "cross-entropy of the hardest tenth of a patch of 3 x 3",
        "at least one pixel is kept",
        PIXELS[:1, :, :3, :3],
        LABELS[:1, :3, :3],
        lambda z, y: cross_entropy_rows(*as_rows(z, y)).amax(),
        ours("HardExampleCrossEntropyLoss", keep=0.1),
    ),
    Edge(
        "dice-perfect",
        TOPIC,
        "Dice loss of a perfect prediction",
        "0, and nothing below it",
        1e4 * F.one_hot(LABELS, 3).movedim(-1, 1).float(),
        LABELS,
        dice,
        ours("DiceLoss"),
    ),
    Edge(
        "pixels-all-ignored-weighted",
        TOPIC,
        "Dice + cross-entropy, every pixel ignored",
        "value 0, gradient 0",
        PIXELS,
        NO_PIXELS,
        nothing,
        ours("DiceCrossEntropyLoss"),
    ),
    Edge(
        "ldam",
        TOPIC,
        "LDAM loss on a CPU",
        "the formula (Cao et al. 2019, eq. 13)",
        ROWS,
        THREE,
        ldam,
        ours("LDAMLoss", counts=COUNTS),
    ),
    Edge(
        "normalized-focal-twice",
        TOPIC,
        "focal loss over the sum of its weights, the same images twice in the batch",
        "the number of the images once",
        PIXELS,
        LABELS,
        normalized_focal,
        ours("BatchNormalizedFocalLoss", how=twice, gamma=2.0),
    ),
    Edge(
        "linear-smoothing",
        TOPIC,
        "cross-entropy of a linear head, label_smoothing 0.1",
        "the number of the logits",
        ROWS,
        THREE,
        lambda z, y: smoothed_rows(z, y, 0.1).mean(),
        ours("CrossEntropyLoss", how=linear, label_smoothing=0.1),
        (Peer("torch", "linear_cross_entropy(label_smoothing=0.1)", lambda: torch_linear(label_smoothing=0.1)),),
    ),
    Edge(
        "linear-soft-targets",
        TOPIC,
        "cross-entropy of a linear head, soft targets",
        "the number of the logits",
        ROWS,
        SOFT,
        soft,
        ours("CrossEntropyLoss", how=linear),
        (Peer("torch", "linear_cross_entropy, soft targets", torch_linear),),
    ),
)

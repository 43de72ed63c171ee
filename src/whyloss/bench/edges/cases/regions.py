"""Overlap losses on empty masks and on masks that are missed altogether."""

import torch
from torch import Tensor

from ..edge import Call, Edge, Peer, ours
from ..reading import direction
from . import calls

TOPIC = "Regions"
FALSE_POSITIVES, EMPTY = torch.full((1, 1, 4, 4), 2.0), torch.zeros(1, 1, 4, 4)
DOWN = "every logit is pushed down"


def mean_probability(z: Tensor, t: Tensor) -> Tensor:
    return torch.sigmoid(z).mean()


def log_dice(z: Tensor, t: Tensor) -> Tensor:
    p = torch.sigmoid(z)
    return -torch.log(2 * (p * t).sum() / (p.sum() + t.sum()))


def keras_dice() -> Call:
    loss = calls.keras().Dice()
    return lambda z, t: loss(t, torch.sigmoid(z))


def kornia_dice() -> Call:
    """Two classes, of which the mask is the second."""
    loss = calls.kornia_dice()
    return lambda z, t: loss(torch.cat([torch.zeros_like(z), z], 1), t[:, 0].long())


FORGIVING = (
    Peer("segmentation-models-pytorch", "DiceLoss('binary')", calls.smp_region("DiceLoss", "binary")),
    Peer("monai", "DiceLoss(sigmoid=True)", calls.made("monai.losses", "DiceLoss", sigmoid=True)),
    Peer("monai", "GeneralizedDiceLoss(sigmoid=True)", calls.made("monai.losses", "GeneralizedDiceLoss", sigmoid=True)),
    Peer("keras", "Dice()", keras_dice),
    Peer("kornia", "dice_loss(average='macro')", kornia_dice),
)
EDGES = (
    Edge(
        "empty-mask",
        TOPIC,
        "Dice loss, an empty mask, every logit 2: all false positives",
        DOWN,
        FALSE_POSITIVES,
        EMPTY,
        mean_probability,
        ours("DiceLoss", link="sigmoid"),
        FORGIVING,
        read=direction,
    ),
    Edge(
        "empty-mask-jaccard",
        TOPIC,
        "Jaccard loss, an empty mask, every logit 2: all false positives",
        DOWN,
        FALSE_POSITIVES,
        EMPTY,
        mean_probability,
        ours("JaccardLoss", link="sigmoid"),
        (Peer("segmentation-models-pytorch", "JaccardLoss('binary')", calls.smp_region("JaccardLoss", "binary")),),
        read=direction,
    ),
    Edge(
        "empty-mask-tversky",
        TOPIC,
        "Tversky loss, an empty mask, every logit 2: all false positives",
        DOWN,
        FALSE_POSITIVES,
        EMPTY,
        mean_probability,
        ours("TverskyLoss", link="sigmoid"),
        (
            Peer("segmentation-models-pytorch", "TverskyLoss('binary')", calls.smp_region("TverskyLoss", "binary")),
            Peer("monai", "TverskyLoss(sigmoid=True)", calls.made("monai.losses", "TverskyLoss", sigmoid=True)),
        ),
        read=direction,
    ),
    Edge(
        "log-dice-no-overlap",
        TOPIC,
        "log-Dice loss, the mask missed: logits -40 on it, 5 elsewhere",
        "value 40, and a slope that finds the mask",
        torch.where(torch.arange(16).reshape(1, 1, 4, 4) < 8, -40.0, 5.0),
        (torch.arange(16).reshape(1, 1, 4, 4) < 8).float(),
        log_dice,
        ours("LogDiceLoss", link="sigmoid"),
        (
            Peer(
                "segmentation-models-pytorch",
                "DiceLoss('binary', log_loss=True)",
                calls.smp_region("DiceLoss", "binary", log_loss=True),
            ),
        ),
    ),
)

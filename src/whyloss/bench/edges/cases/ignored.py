"""A row that is ignored, whatever it holds, is out of the value, of the gradient and of the denominator."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..edge import Call, Edge, Peer, ours
from ..truths import cross_entropy_rows, focal_rows, of_counted
from . import calls
from .nothing import PIXELS

TOPIC = "Ignored rows"
LABELS = (torch.arange(32).reshape(2, 4, 4) * 7) % 3
HALF = torch.where(torch.arange(32).reshape(2, 4, 4) % 2 == 0, LABELS, -100)
POISONED = torch.tensor([[1.0, -0.5, 0.2], [torch.nan, torch.nan, torch.inf]])


def first_row(z: Tensor, y: Tensor) -> Tensor:
    return cross_entropy_rows(z[:1], y[:1]).mean()


def first_label(z: Tensor, q: Tensor) -> Tensor:
    return cross_entropy_rows(z[:1], q[:1].argmax(1)).mean()


def normalized_softmax() -> Call:
    """The centres are the axes."""
    loss = calls.made("pytorch_metric_learning.losses", "NormalizedSoftmaxLoss", 2, 2, temperature=0.05)()
    loss.W.data = torch.eye(2)
    return loss


def as_probabilities(z: Tensor, q: Tensor) -> Tensor:
    return -(q * torch.log_softmax(z, 1)).sum(1).mean()


AS_PROBABILITIES = ("ignore_index is for indices only: -100 is taken as a probability", as_probabilities)
EDGES = (
    Edge(
        "ignored-nan",
        TOPIC,
        "cross-entropy, logits of the second row NaN and inf, its label -100",
        "the second row's gradient is 0",
        POISONED,
        torch.tensor([0, -100]),
        first_row,
        ours("CrossEntropyLoss"),
        (
            Peer("torch", "cross_entropy", lambda: F.cross_entropy),
            Peer("kornia", "focal_loss, gamma 0, x C", lambda: calls.times_classes(calls.kornia_focal(0.0)())),
            Peer(
                "imbalanced-losses",
                "SoftmaxFocalLoss(gamma=0)",
                calls.made("imbalanced_losses", "SoftmaxFocalLoss", gamma=0.0),
            ),
        ),
    ),
    Edge(
        "ignored-soft-row",
        TOPIC,
        "cross-entropy of soft targets, the second row all -100",
        "the second row is ignored",
        torch.tensor([[1.0, -0.5, 0.2], [0.3, 0.1, -2.0]]),
        torch.tensor([[0.0, 1.0, 0.0], [-100.0, -100.0, -100.0]]),
        first_label,
        ours("CrossEntropyLoss"),
        (Peer("torch", "cross_entropy", lambda: F.cross_entropy, AS_PROBABILITIES),),
    ),
    Edge(
        "half-ignored",
        TOPIC,
        "cross-entropy of pixels, every other label is -100, mean",
        "the mean over the pixels that count",
        PIXELS,
        HALF,
        of_counted(cross_entropy_rows),
        ours("CrossEntropyLoss"),
        (
            Peer("torch", "cross_entropy", lambda: F.cross_entropy),
            Peer("segmentation-models-pytorch", "SoftCrossEntropyLoss(smooth_factor=0.0)", calls.smp_cross_entropy),
        ),
    ),
    Edge(
        "focal-half-ignored",
        TOPIC,
        "focal loss of pixels, gamma 2, every other label is -100, mean",
        "the mean over the pixels that count",
        PIXELS,
        HALF,
        of_counted(lambda z, y: focal_rows(z, y, 2.0)),
        ours("FocalLoss", gamma=2.0),
        (
            Peer("kornia", "focal_loss", calls.kornia_focal(2.0)),
            Peer("imbalanced-losses", "SoftmaxFocalLoss()", calls.made("imbalanced_losses", "SoftmaxFocalLoss")),
        ),
    ),
    Edge(
        "ignore-index-unused",
        TOPIC,
        "focal loss of pixels, gamma 2, ignore_index 255, and no label is 255",
        "the mean over the pixels",
        PIXELS,
        LABELS,
        of_counted(lambda z, y: focal_rows(z, y, 2.0)),
        ours("FocalLoss", gamma=2.0, ignore_index=255),
        (
            Peer("monai", "FocalLoss(use_softmax=True)", calls.monai_focal(2.0)),
            Peer("monai", "FocalLoss(use_softmax=True, ignore_index=255)", calls.monai_focal(2.0, ignore_index=255)),
        ),
    ),
    Edge(
        "entmax-ignored",
        TOPIC,
        "1.5-entmax loss, the second label is -100",
        "the second row is ignored",
        torch.tensor([[10.0, 0.0, 0.0], [0.3, 0.1, -2.0]]),
        torch.tensor([1, -100]),
        lambda z, y: z[0, 0] - z[0, 1],  # one class in the support, the label outside of it
        ours("EntmaxLoss", alpha=1.5),
        (Peer("entmax", "Entmax15Loss()", calls.made("entmax", "Entmax15Loss")),),
    ),
    Edge(
        "embedding-ignored",
        TOPIC,
        "normalised softmax loss of features, scale 20, the second label is -100",
        "the second row is ignored",
        torch.tensor([[1.0, -0.5], [0.3, 0.1]]),
        torch.tensor([1, -100]),
        lambda z, y: cross_entropy_rows(20 * F.normalize(z[:1]), y[:1]).mean(),
        ours("NormFaceLoss", how=lambda loss: lambda z, y: loss(F.normalize(z), y), scale=20.0),
        (Peer("pytorch-metric-learning", "NormalizedSoftmaxLoss(temperature=0.05)", normalized_softmax),),
    ),
)

"""Inputs that mean nothing: refused in words. And arguments that are taken and not used."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..edge import Call, Edge, Peer, ours
from ..truths import cross_entropy, smoothed_rows
from . import calls

TOPIC = "What means nothing"
THREE = torch.tensor([[1.0, -0.5, 0.2], [0.3, 0.1, -2.0]])


def transformers_smoothed() -> Call:
    loss = calls.attribute("transformers.loss.loss_utils", "fixed_cross_entropy")()
    return lambda z, y: loss(z, y, label_smoothing=0.5)


def torch_chunks() -> Call:
    function = calls.torch_linear()
    return lambda h, y: function(h, torch.eye(3), y)


def smoothed(z: Tensor, y: Tensor) -> Tensor:
    return smoothed_rows(z, y, 0.5).mean()


EDGES = (
    Edge(
        "one-class",
        TOPIC,
        "softmax cross-entropy of logits (4, 1)",
        "refused: a one-class softmax is constant",
        torch.zeros(4, 1),
        torch.zeros(4).long(),
        None,
        ours("CrossEntropyLoss"),
        (
            Peer("torch", "cross_entropy", lambda: F.cross_entropy),
            Peer(
                "optax",
                "softmax_cross_entropy_with_integer_labels",
                calls.optax("softmax_cross_entropy_with_integer_labels"),
            ),
            Peer("imbalanced-losses", "SoftmaxFocalLoss()", calls.made("imbalanced_losses", "SoftmaxFocalLoss")),
        ),
    ),
    Edge(
        "negative-probability",
        TOPIC,
        "cross-entropy, soft target [1.5, -0.5]",
        "refused: no probabilities",
        torch.tensor([[3.0, -0.5]]),
        torch.tensor([[1.5, -0.5]]),
        None,
        ours("CrossEntropyLoss"),
        (
            Peer("torch", "cross_entropy", lambda: F.cross_entropy),
            Peer("timm", "SoftTargetCrossEntropy()", calls.made("timm.loss", "SoftTargetCrossEntropy")),
        ),
    ),
    Edge(
        "label-out-of-range",
        TOPIC,
        "cross-entropy with 3 classes, a label 9",
        "refused",
        THREE,
        torch.tensor([0, 9]),
        None,
        ours("CrossEntropyLoss"),
        (
            Peer("torch", "cross_entropy", lambda: F.cross_entropy),
            Peer("kornia", "focal_loss", calls.kornia_focal(2.0)),
        ),
    ),
    Edge(
        "linear-label-out-of-range",
        TOPIC,
        "cross-entropy of a linear head with 3 classes, a label 9",
        "refused",
        THREE,
        torch.tensor([0, 9]),
        None,
        ours("CrossEntropyLoss", how=lambda loss: lambda h, y: loss.linear(h, torch.eye(3), y)),
        (Peer("torch", "linear_cross_entropy, chunks", torch_chunks),),
    ),
    Edge(
        "smoothing-argument",
        TOPIC,
        "cross-entropy, label_smoothing 0.5 given",
        "smoothed, or refused",
        THREE,
        torch.tensor([1, 0]),
        smoothed,
        ours("CrossEntropyLoss", label_smoothing=0.5),
        (
            Peer("transformers", "fixed_cross_entropy(label_smoothing=0.5)", transformers_smoothed),
            Peer(
                "torch", "CrossEntropyLoss(label_smoothing=0.5)", lambda: torch.nn.CrossEntropyLoss(label_smoothing=0.5)
            ),
        ),
        ignoring=cross_entropy,
    ),
)

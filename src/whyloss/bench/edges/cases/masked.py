"""A class masked out by a logit of minus infinity is left out of every sum; infinite logits of yes-or-no questions."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..edge import Edge, Peer, ours
from ..truths import Formula, cross_entropy, log_odds
from . import calls

TOPIC = "Masked classes"
MASKED, SECOND = torch.tensor([[-torch.inf, 0.0, 1.0]]), torch.tensor([1])
ONE_HOT = torch.tensor([[0.0, 1.0, 0.0]])


def live(formula: Formula) -> Formula:
    """The formula on the classes that remain, the label one less."""
    return lambda z, y: formula(z[:, 1:], (y.argmax(1) if y.ndim == 2 else y) - 1)


def smoothed_over_live(z: Tensor, y: Tensor) -> Tensor:
    log_p = torch.log_softmax(z[:, 1:], 1)
    return -(0.9 * log_p[:, 0] + 0.1 * log_p.mean(1)).mean()


def literal(z: Tensor, y: Tensor) -> Tensor:
    log_p = torch.log_softmax(z, 1)
    return -(0.9 * log_p[:, 1] + 0.1 * log_p.mean(1)).mean()


def poly(z: Tensor, y: Tensor) -> Tensor:
    return (cross_entropy(z, y) + 2.0 * torch.sigmoid(-log_odds(z, y))).mean()


def normalized(z: Tensor, y: Tensor) -> Tensor:
    log_p = torch.log_softmax(z, 1)
    return (log_p[:, 0] / log_p.sum(1)).mean()


LITERAL = ("a share of the label on an impossible class costs infinity", literal)

EDGES = (
    Edge(
        "masked-soft-target",
        TOPIC,
        "cross-entropy of a one-hot soft target, logits [[-inf, 0, 1]], label 1",
        "the number of the index target, 1.3133",
        MASKED,
        ONE_HOT,
        live(cross_entropy),
        ours("CrossEntropyLoss"),
        (
            Peer("torch", "cross_entropy", lambda: F.cross_entropy),
            Peer("timm", "SoftTargetCrossEntropy()", calls.made("timm.loss", "SoftTargetCrossEntropy")),
            Peer("optax", "softmax_cross_entropy", calls.optax("softmax_cross_entropy")),
            Peer("optax", "safe_softmax_cross_entropy", calls.optax("safe_softmax_cross_entropy")),
        ),
    ),
    Edge(
        "masked-smoothing",
        TOPIC,
        "cross-entropy with label_smoothing 0.1, logits [[-inf, 0, 1]], label 1",
        "smoothed over the classes that remain",
        MASKED,
        SECOND,
        smoothed_over_live,
        ours("CrossEntropyLoss", label_smoothing=0.1),
        (
            Peer(
                "torch",
                "cross_entropy(label_smoothing=0.1)",
                lambda: torch.nn.CrossEntropyLoss(label_smoothing=0.1),
                LITERAL,
            ),
            Peer(
                "timm",
                "LabelSmoothingCrossEntropy(0.1)",
                calls.made("timm.loss", "LabelSmoothingCrossEntropy", 0.1),
                LITERAL,
            ),
            Peer(
                "liger-kernel",
                "LigerCrossEntropyLoss(label_smoothing=0.1)",
                calls.made("liger_kernel.transformers", "LigerCrossEntropyLoss", label_smoothing=0.1),
                LITERAL,
                triton=True,
            ),
        ),
    ),
    Edge(
        "masked-poly",
        TOPIC,
        "Poly-1 cross-entropy, epsilon 2, logits [[-inf, 0, 1]], label 1",
        "finite: the masked class has p = 0",
        MASKED,
        SECOND,
        live(poly),
        ours("Poly1CrossEntropyLoss", epsilon=2.0),
        (Peer("timm", "PolyCrossEntropy()", calls.made("timm.loss", "PolyCrossEntropy")),),
    ),
    Edge(
        "masked-focal",
        TOPIC,
        "focal loss, gamma 0, logits [[-inf, 0, 1]], label 1",
        "cross-entropy of the classes that remain",
        MASKED,
        SECOND,
        live(cross_entropy),
        ours("FocalLoss", gamma=0.0),
        (
            Peer(
                "imbalanced-losses",
                "SoftmaxFocalLoss(gamma=0)",
                calls.made("imbalanced_losses", "SoftmaxFocalLoss", gamma=0.0),
            ),
            Peer("fastai", "FocalLoss(gamma=0)", calls.made("fastai.losses", "FocalLoss", gamma=0.0)),
            Peer(
                "torch-uncertainty",
                "FocalLoss(gamma=0)",
                calls.made("torch_uncertainty.losses", "FocalLoss", gamma=0.0),
            ),
        ),
    ),
    Edge(
        "masked-normalized",
        TOPIC,
        "normalised cross-entropy, logits [[-inf, 0, 1]], label 1",
        "normalised over the classes that remain",
        MASKED,
        SECOND,
        live(normalized),
        ours("NormalizedCrossEntropyLoss"),
    ),
    Edge(
        "infinite-yes",
        TOPIC,
        "binary cross-entropy, logits inf and -1, labels yes and no",
        f"value {math.log1p(math.exp(-1)) / 2:.4f}, and no gradient where the logit is infinite",
        torch.tensor([torch.inf, -1.0]),
        torch.tensor([1.0, 0.0]),
        lambda z, y: F.softplus(z[1]) / 2,
        ours("BinaryCrossEntropyLoss"),
        (
            Peer("torch", "binary_cross_entropy_with_logits", lambda: F.binary_cross_entropy_with_logits),
            Peer("optax", "sigmoid_binary_cross_entropy", calls.optax("sigmoid_binary_cross_entropy")),
        ),
    ),
)

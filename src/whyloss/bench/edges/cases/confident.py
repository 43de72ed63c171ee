"""Rows that the model is sure of, right or wrong: probabilities that round to 0 or 1."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..edge import Call, Edge, Peer, ours
from ..reading import value_and_finite
from ..truths import cross_entropy, focal, log_odds, sigmoid_focal, signed
from . import calls

TOPIC = "Confident rows"
FIRST = torch.tensor([0])
FLAT = "value and gradient of the formula in float64: next to 0, and finite"


def gce(z: Tensor, y: Tensor) -> Tensor:
    log_p = -F.softplus(-log_odds(z, y), threshold=700.0)
    return ((1 - torch.exp(0.5 * log_p)) / 0.5).mean()


def reverse(z: Tensor, y: Tensor) -> Tensor:
    return 4.0 * torch.sigmoid(-log_odds(z, y)).mean()


def agce(z: Tensor, y: Tensor) -> Tensor:
    p = torch.sigmoid(log_odds(z, y))
    return ((2.0**0.5 - (1 + p) ** 0.5) / 0.5).mean()


def asymmetric(z: Tensor, y: Tensor) -> Tensor:
    """gamma 0.5 for a yes, label yes."""
    m = signed(z, y)
    return (torch.exp(-0.5 * F.softplus(m, threshold=700.0)) * F.softplus(-m, threshold=700.0)).mean()


def yes_and_no(z: Tensor, y: Tensor) -> Tensor:
    return F.softplus(-signed(z, y), threshold=700.0).sum()


def torchvision_focal() -> Call:
    loss = calls.attribute("torchvision.ops", "sigmoid_focal_loss")()
    return lambda z, y: loss(z, y.to(z.dtype), alpha=-1, gamma=2.0, reduction="mean")


def kornia_binary(gamma: float, alpha: float | None) -> Callable[[], Call]:
    def build() -> Call:
        loss = calls.attribute("kornia.losses", "binary_focal_loss_with_logits")()
        return lambda z, y: loss(z.unsqueeze(1), y.unsqueeze(1), alpha, gamma, "mean")

    return build


def timm_asymmetric() -> Call:
    made = calls.attribute("timm.loss", "AsymmetricLossMultiLabel")()
    loss = made(gamma_pos=0.5, gamma_neg=0.0, clip=None, reduction="mean")
    return lambda z, y: loss(z, y.to(z.dtype))


def keras_focal() -> Call:
    loss = calls.keras().CategoricalFocalCrossentropy(alpha=1.0, gamma=2.0, from_logits=True)
    return lambda z, y: loss(F.one_hot(y, z.shape[1]).to(z.dtype), z)


def balanced_focal() -> Call:
    loss = calls.attribute("balanced_loss.losses", "focal_loss")()
    return lambda z, y: loss(z, F.one_hot(y, z.shape[1]).to(z.dtype), gamma=2.0)


def softmax_in_the_power(z: Tensor, y: Tensor) -> Tensor:
    label = F.one_hot(y, z.shape[1]).to(z.dtype)
    p = torch.softmax(z, 1)
    wrong = label * (1 - p) + (1 - label) * p
    return (wrong**2 * F.binary_cross_entropy_with_logits(z, label, reduction="none")).sum(1).mean()


def arc(z: Tensor, y: Tensor) -> Tensor:
    """A feature in its class's centre, the other centre at a right angle."""
    return math.log1p(math.exp(-64 * math.cos(ARC))) + 0 * z.sum()


def arc_face() -> Call:
    loss = calls.made("pytorch_metric_learning.losses", "ArcFaceLoss", 2, 2)()
    loss.W.data = torch.eye(2)
    return loss


ARC = math.radians(28.6)
HALF_SOFTMAX = ("softmax in the power of a sigmoid loss", softmax_in_the_power)
FRACTIONAL = (
    Peer("monai", "FocalLoss(use_softmax=True, gamma=0.5), x C", lambda: calls.times_classes(calls.monai_focal(0.5)())),
    Peer("kornia", "focal_loss(gamma=0.5), x C", lambda: calls.times_classes(calls.kornia_focal(0.5)())),
    Peer(
        "pytorch-toolbelt",
        "CrossEntropyFocalLoss(gamma=0.5)",
        calls.made("pytorch_toolbelt.losses", "CrossEntropyFocalLoss", gamma=0.5),
    ),
    Peer("focal-loss-torch", "FocalLoss(gamma=0.5)", calls.focal_loss_torch(0.5)),
    Peer(
        "imbalanced-losses",
        "SoftmaxFocalLoss(gamma=0.5)",
        calls.made("imbalanced_losses", "SoftmaxFocalLoss", gamma=0.5),
    ),
    Peer("fastai", "FocalLoss(gamma=0.5)", calls.made("fastai.losses", "FocalLoss", gamma=0.5)),
    Peer("torch-uncertainty", "FocalLoss(gamma=0.5)", calls.made("torch_uncertainty.losses", "FocalLoss", gamma=0.5)),
)
HOPELESS = (
    Peer("kornia", "focal_loss, x C", lambda: calls.times_classes(calls.kornia_focal(2.0)())),
    Peer("monai", "FocalLoss(use_softmax=True), x C", lambda: calls.times_classes(calls.monai_focal(2.0)())),
    Peer(
        "pytorch-toolbelt",
        "CrossEntropyFocalLoss()",
        calls.made("pytorch_toolbelt.losses", "CrossEntropyFocalLoss"),
        HALF_SOFTMAX,
    ),
    Peer("focal-loss-torch", "FocalLoss(gamma=2)", calls.focal_loss_torch(2.0)),
    Peer("imbalanced-losses", "SoftmaxFocalLoss()", calls.made("imbalanced_losses", "SoftmaxFocalLoss")),
    Peer("fastai", "FocalLoss()", calls.made("fastai.losses", "FocalLoss")),
    Peer("torch-uncertainty", "FocalLoss(gamma=2)", calls.made("torch_uncertainty.losses", "FocalLoss", gamma=2.0)),
    Peer("keras", "CategoricalFocalCrossentropy(alpha=1)", keras_focal),
)
EDGES = (
    Edge(
        "certain",
        TOPIC,
        "cross-entropy, logits [[20, 0]], label 0",
        "2.06e-9 and a gradient of that size in both entries",
        torch.tensor([[20.0, 0.0]]),
        FIRST,
        cross_entropy,
        ours("CrossEntropyLoss"),
        (
            Peer("torch", "cross_entropy", lambda: F.cross_entropy),
            Peer(
                "optax",
                "softmax_cross_entropy_with_integer_labels",
                calls.optax("softmax_cross_entropy_with_integer_labels"),
            ),
        ),
    ),
    Edge(
        "focal-certain-fractional",
        TOPIC,
        "focal loss, gamma 0.5, logits [[100, 0]], label 0",
        FLAT,
        torch.tensor([[100.0, 0.0]]),
        FIRST,
        focal(0.5),
        ours("FocalLoss", gamma=0.5),
        FRACTIONAL,
    ),
    Edge(
        "focal-hopeless",
        TOPIC,
        "focal loss, gamma 2, logits [[-100, 0]], label 0",
        "value 100, gradient -1 and 1",
        torch.tensor([[-100.0, 0.0]]),
        FIRST,
        focal(2.0),
        ours("FocalLoss", gamma=2.0),
        HOPELESS,
    ),
    Edge(
        "sigmoid-focal-hopeless",
        TOPIC,
        "sigmoid focal loss over the classes, gamma 2, sum, logits [[-100, 0]], label 0",
        "value 100 + 0.25 log 2",
        torch.tensor([[-100.0, 0.0]]),
        FIRST,
        lambda z, y: 2 * sigmoid_focal(2.0)(z, F.one_hot(y, 2)),
        ours("FocalLoss", how=lambda loss: lambda z, y: loss(z, F.one_hot(y, 2)), link="sigmoid", reduction="sum"),
        (Peer("balanced-loss", "focal_loss(gamma=2)", balanced_focal),),
    ),
    Edge(
        "sigmoid-focal-certain-fractional",
        TOPIC,
        "sigmoid focal loss, gamma 0.5, logits 100 and -100, labels yes and no",
        FLAT,
        torch.tensor([100.0, -100.0]),
        torch.tensor([1, 0]),
        sigmoid_focal(0.5),
        ours("FocalLoss", gamma=0.5, link="sigmoid"),
        (
            Peer("kornia", "binary_focal_loss_with_logits(gamma=0.5)", kornia_binary(0.5, None)),
            Peer(
                "pytorch-toolbelt",
                "BinaryFocalLoss(gamma=0.5)",
                calls.floats("pytorch_toolbelt.losses", "BinaryFocalLoss", gamma=0.5),
            ),
            Peer("optax", "sigmoid_focal_loss(gamma=0.5)", calls.optax("sigmoid_focal_loss", gamma=0.5)),
            Peer("monai", "FocalLoss(gamma=0.5)", calls.monai_binary(0.5)),
        ),
    ),
    Edge(
        "sigmoid-focal-bfloat16",
        TOPIC,
        "sigmoid focal loss, gamma 2, in bfloat16, logit 6, label yes",
        "1.5e-8, computed in float32",
        torch.tensor([6.0], dtype=torch.bfloat16),
        torch.tensor([1]),
        sigmoid_focal(2.0),
        ours("FocalLoss", gamma=2.0, link="sigmoid"),
        (
            Peer("torchvision", "sigmoid_focal_loss(gamma=2)", torchvision_focal),
            Peer("kornia", "binary_focal_loss_with_logits(gamma=2)", kornia_binary(2.0, None)),
            Peer("monai", "FocalLoss(gamma=2)", calls.monai_binary(2.0)),
        ),
    ),
    Edge(
        "asymmetric-certain-fractional",
        TOPIC,
        "asymmetric loss, gamma 0.5 for a yes, logit 100, label yes",
        FLAT,
        torch.tensor([[100.0]]),
        torch.tensor([[1]]),
        asymmetric,
        ours("FocalLoss", gamma=0.5, link="sigmoid"),  # for a yes it is the same
        (Peer("timm", "AsymmetricLossMultiLabel(gamma_pos=0.5)", timm_asymmetric),),
    ),
    Edge(
        "binary-hopeless",
        TOPIC,
        "binary cross-entropy, sum, logits -120 and 120, labels yes and no",
        "value 240, gradient -1 and 1",
        torch.tensor([-120.0, 120.0]),
        torch.tensor([1.0, 0.0]),
        yes_and_no,
        ours("BinaryCrossEntropyLoss", reduction="sum"),
        (
            Peer("torch", "binary_cross_entropy_with_logits", lambda: torch.nn.BCEWithLogitsLoss(reduction="sum")),
            Peer(
                "keras",
                "BinaryCrossentropy(from_logits=True), sum",
                lambda: calls.swapped(calls.keras().BinaryCrossentropy(from_logits=True, axis=(), reduction="sum")),
            ),
        ),
    ),
    Edge(
        "gce-hopeless",
        TOPIC,
        "generalised cross-entropy, q 0.5, logits [[-110, 0]], label 0",
        "value 2, gradient of e^-55",
        torch.tensor([[-110.0, 0.0]]),
        FIRST,
        gce,
        ours("GeneralizedCrossEntropyLoss", q=0.5),
    ),
    Edge(
        "reverse-certain",
        TOPIC,
        "reverse cross-entropy, A -4, logits [[20, 0]], label 0",
        "8.2e-9 and a gradient of that size",
        torch.tensor([[20.0, 0.0]]),
        FIRST,
        reverse,
        ours("ReverseCrossEntropyLoss"),
    ),
    Edge(
        "agce-hopeless",
        TOPIC,
        "asymmetric generalised cross-entropy, a 1, q 0.5, logits [[-110, 0]], label 0",
        "value 0.8284, gradient below float32's range",
        torch.tensor([[-110.0, 0.0]]),
        FIRST,
        agce,
        ours("AsymmetricGeneralizedCrossEntropyLoss", a=1.0, q=0.5),
    ),
    Edge(
        "arcface-in-the-centre",
        TOPIC,
        "ArcFace, the feature equal to its class's centre (cosine 1)",
        "the value, and a finite gradient",
        torch.tensor([[1.0, 0.0]]),
        FIRST,
        arc,
        ours("ArcFaceLoss", how=lambda loss: lambda z, y: loss(F.normalize(z), y), margin=ARC),
        (Peer("pytorch-metric-learning", "ArcFaceLoss", arc_face),),
        read=value_and_finite,
    ),
)

"""The formula that the name stands for, and the convention of each argument."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..edge import Call, Edge, Peer, ours
from ..truths import as_rows, cross_entropy_rows, focal_rows, of_counted, sigmoid_focal
from . import calls
from .ignored import LABELS
from .means import TWO, WEIGHT, of_pixels
from .nothing import PIXELS

TOPIC = "The formula itself"


def one_vs_all(z: Tensor, y: Tensor) -> Tensor:
    rows, labels = as_rows(z, y)
    return F.binary_cross_entropy_with_logits(rows, F.one_hot(labels, z.shape[1]).to(z.dtype))


def smp_from_probabilities() -> Call:
    loss = calls.smp_region("FocalLoss", alpha=None, gamma=0.0, from_logits=False)()
    return lambda z, y: loss(torch.softmax(z, 1), y)


def false_positives(alpha: float, beta: float) -> Call:
    """Tversky of one mask: alpha for false positives, beta for false negatives."""

    def loss(z: Tensor, t: Tensor) -> Tensor:
        p = torch.sigmoid(z)
        both = (p * t).sum()
        return 1 - both / (both + alpha * (p - p * t).sum() + beta * (t - p * t).sum())

    return loss


def keras_tversky() -> Call:
    loss = calls.keras().Tversky(alpha=0.9, beta=0.1)
    return lambda z, t: loss(t, torch.sigmoid(z))


def libauc_focal() -> Call:
    loss = calls.made("libauc.losses", "FocalLoss", alpha=0.9, gamma=0.0)()
    return lambda z, y: loss(z, y.to(z.dtype))


def own_weights(z: Tensor, y: Tensor) -> Tensor:
    """Of the class "yes" 0.1 and "no" 0.9, as this package has them."""
    each = F.binary_cross_entropy_with_logits(z, y.to(z.dtype), reduction="none")
    return (torch.where(y == 1, 0.1, 0.9) * each).mean()


def monai_dice_focal() -> Call:
    loss = calls.made("monai.losses", "DiceFocalLoss", softmax=True, to_onehot_y=True, gamma=0.0, lambda_dice=0.0)()
    return lambda z, y: loss(z, y.unsqueeze(1))


def maxsup(z: Tensor, y: Tensor) -> Tensor:
    rows = cross_entropy_rows(z, y) + 0.1 * (z.amax(1) - z.mean(1))
    return rows.mean()


ONE_VS_ALL = ("one sigmoid a class", one_vs_all)
EDGES = (
    Edge(
        "focal-of-probabilities",
        TOPIC,
        "focal loss of softmax probabilities (from_logits=False where there is one), gamma 0",
        "cross-entropy",
        PIXELS,
        LABELS,
        of_counted(cross_entropy_rows),
        ours("FocalLoss", how=lambda loss: lambda z, y: loss(torch.log_softmax(z, 1), y), gamma=0.0),
        (
            Peer(
                "segmentation-models-pytorch",
                "FocalLoss('multiclass', from_logits=False)",
                smp_from_probabilities,
                ONE_VS_ALL,
            ),
            Peer("focal-loss-torch", "FocalLoss(gamma=0)", lambda: of_pixels(calls.focal_loss_torch(0.0)())),
        ),
    ),
    Edge(
        "multiclass-focal",
        TOPIC,
        "focal loss of pixels with 3 classes, gamma 0",
        "softmax cross-entropy",
        PIXELS,
        LABELS,
        of_counted(cross_entropy_rows),
        ours("FocalLoss", gamma=0.0),
        (
            Peer(
                "segmentation-models-pytorch",
                "FocalLoss('multiclass', gamma=0)",
                calls.smp_region("FocalLoss", gamma=0.0),
                ONE_VS_ALL,
            ),
        ),
    ),
    Edge(
        "dice-focal-softmax",
        TOPIC,
        "Dice + focal with softmax, gamma 0, the Dice term times 0",
        "softmax cross-entropy",
        PIXELS,
        LABELS,
        of_counted(cross_entropy_rows),
        ours("DiceFocalLoss", gamma=0.0, dice_weight=0.0),
        (Peer("monai", "DiceFocalLoss(softmax=True, gamma=0, lambda_dice=0)", monai_dice_focal, ONE_VS_ALL),),
    ),
    Edge(
        "focal-pixels",
        TOPIC,
        "focal loss, gamma 2, logits (2, 3, 4, 4) against the same pixels as rows",
        "the class axis is the second",
        PIXELS,
        LABELS,
        of_counted(lambda z, y: focal_rows(z, y, 2.0)),
        ours("FocalLoss"),
        (
            Peer(
                "catalyst",
                "FocalLossMultiClass(alpha=None)",
                calls.made("catalyst.contrib.losses", "FocalLossMultiClass", alpha=None),
                ("one sigmoid a class", lambda z, y: _per_class_focal(z, y)),
            ),
            Peer("fastai", "FocalLoss()", calls.made("fastai.losses", "FocalLoss")),
            Peer("imbalanced-losses", "SoftmaxFocalLoss()", calls.made("imbalanced_losses", "SoftmaxFocalLoss")),
        ),
    ),
    Edge(
        "focal-weighted",
        TOPIC,
        "focal loss, gamma 2, weight [1, 9], logits 0, label 1, sum",
        "9 (1 - 0.5)^2 log 2: the weight belongs to the loss, not into p",
        torch.zeros(1, 2),
        torch.tensor([1]),
        lambda z, y: 9 * focal_rows(z, y, 2.0).sum(),
        ours("FocalLoss", gamma=2.0, weight=WEIGHT.float(), reduction="sum"),
        (
            Peer(
                "fastai",
                "FocalLoss(weight=[1, 9])",
                calls.made("fastai.losses", "FocalLoss", weight=WEIGHT.float(), reduction="sum"),
            ),
            Peer(
                "torch-uncertainty",
                "FocalLoss(gamma=2, alpha=[1, 9])",
                lambda: calls.made(
                    "torch_uncertainty.losses", "FocalLoss", gamma=2.0, alpha=WEIGHT.float(), reduction="sum"
                )(),
            ),
            Peer(
                "imbalanced-losses",
                "SoftmaxFocalLoss(alpha=[1, 9])",
                calls.made("imbalanced_losses", "SoftmaxFocalLoss", alpha=[1.0, 9.0], reduction="sum"),
            ),
        ),
    ),
    Edge(
        "focal-alpha-per-sample",
        TOPIC,
        "sigmoid focal loss, gamma 0, alpha 0.9 for a yes, logits 0 and 5, labels yes and no",
        "each sample keeps its own weight",
        torch.tensor([0.0, 5.0]),
        torch.tensor([1, 0]),
        sigmoid_focal(0.0, 0.9),
        ours("SigmoidFocalLoss", gamma=0.0, alpha=0.9),
        (
            Peer("libauc", "FocalLoss(alpha=0.9, gamma=0)", libauc_focal, ("alpha is for a no", own_weights)),
            Peer("torchvision", "sigmoid_focal_loss(alpha=0.9, gamma=0)", lambda: _torchvision(0.9)),
            Peer(
                "imbalanced-losses",
                "SigmoidFocalLoss(alpha=0.9, gamma=0)",
                calls.floats("imbalanced_losses", "SigmoidFocalLoss", alpha=0.9, gamma=0.0),
            ),
        ),
    ),
    Edge(
        "tversky-sides",
        TOPIC,
        "Tversky loss, alpha 0.9, beta 0.1, two of four pixels false positives",
        "alpha is the price of false positives (Salehi et al. 2017, eq. 4)",
        torch.tensor([[[2.0, 2.5, 3.0, 3.5]]]),
        torch.tensor([[[0.0, 0.0, 1.0, 1.0]]]),
        false_positives(0.9, 0.1),
        ours("TverskyLoss", alpha=0.9, beta=0.1, link="sigmoid"),
        (
            Peer(
                "keras",
                "Tversky(alpha=0.9, beta=0.1)",
                keras_tversky,
                ("alpha is for false negatives", false_positives(0.1, 0.9)),
            ),
            Peer(
                "segmentation-models-pytorch",
                "TverskyLoss('binary', alpha=0.9, beta=0.1)",
                calls.smp_region("TverskyLoss", "binary", alpha=0.9, beta=0.1),
            ),
            Peer(
                "monai",
                "TverskyLoss(sigmoid=True, alpha=0.9, beta=0.1)",
                calls.made(
                    "monai.losses", "TverskyLoss", sigmoid=True, alpha=0.9, beta=0.1, smooth_nr=0.0, smooth_dr=0.0
                ),
            ),
        ),
    ),
    Edge(
        "maxsup-weighted",
        TOPIC,
        "cross-entropy + MaxSup 0.1, all labels class 0, whose weight of [1, 2] is 1",
        "the unweighted number",
        TWO,
        torch.zeros(2).long(),
        maxsup,
        ours("MaxSupLoss", alpha=0.1, weight=torch.tensor([1.0, 2.0])),
        (
            Peer(
                "torch-uncertainty",
                "CrossEntropyMaxSupLoss(max_sup=0.1, weight=[1, 2])",
                calls.made(
                    "torch_uncertainty.losses", "CrossEntropyMaxSupLoss", max_sup=0.1, weight=torch.tensor([1.0, 2.0])
                ),
            ),
        ),
    ),
)


def _per_class_focal(z: Tensor, y: Tensor) -> Tensor:
    rows, labels = as_rows(z, y)
    return z.shape[1] * sigmoid_focal(2.0)(rows, F.one_hot(labels, z.shape[1]))


def _torchvision(alpha: float) -> Call:
    loss = calls.attribute("torchvision.ops", "sigmoid_focal_loss")()
    return lambda z, y: loss(z, y.to(z.dtype), alpha=alpha, gamma=0.0, reduction="mean")

"""What a mean divides by: the weights of what is counted, and a normaliser of the caller's."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..edge import Call, Edge, Peer, ours
from ..truths import Formula, as_rows, cross_entropy_rows, dice, focal, of_counted, overlap_sums, smoothed_rows
from . import calls
from .ignored import LABELS
from .nothing import PIXELS

TOPIC = "What the mean divides by"
WEIGHT = torch.tensor([1.0, 9.0], dtype=torch.float64)
TWO, BOTH = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1])
FOUR = torch.linspace(-3, 3, 20).cos().reshape(4, 5) * 3
ROWS = torch.linspace(-1, 2, 40).mul(7).sin().reshape(8, 5) * 3
SEVEN = torch.tensor([0, 1, 2, 3, -100, 4, 0, 1])


def weighted(rows: Formula, weight: Tensor = WEIGHT) -> Formula:
    """The sum of weighted rows over the sum of the weights."""

    def loss(z: Tensor, y: Tensor) -> Tensor:
        each = weight.to(z)[y if y.ndim == 1 else y.argmax(1)]
        return (each * rows(z, y if y.ndim == 1 else y.argmax(1))).sum() / each.sum()

    return loss


def over_rows(rows: Formula, weight: Tensor = WEIGHT) -> Formula:
    """The same sum over the number of rows."""

    def loss(z: Tensor, y: Tensor) -> Tensor:
        labels = y if y.ndim == 1 else y.argmax(1)
        return (weight.to(z)[labels] * rows(z, labels)).mean()

    return loss


def by_samples(z: Tensor, y: Tensor) -> Tensor:
    weight = torch.tensor([1.0, 9.0]).to(z)
    return (weight * cross_entropy_rows(z, y)).sum() / weight.sum()


def torch_smoothed(z: Tensor, y: Tensor) -> Tensor:
    """(1 - e) w_y nll_y + e / C sum_c w_c nll_c, over the weights of the labels of the rows that count."""
    kept, weight = y != -100, torch.arange(1.0, 4.0).to(z)
    z, y = z[kept], y[kept]
    every = torch.stack([cross_entropy_rows(z, torch.full_like(y, c)) for c in range(3)], 1)
    each = 0.9 * weight[y] * cross_entropy_rows(z, y) + 0.1 / 3 * (every * weight).sum(1)
    return each.sum() / weight[y].sum()


def halves(loss: Any) -> Call:
    """Gradient accumulation over two halves, which do not hold as many labels."""
    return lambda z, y: loss(z[:4], y[:4], normalizer=7.0) + loss(z[4:], y[4:], normalizer=7.0)


def dice_and_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    target = F.one_hot(y, 3).movedim(-1, 1).double()
    both, prediction, truth = overlap_sums(torch.softmax(z, 1), target)
    weight = torch.tensor([1.0, 9.0, 2.0]).to(z)
    each = 1 - 2 * both / (prediction + truth)
    rows, labels = as_rows(z, y)
    return (each * weight).sum() / (len(z) * weight.sum()) + weighted(cross_entropy_rows, weight)(rows, labels)


def undivided(z: Tensor, y: Tensor) -> Tensor:
    weight = torch.tensor([10.0, 90.0, 20.0]).to(z)
    both, prediction, truth = overlap_sums(torch.softmax(z, 1), F.one_hot(y, 3).movedim(-1, 1).double())
    each = 1 - 2 * both / (prediction + truth)
    return (each * weight).mean() + weighted(cross_entropy_rows, weight)(*as_rows(z, y))


def weighted_smoothed(z: Tensor, y: Tensor) -> Tensor:
    kept = y != -100
    z, y = z[kept], y[kept]
    return (torch.arange(1.0, 4.0).to(z)[y] * smoothed_rows(z, y, 0.1)).mean()


def of_pixels(call: Call) -> Call:
    """A loss of rows on pixels."""
    return lambda z, y: call(*as_rows(z, y))


def keras_samples() -> Call:
    loss = calls.keras().SparseCategoricalCrossentropy(from_logits=True)
    return lambda z, y: loss(y, z, sample_weight=torch.tensor([1.0, 9.0]))


def keras_samples_named() -> Call:
    loss = calls.keras().SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    return lambda z, y: loss(y, z, sample_weight=torch.tensor([1.0, 9.0]))


def monai_dice_cross_entropy() -> Call:
    made = calls.attribute("monai.losses", "DiceCELoss")()
    weight = torch.tensor([10.0, 90.0, 20.0])
    loss = made(softmax=True, to_onehot_y=True, smooth_nr=0.0, smooth_dr=0.0, weight=weight)
    return lambda z, y: loss(z, y.unsqueeze(1))


PER_ROW = ("divides by the number of rows", over_rows(cross_entropy_rows))

EDGES = (
    Edge(
        "focal-gamma-zero",
        TOPIC,
        "focal loss of pixels, gamma 0, mean",
        "cross-entropy",
        PIXELS,
        LABELS,
        of_counted(cross_entropy_rows),
        ours("FocalLoss", gamma=0.0),
        (
            Peer("monai", "FocalLoss(use_softmax=True, gamma=0)", calls.monai_focal(0.0)),
            Peer("kornia", "focal_loss(gamma=0)", calls.kornia_focal(0.0)),
            Peer(
                "imbalanced-losses",
                "SoftmaxFocalLoss(gamma=0)",
                calls.made("imbalanced_losses", "SoftmaxFocalLoss", gamma=0.0),
            ),
            Peer(
                "torch-uncertainty",
                "FocalLoss(gamma=0)",
                lambda: of_pixels(calls.made("torch_uncertainty.losses", "FocalLoss", gamma=0.0)()),
            ),
            Peer("fastai", "FocalLoss(gamma=0)", calls.made("fastai.losses", "FocalLoss", gamma=0.0)),
        ),
    ),
    Edge(
        "weights-one-hot",
        TOPIC,
        "cross-entropy, weight [1, 9], one-hot soft targets, mean",
        "the number of the index targets: over the sum of the weights",
        TWO,
        torch.eye(2),
        weighted(cross_entropy_rows),
        ours("CrossEntropyLoss", weight=WEIGHT.float()),
        (
            Peer(
                "torch",
                "CrossEntropyLoss(weight=[1, 9])",
                lambda: torch.nn.CrossEntropyLoss(weight=WEIGHT.float()),
                PER_ROW,
            ),
        ),
    ),
    Edge(
        "focal-weights",
        TOPIC,
        "focal loss, gamma 0, class weights [1, 9], mean",
        "cross-entropy with these weights: over their sum",
        TWO,
        BOTH,
        weighted(cross_entropy_rows),
        ours("FocalLoss", gamma=0.0, weight=WEIGHT.float()),
        (
            Peer(
                "torch-uncertainty",
                "FocalLoss(gamma=0, alpha=[1, 9])",
                lambda: calls.made("torch_uncertainty.losses", "FocalLoss", gamma=0.0, alpha=WEIGHT.float())(),
            ),
            Peer(
                "imbalanced-losses",
                "SoftmaxFocalLoss(gamma=0, alpha=[1, 9])",
                calls.made("imbalanced_losses", "SoftmaxFocalLoss", gamma=0.0, alpha=[1.0, 9.0]),
            ),
            Peer(
                "fastai",
                "FocalLoss(gamma=0, weight=[1, 9])",
                calls.made("fastai.losses", "FocalLoss", gamma=0.0, weight=WEIGHT.float()),
            ),
        ),
    ),
    Edge(
        "weights-and-smoothing",
        TOPIC,
        "cross-entropy, weight [1, 2, 3], label_smoothing 0.1, one of 4 labels ignored, mean",
        "as torch: over the weights of the labels that count",
        FOUR[:, :3],
        torch.tensor([0, 2, -100, 1]),
        torch_smoothed,
        ours("CrossEntropyLoss", weight=torch.arange(1.0, 4.0), label_smoothing=0.1),
        (
            Peer(
                "torch",
                "CrossEntropyLoss(weight, label_smoothing)",
                lambda: torch.nn.CrossEntropyLoss(weight=torch.arange(1.0, 4.0), label_smoothing=0.1),
            ),
            Peer(
                "imbalanced-losses",
                "SoftmaxFocalLoss(gamma=0, alpha, label_smoothing)",
                calls.made(
                    "imbalanced_losses", "SoftmaxFocalLoss", gamma=0.0, alpha=[1.0, 2.0, 3.0], label_smoothing=0.1
                ),
                ("the weight belongs to the row, which counts as one", weighted_smoothed),
            ),
        ),
    ),
    Edge(
        "sample-weights",
        TOPIC,
        "cross-entropy, sample weights [1, 9], mean",
        "over the sum of the weights",
        TWO,
        BOTH,
        by_samples,
        ours("CrossEntropyLoss", how=lambda loss: lambda z, y: loss(z, y, sample_weight=torch.tensor([1.0, 9.0]))),
        (
            Peer("keras", "SparseCategoricalCrossentropy", keras_samples),
            Peer("keras", "the same, 'mean_with_sample_weight'", keras_samples_named),
        ),
    ),
    Edge(
        "accumulation",
        TOPIC,
        "cross-entropy in two halves with 4 and 3 labels, normalizer 7, added",
        "the mean over all 7",
        ROWS,
        SEVEN,
        of_counted(cross_entropy_rows),
        ours("CrossEntropyLoss", how=halves),
        (Peer("transformers", "fixed_cross_entropy(num_items_in_batch=7)", lambda: halves_of_transformers()),),
    ),
    Edge(
        "dice-and-weights",
        TOPIC,
        "Dice + cross-entropy, softmax, weight [10, 90, 20]",
        "each term over the sum of its weights: as with [1, 9, 2]",
        PIXELS,
        LABELS,
        dice_and_cross_entropy,
        ours("DiceCrossEntropyLoss", weight=torch.tensor([10.0, 90.0, 20.0])),
        (
            Peer(
                "monai",
                "DiceCELoss(softmax=True, weight)",
                monai_dice_cross_entropy,
                ("the weights of the Dice term are not divided by", undivided),
            ),
        ),
    ),
    Edge(
        "batch-of-one-image-twice",
        TOPIC,
        "focal loss of pixels, gamma 2, the same image twice in the batch, mean",
        "the number of the image alone",
        PIXELS[:1],
        LABELS[:1],
        of_counted(lambda z, y: focal(2.0)(z, y)),
        ours("FocalLoss", how=lambda loss: lambda z, y: loss(z.repeat(2, 1, 1, 1), y.repeat(2, 1, 1))),
        (Peer("kornia", "focal_loss, x C", lambda: doubled(calls.times_classes(calls.kornia_focal(2.0)()))),),
    ),
    Edge(
        "dice-per-image",
        TOPIC,
        "Dice loss of two images, softmax",
        "the mean over images and classes (over='batch' sums over the batch first)",
        PIXELS,
        LABELS,
        dice,
        ours("DiceLoss"),
        (
            Peer(
                "monai",
                "DiceLoss(softmax=True)",
                calls.monai_region("DiceLoss", softmax=True, to_onehot_y=True, smooth_nr=0.0, smooth_dr=0.0),
            ),
            Peer("kornia", "dice_loss(average='macro')", calls.kornia_dice),
            Peer(
                "segmentation-models-pytorch",
                "DiceLoss('multiclass')",
                calls.smp_region("DiceLoss"),
                (
                    "the sums are over the batch",
                    lambda z, y: dice(z.movedim(0, 1)[None].flatten(2, 3), y.flatten(0, 1)[None]),
                ),
            ),
        ),
    ),
)


def halves_of_transformers() -> Call:
    loss = calls.attribute("transformers.loss.loss_utils", "fixed_cross_entropy")()
    return lambda z, y: loss(z[:4], y[:4], num_items_in_batch=7) + loss(z[4:], y[4:], num_items_in_batch=7)


def doubled(call: Call) -> Call:
    return lambda z, y: call(z.repeat(2, 1, 1, 1), y.repeat(2, 1, 1))

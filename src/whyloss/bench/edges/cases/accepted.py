"""Legitimate inputs: integer types, layouts, dtypes, sizes and default arguments."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..edge import Call, Edge, Peer, ours
from ..reading import done, value
from ..truths import cross_entropy, cross_entropy_rows, dice, of_counted, sigmoid_focal, smoothed_rows
from . import calls
from .ignored import LABELS
from .means import BOTH, TWO
from .nothing import PIXELS

TOPIC = "Legitimate inputs"
VOCABULARY = torch.full((1, 50257), -20.0, dtype=torch.float16).index_fill(1, torch.tensor([7]), 20.0)
LANGUAGE = (torch.linspace(-3, 3, 64 * 32000).mul(1e4).sin() * 3).reshape(64, 32000).bfloat16()
QUESTIONS, ANSWERS = torch.linspace(-3, 3, 12).reshape(3, 4), torch.arange(12).reshape(3, 4) % 2
MIXED = torch.softmax(PIXELS[:1] * torch.tensor([1.0, -1.0, 0.5]).view(1, 3, 1, 1), 1)


def smoothed_vocabulary(z: Tensor, y: Tensor) -> Tensor:
    log_p = torch.log_softmax(z, 1)
    return -(0.9 * log_p[0, 7] + 0.1 * log_p.mean())


def transposed(call: Call) -> Call:
    return lambda z, y: call(z.mT, y.mT)


def catalyst_binary() -> Call:
    loss = calls.made("catalyst.contrib.losses", "FocalLossBinary", alpha=None)()
    return transposed(lambda z, y: loss(z, y.to(z.dtype)))


def torchvision_integers() -> Call:
    loss = calls.attribute("torchvision.ops", "sigmoid_focal_loss")()
    return lambda z, y: loss(z, y, alpha=-1, gamma=2.0, reduction="mean")


def balanced() -> Call:
    made = calls.attribute("balanced_loss", "Loss")()
    return made(loss_type="cross_entropy", samples_per_class=[10, 10, 0], class_balanced=True)


def unseen(z: Tensor, y: Tensor) -> Tensor:
    """Labels of two classes with the same count: their weights are equal, and drop out of the mean."""
    return cross_entropy(z, y)


def pixels_smoothed(z: Tensor, y: Tensor) -> Tensor:
    return of_counted(lambda rows, labels: smoothed_rows(rows, labels, 0.1))(z, y)


def _spoken(loss: object) -> Call:
    return lambda z, y: repr(loss)


EDGES = (
    Edge(
        "int32-labels",
        TOPIC,
        "cross-entropy, labels of type int32",
        "accepted",
        TWO,
        BOTH.int(),
        lambda z, y: cross_entropy(z, y.long()),
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
        "integer-answers",
        TOPIC,
        "sigmoid focal loss, gamma 2, labels of type int64",
        "accepted",
        QUESTIONS,
        ANSWERS,
        sigmoid_focal(2.0),
        ours("FocalLoss", gamma=2.0, link="sigmoid"),
        (
            Peer("torchvision", "sigmoid_focal_loss(gamma=2)", torchvision_integers),
            Peer("libauc", "FocalLoss()", calls.made("libauc.losses", "FocalLoss")),
            Peer(
                "imbalanced-losses",
                "SigmoidFocalLoss(alpha=-1)",
                calls.made("imbalanced_losses", "SigmoidFocalLoss", alpha=-1.0),
            ),
        ),
    ),
    Edge(
        "transposed",
        TOPIC,
        "sigmoid focal loss, gamma 2, of a transposed tensor",
        "the same number",
        QUESTIONS,
        ANSWERS,
        sigmoid_focal(2.0),
        ours("FocalLoss", how=transposed, gamma=2.0, link="sigmoid"),
        (Peer("catalyst", "FocalLossBinary(alpha=None)", catalyst_binary),),
    ),
    Edge(
        "smoothing-pixels",
        TOPIC,
        "cross-entropy with label smoothing 0.1 of pixels (2, 3, 4, 4)",
        "accepted, as by torch.nn.CrossEntropyLoss",
        PIXELS,
        LABELS,
        pixels_smoothed,
        ours("CrossEntropyLoss", label_smoothing=0.1),
        (
            Peer(
                "torch", "CrossEntropyLoss(label_smoothing=0.1)", lambda: torch.nn.CrossEntropyLoss(label_smoothing=0.1)
            ),
            Peer("timm", "LabelSmoothingCrossEntropy(0.1)", calls.made("timm.loss", "LabelSmoothingCrossEntropy", 0.1)),
            Peer(
                "segmentation-models-pytorch",
                "SoftCrossEntropyLoss(smooth_factor=0.1)",
                calls.made("segmentation_models_pytorch.losses", "SoftCrossEntropyLoss", smooth_factor=0.1),
            ),
        ),
    ),
    Edge(
        "default-arguments",
        TOPIC,
        "cross-entropy of pixels by a loss made without arguments",
        "the number of torch.nn.CrossEntropyLoss()",
        PIXELS,
        LABELS,
        of_counted(cross_entropy_rows),
        ours("CrossEntropyLoss"),
        (
            Peer(
                "segmentation-models-pytorch",
                "SoftCrossEntropyLoss()",
                calls.made("segmentation_models_pytorch.losses", "SoftCrossEntropyLoss"),
            ),
        ),
    ),
    Edge(
        "float16-vocabulary",
        TOPIC,
        "cross-entropy with label_smoothing 0.1, float16 logits (1, 50257) of -20, the label's 20",
        "4.0, computed in float32",
        VOCABULARY,
        torch.tensor([7]),
        smoothed_vocabulary,
        ours("CrossEntropyLoss", label_smoothing=0.1),
        (
            Peer(
                "torch", "CrossEntropyLoss(label_smoothing=0.1)", lambda: torch.nn.CrossEntropyLoss(label_smoothing=0.1)
            ),
        ),
    ),
    Edge(
        "bfloat16-vocabulary",
        TOPIC,
        "cross-entropy, bfloat16 logits (64, 32000)",
        "computed in float32, a float32 value",
        LANGUAGE,
        torch.arange(64) * 500,
        lambda z, y: F.cross_entropy(z, y),
        ours("CrossEntropyLoss"),
        (Peer("torch", "cross_entropy", lambda: F.cross_entropy),),
    ),
    Edge(
        "dice-soft-masks",
        TOPIC,
        "Dice loss with soft masks (1, 3, 4, 4), as mixup makes them",
        "accepted",
        PIXELS[:1],
        MIXED,
        dice,
        ours("DiceLoss"),
        (
            Peer("kornia", "dice_loss(average='macro')", calls.kornia_dice),
            Peer(
                "monai",
                "DiceLoss(softmax=True)",
                calls.made("monai.losses", "DiceLoss", softmax=True, smooth_nr=0.0, smooth_dr=0.0),
            ),
        ),
    ),
    Edge(
        "unseen-class",
        TOPIC,
        "class-balanced cross-entropy, a class with no examples",
        "finite; two classes with as many examples weigh the same",
        torch.tensor([[1.0, 0.0, -0.5], [0.0, 2.0, 0.3]]),
        BOTH,
        unseen,
        ours("ClassBalancedLoss", counts=torch.tensor([10.0, 10.0, 0.0])),
        (Peer("balanced-loss", "Loss(class_balanced=True)", balanced),),
    ),
    Edge(
        "lovasz-float16",
        TOPIC,
        "Lovász-softmax loss of float16 logits (1, 3, 4, 4), every class predicted well",
        "computed in float32",
        (3 * F.one_hot(LABELS[:1], 3).movedim(-1, 1)).half(),
        LABELS[:1],
        lambda z, y: (
            1 - torch.softmax(z, 1).amax(1)
        ).mean(),  # the errors of each class's pixels are alike, and largest
        ours("LovaszSoftmaxLoss"),
        (Peer("segmentation-models-pytorch", "LovaszLoss('multiclass')", calls.smp_region("LovaszLoss")),),
        read=value,
    ),
    Edge(
        "repr",
        TOPIC,
        "repr of a focal loss made without arguments",
        "a text",
        torch.zeros(1),
        torch.zeros(1),
        lambda z, y: "",
        ours("SigmoidFocalLoss", how=_spoken),
        (
            Peer(
                "pytorch-toolbelt",
                "BinaryFocalLoss()",
                lambda: _spoken(calls.made("pytorch_toolbelt.losses", "BinaryFocalLoss")()),
            ),
            Peer("monai", "FocalLoss()", lambda: _spoken(calls.made("monai.losses", "FocalLoss")())),
        ),
        read=done,
    ),
    Edge(
        "bi-tempered-ignored",
        TOPIC,
        "bi-tempered logistic loss, t1 = t2 = 1, ignore_index -100, a label -100",
        "cross-entropy of the other row",
        torch.tensor([[1.0, -0.5, 0.2], [0.3, 0.1, -2.0]]),
        torch.tensor([0, -100]),
        of_counted(cross_entropy_rows),
        ours("BiTemperedLogisticLoss", t1=1.0, t2=1.0),
        (
            Peer(
                "pytorch-toolbelt",
                "BiTemperedLogisticLoss(t1=1, t2=1, ignore_index=-100)",
                calls.made("pytorch_toolbelt.losses", "BiTemperedLogisticLoss", t1=1.0, t2=1.0, ignore_index=-100),
            ),
        ),
    ),
)

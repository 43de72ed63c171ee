"""Nothing is counted: every target ignored, or no rows at all. The loss of nothing is 0, with a graph."""

from importlib import import_module

import torch
import torch.nn.functional as F

from ..edge import Call, Edge, Peer, ours
from ..truths import nothing
from . import calls

TOPIC = "Nothing is counted"
ZERO = "value 0, gradient 0"
LOGITS = torch.tensor([[1.0, -0.5, 0.2], [0.3, 0.1, -2.0]])
IGNORED = torch.tensor([-100, -100])
PIXELS = torch.linspace(-2, 2, 2 * 3 * 4 * 4).sin().reshape(2, 3, 4, 4) * 2
NO_PIXELS = torch.full((2, 4, 4), -100)


def torch_chunks() -> Call:
    function = calls.torch_linear()
    return lambda hidden, y: function(hidden, torch.eye(3), y)


def cut_cross_entropy() -> Call:
    loss = import_module("cut_cross_entropy").linear_cross_entropy
    return lambda hidden, y: loss(hidden, torch.eye(3), y, impl="torch_compile")


def smp_binary_focal() -> Call:
    loss = import_module("segmentation_models_pytorch.losses").FocalLoss("binary", ignore_index=-1)
    return lambda z, y: loss(z.unsqueeze(1), y.unsqueeze(1).float())


def keras_sparse() -> Call:
    loss = calls.keras().SparseCategoricalCrossentropy(from_logits=True, ignore_class=-100)
    return lambda z, y: loss(y, z)


EDGES = (
    Edge(
        "cross-entropy-all-ignored",
        TOPIC,
        "cross-entropy, every label is -100, mean",
        ZERO,
        LOGITS,
        IGNORED,
        nothing,
        ours("CrossEntropyLoss"),
        (
            Peer("torch", "cross_entropy", lambda: F.cross_entropy),
            Peer(
                "transformers",
                "fixed_cross_entropy",
                calls.attribute("transformers.loss.loss_utils", "fixed_cross_entropy"),
            ),
            Peer("keras", "SparseCategoricalCrossentropy(ignore_class=-100)", keras_sparse),
            Peer(
                "liger-kernel",
                "LigerCrossEntropyLoss",
                calls.made("liger_kernel.transformers", "LigerCrossEntropyLoss"),
                triton=True,
            ),
        ),
    ),
    Edge(
        "cross-entropy-no-rows",
        TOPIC,
        "cross-entropy of logits (0, 3), mean",
        ZERO,
        LOGITS[:0],
        IGNORED[:0],
        nothing,
        ours("CrossEntropyLoss"),
        (
            Peer("torch", "cross_entropy", lambda: F.cross_entropy),
            Peer("timm", "LabelSmoothingCrossEntropy()", calls.made("timm.loss", "LabelSmoothingCrossEntropy")),
        ),
    ),
    Edge(
        "linear-all-ignored",
        TOPIC,
        "cross-entropy of a linear head in chunks, every label is -100",
        ZERO,
        LOGITS,
        IGNORED,
        nothing,
        ours("CrossEntropyLoss", how=lambda loss: lambda h, y: loss.linear(h, torch.eye(3, dtype=h.dtype), y)),
        (
            Peer("torch", "linear_cross_entropy, chunks", torch_chunks),
            Peer("cut-cross-entropy", "linear_cross_entropy(impl='torch_compile')", cut_cross_entropy),
        ),
    ),
    Edge(
        "focal-all-ignored",
        TOPIC,
        "focal loss, every label is -100, mean",
        ZERO,
        LOGITS,
        IGNORED,
        nothing,
        ours("FocalLoss"),
        (
            Peer("focal-loss-torch", "FocalLoss(gamma=2)", calls.focal_loss_torch(2.0)),
            Peer("imbalanced-losses", "SoftmaxFocalLoss()", calls.made("imbalanced_losses", "SoftmaxFocalLoss")),
            Peer("kornia", "focal_loss", calls.kornia_focal(2.0)),
            Peer(
                "pytorch-toolbelt",
                "CrossEntropyFocalLoss()",
                calls.made("pytorch_toolbelt.losses", "CrossEntropyFocalLoss"),
            ),
        ),
    ),
    Edge(
        "binary-focal-all-ignored",
        TOPIC,
        "binary focal loss of pixels, every label is -1 and ignored",
        ZERO,
        PIXELS[:, 0],
        torch.full((2, 4, 4), -1),
        nothing,
        ours("SigmoidFocalLoss", ignore_index=-1),
        (Peer("segmentation-models-pytorch", "FocalLoss('binary', ignore_index=-1)", smp_binary_focal),),
    ),
    Edge(
        "pixels-all-ignored",
        TOPIC,
        "cross-entropy of pixels, every label is -100",
        ZERO,
        PIXELS,
        NO_PIXELS,
        nothing,
        ours("CrossEntropyLoss"),
        (
            Peer("torch", "cross_entropy", lambda: F.cross_entropy),
            Peer("segmentation-models-pytorch", "SoftCrossEntropyLoss(smooth_factor=0.0)", calls.smp_cross_entropy),
        ),
    ),
    Edge(
        "dice-all-ignored",
        TOPIC,
        "Dice loss, every pixel is ignored",
        ZERO,
        PIXELS,
        NO_PIXELS,
        nothing,
        ours("DiceLoss"),
        (
            Peer(
                "kornia",
                "dice_loss(average='macro')",
                calls.kornia_dice,
                ("nothing is no overlap: 1", lambda z, y: 1 + nothing(z, y)),
            ),
            Peer(
                "segmentation-models-pytorch",
                "DiceLoss('multiclass', ignore_index=-100)",
                calls.smp_region("DiceLoss", ignore_index=-100),
            ),
        ),
    ),
    Edge(
        "lovasz-all-ignored",
        TOPIC,
        "Lovász-softmax loss, every pixel is ignored",
        ZERO,
        PIXELS,
        NO_PIXELS,
        nothing,
        ours("LovaszSoftmaxLoss"),
        (
            Peer(
                "segmentation-models-pytorch",
                "LovaszLoss('multiclass', ignore_index=-100)",
                calls.smp_region("LovaszLoss", ignore_index=-100),
            ),
        ),
    ),
)

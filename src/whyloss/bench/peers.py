"""Other people's implementations, each behind a function that says how to call it; nothing is imported before that.

The forms were checked against the releases named here; a peer that refuses gets a row that says so."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F

from .beyond_peers import ENTRIES
from .case import Kind
from .peer import Call, Entry, OnHead, OnLogits, Peer
from .subjects import ALPHA, GAMMA, MARGIN, NEGATIVE_GAMMA, POSITIVE_GAMMA, SMOOTHING


def _liger(**options: Any) -> Call:  # 0.8.5
    return import_module("liger_kernel.transformers").LigerCrossEntropyLoss(**options)


def _liger_linear(**options: Any) -> OnHead:
    loss = import_module("liger_kernel.transformers").LigerFusedLinearCrossEntropyLoss(**options)
    return lambda hidden, weight, target: loss(weight, hidden, target)


def _cut(**options: Any) -> OnHead:  # 25.1.1
    loss = import_module("cut_cross_entropy").linear_cross_entropy
    return lambda hidden, weight, target: loss(hidden, weight, target, **options)


def _quack() -> OnLogits:  # quack-kernels 0.6.5
    loss = import_module("quack.cross_entropy").cross_entropy
    return lambda logits, target: loss(logits, target, reduction="mean")


def _quack_linear() -> OnHead:
    loss = import_module("quack.linear_cross_entropy").chunked_linear_cross_entropy
    return lambda hidden, weight, target: loss(hidden, weight, target, reduction="mean")


def _torch_linear(**options: Any) -> OnHead:  # 2.13; torch's own chunks, which its default does not use
    function: Any = getattr(F, "linear_cross_entropy", None)
    if function is None:
        raise NotImplementedError("torch.nn.functional.linear_cross_entropy came with torch 2.13")
    chunks = getattr(torch.nn, "LinearCrossEntropyOptions")()  # noqa: B009 - older stubs do not know it
    return lambda hidden, weight, target: function(hidden, weight, target, options=chunks, **options)


def _monai_dice() -> OnLogits:  # 1.6.1
    loss = import_module("monai.losses").DiceLoss(softmax=True, to_onehot_y=True, smooth_nr=0.0, smooth_dr=0.0)
    return lambda logits, target: loss(logits, target.unsqueeze(1))


def _monai_dice_cross_entropy() -> OnLogits:
    loss = import_module("monai.losses").DiceCELoss(softmax=True, to_onehot_y=True, smooth_nr=0.0, smooth_dr=0.0)
    return lambda logits, target: loss(logits, target.unsqueeze(1))


def _monai_focal() -> OnLogits:
    loss = import_module("monai.losses").FocalLoss(use_softmax=True, to_onehot_y=True, gamma=GAMMA)
    # Its mean is over the classes too, of which only the label's differs from 0.
    return lambda logits, target: loss(logits, target.unsqueeze(1)) * logits.shape[1]


def _monai_sigmoid_focal() -> Call:
    return import_module("monai.losses").FocalLoss(gamma=GAMMA, alpha=ALPHA)


def _kornia_dice() -> OnLogits:  # 0.9.0
    loss = import_module("kornia.losses").dice_loss
    return lambda logits, target: loss(logits, target, average="macro")


def _kornia_focal() -> OnLogits:
    loss = import_module("kornia.losses").focal_loss
    # Its mean is over the classes too, of which only the label's differs from 0.
    return lambda logits, target: loss(logits, target, None, GAMMA, "mean") * logits.shape[1]


def _kornia_sigmoid_focal() -> OnLogits:
    loss = import_module("kornia.losses").binary_focal_loss_with_logits
    return lambda logits, target: loss(logits, target, ALPHA, GAMMA, "mean")


def _timm_smoothing() -> Call:  # 1.0.31
    return import_module("timm.loss").LabelSmoothingCrossEntropy(SMOOTHING)


def _timm_asymmetric() -> Call:
    loss = import_module("timm.loss").AsymmetricLossMultiLabel
    return loss(gamma_neg=NEGATIVE_GAMMA, gamma_pos=POSITIVE_GAMMA, clip=MARGIN, reduction="mean")


def _torchvision_focal() -> OnLogits:  # 0.28
    loss = import_module("torchvision.ops").sigmoid_focal_loss
    return lambda logits, target: loss(logits, target, alpha=ALPHA, gamma=GAMMA, reduction="mean")


def _smooth(build: Callable[..., Call]) -> Callable[[], Call]:
    return lambda: build(label_smoothing=SMOOTHING)


def _exact_sums() -> Call:
    return _liger_linear(accum_dtype=torch.float32)


SUMS = (
    Peer("torch", (Entry("linear", "cross-entropy", "torch linear_cross_entropy", _torch_linear),)),
    Peer(
        "liger-kernel",
        (
            Entry("logits", "cross-entropy", "liger", _liger),
            Entry("logits", "label-smoothing", "liger", _smooth(_liger)),
            Entry("linear", "cross-entropy", "liger", _liger_linear),
            Entry("linear", "cross-entropy", "liger, float32 sums", _exact_sums),
            Entry("linear", "label-smoothing", "liger", _smooth(_liger_linear)),
        ),
        ("cuda",),
    ),
    Peer(
        "cut-cross-entropy",
        (
            Entry("linear", "cross-entropy", "cut_cross_entropy", _cut),
            Entry("linear", "cross-entropy", "same, unfiltered", lambda: _cut(filter_eps=None)),
        ),
        ("cuda",),
    ),
    Peer(
        "quack-kernels",
        (
            Entry("logits", "cross-entropy", "quack", _quack),
            Entry("linear", "cross-entropy", "quack", _quack_linear),
        ),
        ("cuda",),
    ),
    Peer(
        "monai",
        (
            Entry("segmentation", "dice", "monai", _monai_dice),
            Entry("segmentation", "dice-and-cross-entropy", "monai", _monai_dice_cross_entropy),
            Entry("segmentation", "focal", "monai", _monai_focal),
            Entry("multilabel", "sigmoid-focal", "monai", _monai_sigmoid_focal),
            Entry("masks", "dice", "monai", _monai_dice),
        ),
    ),
    Peer(
        "kornia",
        (
            Entry("segmentation", "dice", "kornia", _kornia_dice),
            Entry("logits", "focal", "kornia", _kornia_focal),
            Entry("segmentation", "focal", "kornia", _kornia_focal),
            Entry("multilabel", "sigmoid-focal", "kornia", _kornia_sigmoid_focal),
            Entry("masks", "dice", "kornia", _kornia_dice),
        ),
    ),
    Peer(
        "timm",
        (
            Entry("logits", "label-smoothing", "timm", _timm_smoothing),
            Entry("multilabel", "asymmetric", "timm", _timm_asymmetric),
        ),
    ),
    Peer("torchvision", (Entry("multilabel", "sigmoid-focal", "torchvision", _torchvision_focal),)),
)
PEERS = (
    *(Peer(peer.package, (*peer.entries, *ENTRIES.get(peer.package, ())), peer.devices) for peer in SUMS),
    *(Peer(name, found) for name, found in ENTRIES.items() if name not in {peer.package for peer in SUMS}),
)


def entries(kind: Kind, subject: str, device: str, peers: Sequence[Peer] = PEERS) -> list[Entry]:
    """What the installed peers have for this."""
    return [
        entry
        for peer in peers
        if not peer.status(device)
        for entry in peer.entries
        if (entry.kind, entry.subject) == (kind, subject)
    ]

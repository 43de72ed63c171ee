"""The losses that are measured: ours, and the same written by hand in plain torch as a user would write it.

The plain ones are also the truth in float64, so they share nothing with ours."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from whyloss.advise.finding import InputError
from whyloss.losses.imbalance import FocalLoss, SigmoidFocalLoss
from whyloss.losses.loss import Link, RowLoss
from whyloss.losses.proper import (
    BinaryCrossEntropyLoss,
    BrierLoss,
    ConfidencePenaltyLoss,
    CrossEntropyLoss,
    LabelSmoothingCrossEntropyLoss,
)
from whyloss.losses.region import DiceCrossEntropyLoss, DiceLoss
from whyloss.losses.robust import GeneralizedCrossEntropyLoss

from .beyond import BEYOND
from .case import Kind
from .subject import Subject

SMOOTHING, GAMMA, Q, BETA, ALPHA = 0.1, 2.0, 0.7, 0.1, 0.25
NEGATIVE_GAMMA, POSITIVE_GAMMA, MARGIN = 4.0, 1.0, 0.05


class AsymmetricLoss(RowLoss):
    """Focal loss of yes-or-no questions with an exponent for each answer, and easy negatives left out altogether.

    As a user writes a loss that the catalogue does not have.

    Formula: -(1 - p)^gamma+ log p for a yes, -q^gamma- log(1 - q) with q = max(p - m, 0) for a no.
    Source: Ridnik et al. 2021, arXiv:2009.14119."""

    link: Link = "sigmoid"
    links = ("sigmoid",)
    source = "Ridnik et al. 2021, arXiv:2009.14119"

    def formula(self, log_p: Tensor, not_p: Tensor, label: Tensor) -> Tensor:
        shifted = torch.relu(not_p - MARGIN)
        yes = not_p**POSITIVE_GAMMA * log_p
        no = shifted**NEGATIVE_GAMMA * torch.log1p(-shifted)
        return -torch.where(label == 1, yes, no)


def cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y)


def label_smoothing(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, label_smoothing=SMOOTHING)


def focal(z: Tensor, y: Tensor) -> Tensor:
    log_p = F.log_softmax(z, 1).gather(1, y.unsqueeze(1)).squeeze(1)
    return (-((1 - log_p.exp()) ** GAMMA) * log_p).mean()


def gce(z: Tensor, y: Tensor) -> Tensor:
    p = F.softmax(z, 1).gather(1, y.unsqueeze(1)).squeeze(1)
    return ((1 - p**Q) / Q).mean()


def brier(z: Tensor, y: Tensor) -> Tensor:
    p = F.softmax(z, 1)
    own = p.gather(1, y.unsqueeze(1)).squeeze(1)
    return (1 - 2 * own + (p * p).sum(1)).mean()


def confidence_penalty(z: Tensor, y: Tensor) -> Tensor:
    log_p = F.log_softmax(z, 1)
    entropy = -(log_p.exp() * log_p).sum(1)
    return (F.nll_loss(log_p, y, reduction="none") - BETA * entropy).mean()


def dice(z: Tensor, y: Tensor) -> Tensor:
    p = F.softmax(z, 1)
    mask = F.one_hot(y, z.shape[1]).movedim(-1, 1).to(p.dtype)
    pixels = tuple(range(2, z.ndim))
    both = (p * mask).sum(pixels)
    return (1 - 2 * both / (p.sum(pixels) + mask.sum(pixels))).mean()


def dice_and_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    return dice(z, y) + F.cross_entropy(z, y)


def binary_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, y)


def sigmoid_focal(z: Tensor, y: Tensor) -> Tensor:
    p = torch.sigmoid(z)
    wrong = torch.where(y == 1, 1 - p, p)
    balance = torch.where(y == 1, ALPHA, 1 - ALPHA)
    return (balance * wrong**GAMMA * F.binary_cross_entropy_with_logits(z, y, reduction="none")).mean()


def asymmetric(z: Tensor, y: Tensor) -> Tensor:
    p = torch.sigmoid(z)
    shifted = (p - MARGIN).clamp(min=0)
    yes = (1 - p) ** POSITIVE_GAMMA * F.logsigmoid(z)
    no = shifted**NEGATIVE_GAMMA * torch.log(1 - shifted)
    return -(y * yes + (1 - y) * no).mean()


ROWS: tuple[Kind, ...] = ("logits", "linear")
SUBJECTS = (
    Subject("cross-entropy", (*ROWS, "segmentation"), CrossEntropyLoss, cross_entropy),
    Subject("label-smoothing", ROWS, LabelSmoothingCrossEntropyLoss, label_smoothing),
    Subject("focal", (*ROWS, "segmentation"), FocalLoss, focal),
    Subject("gce", ROWS, GeneralizedCrossEntropyLoss, gce),
    Subject("brier", ROWS, BrierLoss, brier),
    Subject("confidence-penalty", ROWS, ConfidencePenaltyLoss, confidence_penalty),
    Subject("dice", ("segmentation", "masks"), DiceLoss, dice),
    Subject("dice-and-cross-entropy", ("segmentation",), DiceCrossEntropyLoss, dice_and_cross_entropy),
    Subject("binary-cross-entropy", ("multilabel",), BinaryCrossEntropyLoss, binary_cross_entropy),
    Subject("sigmoid-focal", ("multilabel",), SigmoidFocalLoss, sigmoid_focal),
    Subject("asymmetric", ("multilabel",), AsymmetricLoss, asymmetric),
    *BEYOND,
)
QUICK = ("cross-entropy", "focal", "dice", "binary-cross-entropy")


def selected(names: Sequence[str]) -> list[Subject]:
    """The subjects of these names (or short names of their classes: ce, bce, confpen), all if none is given."""
    known: dict[str, Subject] = {}
    for subject in SUBJECTS:
        made: Any = subject.ours
        for alias in (subject.name, made.__name__, made.__name__.removesuffix("Loss"), *made.short):
            known.setdefault(_plain(alias), subject)
    for name in names:
        if _plain(name) not in known:
            raise InputError(f"--loss {name} is not measured. These are: {', '.join(s.name for s in SUBJECTS)}.")
    wanted = [known[_plain(name)] for name in names]
    return [subject for subject in SUBJECTS if not names or subject in wanted]


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))

"""What targets and weights become on their way in: labels or shares of labels, one weight and one flag a row."""

import math

import torch
from torch import Tensor

from whyloss.losses import checks
from whyloss.losses.checks import Labelled, Weighted
from whyloss.stats.closed import FEW
from whyloss.stats.exact import HUGE
from whyloss.stats.visible import visible


def as_rows(logits: Tensor, link: str) -> Tensor:
    if link == "sigmoid":
        return logits.reshape(-1)
    if logits.ndim == 1:
        return logits.unsqueeze(0)
    return logits if logits.ndim == 2 else logits.movedim(1, -1).reshape(-1, logits.shape[1])


def side_by_side(logits: Tensor) -> Tensor:
    """The same for the softmax link, where the pixels of a class, if there are few classes, stay beside one another."""
    few = logits.ndim > 2 and logits.shape[1] <= FEW
    return logits.movedim(1, 0).flatten(1).t() if few else as_rows(logits, "softmax")


def flat(target: Tensor, labels: torch.Size) -> Tensor:
    """Labels of this shape, or soft targets that have one axis more, with one axis of rows."""
    return target.reshape(-1) if target.shape == labels else target.reshape(-1, *target.shape[len(labels) :])


def finite(z: Tensor) -> Tensor:
    """Logits of questions with huge numbers in place of infinite ones, so that no formula makes inf - inf of them. What
    becomes huge with them is infinite (`each.to_infinity`)."""
    if visible(z) and z.numel() and all(math.isfinite(x.item()) for x in z.detach().aminmax()):
        return z  # one look, where torch.isinf and a search take three
    return z.nan_to_num(torch.nan, HUGE, -HUGE) if checks.worth_masking(torch.isinf(z)) else z


def pairs(z: Tensor) -> Tensor:
    """[..., 2] the row (0, z) of two classes that the logit of each question is."""
    z = finite(z)
    return torch.stack([torch.zeros_like(z), z], -1)


def of_softmax(
    loss: Labelled, target: Tensor, soft: bool, classes: int, dtype: torch.dtype
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """(label, soft target, keep) with ignored labels made harmless."""
    if soft:
        mix = as_rows(target, "softmax").to(dtype)
        if not checks.worth_masking(mix[:, 0] == loss.ignore_index):
            checks.distribution(loss, mix, None, target.dtype)
            return None, mix, None
        ignored = (mix == loss.ignore_index).all(1)
        checks.distribution(loss, mix, ignored, target.dtype)
        return None, torch.where(ignored.unsqueeze(1), 0.0, mix), ~ignored
    label = target.reshape(-1).long()
    if checks.plain_labels(loss, label, classes):
        return label, None, None
    ignored = label == loss.ignore_index
    checks.labels(loss, label, ignored, classes)
    return torch.where(ignored, 0, label), None, ~ignored if checks.worth_masking(ignored) else None


def of_sigmoid(
    loss: Labelled, target: Tensor, soft: bool, dtype: torch.dtype
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    flat = target.reshape(-1)
    if flat.dtype == torch.bool or (soft and checks.zeros_and_ones(loss, flat)):
        return flat, None, None
    if soft and checks.plain_shares(loss, flat):
        return None, flat.to(dtype), None
    flat = flat if soft else flat.long()
    if not soft and checks.plain_labels(loss, flat, 2):
        return flat, None, None
    ignored = flat == loss.ignore_index
    keep = ~ignored if checks.worth_masking(ignored) else None
    if not soft:
        checks.labels(loss, flat, ignored, 2)
        return torch.where(ignored, 0, flat), None, keep
    positive = torch.where(ignored, 0.0, flat.to(dtype))
    checks.distribution(loss, torch.stack([1 - positive, positive], 1), ignored, target.dtype)
    return None, positive, keep


def sample_weight(name: str, weight: Tensor | None, shape: torch.Size, dtype: torch.dtype) -> Tensor | None:
    if weight is None:
        return None
    weight = torch.as_tensor(weight).to(dtype)
    # One weight per image: [N] beside [N, H, W].
    if weight.ndim == 1 and len(shape) > 1 and weight.shape[0] == shape[0]:
        weight = weight.reshape(-1, *[1] * (len(shape) - 1))
    try:
        return weight.expand(shape).reshape(-1)
    except RuntimeError:
        raise ValueError(
            f"{name}: sample_weight {tuple(weight.shape)} does not fit targets of shape {tuple(shape)}; one weight per "
            "target, or one per sample of the batch, is needed."
        ) from None


def of_classes(label: Tensor | None, mix: Tensor | None, class_weight: Tensor | None) -> Tensor | None:
    """[N] the class weight of each row's label, or of its mixture of labels."""
    if class_weight is None:
        return None
    if mix is None:
        return _pick(class_weight, known(label))
    return (mix * class_weight).sum(1)


def known(x: Tensor | None) -> Tensor:
    assert x is not None
    return x


def live(z: Tensor, shift: Tensor | None, dtype: torch.dtype) -> Tensor:
    """1 for a class that is not masked, else 0."""
    return (~torch.isneginf(z if shift is None else z + shift)).to(dtype)


def both(keep: Tensor | None, counted: Tensor) -> Tensor:
    return counted if keep is None else keep & counted


def class_weight(loss: Weighted, logits: Tensor, dtype: torch.dtype) -> Tensor | None:
    """[C], or with the sigmoid link [2], or [N, 2] for N logits."""
    if loss.weight is None:
        return None
    weight = loss.weight.to(dtype)
    if loss.link == "softmax":
        checks.class_weight(loss, weight, logits.shape[min(1, logits.ndim - 1)])
        return weight
    checks.class_weight(loss, weight, 2)
    if weight.ndim == 1:
        return weight
    try:
        return weight.expand(*logits.shape, 2).reshape(-1, 2)
    except RuntimeError:
        raise ValueError(
            f"{type(loss).__name__}: weight {tuple(weight.shape)} does not fit logits {tuple(logits.shape)}; but for "
            "its last axis, (negative, positive), it must broadcast to them."
        ) from None


def _pick(class_weight: Tensor, label: Tensor) -> Tensor:
    label = label.long()  # of the sigmoid link it may be anything that holds 0 and 1
    return class_weight[label] if class_weight.ndim == 1 else class_weight.gather(1, label.unsqueeze(1)).squeeze(1)

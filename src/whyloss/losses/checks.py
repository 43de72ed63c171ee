"""What is refused at the door, in words: what came, what is needed, the likely cause."""

from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from whyloss.stats.visible import traced


class Labelled(Protocol):
    """A loss whose labels can be checked."""

    ignore_index: int
    validate: bool | None


class Weighted(Protocol):
    """A loss with a weight for each class."""

    weight: Tensor | None
    link: Literal["softmax", "sigmoid"]


SLACK = 1e-3  # by which the sum of a distribution may differ from 1, besides rounding
GLANCE = 2**16  # elements that are looked at at once: what is made of them stays in the cache


def looks(loss: Labelled, x: Tensor) -> bool:
    """Whether to check values: free on the CPU; elsewhere it makes the host wait, so only if asked for."""
    if traced(x):
        return False
    return x.device.type == "cpu" if loss.validate is None else loss.validate


def worth_masking(ignored: Tensor) -> bool:
    """False where it is known, at no cost, that no row is ignored."""
    return traced(ignored) or ignored.device.type != "cpu" or bool(ignored.any())


def logits(name: str, z: Tensor, link: str) -> None:
    if not isinstance(z, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{name}: logits must be a tensor, got {type(z).__name__}.")
    if not z.is_floating_point():
        raise TypeError(f"{name}: logits must be floating point, got {z.dtype}. Are logits and target swapped?")
    if link == "softmax":
        if z.ndim == 0:
            raise ValueError(f"{name}: logits need a class axis, [N, C, ...] or [C], got a single number.")
        classes = z.shape[min(1, z.ndim - 1)]
        if classes < 2:
            had = "one class" if classes else "no classes"
            raise ValueError(
                f"{name}: logits {tuple(z.shape)} have {had}, and a softmax over one class is constant. "
                'For a yes-or-no target pass link="sigmoid".'
            )


def head(
    name: str, hidden: Tensor, weight: Tensor, bias: Tensor | None, softcap: float | None, memory: int | None
) -> None:
    """Checks what a linear head is made of."""
    for part, value in (("hidden", hidden), ("weight", weight), ("bias", bias)):
        if value is None and part == "bias":
            continue
        if not isinstance(value, Tensor) or not value.is_floating_point():
            got = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"{name}.linear: {part} must be a floating-point tensor, got {got}.")
    if weight.ndim != 2 or hidden.ndim == 0 or hidden.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"{name}.linear: hidden {tuple(hidden.shape)} and weight {tuple(weight.shape)} do not fit; hidden [..., D] "
            "and weight [C, D], as in torch.nn.Linear, are needed. Is the weight transposed?"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"{name}.linear: bias {tuple(bias.shape)} but {weight.shape[0]} classes; [C] is needed.")
    if softcap is not None and not softcap > 0:
        raise ValueError(f"{name}.linear: softcap > 0 is needed, got {softcap}. None leaves the logits as they are.")
    if memory is not None and not memory > 0:
        raise ValueError(f"{name}.linear: memory is a number of bytes > 0, got {memory}.")


def shardable(loss: Any, logits: Tensor, target: Tensor) -> None:
    """What a loss over sharded classes needs before anybody else is asked."""
    name = f"{type(loss).__name__}.sharded"
    if not isinstance(logits, Tensor) or not logits.is_floating_point() or logits.ndim == 0:  # pyright: ignore
        got = f"{logits.dtype} {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__  # pyright: ignore
        raise TypeError(f"{name}: logits must be floating point, [N, C of this rank, ...], got {got}.")
    if loss.link == "sigmoid":
        raise ValueError(
            f"{name}: with the sigmoid link no logit depends on another: call the loss itself on this rank's slice of "
            "logits and targets, and add up `parts` over the ranks."
        )
    if loss.adjust is not None and loss.adjust.of_rows:
        raise ValueError(f"{name}: {type(loss.adjust).__name__} changes whole rows of logits, which no one rank has.")
    soft = isinstance(target, Tensor) and target.is_floating_point()  # pyright: ignore
    if soft and target.shape != logits.shape:
        raise ValueError(
            f"{name}: soft target {tuple(target.shape)} but this rank's logits {tuple(logits.shape)}: they must agree. "
            "Each rank needs the target of its own classes, target[:, start : start + C of this rank]. Class indices? "
            "Convert them with target.long()."
        )


def one_dtype(name: str, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    found = {part: x.dtype for part, x in (("hidden", hidden), ("weight", weight), ("bias", bias)) if x is not None}
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{part} {dtype}" for part, dtype in found.items())
        raise TypeError(f"{name}.linear: {listed}; one dtype is needed. Use torch.autocast, or convert them.")


def target(name: str, z: Tensor, t: Tensor, link: str) -> bool:
    """Checks shape and dtype of the target; True if it is soft."""
    if not isinstance(t, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{name}: target must be a tensor, got {type(t).__name__}.")
    if t.dtype.is_complex:
        raise TypeError(f"{name}: target must be integer, bool or floating point, got {t.dtype}.")
    if link == "sigmoid":
        if t.shape != z.shape:
            shapes = f"logits {tuple(z.shape)} and target {tuple(t.shape)}"
            raise ValueError(f"{name}: with the sigmoid link {shapes} must agree.")
        return t.is_floating_point()
    expected = z.shape[:1] + z.shape[2:] if z.ndim > 1 else z.shape[:0]
    if t.is_floating_point():
        if t.shape != z.shape:
            cause = "Class indices? Convert them with target.long()." if t.shape == expected else "The class axis is 1."
            raise ValueError(
                f"{name}: soft target {tuple(t.shape)} but logits {tuple(z.shape)}: they must agree. {cause}"
            )
        return True
    if t.shape != expected:
        cause = ""
        if t.shape == z.shape:
            cause = " One-hot integers? Pass target.float()."
        elif t.ndim == len(expected) + 1 and 1 in t.shape:
            cause = " Drop the axis of size 1 with target.squeeze()."
        elif z.ndim > 2 and t.ndim == z.ndim - 1:
            cause = " The classes are axis 1 of the logits; if yours are last, use logits.movedim(-1, 1)."
        raise ValueError(
            f"{name}: logits {tuple(z.shape)} but target {tuple(t.shape)}: target {tuple(expected)} is needed.{cause}"
        )
    return False


def labels(loss: Labelled, label: Tensor, ignored: Tensor, classes: int) -> None:
    if label.numel() == 0 or not looks(loss, label):
        return
    wrong = ((label < 0) | (label >= classes)) & ~ignored
    if bool(wrong.any()):
        seen, top = sorted(set(label[wrong].tolist()))[:5], int(label.max())
        cause = "Labels from 1 to C? Subtract 1. " if top == classes and int(label.min()) >= 1 else ""
        raise ValueError(
            f"{type(loss).__name__}: target holds {', '.join(map(str, seen))} but there are {classes} classes "
            f"(0 to {classes - 1}). {cause}A void label? Pass ignore_index={seen[0]}."
        )


def plain_labels(loss: Labelled, label: Tensor, classes: int) -> bool:
    """Whether one look finds every label in range and none ignored, as is usual."""
    if label.numel() == 0 or not looks(loss, label):
        return False
    least, most = (int(x) for x in label.aminmax())
    return least >= 0 and most < classes and not least <= loss.ignore_index <= most


def plain_shares(loss: Labelled, t: Tensor, highest: float = 1.0) -> bool:
    """Whether one look finds every soft yes-or-no target between 0 and 1 and none ignored, as is usual."""
    if t.numel() == 0 or not looks(loss, t):
        return False
    least, most = (float(x) for x in t.detach().aminmax())
    return least >= 0 and most <= highest and not least <= loss.ignore_index <= most


def zeros_and_ones(loss: Labelled, t: Tensor) -> bool:
    """Whether soft yes-or-no targets are plain ones after all, as is usual: half the work."""
    if t.numel() == 0 or t.requires_grad or not looks(loss, t):
        return False
    # t^2 - t is 0 there and nowhere else, but for shares too small to count.
    parts = (t,) if t.numel() <= GLANCE else t.split(GLANCE)
    return all(float(torch.dot(d, d)) == 0 for part in parts for d in ((part * part).sub_(part),))


def distribution(
    loss: Labelled,
    q: Tensor,
    ignored: Tensor | None,
    given: torch.dtype,
    known: tuple[Tensor, Tensor] | None = None,
) -> None:
    """`given` is the dtype that the target came in: bfloat16 cannot write down numbers that sum to 1 exactly.

    known: the sum and the least of each row, where q has some of its classes."""
    if len(q) == 0 or (q.numel() == 0 and known is None) or not looks(loss, q):
        return
    slack = SLACK + torch.finfo(given).eps
    mass = q.sum(1) if known is None else known[0]
    wrong = ~((mass - 1).abs() <= slack)
    if known is not None:
        wrong = wrong | (known[1] < 0)
    elif not bool(q.amin() >= 0):  # a look at all rows at once is far quicker
        wrong = wrong | (q < 0).any(1)
    if ignored is not None:
        wrong = wrong & ~ignored
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0, 0])
        shown = str([round(v, 4) for v in q[row, :6].tolist()]) + ("..." if q.shape[1] > 6 else "")
        where = "" if known is None else " on this rank"
        raise ValueError(
            f"{type(loss).__name__}: soft targets must be >= 0 and sum to 1; row {row} is {shown}{where} "
            f"with sum {float(mass[row]):.4g}. Several labels at once? Use link='sigmoid'."
        )


def table(name: str, table: Tensor, classes: int) -> None:
    if table.shape != (classes, classes):
        knows = f"a table of {tuple(table.shape)}" if table.ndim != 2 else f"{table.shape[0]} classes"
        raise ValueError(f"{name} was made for {knows}, but the logits have {classes}.")


def class_weight(loss: Weighted, weight: Tensor, classes: int) -> None:
    if weight.shape[-1:] != (classes,) or (loss.link == "softmax" and weight.ndim != 1):
        kind = "one number for each class" if loss.link == "softmax" else "(negative, positive)"
        raise ValueError(
            f"{type(loss).__name__}: weight {tuple(weight.shape)} but {classes} classes: {kind} is needed."
        )

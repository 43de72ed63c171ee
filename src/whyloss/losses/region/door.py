"""The door of region losses: what came becomes logits [N, C, P] and their pixels; what cannot be meant is refused."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from whyloss.losses import checks
from whyloss.stats.pixels import Pixels
from whyloss.stats.rows import computing_dtype

if TYPE_CHECKING:
    from whyloss.losses.region.region import RegionLoss


def enter(loss: "RegionLoss", logits: Tensor, target: Tensor, sample_weight: Tensor | None) -> tuple[Tensor, Pixels]:
    """The logits as [N, C, P], and everything else about their pixels; what cannot be meant is refused."""
    z, pixels = described(loss, logits, target, sample_weight)
    look(loss, pixels, z.shape[1])
    return z, pixels


def described(
    loss: "RegionLoss", logits: Tensor, target: Tensor, sample_weight: Tensor | None
) -> tuple[Tensor, Pixels]:
    """The same before a look at the values of the target."""
    name = type(loss).__name__
    checks.logits(name, logits, loss.link)
    if logits.ndim < 2:
        raise ValueError(f"{name}: logits [N, C, *spatial] are needed, got {tuple(logits.shape)}.")
    checks.target(name, logits, target, loss.link)
    z = logits.flatten(2) if logits.ndim > 2 else logits.unsqueeze(2)
    t = target.reshape(z.shape if target.shape == logits.shape else (z.shape[0], z.shape[2]))
    weight = None if sample_weight is None else _pixel_weight(name, sample_weight, logits)
    return z, Pixels(t, loss.link, loss.ignore_index, weight)


def check_reads(loss: "RegionLoss", reads: dict[str, Tensor], logits: Tensor) -> None:
    name, known = type(loss).__name__, (*loss.reads, *loss.may_read)
    if not set(loss.reads) <= set(reads) <= set(known):
        wanted = ", ".join(f"{n}=..." for n in known) or "nothing besides logits and target"
        raise TypeError(f"{name}: the call takes {wanted}; got {', '.join(reads) or 'nothing'}.")
    for key, value in reads.items():
        if value.shape != logits.shape:
            raise ValueError(
                f"{name}: {key} {tuple(value.shape)} must be shaped like the logits {tuple(logits.shape)}."
            )


def _pixel_weight(name: str, weight: Tensor, logits: Tensor) -> Tensor:
    """[N, P]."""
    weight = torch.as_tensor(weight).to(computing_dtype(logits))
    if weight.ndim == 1:
        weight = weight.reshape(-1, *[1] * (logits.ndim - 2))
    try:
        return weight.expand(logits.shape[:1] + logits.shape[2:]).reshape(len(logits), logits.shape[2:].numel())
    except RuntimeError:
        raise ValueError(
            f"{name}: sample_weight {tuple(weight.shape)} does not fit logits {tuple(logits.shape)}; one weight per "
            "pixel [N, *spatial] or per image [N] is needed."
        ) from None


def look(loss: "RegionLoss", pixels: Pixels, classes: int) -> None:
    """Labels must be classes and masks lie between 0 and 1, unless they are ignored."""
    if not checks.looks(loss, pixels.target):
        return
    low, high = pixels.span
    if low >= 0 and high <= (classes - 1 if pixels.labelled else 1):
        return  # at the cost of one look; what is ignored is only worked out if it matters
    if pixels.labelled:
        label = pixels.target.long()
        checks.labels(loss, label, pixels.ignored(label).squeeze(1), classes)
        return
    for image in range(len(pixels.target)):  # one by one, so that the masks of masks stay small
        own = pixels.part(slice(image, image + 1), slice(None))
        t = own.read(torch.float32)
        if bool((((t < 0) | (t > 1)) & ~own.ignored(t)).any()):
            raise ValueError(f"{type(loss).__name__}: masks must lie between 0 and 1.")

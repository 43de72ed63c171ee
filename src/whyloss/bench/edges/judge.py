"""The verdict on a call, computed from what came and what is right. Knows numbers, no package and no case."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

Verdict = Literal["OK", "CRASH", "SILENT", "NAN", "DEAD", "MEAN", "ROUNDED", "OTHER", "WRONG"]
Found = Mapping[str, Tensor]

MEANINGS: dict[Verdict, str] = {
    "OK": "as the contract says",
    "CRASH": "an exception on input that the contract accepts",
    "SILENT": "what should be refused came back as a number, or an argument was dropped without a word",
    "NAN": "NaN or infinity where a finite number is right",
    "DEAD": "a gradient of exactly 0, or nearly, where the loss has a slope: nothing is learnt there",
    "MEAN": "the right sum over another denominator: value and gradient are the same multiple of the right ones",
    "ROUNDED": "right to a few steps of the dtype at 1 and no closer: rounded to 16 bits, or small without digits",
    "OTHER": "equals another definition in use, which is named",
    "WRONG": "none of these, and not the right number",
}
CLOSE = 1e-4  # relative to the largest entry; 16-bit gradients may be off by their own rounding besides
SLOPE = 1e-6  # what is called a slope, and the share of it that is called none
STEPS = 8  # of the dtype at 1


def judge(
    found: Found | Exception,
    right: Found | None,
    dtype: torch.dtype,
    otherwise: Found | None = None,
    ignoring: Found | None = None,
) -> Verdict:
    """`found` is what came, or what was raised; `right` is None where the input is to be refused."""
    if isinstance(found, Exception):
        return "OK" if right is None else "CRASH"
    if right is None or (ignoring is not None and not same(found, right, dtype) and same(found, ignoring, dtype)):
        return "SILENT"
    if same(found, right, dtype):
        return "OK"
    if otherwise is not None and same(found, otherwise, dtype):
        return "OTHER"
    if any(bool((~found[name].isfinite() & right[name].isfinite()).any()) for name in right if _fits(found, right)):
        return "NAN"
    if not _fits(found, right):
        return "WRONG"
    if _dead(found, right):
        return "DEAD"
    if _multiple(found, right, STEPS * torch.finfo(dtype).eps):
        return "MEAN"
    return "ROUNDED" if all(_near(found[name], right[name], dtype) for name in right) else "WRONG"


def same(found: Found, right: Found, dtype: torch.dtype) -> bool:
    return _fits(found, right) and all(_close(found[name], right[name], dtype) for name in right)


def _fits(found: Found, right: Found) -> bool:
    return found.keys() == right.keys() and all(found[name].shape == right[name].shape for name in right)


def _close(found: Tensor, right: Tensor, dtype: torch.dtype) -> bool:
    """Infinities where they should be, the rest within CLOSE of the largest entry."""
    finite = right.isfinite()
    if not torch.equal(found.double()[~finite], right[~finite]):
        return False
    off, size = (found.double() - right)[finite].abs(), right[finite].abs()
    if not off.numel():
        return True
    own = 2 * torch.finfo(found.dtype).eps if found.is_floating_point() and found.ndim and dtype.itemsize == 2 else 0.0
    return bool(off.max() <= max(CLOSE, own) * size.max() + torch.finfo(torch.float32).tiny)


def _dead(found: Found, right: Found) -> bool:
    """No gradient where there is one that float32 can hold and a step would feel."""
    name = "direction" if "direction" in right else "gradient"
    if name not in right or not right[name].numel():
        return False
    slope = right[name].abs().max()
    return bool(slope >= SLOPE and found[name].abs().max() <= SLOPE * slope)


def _multiple(found: Found, right: Found, steps: float) -> bool:
    """One factor for value and gradient together, and not one of rounding."""
    if not {"value", "gradient"} <= right.keys():
        return False
    came, true = (
        torch.cat([side[name].double().flatten() for name in ("value", "gradient")]) for side in (found, right)
    )
    place = true.abs().argmax()
    if not true[place]:
        return False
    factor = came[place] / true[place]
    return bool(
        factor > 0 and abs(factor - 1) > steps and (came - factor * true).abs().max() <= 1e-3 * came.abs().max()
    )


def _near(found: Tensor, right: Tensor, dtype: torch.dtype) -> bool:
    finite = right.isfinite()
    off, size = (found.double() - right)[finite].abs(), right[finite].abs()
    return not off.numel() or bool(off.max() <= STEPS * torch.finfo(dtype).eps * max(1.0, float(size.max())))

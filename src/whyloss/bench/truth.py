"""What is right, in float64: the value over all of the inputs, and the gradient for as much as fits.

Losses of sums are means over the first axis (rows, images), so they are summed item by item; the others are computed in
one piece."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import get_args

import torch
from torch import Tensor

from .case import Beyond, Case
from .inputs import Inputs
from .subjects import Subject

AT_ONCE = 2**24  # logits in float64
KEPT = 2**25  # numbers of a gradient that are compared: its first rows, or those of the first classes


@dataclass(frozen=True)
class Truth:
    """The value, and the first part of the gradient of each leaf."""

    value: float
    gradients: tuple[Tensor, ...]

    def value_error(self, value: Tensor) -> float:
        """Relative."""
        return abs(value.detach().double().item() - self.value) / max(abs(self.value), 1e-300)

    def gradient_error(self, gradients: tuple[Tensor, ...]) -> float:
        """The largest over the leaves of |g - true| / |true|, in Euclidean length."""
        errors: list[float] = []
        for found, true in zip(gradients, self.gradients, strict=True):
            off = found.detach()[: len(true)].double() - true
            errors.append((off.norm() / true.norm().clamp(min=1e-300)).item())
        return worst(errors)


def worst(errors: Sequence[float]) -> float:
    """The largest; not a number if one of them is not."""
    return math.nan if any(map(math.isnan, errors)) else max(errors)


def truth(case: Case, subject: Subject, inputs: Inputs) -> Truth:
    if case.kind in get_args(Beyond):
        return _of_all(case, subject, inputs)
    return _of_head(case, subject, inputs) if case.kind == "linear" else _of_logits(case, subject, inputs)


def _of_all(case: Case, subject: Subject, inputs: Inputs) -> Truth:
    call = subject.plain or subject.call(subject.made(case.classes).to(inputs.target.device))
    leaves = tuple(x.double().requires_grad_() for x in inputs.leaves)
    value = call(*leaves, _exact(inputs.target))
    return Truth(value.item(), torch.autograd.grad(value, leaves))


def _of_logits(case: Case, subject: Subject, inputs: Inputs) -> Truth:
    (z,), items = inputs.leaves, case.shape[0]
    each = prod(case.shape[1:])
    wanted, step = max(1, KEPT // each), max(1, AT_ONCE // each)
    value, gradients = 0.0, list[Tensor]()
    for start in range(0, items, step):
        leaf = z[start : start + step].double().requires_grad_(start < wanted)
        part = _part(subject, leaf, inputs.target[start : start + step], items)
        value += part.item()
        if leaf.requires_grad:
            gradients += torch.autograd.grad(part, leaf)
    return Truth(value, (torch.cat(gradients),))


def _of_head(case: Case, subject: Subject, inputs: Inputs) -> Truth:
    rows, width, classes = case.shape
    hidden, weight = inputs.leaves
    exact = weight.double()
    some = min(classes, max(1, KEPT // width))  # classes whose weights' gradient is compared
    to_weight = exact.new_zeros(some, width)
    wanted, step = max(1, AT_ONCE // classes), max(1, AT_ONCE // classes)
    value, to_hidden = 0.0, list[Tensor]()
    for start in range(0, rows, step):
        h = hidden[start : start + step].double()
        z = (h @ exact.T).requires_grad_()
        part = _part(subject, z, inputs.target[start : start + step], rows)
        (slope,) = torch.autograd.grad(part, z)
        value += part.item()
        to_weight.addmm_(slope[:, :some].T, h)
        if start < wanted:
            to_hidden.append(slope @ exact)
    return Truth(value, (torch.cat(to_hidden), to_weight))


def _part(subject: Subject, z: Tensor, target: Tensor, items: int) -> Tensor:
    """What these items add to the mean over all."""
    assert subject.plain is not None
    return subject.plain(z, _exact(target)) * (len(z) / items)


def _exact(target: Tensor) -> Tensor:
    return target.double() if target.is_floating_point() else target

"""What a boosting library gets as second derivative. Knows tensors; no loss and no library.

A leaf's value is -sum(gradient) / (sum(curvature) + lambda): a row whose curvature is negative pushes the leaf the
wrong way, and one whose curvature is nearly 0 throws it far off. Both happen to losses that are not convex, and 0 to
hinges.

The measure for what is too little is cross-entropy, whose curvature follows from its slope g alone: |g| p where the row
asks for more of the class (g < 0) and |g| (1 - p) where it asks for less. For cross-entropy with labels that is its
second derivative, weighted or not, and with soft labels no more than that, so that a bound from below leaves it
alone."""

from typing import Literal

import torch
from torch import Tensor

Curvature = Literal["bounded", "absolute", "clip", "logistic", "exact"]


def of_equal_slope(slope: Tensor, p: Tensor) -> Tensor:
    """The curvature of the cross-entropy that has this slope at probability p."""
    return slope.abs() * torch.where(slope < 0, p, 1 - p)


def safe(second: Tensor, logistic: Tensor, policy: Curvature) -> Tensor:
    """The curvature of each logit by this policy, from its second derivative and the one of equal slope."""
    match policy:
        case "bounded":
            return torch.maximum(second.abs(), logistic)
        case "absolute":
            return second.abs()
        case "clip":
            return second.clamp_min(0)
        case "logistic":
            return logistic
        case "exact":
            return second


def safe_matrix(second: Tensor, logistic: Tensor, policy: Curvature) -> Tensor:
    """The same for a whole Hessian [C, C] and the curvature of equal slope [C]: the policy acts on its eigenvalues."""
    if policy == "exact":
        return second
    if policy == "logistic":
        classes = len(logistic)
        return torch.diag(logistic * classes / max(classes - 1, 1))
    values, vectors = torch.linalg.eigh(second)
    values = values.clamp_min(0) if policy == "clip" else values.abs()
    mended = (vectors * values) @ vectors.T
    if policy == "bounded":
        mended = mended + torch.diag((logistic - mended.diagonal()).clamp_min(0))
    return mended


def to_sum_to_zero(classes: int) -> float:
    """C / (C - 1): what the diagonal misses where the steps of a row's classes sum to 0 and all are equally likely."""
    return classes / max(classes - 1, 1)


def to_bound(classes: int) -> float:
    """2 diag(p (1 - p)) is no less than cross-entropy's Hessian diag(p) - p p', by the sums of its rows."""
    return 2.0

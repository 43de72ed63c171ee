"""What a boosting library gets as second derivative. Knows tensors; no loss and no library.

A leaf's value is -sum(gradient) / (sum(curvature) + lambda): a row whose curvature is negative pushes the leaf the wrong
way, and one whose curvature is nearly 0 throws it far off. Both happen to losses that are not convex, and 0 to hinges.

All policies but "exact" measure with cross-entropy, whose curvature follows from its slope g alone: |g| p where the row
asks for more of the class (g < 0) and |g| (1 - p) where it asks for less. For cross-entropy itself, soft labels and
weights included, all policies agree, and agree with the second derivative."""

from typing import Literal

import torch
from torch import Tensor

Curvature = Literal["bounded", "absolute", "clip", "logistic", "exact"]


def of_equal_slope(slope: Tensor, p: Tensor) -> Tensor:
    """The curvature of the cross-entropy that has this slope at probability p. Soft labels only have more of it."""
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

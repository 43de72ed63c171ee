"""What becomes of weighted losses and their weights: all of them, their sum, or their mean.

Rows have it from the engines (rows.py), which never hold all losses; here is the same for what is no row."""

import torch
from torch import Tensor


def reduced(
    losses: Tensor,
    weights: Tensor | None,
    reduction: str,
    normalizer: float | Tensor | None = None,
    empty: str = "zero",
) -> Tensor:
    """`losses` are weighted already. The mean divides by the sum of the weights (None: each 1, and there are some), or
    by `normalizer`; where nothing counts it is 0 that still has a graph, or NaN.

    >>> reduced(torch.tensor([6.0, 0.0]), torch.tensor([3.0, 0.0]), "mean")
    tensor(2.)
    """
    if reduction != "mean" and normalizer is not None:
        raise ValueError(f"normalizer replaces the denominator of reduction='mean'; the reduction is {reduction!r}.")
    if reduction == "none":
        return losses
    if reduction == "mean" and normalizer is None and weights is None:
        return losses.mean()
    total = losses.sum()
    if reduction == "sum":
        return total
    if normalizer is not None:
        return total / normalizer
    counted = weights.sum()  # pyright: ignore[reportOptionalMemberAccess]
    nothing = counted == 0
    mean = total / torch.where(nothing, 1.0, counted)
    return torch.where(nothing, total * torch.nan, mean) if empty == "nan" else mean

"""Where boosting starts: the constant scores with the least mean loss. Knows losses and tensors; no library."""

from collections.abc import Callable

import torch
from torch import Tensor

from whyloss.losses.loss import Loss

FAR = 10.0  # log-odds; a start further than this from the prior has few slopes left to learn from


def counted(y: Tensor, w: Tensor | None) -> tuple[Tensor, Tensor]:
    """The different labels, and the weight that each has."""
    labels, which = y.unique(return_inverse=True)
    weights = torch.ones_like(y) if w is None else w
    return labels, torch.zeros_like(labels).index_add(0, which, weights)


def ignored(loss: Loss, y: Tensor) -> Tensor:
    return y == getattr(loss, "ignore_index", -100)


def prior(loss: Loss, z: Tensor, y: Tensor, w: Tensor | None, binary: bool) -> Tensor:
    """The log prior odds, or the [C] log priors, by class and sample weights; for a class never seen, of half a row."""
    out = ignored(loss, y)
    if binary:
        shares = torch.stack([1 - y.double(), y.double()], -1)
    elif y.ndim == 2:
        shares, out = y, out.all(1)
    else:
        shares = torch.nn.functional.one_hot(torch.where(out, 0, y), z.shape[1]).double()
    shares = torch.where(out.unsqueeze(-1), 0.0, shares)
    if (of_classes := getattr(loss, "weight", None)) is not None:
        shares = shares * of_classes.double()
    counts = z.new_ones(len(y)) if w is None else w
    seen = (shares * counts.reshape(-1, *[1] * (shares.ndim - 1))).sum(0)
    total = seen.sum(-1, keepdim=True)
    if not bool((total > 0).all()):
        raise ValueError("Objective: no row counts, so there is nothing to start from.")
    seen = torch.where(seen > 0, seen, 0.5 * total / counts.sum())
    logs = (seen / seen.sum(-1, keepdim=True)).log()
    return logs[..., 1] - logs[..., 0] if binary else logs


def best(mean: Callable[[Tensor], Tensor], start: Tensor, binary: bool) -> Tensor:
    """Where `mean` is least, looked for from `start` on; `start` where that is too far."""
    way = least(mean, start) - start
    distance = way.abs() if binary else way.max() - way.min()
    return torch.where(distance <= FAR, start + way, start)


def least(value: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    """A minimum of `value`, by L-BFGS: to some 1e-8, where rounding hides the rest of the way."""
    score = start.clone().requires_grad_()
    search = torch.optim.LBFGS(
        [score], max_iter=300, tolerance_grad=1e-11, tolerance_change=1e-15, line_search_fn="strong_wolfe"
    )

    def closure() -> float:
        search.zero_grad()
        now = value(score)
        now.backward()
        return float(now.detach())

    with torch.enable_grad():
        search.step(closure)
    return score.detach()

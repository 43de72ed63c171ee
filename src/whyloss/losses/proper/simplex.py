"""Maps from logits to probabilities other than the softmax: sparsemax, entmax, normmax, tempered softmax.

All of them are p_j = (x_j - threshold)^r of scaled logits x, with the threshold that makes a sum 1. It is found by
Newton's method for all rows at once; one more Newton step, which autograd sees, carries the first derivative of the
threshold exactly, and another the second."""

from collections.abc import Callable

import torch
from torch import Tensor

from whyloss.losses.checks import traced
from whyloss.stats.rows import computing_dtype

STEPS = 40  # at most; five to ten are usual


def sparsemax(logits: Tensor, dim: int = -1) -> Tensor:
    """The probabilities nearest to the logits: as the softmax, but classes that are far behind get exactly 0.

    Source: Martins & Astudillo 2016, arXiv:1602.02068, eq. 1.

    >>> import torch, whyloss
    >>> whyloss.sparsemax(torch.tensor([1.0, 0.5, -1.0]))
    tensor([0.7500, 0.2500, 0.0000])
    """
    return entmax(logits, 2.0, dim)


def entmax(logits: Tensor, alpha: float = 1.5, dim: int = -1) -> Tensor:
    """Between the softmax (alpha = 1) and sparsemax (alpha = 2): the larger alpha >= 1, the more classes get exactly 0.

    Source: Peters, Niculae & Martins 2019, arXiv:1905.05702, eq. 9.

    >>> import torch, whyloss
    >>> whyloss.entmax(torch.tensor([1.0, 0.5, -1.0]))
    tensor([0.6740, 0.3260, 0.0000])
    """
    if not alpha >= 1:
        raise ValueError(f"entmax: alpha >= 1 is needed, got {alpha}.")
    if alpha == 1:
        return torch.softmax(logits, dim)
    return _along(logits, dim, lambda z: entmax_rows(z, alpha, derivatives=2)[0])


def normmax(logits: Tensor, alpha: float = 2.0, dim: int = -1) -> Tensor:
    """Probabilities regularised by their norm: sparse as sparsemax, and flatter among the classes that remain.

    alpha > 1; towards infinity the classes that remain get equal shares.

    Source: Blondel, Martins & Niculae 2020, arXiv:1901.02324, section 4.

    >>> import torch, whyloss
    >>> whyloss.normmax(torch.tensor([1.0, 0.5, -1.0]))
    tensor([0.6890, 0.3110, 0.0000])
    """
    if not alpha > 1:
        raise ValueError(f"normmax: alpha > 1 is needed, got {alpha}.")
    return _along(logits, dim, lambda z: normmax_rows(z, alpha, derivatives=2)[0])


def tempered_softmax(logits: Tensor, t: float, dim: int = -1) -> Tensor:
    """The softmax with another exponential: heavy tails for t > 1, exact zeros for 0 <= t < 1, itself for t = 1.

    Source: Amid et al. 2019, arXiv:1906.03361, eq. 5.

    >>> import torch, whyloss
    >>> whyloss.tempered_softmax(torch.tensor([3.0, 0.0]), t=2.0)
    tensor([0.7676, 0.2324])
    """
    if not t >= 0:
        raise ValueError(f"tempered_softmax: t >= 0 is needed, got {t}.")
    if t <= 1:
        return entmax(logits, 2 - t, dim)
    return _along(logits, dim, lambda z: tempered_rows(z, t, derivatives=2))


def entmax_rows(z: Tensor, alpha: float, derivatives: int) -> tuple[Tensor, Tensor]:
    """Entmax of [N, C], and by how much each logit falls short of a probability above 0; alpha > 1."""
    r = 1 / (alpha - 1)
    v = _above((alpha - 1) * z, r, derivatives)
    return power(v, r), (-v).clamp_min(0) / (alpha - 1)


def normmax_rows(z: Tensor, alpha: float, derivatives: int) -> tuple[Tensor, Tensor]:
    """Normmax of [N, C], and what each logit is above the threshold, the slope of the norm: below 0 where p is 0."""
    r = alpha / (alpha - 1)
    v = _above(z, r, derivatives)
    p = power(v, r - 1)
    return p / p.sum(1, keepdim=True), v


def tempered_rows(z: Tensor, t: float, derivatives: int) -> Tensor:
    """Tempered softmax of [N, C]; t >= 0, but not 1."""
    r = 1 / (1 - t)
    return power(_above((1 - t) * z, r, derivatives), r)


def tempered_logs(z: Tensor, t: float) -> Tensor:
    """The logarithm of a tempered softmax of [N, C], to fewer digits where it is nearly 0; t > 1, no derivatives."""
    r = 1 / (1 - t)
    return _above((1 - t) * z, r, 0).log_().mul_(r)


def _along(logits: Tensor, dim: int, rows: Callable[[Tensor], Tensor]) -> Tensor:
    z = logits.to(computing_dtype(logits)).movedim(dim, -1)
    return rows(z.reshape(-1, z.shape[-1])).reshape(z.shape).movedim(-1, dim).to(logits.dtype)


def power(v: Tensor, r: float) -> Tensor:
    """v^r where v is above 0, else 0; with finite slopes."""
    if r == 0:
        return v.detach().sign().clamp_min_(0)
    if r == 1:
        return v.clamp_min(0)
    if r >= 2 or (r > 0 and not torch.is_grad_enabled()):
        return v.clamp_min(0) ** r
    some = v > 0
    return torch.where(some, torch.where(some, v, 1.0) ** r, 0.0)


def _above(x: Tensor, r: float, derivatives: int) -> Tensor:
    """x less the threshold at which the sum of its positive entries to the power r is 1. Relative to the largest
    class, which has the largest x for r > 0 and the least for r < 0; a masked class is infinitely far from it."""
    first = x.detach().amax(1, keepdim=True) if r > 0 else x.detach().amin(1, keepdim=True)
    x = x - first
    with torch.no_grad():
        threshold = _bisected(x, r) if 0 < r < 1 else _newton(x, r)
    for _ in range(derivatives):
        threshold = threshold + _step(x - threshold, r)
    return x - threshold


def _step(v: Tensor, r: float) -> Tensor:
    """Newton's step for the r-norm of v, which is nearly a straight line in the threshold; convex for r >= 1, concave
    for r < 0: from the left of the root each step stays on its side."""
    much, slope = _powers(v, r)
    total = much.sum(1, keepdim=True)
    return (total - (1 if r == 1 else total ** (1 - 1 / r))) / slope.sum(1, keepdim=True)


def _powers(v: Tensor, r: float) -> tuple[Tensor, Tensor]:
    """v^r and v^(r - 1), as `power` has them, at the cost of one; without slopes of one's own."""
    if torch.is_grad_enabled():
        return power(v, r), power(v, r - 1)
    if r == 1:
        return (some := v.clamp_min(0)), some.sign()
    if r == 2:
        return (some := v.clamp_min(0)).square(), some
    if r > 1:
        less = (some := v.clamp_min(0)) ** (r - 1)
        return less * some, less
    if r < 0:  # v >= 1; exp and log take a fifth of the time of **, and leave fewer digits where little is left
        much = torch.log(v).mul_(r).exp_()
        return much, much / v
    much = power(v, r)
    return much, much / torch.where(much > 0, v, 1.0)


def _newton(x: Tensor, r: float) -> Tensor:
    threshold = torch.full_like(x[:, :1], -1.0)  # the largest class alone has its whole sum
    close = 16 * torch.finfo(x.dtype).eps
    for _ in range(STEPS):
        step = _step(x - threshold, r)
        threshold = threshold + step
        if not traced(x) and bool((step.abs() <= close * threshold.abs()).all()):
            break
    return threshold


def _bisected(x: Tensor, r: float) -> Tensor:
    """For 0 < r < 1, where the slope is infinite whenever a class enters."""
    low, high = torch.full_like(x[:, :1], -1.0), torch.zeros_like(x[:, :1])
    for _ in range(60 if x.dtype == torch.float64 else 30):
        middle = (low + high) / 2
        much = power(x - middle, r).sum(1, keepdim=True) >= 1
        low, high = torch.where(much, middle, low), torch.where(much, high, middle)
    return low

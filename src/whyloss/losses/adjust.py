"""Changes to the logits before a loss sees them: shift, margin and scale, for any loss, per class.

z_j -> scale * (z_j + shift_j - margin_j [j is the label]). With the sigmoid link the classes are (negative,
positive). Before all that a row of logits may go through a function (`rewritten`): a soft cap, or one of one's own."""

import math
from dataclasses import field
from typing import Any, ClassVar

import torch
from torch import Tensor

from whyloss.losses.declared import Declared
from whyloss.stats.exact import soft_capped


class Adjustment(Declared):
    """Shift, margin and scale of the logits, and a soft cap on them before that. Any of the four may be left out.

    Shapes: `shift` and `margin` are [C]; `scale` is one number, or [C] (> 0). `softcap` c (> 0) replaces each logit z
    by c tanh(z / c), which keeps it between -c and c; a masked class stays masked.

    >>> import torch, whyloss
    >>> adjust = whyloss.Adjustment(shift=torch.tensor([0.0, 1.0]))
    >>> whyloss.CrossEntropyLoss(adjust=adjust)(torch.zeros(1, 2), torch.tensor([1]))
    tensor(0.3133)
    """

    shift: Tensor | None = None
    margin: Tensor | None = None
    scale: float | Tensor = 1.0
    softcap: float | None = None

    of_rows: ClassVar[bool] = False  # has a `rewritten` of its own

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.of_rows = cls.rewritten is not Adjustment.rewritten

    @property
    def rewrites(self) -> bool:
        """Whether `rewritten` does anything."""
        return self.of_rows or self.softcap is not None

    def check(self) -> None:
        scale = self.scale
        positive = bool((scale > 0).all()) if isinstance(scale, Tensor) else scale > 0
        self.require(positive, "scale > 0", scale)
        self.require(self.softcap is None or self.softcap > 0, "softcap > 0", self.softcap)

    def rewritten(self, logits: Tensor) -> Tensor:
        """What the loss sees in place of logits [N, C, ...] (with the sigmoid link [N]): plain differentiable torch, in
        float32 or float64. A class at minus infinity is masked, and has to stay so."""
        return logits if self.softcap is None else soft_capped(logits, self.softcap)

    def scale_in(self, dtype: torch.dtype) -> Tensor | float | None:
        """The scale in this dtype; None where there is nothing to scale."""
        if isinstance(self.scale, Tensor):
            return self.scale.to(dtype)
        return None if self.scale == 1 else self.scale


class LogitAdjustment(Adjustment):
    """Adds tau * log(prior) to the logits while training, so that the model itself learns to rank the classes evenly.

    Trained this way, the plain argmax of the (unadjusted) logits aims at balanced accuracy. `tau=1` is balanced
    softmax; 0 changes nothing. A class with no examples gets half an example.

    Args:
        counts: [C] examples of each class (or prior probabilities).
        tau: strength, >= 0.

    Source: Menon et al. 2021, arXiv:2007.07314, eq. 10; Ren et al. 2020, arXiv:2007.10740, eq. 4.
    """

    counts: Tensor = field(kw_only=False)
    tau: float = 1.0

    derived = ("shift",)

    def derive(self) -> None:
        super().derive()
        self.shift = self.tau * log_prior(self.counts)

    def check(self) -> None:
        super().check()
        self.require(self.tau >= 0, "tau >= 0", self.tau)


def log_prior(counts: Tensor) -> Tensor:
    """[C] log of the class frequencies; a class that was never seen counts as half an example.

    >>> log_prior(torch.tensor([3.0, 1.0])).exp()
    tensor([0.7500, 0.2500])
    """
    counts = seen(counts)
    return (counts / counts.sum()).log()


def seen(counts: Tensor) -> Tensor:
    """The counts as floats; a class that was never seen counts as half an example."""
    counts = torch.as_tensor(counts, dtype=torch.float32 if not counts.is_floating_point() else counts.dtype)
    if counts.ndim != 1 or bool((counts < 0).any()) or float(counts.sum()) <= 0:
        raise ValueError(f"counts: one number >= 0 for each class is needed, got {counts.tolist()}.")
    return torch.where(counts == 0, 0.5 if float(counts.sum()) > 1.5 else counts[counts > 0].min() / 2, counts)


def effective_number_weights(counts: Tensor, beta: float = 0.999) -> Tensor:
    """[C] class weights (1 - beta) / (1 - beta^n), scaled to a mean of 1: between no weights (0) and 1/n (beta -> 1).

    A class that was never seen gets weight 0. Source: Cui et al. 2019, arXiv:1901.05555, eq. 4.

    >>> effective_number_weights(torch.tensor([1.0, 1000.0]), beta=0.9)
    tensor([1.8182, 0.1818])
    """
    if not 0 <= beta < 1:
        raise ValueError(f"effective_number_weights: 0 <= beta < 1 is needed, got {beta}.")
    counts = torch.as_tensor(counts, dtype=torch.float64)
    # -expm1(n log beta) is 1 - beta^n without losing the digits that matter for beta near 1.
    effective = counts.clamp(max=1) if beta == 0 else -torch.expm1(counts * math.log(beta)) / (1 - beta)
    weights = torch.where(counts > 0, 1 / effective.clamp_min(torch.finfo(torch.float64).tiny), 0.0)
    return (weights * len(counts) / weights.sum()).float()


def deferred_weights(counts: Tensor, epoch: int, start: int, beta: float | None = None) -> Tensor:
    """[C] class weights of deferred re-weighting: all 1 before epoch `start`, balancing ones from then on.

    Weights from the first epoch on spoil the features that the frequent classes teach; set them late, when the learning
    rate has come down. Made for `LDAMLoss`, good with any loss: `loss.weight = deferred_weights(...)` each epoch. The
    paper's algorithm weighs by inverse frequency (None); many, its authors' experiments among them, by effective number
    with beta = 0.9999.

    Source: Cao et al. 2019, arXiv:1906.07413, algorithm 1 (DRW).

    >>> counts = torch.tensor([1000.0, 10.0])
    >>> deferred_weights(counts, epoch=0, start=160), deferred_weights(counts, epoch=160, start=160)
    (tensor([1., 1.]), tensor([ 0.5050, 50.5000]))
    >>> deferred_weights(counts, epoch=160, start=160, beta=0.9999)
    tensor([0.0208, 1.9792])
    """
    if epoch < start:
        return torch.ones(len(counts))
    return balanced_weights(counts) if beta is None else effective_number_weights(counts, beta)


def balanced_weights(counts: Tensor) -> Tensor:
    """[C] class weights inversely proportional to the counts, N / (C n_c); 0 for a class that was never seen.

    >>> balanced_weights(torch.tensor([30.0, 10.0]))
    tensor([0.6667, 2.0000])
    """
    counts = torch.as_tensor(counts, dtype=torch.float64)
    seen = counts > 0
    return torch.where(seen, counts.sum() / (len(counts) * torch.where(seen, counts, 1.0)), 0.0).float()

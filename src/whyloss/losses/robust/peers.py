"""Losses that compare a batch with what it would be if labels told nothing: no rate of noise has to be known."""

import math
from typing import Any

import torch
from torch import Tensor

from whyloss.losses.batch import BatchLoss
from whyloss.losses.loss import LabelledLoss, Link, Loss
from whyloss.losses.proper.likelihood import CrossEntropyLoss
from whyloss.stats.each import to_infinity


class PeerLoss(BatchLoss):
    """A loss, minus the same loss of predictions with labels of other rows: fitting labels blindly is not rewarded.

    For every row, the row whose prediction and the row whose label are taken are drawn anew, each by itself, among the
    rows that count; with the sigmoid link for every answer, among those to the same question. What is drawn depends on
    `seed` and on how many calls there were in training mode, which is part of the state; in evaluation mode the same
    call draws the same. Start with a few epochs of the loss alone.

    Args:
        loss: any loss of rows, with the same link; None is cross-entropy. Its reduction is not used.
        alpha: >= 0, how much is taken off; 0 is the loss itself, 1 the paper's form for balanced classes.
        seed: of what is drawn.

    Formula: mean over n of l(f(x_n), y_n) - alpha l(f(x_n1), y_n2), n1 and n2 random. Source: Liu & Guo 2020,
    arXiv:1910.03231.

    >>> import torch, whyloss
    >>> loss = whyloss.PeerLoss(alpha=1.0)
    >>> loss(torch.zeros(4, 2), torch.tensor([0, 1, 1, 0]))
    tensor(0.)
    """

    link: Link = "softmax"
    loss: Loss | None = None
    alpha: float = 1.0
    seed: int = 0
    source = "Liu & Guo 2020, arXiv:1910.03231"
    short = ("peer",)
    equation = "l(f(x_n), y_n) - alpha l(f(x_n1), y_n2)"
    stateful = True
    fixed = ("link",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def check(self) -> None:
        super().check()
        if self.loss is None:
            self.loss = CrossEntropyLoss(link=self.link)
        rows = isinstance(self.loss, LabelledLoss) and not self.loss.reads and self.loss.link == self.link
        self.require(rows, f"a loss of rows with the {self.link} link", self.loss)
        self.require(self.alpha >= 0, "alpha >= 0", self.alpha)

    def value(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        loss: Any = self.loss
        if self.link == "softmax":
            # An ignored row has no target; whatever stands there is not counted.
            target = torch.where(target.sum(1, keepdim=True) > 0, target, 1 / target.shape[1])
        total, _ = loss.parts(logits, target, weight)
        n1, n2 = self._drawn(weight.reshape(len(weight), -1) != 0)
        column = torch.arange(logits.shape[1], device=logits.device)
        others, _ = loss.parts(logits[n1, column], target[n2, column], weight)
        if self.training:
            self.get_buffer("calls").add_(1)
        return -to_infinity((self.alpha * others - total) / weight.sum())

    def _drawn(self, counted: Tensor) -> tuple[Tensor, Tensor]:
        """[N, Q] For every row that counts for a question the numbers of two, drawn among those that count."""
        order = torch.argsort((~counted).to(torch.int8), dim=0, stable=True)
        rank, question = counted.cumsum(0) - 1, torch.arange(counted.shape[1], device=counted.device)
        number = counted.sum(0).clamp_min(1)
        start = _mixed(_mixed(torch.full_like(rank, self.seed)) + self.get_buffer("calls"))
        first = _mixed(start + 2 * (rank * counted.shape[1] + question))
        return order.gather(0, first.remainder(number)), order.gather(0, _mixed(first + 1).remainder(number))


def _mixed(x: Tensor) -> Tensor:
    """A hash of 64-bit integers: numbers that look random, the same on every device and inside torch.compile."""
    x = x + 0x1E3779B97F4A7C15
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * 0x3F58476D1CE4E5B9
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * 0x14D049BB133111EB
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


class DeterminantMutualInformationLoss(BatchLoss):
    """The information that predictions and labels share, as a determinant: label noise only adds a constant.

    Any relabelling of the classes is as good for it, so start from a model trained with cross-entropy, at a small
    learning rate. Batches should be large beside C: with fewer rows than classes there is no determinant. It is
    computed in float64. Classes without a label in the batch are left out (what is left is the volume that the others
    span). The authors' code takes sums over the rows in place of means, and adds 0.001 to the determinant: the same but
    for a constant as long as the determinant of the sums is large.

    Args:
        floor: >= 0; singular values of the joint distribution much below it count as it, so that a model that tells no
            classes apart has a finite loss and slope. 0 is the definition.

    Formula: -log |det U| with U_ij the mean over the rows of p_i [j = y]. Source: Xu et al. 2019, arXiv:1909.03388.
    With the sigmoid link, the mean over the questions.

    >>> import torch, whyloss
    >>> z = torch.tensor([[50.0, 0.0], [0.0, 50.0]])
    >>> whyloss.DeterminantMutualInformationLoss()(z, torch.tensor([0, 1]))
    tensor(1.3863)
    """

    floor: float = 1e-6
    source = "Xu et al. 2019, arXiv:1909.03388"
    short = ("dmi",)
    equation = "-log |det U|, U_ij = mean of p_i [j = y]"
    proper = False
    bounded = None

    def check(self) -> None:
        super().check()
        self.require(0 <= self.floor < math.inf, "floor >= 0", self.floor)

    def value(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        if self.link == "softmax":
            return self._of(torch.softmax(logits, 1).unsqueeze(1), target.unsqueeze(1), weight.unsqueeze(1)).squeeze(0)
        p = torch.stack([torch.sigmoid(-logits), torch.sigmoid(logits)], 2)
        t = torch.stack([1 - target, target], 2)
        asked = (weight != 0).any(0)
        return torch.where(asked, self._of(p, t, weight), 0.0).sum() / asked.sum()

    def _of(self, p: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """[Q] of Q questions: p and target [N, Q, C], weight [N, Q]."""
        dtype = p.dtype
        p, target, weight = p.double(), target.double(), weight.double()
        count = weight.sum(0)
        w = weight / torch.where(count > 0, count, 1.0)
        joint = torch.einsum("nqi,nq,nqj->qij", p, w, target)
        present = (w.unsqueeze(2) * target).sum(0) > 0
        # The volume of the columns that are there: det(U^T U), in which an absent one is a factor of 1.
        gram = joint.mT @ joint + torch.diag_embed(torch.where(present, self.floor**2, 1.0))
        return (-0.5 * torch.linalg.slogdet(gram).logabsdet).to(dtype)

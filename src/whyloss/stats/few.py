"""The mean of a loss over a few rows on the CPU, where each operation takes longer than what it does.

Straight down, with no block and no look at what an operation sees anyway: the probabilities of a row, the odds of its
label, the formula, the gradient. For formulas of the odds, and of what label smoothing adds; where the odds are extreme
or a label is none, it says so, and the dense engine, which is exact everywhere, has its turn."""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import nll_loss

from whyloss.stats import reference
from whyloss.stats.elementwise import room
from whyloss.stats.pixels import Misread, masks_of
from whyloss.stats.rows import Rows, flat
from whyloss.stats.table import needed

MOST, ROWS = 2**17, 2**9  # logits, and rows: a softmax over a few classes takes as long for each as over many
# Pixels: classes for which it pays, and logits of all.
NARROW, PIXELS = 8, 2**18
EXACT = (torch.float32, torch.float64)
NOBODY = -(2**63)  # a label that no row has, so that any that is no class raises IndexError
KNOWN = {"log_odds", "rest_log_p", "rest_count"}  # statistics
FAINT, LOUD = 1e-15, 1e15  # sums of exponentials that are relative to nothing, and exact
FAR = 60.0  # log-odds within which no probability comes near what a dtype can hold


class Few:
    """How it is made: of the loss that `rows` speak of, with no label of their own. ignore: the label of no row.
    trusts: no label was none so far; to be told so costs more than a look before."""

    def __init__(self, rows: Rows, ignore: int):
        self.rows, self.ignore, self.trusts = replace(rows, label=None), ignore, True
        program = rows.program() if KNOWN.issuperset(needed(frozenset(rows.names))) else None
        self.program = program if program is not None and program.inputs else None
        self.smooth = self.program is not None and "rest_log_p" in self.program.inputs

    def fits(self, z: Tensor) -> bool:
        few = (len(z) <= ROWS and z.numel() <= MOST) if z.ndim == 2 else (z.shape[1] <= NARROW and z.numel() <= PIXELS)
        return few and self.program is not None and z.dtype in EXACT and not 0 <= self.ignore < z.shape[1]

    def mean(
        self, z: Tensor, label: Tensor, weight: Tensor | None = None, of_rows: Tensor | None = None
    ) -> Tensor | None:
        """Of logits [N, C], each row for 1, or for the weight [C] of its class, or its own, [N], or both. None where it
        is not exact, or a label is none."""
        wanted = z.requires_grad and torch.is_grad_enabled()
        found = self.both(z.detach(), label, weight, of_rows, wanted)
        if found is None or not wanted:
            return None if found is None else found[0]
        return _Few.apply(z, label, weight, of_rows, found, self)  # pyright: ignore[reportReturnType]

    def both(
        self, z: Tensor, label: Tensor, weight: Tensor | None, of_rows: Tensor | None, wanted: bool = True
    ) -> tuple[Tensor, Tensor | None] | None:
        """The mean and, if it is wanted, its gradient."""
        assert self.program is not None
        try:
            parts = _Rows(z, label, self.smooth) if z.ndim == 2 else _Pixels(z, label)
        except (IndexError, Misread):
            self.trusts = False
            return None
        given, others, count = {"log_odds": parts.odds}, parts.others, z.shape[1] - 1
        if not all(abs(x.item()) < FAR for x in parts.odds.aminmax()):
            return None
        if self.smooth:
            given["rest_log_p"] = parts.rest_log_p(count)
            given["rest_count"] = torch.full_like(others, count)
            if not math.isfinite(given["rest_log_p"].sum().item()):
                return None
        losses, found = self.program({name: given[name] for name in self.program.inputs}, near=True)
        counts = weights_of_rows(label, weight, of_rows, z.dtype)
        if counts is None:
            value, share = losses.mean(), 1 / label.numel()
        else:
            if not counts.amin().item() > 0:
                return None
            share = (counts / counts.sum()).view_as(others)
            value = (losses * share).sum()
        if not wanted:
            return value, None
        of_label = found["log_odds"] * share if "log_odds" in found else torch.zeros_like(others)
        of_all = found["rest_log_p"] * share if "rest_log_p" in found else None
        return value, parts.gradient(of_label, of_all, count).view_as(z)

    def exactly(self, z: Tensor, label: Tensor, weight: Tensor | None, of_rows: Tensor | None) -> Tensor:
        """The mean in plain differentiable torch."""
        losses = reference.row_losses(flat(z.flatten(2)) if z.ndim > 2 else z, self.rows.of_labels(label.reshape(-1)))
        counts = weights_of_rows(label, weight, of_rows, z.dtype)
        return losses.mean() if counts is None else (losses * counts.reshape(-1)).sum() / counts.sum()


class _Rows:
    """e [N, C]: what each class has of the probability, the label 0. others: the sum of e; odds: the logarithm of what
    the label has over that, both [N]."""

    def __init__(self, z: Tensor, label: Tensor, smooth: bool):
        self.log_p = torch.log_softmax(z, 1) if smooth else None
        p = torch.softmax(z, 1) if self.log_p is None else self.log_p.exp()
        own = nll_loss(p, label, ignore_index=NOBODY, reduction="none").neg_()
        self.places = label.unsqueeze(1)
        self.e = p.scatter_(1, self.places, 0.0)
        self.others = self.e.sum(1)
        self.odds = own.div_(self.others).log_()

    def rest_log_p(self, count: int) -> Tensor:
        assert self.log_p is not None
        return self.log_p.scatter_(1, self.places, 0.0).sum(1).sub_(self.others.log(), alpha=count)

    def gradient(self, of_label: Tensor, of_all: Tensor | None, count: int) -> Tensor:
        """From the slope in the odds, and in `rest_log_p`."""
        less = of_label if of_all is None else torch.add(of_label, of_all, alpha=count)
        found = self.e.mul_((less / self.others).neg_().unsqueeze(1))
        if of_all is not None:
            found.add_(of_all.unsqueeze(1))
        return found.scatter_(1, self.places, of_label.unsqueeze(1))


class _Pixels:
    """The same for a few classes of pixels: e [N, C, P], the others [N, 1, P]. Products with masks of 0 and 1 take less
    time than to gather and to scatter."""

    def __init__(self, z: Tensor, label: Tensor):
        z, label = z.flatten(2), label.flatten(1)
        self.z, e = z, torch.exp(z)
        masks, self.of_label = (x.view(z.shape) for x in room(2, z.numel(), z.dtype))
        self.masks = masks_of(label, z.shape[1], z.dtype, masks)
        if self.masks.sum(2).sum(dtype=torch.float64).item() != label.numel():
            raise Misread
        self.ones = e.new_ones(len(z), 1, z.shape[1])
        self.e = e.sub_(torch.mul(self.masks, e, out=self.of_label))
        self.others = self.ones @ self.e
        own = self.ones @ self.of_label
        # Of sums that are too large or too small to be exact the odds are far, or no numbers.
        sound = self.others.amin().item() > FAINT and self.others.amax().item() < LOUD and own.amin().item() > FAINT
        self.odds = own.div_(self.others).log_() if sound else own.fill_(torch.nan)

    def rest_log_p(self, count: int) -> Tensor:
        found = self.ones @ (self.z - self.masks * self.z)
        return found.sub_(self.others.log(), alpha=count)

    def gradient(self, of_label: Tensor, of_all: Tensor | None, count: int) -> Tensor:
        less = of_label if of_all is None else torch.add(of_label, of_all, alpha=count)
        found = self.e.mul_((less / self.others).neg_())
        if of_all is not None:
            found.add_(of_all)
            of_label = of_label - of_all
        return found.add_(torch.mul(self.masks, of_label, out=self.of_label))


def weights_of_rows(label: Tensor, weight: Tensor | None, of_rows: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Like labels, from the weights of classes and of rows; None: 1 each."""
    own = None if of_rows is None else of_rows.to(dtype)
    if weight is None:
        return own
    counts = weight.detach().to(dtype).index_select(0, label.reshape(-1)).view_as(label)
    return counts if own is None else counts * own


class _Few(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, z: Tensor, label: Tensor, weight: Tensor | None, of_rows: Tensor | None, found: Any, few: Few
    ) -> Tensor:
        value, ctx.gradient = found
        ctx.few = few
        ctx.save_for_backward(z, label, weight, of_rows)
        return value

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (u,) = upstream
        z, *given = ctx.saved_tensors
        nothing = (None,) * 5
        if torch.is_grad_enabled():  # create_graph: the derivative itself must be differentiable
            return *torch.autograd.grad(ctx.few.exactly(z, *given), z, u, create_graph=True), *nothing
        # Whoever asks first gets the gradient itself; a second backward pass computes it again.
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            gradient = ctx.few.both(z.detach(), *given)[1]
        return gradient if u.item() == 1 else gradient.mul_(u), *nothing

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
from whyloss.stats.rows import Rows
from whyloss.stats.table import needed

MOST, ROWS = 2**17, 2**9  # logits, and rows: a softmax over a few classes takes as long for each as over many
EXACT = (torch.float32, torch.float64)
NOBODY = -(2**63)  # a label that no row has, so that any that is no class raises IndexError
KNOWN = {"log_odds", "rest_log_p", "rest_count"}  # statistics
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
        small = self.program is not None and z.numel() <= MOST and len(z) <= ROWS
        return small and z.dtype in EXACT and not 0 <= self.ignore < z.shape[1]

    def mean(
        self, z: Tensor, label: Tensor, weight: Tensor | None = None, of_rows: Tensor | None = None
    ) -> Tensor | None:
        """Of logits [N, C], each row for 1, or for the weight [C] of its class, or its own, [N], or both. None where it
        is not exact, or a label is none."""
        found = self.both(z.detach(), label, weight, of_rows)
        if found is None or not (z.requires_grad and torch.is_grad_enabled()):
            return None if found is None else found[0]
        return _Few.apply(z, label, weight, of_rows, found, self)  # pyright: ignore[reportReturnType]

    def both(
        self, z: Tensor, label: Tensor, weight: Tensor | None, of_rows: Tensor | None
    ) -> tuple[Tensor, Tensor] | None:
        """The mean and its gradient."""
        assert self.program is not None
        log_p = torch.log_softmax(z, 1) if self.smooth else None
        p = torch.softmax(z, 1) if log_p is None else log_p.exp()
        try:
            own = nll_loss(p, label, ignore_index=NOBODY, reduction="none").neg_()
        except IndexError:
            self.trusts = False
            return None
        places, count = label.unsqueeze(1), z.shape[1] - 1
        others = p.scatter_(1, places, 0.0).sum(1)
        given = {"log_odds": own.div_(others).log_()}
        if not all(abs(x.item()) < FAR for x in given["log_odds"].aminmax()):
            return None
        if log_p is not None:
            given["rest_log_p"] = log_p.scatter_(1, places, 0.0).sum(1).sub_(others.log(), alpha=count)
            given["rest_count"] = torch.full_like(others, count)
            if not math.isfinite(given["rest_log_p"].sum().item()):
                return None
        losses, found = self.program({name: given[name] for name in self.program.inputs}, near=True)
        counts = weights_of_rows(label, weight, of_rows, z.dtype)
        if counts is None:
            value, share = losses.mean(), 1 / len(z)
        else:
            if not counts.amin().item() > 0:
                return None
            share = counts / counts.sum()
            value = torch.dot(losses, share)
        of_label = found["log_odds"] * share if "log_odds" in found else torch.zeros_like(others)
        of_all = found["rest_log_p"] * share if "rest_log_p" in found else None
        less = of_label if of_all is None else torch.add(of_label, of_all, alpha=count)
        gradient = p.mul_((less / others).neg_().unsqueeze(1))
        if of_all is not None:
            gradient.add_(of_all.unsqueeze(1))
        return value, gradient.scatter_(1, places, of_label.unsqueeze(1))

    def exactly(self, z: Tensor, label: Tensor, weight: Tensor | None, of_rows: Tensor | None) -> Tensor:
        """The mean in plain differentiable torch."""
        losses = reference.row_losses(z, self.rows.of_labels(label))
        counts = weights_of_rows(label, weight, of_rows, z.dtype)
        return losses.mean() if counts is None else torch.dot(losses, counts) / counts.sum()


def weights_of_rows(label: Tensor, weight: Tensor | None, of_rows: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """[N] from the weights of classes and of rows; None: 1 each."""
    own = None if of_rows is None else of_rows.to(dtype)
    if weight is None:
        return own
    counts = weight.detach().to(dtype).index_select(0, label)
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

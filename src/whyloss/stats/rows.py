"""What crosses from a loss down to an engine: logits as rows, labels, and the formula to run between the two passes."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from whyloss.stats.kept import Kept
from whyloss.stats.smoothing import Smoothing, one_hot
from whyloss.stats.table import HUGE, derive
from whyloss.stats.trace import Program, trace


def computing_dtype(z: Tensor) -> torch.dtype:
    """What a loss of these logits is computed in: float32, or float64 where they are that already."""
    return torch.float64 if z.dtype == torch.float64 else torch.float32


def flat(z: Tensor) -> Tensor:
    """Logits as rows [N, C]; of planes [N, C, P] a row is a pixel. Questions [N] stay what they are."""
    return z if z.ndim <= 2 else z.movedim(1, -1).reshape(-1, z.shape[1])


@dataclass(frozen=True)
class Rows:
    """One loss on N rows of logits; everything but the logits themselves.

    names: the statistics that `formula` reads, by keyword; it returns the loss per row.
    label: [N] class indices. mix: [N, C] coefficients of each possible label (a soft target), in place of `label`; with
    the sigmoid link [N] stands for (1 - mix, mix).
    smoothing: what makes the coefficients of each possible label of `label` or `mix`; None: they are given.
    weight: [N], multiplies the row losses. keep: [N], False for rows that must count for nothing, whatever they hold.
    ignore: in place of `keep`, the label, or the `mix` [N], of such rows.
    shift: [C], scale: number or [C], margin: [C] with z -> scale * (z + shift - margin at the label).
    table: [C, C] and power: arguments of the statistics that take one.
    soft_labels: the formula is -sum_j table[y, j] log p_j over the classes that are not masked.
    offset: [N], added to the row losses before they are weighted. offset_of: what makes it of the (smoothed) target,
    where each process has some of the classes.
    learnable: the formula reads something besides the statistics that needs a gradient.
    inplace: the backward pass may write the gradient over the logits.
    key: stands for all that the formula depends on besides the statistics; None: nobody knows.
    normalized: divide the loss of the label by the sum of the losses of all possible labels."""

    names: tuple[str, ...]
    formula: Callable[..., Tensor]
    label: Tensor | None
    mix: Tensor | None = None
    smoothing: Smoothing | None = None
    weight: Tensor | None = None
    keep: Tensor | None = None
    ignore: int | None = None
    shift: Tensor | None = None
    scale: Tensor | float | None = None
    margin: Tensor | None = None
    table: Tensor | None = None
    power: float | None = None
    soft_labels: bool = False
    normalized: bool = False
    offset: Tensor | None = None
    offset_of: Callable[[Tensor], Tensor] | None = None
    learnable: bool = False
    inplace: bool = False
    key: Hashable = None

    def resolved(self) -> "Rows":
        """The same with `keep` in place of `ignore`."""
        if self.ignore is None:
            return self
        name = "label" if self.mix is None else "mix"
        asked: Tensor = getattr(self, name)
        keep = asked != self.ignore
        return replace(self, **{"ignore": None, "keep": keep, name: torch.where(keep, asked, 0)})

    def of_labels(self, label: Tensor, weight: Tensor | None = None) -> "Rows":
        """The same for other rows, all of which count. `replace` takes ten times as long."""
        other = object.__new__(Rows)
        vars(other).update(vars(self), label=label, weight=weight)
        return other

    def block(self, start: int, stop: int) -> "Rows":
        """The rows from start to stop."""
        return self._each(lambda part: part[start:stop])

    def take(self, chosen: Tensor) -> "Rows":
        """The rows with these numbers."""
        return self._each(lambda part: part[chosen])

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Rows":
        """The same of fewer rows: `change` on everything that has one entry a row."""
        names = ("label", "mix", "weight", "keep", "offset")
        return replace(self, **{name: change(part) for name in names if (part := getattr(self, name)) is not None})

    @property
    def every_label(self) -> bool:
        """Whether the loss of every class as label is needed."""
        return self.mix is not None or self.smoothing is not None or self.normalized

    def mixture(self, z: Tensor) -> Tensor:
        """[N, C] coefficients of the labels; the logits say which classes are masked."""
        q = self.mix
        if q is None:
            assert self.label is not None
            q = one_hot(self.label, z.shape[1], z.dtype)
        return q if self.smoothing is None else self.smoothing.mix(q, (~torch.isneginf(z)).to(q.dtype))

    def run(self, base: dict[str, Tensor]) -> Tensor:
        """The formula on these statistics, in their shape."""
        known = base if self.power is None else {**base, "power": self.power}
        loss = self.formula(**derive(self.names, known))
        return loss.expand_as(base["log_odds"])

    def program(self, slopes: bool = True, every_label: bool = False) -> Program | None:
        """The formula and, if asked for, its slopes, traced; None where that cannot be done, or not be relied on."""
        return None if self.key is None else _traced(self, slopes, every_label)

    def margins(self) -> Tensor | None:
        """[C], what is taken off the label's logit after scaling."""
        if self.margin is None:
            return None
        return self.margin if self.scale is None else self.margin * self.scale


def over(z: Tensor, rows: Rows) -> Tensor | None:
    """The memory of the logits, for their gradient, if it may be had: not that of a leaf, which somebody keeps, and not
    where one number stands for several logits."""
    base = z if z._base is None else z._base  # pyright: ignore[reportPrivateUsage]
    if not rows.inplace or (base.is_leaf and base.requires_grad) or 0 in z.stride():
        return None
    return z.detach()


def spent(z: Tensor) -> None:
    """Tells autograd that logits were overwritten where it did not see it; who needs them gets torch's own error."""
    torch.autograd.graph.increment_version(z)


_programs = Kept[Program | None]()


def _traced(rows: Rows, slopes: bool, every_label: bool) -> Program | None:
    key = (rows.key, rows.names, rows.power, slopes, every_label)
    return _programs.get(key, lambda: trace(rows.formula, rows.names, rows.power, slopes, every_label))


def infinite(loss: Tensor, impossible: Tensor) -> Tensor:
    """The loss, where an impossible label (logit minus infinity) makes an unbounded loss infinite, as it should be.

    The formula itself saw a huge finite log-odds, so that its slopes stay numbers."""
    boundless = impossible & (loss.detach().abs() > HUGE**0.5)
    return loss + torch.where(boundless, loss.detach() * torch.inf, 0.0)

"""Losses add, subtract and scale. Row losses that agree in their options become one row loss, and so share one pass."""

from collections.abc import Callable, Hashable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from whyloss.losses import rows as door
from whyloss.losses.formula import Formula
from whyloss.losses.loss import Loss, RowLoss
from whyloss.stats.autocast import without_autocast

OPTIONS = tuple(RowLoss.fields())  # weight, ignore_index, reduction, link, ...


def scale(loss: Loss, factor: float) -> Loss:
    """factor * loss."""
    if isinstance(loss, RowSum):
        return loss.times(factor)
    if isinstance(loss, LossSum):
        terms, factors = _terms(loss)
        return LossSum(terms, tuple(c * factor for c in factors))
    if isinstance(loss, RowLoss) and _is_its_formula(loss):
        return row_sum((loss,), (factor,))
    return LossSum((loss,), (factor,))


def add(a: Loss, b: Loss) -> Loss:
    """a + b, in one pass where both are row losses with the same options."""
    if isinstance(a, RowLoss) and isinstance(b, RowLoss) and _agree(a, b):
        (at, af), (bt, bf) = _terms(a), _terms(b)
        return row_sum(at + bt, af + bf)
    (at, af), (bt, bf) = _terms(a), _terms(b)
    return LossSum(at + bt, af + bf)


def _terms(loss: Loss) -> tuple[tuple[Any, ...], tuple[float, ...]]:
    if isinstance(loss, RowSum | LossSum):
        return tuple(loss.terms), loss.factors
    return (loss,), (1.0,)


def _agree(a: RowLoss, b: RowLoss) -> bool:
    """Whether one pass can serve both: equal options, and no two values for one argument of a statistic."""
    if not (_is_its_formula(a) and _is_its_formula(b)):
        return False
    for name in OPTIONS:
        x, y = getattr(a, name), getattr(b, name)
        if not _same(x, y):
            return False
    arguments = ((a.argument(n), b.argument(n)) for n in ("power", "table"))
    return all(x is None or y is None or _same(x, y) for x, y in arguments)


def _is_its_formula(loss: RowLoss) -> bool:
    """A normalised loss is more than that, and so is one that remembers its calls or has a way of its own."""
    return not loss.normalized and not loss.stateful and type(loss).forward is RowLoss.forward


def _same(x: Any, y: Any) -> bool:
    if isinstance(x, Tensor) and isinstance(y, Tensor):
        return x.shape == y.shape and torch.equal(x, y)
    return x is y or x == y


def row_sum(terms: tuple[RowLoss, ...], factors: tuple[float, ...]) -> "RowSum":
    shared = {name: getattr(terms[0], name) for name in OPTIONS}
    return RowSum(**shared).of(terms, factors)


class RowSum(RowLoss):
    """A weighted sum of row losses, itself a row loss: what `a * loss + b * other` makes. It takes the options that its
    terms have then; later ones are set on the sum."""

    def of(self, terms: tuple[RowLoss, ...], factors: tuple[float, ...]) -> "RowSum":
        self.terms, self.factors = nn.ModuleList(terms), factors
        return self

    def times(self, factor: float) -> "RowSum":
        return row_sum(tuple(self.terms), tuple(c * factor for c in self.factors))  # pyright: ignore[reportArgumentType]

    def formulas(self) -> tuple[Formula, Formula | None]:
        pairs = [term.formulas() for term in self._losses()]
        averages = [average for _, average in pairs if average is not None]
        return self._sum([own for own, _ in pairs]), self._sum(averages) if len(averages) == len(pairs) else None

    def _losses(self) -> list[RowLoss]:
        return list(self.terms)  # pyright: ignore[reportReturnType]

    def _sum(self, formulas: list[Formula]) -> Formula:
        def weighted(**statistics: Tensor) -> Tensor:
            total = self.factors[0] * formulas[0](statistics)
            for factor, formula in zip(self.factors[1:], formulas[1:], strict=True):
                total = total + factor * formula(statistics)
            return total

        def key() -> Hashable:
            keys = [formula.key() for formula in formulas]
            return None if None in keys else ("sum", self.factors, *keys)

        return Formula(tuple(dict.fromkeys(n for f in formulas for n in f.names)), weighted, key)

    def argument(self, name: str) -> Any:
        return next((v for term in self._losses() if (v := term.argument(name)) is not None), None)

    def offset(self, target: Tensor) -> Tensor | None:
        total = None
        for factor, loss in zip(self.factors, self._losses(), strict=True):
            if (offset := loss.offset(target)) is not None:
                total = factor * offset if total is None else total + factor * offset
        return total

    def extra_repr(self) -> str:
        return f"factors={self.factors}"


class LossSum(Loss):
    """A weighted sum of losses that do not share their options: each is computed by itself. An option that is set on
    the sum is set on every term that has it."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "LossSum":
        return super().__new__(cls)  # pyright: ignore[reportReturnType]

    def __init__(self, terms: tuple[Loss, ...], factors: tuple[float, ...]):
        self.terms, self.factors = nn.ModuleList(terms), factors

    def __setattr__(self, name: str, value: Any) -> None:
        terms: list[Any] = list(self._modules.get("terms") or ())  # pyright: ignore[reportArgumentType]
        holders = [term for term in terms if name in term.fields() or isinstance(term, LossSum)]
        for term in holders:
            setattr(term, name, value)
        if not holders:
            super().__setattr__(name, value)

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
        **reads: Tensor,
    ) -> Tensor:
        losses: list[Any] = list(self.terms)
        if unknown := set(reads) - {name for loss in losses for name in loss.reads}:
            raise TypeError(f"No term of this sum reads {', '.join(sorted(unknown))}.")
        return self._added(
            loss(logits, target, sample_weight, normalizer, **{n: reads[n] for n in loss.reads if n in reads})
            for loss in losses
        )

    def linear(
        self,
        hidden: Tensor,
        weight: Tensor,
        target: Tensor,
        bias: Tensor | None = None,
        *,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
        softcap: float | None = None,
        memory: int | None = None,
        **more: Any,
    ) -> Tensor:
        """`RowLoss.linear` of the sum. Each chunk of logits is made once, for all terms, where these agree in link,
        reduction, engine and what their adjustments do to whole rows; else each term makes its own, as it does inside
        torch.compile and with classes that are split over ranks."""
        calls, losses = self._each("linear"), list[Any](self.terms)
        options, ours = (sample_weight, softcap, memory), all(type(x).linear is RowLoss.linear for x in losses)
        if ours and not more and not torch.compiler.is_compiling():
            hidden, weight, bias = door.head_of(losses[0], hidden, weight, bias, softcap, memory)
            with without_autocast(hidden.device.type):
                entered = [door.enter_linear(loss, hidden, weight, target, bias, *options) for loss in losses]
            if door.of_one_head(entered):
                return door.together(entered, self.factors, normalizer)
        given = {"sample_weight": sample_weight, "normalizer": normalizer, "softcap": softcap, "memory": memory}
        return self._added(call(hidden, weight, target, bias, **given, **more) for call in calls)

    def sharded(self, logits: Tensor, target: Tensor, **more: Any) -> Tensor:
        """`RowLoss.sharded` of each term."""
        return self._added(call(logits, target, **more) for call in self._each("sharded"))

    def _each(self, way: str) -> list[Callable[..., Tensor]]:
        for term in self.terms:
            if not hasattr(term, way):
                raise TypeError(
                    f"LossSum.{way}: {type(term).__name__} has no {way}, as its rows are no function of sums over the "
                    "classes. Call the sum itself, with logits."
                )
        return [getattr(term, way) for term in self.terms]

    def _added(self, values: Iterable[Tensor]) -> Tensor:
        return torch.stack([c * v for c, v in zip(self.factors, values, strict=True)]).sum(0)

    def changed(self) -> dict[str, Any]:
        return {"factors": self.factors}

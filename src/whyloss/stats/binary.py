"""The sigmoid link as one short program: from a logit and its label to the loss and the slope of the logit.

A logit z under the sigmoid link is a row of two classes with logits 0 and z, so that its sums over the other classes
have one term each and are arithmetic on z. The formula runs on symbols of them; what comes out is differentiated and
made simple as a whole. Knows symbols and graphs; the engines run the program."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

import torch
from torch import Tensor

from whyloss.stats.exact import share
from whyloss.stats.kept import Kept
from whyloss.stats.program import Graph, Program, simplified
from whyloss.stats.rows import Rows
from whyloss.stats.slopes import differentiate
from whyloss.stats.table import HUGE, derive
from whyloss.stats.trace import Symbol

ELEMENTS = (
    "z",
    "label",
    "mix",
    "mix0",
    "mix1",
)  # inputs that differ from logit to logit; the others are one number each

_programs = Kept[Program | None]()


def program(rows: Rows, endless: bool) -> Program | None:
    """Loss and slope of one logit, before it is offset and weighted; None where the formula cannot be traced.

    Its inputs are `ELEMENTS` and what `numbers` gives. `endless`: some logits may be infinite."""
    if rows.key is None:
        return None
    scales = 2 if isinstance(rows.scale, Tensor) and rows.scale.ndim else rows.scale is not None
    given = (
        0 if rows.mix is None else rows.mix.ndim,
        rows.shift is None,
        scales,
        rows.margin is None,
        rows.table is None,
    )
    key = (rows.key, rows.names, rows.power, rows.normalized, given, endless)
    return _programs.get(key, lambda: _traced(rows, endless))


def _traced(rows: Rows, endless: bool) -> Program | None:
    try:
        return _Tracing(rows, endless).program()
    except Exception:  # whatever it is, the formula itself will show it, in its own words
        return None


def numbers(rows: Rows, like: Tensor) -> dict[str, Tensor]:
    """The inputs of the program that are one number each, in the dtype and on the device of `like`."""
    found: dict[str, Tensor] = {}
    pairs = {"shift": rows.shift, "margin": rows.margins(), "scale": rows.scale}
    for name, value in pairs.items():
        if value is not None:
            pair = torch.as_tensor(value, dtype=like.dtype, device=like.device).expand(2)
            found |= {f"{name}{label}": pair[label] for label in (0, 1)}
    if rows.table is not None:
        found |= {f"table{i}{j}": rows.table[i, j].to(like) for i in (0, 1) for j in (0, 1)}
    return found


@dataclass
class _Evaluation:
    """The loss of one label: as it is differentiated, and where the label is impossible."""

    loss: Symbol
    impossible: Symbol | None

    def told(self) -> Symbol:
        """The loss, infinite where an impossible label makes an unbounded loss so, as `rows.infinite` has it."""
        if self.impossible is None:
            return self.loss
        boundless = self.impossible & (abs(self.loss) > HUGE**0.5)
        return self.loss.do("where", boundless, self.loss * inf, self.loss)


class _Tracing:
    def __init__(self, rows: Rows, endless: bool):
        self.rows, self.graph = rows, Graph()
        self.z = self._input("z")
        z, self.infinite = self.z, None
        if endless:
            high, low = z >= inf, z <= -inf
            z, self.infinite = z.do("where", high, HUGE, z.do("where", low, -HUGE, z)), high | low
        self.zero = self._constant(0.0)
        self.pair = (self._adjusted(self.zero, 0), self._adjusted(z, 1))

    def program(self) -> Program:
        told, loss = self._loss()
        slopes = differentiate(self.graph, loss.line, {"z": self.z.line})
        inputs = tuple(line[1] for line in self.graph.lines if line[0] == "input")
        slopes.setdefault("z", self.zero.line)
        return simplified(self.graph, inputs, told.line, slopes)

    def _loss(self) -> tuple[Any, Any]:
        """What is told as the loss, and what is differentiated; they differ where the loss is infinite."""
        rows = self.rows
        if rows.mix is None and not rows.normalized:
            found = self._of_label(self._input("label"))
            return found.told(), found.loss
        negative, positive = self._of_label(self._constant(0.0)), self._of_label(self._constant(1.0))
        if rows.normalized:
            a: Any = negative.loss
            b: Any = positive.loss
            negative, positive = _Evaluation(share(a, b), None), _Evaluation(share(b, a), None)  # pyright: ignore[reportArgumentType]
        if rows.mix is None:
            chosen = self.zero.do("where", self._input("label") > 0.5, positive.loss, negative.loss)
            return chosen, chosen
        if rows.mix.ndim == 1:
            shares = (1.0 - self._input("mix"), self._input("mix"))
        else:
            shares = (self._input("mix0"), self._input("mix1"))
        parts = list(zip(shares, (negative, positive), strict=True))

        def mixed(of: Callable[[_Evaluation], Symbol]) -> Symbol:
            # What is not asked for must add nothing, not 0 * inf.
            first, second = (m.do("where", abs(m) > 0.0, of(each) * m, 0.0) for m, each in parts)
            return first + second

        return mixed(_Evaluation.told), mixed(lambda each: each.loss)

    def _of_label(self, y: Symbol) -> _Evaluation:
        """The loss of the label y, which is 0 or 1."""
        rows, (negative, positive) = self.rows, self.pair
        not_y = 1.0 - y
        own, other = y * positive + not_y * negative, y * negative + not_y * positive
        against = (1.0 - 2.0 * y) * (positive - negative)  # the other's log-odds, that most formulas are made of
        if rows.margin is not None:
            margin = y * self._input("margin1") + not_y * self._input("margin0")
            own, against = own - margin, against + margin
        one = self._constant(1.0)
        base: dict[str, Any] = {
            "log_odds": -against,
            "logit": own,
            "rival": other,
            "label": y,
            "rest_lse": other,
            "rest_sq": one,
            "rest_pow": one,
            "rest_entropy": self.zero,
            "rest_log_p": self.zero,
            "rest_count": one,
            "rest_z_sq": other * other,
        }
        if rows.table is not None:
            opposite = y * self._input("table10") + not_y * self._input("table01")
            base["own"] = y * self._input("table11") + not_y * self._input("table00")
            base |= {"rest_expected": opposite, "rest_affine": self.zero, "rest_table": opposite}
            base["rest_affine_z"] = opposite * other
        if rows.power is not None:
            base["power"] = rows.power
        loss: Any = rows.formula(**derive(rows.names, base))
        if self.infinite is None or rows.normalized:
            return _Evaluation(loss, None)
        return _Evaluation(loss, self.infinite & (own < other))

    def _adjusted(self, z: Symbol, label: int) -> Symbol:
        if self.rows.shift is not None:
            z = z + self._input(f"shift{label}")
        if self.rows.scale is not None:
            z = z * self._input(f"scale{label}")
        return z

    def _input(self, name: str) -> Symbol:
        return Symbol(self.graph, self.graph.add("input", name))

    def _constant(self, value: float) -> Symbol:
        return Symbol(self.graph, self.graph.add("constant", value))

"""A traced formula is the formula: same values, same slopes; and what cannot be traced runs as it is, with the same
result."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from instances import SOFTMAX, Case, rows, value_and_gradient
from torch import Tensor

import whyloss
from whyloss.losses.key import key_of
from whyloss.losses.rows import enter
from whyloss.stats.block import Block
from whyloss.stats.dense import _by_autograd
from whyloss.stats.trace import trace

ODDS = torch.cat([torch.linspace(-80, 80, 161, dtype=torch.float64), torch.tensor([-1e4, -700.0, 0.0, 1e-9, 700.0])])


def program_of(formula: Callable[..., Any], *names: str) -> Any:
    found = trace(formula, names)
    assert found is not None
    return found


def by_autograd(formula: Callable[..., Tensor], **inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    leaves = {name: x.clone().requires_grad_() for name, x in inputs.items()}
    value = formula(**leaves)
    slopes = torch.autograd.grad(value.sum(), list(leaves.values()), allow_unused=True)
    found = {n: torch.zeros_like(x) if s is None else s for (n, x), s in zip(leaves.items(), slopes, strict=True)}
    return value.detach(), found


TRACED = [case for case in SOFTMAX if "dense" in case.engines]
SMOOTHED = [case for case in TRACED if case.cls.averaged is not None and not case.knows_classes]


@pytest.mark.parametrize(
    ("case", "smoothing"),
    [pytest.param(c, e, id=f"{c}-{e}") for e, cases in ((0.0, TRACED), (0.2, SMOOTHED)) for c in cases],
)
def test_every_loss_is_traced_and_its_program_is_the_formula(case: Case, smoothing: float):
    z, y = rows(24, 5, scale=4.0)
    z[3, (int(y[3]) + 1) % 5] = -torch.inf
    loss = case.build(5, link="softmax", label_smoothing=smoothing)
    entered = enter(loss, z, y, None).rows
    program = entered.program()
    assert program is not None
    assert entered.label is not None
    block = Block(z, torch.empty_like(z), entered.label, entered)
    value, slopes = program(block.base)
    expected, autograds = _by_autograd(block, True)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-14)
    alone = entered.program(slopes=False)
    assert alone is not None
    assert torch.equal(alone(block.base)[0], value)
    assert not alone.slopes
    assert len(alone.lines) <= len(program.lines)
    assert slopes.keys() <= autograds.keys()
    for name, slope in autograds.items():
        torch.testing.assert_close(slopes.get(name, torch.zeros_like(slope)), slope, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("case", SOFTMAX, ids=str)
def test_slopes_stay_exact_at_every_log_odds(case: Case):
    """In float32 against float64, as the formula itself."""
    loss = case.build(4, link="softmax")
    own, _ = loss.formulas()
    program = trace(own.function, own.names, loss.argument("power"))
    assert program is not None
    if program.inputs != ("log_odds",):
        return
    value, slopes = program({"log_odds": ODDS.float()})
    exact, exact_slopes = program({"log_odds": ODDS.float().double()})
    bound = 2e-6 + 3e-7 * ODDS.abs()
    for ours, truth in [(value, exact), *((slopes[n], exact_slopes[n]) for n in slopes)]:
        normal = truth.abs() > 1e-36
        error = ((ours.double() - truth).abs() / truth.abs())[normal]
        if "Poly1" not in str(case):  # its two terms cancel near epsilon = -1
            assert (error <= bound[normal]).all()


OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "sum and difference": lambda p, m: 2 - p + m - 1,
    "product and quotient": lambda p, m: 3 * p * m / (1 + p) / m.abs(),
    "powers": lambda p, m: p**2 + p**0.5 + 2**p + p**m + p**0 + p**1,
    "exponentials": lambda p, m: torch.exp(p) + m.expm1() + torch.log(p) + p.log1p() + torch.sqrt(p),
    "sigmoids": lambda p, m: torch.sigmoid(m) + torch.nn.functional.logsigmoid(m) + m.tanh(),
    "pieces": lambda p, m: torch.where(m > 0.3, p * m, p - m) + torch.where(m <= 0, 0.0, p),
    "logic": lambda p, m: torch.where((m > 0) & ~(p < 0.5) | (m < -1), p, m),
    "equality": lambda p, m: torch.where(m.clamp(0, 1) == 0, p, m) + torch.where(m.clamp(0, 1) != 1, 0.0, m * p),
    "truths as numbers": lambda p, m: (m > 0.3) * p + m * ~(p < 0.5) + torch.maximum(m, 0.5 * (p <= m)) - (m.eq(m)) / p,
    "clamps": lambda p, m: m.clamp(-0.5, 0.5) + p.clamp_min(0.4) + torch.clamp(m, max=0.2) + torch.relu(m),
    "extremes": lambda p, m: torch.maximum(p, m) - torch.minimum(p, m * m) + torch.maximum(m, torch.zeros_like(m)),
    "sums of exponentials": lambda p, m: torch.logaddexp(p, m) * abs(m),
    "squares and inverses": lambda p, m: p.square() + torch.reciprocal(p) - 1 / p + (-m).neg(),
    "detached": lambda p, m: p.detach() * m + (p - p.detach()),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_has_autograds_slope(name: str):
    operation = OPERATIONS[name]
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(200, generator=generator, dtype=torch.float64) * 0.98 + 0.01
    m = torch.randn(200, generator=generator, dtype=torch.float64)

    # As statistics: p follows from the log-odds, so that the chain rule is tested too.
    program = program_of(lambda p, log_odds, logit: operation(p, logit), "p", "log_odds", "logit")
    inputs = {"log_odds": torch.logit(p), "logit": m}
    value, slopes = program(inputs)
    expected, autograds = by_autograd(lambda log_odds, logit: operation(torch.sigmoid(log_odds), logit), **inputs)
    torch.testing.assert_close(value, expected)
    for key, slope in autograds.items():
        torch.testing.assert_close(slopes.get(key, torch.zeros_like(slope)), slope)


def test_what_has_no_effect_is_left_out():
    program = program_of(lambda log_p: -log_p, "log_p")
    assert len(program.lines) <= 6
    assert "detach" not in program.source()


def test_a_formula_that_is_constant_or_branches_is_not_traced():
    assert trace(lambda p: p if bool((p > 0).all()) else -p, ("p",)) is None
    assert trace(lambda p: torch.tensor(1.0), ("p",)) is None
    assert trace(lambda p: torch.special.erf(p), ("p",)) is None
    assert trace(lambda p: p * torch.ones(3), ("p",)) is None
    assert trace(lambda p: p.sum(), ("p",)) is None
    assert trace(lambda p: p * float(p), ("p",)) is None


class Branching(whyloss.RowLoss):
    """Reads values, as a user may."""

    def formula(self, not_p: Tensor) -> Tensor:
        return not_p * 2 if float(not_p.detach().max()) > 0.5 else not_p


class Smooth(whyloss.RowLoss):
    """The same for rows some of which are wrong."""

    def formula(self, not_p: Tensor) -> Tensor:
        return not_p * 2


def test_an_untraceable_formula_runs_as_it_is():
    z, y = rows(6, 4)
    for ours, theirs in zip(value_and_gradient(Branching(), z, y), value_and_gradient(Smooth(), z, y), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_mistake_in_a_formula_shows_the_users_own_line():
    class Mistaken(whyloss.RowLoss):
        def formula(self, p: Tensor) -> Tensor:
            return p.no_such_method()  # pyright: ignore

    z, y = rows(6, 4)
    with pytest.raises(AttributeError, match="'Tensor' object has no attribute 'no_such_method'") as caught:
        Mistaken()(z.requires_grad_(), y)
    assert "p.no_such_method()" in str(caught.traceback[-1].statement)


FACTOR = 1.0


class Scaled(whyloss.RowLoss):
    """Depends on a field, an attribute, a class attribute, a buffer's value and a global."""

    k: float = 1.0
    own = 1.0

    def formula(self, not_p: Tensor) -> Tensor:
        return self.k * self.own * getattr(self, "extra", 1.0) * FACTOR * not_p


def test_what_a_formula_depends_on_may_change(monkeypatch: pytest.MonkeyPatch):
    z, y = rows(6, 4)
    loss = Scaled()
    once = value_and_gradient(loss, z, y)

    def grown(factor: float) -> None:
        for ours, before in zip(value_and_gradient(loss, z, y), once, strict=True):
            torch.testing.assert_close(ours, factor * before)

    loss.k = 2.0
    grown(2)
    loss.extra = 3.0  # pyright: ignore
    grown(6)
    monkeypatch.setattr(Scaled, "own", 5.0)
    grown(30)
    monkeypatch.setitem(globals(), "FACTOR", 0.5)
    grown(15)


def test_a_key_tells_losses_apart_and_equal_losses_alike():
    one, other = whyloss.FocalLoss(gamma=2.0), whyloss.FocalLoss(gamma=3.0)
    assert key_of(one, one.formula) != key_of(other, other.formula)
    again = whyloss.FocalLoss(gamma=2.0)
    assert key_of(one, one.formula) == key_of(again, again.formula)
    again.table_of_mine = [1, 2]  # pyright: ignore
    assert key_of(again, again.formula) is None


def test_a_loss_whose_key_is_unknown_is_still_right():
    z, y = rows(6, 4)
    plain, odd = whyloss.FocalLoss(), whyloss.FocalLoss()
    odd.notes = ["anything"]  # pyright: ignore
    assert enter(odd, z, y, None).rows.program() is None
    for ours, theirs in zip(value_and_gradient(odd, z, y), value_and_gradient(plain, z, y), strict=True):
        torch.testing.assert_close(ours, theirs)

"""Programs in memory that is used again: each operation gives what the program gives in plain torch."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from instances import value_and_gradient
from torch import Tensor

import whyloss
from whyloss.losses import rows as door
from whyloss.stats import binary, elementwise
from whyloss.stats.inplace import Steps
from whyloss.stats.trace import trace

ONE: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda log_odds: (1 - log_odds) / (2 + log_odds * log_odds) - log_odds / 3 + -(0.5 * log_odds - 1),
    "functions": lambda log_odds: torch.tanh(log_odds) + torch.sqrt(log_odds.abs() + 1) - torch.expm1(-log_odds.abs()),
    "logarithms": lambda log_odds: torch.log(1 + log_odds**2) * torch.log1p(log_odds.abs()),
    "powers": lambda log_odds: (log_odds**2) ** 1.5 + 1.5**log_odds + (1 + log_odds**2) ** -0.7,
    "bounds": lambda log_odds: log_odds.clamp(-1, 2) * torch.maximum(log_odds, 1 - log_odds),
    "choices": lambda log_odds: torch.where((log_odds > 0) & ~(log_odds > 1), 2 * log_odds, torch.exp(log_odds)),
    "constants": lambda log_odds: torch.where((log_odds < -1) | (log_odds >= 2), 3.0, 0.5 * log_odds),
    "log of zero": lambda log_odds: torch.where(log_odds > 0, torch.log(torch.where(log_odds > 0, log_odds, 1.0)), 0.0),
    "sigmoids": lambda log_odds: torch.sigmoid(log_odds) * torch.sigmoid(-log_odds) ** 2,
    "log-sigmoids": lambda log_odds: (
        torch.nn.functional.logsigmoid(log_odds) - 2 * torch.nn.functional.logsigmoid(-log_odds)
    ),
    "sums of exponentials": lambda log_odds: torch.logaddexp(log_odds, -2 * log_odds),
    "a constant": lambda log_odds: 0 * log_odds + 2,
    "itself": lambda log_odds: log_odds,
}


def run(steps: Steps, x: Tensor) -> list[Tensor]:
    results = [torch.full_like(x, torch.nan) for _ in range(2)]
    kept = x.clone()
    steps({"log_odds": x}, [torch.full_like(x, torch.nan) for _ in range(steps.registers)], results)
    assert torch.equal(x.view(torch.int64), kept.view(torch.int64))  # NaN included
    return [results[0], results[1] * steps.factor]


@pytest.mark.parametrize("formula", ONE.values(), ids=ONE)
def test_operations(formula: Callable[..., Any]):
    program = trace(formula, ["log_odds"])
    assert program is not None
    steps = Steps(program, ["log_odds"], slope=True)
    x = torch.cat([torch.linspace(-4, 4, 41), torch.tensor([-1e30, -50, 50])]).double()
    loss, slopes = program({"log_odds": x})
    ours = run(steps, x)
    torch.testing.assert_close(ours[0], loss)
    torch.testing.assert_close(ours[1], slopes.get("log_odds", torch.zeros_like(x)))


def test_registers_are_used_again():
    rows = door.enter(whyloss.BinaryCrossEntropyLoss(), torch.zeros(2), torch.tensor([0, 1]), None).rows
    program = binary.program(rows, endless=False)
    assert program is not None
    assert Steps(program, binary.ELEMENTS, slope=True).registers <= 3
    focal = door.enter(whyloss.SigmoidFocalLoss(), torch.zeros(2), torch.tensor([0, 1]), None).rows
    program = binary.program(focal, endless=False)
    assert program is not None
    assert Steps(program, binary.ELEMENTS, slope=True).registers <= 9


def test_a_formula_that_cannot_be_traced_runs_on_the_reference():
    class Branching(whyloss.RowLoss):
        def formula(self, log_p: Tensor) -> Tensor:
            return -log_p if bool((log_p < 0).all()) else log_p

    z, y = torch.randn(5), torch.arange(5) % 2
    loss = Branching(link="sigmoid")
    assert whyloss.explain_engine(loss, z) == "reference: the formula cannot be traced"
    torch.testing.assert_close(loss(z, y), whyloss.BinaryCrossEntropyLoss()(z, y))
    with pytest.raises(ValueError, match="cannot be traced"):
        Branching(link="sigmoid", engine="dense")(z, y)


def test_the_engine_is_explained():
    loss, z = whyloss.SigmoidFocalLoss(), torch.zeros(4, 3)
    assert whyloss.explain_engine(loss, z) == "dense: logits on the CPU: one short program in cache-sized blocks"
    weight = torch.ones(2, requires_grad=True)
    assert "needs a gradient" in whyloss.explain_engine(whyloss.BinaryCrossEntropyLoss(weight=weight), z)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32, torch.float32, torch.float64, torch.bfloat16])
def test_targets_of_any_dtype_are_the_same_questions(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(elementwise, "BLOCK", 16)
    z, y = 3 * torch.randn(50).requires_grad_(), torch.arange(50) // 3 % 2
    for options in ({}, {"label_smoothing": 0.1}, {"weight": torch.tensor([1.0, 3.0])}):
        loss = whyloss.SigmoidFocalLoss(**options)
        for engine in ("reference", "dense"):
            loss.engine = engine
            ours, theirs = (torch.autograd.grad(loss(z, target), z)[0] for target in (y.to(dtype), y))
            torch.testing.assert_close(ours, theirs)
            torch.testing.assert_close(loss(z, y.to(dtype)), loss(z, y))


def test_soft_targets_between_and_beyond():
    z = torch.randn(6)
    loss = whyloss.BinaryCrossEntropyLoss(reduction="none")
    y = torch.tensor([0.0, 1.0, 0.25, 1e-20, 1.0, -100.0])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(z, y, reduction="none")
    torch.testing.assert_close(loss(z, y), torch.where(y == -100, 0.0, expected))
    for wrong in (1.5, -0.5, torch.nan, torch.inf):
        with pytest.raises(ValueError, match="soft targets must be"):
            loss(z, torch.tensor([0.0, 1, 1, 0, 1, wrong]))


def test_memory_that_was_made_in_inference_mode_serves_outside_of_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(elementwise, "_memory", elementwise._Memory())
    z, y = torch.randn(5), torch.arange(5) % 2
    loss = whyloss.GeneralizedCrossEntropyLoss(q=0.3, link="sigmoid")
    with torch.inference_mode():
        value = loss(z, y)
    found, gradient = value_and_gradient(loss, z, y)
    assert torch.equal(found, value)
    assert gradient.abs().min() > 0

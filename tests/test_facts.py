"""What a loss declares of itself is true: proper, bounded, symmetric, convex. None says "it depends" and is not tested.

A fact declared True must hold at every setting of the parameters, one declared False must fail at one at least."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from instances import ROWS, SOFTMAX_REGIONS, Case
from torch import Tensor

FACTS = ("proper", "bounded", "symmetric", "convex")


def claims(fact: str, holds: bool) -> list[Any]:
    """(cases of one class) for each class that declares this of itself."""
    found: dict[type, list[Case]] = {}
    for case in ROWS:
        if getattr(case.cls, fact) is holds:
            found.setdefault(case.cls, []).append(case)
    return [pytest.param(cases, id=cls.__name__) for cls, cases in found.items()]


def softmax_or_pairs(case: Case, classes: int, **options: Any) -> tuple[int, Callable[[Tensor, Tensor], Tensor]]:
    """The loss per row as a function of [N, C] logits, through the link that the class has."""
    if "softmax" in case.links:
        return classes, case.build(classes, link="softmax", reduction="none", **options)
    binary = case.build(2, link="sigmoid", reduction="none", **options)
    return 2, lambda z, y: binary(z[:, 1] - z[:, 0], y)


def every_label(case: Case, z: Tensor) -> Tensor:
    """[N, C] the loss of each class as label."""
    classes, loss = softmax_or_pairs(case, z.shape[1])
    z = z[:, :classes]
    return torch.stack([loss(z, torch.full(z.shape[:1], j)) for j in range(classes)], 1)


def logits(count: int, seed: int = 0, classes: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    spread = torch.logspace(-1, 1, count, dtype=torch.float64).unsqueeze(1)
    return torch.randn(count, classes, generator=generator, dtype=torch.float64) * spread


@pytest.mark.parametrize("cases", claims("proper", True))
def test_proper_losses_are_smallest_at_the_true_probabilities(cases: list[Case]):
    for case in cases:
        q = torch.softmax(logits(12), 1)
        if "softmax" not in case.links:
            q = torch.softmax(logits(12)[:, :2], 1)
        best = (q * every_label(case, q.log())).sum(1)
        for seed in range(1, 40):
            step = 10.0 ** -(seed % 4) * torch.randn(q.shape, dtype=q.dtype)
            other = q.log() + step if seed % 2 else logits(12, seed)[:, : q.shape[1]]
            assert ((q * every_label(case, other)).sum(1) >= best - 1e-12).all(), case


@pytest.mark.parametrize("cases", claims("proper", False))
def test_losses_that_are_not_proper_have_their_minimum_elsewhere(cases: list[Case]):
    def moved(case: Case) -> float:
        q = torch.softmax(logits(6)[:, : 4 if "softmax" in case.links else 2] * 0.3, 1)
        z = q.log().requires_grad_()
        optimizer = torch.optim.Adam([z], lr=0.05)
        start = (q * every_label(case, z)).sum(1)
        for _ in range(60):
            optimizer.zero_grad()
            (q * every_label(case, z)).sum().backward()
            optimizer.step()
        lower = (q * every_label(case, z)).sum(1) < start - 1e-6
        distance = (torch.softmax(z, 1) - q).abs().amax(1)
        return float(torch.where(lower, distance, 0.0).max().detach())

    assert any(moved(case) > 1e-2 for case in cases)


def largest(case: Case, size: float) -> float:
    signs = torch.tensor([[1.0, -1, -1, -1], [-1, 1, 1, 1], [0, 1, -1, 0.5], [1, 1, -1, -1]], dtype=torch.float64)
    return float(every_label(case, signs * size).abs().max())


@pytest.mark.parametrize("cases", claims("bounded", True))
def test_bounded_losses_stay_where_they_are(cases: list[Case]):
    for case in cases:
        assert largest(case, 1e8) < 1.01 * largest(case, 1e3)


@pytest.mark.parametrize("cases", claims("bounded", False))
def test_unbounded_losses_grow_without_end(cases: list[Case]):
    assert max(largest(case, 1e18) / largest(case, 1e3) for case in cases) > 1e4  # roots of the logits too


@pytest.mark.parametrize("holds", [True, False])
def test_symmetric_losses_sum_to_a_constant_over_the_labels(holds: bool):
    for param in claims("symmetric", holds):
        spread = []
        for case in param.values[0]:
            total = every_label(case, logits(30)).sum(1)
            spread.append(float((total.max() - total.min()) / total.abs().max()))
        assert (max(spread) < 1e-9) if holds else (max(spread) > 1e-2), param.id


def dent(case: Case) -> float:
    """How far the loss at a midpoint lies above the mean of the ends, at worst, relative to its size."""
    a, b = logits(400, 1), logits(400, 2).flip(0)
    pairs = [(a, b), (a, a + 0.3 * b)]
    worst = []
    for x, y in pairs:
        ends, middle = (every_label(case, x) + every_label(case, y)) / 2, every_label(case, (x + y) / 2)
        worst.append(float(((middle - ends) / (ends.abs() + 1e-3)).max()))
    return max(worst)


@pytest.mark.parametrize("cases", claims("convex", True))
def test_convex_losses_bend_upwards(cases: list[Case]):
    assert max(dent(case) for case in cases) < 1e-9


@pytest.mark.parametrize("cases", claims("convex", False))
def test_losses_that_are_not_convex_have_a_dent(cases: list[Case]):
    assert max(dent(case) for case in cases) > 1e-3


def test_facts_are_declared():
    """Every fact is claimed and denied somewhere, so that none of the tests above is empty."""
    for fact in FACTS:
        assert claims(fact, True)
        assert claims(fact, False)
    for case in ROWS:
        assert case.cls.source, case
        assert case.cls.short, case
        assert case.cls.equation, case


@pytest.mark.parametrize("case", [case for case in SOFTMAX_REGIONS if case.cls.bounded], ids=str)
def test_bounded_region_losses_are_bounded_by_one(case: Case):
    for scale in (0.1, 10.0, 1e4):
        z, y = scale * torch.randn(4, 3, 50), torch.randint(0, 3, (4, 50))
        value = case.build(3, reduction="none")(z, y)
        assert (value >= 0).all()
        assert (value <= 1 + 1e-6).all()

"""Means of many rows, of pixels and of questions by the shortest way: what the reference engine says at every edge."""

from typing import Any

import pytest
import torch
from instances import SIGMOID, SOFTMAX, Case, defaults, thinned
from torch import Tensor

import whyloss
from whyloss.losses import checks
from whyloss.stats import engine

pytestmark = pytest.mark.kernels
CASES = [case for case in defaults(SOFTMAX) if "dense" in case.engines]
SHAPES = {"rows": (5, 37), "pixels": (2, 7, 3, 3), "one axis of pixels": (3, 7, 5)}


@pytest.fixture(autouse=True)
def early(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the calls that went this way. Tiles, programs and what counts as few are shrunk."""
    from whyloss.stats.kernels import launch, means
    from whyloss.stats.kernels.plain import Early

    shapes, mean = list[tuple[int, ...]](), Early.mean

    def noted(self: Any, z: Tensor, target: Tensor) -> Tensor:
        shapes.append(tuple(z.shape))
        return mean(self, z, target)

    monkeypatch.setattr(Early, "mean", noted)
    monkeypatch.setattr(engine, "PLAIN_ROWS", 0)
    monkeypatch.setattr(launch, "SMALL", 0)
    monkeypatch.setattr(launch, "PIXELS", 4)
    monkeypatch.setattr(launch, "QUESTIONS", 16)
    for name in ("tile", "near_tile"):
        monkeypatch.setattr(launch, name, lambda *_: {"K": 2, "T": 8, "num_warps": 1})
    monkeypatch.setattr(means, "COUNT", {"B": 4, "num_warps": 1})
    monkeypatch.setattr(means, "SUM", {"B": 4, "num_warps": 1})
    monkeypatch.setattr(checks, "looks", lambda *_: False)  # as on a GPU
    return shapes


def inputs(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Masked classes, a confident row, and one that is ignored and full of NaN."""
    z, y = torch.randn(shape, dtype=torch.float64) * 3, torch.arange(torch.Size((shape[0], *shape[2:])).numel())
    of_classes = z.movedim(1, -1).reshape(-1, shape[1])
    of_classes[0, 1] = of_classes[3, 3] = -torch.inf
    of_classes[1, 2] += 30
    of_classes[2] = torch.nan
    z = of_classes.reshape(shape[0], *shape[2:], shape[1]).movedim(-1, 1).contiguous().to(dtype)
    labels = (y % shape[1]).index_fill(0, torch.tensor(2), -100)
    return z.requires_grad_(), labels.reshape(shape[0], *shape[2:])


def agree(case: Case, link: str, z: Tensor, target: Tensor) -> None:
    ours, theirs = (case.build(z.shape[1], link=link, engine=e)(z, target) for e in ("triton", "reference"))
    torch.testing.assert_close(ours, theirs)
    first, again, exact = (torch.autograd.grad(value * 2, z, retain_graph=True)[0] for value in (ours, ours, theirs))
    torch.testing.assert_close(first, exact)
    torch.testing.assert_close(again, exact)


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("case", thinned(CASES))
def test_labels(case: Case, kind: str, early: list[tuple[int, ...]]):
    z, y = inputs(SHAPES[kind])
    agree(case, "softmax", z, y)
    loss = case.build(z.shape[1])
    more = (loss.argument("table"), loss.weight, loss.adjust)
    assert early == ([SHAPES[kind]] if all(x is None for x in more) else [])


@pytest.mark.parametrize("kind", ["labels", "shares"])
@pytest.mark.parametrize("case", defaults(SIGMOID), ids=str)
def test_questions(case: Case, kind: str, early: list[tuple[int, ...]]):
    if case.knows_classes:
        pytest.skip("made for two classes, and its table or weights are no numbers of a program")
    z = (5 * torch.randn(3, 13, dtype=torch.float64)).index_fill(1, torch.tensor(4), torch.inf)
    z[1, 2] = torch.nan
    target = torch.arange(39).reshape(3, 13) % 2
    target = target if kind == "labels" else torch.where(target == 1, 0.75, 0.0).double()
    target[1, 2] = -100
    z.requires_grad_()
    ours, theirs = (case.build(2, link="sigmoid", engine=e)(z, target) for e in ("triton", "reference"))
    torch.testing.assert_close(ours, theirs, equal_nan=True)
    found = [torch.autograd.grad(value * 2, z, retain_graph=True)[0] for value in (ours, ours, theirs)]
    torch.testing.assert_close(found[0], found[2], equal_nan=True)
    torch.testing.assert_close(found[1], found[2], equal_nan=True)
    loss = case.build(2, link="sigmoid")
    moved = (
        loss.adjust is not None
        or loss.label_smoothing
        or (kind == "shares" and loss.offset(torch.ones(1, 1)) is not None)
    )
    assert early == ([] if moved else [(3, 13)])


@pytest.mark.parametrize("kind", [*SHAPES, "questions"])
def test_dtypes(kind: str, early: list[tuple[int, ...]]):
    for dtype, rtol in ((torch.float32, 1e-5), (torch.bfloat16, 8e-3), (torch.float16, 1e-3)):
        z, y = inputs(SHAPES.get(kind, (5, 37)), dtype)
        link = "softmax"
        if kind == "questions":
            y, link = (torch.rand(z.shape) < 0.5).to(dtype), "sigmoid"
            z = torch.randn(z.shape).to(dtype).requires_grad_()
        value = whyloss.FocalLoss(engine="triton", link=link)(z, y)
        exact = z.detach().double().requires_grad_()
        theirs = whyloss.FocalLoss(engine="reference", link=link)(exact, y.double() if kind == "questions" else y)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.double(), theirs, rtol=1e-5, atol=0)
        (value * 1024).backward()
        (theirs * 1024).backward()
        assert z.grad is not None
        assert exact.grad is not None
        torch.testing.assert_close(z.grad.double(), exact.grad, rtol=rtol, atol=1e-3)
    assert len(early) == 2  # float16 waits for its loss scaler


def test_edges():
    loss = whyloss.CrossEntropyLoss(engine="triton")
    for shape in SHAPES.values():
        z, y = inputs(shape)
        nothing = torch.full_like(y, -100)
        assert loss(z, nothing) == 0
        assert not torch.autograd.grad(loss(z, nothing), z)[0].any()
        assert torch.isnan(whyloss.CrossEntropyLoss(engine="triton", empty="nan")(z, nothing))
        with torch.no_grad():
            assert not loss(z, y).requires_grad
        value = loss(z, y)
        value /= 4  # as gradient accumulation does
        value.backward()


def test_derivatives_of_the_derivative():
    for link, shape in (("softmax", (3, 5)), ("softmax", (2, 3, 4)), ("sigmoid", (3, 5))):
        z = torch.randn(shape, dtype=torch.float64).requires_grad_()
        y = torch.arange(z.numel() // (1 if link == "sigmoid" else shape[1])) % 2
        y = y.reshape(shape if link == "sigmoid" else (shape[0], *shape[2:]))
        loss = whyloss.FocalLoss(engine="triton", link=link)
        assert torch.autograd.gradgradcheck(lambda z, loss=loss, y=y: loss(z, y), (z,))


def test_many_targets_are_counted_by_many_programs(monkeypatch: pytest.MonkeyPatch):
    from whyloss.stats.kernels import means

    monkeypatch.setattr(means, "COUNTED", 8)
    monkeypatch.setattr(means, "COUNTERS", 4)
    for target in (torch.arange(50) % 3 - 1, (torch.arange(50) % 3 - 1).float()):
        assert means.share_of_each(target, -1, 0.0, torch.float64).item() == pytest.approx(1 / 33)
        assert means.share_of_each(torch.full_like(target, -1), -1, 7.0, torch.float64) == 7

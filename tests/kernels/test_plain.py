"""The mean of a small batch of labels, by the shortest way: what the reference engine says, at every edge."""

from typing import Any

import pytest
import torch
from instances import SOFTMAX, Case, defaults
from torch import Tensor

import whyloss

pytestmark = pytest.mark.kernels
CASES = [case for case in defaults(SOFTMAX) if "dense" in case.engines]


@pytest.fixture(autouse=True)
def plainly(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of rows of the calls that went this way."""
    from whyloss.stats.kernels.plain import Plain

    rows, mean = list[int](), Plain.mean

    def noted(self: Any, z: Tensor, label: Tensor) -> Tensor:
        rows.append(len(z))
        return mean(self, z, label)

    monkeypatch.setattr(Plain, "mean", noted)
    return rows


def on(engine: str, case: Any, **options: Any) -> Any:
    """The loss as on a GPU, where labels are not looked at."""
    return case.build(7, link="softmax", engine=engine, validate=False, **options)


def inputs(rows: int = 5) -> tuple[Tensor, Tensor]:
    z = torch.randn(rows, 7, dtype=torch.float64) * 3
    z[0, 1] = -torch.inf
    z[1, 2] += 30
    z[2] = torch.nan
    return z.requires_grad_(), (torch.arange(rows) * 2 % 7).index_fill(0, torch.tensor(2), -100)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_gradients(case: Case, plainly: list[int]):
    z, y = inputs()
    ours, theirs = (on(engine, case)(z, y) for engine in ("triton", "reference"))
    torch.testing.assert_close(ours, theirs)
    first, again, exact = (torch.autograd.grad(value * 2, z, retain_graph=True)[0] for value in (ours, ours, theirs))
    torch.testing.assert_close(first, exact)
    assert torch.equal(first, again)
    loss = on("triton", case)
    more = (loss.argument("table"), loss.weight, loss.adjust)
    assert plainly == ([5] if all(x is None for x in more) else [])


def test_kinds_of_rows_and_dtypes(plainly: list[int]):
    for dtype, rtol in ((torch.float32, 1e-5), (torch.bfloat16, 8e-3), (torch.float16, 1e-3)):
        for rows in (1, 3, 16, 33):
            z, y = torch.randn(rows, 20).to(dtype).requires_grad_(), torch.arange(rows) % 20
            loss = whyloss.FocalLoss(engine="triton", validate=False)
            value = loss(z, y)
            exact = z.detach().double().requires_grad_()
            theirs = whyloss.FocalLoss(engine="reference")(exact, y)
            assert value.dtype == torch.float32
            torch.testing.assert_close(value.double(), theirs, rtol=1e-5, atol=0)
            (value * 1024).backward()
            (theirs * 1024).backward()
            assert z.grad is not None
            assert exact.grad is not None
            torch.testing.assert_close(z.grad.double(), exact.grad, rtol=rtol, atol=1e-4)
    assert len(plainly) == 12


def test_edges():
    z, y = inputs()
    loss = whyloss.CrossEntropyLoss(engine="triton", validate=False)
    nothing = torch.full_like(y, -100)
    assert loss(z, nothing) == 0
    assert not torch.autograd.grad(loss(z, nothing), z)[0].any()
    assert torch.isnan(whyloss.CrossEntropyLoss(engine="triton", validate=False, empty="nan")(z, nothing))
    with torch.no_grad():
        assert not loss(z, y).requires_grad
    value = loss(z, y)
    value /= 4  # as gradient accumulation does
    value.backward()
    smooth = [
        whyloss.CrossEntropyLoss(engine=engine, label_smoothing=0.1, validate=False)(z[:2], y[:2])
        for engine in ("triton", "reference")
    ]
    torch.testing.assert_close(*smooth)


def test_what_was_written_over_is_not_read_again():
    z, y = torch.randn(4, 7).requires_grad_(), torch.arange(4)
    x = z * 1
    value = whyloss.CrossEntropyLoss(engine="triton", validate=False)(x, y)
    x.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_derivatives_of_the_derivative():
    z, y = torch.randn(4, 7, dtype=torch.float64).requires_grad_(), torch.arange(4)
    loss = whyloss.FocalLoss(engine="triton", validate=False)
    assert torch.autograd.gradgradcheck(lambda z: loss(z, y), (z,))


def test_other_calls_go_through_the_door(plainly: list[int]):
    z, y = torch.randn(4, 7).requires_grad_(), torch.arange(4)
    loss = whyloss.CrossEntropyLoss(engine="triton", validate=False)
    expected = whyloss.CrossEntropyLoss(engine="reference")(z, y)
    for logits, labels, options in (
        (z, y, {"sample_weight": torch.ones(4)}),
        (z, y, {"normalizer": 4}),
        (z, torch.nn.functional.one_hot(y, 7).float(), {}),
        (z.T.contiguous().T, y, {}),
        (z.unsqueeze(2), y.unsqueeze(1), {}),
    ):
        torch.testing.assert_close(loss(logits, labels, **options), expected)
    torch.testing.assert_close(whyloss.CrossEntropyLoss(engine="triton", weight=torch.ones(7))(z, y), expected)
    assert not plainly
    torch.testing.assert_close(loss(z, y.int()), expected)  # once its labels are int64
    assert plainly == [4]
    with pytest.raises(ValueError, match=r"target \(4,\) is needed"):
        loss(z, y[:3])

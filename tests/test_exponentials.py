"""e^x in place of torch.exp: as exact, whatever the layout, on machines that take the one way and the other."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from whyloss.stats import exponentials
from whyloss.stats.exponentials import exp_into


@pytest.fixture(params=[True, False], ids=["own", "mkl"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(exponentials, "mkl_is_slow", lambda: request.param)
    monkeypatch.setattr(exponentials, "LEAST", 100)
    monkeypatch.setattr(exponentials, "WIDTH", 8)
    monkeypatch.setattr(exponentials, "AT_ONCE", 32)
    exponentials._minus_one_and_zeros.cache_clear()  # pyright: ignore[reportPrivateUsage]
    yield
    exponentials._minus_one_and_zeros.cache_clear()  # pyright: ignore[reportPrivateUsage]


def layouts() -> dict[str, Tensor]:
    x = torch.linspace(-87, 88, 350, dtype=torch.float64)
    return {"line": x, "whole rows": x[:320], "few": x[:99], "matrix": x.view(7, 50), "across": x.view(50, 7).T}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", layouts())
def test_every_element_is_right_to_the_last_digit(name: str, dtype: torch.dtype):
    x = layouts()[name].to(dtype)
    computed = torch.float64 if dtype == torch.float64 else torch.float32
    true = x.double().exp().to(computed)
    over_x = (x.to(computed, copy=True), x.to(computed).clone(memory_format=torch.contiguous_format))
    for out, source in ((torch.empty(x.shape, dtype=computed), x), *((y, y) for y in over_x)):
        assert exp_into(out, source) is out
        torch.testing.assert_close(out, true, rtol=2 * torch.finfo(computed).eps, atol=0)


def test_infinities_and_nan_are_what_they_are_and_spoil_nothing_else():
    x = torch.zeros(200)
    x[[3, 8, 9, 198, 199]] = torch.tensor([torch.inf, -torch.inf, torch.nan, torch.nan, -torch.inf])
    found = exp_into(torch.empty(200), x)
    torch.testing.assert_close(found, x.exp(), equal_nan=True)

"""The ways a block of the dense engine may take to its exponentials: each is taken where it should be, and all are
right."""

from typing import Any

import pytest
import torch
from instances import SOFTMAX, Case, rows, value_and_gradient

import whyloss
from whyloss.stats import block

# What is added to all logits, and to the label's: usual; a large sum; a sure label; a hopeless one; far from 0; beyond
# what its rivals' exponentials can hold beside it.
PLACES = {"usual": (0, 0), "large": (24, 0), "sure": (0, 24), "hopeless": (0, -24), "far": (60, 0), "beyond": (0, 70)}
WAYS = {"usual": "as they are", "large": "divided", "sure": "divided", "hopeless": "divided"}
CASES = [case for case in SOFTMAX if "dense" in case.engines]
EXACT = [whyloss.CrossEntropyLoss(), whyloss.FocalLoss(), whyloss.GeneralizedCrossEntropyLoss()]  # nothing cancels
SHORT = [case for case in CASES if case.cls.averaged is not None and not case.knows_classes]


def placed(place: str, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    z, y = rows(6, 4, scale=0.5, dtype=dtype)
    offset, lead = PLACES[place]
    return (z + offset).scatter_add(1, y.unsqueeze(1), torch.full_like(z, lead)), y


def way_of(loss: Any, z: torch.Tensor, y: torch.Tensor) -> str:
    from whyloss.losses.rows import enter

    entered = enter(loss, z, y, None).rows
    found = block.Block(z, torch.empty_like(z), y, entered)
    if bool((found.rest.top == 0).all()):
        return "divided" if bool((found.rest.inv == 1).all()) else "as they are"
    return "from the largest" if torch.equal(found.rest.top, z.amax(1)) else "from the largest other"


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_each_way_is_taken_where_it_should_be(smoothing: float):
    loss = whyloss.CrossEntropyLoss(label_smoothing=smoothing)
    for place, way in {**WAYS, "far": "from the largest", "beyond": "from the largest other"}.items():
        assert way_of(loss, *placed(place)) == way, place


@pytest.mark.parametrize(
    ("case", "smoothing"),
    [pytest.param(c, e, id=f"{c}-{e}") for e, cases in ((0.0, CASES), (0.2, SHORT)) for c in cases],
)
def test_every_way_is_right(case: Case, smoothing: float):
    for place in PLACES:
        z, y = placed(place)
        ours, theirs = (
            value_and_gradient(
                case.build(4, link="softmax", engine=engine, reduction="none", label_smoothing=smoothing), z, y
            )
            for engine in ("dense", "reference")
        )
        for x, truth in zip(ours, theirs, strict=True):
            torch.testing.assert_close(x, truth, rtol=1e-10, atol=1e-13, msg=lambda m: f"{place}: {m}")  # noqa: B023


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("loss", EXACT, ids=str)
def test_every_way_keeps_float32_exact(loss: Any, place: str):
    z, y = placed(place, torch.float32)
    for x, truth in zip(value_and_gradient(loss, z, y), value_and_gradient(loss, z.double(), y), strict=True):
        torch.testing.assert_close(x.double(), truth, rtol=6e-6, atol=1e-37)


def test_blocks_of_one_call_may_go_different_ways(monkeypatch: pytest.MonkeyPatch):
    z, y = (torch.cat(parts) for parts in zip(*(placed(place) for place in PLACES), strict=True))
    expected = value_and_gradient(whyloss.BrierLoss(engine="reference"), z, y)
    monkeypatch.setattr(block, "SIZE", 6 * 4)
    for x, truth in zip(value_and_gradient(whyloss.BrierLoss(), z, y), expected, strict=True):
        torch.testing.assert_close(x, truth)

"""The dense engine where every class may be the label, and where pixels stay in place: held to the reference."""

from typing import Any

import pytest
import torch
from instances import SOFTMAX, Case, defaults, rows, soft, value_and_gradient
from torch.nn.functional import one_hot

import whyloss
from whyloss.stats import block, dense, mixture

CASES = [case for case in SOFTMAX if not case.cls.normalized or not case.numbers]
WEIGHT = torch.tensor([0.5, 2, 1, 0, 3])


def targets(kind: str, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and soft targets: of any kind; one-hot; of rows that are sure of their label; of the least likely one."""
    z, y = rows(7, 5, dtype=dtype)
    q, own = soft(7, 5, dtype=dtype), one_hot(y, 5).to(dtype)
    if kind == "any":
        return z, q
    z = z + {"one-hot": 0, "sure": 15, "hopeless": -15}[kind] * own
    return z, own if kind == "one-hot" else 0.999 * own + 0.001 * q


def agree(ours: Any, theirs: Any, z: torch.Tensor, target: torch.Tensor, rtol: float, atol: float) -> None:
    upstream = torch.linspace(-1, 2, len(z), dtype=z.dtype) if ours.reduction == "none" else torch.tensor(1.7)
    exact = target.double() if target.is_floating_point() else target
    found = value_and_gradient(lambda z, t: ours(z, t) * upstream, z, target)
    truth = value_and_gradient(lambda z, t: theirs(z, t) * upstream, z.double(), exact)
    for x, t in zip(found, truth, strict=True):
        torch.testing.assert_close(x.double(), t, rtol=rtol, atol=atol)


@pytest.mark.parametrize("kind", ["any", "one-hot", "sure", "hopeless"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_soft_targets_agree_with_the_reference(case: Case, kind: str):
    for dtype, rtol, atol in ((torch.float64, 1e-11, 1e-12), (torch.float32, 2e-5, 3e-6)):
        z, q = targets(kind, dtype)
        for reduction in ("none", "mean"):
            ours, theirs = (case.build(5, engine=e, reduction=reduction, link="softmax") for e in ("auto", "reference"))
            # Cosines are scaled before anything is computed of them, and rounded at the size that they then have.
            scale = max(1.0, ours.adjust.scale) if case.cls.cosines and ours.adjust is not None else 1.0
            agree(ours, theirs, z, q, rtol, scale * atol)


@pytest.mark.parametrize("over", ["all", "others"])
@pytest.mark.parametrize("by", ["class", "sample"])
@pytest.mark.parametrize("case", defaults(CASES), ids=str)
def test_smoothing_and_class_weights_agree_with_the_reference(case: Case, by: str, over: str):
    options = {"label_smoothing": 0.2, "smoothing_over": over, "smoothing_weight": by, "reduction": "none"}
    if not {"weight", "counts"} & set(vars(case.cls).get("__annotations__", ())):
        options["weight"] = WEIGHT
    z, y = rows(7, 5)
    y[2] = -100
    for target in (y, soft(7, 5)):
        ours, theirs = (case.build(5, engine=e, link="softmax", **options) for e in ("auto", "reference"))
        agree(ours, theirs, z, target, 1e-11, 1e-12)


@pytest.mark.parametrize("loss", [whyloss.CrossEntropyLoss(), whyloss.FocalLoss(), whyloss.BrierLoss()], ids=str)
def test_a_tile_that_cannot_be_exact_goes_to_the_reference_and_no_other(loss: Any, monkeypatch: pytest.MonkeyPatch):
    """Masked classes; rows so sure that the others underflow; a NaN in a row that is ignored."""
    z, q = targets("any", torch.float64)
    z[0, 1], q[0, 1] = -torch.inf, 0.0
    q[0] /= q[0].sum()
    z[2, 3] = 400
    z[4, 0], q[4] = torch.nan, -100
    monkeypatch.setattr(mixture, "TILE", 5)  # one row
    asked: list[int] = []
    by_reference: Any = mixture._by_reference

    def counted(*args: Any) -> torch.Tensor:
        asked.append(1)
        return by_reference(*args)

    monkeypatch.setattr(mixture, "_by_reference", counted)
    loss.reduction = "none"
    agree(loss, type(loss)(engine="reference", reduction="none"), z, q, 1e-11, 1e-12)
    rows_of_them = 2 if isinstance(loss, whyloss.CrossEntropyLoss) else 3  # its short way takes any finite logits
    assert len(asked) == 2 * rows_of_them  # forward and backward


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.2}, {"label_smoothing": 0.2, "weight": WEIGHT}], ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", defaults(SOFTMAX), ids=str)
def test_pixels_stay_in_place(case: Case, dtype: torch.dtype, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dense, "IMAGE", 1)
    monkeypatch.setattr(block, "ROWS", 5)
    if {"counts"} & set(case.cls.fields()):
        options = {}
    z = rows(2 * 12, 5)[0].reshape(2, 5, 3, 4).to(dtype)
    y = torch.arange(24).reshape(2, 3, 4) % 5
    y[1, 1, 1:] = -100
    z[1, :, 1, 2] = torch.nan
    for reduction in ("mean", "none"):
        ours, theirs = (
            case.build(5, engine=e, reduction=reduction, link="softmax", **options) for e in ("auto", "reference")
        )
        found = value_and_gradient(ours, z, y)
        truth = value_and_gradient(theirs, z.double(), y)
        for x, t in zip(found, truth, strict=True):
            tolerance = (1e-11, 1e-12) if dtype == torch.float64 else (1e-2, 1e-5)
            torch.testing.assert_close(x.double(), t, rtol=tolerance[0], atol=tolerance[1])
        if ours.offset(torch.ones(1, 1)) is None or not options:  # what needs the whole target has it as rows
            assert found[1].stride() == z.stride()
        last = z.contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(value_and_gradient(ours, last, y), found)


def test_small_images_become_rows():
    z, y = torch.randn(6, 4, 2, dtype=torch.float64), torch.arange(12).reshape(6, 2) % 4
    agree(whyloss.FocalLoss(), whyloss.FocalLoss(engine="reference"), z, y, 1e-11, 1e-12)

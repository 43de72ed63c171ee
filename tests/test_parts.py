"""What a loss made of its fields when it was built follows them: inner losses, tables, changes of the logits."""

import copy
from typing import Any

import pytest
import torch
from instances import ALL, OPTIONS, Case, defaults
from torch import Tensor

import whyloss
from whyloss.losses.algebra import LossSum, RowSum
from whyloss.losses.region import RegionLoss


def value(loss: Any, call: tuple[Any, list[Tensor], int, dict[str, Tensor]]) -> Tensor:
    z, (target, *_), _, more = call
    return loss(z, target, **more)


def weight_for(case: Case, link: str, classes: int) -> Tensor:
    """One for each class; of yes-or-no questions for yes and no."""
    asked = "link" in case.cls.fields() and link == "sigmoid" and not issubclass(case.cls, RegionLoss)
    return torch.linspace(0.5, 3.0, 2 if asked else case.entries(classes))


# ClassBalancedLoss makes its weight itself.
WEIGHTED = [c for c in defaults(ALL) if "weight" in c.cls.fields() and c.cls is not whyloss.ClassBalancedLoss]


@pytest.mark.parametrize(("case", "link"), [(case, link) for case in WEIGHTED for link in case.links], ids=str)
def test_a_new_weight_is_a_fresh_losss_weight(case: Case, link: str):
    call = case.call(link)
    weight = weight_for(case, link, call[2])
    expected = value(case.build(call[2], link=link, weight=weight), call)
    loss = case.build(call[2], link=link)
    plain = value(loss, call)
    loss.weight = weight
    torch.testing.assert_close(value(loss, call), expected)
    for moved in (copy.deepcopy(loss).double().float(), copy.deepcopy(loss)):
        torch.testing.assert_close(value(moved, call), expected)
        moved.weight = None
        torch.testing.assert_close(value(moved, call), plain)
    other = case.build(call[2], link=link, weight=torch.ones_like(weight)).double().float()
    other.load_state_dict({"weight": weight}, strict=False)
    torch.testing.assert_close(value(other, call), expected)


# Other values of the fields, where a default does not lead to one.
OTHER: dict[str, Any] = {
    "epsilons": (0.5, 2.0),
    "outlier": -2,
    "reduction": "sum",
    "ignore_index": 1,
    "label_smoothing": 0.2,
    "engine": "reference",
    "norm": 2,
}


def numbers(case: Case) -> dict[str, Any]:
    """Another value for each number that the loss can be built with, and for what other fields have one above."""
    found: dict[str, Any] = {}
    for name, entry in case.cls.fields().items():
        default, tried = entry.default, OTHER.get(name)
        if name not in OTHER and (name in OPTIONS or type(default) not in (int, float)):
            continue
        for other in (tried,) if name in OTHER else map(type(default), (default * 2, default / 2, default + 1, 0.5)):
            try:
                Case(case.cls, {name: other}).build()
            except ValueError:
                continue
            if other != default:
                found[name] = other
                break
    return found


@pytest.mark.parametrize("case", defaults(ALL), ids=str)
def test_a_new_number_is_a_fresh_losss_number_or_is_refused(case: Case):
    link = case.links[0]
    call = case.call(link)
    for name, other in numbers(case).items():
        loss = case.build(call[2], link=link)
        if isinstance(getattr(loss, name), torch.nn.Parameter):
            continue  # which torch lets nobody replace by a number
        if name in loss.fixed:
            with pytest.raises(AttributeError, match=f"{name} is fixed"):
                setattr(loss, name, other)
            continue
        expected = value(Case(case.cls, {name: other}).build(call[2], link=link), call)
        setattr(loss, name, other)
        torch.testing.assert_close(value(loss, call), expected, msg=lambda m, n=name: f"{n}: {m}")


def test_what_cannot_follow_is_refused():
    counts = torch.tensor([4.0, 2, 1])
    for loss, name, other in (
        (whyloss.ClassBalancedLoss(counts=counts), "weight", counts),
        (whyloss.LogitAdjustedLoss(counts=counts), "adjust", None),
        (whyloss.CosFaceLoss(), "adjust", whyloss.Adjustment(scale=2.0)),
        (whyloss.LogitAdjustment(counts), "shift", counts),
    ):
        with pytest.raises(AttributeError, match=rf"{type(loss).__name__}: {name} follows from the other parameters"):
            setattr(loss, name, other)
    with pytest.raises(AttributeError, match=r"CenterLoss: features is fixed.*make a new one"):
        whyloss.CenterLoss(classes=3, features=2).features = 3
    for build, name in ((whyloss.LogitAdjustment, "shift"), (whyloss.ClassBalancedLoss, "weight")):
        with pytest.raises(ValueError, match=f"no {name} besides"):
            build(counts=counts, **{name: counts})


def test_what_is_out_of_range_is_refused_and_changes_nothing():
    z, y = torch.randn(6, 3), torch.arange(6) % 3
    counts = torch.tensor([4.0, 2, 1])
    for loss, name, wrong in (
        (whyloss.FocalLoss(), "gamma", -1.0),
        (whyloss.FocalLoss(), "reduction", "median"),
        (whyloss.LDAMLoss(counts=counts), "counts", torch.tensor([1.0, 0, 2])),
        (whyloss.DiceLoss(), "over", "galaxy"),
        (whyloss.LogitAdjustment(counts), "tau", -1.0),
    ):
        before, value = getattr(loss, name), None if name in ("over", "tau") else loss(z, y)
        with pytest.raises(ValueError, match=name if name != "counts" else "count > 0"):
            setattr(loss, name, wrong)
        assert getattr(loss, name) is before
        if value is not None:
            assert torch.equal(loss(z, y), value)


def test_lists_and_whole_numbers_are_taken_as_when_it_is_made():
    z, y = torch.randn(6, 3), torch.arange(6) % 3
    loss = whyloss.CrossEntropyLoss()
    for weight in ([1, 2, 3], torch.tensor([1, 2, 3])):
        loss.weight = weight
        assert loss.weight.dtype == torch.float32
        torch.testing.assert_close(loss(z, y), whyloss.CrossEntropyLoss(weight=torch.tensor([1.0, 2, 3]))(z, y))


def test_counts_and_tables_are_followed():
    z, y = torch.randn(6, 3), torch.arange(6) % 3
    a, b = torch.tensor([1.0, 5, 9]), torch.tensor([7.0, 2, 2])
    mistaken = torch.tensor([[0.9, 0.1, 0], [0.2, 0.8, 0], [0, 0, 1.0]])
    for cls, name, before, after in (
        (whyloss.ClassBalancedLoss, "counts", a, b),
        (whyloss.ClassBalancedLoss, "beta", 0.9, 0.99),
        (whyloss.LogitAdjustedLoss, "counts", a, b),
        (whyloss.LDAMLoss, "counts", a, b),
        (whyloss.VectorScalingLoss, "counts", a, b),
        (whyloss.BackwardCorrectionLoss, "transition", torch.eye(3), mistaken),
        (whyloss.SORDLoss, "classes", 4, 3),
    ):
        more = {"counts": a} if name == "beta" else {}
        loss = cls(**{name: before}, **more)
        setattr(loss, name, after)
        torch.testing.assert_close(loss(z, y), cls(**{name: after}, **more)(z, y))
    adjust = whyloss.LogitAdjustment(a)
    loss = whyloss.FocalLoss(adjust=adjust)
    adjust.tau = 2.0
    torch.testing.assert_close(loss(z, y), whyloss.FocalLoss(adjust=whyloss.LogitAdjustment(a, tau=2.0))(z, y))


def test_parts_follow_what_is_written_into_a_weight_wherever_it_was_moved():
    z, y = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    weight = torch.tensor([0.5, 2.0, 1.0])
    for cls in (whyloss.DiceCrossEntropyLoss, whyloss.SpatiallyVaryingLabelSmoothingLoss, whyloss.OutlierExposureLoss):
        loss = cls(weight=torch.ones(3)).double()
        loss.weight.copy_(weight)
        torch.testing.assert_close(loss(z, y), cls(weight=weight)(z, y))


def test_an_option_of_a_sum_is_one_of_all_its_terms():
    z, y = torch.randn(6, 3), torch.arange(6) % 3
    weight = torch.tensor([0.5, 2.0, 1.0])
    for kind, terms in (
        (RowSum, (whyloss.CrossEntropyLoss, whyloss.FocalLoss)),
        (LossSum, (whyloss.CrossEntropyLoss, whyloss.NormalizedFocalLoss)),
    ):
        one, other = terms
        both = one() + 2 * other()
        assert type(both) is kind
        both.weight, both.reduction = weight, "none"
        expected = one(weight=weight, reduction="none") + 2 * other(weight=weight, reduction="none")
        torch.testing.assert_close(both(z, y), expected(z, y))

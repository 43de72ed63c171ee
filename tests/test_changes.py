"""A loss whose attribute is changed is the loss that would have been built with it."""

import copy
from typing import Any

import pytest
import torch
from instances import ALL, Case, defaults, value_and_gradient
from torch import Tensor

import whyloss


def same(changed: Any, built: Any, case: Case, link: str) -> None:
    z, targets, _, reads = case.call(link)
    for target in targets:
        ours, theirs = (_outcome(loss, z, target, reads) for loss in (changed, built))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


def _outcome(loss: Any, z: Tensor, target: Tensor, reads: dict[str, Tensor]) -> tuple[Tensor, Tensor] | str:
    try:
        return value_and_gradient(loss, z, target, **reads)
    except (ValueError, NotImplementedError) as refusal:
        return str(refusal)


@pytest.mark.parametrize("case", [case for case in ALL if case.numbers], ids=str)
def test_a_number(case: Case):
    for link in case.links:
        classes = case.call(link)[2]
        changed = Case(case.cls).build(classes, link=link)
        for name, value in case.numbers.items():
            if isinstance(learnt := getattr(changed, name), torch.nn.Parameter):
                learnt.data.fill_(value)
            else:
                setattr(changed, name, value)
        same(changed, case.build(classes, link=link), case, link)


@pytest.mark.parametrize("case", defaults(ALL), ids=str)
def test_class_weights(case: Case):
    for link in case.links:
        classes = case.call(link)[2]
        weight = torch.linspace(0.5, 2.0, 3 if classes == 3 else case.entries(classes))
        try:
            built = case.build(classes, link=link, weight=weight)
        except (TypeError, ValueError):
            continue
        changed = case.build(classes, link=link)
        changed.weight = weight
        same(changed, built, case, link)


def test_what_follows_is_not_given():
    counts = torch.tensor([90.0, 10.0])
    for loss, name in (
        (whyloss.NormFaceLoss(), "adjust"),
        (whyloss.LDAMLoss(counts=counts), "adjust"),
        (whyloss.ClassBalancedLoss(counts=counts), "weight"),
    ):
        with pytest.raises(ValueError, match=f"{name} follows from the other parameters"):
            setattr(loss, name, None)
    with pytest.raises(ValueError, match="no weight besides the loss's own"):
        whyloss.ClassBalancedLoss(counts=counts, weight=counts)


def test_a_copy_and_a_loaded_state_follow_too():
    counts = torch.tensor([60.0, 30.0, 10.0])
    z, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    loss = copy.deepcopy(whyloss.LogitAdjustedLoss(counts=counts))
    loss.tau = 0.5
    expected = whyloss.LogitAdjustedLoss(counts=counts, tau=0.5)(z, y)
    assert torch.equal(loss(z, y), expected)
    pair, weighted = (whyloss.DiceCrossEntropyLoss(weight=w) for w in (torch.ones(3), torch.tensor([1.0, 2.0, 3.0])))
    pair.load_state_dict(weighted.state_dict())
    pixels, labels = torch.randn(2, 3, 5), torch.randint(0, 3, (2, 5))
    assert torch.equal(pair(pixels, labels), weighted(pixels, labels))

"""Class-sharded logits: on every rank the value of all logits and this rank's slice of the gradient, for every row loss
and kind of target, with few collectives."""

from typing import Any

import pytest
import torch
from shards import CLASSES, THREE, Trial, of_three, on_a_rank, rows, shares, trials
from torch import Tensor

import whyloss

TRIALS = trials()
TOLERANCE = {torch.float64: (1e-11, 1e-11), torch.float32: (2e-6, 1e-6), torch.bfloat16: (8e-3, 1e-4)}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What three processes found; started once."""
    return of_three(on_a_rank, tmp_path_factory.mktemp("ranks"))


def agree(found: list[tuple[Tensor, Tensor]], expected: tuple[Tensor, Tensor], dtype: torch.dtype) -> None:
    value, gradient = expected
    rtol, atol = TOLERANCE[dtype]
    for ours, _ in found:
        assert ours.dtype == value.dtype
        assert torch.equal(ours, found[0][0])  # to the last bit
        torch.testing.assert_close(ours, value, rtol=min(rtol, 2e-6), atol=atol)
    torch.testing.assert_close(torch.cat([g for _, g in found], 1), gradient, rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", TRIALS)
def test_ranks_find_the_value_and_their_slice_of_the_gradient(name: str, ranks: list[dict[str, Any]]):
    trial: Trial = TRIALS[name]
    found = [rank["trials"][name] for rank in ranks[: len(trial.sizes)]]
    agree(found, trial.alone(), trial.logits.dtype)


@pytest.mark.parametrize("name", [name for name in TRIALS if name.endswith("-sure")])
def test_confident_rows_keep_their_relative_accuracy(name: str, ranks: list[dict[str, Any]]):
    trial = TRIALS[name]
    target = trial.target.double() if trial.target.is_floating_point() else trial.target
    exact = Trial(trial.loss, trial.logits.double(), target).alone()
    found = [rank["trials"][name] for rank in ranks]
    torch.testing.assert_close(found[0][0].double(), exact[0], rtol=1e-5, atol=0)
    torch.testing.assert_close(torch.cat([g for _, g in found], 1).double(), exact[1], rtol=1e-5, atol=0)


def test_slices_may_lie_in_any_order(ranks: list[dict[str, Any]]):
    z, y = rows()
    expected = Trial(whyloss.BrierLoss, z, y).alone()
    found = [rank["more"]["start"] for rank in ranks]
    agree([found[1], found[2], found[0]], expected, z.dtype)


def test_a_dtensor_brings_its_group(ranks: list[dict[str, Any]]):
    z, y = rows()
    agree([rank["more"]["dtensor"] for rank in ranks], Trial(whyloss.BrierLoss, z, y).alone(), z.dtype)
    soft = Trial(whyloss.BrierLoss, z, shares()).alone()
    agree([rank["more"]["soft dtensor"] for rank in ranks], soft, z.dtype)


def test_a_nan_of_one_rank_is_seen_by_all_in_its_row_only(ranks: list[dict[str, Any]]):
    for rank in ranks:
        for name in ("nan", "nan soft", "nan of every label"):
            assert rank["more"][name].isnan().tolist() == [True] + [False] * 11, name


def test_collectives_are_few(ranks: list[dict[str, Any]]):
    """Two forward where one label matters, and for any cross-entropy; three for every label. None back, but one where
    what a label's loss is worth is known only in the end."""
    for rank in ranks:
        for name, count in rank["counted"].items():
            loss, kind = name.split()
            normalized = loss.startswith("Normalized")
            few = loss == "CrossEntropyLoss" or (kind == "labels" and not normalized)
            assert count == (2 if few else 3, int(normalized)), name
        assert len(rank["counted"]) == 12


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("other rows", "hold logits of 2, 3, 3 rows"),
        ("other target", "target (4,) is needed"),
        ("outside", "but there are 7 classes"),
        ("whole target", "Each rank needs the target of its own classes"),
        ("no distribution", "on this rank with sum 0.875"),
        ("below 0", "soft targets must be >= 0"),
        ("target to learn", "of which each rank would only have a part"),
        ("sigmoid", "call the loss itself on this rank's slice"),
        ("overlap", "leave a gap or overlap at class 2"),
        ("one start", "on every rank the first class of its slice, or on none"),
        ("weight", "but 7 classes"),
        ("replicated", "Shard(1), the classes"),
        ("table", "a matrix product over all classes"),
    ],
)
def test_what_cannot_work_is_refused_in_words_by_every_rank(call: str, words: str, ranks: list[dict[str, Any]]):
    for rank in ranks:
        assert words in rank["errors"][call]


def test_without_other_processes_all_classes_are_here():
    z, y = rows()
    trial = Trial(whyloss.BrierLoss, z, y)
    agree([trial.run(lambda loss, z: loss.sharded(z, y), z)], trial.alone(), z.dtype)
    with pytest.raises(ValueError, match="not initialised"):
        whyloss.BrierLoss().sharded(z, y, start=THREE[0])


def test_a_formula_with_something_to_learn_gets_its_gradient():
    class Learned(whyloss.RowLoss):
        def check(self) -> None:
            super().check()
            self.sharpness = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))

        def formula(self, log_p: Tensor) -> Tensor:
            return (-log_p) ** self.sharpness

    z, y = rows()
    loss = Learned()
    slopes = [torch.autograd.grad(value, loss.sharpness)[0] for value in (loss(z, y), loss.sharded(z, y))]
    torch.testing.assert_close(slopes[0], slopes[1])
    assert slopes[0] != 0
    with pytest.raises(ValueError, match="the formula learns something"):
        loss.sharded(z, shares())


def test_class_weights_that_need_a_gradient_are_refused_with_soft_targets():
    z, _ = rows()
    weight = torch.ones(CLASSES, dtype=torch.float64, requires_grad=True)
    with pytest.raises(ValueError, match="the class weights or the soft target need a gradient"):
        whyloss.BrierLoss(weight=weight).sharded(z, shares())


def test_a_second_derivative_is_refused():
    z, y = rows()
    z.requires_grad_()
    (gradient,) = torch.autograd.grad(whyloss.BrierLoss().sharded(z, y), z, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()

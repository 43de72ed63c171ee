"""Cases by their names, inputs by their seed, losses by theirs, floors by hand."""

import math

import pytest
import torch

from whyloss.advise.finding import InputError
from whyloss.bench import case as cases
from whyloss.bench.case import Case, chosen, parse
from whyloss.bench.floors import Floors, measure
from whyloss.bench.inputs import make
from whyloss.bench.subjects import SUBJECTS, selected

TINY = ["logits-40x6", "linear-40x8x30", "segmentation-3x4x9x10", "segmentation-2x3x4x5x6", "multilabel-20x7"]
BEYOND = ["rows-40x6", "steps-40x6", "bins-40x6", "sets-40x6", "scores-40x1", "masks-2x3x9x10", "cosines-40x8x6"]


@pytest.mark.parametrize("name", [*cases.CPU, *cases.QUICK_CPU, *cases.CUDA, *cases.BEYOND, "linear-4x5x6-fp16"])
def test_a_name_is_its_case(name: str):
    found = parse(name)
    assert found is not None
    assert found.name == name


def test_patterns():
    assert [case.name for case in chosen([], "cpu")] == list(cases.CPU)
    assert [case.kind for case in chosen(["linear", "multi"], "cuda")] == ["linear"] * 4 + ["multilabel"]
    assert [case.name for case in chosen(["*x1000"], "cpu")] == ["logits-4096x1000"]
    assert [case.name for case in chosen(["logits-1024x1000"], "cuda")] == ["logits-1024x1000"], "a full name is one"
    own = chosen(["logits-7x3-bf16", "100x10"], "cpu")
    assert [case.name for case in own] == ["logits-100x10", "logits-7x3-bf16"]
    assert {case.dtype for case in chosen([], "cuda", "float16")} == {"float16"}
    assert [case.name for case in chosen([], "cpu", quick=True)] == list(cases.QUICK_CPU)
    assert [case.name for case in chosen(["8192"], "cpu", quick=True)] == ["logits-8192x100"]


def test_what_is_beyond_the_sums_is_measured_where_it_is_asked_for():
    assert [case.name for case in chosen(["beyond"], "cpu")] == list(cases.BEYOND)
    assert [case.name for case in chosen(["beyond"], "cuda", quick=True)] == list(cases.BEYOND)
    assert [case.name for case in chosen(["rows"], "cpu")] == ["rows-4096x10", "rows-1024x100"]
    assert not {case.name for case in chosen([], "cpu")} & set(cases.BEYOND)


def test_an_unknown_case_lists_the_cases():
    with pytest.raises(InputError, match=r"no case 'logit-100x11'.*Did you mean logits-100x10.*multilabel-256x9605"):
        chosen(["logit-100x11"], "cpu")


@pytest.mark.parametrize("name", ["logits-7", "logits-5x1", "linear-4x5", "segmentation-2x3x4", "logits-2x3x4"])
def test_sizes_that_do_not_fit_are_refused(name: str):
    with pytest.raises(InputError, match=r"does not fit|no case"):
        chosen([name], "cpu")


@pytest.mark.parametrize("name", [*TINY, *BEYOND])
def test_inputs_have_their_shape_and_follow_the_seed(name: str):
    case = parse(name)
    assert case is not None
    first, again, other = make(case, "cpu", 0), make(case, "cpu", 0), make(case, "cpu", 1)
    heads = {"linear": [(40, 8), (30, 8)], "cosines": [(40, 8), (6, 8)]}
    shapes = heads.get(case.kind, [case.shape])
    assert [x.shape for x in first.leaves] == shapes
    assert all(torch.equal(a, b) for a, b in zip(first.leaves, again.leaves, strict=True))
    assert not torch.equal(first.leaves[0], other.leaves[0])
    assert first.target.nbytes == case.target_bytes
    if case.kind in cases.YES_OR_NO:
        assert set(first.target.unique().tolist()) <= {0, 1}
    elif case.kind == "bins":
        assert 0 <= first.target.min() < first.target.max() <= 1
    else:
        assert set(first.target.unique().tolist()) <= set(range(case.classes))


@pytest.mark.parametrize("name", ["logits-4000x50", "linear-4000x64x50", "segmentation-4x8x64x64"])
def test_targets_are_predicted_well_half_of_the_time(name: str):
    case = parse(name)
    assert case is not None
    made = make(case, "cpu", 0)
    z = made.leaves[0] if case.kind != "linear" else made.leaves[0] @ made.leaves[1].T
    p = torch.softmax(z, 1).gather(1, made.target.unsqueeze(1))
    assert 0.35 < (p > 0.5).float().mean() < 0.65
    if case.kind == "segmentation":
        alike = (made.target[:, :, 1:] == made.target[:, :, :-1]).float().mean()
        assert alike > 0.7


def test_floors_by_hand():
    floors = Floors(copy=1e9, product={"float32": 1e12})
    logits, targets = 100 * 1000 * 4, 100 * 8
    assert floors.seconds(Case("logits", (100, 1000)), "focal") == pytest.approx(
        ((logits + targets) / 1e9, (2 * logits + targets) / 1e9)
    )
    pixels = 2 * 19 * 64 * 32
    seg = Case("segmentation", (2, 19, 64, 32), "bfloat16")
    labels = 2 * 64 * 32 * 8
    assert floors.seconds(seg, "cross-entropy")[1] == pytest.approx((4 * pixels + labels) / 1e9)
    assert floors.seconds(seg, "dice")[1] == pytest.approx((6 * pixels + 2 * labels) / 1e9)
    assert floors.seconds(Case("multilabel", (10, 50)), "asymmetric") == pytest.approx((4e-6, 6e-6))
    once = 2 * 64 * 16 * 1000 / 1e12
    assert floors.seconds(Case("linear", (64, 16, 1000)), "brier") == pytest.approx((once, 3 * once))


def test_floors_are_measured():
    floors = measure("cpu", ["float32", "float32"])
    assert math.isfinite(floors.copy)
    assert floors.copy > 0
    assert list(floors.product) == ["float32"]


def test_losses_go_by_their_names():
    assert [s.name for s in selected(["bce", "CrossEntropyLoss", "ls", "confpen"])] == [
        "cross-entropy",
        "label-smoothing",
        "confidence-penalty",
        "binary-cross-entropy",
    ]
    assert selected([]) == list(SUBJECTS)
    with pytest.raises(InputError, match=r"--loss foccal is not measured.*focal"):
        selected(["foccal"])

"""`loss.linear` is the loss of the linear layer's logits: value and gradients, for every loss and option, without the
logits."""

import copy
import pickle
from typing import Any

import pytest
import torch
from functorch.compile import aot_module_simplified, make_boxed_func
from instances import ROWS, Case, defaults, soft
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import linear as layer

import whyloss
from whyloss.losses.declared import KNOWN
from whyloss.stats import heads, linear, vocabulary
from whyloss.stats.heads import Head

ON_LINK = [pytest.param(c, link, id=f"{c}-{link}") for c in ROWS for link in c.links]
BY_DEFAULT = [pytest.param(c, link, id=f"{c}-{link}") for c in defaults(ROWS) for link in c.links]
N, D, C = 13, 3, 5
pytestmark = pytest.mark.usefixtures("small_chunks")


def parts(dtype: torch.dtype = torch.float64, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    hidden, weight, bias = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((N, D), (C, D), (C,)))
    labels = torch.randint(C, (N,), generator=generator)
    return hidden.to(dtype), (2 * weight).to(dtype), bias.to(dtype), labels


def both(loss: Any, hidden: Tensor, weight: Tensor, target: Tensor, bias: Tensor | None, up: Any = 1.0, **call: Any):
    """(value, gradients) by `linear` and from logits."""
    found, own = list[list[Tensor]](), {"memory": call.pop("memory", None)}
    for fused in (True, False):
        leaves = [x.detach().clone().requires_grad_() for x in (hidden, weight, bias) if x is not None]
        h, w, *b = leaves
        made = b[0] if b else None
        value = loss.linear(h, w, target, made, **call, **own) if fused else loss(layer(h, w, made), target, **call)
        gradients = torch.autograd.grad((value * up).sum(), leaves)
        found.append([value.detach(), *gradients])
    return found


def agree(pair: list[list[Tensor]], rtol: float = 1e-9, atol: float = 1e-11) -> None:
    for ours, theirs in zip(*pair, strict=True):
        assert ours.dtype == theirs.dtype
        assert torch.allclose(ours, theirs, rtol, atol)


def binary_target() -> Tensor:
    return (torch.arange(N * C) % 3 == 0).long().reshape(N, C)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("case", "link"), ON_LINK)
def test_value_and_gradients_are_those_of_the_logits(case: Case, link: str, reduction: str):
    hidden, weight, bias, labels = parts()
    classes = 2 if link == "sigmoid" else C
    loss = case.build(classes, link=link, reduction=reduction)
    target = binary_target() if link == "sigmoid" else labels.clone()
    target[2], target[7] = -100, -100
    up = (
        torch.linspace(-1, 2, target.numel(), dtype=torch.float64).reshape(target.shape) if reduction == "none" else 1.7
    )
    agree(both(loss, hidden, weight, target, bias, up))


@pytest.mark.parametrize(("case", "link"), BY_DEFAULT)
def test_weights_adjustments_smoothing_and_soft_targets(case: Case, link: str):
    hidden, weight, bias, labels = parts()
    classes = 2 if link == "sigmoid" else C
    target = binary_target() if link == "sigmoid" else labels
    of_rows = torch.linspace(0, 2, N, dtype=torch.float64)
    of_class = torch.linspace(0.5, 2, classes)
    own = {} if case.cls.fields()["weight"].default is not None else {"weight": of_class}
    loss = case.build(classes, link=link)
    if loss.weight is None:
        loss = case.build(classes, link=link, **own)
        agree(both(loss, hidden, weight, target, bias, sample_weight=of_rows))
    smooth = case.build(classes, link=link, label_smoothing=0.2)
    agree(both(smooth, hidden, weight, target, None, normalizer=7.0))
    q = soft(N, C) if link == "softmax" else torch.linspace(0, 1, N * C, dtype=torch.float64).reshape(N, C)
    agree(both(case.build(classes, link=link), hidden, weight, q, bias))


def test_logits_are_adjusted_and_masked_as_before():
    hidden, weight, bias, labels = parts()
    counts = torch.tensor([90.0, 20, 5, 5, 1])
    agree(both(whyloss.CrossEntropyLoss(adjust=whyloss.LogitAdjustment(counts)), hidden, weight, labels, bias))
    agree(both(whyloss.CrossEntropyLoss(label_smoothing=0.1), hidden, weight, labels, bias))
    bias[4] = -torch.inf
    labels = labels.clamp(max=3)
    for loss in (
        whyloss.CrossEntropyLoss(label_smoothing=0.1),
        whyloss.FocalLoss(label_smoothing=0.1),
        whyloss.BrierLoss(),
    ):
        value, *gradients = both(loss, hidden, weight, labels, bias)[0]
        theirs = loss(layer(hidden, weight, bias), labels)
        assert torch.allclose(value, theirs)
        assert all(bool(g.isfinite().all()) for g in gradients)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_softcap_is_a_tanh_of_the_logits(reduction: str):
    hidden, weight, bias, labels = parts()
    loss = whyloss.FocalLoss(reduction=reduction)
    leaves = [x.clone().requires_grad_() for x in (hidden, weight, bias)]
    ours = loss.linear(leaves[0], leaves[1], labels, leaves[2], softcap=3.0)
    theirs = loss(3 * torch.tanh(layer(*leaves) / 3), labels)
    up = torch.linspace(1, 2, ours.numel(), dtype=ours.dtype).reshape(ours.shape)
    assert torch.allclose(ours, theirs)
    for a, b in zip(torch.autograd.grad(ours, leaves, up), torch.autograd.grad(theirs, leaves, up), strict=True):
        assert torch.allclose(a, b)


def test_leading_axes_are_rows():
    hidden, weight, bias, labels = parts()
    h, y = hidden[:12].reshape(3, 4, D), labels[:12].reshape(3, 4)
    loss = whyloss.GeneralizedCrossEntropyLoss(reduction="none")
    assert torch.equal(loss.linear(h, weight, y, bias).flatten(), loss.linear(hidden[:12], weight, labels[:12], bias))
    per_sample = torch.tensor([1.0, 2.0, 0.0])
    weighted = loss.linear(h, weight, y, bias, sample_weight=per_sample)
    assert torch.allclose(weighted, loss.linear(h, weight, y, bias) * per_sample[:, None])
    q = soft(12, C).reshape(3, 4, C)
    assert loss.linear(h, weight, q, bias).shape == (3, 4)


def test_derivatives_of_both_orders_are_the_finite_differences():
    hidden, weight, bias, labels = parts()
    leaves = [x.requires_grad_() for x in (hidden, weight, bias)]
    for reduction in ("mean", "none"):
        loss = whyloss.FocalLoss(reduction=reduction)
        assert gradcheck(lambda h, w, b: loss.linear(h, w, labels, b), leaves)  # noqa: B023
        assert gradgradcheck(lambda h, w, b: loss.linear(h, w, labels, b), leaves, atol=1e-4)  # noqa: B023


def test_a_retained_graph_gives_the_same_gradients_again():
    hidden, weight, bias, labels = parts()
    leaves = [x.requires_grad_() for x in (hidden, weight, bias)]
    value = whyloss.BrierLoss().linear(leaves[0], leaves[1], labels, leaves[2])
    first = [g.clone() for g in torch.autograd.grad(3 * value, leaves, retain_graph=True)]
    again = torch.autograd.grad(3 * value, leaves)
    assert all(torch.allclose(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("frozen", ["hidden", "weight", "both"])
def test_what_is_frozen_costs_no_product(frozen: str, monkeypatch: pytest.MonkeyPatch):
    hidden, weight, _, labels = parts()
    hidden.requires_grad_(frozen == "weight")
    weight.requires_grad_(frozen == "hidden")
    made: list[str] = []
    real_mm, real_add = torch.mm, linear.Total.add
    monkeypatch.setattr(torch, "mm", lambda *a, **k: (made.append("mm"), real_mm(*a, **k))[1])
    monkeypatch.setattr(linear.Total, "add", lambda *a: (made.append("weight"), real_add(*a))[1])
    value = whyloss.CrossEntropyLoss().linear(hidden, weight, labels)
    if frozen != "both":
        value.backward()
    chunks = 4  # each makes its logits; one more product for hidden states that learn
    products = chunks * (2 if frozen == "weight" else 1) + (frozen == "hidden")  # the first to the weights
    assert made.count("mm") == products
    assert made.count("weight") == (chunks if frozen == "hidden" else 0)
    assert hidden.grad is None or frozen == "weight"


def test_no_gradient_is_formed_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch):
    hidden, weight, _, labels = parts()
    monkeypatch.setattr(linear.Total, "add", lambda *a: pytest.fail("a gradient was formed"))
    with torch.no_grad():
        whyloss.CrossEntropyLoss().linear(hidden.requires_grad_(), weight.requires_grad_(), labels)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_lower_precision_is_as_close_to_float64_as_from_logits(dtype: torch.dtype, reduction: str):
    hidden, weight, bias, labels = parts(dtype)
    exact = both(whyloss.CrossEntropyLoss(reduction=reduction), hidden.double(), weight.double(), labels, bias.double())
    ours, theirs = both(whyloss.CrossEntropyLoss(reduction=reduction), hidden, weight, labels, bias)
    for a, b, truth in zip(ours, theirs, exact[1], strict=True):
        assert a.dtype == b.dtype
        # A last digit more is allowed: the sum over chunks is rounded once, the logits' gradient too.
        error = (a.double() - truth).norm() / truth.norm()
        assert error <= 1.5 * (b.double() - truth).norm() / truth.norm() + torch.finfo(dtype).eps


def test_float16_survives_a_mean_over_many_rows():
    hidden, weight = torch.randn(4096, 8).half(), torch.randn(C, 8).half().requires_grad_()
    labels = torch.arange(4096) % C
    (whyloss.CrossEntropyLoss().linear(hidden, weight, labels) * 1024.0).backward()
    exact = weight.detach().double().requires_grad_()
    (whyloss.CrossEntropyLoss()(hidden.double() @ exact.T, labels) * 1024.0).backward()
    assert weight.grad is not None
    assert exact.grad is not None
    assert torch.allclose(weight.grad.double(), exact.grad, rtol=5e-3, atol=0.05)


def test_autocast_runs_the_products_in_its_dtype():
    hidden, weight, bias, labels = (x.float() if x.is_floating_point() else x for x in parts())
    hidden.requires_grad_()
    weight.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        value = whyloss.CrossEntropyLoss().linear(hidden, weight, labels, bias)
    value.backward()
    assert value.dtype == torch.float32
    assert hidden.grad is not None
    assert hidden.grad.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        theirs = whyloss.CrossEntropyLoss()(layer(hidden, weight, bias), labels)
    assert torch.allclose(value, theirs, rtol=1e-2)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("name", ["FocalLoss", "BinaryCrossEntropyLoss"])
def test_inside_compile_there_is_no_graph_break_and_no_logits(name: str, reduction: str):
    torch._dynamo.reset()
    hidden, weight, bias, labels = parts()
    loss = getattr(whyloss, name)(reduction=reduction)
    target = binary_target() if loss.link == "sigmoid" else labels
    graphs: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return aot_module_simplified(graph, inputs, fw_compiler=lambda g, _: make_boxed_func(g))

    compiled = torch.compile(lambda h, w, b: loss.linear(h, w, target, b).sum(), fullgraph=True, backend=backend)
    leaves = [x.requires_grad_() for x in (hidden, weight, bias)]
    ours, theirs = compiled(*leaves), loss.linear(leaves[0], leaves[1], target, leaves[2]).sum()
    assert torch.allclose(ours, theirs)
    for a, b in zip(torch.autograd.grad(2 * ours, leaves), torch.autograd.grad(2 * theirs, leaves), strict=True):
        assert torch.allclose(a, b)
    assert len(graphs) == 1
    assert any("whyloss.linear" in str(node.target) for node in graphs[0].graph.nodes)


def test_the_operators_are_what_torch_expects_of_operators():
    hidden, weight, bias, labels = parts()
    for reduction in ("mean", "none"):
        loss = whyloss.CrossEntropyLoss(reduction=reduction)
        given = (hidden, weight, labels, bias, None, None, None, None, loss.handle, [True, True, True])
        operators = ["test_schema", "test_faketensor"]
        torch.library.opcheck(torch.ops.whyloss.linear.default, given, test_utils=operators)
        if reduction == "none":
            torch.library.opcheck(
                torch.ops.whyloss.linear_backward.default, (labels.double(), *given), test_utils=operators
            )


def test_a_copy_of_a_loss_is_another_loss_to_the_compiler():
    one = whyloss.FocalLoss(gamma=1.0)
    for other in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert other.handle != one.handle
        other.gamma = 3.0
        assert KNOWN[other.handle] is other
        assert KNOWN[one.handle] is one


def test_torch_func_differentiates_it():
    hidden, weight, _, labels = parts()
    loss = whyloss.FocalLoss()
    ours = torch.func.grad(lambda w: loss.linear(hidden, w, labels))(weight)
    assert torch.allclose(ours, torch.func.grad(lambda w: loss(hidden @ w.T, labels))(weight))


def test_no_rows_and_nothing_counted_give_zero_with_a_graph():
    _, weight, _, _ = parts()
    for hidden, labels in (
        (torch.zeros(0, D, dtype=torch.float64), torch.zeros(0, dtype=torch.long)),
        (torch.ones(3, D, dtype=torch.float64), torch.full((3,), -100)),
    ):
        w = weight.clone().requires_grad_()
        value = whyloss.CrossEntropyLoss().linear(hidden, w, labels)
        assert value == 0
        value.backward()
        assert w.grad is not None
        assert not w.grad.any()


@pytest.mark.parametrize("kept", [3, 12])
def test_ignored_rows_are_left_out_and_get_zeros(kept: int):
    hidden, weight, bias, labels = parts()
    labels[kept:] = -100
    loss = whyloss.CrossEntropyLoss(reduction="none")
    pair = both(loss, hidden, weight, labels, bias)
    agree(pair)
    assert not pair[0][0][kept:].any()
    assert not pair[0][1][kept:].any()


def test_memory_decides_the_chunks():
    hidden, weight = torch.zeros(4096, 8), torch.zeros(1000, 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heads, "CPU_CHUNK", 2**22)
        patch.setattr(heads, "FEWEST_ROWS", 16)
        assert Head(hidden, weight).chunk() == 4096
        assert Head(hidden, weight, memory=8_000_000).chunk() <= 1000
        assert Head(hidden, weight, memory=1).chunk() == 16
        assert linear.choose(Head(hidden, weight, memory=8_000_000), _rows(4096))[1].startswith("5 chunks of 820")


def _rows(count: int) -> Any:
    return whyloss.losses.rows.enter(
        whyloss.CrossEntropyLoss(), torch.zeros(count, 2), torch.zeros(count).long(), None
    ).rows


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda h, w, y, b: (h, w.T, y, b), r"do not fit.*transposed"),
        (lambda h, w, y, b: (h, w, y[:3], b), r"target \(3,\)"),
        (lambda h, w, y, b: (h, w, y, b[:2]), r"bias \(2,\) but 5 classes"),
        (lambda h, w, y, b: (h.long(), w, y, b), r"hidden must be a floating-point tensor"),
        (lambda h, w, y, b: (h.float(), w, y, b), r"one dtype is needed"),
        (lambda h, w, y, b: (h, w, y + 99, b), r"target holds"),
    ],
)
def test_bad_input_is_named(call: Any, message: str):
    with pytest.raises((TypeError, ValueError), match=message):
        whyloss.CrossEntropyLoss().linear(*call(*(parts()[i] for i in (0, 1, 3, 2))))


# --- classes in parts ------------------------------------------------------------------------------------------------


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> int:
    """A memory that makes parts of two classes and five rows."""
    monkeypatch.setattr(vocabulary, "FEWEST", 2)
    monkeypatch.setattr(vocabulary, "LEAST", 1)
    monkeypatch.setattr(heads, "FEWEST_ROWS", 16)
    return vocabulary.TENSORS * 8 * 10


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("case", [c for c in ROWS if "softmax" in c.links], ids=str)
def test_classes_in_parts_give_the_same(case: Case, reduction: str, small_parts: int):
    hidden, weight, bias, labels = parts()
    labels[2], labels[7] = -100, -100
    loss = case.build(C, link="softmax", reduction=reduction)
    up = torch.linspace(-1, 2, N, dtype=torch.float64) if reduction == "none" else 1.7
    agree(both(loss, hidden, weight, labels, bias, up, memory=small_parts))


def test_parts_know_adjustments_masks_softcap_and_confident_rows(small_parts: int):
    hidden, weight, bias, labels = parts()
    adjust = whyloss.Adjustment(shift=torch.randn(C).double(), margin=torch.rand(C).double(), scale=1.7)
    of_rows, of_class = torch.linspace(0, 2, N, dtype=torch.float64), torch.linspace(0.5, 2, C).double()
    for loss in (
        whyloss.CrossEntropyLoss,
        whyloss.BrierLoss,
        whyloss.MulticlassHingeLoss,
        whyloss.ConfidencePenaltyLoss,
    ):
        made = loss(adjust=adjust, weight=of_class)
        agree(both(made, 9 * hidden, weight, labels, bias, sample_weight=of_rows, memory=small_parts))
    agree(both(whyloss.CrossEntropyLoss(label_smoothing=0.1), hidden, weight, labels, bias, memory=small_parts))
    bias[4] = -torch.inf
    agree(both(whyloss.CrossEntropyLoss(), hidden, weight, labels.clamp(max=3), bias, memory=small_parts))
    loss = whyloss.FocalLoss()
    leaves = [x.clone().requires_grad_() for x in (hidden, weight)]
    ours = loss.linear(leaves[0], leaves[1], labels, softcap=3.0, memory=small_parts)
    theirs = loss(3 * torch.tanh(layer(*leaves) / 3), labels)
    for a, b in zip(torch.autograd.grad(ours, leaves), torch.autograd.grad(theirs, leaves), strict=True):
        assert torch.allclose(a, b)


def test_the_parts_are_explained_and_what_does_not_fit_goes_in_rows(small_parts: int):
    hidden, weight, bias, labels = parts()
    head = Head(hidden, weight, memory=small_parts)
    entered = whyloss.losses.rows.enter(whyloss.CrossEntropyLoss(), torch.zeros(N, C), labels, None)
    assert linear.choose(head, entered.rows)[1] == "3 chunks of 5 rows, each in 3 parts of 2 classes, made twice"
    agree(both(whyloss.FocalLoss(), hidden, weight, soft(N, C), bias, memory=small_parts))  # every class a label


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_parts_in_lower_precision(dtype: torch.dtype, small_parts: int):
    hidden, weight, bias, labels = parts(dtype)
    exact = both(whyloss.CrossEntropyLoss(), hidden.double(), weight.double(), labels, bias.double())
    ours, theirs = both(whyloss.CrossEntropyLoss(), hidden, weight, labels, bias, memory=small_parts // 2)
    for a, b, truth in zip(ours, theirs, exact[1], strict=True):
        error = (a.double() - truth).norm() / truth.norm()
        assert error <= 1.5 * (b.double() - truth).norm() / truth.norm() + torch.finfo(dtype).eps

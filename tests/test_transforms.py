"""Losses under everything that torch does to modules and functions: func, compile, export, copies, pickles, dtypes."""

import copy
import pickle
import warnings
from collections.abc import Iterator

import pytest
import torch
from instances import ALL, ROWS, SIGMOID, SOFTMAX, Case, defaults, rows, soft, value_and_gradient
from torch import Tensor
from torch.func import grad, hessian, jvp, vmap

import whyloss

# Torch's own forward mode loads a module that warns of torch.jit.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


@pytest.mark.parametrize("case", defaults(SOFTMAX), ids=str)
def test_vmap_of_grad_gives_each_rows_own_gradient(case: Case):
    z, y = rows()
    loss = case.build(link="softmax", reduction="sum")
    each = vmap(grad(lambda z, y: loss(z, y)))(z, y)
    torch.testing.assert_close(each, value_and_gradient(loss, z, y)[1])
    q = soft()
    each = vmap(grad(lambda z, q: loss(z, q)))(z, q)
    torch.testing.assert_close(each, value_and_gradient(loss, z, q)[1])


@pytest.mark.parametrize("case", defaults(SIGMOID), ids=str)
def test_vmap_of_grad_through_the_sigmoid_link(case: Case):
    z, y = torch.linspace(-3, 3, 5), torch.tensor([0, 1, 1, 0, 1])
    loss = case.build(2, link="sigmoid", reduction="sum")
    torch.testing.assert_close(vmap(grad(lambda z, y: loss(z, y)))(z, y), value_and_gradient(loss, z, y)[1])


@pytest.mark.parametrize("case", defaults(SOFTMAX), ids=str)
def test_forward_mode_and_hessians(case: Case):
    z, y = rows(4, 3)
    loss = case.build(3, link="softmax")
    direction = torch.randn(4, 3, dtype=z.dtype)
    value, slope = jvp(lambda z: loss(z, y), (z,), (direction,))
    expected, gradient = value_and_gradient(loss, z, y)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(slope, (gradient * direction).sum())
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(z, direction)
        tangent = torch.autograd.forward_ad.unpack_dual(loss(dual, y)).tangent
    torch.testing.assert_close(tangent, slope)
    curvature = hessian(lambda z: loss(z, y))(z).reshape(12, 12)
    by_autograd = torch.autograd.functional.hessian(lambda z: loss(z, y), z).reshape(12, 12)
    torch.testing.assert_close(curvature, by_autograd)


@pytest.fixture
def compiler() -> Iterator[None]:
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
    torch._dynamo.reset()


@pytest.mark.parametrize("backend", ["eager", pytest.param("aot_eager", marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", defaults(ALL), ids=str)
def test_every_loss_compiles_as_one_graph(case: Case, backend: str, compiler: None):
    link = case.links[0]
    z, all_targets, classes, more = case.call(link)
    for target in all_targets if backend != "eager" else all_targets[:1]:
        loss = case.build(classes, link=link)
        compiled = torch.compile(loss, fullgraph=True, backend=backend)
        expected = value_and_gradient(loss, z, target, **more)
        torch.testing.assert_close(value_and_gradient(compiled, z, target, **more), expected)


OPTIONS = {
    "weighted": {"weight": torch.tensor([1.0, 2, 3, 4])},
    "smoothed": {"label_smoothing": 0.1},
    "adjusted": {"adjust": whyloss.Adjustment(margin=torch.tensor([1.0, 2, 3, 4]), scale=2.0)},
    "none": {"reduction": "none"},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_options_compile(options: dict[str, object], compiler: None):
    z, y = rows(dtype=torch.float32)
    loss = whyloss.FocalLoss(**options)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(value_and_gradient(compiled, z, y), value_and_gradient(loss, z, y))


def test_a_sum_of_losses_compiles_and_so_does_the_functional_form(compiler: None):
    z, y = rows(dtype=torch.float32)
    for loss in (whyloss.FocalLoss() + 2 * whyloss.BrierLoss(), whyloss.FocalLoss() + whyloss.NormalizedFocalLoss()):
        compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(z, y), loss(z, y))
    # It makes a module, which a full graph cannot; with a graph break it can.
    compiled = torch.compile(lambda z, y: whyloss.functional.focal_loss(z, y), backend="aot_eager")
    torch.testing.assert_close(compiled(z, y), whyloss.FocalLoss()(z, y))


@pytest.mark.slow
@pytest.mark.parametrize("cls", [whyloss.FocalLoss, whyloss.BrierLoss])
def test_inductor(cls: type[whyloss.RowLoss], compiler: None):
    z, y = rows(dtype=torch.float32)
    loss = cls()
    compiled = torch.compile(loss, fullgraph=True)
    torch.testing.assert_close(value_and_gradient(compiled, z, y), value_and_gradient(loss, z, y))


@pytest.mark.parametrize("case", defaults(ALL), ids=str)
def test_every_loss_exports(case: Case, compiler: None):
    link = case.links[0]
    z, all_targets, classes, more = case.call(link)
    loss = case.build(classes, link=link)
    for target in all_targets:
        exported = torch.export.export(loss, (z, target), more, strict=False)
        torch.testing.assert_close(exported.module()(z, target, **more), loss(z, target, **more))


@pytest.mark.parametrize("case", ALL, ids=str)
def test_copies_pickles_and_state(case: Case):
    link = case.links[0]
    z, (target, *_), classes, more = case.call(link)
    loss = case.build(classes, link=link)
    expected = loss(z, target, **more)
    for other in (copy.deepcopy(loss), copy.copy(loss), pickle.loads(pickle.dumps(loss))):
        assert torch.equal(other(z, target, **more), expected)
        assert repr(other) == repr(loss)
        assert type(loss).__name__ in repr(loss)
    fresh = case.build(classes, link=link)
    fresh.load_state_dict(loss.state_dict())
    assert torch.equal(fresh(z, target, **more), expected)
    assert loss.to(torch.float64)(z.double(), target, **more).dtype == torch.float64
    for half in (loss.half(), loss.bfloat16()):
        assert torch.isfinite(half(z, target, **more)).all()


def test_state_carries_what_the_fields_made():
    """Loading another loss's state takes its weights, shifts and inverse with it."""
    z, y = rows(6, 3, dtype=torch.float32)
    a, b = torch.tensor([1.0, 5, 9]), torch.tensor([7.0, 2, 2])
    T = torch.tensor([[0.9, 0.1, 0], [0.2, 0.8, 0], [0, 0, 1.0]])
    for one, other in (
        (whyloss.ClassBalancedLoss(counts=a), whyloss.ClassBalancedLoss(counts=b)),
        (whyloss.LogitAdjustedLoss(counts=a), whyloss.LogitAdjustedLoss(counts=b)),
        (whyloss.LDAMLoss(counts=a), whyloss.LDAMLoss(counts=b)),
        (whyloss.BackwardCorrectionLoss(transition=T), whyloss.BackwardCorrectionLoss(transition=torch.eye(3))),
    ):
        assert one(z, y) != other(z, y)
        other.load_state_dict(one.state_dict())
        assert one(z, y) == other(z, y)


def test_sums_of_losses_are_copied_and_moved_too():
    z, y = rows(dtype=torch.float32)
    counts = torch.tensor([4.0, 3, 2, 1])
    both = [whyloss.FocalLoss() + whyloss.BrierLoss(), whyloss.FocalLoss() + whyloss.LogitAdjustedLoss(counts=counts)]
    for loss in both:
        for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
            assert torch.equal(other(z, y), loss(z, y))
        assert loss.double()(z.double(), y).dtype == torch.float64


def test_buffers_are_listed_and_none_is_left_out():
    for case in ROWS:
        loss = case.build(2 if case.links == ("sigmoid",) else 4)
        loose = [n for n, v in vars(loss).items() if isinstance(v, Tensor)]
        assert not loose, (case, loose)

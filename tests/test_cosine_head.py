"""The layer before losses of cosines: angles at every length and dtype, several centres a class; what is refused."""

import copy
from typing import Any

import pytest
import torch
from test_cosines import Y, cosines
from torch.autograd import gradcheck, gradgradcheck

import whyloss


def test_the_head_gives_cosines():
    torch.manual_seed(0)
    head, x = whyloss.CosineHead(5, 3), torch.randn(4, 2, 5)
    expected = torch.nn.functional.cosine_similarity(x.unsqueeze(-2), head.weight.squeeze(1), dim=-1)
    torch.testing.assert_close(head(x), expected)
    torch.testing.assert_close(head(1e-30 * x), expected)
    torch.testing.assert_close(head(1e30 * x), expected)
    assert head.double()(x.double()).dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_head_is_computed_in_float32(dtype: torch.dtype):
    torch.manual_seed(0)
    head, x = whyloss.CosineHead(5, 3), torch.randn(4, 5).to(dtype)
    expected = head(x.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(head(x), expected)
        assert torch.equal(head(x.float()), expected)
    assert head.to(dtype)(x).dtype == torch.float32


def test_nothing_has_no_angle_and_a_finite_gradient():
    head = whyloss.CosineHead(3, 2, subcenters=2)
    head.weight.data[0] = 0
    x = torch.zeros(2, 3, requires_grad=True)
    value = head(x)
    assert torch.equal(value, torch.zeros(2, 2))
    (whyloss.ArcFaceLoss()(value, torch.tensor([0, 1])) + head.spread()).backward()
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(head.weight.grad).all()


def test_subcenters_take_the_nearest_and_soft_ones_the_softmax():
    torch.manual_seed(0)
    head = whyloss.CosineHead(5, 3, subcenters=4).double()
    x = torch.randn(6, 5, dtype=torch.float64)
    each = torch.nn.functional.cosine_similarity(x[:, None, None], head.weight, dim=-1)
    torch.testing.assert_close(head(x), each.amax(2))
    head.gamma = 0.1
    torch.testing.assert_close(head(x), ((each / 0.1).softmax(2) * each).sum(2))
    head.gamma = 1e-4
    torch.testing.assert_close(head(x), each.amax(2))
    for gamma in (None, 0.1):
        one = whyloss.CosineHead(5, 3, gamma=gamma).double()
        torch.testing.assert_close(one(x), torch.nn.functional.cosine_similarity(x[:, None], one.weight[:, 0], dim=-1))


def test_the_regulariser_is_soft_triples():
    torch.manual_seed(0)
    head = whyloss.CosineHead(5, 3, subcenters=4).double()
    unit = head.unit(head.weight)
    pairs = [(s, t) for s in range(4) for t in range(s + 1, 4)]
    distances = sum((2 - 2 * (unit[:, s] * unit[:, t]).sum(1)).sqrt().sum() for s, t in pairs)
    torch.testing.assert_close(head.spread(), distances / (3 * 4 * 3))
    assert whyloss.CosineHead(5, 3).spread() == 0
    merged = whyloss.CosineHead(5, 3, subcenters=2)
    merged.weight.data[:, 1] = 2 * merged.weight.data[:, 0]
    merged.spread().backward()
    assert torch.isfinite(merged.weight.grad).all()


def test_the_head_has_both_derivatives():
    torch.manual_seed(0)
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    for gamma in (None, 0.2):
        head = whyloss.CosineHead(4, 3, subcenters=2, gamma=gamma).double()
        assert gradcheck(head, x)
        assert gradgradcheck(head, x)
    assert gradcheck(lambda w: torch.func.functional_call(head, {"weight": w}, x.detach()), head.weight)


@pytest.mark.parametrize("loss", [whyloss.ArcFaceLoss(), whyloss.SphereFaceLoss(), whyloss.P2SGradLoss()], ids=repr)
def test_the_linear_head_of_directions_is_the_loss_of_cosines(loss: Any):
    torch.manual_seed(0)
    head, x, y = whyloss.CosineHead(8, 50).double(), torch.randn(30, 8, dtype=torch.float64), torch.arange(30)
    found = []
    for call in (lambda x: loss.linear(head.unit(x), head.centers(), y, memory=4000), lambda x: loss(head(x), y)):
        leaf = x.clone().requires_grad_()
        value = call(leaf)
        found.append((value.detach(), *torch.autograd.grad(value, (leaf, head.weight))))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_head_and_loss_compile_as_one_graph():
    torch.manual_seed(0)
    head, loss, x, y = whyloss.CosineHead(4, 3, subcenters=2), whyloss.ArcFaceLoss(), torch.randn(6, 4), Y % 3
    compiled = torch.compile(lambda x: loss(head(x), y), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), loss(head(x), y))
    twin = copy.deepcopy(head)
    assert torch.equal(twin(x), head(x))
    twin.load_state_dict(whyloss.CosineHead(4, 3, subcenters=2).state_dict())
    assert repr(twin) == "CosineHead(features=4, classes=3, subcenters=2)"


def test_what_is_refused():
    for wrong in ({"features": 0}, {"classes": 0}, {"subcenters": 0}, {"gamma": 0.0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} >"):
            whyloss.CosineHead(**{"features": 2, "classes": 2, **wrong})
    with pytest.raises(ValueError, match="one centre a class"):
        whyloss.CosineHead(2, 2, subcenters=3).centers()
    with pytest.raises(ValueError, match="no adjust"):
        whyloss.ArcFaceLoss(adjust=whyloss.Adjustment(scale=2.0))
    with pytest.raises(ValueError, match=r"MagFaceLoss: one norm for each row is needed, got \(6, 4\)"):
        whyloss.MagFaceLoss()(cosines(), Y, norm=torch.ones(6, 4))
    with pytest.raises(ValueError, match="whole margin"):
        whyloss.SphereFaceLoss(margin=1.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="link"):
        whyloss.ArcFaceLoss(link="sigmoid")

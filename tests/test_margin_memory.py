"""Losses of margins that remember what they have seen: in training alone, of what counts, and never too soon."""

import copy

import pytest
import torch
from instances import soft, value_and_gradient
from test_cosines import NORM, Y, cosines
from torch import Tensor

import whyloss

Made = tuple[whyloss.Loss, dict[str, Tensor]]


def remembering() -> list[Made]:
    return [
        (whyloss.AdaCosLoss(classes=4), {}),
        (whyloss.CurricularFaceLoss(scale=5.0), {}),
        (whyloss.AdaFaceLoss(scale=5.0), {"norm": NORM}),
        (whyloss.CenterLoss(classes=4, features=3), {"feature": torch.linspace(-2, 3, 18).reshape(6, 3)}),
    ]


@pytest.mark.parametrize("made", remembering(), ids=lambda made: type(made[0]).__name__)
def test_what_is_remembered_changes_in_training_alone_and_travels_with_the_state(made: Made):
    loss, more = made
    z, start = cosines().float(), {n: x.clone() for n, x in loss.state_dict().items()}
    loss.eval()
    before = loss(z, Y, **more)
    assert all(torch.equal(x, start[n]) for n, x in loss.state_dict().items())
    assert torch.equal(loss(z, Y, **more), before)
    loss.train()
    with torch.no_grad():
        loss(z, Y, **more)
    assert any(not torch.equal(x, start[n]) for n, x in loss.state_dict().items())
    fresh = type(loss)(**{n: getattr(loss, n) for n in loss.fields()})
    fresh.load_state_dict(loss.state_dict())
    assert torch.equal(fresh.eval()(z, Y, **more), loss.eval()(z, Y, **more))


@pytest.mark.parametrize("made", remembering(), ids=lambda made: type(made[0]).__name__)
def test_backward_after_the_next_batch_is_that_of_its_own(made: Made):
    loss, more = made
    q = soft(dtype=torch.float32).requires_grad_()
    for target in (Y, q):
        z = cosines().float().requires_grad_()
        state = {n: x.clone() for n, x in loss.state_dict().items()}
        expected = value_and_gradient(loss, z, target, **more)
        loss.load_state_dict(state)
        value = loss(z, target, **more)
        loss(cosines(seed=1).float(), Y, **more)
        value.backward()
        torch.testing.assert_close((value.detach(), z.grad), expected)


@pytest.mark.parametrize("made", remembering(), ids=lambda made: type(made[0]).__name__)
def test_rows_that_do_not_count_are_not_remembered(made: Made):
    loss, more = made
    start = {n: x.clone() for n, x in loss.state_dict().items()}
    loss(cosines()[:4].float(), Y[:4], **{n: x[:4] for n, x in more.items()})
    expected = {n: x.clone() for n, x in loss.state_dict().items()}
    z, y = cosines().float(), Y.clone()
    z[4:], y[4:] = torch.nan, -100
    dirty = {
        n: torch.where((torch.arange(6) < 4).reshape(-1, *[1] * (x.ndim - 1)), x, torch.nan) for n, x in more.items()
    }
    for n, x in dirty.items():
        dirty[n] = x.requires_grad_()
    loss.load_state_dict(start)
    value = loss(z, y, **dirty)
    for n, x in loss.state_dict().items():
        torch.testing.assert_close(x, expected[n])
    for x in torch.autograd.grad(value, list(dirty.values()), allow_unused=True) if value.requires_grad else ():
        assert x is None or torch.isfinite(x).all()
    loss(z, torch.full_like(y, -100), **dirty)  # nothing counts
    for n, x in loss.state_dict().items():
        torch.testing.assert_close(x, expected[n])


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("made", remembering(), ids=lambda made: type(made[0]).__name__)
def test_what_is_remembered_is_remembered_under_the_compiler(made: Made):
    loss, more = made
    other = copy.deepcopy(loss)
    compiled = torch.compile(other, fullgraph=True, backend="eager")
    for seed in range(2):
        z = cosines(seed=seed).float()
        torch.testing.assert_close(compiled(z, Y, **more), loss(z, Y, **more))
    for n, x in loss.state_dict().items():
        torch.testing.assert_close(other.state_dict()[n], x)


def test_center_loss_draws_features_of_a_class_together():
    torch.manual_seed(0)
    loss = whyloss.CenterLoss(classes=2, features=2, pull=1.0)
    x = torch.randn(40, 2, requires_grad=True)
    y = torch.arange(40) % 2
    start = float(x.detach()[y == 0].var(0).sum())
    for _ in range(50):
        (gradient,) = torch.autograd.grad(loss(x, y, feature=x, normalizer=1.0), x)
        x = (x - 0.1 * gradient).detach().requires_grad_()
    assert x[y == 0].var(0).sum() < start / 100
    torch.testing.assert_close(loss.centers[0], x[y == 0].mean(0).detach(), atol=0.1, rtol=0)

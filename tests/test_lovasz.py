"""Lovász losses: the extension by its definition, Jaccard where predictions are sure, ties, weights, absent classes."""

import itertools
from typing import Any

import pytest
import torch
from instances import value_and_gradient
from torch import Tensor
from torch.autograd import gradcheck

import whyloss
from whyloss.losses.region.lovasz import largest_first, steps


def extension(errors: Tensor, inside: Tensor) -> float:
    """By the definition: sorted errors, and the Jaccard loss of each set of mistaken pixels, counted one by one."""
    order = sorted(range(len(errors)), key=lambda i: -float(errors[i]))
    total, before = 0.0, 0.0
    region = {i for i in range(len(errors)) if inside[i]}
    for k in range(1, len(order) + 1):
        wrong = set(order[:k])
        jaccard = len(wrong) / len(region | wrong)
        total += float(errors[order[k - 1]]) * (jaccard - before)
        before = jaccard
    return total


@pytest.mark.parametrize("over", ["image", "batch"])
def test_softmax_is_the_extension(over: Any):
    z, y = torch.randn(2, 3, 3, 4).double(), torch.randint(0, 3, (2, 3, 4))
    p, t = torch.softmax(z, 1).flatten(2), torch.nn.functional.one_hot(y, 3).movedim(-1, 1).flatten(2)
    if over == "batch":
        p, t = (x.movedim(0, 1).flatten(1).unsqueeze(0) for x in (p, t))
    expected = [[extension((t - p)[n, c].abs(), t[n, c]) for c in range(3)] for n in range(len(p))]
    found = whyloss.LovaszSoftmaxLoss(over=over, charge="largest", reduction="none")(z, y)
    torch.testing.assert_close(
        found, torch.tensor(expected).double().squeeze(0) if over == "batch" else torch.tensor(expected).double()
    )


def test_hinge_is_the_extension():
    z, t = 2 * torch.randn(2, 2, 9).double(), torch.randint(0, 2, (2, 2, 9))
    t[:, :, 0] = 1
    errors = (1 - z * (2 * t - 1)).clamp_min(0)
    expected = [[extension(errors[n, c], t[n, c]) for c in range(2)] for n in range(2)]
    found = whyloss.LovaszHingeLoss(reduction="none")(z, t)
    torch.testing.assert_close(found, torch.tensor(expected).double())


def test_sure_predictions_have_the_jaccard_loss():
    """Every prediction and every label of five pixels."""
    sets = torch.tensor(list(itertools.product([0, 1], repeat=5)))
    z = (200.0 * sets - 100).double()
    for t in sets[1:]:
        target = t.expand(len(sets), 1, -1)
        lovasz = whyloss.LovaszSoftmaxLoss(link="sigmoid", reduction="none")(z.unsqueeze(1), target)
        jaccard = whyloss.JaccardLoss(link="sigmoid", reduction="none")(z.unsqueeze(1), target)
        torch.testing.assert_close(lovasz, jaccard)


def test_the_slopes_are_those_of_the_value():
    z, y = torch.randn(2, 3, 7).double().requires_grad_(), torch.randint(0, 3, (2, 7))
    t = torch.randint(0, 2, (2, 3, 7))
    for over in ("image", "batch"):
        assert gradcheck(lambda z: whyloss.LovaszSoftmaxLoss(over=over, charge="largest")(z, y), z)  # noqa: B023
        assert gradcheck(lambda z: whyloss.LovaszHingeLoss(over=over)(z, t), z)  # noqa: B023


def test_the_hinge_is_convex_in_the_logits():
    t = torch.randint(0, 2, (50, 1, 9))
    t[:, :, 0] = 1
    a, b = 3 * torch.randn(50, 1, 9).double(), 3 * torch.randn(50, 1, 9).double()
    loss = whyloss.LovaszHingeLoss(reduction="none")
    assert (loss((a + b) / 2, t) <= (loss(a, t) + loss(b, t)) / 2 + 1e-12).all()


def test_weights_are_copies_of_pixels_and_shares_are_parts_of_them():
    z, y = torch.randn(1, 3, 6).double(), torch.tensor([[0, 1, 2, 0, 1, 2]])
    weight = torch.tensor([[1, 2, 1, 3, 1, 0]])
    again = torch.arange(6).repeat_interleave(weight[0])
    loss = whyloss.LovaszSoftmaxLoss()
    torch.testing.assert_close(loss(z, y, sample_weight=weight), loss(z[:, :, again], y[:, again]))
    q = torch.softmax(torch.randn(1, 3, 40).double(), 1)
    assert loss(q.log(), q).item() == pytest.approx(0, abs=1e-12)
    assert loss(2 * q.log(), q) > 1e-3


def test_absent_classes_by_the_mean_or_as_in_the_paper():
    z, y = torch.randn(1, 3, 8), torch.tensor([[0, 0, 0, 1, 1, 0, 1, 0]])
    p = torch.softmax(z, 1)[0, 2]
    each = {c: whyloss.LovaszSoftmaxLoss(charge=c, reduction="none")(z, y)[0] for c in ("mean", "largest")}
    torch.testing.assert_close(each["mean"][2], p.mean())
    torch.testing.assert_close(each["largest"][2], p.max())
    present = whyloss.LovaszSoftmaxLoss(absent="skip")(z, y)
    torch.testing.assert_close(present, each["mean"][:2].mean())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_every_dtype_and_everything_ignored(dtype: torch.dtype):
    """Crashes elsewhere, on 16 bits and on float64; nothing counted is a number there, not a tensor of shape (0, 3)."""
    z, y = torch.randn(1, 3, 4, 4).to(dtype), torch.randint(0, 3, (1, 4, 4))
    loss = whyloss.LovaszSoftmaxLoss(ignore_index=255)
    value, gradient = value_and_gradient(loss, z, y)
    assert gradient.dtype == dtype
    torch.testing.assert_close(value.double(), loss(z.double(), y), rtol=1e-5, atol=1e-6)
    value, gradient = value_and_gradient(loss, z, torch.full_like(y, 255))
    assert value.shape == ()
    assert value == 0
    assert not gradient.any()


def test_small_steps_do_not_cancel():
    """A million pixels: each step is a millionth of the loss, and right to the last digits in float32."""
    count = 2**20
    t = (torch.arange(count) % 3 == 0).float().reshape(1, 1, -1)
    errors = torch.rand(1, 1, count)
    found, exact = steps(errors, t, None), steps(errors.double(), t.double(), None)
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=0)
    assert (found >= 0).all()
    assert found.double().sum().item() == pytest.approx(1, rel=1e-5)


def test_what_has_no_meaning_is_refused():
    for options, words in (
        ({"smooth": 1.0}, "smooth"),
        ({"charge": "x"}, "charge"),
    ):
        with pytest.raises(ValueError, match=words):
            whyloss.LovaszSoftmaxLoss(**options)
    with pytest.raises(ValueError, match="link"):
        whyloss.LovaszHingeLoss(link="softmax")


def test_errors_are_in_the_same_order_without_numpy_and_in_float64(monkeypatch: pytest.MonkeyPatch):
    errors = torch.randint(0, 9, (2, 3, 50)).float() / 8  # many alike
    errors[0, 0, :3] = torch.tensor([-0.0, 0.0, 1e-45])
    found = largest_first(errors)
    assert torch.equal(found, largest_first(errors.double()))

    def missing(_: Tensor) -> None:
        raise RuntimeError("Numpy is not available")

    monkeypatch.setattr(Tensor, "numpy", missing)
    assert torch.equal(found, largest_first(errors))

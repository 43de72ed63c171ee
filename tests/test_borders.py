"""Centre lines, distances and borders: by hand, by brute force, in 1, 2 and 3 dimensions."""

import itertools
from typing import Any

import pytest
import torch
from instances import value_and_gradient
from torch import Tensor

import whyloss
from whyloss.losses.region.distance import squared_distance

SURE = 60.0


def sure(mask: Tensor) -> Tensor:
    return (2 * SURE * mask - SURE).double()


def picture(*lines: str) -> Tensor:
    """[1, 1, H, W] of a drawing."""
    return torch.tensor([[int(mark == "#") for mark in line] for line in lines])[None, None]


# --- distances --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(11,), (7, 9), (4, 5, 6), (1, 8), (8, 1)])
def test_distances_are_those_of_brute_force(shape: tuple[int, ...]):
    masks = torch.rand(2, 3, *shape) < torch.tensor([0.05, 0.5, 0.95]).reshape(1, 3, *[1] * len(shape))
    masks[0, 0], masks[0, 1] = False, True
    found = whyloss.signed_distance(masks)
    places = torch.tensor(list(itertools.product(*map(range, shape)))).double()
    apart = torch.cdist(places, places)
    for mask, own in zip(masks.flatten(0, 1).flatten(1), found.flatten(0, 1).flatten(1), strict=True):
        if mask.all() or not mask.any():
            assert not own.any()
            continue
        to_inside, to_outside = apart[:, mask].amin(1), apart[:, ~mask].amin(1)
        expected = torch.where(mask, 0.5 - to_outside, to_inside - 0.5)
        torch.testing.assert_close(own.double(), expected, rtol=1e-6, atol=1e-6)


def test_distances_over_many_lines_at_once():
    """More lines than one block holds."""
    sites = torch.zeros(1, 40, 60, 64, dtype=torch.bool)
    at = torch.randint(0, 60, (40,)), torch.randint(0, 64, (40,))
    sites[0, torch.arange(40), at[0], at[1]] = True
    y, x = torch.meshgrid(torch.arange(60.0), torch.arange(64.0), indexing="ij")
    expected = (y - at[0].reshape(-1, 1, 1)) ** 2 + (x - at[1].reshape(-1, 1, 1)) ** 2
    assert torch.equal(squared_distance(sites)[0], expected)


# --- centre lines -----------------------------------------------------------------------------------------------------


def dilated(x: Tensor) -> Tensor:
    pool = {3: torch.nn.functional.max_pool1d, 4: torch.nn.functional.max_pool2d, 5: torch.nn.functional.max_pool3d}
    return pool[x.ndim](x, 3, 1, 1)


def eroded(x: Tensor) -> Tensor:
    """The least over a cross, one axis at a time, by unfolding."""
    least = x
    for axis in range(2, x.ndim):
        padding = [0, 0] * (x.ndim - 1 - axis) + [1, 1]
        padded = torch.nn.functional.pad(x, padding, value=torch.inf)
        least = torch.minimum(least, padded.unfold(axis, 3, 1).amin(-1))
    return least


@pytest.mark.parametrize("shape", [(9,), (7, 8), (5, 6, 7), (1, 6), (2, 2)])
def test_skeletons_follow_the_algorithm_of_the_paper(shape: tuple[int, ...]):
    x = torch.rand(2, 2, *shape).double()
    expected = torch.relu(x - dilated(eroded(x)))
    peeled = x
    for _ in range(3):
        peeled = eroded(peeled)
        expected = expected + (1 - expected) * torch.relu(peeled - dilated(eroded(peeled)))
    torch.testing.assert_close(whyloss.soft_skeleton(x, 3), expected)


def test_centre_line_dice_by_hand():
    label = picture("......", "######", "......")
    short = picture("......", "####..", "......")
    thick = picture("######", "######", "######", "......").transpose(2, 3)
    loss = whyloss.CenterlineDiceLoss(alpha=1.0, link="sigmoid")
    assert loss(sure(label), label).item() == pytest.approx(0, abs=1e-12)
    # The predicted line lies in the label, which is found to 4/6: 1 - 2 (2/3) / (5/3).
    assert loss(sure(short), label).item() == pytest.approx(1 / 5)
    half = whyloss.CenterlineDiceLoss(alpha=0.25, link="sigmoid")
    assert half(sure(short), label).item() == pytest.approx(0.75 * (1 - 8 / 10) + 0.25 / 5)
    assert loss(sure(thick), thick).item() == pytest.approx(0, abs=1e-12)
    dice = whyloss.DiceLoss(link="sigmoid")
    z = torch.randn(1, 1, 3, 6).double()
    torch.testing.assert_close(whyloss.CenterlineDiceLoss(alpha=0.0, link="sigmoid")(z, label), dice(z, label))


@pytest.mark.parametrize("shape", [(12,), (6, 7), (4, 5, 6)])
def test_centre_lines_of_equal_masks(shape: tuple[int, ...]):
    y = torch.randint(0, 2, (2, *shape))
    z = sure(torch.nn.functional.one_hot(y, 2).movedim(-1, 1))
    assert whyloss.CenterlineDiceLoss()(z, y).item() == pytest.approx(0, abs=1e-12)


def test_a_break_costs_more_than_its_area():
    label = picture("........", "########", "########", "########", "........")
    broken = label.clone()
    broken[..., 3:5] = 0
    thin = picture("........", "........", "########", "........", "........")
    for other in (broken, thin):
        assert whyloss.DiceLoss(link="sigmoid")(sure(other), label) > 0.1
    loss = whyloss.CenterlineDiceLoss(alpha=1.0, link="sigmoid")
    assert loss(sure(thin), label) < 0.01
    assert loss(sure(broken), label) > 0.1


def test_a_constant_map_has_a_finite_loss():
    """It has no centre line at all: 0 / 0 in both ratios of one side."""
    label = picture("....", "####", "....")
    value, gradient = value_and_gradient(whyloss.CenterlineDiceLoss(link="sigmoid"), torch.zeros(1, 1, 3, 4), label)
    assert 0 < value < 1
    assert torch.isfinite(gradient).all()
    assert (gradient[0, 0, 1] < 0).all()
    full = torch.ones(1, 1, 3, 4)
    assert whyloss.CenterlineDiceLoss(link="sigmoid")(sure(full), full) < 1e-6


# --- borders ----------------------------------------------------------------------------------------------------------


def test_boundary_by_hand():
    label = torch.tensor([[[0, 0, 1, 1, 1, 0]]])
    phi = torch.tensor([1.5, 0.5, -0.5, -1.5, -0.5, 0.5]).double()
    z = torch.randn(1, 1, 6).double()
    loss = whyloss.BoundaryLoss(link="sigmoid")
    torch.testing.assert_close(loss(z, label), (phi * torch.sigmoid(z)).mean())
    assert loss(sure(label), label).item() == pytest.approx(-2.5 / 6)
    background = whyloss.BoundaryLoss()(torch.cat([-z, z], 1), label[:, 0])
    p = torch.sigmoid(2 * z)
    torch.testing.assert_close(background, ((phi * p).mean() + (-phi * (1 - p)).mean()) / 2)


def test_boundary_with_distances_of_ones_own():
    z, y = torch.randn(2, 3, 5, 6), torch.randint(0, 3, (2, 5, 6))
    maps = whyloss.signed_distance(torch.nn.functional.one_hot(y, 3).movedim(-1, 1).bool())
    loss = whyloss.BoundaryLoss()
    torch.testing.assert_close(loss(z, y, distance=maps), loss(z, y))
    torch.testing.assert_close(loss(z, y, distance=2 * maps), 2 * loss(z, y))
    torch.testing.assert_close(whyloss.functional.boundary_loss(z, y, distance=2 * maps), 2 * loss(z, y))
    torch.testing.assert_close(whyloss.functional.boundary_loss(z, y), loss(z, y))
    total, count = loss.parts(z, y, distance=maps)
    torch.testing.assert_close(total / count, loss(z, y))
    both = whyloss.GeneralizedDiceLoss() + 0.1 * loss
    torch.testing.assert_close(both(z, y), whyloss.GeneralizedDiceLoss()(z, y) + 0.1 * loss(z, y))
    with pytest.raises(ValueError, match="shaped like the logits"):
        loss(z, y, distance=maps[:, :1])
    with pytest.raises(TypeError, match=r"takes distance=\.\.\.; got far"):
        loss(z, y, far=maps)
    with pytest.raises(TypeError, match="nothing besides"):
        whyloss.DiceLoss()(z, y, distance=maps)


def test_hausdorff_by_hand():
    label, found = torch.tensor([[[0, 1, 1, 0, 0, 0]]]), torch.tensor([[[0, 0, 1, 1, 1, 0]]])
    # Wrong are pixels 1, 3 and 4; distances to the label's border 1/2, 1/2, 3/2, to the prediction's 1/2, 3/2, 1/2.
    for alpha in (1.0, 2.0):
        expected = (4 * 0.5**alpha + 2 * 1.5**alpha) / 6
        assert whyloss.HausdorffDistanceLoss(alpha=alpha, link="sigmoid")(sure(found), label).item() == pytest.approx(
            expected
        )
    z = torch.randn(1, 1, 6).double()
    error = (torch.sigmoid(z) - label).square()
    far = (whyloss.signed_distance(z > 0) ** 2 + whyloss.signed_distance(label > 0) ** 2).double()
    torch.testing.assert_close(whyloss.HausdorffDistanceLoss(link="sigmoid")(z, label), (error * far).mean())


@pytest.mark.parametrize("cls", [whyloss.HausdorffDistanceLoss, whyloss.HausdorffErosionLoss, whyloss.BoundaryLoss])
def test_mistakes_that_lie_farther_cost_more(cls: Any):
    label = torch.zeros(1, 1, 16, 16).long()
    label[..., 2:6, 2:6] = 1
    loss, last = cls(link="sigmoid"), -torch.inf
    for shift in range(0, 5, 2):
        value = float(loss(sure(label.roll(shift, -1)), label))
        assert value > last
        last = value


def test_hausdorff_by_erosions():
    """A full error 3 pixels thick is eroded away after two steps; in float64 by a convolution with the cross."""
    error = torch.zeros(1, 1, 9, 9)
    error[..., 3:6, 2:7] = 1
    cross = torch.tensor([[0.0, 1, 0], [1, 1, 1], [0, 1, 0]]).reshape(1, 1, 3, 3).double() / 5
    left, expected = error.double(), 0.0
    for k in range(1, 6):
        left = (2 * torch.nn.functional.conv2d(left, cross, padding=1) - 1).relu()
        expected += k**2 * float(left.sum()) / 81
    loss = whyloss.HausdorffErosionLoss(erosions=5, link="sigmoid")
    nothing = torch.zeros(1, 1, 9, 9).long()
    label = nothing.clone()
    label[..., 0, 0] = 1  # present, and its single pixel never survives
    found = sure(error)
    found[..., 0, 0] = SURE
    assert loss(found, label).item() == pytest.approx(expected)
    assert whyloss.HausdorffErosionLoss(link="sigmoid")(sure(label).roll(1, -1), label) < 1e-9


@pytest.mark.parametrize(
    "shape", [(2, 3, 5, 7), (2, 1, 16, 9, 20), (1, 2, 300, 3), (1, 2, 9), (2, 0, 4, 4), (1, 1, 0, 3)]
)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.9])
def test_distances_are_those_to_every_site(shape: tuple[int, ...], share: float):
    sites = torch.rand(shape) < share
    places = torch.stack(torch.meshgrid(*(torch.arange(n) for n in shape[2:]), indexing="ij"), -1).flatten(0, -2)
    apart = (places.unsqueeze(1) - places).square().sum(2).double()
    found = squared_distance(sites)
    assert found.shape == shape
    if found.numel():
        expected = torch.where(sites.flatten(2).unsqueeze(2), apart, torch.inf).amin(3)
        assert torch.equal(found.flatten(2).double(), expected)

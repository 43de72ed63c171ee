"""Losses that look at the labels around: SVLS, NACL, RMI."""

import math

import pytest
import torch
from instances import value_and_gradient
from torch import Tensor
from torch.autograd import gradcheck

import whyloss

Z, Y = (
    torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(0)).double(),
    torch.arange(84).reshape(2, 6, 7) // 5 % 3,
)


def means(y: Tensor, classes: int, weights: Tensor) -> Tensor:
    """[N, C, H, W] means over 3 x 3 neighbours, by a loop; ignored labels and those beyond the border are left out."""
    found = torch.zeros(y.shape[0], classes, *y.shape[1:], dtype=torch.float64)
    height, width = y.shape[1:]
    for n in range(y.shape[0]):
        for i in range(height):
            for j in range(width):
                for a in range(-1, 2):
                    for b in range(-1, 2):
                        if 0 <= i + a < height and 0 <= j + b < width and y[n, i + a, j + b] >= 0:
                            found[n, y[n, i + a, j + b], i, j] += weights[a + 1, b + 1]
    return found / found.sum(1, keepdim=True).clamp_min(1e-30)


def kernel(sigma: float) -> Tensor:
    """The Gaussian of the paper: its centre replaced by the sum of the others."""
    line = torch.tensor([-1.0, 0, 1]).double()
    weights = torch.exp(-(line[:, None] ** 2 + line**2) / (2 * sigma**2))
    weights[1, 1] = 0
    weights[1, 1] = weights.sum()
    return weights


def test_svls_is_cross_entropy_of_gaussian_means():
    y = Y.clone()
    y[0, 2, 3] = -100
    for sigma in (0.5, 1.0):
        q = means(y, 3, kernel(sigma))
        q[0, :, 2, 3] = -100
        loss = whyloss.SpatiallyVaryingLabelSmoothingLoss(sigma=sigma)
        expected = value_and_gradient(whyloss.CrossEntropyLoss(), Z, q)
        torch.testing.assert_close(value_and_gradient(loss, Z, y), expected)
        soft = whyloss.smoothed_by_neighbours(y, 3, sigma=sigma).double()
        torch.testing.assert_close(soft, q, rtol=1e-5, atol=1e-6)
    assert not value_and_gradient(loss, Z, y)[1][0, :, 2, 3].any()


def test_svls_without_neighbours_is_cross_entropy():
    weight = torch.tensor([1.0, 2, 3])
    for options in ({}, {"weight": weight}, {"label_smoothing": 0.1, "reduction": "none"}):
        expected = value_and_gradient(whyloss.CrossEntropyLoss(**options), Z, Y)
        alone = whyloss.SpatiallyVaryingLabelSmoothingLoss(radius=0, **options)
        torch.testing.assert_close(value_and_gradient(alone, Z, Y), expected)
    svls, ce = whyloss.SpatiallyVaryingLabelSmoothingLoss(), whyloss.CrossEntropyLoss()
    rows, labels = Z[:, :, 0, 0], Y[:, 0, 0]
    torch.testing.assert_close(svls(rows, labels), ce(rows, labels))
    torch.testing.assert_close(svls(rows[0], labels[0]), ce(rows[0], labels[0]))
    z, inside = torch.randn(1, 2, 5, 5, 5), torch.ones(1, 5, 5, 5).long()
    torch.testing.assert_close(svls(z, inside), ce(z, inside))


def test_svls_of_masks():
    t = (torch.rand(2, 3, 6, 7) < 0.5).long()
    loss = whyloss.SpatiallyVaryingLabelSmoothingLoss(link="sigmoid")
    q = torch.stack([means(t[:, c], 2, kernel(1.0))[:, 1] for c in range(3)], 1)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(Z, q)
    torch.testing.assert_close(loss(Z, t), expected)
    torch.testing.assert_close(loss(Z, t.double()), expected)
    total, count = loss.parts(Z, t)
    torch.testing.assert_close(total / count, expected)


@pytest.mark.parametrize("norm", [1, 2])
def test_nacl_by_a_loop(norm: int):
    y = Y.clone()
    y[1, 0, 0] = -100
    tau = means(y, 3, torch.ones(3, 3).double())
    each = 0.2 * (tau - Z).abs().pow(norm).sum(1)
    ce = torch.nn.functional.cross_entropy(Z, y, reduction="none")
    expected = torch.where(y >= 0, ce + each, 0.0)
    loss = whyloss.NeighborAwareCalibrationLoss(penalty=0.2, norm=norm, reduction="none")
    torch.testing.assert_close(loss(Z, y), expected)
    mean = whyloss.NeighborAwareCalibrationLoss(penalty=0.2, norm=norm)
    torch.testing.assert_close(mean(Z, y), expected.sum() / (y >= 0).sum())
    torch.testing.assert_close(
        whyloss.NeighborAwareCalibrationLoss(penalty=0.0)(Z, y), whyloss.CrossEntropyLoss()(Z, y)
    )
    cube, label = torch.randn(1, 2, 3, 3, 3), torch.zeros(1, 3, 3, 3).long()
    label[0, 1, 1, 1] = 1
    shares = whyloss.NeighborAwareCalibrationLoss(penalty=1.0, reduction="none")(cube, label)[0, 1, 1, 1]
    middle = cube[0, :, 1, 1, 1]
    expected = -torch.log_softmax(middle, 0)[1] + (middle - torch.tensor([26.0, 1]) / 27).abs().sum()
    torch.testing.assert_close(shares, expected)


# --- region mutual information ----------------------------------------------------------------------------------------


def left_over(p: Tensor, t: Tensor, side: int, epsilon: float) -> float:
    """log det of the labels' covariance given the predictions', of one map, by torch.cov."""
    patches = [
        torch.cat([m[i : i + side, j : j + side].reshape(-1) for m in (t, p)])
        for i in range(p.shape[0] - side + 1)
        for j in range(p.shape[1] - side + 1)
    ]
    covariance = torch.cov(torch.stack(patches).T, correction=0)
    d = side * side
    noise = epsilon * torch.eye(d, dtype=p.dtype)
    known = covariance[:d, d:] @ torch.linalg.inv(covariance[d:, d:] + noise) @ covariance[d:, :d]
    return float(torch.logdet(covariance[:d, :d] - known + noise)) / (2 * d)


@pytest.mark.parametrize("stride", [1, 2])
def test_rmi_is_the_bound_of_the_paper(stride: int):
    z = torch.randn(2, 3, 12, 14).double()
    y = torch.randint(0, 3, (2, 12, 14))
    p, t = torch.softmax(z, 1), torch.nn.functional.one_hot(y, 3).movedim(-1, 1).double()
    if stride == 2:
        p, t = (torch.nn.functional.avg_pool2d(x, 2) for x in (p, t))
    each = [[left_over(p[n, c], t[n, c], 3, 1e-3) for c in range(3)] for n in range(2)]
    loss = whyloss.RegionMutualInformationLoss(balance=0.25, stride=stride, epsilon=1e-3)
    ce = torch.nn.functional.cross_entropy(z, y)
    torch.testing.assert_close(loss(z, y), 0.25 * ce + 0.75 * torch.tensor(each).double().mean())


def test_rmi_rewards_structure_and_has_slopes():
    y = (torch.arange(15) % 7 > 3).long().expand(1, 15, 15)
    z = 2.0 * torch.nn.functional.one_hot(y, 2).movedim(-1, 1).double()
    loss = whyloss.RegionMutualInformationLoss(balance=0.0, stride=1)
    assert loss(z, y) < loss(z.roll(2, -1), y) < math.inf
    assert loss(z, y) < loss(torch.zeros_like(z), y)
    small = torch.randn(1, 2, 5, 5).double().requires_grad_()
    for over in ("image", "batch"):
        of = whyloss.RegionMutualInformationLoss(stride=1, side=2, over=over)
        assert gradcheck(lambda z: of(z, y[:, :5, :5]), small)  # noqa: B023
    sharp = 1e4 * torch.nn.functional.one_hot(y, 2).movedim(-1, 1).half()
    value, gradient = value_and_gradient(whyloss.RegionMutualInformationLoss(), sharp, y)
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()


def test_rmi_leaves_out_what_is_ignored():
    z, y = torch.randn(1, 2, 9, 12), torch.randint(0, 2, (1, 9, 12))
    loss = whyloss.RegionMutualInformationLoss(balance=0.0, stride=1)
    dirty, label = torch.cat([z, torch.full_like(z, torch.nan)], 3), torch.cat([y, torch.full_like(y, -100)], 2)
    torch.testing.assert_close(loss(dirty, label), loss(z, y))
    both = whyloss.RegionMutualInformationLoss()
    value, gradient = value_and_gradient(both, dirty, torch.full_like(label, -100))
    assert value == 0
    assert not gradient.any()
    for shape in ((), (2,), (4, 5, 6)):
        z, y = torch.randn(2, 3, *shape), torch.randint(0, 3, (2, *shape))
        assert torch.isfinite(both(z, y))
    masks = torch.randint(0, 2, (2, 3, 8, 8))
    assert torch.isfinite(whyloss.RegionMutualInformationLoss(link="sigmoid")(torch.randn(2, 3, 8, 8), masks))

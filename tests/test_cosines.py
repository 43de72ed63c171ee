"""Losses of angles: values by hand, the equalities that their papers state, and slopes at the ends."""

import copy
import math
from typing import Any

import pytest
import torch
from instances import soft, value_and_gradient
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import cross_entropy

import whyloss
from whyloss.losses.margin.angles import added, multiplied, sine

Y = torch.tensor([0, 2, 1, 0, 3, 1])
NORM = torch.linspace(5, 120, 6, dtype=torch.float64)


def cosines(count: int = 6, classes: int = 4, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, classes, generator=generator, dtype=torch.float64) * 1.98 - 0.99


def row(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def nll(label: float, *others: float) -> float:
    """-log softmax of the first."""
    return math.log(sum(math.exp(z - label) for z in (label, *others)))


def psi(cosine: float, m: int) -> float:
    """As the papers define it, by the angle."""
    theta = math.acos(cosine)
    k = min(int(theta * m / math.pi), m - 1)
    return (-1) ** k * math.cos(m * theta) - 2 * k


# --- values by hand --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (whyloss.NormFaceLoss(scale=3.0), nll(1.8, 0, -1.5)),
        (whyloss.CosFaceLoss(scale=3.0, margin=0.2), nll(1.2, 0, -1.5)),
        (whyloss.ArcFaceLoss(scale=3.0, margin=0.3), nll(3 * math.cos(math.acos(0.6) + 0.3), 0, -1.5)),
        (whyloss.SubCenterArcFaceLoss(scale=3.0, margin=0.3), nll(3 * math.cos(math.acos(0.6) + 0.3), 0, -1.5)),
        (whyloss.SphereFaceLoss(scale=3.0, margin=2), nll(3 * (2 * 0.36 - 1), 0, -1.5)),
        (whyloss.SphereFaceLoss(scale=3.0, margin=2, annealing=3.0), nll(3 * (3 * 0.6 - 0.28) / 4, 0, -1.5)),
        (whyloss.SphereFaceLoss(scale=3.0, margin=4), nll(3 * psi(0.6, 4), 0, -1.5)),
        (whyloss.SoftTripleLoss(scale=3.0, margin=0.2), nll(1.2, 0, -1.5)),
        (whyloss.FixedAdaCosLoss(classes=3), nll(0.6 * 2**0.5 * math.log(2), 0, -0.5 * 2**0.5 * math.log(2))),
        (whyloss.P2SGradLoss(), (0.4**2 + 0.5**2) / 2),
        (whyloss.WestonWatkinsLoss(), (0.4 + 0) / 3),
        (whyloss.WestonWatkinsLoss(power=2, margin=1.5, summed=True), 0.9**2 + 0.4**2),
    ],
    ids=lambda x: str(x) if isinstance(x, whyloss.Loss) else None,
)
def test_values_by_hand(loss: whyloss.Loss, expected: float):
    assert loss(row(0.6, 0, -0.5), torch.tensor([0])).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5])
def test_psi_is_the_papers_and_falls_without_a_step(m: int):
    angles = torch.linspace(0, math.pi, 1001, dtype=torch.float64)
    c = angles.cos()
    found = c + multiplied(c, m)
    torch.testing.assert_close(
        found, torch.tensor([psi(x, m) for x in c.tolist()], dtype=torch.float64), atol=1e-9, rtol=0
    )
    assert (found.diff() < 1e-12).all()
    assert found[-1].item() == pytest.approx(1 - 2 * m)


def test_adding_an_angle_is_the_cosine_of_the_sum():
    angles = torch.linspace(0, math.pi, 101, dtype=torch.float64)
    for m in (0.0, 0.3, 2.0):
        torch.testing.assert_close(angles.cos() + added(angles.cos(), m), (angles + m).cos(), atol=1e-9, rtol=0)
    torch.testing.assert_close(added(torch.tensor([1.5, -7.0]), 0.4), added(torch.tensor([1.0, -1.0]), 0.4))


def test_lengths_by_hand():
    y = torch.tensor([0])
    logits, norm = row(1.2, 0, -1.5), torch.tensor([2.0])
    for cls in (whyloss.LargeMarginSoftmaxLoss, whyloss.AngularSoftmaxLoss):
        assert cls(margin=3)(logits, y, norm=norm).item() == pytest.approx(nll(2 * psi(0.6, 3), 0, -1.5))
        annealed = nll((4 * 1.2 + 2 * psi(0.6, 3)) / 5, 0, -1.5)
        assert cls(margin=3, annealing=4.0)(logits, y, norm=norm).item() == pytest.approx(annealed)
    # A quarter of the way from low to high: a margin of 0.3.
    loss = whyloss.MagFaceLoss(scale=3.0, low=10.0, high=50.0, least=0.2, most=0.6, pull=7.0)
    expected = nll(3 * math.cos(math.acos(0.6) + 0.3), 0, -1.5) + 7 * (1 / 20 + 20 / 2500)
    assert loss(row(0.6, 0, -0.5), y, norm=torch.tensor([20.0])).item() == pytest.approx(expected)


def test_norms_of_every_class_serve_soft_targets():
    """What L-Softmax makes of a mixture: the expected loss, each label with its own norm."""
    z, q = cosines(), soft()
    norm = torch.linspace(1, 3, 24, dtype=torch.float64).reshape(6, 4)
    loss = whyloss.LargeMarginSoftmaxLoss(margin=2, reduction="none")
    each = [loss(z, torch.full((6,), j), norm=norm[:, j]) for j in range(4)]
    torch.testing.assert_close(loss(z, q, norm=norm), (torch.stack(each, 1) * q).sum(1))
    of_labels = torch.stack(each, 1)[torch.arange(6), Y]
    torch.testing.assert_close(loss(z, Y, norm=norm[torch.arange(6), Y]), of_labels)
    torch.testing.assert_close(loss(z, Y, norm=norm), of_labels)


def test_adaface_by_hand():
    loss = whyloss.AdaFaceLoss(scale=3.0, margin=0.4, spread=0.5, alpha=0.75, reduction="none")
    z, y = row(0.6, 0, -0.5).expand(2, 3), torch.tensor([0, 0])
    for lengths, mean, deviation in (((10.0, 30.0), 20.0, 10.0), ((20.0, 60.0), 35.0, 17.5)):
        value = loss(z, y, norm=torch.tensor(lengths))
        assert (loss.mean.item(), loss.deviation.item()) == (mean, deviation)
        for found, length in zip(value.tolist(), lengths, strict=True):
            q = max(-1.0, min(1.0, 0.5 * (length - mean) / deviation))
            own = 3 * (math.cos(math.acos(0.6) - 0.4 * q) - (0.4 * q + 0.4))
            assert found == pytest.approx(nll(own, 0, -1.5), rel=1e-6)


def test_curricularface_by_hand():
    loss = whyloss.CurricularFaceLoss(scale=2.0, margin=0.3, alpha=0.75, reduction="none")
    z, y = torch.tensor([[0.6, 0.5, -0.5], [0.2, 0.0, 0.8]]).double(), torch.tensor([0, 2])
    for t in (0.75 * 0.7, 0.75 * 0.7 + 0.25 * 0.75 * 0.7):
        value = loss(z, y)
        assert loss.t.item() == pytest.approx(t)
        own = math.cos(math.acos(0.6) + 0.3)
        assert own < 0.5
        assert value[0].item() == pytest.approx(nll(2 * own, 2 * 0.5 * (t + 0.5), -1.0), rel=1e-6)
        assert value[1].item() == pytest.approx(nll(2 * math.cos(math.acos(0.8) + 0.3), 0.4, 0.0), rel=1e-6)


def test_adacos_by_hand():
    loss = whyloss.AdaCosLoss(classes=4)
    z, y = cosines(7).float(), torch.tensor([0, 1, 2, 3, 0, 1, 2])
    scale = 2**0.5 * math.log(3)
    for _ in range(3):
        others = torch.exp(scale * z.double()).scatter(1, y.unsqueeze(1), 0.0).sum(1).mean()
        angle = torch.acos(z.double()[torch.arange(7), y]).median().clamp_max(math.pi / 4)
        scale = float(others.log() / angle.cos())
        value = loss(z, y)
        assert loss.scale.item() == pytest.approx(scale, rel=1e-5)
        assert value.item() == pytest.approx(float(cross_entropy(scale * z.double(), y)), rel=1e-5)


def test_center_loss_by_hand():
    loss = whyloss.CenterLoss(classes=3, features=2, pull=0.4, rate=0.5)
    z, y = torch.zeros(3, 3), torch.tensor([1, 1, 2])
    feature = torch.tensor([[1.0, 0.0], [3.0, 2.0], [0.0, 4.0]], requires_grad=True)
    value = loss(z, y, feature=feature)
    assert value.item() == pytest.approx(math.log(3) + 0.2 * (1 + 13 + 16) / 3)
    # Towards the mean of a class's features by rate n / (1 + n), after the loss.
    expected = torch.tensor([[0.0, 0.0], [0.5 * 4 / 3, 0.5 * 2 / 3], [0.0, 0.5 * 4 / 2]])
    torch.testing.assert_close(loss.centers, expected)
    loss(z, y, feature=feature)
    value.backward()  # of the centres before
    torch.testing.assert_close(feature.grad, 0.4 * feature.detach() / 3)
    one_hot = whyloss.CenterLoss(classes=3, features=2, pull=0.4, rate=0.5)
    assert one_hot(z, torch.eye(3)[y], feature=feature.detach()).item() == pytest.approx(value.item())
    torch.testing.assert_close(one_hot.centers, expected)


def test_binary_hinges_by_hand():
    f, y = torch.tensor([2.0, 0.5, -0.5, -3.0, 3.0]), torch.tensor([1, 1, 1, 1, 0])
    smooth = whyloss.SmoothHingeLoss(reduction="none")(f, y)
    torch.testing.assert_close(smooth, torch.tensor([0.0, 0.125, 1.0, 3.5, 3.5]))
    huber = whyloss.ModifiedHuberLoss(reduction="none")(f, y)
    torch.testing.assert_close(huber, torch.tensor([0.0, 0.25, 2.25, 12.0, 12.0]))
    torchs = torch.nn.SoftMarginLoss(reduction="none")(f, 2.0 * y - 1)
    torch.testing.assert_close(whyloss.SoftMarginLoss(reduction="none")(f, y), torchs)


@pytest.mark.parametrize("power", [1, 2])
def test_weston_watkins_is_torchs_multi_margin_loss(power: int):
    z, weight = 3 * cosines(), torch.tensor([1.0, 2, 0.5, 3]).double()
    for reduction in ("sum", "none"):
        torchs = torch.nn.MultiMarginLoss(p=power, margin=0.7, weight=weight, reduction=reduction)
        ours = whyloss.WestonWatkinsLoss(power=power, margin=0.7, weight=weight, reduction=reduction)
        for x, expected in zip(value_and_gradient(ours, z, Y), value_and_gradient(torchs, z, Y), strict=True):
            torch.testing.assert_close(x, expected)
    mean = torch.nn.MultiMarginLoss(p=power, weight=weight)(z, Y) * 6 / weight[Y].sum()
    torch.testing.assert_close(whyloss.WestonWatkinsLoss(power=power, weight=weight)(z, Y), mean)
    q = soft()
    each = whyloss.WestonWatkinsLoss(power=power, reduction="none")
    mixed = torch.stack([each(z, torch.full((6,), j)) for j in range(4)], 1)
    torch.testing.assert_close(each(z, q), (mixed * q).sum(1))


def test_weston_watkins_of_a_masked_label_is_infinite():
    z = torch.tensor([[-torch.inf, 1.0, 0.0], [0.0, -torch.inf, 0.5]])
    value, gradient = value_and_gradient(whyloss.WestonWatkinsLoss(reduction="none"), z, torch.tensor([0, 0]))
    assert value.tolist() == [math.inf, 0.75]
    assert torch.isfinite(gradient).all()


# --- equalities ------------------------------------------------------------------------------------------------------


def adaface(**options: Any) -> whyloss.Loss:
    return whyloss.AdaFaceLoss(margin=0.0, **options)


def magface(**options: Any) -> whyloss.Loss:
    return whyloss.MagFaceLoss(least=0.4, most=0.4, pull=0.0, **options)


def easy(**options: Any) -> whyloss.Loss:
    return whyloss.CurricularFaceLoss(margin=0.4, **options).eval()


EQUAL = [
    (whyloss.CosFaceLoss(margin=0.0, scale=9.0), whyloss.NormFaceLoss(scale=9.0)),
    (whyloss.ArcFaceLoss(margin=0.0, scale=9.0), whyloss.NormFaceLoss(scale=9.0)),
    (whyloss.SphereFaceLoss(margin=1, scale=9.0), whyloss.NormFaceLoss(scale=9.0)),
    (whyloss.SubCenterArcFaceLoss(scale=9.0), whyloss.ArcFaceLoss(scale=9.0)),
    (whyloss.SoftTripleLoss(scale=9.0), whyloss.CosFaceLoss(scale=9.0, margin=0.01)),
    (whyloss.SoftTripleLoss(scale=9.0, margin=0.0), whyloss.NormFaceLoss(scale=9.0)),
    (whyloss.FixedAdaCosLoss(classes=4), whyloss.NormFaceLoss(scale=2**0.5 * math.log(3))),
    (
        whyloss.AdaCosLoss(classes=4).double().eval(),
        whyloss.NormFaceLoss(scale=float(torch.tensor(2**0.5 * math.log(3)))),
    ),
    (whyloss.LargeMarginSoftmaxLoss(margin=1), whyloss.CrossEntropyLoss()),
    (whyloss.AngularSoftmaxLoss(margin=1), whyloss.CrossEntropyLoss()),
    (adaface(scale=9.0), whyloss.NormFaceLoss(scale=9.0)),
    (magface(scale=9.0), whyloss.ArcFaceLoss(scale=9.0, margin=0.4)),
    (whyloss.CenterLoss(classes=4, features=3, pull=0.0), whyloss.CrossEntropyLoss()),
]


@pytest.mark.parametrize(("loss", "other"), EQUAL, ids=[f"{type(a).__name__}={type(b).__name__}" for a, b in EQUAL])
def test_what_equals_what(loss: whyloss.Loss, other: whyloss.Loss):
    more: dict[str, Tensor] = {"norm": {"norm": NORM}, "feature": {"feature": torch.ones(6, 3)}}.get(
        "".join(loss.reads), {}
    )
    for target in (Y, soft()):
        ours, theirs = value_and_gradient(loss, cosines(), target, **more), value_and_gradient(other, cosines(), target)
        for x, expected in zip(ours, theirs, strict=True):
            torch.testing.assert_close(x, expected, rtol=1e-6, atol=1e-9)


def test_curricularface_without_hard_negatives_is_arcface():
    z = cosines().where(torch.nn.functional.one_hot(Y, 4) == 1, -0.9)
    z[torch.arange(6), Y] = torch.linspace(0.2, 0.9, 6).double()
    ours = value_and_gradient(whyloss.CurricularFaceLoss(scale=9.0), z, Y)
    torch.testing.assert_close(ours, value_and_gradient(whyloss.ArcFaceLoss(scale=9.0), z, Y))


def test_a_softmax_is_what_sphereface_with_lengths_and_scales_share():
    """A-Softmax of features of one length is SphereFace with that scale."""
    z = cosines()
    ours = whyloss.AngularSoftmaxLoss(margin=3, annealing=2.0)(5 * z, Y, norm=torch.full((6,), 5.0))
    torch.testing.assert_close(ours, whyloss.SphereFaceLoss(scale=5.0, margin=3, annealing=2.0)(z, Y))


def test_magface_is_arcface_with_the_margin_of_each_length():
    z = cosines()
    each = whyloss.MagFaceLoss(scale=9.0, reduction="none")(z, Y, norm=NORM)
    for i, a in enumerate(NORM.tolist()):
        margin = 0.45 + 0.35 * (min(max(a, 10), 110) - 10) / 100
        arcface = whyloss.ArcFaceLoss(scale=9.0, margin=margin)(z[i : i + 1], Y[i : i + 1])
        low = 1 / 10 + 10 / 110**2 + (a - 10) * (1 / 110**2 - 1 / 100)
        pull = 35 * (1 / a + a / 110**2 if a >= 10 else low)
        assert each[i].item() == pytest.approx(float(arcface) + pull)


def test_p2sgrad_is_the_gradient_of_the_paper():
    """Cosine less indicator, in place of probability less indicator."""
    z = cosines()
    _, gradient = value_and_gradient(whyloss.P2SGradLoss(reduction="sum"), z, Y)
    torch.testing.assert_close(gradient, z - torch.nn.functional.one_hot(Y, 4))


def test_normfaces_smallest_loss_is_the_papers_bound():
    """log(1 + (n - 1) exp(-s n / (n - 1))) at centres that are as far apart as can be: their own classes' features."""
    for n, s in ((3, 2.0), (10, 5.0)):
        simplex = torch.full((n, n), -1 / (n - 1), dtype=torch.float64).fill_diagonal_(1)
        bound = math.log1p((n - 1) * math.exp(-s * n / (n - 1)))
        assert whyloss.NormFaceLoss(scale=s)(simplex, torch.arange(n)).item() == pytest.approx(bound)


# --- slopes ----------------------------------------------------------------------------------------------------------

ENDS = torch.tensor([[1.0, 0.3, -1.0], [-1.0, 1.0, 0.2], [1 + 1e-7, -1 - 1e-7, 1.0], [0.0, 1.0, 1.0]])
MARGINS = [
    whyloss.CosFaceLoss(),
    whyloss.ArcFaceLoss(),
    whyloss.SphereFaceLoss(),
    whyloss.CurricularFaceLoss(),
    whyloss.MagFaceLoss(),
    whyloss.AdaFaceLoss(),
]


@pytest.mark.parametrize("loss", MARGINS, ids=lambda x: type(x).__name__)
def test_slopes_are_finite_where_a_feature_lies_on_a_centre_or_opposite(loss: whyloss.Loss):
    more = {"norm": torch.tensor([0.0, 5.0, 50.0, 500.0])} if loss.reads else {}
    for y in (torch.tensor([0, 0, 0, 1]), torch.tensor([2, 1, 1, 2])):
        for target in (y, torch.nn.functional.one_hot(y, 3) * 0.7 + 0.1):
            value, gradient = value_and_gradient(loss, ENDS, target, **more)
            assert torch.isfinite(value)
            assert torch.isfinite(gradient).all()
            assert gradient.any()


@pytest.mark.parametrize("loss", MARGINS, ids=lambda x: type(x).__name__)
def test_derivatives_inside_the_interval(loss: whyloss.Loss):
    loss = loss.double().eval()
    z = cosines(classes=3).requires_grad_()
    norm = torch.linspace(5, 119, 6, dtype=torch.float64)
    through_norm = isinstance(loss, whyloss.MagFaceLoss)  # AdaFace lets no gradient through it
    inputs = (z, norm.requires_grad_(through_norm)) if loss.reads else (z,)

    def call(z: Tensor, *norm: Tensor) -> Tensor:
        return loss(z, Y % 3, **({"norm": norm[0]} if norm else {}))

    assert gradcheck(call, inputs)
    assert gradgradcheck(call, inputs, atol=1e-4)


def test_l_softmax_differentiates_the_norm_too():
    z = cosines().requires_grad_()
    norm = torch.linspace(0.5, 4, 6, dtype=torch.float64, requires_grad=True)
    loss = whyloss.LargeMarginSoftmaxLoss(margin=3)
    assert gradcheck(lambda z, norm: loss(z, Y, norm=norm), (z, norm))


def test_a_feature_on_its_centre_trains_on():
    """Through the head: angle 0 exactly, and so near that float32 holds no other."""
    head = whyloss.CosineHead(features=3, classes=2)
    head.weight.data = torch.tensor([[[1.0, 0, 0]], [[0.0, 1, 0]]])
    for feature in ([2.0, 0, 0], [2.0, 1e-4, 0], [2.0, 1e-30, 0], [-2.0, 0, 0]):
        x = torch.tensor([feature], requires_grad=True)
        for loss in (whyloss.ArcFaceLoss(), whyloss.SphereFaceLoss(), whyloss.CosFaceLoss()):
            head.zero_grad()
            loss(head(x), torch.tensor([0])).backward()
            assert torch.isfinite(x.grad).all()
            assert torch.isfinite(head.weight.grad).all()
    assert sine(torch.ones(1)).item() == 0


# --- memory ----------------------------------------------------------------------------------------------------------

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


# --- the head --------------------------------------------------------------------------------------------------------


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

"""The pictures of losses that need more than a row: what is drawn is the loss, at the inputs that the caption names."""

import math

import pytest
import torch
from torch import Tensor

import whyloss
from whyloss import curves, show
from whyloss.picture import Panel

PLACES = (10, 40, 60, 90)


def drawn(name: str, parameters: list[str] | None = None) -> tuple[Panel, Panel]:
    value, gradient = curves.panels(show.build(name, parameters or []).loss, name)
    return value, gradient


def line(panel: Panel, number: int) -> Tensor:
    return torch.tensor(panel.lines[number].y, dtype=torch.float64)


def along(panel: Panel) -> tuple[Tensor, Tensor]:
    """Log p_y and log(1 - p_y) at the panel's places; its ends are drawn at 0 and 1, but computed beside them."""
    p = torch.tensor(panel.x, dtype=torch.float64)
    p[0], p[-1] = curves.LOWEST, 1 - curves.LOWEST
    return p.log(), torch.log1p(-p)


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "loss",
    [
        whyloss.PredictionBalanceLoss(),
        whyloss.PeerLoss().eval(),
        whyloss.DeterminantMutualInformationLoss(),
        whyloss.BatchNormalizedFocalLoss(),
        whyloss.HardExampleCrossEntropyLoss(),
        whyloss.SoftF1Loss(),
        whyloss.SoftMCCLoss(),
        whyloss.WeightedKappaLoss(),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_a_batch_is_drawn_where_one_row_moves_and_where_all_do(loss: whyloss.Loss) -> None:
    value, gradient = drawn(type(loss).__name__)
    assert [line.name for line in value.lines[:2]] == ["one row", "all rows"]
    labels = torch.tensor([0, 0, 1, 1])
    sign = torch.tensor([[1, -1], [1, -1], [-1, 1], [-1, 1]], dtype=torch.float64) / 2
    for place in PLACES:
        d = value.x[place]
        for number, leads in ((0, [d, 2, 2, 2]), (1, [d, d, d, d])):
            z = (torch.tensor(leads, dtype=torch.float64).unsqueeze(1) * sign).requires_grad_()
            here = loss(z, labels)
            (slope,) = torch.autograd.grad(here, z)
            moving = slice(0, 1) if number == 0 else slice(None)
            assert value.lines[number].y[place] == pytest.approx(here.item(), rel=1e-9, abs=1e-12)
            total = abs(float((slope * sign)[moving].sum()))
            assert gradient.lines[number].y[place] == pytest.approx(total, rel=1e-9, abs=1e-12)


def test_views_hold_what_they_say() -> None:
    value, _ = drawn("augmix")
    log_p, log_not_p = along(value)
    close(line(value, 0), -log_p)  # nothing to disagree about
    p = torch.stack([log_p.exp(), log_not_p.exp()], 1)
    said = torch.tensor([0.9, 0.1], dtype=torch.float64)
    m = (p + 2 * said) / 3
    apart = ((p * (p / m).log()).sum(1) + 2 * (said * (said / m).log()).sum(1)) / 3
    close(line(value, 1), -log_p + 12 * apart)

    value, _ = drawn("gjs")
    m = torch.tensor([1.0, 0.0]) / 2 + p / 2
    js = (-m * m.log()).sum(1) + (p * p.log()).sum(1) / 2
    close(line(value, 0), js / (-0.5 * math.log(0.5)))


def test_a_teacher_and_the_label() -> None:
    value, _ = drawn("labelled-distillation", ["temperature=1.0", "share=0.5"])
    log_p, log_not_p = along(value)
    for number, q in enumerate((0.9, 0.1)):
        kl = q * (math.log(q) - log_p) + (1 - q) * (math.log(1 - q) - log_not_p)
        close(line(value, number), kl / 2 - log_p / 2)


def test_a_memory_holds_what_was_said_so_far() -> None:
    value, _ = drawn("elr", ["strength=1.0", "beta=0.5"])
    log_p, log_not_p = along(value)
    for number, t in enumerate((0.9, 0.1)):
        wanted = -log_p + torch.log1p(-(log_p.exp() * t + log_not_p.exp() * (1 - t)))
        torch.testing.assert_close(line(value, number), wanted, rtol=1e-6, atol=1e-6)  # it is kept in float32

    value, gradient = drawn("pruned-gce", ["q=1.0", "k=0.5"])
    close(line(value, 0), log_not_p.exp())
    assert set(value.lines[1].y) == {0.5}
    assert set(gradient.lines[1].y) == {0.0}


def test_a_class_that_it_is_not() -> None:
    value, _ = drawn("selnl")
    _, log_not_p = along(value)
    chosen = torch.tensor(value.x) > 1 / 3
    close(line(value, 0), torch.where(chosen, -torch.log1p(-log_not_p.exp() / 2), 0.0))


def test_features_are_drawn_by_their_length() -> None:
    value, gradient = drawn("center", ["classes=4", "pull=0.5"])
    x = torch.tensor(value.x, dtype=torch.float64)
    close(line(value, 0), math.log(4) + x.square() / 4)
    close(line(gradient, 0), x / 2)

    value, gradient = drawn("objectosphere", ["xi=5.0", "factor=0.1"])
    x = torch.tensor(value.x, dtype=torch.float64)
    close(line(value, 0), math.log(2) + 0.1 * (5 - x).clamp_min(0).square())
    close(line(value, 1), math.log(2) + 0.1 * x.square())
    close(line(gradient, 1), 0.2 * x)


@pytest.mark.parametrize("name", ["l-softmax", "a-softmax"])
def test_a_length_scales_its_cosines(name: str) -> None:
    value, _ = drawn(name, ["margin=2"])
    cosine = torch.tensor(value.x, dtype=torch.float64)
    psi = torch.where(cosine > 0, 2 * cosine.square() - 1, -1 - 2 * cosine.square())
    close(line(value, 0), torch.nn.functional.softplus(math.log(9) - 8 * psi))


@pytest.mark.parametrize("name", ["magface", "adaface"])
def test_a_length_is_the_quality_of_an_image(name: str) -> None:
    value, _ = drawn(name, ["scale=8.0"])
    assert [line.name for line in value.lines[:2]] == ["|x| = 20", "|x| = 100"]
    inside = slice(1, -1)  # at the ends the angle of a margin has no slope
    angle = torch.tensor(value.x, dtype=torch.float64).acos()[inside]
    for number, a in enumerate((20.0, 100.0)):
        if name == "magface":
            moved, pull = (angle + 0.45 + 0.35 * (a - 10) / 100).cos(), 35 * (1 / a + a / 110**2)
        else:
            turn = 0.4 * 0.333 * (a - 60) / 40  # beside the batch of both
            moved, pull = (angle - turn).cos() - turn - 0.4, 0.0
        wanted = torch.nn.functional.softplus(math.log(9) - 8 * moved) + pull
        torch.testing.assert_close(line(value, number)[inside], wanted, rtol=1e-6, atol=1e-6)


def test_a_hidden_state_turns_away_from_its_label() -> None:
    value, _ = drawn("adaptive-softmax")
    assert (value.x[0], value.x[-1]) == (0.0, 180.0)
    # Four logits in the head, the label's ahead of the others' by the length times 2 / sqrt(3).
    ahead = 8 * 2 / math.sqrt(3)
    assert value.lines[0].y[0] == pytest.approx(math.log1p(3 * math.exp(-ahead)), rel=1e-9)
    assert value.lines[0].y[-1] == pytest.approx(math.log(3 * math.exp(ahead) + 1), rel=1e-9)
    assert all(line.y[-1] > line.y[0] for line in value.lines)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("pruned-gce", ["link=sigmoid"]),
        ("elr", ["link=sigmoid"]),
        ("elr", ["classes=10"]),
        ("selnl", ["link=sigmoid"]),
        ("labelled-distillation", ["teacher=probabilities"]),
        ("adaptive-softmax", ["cutoffs=(3,)", "classes=5", "hidden_size=2", "bias=True"]),
        ("adaptive-softmax", ["hidden_size=1"]),
        ("dmi", ["link=sigmoid"]),
        ("magface", ["adjust=None"]),
    ],
)
def test_options_are_drawn_too(name: str, parameters: list[str]) -> None:
    shown = show.build(name, parameters)
    assert bool(curves.panels(shown.loss, name)) == ("hidden_size=1" not in parameters)
    assert curves.caption(shown.loss)

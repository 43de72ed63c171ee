"""Losses add and scale; sums of row losses share one pass; losses that users write work everywhere, unregistered."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from instances import SOFTMAX, Case, defaults, rows, soft, value_and_gradient
from torch import Tensor

import whyloss
from whyloss.losses.algebra import LossSum, RowSum
from whyloss.stats import dense


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts sweeps of the dense engine over the logits."""
    seen: list[int] = []
    sweep: Callable[..., Any] = dense._swept

    def counted(z: Tensor, *args: Any, **kwargs: Any) -> Any:
        seen.append(len(z))
        return sweep(z, *args, **kwargs)

    monkeypatch.setattr(dense, "_swept", counted)
    return seen


@pytest.mark.parametrize("case", defaults(SOFTMAX), ids=str)
def test_a_sum_equals_its_parts(case: Case):
    z, y = rows()
    loss, other = case.build(link="softmax"), whyloss.FocalLoss(gamma=1.0)
    for target in (y, soft()):
        combined = value_and_gradient(0.3 * loss + other * 2, z, target)
        one, two = value_and_gradient(loss, z, target), value_and_gradient(other, z, target)
        for ours, a, b in zip(combined, one, two, strict=True):
            torch.testing.assert_close(ours, 0.3 * a + 2 * b)
    torch.testing.assert_close((-3 * loss)(z, y), -3 * loss(z, y))


def test_equal_options_share_one_pass(passes: list[int]):
    z, y = rows()
    weight = torch.tensor([1.0, 2, 3, 4])
    loss = whyloss.FocalLoss(weight=weight) + 0.5 * whyloss.BrierLoss(weight=weight.clone())
    loss = 2 * (loss + whyloss.MulticlassHingeLoss(weight=weight))
    assert isinstance(loss, RowSum)
    assert loss.factors == (2, 1, 2)
    value_and_gradient(loss, z, y)
    assert len(passes) == 1
    assert whyloss.explain_engine(loss, z).startswith("dense")


def test_unequal_options_are_computed_one_by_one(passes: list[int]):
    z, y = rows()
    loss = (
        whyloss.FocalLoss(label_smoothing=0.1) + whyloss.CrossEntropyLoss() * 2 + whyloss.CrossEntropyLoss(weight=None)
    )
    assert isinstance(loss, LossSum)
    parts = whyloss.FocalLoss(label_smoothing=0.1)(z, y) + 3 * whyloss.CrossEntropyLoss()(z, y)
    torch.testing.assert_close(loss(z, y), parts)
    torch.testing.assert_close((2 * loss)(z, y), 2 * parts)


def test_tables_are_shared_only_if_equal():
    z, y = rows(6, 2)
    T, S = torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([[0.8, 0.2], [0.3, 0.7]])
    one, two = whyloss.ForwardCorrectionLoss(transition=T), whyloss.ForwardCorrectionLoss(transition=S)
    torch.testing.assert_close((one + two)(z, y), one(z, y) + two(z, y))
    assert isinstance(one + two, LossSum)
    assert isinstance(one + whyloss.ForwardCorrectionLoss(transition=T.clone()), RowSum)


def test_sum_of_a_list_and_sums_with_zero():
    z, y = rows()
    losses = [whyloss.CrossEntropyLoss(), whyloss.BrierLoss(), whyloss.MeanAbsoluteErrorLoss()]
    torch.testing.assert_close(sum(losses)(z, y), sum(loss(z, y) for loss in losses))
    with pytest.raises(TypeError):
        losses[0] + "loss"


def test_a_sum_takes_the_options_of_its_terms():
    z, y = rows()
    for options in ({"reduction": "none"}, {"ignore_index": 2}, {"label_smoothing": 0.2}):
        ours = (whyloss.CrossEntropyLoss(**options) + whyloss.BrierLoss(**options))(z, y)
        torch.testing.assert_close(ours, whyloss.CrossEntropyLoss(**options)(z, y) + whyloss.BrierLoss(**options)(z, y))
    both = whyloss.CrossEntropyLoss() + whyloss.BrierLoss()
    total, weight = both.parts(z, y)
    torch.testing.assert_close(both(z, y), total / weight)
    torch.testing.assert_close(both(z, y, normalizer=5.0), total / 5)
    binary = whyloss.BrierLoss(link="sigmoid") + whyloss.BinaryCrossEntropyLoss()
    assert isinstance(binary, RowSum)
    assert torch.isfinite(binary(z, (z > 0).long()))


def test_short_smoothing_survives_a_sum(passes: list[int]):
    z, y = rows()
    a, b = (loss(label_smoothing=0.2, engine="dense") for loss in (whyloss.CrossEntropyLoss, whyloss.ZLoss))
    torch.testing.assert_close((a + b)(z, y), a(z, y) + b(z, y))
    assert len(passes) == 3


def test_row_and_region_losses_add():
    z, y = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    both = whyloss.DiceLoss() + 0.5 * whyloss.CrossEntropyLoss()
    torch.testing.assert_close(both(z, y), whyloss.DiceLoss()(z, y) + 0.5 * whyloss.CrossEntropyLoss()(z, y))
    assert "0.5" in repr(both)


def test_each_term_of_a_sum_takes_what_it_reads():
    z, y = rows()
    norm = torch.linspace(10, 100, 6)
    both = whyloss.MagFaceLoss(scale=3.0) + 0.5 * whyloss.FocalLoss()
    torch.testing.assert_close(
        both(z, y, norm=norm), whyloss.MagFaceLoss(scale=3.0)(z, y, norm=norm) + 0.5 * whyloss.FocalLoss()(z, y)
    )
    with pytest.raises(TypeError, match=r"takes norm=\.\.\.; got nothing"):
        both(z, y)
    with pytest.raises(TypeError, match="No term of this sum reads index"):
        both(z, y, norm=norm, index=norm)


# --- a user's own loss -----------------------------------------------------------------------------------------------


class Tempered(whyloss.RowLoss):
    """Everything at once: fields, a table, a power, statistics of every kind."""

    strength: float = 0.5
    power: float = 1.5
    costs: Tensor

    @property
    def table(self) -> Tensor:
        return self.costs

    def formula(self, log_p, entropy, p_pow, expected, affine_log_p, sum_z, z_sq, lse, p_sq, rival, count, label):  # type: ignore[no-untyped-def]
        smooth = p_pow + self.strength * expected - 0.1 * affine_log_p + p_sq - log_p
        return smooth + entropy + 0.01 * (sum_z / count - lse) ** 2 + 0.001 * z_sq + 0.02 * rival + 0 * label


def test_a_users_own_loss_on_every_engine():
    z, y = rows(7, 5)
    z[2, 3], z[4, 0] = -torch.inf, -torch.inf
    y[2], y[4] = 1, 2
    costs = torch.rand(5, 5, dtype=torch.float64)
    found = [
        value_and_gradient(Tempered(costs=costs, engine=e, reduction="none"), z, y) for e in ("dense", "reference")
    ]
    torch.testing.assert_close(found[0], found[1])
    one_hot = torch.nn.functional.one_hot(y, 5).double()
    torch.testing.assert_close(value_and_gradient(Tempered(costs=costs, reduction="none"), z, one_hot), found[0])
    z = z.nan_to_num(neginf=-3.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: Tempered(costs=costs)(z, y), z)
    binary = Tempered(costs=costs[:2, :2], link="sigmoid")
    pairs = torch.stack([torch.zeros(7).double(), z[:, 0]], 1)
    torch.testing.assert_close(binary(z[:, 0], y % 2), Tempered(costs=costs[:2, :2])(pairs, y % 2))


def test_a_users_learnable_field_gets_a_gradient():
    class Learned(whyloss.RowLoss):
        gamma: Tensor

        def formula(self, log_p, log_not_p):  # type: ignore[no-untyped-def]
            return -torch.exp(self.gamma * log_not_p) * log_p

    z, y = rows()
    gamma = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    loss = Learned(gamma=gamma)
    assert list(loss.parameters()) == [gamma]
    loss(z, y).backward()
    assert gamma.grad is not None
    assert gamma.grad < 0
    torch.testing.assert_close(loss(z, y).detach(), whyloss.FocalLoss()(z, y))
    assert "reference" in whyloss.explain_engine(loss, z)


def test_a_formula_that_is_wrong_says_what_is_right():
    with pytest.raises(TypeError, match=r"asks for 'gamma'.*self\.gamma.*log_odds"):

        class Wrong(whyloss.RowLoss):
            gamma: float = 2.0

            def formula(self, log_p, gamma):  # type: ignore[no-untyped-def]
                return log_p * gamma

    with pytest.raises(TypeError, match=r"reads a statistic of self\.table"):

        class NoTable(whyloss.RowLoss):
            def formula(self, expected):  # type: ignore[no-untyped-def]
                return expected

    class Empty(whyloss.RowLoss):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no formula"):
        Empty()(torch.zeros(1, 2), torch.tensor([0]))


def test_an_error_inside_a_formula_is_the_users_own():
    class Broken(whyloss.RowLoss):
        def formula(self, log_p):  # type: ignore[no-untyped-def]
            return log_p / torch.ones(99)

    with pytest.raises(RuntimeError, match="size") as caught:
        Broken()(torch.zeros(3, 2), torch.tensor([0, 1, 0]))
    assert any(frame.name == "formula" for frame in caught.traceback)


def test_statistics_are_listed_with_their_meaning():
    known = whyloss.statistics()
    assert {"log_odds", "log_p", "p", "not_p", "p_sq", "entropy", "rival", "expected", "lse"} <= set(known)
    assert all(known.values())


def test_the_functional_form_has_the_classes_signature():
    import inspect

    signature = inspect.signature(whyloss.functional.focal_loss)
    assert signature.parameters["gamma"].default == 2.0
    assert {"logits", "target", "weight", "reduction", "sample_weight", "normalizer"} <= set(signature.parameters)
    z, y = rows()
    ours = whyloss.functional.focal_loss(z, y, gamma=1.0, reduction="sum", sample_weight=torch.ones(6))
    assert torch.equal(ours, whyloss.FocalLoss(gamma=1.0, reduction="sum")(z, y))
    for name in whyloss.functional.__all__:
        assert getattr(whyloss.functional, name).__doc__


def test_names():
    from whyloss.losses.catalogue import find

    assert find("gce") is whyloss.GeneralizedCrossEntropyLoss
    assert find("focal_loss") is find("Focal Loss") is whyloss.FocalLoss
    with pytest.raises(KeyError, match="Nearest: focal"):
        find("focl")
    assert "FocalLoss" in dir(whyloss)
    with pytest.raises(AttributeError, match="NoLoss"):
        whyloss.NoLoss  # noqa: B018


def test_engines_are_explained():
    z, _ = rows()
    ce = whyloss.CrossEntropyLoss
    assert whyloss.explain_engine(ce(engine="reference"), z) == "reference: asked for by name"
    assert whyloss.explain_engine(ce(), z).startswith("dense")
    assert whyloss.explain_engine(ce(), z, soft()).startswith("dense")
    image = torch.zeros(2, 3, 4, 4)
    assert whyloss.explain_engine(whyloss.DiceLoss(), image).startswith("blocks: sums over regions")
    assert whyloss.explain_engine(whyloss.DiceLoss(link="sigmoid"), image).startswith("blocks")
    assert "not a row loss" in whyloss.explain_engine(whyloss.DiceLoss() + whyloss.FocalLoss(), image)


def test_a_sum_of_losses_computed_one_by_one_knows_heads_and_shards():
    """A loss divided by its sum over the labels shares no pass; active-passive pairs are made of one."""
    both = whyloss.NormalizedFocalLoss() + 0.5 * whyloss.MeanAbsoluteErrorLoss()
    assert isinstance(both, LossSum)
    hidden, weight, y = torch.randn(6, 3), torch.randn(4, 3), torch.arange(6) % 4
    z = hidden @ weight.T
    torch.testing.assert_close(both.linear(hidden, weight, y), both(z, y))
    torch.testing.assert_close(both.sharded(z, y), both(z, y))
    with pytest.raises(TypeError, match=r"LossSum\.linear: SparsemaxLoss has no linear.*with logits"):
        (whyloss.SparsemaxLoss() + whyloss.CrossEntropyLoss()).linear(hidden, weight, y)  # pyright: ignore


def test_differences_and_quotients():
    z, y = rows()
    a, b, other = whyloss.CrossEntropyLoss(), whyloss.BrierLoss(), whyloss.ConfidencePenaltyLoss(ignore_index=7)
    torch.testing.assert_close((a - b)(z, y), a(z, y) - b(z, y))
    torch.testing.assert_close((a - 0.5 * other)(z, y), a(z, y) - 0.5 * other(z, y))
    torch.testing.assert_close((-(a + b) / 4)(z, y), -(a(z, y) + b(z, y)) / 4)
    for wrong in (lambda: a - 1, lambda: 1 - a):  # pyright: ignore
        with pytest.raises(TypeError, match="unsupported operand"):
            wrong()

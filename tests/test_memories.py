"""Losses that remember: of samples, of classes, of what they drew. By hand, and through state_dict."""

import math

import pytest
import torch
from instances import rows, soft, value_and_gradient
from torch import Tensor

import whyloss
from whyloss.losses.algebra import LossSum

LOG2 = math.log(2)


def elr(**options: float) -> whyloss.EarlyLearningRegularizationLoss:
    return whyloss.EarlyLearningRegularizationLoss(samples=20, classes=4, **options)


# --- early-learning regularisation -----------------------------------------------------------------------------------


def test_without_strength_it_is_cross_entropy_however_much_it_remembers():
    z, y = rows()
    loss, index = elr(strength=0.0, reduction="none"), torch.tensor([3, 1, 4, 15, 9, 2])
    for target in (y, soft(), y):
        ours = value_and_gradient(loss, z, target, index=index)
        torch.testing.assert_close(ours, value_and_gradient(whyloss.CrossEntropyLoss(reduction="none"), z, target))
    assert loss.targets[index].sum(1).allclose(torch.tensor(1 - 0.7**3))
    untouched = elr(strength=5.0)
    torch.testing.assert_close(untouched.eval()(z, y, index=index), whyloss.CrossEntropyLoss()(z, y))


def test_running_targets_and_value_are_the_papers():
    z, y = rows()
    index, beta, strength = torch.tensor([3, 1, 4, 15, 9, 2]), 0.9, 3.0
    loss = elr(beta=beta, strength=strength, reduction="none").double()
    t = torch.zeros(6, 4, dtype=torch.float64)
    for step in range(4):
        logits = z * (1 + step)
        logits.requires_grad_()
        value = loss(logits, y, index=index)
        (gradient,) = torch.autograd.grad(value.sum(), logits)
        p = torch.softmax(logits, 1)
        t = beta * t + (1 - beta) * p.detach()
        expected = torch.nn.functional.cross_entropy(logits, y, reduction="none") + strength * torch.log(
            1 - (p * t).sum(1)
        )
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), logits)[0])
        torch.testing.assert_close(loss.targets[index], t)
    kept = loss.targets.clone()
    loss.eval()
    loss(z, y, index=index)
    assert torch.equal(loss.targets, kept), "in evaluation mode nothing is remembered"
    again = elr(beta=beta, strength=strength, reduction="none").double().eval()
    again.load_state_dict(loss.state_dict())
    assert torch.equal(again(z, y, index=index), loss(z, y, index=index))


def test_the_pull_is_exact_where_the_model_was_sure_and_still_is():
    """1 - <p, t> of p and t near one-hot: float32 has no 1 - t, but the sum of the others."""
    z = torch.tensor([[20.0, 0.0, 0.0, 0.0], [24.0, 0.0, 0.0, 1.0]])
    y, index = torch.tensor([0, 0]), torch.tensor([0, 1])
    loss, exact = (elr(beta=0.5, strength=1.0, reduction="none") for _ in range(2))
    exact.double()
    for _ in range(60):
        loss(z, y, index=index)
        exact(z.double(), y, index=index)
    ours = value_and_gradient(loss.eval(), z, y, index=index)
    theirs = value_and_gradient(exact.eval(), z.double(), y, index=index)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=0)
    assert (theirs[0] < -15).all()


def test_rows_that_do_not_count_leave_no_trace_and_a_sample_twice_moves_once():
    z, _ = rows(4)
    loss = elr(beta=0.0)
    labels = torch.tensor([0, -100, 1, 2])
    z[1] = torch.nan
    loss(z, labels, index=torch.tensor([0, -100, 7, 7]))
    p = torch.softmax(z, 1).float()
    torch.testing.assert_close(loss.targets[0], p[0])
    torch.testing.assert_close(loss.targets[7], (p[2] + p[3]) / 2)
    assert not loss.targets[[1, 2, 3, 4, 5, 6, 8]].any()
    with pytest.raises(ValueError, match="logits of 4 classes"):
        loss(z[:, :3], labels, index=torch.tensor([0, 1, 7, 7]))


def test_it_trains_inside_torch_compile():
    z, y = rows(dtype=torch.float32)
    index = torch.arange(6)
    plain, other = elr(), elr()
    compiled = torch.compile(other, fullgraph=True, backend="eager")
    for _ in range(2):
        torch.testing.assert_close(
            value_and_gradient(compiled, z, y, index=index), value_and_gradient(plain, z, y, index=index)
        )
    torch.testing.assert_close(other.targets, plain.targets)
    torch._dynamo.reset()


# --- generalised cross-entropy of the rows that are kept -------------------------------------------------------------


def test_pruning_makes_the_truncated_loss():
    z, y = rows(12)
    index = torch.randperm(30)[:12]
    loss = whyloss.PrunedGeneralizedCrossEntropyLoss(samples=30, reduction="none")
    plain = whyloss.GeneralizedCrossEntropyLoss(reduction="none")
    torch.testing.assert_close(
        value_and_gradient(loss, z, y, index=index), value_and_gradient(plain, z, y), rtol=1e-7, atol=1e-9
    )
    loss.prune(z, y, index)
    truncated = whyloss.TruncatedGeneralizedCrossEntropyLoss(reduction="none")
    torch.testing.assert_close(value_and_gradient(loss, z, y, index=index), value_and_gradient(truncated, z, y))
    p = torch.softmax(z, 1).gather(1, y[:, None]).squeeze(1)
    assert torch.equal(loss.get_buffer("kept")[index], p > 0.5)
    assert loss.get_buffer("kept").sum() == 18 + (p > 0.5).sum()
    other = whyloss.PrunedGeneralizedCrossEntropyLoss(samples=30, reduction="none")
    other.load_state_dict(loss.state_dict())
    assert torch.equal(other(z, y, index=index), loss(z, y, index=index))
    loss.prune(5 * torch.nn.functional.one_hot(y, 4).double(), y, index)
    assert loss.get_buffer("kept").all(), "what was given up may come back"


# --- online label smoothing ------------------------------------------------------------------------------------------


def test_soft_labels_are_the_mean_predictions_of_the_rows_that_were_right():
    z = torch.tensor([[2.0, 1, 0], [1, 0, 0], [0, 3, 0], [0, 0, 1], [9, 0, 0]], dtype=torch.float64)
    y = torch.tensor([0, 0, 1, 1, -100])  # right, right, right, wrong, ignored
    loss = whyloss.OnlineLabelSmoothingLoss(classes=3, alpha=0.5, reduction="none").double()
    even = 0.5 * (-torch.log_softmax(z[:4], 1).gather(1, y[:4, None]).squeeze(1) - torch.log_softmax(z[:4], 1).mean(1))
    torch.testing.assert_close(loss(z, y)[:4], even)
    loss(z[:2], y[:2], sample_weight=torch.zeros(2))
    p = torch.softmax(z, 1)
    loss.next_epoch()
    third = torch.full((3,), 1 / 3, dtype=torch.float32).double()
    S = torch.stack([(p[0] + p[1]) / 2, p[2], third])
    torch.testing.assert_close(loss.get_buffer("soft_labels"), S)
    loss.eval()
    q = 0.5 * torch.nn.functional.one_hot(y[:4], 3) + 0.5 * S[y[:4]]
    expected = torch.nn.functional.cross_entropy(z[:4], q, reduction="none")
    for engine in ("reference", "dense"):
        loss.engine = engine  # pyright: ignore
        torch.testing.assert_close(loss(z[:4], y[:4]), expected)
    hidden, weight = z[:4], torch.eye(3).double()
    torch.testing.assert_close(loss.linear(hidden, weight, y[:4]), expected)
    other = whyloss.OnlineLabelSmoothingLoss(classes=3, alpha=0.5, reduction="none").double()
    other.load_state_dict(loss.state_dict())
    assert torch.equal(other(z, y), loss(z, y))
    loss.next_epoch()
    torch.testing.assert_close(loss.get_buffer("soft_labels"), S)  # an epoch in which nothing was seen


def test_pixels_soft_targets_and_yes_or_no_are_remembered_too():
    z, y = rows(12)
    plain, pixels = (whyloss.OnlineLabelSmoothingLoss(classes=4) for _ in range(2))
    plain(z, y)
    pixels(z.reshape(2, 3, 2, 4).movedim(-1, 1), y.reshape(2, 3, 2))
    torch.testing.assert_close(pixels.get_buffer("sums"), plain.get_buffer("sums"))
    one_hot = whyloss.OnlineLabelSmoothingLoss(classes=4)
    one_hot.parts(z, torch.nn.functional.one_hot(y, 4).double())
    torch.testing.assert_close(one_hot.get_buffer("sums"), plain.get_buffer("sums"))
    binary = whyloss.OnlineLabelSmoothingLoss(classes=2, link="sigmoid")
    binary(z, (z > 0).long())
    p = torch.sigmoid(z)
    yes = torch.stack([1 - p, p], -1)[z > 0].sum(0)
    torch.testing.assert_close(binary.get_buffer("sums")[1], yes.float())


def test_what_remembers_is_asked_in_a_sum_too():
    z, y = rows()
    ols = whyloss.OnlineLabelSmoothingLoss(classes=4)
    both = 2 * ols + whyloss.BrierLoss() + elr(strength=0.0)
    assert isinstance(both, LossSum)
    value = both(z, y, index=torch.arange(6))
    assert ols.get_buffer("sums").any()
    expected = 2 * ols(z, y) + whyloss.BrierLoss()(z, y) + whyloss.CrossEntropyLoss()(z, y)
    torch.testing.assert_close(value, expected)
    with pytest.raises(TypeError, match="reads norm"):
        both(z, y, norm=y, index=y)


# --- peers -----------------------------------------------------------------------------------------------------------


def test_peers_are_drawn_again_in_every_call_and_alike_from_the_same_state():
    z, y = rows(40)
    one, two = whyloss.PeerLoss(seed=3), whyloss.PeerLoss(seed=3)
    first = [one(z, y).item() for _ in range(3)]
    assert first == [two(z, y).item() for _ in range(3)]
    assert len(set(first)) == 3
    resumed = whyloss.PeerLoss(seed=3)
    resumed.load_state_dict(one.state_dict())
    assert resumed(z, y) == one(z, y)
    assert whyloss.PeerLoss(seed=4)(z, y) != first[0]
    one.eval()
    assert one(z, y) == one(z, y)
    torch.testing.assert_close(whyloss.PeerLoss(alpha=0.0)(z, y), whyloss.CrossEntropyLoss()(z, y))


def test_peers_are_independent_and_even():
    """Over many calls the peer term is the loss of every prediction with every label."""
    z, y = rows(6)
    loss = whyloss.PeerLoss(loss=whyloss.BrierLoss(), alpha=0.7)
    y[5] = -100
    z[5] = torch.nan
    seen = torch.stack([loss(z, y) for _ in range(400)])
    brier = whyloss.BrierLoss(reduction="none")
    table = torch.stack([brier(z[:5], torch.full((5,), int(label))) for label in y[:5]], 1)
    expected = table.diagonal().mean() - 0.7 * table.mean()
    assert abs(seen.mean() - expected) < 4 * seen.std() / 400**0.5
    pairs = torch.zeros(5, 5)
    counted = torch.ones(5, 2, dtype=torch.bool)
    between = torch.zeros(5, 5)
    for _ in range(500):
        n1, n2 = loss._drawn(counted)
        pairs.index_put_((n1[:, 0], n2[:, 0]), torch.ones(5), accumulate=True)
        between.index_put_((n1[:, 0], n1[:, 1]), torch.ones(5), accumulate=True)  # of two questions
        loss.get_buffer("calls").add_(1)
    for found in (pairs, between):
        assert found.min() > 50  # 100 each, if all are equally likely
        assert found.max() < 150


def test_peers_of_answers_come_from_the_same_question():
    """Questions that are answered alike by all: peers cost what the answers themselves do; the third is left out."""
    z = torch.tensor([2.0, -1.0, 4.0]).double().expand(6, 3)
    y = torch.tensor([1, 0, -100]).expand(6, 3)
    bce = whyloss.CrossEntropyLoss(link="sigmoid")(z, y)
    loss = whyloss.PeerLoss(link="sigmoid", alpha=0.7)
    torch.testing.assert_close(loss(z, y), 0.3 * bce)
    z, y = torch.randn(5, 2, dtype=torch.float64), torch.tensor([[0, 1], [1, 1], [0, 0], [1, -100], [-100, 0]])
    seen = torch.stack([loss(z, y) for _ in range(400)])
    each = whyloss.CrossEntropyLoss(link="sigmoid", reduction="sum")
    peers = torch.zeros(()).double()
    for x, t in zip(z.T, y.T, strict=True):
        x, t = x[t >= 0], t[t >= 0]
        peers += sum(each(x, answer.expand(4)) for answer in t) / 4
    expected = (each(z, y) - 0.7 * peers) / 8
    assert abs(seen.mean() - expected) < 4 * seen.std() / 400**0.5
    with pytest.raises(ValueError, match="loss of rows with the sigmoid link"):
        whyloss.PeerLoss(link="sigmoid", loss=whyloss.BrierLoss())


def test_a_peer_loss_takes_any_loss_of_rows():
    z, y = rows()
    gce = whyloss.GeneralizedCrossEntropyLoss()
    torch.testing.assert_close(whyloss.PeerLoss(loss=gce, alpha=0.0)(z, y), gce(z, y))
    ignored = torch.full((6, 4), -100.0).double()
    assert whyloss.PeerLoss()(z, ignored) == 0
    for wrong in (whyloss.DiceLoss(), whyloss.BinaryCrossEntropyLoss(), elr()):
        with pytest.raises(ValueError, match="a loss of rows with the softmax link"):
            whyloss.PeerLoss(loss=wrong)


# --- the determinant -------------------------------------------------------------------------------------------------


def joint(p: Tensor, q: Tensor) -> Tensor:
    return p.T @ q / len(p)


def test_the_determinant_by_hand_and_its_invariance_under_noise():
    z = torch.tensor([[0.75, 0.25], [0.25, 0.75]]).double().log()
    loss = whyloss.DeterminantMutualInformationLoss()
    assert loss(z, torch.tensor([0, 1])).item() == pytest.approx(3 * LOG2, rel=1e-9)
    z, y = rows(60, 3)
    q = torch.nn.functional.one_hot(y, 3).double()
    U = joint(torch.softmax(z, 1), q)
    torch.testing.assert_close(loss(z, y), -torch.linalg.det(U).abs().log())
    T = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.9, 0.1], [0.3, 0.1, 0.6]]).double()
    clean, noisy = value_and_gradient(loss, z, y), value_and_gradient(loss, z, T[y])
    torch.testing.assert_close(noisy[0], clean[0] - torch.linalg.det(T).log())
    torch.testing.assert_close(noisy[1], clean[1], rtol=1e-6, atol=1e-9)
    binary = whyloss.DeterminantMutualInformationLoss(link="sigmoid")(z, (z > 0).long())
    each = [loss(torch.stack([0 * c, c], 1), (c > 0).long()) for c in z.T]
    torch.testing.assert_close(binary, torch.stack(each).mean())


def test_a_determinant_that_is_not_there_is_finite():
    y = torch.tensor([0, 1, 2, 0])
    loss = whyloss.DeterminantMutualInformationLoss()
    for z, label in ((torch.zeros(4, 3), y), (torch.randn(4, 3), 0 * y), (torch.randn(2, 3), y[:2])):
        value, gradient = value_and_gradient(loss, z, label)
        assert torch.isfinite(value)
        assert torch.isfinite(gradient).all()
    z = torch.randn(40, 3).double()
    present = joint(torch.softmax(z, 1), torch.eye(3).double()[torch.arange(40) % 2])[:, :2]
    torch.testing.assert_close(loss(z, torch.arange(40) % 2), -0.5 * torch.linalg.det(present.T @ present).log())


def test_balance_is_the_entropy_of_the_mean_prediction():
    z, y = rows(12)
    mean = torch.softmax(z, 1).mean(0)
    torch.testing.assert_close(whyloss.PredictionBalanceLoss()(z, y), math.log(4) + (mean * mean.log()).sum())
    p = torch.sigmoid(z).mean(0)
    expected = (LOG2 + torch.special.xlogy(p, p) + torch.special.xlogy(1 - p, 1 - p)).mean()
    torch.testing.assert_close(whyloss.PredictionBalanceLoss(link="sigmoid")(z, (z > 0).long()), expected)

"""Losses of rankings, against loops over all pairs, and of confusion matrices, against scikit-learn."""

import math
from typing import Any

import pytest
import torch
from instances import value_and_gradient
from sklearn.metrics import average_precision_score, f1_score, matthews_corrcoef, roc_auc_score
from torch import Tensor

import whyloss

F = {
    "squared_hinge": lambda d, m: max(0.0, m - d) ** 2,
    "hinge": lambda d, m: max(0.0, m - d),
    "logistic": lambda d, m: math.log1p(math.exp(-d)),
}


def scores(count: int = 40, columns: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(count, columns, generator=generator, dtype=torch.float64)
    y = (torch.rand(count, columns, generator=generator) < 0.3).long()
    z[3], z[7] = z[5], z[5]  # ties
    return z, y


def by_loop(z: Tensor, y: Tensor, surrogate: str, margin: float, fpr: float = 1.0) -> float:
    found = []
    for column in range(z.shape[1]):
        yes = z[y[:, column] == 1, column].tolist()
        no = sorted(z[y[:, column] == 0, column].tolist(), reverse=True)
        left, total = fpr * len(no), 0.0
        for score in no:
            share = min(1.0, max(0.0, left))
            left -= 1
            total += share * sum(F[surrogate](s - score, margin) for s in yes)
        found.append(total / (len(yes) * fpr * len(no)))
    return sum(found) / len(found)


@pytest.mark.parametrize("margin", [1.0, 0.3])
@pytest.mark.parametrize("surrogate", F)
def test_auc_surrogates_are_the_loop_over_all_pairs(surrogate: str, margin: float):
    z, y = scores()
    loss = whyloss.PairwiseAUCLoss(surrogate=surrogate, margin=margin)
    assert loss(z, y).item() == pytest.approx(by_loop(z, y, surrogate, margin), rel=1e-12)
    for fpr in (1.0, 0.3, 0.01):
        partial = whyloss.PartialAUCLoss(surrogate=surrogate, margin=margin, fpr=fpr)
        assert partial(z, y).item() == pytest.approx(by_loop(z, y, surrogate, margin, fpr), rel=1e-12)
    _, gradient = value_and_gradient(loss, z, y)
    step = 1e-6 * torch.ones(2, dtype=z.dtype)
    for row in (0, 5):
        up, down = z.clone(), z.clone()
        up[row] += step
        down[row] -= step
        slope = (by_loop(up, y, surrogate, margin) - by_loop(down, y, surrogate, margin)) / 2e-6
        assert gradient[row].sum().item() == pytest.approx(slope, abs=1e-7)


def test_a_tiny_hinge_counts_wrong_pairs():
    z, y = scores(60, 1)
    z = z + torch.linspace(0, 1e-6, 60, dtype=z.dtype).unsqueeze(1)  # no ties
    hinge = whyloss.PairwiseAUCLoss(surrogate="hinge", margin=1e-9)
    steep = hinge(1e3 * z, y) - hinge(1e3 * z - 1e-3 * y, y)  # each wrong pair is worse by 1e-3
    assert 1 - abs(steep.item()) / 1e-3 == pytest.approx(roc_auc_score(y[:, 0], z[:, 0]), abs=1e-6)


def test_sample_weights_and_soft_targets_in_rankings():
    z, y = scores(12, 1)
    weight = torch.arange(12) % 3
    again = torch.arange(12).repeat_interleave(weight)
    for loss in (
        whyloss.PairwiseAUCLoss(),
        whyloss.PairwiseAUCLoss(surrogate="logistic"),
        whyloss.PartialAUCLoss(fpr=0.4),
        whyloss.SoftPartialAUCLoss(),
        whyloss.TopPushLoss(),
        whyloss.RecallAtQuantileLoss(quantile=0.4),
        whyloss.AUCMarginLoss(a=0.7, alpha=0.5),
        whyloss.SoftF1Loss(link="sigmoid"),
        whyloss.SoftMCCLoss(link="sigmoid"),
    ):
        torch.testing.assert_close(loss(z, y, sample_weight=weight[:, None]), loss(z[again], y[again]))
        torch.testing.assert_close(loss(z, y.double()), loss(z, y))
    shares = torch.tensor([[0.25], [1.0], [0.0]]).double()
    twice = torch.tensor([[0], [1], [1], [0]])
    weight = torch.tensor([[0.75], [0.25], [1.0], [1.0]])
    loss = whyloss.PairwiseAUCLoss()
    torch.testing.assert_close(loss(z[:3], shares), loss(z[[0, 0, 1, 2]], twice, sample_weight=weight))


@pytest.mark.parametrize("surrogate", F)
def test_far_scores_do_not_overflow(surrogate: str):
    """A released library gives inf and NaN for the logistic loss of a pair that is wrong by 120."""
    loss = whyloss.PairwiseAUCLoss(surrogate=surrogate)
    value, gradient = value_and_gradient(loss, torch.tensor([-60.0, 60.0]), torch.tensor([1, 0]))
    assert value.item() == pytest.approx({"logistic": 120.0, "hinge": 121.0, "squared_hinge": 121.0**2}[surrogate])
    assert gradient[0].item() == pytest.approx({"logistic": -1.0, "hinge": -1.0, "squared_hinge": -242.0}[surrogate])


def test_the_hinges_stay_exact_far_from_zero():
    z = torch.tensor([1e4 + 0.25, 1e4, 9e3, -1e4])
    y = torch.tensor([1, 0, 0, 0])
    assert whyloss.PairwiseAUCLoss()(z, y).item() == pytest.approx(0.75**2 / 3, rel=1e-6)


def test_columns_without_both_answers_are_left_out():
    z, y = scores(20, 3)
    y[:, 2] = 1
    for loss in (whyloss.PairwiseAUCLoss(), whyloss.TopPushLoss(), whyloss.SmoothAveragePrecisionLoss()):
        value, gradient = value_and_gradient(loss, z, y)
        torch.testing.assert_close(value, loss(z[:, :2], y[:, :2]))
        assert not gradient[:, 2].any()


def test_a_soft_partial_auc_lies_between_the_auc_and_the_top():
    z, y = scores(30, 1)
    auc, top = whyloss.PairwiseAUCLoss()(z, y).item(), whyloss.TopPushLoss()(z, y).item()
    assert whyloss.SoftPartialAUCLoss(temperature=1e6)(z, y).item() == pytest.approx(auc, rel=1e-4)
    assert whyloss.SoftPartialAUCLoss(temperature=1e-4)(z, y).item() == pytest.approx(top, rel=1e-3)
    assert auc < whyloss.SoftPartialAUCLoss()(z, y).item() < top
    assert whyloss.PartialAUCLoss(fpr=1e-9)(z, y).item() == pytest.approx(top)
    assert whyloss.RecallAtQuantileLoss(quantile=1e-9)(z[y[:, 0] == 0], 0 * y[y[:, 0] == 0]) == 0


def test_recall_is_measured_at_the_score_that_the_top_share_reaches():
    z = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0]).double()
    y = torch.tensor([1, 0, 1, 0, 1])
    for quantile, bar in ((0.2, 5.0), (0.4, 4.0), (0.5, 3.0), (0.6, 3.0), (1.0, 1.0)):
        expected = sum(max(0.0, 1 - s + bar) ** 2 for s in (5.0, 3.0, 1.0)) / 3
        assert whyloss.RecallAtQuantileLoss(quantile=quantile)(z, y).item() == pytest.approx(expected)


def test_average_precision_is_that_of_scikit_learn():
    z, y = scores(50, 1)
    z = z + torch.linspace(0, 0.1, 50, dtype=z.dtype).unsqueeze(1)
    ours = whyloss.SmoothAveragePrecisionLoss(temperature=1e-5)(z, y).item()
    assert 1 - ours == pytest.approx(average_precision_score(y[:, 0], z[:, 0]), abs=1e-3)
    assert whyloss.SmoothAveragePrecisionLoss()(torch.tensor([9.0, 8, 1, 0]), torch.tensor([1, 1, 0, 0])) < 1e-6


def test_the_auc_margin_loss_by_hand():
    """Two positives .8 and .6, two negatives .1 and .4, with a = .5, b = .2, alpha = 1.5."""
    z = torch.logit(torch.tensor([0.8, 0.6, 0.1, 0.4], dtype=torch.float64))
    y = torch.tensor([1, 1, 0, 0])
    loss = whyloss.AUCMarginLoss(a=0.5, b=0.2, alpha=1.5)
    expected = (0.09 + 0.01) / 2 + (0.01 + 0.04) / 2 + 3 * (1 + 0.25 - 0.7) - 2.25
    assert loss(z, y).item() == pytest.approx(expected, rel=1e-6)
    loss(z, y).backward()
    assert loss.a.grad.item() == pytest.approx(-2 * (0.7 - 0.5), rel=1e-5)
    assert loss.b.grad.item() == pytest.approx(-2 * (0.25 - 0.2), rel=1e-5)
    # Turned: a step down the gradient raises alpha where it is below its best value, 0.55.
    assert loss.alpha.grad.item() == pytest.approx(-(2 * 0.55 - 2 * 1.5), rel=1e-5)


def test_the_auc_margin_loss_finds_its_saddle_point_and_trains():
    z, y = scores(60, 1)
    loss = whyloss.AUCMarginLoss()
    assert len(list(loss.parameters())) == 3
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.2)
    for _ in range(60):
        optimizer.zero_grad()
        loss(z, y).backward()
        optimizer.step()
    h = torch.sigmoid(z)
    yes, no = h[y == 1], h[y == 0]
    assert loss.a.item() == pytest.approx(yes.mean().item(), abs=1e-4)
    assert loss.b.item() == pytest.approx(no.mean().item(), abs=1e-4)
    assert loss.alpha.item() == pytest.approx((1 + no.mean() - yes.mean()).item(), abs=1e-4)
    loss.alpha.data.fill_(-3.0)
    loss(z, y)
    assert loss.alpha.item() == 0
    labels = whyloss.AUCMarginLoss(a=torch.tensor([0.1, 0.9]))
    both = [whyloss.AUCMarginLoss(a=a)(*(x[:, i] for x in scores())) for i, a in enumerate((0.1, 0.9))]
    torch.testing.assert_close(labels(*scores()), sum(both) / 2)


# --- confusion -------------------------------------------------------------------------------------------------------


def hard(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Certain logits of 5 classes, what they decide, and labels."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 5, (60,), generator=generator)
    decided = torch.where(torch.rand(60, generator=generator) < 0.6, y, torch.randint(0, 5, (60,), generator=generator))
    return 1e3 * torch.nn.functional.one_hot(decided, 5).double(), decided, y


def test_f1_and_mcc_of_certain_predictions_are_those_of_scikit_learn():
    z, decided, y = hard()
    for average in ("macro", "micro"):
        ours = 1 - whyloss.SoftF1Loss(average=average)(z, y).item()
        assert ours == pytest.approx(f1_score(y, decided, average=average))
    assert 1 - whyloss.SoftMCCLoss(average="micro")(z, y).item() == pytest.approx(matthews_corrcoef(y, decided))
    rest = [matthews_corrcoef(y == j, decided == j) for j in range(5)]
    assert 1 - whyloss.SoftMCCLoss()(z, y).item() == pytest.approx(sum(rest) / 5)
    labels, truth = (torch.nn.functional.one_hot(x, 5) for x in (decided, y))
    for average in ("macro", "micro"):
        ours = 1 - whyloss.SoftF1Loss(link="sigmoid", average=average)(z - 500, truth).item()
        assert ours == pytest.approx(f1_score(truth, labels, average=average))
    pooled = 1 - whyloss.SoftMCCLoss(link="sigmoid", average="micro")(z - 500, truth).item()
    assert pooled == pytest.approx(matthews_corrcoef(truth.flatten(), labels.flatten()))
    binary = 1 - whyloss.SoftMCCLoss(link="sigmoid")(z[:, 0] - 500, truth[:, 0]).item()
    assert binary == pytest.approx(matthews_corrcoef(truth[:, 0], labels[:, 0]))
    wrong = whyloss.SoftMCCLoss(link="sigmoid")(torch.tensor([50.0, -50.0]), torch.tensor([0, 1]))
    assert wrong.item() == pytest.approx(2)


def test_soft_ones_by_their_formulas():
    z, y = torch.randn(30, 4, dtype=torch.float64), torch.arange(30) % 4
    p, t = torch.softmax(z, 1), torch.nn.functional.one_hot(y, 4).double()
    tp, fp, fn, tn = ((p * t).sum(0), (p * (1 - t)).sum(0), ((1 - p) * t).sum(0), ((1 - p) * (1 - t)).sum(0))
    torch.testing.assert_close(whyloss.SoftF1Loss()(z, y), (1 - 2 * tp / (2 * tp + fp + fn)).mean())
    mcc = (tp * tn - fp * fn) / ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)).sqrt()
    torch.testing.assert_close(whyloss.SoftMCCLoss()(z, y), 1 - mcc.mean())
    torch.testing.assert_close(whyloss.SoftF1Loss(average="micro")(z, y), whyloss.MeanAbsoluteErrorLoss()(z, y) / 2)
    s, c = 30.0, tp.sum()
    top = c * s - ((tp + fp) * (tp + fn)).sum()
    root = ((s * s - ((tp + fp) ** 2).sum()) * (s * s - ((tp + fn) ** 2).sum())).sqrt()
    torch.testing.assert_close(whyloss.SoftMCCLoss(average="micro")(z, y), 1 - top / root)


@pytest.mark.parametrize("classes", [2, 5, 40])
@pytest.mark.parametrize("rows", [60, 3000])
@pytest.mark.parametrize("average", ["macro", "micro"])
@pytest.mark.parametrize("cls", [whyloss.SoftF1Loss, whyloss.SoftMCCLoss])
def test_confusion_of_labels_keeps_its_digits(cls: type[Any], average: str, rows: int, classes: int):
    """Rows that are sure, right or wrong or all of one class; rows that do not count."""
    y, loss = torch.arange(rows) % classes, cls(average=average)
    sure = 40 * torch.nn.functional.one_hot(y, classes).float() + torch.randn(rows, classes)
    odd = torch.where(torch.arange(rows).unsqueeze(1) % 7 == 0, torch.nan, sure)
    weight = (torch.arange(rows) % 7 != 0) * (1 + torch.rand(rows))
    seldom = (torch.arange(rows) == 3).long()  # the second class but once, and sure of the first
    first = 30 * torch.nn.functional.one_hot(torch.zeros_like(y), classes).float() + torch.randn(rows, classes)
    for z, given in ((sure, None), (sure.roll(1, 1), None), (odd, weight)):
        check_digits(loss, z, y, sample_weight=given)
    if average == "macro":
        check_digits(loss, first, seldom)


def check_digits(loss: Any, z: Tensor, y: Tensor, **call: Any) -> None:
    value, gradient = value_and_gradient(loss, z, y, **call)
    exact, slope = value_and_gradient(loss, z.double(), y, **call)
    assert value.item() == pytest.approx(exact.item(), rel=1e-5, abs=1e-15)
    assert ((gradient - slope).abs() <= 1e-5 * slope.abs().amax(1, keepdim=True) + 1e-30).all()


@pytest.mark.parametrize("cls", [whyloss.SoftF1Loss, whyloss.SoftMCCLoss])
def test_confusion_keeps_its_digits(cls: type[whyloss.BatchLoss]):
    """float16 logits of an image, a released library's NaN; confident rows, right and wrong; a class that is absent."""
    z = torch.randn(1, 1, 64, 64, dtype=torch.float16)
    y = (torch.rand(1, 1, 64, 64) < 0.3).long()
    image = z.flatten().unsqueeze(1), y.flatten().unsqueeze(1)
    value, gradient = value_and_gradient(cls(link="sigmoid"), *image)
    exact, slope = value_and_gradient(cls(link="sigmoid"), image[0].double(), image[1])
    assert value.item() == pytest.approx(exact.item(), rel=1e-6)
    torch.testing.assert_close(gradient.double(), slope, rtol=2e-3, atol=1e-7)
    sure = torch.tensor([20.0, -20.0, 21.0, -22.0])
    for labels in (torch.tensor([1, 0, 1, 0]), torch.tensor([0, 1, 0, 1])):
        value, gradient = value_and_gradient(cls(link="sigmoid"), sure, labels)
        exact, slope = value_and_gradient(cls(link="sigmoid"), sure.double(), labels)
        assert value.item() == pytest.approx(exact.item(), rel=1e-6)
        torch.testing.assert_close(gradient.double(), slope, rtol=1e-4, atol=0)
    value, gradient = value_and_gradient(cls(link="sigmoid"), torch.zeros(4), torch.zeros(4))
    assert value == 0.5  # the mean probability that was wrongly given
    assert (gradient > 0).all()

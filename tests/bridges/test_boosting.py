"""Losses as boosting objectives: closed forms, finite differences, policies of curvature, where boosting starts."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from boosted import BINARY, W3, Y3, Z3, Data, Y, Z, close
from instances import SIGMOID, SOFTMAX, WHOLE, defaults
from torch import Tensor

import whyloss
from whyloss.bridges import boosting
from whyloss.bridges.boosting import Objective
from whyloss.losses.whole import WholeRowLoss

# Derivatives.


@pytest.mark.parametrize("curvature", ["bounded", "absolute", "clip", "logistic", "exact"])
def test_cross_entropy_has_its_closed_forms_under_every_policy(curvature: Any):
    g, h = Objective(BINARY, curvature).derivatives(Z, Y)
    p = Z.sigmoid()
    close(g, p - Y)
    close(h, p * (1 - p))
    g, h = Objective(whyloss.CrossEntropyLoss(), curvature).derivatives(Z3, Y3, W3)
    p = Z3.softmax(1)
    close(g, W3[:, None] * (p - torch.eye(3)[Y3]))
    close(h, W3[:, None] * p * (1 - p))


@pytest.mark.parametrize(
    "options",
    [
        {"weight": torch.tensor([1.0, 4.0])},
        {"label_smoothing": 0.2},
        {"weight": torch.tensor([1.0, 4.0]), "label_smoothing": 0.2},
        {"adjust": whyloss.LogitAdjustment(torch.tensor([90.0, 10.0]))},
        {"adjust": whyloss.Adjustment(shift=torch.tensor([0.0, 1.0]), scale=3.0)},
        {"adjust": whyloss.Adjustment(scale=torch.tensor([0.5, 2.0]))},
    ],
    ids=str,
)
def test_the_bound_leaves_cross_entropy_alone_whatever_its_options(options: dict[str, Any]):
    for link, z, y in (("sigmoid", Z, Y), ("softmax", Z3[:, :2], Y3 % 2)):
        loss = whyloss.CrossEntropyLoss(link=link, **options)
        close(Objective(loss).derivatives(z, y), Objective(loss, "exact").derivatives(z, y))
        if not loss.label_smoothing:
            close(Objective(loss, "logistic").derivatives(z, y), Objective(loss, "exact").derivatives(z, y))


def test_soft_labels():
    q = torch.rand(25, dtype=torch.float64)
    g, h = Objective(BINARY).derivatives(Z, q)
    close(g, Z.sigmoid() - q)
    close(h, Z.sigmoid() * (1 - Z.sigmoid()))
    q = torch.rand(7, 3, dtype=torch.float64).softmax(1)
    g, h = Objective(whyloss.CrossEntropyLoss()).derivatives(Z3, q)
    close(g, Z3.softmax(1) - q)
    close(h, Z3.softmax(1) * (1 - Z3.softmax(1)))


def test_many_yes_or_no_labels():
    z, y = Z[:24].reshape(8, 3), Y[:24].reshape(8, 3)
    g, h = Objective(BINARY).derivatives(z, y, torch.arange(8.0))
    right = Objective(BINARY).derivatives(Z[:24], Y[:24], torch.arange(8.0).repeat_interleave(3))
    close((g.reshape(-1), h.reshape(-1)), right)


@pytest.mark.parametrize("loss", [whyloss.FocalLoss, whyloss.BrierLoss, whyloss.GeneralizedCrossEntropyLoss])
@pytest.mark.parametrize("link", ["sigmoid", "softmax"])
def test_exact_derivatives_are_finite_differences(loss: Any, link: str):
    z, y = (Z, Y) if link == "sigmoid" else (Z3, Y3)
    objective, step = Objective(loss(link=link), "exact"), 1e-5
    g, h = objective.derivatives(z, y)
    each = loss(link=link, reduction="none")
    for j in range(1 if link == "sigmoid" else 3):
        way = step * (torch.ones_like(z) if link == "sigmoid" else torch.eye(3, dtype=z.dtype)[j].expand_as(z))
        slope = (each(z + way, y) - each(z - way, y)) / (2 * step)
        up, down = (objective.derivatives(z + s * way, y)[0] for s in (1, -1))
        bend = (up - down) / (2 * step)
        close(g if link == "sigmoid" else g[:, j], slope, 1e-8)
        close(h if link == "sigmoid" else h[:, j], bend if link == "sigmoid" else bend[:, j], 1e-8)


def fits(case: Any) -> bool:
    own = issubclass(case.cls, WholeRowLoss) and case.cls.enter is not WholeRowLoss.enter
    return not (own or case.cls.reads or case.cls.stateful or case.cls.cosines or "tree" in case.cls.fields())


@pytest.mark.parametrize("case", [case for case in defaults(SIGMOID) if fits(case)], ids=str)
def test_every_loss_of_yes_and_no_can_be_boosted(case: Any):
    objective = Objective(case.build(2, link="sigmoid"))
    start = objective.init_score(Y[:7])
    assert start.abs() < 12
    g, h = objective.derivatives(Z, Y)
    assert g.isfinite().all()
    assert h.isfinite().all()
    assert (h >= 0).all()
    assert (h[g != 0] > 0).all()  # a row that pushes also brakes


@pytest.mark.parametrize("case", [case for case in defaults([*SOFTMAX, *WHOLE]) if fits(case)], ids=str)
def test_every_loss_of_several_classes_can_be_boosted(case: Any):
    if "softmax" not in case.links:
        return
    objective = Objective(case.build(3, link="softmax"))
    start = objective.init_score(Y3)
    assert start.shape == (3,)
    assert start.isfinite().all()
    g, h = objective.derivatives(Z3 / 8, Y3)  # some losses scale them by 30
    assert g.isfinite().all()
    assert h.isfinite().all()
    assert (h >= 0).all()
    assert (h[g.abs() > 1e-12] > 0).all()


def test_rows_are_cut_into_blocks_without_a_seam(monkeypatch: pytest.MonkeyPatch):
    objective = Objective(whyloss.FocalLoss())
    whole = objective.derivatives(Z3, Y3, W3)
    monkeypatch.setattr(boosting, "BLOCK", 6)
    close(objective.derivatives(Z3, Y3, W3), whole)
    assert objective.derivatives(Z3[:0], Y3[:0])[1].shape == (0, 3)


def test_ignored_rows_count_for_nothing():
    objective = Objective(whyloss.FocalLoss(ignore_index=9))
    y = torch.where(torch.arange(7) == 1, 9, Y3)
    g, h = objective.derivatives(Z3, y)
    assert not g[1].any()
    assert not h[1].any()
    assert g[0].all()
    close(objective.init_score(y), objective.init_score(y[y != 9]))


# What becomes of curvature that is no use.


def test_policies_of_a_loss_that_bends_both_ways():
    loss = whyloss.GeneralizedCrossEntropyLoss(q=0.7, link="sigmoid")
    g, second = Objective(loss, "exact").derivatives(Z, Y)
    p = torch.where(Y == 1, Z.sigmoid(), (-Z).sigmoid())  # of the label
    close(second, p**0.7 * (1 - p) * (p - 0.7 * (1 - p)))  # -d/dm of p^q (1 - p)
    assert (second < 0).any()
    assert (second > 0).any()
    of_equal_slope = g.abs() * p
    for policy, right in {
        "absolute": second.abs(),
        "clip": second.clamp_min(0),
        "logistic": of_equal_slope,
        "bounded": torch.maximum(second.abs(), of_equal_slope),
    }.items():
        close(Objective(loss, policy).derivatives(Z, Y)[1], right)
    close(Objective(loss).derivatives(Z, Y)[1], Objective(loss, "bounded").derivatives(Z, Y)[1])


def test_no_step_is_longer_than_that_of_cross_entropy():
    for loss in (
        whyloss.FocalLoss,
        whyloss.BrierLoss,
        whyloss.GeneralizedCrossEntropyLoss,
        whyloss.MulticlassHingeLoss,
    ):
        g, h = Objective(loss()).derivatives(Z3, Y3)
        p = Z3.softmax(1)
        longest = torch.where(g < 0, 1 / p, 1 / (1 - p))  # for a label that pulls the same way
        assert ((g / h).abs() <= longest * (1 + 1e-9))[g != 0].all()


def test_a_hinge_has_no_curvature_of_its_own():
    loss = whyloss.BinaryHingeLoss(link="sigmoid")
    assert not Objective(loss, "exact").derivatives(Z, Y)[1].any()
    g, h = Objective(loss).derivatives(Z, Y)
    assert ((h > 0) == (g != 0)).all()


def test_logistic_curvature_is_for_labels():
    with pytest.raises(ValueError, match="shares or label smoothing"):
        Objective(whyloss.CrossEntropyLoss(label_smoothing=0.1), "logistic")
    for loss, z, y in ((BINARY, Z, Z.sigmoid()), (whyloss.CrossEntropyLoss(), Z3, Z3.softmax(1))):
        with pytest.raises(ValueError, match="shares or label smoothing"):
            Objective(loss, "logistic").derivatives(z, y)


# The start.


def test_cross_entropy_starts_from_the_log_prior():
    y, w = torch.tensor([1, 0, 0, 0, 1]), torch.tensor([1.0, 1.0, 2.0, 1.0, 3.0])
    close(Objective(BINARY).init_score(y), np.log(2 / 3))
    close(Objective(BINARY).init_score(y, w), 0.0)
    weighted = whyloss.CrossEntropyLoss(link="sigmoid", weight=torch.tensor([1.0, 5.0]))
    close(Objective(weighted).init_score(y), np.log(10 / 3))
    close(Objective(whyloss.CrossEntropyLoss()).init_score(Y3), torch.tensor([4, 2, 1]).double().log() - np.log(7))
    close(Objective(whyloss.CrossEntropyLoss()).init_score(Y3, W3).softmax(0), torch.tensor([6, 2, 0.5]).double() / 8.5)
    shares = torch.tensor([[0.5, 0.5], [0.0, 1.0]])
    close(Objective(whyloss.CrossEntropyLoss()).init_score(shares).exp(), torch.tensor([0.25, 0.75]).double())


def test_what_was_never_seen_counts_as_half_a_row():
    close(Objective(BINARY).init_score(torch.zeros(8)), np.log(0.5 / 8))
    found = Objective(whyloss.CrossEntropyLoss()).init_score(Y3, classes=4)
    close(found.exp() * 7.5, torch.tensor([4, 2, 1, 0.5]).double())


def test_other_losses_start_where_their_mean_is_least():
    y = torch.tensor([1] + [0] * 3)
    # w1 p^(q-1) = w0 (1-p)^(q-1), so the log-odds of the prior are stretched by 1 / (1 - q)
    loss = whyloss.GeneralizedCrossEntropyLoss(q=0.5, link="sigmoid")
    close(Objective(loss).init_score(y), -2 * np.log(3), 1e-6)
    close(Objective(whyloss.BrierLoss(link="sigmoid")).init_score(y), -np.log(3), 1e-6)
    close(Objective(whyloss.BrierLoss()).init_score(Y3).softmax(0), torch.tensor([4, 2, 1]).double() / 7, 1e-6)
    for loss in (whyloss.FocalLoss(), whyloss.CrossEntropyLoss() + 0.5 * whyloss.BrierLoss(label_smoothing=0.1)):
        objective = Objective(loss)
        g, _ = objective.derivatives(objective.init_score(Y3).expand(7, 3), Y3)
        close(g.sum(0), torch.zeros(3).double(), 1e-6)


def test_where_there_is_no_least_mean_the_prior_it_is():
    y = torch.tensor([1] + [0] * 3)
    close(Objective(whyloss.MeanAbsoluteErrorLoss(link="sigmoid")).init_score(y), -np.log(3))
    start = Objective(whyloss.MeanAbsoluteErrorLoss()).init_score(Y3)
    close(start.softmax(0), torch.tensor([4, 2, 1]).double() / 7)


def test_each_yes_or_no_label_starts_by_itself():
    y = torch.tensor([[1, 0], [0, 0], [0, 1], [0, 1]])
    close(Objective(BINARY).init_score(y), torch.tensor([-np.log(3), 0.0]))


def test_probabilities_come_back_as_what_was_given():
    assert isinstance(Objective(BINARY).predict(Z.numpy()), np.ndarray)
    close(Objective(BINARY).predict(Z.numpy()), Z.sigmoid())
    assert isinstance(Objective(BINARY).predict(Z), Tensor)
    close(Objective(whyloss.CrossEntropyLoss()).predict(Z3), Z3.softmax(1))


def test_estimators_may_copy_and_pickle_it():
    method = Objective(whyloss.FocalLoss(gamma=3.0)).lightgbm
    for other in (pickle.loads(pickle.dumps(method)), copy.deepcopy(method)):
        close(other(Z3, Data(Y3)), method(Z3, Data(Y3)))


def test_the_loss_that_came_stays_as_it_is():
    loss = whyloss.FocalLoss(reduction="sum", engine="dense")
    Objective(loss).derivatives(Z3, Y3)
    assert (loss.reduction, loss.engine) == ("sum", "dense")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Objective(whyloss.DiceLoss()), "no loss of single rows"),
        (lambda: Objective(whyloss.DiceLoss() + whyloss.CrossEntropyLoss()), "no loss of single rows"),
        (lambda: Objective(whyloss.OnlineLabelSmoothingLoss(classes=3)), "remembers"),
        (lambda: Objective(whyloss.CosFaceLoss()), "cosines"),
        (lambda: Objective(whyloss.CoralLoss()), "not one for each class"),
        (lambda: Objective(BINARY + whyloss.CrossEntropyLoss()), "different links"),
        (lambda: Objective(BINARY, "newton"), "curvature in"),  # pyright: ignore[reportArgumentType]
        (lambda: Objective(BINARY, factor=0.0), "factor > 0"),
        (lambda: Objective(BINARY).derivatives(Z, Y[:3]), "labels"),
        (lambda: Objective(whyloss.CrossEntropyLoss()).derivatives(Z, Y), r"\[N, C\] are needed"),
        (lambda: Objective(whyloss.CrossEntropyLoss()).derivatives(Z3, Z3[:, 0]), "whole numbers"),
        (lambda: Objective(BINARY).init_score(torch.zeros(0)), "no row counts"),
    ],
)
def test_what_cannot_be_boosted_is_said(make: Any, text: str):
    with pytest.raises((TypeError, ValueError), match=text):
        make()

"""Boosting objectives as the libraries call them.

The libraries themselves are not needed: LightGBM 4.7, XGBoost 3.2 and CatBoost 1.2 were watched calling an objective,
and the stand-ins here hand over what they did."""

from typing import Any

import numpy as np
import pytest
import torch
from boosted import BINARY, W3, Y3, Z3, Data, Y, Z, close

import whyloss
from whyloss.bridges.boosting import Objective


def test_lightgbm_and_xgboost_from_train():
    z, y = Z3.numpy(), Y3.numpy()
    objective = Objective(whyloss.FocalLoss())
    g, h = objective.derivatives(Z3, Y3)
    for raw in (z, np.asfortranarray(z)):
        found = objective.lightgbm(raw, Data(y))
        assert all(isinstance(part, np.ndarray) and part.shape == (7, 3) for part in found)
        close(found[0], g)
        close(found[1], h * 3 / 2)
    raw = z.astype(np.float32)
    found = objective.xgboost(raw, Data(y, np.empty(0, np.float32)))
    close(found[1], 2 * objective.derivatives(raw, y)[1])
    weighted = objective.xgboost(raw, Data(y, W3.numpy()))
    close(weighted, tuple(W3.numpy()[:, None] * part for part in found))
    assert objective.lightgbm_metric(z, Data(y, W3.numpy())) == ("FocalLoss", objective.value(z, y, W3.numpy()), False)
    assert objective.xgboost_metric(z, Data(y)) == ("FocalLoss", objective.value(z, y))


def test_lightgbm_and_xgboost_from_their_estimators():
    z, y, w = Z.numpy(), Y.numpy(), np.linspace(0, 2, 25)
    objective = Objective(BINARY)
    right = objective.derivatives(z, y, w)
    close(objective.lightgbm(y, z, w), right)  # by position
    close(objective.xgboost(y, z, sample_weight=w), right)  # by name
    close(objective.xgboost(y, z), objective.derivatives(z, y))
    mean = (w * np.logaddexp(0, np.where(y == 1, -z, z))).sum() / w.sum()
    name, value, higher_is_better = objective.lightgbm_metric(y, z, w)
    assert (name, value, higher_is_better) == ("CrossEntropyLoss", pytest.approx(mean), False)
    assert objective.xgboost_metric(y, z, sample_weight=w) == pytest.approx(mean)


def test_several_classes_one_after_the_other_before_lightgbm_4():
    objective = Objective(whyloss.FocalLoss())
    flat = Z3.T.reshape(-1).numpy()
    found, right = objective.lightgbm(flat, Data(Y3)), objective.lightgbm(Z3.numpy(), Data(Y3))
    close(found[0].reshape(3, 7).T, right[0])
    close(found[1].reshape(3, 7).T, right[1])
    assert objective.lightgbm_metric(flat, Data(Y3)) == objective.lightgbm_metric(Z3.numpy(), Data(Y3))


def test_the_factor_of_the_diagonal():
    own = Objective(whyloss.FocalLoss(), factor=1.0)
    close(own.lightgbm(Z3, Data(Y3))[1], own.derivatives(Z3, Y3)[1])
    close(own.xgboost(Z3, Data(Y3))[1], own.derivatives(Z3, Y3)[1])
    # Of two classes, C / (C - 1) makes the difference of the two steps that of the binary objective.
    pair = torch.stack([torch.zeros_like(Z), Z], 1)
    g, h = Objective(whyloss.CrossEntropyLoss()).lightgbm(pair, Data(Y))
    g1, h1 = Objective(BINARY).lightgbm(Z, Data(Y))
    close((g / h)[:, 1] - (g / h)[:, 0], g1 / h1)
    # 2 diag(p (1 - p)) - (diag(p) - p p') has no negative eigenvalue.
    p = Z3.softmax(1)
    assert torch.linalg.eigvalsh(torch.diag_embed(2 * p * (1 - p) - p) + p[:, :, None] * p[:, None]).min() > -1e-12


def test_catboost_maximises():
    y, w = Y.numpy().astype(np.float32), np.linspace(0.5, 2, 25).astype(np.float32)
    objective = Objective(whyloss.FocalLoss(link="sigmoid"))
    found = objective.catboost().calc_ders_range(Z.numpy(), y, w)
    assert isinstance(found, list)
    assert isinstance(found[0], tuple)
    g, h = objective.derivatives(Z, Y, torch.tensor(w))
    close(found, torch.stack([-g, -h], 1))
    assert len(objective.catboost().calc_ders_range(list(Z.numpy()), y, None)) == 25
    metric = objective.catboost_metric()
    error, weight = metric.evaluate((Z.numpy(),), y, w)
    assert weight == pytest.approx(w.sum())
    assert metric.get_final_error(error, weight) == pytest.approx(objective.value(Z, Y, w))
    assert metric.is_max_optimal() is False


def test_catboost_takes_the_whole_hessian():
    form = Objective(whyloss.CrossEntropyLoss()).catboost()
    first, second = form.calc_ders_multi(Z3[1].numpy(), 1.0, 2.0)
    p = Z3[1].softmax(0)
    close(torch.tensor(first, dtype=p.dtype), 2 * (torch.eye(3)[1] - p))
    close(torch.tensor(second, dtype=p.dtype), 2 * (torch.outer(p, p) - torch.diag(p)))
    metric = Objective(whyloss.CrossEntropyLoss()).catboost_metric()
    error, weight = metric.evaluate(tuple(Z3.T.numpy()), Y3.numpy(), None)
    assert error / weight == pytest.approx(float(torch.nn.functional.cross_entropy(Z3, Y3)))


@pytest.mark.parametrize("curvature", ["bounded", "absolute", "clip", "logistic", "exact"])
def test_the_policy_holds_for_eigenvalues(curvature: Any):
    objective = Objective(whyloss.GeneralizedCrossEntropyLoss(), curvature)
    lowest = min(torch.linalg.eigvalsh(objective.hessian(z, y)[1]).min() for z, y in zip(Z3, Y3, strict=True))
    assert lowest < -1e-3 if curvature == "exact" else lowest > -1e-12


@pytest.mark.parametrize("loss", [whyloss.FocalLoss, whyloss.BrierLoss, whyloss.CrossEntropyLoss])
def test_boosting_a_value_for_each_of_three_leaves(loss: Any):
    leaf = torch.arange(60) % 3
    y = (leaf + torch.tensor([0, 0, 0, 0, 1, 2, 0, 0, 0, 1]).repeat_interleave(3).repeat(2)) % 3
    objective = Objective(loss())
    z = objective.init_score(y).expand(60, 3)
    before = objective.value(z, y)
    for _ in range(100):
        g, h = map(torch.as_tensor, objective.lightgbm(z, Data(y)))
        sums = torch.zeros(2, 3, 3, dtype=torch.float64).index_add(1, leaf, torch.stack([g, h]))
        z = z - 0.3 * (sums[0] / sums[1])[leaf]
    assert objective.value(z, y) < 0.8 * before
    best = [objective.value(objective.init_score(y[leaf == k]).expand(20, 3), y[leaf == k]) for k in range(3)]
    assert objective.value(z, y) == pytest.approx(sum(best) / 3, abs=1e-6)

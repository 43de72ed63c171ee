"""Any row loss as the objective of gradient-boosted trees, in LightGBM, XGBoost and CatBoost.

A library that boosts trees asks an objective for two numbers a raw score: slope and curvature. `Objective` has them by
differentiating the loss twice, in float64, and speaks the three libraries' forms. Four things go wrong with objectives
that people write by hand; each has its place here:

- *The start.* A custom objective starts from raw score 0 (LightGBM, CatBoost) or 0.5 (XGBoost), whatever the labels,
  and on rare classes spends its first trees on getting away from there. `init_score` is where to start.
- *The link.* Predictions of a custom objective are raw scores. `predict` makes probabilities of them.
- *The curvature.* Of a loss that is not convex it is negative at some rows. `curvature` says what becomes of it.
- *The layout* of several classes, and the weights, which differ from library to library and version to version.

>>> import torch, whyloss
>>> from whyloss.bridges.boosting import Objective
>>> objective = Objective(whyloss.FocalLoss(gamma=2.0, link="sigmoid"))
>>> y = torch.tensor([0, 0, 0, 1])
>>> start = objective.init_score(y)
>>> gradient, curvature = objective.derivatives(start.expand(4), y)
>>> abs(gradient.sum().item()) < 1e-6
True
>>> objective.predict(start)
tensor(0.3988, dtype=torch.float64)

As it was run with LightGBM 4.7, whose models do not contain the start, so that it is added again to what they predict:

    scores = np.full(len(y), start)                             # several classes: np.tile(start, (len(y), 1))
    data = lightgbm.Dataset(X, y, init_score=scores)            # and "num_class" below
    model = lightgbm.train({"objective": objective.lightgbm}, data, feval=objective.lightgbm_metric)
    p = objective.predict(model.predict(X_new, raw_score=True) + start)

    model = lightgbm.LGBMClassifier(objective=objective.lightgbm).fit(X, y, init_score=scores)

With XGBoost 3.2:

    data = xgboost.DMatrix(X, y, base_margin=scores)            # and so for `new`
    model = xgboost.train({}, data, obj=objective.xgboost, custom_metric=objective.xgboost_metric)
    p = objective.predict(model.predict(new, output_margin=True))

    model = xgboost.XGBClassifier(objective=objective.xgboost).fit(X, y, base_margin=scores)

With CatBoost 1.2, whose `baseline` is not in its predictions either:

    model = catboost.CatBoostClassifier(loss_function=objective.catboost(), eval_metric=objective.catboost_metric())
    model.fit(catboost.Pool(X, y, baseline=scores))             # several classes: classes_count=C above
    p = objective.predict(model.predict(X_new, prediction_type="RawFormulaVal") + start)
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any, get_args

import torch
from torch import Tensor

from whyloss.bridges import start
from whyloss.bridges.curvature import Curvature, of_equal_slope, safe, safe_matrix, to_bound, to_sum_to_zero
from whyloss.losses.adjust import Adjustment
from whyloss.losses.algebra import LossSum
from whyloss.losses.loss import LabelledLoss, Loss, RowLoss
from whyloss.losses.whole import WholeRowLoss

Array = Any  # a numpy array or a tensor; what comes back is of the same kind
BLOCK = 1 << 16  # scores that are differentiated at a time
NO_SOFT = (
    "Objective: curvature='logistic' is for labels; with shares or label smoothing take another, such as 'bounded'."
)


class Objective:
    """A loss of single rows, as what boosting libraries ask for.

    Binary tasks: a loss with `link="sigmoid"`, raw scores [N], labels 0/1 or shares in between. The same loss takes
    scores [N, L] for L yes-or-no labels (XGBoost). Several classes: the softmax link, raw scores [N, C], labels 0..C-1.

    Class weights, label smoothing, `ignore_index` and adjustments of the loss hold, and multiply with the library's
    sample weights. Derivatives are those of the sum over the rows; the loss's `reduction` says nothing here.

    Args:
        loss: a `RowLoss` or `WholeRowLoss`, or a sum of these.
        curvature: what stands for the second derivative h where that is no use as a divisor, with g the gradient:
            "bounded" (default): |h|, but not less than what cross-entropy has where its slope is g. The step of a row
            is then never longer than cross-entropy would make it, and a hinge, which does not bend at all, trains.
            "absolute": |h| (Dauphin et al. 2014, arXiv:1406.2572). Steps have no bound where h passes through 0.
            "clip": h, or 0 where it is negative, so that these rows push without braking.
            "logistic": what cross-entropy has at slope g, and no second derivative is computed: the steps of
            iteratively reweighted logistic regression. Good where a loss falls all the way, as focal, robust and hinge
            losses do; not where it turns round at some score, so no soft labels and no smoothing. C times cheaper than
            the others with the softmax link.
            "exact": h as it is, whatever the library makes of it.
            They are the same for cross-entropy ("logistic": with labels).
        factor: with the softmax link, what the diagonal of a row's Hessian is multiplied by. One tree a class is grown
            at the same time, each as if the others stood still, and the diagonal alone would let them overshoot
            together. None is what the library does in its own objective: C / (C - 1) in LightGBM, exact for two classes
            and at equal probabilities; 2 in XGBoost, which bounds the whole of cross-entropy's Hessian. CatBoost takes
            the whole Hessian and needs none.

    Cost: the sigmoid link, one gradient and its gradient, some 60 operations on [N] numbers. The softmax link: C
    gradients of the gradient, each over [N, C], so O(N C^2): from some ten classes on more than growing the trees.
    "logistic" is O(N C). CatBoost calls several classes row by row from Python, twice a tree, a millisecond and more a
    row: thousands of rows, not millions. Everything runs on the CPU, where these libraries hand it over.

    >>> import torch, whyloss
    >>> objective = Objective(whyloss.CrossEntropyLoss(link="sigmoid"))
    >>> objective.derivatives(torch.tensor([0.0, 2.0]), torch.tensor([1, 0]))
    (tensor([-0.5000,  0.8808], dtype=torch.float64), tensor([0.2500, 0.1050], dtype=torch.float64))
    >>> objective.init_score(torch.tensor([1, 0, 0, 0]))  # log(1/3)
    tensor(-1.0986, dtype=torch.float64)
    """

    def __init__(self, loss: Loss, curvature: Curvature = "bounded", factor: float | None = None):
        if curvature not in (known := get_args(Curvature)):
            raise ValueError(f"Objective: curvature in {known} is needed, got {curvature!r}.")
        if factor is not None and factor <= 0:
            raise ValueError(f"Objective: factor > 0 is needed, got {factor}.")
        terms = _terms(loss)
        links = {term.link for term in terms}
        if len(links) != 1:
            raise ValueError("Objective: the terms of the sum have different links; raw scores can have only one.")
        if curvature == "logistic" and any(term.label_smoothing for term in terms):
            raise ValueError(NO_SOFT)
        self.link, self.factor = links.pop(), factor
        self.curvature: Curvature = curvature
        self.loss = copy.deepcopy(loss).cpu()
        self._each, self._mean = _reduced(loss, "none"), _reduced(loss, "mean")

    def derivatives(self, raw: Array, target: Array, weight: Array = None) -> tuple[Array, Array]:
        """(gradient, curvature) of each raw score, shaped like `raw`: [N], or [N, C] with the softmax link."""
        z, y, w = self._entered(raw, target, weight)
        parts = [self._of_block(*block) for block in _blocks(z, y, w)]
        if not parts:
            return _like(raw, torch.zeros_like(z)), _like(raw, torch.zeros_like(z))
        gradient, curvature = (torch.cat(part) for part in zip(*parts, strict=True))
        return _like(raw, gradient), _like(raw, curvature)

    def value(self, raw: Array, target: Array, weight: Array = None) -> float:
        """The mean loss, by weight."""
        z, y, w = self._entered(raw, target, weight)
        with torch.no_grad():
            return float(self._mean(z, y, w))

    def predict(self, raw: Array) -> Array:
        """Probabilities: of yes with the sigmoid link, of each class with the softmax link."""
        z = _doubles(raw)
        return _like(raw, z.sigmoid() if self.link == "sigmoid" else z.softmax(-1))

    def init_score(self, target: Array, weight: Array = None, classes: int | None = None) -> Array:
        """The raw score to start from, one number, or [C] with the softmax link: the constant with the least mean loss.

        For cross-entropy that is the log prior odds, or [C] log priors (a class never seen counts as half a row). From
        there it is found by L-BFGS; a loss that is not convex may have a better minimum elsewhere. Some losses have
        none: the mean absolute error of a constant falls for ever towards the majority, where its slopes vanish. Where
        the least mean is more than 10 from the log prior odds, these are returned.

        Args:
            target: labels, or soft labels [N, C].
            weight: [N].
            classes: with the softmax link, how many there are; None: up to the largest label.
        """
        y, w = _doubles(target), None if _nothing(weight) else _doubles(weight)
        if y.ndim == 1:
            y, w = start.counted(y, w)
        shape = y.shape
        if self.link == "softmax" and y.ndim == 1:
            shape = (len(y), classes or max(2, int(torch.where(start.ignored(self.loss, y), 0.0, y).max()) + 1))
        z, y, w = self._entered(y.new_zeros(shape), y, w)
        binary = self.link == "sigmoid"

        def mean(score: Tensor) -> Tensor:
            return self._mean(score.expand(z.shape), y, w)

        return _like(target, start.best(mean, start.prior(self.loss, z, y, w, binary), binary))

    # LightGBM and XGBoost call an objective as (scores, data set) from `train` and as (labels, scores, weights) from
    # their estimators, with the name that the third parameter has here.

    def lightgbm(self, first: Array, second: Any, weight: Array = None) -> tuple[Array, Array]:
        """The objective for LightGBM: `lightgbm.train({"objective": ...})` and the estimators' `objective=`."""
        raw, target, weight = _native(first, second, weight)
        if self.link == "sigmoid" or raw.ndim == 2:
            return self._for_trees(raw, target, weight, to_sum_to_zero)
        # Before LightGBM 4: one class after the other.
        pair = self._for_trees(raw.reshape(-1, len(target)).T, target, weight, to_sum_to_zero)
        return pair[0].T.reshape(-1), pair[1].T.reshape(-1)

    def lightgbm_metric(self, first: Array, second: Any, weight: Array = None) -> tuple[str, float, bool]:
        """The mean loss for LightGBM: `feval=` of `train`, `eval_metric=` of the estimators' `fit`."""
        raw, target, weight = _native(first, second, weight)
        raw = raw.reshape(-1, len(target)).T if self.link == "softmax" and raw.ndim == 1 else raw
        return self._name(), self.value(raw, target, weight), False

    def xgboost(self, first: Array, second: Any, sample_weight: Array = None) -> tuple[Array, Array]:
        """The objective for XGBoost: `xgboost.train(obj=...)` and the estimators' `objective=`."""
        return self._for_trees(*_native(first, second, sample_weight), to_bound)

    def xgboost_metric(self, first: Array, second: Any, sample_weight: Array = None) -> Any:
        """The mean loss for XGBoost: `custom_metric=` of `train`, `eval_metric=` of the estimators."""
        value = self.value(*_native(first, second, sample_weight))
        return (self._name(), value) if hasattr(second, "get_label") else value

    def catboost(self) -> "CatBoostObjective":
        """The objective for CatBoost: `loss_function=`."""
        return CatBoostObjective(self)

    def catboost_metric(self) -> "CatBoostMetric":
        """The mean loss for CatBoost: `eval_metric=`."""
        return CatBoostMetric(self)

    def hessian(self, raw: Array, target: Array, weight: Array = None) -> tuple[Array, Array]:
        """(gradient [C], matrix [C, C]) of one row with the softmax link; the policy holds for the eigenvalues."""
        z, y, w = self._entered(_doubles(raw).unsqueeze(0), _doubles(target).reshape(1, -1), weight)
        z, slope = self._slope(z, y, w)
        logistic = self._logistic(z.detach(), slope.detach())[0]
        rows = [] if self.curvature == "logistic" else [_gradient(slope[0, j], z)[0] for j in range(z.shape[1])]
        second = torch.stack(rows) if rows else torch.empty(0)
        return _like(raw, slope.detach()[0]), _like(raw, safe_matrix(second, logistic, self.curvature))

    def _for_trees(
        self, raw: Array, target: Array, weight: Array, usual: Callable[[int], float]
    ) -> tuple[Array, Array]:
        gradient, curvature = self.derivatives(raw, target, weight)
        if self.link == "softmax":
            curvature = curvature * (usual(raw.shape[1]) if self.factor is None else self.factor)
        return gradient, curvature

    def _of_block(self, z: Tensor, y: Tensor, w: Tensor | None) -> tuple[Tensor, Tensor]:
        z, slope = self._slope(z, y, w)
        logistic = self._logistic(z.detach(), slope.detach())
        if self.curvature == "logistic":
            second = logistic
        elif self.link == "sigmoid":  # no score touches another's loss
            second = _gradient(slope.sum(), z)
        else:
            second = torch.stack([_gradient(slope[:, j].sum(), z)[:, j] for j in range(z.shape[1])], 1)
        return slope.detach(), safe(second, logistic, self.curvature)

    def _slope(self, z: Tensor, y: Tensor, w: Tensor | None) -> tuple[Tensor, Tensor]:
        """The scores, and the gradient in them, which can be differentiated again."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            return z, torch.autograd.grad(self._each(z, y, w).sum(), z, create_graph=self.curvature != "logistic")[0]

    def _logistic(self, z: Tensor, slope: Tensor) -> Tensor:
        """The curvature of equal slope; what the loss adjusts of the scores, cross-entropy sees adjusted too."""
        adjust = getattr(self.loss, "adjust", None) or Adjustment()
        scale = torch.as_tensor(adjust.scale).to(z)
        if self.link == "softmax":
            shift = 0.0 if adjust.shift is None else adjust.shift.to(z)
            return scale * of_equal_slope(slope, ((z + shift) * scale).softmax(1))
        no, yes = (torch.zeros_like(z), z) if adjust.shift is None else (adjust.shift[..., 0], z + adjust.shift[..., 1])
        of_no, of_yes = scale.expand(2)
        return of_yes * of_equal_slope(slope, (of_yes * yes - of_no * no).sigmoid())

    def _entered(self, raw: Array, target: Array, weight: Array) -> tuple[Tensor, Tensor, Tensor | None]:
        """Scores, labels and weights as the loss takes them."""
        z, y = _doubles(raw), _doubles(target)
        labels = self.link == "softmax" and y.numel() == len(z)
        if self.link == "softmax" and z.ndim != 2:
            raise ValueError(f"Objective: raw scores [N, C] are needed with the softmax link, got {tuple(z.shape)}.")
        if y.numel() != (len(z) if labels else z.numel()):
            raise ValueError(f"Objective: raw scores {tuple(z.shape)} but labels {tuple(y.shape)}.")
        y = y.reshape(len(z) if labels else z.shape)
        if bool((y == y.round()).all()) and (labels or self.link == "sigmoid"):
            y = y.long()
        elif labels:
            raise ValueError("Objective: with the softmax link labels are whole numbers 0..C-1, or shares [N, C].")
        if y.is_floating_point() and self.curvature == "logistic":
            raise ValueError(NO_SOFT)
        return z, y, None if _nothing(weight) else _doubles(weight)

    def _name(self) -> str:
        return type(self.loss).__name__


class CatBoostObjective:
    """An `Objective` in CatBoost's form: derivatives of minus the loss, which it maximises.

    CatBoost warns that it cannot compile the methods with numba; they run all the same."""

    def __init__(self, objective: Objective):
        self.objective = objective

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> list[tuple[float, float]]:
        first, second = self.objective.derivatives(_doubles(approxes), _doubles(targets), weights)
        return list(zip((-first).tolist(), (-second).tolist(), strict=True))

    def calc_ders_multi(self, approxes: Any, target: Any, weight: float) -> tuple[list[float], list[list[float]]]:
        first, second = self.objective.hessian(_doubles(approxes), target, [weight])
        return (-first).tolist(), (-second).tolist()


class CatBoostMetric:
    """The mean loss in CatBoost's form."""

    def __init__(self, objective: Objective):
        self.objective = objective

    def is_max_optimal(self) -> bool:
        return False

    def evaluate(self, approxes: Any, target: Any, weight: Any) -> tuple[float, float]:
        raw = torch.stack([_doubles(scores) for scores in approxes], 1)
        total = float(len(raw) if weight is None else _doubles(weight).sum())
        raw = raw[:, 0] if self.objective.link == "sigmoid" else raw
        return total * self.objective.value(raw, target, weight), total

    def get_final_error(self, error: float, weight: float) -> float:
        return error / weight if weight else 0.0


def _terms(loss: Loss) -> list[LabelledLoss]:
    """The row losses that a loss is made of; refuses what is no sum over rows of scores, one score a class."""
    if isinstance(loss, LossSum):
        return [term for part in loss.terms for term in _terms(part)]  # pyright: ignore[reportArgumentType]
    name = type(loss).__name__
    if not isinstance(loss, LabelledLoss):
        raise TypeError(f"Objective: {name} is no loss of single rows; boosting asks for the derivatives of each row.")
    if loss.reads or loss.stateful:
        raise TypeError(
            f"Objective: {name} learns, remembers or reads more than scores and labels; trees give no more."
        )
    if loss.cosines:
        raise TypeError(f"Objective: {name} reads cosines, and the scores of trees are none.")
    if isinstance(loss, WholeRowLoss) and type(loss).enter is not WholeRowLoss.enter:
        raise TypeError(f"Objective: the logits of {name} are not one for each class; the link is not a softmax.")
    return [loss]


def _reduced(loss: Loss, reduction: str) -> Loss:
    """The same loss with this reduction, on the engine that can be differentiated twice."""
    loss = copy.deepcopy(loss).cpu()
    for part in loss.modules():
        if isinstance(part, LabelledLoss):
            part.reduction = reduction  # pyright: ignore[reportAttributeAccessIssue]
            if isinstance(part, RowLoss):
                part.engine = "reference"  # pyright: ignore[reportArgumentType]
    return loss


def _gradient(value: Tensor, z: Tensor) -> Tensor:
    """The gradient, and 0 where there is none: the slope of a hinge does not depend on the scores."""
    if not value.requires_grad:
        return torch.zeros_like(z)
    return torch.autograd.grad(value, z, retain_graph=True, allow_unused=True, materialize_grads=True)[0]


def _blocks(z: Tensor, y: Tensor, w: Tensor | None) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    rows = max(1, BLOCK // max(1, z.numel() // max(1, len(z))))
    for i in range(0, len(z), rows):
        yield z[i : i + rows], y[i : i + rows], None if w is None else w[i : i + rows]


def _nothing(weight: Array) -> bool:
    return weight is None or not len(weight)  # LightGBM has None where there are no weights, XGBoost an empty array


def _native(first: Array, second: Any, weight: Array) -> tuple[Array, Array, Array]:
    """(scores, labels, weights) of either form of call."""
    if hasattr(second, "get_label"):
        return first, second.get_label(), second.get_weight()
    return second, first, weight


def _doubles(x: Array) -> Tensor:
    """In float64 and on their own: what comes may be a view of the library's memory, or not writable."""
    if isinstance(x, Tensor):
        return x.detach().to("cpu", torch.float64)
    return torch.tensor(x, dtype=torch.float64, device="cpu")


def _like(given: Array, found: Tensor) -> Array:
    return found.to(given.device) if isinstance(given, Tensor) else found.numpy()

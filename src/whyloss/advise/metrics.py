"""What the user wants to be good at: the metrics, their margins of practical equivalence, and which one suits the data.

Knows numpy only. Metrics of decisions are functions of confusion matrices, and take whole stacks of them, so that a
rule with two hundred options is judged in one call. Must not know losses, folds or rules."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from .finding import InputError

Array = NDArray[Any]
SMALLEST_LOG_P = float(np.log(1e-15))  # one impossible row must not make a mean infinite
RARE_OF_TWO = 0.2  # below this share of the rarer of two classes, accuracy hides it
RARE_OF_MANY = 0.5  # of an even share 1/C


@dataclass(frozen=True)
class Metric:
    """A metric by name. `counts` are the rows per class of the whole table: they say once and for all which class is
    the rarer one, and how many there are; without them both are read from the labels at hand."""

    name: str
    text: str
    higher_is_better: bool
    margin: float
    needs: Literal["decisions", "probabilities", "scores"]
    fn: Callable[..., Array]  # decisions: (confusions (..., C, C), rare); else: (labels, log_p, rare)
    counts: tuple[int, ...] = ()

    def value(self, y: Array, prediction: Array) -> float:
        """The metric as people know it. `prediction` is decisions (N,) or log-probabilities (N, C), as `needs` says."""
        if self.needs != "decisions":
            return float(self.fn(y, prediction, self.rare(y)))
        classes = len(self.counts) or max(int(y.max()), int(prediction.max()), 1) + 1
        return float(self.fn(confusion(y, prediction, classes), self.rare(y)))

    def of_confusions(self, confusions: Array, y: Array) -> Array:
        """Utility of every matrix of a stack (..., C, C), true class first."""
        return self.sign * self.fn(confusions, self.rare(y))

    @property
    def sign(self) -> int:
        return 1 if self.higher_is_better else -1

    def rare(self, y: Array) -> int:
        counts = np.asarray(self.counts) if self.counts else np.bincount(y, minlength=2)
        return len(counts) - 1 - int(np.argmin(counts[::-1]))  # a tie goes to the later class, the customary "positive"


def utility(metric: Metric, y: Array, prediction: Array) -> float:
    """The metric turned so that larger is always better."""
    return metric.sign * metric.value(y, prediction)


def confusion(y: Array, decisions: Array, classes: int) -> Array:
    """Rows are true classes, columns are decisions."""
    return np.bincount(y * classes + decisions, minlength=classes * classes).reshape(classes, classes)


def _ratio(over: Array, under: Array) -> Array:
    return np.divide(over, under, out=np.zeros(np.broadcast(over, under).shape), where=under > 0)


def _accuracy(confusions: Array, rare: int) -> Array:
    return _ratio(np.trace(confusions, axis1=-2, axis2=-1), confusions.sum((-2, -1)))


def _balanced_accuracy(confusions: Array, rare: int) -> Array:
    rows = confusions.sum(-1)
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)
    return _ratio(_ratio(hits, rows).sum(-1), (rows > 0).sum(-1))


def _f1(confusions: Array, rare: int) -> Array:
    rows = confusions.sum(-1)
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)
    each = _ratio(2 * hits, rows + confusions.sum(-2))
    if each.shape[-1] == 2:
        return each[..., rare]
    return _ratio(np.where(rows > 0, each, 0).sum(-1), (rows > 0).sum(-1))


def _distance(classes: int) -> Array:
    return np.abs(np.subtract.outer(np.arange(classes), np.arange(classes)))


def _mae(confusions: Array, rare: int) -> Array:
    return _ratio((confusions * _distance(confusions.shape[-1])).sum((-2, -1)), confusions.sum((-2, -1)))


def _quadratic_kappa(confusions: Array, rare: int) -> Array:
    squared = _distance(confusions.shape[-1]) ** 2
    rows, columns, total = confusions.sum(-1), confusions.sum(-2), confusions.sum((-2, -1))
    chance = _ratio(np.einsum("...i,ij,...j->...", rows, squared, columns), total)
    # One class only, and always said: agreement, but none beyond chance.
    return np.where(chance > 0, 1 - _ratio((confusions * squared).sum((-2, -1)), chance), 0.0)


def _log_loss(y: Array, log_p: Array, rare: int) -> Array:
    return -np.maximum(log_p[np.arange(len(y)), y], SMALLEST_LOG_P).mean(dtype=np.float64)


def _brier(y: Array, log_p: Array, rare: int) -> Array:
    p = np.exp(log_p, dtype=np.float64)
    return np.einsum("ij,ij->", p, p) / len(y) - 2 * p[np.arange(len(y)), y].mean() + 1


def _one_against_rest(area: Callable[[Array, Array], float | None], y: Array, log_p: Array, rare: int) -> Array:
    """The rarer of two classes, or the mean over the classes of which the fold has both members and others."""
    if log_p.shape[1] == 2:
        found = [area(y == rare, log_p[:, rare] - log_p[:, 1 - rare])]
    else:
        found = [area(y == c, log_p[:, c]) for c in range(log_p.shape[1])]
    known = [a for a in found if a is not None]
    return np.asarray(np.mean(known) if known else 0.5)  # nothing to rank: a coin's value, the same for every candidate


def _auc_of(positive: Array, score: Array) -> float | None:
    n = int(positive.sum())
    if n in (0, len(positive)):
        return None
    return float((rankdata(score)[positive].sum() - n * (n + 1) / 2) / (n * (len(positive) - n)))


def _precision_of(positive: Array, score: Array) -> float | None:
    if positive.all() or not positive.any():
        return None
    order = np.argsort(-score, kind="stable")
    hits, ordered = np.cumsum(positive[order]), score[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(order) - 1)  # equal scores enter together
    return float((np.diff(hits[last], prepend=0) * hits[last] / (last + 1)).sum() / hits[-1])


def _roc_auc(y: Array, log_p: Array, rare: int) -> Array:
    return _one_against_rest(_auc_of, y, log_p, rare)


def _average_precision(y: Array, log_p: Array, rare: int) -> Array:
    return _one_against_rest(_precision_of, y, log_p, rare)


_TABLE = (
    Metric("accuracy", "share of rows decided right", True, 0.01, "decisions", _accuracy),
    Metric("balanced_accuracy", "mean recall over the classes", True, 0.01, "decisions", _balanced_accuracy),
    Metric("f1", "F1 of the rarer class; with more than two classes, mean F1", True, 0.01, "decisions", _f1),
    Metric("log_loss", "mean of -log p of the label", False, 0.01, "probabilities", _log_loss),
    Metric("brier", "squared distance of the probabilities from the label", False, 0.01, "probabilities", _brier),
    Metric("roc_auc", "area under the ROC curve, mean over the classes", True, 0.01, "scores", _roc_auc),
    Metric(
        "average_precision",
        "average precision of the rarer class; with more than two classes, their mean",
        True,
        0.01,
        "scores",
        _average_precision,
    ),
    Metric("mae", "mean distance in grades between decision and label", False, 0.02, "decisions", _mae),
    Metric("quadratic_kappa", "agreement beyond chance, far misses squared", True, 0.01, "decisions", _quadratic_kappa),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _TABLE}


def metric_named(name: str, counts: Sequence[int] = ()) -> Metric:
    """The metric of that name, bound to the table's rows per class (in code order)."""
    wanted = name.strip().lower().replace("-", "_").replace(" ", "_")
    if wanted not in METRICS:
        near = difflib.get_close_matches(wanted, METRICS, n=1, cutoff=0.5)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise InputError(f"Unknown metric '{name}'.{hint} The metrics are: {', '.join(METRICS)}.")
    return replace(METRICS[wanted], counts=tuple(int(n) for n in counts))


def choose_metric(counts: Mapping[str, int], ordered: bool) -> tuple[str, str]:
    """The metric to use when the user names none, and why, in a sentence for the user. `counts`: rows per class."""
    if ordered:
        return "mae", "The classes are ordered: a miss by two grades counts twice a miss by one."
    total, classes = sum(counts.values()), len(counts)
    rarest = min(counts, key=lambda name: counts[name])
    share = counts[rarest] / total
    if classes == 2 and share < RARE_OF_TWO:
        why = (
            f"{_percent(share)} of the rows are class '{rarest}': accuracy would be {_percent(1 - share)} "
            f"for a rule that never says '{rarest}'. Balanced accuracy counts both classes alike."
        )
        return "balanced_accuracy", why
    if classes > 2 and share < RARE_OF_MANY / classes:
        why = (
            f"{_percent(share)} of the rows are class '{rarest}', where {classes} even classes would have "
            f"{_percent(1 / classes)} each: accuracy hardly notices a rule that never says '{rarest}'. "
            "Balanced accuracy counts every class alike."
        )
        return "balanced_accuracy", why
    return "accuracy", f"No class is rare (the smallest, '{rarest}', has {_percent(share)} of the rows)."


def _percent(share: float) -> str:
    """One decimal, more where one would round to a false 0 % or 100 %."""
    for decimals in (1, 2, 3):
        text = f"{100 * share:.{decimals}f}"
        if float(text) not in (0.0, 100.0) or share in (0.0, 1.0):
            return f"{text} %"
    return "less than 0.001 %" if share < 0.5 else "more than 99.999 %"

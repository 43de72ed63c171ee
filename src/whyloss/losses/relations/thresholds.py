"""Losses of ordered classes that are told apart by thresholds: one yes-or-no logit for every step from class to class.

Logit k of K = C - 1 says how much speaks for "above class k". What the logits mean together is what the losses differ
in; each of them can say what a prediction is (`labels`, `probabilities`)."""

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, pad
from torch.special import log_ndtr

from whyloss.losses import checks
from whyloss.losses.targets import as_rows
from whyloss.losses.whole import Whole, WholeRowLoss, adjusted
from whyloss.stats.closed import by_rows, pulled_back
from whyloss.stats.dense import computing
from whyloss.stats.each import above, log_normal_between, log_one_minus_exp, weighed
from whyloss.stats.tables import answers, table
from whyloss.stats.visible import visible


class ThresholdLoss(WholeRowLoss):
    """A loss of C ordered classes from C - 1 logits. Subclass it and write `answers` and `log_survival`.

    Shapes: logits [N, C - 1, *spatial] (or [C - 1]), targets [N, *spatial] with labels 0 to C - 1, or soft targets
    [N, C, *spatial]; `weight` is [C]. Options are those of `LabelledLoss`; `adjust` can only scale."""

    links = ("softmax",)
    ordered = True
    missing = 1
    falling: ClassVar[bool] = False  # whether the logits of a row must fall from class to class

    def answers(self, logits: Tensor, target: Tensor) -> Tensor:
        """[N] losses from logits [N, C - 1] and target distributions [N, C]."""
        raise NotImplementedError(f"{type(self).__name__} has no answers.")

    def log_survival(self, logits: Tensor) -> Tensor:
        """[N, C - 1] log of the probability to be above class k."""
        raise NotImplementedError(f"{type(self).__name__} has no log_survival.")

    def log_softmax(self, logits: Tensor) -> Tensor:
        """[N, C] log-probabilities of the classes, from logits whose last axis is [C - 1]."""
        return _log_classes(logits, "logit")

    def probabilities(self, logits: Tensor) -> Tensor:
        """[N, C, ...] the probability of every class. Answers that contradict each other are made to sum to 1."""
        p = torch.exp(self.log_softmax(_classes_last(logits)))
        return _classes_second(p / p.sum(-1, keepdim=True), logits)

    def labels(self, logits: Tensor) -> Tensor:
        """[N, ...] the predicted class: as many steps up as are more likely than not."""
        return (torch.exp(self.log_survival(_classes_last(logits))) > 0.5).sum(-1)

    def check(self) -> None:
        super().check()
        plain = self.adjust is None or (self.adjust.shift is None and self.adjust.margin is None)
        self.require(plain, "an adjust that scales only (the logits are not of classes)", self.adjust)

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        return self.answers(logits, target)

    def enter(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None, reads: Mapping[str, Tensor]) -> Whole:
        checks.logits(type(self).__name__, logits, "sigmoid")
        if logits.ndim == 0 or logits.shape[min(1, logits.ndim - 1)] == 0:
            raise ValueError(
                f"{type(self).__name__}: logits need an axis of thresholds, [N, C - 1, ...] or [C - 1], "
                f"got {tuple(logits.shape)}."
            )
        # The door sees as many logits as there are classes, without their memory.
        shape = list(logits.shape)
        shape[min(1, logits.ndim - 1)] += 1
        entered = super().enter(logits.detach().new_zeros(()).expand(shape), target, sample_weight, reads)
        z, keep = computing(as_rows(logits, "softmax")), entered.rows.keep
        if keep is not None:
            z = torch.where(keep.unsqueeze(1), z, 0.0)
        entered.z = z if self.adjust is None else adjusted(self.adjust, z, entered.target)
        return entered


def _classes_last(x: Tensor) -> Tensor:
    return x if x.ndim < 2 else x.movedim(1, -1)


def _classes_second(x: Tensor, like: Tensor) -> Tensor:
    return x if like.ndim < 2 else x.movedim(-1, 1)


class CoralLoss(ThresholdLoss):
    """A yes-or-no cross-entropy for every threshold, of logits that share one weight vector (`CoralHead`).

    As the logits of a row differ by biases only, their answers never contradict each other once the biases are in
    order, which training brings about.

    Args:
        importance: [C - 1], > 0, what each threshold counts for; None: all the same.

    Formula: -sum_k [y > k] log s(z_k) + [y <= k] log(1 - s(z_k)). Source: Cao et al. 2020, arXiv:1901.07884.

    >>> import torch, whyloss
    >>> loss = whyloss.CoralLoss()
    >>> loss(torch.tensor([[3.0, 0.0]]), torch.tensor([2]))
    tensor(0.7417)
    >>> loss.labels(torch.tensor([[3.0, 1.0], [3.0, -1.0]]))
    tensor([2, 1])
    """

    importance: Tensor | None = None
    takes_labels = True
    source = "Cao et al. 2020, arXiv:1901.07884"
    short = ("coral",)
    equation = "-sum_k [y > k] log s(z_k) + [y <= k] log(1 - s(z_k))"
    proper = True
    bounded = False
    symmetric = False
    convex = True

    def answers(self, logits: Tensor, target: Tensor) -> Tensor:
        importance = None if self.importance is None else self.importance.to(logits.dtype)
        if target.ndim == 1:
            return _of_answers(logits, target, _answers(logits), importance)
        each = _log_loss(logits, above(target)[:, :-1], target.cumsum(1)[:, :-1])
        return (each if importance is None else each * importance).sum(1)

    def by_hand(self, logits: Tensor, label: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor] | None:
        return _likelihoods_by_hand(logits, label, _answers(logits), None, share) if self.importance is None else None

    def log_survival(self, logits: Tensor) -> Tensor:
        return logsigmoid(logits)


class CornLoss(ThresholdLoss):
    """The likelihood of a chain of questions, each asked of those rows only that answered the one before with yes.

    The product of the answers is a distribution that is in order whatever the logits; no weights need to be shared
    (`CornHead`).

    Args:
        mean_over: what `mean` divides by: "questions", as in the paper, all that were asked, so that a row counts for
            more the lower its class is; or "rows", so that the mean is that of the likelihoods.

    Formula: -sum_{k < y} log s(z_k) - [y < C - 1] log(1 - s(z_y)). Source: Shi et al. 2021, arXiv:2111.08851.

    >>> import torch, whyloss
    >>> loss = whyloss.CornLoss(mean_over="rows")
    >>> loss(torch.ones(2, 4), torch.tensor([0, 4]))
    tensor(1.2832)
    >>> whyloss.CornLoss()(torch.ones(2, 4), torch.tensor([0, 4]))
    tensor(0.5133)
    >>> loss.probabilities(torch.zeros(1, 2))
    tensor([[0.5000, 0.2500, 0.2500]])
    """

    mean_over: Literal["questions", "rows"] = "questions"
    takes_labels = True
    source = "Shi et al. 2021, arXiv:2111.08851"
    short = ("corn",)
    equation = "-sum_{k < y} log s(z_k) - [y < C - 1] log(1 - s(z_y))"
    proper = True
    bounded = False
    symmetric = False
    convex = True

    def check(self) -> None:
        super().check()
        self.require(self.mean_over in ("questions", "rows"), "mean_over in ('questions', 'rows')", self.mean_over)

    def answers(self, logits: Tensor, target: Tensor) -> Tensor:
        if target.ndim == 1:
            answers = _answers(logits)
            return _of_answers(logits, target, answers, torch.ones_like(answers).tril())
        return _log_loss(logits, above(target)[:, :-1], target[:, :-1]).sum(1)

    def log_survival(self, logits: Tensor) -> Tensor:
        return logsigmoid(logits).cumsum(-1)

    def log_softmax(self, logits: Tensor) -> Tensor:
        return pad(self.log_survival(logits), (1, 0)) + pad(logsigmoid(-logits), (0, 1))

    def enter(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None, reads: Mapping[str, Tensor]) -> Whole:
        entered = super().enter(logits, target, sample_weight, reads)
        if self.mean_over == "questions":
            q = entered.target
            if q.ndim == 1:
                asked = (q + 1).clamp_max(entered.z.shape[1]).to(entered.z.dtype)
            else:
                asked = (q + above(q))[:, :-1].sum(1)
            entered.weight = asked if entered.weight is None else entered.weight * asked
        return entered


class CumulativeLinkLoss(ThresholdLoss):
    """The likelihood of a score between two thresholds: proportional odds, the classical model of ordered classes.

    The logits of a row, the score less each threshold, must fall from class to class; `CumulativeLinkHead` makes such.
    Exact however far off the score is: differences of nearly equal probabilities are never taken.

    Args:
        curve: the distribution of the score: "logit" (proportional odds), "probit" (normal) or "cloglog" (proportional
            hazards; grows like exp(logit), beyond what float32 holds from a logit of 88 on the wrong side).

    Formula: -log(F(t_y - f) - F(t_{y-1} - f)), logits z_k = f - t_k. Source: McCullagh 1980, "Regression models for
    ordinal data", J. R. Stat. Soc. B 42(2), section 2.

    >>> import torch, whyloss
    >>> loss = whyloss.CumulativeLinkLoss()
    >>> loss(torch.tensor([[1.0, -1.0]]), torch.tensor([1]))
    tensor(0.7719)
    >>> loss.probabilities(torch.tensor([[1.0, -1.0]]))
    tensor([[0.2689, 0.4621, 0.2689]])
    """

    curve: Literal["logit", "probit", "cloglog"] = "logit"
    source = "McCullagh 1980, J. R. Stat. Soc. B 42(2), section 2"
    short = ("clm", "proportional-odds")
    equation = "-log(F(t_y - f) - F(t_{y-1} - f))"
    falling = True
    proper = True
    bounded = False
    symmetric = False
    convex = True

    def check(self) -> None:
        super().check()
        self.require(
            self.curve in ("logit", "probit", "cloglog"), "curve in ('logit', 'probit', 'cloglog')", self.curve
        )

    def answers(self, logits: Tensor, target: Tensor) -> Tensor:
        if checks.looks(self, logits) and bool((rising := (logits.diff(dim=1) > 0).any(1)).any()):
            row = int(rising.nonzero()[0])
            raise ValueError(
                f"{type(self).__name__}: the logits of a row must fall from class to class, but those of row {row} "
                f"rise: {logits[row, :6].tolist()}. They are score less thresholds; CumulativeLinkHead makes such."
            )
        return -weighed(target, self.log_softmax(logits)).sum(1)

    def log_survival(self, logits: Tensor) -> Tensor:
        return _log_above(-logits, self.curve)

    def log_softmax(self, logits: Tensor) -> Tensor:
        return _log_classes(logits, self.curve)


class ECOCDistanceLoss(ThresholdLoss):
    """The squared distance between the answers at the thresholds and the code of the class: (1, .., 1, 0, .., 0).

    Bounded, so that single wrong labels do little; and as flat as every squared error where the answers are sure.

    Formula: sum_k (s(z_k) - [y > k])^2. Source: Barbero-Gomez et al. 2023, "Error-correcting output codes in the
    framework of deep ordinal classification", Neural Processing Letters 55.

    >>> import torch, whyloss
    >>> loss = whyloss.ECOCDistanceLoss()
    >>> loss(torch.zeros(1, 3), torch.tensor([1]))
    tensor(0.7500)
    >>> loss.labels(torch.tensor([[2.0, -0.5, 2.0]]))
    tensor([3])
    """

    source = "Barbero-Gomez et al. 2023, Neural Processing Letters 55"
    short = ("ecoc",)
    takes_labels = True
    equation = "sum_k (s(z_k) - [y > k])^2"
    proper = True
    bounded = True
    symmetric = False
    convex = False

    def answers(self, logits: Tensor, target: Tensor) -> Tensor:
        if target.ndim == 1:
            return by_rows(_distances, self.by_hand, logits, target)
        yes, no = torch.exp(logsigmoid(logits)), torch.exp(logsigmoid(-logits))
        return (above(target)[:, :-1] * no * no + target.cumsum(1)[:, :-1] * yes * yes).sum(1)

    def by_hand(self, logits: Tensor, label: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor]:
        answer = _answers(logits).index_select(0, label)
        right = answer * logits
        wrong = right.neg().sigmoid_()
        squared = wrong.mul_(wrong)
        # The slope of s(-x) is -s(x) s(-x).
        slope = right.sigmoid_().mul_(squared).mul_(answer).mul_(-2 * share)
        return squared, slope

    def log_survival(self, logits: Tensor) -> Tensor:
        return logsigmoid(logits)

    def labels(self, logits: Tensor) -> Tensor:
        """[N, ...] the class whose code is nearest to the answers."""
        p = torch.sigmoid(_classes_last(logits))
        # Taking threshold k for passed changes the squared distance by (p - 1)^2 - p^2.
        return pad((1 - 2 * p).cumsum(-1), (1, 0)).argmin(-1)


def _answers(logits: Tensor) -> Tensor:
    """[C, C - 1] for each class 1 where it is above a step, else -1."""
    return table(answers, logits.shape[1], like=logits)


def _of_answers(logits: Tensor, label: Tensor, answers: Tensor, counts: Tensor | None) -> Tensor:
    """[N] what the answers of a row cost, each for what it counts: [C - 1], or [C, C - 1] for each label."""
    return pulled_back(_likelihoods, _likelihoods_forward, logits, label, answers, counts)


def _likelihoods(logits: Tensor, label: Tensor, answers: Tensor, counts: Tensor | None) -> Tensor:
    each = -logsigmoid(logits * answers[label])
    if counts is not None:
        each = weighed(counts if counts.ndim == 1 else counts[label], each)
    return each.sum(1)


def _likelihoods_forward(
    logits: Tensor, label: Tensor, answers: Tensor, counts: Tensor | None
) -> tuple[tuple[Tensor], Callable[[Tensor], Tensor]] | None:
    if not visible(logits):
        return None
    each, slope = _likelihoods_by_hand(logits, label, answers, counts)
    found = each.sum(1)
    # Infinite logits that count for nothing would make NaN.
    return ((found,), lambda u: slope.mul_(u.unsqueeze(1))) if bool(found.isfinite().all()) else None


def _likelihoods_by_hand(
    logits: Tensor, label: Tensor, answers: Tensor, counts: Tensor | None, share: float = 1.0
) -> tuple[Tensor, Tensor]:
    answer = answers.index_select(0, label)
    right = logits * answer
    each = torch.exp(-right.abs()).log1p_().sub_(right.clamp_max(0))
    slope = right.neg_().sigmoid_().mul_(answer).mul_(-share)
    if counts is not None:
        count = counts if counts.ndim == 1 else counts.index_select(0, label)
        each, slope = each.mul_(count), slope.mul_(count)
    return each, slope


def _distances(logits: Tensor, label: Tensor) -> Tensor:
    wrong = torch.exp(logsigmoid(-logits * _answers(logits)[label]))
    return (wrong * wrong).sum(1)


def _log_loss(logits: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    return -weighed(yes, logsigmoid(logits)) - weighed(no, logsigmoid(-logits))


def _log_classes(logits: Tensor, curve: str) -> Tensor:
    """[..., C] the logarithms of what the distribution has between its thresholds; minus infinity between two that are
    not in order."""
    t = -logits
    between = _log_between(t[..., 1:], t[..., :-1], curve)
    return torch.cat([_log_below(t[..., :1], curve), between, _log_above(t[..., -1:], curve)], -1)


def _log_above(x: Tensor, curve: str) -> Tensor:
    """log(1 - F(x))."""
    if curve == "cloglog":
        return -torch.exp(x)
    return logsigmoid(-x) if curve == "logit" else log_ndtr(-x)


def _log_below(x: Tensor, curve: str) -> Tensor:
    """log F(x)."""
    if curve == "cloglog":
        return _log_gumbel(x)
    return logsigmoid(x) if curve == "logit" else log_ndtr(x)


def _log_between(upper: Tensor, lower: Tensor, curve: str) -> Tensor:
    """log(F(upper) - F(lower)) for upper >= lower, from a product that the difference equals."""
    gap = upper - lower
    if curve == "logit":
        found = logsigmoid(upper) + logsigmoid(-lower) + log_one_minus_exp(gap)
    elif curve == "cloglog":
        found = _log_gumbel(lower + gap + log_one_minus_exp(gap)) - torch.exp(lower)
    else:
        found = log_normal_between(upper, lower)
    return torch.where(gap > 0, found, -torch.inf)


def _log_gumbel(x: Tensor) -> Tensor:
    """log(1 - exp(-exp(x)))."""
    small = x < -8
    d = torch.exp(torch.where(small, x, -8.0))
    return torch.where(small, x - d / 2 + d * d / 24, log_one_minus_exp(torch.exp(torch.where(small, 0.0, x))))

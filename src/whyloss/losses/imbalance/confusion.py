"""The F1 score and Matthews' correlation as losses: confusion matrices of probabilities in place of decisions.

They want the whole data set in view; on small batches they estimate something else. A threshold tuned on validation
rows is the plain way to a good F1."""

from collections.abc import Callable
from math import isfinite
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from whyloss.losses.batch import BatchLoss
from whyloss.losses.key import key_of
from whyloss.stats.closed import FEW, class_by_class, expit, pulled_back
from whyloss.stats.each import softmax_and_rest
from whyloss.stats.exact import HUGE
from whyloss.stats.majority import balanced, shares, without
from whyloss.stats.measure import program
from whyloss.stats.scalars import REFUSED, on_numbers
from whyloss.stats.visible import visible

Average = Literal["macro", "micro"]
BLOCK = 2**10  # rows


class Shares(NamedTuple):
    """[C] true and false positives and negatives of each class against the rest, as shares of all rows; float64."""

    tp: Tensor
    fp: Tensor
    fn: Tensor
    tn: Tensor


class ConfusionLoss(BatchLoss):
    """A loss of the soft confusion matrices of a batch. Subclass it and write `of_shares`.

    A class that no row of the batch holds (or every row, where that leaves nothing to measure) costs the mean
    probability that was wrongly given, so that its mistakes are never free and always have a gradient.

    Args:
        average: "macro" is the mean over the classes (or labels) of each against the rest; "micro" is of all at once.

    Options are those of `BatchLoss`."""

    average: Average = "macro"
    takes_labels = True

    def of_shares(self, shares: Shares) -> Tensor:
        """[C] the loss of each class."""
        raise NotImplementedError(f"{type(self).__name__} has no of_shares.")

    def check(self) -> None:
        super().check()
        self.require(self.average in ("macro", "micro"), "average in ('macro', 'micro')", self.average)

    def value(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        if self.link == "softmax" and target.ndim == 1 and self.average == "macro":
            return pulled_back(self._of_cells, self._of_cells_by_hand, logits, target, weight)
        return self._of_cells(logits, target, weight)

    def _of_cells(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        shares = self.shares(logits, target, weight)
        return (self.micro(shares) if self.average == "micro" else self.of_shares(shares).mean()).to(logits.dtype)

    def _of_cells_by_hand(
        self, logits: Tensor, label: Tensor, weight: Tensor
    ) -> tuple[tuple[Tensor], Callable[[Tensor], Tensor]] | None:
        """The mean over a few classes and its slope: arithmetic on four numbers each."""
        if not _few(logits):
            return None
        measure = program(key_of(self, self.of_shares), lambda *cells: self.of_shares(Shares(*cells)), Shares._fields)
        found = None if measure is None else _of_labels_by_hand(logits, label, weight.unsqueeze(1))
        if measure is None or found is None:
            return None
        sums, back = found
        total = weight.sum(dtype=torch.float64)
        try:
            judged = [on_numbers(measure)(*cells) for cells in (torch.stack(sums, 1) / total).tolist()]
        except REFUSED:
            return None
        losses, slopes = sums[0].new_tensor(judged).split([1, 4], 1)
        slopes = slopes / (total * len(losses))
        return (losses.mean().to(logits.dtype),), lambda u: back(*(slopes * u).unbind(1))

    def micro(self, shares: Shares) -> Tensor:
        return self.of_shares(Shares(*(part.mean(0, keepdim=True) for part in shares))).squeeze(0)

    def shares(self, logits: Tensor, target: Tensor, weight: Tensor) -> Shares:
        if self.link == "softmax":
            weight = weight.unsqueeze(1)
        total = weight.sum(0, dtype=torch.float64)
        total = torch.where(total > 0, total, 1.0)
        if self.link == "sigmoid":
            sums = pulled_back(_of_odds, _of_odds_by_hand, logits, weight * target, weight * (1 - target))
        elif target.ndim == 1:
            sums = pulled_back(_of_labels, _of_labels_by_hand, logits, target, weight)
        else:
            sums = _sums(*softmax_and_rest(logits), weight * target, weight * (1 - target))
        return Shares(*(part / total for part in sums))


Sums = tuple[Tensor, Tensor, Tensor, Tensor]


def _sums(p: Tensor, not_p: Tensor, yes: Tensor, no: Tensor) -> Sums:
    tp, fp, fn, tn = (_total(a * b) for a, b in ((yes, p), (no, p), (yes, not_p), (no, not_p)))
    return tp, fp, fn, tn


def _total(x: Tensor) -> Tensor:
    """[C] the sum of the rows, in float64; that of blocks of rows in their own dtype, which takes far less time."""
    whole = len(x) // BLOCK * BLOCK
    blocks = x[:whole].unflatten(0, (-1, BLOCK)).sum(1) if whole else x[:0]
    return torch.cat([blocks, x[whole:].sum(0, keepdim=True)]).sum(0, dtype=torch.float64)


def _of_odds(odds: Tensor, yes: Tensor, no: Tensor) -> Sums:
    odds = odds.nan_to_num(torch.nan, HUGE, -HUGE)
    return _sums(expit(odds), expit(-odds), yes, no)


def _of_odds_by_hand(odds: Tensor, yes: Tensor, no: Tensor) -> tuple[Sums, Callable[..., Tensor]]:
    p, not_p = torch.sigmoid(odds), torch.sigmoid(-odds)

    def back(*upstream: Tensor | None) -> Tensor:
        tp, fp, fn, tn = (0.0 if u is None else u for u in upstream)
        rises = yes * torch.as_tensor(tp - fn).to(p.dtype)
        return rises.add_(no * torch.as_tensor(fp - tn).to(p.dtype)).mul_(p).mul_(not_p)

    return _sums(p, not_p, yes, no), back


def _of_labels(logits: Tensor, label: Tensor, weight: Tensor) -> Sums:
    """The sums for one label a row: only its own entry is a yes."""
    zero, place = torch.zeros(logits.shape[1], dtype=torch.float64, device=logits.device), label.unsqueeze(1)

    def halves(of_all: Tensor) -> tuple[Tensor, Tensor]:
        own = (weight * of_all.gather(1, place)).squeeze(1).double()
        others = (weight * of_all.scatter(1, place, 0.0)).sum(0, dtype=torch.float64)
        return zero.index_add(0, label, own), others

    p, not_p = softmax_and_rest(logits)
    return *halves(p), *halves(not_p)


def _few(logits: Tensor) -> bool:
    """Whether products of matrices sum over the rows: exact on the CPU, and quick for few classes."""
    return logits.device.type == "cpu" and logits.shape[1] <= FEW and visible(logits)


def _of_labels_by_hand(logits: Tensor, label: Tensor, weight: Tensor) -> tuple[Sums, Callable[..., Tensor]] | None:
    """The cells of each class from the confusion matrix, label by prediction: what is small is a sum of what is small,
    so that nothing cancels."""
    if not _few(logits):
        return _of_many_by_hand(logits, label, weight)
    z, rows = class_by_class(logits), logits.is_contiguous()
    p = torch.softmax(z.T, 0).T if z.T.is_contiguous() else torch.softmax(z, 1)
    classes = torch.arange(p.shape[1], dtype=p.dtype, device=p.device)
    yes = torch.eq(label.to(p.dtype).unsqueeze(1), classes, out=torch.empty_like(p)).mul_(weight)
    matrix = _product(yes, p)
    if not isfinite(matrix.sum().item()):
        return None
    others = 1 - torch.eye(len(matrix), dtype=matrix.dtype)
    wrong, rest = matrix * others, others @ matrix

    def back(*upstream: Tensor | None) -> Tensor:
        tp, fp, fn, tn = (0.0 if u is None else u.unsqueeze(1) for u in upstream)
        slope = (1 - others) * tp + others * (torch.as_tensor(fp).reshape(1, -1) + fn) + others @ (others * tn)
        rises = torch.mm(yes, slope.to(p.dtype), out=torch.empty_like(p))
        # Relative to that of a class with more than half of the row: its share of the mean is nearly 1.
        major = torch.gt(p, 0.5, out=torch.empty_like(p))
        rises.sub_(major.mul_(rises).sum(1, keepdim=True)).mul_(p)
        rises.sub_(p * rises.sum(1, keepdim=True))
        return rises.contiguous() if rows else rises

    return (matrix.diagonal(), wrong.sum(0), wrong.sum(1), (rest * others).sum(1)), back


def _product(a: Tensor, b: Tensor) -> Tensor:
    """a.T @ b in float64; of blocks of rows in their own dtype, which takes far less time."""
    whole = len(a) // BLOCK * BLOCK
    blocks = [x[:whole].unflatten(0, (-1, BLOCK)) for x in (a, b)] if whole else []
    found = torch.bmm(blocks[0].mT, blocks[1]).sum(0, dtype=torch.float64) if blocks else 0.0
    return found + (a[whole:].T @ b[whole:]).double() if whole < len(a) or not blocks else torch.as_tensor(found)


def _of_many_by_hand(logits: Tensor, label: Tensor, weight: Tensor) -> tuple[Sums, Callable[..., Tensor]] | None:
    if not visible(logits):
        return None
    p, majority = shares(logits)
    small = without(p, majority)
    left = small.sum(1, keepdim=True)  # by the majority
    if not bool(left.isfinite().all()):
        return None
    not_p = (1 - small).sub_(majority).addcmul_(majority, left)
    classes = torch.arange(p.shape[1], dtype=p.dtype, device=p.device)
    hot = torch.eq(label.to(p.dtype).unsqueeze(1), classes, out=torch.empty_like(p))  # in one dtype: far quicker
    yes = hot.mul_(weight)
    no = weight - yes

    def back(*upstream: Tensor | None) -> Tensor:
        tp, fp, fn, tn = (0.0 if u is None else u for u in upstream)
        rises = (yes * torch.as_tensor(tp - fn).to(p)).addcmul_(no, torch.as_tensor(fp - tn).to(p))
        # Relative to what the majority's would be: its share of the mean is nearly 1.
        rises.sub_((rises * majority).sum(1, keepdim=True))
        return balanced(rises.sub_((rises * small).sum(1, keepdim=True)).mul_(small), majority)

    return _sums(p, not_p, yes, no), back


class SoftF1Loss(ConfusionLoss):
    """One minus the F1 score of probabilities: trains what a metric will ask for, at the cost of calibration.

    Of certain predictions it is the F1 score itself. With "micro" and the softmax link it is the mean absolute error.

    Args:
        average: "macro" or "micro", over classes or labels.

    Formula: 1 - 2 TP / (2 TP + FP + FN), TP = sum p t, FP = sum p (1 - t), FN = sum (1 - p) t. Source: Eban et al.
    2017, arXiv:1608.04802 (F measure); Bénédict et al. 2022, arXiv:2108.10566, unthresholded F1.

    >>> import torch, whyloss
    >>> whyloss.SoftF1Loss(link="sigmoid")(torch.tensor([0.0, 0.0]), torch.tensor([1, 0]))
    tensor(0.5000)
    """

    source = "Bénédict et al. 2022, arXiv:2108.10566, unthresholded F1"
    short = ("soft-f1", "f1")
    equation = "1 - 2 TP / (2 TP + FP + FN), of probabilities"
    bounded = True

    def of_shares(self, shares: Shares) -> Tensor:
        tp, fp, fn, _ = shares
        present = tp + fn > 0
        wrong = fp + fn
        return torch.where(present, wrong / torch.where(present, 2 * tp + wrong, 1.0), fp)


class SoftMCCLoss(ConfusionLoss):
    """One minus Matthews' correlation of probabilities with labels: all four cells of the confusion matrix count.

    In [0, 2]; 1 is no better than chance. Of certain predictions it is the coefficient itself. "micro" with the softmax
    link is the multi-class coefficient R_K (Gorodkin 2004).

    Args:
        average: "macro" or "micro", over classes or labels.

    Formula: 1 - (TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN)). Source: Abhishek & Hamarneh 2021,
    arXiv:2010.13454, MCC loss; Gorodkin 2004, R_K.

    >>> import torch, whyloss
    >>> whyloss.SoftMCCLoss(link="sigmoid")(torch.tensor([2.0, -2.0]), torch.tensor([1, 0]))
    tensor(0.2384)
    """

    source = "Abhishek & Hamarneh 2021, arXiv:2010.13454, MCC loss"
    short = ("soft-mcc", "mcc")
    equation = "1 - (TP TN - FP FN) / sqrt((TP+FP)(TP+FN)(TN+FP)(TN+FN)), of probabilities"
    bounded = True

    def of_shares(self, shares: Shares) -> Tensor:
        tp, fp, fn, tn = shares
        both, (right, wrong) = (tp + fn > 0) & (fp + tn > 0), (tp * tn, fp * fn)
        # What is under the root is (right + wrong + u) (right + wrong + v); 1 - x is put together from what is small.
        u, v, covariance = tp * fn + tn * fp, tp * fp + tn * fn, right - wrong
        product = (right + wrong + u) * (right + wrong + v)
        some = both & (product > 0)
        root = torch.where(some, product, 1.0).sqrt()
        missing = 4 * right * wrong + (right + wrong) * (u + v) + u * v
        ahead = some & (covariance > 0)
        near = missing / (root * (root + torch.where(ahead, covariance, 1.0)))
        return torch.where(both, torch.where(ahead, near, 1 - torch.where(some, covariance, 0.0) / root), fp + fn)

    def micro(self, shares: Shares) -> Tensor:
        if self.link == "sigmoid":
            return super().micro(shares)
        tp, fp, fn, _ = shares
        predicted, held, wrong = tp + fp, tp + fn, fn.sum()
        rest_held = (held * (1 - held)).sum()  # 1 - sum of squares, for shares that sum to 1
        product = (predicted * (1 - predicted)).sum() * rest_held
        some = product > 0
        covariance = rest_held - wrong + (held * (held - predicted)).sum()
        correlation = torch.where(some, covariance, 0.0) / torch.where(some, product, 1.0).sqrt()
        return torch.where(rest_held > 0, 1 - correlation, wrong)

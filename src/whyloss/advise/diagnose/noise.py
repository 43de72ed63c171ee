"""How many labels are wrong, which class is written as which, and whether that can be told from overlap at all.

Cross-validated error has two sources that a confident joint cannot tell apart: wrong labels, and classes that
overlap. What tells them apart is how the error changes with confidence. Where classes overlap, a model is right where
it is sure, so the error fades. Labels that were changed without regard to the features are as often wrong where the
model is surest as elsewhere, so the error stays level. We compare, inside each predicted class, the surest third of
the rows with the next third. Knows probabilities and labels; nothing of features."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from cleanlab.count import compute_confident_joint, estimate_joint
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

from whyloss.advise.diagnose.case import Bools, Case, Floats, Ints, share

LEVEL = 0.75  # the next third must keep this much of the surest third's skill for the error to count as level
ONE_SIDED = 1.645  # 95 % in one direction


@dataclass(frozen=True)
class Noise:
    """What the labels of one data set look like."""

    error: float  # of the argmax, out of fold, against the given labels
    joint: float  # rate by the confident joint, which counts overlap as noise
    estimate: float
    interval: tuple[float, float]
    trusted: bool  # the error is level: wrong labels, and not overlap
    skilled: bool  # where it is surest, the model knows the classes
    third: Ints  # 0 for the surest third inside the predicted class, 1, 2
    errors: tuple[float, float, float]  # error of each third
    matrix: Floats  # (C, C), P(given label | true class)
    matrix_trusted: bool
    flagged: Ints  # rows with suspect labels, worst first
    suggested: Ints  # (N,), the class both models find likeliest


def estimate_noise(case: Case) -> Noise:
    count = case.log_p.shape[1]
    guess = case.blend.argmax(1)
    third = _thirds(guess, case.blend.max(1))
    missed = guess != case.label
    error = float(case.wrong.mean())
    errors = [float(missed[third == part].mean()) if (third == part).any() else error for part in range(3)]
    joint, joint_matrix, flagged = _confident_learning(case)

    skilled, level = _level(guess, case.label, third, count)
    sure, both = third == 0, third < 2
    low, high = share(int(missed[sure].sum()), int(sure.sum()))
    many = errors[0] >= 0.35 * error and low >= max(0.25 * error, 0.005)
    # Equal rows with different labels are overlap; where most rows have a twin, it may explain everything.
    twins = len(np.unique(case.duplicates.group)) < case.rows / 2 and 1 - case.duplicates.ceiling > errors[0] / 2
    trusted = skilled and level and many and not twins

    if trusted:
        # What the model gets wrong where it is sure is still in this figure: it errs upwards rather than downwards.
        low_both, high_both = share(int(missed[both].sum()), int(both.sum()))
        estimate = min(errors[0], float(missed[both].mean()))
        interval = (min(low, low_both), max(estimate, min(high, high_both)))
    else:
        estimate, interval = min(joint, errors[0], error), (0.0, error)

    anchors = np.zeros((count, count))
    np.add.at(anchors, (guess[both], case.label[both]), 1)
    rows = anchors.sum(1, keepdims=True)
    # Thirty imagined rows from the confident joint steady a class of which few rows are sure.
    matrix = (anchors + 30 * joint_matrix) / (rows + 30)
    dominant = bool((np.diag(matrix) > matrix - np.eye(count)).all(1).all())
    near = float(
        np.abs(np.diag(anchors / np.maximum(rows, 1)) - np.diag(joint_matrix))[rows[:, 0] > 0].max(initial=0.0)
    )
    return Noise(
        error=error,
        joint=joint,
        estimate=estimate,
        interval=interval,
        trusted=trusted,
        skilled=skilled,
        third=third,
        errors=(errors[0], errors[1], errors[2]),
        matrix=matrix,
        matrix_trusted=trusted and dominant and near < 0.2 and int(rows.min()) >= 20,
        flagged=flagged,
        suggested=guess,
    )


def _thirds(guess: Ints, confidence: Floats) -> Ints:
    """Thirds by confidence inside each predicted class, so that noise of one class alone shows as well."""
    third = np.zeros(len(guess), dtype=np.int64)
    for code in np.unique(guess):
        rows = np.flatnonzero(guess == code)
        third[rows[np.argsort(-confidence[rows], kind="stable")]] = np.arange(len(rows)) * 3 // len(rows)
    return third


def _level(guess: Ints, label: Ints, third: Ints, count: int) -> tuple[bool, bool]:
    """(Does the model know the classes where it is surest?, does it know them as well in the next third?)

    Skill in a class is the share of its label among rows predicted as it, less that among all other rows."""
    skill, variance = np.zeros((2, count)), np.zeros((2, count))
    enough = np.zeros(count, dtype=bool)
    for code in range(count):
        sizes: list[int] = []
        for part in range(2):
            for sign, rows in ((1, guess == code), (-1, guess != code)):
                hits = label[rows & (third == part)] == code
                sizes.append(len(hits))
                mean = (hits.sum() + 0.5) / (len(hits) + 1)
                skill[part, code] += sign * (hits.mean() if len(hits) else 0.0)
                variance[part, code] += mean * (1 - mean) / max(len(hits), 1)
        enough[code] = min(sizes) >= 10
    if not enough.any():
        return False, False
    top, middle = skill[:, enough].mean(1)
    top_variance, middle_variance = variance[:, enough].mean(1) / enough.sum()
    skilled = top - ONE_SIDED * np.sqrt(top_variance) > 0.1
    spread = np.sqrt(middle_variance + LEVEL**2 * top_variance)
    return bool(skilled), bool(middle - LEVEL * top - ONE_SIDED * spread > 0)


def _confident_learning(case: Case) -> tuple[float, Floats, Ints]:
    """Rate, P(given | true) and suspect rows by confident learning, on the classes that occur."""
    count = case.log_p.shape[1]
    matrix = np.eye(count)
    present, label = np.unique(case.label, return_inverse=True)
    if len(present) < 2:
        return 0.0, matrix, np.zeros(0, dtype=np.int64)
    p = case.p[:, present] / case.p[:, present].sum(1, keepdims=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counts: Any = compute_confident_joint(label, p, calibrate=True)
        joint = np.asarray(estimate_joint(label, p, confident_joint=counts))
        flags: Bools = np.asarray(find_label_issues(label, p, confident_joint=counts, n_jobs=1))
    columns = joint.sum(0)
    found = np.where(columns > 0, joint / np.maximum(columns, 1e-12), np.eye(len(present))).T
    matrix[np.ix_(present, present)] = found
    margin = np.asarray(get_label_quality_scores(label, p, method="normalized_margin"))
    flagged = np.flatnonzero(flags)
    return float(1 - np.trace(joint)), matrix, flagged[np.argsort(margin[flagged], kind="stable")]

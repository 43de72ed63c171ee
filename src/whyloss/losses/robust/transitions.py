"""Matrices of the rates at which labels go wrong, for the corrections: made from what is known, or estimated.

Entry (i, j) is the rate at which true class i is labelled j; rows sum to 1."""

from collections.abc import Mapping

import torch
from torch import Tensor


def symmetric_transition(classes: int, rate: float) -> Tensor:
    """Labels that are wrong at one rate, and then any of the others equally often.

    >>> symmetric_transition(3, 0.2)
    tensor([[0.8000, 0.1000, 0.1000],
            [0.1000, 0.8000, 0.1000],
            [0.1000, 0.1000, 0.8000]])
    """
    _check(classes, rate)
    off = rate / (classes - 1)
    return torch.full((classes, classes), off).fill_diagonal_(1 - rate)


def pair_transition(classes: int, rate: float, pairs: Mapping[int, int] | None = None) -> Tensor:
    """Labels that are wrong at one rate, and then always the same other one.

    Args:
        classes: how many.
        rate: in [0, 1], at which the classes of `pairs` are mistaken; the others never are.
        pairs: true class -> what it is mistaken for. None: each for the next, the last for the first.

    >>> pair_transition(3, 0.25, {2: 0})
    tensor([[1.0000, 0.0000, 0.0000],
            [0.0000, 1.0000, 0.0000],
            [0.2500, 0.0000, 0.7500]])
    """
    _check(classes, rate)
    found = {i: (i + 1) % classes for i in range(classes)} if pairs is None else dict(pairs)
    T = torch.eye(classes)
    for true, given in found.items():
        if not (0 <= true < classes and 0 <= given < classes):
            raise ValueError(f"pair_transition: {true} -> {given} but classes are 0 to {classes - 1}.")
        if true == given:
            raise ValueError(f"pair_transition: {true} -> {given} mistakes a class for itself.")
        T[true, true] -= rate
        T[true, given] += rate
    return T


def anchor_transition(probabilities: Tensor, quantile: float | None = 0.97) -> Tensor:
    """The transition matrix read off the samples that a model trained on noisy labels is surest of: if a sample is
    certainly of class i, what the model expects its label to be is row i.

    Patrini et al. 2017, arXiv:1609.03683, eqs. 12 and 13.

    Args:
        probabilities: [N, C] of given labels, from a model trained with cross-entropy, better not on these rows.
        quantile: of p_i, at which the anchor of class i is taken; None takes the largest, as the equation has it. The
            paper uses 0.97 where outliers may be the surest.

    >>> import math
    >>> anchor_transition(torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7]]), quantile=None)
    tensor([[0.9000, 0.1000],
            [0.3000, 0.7000]])
    """
    p = _probabilities("anchor_transition", probabilities)
    if quantile is not None and not 0 <= quantile <= 1:
        raise ValueError(f"anchor_transition: 0 <= quantile <= 1 is needed, got {quantile}.")
    rank = round((1.0 if quantile is None else quantile) * (len(p) - 1))
    anchors = p.argsort(0)[rank]  # of each class, the sample at this rank
    return p[anchors]


def confident_joint(probabilities: Tensor, labels: Tensor) -> Tensor:
    """[C, C] counts of (given label, believed true class): a sample counts as class j if p_j is at least the mean of
    p_j over the samples labelled j; if several are, as the likeliest of them; if none is, not at all.

    Northcutt et al. 2021, arXiv:1911.00068, eqs. 1 and 2.

    >>> p = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.85, 0.15]])
    >>> confident_joint(p, torch.tensor([0, 0, 1, 1]))
    tensor([[1, 0],
            [1, 1]])
    """
    p, labels = _labelled("confident_joint", probabilities, labels)
    classes = p.shape[1]
    counts = torch.bincount(labels, minlength=classes)
    own = p.gather(1, labels[:, None])[:, 0]
    sums = torch.zeros(classes, dtype=p.dtype, device=p.device).index_add_(0, labels, own)
    means = torch.where(counts > 0, sums / counts.clamp_min(1), torch.inf)  # never given, never believed
    believed = torch.where(p >= means, p, -1.0)
    value, true = believed.max(1)
    place = (labels * classes + true)[value >= 0]
    return torch.bincount(place, minlength=classes * classes).reshape(classes, classes)


def confident_transition(probabilities: Tensor, labels: Tensor) -> Tensor:
    """The transition matrix from the confident joint, each given label's counts scaled to how often it is given.

    Northcutt et al. 2021, arXiv:1911.00068, eq. 3. A class that no sample is believed to be is taken to be labelled
    right.

    Args:
        probabilities: [N, C], from a model that has not been trained on these rows (by cross-validation).
        labels: [N], as given.

    >>> p = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.85, 0.15]])
    >>> confident_transition(p, torch.tensor([0, 0, 1, 1]))
    tensor([[0.6667, 0.3333],
            [0.0000, 1.0000]])
    """
    joint = confident_joint(probabilities, labels).to(probabilities.dtype)
    given = torch.bincount(labels.long(), minlength=len(joint)).to(joint.dtype)
    sure = joint.sum(1)
    some = sure > 0
    # A given label of which no sample is confident is believed as given.
    scaled = torch.where(some[:, None], joint / torch.where(some, sure, 1)[:, None], torch.eye(len(joint)).to(joint))
    of_true = (scaled * given[:, None]).T
    total = of_true.sum(1, keepdim=True)
    return torch.where(total > 0, of_true / torch.where(total > 0, total, 1), torch.eye(len(joint)).to(joint))


def _check(classes: int, rate: float) -> None:
    if classes < 2:
        raise ValueError(f"A transition matrix needs at least two classes, got {classes}.")
    if not 0 <= rate <= 1:
        raise ValueError(f"0 <= rate <= 1 is needed, got {rate}. A percentage? Divide by 100.")


def _probabilities(name: str, p: Tensor) -> Tensor:
    if p.ndim != 2 or not p.is_floating_point() or not len(p):
        raise ValueError(f"{name}: probabilities [N, C] with N > 0 are needed, got {tuple(p.shape)} of {p.dtype}.")
    if not bool(((p >= 0).all(1) & ((p.sum(1) - 1).abs() < 1e-3)).all()):
        raise ValueError(f"{name}: probabilities must be >= 0, each row's sum 1. Logits? Pass logits.softmax(1).")
    return p


def _labelled(name: str, p: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    p = _probabilities(name, p)
    if labels.shape != p.shape[:1] or labels.is_floating_point():
        raise ValueError(f"{name}: one integer label for each of {len(p)} rows is needed, got {tuple(labels.shape)}.")
    labels = labels.long()
    if bool(((labels < 0) | (labels >= p.shape[1])).any()):
        raise ValueError(f"{name}: labels must be classes, 0 to {p.shape[1] - 1}. Leave ignored rows out beforehand.")
    return p, labels

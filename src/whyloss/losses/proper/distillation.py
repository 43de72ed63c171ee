"""Learning from a teacher: the target is another model's logits, or its probabilities.

A target of integers, as other losses take it, is a teacher that is certain. With the sigmoid link the teacher's logits
or probabilities are those of each yes."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from whyloss.losses import targets
from whyloss.losses.whole import Whole, WholeRowLoss
from whyloss.stats.each import log_shares, log_softmax, others, softmax_and_rest
from whyloss.stats.exact import HUGE


class _Distillation(WholeRowLoss):
    """Brings the teacher to the temperature and hands it to `losses` as a target distribution."""

    temperature: float = 1.0
    teacher: Literal["logits", "probabilities"] = "logits"

    def check(self) -> None:
        super().check()
        self.require(self.temperature > 0, "temperature > 0", self.temperature)
        kinds = ("logits", "probabilities")
        self.require(self.teacher in kinds, f"teacher in {kinds}", self.teacher)

    def enter(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None, reads: Mapping[str, Tensor]) -> Whole:
        if not target.is_floating_point() or target.shape != logits.shape:
            return super().enter(logits, target, sample_weight, reads)  # labels, or a mistake
        binary, axis = self.link == "sigmoid", min(1, logits.ndim - 1)
        teacher = target.to(torch.promote_types(target.dtype, torch.float32))
        ignored = teacher == self.ignore_index
        ignored = ignored if binary else ignored.all(axis, keepdim=True)
        q = self._shares(torch.where(ignored, 0.0, teacher), axis)
        shares = torch.where(ignored, teacher, q.select(-1, 1) if binary else q)
        entered = super().enter(logits, shares, sample_weight, reads)
        if binary and not self.label_smoothing:
            entered.target = q.reshape(-1, 2).to(entered.z.dtype)  # both shares exactly, however near to 0
        return entered

    def _shares(self, teacher: Tensor, axis: int) -> Tensor:
        """The teacher's probabilities at the temperature; with the sigmoid link those of no and yes, on a last axis."""
        if self.link == "sigmoid":
            odds = targets.pairs(teacher) if self.teacher == "logits" else torch.stack([1 - teacher, teacher], -1)
            teacher, axis = odds, -1
        if self.teacher == "logits":
            return torch.softmax(teacher / self.temperature, axis)
        if self.temperature == 1:
            return teacher
        some = teacher > 0
        power = torch.where(some, torch.where(some, teacher, 1.0) ** (1 / self.temperature), 0.0)
        return power / power.sum(axis, keepdim=True)


class DistillationLoss(_Distillation):
    """The student learns the teacher's probabilities, softened by a temperature so that what the teacher thinks of
    wrong classes counts too.

    The square of the temperature keeps the size of the gradient, whatever the temperature. An ignored row is one whose
    target is `ignore_index` throughout, or whose `sample_weight` is 0.

    Args:
        temperature: > 0; high ones make the student match differences of logits.
        teacher: whether the target holds the teacher's "logits" or its "probabilities".

    Formula: T^2 KL(q, p) with p = softmax(z / T), q = softmax(teacher / T).
    Source: Hinton, Vinyals & Dean 2015, arXiv:1503.02531, section 2.

    >>> import torch, whyloss
    >>> student, teacher = torch.zeros(1, 2), torch.tensor([[2.0, 0.0]])
    >>> whyloss.DistillationLoss(temperature=1.0)(student, teacher)
    tensor(0.3278)
    """

    temperature: float = 2.0
    source = "Hinton, Vinyals & Dean 2015, arXiv:1503.02531, section 2"
    short = ("distillation", "kd")
    equation = "T^2 KL(softmax(teacher / T), softmax(z / T))"
    proper = None
    bounded = False
    symmetric = False
    convex = True

    def losses(self, logits: Tensor, target: Tensor, **reads: Tensor) -> Tensor:
        log_p = log_softmax(logits / self.temperature)
        return self.temperature**2 * _divergence(target, log_p).sum(1)


class LabelledDistillationLoss(DistillationLoss):
    """Distillation beside cross-entropy with the true labels, at temperature 1.

    The call takes `labels` besides the teacher: `loss(student, teacher, labels=y)`. A label equal to `ignore_index`
    leaves its row to the teacher alone.

    Args:
        temperature: > 0.
        teacher: whether the target holds the teacher's "logits" or its "probabilities".
        share: in [0, 1], of the teacher; the labels get the rest. The paper found a small share of labels best.

    Formula: share T^2 KL(q, p) - (1 - share) log softmax(z)_y. Source: Hinton, Vinyals & Dean 2015, arXiv:1503.02531,
    section 2.

    >>> import torch, whyloss
    >>> student, teacher = torch.zeros(1, 2), torch.tensor([[2.0, 0.0]])
    >>> loss = whyloss.LabelledDistillationLoss(temperature=1.0, share=0.5)
    >>> loss(student, teacher, labels=torch.tensor([0]))
    tensor(0.5105)
    """

    share: float = 0.9
    source = "Hinton, Vinyals & Dean 2015, arXiv:1503.02531, section 2"
    short = ("labelled-distillation",)
    equation = "share T^2 KL(softmax(teacher / T), softmax(z / T)) - (1 - share) log p_y"
    reads = ("labels",)

    def check(self) -> None:
        super().check()
        self.require(0 <= self.share <= 1, "0 <= share <= 1", self.share)

    def losses(self, logits: Tensor, target: Tensor, **reads: Tensor) -> Tensor:
        labels = reads["labels"].long()
        known = labels != self.ignore_index
        y = torch.where(known, labels, 0).unsqueeze(1)
        log_p = log_softmax(logits).gather(1, y).squeeze(1)
        hard = torch.where(known, torch.where(log_p <= -HUGE, torch.inf, -log_p), 0.0)
        return self.share * super().losses(logits, target) + (1 - self.share) * hard


class JensenShannonDistillationLoss(_Distillation):
    """A bounded distillation: both models against their mixture, so a teacher that is certain and wrong costs little.

    Args:
        temperature: > 0.
        teacher: whether the target holds the teacher's "logits" or its "probabilities".
        beta: in (0, 1), the teacher's share of the mixture; near 0 in the direction of KL(q, p), near 1 of KL(p, q).

    Formula: beta KL(q, m) + (1 - beta) KL(p, m) with m = beta q + (1 - beta) p.
    Source: Agarwal et al. 2024, arXiv:2306.13649, eq. 1.

    >>> import torch, whyloss
    >>> whyloss.JensenShannonDistillationLoss()(torch.zeros(1, 2), torch.tensor([[200.0, 0.0]]))
    tensor(0.2158)
    """

    beta: float = 0.5
    source = "Agarwal et al. 2024, arXiv:2306.13649, eq. 1"
    short = ("jsd-distillation",)
    equation = "beta KL(q, m) + (1 - beta) KL(p, m), m = beta q + (1 - beta) p"
    proper = None
    bounded = True
    symmetric = False
    convex = False

    def check(self) -> None:
        super().check()
        self.require(0 < self.beta < 1, "0 < beta < 1", self.beta)

    def losses(self, logits: Tensor, target: Tensor, **reads: Tensor) -> Tensor:
        p = torch.exp(log_softmax(logits / self.temperature))
        log_m = log_shares(self.beta * target + (1 - self.beta) * p)
        return (self.beta * _divergence(target, log_m) + (1 - self.beta) * _divergence(p, log_m)).sum(1)


class TotalVariationDistillationLoss(_Distillation):
    """Half the absolute distance between the two models' probabilities: bounded, and deaf to the size of the tails.

    Args:
        temperature: > 0.
        teacher: whether the target holds the teacher's "logits" or its "probabilities".

    Formula: 1/2 sum_j |p_j - q_j|. Source: Wen et al. 2023, arXiv:2307.15190, section 3.

    >>> import torch, whyloss
    >>> whyloss.TotalVariationDistillationLoss()(torch.zeros(1, 2), torch.tensor([[200.0, 0.0]]))
    tensor(0.5000)
    """

    source = "Wen et al. 2023, arXiv:2307.15190, section 3"
    short = ("tvd-distillation",)
    equation = "1/2 sum_j |p_j - q_j|"
    proper = None
    bounded = True
    symmetric = True
    convex = False

    def losses(self, logits: Tensor, target: Tensor, **reads: Tensor) -> Tensor:
        p, rest = softmax_and_rest((logits / self.temperature).clamp_min(-HUGE))
        # Of two shares near 1 the difference is that of what they leave for the others.
        apart = torch.where((p > 0.5) & (target > 0.5), others(target) - rest, p - target)
        return apart.abs().sum(1) / 2


def _divergence(q: Tensor, log_p: Tensor) -> Tensor:
    """[N, C] the terms q log(q / p) of a divergence; 0 where q is."""
    some = q > 0
    term = torch.where(some, q, 1.0) * (log_shares(q) - torch.where(some, log_p, 0.0))
    return torch.where(some, torch.where(log_p <= -HUGE, torch.inf, term), 0.0)

"""Labels of which only some were looked at: what nobody said no to may be a yes."""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from whyloss.losses.batch import BatchLoss
from whyloss.losses.loss import LabelledLoss, Link
from whyloss.losses.multilabel.asymmetric import AsymmetricLoss
from whyloss.losses.reduction import reduced


class SelectivePartialLoss(LabelledLoss):
    """Asymmetric loss for partly annotated labels: what was not annotated is a no, unless it is likely to be a yes.

    Not annotated are the targets that equal `unannotated`. Of these, the sample's `top` most probable labels (by the
    model itself; the authors' code takes `top` times N of the whole batch) and the labels with a prior above
    `max_prior` count for nothing; the others are noes with a focus of their own. `ignore_index` still takes an entry
    out for good.

    Args:
        gamma_positive: >= 0, focus of the yeses.
        gamma_negative: >= 0, focus of the noes that were said.
        clip: in [0, 1), the probability below which a no is free.
        unannotated: the target's value for what was not annotated.
        gamma_unannotated: >= 0, focus of the noes that nobody said.
        top: >= 0, how many of a sample's most probable unannotated labels are left out.
        priors: [L] share of the samples that have each label, or None: all are taken for rare.
        max_prior: in [0, 1]; labels with a larger prior are left out where they are unannotated.

    Shapes: logits and targets [N, L, ...] or [L].

    Formula: that of `AsymmetricLoss`, unannotated: -p_m^g_u log(1 - p_m), or 0. Source: Ben-Baruch et al. 2021,
    arXiv:2110.10955, eqs. 6-8.

    >>> import torch, whyloss
    >>> loss = whyloss.SelectivePartialLoss(top=1, clip=0.0, gamma_negative=0.0, gamma_unannotated=0.0)
    >>> loss(torch.tensor([[0.0, 5.0, -5.0]]), torch.tensor([[1, -1, -1]]))
    tensor(0.3499)
    """

    link: Link = "sigmoid"
    gamma_positive: float = 0.0
    gamma_negative: float = 4.0
    clip: float = 0.05
    unannotated: int = -1
    gamma_unannotated: float = 4.0
    top: int = 5
    priors: Tensor | None = None
    max_prior: float = 0.05
    source = "Ben-Baruch et al. 2021, arXiv:2110.10955, eqs. 6-8"
    short = ("selective", "p-asl")
    equation = "as AsymmetricLoss; unannotated: -p_m^g_u log(1 - p_m), or 0 where a yes is likely"
    links = ("sigmoid",)

    def check(self) -> None:
        super().check()
        self.require(self.gamma_unannotated >= 0, "gamma_unannotated >= 0", self.gamma_unannotated)
        self.require(self.top >= 0, "top >= 0", self.top)
        self.require(0 <= self.max_prior <= 1, "0 <= max_prior <= 1", self.max_prior)
        taken = (0, 1, self.ignore_index)
        self.require(self.unannotated not in taken, f"unannotated other than {taken}", self.unannotated)

    def compose(self) -> None:
        options: dict[str, Any] = {name: getattr(self, name) for name in LabelledLoss.fields()}
        options |= {"gamma_positive": self.gamma_positive, "clip": self.clip}
        self.said = AsymmetricLoss(**options, gamma_negative=self.gamma_negative)
        self.unsaid = AsymmetricLoss(**options, gamma_negative=self.gamma_unannotated)

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
    ) -> Tensor:
        losses, weights = self.each(logits, target, sample_weight)
        return reduced(losses, weights, self.reduction, normalizer, self.empty)

    def each(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(weighted loss, weight) of each entry, whatever the reduction; both 0 for entries that are left out."""
        annotated, implied = self._split(logits, target)
        said, weight = self.said.each(logits, annotated, sample_weight)
        unsaid, other = self.unsaid.each(logits, implied, sample_weight)
        return said + unsaid, weight + other

    def parts(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(sum of the weighted losses, sum of the weights): add both over ranks or accumulation steps, divide once."""
        losses, weights = self.each(logits, target, sample_weight)
        return losses.sum(), weights.sum()

    def _split(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The targets of what was annotated, and of what is taken for a no; the others ignored in each."""
        if target.shape != logits.shape:
            raise ValueError(
                f"{type(self).__name__}: logits {tuple(logits.shape)} and target {tuple(target.shape)} must agree."
            )
        open_ = target == self.unannotated
        left_out = torch.zeros_like(open_)
        axis = min(1, logits.ndim - 1)
        if self.priors is not None:
            frequent = self.priors.to(logits.device) > self.max_prior
            left_out = left_out | frequent.reshape(-1, *[1] * (logits.ndim - 1 - axis))
        if self.top and logits.ndim:
            ranked = torch.where(open_, logits.detach(), -torch.inf)
            best = ranked.topk(min(self.top, logits.shape[axis]), axis).indices
            left_out = left_out | torch.zeros_like(open_).scatter(axis, best, True)
        ignored = torch.full_like(target, self.ignore_index)
        annotated = torch.where(open_, ignored, target)
        return annotated, torch.where(open_ & ~left_out, torch.zeros_like(target), ignored)


class PositiveUnlabelledLoss(BatchLoss):
    """Some positives are labelled, everything else is unlabelled: the risk of a classifier of positives and negatives,
    estimated with the share of positives.

    The risk of negatives is that of the unlabelled less that of the positives among them; on a finite sample it can
    fall below 0, and a flexible model will overfit there. `nonnegative` steps back where it does.

    Args:
        prior: in (0, 1), the share of positives among the unlabelled.
        surrogate: "sigmoid", the paper's sigmoid(-m) of the margin m, or "logistic", log(1 + exp(-m)).
        nonnegative: whether the negative risk may not fall below -beta (nnPU), or may (uPU).
        beta: >= 0, how far it may fall.
        gamma: in [0, 1], how large the step back is.

    Shapes: logits [N, ...] with targets of the same shape, 1 where labelled positive and 0 where unlabelled. The value
    is the mean over the columns of the risk of each.

    Formula: pi E_P l(z) + max(-beta, E_U l(-z) - pi E_P l(-z)). Source: Kiryo et al. 2017, arXiv:1703.00593, eq. 6 and
    algorithm 1 (nnPU); du Plessis et al. 2015, ICML, eq. 2 (uPU).

    >>> import torch, whyloss
    >>> whyloss.PositiveUnlabelledLoss(prior=0.4)(torch.zeros(4), torch.tensor([1, 0, 0, 0]))
    tensor(0.5000)
    """

    link: Link = "sigmoid"
    prior: float
    surrogate: Literal["sigmoid", "logistic"] = "sigmoid"
    nonnegative: bool = True
    beta: float = 0.0
    gamma: float = 1.0
    source = "Kiryo et al. 2017, arXiv:1703.00593, eq. 6"
    short = ("nnpu", "upu", "pu")
    equation = "pi E_P l(z) + max(-beta, E_U l(-z) - pi E_P l(-z))"
    steered = True
    links = ("sigmoid",)

    def check(self) -> None:
        super().check()
        self.require(0 < self.prior < 1, "0 < prior < 1", self.prior)
        self.require(self.surrogate in ("sigmoid", "logistic"), "surrogate 'sigmoid' or 'logistic'", self.surrogate)
        self.require(self.beta >= 0, "beta >= 0", self.beta)
        self.require(0 <= self.gamma <= 1, "0 <= gamma <= 1", self.gamma)

    def value(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        labelled, unlabelled = weight * target, weight * (1 - target)
        positive = self.prior * _mean(self._cost(logits), labelled)
        negative = _mean(self._cost(-logits), unlabelled) - self.prior * _mean(self._cost(-logits), labelled)
        if self.nonnegative:
            # Below -beta the value is that of the bound, and the only slope is the step back up.
            back = -self.gamma * negative
            bound = back - back.detach() - self.beta
            stepped = positive.detach() + bound
            return torch.where(negative < -self.beta, stepped, positive + negative).mean()
        return (positive + negative).mean()

    def _cost(self, margin: Tensor) -> Tensor:
        return torch.sigmoid(-margin) if self.surrogate == "sigmoid" else softplus(-margin)


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    """[L] weighted means of the columns, 0 where nothing counts."""
    total = weight.sum(0)
    return (x * weight).sum(0) / torch.where(total > 0, total, 1.0)

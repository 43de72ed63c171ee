"""Cross-entropy with soft labels that know the order of the classes: a near miss is nearly right.

What the label shares with its neighbours is a table (soft_targets.py), so these are as fast as cross-entropy with label
smoothing. Where classes are masked, their share goes to those that remain, in proportion."""

import torch
from torch import Tensor

from whyloss.losses.loss import RowLoss
from whyloss.losses.relations.soft_targets import (
    beta_targets,
    binomial_targets,
    distance_targets,
    poisson_targets,
    triangular_targets,
)
from whyloss.stats.majority import MANY
from whyloss.stats.soft import cross_entropies


class SoftLabelLoss(RowLoss):
    """A loss with a soft label for each label. Subclass it and write `soft_labels`."""

    links = ("softmax",)
    proper = False
    bounded = False
    symmetric = False
    convex = True
    soft_labelled = True
    closed_from = MANY

    def soft_labels(self) -> Tensor:
        """[C, C], row y is the distribution that stands for the label y."""
        raise NotImplementedError(f"{type(self).__name__} has no soft_labels.")

    def derive(self) -> None:
        super().derive()
        self.derive_buffer("soft", self.soft_labels())

    @property
    def table(self) -> Tensor:
        return self.get_buffer("soft")

    def formula(self, affine_log_p: Tensor, own: Tensor, rest_table: Tensor) -> Tensor:
        return -affine_log_p / (own + rest_table)

    def by_hand(self, logits: Tensor, label: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor] | None:
        table, wanted = self.table, self.engine in ("auto", "dense") and not self.inplace
        if not wanted or len(table) != logits.shape[1] or table.requires_grad:
            return None
        return cross_entropies(logits, table.to(logits.dtype).index_select(0, label), share)


class _OrderedSoftLabelLoss(SoftLabelLoss):
    """A label spread over its neighbours.

    Args:
        classes: >= 2, how many there are.
        eta: in (0, 1], how much of the label is made soft."""

    classes: int
    eta: float = 1.0
    ordered = True

    def check(self) -> None:
        self.require(self.classes >= 2, "classes >= 2", self.classes)
        self.require(0 < self.eta <= 1, "0 < eta <= 1", self.eta)
        super().check()

    def soft_labels(self) -> Tensor:
        return self.eta * self.spread() + (1 - self.eta) * torch.eye(self.classes, dtype=torch.float64)

    def spread(self) -> Tensor:
        raise NotImplementedError


class SORDLoss(_OrderedSoftLabelLoss):
    """Cross-entropy towards a label that fades with the distance: soft ordinal labels.

    The trained probabilities are as wide as the label, so read the class off them, not its certainty.

    Args:
        classes: >= 2, how many there are.
        alpha: > 0, how sharply the label falls with the distance; large: cross-entropy.
        distance_power: > 0, of the distance: 1 absolute, 2 squared.
        eta: in (0, 1], how much of the label is made soft.

    Formula: -sum_j softmax(-alpha |j - y|^power)_j log p_j. Source: Diaz & Marathe 2019, "Soft labels for ordinal
    regression", CVPR.

    >>> import torch, whyloss
    >>> whyloss.SORDLoss(classes=3)(torch.tensor([[0.0, 2.0, 0.0]]), torch.tensor([1]))
    tensor(1.0873)
    """

    alpha: float = 1.0
    distance_power: float = 1.0
    source = "Diaz & Marathe 2019, CVPR"
    short = ("sord",)
    equation = "-sum_j softmax(-alpha |j - y|^power)_j log p_j"

    def check(self) -> None:
        self.require(self.alpha > 0, "alpha > 0", self.alpha)
        self.require(self.distance_power > 0, "distance_power > 0", self.distance_power)
        super().check()

    def spread(self) -> Tensor:
        return distance_targets(self.classes, self.alpha, self.distance_power)


class ExponentialCrossEntropyLoss(_OrderedSoftLabelLoss):
    """Cross-entropy towards a label that falls off exponentially on both sides.

    Args:
        classes: >= 2, how many there are.
        tau: > 0, how far the label reaches; near 0: cross-entropy.
        distance_power: > 0, of the distance; 1 is exponential, 2 a bell.
        eta: in (0, 1], how much of the label is made soft.

    Formula: -sum_j softmax(-|j - y|^power / tau)_j log p_j. Source: Liu et al. 2020, "Unimodal regularized neuron
    stick-breaking for ordinal classification", Neurocomputing 388; Vargas et al. 2023, Information Fusion 93.

    >>> import torch, whyloss
    >>> whyloss.ExponentialCrossEntropyLoss(classes=3)(torch.tensor([[0.0, 2.0, 0.0]]), torch.tensor([1]))
    tensor(1.0873)
    """

    tau: float = 1.0
    distance_power: float = 1.0
    source = "Liu et al. 2020, Neurocomputing 388"
    short = ("exponential-labels",)
    equation = "-sum_j softmax(-|j - y|^power / tau)_j log p_j"

    def check(self) -> None:
        self.require(self.tau > 0, "tau > 0", self.tau)
        self.require(self.distance_power > 0, "distance_power > 0", self.distance_power)
        super().check()

    def spread(self) -> Tensor:
        return distance_targets(self.classes, 1 / self.tau, self.distance_power)


class PoissonCrossEntropyLoss(_OrderedSoftLabelLoss):
    """Cross-entropy towards Poisson-shaped labels: wider for higher classes, with nothing to set.

    Args:
        classes: >= 2, how many there are.
        eta: in (0, 1], how much of the label is made soft.

    Formula: -sum_j Poisson(j; y + 1/2) log p_j, normalised. Source: Liu et al. 2020, "Unimodal regularized neuron
    stick-breaking for ordinal classification", Neurocomputing 388.

    >>> import torch, whyloss
    >>> whyloss.PoissonCrossEntropyLoss(classes=3)(torch.tensor([[0.0, 2.0, 0.0]]), torch.tensor([1]))
    tensor(1.4120)
    """

    source = "Liu et al. 2020, Neurocomputing 388"
    short = ("poisson-labels",)
    equation = "-sum_j Poisson(j; y + 1/2) log p_j, normalised"

    def spread(self) -> Tensor:
        return poisson_targets(self.classes)


class BinomialCrossEntropyLoss(_OrderedSoftLabelLoss):
    """Cross-entropy towards binomial-shaped labels: widest in the middle, with nothing to set.

    Args:
        classes: >= 2, how many there are.
        eta: in (0, 1], how much of the label is made soft.

    Formula: -sum_j Binomial(j; C - 1, (2 y + 1) / (2 C)) log p_j. Source: Liu et al. 2020, "Unimodal regularized neuron
    stick-breaking for ordinal classification", Neurocomputing 388.

    >>> import torch, whyloss
    >>> whyloss.BinomialCrossEntropyLoss(classes=3)(torch.tensor([[0.0, 2.0, 0.0]]), torch.tensor([1]))
    tensor(1.2395)
    """

    source = "Liu et al. 2020, Neurocomputing 388"
    short = ("binomial-labels",)
    equation = "-sum_j Binomial(j; C - 1, (2 y + 1) / (2 C)) log p_j"

    def spread(self) -> Tensor:
        return binomial_targets(self.classes)


class BetaCrossEntropyLoss(_OrderedSoftLabelLoss):
    """Cross-entropy towards beta-shaped labels: one peak, nearly all of it in the label's class and its neighbours.

    The paper tabulates the two parameters for some numbers of classes; here they follow from a rule near that table.

    Args:
        classes: >= 2, how many there are.
        concentration: >= 2; higher is sharper.
        eta: in (0, 1], how much of the label is made soft.

    Formula: -sum_j Beta([j, j + 1] / C; a_y, b_y) log p_j, mean (2 y + 1) / (2 C). Source: Vargas et al. 2022,
    "Unimodal regularisation based on beta distribution for deep ordinal regression", Pattern Recognition 122.

    >>> import torch, whyloss
    >>> whyloss.BetaCrossEntropyLoss(classes=3)(torch.tensor([[0.0, 2.0, 0.0]]), torch.tensor([1]))
    tensor(0.7279)
    """

    concentration: float = 4.0
    source = "Vargas et al. 2022, Pattern Recognition 122"
    short = ("beta-labels",)
    equation = "-sum_j Beta([j, j + 1] / C; a_y, b_y) log p_j"

    def check(self) -> None:
        self.require(self.concentration >= 2, "concentration >= 2", self.concentration)
        super().check()

    def spread(self) -> Tensor:
        return beta_targets(self.classes, self.concentration)


class TriangularCrossEntropyLoss(_OrderedSoftLabelLoss):
    """Cross-entropy towards a label that gives a fixed share to each neighbour and nothing to the rest.

    Args:
        classes: >= 2, how many there are.
        alpha: in (0, 1/3), the share of each neighbour.
        eta: in (0, 1], how much of the label is made soft.

    Formula: -(1 - sum of shares) log p_y - alpha sum_{|j - y| = 1} log p_j. Source: Vargas et al. 2023, "Soft labelling
    based on triangular distributions for ordinal classification", Information Fusion 93.

    >>> import torch, whyloss
    >>> whyloss.TriangularCrossEntropyLoss(classes=3)(torch.tensor([[0.0, 2.0, 0.0]]), torch.tensor([1]))
    tensor(0.4395)
    """

    alpha: float = 0.05
    source = "Vargas et al. 2023, Information Fusion 93"
    short = ("triangular-labels",)
    equation = "-(1 - sum of shares) log p_y - alpha sum_{|j - y| = 1} log p_j"

    def check(self) -> None:
        self.require(0 < self.alpha < 1 / 3, "0 < alpha < 1/3", self.alpha)
        super().check()

    def spread(self) -> Tensor:
        return triangular_targets(self.classes, self.alpha)

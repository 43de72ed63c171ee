"""Soft labels of ordered classes: what share of a label its neighbours get. Row y is the target for the label y.

All of them have one peak, at the label, and rows that sum to 1. Give them to any loss as soft targets (`targets[y]`),
or use the losses in soft_labels.py, which read them as a table."""

import torch
from torch import Tensor


def distance_targets(classes: int, alpha: float = 1.0, power: float = 1.0) -> Tensor:
    """[C, C] softmax of -alpha |i - j|^power: SORD (power 1 or 2), exponential labels (alpha = 1 / tau).

    Source: Diaz & Marathe 2019, "Soft labels for ordinal regression", CVPR; Liu et al. 2020, "Unimodal
    regularized neuron stick-breaking for ordinal classification", Neurocomputing 388.

    >>> import whyloss
    >>> whyloss.distance_targets(3)[1]
    tensor([0.2119, 0.5761, 0.2119], dtype=torch.float64)
    """
    _check("distance_targets", classes)
    if alpha <= 0 or power <= 0:
        raise ValueError(f"distance_targets: alpha > 0 and power > 0 are needed, got {alpha} and {power}.")
    place = torch.arange(classes, dtype=torch.float64)
    return torch.softmax(-alpha * (place.unsqueeze(1) - place).abs() ** power, 1)


def poisson_targets(classes: int) -> Tensor:
    """[C, C] Poisson masses with mean y + 1/2, cut off after the last class.

    Source: Liu et al. 2020, "Unimodal regularized neuron stick-breaking for ordinal classification",
    Neurocomputing 388.

    >>> import whyloss
    >>> whyloss.poisson_targets(3)[0]
    tensor([0.6154, 0.3077, 0.0769], dtype=torch.float64)
    """
    _check("poisson_targets", classes)
    k = torch.arange(classes, dtype=torch.float64)
    return torch.softmax(k * torch.log(k + 0.5).unsqueeze(1) - torch.lgamma(k + 1), 1)


def binomial_targets(classes: int) -> Tensor:
    """[C, C] binomial masses of C - 1 draws with success (2 y + 1) / (2 C): the middle of the label's share of [0, 1].

    Source: Liu et al. 2020, "Unimodal regularized neuron stick-breaking for ordinal classification",
    Neurocomputing 388.

    >>> import whyloss
    >>> whyloss.binomial_targets(3)[1]
    tensor([0.2500, 0.5000, 0.2500], dtype=torch.float64)
    """
    _check("binomial_targets", classes)
    k, n = torch.arange(classes, dtype=torch.float64), classes - 1
    p = ((2 * k + 1) / (2 * classes)).unsqueeze(1)
    choose = torch.lgamma(torch.tensor(classes).double()) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
    return torch.softmax(choose + k * p.log() + (n - k) * torch.log1p(-p), 1)


def beta_targets(classes: int, concentration: float = 4.0) -> Tensor:
    """[C, C] masses of a beta distribution over C equal parts of [0, 1], its mean in the middle of the label's part.

    Args:
        concentration: >= 2, sharpness: a + b is concentration times C. Below 2 the peak would leave the label's part.

    Source: Vargas et al. 2022, "Unimodal regularisation based on beta distribution for deep ordinal regression",
    Pattern Recognition 122. The paper tabulates a and b for few numbers of classes; this is a rule near its table.

    >>> import whyloss
    >>> whyloss.beta_targets(3)[1]
    tensor([0.1221, 0.7558, 0.1221], dtype=torch.float64)
    """
    _check("beta_targets", classes)
    if concentration < 2:
        raise ValueError(f"beta_targets: concentration >= 2 is needed, got {concentration}.")
    mean = (2 * torch.arange(classes, dtype=torch.float64) + 1) / (2 * classes)
    # Gauss-Legendre points inside each part: the densities are smooth there, as a and b are at least 1.
    nodes, weights = _gauss_legendre(64)
    x = (torch.arange(classes).double().unsqueeze(1) + (nodes + 1) / 2) / classes
    a, b = ((m * concentration * classes)[:, None, None] for m in (mean, 1 - mean))
    log_density = (a - 1) * x.log() + (b - 1) * torch.log1p(-x) + weights.log()
    return torch.softmax(torch.logsumexp(log_density, 2), 1)


def triangular_targets(classes: int, alpha: float = 0.05) -> Tensor:
    """[C, C] masses of triangular distributions that reach into the neighbouring classes alone.

    Args:
        alpha: in (0, 1/3), the share that each neighbour gets. In the paper the one neighbour of an end class gets a
            slightly different one.

    Source: Vargas et al. 2023, "Soft labelling based on triangular distributions for ordinal classification",
    Information Fusion 93.

    >>> import whyloss
    >>> whyloss.triangular_targets(3)[1]
    tensor([0.0500, 0.9000, 0.0500], dtype=torch.float64)
    """
    _check("triangular_targets", classes)
    if not 0 < alpha < 1 / 3:
        raise ValueError(f"triangular_targets: 0 < alpha < 1/3 is needed, got {alpha}.")
    beside = alpha * (torch.ones(classes - 1).double().diag(1) + torch.ones(classes - 1).double().diag(-1))
    return beside + (1 - beside.sum(1)).diag()


def _check(name: str, classes: int) -> None:
    if classes < 2:
        raise ValueError(f"{name}: classes >= 2 is needed, got {classes}.")


def _gauss_legendre(count: int) -> tuple[Tensor, Tensor]:
    """Nodes in (-1, 1) and weights, from the eigenvalues of the Jacobi matrix (Golub & Welsch 1969)."""
    k = torch.arange(1, count, dtype=torch.float64)
    beside = k / torch.sqrt(4 * k * k - 1)
    nodes, vectors = torch.linalg.eigh(beside.diag(1) + beside.diag(-1))
    return nodes, 2 * vectors[0] ** 2

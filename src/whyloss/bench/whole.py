"""Losses of a whole row that are no functions of its sums: ordered classes, sparse probabilities, numbers in bins.

Each beside plain torch, written as a user would write it."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from whyloss.losses.continuous import HLGaussLoss
from whyloss.losses.continuous.bins import Bins
from whyloss.losses.proper import Entmax15Loss, EntmaxLoss, SparsemaxLoss
from whyloss.losses.relations import (
    ClassDistanceWeightedCrossEntropyLoss,
    CoralLoss,
    CornLoss,
    SLACELoss,
    SORDLoss,
    SquaredEarthMoverLoss,
    TriangularCrossEntropyLoss,
    WeightedKappaLoss,
)

from .case import Case
from .subject import Plain, Subject

POWER, SHARE, SIGMA = 5.0, 0.05, 0.75
ALPHA = 1.3  # of an entmax without a closed form
BISECTIONS = 60


def _distances(z: Tensor, y: Tensor) -> Tensor:
    return (torch.arange(z.shape[1], device=z.device) - y.unsqueeze(1)).abs().to(z.dtype)


def earth_mover(z: Tensor, y: Tensor) -> Tensor:
    below = F.one_hot(y, z.shape[1]).to(z.dtype).cumsum(1)
    return (F.softmax(z, 1).cumsum(1) - below).square().sum(1).mean()


def class_distance(z: Tensor, y: Tensor) -> Tensor:
    return -(_distances(z, y) ** POWER * torch.log1p(-F.softmax(z, 1))).sum(1).mean()


def sord(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, F.softmax(-_distances(z, y), 1))


def triangular(z: Tensor, y: Tensor) -> Tensor:
    steps = _distances(z, y)
    beside = torch.where(steps == 1, SHARE, 0.0)
    return F.cross_entropy(z, torch.where(steps == 0, 1 - beside.sum(1, keepdim=True), beside))


def slace(z: Tensor, y: Tensor) -> Tensor:
    steps = _distances(z, y)
    nearer = steps.unsqueeze(1) <= steps.unsqueeze(2)
    return -(F.softmax(-steps, 1) * (nearer * F.softmax(z, 1).unsqueeze(1)).sum(2).log()).sum(1).mean()


def coral(z: Tensor, y: Tensor) -> Tensor:
    levels = (torch.arange(z.shape[1], device=z.device) < y.unsqueeze(1)).to(z.dtype)
    return F.binary_cross_entropy_with_logits(z, levels, reduction="none").sum(1).mean()


def corn(z: Tensor, y: Tensor) -> Tensor:
    places = torch.arange(z.shape[1], device=z.device)
    asked = (places <= y.unsqueeze(1)).to(z.dtype)
    levels = (places < y.unsqueeze(1)).to(z.dtype)
    each = F.binary_cross_entropy_with_logits(z, levels, reduction="none")
    return (each * asked).sum() / asked.sum()


def hl_gauss(z: Tensor, v: Tensor) -> Tensor:
    edges = torch.arange(z.shape[1] + 1, device=z.device, dtype=z.dtype) - 0.5
    below = torch.special.ndtr((edges - v.unsqueeze(1)) / SIGMA)
    mass = below.diff(dim=1)
    return F.cross_entropy(z, mass / (below[:, -1:] - below[:, :1]))


def weighted_kappa(z: Tensor, y: Tensor) -> Tensor:
    p, cost = F.softmax(z, 1), _distances(z, torch.arange(z.shape[1], device=z.device)).square()
    chance = F.one_hot(y, z.shape[1]).to(z.dtype).sum(0) @ cost @ p.sum(0)
    return (cost[y] * p).sum() * len(z) / chance


def _entmax(alpha: float) -> Plain:
    """By bisection, as is usual for any alpha."""

    def entmax(z: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            scaled = (alpha - 1) * z
            low = scaled.amax(1, keepdim=True) - 1
            step = torch.ones_like(low)
            for _ in range(BISECTIONS):
                step = step / 2
                middle = low + step
                mass = (scaled - middle).clamp(min=0).pow(1 / (alpha - 1)).sum(1, keepdim=True)
                low = torch.where(mass >= 1, middle, low)
            p = (scaled - low).clamp(min=0).pow(1 / (alpha - 1))
        entropy = (1 - p.pow(alpha).sum(1)) / (alpha * (alpha - 1))
        return ((p * z).sum(1) - z.gather(1, y.unsqueeze(1)).squeeze(1) + entropy).mean()

    return entmax


def _classes(case: Case) -> dict[str, Any]:
    return {"classes": case.shape[1]}


def _unit_bins(case: Case) -> dict[str, Any]:
    return {"bins": Bins.atoms(0, case.shape[1] - 1, case.shape[1]), "sigma": SIGMA}


def _one_less(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Thresholds between classes are one fewer than the classes."""
    return z[:, 1:], y


def _as_number(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return z, y.to(z.dtype)


WHOLE = (
    Subject("earth-mover", ("whole",), SquaredEarthMoverLoss, earth_mover),
    Subject("class-distance", ("whole",), ClassDistanceWeightedCrossEntropyLoss, class_distance),
    Subject("sord", ("whole",), SORDLoss, sord, _classes),
    Subject("triangular", ("whole",), TriangularCrossEntropyLoss, triangular, _classes),
    Subject("slace", ("whole",), SLACELoss, slace),
    Subject("coral", ("whole",), CoralLoss, coral, enters=_one_less),
    Subject("corn", ("whole",), CornLoss, corn, enters=_one_less),
    Subject("hl-gauss", ("whole",), HLGaussLoss, hl_gauss, _unit_bins, enters=_as_number),
    Subject("weighted-kappa", ("whole",), WeightedKappaLoss, weighted_kappa, lambda case: {"log": False}),
    Subject("sparsemax", ("whole",), SparsemaxLoss, _entmax(2.0)),
    Subject("entmax-1.5", ("whole",), Entmax15Loss, _entmax(1.5)),
    Subject("entmax", ("whole",), EntmaxLoss, _entmax(ALPHA), lambda case: {"alpha": ALPHA}),
)

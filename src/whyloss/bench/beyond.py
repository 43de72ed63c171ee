"""Losses that are no function of sums over a row: ordered classes, sparse maps, sets of labels, masks, angles.

The plain forms are what a user would write, with no care for what rounds away; where that is no short expression there
is none."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from whyloss.losses.continuous import Bins, HLGaussLoss, TwoHotLoss
from whyloss.losses.imbalance import PairwiseAUCLoss, SoftMCCLoss
from whyloss.losses.margin import ArcFaceLoss, CosFaceLoss
from whyloss.losses.margin.head import CosineHead
from whyloss.losses.multilabel import MultiLabelSoftMarginLoss, TwoWayLoss, ZLPRLoss
from whyloss.losses.proper import (
    BiTemperedLogisticLoss,
    Entmax15Loss,
    EntmaxLoss,
    JensenShannonConsistencyLoss,
    NormmaxLoss,
    SparsemaxLoss,
)
from whyloss.losses.region import (
    BoundaryLoss,
    CenterlineDiceLoss,
    GeneralizedDiceLoss,
    GeneralizedWassersteinDiceLoss,
    HausdorffDistanceLoss,
    JaccardLoss,
    LovaszSoftmaxLoss,
    NeighborAwareCalibrationLoss,
    TverskyLoss,
)
from whyloss.losses.relations import (
    ClassDistanceWeightedCrossEntropyLoss,
    CoralLoss,
    CornLoss,
    ECOCDistanceLoss,
    SLACELoss,
    SORDLoss,
    SquaredEarthMoverLoss,
    TriangularCrossEntropyLoss,
    WeightedKappaLoss,
)

from .subject import Subject

POWER, T1, T2, FACTOR = 2.0, 0.8, 1.2, 12.0  # of the distance; temperatures; of the disagreement
FALSE_POSITIVES, FALSE_NEGATIVES = 0.3, 0.7  # of Tversky
SCALE, TURN, GAP = 64.0, 0.5, 0.35  # of the cosines
VIEWS = 2


def steps_from(z: Tensor, y: Tensor) -> Tensor:
    """[N, C] how many steps each class is from the label."""
    return (torch.arange(z.shape[1], dtype=z.dtype, device=z.device) - y.unsqueeze(1)).abs()


def hot(z: Tensor, y: Tensor) -> Tensor:
    return F.one_hot(y, z.shape[1]).movedim(-1, 1).to(z.dtype)


def squared_earth_mover(z: Tensor, y: Tensor) -> Tensor:
    return ((F.softmax(z, 1).cumsum(1) - hot(z, y).cumsum(1)) ** 2).sum(1).mean()


def class_distance(z: Tensor, y: Tensor) -> Tensor:
    return -(steps_from(z, y) ** POWER * torch.log1p(-F.softmax(z, 1))).sum(1).mean()


def triangular(z: Tensor, y: Tensor) -> Tensor:
    beside = 0.05 * (steps_from(z, y) == 1).to(z.dtype)
    return F.cross_entropy(z, beside + hot(z, y) * (1 - beside.sum(1, keepdim=True)))


def sord(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, F.softmax(-steps_from(z, y), 1))


def slace(z: Tensor, y: Tensor) -> Tensor:
    steps = steps_from(z, y)
    near = (steps.unsqueeze(1) <= steps.unsqueeze(2)).to(z.dtype)
    shares = (near * F.softmax(z, 1).unsqueeze(1)).sum(2)
    return -(F.softmax(-steps, 1) * torch.log(shares)).sum(1).mean()


def weighted_kappa(z: Tensor, y: Tensor) -> Tensor:
    p, label = F.softmax(z, 1), hot(z, y)
    places = torch.arange(z.shape[1], dtype=z.dtype, device=z.device)
    apart = (places.unsqueeze(1) - places) ** 2
    observed, by_chance = apart * (label.T @ p), apart * torch.outer(label.sum(0), p.sum(0)) / len(z)
    return torch.log(observed.sum() / by_chance.sum())


def sparsemax(z: Tensor, y: Tensor) -> Tensor:
    ordered = z.sort(1, descending=True).values
    count = torch.arange(1, z.shape[1] + 1, dtype=z.dtype, device=z.device)
    support = 1 + count * ordered > ordered.cumsum(1)
    threshold = (torch.where(support, ordered, 0).sum(1, keepdim=True) - 1) / support.sum(1, keepdim=True)
    own = z.gather(1, y.unsqueeze(1)).squeeze(1)
    return (torch.where(z > threshold, z * z - threshold * threshold, 0).sum(1) / 2 + 0.5 - own).mean()


def entmax(alpha: float) -> Callable[[Tensor, Tensor], Tensor]:
    """By bisection, with the gradient p - q."""

    def loss(z: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            x = (alpha - 1) * z
            low = x.amax(1, keepdim=True) - 1
            high = low + 1
            for _ in range(50):
                middle = (low + high) / 2
                enough = ((x - middle).clamp_min(0) ** (1 / (alpha - 1))).sum(1, keepdim=True) >= 1
                low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
            p = (x - low).clamp_min(0) ** (1 / (alpha - 1))
            p /= p.sum(1, keepdim=True)
        omega = (1 - (p**alpha).sum(1)) / (alpha * (alpha - 1))
        return (omega + ((p - hot(z, y)) * z).sum(1)).mean()

    return loss


def consistency(z: Tensor, y: Tensor) -> Tensor:
    clean, *views = z.chunk(VIEWS)
    each = [F.softmax(view, 1) for view in (clean, *views)]
    log_mean = (sum(each, torch.zeros(())) / VIEWS).log()
    agreement = sum((F.kl_div(log_mean, p, reduction="batchmean") for p in each), torch.zeros(()))
    return F.cross_entropy(clean, y[: len(clean)]) + FACTOR * agreement / VIEWS


def views(loss: Any) -> Callable[[Tensor, Tensor], Tensor]:
    def call(z: Tensor, y: Tensor) -> Tensor:
        clean, *more = z.chunk(VIEWS)
        return loss(clean, y[: len(clean)], views=torch.stack(more, 1))

    return call


def coral(z: Tensor, y: Tensor) -> Tensor:
    above = (y.unsqueeze(1) > torch.arange(z.shape[1], device=z.device)).to(z.dtype)
    return F.binary_cross_entropy_with_logits(z, above, reduction="none").sum(1).mean()


def corn(z: Tensor, y: Tensor) -> Tensor:
    place = torch.arange(z.shape[1], device=z.device)
    asked, above = y.unsqueeze(1) >= place, (y.unsqueeze(1) > place).to(z.dtype)
    return F.binary_cross_entropy_with_logits(z, above, reduction="none")[asked].mean()


def code_distance(z: Tensor, y: Tensor) -> Tensor:
    above = (y.unsqueeze(1) > torch.arange(z.shape[1], device=z.device)).to(z.dtype)
    return ((torch.sigmoid(z) - above) ** 2).sum(1).mean()


def hl_gauss(z: Tensor, v: Tensor) -> Tensor:
    edges = torch.linspace(0, 1, z.shape[1] + 1, dtype=z.dtype, device=z.device)
    below = torch.special.erf((edges - v.unsqueeze(1)) / (0.75 / z.shape[1] * 2**0.5))
    return F.cross_entropy(z, below.diff(dim=1) / (below[:, -1:] - below[:, :1]))


def two_hot(z: Tensor, v: Tensor) -> Tensor:
    centre = (torch.arange(z.shape[1], dtype=z.dtype, device=z.device) + 0.5) / z.shape[1]
    v = v.clamp(centre[0], centre[-1])
    return F.cross_entropy(z, (1 - (v.unsqueeze(1) - centre).abs() * z.shape[1]).clamp_min(0))


def bins(count: int) -> dict[str, Any]:
    return {"bins": Bins.uniform(0.0, 1.0, count)}


def zlpr(z: Tensor, y: Tensor) -> Tensor:
    zero, yes = torch.zeros_like(z[:, :1]), y == 1
    no = torch.logsumexp(torch.cat([z.masked_fill(yes, -torch.inf), zero], 1), 1)
    return (no + torch.logsumexp(torch.cat([(-z).masked_fill(~yes, -torch.inf), zero], 1), 1)).mean()


def two_way(z: Tensor, y: Tensor) -> Tensor:
    value, yes = z.new_zeros(()), y == 1
    for axis in (0, 1):
        low = 4 * torch.logsumexp((-z / 4).masked_fill(~yes, -1e4), axis)
        high = torch.logsumexp(z.masked_fill(yes, -1e4), axis)
        value = value + F.softplus(low + high)[yes.any(axis)].mean()
    return value


def soft_margin(z: Tensor, y: Tensor) -> Tensor:
    return F.multilabel_soft_margin_loss(z, y)


def pairwise_auc(z: Tensor, y: Tensor) -> Tensor:
    yes, no = z[y == 1], z[y == 0]
    return ((1 - yes.unsqueeze(1) + no).clamp_min(0) ** 2).mean()


def overlaps(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[N, C] what prediction and label have in common, and their sizes."""
    p, label = F.softmax(z, 1).flatten(2), hot(z, y).flatten(2)
    return (p * label).sum(2), p.sum(2), label.sum(2)


def jaccard(z: Tensor, y: Tensor) -> Tensor:
    both, predicted, labelled = (part.sum(0) for part in overlaps(z, y))
    return (1 - both / (predicted + labelled - both)).mean()


def tversky(z: Tensor, y: Tensor) -> Tensor:
    both, predicted, labelled = overlaps(z, y)
    wrong = FALSE_POSITIVES * (predicted - both) + FALSE_NEGATIVES * (labelled - both)
    return (1 - both / (both + wrong)).mean()


def generalized_dice(z: Tensor, y: Tensor) -> Tensor:
    both, predicted, labelled = overlaps(z, y)
    weight = 1 / labelled**2
    return (1 - 2 * (weight * both).sum(1) / (weight * (predicted + labelled)).sum(1)).mean()


def wasserstein_dice(z: Tensor, y: Tensor) -> Tensor:
    """All classes are equally far apart."""
    apart = 1 - F.softmax(z, 1).gather(1, y.unsqueeze(1)).squeeze(1).flatten(1)
    found = ((1 - apart) * (y.flatten(1) > 0)).sum(1)
    return (1 - 2 * found / (2 * found + apart.sum(1))).mean()


def apart(classes: int) -> dict[str, Any]:
    return {"distances": 1 - torch.eye(classes)}


def lovasz(z: Tensor, y: Tensor) -> Tensor:
    label = hot(z, y).flatten(2)
    errors, order = (F.softmax(z, 1).flatten(2) - label).abs().sort(2, descending=True)
    label = label.gather(2, order)
    size = label.sum(2, keepdim=True)
    loss = 1 - (size - label.cumsum(2)) / (size + (1 - label).cumsum(2))
    return (errors * loss.diff(dim=2, prepend=torch.zeros_like(size))).sum(2).mean()


def soft_mcc(z: Tensor, y: Tensor) -> Tensor:
    both, predicted, labelled = (part.sum(0) for part in overlaps(z, y))
    count = y.numel()
    spread = predicted * (count - predicted) * labelled * (count - labelled)
    return (1 - (both * count - predicted * labelled) / spread.sqrt()).mean()


def neighbours(z: Tensor, y: Tensor) -> Tensor:
    label = hot(z, y)
    around = F.avg_pool2d(label, 3, 1, 1, count_include_pad=False)
    return F.cross_entropy(z, y) + 0.1 * (around - z).abs().sum(1).mean()


def of_angles(loss: Any) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return lambda hidden, weight, y: loss(CosineHead.unit(hidden) @ CosineHead.unit(weight).T, y)


def cosines(hidden: Tensor, weight: Tensor) -> Tensor:
    return F.normalize(hidden, dim=1) @ F.normalize(weight, dim=1).T


def arcface(hidden: Tensor, weight: Tensor, y: Tensor) -> Tensor:
    cosine = cosines(hidden, weight)
    own = torch.cos(torch.acos(cosine.gather(1, y.unsqueeze(1)).clamp(-1, 1)) + TURN)
    return F.cross_entropy(SCALE * cosine.scatter(1, y.unsqueeze(1), own), y)


def cosface(hidden: Tensor, weight: Tensor, y: Tensor) -> Tensor:
    cosine = cosines(hidden, weight)
    return F.cross_entropy(SCALE * (cosine - GAP * hot(cosine, y)), y)


def count(classes: int) -> dict[str, Any]:
    return {"classes": classes}


def with_options(**options: Any) -> Callable[[int], dict[str, Any]]:
    return lambda classes: options


BEYOND = (
    Subject("squared-earth-mover", ("rows",), SquaredEarthMoverLoss, squared_earth_mover),
    Subject(
        "class-distance",
        ("rows",),
        ClassDistanceWeightedCrossEntropyLoss,
        class_distance,
        with_options(alpha=POWER),
    ),
    Subject("triangular", ("rows",), TriangularCrossEntropyLoss, triangular, count),
    Subject("sord", ("rows",), SORDLoss, sord, count),
    Subject("slace", ("rows",), SLACELoss, slace),
    Subject("weighted-kappa", ("rows",), WeightedKappaLoss, weighted_kappa),
    Subject("sparsemax", ("rows",), SparsemaxLoss, sparsemax),
    Subject("entmax-1.5", ("rows",), Entmax15Loss, entmax(1.5)),
    Subject("entmax-1.3", ("rows",), EntmaxLoss, entmax(1.3), with_options(alpha=1.3)),
    Subject("normmax", ("rows",), NormmaxLoss),
    Subject("bi-tempered", ("rows",), BiTemperedLogisticLoss, None, with_options(t1=T1, t2=T2)),
    Subject("consistency", ("rows",), JensenShannonConsistencyLoss, consistency, call=views),
    Subject("coral", ("steps",), CoralLoss, coral),
    Subject("corn", ("steps",), CornLoss, corn),
    Subject("code-distance", ("steps",), ECOCDistanceLoss, code_distance),
    Subject("hl-gauss", ("bins",), HLGaussLoss, hl_gauss, bins),
    Subject("two-hot", ("bins",), TwoHotLoss, two_hot, bins),
    Subject("zlpr", ("sets",), ZLPRLoss, zlpr),
    Subject("two-way", ("sets",), TwoWayLoss, two_way),
    Subject("soft-margin", ("sets",), MultiLabelSoftMarginLoss, soft_margin),
    Subject("pairwise-auc", ("scores",), PairwiseAUCLoss, pairwise_auc),
    Subject("jaccard", ("masks",), JaccardLoss, jaccard, with_options(over="batch")),
    Subject("tversky", ("masks",), TverskyLoss, tversky, with_options(alpha=FALSE_POSITIVES, beta=FALSE_NEGATIVES)),
    Subject("generalized-dice", ("masks",), GeneralizedDiceLoss, generalized_dice),
    Subject("wasserstein-dice", ("masks",), GeneralizedWassersteinDiceLoss, wasserstein_dice, apart),
    Subject("lovasz", ("masks",), LovaszSoftmaxLoss, lovasz),
    Subject("soft-mcc", ("masks",), SoftMCCLoss, soft_mcc),
    Subject("neighbours", ("masks",), NeighborAwareCalibrationLoss, neighbours),
    Subject("centerline-dice", ("masks",), CenterlineDiceLoss, None, with_options(alpha=1.0, iterations=3)),
    Subject("boundary", ("masks",), BoundaryLoss),
    Subject("hausdorff", ("masks",), HausdorffDistanceLoss),
    Subject("arcface", ("cosines",), ArcFaceLoss, arcface, with_options(scale=SCALE, margin=TURN), of_angles),
    Subject("cosface", ("cosines",), CosFaceLoss, cosface, with_options(scale=SCALE, margin=GAP), of_angles),
)

"""Losses of a batch as a whole: rankings, correlations, sums over all rows at once."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..edge import Call, Edge, Peer, ours
from ..reading import finite, value
from . import calls

TOPIC = "Losses of a whole batch"
SCORES = torch.logit(torch.tensor([0.8, 0.1, 0.4, 0.35]))
ONE_YES = torch.tensor([1, 0, 0, 0])
MASK = (torch.arange(64 * 64).reshape(1, 1, 64, 64) % 64 < 24).float()
GUESS = (4 * MASK - 2 + torch.linspace(0, 900, 64 * 64).sin().reshape(1, 1, 64, 64)).half()
THIRDS = torch.arange(16) % 2
SWAPPED = 20.0 * F.one_hot(1 - THIRDS, 3)


def auc_margin(z: Tensor, y: Tensor) -> Tensor:
    """a = b = 0, alpha = 1, margin 1."""
    h = torch.sigmoid(z)
    yes, no = h[y == 1], h[y == 0]
    return yes.square().mean() + no.square().mean() + 2 * (1 + no.mean() - yes.mean()) - 1


def libauc_margin(version: str, price: float) -> Call:
    loss = calls.made("libauc.losses", "AUCMLoss", version=version)()
    loss.a.data, loss.b.data, loss.alpha.data = torch.zeros(1), torch.zeros(1), torch.full((1,), price)
    return lambda z, y: loss(torch.sigmoid(z), y.to(z.dtype)).squeeze()


def logistic_pairs(z: Tensor, y: Tensor) -> Tensor:
    return F.softplus(z[y == 0] - z[y == 1].unsqueeze(1), threshold=700.0).mean()


def correlation(z: Tensor, t: Tensor) -> Tensor:
    p, t = torch.sigmoid(z).flatten(), t.flatten().double()
    tp, fp, fn, tn = (p * t).sum(), (p * (1 - t)).sum(), ((1 - p) * t).sum(), ((1 - p) * (1 - t)).sum()
    return 1 - (tp * tn - fp * fn) / ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)).sqrt()


def one_column(loss: Call) -> Call:
    """All pixels as answers to one question."""
    return lambda z, t: loss(z.flatten(), t.flatten())


def hed(z: Tensor, t: Tensor) -> Tensor:
    """-beta sum over yes of log p - (1 - beta) sum over no of log(1 - p), beta the share of no; over the pixels."""
    share = 1 - t.mean()
    each = F.binary_cross_entropy_with_logits(z, t, reduction="none")
    return (torch.where(t == 1, share, 1 - share) * each).mean()


def optax_generalized() -> Call:
    function = calls.optax("multiclass_generalized_dice_loss")()
    return lambda z, y: function(z, F.one_hot(y, 3))


def monai_generalized() -> Call:
    loss = calls.made("monai.losses", "GeneralizedDiceLoss", softmax=True)()
    return lambda z, y: loss(z.T.unsqueeze(0), F.one_hot(y, 3).T.unsqueeze(0))


EDGES = (
    Edge(
        "auc-margin",
        TOPIC,
        "AUC margin loss, a = b = 0, alpha 1, scores 0.8 for the yes, 0.1, 0.4, 0.35 for the noes",
        "0.7042 (Yuan et al. 2021, eq. 6, over the shares)",
        SCORES,
        ONE_YES,
        auc_margin,
        ours("AUCMarginLoss", alpha=1.0),
        (Peer("libauc", "AUCMLoss(version='v2')", lambda: libauc_margin("v2", 1.0)),),
    ),
    Edge(
        "auc-margin-noes",
        TOPIC,
        "AUC margin loss of a batch without a yes",
        "finite",
        SCORES,
        torch.zeros(4).long(),
        lambda z, y: 0 * z.sum(),
        ours("AUCMarginLoss", alpha=1.0),
        (
            Peer("libauc", "AUCMLoss()", lambda: libauc_margin("v1", 1.0)),
            Peer("libauc", "AUCMLoss(version='v2')", lambda: libauc_margin("v2", 1.0)),
        ),
        read=finite,
    ),
    Edge(
        "pairwise-hopeless",
        TOPIC,
        "logistic pairwise loss, the yes at -60, the no at 60",
        "value 120, gradient -1 and 1",
        torch.tensor([-60.0, 60.0]),
        torch.tensor([1, 0]),
        logistic_pairs,
        ours("PairwiseAUCLoss", surrogate="logistic"),
        (Peer("libauc", "PairwiseAUCLoss()", calls.made("libauc.losses", "PairwiseAUCLoss")),),
    ),
    Edge(
        "correlation-float16",
        TOPIC,
        "Matthews correlation loss of a float16 image (1, 1, 64, 64) and a float16 mask",
        "computed in float32",
        GUESS,
        MASK.half(),
        correlation,
        ours("SoftMCCLoss", how=one_column, link="sigmoid"),
        (Peer("monai", "MCCLoss(sigmoid=True)", calls.made("monai.losses", "MCCLoss", sigmoid=True)),),
    ),
    Edge(
        "balanced-binary",
        TOPIC,
        "balanced binary cross-entropy of one yes and nine noes",
        "weights 0.9 for the yes and 0.1 for a no (Xie & Tu 2015, eq. 2)",
        torch.linspace(-2, 2, 10),
        torch.tensor([1.0] + [0.0] * 9),
        hed,
        ours("BalancedBinaryCrossEntropyLoss"),
        (
            Peer(
                "pytorch-toolbelt",
                "BalancedBCEWithLogitsLoss()",
                calls.made("pytorch_toolbelt.losses", "BalancedBCEWithLogitsLoss"),
            ),
        ),
    ),
    Edge(
        "generalized-dice-absent",
        TOPIC,
        "generalised Dice loss of 3 classes, one of them absent, the other two mistaken for each other",
        "1: no overlap at all",
        SWAPPED,
        THIRDS,
        lambda z, y: 1 + 0 * z.sum(),
        ours("GeneralizedDiceLoss", how=lambda loss: lambda z, y: loss(z.T.unsqueeze(0), y.unsqueeze(0))),
        (
            Peer("optax", "multiclass_generalized_dice_loss", optax_generalized),
            Peer("monai", "GeneralizedDiceLoss(softmax=True)", monai_generalized),
        ),
        read=value,
    ),
)

"""Ordered classes, and numbers as classes."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..edge import Call, Edge, Peer, ours
from ..reading import bits_of_value, direction, finite
from ..truths import log_odds
from . import calls

TOPIC = "Ordered classes"
FIRST = torch.tensor([0])
CUTS = torch.tensor([-0.5, 0.5])


def distances(z: Tensor, y: Tensor) -> Tensor:
    """-sum_k |k - y|^5 log(1 - p_k)."""
    classes = range(z.shape[1])
    each = [(y - k).abs() ** 5 * F.softplus(log_odds(z, torch.full_like(y, k)), threshold=700.0) for k in classes]
    return torch.stack(each).sum(0).mean()


def lowest(z: Tensor, y: Tensor) -> Tensor:
    """-log P(class 0) of the cumulative logit model."""
    return F.softplus(z[:, 0] - CUTS[0].double(), threshold=700.0).mean()


def spacecutter() -> Call:
    link = calls.made("spacecutter.models", "LogisticCumulativeLink", 3)()
    loss = calls.attribute("spacecutter.losses", "cumulative_link_loss")()

    def of_score(z: Tensor, y: Tensor) -> Tensor:
        link.cutpoints.data = CUTS.to(z)
        return loss(link(z), y.unsqueeze(1))

    return of_score


def ten_bins(loss: Call) -> Call:
    """All logits but the last are 0."""
    return lambda z, y: loss(F.pad(z, (9, 0)), y)


def hl_gauss() -> Call:
    return ten_bins(calls.made("hl_gauss_pytorch", "HLGaussLoss", 0.0, 1.0, 10, sigma=0.075)())


def last_bin(z: Tensor, y: Tensor) -> Tensor:
    return -torch.log_softmax(F.pad(z, (9, 0)), 1)[:, -1].sum()


def corn() -> Call:
    loss = calls.attribute("coral_pytorch.losses", "corn_loss")()
    return lambda z, y: loss(z, y, 3)


def corn_rows(z: Tensor, y: Tensor) -> Tensor:
    """The likelihoods of labels 0 and 4 of 5 from four conditional logits, over the questions that were asked."""
    return (F.softplus(z[0, 0]) + F.softplus(-z[1]).sum()) / 5


def corn_of_five() -> Call:
    loss = calls.attribute("coral_pytorch.losses", "corn_loss")()
    return lambda z, y: loss(z, y, 5)


EDGES = (
    Edge(
        "ordinal-hopeless",
        TOPIC,
        "class-distance-weighted cross-entropy, alpha 5, logits [[0, 0, 30]], label 0",
        "32 (30 - log 2) and a gradient of 32",
        torch.tensor([[0.0, 0.0, 30.0]]),
        FIRST,
        distances,
        ours("ClassDistanceWeightedCrossEntropyLoss", alpha=5.0),
        (Peer("dlordinal", "CDWCELoss(alpha=5)", calls.made("dlordinal.losses", "CDWCELoss", 3, alpha=5.0)),),
    ),
    Edge(
        "cumulative-link-hopeless",
        TOPIC,
        "cumulative link loss, score 60, thresholds -0.5 and 0.5, label 0",
        "value 60.5, gradient 1",
        torch.tensor([[60.0]]),
        FIRST,
        lowest,
        ours("CumulativeLinkLoss", how=lambda loss: lambda z, y: loss(z - CUTS.to(z), y)),
        (Peer("spacecutter", "cumulative_link_loss", spacecutter),),
    ),
    Edge(
        "corn-mean",
        TOPIC,
        "CORN loss, all logits 1, labels 0 and 4 of 5",
        "over the questions that were asked (Shi et al. 2021)",
        torch.ones(2, 4),
        torch.tensor([0, 4]),
        corn_rows,
        ours("CornLoss"),
        (Peer("coral-pytorch", "corn_loss", corn_of_five),),
    ),
    Edge(
        "corn-label-out-of-range",
        TOPIC,
        "CORN loss with 3 classes, a label 9",
        "refused",
        torch.tensor([[1.0, -0.5], [0.3, 0.1]]),
        torch.tensor([0, 9]),
        None,
        ours("CornLoss"),
        (Peer("coral-pytorch", "corn_loss", corn),),
    ),
    Edge(
        "slace-dtype",
        TOPIC,
        "SLACE loss of float32 logits",
        "a float32 value",
        torch.tensor([[0.3, 0.1, -2.0]]),
        torch.tensor([1]),
        lambda z, y: z.sum(),
        ours("SLACELoss"),
        (Peer("dlordinal", "SLACELoss(alpha=0.5)", calls.made("dlordinal.losses", "SLACELoss", 0.5, 3)),),
        read=bits_of_value,
    ),
    Edge(
        "kappa-logits",
        TOPIC,
        "weighted kappa loss of the logits [[0.5, 0.5, 0], [0.2, 0.3, 0.5]], whose rows sum to 1",
        "accepted",
        torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]]),
        torch.tensor([1, 2]),
        lambda z, y: 0 * z.sum(),
        ours("WeightedKappaLoss"),
        (Peer("dlordinal", "WKLoss(use_logits=True)", calls.made("dlordinal.losses", "WKLoss", 3, use_logits=True)),),
        read=finite,
    ),
    Edge(
        "hl-gauss-outside",
        TOPIC,
        "histogram loss, bins from 0 to 1, the number 5",
        "the last bin's logit is pulled up",
        torch.zeros(1, 1),
        torch.tensor([5.0]),
        last_bin,
        ours("HLGaussLoss", how=ten_bins, bins=lambda: calls.attribute("whyloss", "Bins")().uniform(0.0, 1.0, 10)),
        (Peer("hl-gauss-pytorch", "HLGaussLoss(0, 1, 10)", hl_gauss),),
        read=direction,
    ),
)

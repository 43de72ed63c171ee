"""What autograd may ask of a loss, and what a loss may do to its input."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..edge import Call, Edge, Peer, ours
from ..reading import backward_twice, grad_mode_afterwards, hessian, input_afterwards, two_losses
from ..truths import cross_entropy
from . import calls

TOPIC = "Gradients"
ROWS, LABELS = torch.tensor([[0.3, -0.4], [1.5, 0.2]]), torch.tensor([0, 1])
THREE, FIRST = torch.tensor([[0.1, 0.2, 0.3]]), torch.tensor([0])


def squared_hinge(z: Tensor, y: Tensor) -> Tensor:
    lead = z.gather(1, y.unsqueeze(1)) - z.gather(1, 1 - y.unsqueeze(1))
    return (1 - lead).clamp(min=0).square().mean()


def torch_margin() -> Call:
    return lambda z, y: 2 * F.multi_margin_loss(z, y, p=2)  # its mean is over the classes too


def torch_chunks() -> Call:
    function = calls.torch_linear()
    return lambda h, y: function(h, torch.eye(2), y)


def entmax(z: Tensor, y: Tensor) -> Tensor:
    """1.5-entmax where every class is in the support: p = (z/2 - t)^2."""
    half, count = z / 2, z.shape[1]
    middle = half.mean(1, keepdim=True)
    p = (half - middle + (1 / count - (half - middle).square().mean(1, keepdim=True)).sqrt()) ** 2
    entropy = 4 / 3 * (1 - (p**1.5).sum(1))
    return ((p * z).sum(1) + entropy - z.gather(1, y.unsqueeze(1))[:, 0]).mean()


def timm_no_grad() -> Call:
    made = calls.attribute("timm.loss", "AsymmetricLossMultiLabel")()
    loss = made(disable_torch_grad_focal_loss=True)
    return lambda z, y: loss(z, F.one_hot(y, 2).to(z.dtype))


LIGER = calls.made("liger_kernel.transformers", "LigerCrossEntropyLoss")
EDGES = (
    Edge(
        "hinge-twice",
        TOPIC,
        "squared multiclass hinge, backward of backward",
        "the Hessian",
        ROWS,
        LABELS,
        squared_hinge,
        ours("MulticlassHingeLoss", power=2),
        (Peer("torch", "multi_margin_loss(p=2)", torch_margin),),
        read=hessian,
    ),
    Edge(
        "cross-entropy-twice",
        TOPIC,
        "cross-entropy, backward of backward",
        "the Hessian",
        ROWS,
        LABELS,
        cross_entropy,
        ours("CrossEntropyLoss"),
        (
            Peer("torch", "cross_entropy", lambda: F.cross_entropy),
            Peer("liger-kernel", "LigerCrossEntropyLoss", LIGER, triton=True),
        ),
        read=hessian,
    ),
    Edge(
        "entmax-twice",
        TOPIC,
        "1.5-entmax loss, logits [[0.1, 0.2, 0.3]], backward of backward",
        "the Hessian",
        THREE,
        FIRST,
        entmax,
        ours("EntmaxLoss", alpha=1.5),
        (Peer("entmax", "Entmax15Loss()", calls.made("entmax", "Entmax15Loss")),),
        read=hessian,
    ),
    Edge(
        "linear-retained",
        TOPIC,
        "cross-entropy of a linear head in chunks, backward twice with retain_graph",
        "twice the gradient",
        ROWS,
        LABELS,
        cross_entropy,
        ours("CrossEntropyLoss", how=lambda loss: lambda h, y: loss.linear(h, torch.eye(2, dtype=h.dtype), y)),
        (Peer("torch", "linear_cross_entropy, chunks", torch_chunks),),
        read=backward_twice,
    ),
    Edge(
        "input-afterwards",
        TOPIC,
        "cross-entropy: the logits after the forward pass",
        "as they were",
        ROWS,
        LABELS,
        cross_entropy,
        ours("CrossEntropyLoss"),
        (
            Peer("torch", "cross_entropy", lambda: F.cross_entropy),
            Peer("liger-kernel", "LigerCrossEntropyLoss", LIGER, triton=True),
        ),
        read=input_afterwards,
    ),
    Edge(
        "two-losses",
        TOPIC,
        "cross-entropy + 0.1 |z|^2 of the same logits",
        "the gradient of the sum",
        ROWS,
        LABELS,
        cross_entropy,
        ours("CrossEntropyLoss"),
        (
            Peer("torch", "cross_entropy", lambda: F.cross_entropy),
            Peer("liger-kernel", "LigerCrossEntropyLoss", LIGER, triton=True),
        ),
        read=two_losses,
    ),
    Edge(
        "grad-mode",
        TOPIC,
        "a multi-label focal loss inside torch.no_grad()",
        "gradients are still off afterwards",
        ROWS,
        LABELS,
        lambda z, y: None,
        ours("FocalLoss", how=lambda loss: lambda z, y: loss(z, F.one_hot(y, 2)), link="sigmoid"),
        (Peer("timm", "AsymmetricLossMultiLabel(disable_torch_grad_focal_loss=True)", timm_no_grad),),
        read=grad_mode_afterwards,
    ),
)

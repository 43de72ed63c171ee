"""Cross-entropy of scaled cosines, with margins on the label's: what recognition of faces and metric learning train on.

The logits are cosines of angles between features and class centres, as `CosineHead` makes them. A margin changes the
label's cosine alone: its log-odds move by scale * (changed - cosine), so every engine computes these losses, and the
linear head does. Outside [-1, 1] the change stays what it is at the end."""

import math
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import logsigmoid

from whyloss.losses.adjust import Adjustment
from whyloss.losses.loss import Link, RowLoss
from whyloss.losses.margin.angles import added, multiplied
from whyloss.losses.proper.likelihood import CrossEntropyLoss


class _OfCosines(RowLoss):
    """What these losses share: logits that are cosines, and their scale."""

    scale: float = 64.0
    proper = False
    bounded = False
    symmetric = False

    links: ClassVar[tuple[Link, ...]] = ("softmax",)
    cosines: ClassVar[bool] = True
    derived: ClassVar[tuple[str, ...]] = ("adjust",)

    def check(self) -> None:
        super().check()
        self.require(self.scale > 0, "scale > 0", self.scale)

    def derive(self) -> None:
        super().derive()
        self.adjust = Adjustment(scale=self.scale)


class NormFaceLoss(_OfCosines):
    """Cross-entropy of scaled cosines: lengths of features and centres, which say nothing of classes, are out of play.

    Without the scale the largest possible p_y would be far from 1 and the loss never small. Also known as normalised
    softmax, with the temperature 1 / scale. To learn the scale, give `scale * cosines` to `CrossEntropyLoss`.

    Args:
        scale: > 0, what the cosines are multiplied by.

    Formula: -log softmax(s cos)_y. Source: Wang et al. 2017, arXiv:1704.06369, section 3; Zhai & Wu 2019,
    arXiv:1811.12649, section 3.

    >>> import torch, whyloss
    >>> whyloss.NormFaceLoss(scale=4.0)(torch.tensor([[0.5, 0.0]]), torch.tensor([0]))
    tensor(0.1269)
    """

    scale: float = 30.0
    source = "Wang et al. 2017, arXiv:1704.06369, section 3"
    short = ("normface", "normalized-softmax")
    equation = "-log softmax(s cos)_y"
    convex = True

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p

    def average(self, sum_log_p: Tensor, count: Tensor) -> Tensor:
        return -sum_log_p / count


class CosFaceLoss(_OfCosines):
    """NormFace that takes a margin off the label's cosine: classes are to lie apart, not merely on the right side.

    The same as AM-Softmax (additive margin softmax, with scale 30).

    Args:
        scale: > 0, what the cosines are multiplied by.
        margin: >= 0; 0 is NormFace.

    Formula: -log(e^(s (cos_y - m)) / (e^(s (cos_y - m)) + sum_{j != y} e^(s cos_j))).
    Source: Wang et al. 2018, arXiv:1801.09414, eq. 4; Wang et al. 2018, arXiv:1801.05599, section 2.

    >>> import torch, whyloss
    >>> whyloss.CosFaceLoss(scale=4.0, margin=0.5)(torch.tensor([[0.5, 0.0]]), torch.tensor([0]))
    tensor(0.6931)
    """

    margin: float = 0.35
    source = "Wang et al. 2018, arXiv:1801.09414, eq. 4"
    short = ("cosface", "am-softmax")
    equation = "-log softmax(s (cos - m [j = y]))_y"
    convex = True

    def check(self) -> None:
        super().check()
        self.require(self.margin >= 0, "margin >= 0", self.margin)

    def formula(self, log_odds: Tensor) -> Tensor:
        return -logsigmoid(log_odds - self.scale * self.margin)


class ArcFaceLoss(_OfCosines):
    """NormFace that turns the label's angle by a margin: the same gap along the sphere wherever a feature lies.

    As in the paper, cos(theta + m) is used at every angle; beyond pi - m it rises again, so a feature that starts
    opposite to its centre is pushed the wrong way. Many implementations put another line there, by one of two
    conventions, which the paper does not mention.

    Args:
        scale: > 0, what the cosines are multiplied by.
        margin: in [0, pi], in radians; 0 is NormFace.

    Formula: -log(e^(s cos(theta_y + m)) / (e^(s cos(theta_y + m)) + sum_{j != y} e^(s cos theta_j))).
    Source: Deng et al. 2019, arXiv:1801.07698, eq. 3.

    >>> import torch, whyloss
    >>> whyloss.ArcFaceLoss(scale=4.0)(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    tensor(0.0294)
    """

    margin: float = 0.5
    source = "Deng et al. 2019, arXiv:1801.07698, eq. 3"
    short = ("arcface",)
    equation = "-log(e^(s cos(t_y + m)) / (e^(s cos(t_y + m)) + sum_{j != y} e^(s cos t_j)))"

    def check(self) -> None:
        super().check()
        self.require(0 <= self.margin <= math.pi, "margin in [0, pi]", self.margin)

    def formula(self, logit: Tensor, log_odds: Tensor) -> Tensor:
        return -logsigmoid(log_odds + self.scale * added(logit / self.scale, self.margin))


class SubCenterArcFaceLoss(ArcFaceLoss):
    """ArcFace with several centres a class: mislabelled and odd images gather at a centre of their own.

    Takes the cosines of `CosineHead(features, classes, subcenters=K)`, each class's largest; K = 1 is ArcFace. After
    training keep each class's busiest centre, and drop what lies far from it.

    Args:
        scale: > 0, what the cosines are multiplied by.
        margin: in [0, pi], in radians; 0 is NormFace.

    Formula: ArcFace of theta_j = arccos(max_k cos(x, w_jk)).
    Source: Deng et al. 2020, "Sub-center ArcFace", ECCV, section 3.

    >>> import torch, whyloss
    >>> head = whyloss.CosineHead(features=8, classes=4, subcenters=3)
    >>> loss = whyloss.SubCenterArcFaceLoss()(head(torch.randn(2, 8)), torch.tensor([0, 3]))
    """

    source = "Deng et al. 2020, Sub-center ArcFace, ECCV, section 3"
    short = ("subcenter-arcface",)
    equation = "ArcFace of t_j = arccos(max_k cos(x, w_jk))"


class SphereFaceLoss(_OfCosines):
    """NormFace that multiplies the label's angle by a margin: the wider the classes lie apart, the larger the gap.

    The loss of SphereFace with features of one length, as its authors' later work has it and as most use it; of the
    paper's first form, whose scale is each feature's own length, see `AngularSoftmaxLoss`.

    Args:
        scale: > 0, what the cosines are multiplied by.
        margin: 1, 2, 3, ...; 1 is NormFace.
        annealing: lambda >= 0: the label's cosine becomes (lambda cos + psi) / (1 + lambda), which is easier to start
            from. Let it fall while training (`margin_annealing`).

    Formula: -log(e^(s psi) / (e^(s psi) + sum_{j != y} e^(s cos theta_j))), psi = (-1)^k cos(m theta_y) - 2 k for
    theta_y in [k pi / m, (k + 1) pi / m]. Source: Liu et al. 2017, arXiv:1704.08063, eq. 6-7; Liu et al. 2022,
    arXiv:2109.05565.

    >>> import torch, whyloss
    >>> whyloss.SphereFaceLoss(scale=2.0, margin=2)(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))
    tensor(2.1269)
    """

    scale: float = 30.0
    margin: int = 4
    annealing: float = 0.0
    source = "Liu et al. 2017, arXiv:1704.08063, eq. 6-7"
    short = ("sphereface",)
    equation = "-log(e^(s psi(t_y)) / (e^(s psi(t_y)) + sum_{j != y} e^(s cos t_j)))"

    def check(self) -> None:
        super().check()
        whole = isinstance(self.margin, int) and self.margin >= 1  # pyright: ignore[reportUnnecessaryIsInstance]
        self.require(whole, "a whole margin >= 1", self.margin)
        self.require(self.annealing >= 0, "annealing >= 0", self.annealing)

    def formula(self, logit: Tensor, log_odds: Tensor) -> Tensor:
        change = multiplied(logit / self.scale, self.margin) / (1 + self.annealing)
        return -logsigmoid(log_odds + self.scale * change)


def margin_annealing(step: int, start: float = 1000.0, decay: float = 0.12, least: float = 5.0) -> float:
    """The lambda of SphereFace and L-Softmax at a step of training: max(least, start / (1 + decay step)).

    `loss.annealing = margin_annealing(step)`. The papers say that lambda starts large and falls to a small number;
    these are the numbers published with SphereFace.

    >>> margin_annealing(0), margin_annealing(100), margin_annealing(10**6)
    (1000.0, 76.92307692307692, 5.0)
    """
    return max(least, start / (1 + decay * step))


class SoftTripleLoss(CosFaceLoss):
    """Normalised softmax with a margin and several centres a class: what triplets teach, without sampling any.

    Takes the cosines of `CosineHead(features, classes, subcenters=10, gamma=0.1)`; with one centre it is CosFace, and
    without a margin NormFace. The paper adds 0.2 times `head.spread()`, which merges centres that are not needed.

    Args:
        scale: > 0, the paper's lambda.
        margin: >= 0, the paper's delta.

    Formula: -log softmax(lambda (S - delta [j = y]))_y, S_j = sum_k softmax_k(cos(x, w_jk) / gamma) cos(x, w_jk).
    Source: Qian et al. 2019, arXiv:1909.05235, section 3.

    >>> import torch, whyloss
    >>> head = whyloss.CosineHead(features=8, classes=4, subcenters=3, gamma=0.1)
    >>> features, target = torch.randn(2, 8), torch.tensor([0, 3])
    >>> loss = whyloss.SoftTripleLoss()(head(features), target) + 0.2 * head.spread()
    """

    scale: float = 20.0
    margin: float = 0.01
    source = "Qian et al. 2019, arXiv:1909.05235, section 3"
    short = ("softtriple",)
    equation = "-log softmax(lambda (S - delta [j = y]))_y, S_j soft over the centres of j"


class FixedAdaCosLoss(CrossEntropyLoss):
    """NormFace whose scale follows from the number of classes, so that nobody has to choose one.

    Args:
        classes: >= 3. The scale is sqrt(2) log(classes - 1).

    Formula: -log softmax(s cos)_y, s = sqrt(2) log(C - 1). Source: Zhang et al. 2019, arXiv:1905.00292, section 4.

    >>> import torch, whyloss
    >>> whyloss.FixedAdaCosLoss(classes=1001).adjust.scale
    9.769041201090882
    """

    classes: int
    source = "Zhang et al. 2019, arXiv:1905.00292, section 4"
    short = ("adacos-fixed",)
    equation = "-log softmax(s cos)_y, s = sqrt(2) log(C - 1)"
    proper = False

    links: ClassVar[tuple[Link, ...]] = ("softmax",)
    cosines: ClassVar[bool] = True
    derived: ClassVar[tuple[str, ...]] = ("adjust",)

    def check(self) -> None:
        super().check()
        self.require(self.classes >= 3, "classes >= 3", self.classes)

    def derive(self) -> None:
        super().derive()
        self.adjust = Adjustment(scale=adacos_scale(self.classes))


def adacos_scale(classes: int) -> float:
    """sqrt(2) log(C - 1): with it p_y rises most steeply where the label's angle is a quarter of pi and the other
    angles are right ones."""
    return math.sqrt(2) * math.log(classes - 1)


class P2SGradLoss(RowLoss):
    """Half the squared distance of the cosines to the target: each centre is pulled or pushed by its cosine alone.

    The paper replaces the probability in the gradient of cross-entropy by the cosine, and gives no loss; this is the
    one with that gradient, cos_j - [j = y]. No scale and no margin to choose.

    Formula: ((cos_y - 1)^2 + sum_{j != y} cos_j^2) / 2. Source: Zhang et al. 2019, arXiv:1905.02479, section 4.

    >>> import torch, whyloss
    >>> whyloss.P2SGradLoss()(torch.tensor([[0.5, 0.0, -1.0]]), torch.tensor([0]))
    tensor(0.6250)
    """

    source = "Zhang et al. 2019, arXiv:1905.02479, section 4"
    short = ("p2sgrad",)
    equation = "((cos_y - 1)^2 + sum_{j != y} cos_j^2) / 2"
    proper = False
    bounded = False
    symmetric = False
    convex = True

    links: ClassVar[tuple[Link, ...]] = ("softmax",)
    cosines: ClassVar[bool] = True

    def formula(self, logit: Tensor, rest_z_sq: Tensor) -> Tensor:
        return ((1 - logit) * (1 - logit) + rest_z_sq) / 2

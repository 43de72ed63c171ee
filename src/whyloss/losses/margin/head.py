"""The layer before losses of cosines: from features to the cosine of the angle with every class centre."""

import torch
from torch import Tensor, nn


class CosineHead(nn.Module):
    """A linear layer without lengths: its outputs are cosines between features and class centres, in [-1, 1].

    Give them to `ArcFaceLoss`, `CosFaceLoss` and the like, which scale them; for predictions take the largest.
    Computed in float32 under autocast and for 16-bit features, where angles would be rounded away. A feature or a
    centre of length 0 has the cosine 0 with everything, and a finite gradient.

    Args:
        features: number of features.
        classes: number of classes.
        subcenters: K >= 1 centres for each class. A feature belongs to the nearest of them.
        gamma: None: the nearest alone counts (sub-center ArcFace). A number > 0: each counts by a softmax of its cosine
            over gamma (SoftTriple).

    Formula: max over k of cos(x, w_jk), or sum_k softmax_k(cos(x, w_jk) / gamma) cos(x, w_jk).
    Source: Wang et al. 2017, arXiv:1704.06369; Deng et al. 2020 (sub-center ArcFace); Qian et al. 2019,
    arXiv:1909.05235, section 3.

    >>> import torch, whyloss
    >>> head = whyloss.CosineHead(features=2, classes=2)
    >>> head.weight.data = torch.tensor([[[2.0, 0.0]], [[0.0, 5.0]]])
    >>> head(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]

    With one centre a class the cosines need not be kept (many classes):

    >>> loss, features, target = whyloss.CosFaceLoss(), torch.randn(8, 2), torch.zeros(8, dtype=torch.long)
    >>> value = loss.linear(head.unit(features), head.centers(), target)
    >>> torch.allclose(value, loss(head(features), target))
    True
    """

    def __init__(self, features: int, classes: int, subcenters: int = 1, gamma: float | None = None):
        super().__init__()
        for name, value in (("features", features), ("classes", classes), ("subcenters", subcenters)):
            if value < 1:
                raise ValueError(f"CosineHead: {name} >= 1 is needed, got {value!r}.")
        if gamma is not None and gamma <= 0:
            raise ValueError(f"CosineHead: gamma > 0 is needed, got {gamma!r}.")
        self.features, self.classes, self.subcenters, self.gamma = features, classes, subcenters, gamma
        # Lengths do not matter to the cosines, but a gradient is as large as its centre is short: lengths near 1.
        self.weight = nn.Parameter(torch.randn(classes, subcenters, features) * features**-0.5)

    def forward(self, features: Tensor) -> Tensor:
        """[..., features] -> [..., classes]"""
        unit, centers = self.unit(features), self.unit(self.weight).flatten(0, 1)
        with torch.autocast(unit.device.type, enabled=False):
            each = nn.functional.linear(unit, centers.to(unit.dtype)).unflatten(-1, (self.classes, self.subcenters))
            if self.subcenters == 1:
                return each.squeeze(-1)
            if self.gamma is None:
                return each.amax(-1)
            return (torch.softmax(each / self.gamma, -1) * each).sum(-1)

    def centers(self) -> Tensor:
        """[classes, features] the directions of the centres, for `loss.linear`; one centre a class."""
        if self.subcenters != 1:
            raise ValueError(f"CosineHead: `loss.linear` needs one centre a class, but there are {self.subcenters}.")
        return self.unit(self.weight).squeeze(1)

    def spread(self) -> Tensor:
        """Half the mean distance between the centres of a class: SoftTriple's regulariser, which merges those that
        are not needed. 0 with one centre a class.

        Formula: sum_j sum_{s < t} sqrt(2 - 2 cos(w_js, w_jt)) / (C K (K - 1)). Source: Qian et al. 2019, section 3.
        """
        unit, K = self.unit(self.weight), self.subcenters
        if K == 1:
            return unit.sum() * 0
        s, t = torch.triu_indices(K, K, 1, device=unit.device)
        # The distance of two unit vectors; 0, with a slope of 0, where they are one.
        return torch.linalg.vector_norm(unit[:, s] - unit[:, t], dim=-1).sum() / (self.classes * K * (K - 1))

    @staticmethod
    def unit(x: Tensor) -> Tensor:
        """Directions: x with rows of length 1, in float32 at least; a row of zeros stays one."""
        with torch.autocast(x.device.type, enabled=False):
            x = x if x.dtype == torch.float64 else x.float()
            largest = x.detach().abs().amax(-1, keepdim=True)
            x = x / torch.where(largest > 0, largest, 1.0)  # so that squares neither overflow nor vanish
            length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
            return x / torch.where(length > 0, length, 1.0)

    def extra_repr(self) -> str:
        more = f", gamma={self.gamma}" if self.gamma is not None else ""
        return f"features={self.features}, classes={self.classes}, subcenters={self.subcenters}{more}"

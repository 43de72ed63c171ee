"""Label smoothing with what the model itself mixes up: each class's soft label is learned from epoch to epoch."""

import torch
from torch import Tensor

from whyloss.losses import targets
from whyloss.losses.loss import RowLoss
from whyloss.stats.rows import computing_dtype


class OnlineLabelSmoothingLoss(RowLoss):
    """Cross-entropy of the label, and of its class's soft label: the mean prediction for the rows of this class that
    the model got right in the last epoch.

    Classes that are alike share their labels' mass, unlike with plain smoothing. In training mode every call adds to
    the sums for the next epoch; call `next_epoch()` when one ends. Soft labels and sums are part of the state. Soft
    labels start even (label smoothing by 1 - alpha). `loss.linear` reads soft labels and adds nothing to the sums.

    Args:
        classes: >= 2; with the sigmoid link 2.
        alpha: in [0, 1], the share of the hard label; 1 is cross-entropy.

    Formula: -alpha log p_y - (1 - alpha) sum_k S_yk log p_k, S_y the mean p of the rows of class y that were right in
    the last epoch. Source: Zhang et al. 2021, arXiv:2011.12562, section 3. A class of which no row was right keeps
    its soft label, where the paper leaves it open.

    >>> import torch, whyloss
    >>> loss = whyloss.OnlineLabelSmoothingLoss(classes=3)
    >>> loss(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0]))
    tensor(0.9076)
    >>> loss.next_epoch()
    >>> loss.soft_labels[0]
    tensor([0.6652, 0.2447, 0.0900])
    """

    classes: int
    alpha: float = 0.5
    source = "Zhang et al. 2021, arXiv:2011.12562, section 3"
    short = ("online-label-smoothing", "ols")
    equation = "-alpha log p_y - (1 - alpha) sum_k S_yk log p_k"
    stateful = True
    bounded = False
    symmetric = False
    convex = True
    fixed = ("classes",)
    soft_labelled = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.register_buffer("soft_labels", torch.full((self.classes, self.classes), 1 / self.classes))
        self.register_buffer("sums", torch.zeros(self.classes, self.classes))

    def check(self) -> None:
        super().check()
        self.require(self.classes >= 2, "classes >= 2", self.classes)
        self.require(0 <= self.alpha <= 1, "0 <= alpha <= 1", self.alpha)

    @property
    def table(self) -> Tensor:
        soft = self.get_buffer("soft_labels")
        return self.alpha * torch.eye(len(soft), dtype=soft.dtype, device=soft.device) + (1 - self.alpha) * soft

    def formula(self, affine_log_p: Tensor) -> Tensor:
        return -affine_log_p

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
    ) -> Tensor:
        value = super().forward(logits, target, sample_weight, normalizer)
        if self.training:
            self._remember(logits, target, sample_weight)
        return value

    def parts(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        found = super().parts(logits, target, sample_weight)
        if self.training:
            self._remember(logits, target, sample_weight)
        return found

    def next_epoch(self) -> None:
        """Soft labels become what was summed since the last call, and the sums start anew."""
        sums, soft = self.get_buffer("sums"), self.get_buffer("soft_labels")
        total = sums.sum(1, keepdim=True)
        soft.copy_(torch.where(total > 0, sums / torch.where(total > 0, total, 1), soft))
        sums.zero_()

    @torch.no_grad()
    def _remember(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None) -> None:
        dtype = computing_dtype(logits)
        z = targets.as_rows(logits, self.link).to(dtype)
        if self.link == "sigmoid":
            z = torch.stack([torch.zeros_like(z), z], 1)
        soft = target.is_floating_point() and target.shape == logits.shape
        if self.link == "sigmoid":
            label, mix, keep = targets.of_sigmoid(self, target, soft, dtype)
            label = (mix > 0.5).long() if mix is not None else targets.known(label).long()
        else:
            label, mix, keep = targets.of_softmax(self, target, soft, z.shape[1], dtype)
            label = mix.argmax(1) if mix is not None else targets.known(label)
        right = z.argmax(1) == label
        if keep is not None:
            right = right & keep
        shape = logits.shape if self.link == "sigmoid" else torch.Size((*logits.shape[:1], *logits.shape[2:]))
        if (weight := targets.sample_weight(type(self).__name__, sample_weight, shape, dtype)) is not None:
            right = right & (weight != 0)
        sums = self.get_buffer("sums")
        p = torch.where(right.unsqueeze(1), torch.softmax(z, 1), 0.0)
        sums.index_add_(0, label, p.to(sums.dtype))

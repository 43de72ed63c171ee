"""Binary cross-entropy with the answers balanced within each batch, image or label."""

from typing import Literal

from torch import Tensor
from torch.nn.functional import softplus

from whyloss.losses.batch import BatchLoss
from whyloss.losses.loss import Link


class BalancedBinaryCrossEntropyLoss(BatchLoss):
    """Binary cross-entropy in which the yeses and the noes of a batch weigh the same, however few one of them are.

    Each answer is weighted by the share of the other one, counted where it stands. The paper balances each image and
    sums over its pixels; here the sum is divided by the number of answers. Where one answer is missing the other weighs
    nothing, as in the paper: an empty mask teaches nothing.

    Args:
        over: within what the answers are balanced: the whole "batch", each "image" (row of the batch, as the paper), or
            each "label" (column).

    Formula: -1/N (b sum_yes log p + (1 - b) sum_no log(1 - p)), b the share of the noes. Source: Xie & Tu 2015 (HED),
    arXiv:1504.06375, eq. 2.

    >>> import torch, whyloss
    >>> whyloss.BalancedBinaryCrossEntropyLoss()(torch.zeros(4), torch.tensor([1, 0, 0, 0]))
    tensor(0.2599)
    """

    link: Link = "sigmoid"
    over: Literal["batch", "image", "label"] = "batch"
    source = "Xie & Tu 2015, arXiv:1504.06375, eq. 2"
    short = ("balanced-bce", "hed")
    equation = "-1/N (b sum_yes log p + (1 - b) sum_no log(1 - p)), b the share of the noes"
    proper = False
    bounded = False
    links = ("sigmoid",)

    def check(self) -> None:
        super().check()
        self.require(self.over in ("batch", "image", "label"), "over in ('batch', 'image', 'label')", self.over)

    def value(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        dim = {"batch": (0, 1), "image": (1,), "label": (0,)}[self.over]
        yes, no = weight * target, weight * (1 - target)
        held, not_held = yes.sum(dim, keepdim=True), no.sum(dim, keepdim=True)
        share = not_held / (held + not_held).clamp_min(1e-30)
        return (share * yes * softplus(-logits) + (1 - share) * no * softplus(logits)).sum() / weight.sum()

"""Class counts that multiply the logits, besides or in place of shifting them."""

from torch import Tensor

from whyloss.losses.adjust import Adjustment, log_prior, seen
from whyloss.losses.proper.likelihood import CrossEntropyLoss


class VectorScalingLoss(CrossEntropyLoss):
    """Cross-entropy of logits that are scaled and shifted by the class counts: rare classes need larger ones to win.

    The shift moves the boundary early in training; the scale still moves it when every row of the training set is right
    already, where a shift or a weight no longer do. At test time use the logits as they are. A class with no examples
    counts as half an example.

    Args:
        counts: [C] examples of each class.
        gamma: >= 0, the strength of the scale; 0 is logit adjustment.
        tau: >= 0, the strength of the shift; 0 is class-dependent temperature.

    Formula: -log softmax(Delta z + iota)_y with Delta_j = (n_j / n_max)^gamma, iota_j = tau log(n_j / n). Source: Kini
    et al. 2021, arXiv:2103.01550, VS-loss; the paper's weight omega is `weight`.

    >>> import torch, whyloss
    >>> loss = whyloss.VectorScalingLoss(counts=torch.tensor([90.0, 10.0]), gamma=0.5, tau=1.0)
    >>> loss(torch.tensor([[0.0, 3.0]]), torch.tensor([1]))
    tensor(1.4612)
    """

    counts: Tensor
    gamma: float = 0.15
    tau: float = 1.25
    source = "Kini et al. 2021, arXiv:2103.01550, VS-loss"
    short = ("vs", "vector-scaling")
    equation = "-log softmax(Delta z + iota)_y, Delta_j = (n_j / n_max)^gamma, iota_j = tau log(n_j / n)"
    proper = False

    def check(self) -> None:
        super().check()
        self.require(self.gamma >= 0, "gamma >= 0", self.gamma)
        self.require(self.tau >= 0, "tau >= 0", self.tau)

    def own_adjust(self) -> Adjustment:
        counts = seen(self.counts)
        scale = (counts / counts.max()) ** self.gamma
        return Adjustment(shift=self.tau * log_prior(self.counts) / scale, scale=scale)


class ClassDependentTemperatureLoss(VectorScalingLoss):
    """Cross-entropy in which the logits of rare classes are cooled, so that their training rows have to be fitted
    harder: test rows of rare classes deviate further from the training rows.

    At test time use the logits as they are.

    Args:
        counts: [C] examples of each class.
        gamma: >= 0; 0 is cross-entropy.

    Formula: -log softmax(z / a)_y with a_j = (n_max / n_j)^gamma. Source: Ye et al. 2020, arXiv:2001.01385, CDT.

    >>> import torch, whyloss
    >>> loss = whyloss.ClassDependentTemperatureLoss(counts=torch.tensor([90.0, 10.0]), gamma=0.5)
    >>> loss(torch.tensor([[0.0, 3.0]]), torch.tensor([1]))
    tensor(0.3133)
    """

    gamma: float = 0.3
    tau: float = 0.0
    source = "Ye et al. 2020, arXiv:2001.01385, CDT"
    short = ("cdt",)
    equation = "-log softmax(z / a)_y, a_j = (n_max / n_j)^gamma"
    proper = None

    def check(self) -> None:
        self.require(self.tau == 0, "tau = 0 (VectorScalingLoss has the general form)", self.tau)
        super().check()

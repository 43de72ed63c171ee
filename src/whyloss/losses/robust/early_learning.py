"""Early learning: models learn clean labels first, and what they believed then is worth keeping."""

import torch
from torch import Tensor

from whyloss.losses.whole import WholeRowLoss
from whyloss.stats.each import log_softmax, others
from whyloss.stats.rows import infinite


class EarlyLearningRegularizationLoss(WholeRowLoss):
    """Cross-entropy, and a pull towards what the model has said of each sample so far: wrong labels find it settled.

    The call takes `index`, each row's number in the training data. In training mode every call first moves the running
    targets of its samples; in evaluation mode they stay. They are part of the state, and start at zero, where the loss
    is cross-entropy.

    Args:
        samples: >= 1, how many samples the training data has.
        classes: >= 2; with the sigmoid link 2.
        beta: in [0, 1), how much of a running target stays at each step; the paper's choices are 0.7 and 0.9.
        strength: lambda >= 0, of the pull; 0 is cross-entropy. The paper's choices are 3 for 10 classes, 7 for 100.

    Formula: -log p_y + lambda log(1 - sum_k p_k t_k), t <- beta t + (1 - beta) p by sample.
    Source: Liu et al. 2020, arXiv:2007.00151, section 4.

    >>> import torch, whyloss
    >>> loss = whyloss.EarlyLearningRegularizationLoss(samples=10, classes=2, beta=0.5, strength=1.0)
    >>> loss(torch.zeros(1, 2), torch.tensor([0]), index=torch.tensor([7]))
    tensor(0.4055)
    >>> loss.targets[7]
    tensor([0.2500, 0.2500])
    """

    samples: int
    classes: int
    beta: float = 0.7
    strength: float = 3.0
    source = "Liu et al. 2020, arXiv:2007.00151, section 4"
    short = ("elr",)
    equation = "-log p_y + lambda log(1 - sum_k p_k t_k), t <- beta t + (1 - beta) p"
    reads = ("index",)
    stateful = True
    symmetric = False
    fixed = ("samples", "classes")

    def __post_init__(self) -> None:
        super().__post_init__()
        # One column more than there are classes, for what is not yet known: rows sum to 1, so that 1 - t_k is the sum
        # of the others, which does not cancel however sure the model was.
        memory = torch.zeros(self.samples, self.classes + 1)
        memory[:, -1] = 1
        self.register_buffer("memory", memory)

    def check(self) -> None:
        super().check()
        self.require(self.samples >= 1, "samples >= 1", self.samples)
        self.require(self.classes >= 2, "classes >= 2", self.classes)
        self.require(0 <= self.beta < 1, "0 <= beta < 1", self.beta)
        self.require(self.strength >= 0, "strength >= 0", self.strength)

    @property
    def targets(self) -> Tensor:
        """[samples, classes] t."""
        return self.get_buffer("memory")[:, :-1]

    def before(self, logits: Tensor, target: Tensor, counted: Tensor, index: Tensor) -> None:
        memory = self.get_buffer("memory")
        self.require(logits.shape[1] == self.classes, f"logits of {self.classes} classes", tuple(logits.shape))
        before = memory[index]
        p = torch.softmax(logits, 1).to(before.dtype)
        now = torch.cat([p, torch.zeros_like(p[:, :1])], 1)
        # A row that does not count reads sample 0, and must leave alone what another row writes there; a sample that
        # is in the batch more than once moves once, by the mean.
        times = torch.zeros_like(memory[:, 0]).index_add_(0, index, counted.to(memory.dtype))[index].clamp_min(1)
        share = counted.to(memory.dtype) * (1 - self.beta) / times
        memory.index_add_(0, index, share.unsqueeze(1) * (now - before))

    def losses(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        self.require(logits.shape[1] == self.classes, f"logits of {self.classes} classes", tuple(logits.shape))
        log_p = log_softmax(logits)
        cost = infinite(-(target * log_p).sum(1), ((target > 0) & torch.isneginf(logits)).any(1))
        apart = others(self.get_buffer("memory")[index].to(logits.dtype))[:, :-1]  # 1 - t
        return cost + self.strength * torch.logsumexp(log_p + apart.log(), 1)

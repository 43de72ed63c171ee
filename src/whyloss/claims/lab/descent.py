"""What the claims about gradients and about optimising share: the losses that "MSE" may mean, the size of their
gradients, and descents that are watched step by step.

Knows losses and training, no claims."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from whyloss.claims.lab.tasks import Rows, Task
from whyloss.claims.lab.training import Members, Objective, Plan, train
from whyloss.losses.imbalance import FocalLoss
from whyloss.losses.loss import RowLoss
from whyloss.losses.proper import BrierLoss, CrossEntropyLoss, SquaredLogitLoss
from whyloss.losses.robust import MeanAbsoluteErrorLoss

Errors = Callable[[Tensor, Tensor], Tensor]  # outputs (members, rows, outputs), labels (members, rows) -> like labels

CAP = 20.0  # octaves; what has overflowed or vanished altogether counts as this much


def of(loss: RowLoss) -> Errors:
    """The loss of every row; `loss` has reduction "none"."""
    return lambda z, y: loss(z.flatten(0, 1), y.flatten()).view(y.shape)


def code_errors(z: Tensor, y: Tensor) -> Tensor:
    """Squared error of one linear output, whose target is the number of the class."""
    return (z[..., 0] - y) ** 2


ERRORS: dict[str, Errors] = {
    "ce": of(CrossEntropyLoss(reduction="none")),
    "probabilities": of(BrierLoss(reduction="none")),
    "linear": of(SquaredLogitLoss(reduction="none")),
    "codes": code_errors,
    "mae": of(MeanAbsoluteErrorLoss(reduction="none")),
    "focal": of(FocalLoss(reduction="none")),
}


def objective(name: str, factor: float = 1.0) -> Objective:
    """Each member's mean over its rows, times a factor."""
    return lambda z, y: factor * ERRORS[name](z, y).mean(-1).sum()


def outputs(name: str, classes: int) -> int:
    return 1 if name == "codes" else classes


def slope(name: str, z: Tensor) -> Tensor:
    """Size of the gradient of one row's loss on the output z of its label, in float64. The other output of two is 0;
    the one output of "codes" has the target 1, as the label's output has in "linear"."""
    z = z.double().requires_grad_()
    both = torch.stack([torch.zeros_like(z), z], -1) if name != "codes" else z.unsqueeze(-1)
    (found,) = torch.autograd.grad(ERRORS[name](both[None], torch.ones(1, len(z), dtype=torch.long)).sum(), z)
    return found.abs()


def logit(p: Tensor) -> Tensor:
    """The z at which softmax(0, z) gives the label this probability."""
    return p.log() - (-p).log1p()


def wrong_start(rows: Rows, classes: int, margin: float) -> Callable[[Members], None]:
    """Sets the last layer, by ridge regression, so that the label's logit of every row lies about `margin` below the
    others: confidently wrong."""

    def begin(net: Members) -> None:
        with torch.no_grad():
            h = rows.x.repeat_interleave(net.rates, 0)
            if len(net.parameters) == 4:
                h = torch.baddbmm(net.parameters[1], h, net.parameters[0]).relu()
            h = torch.cat([h, torch.ones_like(h[..., :1])], -1)
            target = -margin * torch.nn.functional.one_hot(rows.y, classes).to(h.dtype)
            ridge = 1e-3 * h.shape[1] * torch.eye(h.shape[2])
            solved = torch.linalg.solve(h.mT @ h + ridge, h.mT @ target.repeat_interleave(net.rates, 0))
            net.parameters[-2].copy_(solved[:, :-1])
            net.parameters[-1].copy_(solved[:, -1:])

    return begin


def confidence(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean probability of the label."""
    return logits.softmax(-1).gather(-1, labels.expand(logits.shape[:-1]).unsqueeze(-1)).squeeze(-1).mean(-1)


def watch(
    name: str,
    rows: Rows,
    classes: int,
    plan: Plan,
    seeds: Sequence[int],
    begin: Callable[[Members], None] | None = None,
) -> Iterator[tuple[int, Members, Tensor]]:
    """Train, and yield at every snapshot the step, the networks, and the logits of the training rows (rates, seeds,
    rows, outputs)."""
    for step, net in train(objective(name), rows, outputs(name, classes), plan, seeds, begin):
        yield step, net, net.logits(rows.x)


def gradient_size(name: str, net: Members, rows: Rows) -> Tensor:
    """Norm of the gradient on all weights, (rates, seeds)."""
    y = rows.y.repeat_interleave(net.rates, 0)
    found = torch.autograd.grad(objective(name)(net.forward(rows.x.repeat_interleave(net.rates, 0)), y), net.parameters)
    squares = torch.stack([g.double().square().flatten(1).sum(1) for g in found]).sum(0)
    return squares.sqrt().view(net.seeds, net.rates).T


def mean_loss(name: str, logits: Tensor, labels: Tensor) -> Tensor:
    """(rates, seeds, rows, outputs), (seeds, rows) -> (rates, seeds)."""
    return torch.stack([ERRORS[name](z, labels).mean(-1) for z in logits])


def standardised(task: Task) -> Task:
    """Every feature with mean 0 and standard deviation 1 on the training rows."""
    mean, size = task.train.x.mean(1, keepdim=True), task.train.x.std(1, keepdim=True)
    train, valid, test = (replace(r, x=(r.x - mean) / size) for r in (task.train, task.valid, task.test))
    return replace(task, train=train, valid=valid, test=test)


def octaves(ratio: Tensor) -> Tensor:
    """Base-2 logarithm, within the cap; what is no number has overflowed."""
    return ratio.double().log2().nan_to_num(nan=CAP, posinf=CAP, neginf=-CAP).clamp(-CAP, CAP)

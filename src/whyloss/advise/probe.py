"""The small network that a trial trains: every learning rate of the grid side by side, as one batched product.

All members start from the same weights and see the same batches, whatever the loss; only the learning rate differs.
Their predictions are taken at several points of the training, so that early stopping is one more thing to tune."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Plan:
    """How long and how a probe trains. `snapshots` are the steps after which predictions are taken."""

    rates: tuple[float, ...]
    steps: int
    snapshots: tuple[int, ...]
    batch: int = 64
    hidden: int = 64

    def settings(self) -> list[tuple[float, int]]:
        """(learning rate, step) of every row of the predictions, in their order."""
        return [(rate, step) for step in self.snapshots for rate in self.rates]


def train(
    loss: Callable[[Tensor, Tensor], Tensor],
    x: Floats,
    y: NDArray[np.int64],
    test: Floats,
    classes: int,
    plan: Plan,
    seed: int,
) -> Floats:
    """Log-probabilities of the test rows, (settings, rows, classes). `loss` must reduce by its mean."""
    inputs, labels, held_out = torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(test)
    net = _Members(x.shape[1], plan.hidden, classes, plan.rates, seed)
    batches = _batches(len(x), plan.batch, plan.steps, seed)
    taken: list[Tensor] = []
    for step, rows in enumerate(batches, 1):
        net.step(inputs[rows], labels[rows], loss)
        if step in plan.snapshots:
            taken.append(torch.log_softmax(net.logits(held_out), -1))
    return torch.cat(taken).numpy()


def _batches(rows: int, size: int, steps: int, seed: int) -> list[Tensor]:
    """Passes over the shuffled rows, cut into batches; the short one at the end of a pass is dropped."""
    generator = torch.Generator().manual_seed(seed)
    size = min(size, rows)
    found: list[Tensor] = []
    while len(found) < steps:
        order = torch.randperm(rows, generator=generator)
        found.extend(order[i : i + size] for i in range(0, rows - size + 1, size))
    return found[:steps]


class _Members:
    """A network with one hidden layer per learning rate, trained by Adam (Kingma & Ba 2015), gradients by hand.

    By hand because the two products of a layer are all there is, and autograd's bookkeeping would cost more than they
    do; only the loss, from logits to its gradient, goes through autograd."""

    def __init__(self, inputs: int, hidden: int, classes: int, rates: tuple[float, ...], seed: int):
        generator = torch.Generator().manual_seed(seed)
        members = len(rates)
        shapes = [(inputs, hidden), (1, hidden), (hidden, classes), (1, classes)]
        ends = np.cumsum([a * b for a, b in shapes]).tolist()
        self.flat = torch.zeros(members, ends[-1])
        self.grad = torch.zeros_like(self.flat)
        self.first, self.second = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        self.rate = torch.tensor(rates).unsqueeze(1)
        self.steps = 0

        def views(of: Tensor) -> list[Tensor]:
            starts = [0, *ends[:-1]]
            return [of[:, i:j].view(members, *s) for i, j, s in zip(starts, ends, shapes, strict=True)]

        self.weights, self.grads = views(self.flat), views(self.grad)
        # He initialisation below the ReLU; a small last layer, so that every loss starts from nearly even odds.
        self.weights[0].copy_(torch.randn(inputs, hidden, generator=generator) * (2 / inputs) ** 0.5)
        self.weights[2].copy_(torch.randn(hidden, classes, generator=generator) * 0.1 * (1 / hidden) ** 0.5)

    def logits(self, x: Tensor) -> Tensor:
        w1, b1, w2, b2 = self.weights
        return (x @ w1 + b1).relu_() @ w2 + b2

    def step(self, x: Tensor, y: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        w1, b1, w2, b2 = self.weights
        members = len(w1)
        h = (x @ w1 + b1).relu_()
        logits = (h @ w2 + b2).flatten(0, 1).requires_grad_()
        # The mean over all members' rows, times their number: each member gets the gradient of its own mean.
        (d,) = torch.autograd.grad(loss(logits, y.repeat(members)) * members, logits)
        d = d.view(members, len(x), -1)
        g1, gb1, g2, gb2 = self.grads
        torch.matmul(h.mT, d, out=g2)
        torch.sum(d, 1, keepdim=True, out=gb2)
        dh = (d @ w2.mT).mul_(h > 0)
        torch.matmul(x.T, dh, out=g1)
        torch.sum(dh, 1, keepdim=True, out=gb1)
        self._adam()

    def _adam(self, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        self.steps += 1
        # A learning rate that is too large may overflow; its member is lost, and never chosen.
        self.grad.nan_to_num_(0.0, 1e4, -1e4)
        self.first.lerp_(self.grad, 1 - beta1)
        self.second.mul_(beta2).addcmul_(self.grad, self.grad, value=1 - beta2)
        scale = self.rate / (1 - beta1**self.steps)
        root = (self.second / (1 - beta2**self.steps)).sqrt_().add_(eps)
        self.flat.sub_(self.first / root * scale)

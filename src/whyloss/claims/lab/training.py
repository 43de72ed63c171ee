"""Training for the experiments: every seed and every learning rate side by side, in one batched network.

All losses see the same initial weights and the same batches. Knows tensors and losses; nothing of claims."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from whyloss.claims.lab.tasks import Rows, Task
from whyloss.losses.loss import RowLoss

# (members, rows, outputs), (members, rows) -> a scalar: the sum over the members of each one's own mean loss.
Objective = Callable[[Tensor, Tensor], Tensor]
Metric = Callable[[Tensor, Tensor], Tensor]  # logits (..., rows, outputs), labels (..., rows) -> (...)

SGD_RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
ADAM_RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)


@dataclass(frozen=True)
class Plan:
    """What is trained and how long. `hidden` 0 is a linear model; `batch` None is plain gradient descent on all rows.
    `snapshots` are the steps after which the network is looked at; 0 is before the first. `fixed` is the number of the
    learning rate that the fixed protocol uses for every loss, with the last snapshot."""

    rates: tuple[float, ...]
    steps: int
    snapshots: tuple[int, ...]
    fixed: int
    hidden: int = 0
    batch: int | None = 64
    optimiser: Literal["sgd", "adam"] = "adam"
    momentum: float = 0.0
    initial: float = 1.0  # multiplies the initial weights of every layer


def per_row(loss: RowLoss) -> Objective:
    """A row loss with reduction "mean" as an objective."""

    def objective(logits: Tensor, labels: Tensor) -> Tensor:
        return loss(logits.flatten(0, 1), labels.flatten()) * len(logits)

    return objective


class Members:
    """Networks with at most one hidden layer, one for each seed and rate, in the order (seed, rate)."""

    def __init__(self, features: int, outputs: int, plan: Plan, seeds: Sequence[int]):
        self.rates, self.seeds = len(plan.rates), len(seeds)
        widths = [features, plan.hidden, outputs] if plan.hidden else [features, outputs]
        self.parameters: list[Tensor] = []
        for layer, (n, m) in enumerate(pairwise(widths), 1):
            last = layer == len(widths) - 1
            per_seed = [torch.randn(n, m, generator=torch.Generator().manual_seed(7 * s + n + m)) for s in seeds]
            # He initialisation below the ReLU; a small last layer, so that every loss starts from nearly even odds.
            scale = (0.1 * n**-0.5 if last else (2 / n) ** 0.5) * plan.initial
            self.parameters.append((torch.stack(per_seed) * scale).repeat_interleave(self.rates, 0).requires_grad_())
            self.parameters.append(torch.zeros(self.seeds * self.rates, 1, m).requires_grad_())

    def forward(self, x: Tensor) -> Tensor:
        """(members, rows, features) -> (members, rows, outputs)."""
        w, b = self.parameters[:2]
        x = torch.baddbmm(b, x, w)
        if len(self.parameters) == 4:
            w, b = self.parameters[2:]
            x = torch.baddbmm(b, x.relu(), w)
        return x

    def logits(self, x: Tensor) -> Tensor:
        """(seeds, rows, features) -> (rates, seeds, rows, outputs)."""
        with torch.no_grad():
            z = self.forward(x.repeat_interleave(self.rates, 0))
        return z.unflatten(0, (self.seeds, self.rates)).transpose(0, 1)


def train(
    objective: Objective,
    rows: Rows,
    outputs: int,
    plan: Plan,
    seeds: Sequence[int],
    begin: Callable[[Members], None] | None = None,
) -> Iterator[tuple[int, Members]]:
    """Yields (step, networks) at every snapshot. A member that overflows stays broken, and is never chosen. `begin` may
    change the initial weights in place."""
    net = Members(rows.x.shape[-1], outputs, plan, seeds)
    if begin:
        begin(net)
    step_size = torch.tensor(plan.rates).repeat(len(seeds)).view(-1, 1, 1)
    first = [torch.zeros_like(p) for p in net.parameters]
    second = [torch.zeros_like(p) for p in net.parameters]
    if 0 in plan.snapshots:
        yield 0, net
    for step, chosen in enumerate(_batches(rows.y.shape[1], plan, seeds), 1):
        x, y = rows.x, rows.y
        if chosen is not None:
            x = x.gather(1, chosen.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
            y = y.gather(1, chosen)
        z = net.forward(x.repeat_interleave(net.rates, 0))
        slopes = torch.autograd.grad(objective(z, y.repeat_interleave(net.rates, 0)), net.parameters)
        with torch.no_grad():
            for p, g, m, v in zip(net.parameters, slopes, first, second, strict=True):
                if plan.optimiser == "sgd":
                    p.sub_(m.mul_(plan.momentum).add_(g) * step_size)
                    continue
                m.lerp_(g, 0.1)
                v.mul_(0.999).addcmul_(g, g, value=0.001)
                p.sub_(m / ((v / (1 - 0.999**step)).sqrt_().add_(1e-8)) * (step_size / (1 - 0.9**step)))
        if step in plan.snapshots:
            yield step, net


def _batches(rows: int, plan: Plan, seeds: Sequence[int]) -> Iterator[Tensor | None]:
    """Numbers of rows (seeds, batch): passes over shuffled rows, the short end of a pass dropped. None: all rows."""
    if plan.batch is None or plan.batch >= rows:
        yield from (None for _ in range(plan.steps))
        return
    generators = [torch.Generator().manual_seed(int(seed) + 5) for seed in seeds]
    left = plan.steps
    while left:
        order = torch.stack([torch.randperm(rows, generator=g) for g in generators])
        for start in range(0, rows - plan.batch + 1, plan.batch):
            if not left:
                return
            yield order[:, start : start + plan.batch]
            left -= 1


@dataclass(frozen=True)
class Trained:
    """Logits at every snapshot, (snapshots, rates, seeds, rows, outputs), of the rows that tune and of those that
    judge."""

    plan: Plan
    task: Task
    valid: Tensor
    test: Tensor

    def fixed(self) -> Tensor:
        """Test logits (seeds, rows, outputs) at the plan's fixed rate, after the last step."""
        return self.test[-1, self.plan.fixed]

    def tuned(self, metric: Metric) -> Tensor:
        """Test logits (seeds, rows, outputs) of the rate and snapshot with the best metric on the validation rows."""
        return self._taken(self.test, metric)

    def tuned_valid(self, metric: Metric) -> Tensor:
        """The validation logits that go with `tuned`, for thresholds and temperatures."""
        return self._taken(self.valid, metric)

    def chosen_rates(self, metric: Metric) -> list[float]:
        """The learning rate that tuning chose, per seed."""
        rates = len(self.plan.rates)
        return [self.plan.rates[int(i) % rates] for i in self._best(metric)]

    def _best(self, metric: Metric) -> Tensor:
        scores = metric(self.valid, self.task.valid.y.expand(self.valid.shape[:-1]))
        broken = ~self.valid.isfinite().all(-1).all(-1)
        return scores.masked_fill(broken | scores.isnan(), -torch.inf).flatten(0, 1).argmax(0)

    def _taken(self, logits: Tensor, metric: Metric) -> Tensor:
        best = self._best(metric)
        return logits.flatten(0, 1)[best, torch.arange(len(best))]


def fit(objective: Objective, task: Task, plan: Plan, seeds: Sequence[int], outputs: int | None = None) -> Trained:
    """Train at every rate of the plan and keep the logits of the validation and test rows at every snapshot."""
    valid: list[Tensor] = []
    test: list[Tensor] = []
    for _, net in train(objective, task.train, outputs or task.classes, plan, seeds):
        valid.append(net.logits(task.valid.x))
        test.append(net.logits(task.test.x))
    return Trained(plan, task, torch.stack(valid), torch.stack(test))


def steps_to(
    reached: Callable[[Tensor], Tensor],
    objective: Objective,
    rows: Rows,
    outputs: int,
    plan: Plan,
    seeds: Sequence[int],
    every: int = 1,
    begin: Callable[[Members], None] | None = None,
) -> Tensor:
    """The first step, looked at each `every` steps, after which `reached(logits (rates, seeds, rows, outputs))` is true
    on the training rows; twice the plan's steps where it never is. (rates, seeds)."""
    watched = replace(plan, snapshots=tuple(range(0, plan.steps + 1, every)))
    found = torch.full((len(plan.rates), len(seeds)), 2.0 * plan.steps)
    for step, net in train(objective, rows, outputs, watched, seeds, begin):
        new = reached(net.logits(rows.x)) & (found > plan.steps)
        found[new] = max(step, 1)
        if (found <= plan.steps).all():
            break
    return found


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(-1) == labels).float().mean(-1)


def log_likelihood(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean log-probability of the labels: the negative log loss, so that larger is better."""
    log_p = torch.log_softmax(logits.double(), -1)
    return log_p.gather(-1, labels.unsqueeze(-1)).squeeze(-1).mean(-1)

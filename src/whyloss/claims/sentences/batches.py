"""Experiments on batches: what a larger one asks of the learning rate, and what ignored rows do to means."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from whyloss.claims.claim import Curve, Measured, Results, Scale
from whyloss.claims.lab.tasks import Rows, Task, mixture
from whyloss.claims.lab.training import ADAM_RATES, Plan, Trained, accuracy, fit, per_row
from whyloss.losses.loss import Loss
from whyloss.losses.proper import CrossEntropyLoss

# F-9: a larger batch.

SMALL, LARGE = 32, 512
RULES = {"kept": 1, "root": 4, "times16": 16}  # what multiplies the rate of the small batch; 16 = LARGE / SMALL
BASES: Mapping[str, tuple[tuple[float, ...], int]] = {  # rates for the small batch, and which one is conventional
    "sgd": ((0.003, 0.01, 0.03, 0.1), 1),
    "adam": ((1e-3, 3e-3, 1e-2, 3e-2), 0),
}


def larger_batch(part: str, scale: Scale) -> Results:
    """Accuracy with batches of 512 at one, four and sixteen times the rate minus accuracy with batches of 32, after
    equally many passes. `part`: optimiser and passes; "exact": multiplying the loss against multiplying the rate."""
    if part == "exact":
        return multiplied()
    optimiser, passes = part.split()
    rates, fixed = BASES[optimiser]
    seeds = scale.seeds(20, 5)
    rows = scale.of((4096, 500, 2000), (1024, 300, 600))
    task = mixture(seeds, rows, classes=4, clusters=4, features=4, distance=1.5)

    def trained(batch: int, factor: int) -> Trained:
        steps = rows[0] // batch * int(passes)
        snapshots = tuple(sorted({max(1, steps * n // 10) for n in range(1, 11)}))
        own = tuple(rate * factor for rate in rates)
        plan = Plan(own, steps, snapshots, fixed, 32, batch, "adam" if optimiser == "adam" else "sgd", 0.9)
        return fit(per_row(CrossEntropyLoss()), task, plan, seeds)

    small = trained(SMALL, 1)
    large = {rule: trained(LARGE, factor) for rule, factor in RULES.items()}
    best = torch.tensor([rates.index(rate) for rate in small.chosen_rates(accuracy)])
    measured: list[Measured] = []
    curves: list[Curve] = []
    for protocol in ("fixed", "tuned"):
        chosen = best if protocol == "tuned" else torch.full_like(best, fixed)
        reference = stopped(small, chosen, protocol)
        change = {rule: stopped(run, chosen, protocol) - reference for rule, run in large.items()}
        where = {"optimiser": optimiser, "passes": passes, "protocol": protocol}
        measured.append(Measured("a", where, _values(change["times16"].clamp_max(0))))
        measured.append(Measured("b", where, _values(-change["kept"])))
        if protocol == "fixed":
            means = (float(values.mean()) for values in change.values())
            curves.append(Curve("change", f"{optimiser} {passes}", tuple(RULES), tuple(means)))
    return Results(tuple(measured), tuple(curves))


def stopped(trained: Trained, rates: Tensor, protocol: str) -> Tensor:
    """Test accuracy per seed at a rate of its own (its number): after the last step or, tuned, at the snapshot that is
    best on the validation rows. A run that overflows says the first class throughout."""
    seeds = torch.arange(len(rates))
    test = accuracy(trained.test, trained.task.test.y.expand(trained.test.shape[:-1]))[:, rates, seeds]
    if protocol == "fixed":
        return test[-1]
    valid = accuracy(trained.valid, trained.task.valid.y.expand(trained.valid.shape[:-1]))[:, rates, seeds]
    return test[valid.argmax(0), seeds]


def multiplied() -> Results:
    """How far training ends apart, over the way travelled, with 16 times the loss: from training with 16 times the
    rate, and from training with neither. One hidden layer, float64, 100 steps on batches of 32."""
    measured: list[Measured] = []
    curves: list[Curve] = []
    for optimiser in BASES:
        rate = 1e-3
        paths = {
            "loss": path(optimiser, 16 * CrossEntropyLoss(), rate),
            "rate": path(optimiser, CrossEntropyLoss(), 16 * rate),
            "kept": path(optimiser, CrossEntropyLoss(), rate),
        }
        apart = {name: float((paths["loss"] - paths[name])[-1].norm() / _way(paths[name])) for name in ("rate", "kept")}
        where = {"optimiser": optimiser, "protocol": "exact"}
        measured += [Measured("c", where, (apart["rate"],)), Measured("d", where, (apart["kept"],))]
        if optimiser == "adam":
            steps = tuple(range(len(paths["loss"])))
            names = {"loss": "loss16", "rate": "times16", "kept": "kept"}
            curves += [
                Curve("way", names[name], steps, _values((line - line[0]).norm(dim=1))) for name, line in paths.items()
            ]
    return Results(tuple(measured), tuple(curves))


def _way(line: Tensor) -> Tensor:
    return (line[-1] - line[0]).norm()


def path(optimiser: str, loss: Loss, rate: float, steps: int = 100) -> Tensor:
    """All weights of a small network before the first step and after each, (steps + 1, weights)."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(1024, 4, dtype=torch.float64, generator=generator)
    y = (x @ torch.randn(4, 3, dtype=torch.float64, generator=generator)).argmax(1)
    shapes = ((4, 8), (8, 3))
    weights = [(0.5 * torch.randn(n, m, dtype=torch.float64, generator=generator)).requires_grad_() for n, m in shapes]
    step = torch.optim.SGD(weights, rate, momentum=0.9) if optimiser == "sgd" else torch.optim.Adam(weights, rate)
    found = [torch.cat([w.detach().flatten() for w in weights])]
    for number in range(steps):
        rows = torch.arange(SMALL) + SMALL * (number % (1024 // SMALL))
        step.zero_grad()
        loss((x[rows] @ weights[0]).tanh() @ weights[1], y[rows]).backward()  # pyright: ignore[reportUnknownMemberType]
        step.step()
        found.append(torch.cat([w.detach().flatten() for w in weights]))
    return torch.stack(found)


# F-10: means over the rows that `ignore_index` keeps.

IGNORED = -100
TOKENS = 32  # in a sequence
KEPT = {"short": 2, "long": 30}  # of them, in sequences with a short and with a long answer
CLASSES = {"short": (0.8, 0.1, 0.1), "long": (0.05, 0.475, 0.475)}
SHARES: Mapping[str, tuple[int, ...]] = {  # kept rows of each batch of 64
    "one": (64,),
    "equal": (32,) * 8,
    "uneven": (2, 4, 8, 16, 24, 40, 56, 64),
}


def kept_rows(part: str, scale: Scale) -> Results:
    """`part` "exact": mean of the batches' means against the mean over all kept rows, in value and gradient, and what
    a batch without kept rows gives. Else: accuracy lost by training on the mean of the sequences' means instead of the
    mean over all kept rows; "unrelated": the share of ignored rows has nothing to do with the classes, "related": short
    answers have classes of their own."""
    if part == "exact":
        return averages()
    seeds = scale.seeds(20, 8)
    task = sequences(seeds, scale.of(48, 24), part == "related", scale.of((500, 4000), (300, 1000)))
    steps = scale.of(150, 60)
    plan = Plan(ADAM_RATES[2:], steps, (steps // 4, steps // 2, steps), fixed=1, batch=None)
    sums, means = (fit(objective, task, plan, seeds) for objective in (per_row(CrossEntropyLoss()), mean_of_means))
    measured: list[Measured] = []
    for protocol in ("fixed", "tuned"):
        z_sums, z_means = (t.fixed() if protocol == "fixed" else t.tuned(accuracy) for t in (sums, means))
        change = accuracy(z_means, task.test.y) - accuracy(z_sums, task.test.y)
        where = {"average": "means", "shares": part, "protocol": protocol}
        measured.append(Measured("d", where, _values(change)))
    if part == "unrelated":
        return Results(tuple(measured))
    said = {"parts": sums.tuned(accuracy), "means": means.tuned(accuracy)}
    bars = {name: float(z.softmax(-1)[..., 0].mean()) for name, z in said.items()}
    rows = float((task.test.y == 0).float().mean())
    return Results(tuple(measured), (Curve("share", "related", ("rows", *bars), (rows, *bars.values())),))


def averages() -> Results:
    """The exact part: two ways to put batches together, over three ways in which rows are ignored, in float64."""
    measured: list[Measured] = []
    for shares, kept in SHARES.items():
        for average in ("means", "parts"):
            value, slope = deviation(kept, average)
            where = {"average": average, "shares": shares, "protocol": "exact"}
            measured += [Measured("a", where, (value,)), Measured("b", where, (slope,))]
    z, none = torch.zeros(4, 3, dtype=torch.float64), torch.full((4,), IGNORED)
    for name, loss in (("torch", torch.nn.CrossEntropyLoss()), ("whyloss", CrossEntropyLoss())):
        lost = float(loss(z, none).isnan())
        measured.append(Measured("c", {"library": name, "protocol": "exact"}, (lost,)))
    ratios = (1, 2, 4, 8, 16, 32)
    curves = [
        Curve("bias", average, ratios, tuple(deviation((2, 2 * n), average)[1] for n in ratios))
        for average in ("means", "parts")
    ]
    return Results(tuple(measured), tuple(curves))


def deviation(kept: Sequence[int], average: str, draws: int = 20) -> tuple[float, float]:
    """Relative deviation of value and gradient from those of the mean over all kept rows, meaned over draws: a linear
    model, batches of 64 rows of which so many are kept. `average`: "means" of the batches, or "parts", sums over
    sums."""
    generator = torch.Generator().manual_seed(11)
    found = [_deviation(kept, average, generator) for _ in range(draws)]
    return sum(value for value, _ in found) / draws, sum(slope for _, slope in found) / draws


def _deviation(kept: Sequence[int], average: str, generator: torch.Generator) -> tuple[float, float]:
    x = torch.randn(len(kept), 64, 5, dtype=torch.float64, generator=generator)
    w = torch.randn(5, 4, dtype=torch.float64, generator=generator).requires_grad_()
    y = torch.randint(4, (len(kept), 64), generator=generator)
    y = torch.where(torch.arange(64) < torch.tensor(kept).unsqueeze(1), y, IGNORED)
    loss = CrossEntropyLoss()
    known = y != IGNORED
    right = loss(x[known] @ w, y[known])
    if average == "means":
        found = torch.stack([loss(a @ w, b) for a, b in zip(x, y, strict=True)]).mean()
    else:
        pairs = [loss.parts(a @ w, b) for a, b in zip(x, y, strict=True)]
        found = torch.stack([total for total, _ in pairs]).sum() / torch.stack([weight for _, weight in pairs]).sum()
    slope, best = (torch.autograd.grad(v, w)[0] for v in (found, right))
    return abs(float(found.detach() / right.detach()) - 1), float((slope - best).norm() / best.norm())


def mean_of_means(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy meaned over each sequence's kept rows, then over sequences: what accumulating gradients of batches
    of one sequence does. Summed over the members."""
    losses = CrossEntropyLoss(reduction="none")(logits.flatten(0, 1), labels.flatten()).view(len(labels), -1, TOKENS)
    kept = (labels != IGNORED).view(losses.shape).sum(-1)
    return (losses.sum(-1) / kept).mean(-1).sum()


def sequences(seeds: Sequence[int], count: int, related: bool, tested: tuple[int, int]) -> Task:
    """Token-like rows in three classes: `count` sequences with short and as many with long answers, all else ignored.
    Those that tune and judge are kept rows alone, in the shares in which training keeps them."""
    short, long = (np.asarray(CLASSES[name]) * KEPT[name] for name in ("short", "long"))
    shares = (short + long) / TOKENS
    task = mixture(seeds, (4 * count * TOKENS, *tested), features=2, distance=1.5, priors=shares.tolist())
    in_short = torch.from_numpy(short / (short + long)) if related else torch.full((3,), KEPT["short"] / TOKENS)
    x = torch.zeros(len(seeds), 2 * count, TOKENS, 2)
    y = torch.full((len(seeds), 2 * count, TOKENS), IGNORED)
    for number, seed in enumerate(seeds):
        generator = torch.Generator().manual_seed(int(seed) + 31)
        labels = task.train.y[number]
        to_short = torch.rand(len(labels), generator=generator) < in_short[labels]
        for kind, half, rows in (("short", 0, to_short), ("long", 1, ~to_short)):
            n = KEPT[kind]
            chosen = rows.nonzero().squeeze(1)[: count * n].view(count, n)
            place = slice(half * count, (half + 1) * count)
            x[number, place, :n], y[number, place, :n] = task.train.x[number, chosen], labels[chosen]
    return replace(task, train=Rows(x.flatten(1, 2), y.flatten(1)))


def _values(found: Tensor) -> tuple[float, ...]:
    return tuple(found.double().tolist())

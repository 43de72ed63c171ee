"""The experiments of the claims about gradients: exact sizes, and what training makes of them.

Knows no sentences; those stand in gradients.py."""

from collections.abc import Sequence

import torch
from torch import Tensor

from whyloss.claims.claim import Curve, Measured, Results, Scale
from whyloss.claims.lab.descent import (
    ERRORS,
    gradient_size,
    logit,
    mean_loss,
    objective,
    octaves,
    outputs,
    slope,
    standardised,
    watch,
)
from whyloss.claims.lab.descent import confidence as confidence_of
from whyloss.claims.lab.tasks import Rows, Task, mixture
from whyloss.claims.lab.training import ADAM_RATES, Plan, accuracy, fit

MEANINGS = ("probabilities", "linear", "codes")
Places = dict[str, tuple[Tensor, Tensor]]  # protocol -> (rate, seed) of each seed


def line(panel: str, name: str, x: Tensor | Sequence[float], y: Tensor | Sequence[float]) -> Curve:
    return Curve(panel, name, tuple(float(v) for v in x), tuple(float(v) for v in y))


def octave_rates(first: int, last: int, per_octave: int = 1) -> tuple[float, ...]:
    """Learning rates around 0.1, which is number -first of them (times those per octave)."""
    return tuple(0.1 * 2 ** (k / per_octave) for k in range(first * per_octave, last * per_octave + 1))


# ---------------------------------------------------------------------------------------- do gradients explode


def with_far_points(rows: Rows, share: float = 0.05, factor: float = 30.0) -> Rows:
    """The same rows, the first few of each seed moved outwards from the origin; their labels stay."""
    x = rows.x.clone()
    x[:, : round(share * x.shape[1])] *= factor
    return Rows(x, rows.y)


def explosion(part: str, scale: Scale) -> Results:
    """Exact: how much larger the gradient on the label's output gets when outputs may be ten times as large. By plain
    gradient descent of a linear model, at half-octave learning rates: the growth of the gradient from the first step to
    the last, and the largest rate at which the loss ends below where it began."""
    if part == "exact":
        near, far = torch.linspace(-10, 10, 2001), torch.linspace(-100, 100, 20001)
        values = {m: slope(m, far).max() / slope(m, near).max() for m in MEANINGS}
        z = torch.linspace(-8, 8, 97)
        return Results(
            tuple(
                Measured("unbounded", {"protocol": "exact", "meaning": m}, (float(octaves(v)),))
                for m, v in values.items()
            ),
            tuple(line("slope", name, z, slope(name, z)) for name in ("ce", *MEANINGS)),
        )
    seeds = scale.seeds(10, 5)
    steps = scale.of(200, 100)
    task = standardised(mixture(seeds, (120, 120, 1), classes=3, features=5, distance=1.5))
    train, valid = task.train, task.valid
    if part == "far":
        train, valid = with_far_points(train), with_far_points(valid)
    plan = Plan(octave_rates(-12, 6, 2), steps, (0, steps), fixed=24, batch=None, optimiser="sgd")
    rates, everyone = torch.tensor(plan.rates), torch.arange(len(seeds))
    measured: list[Measured] = []
    stable: dict[str, Tensor] = {}
    for name in ("ce", *MEANINGS):
        seen = [
            (
                gradient_size(name, net, train),
                mean_loss(name, z, train.y),
                mean_loss(name, net.logits(valid.x), valid.y),
            )
            for _, net, z in watch(name, train, 3, plan, seeds)
        ]
        growth = octaves(seen[1][0] / seen[0][0]).clamp_min(-10)
        falls = seen[1][1] < seen[0][1]
        stable[name] = (falls * rates[:, None]).max(0).values
        if name == "ce":
            continue
        best = seen[1][2].nan_to_num(nan=torch.inf).argmin(0)
        where = {"meaning": name, "features": part}
        measured += [
            Measured("grows", {"protocol": "fixed", **where}, tuple(growth[plan.fixed].tolist())),
            Measured("grows", {"protocol": "tuned", **where}, tuple(growth[best, everyone].tolist())),
            Measured("limit", {"protocol": "fixed", **where}, tuple((stable["ce"] / stable[name]).log2().tolist())),
        ]
    heights = [float(limit.log2().mean().exp2()) for limit in stable.values()]
    return Results(tuple(measured), (Curve("limit", part, tuple(stable), tuple(heights)),))


# ------------------------------------------------------------------------------------------------ the factor 2


def descend(name: str, factor: float, rate: float, x: Tensor, y: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Gradient descent of a linear model from 0 in float64: the weights and the loss, without the factor, by step."""
    w = torch.zeros(x.shape[1], outputs(name, int(y.max()) + 1), dtype=torch.float64, requires_grad=True)
    path: list[Tensor] = []
    losses: list[float] = []
    for _ in range(steps):
        loss = ERRORS[name]((x @ w)[None], y[None]).mean()
        (g,) = torch.autograd.grad(factor * loss, w)
        w = (w - rate * g).detach().requires_grad_()
        path.append(w.detach())
        losses.append(loss.item())
    return torch.stack(path), torch.tensor(losses)


def factor_two(part: str, scale: Scale) -> Results:
    """Exact: the largest difference between the weights of 200 steps with the loss L at rate r, and with L / 2 at 2 r.
    Trained: test accuracy with L / 2 minus that with L, at the same rate and at the best rate of each."""
    if part == "exact":
        task = mixture([1000 * scale.seed], (200, 1, 1), classes=3, features=2)
        x, y = task.train.x[0].double(), task.train.y[0]
        measured: list[Measured] = []
        for m in MEANINGS:
            whole, _ = descend(m, 1, 0.02, x, y, 200)
            half, _ = descend(m, 0.5, 0.04, x, y, 200)
            gap = float((whole - half).abs().max() / whole.abs().max())
            measured.append(Measured("path", {"protocol": "exact", "meaning": m}, (gap,)))
        steps = torch.arange(1, 61)
        runs = {"whole": (1, 0.04), "half": (0.5, 0.04), "half_twice": (0.5, 0.08)}
        curves = [
            line("path", name, steps, descend("probabilities", *run, x, y, len(steps))[1]) for name, run in runs.items()
        ]
        return Results(tuple(measured), tuple(curves))
    seeds = scale.seeds(12, 8)
    steps = scale.of(300, 200)
    task = standardised(mixture(seeds, (150, 300, 1000), classes=3, features=5, distance=2.0))
    rates, fixed = (octave_rates(-4, 3), 4) if part == "sgd" else (ADAM_RATES, 3)
    plan = Plan(rates, steps, (steps,), fixed, batch=None, optimiser="sgd" if part == "sgd" else "adam")
    measured = []
    for m in ("probabilities", "linear"):  # codes decide too erratically for their accuracy to tell
        half, whole = (fit(objective(m, f), task, plan, seeds) for f in (0.5, 1.0))
        y = task.test.y
        gaps = {
            "fixed": accuracy(half.fixed(), y) - accuracy(whole.fixed(), y),
            "tuned": accuracy(half.tuned(accuracy), y) - accuracy(whole.tuned(accuracy), y),
        }
        measured += [
            Measured("worse", {"protocol": protocol, "meaning": m, "optimiser": part}, tuple(gap.tolist()))
            for protocol, gap in gaps.items()
        ]
    return Results(tuple(measured))


# ----------------------------------------------------------------------------------------- do gradients vanish


SMALL = 2.0**-20


def at_error(name: str, error: Tensor) -> Tensor:
    """Size of the gradient where the label's probability, or its output, is this far from what it should be."""
    return slope(name, 1 - error if name in ("linear", "codes") else logit(1 - error.double()))


def fading(name: str) -> float:
    """Octaves by which the gradient falls from an error of 1/2 to an error of 2^-20."""
    big, small = at_error(name, torch.tensor([0.5, SMALL], dtype=torch.float64))
    return float(octaves(big / small))


def separable(seeds: Sequence[int]) -> Task:
    """Three Gaussian classes that a linear model separates."""
    return mixture(seeds, (100, 200, 500), classes=3, features=10, distance=3.0)


def long_plan(steps: int) -> Plan:
    """Plain gradient descent at eight rates, looked at more rarely the longer it lasts."""
    seen = sorted({0, *(round(steps ** (i / 150)) for i in range(151))})
    return Plan(tuple(0.1 * 4.0**k for k in range(-1, 7)), steps, tuple(seen), fixed=1, batch=None, optimiser="sgd")


class Path:
    """A descent of a linear model watched at the plan's snapshots: confidence on the training rows and accuracy on the
    validation and test rows, each (snapshots, rates, seeds)."""

    def __init__(self, name: str, task: Task, plan: Plan, seeds: Sequence[int]):
        confidence: list[Tensor] = []
        valid: list[Tensor] = []
        test: list[Tensor] = []
        for _, net, z in watch(name, task.train, 3, plan, seeds):
            confidence.append(confidence_of(z, task.train.y))
            valid.append(accuracy(net.logits(task.valid.x), task.valid.y))
            test.append(accuracy(net.logits(task.test.x), task.test.y))
        self.plan = plan
        self.confidence, self.valid, self.test = torch.stack(confidence), torch.stack(valid), torch.stack(test)

    def reached(self, level: float) -> Tensor:
        """Number of the first snapshot with this confidence, the last where there is none, (rates, seeds)."""
        there = self.confidence >= level
        there[-1] = True
        return there.int().argmax(0)

    def steps(self, level: float) -> Tensor:
        """Steps to this confidence, twice the plan's where it is not reached."""
        steps = torch.tensor(self.plan.snapshots, dtype=torch.float32)[self.reached(level)]
        return torch.where(self.confidence.amax(0) >= level, steps, 2.0 * self.plan.steps)

    def rates(self, fastest: Tensor) -> Places:
        """The fixed rate, and the rate at which `fastest` (rates, seeds) is smallest."""
        everyone = torch.arange(self.test.shape[2])
        return {"fixed": (torch.full_like(everyone, self.plan.fixed), everyone), "tuned": (fastest.argmin(0), everyone)}


def vanishing(part: str, scale: Scale) -> Results:
    """Exact: octaves by which each loss's gradient falls as the error falls from 1/2 to 2^-20. Trained: test accuracy
    of cross-entropy minus that of MSE; steps from 90 % to 99 % mean confidence, squared error on probabilities over
    cross-entropy."""
    if part == "exact":
        error = 2.0 ** -torch.linspace(0.2, 20, 100, dtype=torch.float64)
        return Results(
            tuple(Measured("small", {"protocol": "exact", "meaning": m}, (fading(m),)) for m in MEANINGS)
            + tuple(
                Measured("others", {"protocol": "exact", "loss": k}, (-fading(k),)) for k in ("ce", "mae", "focal")
            ),
            tuple(
                line("slope", k, error, at_error(k, error)) for k in ("ce", "probabilities", "linear", "mae", "focal")
            ),
        )
    seeds = scale.seeds(14, 6)
    if part == "accuracy":
        steps = scale.of(300, 150)
        plan = Plan(octave_rates(-6, 5), steps, (steps,), fixed=6, batch=None, optimiser="sgd")
        task = standardised(mixture(seeds, (150, 300, 500), classes=3, features=10, distance=2.0))
        right: dict[str, dict[str, Tensor]] = {}
        for name in ("ce", "probabilities", "linear"):
            run = fit(objective(name), task, plan, seeds)
            right[name] = {
                "fixed": accuracy(run.fixed(), task.test.y),
                "tuned": accuracy(run.tuned(accuracy), task.test.y),
            }
        return Results(
            tuple(
                Measured("stalls", {"protocol": p, "meaning": m}, tuple((right["ce"][p] - right[m][p]).tolist()))
                for m in ("probabilities", "linear")
                for p in ("fixed", "tuned")
            )
        )
    plan = long_plan(scale.of(1000, 400))
    task = separable(seeds)
    paths = {name: Path(name, task, plan, seeds) for name in ("ce", "probabilities")}
    tail: dict[str, dict[str, Tensor]] = {}
    for name, path in paths.items():
        between = (path.steps(0.99) - path.steps(0.9)).clamp_min(1)
        tail[name] = {protocol: between[place] for protocol, place in path.rates(path.steps(0.99)).items()}
    slower = {p: (tail["probabilities"][p] / tail["ce"][p]).log2() for p in ("fixed", "tuned")}
    return Results(
        tuple(
            Measured("slow", {"protocol": p, "meaning": "probabilities"}, tuple(v.tolist())) for p, v in slower.items()
        ),
        tuple(
            line("doubt", name, plan.snapshots[1:], 1 - path.confidence[1:, plan.fixed].mean(-1))
            for name, path in paths.items()
        ),
    )


def ends(part: str, scale: Scale) -> Results:
    """Exact: octaves by which the gradient of cross-entropy at either end stays below its largest. Trained, on rows
    that can be separated: test accuracy gained after the mean gradient has fallen to a tenth of the largest; steps from
    99 % to 99.9 % confidence against those from 90 % to 99 %."""
    if part == "exact":
        p = torch.tensor([SMALL, 1 - SMALL], dtype=torch.float64)
        octaves_lost = -octaves(slope("ce", logit(p))).clamp(max=0)
        grid = torch.linspace(0.005, 0.995, 100)
        return Results(
            tuple(
                Measured("end", {"protocol": "exact", "end": end}, (float(v),))
                for end, v in zip(("zero", "one"), octaves_lost, strict=True)
            ),
            tuple(line("slope", name, grid, slope(name, logit(grid.double()))) for name in ("ce", "probabilities")),
        )
    seeds = scale.seeds(14, 6)
    plan = long_plan(scale.of(3000, 1500))
    path = Path("ce", separable(seeds), plan, seeds)
    measured: list[Measured] = []
    for protocol, place in path.rates(-path.valid[-1]).items():
        then = path.reached(0.9)[place]
        gained = path.test[-1][place] - path.test[(then, *place)]
        measured.append(Measured("accuracy", {"protocol": protocol}, tuple(gained.tolist())))
    low, middle, high = (path.steps(level) for level in (0.9, 0.99, 0.999))
    ratio = ((high - middle).clamp_min(1) / (middle - low).clamp_min(1)).log2()
    for protocol, place in path.rates(high).items():
        measured.append(Measured("tail", {"protocol": protocol}, tuple(ratio[place].tolist())))
    steps = plan.snapshots[1:]
    doubt, errors = (1 - found[1:, plan.fixed].mean(-1) for found in (path.confidence, path.test))
    curves = (line("tail", "doubt", steps, doubt), line("tail", "errors", steps, errors.clamp_min(1e-4)))
    return Results(tuple(measured), curves)

"""The experiments of the claims about optimising: steps to 90 % training accuracy, and rates that work.

Knows no sentences; those stand in optimising.py."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from whyloss.claims.claim import Curve, Measured, Results, Scale
from whyloss.claims.lab.descent import logit, octaves, slope, standardised, watch, wrong_start
from whyloss.claims.lab.tasks import Task, bundled, mixture
from whyloss.claims.lab.training import Plan, accuracy

MEANINGS = ("probabilities", "linear")
OTHERS = ("probabilities", "linear", "mae", "focal")
RATES = tuple(0.1 * 10 ** (k / 2) for k in range(-5, 8))


@dataclass(frozen=True)
class Race:
    """Steps to 90 % training accuracy (rates, seeds), the training accuracy at the fixed rate (looks, seeds), and the
    accuracy after the last step on the validation and test rows (rates, seeds)."""

    fixed: int
    steps: Tensor
    path: Tensor
    valid: Tensor
    test: Tensor

    def speed(self, protocol: str) -> Tensor:
        """Steps at the fixed rate, or at the best rate of each seed."""
        return self.steps[self.fixed] if protocol == "fixed" else self.steps.min(0).values

    def accuracy(self, protocol: str) -> Tensor:
        """Test accuracy at the fixed rate, or at the rate that is best on the validation rows."""
        best = self.valid.argmax(0)
        return self.test[self.fixed] if protocol == "fixed" else self.test[best, torch.arange(len(best))]


def race(name: str, task: Task, plan: Plan, seeds: Sequence[int], wrong: bool = False) -> Race:
    """Train, looking at each snapshot; twice the plan's steps where 90 % is never reached."""
    looks = plan.snapshots
    begin = wrong_start(task.train, task.classes, margin=10) if wrong else None
    found = torch.full((len(plan.rates), len(seeds)), 2.0 * plan.steps)
    path: list[Tensor] = []
    ends: list[Tensor] = []
    for step, net, z in watch(name, task.train, task.classes, plan, seeds, begin):
        share = accuracy(z, task.train.y)
        found[(share >= 0.9) & (found > plan.steps)] = max(step, 1)
        path.append(share[plan.fixed])
        if step == looks[-1]:
            ends = [accuracy(net.logits(rows.x), rows.y) for rows in (task.valid, task.test)]
    return Race(plan.fixed, found, torch.stack(path), *ends)


def clusters(seeds: Sequence[int]) -> Task:
    """Three classes of six clusters each in ten dimensions, hardly overlapping."""
    return mixture(seeds, (100, 200, 500), classes=3, features=10, clusters=6, distance=1.5)


def plan_of(steps: int, initial: float = 1.0) -> Plan:
    """Gradient descent of a network, looked at every other step."""
    looks = tuple(range(0, steps + 1, 2))
    return Plan(RATES, steps, looks, RATES.index(0.1), hidden=32, batch=None, optimiser="sgd", initial=initial)


def log2_ratio(a: Tensor, b: Tensor) -> tuple[float, ...]:
    return tuple((a / b).log2().tolist())


# -------------------------------------------------------------------------------------- MSE from three starts


def starts(part: str, scale: Scale) -> Results:
    """Exact: octaves by which the gradient on a label's output falls from a row at even odds to one that is wrong by
    20. Trained, from the start that `part` names: steps to 90 % training accuracy against those of cross-entropy, and
    test accuracy after the last step. Part "rates": see there."""
    if part == "exact":
        z = torch.linspace(-12, 4, 97)
        even_and_wrong = torch.tensor([0.0, -20.0])
        found = {m: slope(m, even_and_wrong) for m in (*MEANINGS, "codes")}
        return Results(
            tuple(
                Measured(
                    "silent", {"protocol": "exact", "meaning": m, "start": "wrong"}, (float(octaves(s[0] / s[1])),)
                )
                for m, s in found.items()
            ),
            tuple(Curve("slope", k, tuple(z.tolist()), tuple(slope(k, z).tolist())) for k in ("ce", *MEANINGS)),
        )
    if part == "rates":
        return rates(scale)
    seeds = scale.seeds(24 if part == "ordinary" else 12, 6)  # the other starts differ by far more
    plan = plan_of(scale.of(300, 140), initial=10.0 if part == "x10" else 1.0)
    task = clusters(seeds)
    races = {name: race(name, task, plan, seeds, part == "wrong") for name in ("ce", *MEANINGS)}
    ce = races["ce"]
    measured: list[Measured] = []
    for m in MEANINGS:
        where = {"meaning": m, "start": part}
        for p in ("fixed", "tuned"):
            ratio = log2_ratio(races[m].speed(p), ce.speed(p))
            measured.append(Measured("steps", {"protocol": p, **where}, ratio))
            if part == "ordinary":
                measured.append(Measured("speed", {"protocol": p, **where}, ratio))
            if part == "x10":
                gap = ce.accuracy(p) - races[m].accuracy(p)
                measured.append(Measured("effective", {"protocol": p, **where}, tuple(gap.tolist())))
    looks = plan.snapshots[:100]
    curves = [Curve(f"path {part}", name, looks, tuple(r.path.mean(1)[:100].tolist())) for name, r in races.items()]
    return Results(tuple(measured), tuple(curves))


def rates(scale: Scale) -> Results:
    """Octaves of learning rates whose test accuracy comes within a point of the best rate's, mean over a linear model
    and a network: those of cross-entropy less those of MSE."""
    seeds = scale.seeds(14, 6)
    steps = scale.of(200, 100)
    task = standardised(mixture(seeds, (120, 1, 500), classes=3, features=10, clusters=3, distance=3.0))
    octave = tuple(0.1 * 2.0**k for k in range(-7, 12))
    plan = replace(plan_of(steps), rates=octave, fixed=7, snapshots=(steps,))
    models = (replace(plan, hidden=0), plan)
    test = {
        name: torch.stack([race(name, task, model, seeds).test for model in models]) for name in ("ce", *MEANINGS)
    }  # (models, rates, seeds)
    count = {name: (t >= t.amax(1, keepdim=True) - 0.01).sum(1).float().mean(0) for name, t in test.items()}
    measured = tuple(
        Measured(
            "range", {"protocol": "fixed", "meaning": m, "start": "ordinary"}, tuple((count["ce"] - count[m]).tolist())
        )
        for m in MEANINGS
    )
    return Results(measured, tuple(Curve("rates", k, octave, tuple(t[1].mean(1).tolist())) for k, t in test.items()))


# ---------------------------------------------------------------------------- cross-entropy against other losses


def speed(part: str, scale: Scale) -> Results:
    """Exact: the gradient of cross-entropy on the label's logit, for a label of probability 1 %, against that of other
    losses. Trained on the data that `part` names: their steps to 90 % training accuracy against those of
    cross-entropy."""
    if part == "exact":
        p = torch.linspace(0.005, 0.995, 100, dtype=torch.float64)
        wrong = logit(torch.tensor([0.01], dtype=torch.float64))
        return Results(
            tuple(
                Measured(
                    "large",
                    {"protocol": "exact", "loss": KEYS[k], "data": "row"},
                    log2_ratio(slope("ce", wrong), slope(k, wrong)),
                )
                for k in OTHERS
            ),
            tuple(
                Curve("slope", KEYS[k], tuple(p.tolist()), tuple(slope(k, logit(p)).tolist())) for k in ("ce", *OTHERS)
            ),
        )
    seeds = scale.seeds(10, 5)
    share = 0.1  # of the digits that are trained on
    task = clusters(seeds) if part == "clusters" else bundled("digits", seeds, share, 0.02)
    plan = replace(plan_of(scale.of(300, 120)), rates=RATES[4:12], fixed=1)
    races = {name: race(name, task, plan, seeds) for name in ("ce", *OTHERS)}
    # Nothing is tested; what the seeds share is rows to train on.
    overlap = 0.0 if part == "clusters" else share / (1 - share)
    measured = tuple(
        Measured(
            "fast",
            {"protocol": p, "loss": KEYS[k], "data": part},
            log2_ratio(races[k].speed(p), races["ce"].speed(p)),
            overlap,
        )
        for p in ("fixed", "tuned")
        for k in OTHERS
    )
    bars = tuple(
        Curve(
            f"steps {part}",
            p,
            tuple(KEYS[k] for k in races),
            tuple(float(r.speed(p).log2().mean().exp2()) for r in races.values()),
        )
        for p in ("fixed", "tuned")
    )
    return Results(measured, bars)


KEYS = {"ce": "ce", "probabilities": "brier", "linear": "squared", "mae": "mae", "focal": "focal"}  # words for losses

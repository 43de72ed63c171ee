"""Half of one loss and half of another: what the mixture gets of each, and how hard each half pulls."""

from collections.abc import Mapping
from math import log2

import torch
from torch import Tensor

from whyloss.claims.claim import Curve, Measured, Results, Scale
from whyloss.claims.lab.tasks import Task, mixture, symmetric_noise
from whyloss.claims.lab.training import ADAM_RATES, Metric, Objective, Plan, Trained, accuracy, fit, per_row
from whyloss.losses.loss import Loss, RowLoss
from whyloss.losses.proper import BinaryCrossEntropyLoss, BrierLoss, CrossEntropyLoss
from whyloss.losses.region import DiceLoss
from whyloss.losses.robust import GeneralizedCrossEntropyLoss, MeanAbsoluteErrorLoss

PARTNERS: Mapping[str, RowLoss] = {
    "mae": MeanAbsoluteErrorLoss(),
    "brier": BrierLoss(),
    "gce": GeneralizedCrossEntropyLoss(),
}


def half_and_half(part: str, scale: Scale) -> Results:
    """What 0.5 cross-entropy + 0.5 partner lacks of the better of the two. `part`: the label noise; "exact": how the
    gradients of the two halves compare before the first step; "mask": the same with binary cross-entropy and Dice."""
    if part == "exact":
        return first_gradients()
    if part == "mask":
        return mask_halves(scale)
    rate = float(part.removesuffix(" %")) / 100
    seeds = scale.seeds(12, 5)
    task = mixture(seeds, scale.of((600, 400, 1500), (400, 200, 500)), classes=10, features=20, distance=0.8)
    task = task.with_labels(symmetric_noise(rate, 10), scale.seed) if rate else task
    steps = scale.of(400, 120)
    plan = Plan(ADAM_RATES[1:5], steps, tuple(steps * n // 8 for n in (1, 2, 3, 4, 6, 8)), fixed=2, hidden=64)
    ce = CrossEntropyLoss()
    alone = {name: fit(per_row(loss), task, plan, seeds) for name, loss in {"ce": ce, **PARTNERS}.items()}
    measured: list[Measured] = []
    curves: list[Curve] = []
    for name, loss in PARTNERS.items():
        mixed = fit(per_row(_halves(ce, loss)), task, plan, seeds)
        for protocol in ("fixed", "tuned"):
            found = lacking(mixed, (alone["ce"], alone[name]), accuracy, protocol)
            measured.append(Measured("a", {"noise": part, "partner": name, "protocol": protocol}, values(found)))
        if rate:
            bars = [float(judged(t, accuracy, "tuned").mean()) for t in (alone["ce"], mixed, alone[name])]
            curves.append(Curve("accuracy", name, ("ce", "half", "alone"), tuple(bars)))
    return Results(tuple(measured), tuple(curves))


def _halves(one: RowLoss, other: RowLoss) -> RowLoss:
    mixed = 0.5 * one + 0.5 * other
    assert isinstance(mixed, RowLoss)
    return mixed


def lacking(mixed: Trained, parts: tuple[Trained, ...], metric: Metric, protocol: str) -> Tensor:
    """What the mixture lacks on the test rows of the part that does better on the validation rows, as a negative
    number; 0 where it lacks nothing."""

    def on_valid(trained: Trained) -> float:
        z = trained.valid[-1, trained.plan.fixed] if protocol == "fixed" else trained.tuned_valid(metric)
        return float(metric(z, trained.task.valid.y).mean())

    better = max(parts, key=on_valid)
    return (judged(mixed, metric, protocol) - judged(better, metric, protocol)).clamp_max(0)


def first_gradients() -> Results:
    """Norm of the partner's gradient over that of cross-entropy's, in the logits, with even odds among the classes; and
    the partner's share of the two while the probability of the label grows, for ten classes."""
    measured = tuple(
        Measured("b", {"partner": name, "classes": str(classes), "protocol": "exact"}, (log2(gradient_ratio(loss, z)),))
        for name, loss in PARTNERS.items()
        for classes in (2, 10, 100)
        for z in (torch.zeros(classes, dtype=torch.float64),)
    )
    p = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    starts = [torch.cat([(9 * q / (1 - q)).log().reshape(1), torch.zeros(9, dtype=torch.float64)]) for q in p]
    curves: list[Curve] = []
    for name, loss in PARTNERS.items():
        ratios = torch.tensor([gradient_ratio(loss, z) for z in starts])
        curves.append(Curve("share", name, values(p), values(ratios / (1 + ratios))))
    return Results(measured, (*curves, Curve("share", "half", (0.01, 0.99), (0.5, 0.5))))


def gradient_ratio(loss: Loss, logits: Tensor) -> float:
    """Norm of a loss's gradient over that of cross-entropy's, in the logits of one row with label 0."""

    def norm(of: Loss) -> Tensor:
        z = logits.clone().requires_grad_()
        return torch.autograd.grad(of(z.unsqueeze(0), torch.zeros(1, dtype=torch.long)), z)[0].norm()

    return float(norm(loss) / norm(CrossEntropyLoss()))


def masked(loss: Loss) -> Objective:
    """A loss of masks as an objective: the rows of a member are the pixels of its image."""

    def objective(logits: Tensor, labels: Tensor) -> Tensor:
        return loss(logits.transpose(1, 2), labels.unsqueeze(1)) * len(logits)

    return objective


def dice_at(logits: Tensor, labels: Tensor, threshold: Tensor) -> Tensor:
    """Dice of the rows whose single logit lies above the threshold (one per member)."""
    said = (logits.squeeze(-1) > threshold.unsqueeze(-1)).float()
    return 2 * (said * labels).sum(-1) / (said.sum(-1) + labels.sum(-1)).clamp_min(1)


def best_threshold(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The highest Dice that any threshold reaches, and that threshold, per member."""
    scores, order = logits.squeeze(-1).sort(dim=-1, descending=True)
    hits = labels.gather(-1, order).cumsum(-1).float()
    taken = torch.arange(1, scores.shape[-1] + 1)
    dice = 2 * hits / (taken + labels.sum(-1, keepdim=True))
    best, at = dice.max(-1)
    following = (at + 1).clamp_max(scores.shape[-1] - 1)
    cut = (scores.gather(-1, at.unsqueeze(-1)) + scores.gather(-1, following.unsqueeze(-1))) / 2
    return best, cut.squeeze(-1)


def highest_dice(logits: Tensor, labels: Tensor) -> Tensor:
    """The metric that tunes: Dice at whichever threshold is best, for any leading axes."""
    members = logits.flatten(0, -3)
    return best_threshold(members, labels.reshape(len(members), -1))[0].view(logits.shape[:-2])


def miscalibration(logits: Tensor, labels: Tensor, bins: int = 20) -> Tensor:
    """Expected calibration error over bins of equally many rows, turned so that larger is better."""
    p, order = logits.squeeze(-1).sigmoid().sort(dim=-1)
    gap = (p - labels.gather(-1, order)).unflatten(-1, (bins, -1)).mean(-1)
    return -gap.abs().mean(-1)


def mask_halves(scale: Scale) -> Results:
    """Dice, at the threshold of the protocol, and calibration of 0.5 binary cross-entropy + 0.5 Dice: what each lacks
    of the better of the two parts."""
    seeds = scale.seeds(20, 6)
    rows = scale.of((2000, 1000, 4000), (800, 400, 1000))
    task = mixture(seeds, rows, classes=2, clusters=3, distance=1.2, priors=(0.8, 0.2))
    steps = scale.of(400, 100)
    plan = Plan(ADAM_RATES[1:], steps, (steps // 4, steps // 2, steps), fixed=2, hidden=32, batch=200)
    bce, dice = BinaryCrossEntropyLoss(), DiceLoss(link="sigmoid")
    runs = [fit(masked(loss), task, plan, seeds, outputs=1) for loss in (bce, dice, 0.5 * bce + 0.5 * dice)]
    measured: list[Measured] = []
    for protocol in ("fixed", "tuned"):
        scores = [mask_scores(run, task, protocol) for run in runs]
        for key, number in (("c", 0), ("d", 1)):
            one, other, mixed = ((valid[number], test[number]) for valid, test in scores)
            better = max(one, other, key=lambda pair: float(pair[0].mean()))
            where = {"noise": "0 %", "partner": "dice", "protocol": protocol}
            measured.append(Measured(key, where, values((mixed[1] - better[1]).clamp_max(0))))
    return Results(tuple(measured))


def mask_scores(run: Trained, task: Task, protocol: str) -> tuple[tuple[Tensor, Tensor], ...]:
    """(Dice, calibration) of a run on the validation rows and on the test rows, per seed."""
    if protocol == "fixed":
        valid, test = run.valid[-1, run.plan.fixed], run.fixed()
        cut = torch.zeros(len(test))
    else:
        valid, test = run.tuned_valid(highest_dice), run.tuned(highest_dice)
        cut = best_threshold(valid, task.valid.y)[1]
    pairs = ((valid, task.valid.y), (test, task.test.y))
    return tuple((dice_at(z, y, cut), miscalibration(z, y)) for z, y in pairs)


def judged(trained: Trained, metric: Metric, protocol: str) -> Tensor:
    """The metric on the test rows, per seed, under a protocol."""
    return metric(trained.fixed() if protocol == "fixed" else trained.tuned(metric), trained.task.test.y)


def values(found: Tensor) -> tuple[float, ...]:
    return tuple(found.double().tolist())

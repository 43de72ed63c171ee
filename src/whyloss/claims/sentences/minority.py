"""The claim that cross-entropy favours the majority, and data with classes of unequal size.

The data are round Gaussians, so that the best possible answer under every prior is known."""

from collections.abc import Callable, Mapping, Sequence
from math import log

import numpy as np
import torch
from torch import Tensor

from whyloss.claims.claim import Claim, Curve, Experiment, Measured, Panel, Results, Scale, Statement, Text
from whyloss.claims.lab.tasks import Rows, Task
from whyloss.claims.lab.training import Plan, fit
from whyloss.losses.adjust import LogitAdjustment, balanced_weights
from whyloss.losses.loss import RowLoss
from whyloss.losses.proper import BinaryCrossEntropyLoss

Centres = Sequence[Sequence[Sequence[float]]]  # of class 0, then of class 1
TWO: Centres = (((-1, 0, 0, 0),), ((1, 0, 0, 0),))  # a line tells 84 % of both classes
CROSSED: Centres = (((1.5, 1.5, 0, 0), (-1.5, -1.5, 0, 0)), ((1.5, -1.5, 0, 0), (-1.5, 1.5, 0, 0)))  # no line does


def pair(seeds: Sequence[int], rows: tuple[int, int, int], ratio: float, centres: Centres = TWO) -> Task:
    """Two classes of Gaussians of spread 1, with exactly `ratio` rows of class 0 to one of class 1. Only the test rows
    are half and half, so that recalls are precise; `p` is everywhere the posterior under the unequal classes."""
    means = np.asarray(centres)
    parts: list[list[tuple[Tensor, Tensor, Tensor]]] = [[], [], []]
    for seed in seeds:
        rng = np.random.default_rng(seed)
        for name, part, count in zip(("train", "valid", "test"), parts, rows, strict=True):
            rare = count // 2 if name == "test" else minority_of(count, ratio)
            y = rng.permutation(np.arange(count) < rare).astype(np.int64)
            x = means[y, rng.integers(means.shape[1], size=count)] + rng.normal(0, 1, (count, means.shape[2]))
            density = np.logaddexp.reduce(-((x[:, None, None] - means) ** 2).sum(-1) / 2, axis=-1)
            z = torch.from_numpy(density[:, 1] - density[:, 0] - log(ratio))
            part.append((torch.from_numpy(x).float(), torch.from_numpy(y), torch.stack([-z, z], -1).sigmoid()))
    train, valid, test = (Rows(*(torch.stack(group) for group in zip(*part, strict=True))) for part in parts)
    return Task(train, valid, test, 2)


def minority_of(rows: int, ratio: float) -> int:
    return round(rows / (1 + ratio))


def mean_loss(loss: RowLoss) -> Callable[[Tensor, Tensor], Tensor]:
    """The mean over the rows (..., rows, 1) of a loss of one logit a row, with reduction "none". Class weights of mean
    1 are not divided by again: a batch with few rows of the minority is no smaller step."""

    def mean(logits: Tensor, labels: Tensor) -> Tensor:
        return loss(logits.flatten(), labels.flatten()).view(labels.shape).mean(-1)

    return mean


def recalls(z: Tensor, y: Tensor, cut: Tensor | float) -> tuple[Tensor, Tensor]:
    """Of the rare class and of the common one, where logits (..., rows) above the cut (..., 1) say "rare"."""
    said, rare = z > cut, y == 1
    return (said & rare).sum(-1) / rare.sum(-1), (~said & ~rare).sum(-1) / (~rare).sum(-1)


def mean_recall(z: Tensor, y: Tensor, cut: Tensor | float) -> Tensor:
    rare, common = recalls(z, y, cut)
    return (rare + common) / 2


def best_cut(z: Tensor, y: Tensor) -> Tensor:
    """The threshold (..., 1) with the largest mean recall on these rows."""
    ordered, order = z.sort(-1, descending=True)
    rare = y.expand_as(z).gather(-1, order) == 1
    found = rare.cumsum(-1) / rare.sum(-1, keepdim=True) - (~rare).cumsum(-1) / (~rare).sum(-1, keepdim=True)
    at = found[..., :-1].argmax(-1, keepdim=True)
    return (ordered.gather(-1, at) + ordered.gather(-1, at + 1)) / 2


def auc(z: Tensor, y: Tensor) -> Tensor:
    """The share of pairs, one row of each class, in which the rare one has the larger logit."""
    rank = z.argsort(-1).argsort(-1).double() + 1
    n = (y == 1).sum(-1).double()
    return ((rank * (y == 1)).sum(-1) - n * (n + 1) / 2) / (n * (y.shape[-1] - n))


def minority(part: str, scale: Scale) -> Results:
    """Cross-entropy, class weights and logit adjustment: mean recall at the threshold 0.5 and at the best one of the
    validation rows, the probabilities of the minority's rows and the area under the ROC curve against the truth's."""
    model, ratio = ("net", 10) if part == "net" else ("line", int(part))
    seeds, steps = scale.seeds(20, 5), scale.of(1500, 500)
    size = scale.of((20000, 20000, 10000), (10000, 10000, 6000))
    task = pair(seeds, size, ratio, CROSSED if model == "net" else TWO)
    assert task.test.p is not None
    y, truth = task.test.y, task.test.p[..., 1].logit()
    rates, hidden = ((0.003, 0.01, 0.03), 16) if model == "net" else ((0.01, 0.03, 0.1), 0)
    plan = Plan(rates, steps, (steps // 3, 2 * steps // 3, steps), fixed=1, hidden=hidden, batch=256)
    rare = minority_of(size[0], ratio)
    counts = torch.tensor([size[0] - rare, rare])
    losses = {
        "ce": BinaryCrossEntropyLoss(reduction="none"),
        "weighted": BinaryCrossEntropyLoss(reduction="none", weight=balanced_weights(counts)),
        "la": BinaryCrossEntropyLoss(reduction="none", adjust=LogitAdjustment(counts=counts)),
    }
    found = {name: _decided(loss, task, plan, seeds) for name, loss in losses.items()}
    optimum = mean_recall(truth, y, -log(ratio))
    measured: list[Measured] = []
    for protocol in ("fixed", "tuned"):
        where = {"protocol": protocol, "imbalance": part if model == "line" else "10", "model": model}
        share = {name: mean_recall(decided[protocol][0], y, decided[protocol][1]) for name, decided in found.items()}
        z = found["ce"][protocol][0]
        low = ((truth.sigmoid() - z.sigmoid()) * y).sum(-1) / y.sum(-1)
        measured += [
            Measured("a", where, floats(optimum - share["ce"])),
            Measured("b", where, floats(low)),
            Measured("c", where, floats(auc(truth, y) - auc(z, y))),
            *(Measured("d", {**where, "loss": n}, floats(share[n] - share["ce"])) for n in ("weighted", "la")),
        ]
    return Results(tuple(measured), _recall_curves(found, truth, y) if part == "100" else ())


Decided = Mapping[str, tuple[Tensor, Tensor | float]]  # by protocol: logits of the test rows, and the threshold


def _decided(loss: RowLoss, task: Task, plan: Plan, seeds: Sequence[int]) -> Decided:
    mean = mean_loss(loss)
    run = fit(lambda z, y: mean(z, y).sum(), task, plan, seeds, outputs=1)

    def metric(z: Tensor, y: Tensor) -> Tensor:  # every loss is tuned by its own value on the validation rows
        return -mean(z, y)

    cut = best_cut(run.tuned_valid(metric).squeeze(-1), task.valid.y)
    return {"fixed": (run.fixed().squeeze(-1), 0.0), "tuned": (run.tuned(metric).squeeze(-1), cut)}


def _recall_curves(found: Mapping[str, Decided], truth: Tensor, y: Tensor) -> tuple[Curve, ...]:
    """Recall of both classes against the threshold, and mean recall of every loss under both protocols."""
    thresholds = torch.logspace(-3.5, -0.02, 60, dtype=torch.float64)
    drawn: list[Curve] = []
    for loss, z in (("ce", found["ce"]["tuned"][0]), ("truth", truth)):
        each = torch.tensor([[float(r.mean()) for r in recalls(z, y, float(t.logit()))] for t in thresholds])
        for kind, values in (("rare", each[:, 0]), ("common", each[:, 1])):
            drawn.append(Curve("threshold", f"{loss}_{kind}", floats(thresholds), floats(values)))
    for protocol in ("fixed", "tuned"):
        shares = [
            float(mean_recall(decided[protocol][0], y, decided[protocol][1]).mean()) for decided in found.values()
        ]
        optimum = float(mean_recall(truth, y, 0.0 if protocol == "fixed" else -log(100)).mean())
        drawn.append(Curve("mean", protocol, (*found, "truth"), (*shares, optimum)))
    return tuple(drawn)


def floats(values: Tensor) -> tuple[float, ...]:
    return tuple(values.double().tolist())


MINORITY = Claim(
    id="S2-6/15",
    sentence=Text(
        "Under class imbalance (binary) cross-entropy is biased towards the majority, because it ignores how the "
        "classes "
        "are distributed.",
        "类别不平衡时,(二元)交叉熵偏向多数类,因为它不考虑类别分布。",
    ),
    statements=(
        Statement(
            "a",
            Text("its decisions give the minority away", "它的决策牺牲少数类"),
            Text(
                "mean recall of the two classes: the best possible minus cross-entropy's",
                "两类的平均召回率:最优值减去交叉熵",
            ),
            margin=0.01,
        ),
        Statement(
            "b",
            Text("its probabilities of the minority are too low", "它给少数类的概率偏低"),
            Text(
                "mean over the rows of the minority: true minus stated probability",
                "对少数类样本求平均:真实概率减去输出概率",
            ),
            margin=0.02,
        ),
        Statement(
            "c",
            Text("it ranks the rows worse than they can be ranked", "它对样本的排序达不到可能的最好"),
            Text(
                "area under the ROC curve: the true probabilities' minus cross-entropy's",
                "ROC 曲线下面积:真实概率减去交叉熵",
            ),
            margin=0.01,
        ),
        Statement(
            "d",
            Text(
                "a loss that knows the class sizes decides better",
                "考虑类别大小的损失决策更好",
            ),
            Text(
                "mean recall of the two classes: class weights or logit adjustment minus cross-entropy",
                "两类的平均召回率:类别权重或 logit 调整减去交叉熵",
            ),
            margin=0.01,
        ),
    ),
    experiment=Experiment(minority, ("10", "100", "net")),
    setting=Text(
        "Two Gaussian classes with a linear model, 10 or 100 of the majority to one of the minority, and four crossed "
        "clusters with a network of 16 units at 10 to 1; 20,000 rows, of which the true probabilities are known. Fixed:"
        " "
        "threshold 0.5. Tuned: rate and stopping point by each loss's own value on validation rows, and for each loss "
        "the threshold with the best mean recall there.",
        "两个高斯类别用线性模型,多数类与少数类之比为 10 或 100;四个交叉的簇用 16 个单元的网络,比例为 10;20000 个样本,"
        "真实概率已知。"
        "固定:阈值 0.5。调优:按各损失自身在验证样本上的值选学习率和停止点,每个损失都取验证样本上平均召回率最高的阈值。",
    ),
    formula="best for mean recall: say 'minority' where p > share of the minority; best for accuracy: where p > 1/2",
    instead=Text(
        "Keep `whyloss.BinaryCrossEntropyLoss()` and move the threshold: to the minority's share if both classes count "
        "alike, or let `whyloss advise data.csv --label y` find it.",
        "保留 `whyloss.BinaryCrossEntropyLoss()` 并移动阈值:若两类同等重要,取少数类的占比;也可由 "
        "`whyloss advise data.csv --label y` 找出。",
    ),
    panels=(
        Panel(
            "threshold",
            Text("recall against the threshold, 100 to 1", "召回率与阈值(100 比 1)"),
            Text("threshold", "阈值"),
            Text("recall", "召回率"),
            log_x=True,
        ),
        Panel(
            "mean",
            Text("mean recall of the two classes, 100 to 1", "两类的平均召回率(100 比 1)"),
            Text("loss", "损失"),
            Text("mean recall", "平均召回率"),
            mark="bar",
        ),
    ),
    words={
        "truth": Text("true probabilities", "真实概率"),
        "ce_rare": Text("cross-entropy, minority", "交叉熵,少数类"),
        "ce_common": Text("cross-entropy, majority", "交叉熵,多数类"),
        "truth_rare": Text("true probabilities, minority", "真实概率,少数类"),
        "truth_common": Text("true probabilities, majority", "真实概率,多数类"),
    },
)

"""Claims about outliers: far rows, mislabelled rows, and how much accuracy they cost under MSE and cross-entropy.

Knows two classes whose best answer is known, and three ways to spoil a tenth of the rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from whyloss.claims.claim import Claim, Curve, Experiment, Measured, Panel, Results, Scale, Statement, Text
from whyloss.claims.lab.tasks import Rows, Task
from whyloss.claims.lab.training import Plan, Trained, fit, per_row
from whyloss.losses.algebra import row_sum
from whyloss.losses.loss import RowLoss
from whyloss.losses.proper import BrierLoss, CrossEntropyLoss, SquaredLogitLoss
from whyloss.losses.robust import (
    GeneralizedCrossEntropyLoss,
    NormalizedCrossEntropyLoss,
    ReverseCrossEntropyLoss,
)

CLEAN = "none"
SPOILT = ("far_right", "far_wrong", "typical_wrong")
SHARE = 0.1  # of the rows
DISTANCE = 10.0  # of far rows from the centre of their class, in standard deviations
FEATURES = 10
HALF_GAP = 1.25  # the classes lie this far on either side of 0
MEANINGS = {"probabilities": "brier", "linear": "squared"}  # of MSE; codes 0 and 1 of two classes are the second


@cache
def losses() -> Mapping[str, RowLoss]:
    return {
        "ce": CrossEntropyLoss(),
        "brier": BrierLoss(),
        "squared": SquaredLogitLoss(),
        "gce": GeneralizedCrossEntropyLoss(),
        "nce_rce": row_sum((NormalizedCrossEntropyLoss(), ReverseCrossEntropyLoss()), (1.0, 1.0)),
    }


ROBUST = ("gce", "nce_rce")


# -------------------------------------------------------------------------------- data


def two_classes(seeds: Sequence[int], rows: int, part: int, spoilt: str = CLEAN) -> Rows:
    """Two round Gaussian classes, cut best at x_0 = 0. A tenth of the rows may be spoilt: rows of class 1 that lie far
    out, half-way between the direction that tells the classes apart and another (far_right); such rows with the other
    label (far_wrong); or typical rows of class 1 with the other label (typical_wrong)."""
    xs: list[Tensor] = []
    ys: list[Tensor] = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(1000 * seed + part)
        noise = torch.randn(rows, FEATURES, generator=generator)
        side = torch.rand(rows, generator=generator) < 0.5
        hit = torch.rand(rows, generator=generator) < SHARE
        if spoilt == CLEAN:
            hit = torch.zeros_like(hit)
        true = (side | hit).long()
        x = noise
        x[:, 0] += HALF_GAP * (2 * true - 1)
        if spoilt.startswith("far"):
            x[:, :2] += hit[:, None] * DISTANCE / 2**0.5
        xs.append(x)
        ys.append(torch.where(hit & (spoilt != "far_right"), 1 - true, true))
    return Rows(torch.stack(xs), torch.stack(ys))


@dataclass(frozen=True)
class Judged:
    """A task whose test rows are clean rows, rows spoilt as the training rows are, and the training rows themselves."""

    task: Task
    clean: slice
    fresh: slice
    seen: slice


def spoilt_task(seeds: Sequence[int], spoilt: str, scale: Scale) -> Judged:
    sizes = 300, scale.of(1000, 500), scale.of(1000, 500)  # many to tune on, so that luck in tuning blurs little
    train, valid, fresh = (two_classes(seeds, n, i, spoilt) for i, n in enumerate(sizes))
    clean = two_classes(seeds, scale.of(2000, 1000), 3)
    judged = Rows(torch.cat([clean.x, fresh.x, train.x], 1), torch.cat([clean.y, fresh.y, train.y], 1))
    a, b = clean.y.shape[1], clean.y.shape[1] + fresh.y.shape[1]
    return Judged(Task(train, valid, judged, 2), slice(a), slice(a, b), slice(b, None))


# -------------------------------------------------------------------------------- decisions


def best_cut(score: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The highest accuracy of "1 where the score exceeds a cut" over all cuts, and that cut; scores (..., rows)."""
    ordered, order = score.sort(-1, descending=True)
    signs = 2 * labels.expand_as(score).gather(-1, order) - 1
    right = torch.cat([torch.zeros_like(signs[..., :1]), signs.cumsum(-1)], -1) + (labels == 0).sum(-1, keepdim=True)
    most, above = right.max(-1, keepdim=True)
    ends = torch.cat([ordered[..., :1] + 1, (ordered[..., :-1] + ordered[..., 1:]) / 2, ordered[..., -1:] - 1], -1)
    return most[..., 0] / score.shape[-1], ends.gather(-1, above)[..., 0]


def lead(logits: Tensor) -> Tensor:
    return logits[..., 1] - logits[..., 0]


def cut_accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    return best_cut(lead(logits), labels)[0]


@dataclass(frozen=True)
class Scores:
    """Per seed: accuracy on clean rows, accuracy on the rows that tune, and how much better the training rows are
    answered than fresh rows spoilt alike."""

    clean: Tensor
    valid: Tensor
    gap: Tensor


def scores(run: Trained, judged: Judged) -> dict[str, Scores]:
    """Fixed: the larger logit decides. Tuned: rate, stopping point and threshold from validation rows."""
    valid_y, found = run.task.valid.y, dict[str, Scores]()
    for protocol in ("fixed", "tuned"):
        if protocol == "fixed":
            test, valid = run.fixed(), run.valid[-1, run.plan.fixed]
            cut = torch.zeros(len(test))
        else:
            test, valid = run.tuned(cut_accuracy), run.tuned_valid(cut_accuracy)
            cut = best_cut(lead(valid), valid_y)[1]
        right = ((lead(test) > cut[:, None]) == run.task.test.y.bool()).double()
        tuned_right = ((lead(valid) > cut[:, None]) == valid_y.bool()).double()
        gap = right[:, judged.seen].mean(-1) - right[:, judged.fresh].mean(-1)
        found[protocol] = Scores(right[:, judged.clean].mean(-1), tuned_right.mean(-1), gap)
    return found


def chosen(among: Sequence[Scores]) -> Scores:
    """In each seed, the loss with the best validation accuracy."""
    best = torch.stack([s.valid for s in among]).argmax(0, keepdim=True)
    parts = ((s.clean, s.valid, s.gap) for s in among)
    taken = (torch.stack(values).gather(0, best)[0] for values in zip(*parts, strict=True))
    return Scores(*taken)


# -------------------------------------------------------------------------------- experiment


def spoilt_rows(model: str, scale: Scale) -> Results:
    """Accuracy on clean rows after training on clean and on spoilt rows, for MSE, cross-entropy and robust losses: the
    drops against each other, the accuracies that are left, and how the gap between training and fresh rows grows."""
    seeds = scale.seeds(20, 5)
    steps = scale.of(400, 100)
    plan = Plan(
        (3e-3, 1e-2, 3e-2),
        steps,
        tuple(steps * i // 5 for i in range(1, 6)),
        fixed=int(model == "line"),
        hidden=64 * (model == "net"),
        batch=50,
    )
    found: dict[tuple[str, str], dict[str, Scores]] = {}
    for spoilt in (CLEAN, *SPOILT):
        judged = spoilt_task(seeds, spoilt, scale)
        for name, loss in losses().items():
            found[spoilt, name] = scores(fit(per_row(loss), judged.task, plan, seeds), judged)
        for protocol in ("fixed", "tuned"):
            robust = chosen([found[spoilt, name][protocol] for name in ROBUST])
            other = chosen([found[spoilt, name][protocol] for name in ("ce", *ROBUST)])
            found.setdefault((spoilt, "robust"), {})[protocol] = robust
            found.setdefault((spoilt, "other"), {})[protocol] = other
    measured: list[Measured] = []
    for spoilt in SPOILT:
        for protocol in ("fixed", "tuned"):
            where = {"protocol": protocol, "outliers": spoilt, "model": model}

            def drop(name: str, spoilt: str = spoilt, protocol: str = protocol) -> Tensor:
                return found[CLEAN, name][protocol].clean - found[spoilt, name][protocol].clean

            def growth(name: str, spoilt: str = spoilt, protocol: str = protocol) -> Tensor:
                return found[spoilt, name][protocol].gap - found[CLEAN, name][protocol].gap

            for meaning, name in MEANINGS.items():
                under = {**where, "meaning": meaning}
                left = found[spoilt, "other"][protocol].clean - found[spoilt, name][protocol].clean
                case = "outliers" if spoilt == "far_right" else "errors"
                measured.append(Measured("drop", under, _seeds(drop(name) - drop("ce"))))
                measured.append(Measured(case, under, _seeds(left)))
            for name in ("brier", "squared", "robust"):
                against = {**where, "against": name}
                measured.append(Measured("ce_drop", against, _seeds(drop("ce") - drop(name))))
                # A linear model has nothing to overfit with, and a tuned stopping point is there to prevent it.
                if model == "net" and protocol == "fixed":
                    measured.append(Measured("overfit", against, _seeds(growth("ce") - growth(name))))
    protocol = "tuned" if model == "line" else "fixed"
    curves: list[Curve] = []
    for name in ("ce", "brier", "squared", "robust"):
        clean, *left = (found[spoilt, name][protocol] for spoilt in (CLEAN, *SPOILT))
        lost = tuple(float((clean.clean - one.clean).mean()) for one in left)
        curves.append(Curve(f"lost_{model}", name, SPOILT, lost))
        if model == "net":
            gaps = tuple(float(one.gap.mean()) for one in (clean, *left))
            curves.append(Curve("gap", name, (CLEAN, *SPOILT), gaps))
    if model == "line":
        curves += pulls()
    return Results(tuple(measured), tuple(curves))


def pulls() -> list[Curve]:
    """How hard one row pulls at the lead of its label's logit over the other: the size of the slope over that lead."""
    leads = torch.linspace(-6, 6, 61, dtype=torch.float64).requires_grad_()
    label = torch.ones(61, dtype=torch.long)
    curves: list[Curve] = []
    for name in ("ce", "brier", "squared"):
        mean = losses()[name](torch.stack([-leads / 2, leads / 2], 1), label)
        (slope,) = torch.autograd.grad(mean * len(leads), leads)
        curves.append(Curve("pull", name, tuple(leads.tolist()), tuple(slope.abs().tolist())))
    return curves


def _seeds(values: Tensor) -> tuple[float, ...]:
    return tuple(values.tolist())


SPOILT_ROWS = Experiment(spoilt_rows, ("line", "net"))

SETTING = Text(
    "Two Gaussian classes in 10 dimensions, best possible accuracy 89 %, 300 training rows of which a tenth is "
    "spoilt: far rows 10 standard deviations out with the right label, the same with the wrong label, or typical rows "
    "with the wrong label. Linear model and network with 64 hidden units; accuracy on clean rows; 20 seeds. Fixed: "
    "Adam at 0.01 (linear) or 0.003 (network), last step. Tuned: rate, stopping point and threshold on validation rows "
    "spoilt alike.",
    "10 维中的两个高斯类别,可能的最优准确率为 89 %;300 个训练样本中有一成被破坏:远离 10 个标准差且标签正确、"
    "远离且标签错误,或位置正常但标签错误。线性模型和 64 个隐藏单元的网络;在干净样本上计算准确率;20 个种子。"
    "固定:Adam,学习率 0.01(线性)或 0.003(网络),取最后一步。调优:学习率、停止点和阈值在同样被破坏的验证样本上选择。",
)
WORDS = {
    "outliers": Text("outliers", "离群值"),
    "none": Text("none", "无"),
    "far_right": Text("far rows, right label", "远离的样本,标签正确"),
    "far_wrong": Text("far rows, wrong label", "远离的样本,标签错误"),
    "typical_wrong": Text("typical rows, wrong label", "正常的样本,标签错误"),
    "robust": Text("GCE or NCE+RCE, the better on validation", "GCE 或 NCE+RCE,取验证集上较优者"),
}
LOST_LINE = Panel(
    "lost_line",
    Text("linear model, tuned: accuracy lost", "线性模型,调优:损失的准确率"),
    Text("outliers", "离群值"),
    Text("drop in test accuracy", "测试准确率的下降"),
    "bar",
)
LOST_NET = Panel(
    "lost_net",
    Text("network, last step: accuracy lost", "网络,最后一步:损失的准确率"),
    Text("outliers", "离群值"),
    Text("drop in test accuracy", "测试准确率的下降"),
    "bar",
)
PULL = Panel(
    "pull",
    Text("how hard one row pulls", "单个样本的拉力"),
    Text("lead of the label's logit; negative is wrong", "标签 logit 的领先量,负值为分错"),
    Text("size of the slope", "斜率的大小"),
)


CLAIMS = [
    Claim(
        id="S1-4",
        sentence=Text(
            "MSE is sensitive to outliers, because squaring amplifies them.",
            "MSE 对异常值敏感,因为平方会放大它们的影响。",
        ),
        statements=(
            Statement(
                "drop",
                Text(
                    "outliers cost MSE more accuracy than they cost cross-entropy",
                    "离群值使 MSE 失去的准确率多于交叉熵",
                ),
                Text(
                    "drop in test accuracy with MSE minus the drop with cross-entropy",
                    "MSE 的测试准确率下降减去交叉熵的下降",
                ),
                0.01,
            ),
        ),
        experiment=SPOILT_ROWS,
        setting=SETTING,
        formula="|dL/dm|, m the lead of the label's logit, p = sigmoid(m): linear |m - 1| / 2; probabilities "
        "4 p (1 - p)^2; cross-entropy 1 - p",
        instead=Text(
            "For far rows with right labels take a loss that lets them go, `whyloss.CrossEntropyLoss()` or "
            "`whyloss.BrierLoss()`, rather than least squares on linear outputs.",
            "对于标签正确但远离的样本,应使用会放过它们的损失,如 `whyloss.CrossEntropyLoss()` 或 "
            "`whyloss.BrierLoss()`,而不是线性输出上的最小二乘。",
        ),
        panels=(PULL, LOST_LINE),
        words=WORDS,
    ),
    Claim(
        id="S1-10",
        sentence=Text(
            "Where there are outliers or large errors, MSE is not the best choice.",
            "存在离群值或误差较大时,MSE 不是最佳选择。",
        ),
        statements=(
            Statement(
                "outliers",
                Text("with outliers, another loss is more accurate than MSE", "有离群值时,另有损失比 MSE 更准确"),
                MEASURE := Text(
                    "test accuracy of cross-entropy, GCE or NCE+RCE, whichever is best on validation rows, minus that "
                    "of MSE",
                    "交叉熵、GCE、NCE+RCE 中验证集上最优者的测试准确率,减去 MSE 的测试准确率",
                ),
                0.01,
            ),
            Statement(
                "errors",
                Text(
                    "with large errors (wrong labels), another loss is more accurate than MSE",
                    "误差较大(标签错误)时,另有损失比 MSE 更准确",
                ),
                MEASURE,
                0.01,
            ),
        ),
        experiment=SPOILT_ROWS,
        setting=SETTING,
        formula="GCE: (1 - p_y^q) / q, gradient p_y^q (1 - p_y): fades for rows whose label the model doubts",
        instead=Text(
            "Where labels may be wrong, stop early on validation rows or use "
            "`whyloss.GeneralizedCrossEntropyLoss()`; where rows lie far out, use `whyloss.CrossEntropyLoss()`.",
            "标签可能有误时,用验证样本早停,或使用 `whyloss.GeneralizedCrossEntropyLoss()`;样本远离时,使用 "
            "`whyloss.CrossEntropyLoss()`。",
        ),
        panels=(LOST_LINE, LOST_NET),
        words=WORDS,
    ),
]

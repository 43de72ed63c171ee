"""Claims about accuracy on clean labels: squared error against cross-entropy, and cross-entropy against all the others.

Knows the three meanings of MSE, and how figures of several data sets become one."""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from whyloss.claims.claim import Claim, Curve, Experiment, Measured, Panel, Results, Scale, Statement, Text
from whyloss.claims.lab.tasks import Task, bundled, mixture
from whyloss.claims.lab.training import Metric, Objective, Plan, Trained, accuracy, fit, per_row
from whyloss.losses.algebra import row_sum
from whyloss.losses.imbalance import FocalLoss
from whyloss.losses.loss import RowLoss
from whyloss.losses.margin import MulticlassHingeLoss
from whyloss.losses.proper import (
    BrierLoss,
    CrossEntropyLoss,
    LabelSmoothingCrossEntropyLoss,
    Poly1CrossEntropyLoss,
    SquaredLogitLoss,
)
from whyloss.losses.robust import (
    GeneralizedCrossEntropyLoss,
    MeanAbsoluteErrorLoss,
    NormalizedCrossEntropyLoss,
    ReverseCrossEntropyLoss,
    SymmetricCrossEntropyLoss,
)

RATES = (3e-3, 1e-2, 3e-2, 1e-1)
MARGIN = 0.01


def code_error(outputs: Tensor, labels: Tensor) -> Tensor:
    """Squared error of one linear output whose target is the number of the class."""
    return ((outputs[..., 0] - labels) ** 2).mean(-1).sum()


def code_accuracy(outputs: Tensor, labels: Tensor) -> Tensor:
    """Decided by the nearest code."""
    return (outputs[..., 0].round() == labels).float().mean(-1)


MEANINGS: Mapping[str, tuple[Objective, Metric, int | None]] = {  # and how each decides, and its number of outputs
    "probabilities": (per_row(BrierLoss()), accuracy, None),
    "linear": (per_row(SquaredLogitLoss()), accuracy, None),
    "codes": (code_error, code_accuracy, 1),
}


def pooled(values: Sequence[Tensor], shares: Sequence[float]) -> tuple[tuple[float, ...], float]:
    """Mean over data sets for each seed, and the test share that goes with it: only the part of the variance that comes
    from splits of one table is widened, so each data set's share counts by its variance."""
    variances = np.array([max(float(v.double().var()), 1e-12) for v in values])
    mean = torch.stack([v.double() for v in values]).mean(0)
    return tuple(mean.tolist()), float(np.average(shares, weights=variances))


def scores(run: Trained, metric: Metric) -> dict[str, Tensor]:
    """Test accuracy of each seed under both protocols."""
    y = run.task.test.y
    return {"fixed": metric(run.fixed(), y), "tuned": metric(run.tuned(metric), y)}


def valid_scores(run: Trained) -> dict[str, Tensor]:
    """Accuracy on the validation rows under both protocols."""
    y = run.task.valid.y
    return {"fixed": accuracy(run.valid[-1, run.plan.fixed], y), "tuned": accuracy(run.tuned_valid(accuracy), y)}


def plan_for(model: str, steps: int, rates: int = 4) -> Plan:
    """The network's shared rate is near Adam's usual one; the linear model, whose steps have to add up to its weights,
    gets a higher one."""
    snapshots = tuple(steps * i // 4 for i in range(1, 5))
    return Plan(RATES[:rates], steps, snapshots, fixed=int(model == "line"), hidden=32 * (model == "net"))


# -------------------------------------------------------------------------------- MSE against cross-entropy


def mse_against_ce(model: str, scale: Scale) -> Results:
    """Test accuracy of cross-entropy minus that of each meaning of MSE, averaged over three data sets in each seed; and
    how much nearer MSE stays to guessing than to cross-entropy."""
    seeds = scale.seeds(14, 5)
    generated = scale.of(2000, 500)
    tasks = {
        "digits": bundled("digits", seeds, 0.6, 0.2),
        "gaussians": mixture(seeds, (400, 600, generated), 5, 2, distance=3.0),
        "many": mixture(seeds, (400, 600, generated), 10, 10, distance=1.0),
    }
    plan = plan_for(model, scale.of(600, 120))
    reference: dict[str, dict[str, Tensor]] = {}
    others: dict[str, dict[str, dict[str, Tensor]]] = {}
    for name, task in tasks.items():
        reference[name] = scores(fit(per_row(CrossEntropyLoss()), task, plan, seeds), accuracy)
        others[name] = {
            meaning: scores(fit(objective, task, plan, seeds, outputs), metric)
            for meaning, (objective, metric, outputs) in MEANINGS.items()
        }
    shares = [task.test_share for task in tasks.values()]
    measured: list[Measured] = []
    for meaning in MEANINGS:
        for protocol in ("fixed", "tuned"):
            where = {"protocol": protocol, "meaning": meaning, "model": model}
            ce = [reference[name][protocol] for name in tasks]
            mse = [others[name][meaning][protocol] for name in tasks]
            halfway = [(c + 1 / task.classes) / 2 for c, task in zip(ce, tasks.values(), strict=True)]
            for statement, bar in (("a", ce), ("b", halfway)):
                values, share = pooled([b - m for b, m in zip(bar, mse, strict=True)], shares)
                measured.append(Measured(statement, where, values, share))
    curves: list[Curve] = []
    for name in ("digits", "gaussians"):
        heights = {"ce": reference[name]["tuned"], **{m: others[name][m]["tuned"] for m in MEANINGS}}
        if name == "gaussians":
            heights["ceiling"] = tasks[name].test.ceiling()
        curves.append(Curve(name, model, tuple(heights), tuple(float(h.mean()) for h in heights.values())))
    return Results(tuple(measured), tuple(curves))


MSE_AGAINST_CE = Experiment(mse_against_ce, ("line", "net"))
LOWER = Statement(
    "a",
    Text("MSE reaches a lower accuracy than cross-entropy", "MSE 达到的准确率低于交叉熵"),
    Text(
        "test accuracy of cross-entropy minus that of MSE, mean over three data sets",
        "交叉熵与 MSE 的测试准确率之差,三个数据集的平均",
    ),
    MARGIN,
)
USELESS = Statement(
    "b",
    Text(
        "MSE cannot be used: its accuracy stays nearer to guessing than to cross-entropy",
        "MSE 不能使用:其准确率更接近随机猜测,而不是交叉熵",
    ),
    Text(
        "the point half-way between guessing and the test accuracy of cross-entropy, minus the accuracy of MSE",
        "随机猜测与交叉熵测试准确率的中点,减去 MSE 的准确率",
    ),
    MARGIN,
    kind="cannot",
)
SETTING = Text(
    "Digits, 5 Gaussian classes in 2 dimensions and 10 in 10 dimensions; a linear model and a network with 32 hidden "
    "units; 14 seeds. Fixed: Adam at 0.01 (linear) or 0.003 (network), last step. Tuned: each loss at its own rate of "
    "four and stopping point of four. Codes: one linear output, decided by rounding.",
    "手写数字 digits、2 维中的 5 个高斯类别、10 维中的 10 个高斯类别;线性模型和 32 个隐藏单元的网络;14 个种子。"
    "固定:Adam,学习率 0.01(线性)或 0.003(网络),取最后一步。调优:每种损失各自在四个学习率和四个停止点中选择。"
    "整数编码:一个线性输出,取整判定。",
)
PANELS = tuple(
    Panel(key, title, Text("loss", "损失"), Text("tuned test accuracy", "调优后的测试准确率"), "bar")
    for key, title in (
        ("digits", Text("digits, 10 classes", "手写数字 digits,10 类")),
        ("gaussians", Text("5 Gaussian classes in 2 dimensions", "2 维中的 5 个高斯类别")),
    )
)
WORDS = {"ceiling": Text("best possible", "可能的最优值")}


# -------------------------------------------------------------------------------- cross-entropy among eleven


@cache
def losses() -> Mapping[str, RowLoss]:
    """Cross-entropy and ten others, as the library sets them by default."""
    return {
        "ce": CrossEntropyLoss(),
        "ls": LabelSmoothingCrossEntropyLoss(),
        "poly1": Poly1CrossEntropyLoss(),
        "focal": FocalLoss(),
        "brier": BrierLoss(),
        "squared": SquaredLogitLoss(),
        "hinge": MulticlassHingeLoss(),
        "gce": GeneralizedCrossEntropyLoss(),
        "sce": SymmetricCrossEntropyLoss(),
        "nce_rce": row_sum((NormalizedCrossEntropyLoss(), ReverseCrossEntropyLoss()), (1.0, 1.0)),
        "mae": MeanAbsoluteErrorLoss(),
    }


def clean_tasks(scale: Scale, seeds: Sequence[int]) -> dict[str, Task]:
    rows = (400, 600, scale.of(2000, 500))
    tasks = {
        "digits": bundled("digits", seeds, 0.6, 0.2),
        "gaussians": mixture(seeds, rows, 5, 2, distance=3.0),
        "clusters": mixture(seeds, rows, 3, 5, clusters=4, distance=1.5),
    }
    if not scale.quick:
        tasks["breast_cancer"] = bundled("breast_cancer", seeds, 0.6, 0.2)
        tasks["many"] = mixture(seeds, rows, 10, 10, distance=1.0)
    return tasks


def ranks(test: Tensor) -> Tensor:
    """Rank of each loss for each seed, 1 the most accurate, ties shared; (losses, seeds)."""
    return torch.from_numpy(rankdata(-test.numpy(), axis=0))


def scatter(test: Tensor) -> Tensor:
    """How far the first loss lies from its own mean over the seeds, minus the median of the other losses; (seeds)."""
    off = (test - test.mean(1, keepdim=True)).abs()
    return off[0] - off[1:].quantile(0.5, dim=0)


def among_eleven(part: str, scale: Scale) -> Results:
    """Cross-entropy and ten other losses on five data sets with clean labels: what choosing another loss by its
    validation accuracy gains, and how far the accuracy of cross-entropy scatters. Ranks are drawn, not judged: they
    count differences far inside the margin."""
    seeds = scale.seeds(10, 5)
    plan = plan_for("net", scale.of(300, 60), rates=3)
    tasks = clean_tasks(scale, seeds)
    test: dict[str, list[Tensor]] = {"fixed": [], "tuned": []}
    valid: dict[str, list[Tensor]] = {"fixed": [], "tuned": []}
    for task in tasks.values():
        runs = [fit(per_row(loss), task, plan, seeds) for loss in losses().values()]
        for protocol in ("fixed", "tuned"):
            test[protocol].append(torch.stack([scores(run, accuracy)[protocol] for run in runs]))
            valid[protocol].append(torch.stack([valid_scores(run)[protocol] for run in runs]))
    shares = [task.test_share for task in tasks.values()]
    measured: list[Measured] = []
    for protocol in ("fixed", "tuned"):
        gains, steadiness = list[Tensor](), list[Tensor]()
        for accuracies, guide in zip(test[protocol], valid[protocol], strict=True):
            chosen = 1 + guide[1:].argmax(0, keepdim=True)
            gains.append(accuracies.gather(0, chosen)[0] - accuracies[0])
            steadiness.append(scatter(accuracies))
        for key, values in (("a", gains), ("b", steadiness)):
            mean, share = pooled(values, shares)
            measured.append(Measured(key, {"protocol": protocol}, mean, share))
    curves: list[Curve] = []
    for protocol in ("fixed", "tuned"):
        mean = torch.stack(test[protocol]).mean((0, 2))
        rank = torch.stack([ranks(accuracies) for accuracies in test[protocol]]).mean((0, 2))
        curves.append(Curve("ahead", protocol, tuple(losses())[1:], tuple((mean[1:] - mean[0]).tolist())))
        curves.append(Curve("rank", protocol, tuple(losses()), tuple(rank.tolist())))
    return Results(tuple(measured), tuple(curves))


AMONG_ELEVEN = Experiment(among_eleven)
BETTER_CHOICE = Text(
    "Start from `whyloss.CrossEntropyLoss()`; where squared error is wanted, take it of the probabilities, "
    "`whyloss.BrierLoss()`, never of the numbers of the classes.",
    "从 `whyloss.CrossEntropyLoss()` 开始;若要用平方误差,应作用于概率,即 `whyloss.BrierLoss()`,"
    "而绝不要作用于类别编号。",
)
FORMULA = (
    "probabilities: sum_j (softmax(z)_j - [j = y])^2; linear: sum_j (z_j - [j = y])^2 / C; codes: (z - y)^2, "
    "decided by round(z)"
)


CLAIMS = [
    Claim(
        id="S1-1",
        sentence=Text(
            "MSE is usually unsuitable for classification, or cannot be used at all.",
            "分类问题通常不适合使用、甚至不能使用 MSE 损失函数。",
        ),
        statements=(LOWER, USELESS),
        experiment=MSE_AGAINST_CE,
        setting=SETTING,
        formula=FORMULA,
        instead=BETTER_CHOICE,
        panels=PANELS,
        words=WORDS,
    ),
    Claim(
        id="S2-12",
        sentence=Text(
            "Cross-entropy suits classification better than MSE does.",
            "对于分类问题,交叉熵相对 MSE 更合适。",
        ),
        statements=(LOWER,),
        experiment=MSE_AGAINST_CE,
        setting=SETTING,
        formula=FORMULA,
        instead=BETTER_CHOICE,
        panels=PANELS,
        words=WORDS,
    ),
    Claim(
        id="S2-5",
        sentence=Text(
            "For all its drawbacks, cross-entropy is still widely used, with good and stable results.",
            "尽管有这些缺点,交叉熵仍被广泛使用,性能较好,结果稳定。",
        ),
        statements=(
            Statement(
                "a",
                Text(
                    "good: choosing among ten other losses changes accuracy by no more than a point",
                    "性能较好:在另外十种损失中挑选,准确率的变化不超过一个百分点",
                ),
                Text(
                    "test accuracy of the other loss with the best validation accuracy, minus that of cross-entropy; "
                    "mean over five data sets",
                    "验证准确率最高的另一种损失与交叉熵的测试准确率之差,五个数据集的平均",
                ),
                MARGIN,
                kind="same",
            ),
            Statement(
                "b",
                Text(
                    "stable: from seed to seed its accuracy scatters as that of the other losses does",
                    "稳定:其准确率随种子的波动与其他损失一样",
                ),
                Text(
                    "distance of the test accuracy from its mean over the seeds, minus the median of the same of the "
                    "ten others; mean over five data sets",
                    "测试准确率与其跨种子均值的距离,减去另外十种损失同一量的中位数;五个数据集的平均",
                ),
                MARGIN,
                kind="same",
            ),
        ),
        experiment=AMONG_ELEVEN,
        setting=Text(
            "A network with 32 hidden units and eleven losses on clean labels: digits, breast cancer, 5 and 10 "
            "Gaussian classes, 3 classes of 4 clusters; 10 seeds. Fixed: Adam at 0.003, last step. Tuned: each loss at "
            "its own rate of three and stopping point of four.",
            "32 个隐藏单元的网络,十一种损失,干净标签:手写数字 digits、乳腺癌 breast cancer、5 个与 10 个高斯类别、"
            "3 个各含 4 簇的类别;10 个种子。固定:Adam,学习率 0.003,取最后一步。调优:每种损失各自在三个学习率和"
            "四个停止点中选择。",
        ),
        formula="-log softmax(z)_y",
        instead=Text(
            "Start from `whyloss.CrossEntropyLoss()`, and let `whyloss advise data.csv --label y` race the others on "
            "your own data.",
            "从 `whyloss.CrossEntropyLoss()` 开始,再用 `whyloss advise data.csv --label y` "
            "在自己的数据上让其他损失与之比较。",
        ),
        panels=(
            Panel(
                "ahead",
                Text("ahead of cross-entropy, mean over five data sets", "领先交叉熵多少,五个数据集的平均"),
                Text("loss", "损失"),
                Text("test accuracy minus that of cross-entropy", "测试准确率减去交叉熵的测试准确率"),
                "bar",
            ),
            Panel(
                "rank",
                Text("mean rank among eleven, 1 the most accurate", "十一种损失中的平均名次,1 为最准"),
                Text("loss", "损失"),
                Text("rank", "名次"),
                "bar",
            ),
        ),
        words={"poly1": Text("Poly-1", "Poly-1"), "hinge": Text("multiclass hinge", "多类合页")},
    ),
]

"""The claim that cross-entropy measures differences between distributions better, and data to measure it on."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from whyloss.claims.claim import Claim, Curve, Experiment, Measured, Panel, Results, Scale, Statement, Text
from whyloss.claims.lab.tasks import Rows, Task, mixture
from whyloss.claims.lab.training import Metric, Plan, fit, log_likelihood, per_row
from whyloss.losses.loss import RowLoss
from whyloss.losses.proper import BrierLoss, CrossEntropyLoss, SquaredLogitLoss

LEAST = 0.01  # the smallest probability that is read off linear outputs: a zero would cost an infinite log loss


def clipped(outputs: Tensor) -> Tensor:
    """Log-probabilities from linear outputs: clipped to LEAST and 1, and divided by their sum."""
    p = outputs.clamp(LEAST, 1)
    return (p / p.sum(-1, keepdim=True)).log()


def softmax(logits: Tensor) -> Tensor:
    return torch.log_softmax(logits.double(), -1)


READINGS: dict[str, tuple[RowLoss, Callable[[Tensor], Tensor]]] = {
    "ce": (CrossEntropyLoss(), softmax),
    "probabilities": (BrierLoss(), softmax),
    "linear": (SquaredLogitLoss(), clipped),
}


def squared_distance(log_p: Tensor, p: Tensor) -> Tensor:
    """The root of the mean squared error of the probabilities against the true ones, per seed."""
    return (log_p.double().exp() - p).square().mean((-1, -2)).sqrt()


def calibration_error(log_p: Tensor, p: Tensor, bins: int = 15) -> Tensor:
    """Expected calibration error of the likeliest class, per seed, in bins of equally many rows. The true probability
    of that class stands in for whether it is right, so that it is nearly free of the noise of labels."""
    said, top = log_p.double().exp().max(-1)
    gap = (said - p.gather(-1, top.unsqueeze(-1)).squeeze(-1)).gather(-1, said.argsort(-1))
    return torch.stack([part.sum(-1).abs() for part in gap.tensor_split(bins, -1)]).sum(0) / gap.shape[-1]


def gaussians(seeds: Sequence[int], rows: int) -> Task:
    """Of which a linear model is well specified."""
    return mixture(seeds, (rows, rows, 4000), classes=3, features=2, distance=1.5)


def clusters(seeds: Sequence[int]) -> Task:
    """Which need a network, and overlap: a network that is trained for long learns the labels by heart."""
    return mixture(seeds, (500, 500, 4000), classes=3, features=4, clusters=3, distance=1.5)


def plan(model: str, scale: Scale) -> Plan:
    steps = scale.of(1000, 400) if model == "line" else scale.of(1500, 500)
    looks = tuple(round(steps * n / 20) for n in (1, 2, 4, 7, 12, 20))
    return Plan((0.003, 0.01, 0.03), steps, looks, 1, hidden=0 if model == "line" else 64, batch=64)


def known(rows: Rows) -> Tensor:
    assert rows.p is not None
    return rows.p


def against_mse(part: str, scale: Scale) -> Results:
    """Cross-entropy and squared errors: distance of the probabilities from the true ones, in a linear model of Gaussian
    classes; calibration error and log loss of a network on classes of several clusters. "rows" draws the picture."""
    if part == "rows":
        return Results(curves=_by_rows(scale))
    seeds = scale.seeds(16, 5)
    task = gaussians(seeds, 300) if part == "line" else clusters(seeds)
    y, p = task.test.y, known(task.test)
    runs = {n: (fit(per_row(loss), task, plan(part, scale), seeds), read) for n, (loss, read) in READINGS.items()}
    measured: list[Measured] = []
    for protocol in ("fixed", "tuned"):
        found: dict[str, dict[str, Tensor]] = {"a": {}, "b": {}, "c": {}}
        for name, (run, read) in runs.items():
            for key in ("a",) if part == "line" else ("b", "c"):
                metric = _scored(read, brier if key == "a" else log_likelihood)
                log_p = read(run.fixed() if protocol == "fixed" else run.tuned(metric))
                if key == "c":
                    found[key][name] = -log_likelihood(log_p, y)
                else:
                    found[key][name] = (squared_distance if key == "a" else calibration_error)(log_p, p)
        for key, values in found.items():
            for name in ("probabilities", "linear") if values else ():
                where = {"protocol": protocol, "meaning": name}
                measured.append(Measured(key, where, floats(values[name] - values["ce"])))
    return Results(tuple(measured))


def _scored(read: Callable[[Tensor], Tensor], score: Metric) -> Metric:
    """A score of log-probabilities as a metric of outputs."""

    def metric(outputs: Tensor, y: Tensor) -> Tensor:
        return score(read(outputs), y)

    return metric


def brier(log_p: Tensor, y: Tensor) -> Tensor:
    """The negative Brier score: on average the squared distance from the true probabilities, up to a constant."""
    p = log_p.double().exp()
    return 2 * p.gather(-1, y.unsqueeze(-1)).squeeze(-1).mean(-1) - p.square().sum(-1).mean(-1)


def _by_rows(scale: Scale) -> tuple[Curve, ...]:
    """The distance from the true probabilities against the number of rows, tuned."""
    seeds, sizes = scale.seeds(8, 4), scale.of((50, 150, 500, 1500), (100, 800))
    heights: dict[str, list[float]] = {name: [] for name in READINGS}
    for rows in sizes:
        task = gaussians(seeds, rows)
        for name, (loss, read) in READINGS.items():
            run = fit(per_row(loss), task, plan("line", scale), seeds)
            log_p = read(run.tuned(_scored(read, brier)))
            heights[name].append(float(squared_distance(log_p, known(task.test)).mean()))
    return tuple(Curve("rows", name, tuple(map(float, sizes)), tuple(found)) for name, found in heights.items())


def floats(values: Tensor) -> tuple[float, ...]:
    return tuple(values.double().tolist())


ESTIMATING = Claim(
    id="S1-12",
    sentence=Text(
        "Cross-entropy measures differences between probability distributions better than MSE.",
        "与 MSE 相比,交叉熵能更好地衡量概率分布之间的差异。",
    ),
    statements=(
        Statement(
            "a",
            Text(
                "probabilities learnt with cross-entropy are closer to the true ones",
                "用交叉熵学到的概率更接近真实概率",
            ),
            Text(
                "root mean squared error of the probabilities against the true ones: MSE minus cross-entropy",
                "概率相对真实概率的均方根误差:MSE 减去交叉熵",
            ),
            margin=0.02,
        ),
        Statement(
            "b",
            Text("a network trained with cross-entropy is better calibrated", "用交叉熵训练的网络校准得更好"),
            Text(
                "expected calibration error against the true probabilities: MSE minus cross-entropy",
                "相对真实概率的期望校准误差(ECE):MSE 减去交叉熵",
            ),
            margin=0.02,
        ),
        Statement(
            "c",
            Text("a network trained with cross-entropy has the smaller log loss", "用交叉熵训练的网络对数损失更小"),
            Text("log loss on new rows: MSE minus cross-entropy", "新样本上的对数损失:MSE 减去交叉熵"),
            margin=0.01,
            unit="plain",
        ),
    ),
    experiment=Experiment(against_mse, ("line", "net", "rows")),
    setting=Text(
        "(a) Three round Gaussian classes, 300 rows, a linear model, which can express the true probabilities. (b, c) "
        "Three classes of three clusters each, 500 rows, a network of 64 units. Linear outputs are clipped to 0.01 and "
        "1 "
        "and divided by their sum; integer codes have no probabilities to compare. Tuned by the Brier score (a) or the "
        "log loss (b, c) of validation rows, each loss alike.",
        "(a) 三个圆形高斯类别,300 个样本,线性模型,它能够表达真实概率。(b、c) 三个类别、每类三簇,500 个样本,64 "
        "个单元的网络。"
        "线性输出截断到 0.01 与 1 之间再归一化;整数编码没有可比较的概率。各损失同样按验证样本的 Brier "
        "分数(a)或对数损失(b、c)调优。",
    ),
    formula="E|p - e_y|^2 = |p - q|^2 + const;  E[-log p_y] = KL(q, p) + const",
    instead=Text(
        "Choose between `whyloss.CrossEntropyLoss()` and `whyloss.BrierLoss()` by the log loss of validation rows, and "
        "stop training by it too.",
        "按验证样本的对数损失在 `whyloss.CrossEntropyLoss()` 与 `whyloss.BrierLoss()` 之间选择,并据此决定何时停止训练。"
        "",
    ),
    panels=(
        Panel(
            "rows",
            Text("distance from the true probabilities (linear model, tuned)", "与真实概率的距离(线性模型,调优)"),
            Text("rows trained on", "训练样本数"),
            Text("root mean squared error", "均方根误差"),
            log_x=True,
            log_y=True,
        ),
    ),
)

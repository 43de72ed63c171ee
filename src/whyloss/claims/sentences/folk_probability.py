"""Folk sentences about what makes probabilities better: label smoothing and temperature scaling."""

import torch
from torch import Tensor

from whyloss.advise.temperature import fit_temperature
from whyloss.claims.claim import Claim, Curve, Experiment, Measured, Panel, Results, Scale, Statement, Text
from whyloss.claims.lab.calibration import best_sharpness, calibration_error, reliability, top_class
from whyloss.claims.lab.tasks import Task, mixture
from whyloss.claims.lab.training import Plan, Trained, fit, log_likelihood, per_row
from whyloss.losses.proper import CrossEntropyLoss, LabelSmoothingCrossEntropyLoss


def _ece(logits: Tensor, p: Tensor) -> Tensor:
    return calibration_error(*top_class(logits, p))


def _tempered(found: Trained) -> Tensor:
    """Test logits at each seed's best rate and stopping point, divided by the temperature that fits its validation
    rows."""
    sharpness = best_sharpness(found.tuned_valid(log_likelihood), found.task.valid.y)
    return found.tuned(log_likelihood).double() * sharpness[:, None, None]


def _task(model: str, seeds: list[int], rows: tuple[int, int, int]) -> tuple[Task, int]:
    """The task for a model, and the width of the model. A linear model is well specified on classes of one cluster;
    the network is wide for the rows that it gets, and the classes overlap."""
    if model == "line":
        return mixture(seeds, rows, classes=3, features=5, distance=0.9), 0
    return mixture(seeds, rows, classes=3, features=5, clusters=3, distance=1.2), 128


def smoothing(part: str, scale: Scale) -> Results:
    """ECE of cross-entropy minus ECE of label smoothing 0.1, for the network that overfits or for the linear model with
    plenty of rows."""
    seeds = scale.seeds(16, 8)
    task, hidden = _task(part, seeds, (300 if part == "net" else 3000, 1000, scale.of(6000, 2000)))
    assert task.test.p is not None
    steps = scale.of(600, 300)
    plan = Plan((1e-3, 3e-3, 1e-2, 3e-2), steps, tuple(steps * k // 8 for k in range(1, 9)), 2, hidden)
    found = {
        "ce": fit(per_row(CrossEntropyLoss()), task, plan, seeds),
        "ls": fit(per_row(LabelSmoothingCrossEntropyLoss(label_smoothing=0.1)), task, plan, seeds),
    }
    logits = {"fixed": {k: f.fixed() for k, f in found.items()}, "tuned": {k: _tempered(f) for k, f in found.items()}}
    measured: list[Measured] = []
    curves = [Curve(part, "perfect", (1 / 3, 1.0), (1 / 3, 1.0))]
    for protocol, of in logits.items():
        gain = _ece(of["ce"], task.test.p) - _ece(of["ls"], task.test.p)
        measured.append(Measured("a", {"protocol": protocol, "model": part}, _floats(gain)))
        for name, z in of.items():
            curves.append(Curve(part, f"{name}_{protocol}", *reliability(*top_class(z, task.test.p))))
    return Results(tuple(measured), tuple(curves))


def temperature(part: str, scale: Scale) -> Results:
    """ECE before minus ECE after a temperature was fitted to n validation rows, averaged over disjoint draws of these
    rows: the temperature of the smallest log loss, or the one that is kept only if it helps on the other half."""
    seeds, draws = scale.seeds(12, 6), scale.of(20, 8)
    sizes = (20, 50, 200, 1000)
    task, hidden = _task(part, seeds, (300 if part == "net" else 3000, 1000 * draws, scale.of(4000, 2000)))
    assert task.test.p is not None
    steps = scale.of(600, 400)
    found = fit(per_row(CrossEntropyLoss()), task, Plan((1e-2,), steps, (steps,), 0, hidden), seeds)
    test, before = found.fixed(), _ece(found.fixed(), task.test.p)
    blocks = found.valid[-1, 0].unflatten(1, (draws, 1000)), task.valid.y.unflatten(1, (draws, 1000))
    measured: list[Measured] = []
    gains: dict[str, list[float]] = {"fixed": [], "tuned": []}
    spread: tuple[list[float], list[float]] = ([], [])
    for size in sizes:
        z, y = blocks[0][:, :, :size], blocks[1][:, :, :size]
        sharpness = {"fixed": best_sharpness(z, y), "tuned": _kept(z, y)}
        for ends, share in zip(spread, (0.05, 0.95), strict=True):
            ends.append(float((1 / sharpness["fixed"]).quantile(share)))
        for protocol, each in sharpness.items():
            after = torch.stack([_ece(test * s[:, None, None], task.test.p) for s in each.T])
            gain = before - after.mean(0)
            gains[protocol].append(float(gain.mean()))
            where = {"protocol": protocol, "model": part, "rows": str(size)}
            measured.append(Measured("a", where, _floats(gain)))
    curves = [Curve("gain", f"{part}_{protocol}", sizes, tuple(y)) for protocol, y in gains.items()]
    curves += [
        Curve("spread", f"{part}_{end}", sizes, tuple(y)) for end, y in zip(("low", "high"), spread, strict=True)
    ]
    return Results(tuple(measured), tuple(curves))


def _kept(logits: Tensor, labels: Tensor) -> Tensor:
    """Sharpness (seeds, draws) by the careful fit: bounded, and 1 unless it helps on rows that it was not fitted to."""
    log_p = torch.log_softmax(logits.double(), -1).numpy()
    found = [
        [1 / fit_temperature(log_p[i, j], labels[i, j].numpy())[0] for j in range(labels.shape[1])]
        for i in range(len(labels))
    ]
    return torch.tensor(found, dtype=torch.float64)


def _floats(values: Tensor) -> tuple[float, ...]:
    return tuple(values.double().tolist())


_ECE = Text(
    "ECE over 15 bins of equally many test rows, true probabilities in place of labels",
    "测试样本等量分为 15 组的 ECE，以真实概率代替标签",
)
_CAREFUL = Text(
    "Train with `whyloss.CrossEntropyLoss()`, stop at the lowest validation loss, and let "
    "`whyloss advise data.csv --label y --metric log_loss` add a temperature if it helps out of fold.",
    "用 `whyloss.CrossEntropyLoss()` 训练，在验证损失最低处停止，再由 "
    "`whyloss advise data.csv --label y --metric log_loss` 判断温度在折外数据上是否有用，有用才加。",
)

CLAIMS = [
    Claim(
        id="F-1",
        sentence=Text("Label smoothing improves calibration.", "标签平滑能改善模型的校准。"),
        statements=(
            Statement(
                "a",
                Text(
                    "label smoothing has a lower calibration error than plain cross-entropy",
                    "标签平滑的校准误差低于普通交叉熵",
                ),
                Text(f"{_ECE.en}: cross-entropy minus label smoothing", f"{_ECE.zh}：交叉熵减去标签平滑"),
                margin=0.02,
                unit="plain",
            ),
        ),
        experiment=Experiment(smoothing, ("net", "line")),
        setting=Text(
            "Three overlapping Gaussian classes with known probabilities. The network (128 hidden units) gets 300 "
            "rows of classes with three clusters each; the linear model gets 3000 rows of classes with one cluster "
            "each, for which it is well specified. Label smoothing 0.1. Fixed: learning rate 0.01, last step, "
            "probabilities as they come. Tuned: both losses with their own learning rate, stopping point and "
            "temperature, all by the log loss of 1000 validation rows.",
            "三个相互重叠的高斯类别，真实概率已知。网络（128 个隐藏单元）用 300 个样本训练，每类由三个簇组成；线性模型"
            "用 3000 个样本训练，每类一个簇，模型设定正确。标签平滑系数为 0.1。固定协议：学习率 0.01，取最后一步，概率"
            "不作处理。调优协议：两种损失各自选择学习率、停止点和温度，均依据 1000 个验证样本的对数损失。",
        ),
        formula="minimiser of label smoothing: p_j -> (1 - eps) p_j + eps / C",
        instead=_CAREFUL,
        panels=tuple(
            Panel(key, title, Text("probability stated", "模型给出的概率"), Text("true probability", "真实概率"))
            for key, title in (
                ("net", Text("flexible network, 300 rows", "灵活的网络，300 个样本")),
                ("line", Text("linear model, 3000 rows", "线性模型，3000 个样本")),
            )
        ),
        words={
            "perfect": Text("perfect calibration", "完美校准"),
            "ce_fixed": Text("cross-entropy, fixed", "交叉熵，固定"),
            "ce_tuned": Text("cross-entropy, tuned", "交叉熵，调优"),
            "ls_fixed": Text("label smoothing, fixed", "标签平滑，固定"),
            "ls_tuned": Text("label smoothing, tuned", "标签平滑，调优"),
        },
    ),
    Claim(
        id="F-6",
        sentence=Text("Temperature scaling always improves calibration.", "温度缩放总能改善模型的校准。"),
        statements=(
            Statement(
                "a",
                Text("the calibration error is lower after temperature scaling", "温度缩放之后校准误差更低"),
                Text(
                    f"{_ECE.en}: before minus after, mean over the draws of validation rows",
                    f"{_ECE.zh}：缩放前减去缩放后，对多次抽取的验证样本取平均",
                ),
                margin=0.02,
                unit="plain",
                kind="cannot",
            ),
        ),
        experiment=Experiment(temperature, ("net", "line")),
        setting=Text(
            "Cross-entropy on three Gaussian classes with known probabilities: a network of 128 hidden units that "
            "overfits 300 rows, and a well specified linear model on 3000 rows. A temperature is fitted to 20, 50, 200 "
            "or 1000 validation rows, many disjoint draws of each. Fixed: the temperature of the smallest log loss on "
            "these rows, without bounds. Tuned: a temperature between 0.05 and 20, kept only if temperatures fitted to "
            "one half of the rows lower the log loss of the other half by more than a standard error.",
            "在三个真实概率已知的高斯类别上用交叉熵训练：128 个隐藏单元的网络过拟合 300 个样本，设定正确的线性模型用 "
            "3000 个样本。温度在 20、50、200 或 1000 个验证样本上拟合，每种样本量抽取多组互不重叠的样本。固定协议："
            "取使这些样本对数损失最小的温度，不设界限。调优协议：温度限于 0.05 到 20，并且仅当在一半样本上拟合的温度使"
            "另一半的对数损失下降超过一个标准误时才保留。",
        ),
        formula="p = softmax(z / T), T = argmin of the log loss on n validation rows",
        instead=Text(
            "Keep a temperature only if it lowers the log loss of rows that it was not fitted to, as "
            "`whyloss advise data.csv --label y --metric log_loss` does.",
            "仅当温度能降低未参与拟合的样本的对数损失时才保留它，`whyloss advise data.csv --label y --metric log_loss` "
            "就是这样做的。",
        ),
        panels=(
            Panel(
                "gain",
                Text("what a temperature gains", "温度缩放的收益"),
                Text("validation rows", "验证样本数"),
                Text("ECE before minus after", "缩放前后 ECE 之差"),
                log_x=True,
            ),
            Panel(
                "spread",
                Text("temperatures fitted without bounds, 5 % and 95 %", "不设界限时拟合出的温度（5 % 与 95 % 分位）"),
                Text("validation rows", "验证样本数"),
                Text("temperature", "温度"),
                log_x=True,
                log_y=True,
            ),
        ),
        words={
            "rows": Text("validation rows", "验证样本数"),
            "net_fixed": Text("network, always kept", "网络，总是保留"),
            "net_tuned": Text("network, kept if it helps", "网络，有用才保留"),
            "line_fixed": Text("linear model, always kept", "线性模型，总是保留"),
            "line_tuned": Text("linear model, kept if it helps", "线性模型，有用才保留"),
            "net_low": Text("network, 5 %", "网络，5 %"),
            "net_high": Text("network, 95 %", "网络，95 %"),
            "line_low": Text("linear model, 5 %", "线性模型，5 %"),
            "line_high": Text("linear model, 95 %", "线性模型，95 %"),
        },
    ),
]

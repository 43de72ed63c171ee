"""The folk sentence about what a lower loss is worth: a better model, or a lower loss."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from whyloss.claims.claim import Claim, Curve, Experiment, Measured, Panel, Results, Scale, Statement, Text
from whyloss.claims.lab.calibration import best_sharpness, true_accuracy
from whyloss.claims.lab.tasks import mixture
from whyloss.claims.lab.training import Plan, Trained, accuracy, fit, log_likelihood, per_row
from whyloss.losses.imbalance import FocalLoss
from whyloss.losses.loss import RowLoss
from whyloss.losses.proper import BrierLoss, CrossEntropyLoss, LabelSmoothingCrossEntropyLoss
from whyloss.losses.robust import GeneralizedCrossEntropyLoss

TRAINED: Mapping[str, RowLoss] = {
    "ce": CrossEntropyLoss(),
    "ls": LabelSmoothingCrossEntropyLoss(label_smoothing=0.1),
    "focal": FocalLoss(gamma=2.0),
    "brier": BrierLoss(),
    "gce": GeneralizedCrossEntropyLoss(q=0.7),
}
APART, WORSE = 0.05, 0.01  # losses and accuracies of two models that differ by more are clearly different


def models(part: str, scale: Scale) -> Results:
    """How often, among models of five losses, three sizes and three learning rates, the clearly lower loss goes with
    the clearly lower accuracy. Two readings of the loss: cross-entropy for all, or what each model was trained with."""
    seeds = scale.seeds(10, 4)
    task = mixture(seeds, (300, 1000, 3000), classes=3, features=5, clusters=3, distance=1.2)
    assert task.test.p is not None
    steps = scale.of(500, 100)
    scores: dict[tuple[str, str], list[Tensor]] = {}
    curves: list[Curve] = []
    for name, loss in TRAINED.items():
        seen: list[Tensor] = []
        for hidden in (0, 16, 64):
            plan = Plan((1e-3, 1e-2, 1e-1), steps, _spaced(steps, 6), 1, hidden)
            found = fit(per_row(loss), task, plan, seeds)
            for protocol, (valid, test) in _as_they_come_and_mended(found).items():
                right = true_accuracy(test, task.test.p)
                for reading, own in (("ce", TRAINED["ce"]), ("own", loss)):
                    of_each = torch.stack([_values(own, valid, task.valid.y), right], -1)
                    scores.setdefault((protocol, reading), []).append(of_each)
                    if (protocol, reading) == ("fixed", "ce"):
                        seen.append(of_each[:, 0])
        x, y = torch.cat(seen).T.tolist()
        curves.append(Curve("models", name, tuple(x), tuple(y)))
    shares = {where: inversions(torch.cat(each)) for where, each in scores.items()}
    return Results(
        tuple(
            Measured("a", {"protocol": protocol, "reading": reading}, _floats(share))
            for (protocol, reading), share in shares.items()
        ),
        tuple(curves),
    )


def inversions(scores: Tensor) -> Tensor:
    """(models, seeds, [loss, accuracy]) -> (seeds): of the pairs with clearly different losses, the share in which the
    one with the lower loss is clearly less accurate."""
    loss, right = scores.unbind(-1)
    lower = loss[:, None] < loss - APART
    worse = right[:, None] < right - WORSE
    return (lower & worse).sum((0, 1)) / lower.sum((0, 1))


def _as_they_come_and_mended(found: Trained) -> dict[str, tuple[Tensor, Tensor]]:
    """Validation and test logits (rates, seeds, rows, outputs): after the last step; or from each model's own best
    stopping point and with its temperature."""
    valid: list[Tensor] = []
    test: list[Tensor] = []
    for rate in range(len(found.plan.rates)):
        one = _at_rate(found, rate)
        sharpness = best_sharpness(one.tuned_valid(log_likelihood), found.task.valid.y)[:, None, None]
        valid.append(one.tuned_valid(log_likelihood) * sharpness)
        test.append(one.tuned(log_likelihood) * sharpness)
    return {"fixed": (found.valid[-1], found.test[-1]), "tuned": (torch.stack(valid), torch.stack(test))}


def _at_rate(found: Trained, rate: int) -> Trained:
    """As if this learning rate were the only one."""
    plan = replace(found.plan, rates=found.plan.rates[rate : rate + 1], fixed=0)
    return replace(found, plan=plan, valid=found.valid[:, rate : rate + 1], test=found.test[:, rate : rate + 1])


def _values(loss: RowLoss, logits: Tensor, labels: Tensor) -> Tensor:
    """The loss of every model: (rates, seeds, rows, outputs) -> (rates, seeds)."""
    of_each = [[loss(z, y) for z, y in zip(each, labels, strict=True)] for each in logits.double()]
    return torch.stack([torch.stack(row) for row in of_each])


def stopping(part: str, scale: Scale) -> Results:
    """Test accuracy where the validation loss is lowest, minus test accuracy after the last step at the same learning
    rate, or minus test accuracy where validation accuracy is highest over all learning rates."""
    seeds = scale.seeds(20, 6)
    if part == "apart":
        task = mixture(seeds, (500, 2000, 3000), classes=5, features=10, clusters=3, distance=1.8)
    else:
        task = mixture(seeds, (300, 2000, 3000), classes=3, features=5, clusters=3, distance=1.2)
    assert task.test.p is not None
    steps = scale.of(1200, 300)
    plan = Plan((1e-3, 1e-2, 3e-2), steps, _spaced(steps, 16), 1, 64)
    found = fit(per_row(TRAINED["ce"]), task, plan, seeds)
    shared = _at_rate(found, plan.fixed)
    reached = {
        "fixed": (shared.tuned(log_likelihood), shared.fixed()),
        "tuned": (found.tuned(log_likelihood), found.tuned(accuracy)),
    }
    along = {
        "loss": -log_likelihood(shared.test[:, 0], task.test.y.expand(shared.test.shape[:1] + task.test.y.shape)),
        "accuracy": true_accuracy(shared.test[:, 0], task.test.p),
    }
    return Results(
        tuple(
            Measured("b", {"protocol": protocol, "data": part}, _floats(_gain(*pair, task.test.p)))
            for protocol, pair in reached.items()
        ),
        tuple(Curve("run", f"{part}_{name}", plan.snapshots, _floats(v.mean(-1))) for name, v in along.items()),
    )


def _gain(ours: Tensor, other: Tensor, p: Tensor) -> Tensor:
    return true_accuracy(ours, p) - true_accuracy(other, p)


def _spaced(steps: int, number: int) -> tuple[int, ...]:
    """Stopping points, closer together where training moves fast."""
    return tuple(sorted({max(1, round(steps ** (k / (number - 1)))) for k in range(number)}))


def _floats(values: Tensor) -> tuple[float, ...]:
    return tuple(values.double().tolist())


def lower_loss(part: str, scale: Scale) -> Results:
    """Both halves of the claim: pairs of models, and where training stops."""
    return models(part, scale) if part == "models" else stopping(part, scale)


CLAIMS = [
    Claim(
        id="F-7",
        sentence=Text("A lower loss means a better model.", "损失越低，模型就越好。"),
        statements=(
            Statement(
                "a",
                Text(
                    "a model with a clearly lower loss is not clearly less accurate",
                    "损失明显更低的模型，准确率不会明显更低",
                ),
                Text(
                    "pairs of models with validation losses more than 0.05 apart: the share in which the lower loss "
                    "goes with a test accuracy more than 1 point lower",
                    "验证损失相差 0.05 以上的模型对中，损失较低者测试准确率反而低 1 个百分点以上的比例",
                ),
                margin=0.05,
                kind="same",
            ),
            Statement(
                "b",
                Text(
                    "stopping where the loss is lowest gives the more accurate model",
                    "在损失最低处停止，得到的模型更准确",
                ),
                Text(
                    "test accuracy at the lowest validation loss minus after the last step (fixed) or at the highest "
                    "validation accuracy (tuned)",
                    "验证损失最低处的测试准确率，减去最后一步（固定）或验证准确率最高处（调优）的测试准确率",
                ),
                margin=0.01,
                kind="cannot",
            ),
        ),
        experiment=Experiment(lower_loss, ("models", "apart", "overlapping")),
        setting=Text(
            "Pairs: 45 models, of five losses (cross-entropy, label smoothing, focal, Brier, GCE), three sizes "
            "(linear, 16 and 64 hidden units) and three learning rates, on 300 rows of three overlapping classes. The "
            "loss is validation cross-entropy for all, or the loss that each was trained with. Fixed: after the last "
            "step, as they come; tuned: each at its own stopping point of lowest validation cross-entropy, with a "
            "temperature from the validation rows. Stopping: one network of 64 hidden units, cross-entropy, on five "
            "classes that overlap little or three that overlap much, learning "
            "rate 0.01 (fixed) or the best of three (tuned). Accuracies are means over the true probabilities of the "
            "test rows.",
            "模型对：45 个模型，由五种损失（交叉熵、标签平滑、focal、Brier、GCE）、三种规模（线性、16 和 64 个隐藏单"
            "元）和三个学习率组成，用三个重叠类别的 300 个样本训练。损失取所有模型共同的验证交叉熵，或各自训练所用的损"
            "失。固定协议：取最后一步，不作处理；调优协议：各自停在验证交叉熵最低处，并用验证样本拟合温度。停止点：一"
            "个 64 个隐藏单元的网络，交叉熵，数据为重叠较少的五个类别或重叠较多的三个类别，学习率为 "
            "0.01（固定）或三者中最好的（调优）。准确率按测试样本的真实概率取"
            "平均。",
        ),
        formula="log loss = -mean log p_y; accuracy = share of rows with p_y > all other p_j",
        instead=Text(
            "Compare models by the metric that you are judged by, the same for all and on the same held-out rows: "
            "`whyloss advise data.csv --label y --metric accuracy`.",
            "用最终评判所用的指标比较模型，所有模型用同一指标、同一批留出样本："
            "`whyloss advise data.csv --label y --metric accuracy`。",
        ),
        panels=(
            Panel(
                "models",
                Text(
                    "models after the last step, by training loss, one seed", "最后一步的模型，按训练损失区分，一个种子"
                ),
                Text("validation cross-entropy", "验证交叉熵"),
                Text("test accuracy", "测试准确率"),
                mark="dot",
                log_x=True,
            ),
            Panel(
                "run",
                Text("one long training run", "一次长时间训练"),
                Text("step", "步数"),
                Text("test cross-entropy, or test accuracy", "测试交叉熵或测试准确率"),
                log_x=True,
            ),
        ),
        words={
            "reading": Text("loss compared", "所比较的损失"),
            "own": Text("each model's own training loss", "各模型自己的训练损失"),
            "apart": Text("classes that overlap little", "重叠较少的类别"),
            "overlapping": Text("classes that overlap much", "重叠较多的类别"),
            "apart_loss": Text("little overlap: cross-entropy", "重叠较少：交叉熵"),
            "apart_accuracy": Text("little overlap: accuracy", "重叠较少：准确率"),
            "overlapping_loss": Text("much overlap: cross-entropy", "重叠较多：交叉熵"),
            "overlapping_accuracy": Text("much overlap: accuracy", "重叠较多：准确率"),
        },
    ),
]

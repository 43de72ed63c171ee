"""Folk sentences about a rare class: the alpha of focal loss, and class weights.

Thresholds are tuned on labels, as in practice; what they reach is measured with the true probabilities in place of the
labels, so that no error is left from drawing the few positives of a test set."""

from collections.abc import Callable, Mapping, Sequence
from math import log2

import torch
from torch import Tensor

from whyloss.claims.claim import Claim, Curve, Experiment, Measured, Panel, Results, Scale, Statement, Text
from whyloss.claims.lab.calibration import calibration_error, reliability
from whyloss.claims.lab.tasks import Task, mixture
from whyloss.claims.lab.training import Objective, Plan, Trained, fit, log_likelihood, per_row
from whyloss.losses.adjust import balanced_weights
from whyloss.losses.imbalance import SigmoidFocalLoss
from whyloss.losses.loss import RowLoss
from whyloss.losses.proper import BinaryCrossEntropyLoss, CrossEntropyLoss

CENTRES = {
    "line": [[[-1.3, 0, 0, 0]], [[1.3, 0, 0, 0]]],
    "net": [[[2.5, 0.5, 0, 0], [-1.5, -2, 0, 0]], [[1.5, -2, 0, 0], [-1.5, 2, 0, 0]]],  # no line tells these apart
}
HIDDEN = {"line": 0, "net": 32}
Score = Callable[[Tensor, Tensor, Tensor, int], Tensor]  # positives found, rows said positive, positives, rows


def f1(found: Tensor, said: Tensor, positives: Tensor, rows: int) -> Tensor:
    return 2 * found / (said + positives)


def balanced_accuracy(found: Tensor, said: Tensor, positives: Tensor, rows: int) -> Tensor:
    negatives = rows - positives
    return (found / positives + (negatives - said + found) / negatives) / 2


def at_cut(score: Score, z: Tensor, p: Tensor, cut: Tensor | float) -> Tensor:
    """The score of saying yes above the cut (..., 1), for logits and probabilities (or labels) of yes (..., rows)."""
    said = (z > cut).double()
    return score((said * p).sum(-1), said.sum(-1), p.sum(-1), z.shape[-1])


def best_cut(score: Score, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The largest score that a cut reaches on these rows (...), and the cut, midway between two rows (..., 1)."""
    ordered, order = z.sort(-1, descending=True)
    found = y.double().expand(z.shape).gather(-1, order).cumsum(-1)[..., :-1]
    said = torch.arange(1, z.shape[-1], dtype=torch.float64)
    best, at = score(found, said, y.double().sum(-1, keepdim=True), z.shape[-1]).max(-1, keepdim=True)
    return best.squeeze(-1), (ordered.gather(-1, at) + ordered.gather(-1, at + 1)) / 2


def log_odds(logits: Tensor) -> Tensor:
    """Of yes (class 1) against no, (..., rows, 2) -> (..., rows)."""
    return logits[..., 1] - logits[..., 0]


def rare_class(model: str, ratio: int, seeds: Sequence[int], rows: int) -> Task:
    """Two classes for the linear model or the network, class 1 with one row to `ratio` of class 0."""
    priors = (ratio / (1 + ratio), 1 / (1 + ratio))
    return mixture(seeds, (rows, rows, 10_000), classes=2, priors=priors, centres=CENTRES[model])


def plan_for(model: str, steps: int) -> Plan:
    return Plan((3e-3, 1e-2, 3e-2), steps, tuple(steps * k // 4 for k in (1, 2, 3, 4)), 1, HIDDEN[model], batch=256)


def yes_or_no(loss: RowLoss) -> Objective:
    """A loss of the sigmoid link, with reduction "mean", as an objective for two outputs."""

    def objective(logits: Tensor, labels: Tensor) -> Tensor:
        return loss(log_odds(logits).flatten(), labels.flatten()) * len(logits)

    return objective


def reached(score: Score, found: Trained, protocol: str) -> Tensor:
    """The score per seed on the test rows: fixed rate, last step and threshold 0.5; or learning rate, stopping point
    and threshold by the same score of the validation rows."""
    p = _truth(found.task)
    if protocol == "fixed":
        return at_cut(score, log_odds(found.fixed()), p, 0.0)

    def tunes(logits: Tensor, y: Tensor) -> Tensor:
        return best_cut(score, log_odds(logits), y)[0]

    _, cut = best_cut(score, log_odds(found.tuned_valid(tunes)), found.task.valid.y)
    return at_cut(score, log_odds(found.tuned(tunes)), p, cut)


def _truth(task: Task) -> Tensor:
    assert task.test.p is not None
    return task.test.p[..., 1]


FOCAL: Mapping[str, RowLoss] = {
    "bce": BinaryCrossEntropyLoss(),
    "alpha_25": SigmoidFocalLoss(gamma=2.0, alpha=0.25),
    "alpha_50": SigmoidFocalLoss(gamma=2.0, alpha=0.5),
    "alpha_75": SigmoidFocalLoss(gamma=2.0, alpha=0.75),
}
STARTS = {"even": 0.5, "prior": 0.01}  # the probability that every row is given before training


def positives_share(loss: RowLoss, p: float, ratio: int) -> float:
    """The positives' share of the summed absolute gradients where all rows are given the probability p, in float64."""
    z = torch.full((1 + ratio,), p, dtype=torch.float64).logit().requires_grad_()
    y = (torch.arange(1 + ratio) == 0).long()
    (slope,) = torch.autograd.grad(loss(z, y), z)
    return float(slope[0].abs() / slope.abs().sum())


def retinanet(part: str, scale: Scale) -> Results:
    """The positives' share of the gradient, exactly; and F1 of alpha = 0.25 minus F1 of other settings."""
    return _shares() if part == "gradient" else _focal(int(part), scale)


def _shares() -> Results:
    measured: list[Measured] = []
    for start, p in STARTS.items():
        quarter, half = (positives_share(FOCAL[name], p, 100) for name in ("alpha_25", "alpha_50"))
        odds = log2(quarter / (1 - quarter)) - log2(half / (1 - half))
        measured.append(Measured("a", {"protocol": "exact", "start": start}, (odds,)))
    grid = torch.logspace(-3, -0.02, 60).tolist()
    curves = [
        Curve("share", name, tuple(grid), tuple(positives_share(loss, p, 100) for p in grid))
        for name, loss in FOCAL.items()
    ]
    return Results(tuple(measured), tuple(curves))


def _focal(ratio: int, scale: Scale) -> Results:
    seeds = scale.seeds(12, 4)
    task = rare_class("net", ratio, seeds, scale.of(20_000, 5_000))
    plan = plan_for("net", scale.of(500, 300))
    found = {name: fit(yes_or_no(loss), task, plan, seeds) for name, loss in FOCAL.items()}
    measured: list[Measured] = []
    curves: list[Curve] = []
    for protocol in ("fixed", "tuned"):
        f1s = {name: reached(f1, each, protocol) for name, each in found.items()}
        for name in ("bce", "alpha_50", "alpha_75"):
            where = {"protocol": protocol, "imbalance": str(ratio), "against": name}
            measured.append(Measured("b", where, _floats(f1s["alpha_25"] - f1s[name])))
        if ratio == 100:
            curves.append(Curve("f1", protocol, tuple(f1s), tuple(float(v.mean()) for v in f1s.values())))
    return Results(tuple(measured), tuple(curves))


def weights(part: str, scale: Scale) -> Results:
    """Weighted cross-entropy minus plain cross-entropy: balanced accuracy, F1, and ECE of the rare class."""
    model, ratio = part.split("_")
    seeds = scale.seeds(12, 4)
    task = rare_class(model, int(ratio), seeds, scale.of(20_000, 5_000))
    plan = plan_for(model, scale.of(500, 300))
    losses = {
        "ce": CrossEntropyLoss(),
        "weighted": CrossEntropyLoss(weight=balanced_weights(torch.tensor([float(ratio), 1.0]))),
    }
    found = {name: fit(per_row(loss), task, plan, seeds) for name, loss in losses.items()}
    measured: list[Measured] = []
    for protocol in ("fixed", "tuned"):
        where = {"protocol": protocol, "imbalance": ratio, "model": model}
        for key, score in (("a", balanced_accuracy), ("b", f1)):
            gain = reached(score, found["weighted"], protocol) - reached(score, found["ce"], protocol)
            measured.append(Measured(key, where, _floats(gain)))
        z = {k: f.fixed() if protocol == "fixed" else f.tuned(log_likelihood) for k, f in found.items()}
        errors = {k: calibration_error(log_odds(v).double().sigmoid(), _truth(task)) for k, v in z.items()}
        measured.append(Measured("c", where, _floats(errors["weighted"] - errors["ce"])))
    return Results(tuple(measured), _threshold_curves(found) if part == "line_100" else ())


def _threshold_curves(found: Mapping[str, Trained]) -> tuple[Curve, ...]:
    """Balanced accuracy against the threshold, and what the stated probabilities of the rare class are worth."""
    curves: list[Curve] = []
    thresholds = torch.logspace(-3, -0.02, 40, dtype=torch.float64)
    for name, each in found.items():
        z, p = log_odds(each.fixed()).double(), _truth(each.task)
        y = [float(at_cut(balanced_accuracy, z, p, float(t.logit())).mean()) for t in thresholds]
        curves.append(Curve("threshold", name, _floats(thresholds), tuple(y)))
        curves.append(Curve("stated", name, *reliability(z.sigmoid(), p)))
    return (*curves, Curve("stated", "perfect", (1e-4, 1.0), (1e-4, 1.0)))


def _floats(values: Tensor) -> tuple[float, ...]:
    return tuple(values.double().tolist())


_TUNED = Text(
    "Fixed: learning rate 0.01, last step, threshold 0.5. Tuned: learning rate, stopping point and threshold of each "
    "loss by the same score on as many validation rows.",
    "固定协议：学习率 0.01，取最后一步，阈值 0.5。调优协议：每种损失的学习率、停止点和阈值均按同样多的"
    "验证样本上的同一指标选择。",
)
_NAMES = {
    "alpha_25": Text("focal, α = 0.25", "focal，α = 0.25"),
    "alpha_50": Text("focal, α = 0.5", "focal，α = 0.5"),
    "alpha_75": Text("focal, α = 0.75", "focal，α = 0.75"),
}

CLAIMS = [
    Claim(
        id="F-2",
        sentence=Text(
            "A rare class needs focal loss with alpha = 0.25, the setting of RetinaNet.",
            "稀有类别要用 focal loss，并取 RetinaNet 的设置 α = 0.25。",
        ),
        statements=(
            Statement(
                "a",
                Text(
                    "alpha = 0.25 raises the positives' part in the gradient above that of alpha = 0.5",
                    "与 α = 0.5 相比，α = 0.25 提高了正样本在梯度中的比重",
                ),
                Text(
                    "summed absolute gradients, positives to negatives: alpha = 0.25 over alpha = 0.5, both gamma = 2",
                    "梯度绝对值之和的正负样本比：α = 0.25 与 α = 0.5 之比，γ 均为 2",
                ),
                margin=1.0,
                unit="factor",
            ),
            Statement(
                "b",
                Text(
                    "alpha = 0.25 reaches a better F1 of the rare class than other settings",
                    "α = 0.25 得到的稀有类别 F1 优于其他设置",
                ),
                Text(
                    "F1 of alpha = 0.25 minus F1 of the other loss, over the true probabilities of 10000 test rows",
                    "α = 0.25 的 F1 减去另一损失的 F1，按 10000 个测试样本的真实概率计算",
                ),
                margin=0.02,
                kind="cannot",
            ),
        ),
        experiment=Experiment(retinanet, ("gradient", "10", "100")),
        setting=Text(
            "Gradients: one positive to 100 negatives, all given the same probability, 0.5 or RetinaNet's 0.01, in "
            "float64. Training: four Gaussian clusters that no line tells apart, 10 or 100 rows of the common class "
            "to one of the rare "
            "class, 20000 rows, a network of 32 hidden units; SigmoidFocalLoss with gamma = 2 and alpha (the weight of "
            f"positives; negatives get 1 - alpha) 0.25, 0.5 or 0.75, and binary cross-entropy. {_TUNED.en}",
            "梯度：1 个正样本对 100 个负样本，预测概率相同，取 0.5 或 RetinaNet 的 0.01，float64。训练："
            "四个无法用直线分开的高斯簇，"
            "多数类与稀有类之比为 10 或 100，20000 个样本，32 个隐藏单元的网络；SigmoidFocalLoss 取 γ = 2，"
            "α（正样本的权重，"
            f"负样本为 1 − α）取 0.25、0.5 或 0.75，另有二元交叉熵。{_TUNED.zh}",
        ),
        formula="alpha_1 = alpha, alpha_0 = 1 - alpha: odds of the gradient sums, alpha 0.25 over alpha 0.5 = 1/3",
        instead=Text(
            "Start from `whyloss.BinaryCrossEntropyLoss()` and tune the threshold with "
            "`whyloss advise data.csv --label y --metric f1`; if you use focal loss, tune alpha as well, "
            "`whyloss.SigmoidFocalLoss(alpha=0.75)` is the one that turns positives up.",
            "先用 `whyloss.BinaryCrossEntropyLoss()`，并用 `whyloss advise data.csv --label y --metric f1` 调阈值；"
            "若用 focal "
            "loss，α 也要调，提高正样本权重的是 `whyloss.SigmoidFocalLoss(alpha=0.75)`。",
        ),
        panels=(
            Panel(
                "share",
                Text("1 positive, 100 negatives, all given p", "1 个正样本、100 个负样本，预测概率均为 p"),
                Text("probability p", "概率 p"),
                Text("positives' share of the gradient", "正样本占梯度的比例"),
                log_x=True,
            ),
            Panel(
                "f1",
                Text("F1 of the rare class, 100 to 1", "稀有类别的 F1，100 比 1"),
                Text("loss", "损失"),
                Text("F1", "F1"),
                mark="bar",
            ),
        ),
        words={
            **_NAMES,
            "against": Text("reference", "对比对象"),
            "even": Text("every row at 0.5", "所有样本均为 0.5"),
            "prior": Text("every row at 0.01", "所有样本均为 0.01"),
        },
    ),
    Claim(
        id="F-3",
        sentence=Text("With imbalanced classes you need class weights.", "类别不平衡时必须使用类别权重。"),
        statements=(
            Statement(
                "a",
                Text(
                    "balanced accuracy is better with class weights than without",
                    "使用类别权重时的平衡准确率优于不使用",
                ),
                Text(
                    "balanced accuracy with weights minus without, over the true probabilities of 10000 test rows",
                    "使用权重与不使用权重的平衡准确率之差，按 10000 个测试样本的真实概率计算",
                ),
                margin=0.01,
                kind="cannot",
            ),
            Statement(
                "b",
                Text("F1 of the rare class is better with class weights", "使用类别权重时稀有类别的 F1 更好"),
                Text(
                    "F1 with weights minus without, over the true probabilities",
                    "使用权重与不使用权重的 F1 之差，按真实概率计算",
                ),
                margin=0.02,
                kind="cannot",
            ),
            Statement(
                "c",
                Text("class weights cost no calibration", "类别权重不损害校准"),
                Text(
                    "ECE of the rare class over 15 bins of equally many test rows, true probabilities in place of "
                    "labels: with weights minus without",
                    "稀有类别的 ECE（测试样本等量分为 15 组，以真实概率代替标签）：使用权重减去不使用",
                ),
                margin=0.02,
                unit="plain",
                kind="same",
            ),
        ),
        experiment=Experiment(weights, ("line_10", "line_100", "net_10", "net_100")),
        setting=Text(
            "Cross-entropy with weights of inverse class frequency and without, 10 or 100 rows of the common class to "
            "one of the rare class, 20000 rows: a linear model on two Gaussian classes, for which it is well "
            "specified, and a network of 32 hidden units on four Gaussian clusters that no line tells apart. "
            f"{_TUNED.en} For calibration both are tuned by the log loss, and no threshold has a part in it.",
            "比较带有类别频率倒数权重与不带权重的交叉熵，多数类与稀有类之比为 10 或 100，20000 个样本：线性模型用于两个"
            "高斯类别（模型设定正确），32 个隐藏单元的网络用于四个无法用直线分开的高斯簇。"
            f"{_TUNED.zh}校准则按对数损失调优，与阈值无关。",
        ),
        formula="weights w_1, w_0: log-odds -> log-odds + log(w_1 / w_0), which is a threshold of w_0 / (w_0 + w_1)",
        instead=Text(
            "Train with `whyloss.CrossEntropyLoss()` and move the threshold, as "
            "`whyloss advise data.csv --label y --metric balanced_accuracy` does: the probabilities stay usable.",
            "用 `whyloss.CrossEntropyLoss()` 训练并移动阈值，`whyloss advise data.csv --label y --metric "
            "balanced_accuracy` "
            "就是这样做的：概率仍然可用。",
        ),
        panels=(
            Panel(
                "threshold",
                Text("linear model, 100 to 1, fixed learning rate", "线性模型，100 比 1，固定学习率"),
                Text("threshold", "阈值"),
                Text("balanced accuracy", "平衡准确率"),
                log_x=True,
            ),
            Panel(
                "stated",
                Text("probabilities of the rare class", "稀有类别的概率"),
                Text("probability stated", "模型给出的概率"),
                Text("true probability", "真实概率"),
                log_x=True,
                log_y=True,
            ),
        ),
        words={"perfect": Text("perfect calibration", "完美校准")},
    ),
]

"""The claim that cross-entropy has a probabilistic meaning: which losses are smallest at the true probabilities, and
how well networks that minimise them are calibrated."""

import torch
from torch import Tensor

from whyloss.advise.temperature import sharpness
from whyloss.claims.claim import Claim, Curve, Experiment, Measured, Panel, Results, Scale, Statement, Text
from whyloss.claims.lab.training import Trained, fit, log_likelihood, per_row
from whyloss.claims.sentences.estimating import calibration_error, clusters, floats, gaussians, known, plan, softmax
from whyloss.losses.imbalance import FocalLoss
from whyloss.losses.loss import Reduction, RowLoss
from whyloss.losses.proper import BrierLoss, CrossEntropyLoss, LabelSmoothingCrossEntropyLoss
from whyloss.losses.robust import GeneralizedCrossEntropyLoss, MeanAbsoluteErrorLoss

OTHERS = ("brier", "focal", "ls")


def losses(reduction: Reduction = "mean") -> dict[str, RowLoss]:
    return {
        "ce": CrossEntropyLoss(reduction=reduction),
        "brier": BrierLoss(reduction=reduction),
        "focal": FocalLoss(reduction=reduction),
        "ls": LabelSmoothingCrossEntropyLoss(reduction=reduction),
        "gce": GeneralizedCrossEntropyLoss(reduction=reduction),
        "mae": MeanAbsoluteErrorLoss(reduction=reduction),
    }


def lowest(loss: RowLoss, q: Tensor) -> Tensor:
    """The probability at which the expected loss is smallest where that of class 1 is q: two classes with logits
    (0, z), by bisection on the sign of the slope, in float64. `loss` has reduction "none"."""
    low, high = torch.full_like(q, -40), torch.full_like(q, 40)
    for _ in range(100):
        z = ((low + high) / 2).requires_grad_()
        pairs = torch.stack([torch.zeros_like(z), z], 1)
        no, yes = (loss(pairs, torch.full_like(q, label, dtype=torch.long)) for label in (0, 1))
        (slope,) = torch.autograd.grad(((1 - q) * no + q * yes).sum(), z)
        z = z.detach()
        low, high = torch.where(slope > 0, low, z), torch.where(slope > 0, z, high)
    return ((low + high) / 2).sigmoid()


def meaning(part: str, scale: Scale) -> Results:
    """Where the expected loss is smallest, and the slope through the softmax ("exact"); the calibration error of a
    linear model that is well specified ("line") and of a network that can learn 500 rows by heart ("net")."""
    return _exact() if part == "exact" else _calibrated(part, scale)


def _exact() -> Results:
    z = (4 * torch.randn(200, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))).requires_grad_()
    y = torch.arange(200) % 5
    (slope,) = torch.autograd.grad(CrossEntropyLoss(reduction="sum")(z, y), z)
    difference = slope - (torch.softmax(z.detach(), 1) - torch.nn.functional.one_hot(y, 5))
    q = torch.arange(1, 100, dtype=torch.float64) / 100
    found = {name: lowest(loss, q) for name, loss in losses("none").items()}
    distance = {name: float((p - q).abs().max()) for name, p in found.items()}
    others = min(d for name, d in distance.items() if name != "ce")
    where = {"protocol": "exact"}
    return Results(
        (
            Measured("a", where, (float(difference.abs().max()),)),
            Measured("b", where, (distance["ce"],)),
            Measured("c", where, (others,)),
        ),
        tuple(Curve("lowest", name, floats(q), floats(p)) for name, p in found.items()),
    )


def _calibrated(model: str, scale: Scale) -> Results:
    seeds = scale.seeds(16, 5)
    task = gaussians(seeds, 1000) if model == "line" else clusters(seeds)
    p = known(task.test)
    measured: list[Measured] = []
    errors: dict[str, dict[str, Tensor]] = {"fixed": {}, "tuned": {}}
    for name in ("ce", *OTHERS):
        run = fit(per_row(losses()[name]), task, plan(model, scale), seeds)
        errors["fixed"][name] = calibration_error(softmax(run.fixed()), p)
        errors["tuned"][name] = calibration_error(_tempered(run), p)
    for protocol, found in errors.items():
        where = {"protocol": protocol, "model": model}
        measured.append(Measured("d", where, floats(found["ce"])))
        measured += [Measured("e", {**where, "loss": name}, floats(found[name] - found["ce"])) for name in OTHERS]
    return Results(tuple(measured))


def _tempered(run: Trained) -> Tensor:
    """Log-probabilities at the best rate and stopping point, divided by the best temperature of the validation rows."""
    valid, test = softmax(run.tuned_valid(log_likelihood)), softmax(run.tuned(log_likelihood))
    scales = [sharpness(z.numpy(), y.numpy()) for z, y in zip(valid, run.task.valid.y, strict=True)]
    return softmax(test * torch.tensor(scales).view(-1, 1, 1))


TRUTHFUL = Claim(
    id="S2-13",
    sentence=Text(
        "Cross-entropy goes naturally with softmax and has a probabilistic meaning.",
        "交叉熵可以自然地与 softmax 结合,具有概率意义。",
    ),
    statements=(
        Statement(
            "a",
            Text(
                "through a softmax its gradient is the probabilities minus the label",
                "经过 softmax 后,它的梯度就是概率减去标签",
            ),
            Text(
                "largest distance between gradient and p − y, five classes, float64",
                "梯度与 p − y 的最大差距,五个类别,float64",
            ),
            margin=1e-12,
            unit="plain",
            kind="same",
        ),
        Statement(
            "b",
            Text("its expected value is smallest at the true probabilities", "它的期望值在真实概率处最小"),
            Text(
                "largest distance between the minimiser and the true probability, 0.01 to 0.99",
                "最小值点与真实概率的最大差距,真实概率从 0.01 到 0.99",
            ),
            margin=1e-6,
            unit="plain",
            kind="same",
        ),
        Statement(
            "c",
            Text("no other loss is smallest at the true probabilities", "没有其他损失在真实概率处最小"),
            Text(
                "the same distance, of the nearest of Brier, focal, label smoothing, GCE and MAE",
                "同一差距,取 Brier、focal、标签平滑、GCE、MAE 中最近的一个",
            ),
            margin=1e-6,
            unit="plain",
            kind="cannot",
        ),
        Statement(
            "d",
            Text("what it is trained to say are the true probabilities", "用它训练出的输出就是真实概率"),
            Text(
                "expected calibration error against the true probabilities",
                "相对真实概率的期望校准误差(ECE)",
            ),
            margin=0.02,
            kind="same",
        ),
        Statement(
            "e",
            Text("other losses are calibrated worse", "其他损失校准得更差"),
            Text("expected calibration error: the other minus cross-entropy", "期望校准误差:其他损失减去交叉熵"),
            margin=0.02,
        ),
    ),
    experiment=Experiment(meaning, ("exact", "line", "net")),
    setting=Text(
        "Three round Gaussian classes (1,000 rows) with a linear model, and classes of three clusters each (500 rows) "
        "with a network of 64 units; the true probabilities are known. Fixed: the last step. Tuned: rate and stopping "
        "point by the log loss of validation rows, then a temperature fitted to them.",
        "三个圆形高斯类别(1000 个样本)用线性模型,每类三簇的类别(500 个样本)用 64 个单元的网络;真实概率已知。固定:"
        "最后一步。"
        "调优:按验证样本的对数损失选学习率和停止点,再拟合一个温度。",
    ),
    formula="d(-log p_y)/dz_j = p_j - [j = y];  argmin_p E L(p, y) = q for cross-entropy and Brier",
    instead=Text(
        "Stop training by the log loss of validation rows, and let `whyloss advise data.csv --label y` check the "
        "calibration.",
        "按验证样本的对数损失停止训练,并用 `whyloss advise data.csv --label y` 检查校准。",
    ),
    panels=(
        Panel(
            "lowest",
            Text("where the expected loss is smallest", "期望损失在何处最小"),
            Text("true probability", "真实概率"),
            Text("probability at the minimum", "最小值处的概率"),
        ),
    ),
)

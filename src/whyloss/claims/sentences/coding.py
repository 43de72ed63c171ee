"""Claims about what labels are to a loss: numbers, codes or classes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor

from whyloss.claims.claim import Claim, Curve, Experiment, Measured, Panel, Results, Scale, Statement, Text
from whyloss.claims.lab.tasks import Rows, Task, mixture
from whyloss.claims.lab.training import ADAM_RATES, Objective, Plan, fit, per_row
from whyloss.claims.sentences import computing, formula
from whyloss.losses.proper import BinaryCrossEntropyLoss, BrierLoss, CrossEntropyLoss, SquaredLogitLoss

HIDDEN = {"line": 0, "net": 32}
# A numbering of four classes and its mirror image are the same to a squared difference: 12 of the 24 are left.
NUMBERINGS = tuple(order for order in permutations(range(4)) if order[0] < 2)


@dataclass(frozen=True)
class Meaning:
    """How a loss is trained on labels, how many outputs that takes, and which class the outputs stand for."""

    objective: Objective
    decide: Callable[[Tensor], Tensor]  # (..., outputs) -> (...)
    outputs: int | None = None  # one for each class

    def accuracy(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return (self.decide(outputs) == labels).float().mean(-1)


def _largest(outputs: Tensor) -> Tensor:
    return outputs.argmax(-1)


def nearest_code(classes: int) -> Callable[[Tensor], Tensor]:
    """The class whose number is nearest to the single output."""

    def decide(outputs: Tensor) -> Tensor:
        return outputs.squeeze(-1).round().clamp(0, classes - 1).long()

    return decide


def squared_codes(outputs: Tensor, codes: Tensor) -> Tensor:
    """Mean squared difference between one output and the number of the class, summed over the members."""
    return ((outputs.squeeze(-1) - codes) ** 2).mean(-1).sum()


def meaning(name: str, classes: int) -> Meaning:
    """One of the three losses that go by the name MSE, or cross-entropy to compare with."""
    if name == "codes":
        return Meaning(squared_codes, nearest_code(classes), 1)
    loss = {"probabilities": BrierLoss(), "linear": SquaredLogitLoss(), "ce": CrossEntropyLoss()}[name]
    return Meaning(per_row(loss), _largest)


def _plan(model: str, steps: int) -> Plan:
    return Plan(ADAM_RATES[1:], steps, (steps // 4, steps // 2, steps), fixed=2, hidden=HIDDEN[model])


def renumbered(task: Task, numberings: Sequence[Sequence[int]]) -> Task:
    """The task of every seed once for each numbering of its classes, in the order (seed, numbering)."""
    codes = torch.tensor(numberings)

    def change(rows: Rows) -> Rows:
        assert rows.p is not None
        p = torch.stack([rows.p[..., classes] for classes in codes.argsort(1)], 1)
        return Rows(
            rows.x.repeat_interleave(len(codes), 0), codes[:, rows.y].transpose(0, 1).flatten(0, 1), p.flatten(0, 1)
        )

    return Task(change(task.train), change(task.valid), change(task.test), task.classes)


def numbering(part: str, scale: Scale) -> Results:
    """Accuracy, expected under the true probabilities of the test rows, of the numbering of the classes that validates
    best minus that of the one that validates worst: choosing on other rows than those that judge keeps the luck of the
    draw out of the difference."""
    orders = scale.of(NUMBERINGS, NUMBERINGS[::3])
    what = meaning(part, 4)
    measured: list[Measured] = []
    curves: list[Curve] = []
    for model in HIDDEN:
        seeds = scale.seeds({"line": 36, "net": 10}[model], {"line": 12, "net": 8}[model])
        # Four centres in three dimensions: no class lies between two others, where least squares would overlook it.
        task = mixture(seeds, scale.of((500, 1000, 1000), (400, 800, 800)), classes=4, features=3, distance=1.5)
        varied, repeated = renumbered(task, orders), [seed for seed in seeds for _ in orders]
        plan = _plan(model, scale.of(400, 200))
        trained = fit(what.objective, varied, plan, repeated, what.outputs)
        found = {
            "fixed": (trained.valid[-1, plan.fixed], trained.fixed()),
            "tuned": (trained.tuned_valid(what.accuracy), trained.tuned(what.accuracy)),
        }
        for protocol, (valid, test) in found.items():
            on_valid = what.accuracy(valid, varied.valid.y).unflatten(0, (len(seeds), len(orders)))
            on_test = chance(varied.test, what.decide(test)).unflatten(0, (len(seeds), len(orders)))
            sorted_test = on_test.gather(1, on_valid.argsort(dim=1, descending=True, stable=True))
            where = {"meaning": part, "model": model, "protocol": protocol}
            measured.append(Measured("a", where, _values(sorted_test[:, 0] - sorted_test[:, -1])))
            if protocol == "tuned":
                curves.append(Curve(model, part, tuple(range(1, len(orders) + 1)), _values(sorted_test.mean(0))))
        if part == "codes" and task.test.p is not None:
            best = float(task.test.p.amax(-1).mean())
            curves.append(Curve(model, "bayes", (1, len(orders)), (best, best)))
    return Results(tuple(measured), tuple(curves))


def label_distributions(parts: int) -> Tensor:
    """All distributions over three classes in steps of 1 / parts with no zero and one most probable class."""
    counts = torch.cartesian_prod(*[torch.arange(1, parts)] * 3)
    counts = counts[counts.sum(1) == parts]
    top = counts.sort(1).values
    return counts[top[:, 2] > top[:, 1]].double() / parts


def minimiser(expected: Callable[[Tensor], Tensor], rows: int, outputs: int) -> Tensor:
    """The outputs (rows, outputs) with the smallest expected loss, found from zeros by gradients alone."""
    z = torch.zeros(rows, outputs, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [z], max_iter=1000, history_size=20, tolerance_grad=1e-9, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def closure() -> float:
        optimiser.zero_grad()
        value = expected(z)
        value.backward()  # pyright: ignore[reportUnknownMemberType]
        return float(value.detach())

    optimiser.step(closure)  # pyright: ignore[reportUnknownMemberType]
    return z.detach()


def expected_loss(name: str, q: Tensor) -> Callable[[Tensor], Tensor]:
    """The loss expected under the label distributions q (rows, classes), summed over the rows."""
    if name == "codes":
        codes = torch.arange(q.shape[1])
        return lambda z: (q * (z - codes) ** 2).sum()
    loss = {"probabilities": BrierLoss(reduction="sum"), "linear": SquaredLogitLoss(reduction="sum")}[name]
    return lambda z: loss(z, q)


def decided(name: str, q: Tensor) -> Tensor:
    """The class that the minimiser of the expected loss stands for, for each row of q."""
    what = meaning(name, q.shape[1])
    return what.decide(minimiser(expected_loss(name, q), len(q), what.outputs or q.shape[1]))


def bayes_class(part: str, scale: Scale) -> Results:
    """How often the minimiser of the expected loss stands for another class than the most probable one; and how much
    accuracy a trained model loses against deciding by the true probabilities, which needs no test labels."""
    measured: list[Measured] = []
    curves: list[Curve] = []
    if part != "ce":
        q = label_distributions(scale.of(60, 30))
        wrong = float((decided(part, q) != q.argmax(1)).double().mean())
        measured.append(Measured("a", {"meaning": part, "protocol": "exact"}, (wrong,)))
        # Between classes 0 and 2, the label distributions that tell the meanings apart.
        t = torch.linspace(0.005, 0.895, 90, dtype=torch.float64)
        between = torch.stack([0.9 - t, torch.full_like(t, 0.1), t], 1)
        right = between.gather(1, decided(part, between).unsqueeze(1)).squeeze(1)
        curves.append(Curve("between", part, _values(t), _values(right)))
    seeds = scale.seeds(40, 20)
    task = mixture(seeds, scale.of((1500, 500, 1500), (1000, 400, 1000)))
    assert task.test.p is not None
    what = meaning(part, task.classes)
    lost: dict[str, float] = {}
    for model in HIDDEN:
        trained = fit(what.objective, task, _plan(model, scale.of(600, 300)), seeds, what.outputs)
        for protocol, test in (("fixed", trained.fixed()), ("tuned", trained.tuned(what.accuracy))):
            found = chance(task.test, task.test.p.argmax(-1)) - chance(task.test, what.decide(test))
            lost[model] = float(found.mean())  # of the tuned one, which comes last
            if part != "ce":
                measured.append(Measured("b", {"meaning": part, "model": model, "protocol": protocol}, _values(found)))
    curves.append(Curve("lost", part, tuple(lost), tuple(lost.values())))
    return Results(tuple(measured), tuple(curves))


def chance(rows: Rows, decisions: Tensor) -> Tensor:
    """The accuracy to expect of the decisions under the true probabilities; the labels drawn play no part."""
    assert rows.p is not None
    return rows.p.gather(-1, decisions.unsqueeze(-1)).squeeze(-1).mean(-1)


def two_names(part: str, scale: Scale) -> Results:
    """Cross-entropy of two classes with logits (0, z), and log loss of the probability sigmoid(z), in float64."""
    z = torch.linspace(-40, 40, 801, dtype=torch.float64)
    y = torch.arange(801) % 2
    pairs = torch.stack([torch.zeros_like(z), z], 1)
    softmax = CrossEntropyLoss(reduction="none")(pairs, y)
    sigmoid = BinaryCrossEntropyLoss(reduction="none")(z, y)
    difference = ((softmax - sigmoid).abs() / sigmoid.abs().clamp_min(1)).max()
    wrong = y == 0
    return Results(
        (Measured("a", {"protocol": "exact"}, (float(difference),)),),
        tuple(
            Curve("value", name, tuple(z[wrong].tolist()), tuple(loss[wrong].tolist()))
            for name, loss in (("ce", softmax), ("log_loss", sigmoid))
        ),
    )


def _values(found: Tensor) -> tuple[float, ...]:
    return tuple(found.tolist())


MEANINGS = ("probabilities", "linear", "codes")
CLAIMS = [
    Claim(
        id="S1-2",
        sentence=Text(
            "MSE is made for regression: it treats class labels as continuous numbers.",
            "MSE 适用于回归：它把类别标签当作连续的数值。",
        ),
        statements=(
            Statement(
                "a",
                Text(
                    "the accuracy depends on how the classes are numbered",
                    "准确率取决于类别如何编号",
                ),
                Text(
                    "accuracy expected on test rows, numbering that validates best minus the one that validates worst",
                    "验证集上最好的编号与最差的编号在测试行上的期望准确率之差",
                ),
                margin=0.01,
                kind="cannot",
            ),
        ),
        experiment=Experiment(numbering, MEANINGS),
        setting=Text(
            "Four Gaussian classes in three dimensions, numbered in all 12 ways that differ by more than a mirror "
            "image; a linear model and a network with 32 hidden units, trained anew for each numbering from the same "
            "weights on the same batches.",
            "三维空间中的四个高斯类别，采用全部 12 种互不为镜像的编号；线性模型和含 32 "
            "个隐藏单元的网络，对每种编号从相同的权重、用相同的批次重新训练。",
        ),
        formula="codes: (f(x) - y)^2; probabilities: sum_j (p_j - [j = y])^2; linear: sum_j (z_j - [j = y])^2",
        instead=Text(
            "Give every class an output of its own, as `whyloss.CrossEntropyLoss()` and `whyloss.BrierLoss()` do; then "
            "the numbers are names and no more.",
            "让每个类别有自己的输出，如 `whyloss.CrossEntropyLoss()` 和 `whyloss.BrierLoss()`；这样编号就只是名字。",
        ),
        panels=tuple(
            Panel(
                model,
                Text(f"accuracy by numbering, {en}", f"各种编号的准确率，{zh}"),
                Text("rank of the numbering on validation rows", "编号在验证集上的名次"),
                Text("accuracy expected on test rows", "测试行上的期望准确率"),
            )
            for model, en, zh in (("line", "linear model", "线性模型"), ("net", "network", "网络"))
        ),
        words={"bayes": Text("best possible", "理论最优")},
    ),
    Claim(
        id="S1-3",
        sentence=Text(
            "MSE squares the differences between classes, which does not fit the nature of classification.",
            "MSE 对类别之间的差异取平方，这不符合分类问题的特性。",
        ),
        statements=(
            Statement(
                "a",
                Text(
                    "where the expected loss is smallest, the decision is not the most probable class",
                    "期望损失最小时，决策并不是概率最大的类别",
                ),
                Text(
                    "share of a grid of label distributions over three classes", "三类标签分布网格中出现这种情况的比例"
                ),
                margin=0.01,
                kind="cannot",
            ),
            Statement(
                "b",
                Text(
                    "a trained model decides more than a point worse than the true probabilities",
                    "训练出的模型，其决策比按真实概率决策差一个百分点以上",
                ),
                Text("accuracy lost against deciding by the true probabilities", "与按真实概率决策相比损失的准确率"),
                margin=0.01,
                kind="cannot",
            ),
        ),
        experiment=Experiment(bayes_class, (*MEANINGS, "ce")),
        setting=Text(
            "The expected loss minimised by gradients in float64 for each of a grid of label distributions; and three "
            "Gaussian classes in the plane, 1500 training rows, a linear model and a network with 32 hidden units.",
            "对网格上的每个标签分布，用梯度在 float64 下最小化期望损失；以及平面上的三个高斯类别，1500 "
            "行训练数据，线性模型和含 32 个隐藏单元的网络。",
        ),
        formula="argmin E (f - y)^2 = E y (codes); argmin E sum_j (p_j - [j = y])^2 = P(j) (one output per class)",
        instead=Text(
            "If you want a squared error, take it of the probabilities with `whyloss.BrierLoss()` and decide for the "
            "largest one.",
            "若想用平方误差，请用 `whyloss.BrierLoss()` 对概率取平方误差，并选择概率最大的类别。",
        ),
        panels=(
            Panel(
                "between",
                Text("chance that the decision is right", "决策正确的概率"),
                Text("probability of class 2, where class 1 has 10 %", "类别 2 的概率（类别 1 占 10 %）"),
                Text("probability of the class decided for", "所选类别的概率"),
            ),
            Panel(
                "lost",
                Text("accuracy lost, tuned", "损失的准确率（调优）"),
                Text("model", "模型"),
                Text("against the true probabilities", "与真实概率相比"),
                mark="bar",
            ),
        ),
    ),
    Claim(
        id="S1-11",
        sentence=Text(
            "Suitable losses for classification are cross-entropy, log loss and others.",
            "分类问题适合使用交叉熵、对数损失等损失函数。",
        ),
        statements=(
            Statement(
                "a",
                Text("cross-entropy and log loss are two different losses", "交叉熵与对数损失是两种不同的损失"),
                Text("largest relative difference over 801 logits", "801 个 logit 上的最大相对差异"),
                margin=1e-12,
                unit="plain",
                kind="cannot",
            ),
        ),
        experiment=Experiment(two_names),
        setting=Text(
            "Cross-entropy of two classes with logits (0, z) and log loss of sigmoid(z), both labels, z from −40 to "
            "40, in float64.",
            "两类交叉熵（logits 为 (0, z)）与 sigmoid(z) 的对数损失，两种标签，z 从 −40 到 40，float64。",
        ),
        formula="-log softmax(0, z)_1 = softplus(-z) = -log sigmoid(z)",
        instead=Text(
            "Choose by the shape of the labels: `whyloss.CrossEntropyLoss()` for one class of many, "
            "`whyloss.BinaryCrossEntropyLoss()` for yes-or-no questions.",
            "按标签的形式选择：多类选一用 `whyloss.CrossEntropyLoss()`，是非问题用 "
            "`whyloss.BinaryCrossEntropyLoss()`。",
        ),
        panels=(
            Panel("value", Text("loss, label 0", "损失（标签为 0）"), Text("logit z", "logit z"), Text("loss", "损失")),
        ),
        words={"log_loss": Text("log loss", "对数损失")},
    ),
    *formula.CLAIMS,
    *computing.CLAIMS,
]

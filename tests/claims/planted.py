"""A ledger with planted results, for the report: long sentences, many cells, log axes, every verdict, exact values."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from whyloss.claims.claim import Claim, Curve, Experiment, Measured, Panel, Results, Scale, Statement, Text
from whyloss.claims.run import Opposed, Settled, _settled, oppose
from whyloss.claims.sentences.contradictions import CONTRADICTIONS

INSTEAD = Text(
    "Tune the learning rate before the loss: `whyloss advise data.csv --label y` does, and tells what is left.",
    "先调学习率，再换损失：`whyloss advise data.csv --label y` 会代为完成，并说明还剩多少差异。",
)


def nothing(part: str, scale: Scale) -> Results:
    """Never run."""
    raise AssertionError


def noisy(mean: float, spread: float, seeds: int = 10) -> tuple[float, ...]:
    """Values with exactly this mean."""
    values = np.random.default_rng(abs(hash((mean, seeds))) % 1000).normal(0, spread, seeds)
    return tuple((values - values.mean() + mean).tolist())


def vanishing() -> tuple[Claim, Results]:
    """Holds under one protocol; twelve cells; two panels with log axes."""
    claim = Claim(
        id="S1-5",
        sentence=Text(
            "With MSE the derivative saturates when the prediction is far off, so the gradient vanishes and training "
            "converges with difficulty.",
            "使用 MSE 时，预测偏差较大的样本会使导数饱和，出现梯度消失，模型收敛困难。",
        ),
        statements=(
            Statement(
                "a",
                Text("squared error needs more steps than cross-entropy", "平方误差所需步数多于交叉熵"),
                Text(
                    "steps to 90 % training accuracy, ratio to cross-entropy", "达到 90 % 训练准确率的步数与交叉熵之比"
                ),
                margin=1.0,
                unit="factor",
            ),
        ),
        experiment=Experiment(nothing),
        setting=Text(
            "A network with one hidden layer of 32 units on three Gaussian classes (400 rows), started so that every "
            "row is confidently wrong; plain gradient descent; steps counted to 90 % training accuracy, at most "
            "20,000.",
            "单隐层（32 个单元）网络，三个高斯类别（400 行），从确信而错误的状态出发；普通梯度下降；"
            "记录达到 90 % 训练准确率的步数，上限 20,000。",
        ),
        formula="d/dz (sigmoid(z) - y)^2 = 2 (p - y) p (1 - p),  d/dz CE = p - y",
        instead=INSTEAD,
        panels=(
            Panel(
                "gradient",
                Text("Gradient on the logit of a positive row", "正样本 logit 上的梯度"),
                Text("probability p of the true class", "真实类别的概率 p"),
                Text("absolute gradient", "梯度绝对值"),
                log_x=True,
                log_y=True,
            ),
            Panel(
                "steps",
                Text("Training accuracy from a wrong start", "从错误起点开始的训练准确率"),
                Text("step", "步数"),
                Text("accuracy", "准确率"),
                log_x=True,
            ),
        ),
        words={
            "start": Text("start", "起点"),
            "far": Text("confidently wrong", "确信而错误"),
            "near": Text("small weights", "小权重"),
        },
    )
    cells = [
        Measured("a", {"protocol": p, "meaning": m, "start": s, "data": d}, noisy(mean + (s == "far") * 0.4, 0.3))
        for p, m, mean in (
            ("fixed", "probabilities", 3.4),
            ("fixed", "linear", 1.9),
            ("tuned", "probabilities", 0.1),
            ("tuned", "linear", -0.4),
        )
        for s in ("far", "near")
        for d in ("gaussians", "digits")
    ][:12]
    p = np.geomspace(1e-6, 1, 100)[:-1]
    t = np.geomspace(1, 20000, 60)
    curves = [
        Curve("gradient", "ce", tuple(p), tuple(1 - p)),
        Curve("gradient", "brier", tuple(p), tuple(2 * (1 - p) ** 2 * p)),
        Curve("gradient", "mae", tuple(p), tuple((1 - p) * p)),
        Curve("gradient", "gce", tuple(p), tuple((1 - p) * p**0.7)),
        *(
            Curve("steps", name, tuple(t), tuple(1 / 3 + (2 / 3 - 0.03) / (1 + np.exp(-3 * np.log(t / at)))))
            for name, at in (("ce", 40), ("brier", 900), ("squared", 160))
        ),
    ]
    return claim, Results(tuple(cells), tuple(curves))


def exploding() -> tuple[Claim, Results]:
    """Exact values of two statements in two units; depends on what MSE means."""
    claim = Claim(
        id="S1-6/8",
        sentence=Text(
            "When prediction and target differ much, MSE makes the gradient large, and gradients explode.",
            "预测值与目标值差异较大时，MSE 的梯度较大，容易导致梯度爆炸。",
        ),
        statements=(
            Statement(
                "a",
                Text("the gradient on a logit grows without bound", "logit 上的梯度无界增长"),
                Text(
                    "largest gradient over z in [−40, 40] above that of cross-entropy",
                    "z ∈ [−40, 40] 上最大梯度超出交叉熵的量",
                ),
                margin=0.01,
                unit="plain",
                kind="cannot",
            ),
            Statement(
                "b",
                Text("training diverges at a smaller learning rate", "在更小的学习率下就会发散"),
                Text(
                    "learning rate at which training diverges, ratio of cross-entropy to squared error",
                    "发散时的学习率，交叉熵与平方误差之比",
                ),
                margin=1.0,
                unit="factor",
            ),
        ),
        experiment=Experiment(nothing),
        setting=Text("All logits from −40 to 40, in float64.", "logit 从 −40 到 40，float64。"),
        formula="|d/dz (sigmoid(z) - y)^2| <= 8/27,  |d/dz (z - y)^2| = 2 |z - y|",
        instead=INSTEAD,
        panels=(
            Panel(
                "g",
                Text("Gradient on the logit, label 0", "logit 上的梯度（标签为 0）"),
                Text("logit z", "logit z"),
                Text("gradient", "梯度"),
            ),
            Panel(
                "lr",
                Text("Largest learning rate that trains", "可用的最大学习率"),
                Text("what MSE means", "MSE 的含义"),
                Text("learning rate", "学习率"),
                mark="bar",
                log_y=True,
            ),
        ),
    )
    z = np.linspace(-40, 40, 81)
    sigmoid = 1 / (1 + np.exp(-z))
    cells = (
        Measured("a", {"protocol": "exact", "meaning": "probabilities"}, (8 / 27 - 1,)),
        Measured("a", {"protocol": "exact", "meaning": "linear"}, (79.0,)),
        Measured("a", {"protocol": "exact", "meaning": "codes"}, (81.5,)),
        Measured("b", {"protocol": "fixed", "meaning": "probabilities"}, noisy(-1.9, 0.1)),
        Measured("b", {"protocol": "fixed", "meaning": "linear"}, noisy(6.1, 0.4)),
        Measured("b", {"protocol": "fixed", "meaning": "codes"}, noisy(1.2, 0.9)),
        Measured("b", {"protocol": "tuned", "meaning": "linear"}, (math.inf,) * 3),
    )
    curves = (
        Curve("g", "bce", tuple(z), tuple(sigmoid)),
        Curve("g", "brier", tuple(z), tuple(2 * sigmoid**2 * (1 - sigmoid))),
        Curve("g", "squared", tuple(z), tuple(2 * z / 40)),
        Curve("lr", "brier", ("probabilities", "linear", "codes"), (12.0, 0.0031, 0.21)),
        Curve("lr", "ce", ("probabilities", "linear", "codes"), (3.0, 3.0, 3.0)),
    )
    return claim, Results(cells, curves)


def plain(name: str, tuned: float, fixed: float, spread: float = 0.008, kind: str = "more") -> tuple[Claim, Results]:
    """Accuracy in points under two protocols and two data sets."""
    claim = Claim(
        id=name,
        sentence=Text(
            "Cross-entropy is sensitive to label noise, and robust losses are not.",
            "交叉熵对标签噪声敏感，而稳健损失则不然。",
        ),
        statements=(
            Statement(
                "a",
                Text("a robust loss is more accurate under label noise", "在标签噪声下稳健损失更准确"),
                Text("test accuracy, robust loss minus cross-entropy", "测试准确率，稳健损失减交叉熵"),
                margin=0.01,
                kind=kind,  # type: ignore[arg-type]
            ),
        ),
        experiment=Experiment(nothing),
        setting=Text("Three classes, 40 % of the labels wrong.", "三个类别，40 % 的标签错误。"),
        instead=INSTEAD,
        panels=(
            Panel(
                "n",
                Text("Accuracy on clean test rows", "干净测试集上的准确率"),
                Text("wrong labels", "错误标签比例"),
                Text("accuracy", "准确率"),
                mark="dot",
            ),
        ),
    )
    cells = [
        Measured("a", {"protocol": p, "noise": n}, noisy(mean, spread, 12))
        for p, mean in (("fixed", fixed), ("tuned", tuned))
        for n in ("20 %", "40 %")
    ]
    x = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    curves = [
        Curve("n", key, x, tuple(0.93 - drop * v * v for v in x))
        for key, drop in (("ce", 1.2), ("gce", 0.5), ("sce", 0.6), ("nce_rce", 0.4), ("mae", 0.9), ("weighted", 1.3))
    ]
    return claim, Results(tuple(cells), tuple(curves))


def exact(name: str = "S1-11") -> tuple[Claim, Results]:
    """One exact value inside a tiny margin."""
    claim, results = exploding()
    statement = replace(claim.statements[0], margin=1e-12)
    claim = replace(claim, id=name, statements=(statement,), panels=claim.panels[:1])
    return claim, Results((Measured("a", {"protocol": "exact"}, (2.3e-16,)),), results.curves)


def settled(seconds: float = 12.3) -> list[Settled]:
    """Every verdict and what makes pages hard, under the ids that the contradictions name."""
    planted = [
        plain("S1-4", 0.04, 0.05),
        vanishing(),
        exploding(),
        exact(),
        plain("S2-4", -0.05, -0.04),
        plain("S2-6/15", 0.06, 0.001, 0.004),
        plain("S2-7", 0.0, 0.001, 0.003),
        plain("S2-8", 0.002, 0.001, 0.004, kind="cannot"),
        plain("S2-11", 0.031, 0.052),
        plain("S2-13", 0.011, 0.009, 0.01),
        plain("S2-14", 0.0, 0.042, 0.004),
        plain("folk-1", 0.02, 0.012, 0.02),
    ]
    return [_settled(claim, [{**results.as_json(), "seconds": seconds}]) for claim, results in planted]


def opposed(found: Sequence[Settled]) -> list[Opposed]:
    return oppose(CONTRADICTIONS, found)


def one(ledger: list[Settled], name: str) -> Settled:
    return next(item for item in ledger if item.claim.id == name)


def settle(claim: Claim, results: Results) -> Settled:
    return _settled(claim, [{**results.as_json(), "seconds": 1.0}])

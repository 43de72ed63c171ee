"""Claims about what a loss costs to compute, in time and in digits."""

import math
from statistics import median
from time import perf_counter

import torch
from torch import Tensor

from whyloss.claims.claim import Claim, Curve, Experiment, Measured, Panel, Results, Scale, Statement, Text
from whyloss.losses.imbalance import FocalLoss
from whyloss.losses.loss import RowLoss
from whyloss.losses.margin import MulticlassHingeLoss
from whyloss.losses.proper import BrierLoss, CrossEntropyLoss, Poly1CrossEntropyLoss, SquaredLogitLoss
from whyloss.losses.robust import (
    GeneralizedCrossEntropyLoss,
    MeanAbsoluteErrorLoss,
    NormalizedCrossEntropyLoss,
    SymmetricCrossEntropyLoss,
)

LOSSES: dict[str, RowLoss] = {
    "ce": CrossEntropyLoss(),
    "brier": BrierLoss(),
    "squared": SquaredLogitLoss(),
    "mae": MeanAbsoluteErrorLoss(),
    "gce": GeneralizedCrossEntropyLoss(),
    "sce": SymmetricCrossEntropyLoss(),
    "nce": NormalizedCrossEntropyLoss(),
    "focal": FocalLoss(),
    "poly1": Poly1CrossEntropyLoss(),
    "hinge": MulticlassHingeLoss(),
}


def seconds_each(logits: Tensor, labels: Tensor, repeats: int) -> dict[str, float]:
    """Shortest time of a loss with its gradient. The losses take turns, and the shortest is what a busy machine spoils
    least."""
    taken: dict[str, list[float]] = {name: [] for name in LOSSES}
    for _ in range(repeats):
        for name, loss in LOSSES.items():
            begun = perf_counter()
            torch.autograd.grad(loss(logits, labels), logits)
            taken[name].append(perf_counter() - begun)
    return {name: min(times) for name, times in taken.items()}


def single_precision(formula: str, z: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of each row in float32, by one of three formulas."""
    z = z.float()
    if formula == "library":
        return CrossEntropyLoss(reduction="none")(z, y)
    log_p = z.softmax(1).log() if formula == "naive" else z.log_softmax(1)
    return -log_p.gather(1, y.unsqueeze(1)).squeeze(1)


def disagreement(found: Tensor, truth: Tensor) -> Tensor:
    """|a - b| / max(|a|, |b|): 0 where they are the same, 1 where nothing is left, also of an infinity."""
    difference = (found - truth).abs() / torch.maximum(found.abs(), truth.abs())
    return difference.nan_to_num(1.0).clamp_max(1.0)


def cost(part: str, scale: Scale) -> Results:
    """The gradient against p - y in float64; the time of loss and gradient against the cheapest loss; and the float32
    value against the exact one, where the label's logit lies up to 120 below, or up to 80 above, the others."""
    generator = torch.Generator().manual_seed(scale.seed)
    z = (3 * torch.randn(200, 10, dtype=torch.float64, generator=generator)).requires_grad_()
    y = torch.randint(10, (200,), generator=generator)
    (slope,) = torch.autograd.grad(CrossEntropyLoss(reduction="sum")(z, y), z)
    error = float((slope - (z.detach().softmax(1) - torch.nn.functional.one_hot(y, 10))).abs().max())
    measured = [Measured("a", {"formula": "library", "protocol": "exact"}, (error,))]
    slower: list[float] = []
    each: list[dict[str, float]] = []
    for seed in scale.seeds(10, 8):
        own = torch.Generator().manual_seed(seed)
        logits = torch.randn(1024, 100, generator=own).requires_grad_()
        labels = torch.randint(100, (1024,), generator=own)
        times = seconds_each(logits, labels, scale.of(25, 15))
        each.append({name: taken / min(times.values()) for name, taken in times.items()})
        slower.append(each[-1]["ce"])
    measured.append(
        Measured("b", {"formula": "library", "protocol": "exact"}, _values(torch.tensor(slower).double().log2()))
    )
    curves = [Curve("time", "relative", tuple(LOSSES), tuple(median(t[name] for t in each) for name in LOSSES))]
    for side, gap in (("wrong", torch.linspace(-120, -1, 120)), ("right", torch.linspace(1, 80, 80))):
        rows = torch.stack([gap, torch.zeros_like(gap), torch.zeros_like(gap)], 1)
        label = torch.zeros(len(rows), dtype=torch.long)
        # log(1 + 2 exp(-gap)) without cancellation on either side.
        shifted = math.log(2) - gap.double()
        truth = shifted.clamp_min(0) + torch.log1p((-shifted.abs()).exp())
        for formula in ("naive", "log_softmax", "library"):
            off = disagreement(single_precision(formula, rows, label).double(), truth)
            where = {"formula": formula, "rows": side, "protocol": "exact"}
            measured.append(Measured("c", where, (float(off.max()),)))
            curves.append(Curve(side, formula, _values(gap), _values(off.clamp_min(1e-9))))
    return Results(tuple(measured), tuple(curves))


def _values(found: Tensor) -> tuple[float, ...]:
    return tuple(found.tolist())


CLAIMS = [
    Claim(
        id="S2-10",
        sentence=Text("Cross-entropy is easy to compute.", "交叉熵易于计算。"),
        statements=(
            Statement(
                "a",
                Text("the gradient has the closed form p − y", "梯度有闭式解 p − y"),
                Text(
                    "largest difference from autograd, 200 rows of 10 logits",
                    "与自动求导的最大差异，200 行 × 10 个 logit",
                ),
                margin=1e-12,
                unit="plain",
                kind="same",
            ),
            Statement(
                "b",
                Text("it takes no more than twice the time of the cheapest loss", "耗时不超过最省时的损失的两倍"),
                Text(
                    "shortest time of loss and gradient against the cheapest of ten losses, 1024 rows of 100 classes",
                    "损失及梯度的最短耗时与十种损失中最省时者之比，1024 行 × 100 类",
                ),
                margin=1.0,
                unit="factor",
                kind="same",
            ),
            Statement(
                "c",
                Text("in float32 its value is right to five digits", "在 float32 下数值有五位有效数字是正确的"),
                Text(
                    "largest relative error, the label's logit up to 120 below or 80 above the others",
                    "最大相对误差，标签的 logit 比其他低至多 120 或高至多 80",
                ),
                margin=1e-5,
                unit="plain",
                kind="same",
            ),
        ),
        experiment=Experiment(cost),
        setting=Text(
            "The gradient in float64; ten losses of the library taking turns on the same logits, forward and backward; "
            "and three ways to write the loss in float32, against its value in float64.",
            "float64 梯度；库中十种损失在相同的 logits 上轮流做前向与反向；"
            "以及三种 float32 写法，与 float64 下的值比较。",
        ),
        formula="d loss / dz = p - y; loss = log(1 + sum_{j != y} exp(z_j - z_y))",
        instead=Text(
            "Give raw logits to `whyloss.CrossEntropyLoss()` and never take the logarithm of a softmax yourself.",
            "把原始 logits 交给 `whyloss.CrossEntropyLoss()`，不要自己对 softmax 取对数。",
        ),
        panels=(
            *(
                Panel(
                    side,
                    Text(f"relative error in float32, {en} rows", f"float32 下的相对误差，{zh}的样本"),
                    Text("logit of the label above the others", "标签的 logit 高出其他的量"),
                    Text("relative error", "相对误差"),
                    log_y=True,
                )
                for side, en, zh in (("wrong", "wrong", "分错"), ("right", "right", "分对"))
            ),
            Panel(
                "time",
                Text("time of loss and gradient", "损失与梯度的耗时"),
                Text("loss", "损失"),
                Text("relative to the cheapest", "相对于最省时者"),
                mark="bar",
            ),
        ),
        words={
            "formula": Text("the code", "写法"),
            "naive": Text("logarithm of the softmax", "对 softmax 取对数"),
            "log_softmax": Text("log-softmax", "log-softmax"),
            "library": Text("log-odds, as in this library", "对数几率（本库的写法）"),
            "rows": Text("the prediction", "预测"),
            "wrong": Text("wrong", "错误的"),
            "right": Text("right", "正确的"),
            "relative": Text("time", "耗时"),
            "nce": Text("NCE", "NCE"),
            "poly1": Text("Poly-1", "Poly-1"),
            "hinge": Text("hinge", "hinge"),
        },
    ),
]

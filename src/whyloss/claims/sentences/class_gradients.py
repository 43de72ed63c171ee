"""The claim that the gradients of the minority are too large: whose gradient is how large, and how long training
takes."""

from math import log2

import torch
from torch import Tensor

from whyloss.claims.claim import Claim, Curve, Experiment, Measured, Panel, Results, Scale, Statement, Text
from whyloss.claims.sentences.minority import floats, minority_of, pair
from whyloss.losses.adjust import balanced_weights
from whyloss.losses.proper import BinaryCrossEntropyLoss

ROWS = 2222  # 1111, 202 and 22 of the minority
SCALES = (1.0, 0.7, 0.5, 0.35)
FIXED = 1.0  # the learning rate that all share; with smaller ones the steps grow in proportion
RATES = tuple(1.25**n for n in range(1, 21))  # up to 87


def gradients(part: str, scale: Scale) -> Results:
    """What cross-entropy sends to the logits of each class at even odds and at the minimum ("gradients"), and the steps
    of gradient descent to the minimum on classes of unequal size, equal size, and with class weights ("steps")."""
    return _by_class(scale) if part == "gradients" else _steps(scale)


def _by_class(scale: Scale) -> Results:
    measured: list[Measured] = []
    curves: list[Curve] = []
    for ratio in (10, 100):
        x, y = _rows([scale.seeds()[0]], ratio)
        heights: dict[str, dict[str, list[float]]] = {"row": {}, "total": {}}
        for moment, weights in (("begin", torch.zeros_like(x[:, :1].mT)), ("minimum", minimum(x, y))):
            z = (x @ weights).squeeze(-1).requires_grad_()
            (slope,) = torch.autograd.grad(BinaryCrossEntropyLoss(reduction="sum")(z, y), z)
            totals = [float(slope[y == c].sum().abs()) for c in (0, 1)]
            for kind, sides in (("row", [t / int((y == c).sum()) for c, t in enumerate(totals)]), ("total", totals)):
                where = {"protocol": "exact", "imbalance": str(ratio), "gradient": kind, "moment": moment}
                measured.append(Measured("a", where, (log2(sides[1] / sides[0]),)))
                heights[kind][moment] = sides
        if ratio == 100:
            for c, name in enumerate(("common", "rare")):
                found = heights["total"]
                curves.append(Curve("total", name, tuple(found), tuple(sides[c] for sides in found.values())))
    return Results(tuple(measured), tuple(curves))


def _rows(seeds: list[int], ratio: float) -> tuple[Tensor, Tensor]:
    """Features with a column of ones for the bias, in float64, and labels. The features are turned and scaled unevenly,
    each with its part of the difference between the classes: round classes of equal size would need a single step."""
    rows = pair(seeds, (ROWS, 2, 2), ratio).train
    turn = torch.tensor([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
    x = rows.x @ turn * torch.tensor(SCALES)
    return torch.cat([x, torch.ones_like(x[..., :1])], -1).double(), rows.y


def minimum(x: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    """The weights (seeds, features, 1) that minimise the (weighted) cross-entropy of a linear model, by Newton's
    method."""
    w = torch.zeros_like(x[:, :1].mT)
    each = torch.ones_like(y, dtype=x.dtype) if weight is None else weight.to(x.dtype)[y]
    for _ in range(25):
        p = (x @ w).squeeze(-1).sigmoid()
        slope = x.mT @ (each * (p - y)).unsqueeze(-1)
        curvature = (x * (each * p * (1 - p)).unsqueeze(-1)).mT @ x
        w = w - torch.linalg.solve(curvature, slope)
    return w


def _steps(scale: Scale) -> Results:
    seeds, limit = scale.seeds(16, 5), 4000
    fixed: dict[tuple[str, int], Tensor] = {}
    tuned: dict[tuple[str, int], Tensor] = {}
    curves: list[Curve] = []
    for ratio in (1, 10, 100):
        x, y = _rows(seeds, ratio)
        rare = minority_of(ROWS, ratio)
        for name in ("plain", "weighted") if ratio > 1 else ("plain",):
            weight = balanced_weights(torch.tensor([ROWS - rare, rare])) if name == "weighted" else None
            best, left = descend(x, y, weight, FIXED, limit)
            fixed[name, ratio] = best
            for rate in RATES:  # a rate is given up once it is slower than the best
                best = torch.minimum(best, descend(x, y, weight, rate, int(best.max()))[0])
            tuned[name, ratio] = best
            if name == "plain":
                kept = sorted({round(10 ** (n / 15)) for n in range(60)})
                kept = [step for step in kept if step <= len(left)]
                curves.append(Curve("left", str(ratio), tuple(kept), tuple(left[step - 1] for step in kept)))
    measured: list[Measured] = []
    for protocol, steps in (("fixed", fixed), ("tuned", tuned)):
        for ratio in (10, 100):
            where = {"protocol": protocol, "imbalance": str(ratio)}
            plain = steps["plain", ratio]
            measured += [
                Measured("b", where, floats((plain / steps["plain", 1]).log2())),
                Measured("c", where, floats((steps["weighted", ratio] / plain).log2())),
            ]
    return Results(tuple(measured), tuple(curves))


def descend(x: Tensor, y: Tensor, weight: Tensor | None, rate: float, limit: int) -> tuple[Tensor, list[float]]:
    """Gradient descent on all rows from even odds: the steps, for each seed, until the logits are 90 % of the way to
    those at the minimum (root mean square, both classes counted alike), twice the limit where they are not; and the
    mean share of the way that is left after each step."""
    each = torch.ones_like(y, dtype=x.dtype) if weight is None else weight.to(x.dtype)[y]
    alike = torch.stack([1 / (y == c).sum(1) for c in (0, 1)], -1).gather(1, y).unsqueeze(-1)
    moments = (x * alike).mT @ x
    goal, w = minimum(x, y, weight), torch.zeros_like(x[:, :1].mT)
    way = (goal.mT @ moments @ goal).flatten()
    steps = torch.full((len(x),), 2.0 * limit)
    left: list[float] = []
    for step in range(1, limit + 1):
        p = (x @ w).squeeze(-1).sigmoid()
        w = w - rate * x.mT @ (each * (p - y)).unsqueeze(-1) / y.shape[1]  # the slope of the mean cross-entropy
        share = (((w - goal).mT @ moments @ (w - goal)).flatten() / way).sqrt()
        left.append(float(share.mean()))
        steps[(share <= 0.1) & (steps > limit)] = step
        if (steps <= limit).all():
            break
    return steps, left


GRADIENTS = Claim(
    id="S2-7",
    sentence=Text(
        "Under imbalance the gradients of the minority become too large, which makes training hard to converge.",
        "类别不平衡时,少数类的梯度过大,导致模型难以收敛。",
    ),
    statements=(
        Statement(
            "a",
            Text("the minority has the larger gradient", "少数类的梯度更大"),
            Text(
                "size of the gradient of cross-entropy, minority to majority",
                "交叉熵梯度的大小,少数类与多数类之比",
            ),
            margin=1.0,
            unit="factor",
        ),
        Statement(
            "b",
            Text("training takes more steps under imbalance", "不平衡时训练需要更多步"),
            Text(
                "steps of gradient descent until 90 % of the way to the minimum, unequal classes to equal ones",
                "梯度下降走完到最小值 90 % 路程的步数,不平衡与平衡之比",
            ),
            margin=1.0,
            unit="factor",
        ),
        Statement(
            "c",
            Text(
                "a larger gradient of the minority, by class weights, makes it slower",
                "用类别权重放大少数类的梯度会使训练更慢",
            ),
            Text("the same steps, class weights to none", "同样的步数,有类别权重与没有之比"),
            margin=1.0,
            unit="factor",
        ),
    ),
    experiment=Experiment(gradients, ("gradients", "steps")),
    setting=Text(
        "Two Gaussian classes of which a linear model tells 84 %, 2,222 rows, 10 or 100 of the majority to one of the "
        "minority, against equal classes. Gradients are those with respect to the logits, added up over a class, at "
        "even "
        "odds and at the minimum. Plain gradient descent on all rows from even odds, at the rate 1 and at each run's "
        "fastest rate.",
        "两个高斯类别,线性模型能分对 84 %,2222 个样本,多数类与少数类之比为 10 或 100,与平衡的类别对照。梯度对 logit "
        "求导、按类相加,"
        "分别在均等概率处和最小值处计算。从均等概率出发、用全部样本做普通梯度下降,学习率为 1,或取每次运行最快的学习率。"
        "",
    ),
    formula="dL/dz = p - y;  with a bias, sum over y=1 of (1 - p) = sum over y=0 of p at the minimum",
    instead=Text(
        "Give `whyloss.BinaryCrossEntropyLoss()` more steps or a larger learning rate under imbalance, and start the "
        "bias at the log odds of the classes.",
        "不平衡时给 `whyloss.BinaryCrossEntropyLoss()` 更多步数或更大的学习率,并把偏置初始化为类别的对数几率。",
    ),
    panels=(
        Panel(
            "total",
            Text("gradient of all rows of a class, at 100 to 1", "一类全部样本的梯度(100 比 1)"),
            Text("moment", "时刻"),
            Text("gradient with respect to the logits", "对 logit 的梯度"),
            mark="bar",
        ),
        Panel(
            "left",
            Text("what is left of the way to the minimum", "到最小值剩下的路程"),
            Text("steps at the rate 1", "步数(学习率为 1)"),
            Text("share", "比例"),
            log_x=True,
        ),
    ),
    words={
        "gradient": Text("gradient taken over", "梯度取自"),
        "row": Text("a mean row", "平均每个样本"),
        "total": Text("the class", "整个类别"),
        "moment": Text("moment", "时刻"),
        "begin": Text("even odds", "均等概率处"),
        "minimum": Text("minimum", "最小值处"),
        "rare": Text("minority", "少数类"),
        "common": Text("majority", "多数类"),
        "1": Text("1 to 1", "1 比 1"),
        "10": Text("10 to 1", "10 比 1"),
        "100": Text("100 to 1", "100 比 1"),
    },
)

"""Claims about targets that are no classes at all: continuous numbers, and shares between 0 and 1."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from whyloss.claims.claim import Claim, Curve, Experiment, Measured, Panel, Results, Scale, Statement, Text
from whyloss.claims.lab.decoding import Rules, tuned_rule
from whyloss.claims.lab.tasks import Rows, Task, stacked
from whyloss.claims.lab.training import ADAM_RATES, Objective, Plan, fit
from whyloss.losses.proper import BinaryCrossEntropyLoss, CrossEntropyLoss

NOISE = ("gaussian", "outliers")
BINS, REACH = 32, 4.0  # bins of the histogram, from -REACH to REACH


def smooth_function(seeds: Sequence[int], rows: tuple[int, int, int], noise: str) -> tuple[Task, Tensor]:
    """Noisy values of a random sum of four waves over the plane with variance 1, and its clean values in the test
    rows. The noise has a standard deviation of 0.5; as outliers, 20 % of the values are off by 5 more, up or down."""
    parts: list[list[Rows]] = [[], [], []]
    clean: list[Tensor] = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        direction, phase = rng.normal(0, 0.6, (2, 4)), rng.uniform(0, 2 * np.pi, 4)
        for part, number in zip(parts, rows, strict=True):
            x = rng.normal(size=(number, 2))
            f = np.sin(x @ direction + phase).sum(1) / 2**0.5
            y = f + 0.5 * rng.normal(size=number)
            if noise == "outliers":
                y = y + (rng.random(number) < 0.2) * rng.choice([-5.0, 5.0], number)
            part.append(Rows(torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y.astype(np.float32))))
            if part is parts[2]:
                clean.append(torch.from_numpy(f))
    return Task(*(stacked(part) for part in parts), classes=BINS), torch.stack(clean)


EDGES = torch.linspace(-REACH, REACH, BINS + 1)
CENTRES = (EDGES[1:] + EDGES[:-1]) / 2


def histogram(values: Tensor) -> Tensor:
    """A Gaussian around each value, 3/4 of a bin wide, as a distribution over the bins; values beyond count at the
    end."""
    width = 0.75 * 2 * REACH / BINS
    below = torch.special.ndtr((EDGES - values.clamp(-REACH, REACH).unsqueeze(-1)) / width)
    share = below.diff(dim=-1)
    return share / share.sum(-1, keepdim=True)


def on_bins(z: Tensor, values: Tensor) -> Tensor:
    """Cross-entropy to the histogram of each value."""
    return CrossEntropyLoss(validate=False)(z.flatten(0, 1), histogram(values.flatten())) * len(z)


def _pointwise(loss: Callable[..., Tensor]) -> Objective:
    def objective(z: Tensor, values: Tensor) -> Tensor:
        return loss(z.squeeze(-1), values, reduction="none").mean(-1).sum()

    return objective


def single(z: Tensor) -> Tensor:
    return z.squeeze(-1)


def mean_of_bins(z: Tensor) -> Tensor:
    return z.softmax(-1) @ CENTRES


def median_of_bins(z: Tensor) -> Tensor:
    """Where half of the probability lies below, evenly spread within the bin."""
    p = z.softmax(-1)
    below = p.cumsum(-1)
    bin_ = (below < 0.5).sum(-1, keepdim=True).clamp_max(BINS - 1)
    inside = (0.5 - (below - p).gather(-1, bin_)) / p.gather(-1, bin_)
    return (EDGES[bin_] + inside * (2 * REACH / BINS)).squeeze(-1)


# Loss, outputs, and the rules that turn its outputs into a number; the first is the customary one.
REGRESSIONS: dict[str, tuple[Objective, int, Rules]] = {
    "bins": (on_bins, BINS, {"mean": mean_of_bins, "median": median_of_bins}),
    "mse": (_pointwise(torch.nn.functional.mse_loss), 1, {"mean": single}),
    "huber": (_pointwise(torch.nn.functional.smooth_l1_loss), 1, {"mean": single}),
    "mae": (_pointwise(torch.nn.functional.l1_loss), 1, {"mean": single}),
}


def regression(part: str, scale: Scale) -> Results:
    """Root mean squared error against the clean function: cross-entropy on bins minus a loss made for regression. Bins
    are read by their mean (fixed) or by the better of mean and median on validation rows (tuned). And the minimiser of
    expected binary cross-entropy for random targets in [0, 1] against their mean."""
    if part == "shares":
        return Results((Measured("b", {"protocol": "exact"}, (mean_error(scale.seed),)),), (_target(),))
    seeds = scale.seeds(20, 6)
    task, clean = smooth_function(seeds, scale.of((2000, 1000, 1000), (1000, 500, 500)), part)
    steps = scale.of(600, 300)
    plan = Plan(ADAM_RATES[2:5], steps, (steps // 4, steps // 2, steps), fixed=0, hidden=48)
    fixed: dict[str, Tensor] = {}
    tuned: dict[str, Tensor] = {}

    def error(numbers: Tensor) -> Tensor:
        return (numbers - clean).square().mean(-1).sqrt()

    for name, (objective, outputs, rules) in REGRESSIONS.items():
        trained = fit(objective, task, plan, seeds, outputs)
        fixed[name] = error(next(iter(rules.values()))(trained.fixed()))
        tuned[name], _ = tuned_rule(trained, rules, error)
    measured = [
        Measured("a", {"noise": part, "loss": name, "protocol": protocol}, _values(found["bins"] - found[name]))
        for protocol, found in (("fixed", fixed), ("tuned", tuned))
        for name in REGRESSIONS
        if name != "bins"
    ]
    return Results(
        tuple(measured),
        tuple(Curve("error", name, (part,), (float(found.mean()),)) for name, found in tuned.items()),
    )


def mean_error(seed: int) -> float:
    """The largest distance between the mean of a random distribution on [0, 1] and the probability at which its
    expected binary cross-entropy is smallest, found by Newton's method with autograd."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(100, 20, dtype=torch.float64, generator=generator)
    z = torch.zeros(100, 1, dtype=torch.float64, requires_grad=True)
    for _ in range(30):
        loss = BinaryCrossEntropyLoss(reduction="sum")(z.expand(-1, 20), values)
        (slope,) = torch.autograd.grad(loss, z, create_graph=True)
        (bend,) = torch.autograd.grad(slope.sum(), z)
        z = (z - slope / bend).detach().requires_grad_()
    return float((z.detach().sigmoid().squeeze(1) - values.mean(1)).abs().max())


def _target() -> Curve:
    return Curve("target", "bins", _values(CENTRES), _values(histogram(torch.tensor(0.7))))


def _values(found: Tensor) -> tuple[float, ...]:
    return tuple(found.tolist())


CLAIMS = [
    Claim(
        id="S2-3/16",
        sentence=Text(
            "Cross-entropy does not apply to continuous outputs: it is no loss for regression.",
            "交叉熵不适用于连续输出，不能用于回归。",
        ),
        statements=(
            Statement(
                "a",
                Text(
                    "cross-entropy on bins predicts worse than a loss made for regression",
                    "分箱后的交叉熵比专为回归设计的损失预测得差",
                ),
                Text(
                    "root mean squared error against the clean function, bins minus the other loss, in standard "
                    "deviations of the function",
                    "相对于无噪声函数的均方根误差，分箱减另一损失，以函数的标准差计",
                ),
                margin=0.05,
                unit="plain",
                kind="cannot",
            ),
            Statement(
                "b",
                Text(
                    "for targets between 0 and 1 its minimiser is not their mean",
                    "目标在 0 到 1 之间时，其极小点不是均值",
                ),
                Text(
                    "largest distance of the minimiser from the mean, 100 random samples of 20 targets",
                    "极小点与均值的最大距离，100 组、每组 20 个随机目标",
                ),
                margin=1e-9,
                unit="plain",
                kind="cannot",
            ),
        ),
        experiment=Experiment(regression, ("shares", *NOISE)),
        setting=Text(
            "A random smooth function of two features with noise of half its standard deviation, and with 20 % of the "
            "values off by five more; a network with 48 hidden units. Cross-entropy sees each value as a Gaussian over "
            "32 bins and is read by the mean (fixed) or by the rule that validates best, mean or median (tuned).",
            "两个特征的随机光滑函数，噪声为其标准差的一半，或另有 20 % 的值偏离 5；含 48 个隐藏单元的网络。"
            "交叉熵把每个值看作 32 个箱上的高斯分布，用均值读出（固定），或用验证集上更好的均值或中位数读出（调优）。",
        ),
        formula="q_k = Phi((e_k+1 - y) / s) - Phi((e_k - y) / s); loss = -sum_k q_k log p_k; f(x) = sum_k p_k c_k",
        instead=Text(
            "Give `whyloss.CrossEntropyLoss()` soft labels over bins and predict their mean or median; targets between "
            "0 and 1 go straight into `whyloss.BinaryCrossEntropyLoss()`.",
            "把分箱后的软标签交给 `whyloss.CrossEntropyLoss()`，用均值或中位数预测；0 到 1 之间的目标可直接交给 "
            "`whyloss.BinaryCrossEntropyLoss()`。",
        ),
        panels=(
            Panel(
                "target",
                Text("the target 0.7 as soft labels over bins", "目标 0.7 作为分箱软标签"),
                Text("centre of the bin", "箱的中心"),
                Text("probability", "概率"),
                mark="dot",
            ),
            Panel(
                "error",
                Text("error against the clean function, tuned", "相对于无噪声函数的误差（调优）"),
                Text("noise", "噪声"),
                Text("root mean squared error", "均方根误差"),
                mark="bar",
            ),
        ),
        words={
            "noise": Text("noise", "噪声"),
            "gaussian": Text("Gaussian", "高斯"),
            "outliers": Text("20 % outliers", "20 % 离群值"),
            "bins": Text("cross-entropy on bins", "分箱交叉熵"),
            "mse": Text("squared error", "平方误差"),
            "huber": Text("Huber", "Huber"),
            "mae": Text("absolute error", "绝对误差"),
        },
    ),
]

"""The claim that Dice loss handles imbalance better: images whose true pixel probabilities are known, and a small
table."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from whyloss.claims.claim import Claim, Curve, Experiment, Measured, Panel, Results, Scale, Statement, Text
from whyloss.claims.lab.tasks import Rows, Task
from whyloss.claims.lab.training import Objective, Plan, fit
from whyloss.claims.sentences.minority import floats, pair
from whyloss.losses.proper import BinaryCrossEntropyLoss
from whyloss.losses.region import DiceLoss

SIDE = 48
BLURS = (1.0, 2.0, 4.0)


def images(seeds: Sequence[int], counts: tuple[int, int, int], ratio: float) -> Task:
    """Pixels of images of smooth noise; the features are the brightness blurred at three scales. Foreground are bright
    blobs with soft edges: each pixel belongs to it with a known probability, of mean 1 / (1 + ratio), whose logit is
    not linear in the features."""
    made: list[list[tuple[Tensor, Tensor, Tensor]]] = [[], [], []]
    for seed in seeds:
        rng = np.random.default_rng(seed)
        noise = rng.normal(0, 1, (sum(counts), SIDE, SIDE))
        x = np.stack([gaussian_filter(noise, (0, blur, blur), mode="wrap") * blur for blur in BLURS], -1)
        x = (x / x.std((0, 1, 2))).reshape(sum(counts), SIDE * SIDE, len(BLURS))
        bright = 4 * (x[..., 2] + 0.5 * x[..., 1] + 0.3 * x[..., 1] ** 2)
        height = _height(bright, 1 / (1 + ratio))
        p = 1 / (1 + np.exp(height - bright))
        y = (rng.random(p.shape) < p).astype(np.int64)
        start = 0
        for part, count in zip(made, counts, strict=True):
            chosen = slice(start, start + count)
            start += count
            both = torch.from_numpy(np.stack([1 - p[chosen], p[chosen]], -1)).flatten(0, 1)
            features, labels = torch.from_numpy(x[chosen]).float(), torch.from_numpy(y[chosen])
            part.append((features.flatten(0, 1), labels.flatten(), both))
    train, valid, test = (Rows(*(torch.stack(group) for group in zip(*part, strict=True))) for part in made)
    return Task(train, valid, test, 2)


def _height(bright: NDArray[np.float64], share: float) -> float:
    """The brightness at which a pixel is as likely foreground as not, for this mean probability, by bisection."""
    low, high = -50.0, 50.0
    for _ in range(50):
        middle = (low + high) / 2
        more = float((1 / (1 + np.exp(middle - bright))).mean()) > share
        low, high = (middle, high) if more else (low, middle)
    return (low + high) / 2


def dice_at(z: Tensor, y: Tensor, cut: Tensor | float) -> Tensor:
    """The Dice score of all rows (..., rows) together, where logits above the cut (..., 1) are foreground."""
    said, there = z > cut, y == 1
    return 2 * (said & there).sum(-1) / (said.sum(-1) + there.sum(-1)).clamp_min(1)


def best_dice(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The largest Dice score that a threshold reaches on these rows, (...), and that threshold, (..., 1)."""
    ordered, order = z.sort(-1, descending=True)
    hits = (y.expand_as(z).gather(-1, order) == 1).cumsum(-1)
    said = torch.arange(1, z.shape[-1] + 1)
    best, at = (2 * hits / (said + hits[..., -1:]))[..., :-1].max(-1, keepdim=True)
    return best.squeeze(-1), (ordered.gather(-1, at) + ordered.gather(-1, at + 1)) / 2


def average_precision(z: Tensor, y: Tensor) -> Tensor:
    """Mean precision at the rows of the foreground, from the largest logit down."""
    order = z.argsort(-1, descending=True)
    there = (y.expand_as(z).gather(-1, order) == 1).double()
    precision = there.cumsum(-1) / torch.arange(1, z.shape[-1] + 1)
    return (precision * there).sum(-1) / there.sum(-1)


def tuning(logits: Tensor, y: Tensor) -> Tensor:
    """The metric that tunes both losses."""
    return best_dice(logits.squeeze(-1), y)[0]


def calibration_error(z: Tensor, p: Tensor, bins: int = 15) -> Tensor:
    """Expected calibration error of sigmoid(z), (seeds, rows), against the true probabilities: over the rows where
    these leave room for doubt, 5 to 95 %, in bins of equally many rows."""
    found: list[Tensor] = []
    for said, true in zip(z.double().sigmoid(), p, strict=True):
        open_ = (true > 0.05) & (true < 0.95)
        order = said[open_].argsort()
        gap = (said[open_] - true[open_])[order]
        found.append(torch.stack([part.sum().abs() for part in gap.tensor_split(bins)]).sum() / len(gap))
    return torch.stack(found)


def _entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return BinaryCrossEntropyLoss()(logits.flatten(), labels.flatten()) * len(logits)


def _dice(logits: Tensor, labels: Tensor) -> Tensor:
    """The pixels of a batch are one region; every member of the training has its own."""
    return DiceLoss(link="sigmoid", reduction="sum")(logits.mT, labels.unsqueeze(1).to(logits.dtype))


LOSSES: dict[str, Objective] = {"bce": _entropy, "dice": _dice}


def segmentation(part: str, scale: Scale) -> Results:
    """Cross-entropy and Dice loss: the Dice score at the threshold 0.5 and at the best one of the validation rows,
    average precision, and calibration error against the true probabilities."""
    seeds = scale.seeds(60, 10) if part == "table" else scale.seeds(16, 4)  # the table is noisier, and cheap
    steps = scale.of(1000, 300) if part == "100" else scale.of(600, 200)  # the bias has further to go
    if part == "table":  # few rows, and many to judge by, in the natural ratio
        ratio, hidden, batch = 10, 0, 32
        task = pair(seeds, (330, 330, 8000), ratio)
        natural = pair([seed + 500 for seed in seeds], (2, 22000, 2), ratio).valid
        task = Task(task.train, task.valid, natural, 2)
    else:
        ratio, hidden, batch = int(part), 16, 1152
        task = images(seeds, (6, 6, 6), ratio)
    plan = Plan((0.01, 0.03, 0.1), steps, (steps // 2, steps), 1, hidden, batch)
    assert task.test.p is not None
    y, p = task.test.y, task.test.p[..., 1]
    runs = {name: fit(objective, task, plan, seeds, outputs=1) for name, objective in LOSSES.items()}
    measured: list[Measured] = []
    curves: tuple[Curve, ...] = ()
    for protocol in ("fixed", "tuned"):
        z = {n: (run.fixed() if protocol == "fixed" else run.tuned(tuning)).squeeze(-1) for n, run in runs.items()}
        cuts: dict[str, Tensor | float] = dict.fromkeys(runs, 0.0)
        if protocol == "tuned":
            cuts = {n: best_dice(run.tuned_valid(tuning).squeeze(-1), task.valid.y)[1] for n, run in runs.items()}
        score = {name: dice_at(z[name], y, cuts[name]) for name in runs}
        where = {"protocol": protocol, "imbalance": str(ratio), "data": "table" if part == "table" else "images"}
        measured += [
            Measured("a", where, floats(score["dice"] - score["bce"])),
            Measured("b", where, floats(average_precision(z["dice"], y) - average_precision(z["bce"], y))),
            Measured("c", where, floats(calibration_error(z["bce"], p) - calibration_error(z["dice"], p))),
        ]
        if part == "table" and protocol == "tuned":
            curves = _curves(z, y, p)
    return Results(tuple(measured), curves)


def _curves(z: Mapping[str, Tensor], y: Tensor, p: Tensor) -> tuple[Curve, ...]:
    """Dice score against the threshold, and the true share of foreground against the stated one."""
    thresholds = torch.linspace(0.02, 0.98, 49, dtype=torch.float64)
    drawn: list[Curve] = []
    for name, scores in (*z.items(), ("truth", p.logit())):
        heights = torch.stack([dice_at(scores, y, float(t.logit())).mean() for t in thresholds])
        drawn.append(Curve("dice", name, floats(thresholds), floats(heights)))
    edges = torch.linspace(0, 1, 11)
    for name, scores in z.items():
        said = scores.sigmoid()
        inside = [(said >= low) & (said <= high) for low, high in pairwise(edges.tolist())]
        kept = [chosen for chosen in inside if int(chosen.sum()) >= 20]
        means = [(float(said[chosen].mean()), float(p[chosen].mean())) for chosen in kept]
        drawn.append(Curve("reliability", name, tuple(m[0] for m in means), tuple(m[1] for m in means)))
    drawn.append(Curve("reliability", "truth", (0.0, 1.0), (0.0, 1.0)))
    return tuple(drawn)


OVERLAP = Claim(
    id="S2-9",
    sentence=Text(
        "Dice loss handles class imbalance better than cross-entropy.",
        "Dice 损失能比交叉熵更好地处理类别不平衡。",
    ),
    statements=(
        Statement(
            "a",
            Text("it reaches a higher Dice score", "它达到更高的 Dice 分数"),
            Text("Dice score: Dice loss minus cross-entropy", "Dice 分数:Dice 损失减去交叉熵"),
            margin=0.02,
        ),
        Statement(
            "b",
            Text("it ranks the foreground higher", "它把前景排得更靠前"),
            Text("average precision: Dice loss minus cross-entropy", "平均精度(AP):Dice 损失减去交叉熵"),
            margin=0.02,
        ),
        Statement(
            "c",
            Text("its probabilities are better calibrated", "它的概率校准得更好"),
            Text(
                "expected calibration error where the true probability is 5 to 95 %: cross-entropy minus Dice loss",
                "真实概率在 5 % 到 95 % 之间处的期望校准误差(ECE):交叉熵减去 Dice 损失",
            ),
            margin=0.02,
        ),
    ),
    experiment=Experiment(segmentation, ("1", "10", "100", "table")),
    setting=Text(
        "Images of 48 by 48 pixels of smooth noise with bright blobs as foreground, 1, 10 or 100 pixels of background "
        "to "
        "one; a network of 16 units sees each pixel's brightness at three scales, in batches of 1,152 pixels over "
        "which "
        "Dice is taken. And a table of 330 rows at 10 to 1 with a linear model, in batches of 32. Fixed: threshold "
        "0.5. "
        "Tuned: rate, stopping point and threshold by the Dice score of validation rows, for both losses.",
        "48×48 像素的平滑噪声图像,明亮的斑块为前景,背景与前景像素之比为 1、10 或 100;16 "
        "个单元的网络看到每个像素在三个尺度上的亮度,"
        "每批 1152 个像素,在整批上计算 Dice。另有 330 行、比例为 10 的表格,线性模型,每批 32 行。固定:阈值 0.5。调优:"
        "两种损失都按"
        "验证样本的 Dice 分数选学习率、停止点和阈值。",
    ),
    formula="Dice loss = 1 - 2 sum(p y) / (sum p + sum y);  on true probabilities the best threshold is best Dice / 2",
    instead=Text(
        "Tune the threshold of `whyloss.BinaryCrossEntropyLoss()` for the Dice score on validation data before you "
        "turn "
        'to `whyloss.DiceLoss(link="sigmoid")`.',
        "先在验证数据上为 `whyloss.BinaryCrossEntropyLoss()` 按 Dice 分数调阈值,再考虑 "
        '`whyloss.DiceLoss(link="sigmoid")`。',
    ),
    panels=(
        Panel(
            "dice",
            Text("Dice score against the threshold (table)", "Dice 分数与阈值(表格)"),
            Text("threshold", "阈值"),
            Text("Dice score", "Dice 分数"),
        ),
        Panel(
            "reliability",
            Text("true against stated probability (table)", "真实概率与输出概率(表格)"),
            Text("stated probability", "输出概率"),
            Text("true probability", "真实概率"),
        ),
    ),
    words={
        "images": Text("images", "图像"),
        "table": Text("small table", "小表格"),
        "truth": Text("true probabilities", "真实概率"),
    },
)

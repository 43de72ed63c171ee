"""The folk sentence about tiny objects in images, and the images that it is tried on."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from whyloss.claims.claim import Claim, Curve, Experiment, Measured, Panel, Results, Scale, Statement, Text
from whyloss.claims.lab.tasks import Rows, Task
from whyloss.claims.lab.training import Objective, Plan, Trained, fit
from whyloss.losses.loss import Loss
from whyloss.losses.proper import BinaryCrossEntropyLoss
from whyloss.losses.region import DiceCrossEntropyLoss, DiceLoss

SIDE = 32
PIXELS = SIDE * SIDE
SMALLEST, LARGEST = 2, 10  # pixels of an object: 0.2 to 1 % of the image
CONTRAST = 2.0  # of an object's pixels, in standard deviations of the noise
THRESHOLDS = torch.cat([torch.logspace(-3, -1, 14), torch.linspace(0.15, 0.98, 16)])
WINDOWS = (1, 3, 5)  # what a pixel's features look at


def images(seeds: Sequence[int], count: int, empty: float, offset: int) -> Rows:
    """Round objects of SMALLEST to LARGEST pixels in white noise, one an image, none in the share `empty`. A row is a
    pixel, with the mean of each window around it, in its standard deviations, as features; rows of an image stand
    together."""
    found: list[tuple[Tensor, Tensor]] = []
    at = torch.stack(torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij"), -1).flatten(0, 1).float()
    for seed in seeds:
        generator = torch.Generator().manual_seed(11 * seed + offset)
        centre = torch.rand(count, 1, 2, generator=generator) * SIDE - 0.5
        size = torch.randint(SMALLEST, LARGEST + 1, (count, 1), generator=generator)
        size[: round(empty * count)] = 0
        nearest = ((at - centre) ** 2).sum(-1).argsort(-1).argsort(-1)
        mask = nearest < size
        noise = torch.randn(count, PIXELS, generator=generator)
        picture = (noise + CONTRAST * mask).view(count, 1, SIDE, SIDE)
        seen = [w * avg_pool2d(pad(picture, (w // 2,) * 4, mode="reflect"), w, 1) for w in WINDOWS]
        found.append((torch.cat(seen, 1).permute(0, 2, 3, 1).reshape(-1, len(WINDOWS)), mask.flatten().long()))
    x, y = zip(*found, strict=True)
    return Rows(torch.stack(x), torch.stack(y))


def over_regions(loss: Loss, size: int) -> Objective:
    """A loss of one mask, with reduction "mean", as an objective; `size` is the pixels of a region."""

    def objective(logits: Tensor, labels: Tensor) -> Tensor:
        return loss(logits.reshape(-1, 1, size), labels.reshape(-1, 1, size)) * len(logits)

    return objective


def by_image(values: Tensor) -> Tensor:
    return values.unflatten(-1, (-1, PIXELS))


def dice_at(cuts: Tensor, z: Tensor, mask: Tensor) -> Tensor:
    """The Dice score of each image if pixels above a cut are said to be object: cuts (..., cuts) ascending, pixels
    (..., images, pixels) -> (..., images, cuts). Where there is nothing to find, it is 1 if nothing is said, or 0."""
    passed = torch.searchsorted(cuts.contiguous(), z.flatten(-2)).view(z.shape)  # the number of cuts below the pixel

    def above(counted: Tensor) -> Tensor:
        exactly = torch.zeros(*z.shape[:-1], cuts.shape[-1] + 1).scatter_add(-1, passed, counted)
        return exactly.flip(-1).cumsum(-1).flip(-1)[..., 1:]

    object_pixels = mask.float().expand(z.shape)
    sizes = above(torch.ones(z.shape)) + object_pixels.sum(-1, keepdim=True)
    return torch.where(sizes == 0, 1.0, 2 * above(object_pixels) / sizes.clamp_min(1))


def best_cut(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The largest mean Dice score that one cut reaches on these pixels (...), and the cut (..., 1). Cuts: 0, and those
    that say yes to 0.05 to 20 % of the pixels."""
    some = logits[..., ::8].sort(-1, descending=True).values  # enough to place the cuts
    chosen = some[..., (torch.logspace(-3.3, -0.7, 30) * some.shape[-1]).long().unique()]
    cuts = torch.cat([chosen, torch.zeros_like(chosen[..., :1])], -1).sort(-1).values
    best, index = dice_at(cuts, by_image(logits), by_image(y == 1)).mean(-2).max(-1, keepdim=True)
    return best.squeeze(-1), cuts.gather(-1, index)


def logits_and_cut(found: Trained, protocol: str) -> tuple[Tensor, Tensor]:
    """Test logits (seeds, images, pixels) and the cut (seeds, 1): at the fixed rate, last step and 0.5; or at the rate,
    stopping point and threshold with the best Dice score on the validation images."""
    if protocol == "fixed":
        z = found.fixed()
        return by_image(z.squeeze(-1)), torch.zeros(len(z), 1)
    scores, cuts = (each.flatten(0, 1) for each in best_cut(found.valid.squeeze(-1), found.task.valid.y))
    best, seed = scores.argmax(0), torch.arange(scores.shape[1])
    return by_image(found.test.squeeze(-1).flatten(0, 1)[best, seed]), cuts[best, seed]


def missed(said: Tensor, mask: Tensor) -> Tensor:
    """The share of the objects of which no pixel was found, (seeds, images, pixels) -> (seeds)."""
    there = mask.any(-1)
    return (there & ~(said & mask).any(-1)).sum(-1) / there.sum(-1)


def tiny(part: str, scale: Scale) -> Results:
    """Dice score of a loss minus Dice score of cross-entropy, and objects missed by cross-entropy minus objects missed
    with Dice, its three forms averaged; every image has an object, or half of them are empty."""
    seeds = scale.seeds(18, 4)
    empty = 0.5 if part == "half" else 0.0
    counts = scale.of((16, 150, 200) if part == "every" else (16, 250, 400), (12, 20, 40))
    train, valid, test = (images(seeds, count, empty, offset) for offset, count in enumerate(counts))
    task = Task(train, valid, test, classes=2)
    steps = scale.of(80, 50)
    plan = Plan((0.3, 1.0), steps, (steps // 2, steps), 0, batch=None)
    objectives: Mapping[str, Objective] = {
        "bce": over_regions(BinaryCrossEntropyLoss(), PIXELS),
        "dice": over_regions(DiceLoss(link="sigmoid"), PIXELS),
        "dice_batch": over_regions(DiceLoss(link="sigmoid"), counts[0] * PIXELS),
        "dice_bce": over_regions(DiceCrossEntropyLoss(link="sigmoid"), PIXELS),
    }
    mask = by_image(test.y == 1)
    measured: list[Measured] = []
    curves: list[Curve] = []
    score: dict[tuple[str, str], Tensor] = {}
    gone: dict[tuple[str, str], Tensor] = {}
    for name, objective in objectives.items():
        found = fit(objective, task, plan, seeds, 1)
        for protocol in ("fixed", "tuned"):
            z, cut = logits_and_cut(found, protocol)
            said = z > cut.unsqueeze(-1)
            score[name, protocol] = dice_at(cut, z, mask).mean((-2, -1))
            gone[name, protocol] = missed(said, mask)
            if name in ("bce", "dice"):
                curves.append(Curve("missed", f"{name}_{protocol}", *_missed_by_size(said, mask)))
        cuts = THRESHOLDS.logit().expand(len(seeds), -1)
        y = dice_at(cuts, by_image(found.fixed().squeeze(-1)), mask).mean((0, 1))
        curves.append(Curve("threshold", name, _floats(THRESHOLDS), _floats(y)))
    for name, protocol in score:
        if name != "bce":
            where = {"protocol": protocol, "loss": name, "images": part}
            measured.append(Measured("a", where, _floats(score[name, protocol] - score["bce", protocol])))
    for protocol in ("fixed", "tuned"):
        with_dice = torch.stack([gone[name, protocol] for name in objectives if name != "bce"]).mean(0)
        gain = gone["bce", protocol] - with_dice
        measured.append(Measured("b", {"protocol": protocol, "images": part}, _floats(gain)))
    return Results(tuple(measured), tuple(curves) if part == "every" else ())


def _missed_by_size(said: Tensor, mask: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The share of objects missed, by their size in per cent of the image."""
    lost, sizes = ~(said & mask).any(-1), mask.sum(-1)
    found = [(100 * size / PIXELS, lost[sizes == size]) for size in range(SMALLEST, LARGEST + 1)]
    return tuple(size for size, _ in found), tuple(float(each.float().mean()) for _, each in found)


def _floats(values: Tensor) -> tuple[float, ...]:
    return tuple(values.double().tolist())


CLAIMS = [
    Claim(
        id="F-4",
        sentence=Text("Tiny objects need the Dice loss.", "分割微小目标需要 Dice 损失。"),
        statements=(
            Statement(
                "a",
                Text(
                    "training with Dice reaches a higher Dice score than binary cross-entropy",
                    "用 Dice 训练得到的 Dice 分数高于二元交叉熵",
                ),
                Text(
                    "mean Dice score of the test images, minus that of binary cross-entropy; an empty image scores 1 "
                    "if nothing is marked, else 0",
                    "测试图像的平均 Dice 分数减去二元交叉熵的分数；空图像若未标出任何像素记 1，否则记 0",
                ),
                margin=0.02,
                kind="cannot",
            ),
            Statement(
                "b",
                Text(
                    "training with Dice finds objects that cross-entropy misses", "用 Dice 训练能找到交叉熵漏掉的目标"
                ),
                Text(
                    "share of objects without a single pixel found: cross-entropy minus the mean of the three forms of "
                    "Dice",
                    "没有任何像素被找到的目标所占比例：交叉熵减去三种 Dice 形式的平均值",
                ),
                margin=0.02,
                kind="cannot",
            ),
        ),
        experiment=Experiment(tiny, ("every", "half")),
        setting=Text(
            "Generated images of 32 × 32 pixels: white noise and one round object of 2 to 10 pixels (0.2 to 1 %), two "
            "standard deviations brighter; or half of the images are empty. A linear model of the means of 1, 9 and 25 "
            "pixels around each pixel, trained on 16 images, all at once. Dice per image, Dice over the whole batch, "
            "and Dice plus cross-entropy; a mask without object is charged the mean probability given to it. Fixed: "
            "learning rate 0.3, last step, threshold 0.5. Tuned: learning rate, stopping point and threshold of each "
            "loss by the Dice score of 150 validation images (250 where half are empty).",
            "生成 32 × 32 像素的图像：白噪声加一个 2 到 10 像素（0.2 % 到 1 %）的圆形目标，目标亮两个标准差；"
            "或者其中一半图像为空。"
            "模型是以每个像素周围 1、9、25 个像素的均值为特征的线性模型，用 16 幅图像整批训练。比较逐图像的 Dice、"
            "整批的 Dice "
            "以及 Dice 加交叉熵；没有目标的掩膜按其平均预测概率计损失。固定协议：学习率 0.3，取最后一步，阈值 0.5。"
            "调优协议："
            "每种损失的学习率、停止点和阈值均按 150 幅（一半为空时 250 幅）验证图像的 Dice 分数选择。",
        ),
        formula="Dice = 1 - 2 sum p t / (sum p + sum t)",
        instead=Text(
            "Train with `whyloss.BinaryCrossEntropyLoss()` and tune the threshold on validation images before you "
            "change the loss; if the threshold has to stay at one half, add Dice: "
            '`whyloss.DiceCrossEntropyLoss(link="sigmoid")`.',
            "换损失之前，先用 `whyloss.BinaryCrossEntropyLoss()` 训练，并在验证图像上调阈值；若阈值必须取二分之一，"
            "再加上 Dice："
            '`whyloss.DiceCrossEntropyLoss(link="sigmoid")`。',
        ),
        panels=(
            Panel(
                "threshold",
                Text("an object in every image, fixed learning rate", "每幅图像都有目标，固定学习率"),
                Text("threshold", "阈值"),
                Text("Dice score", "Dice 分数"),
                log_x=True,
            ),
            Panel(
                "missed",
                Text("objects missed, by their size", "按大小统计漏检的目标"),
                Text("size of the object, % of the image", "目标大小（占图像的 %）"),
                Text("share missed", "漏检比例"),
            ),
        ),
        words={
            "images": Text("images", "图像"),
            "every": Text("an object in every image", "每幅图像都有目标"),
            "half": Text("half of the images empty", "一半图像为空"),
            "dice": Text("Dice of each image", "逐图像的 Dice"),
            "dice_batch": Text("Dice of the whole batch", "整批的 Dice"),
            "dice_bce": Text("Dice + cross-entropy", "Dice + 交叉熵"),
            "bce_fixed": Text("cross-entropy, fixed", "交叉熵，固定"),
            "bce_tuned": Text("cross-entropy, tuned", "交叉熵，调优"),
            "dice_fixed": Text("Dice, fixed", "Dice，固定"),
            "dice_tuned": Text("Dice, tuned", "Dice，调优"),
        },
    ),
]

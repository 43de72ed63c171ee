"""Claims about wrong labels: what they cost cross-entropy and losses made to forgive them, and who overfits.

Knows the noises, and how training that ends and training that stops early are told apart."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from whyloss.claims.claim import Claim, Curve, Experiment, Measured, Panel, Results, Scale, Statement, Text
from whyloss.claims.lab.tasks import Task, mixture, pair_noise, symmetric_noise
from whyloss.claims.lab.training import Plan, Trained, accuracy, fit, per_row
from whyloss.claims.sentences.accuracy import losses
from whyloss.claims.sentences.outliers import LOST_NET, SPOILT_ROWS
from whyloss.claims.sentences.outliers import SETTING as SPOILT_SETTING
from whyloss.claims.sentences.outliers import WORDS as SPOILT_WORDS

CLASSES = 10
ROBUST = ("gce", "sce", "nce_rce")
SYMMETRIC = {"symmetric_20": 0.2, "symmetric_40": 0.4, "symmetric_60": 0.6}
PAIR = {"pair_20": 0.2, "pair_40": 0.4}
CONDITIONS = (("fixed", "last"), ("tuned", "last"), ("tuned", "early"))  # protocol, stopping


@dataclass(frozen=True)
class Scores:
    """Per seed: accuracy on clean test rows, and on the validation rows, whose labels are as noisy as the others."""

    test: Tensor
    valid: Tensor


def scores(run: Trained, protocol: str, stopping: str) -> Scores:
    """fixed: the shared rate. tuned: the rate with the best accuracy on noisy validation rows, after the last step or
    together with the stopping point."""
    if stopping == "last":
        run = replace(run, valid=run.valid[-1:], test=run.test[-1:])
    test = run.fixed() if protocol == "fixed" else run.tuned(accuracy)
    valid = run.valid[-1, run.plan.fixed] if protocol == "fixed" else run.tuned_valid(accuracy)
    return Scores(accuracy(test, run.task.test.y).double(), accuracy(valid, run.task.valid.y).double())


def chosen(among: Sequence[Scores]) -> Scores:
    """In each seed, the loss with the best validation accuracy."""
    best = torch.stack([s.valid for s in among]).argmax(0, keepdim=True)
    test, valid = (torch.stack(v).gather(0, best)[0] for v in zip(*((s.test, s.valid) for s in among), strict=True))
    return Scores(test, valid)


def noisy(clean: Task, name: str, seed: int) -> Task:
    """Labels to train and to tune on are disturbed; test labels are not."""
    if name in SYMMETRIC:
        return clean.with_labels(symmetric_noise(SYMMETRIC[name], CLASSES), seed)
    return clean.with_labels(pair_noise(PAIR[name], CLASSES), seed) if name in PAIR else clean


def wrong_labels(part: str, scale: Scale) -> Results:
    """The accuracy that noisy training labels cost cross-entropy, minus what they cost the best of three robust losses;
    on clean test rows, at the last step and stopped early."""
    model, _, kind = part.partition(" ")
    seeds = scale.seeds(40, 5)
    rates = (1e-3, 3e-3, 1e-2) if model == "net" else (3e-3, 1e-2, 3e-2)
    steps = scale.of(450, 200)
    snapshots = tuple(step for step in (25, 50, 100, 150, 200, 300, 450) if step <= steps)
    plan = Plan(rates, steps, snapshots, fixed=1, hidden=128 * (model == "net"), batch=32)
    clean = mixture(seeds, (scale.of(450, 225), scale.of(1000, 500), scale.of(1000, 500)), CLASSES, 16, distance=0.8)
    noises = {"": (*SYMMETRIC, *PAIR), "symmetric": tuple(SYMMETRIC), "pair": tuple(PAIR)}[kind]
    noises = scale.of(noises, tuple(noise for noise in noises if noise.endswith("_40")))
    found: dict[tuple[str, str, str, str], Scores] = {}
    curves: list[Curve] = []
    for noise in ("clean", *noises):
        task = noisy(clean, noise, scale.seed)
        for name in ("ce", *ROBUST):
            run = fit(per_row(losses()[name]), task, plan, seeds)
            for protocol, stopping in CONDITIONS:
                found[noise, name, protocol, stopping] = scores(run, protocol, stopping)
            if model == "net" and noise == "symmetric_40":
                during = accuracy(run.test[:, plan.fixed], task.test.y).mean(-1)
                curves.append(Curve("during", name, plan.snapshots, tuple(during.tolist())))
        for protocol, stopping in CONDITIONS:
            robust = chosen([found[noise, name, protocol, stopping] for name in ROBUST])
            found[noise, "robust", protocol, stopping] = robust
    measured: list[Measured] = []
    for noise in noises:
        for protocol, stopping in CONDITIONS:
            ce, robust = (
                found["clean", name, protocol, stopping].test - found[noise, name, protocol, stopping].test
                for name in ("ce", "robust")
            )
            where = {"protocol": protocol, "noise": noise, "model": model, "stopping": stopping}
            measured.append(Measured("a", where, tuple((ce - robust).tolist())))
    if model == "net" and kind == "symmetric":
        at = {"clean": 0.0, **{noise: SYMMETRIC[noise] for noise in noises}}
        for name in ("ce", "robust"):
            for stopping in ("last", "early"):
                heights = (float(found[noise, name, "tuned", stopping].test.mean()) for noise in at)
                curves.append(Curve("noise", f"{name}_{stopping}", tuple(at.values()), tuple(heights)))
        ceiling = float(clean.test.ceiling().mean())
        curves.append(Curve("noise", "ceiling", tuple(at.values()), (ceiling,) * len(at)))
    return Results(tuple(measured), tuple(curves))


CLAIMS = [
    Claim(
        id="S2-1",
        sentence=Text("Cross-entropy is sensitive to noise in the labels.", "交叉熵对(标签中的)噪声敏感。"),
        statements=(
            Statement(
                "a",
                Text(
                    "wrong labels cost cross-entropy more accuracy than they cost robust losses",
                    "错误标签使交叉熵失去的准确率多于鲁棒损失",
                ),
                Text(
                    "drop in clean test accuracy with cross-entropy, minus the drop with GCE, SCE or NCE+RCE, "
                    "whichever is best on noisy validation rows",
                    "交叉熵在干净测试集上的准确率下降,减去 GCE、SCE、NCE+RCE 中在带噪验证集上最优者的下降",
                ),
                0.01,
            ),
        ),
        experiment=Experiment(wrong_labels, ("line", "net symmetric", "net pair")),
        setting=Text(
            "10 Gaussian classes in 16 dimensions, 450 training rows; labels become any other class (symmetric) or the "
            "next one (pair). Linear model, and a network with 128 hidden units, which can learn every wrong label by "
            "heart; 40 seeds. Fixed: Adam at 0.01 (linear) or 0.003 (network), last step. Tuned: each loss at its own "
            "rate of three, at the last step or stopped early, by noisy validation labels.",
            "16 维中的 10 个高斯类别,450 个训练样本;标签变成任一其他类别(对称)或下一个类别(成对)。线性模型,"
            "以及 128 个隐藏单元、足以记住每个错误标签的网络;40 个种子。固定:Adam,学习率 0.01(线性)或 0.003(网络),"
            "取最后一步。调优:每种损失各自在三个学习率中选择,取最后一步或早停,以带噪的验证标签为准。",
        ),
        formula="cross-entropy: gradient 1 - p_y on a wrong label; GCE: p_y^q (1 - p_y); symmetric: "
        "sum_k loss(z, k) = constant",
        instead=Text(
            "Where many labels may be wrong, use `whyloss.NormalizedCrossEntropyLoss() + "
            "whyloss.ReverseCrossEntropyLoss()` or `whyloss.GeneralizedCrossEntropyLoss()`, and stop early whatever "
            "the loss.",
            "若许多标签可能有误,使用 `whyloss.NormalizedCrossEntropyLoss() + whyloss.ReverseCrossEntropyLoss()` 或 "
            "`whyloss.GeneralizedCrossEntropyLoss()`;无论用哪种损失,都应早停。",
        ),
        panels=(
            Panel(
                "noise",
                Text("network, tuned rate", "网络,学习率已调优"),
                Text("share of wrong labels, symmetric", "错误标签的比例,对称"),
                Text("clean test accuracy", "干净测试集上的准确率"),
            ),
            Panel(
                "during",
                Text("network, one rate, 40 % wrong labels", "网络,同一学习率,40 % 错误标签"),
                Text("step", "步数"),
                Text("clean test accuracy", "干净测试集上的准确率"),
            ),
        ),
        words={
            "symmetric_20": Text("20 % symmetric", "20 % 对称"),
            "symmetric_40": Text("40 % symmetric", "40 % 对称"),
            "symmetric_60": Text("60 % symmetric", "60 % 对称"),
            "pair_20": Text("20 % pair", "20 % 成对"),
            "pair_40": Text("40 % pair", "40 % 成对"),
            "ce_last": Text("cross-entropy, last step", "交叉熵,最后一步"),
            "ce_early": Text("cross-entropy, stopped early", "交叉熵,早停"),
            "robust_last": Text("best robust loss, last step", "最优鲁棒损失,最后一步"),
            "robust_early": Text("best robust loss, stopped early", "最优鲁棒损失,早停"),
            "ceiling": Text("best possible", "可能的最优值"),
        },
    ),
    Claim(
        id="S2-14",
        sentence=Text(
            "Cross-entropy is sensitive to noise and outliers, which leads to overfitting.",
            "交叉熵对噪声和异常值敏感,容易导致过拟合。",
        ),
        statements=(
            Statement(
                "ce_drop",
                Text(
                    "noise and outliers cost cross-entropy more accuracy than they cost other losses",
                    "噪声和离群值使交叉熵失去的准确率多于其他损失",
                ),
                Text(
                    "drop in test accuracy with cross-entropy minus the drop with the other loss",
                    "交叉熵的测试准确率下降减去另一种损失的下降",
                ),
                0.01,
            ),
            Statement(
                "overfit",
                Text(
                    "with noise and outliers, cross-entropy overfits more than other losses",
                    "有噪声和离群值时,交叉熵比其他损失更易过拟合",
                ),
                Text(
                    "gap between accuracy on training rows and on fresh rows spoilt alike, above that of clean data; "
                    "cross-entropy minus the other loss; network, last step",
                    "训练样本与同样被破坏的新样本的准确率之差,减去干净数据上的这一差距;交叉熵减去另一种损失;网络,最后一步",
                ),
                0.01,
            ),
        ),
        experiment=SPOILT_ROWS,
        setting=SPOILT_SETTING,
        formula="gap = accuracy(training rows) - accuracy(fresh rows spoilt alike)",
        instead=Text(
            "Against wrong labels learnt by heart stop early on validation rows, or use "
            "`whyloss.GeneralizedCrossEntropyLoss()` where training has to run to the end.",
            "为避免记住错误标签,用验证样本早停;若训练必须进行到底,使用 `whyloss.GeneralizedCrossEntropyLoss()`。",
        ),
        panels=(
            LOST_NET,
            Panel(
                "gap",
                Text("network, last step: overfitting", "网络,最后一步:过拟合"),
                Text("outliers", "离群值"),
                Text("training minus fresh accuracy", "训练准确率减去新样本准确率"),
                "bar",
            ),
        ),
        words={**SPOILT_WORDS, "against": Text("against", "对照")},
    ),
]

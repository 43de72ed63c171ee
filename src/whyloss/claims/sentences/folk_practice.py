"""What practitioners tell each other: softmax or sigmoids, and half of one loss with half of another.

What they say about batches stands in folk_batches.py; CLAIMS has both."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, one_hot

from whyloss.claims.claim import Claim, Curve, Experiment, Measured, Panel, Results, Scale, Statement, Text
from whyloss.claims.lab.tasks import bundled, mixture
from whyloss.claims.lab.training import ADAM_RATES, Metric, Plan, accuracy, fit, log_likelihood, per_row
from whyloss.claims.sentences import folk_batches
from whyloss.claims.sentences.halves import half_and_half, judged, values
from whyloss.losses.loss import RowLoss
from whyloss.losses.proper import BinaryCrossEntropyLoss, CrossEntropyLoss

RATES = (*ADAM_RATES[1:], 0.3)
HIDDEN = {"line": 0, "net": 64}


def one_sigmoid_each(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of every class against the rest, meaned over rows and classes, summed over the members."""
    z = logits.flatten(0, 1)
    return BinaryCrossEntropyLoss()(z, one_hot(labels.flatten(), z.shape[1])) * len(logits)


def normalised(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean log-probability of the labels, the sigmoids divided by their sum; larger is better."""
    return log_likelihood(logsigmoid(logits.double()), labels)


def softmax_or_sigmoids(part: str, scale: Scale) -> Results:
    """Accuracy of one softmax minus that of one sigmoid for each class, deciding by the largest logit; and log loss of
    the normalised sigmoids minus that of the softmax. `part`: digits, or how many Gaussian classes in three features;
    "picture": the middle one of five classes in a row."""
    if part == "picture":
        return Results(curves=in_a_row())
    data = part if part == "digits" else "gaussians"
    seeds = scale.seeds(12, 4)
    if data == "digits":
        task = bundled("digits", seeds, 0.7, 0.15)
    else:
        task = mixture(seeds, scale.of((1500, 500, 2000), (500, 200, 500)), int(part), features=3)
    steps = scale.of(400, 100)
    measured: list[Measured] = []
    curves: list[Curve] = []
    for model, hidden in HIDDEN.items():
        plan = Plan(RATES, steps, (steps // 4, steps // 2, steps), fixed=2, hidden=hidden)
        softmax = fit(per_row(CrossEntropyLoss()), task, plan, seeds)
        sigmoids = fit(one_sigmoid_each, task, plan, seeds)
        where = {"model": model, "data": data, "classes": str(task.classes)}
        metrics: tuple[tuple[str, Metric, Metric], ...] = (
            ("a", accuracy, accuracy),
            ("b", log_likelihood, normalised),
        )
        for key, of_softmax, of_sigmoids in metrics:
            for protocol in ("fixed", "tuned"):
                gain = judged(softmax, of_softmax, protocol) - judged(sigmoids, of_sigmoids, protocol)
                measured.append(Measured(key, {**where, "protocol": protocol}, values(gain), task.test_share))
                if key == "a" and protocol == "tuned" and data == "gaussians":
                    curves.append(Curve("lead", model, (task.classes,), (float(gain.mean()),)))
    return Results(tuple(measured), tuple(curves))


def in_a_row() -> tuple[Curve, ...]:
    """Five classes at -6, -3, 0, 3 and 6 on a line: the probability of the middle one in truth, and by linear models
    fitted to the true probabilities, whose best answers need no sample."""
    x = torch.linspace(-9, 9, 97, dtype=torch.float64)
    log_density = -((x.unsqueeze(1) - 3 * torch.arange(-2, 3)) ** 2) / 2
    truth, weight = log_density.softmax(1), log_density.logsumexp(1).exp().unsqueeze(1)
    features = torch.stack([x, torch.ones_like(x)], 1)
    softmax, sigmoids = CrossEntropyLoss(reduction="none"), BinaryCrossEntropyLoss(reduction="none")
    shown = {"bayes": truth[:, 2]}
    for name, loss in (("softmax", softmax), ("sigmoids", sigmoids)):
        w = torch.zeros(2, 5, dtype=torch.float64, requires_grad=True)
        best = torch.optim.LBFGS([w], max_iter=500, line_search_fn="strong_wolfe")

        def closure(loss: RowLoss = loss, w: Tensor = w, best: torch.optim.LBFGS = best) -> float:
            best.zero_grad()
            losses = loss(features @ w, truth)
            value = (losses.reshape(len(x), -1) * weight).sum()
            value.backward()  # pyright: ignore[reportUnknownMemberType]
            return float(value.detach())

        best.step(closure)  # pyright: ignore[reportUnknownMemberType]
        z = features @ w.detach()
        shown[name] = (z if name == "softmax" else logsigmoid(z)).softmax(1)[:, 2]
    return tuple(Curve("middle", name, values(x), values(p)) for name, p in shown.items())


_LEAD = Text("one softmax minus one sigmoid for each class", "softmax 减去每类一个 sigmoid")

CLAIMS = [
    Claim(
        id="F-5",
        sentence=Text(
            "For multi-class problems use softmax, never one sigmoid per class.",
            "多分类要用 softmax，绝不能每个类别用一个 sigmoid。",
        ),
        statements=(
            Statement(
                "a",
                Text(
                    "deciding by the largest output, one sigmoid per class costs accuracy",
                    "按最大输出判定类别时，每类一个 sigmoid 会损失准确率",
                ),
                Text(f"accuracy on test rows: {_LEAD.en}", f"测试准确率：{_LEAD.zh}"),
                margin=0.01,
                kind="cannot",
            ),
            Statement(
                "b",
                Text(
                    "one sigmoid per class, divided by their sum, gives worse probabilities",
                    "每类一个 sigmoid，除以其总和后，概率更差",
                ),
                Text(
                    "log loss on test rows: normalised sigmoids minus softmax",
                    "测试集对数损失：归一化的 sigmoid 减去 softmax",
                ),
                margin=0.01,
                unit="plain",
                kind="cannot",
            ),
        ),
        experiment=Experiment(softmax_or_sigmoids, ("picture", "3", "10", "30", "digits")),
        setting=Text(
            "Cross-entropy with softmax against binary cross-entropy of each class versus the rest, on the digits and "
            "on 3, 10 and 30 overlapping Gaussian classes in three features; a linear model and a network of 64 "
            "hidden units. Fixed: learning rate 0.01 (Adam), last step. Tuned: both with their own learning rate and "
            "stopping point, for the accuracy or for the log loss of the validation rows.",
            "softmax 交叉熵与每类对其余类别的二元交叉熵相比；数据为 digits，以及三个特征上 3、10、30 个相互重叠的高斯"
            "类别；模型为线性模型和 64 个隐藏单元的网络。固定协议：学习率 0.01（Adam），取最后一步。调优协议：两者各自"
            "按验证集的准确率或对数损失选择学习率和停止点。",
        ),
        formula="softmax: -log(exp z_y / sum_j exp z_j)    sigmoids: sum_j softplus(z_j) - z_y",
        instead=Text(
            "Ask what the labels say: use `whyloss.CrossEntropyLoss()` if exactly one class is right, and "
            "`whyloss.BinaryCrossEntropyLoss()` if any number of them can be.",
            "先看标签的含义：恰好一个类别正确时用 `whyloss.CrossEntropyLoss()`，可以有任意多个类别同时正确时用 "
            "`whyloss.BinaryCrossEntropyLoss()`。",
        ),
        panels=(
            Panel(
                "middle",
                Text(
                    "a linear model on five classes in a row: the middle one",
                    "一维上排成一行的五个类别：线性模型给出的中间类别概率",
                ),
                Text("feature", "特征"),
                Text("probability of the middle class", "中间类别的概率"),
            ),
            Panel(
                "lead",
                Text("lead of the softmax, tuned", "softmax 的领先，调优"),
                Text("number of classes", "类别数"),
                Text("accuracy of the softmax minus sigmoids", "准确率之差（softmax 减去 sigmoid）"),
                mark="dot",
                log_x=True,
            ),
        ),
        words={
            "classes": Text("number of classes", "类别数"),
            "bayes": Text("true probability", "真实概率"),
            "softmax": Text("one softmax", "一个 softmax"),
            "sigmoids": Text("one sigmoid per class, normalised", "每类一个 sigmoid，归一化"),
        },
    ),
    Claim(
        id="F-8",
        sentence=Text(
            "Mixing two losses half and half, 0.5 cross-entropy plus 0.5 of another, gives the best of both.",
            "把两种损失各取一半相加（0.5 交叉熵 + 0.5 另一种损失），能兼得两者之长。",
        ),
        statements=(
            Statement(
                "a",
                Text(
                    "the mixture is as accurate as the better of its two parts alone",
                    "混合损失的准确率与单独使用其中较好的一种一样高",
                ),
                Text(
                    "accuracy on test rows that the mixture lacks of the part that validates better; 0 where it lacks "
                    "none",
                    "混合损失与验证较好的一方相比所缺的测试准确率；不缺则为 0",
                ),
                margin=0.01,
                kind="same",
            ),
            Statement(
                "b",
                Text("at the start, both halves pull equally hard", "训练开始时，两半的梯度一样大"),
                Text(
                    "gradient norm of the other loss over that of cross-entropy, at even odds",
                    "各类概率均等时，另一种损失与交叉熵的梯度范数之比",
                ),
                margin=1.0,
                unit="factor",
                kind="same",
            ),
            Statement(
                "c",
                Text(
                    "0.5 binary cross-entropy plus 0.5 Dice has the Dice score of the better of the two",
                    "0.5 二元交叉熵 + 0.5 Dice 的 Dice 分数与两者中较好的一样高",
                ),
                Text("Dice on test rows that the mixture lacks", "混合损失所缺的测试 Dice"),
                margin=0.02,
                kind="same",
            ),
            Statement(
                "d",
                Text("and the calibration of the better of the two", "并且校准与两者中较好的一样好"),
                Text(
                    "ECE over 20 bins of equally many test rows that the mixture has in excess, negative",
                    "混合损失多出的 ECE（测试样本等量分为 20 组），取负号",
                ),
                margin=0.02,
                unit="plain",
                kind="same",
            ),
        ),
        experiment=Experiment(half_and_half, ("exact", "mask", "0 %", "40 %")),
        setting=Text(
            "Cross-entropy, another loss, and half of each: ten Gaussian classes in 20 features, 600 rows to train a "
            "network of 64 hidden units, with clean labels or 40 % symmetric noise in all rows but those that judge. "
            "The better part is the one with the higher validation score. Fixed: learning rate 0.01 (Adam), last step. "
            "Tuned: each with its own learning rate and stopping point on validation rows. With Dice: one question, a "
            "fifth of the rows positive, threshold 0.5 or tuned on validation rows.",
            "交叉熵、另一种损失，以及两者各半：20 个特征上的十个高斯类别，600 个训练样本，64 个隐藏单元的网络；标签干"
            "净，或除测试集外有 40 % 对称噪声。较好的一方按验证得分确定。固定协议：学习率 0.01（Adam），取最后一步。调"
            "优协议：各自在验证集上选择学习率和停止点。与 Dice 混合时：一个是非问题，五分之一为正例，阈值取 0.5 或在验"
            "证集上调优。",
        ),
        formula="at p = 1/C: |grad MAE| = |grad Brier| = (2 / C) |grad CE|, |grad GCE| = C^-q |grad CE|",
        instead=Text(
            "Find out whether labels are wrong before you choose a loss, and let "
            "`whyloss advise data.csv --label y` race the losses alone; weights of a sum such as "
            "`0.5 * whyloss.CrossEntropyLoss() + 0.5 * whyloss.BrierLoss()` are parameters to tune.",
            "选择损失之前先弄清标签是否有错，让 `whyloss advise data.csv --label y` 比较各个单独的损失；像 "
            "`0.5 * whyloss.CrossEntropyLoss() + 0.5 * whyloss.BrierLoss()` 这样的和，其权重是需要调的参数。",
        ),
        panels=(
            Panel(
                "share",
                Text(
                    "share of the gradient that half of the other loss has, ten classes",
                    "另一半损失在梯度中所占的份额（十个类别）",
                ),
                Text("probability of the label", "标签类别的概率"),
                Text("share of the gradient", "梯度份额"),
            ),
            Panel(
                "accuracy",
                Text("40 % wrong labels, tuned", "40 % 错误标签，调优"),
                Text("loss", "损失"),
                Text("accuracy on clean test labels", "干净测试标签上的准确率"),
                mark="bar",
            ),
        ),
        words={
            "partner": Text("partner", "混合对象"),
            "classes": Text("number of classes", "类别数"),
            "half": Text("half and half", "各一半"),
            "alone": Text("the other alone", "只用另一种"),
        },
    ),
    *folk_batches.CLAIMS,
]

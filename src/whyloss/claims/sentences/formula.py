"""Claims about the formula of cross-entropy: whether it ties the classes together, and what its value says."""

import math

import torch
from torch import Tensor

from whyloss.claims.claim import Claim, Curve, Experiment, Measured, Panel, Results, Scale, Statement, Text
from whyloss.claims.lab.tasks import Rows, Task, mixture
from whyloss.claims.lab.training import ADAM_RATES, Plan, accuracy, fit, log_likelihood, per_row
from whyloss.losses.loss import Reduction
from whyloss.losses.proper import BinaryCrossEntropyLoss, CrossEntropyLoss

LINKS = ("softmax", "sigmoid")


def one_hot(labels: Tensor, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(labels, classes)


def by_link(link: str, logits: Tensor, labels: Tensor, reduction: Reduction = "sum") -> Tensor:
    """Cross-entropy of logits (rows, classes): one softmax, or one yes-or-no question for each class."""
    if link == "softmax":
        return CrossEntropyLoss(reduction=reduction)(logits, labels)
    return BinaryCrossEntropyLoss(reduction=reduction)(logits, one_hot(labels, logits.shape[-1]))


def coupling(link: str, logits: Tensor, labels: Tensor) -> float:
    """The largest second derivative of the loss of a row by the logits of two different classes."""
    z = logits.clone().requires_grad_()
    (slope,) = torch.autograd.grad(by_link(link, z, labels), z, create_graph=True)
    rows = [torch.autograd.grad(slope[:, j].sum(), z, retain_graph=True)[0] for j in range(z.shape[1])]
    second = torch.stack(rows, 1)
    return float((second * (1 - torch.eye(z.shape[1]))).abs().max())


def first_class(link: str, logits: Tensor) -> Tensor:
    """The predicted probability of class 0."""
    return logits.softmax(-1)[..., 0] if link == "softmax" else logits[..., 0].sigmoid()


def shuffled_rest(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Every label that is not 0 becomes 1 or 2 at random."""
    return torch.where(labels == 0, labels, torch.randint(1, 3, labels.shape, generator=generator))


def coupled(part: str, scale: Scale) -> Results:
    """Second derivatives of the loss between the logits of different classes; and how far the probability that a linear
    model learns for class 0 moves when the labels of the other rows are shuffled among the other classes."""
    link = part
    generator = torch.Generator().manual_seed(scale.seed)
    logits = 3 * torch.randn(scale.of(60, 20), 5, dtype=torch.float64, generator=generator)
    labels = torch.randint(5, (len(logits),), generator=generator)
    measured = [Measured("a", {"link": link, "protocol": "exact"}, (coupling(link, logits, labels),))]

    def metric(z: Tensor, y: Tensor) -> Tensor:
        # The log-likelihood of "class 0 or not", which the shuffling leaves alone.
        p = first_class(link, z).double().clamp(1e-12, 1 - 1e-12)
        return torch.where(y == 0, p.log(), (1 - p).log()).mean(-1)

    def objective(z: Tensor, y: Tensor) -> Tensor:
        return by_link(link, z.flatten(0, 1), y.flatten(), "mean") * len(z)

    seeds = scale.seeds(20, 10)
    plan = Plan(ADAM_RATES[1:], scale.of(600, 300), scale.of((150, 300, 600), (75, 150, 300)), fixed=2)
    task = mixture(seeds, scale.of((600, 600, 1000), (300, 300, 500)))
    runs = [fit(objective, t, plan, seeds) for t in (task, task.with_labels(shuffled_rest, scale.seed))]
    for protocol in ("fixed", "tuned"):
        p, q = (first_class(link, run.fixed() if protocol == "fixed" else run.tuned(metric)) for run in runs)
        measured.append(Measured("b", {"link": link, "protocol": protocol}, _values((p - q).abs().mean(-1))))
    return Results(tuple(measured), (_pull(link),))


def _pull(link: str) -> Curve:
    """The pull on the logit of class 0, at 0, in a row of class 0 while the logit of class 1 varies."""
    other = torch.linspace(-6, 6, 61, dtype=torch.float64)
    z = torch.stack([torch.zeros_like(other), other, torch.zeros_like(other)], 1).requires_grad_()
    (slope,) = torch.autograd.grad(by_link(link, z, torch.zeros(61, dtype=torch.long)), z)
    return Curve("pull", link, _values(other), _values(-slope[:, 0]))


def readings(logits: Tensor, labels: Tensor, q: Tensor) -> float:
    """The largest relative error of what the value is said to be: exp(-loss) the geometric mean probability of the
    labels, loss / ln 2 the bits that a code for the labels takes, loss - entropy the divergence from soft labels q."""
    p = logits.softmax(1)
    p_label = p.gather(1, labels.unsqueeze(1)).squeeze(1)
    loss = CrossEntropyLoss()(logits, labels)
    soft = CrossEntropyLoss()(logits, q)
    pairs = (
        ((-loss).exp(), p_label.prod() ** (1 / len(p))),
        (loss / math.log(2), -p_label.log2().mean()),
        (
            soft - torch.distributions.Categorical(q).entropy().mean(),
            torch.nn.functional.kl_div(p.log(), q, reduction="batchmean"),
        ),
    )
    return max(float(((a - b) / b).abs()) for a, b in pairs)


def flip_rate() -> float:
    """The rate of wrong answers, below one half, of which the entropy is ln 2 / 2: as much doubt as in rows one half of
    which are certain and the other half a coin toss."""
    low, high = torch.tensor([0.0, 0.5], dtype=torch.float64)
    for _ in range(60):
        middle = (low + high) / 2
        entropy = torch.special.entr(middle) + torch.special.entr(1 - middle)
        low, high = (middle, high) if entropy < math.log(2) / 2 else (low, middle)
    return float(low)


def two_views(seeds: list[int], rows: tuple[int, int, int]) -> tuple[Task, Task]:
    """The same labels seen through two features. The first tells the class for certain in half of the rows and nothing
    in the others; the second tells it in every row, and is wrong in 11 % of them. Either way the best probabilities
    have a cross-entropy of ln 2 / 2."""
    parts: tuple[list[Rows], list[Rows]] = ([], [])
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    for number in rows:
        y = torch.stack([torch.randint(2, (number,), generator=g) for g in generators])
        seen, right, blur = (torch.stack([torch.rand(number, generator=g) for g in generators]) for _ in range(3))
        sign = 2.0 * y - 1
        for part, side in zip(parts, ((seen < 0.5) * sign, torch.where(right < flip_rate(), -sign, sign)), strict=True):
            part.append(Rows((3 * side + blur - 0.5).unsqueeze(-1), y))
    first, second = parts
    return Task(first[0], first[1], first[2], 2), Task(second[0], second[1], second[2], 2)


def softened(logits: Tensor, labels: Tensor, value: Tensor) -> Tensor:
    """The logits of each seed at the temperature above 1 that raises their cross-entropy to `value`: no decision
    changes."""
    low, high = torch.ones_like(value), torch.full_like(value, 1000.0)
    for _ in range(80):
        middle = (low * high).sqrt()
        below = -log_likelihood(logits / middle.view(-1, 1, 1), labels) < value
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return logits / low.view(-1, 1, 1)


def same_value(part: str, scale: Scale) -> Results:
    """Identities of the value, in float64; and the accuracy of two models of the same labels: of the best possible
    ones, and of trained ones, the lower cross-entropy of which is raised to that of the other by a temperature, which
    changes no decision."""
    generator = torch.Generator().manual_seed(scale.seed)
    z = 2 * torch.randn(40, 5, dtype=torch.float64, generator=generator)
    q = torch.randn(40, 5, dtype=torch.float64, generator=generator).softmax(1)
    error = readings(z, torch.randint(5, (40,), generator=generator), q)
    # Of the best possible probabilities, the two accuracies are 3/4 and 1 - flip_rate().
    measured = [
        Measured("a", {"protocol": "exact"}, (error,)),
        Measured("b", {"protocol": "exact"}, (0.25 - flip_rate(),)),
    ]
    seeds = scale.seeds(20, 10)
    plan = Plan(ADAM_RATES, scale.of(600, 400), scale.of((150, 300, 600), (100, 200, 400)), fixed=3)
    views = two_views(seeds, scale.of((1000, 1000, 3000), (500, 500, 1500)))
    runs = [fit(per_row(CrossEntropyLoss()), task, plan, seeds) for task in views]
    labels = views[0].test.y
    curves: list[Curve] = []
    for protocol in ("fixed", "tuned"):
        found = [run.fixed() if protocol == "fixed" else run.tuned(log_likelihood) for run in runs]
        value = torch.stack([-log_likelihood(logits, labels) for logits in found]).amax(0)
        first, second = (softened(logits.double(), labels, value) for logits in found)
        difference = accuracy(second, labels) - accuracy(first, labels)
        measured.append(Measured("b", {"protocol": protocol}, _values(difference)))
        if protocol == "tuned":
            for name, logits in (("half", first), ("all", second)):
                typical = float(log_likelihood(logits, labels).exp().mean())
                share = float(accuracy(logits, labels).mean())
                curves.append(Curve("figures", name, ("typical", "accuracy"), (typical, share)))
                ranks = torch.linspace(0, 1, 101, dtype=torch.float64)
                p_label = logits.softmax(-1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)
                curves.append(Curve("labels", name, _values(ranks), _values(p_label.quantile(ranks, 1).mean(1))))
    return Results(tuple(measured), tuple(curves))


def _values(found: Tensor) -> tuple[float, ...]:
    return tuple(found.tolist())


CLAIMS = [
    Claim(
        id="S2-2a",
        sentence=Text(
            "Cross-entropy treats the prediction of each class as independent of the others.",
            "交叉熵将每个类别的预测视为相互独立的。",
        ),
        statements=(
            Statement(
                "a",
                Text(
                    "the gradient by one class's logit does not depend on the logit of another class",
                    "对一个类别 logit 的梯度与其他类别的 logit 无关",
                ),
                Text(
                    "largest second derivative of the loss by the logits of two classes",
                    "损失对两个类别 logit 的最大二阶导数",
                ),
                margin=1e-12,
                unit="plain",
                kind="same",
            ),
            Statement(
                "b",
                Text(
                    "what is learned of one class does not depend on the classes of the other rows",
                    "对一个类别学到的结果与其余样本属于哪些类别无关",
                ),
                Text(
                    "mean change of the probability of class 0 when the other rows' labels are shuffled among the "
                    "other classes",
                    "把其余样本的标签在其他类别之间打乱后，类别 0 的概率的平均变化",
                ),
                margin=0.01,
                kind="same",
            ),
        ),
        experiment=Experiment(coupled, LINKS),
        setting=Text(
            "Second derivatives in float64; and a linear model of three Gaussian classes in the plane, trained with "
            "the labels as they are and with those of classes 1 and 2 shuffled, from the same weights on the same "
            "batches.",
            "float64 二阶导数；以及平面上三个高斯类别的线性模型，分别用原标签和把类别 1、2 "
            "的标签打乱后的标签训练，初始权重和批次都相同。",
        ),
        formula="softmax: d2 loss / dz_j dz_k = -p_j p_k; a sigmoid per class: 0",
        instead=Text(
            "Let the question choose the link: `whyloss.CrossEntropyLoss()` where a row has exactly one class, "
            "`whyloss.BinaryCrossEntropyLoss()` where every label is a question of its own.",
            "由问题决定链接函数：每行恰有一个类别时用 `whyloss.CrossEntropyLoss()`，每个标签各是一个是非问题时用 "
            "`whyloss.BinaryCrossEntropyLoss()`。",
        ),
        panels=(
            Panel(
                "pull",
                Text("upward pull on the logit of the label, at 0", "标签 logit（取 0）受到的向上拉力"),
                Text("logit of another class", "另一类别的 logit"),
                Text("minus the gradient", "负梯度"),
            ),
        ),
        words={
            "softmax": Text("one softmax over the classes", "对所有类别做一个 softmax"),
            "sigmoid": Text("a sigmoid per class", "每个类别一个 sigmoid"),
        },
    ),
    Claim(
        id="S2-4",
        sentence=Text(
            "Cross-entropy lacks interpretability: its value is hard to interpret.",
            "交叉熵缺乏解释性：它的数值难以解释。",
        ),
        statements=(
            Statement(
                "a",
                Text("the value has no reading as a probability or in bits", "数值不能解读为概率或比特数"),
                Text(
                    "largest relative error of three readings: geometric mean probability, code length, divergence",
                    "三种解读的最大相对误差：几何平均概率、编码长度、散度",
                ),
                margin=1e-12,
                unit="plain",
                kind="cannot",
            ),
            Statement(
                "b",
                Text(
                    "the value does not tell the accuracy: one value, accuracies more than a point apart",
                    "数值不能说明准确率：数值相同，准确率相差一个百分点以上",
                ),
                Text(
                    "difference in accuracy of two models whose cross-entropy on the test rows is the same",
                    "测试行上交叉熵相同的两个模型的准确率之差",
                ),
                margin=0.01,
            ),
        ),
        experiment=Experiment(same_value),
        setting=Text(
            "Readings of the value in float64; and two logistic models of the same labels. The feature of the first is "
            "certain in half of the rows and silent in the others, the feature of the second is right in 89 % of all "
            "rows. A temperature brings the lower loss up to the other and changes no decision.",
            "在 float64 下检验数值的几种解读；以及对同一组标签的两个 logistic 模型：第一个的特征在一半样本中完全确定、"
            "在另一半中不含信息，第二个的特征在 89 % 的样本中正确。"
            "用温度把较低的损失提高到另一个的水平，不改变任何决策。",
        ),
        formula="exp(-loss) = (p_1 ... p_n)^(1/n); loss / ln 2 = bits per label; loss - H(q) = KL(q || p)",
        instead=Text(
            "Read `torch.exp(-loss)` as the typical probability that the model gave the labels, and report the "
            "accuracy beside it.",
            "把 `torch.exp(-loss)` 读作模型给予标签的典型概率，并同时报告准确率。",
        ),
        panels=(
            Panel(
                "labels",
                Text("two models with one cross-entropy", "交叉熵相同的两个模型"),
                Text("share of the test rows", "测试行的比例"),
                Text("probability of the label, sorted", "标签的概率（已排序）"),
            ),
            Panel(
                "figures",
                Text("what the value tells", "数值说明什么"),
                Text("figure", "指标"),
                Text("share or probability", "比例或概率"),
                mark="bar",
            ),
        ),
        words={
            "half": Text("certain in half of the rows", "一半样本确定"),
            "all": Text("right in 89 % of the rows", "89 % 的样本正确"),
            "typical": Text("exp(−loss)", "exp(−损失)"),
            "accuracy": Text("accuracy", "准确率"),
        },
    ),
]

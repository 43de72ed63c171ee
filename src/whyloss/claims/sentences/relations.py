"""Claims about what lies between classes: how alike they are, and in what order they come."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from whyloss.claims.claim import Claim, Curve, Experiment, Measured, Panel, Results, Scale, Statement, Text
from whyloss.claims.lab.decoding import Rules, tuned_rule
from whyloss.claims.lab.tasks import Rows, Task, mixture, stacked
from whyloss.claims.lab.training import ADAM_RATES, Objective, Plan, fit, log_likelihood, per_row
from whyloss.claims.sentences import continuous
from whyloss.claims.sentences.coding import minimiser, nearest_code, squared_codes
from whyloss.losses.proper import BrierLoss, CrossEntropyLoss

GRADES = 6
BLUR = 2.0  # standard deviation of the latent noise, in widths of a grade


def rest_split(scale: Scale) -> tuple[float, list[Curve]]:
    """The largest difference of the loss between two predictions that give the label the same probability and split the
    rest differently; and how cross-entropy and Brier score change as the rest moves from one class to another."""
    generator = torch.Generator().manual_seed(scale.seed)
    own = torch.rand(200, 1, dtype=torch.float64, generator=generator) * 0.98 + 0.01
    splits = torch.rand(2, 200, 5, dtype=torch.float64, generator=generator) + 0.01
    label = torch.zeros(200, dtype=torch.long)
    one, other = (
        CrossEntropyLoss(reduction="none")(torch.cat([own, (1 - own) * s / s.sum(1, keepdim=True)], 1).log(), label)
        for s in splits
    )
    share = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    p = torch.stack([torch.full_like(share, 0.4), 0.6 * share, 0.6 * (1 - share)], 1)
    losses = (("ce", CrossEntropyLoss(reduction="none")), ("brier", BrierLoss(reduction="none")))
    curves = [
        Curve("split", name, _values(share), _values(loss(p.log(), torch.zeros(50, dtype=torch.long))))
        for name, loss in losses
    ]
    return float((one - other).abs().max()), curves


def likeness(log_p: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Mean log-probability of class k in rows of class y: (..., y, k)."""
    members = torch.nn.functional.one_hot(labels, classes).to(log_p.dtype)
    return torch.einsum("...ny,...nk->...yk", members, log_p) / members.sum(-2).unsqueeze(-1)


def order_kept(found: Tensor, truth: Tensor) -> Tensor:
    """Rank correlation of the wrong classes' entries of two likeness matrices, averaged over the rows y."""
    classes = found.shape[-1]
    off = ~torch.eye(classes, dtype=torch.bool)

    def ranks(matrix: Tensor) -> Tensor:
        wrong = matrix[..., off].unflatten(-1, (classes, classes - 1))
        order = wrong.argsort(dim=-1).argsort(dim=-1).double()
        return (order - order.mean(-1, keepdim=True)) / order.std(-1, keepdim=True, unbiased=False)

    return (ranks(found) * ranks(truth)).mean((-1, -2))


def order_of_minimiser(seed: int) -> float:
    """What of the order is kept where the expected cross-entropy under true probabilities is smallest, in float64."""
    rows = mixture([seed], (1, 1, 200), 8, features=3, distance=1.0).test
    assert rows.p is not None
    q = rows.p[0]
    z = minimiser(lambda z: CrossEntropyLoss(reduction="sum")(z, q), *q.shape)
    return float(order_kept(likeness(z.log_softmax(1), rows.y[0], 8), likeness(q.log(), rows.y[0], 8)))


def similar(scale: Scale) -> tuple[list[Measured], list[Curve]]:
    """Whether a network trained with hard labels knows which classes are alike: the order of the wrong classes by its
    mean log-probability against the order by the true one."""
    seeds, classes = scale.seeds(16, 8), 8
    task = mixture(seeds, scale.of((800, 800, 2000), (500, 500, 1000)), classes, features=3)
    steps = scale.of((0, 10, 30, 100, 300, 600), (0, 30, 100, 300))
    plan = Plan(ADAM_RATES, steps[-1], steps, fixed=3, hidden=32)
    trained = fit(per_row(CrossEntropyLoss()), task, plan, seeds)
    assert task.test.p is not None
    truth = likeness(task.test.p.clamp_min(1e-300).log(), task.test.y, classes)

    def kept(logits: Tensor) -> Tensor:
        return order_kept(likeness(logits.double().log_softmax(-1), task.test.y, classes), truth)

    measured = [
        Measured("b", {"protocol": protocol}, _values(1 - kept(logits)))
        for protocol, logits in (("fixed", trained.fixed()), ("tuned", trained.tuned(log_likelihood)))
    ]
    course = [float(kept(logits).mean()) for logits in trained.test[:, plan.fixed]]
    return measured, [Curve("similar", "ce", tuple(max(step, 1) for step in steps), tuple(course))]


def grades(seeds: Sequence[int], rows: tuple[int, int, int]) -> Task:
    """Ordered grades: a smooth function of two features plus Gaussian noise, cut at equal distances. The probability of
    every grade is known."""
    cuts = np.arange(1, GRADES) - GRADES / 2
    normal = torch.distributions.Normal(0.0, 1.0)
    parts: list[list[Rows]] = [[], [], []]
    for seed in seeds:
        rng = np.random.default_rng(seed)
        for part, number in zip(parts, rows, strict=True):
            x = rng.normal(size=(number, 2))
            centre = 1.6 * x[:, 0] + 1.6 * np.sin(2 * x[:, 1])
            y = np.searchsorted(cuts, centre + BLUR * rng.normal(size=number))
            below = normal.cdf(torch.from_numpy((cuts - centre[:, None]) / BLUR))
            ends = torch.zeros(number, 1, dtype=torch.float64)
            p = torch.cat([ends, below, ends + 1], 1).diff(dim=1)
            part.append(Rows(torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y), p))
    return Task(*(stacked(part) for part in parts), classes=GRADES)


def soft_grades(z: Tensor, labels: Tensor) -> Tensor:
    """SORD: cross-entropy to soft labels that fall off with the distance from the grade."""
    grade = torch.arange(GRADES)
    table = (-(grade - grade.unsqueeze(1)).abs().float()).softmax(1)
    return CrossEntropyLoss(validate=False)(z.flatten(0, 1), table[labels.flatten()]) * len(z)


def squared_emd(z: Tensor, labels: Tensor) -> Tensor:
    """Squared distance between the cumulative probabilities and the label's: the ranked probability score."""
    above = (labels.unsqueeze(-1) <= torch.arange(GRADES)).float()
    return ((z.softmax(-1).cumsum(-1) - above) ** 2).sum(-1).mean(-1).sum()


def argmax(logits: Tensor) -> Tensor:
    return logits.argmax(-1)


def median_grade(logits: Tensor) -> Tensor:
    """The lowest grade that half of the probability lies at or below."""
    return (logits.double().softmax(-1).cumsum(-1) < 0.5).sum(-1).clamp_max(logits.shape[-1] - 1)


def mean_grade(logits: Tensor) -> Tensor:
    grade = torch.arange(logits.shape[-1], dtype=torch.float64)
    return (logits.double().softmax(-1) @ grade).round().long()


RULES: Rules = {"argmax": argmax, "median": median_grade, "mean": mean_grade}
# Loss, outputs, and the rules that its outputs allow; the first is the customary one.
ORDERED: dict[str, tuple[Objective, int, Rules]] = {
    "ce": (per_row(CrossEntropyLoss()), GRADES, RULES),
    "sord": (soft_grades, GRADES, RULES),
    "emd": (squared_emd, GRADES, RULES),
    "codes": (squared_codes, 1, {"mean": nearest_code(GRADES)}),
}


def expected_distance(decisions: Tensor, p: Tensor) -> Tensor:
    """The mean distance from the grade to expect under its true probabilities."""
    return (p * (decisions.unsqueeze(-1) - torch.arange(p.shape[-1])).abs()).sum(-1).mean(-1)


def ordered(scale: Scale) -> tuple[list[Measured], list[Curve]]:
    """Mean distance from the true grade of losses that know the order and of cross-entropy. Fixed: each decides by its
    customary rule, the most probable grade or the nearest code. Tuned: each with its own rate, step and rule, by the
    distance on validation rows."""
    seeds = scale.seeds(20, 10)
    task = grades(seeds, scale.of((800, 800, 1500), (500, 500, 800)))
    steps = scale.of(600, 300)
    plan = Plan(ADAM_RATES, steps, (steps // 6, steps // 3, steps), fixed=3, hidden=32)
    p = task.test.p
    assert p is not None
    fixed: dict[str, Tensor] = {}
    tuned: dict[str, Tensor] = {}
    curves: list[Curve] = []
    for name, (objective, outputs, rules) in ORDERED.items():
        trained = fit(objective, task, plan, seeds, outputs)
        fixed[name] = expected_distance(next(iter(rules.values()))(trained.fixed()), p)
        tuned[name], test = tuned_rule(trained, rules, lambda decisions: expected_distance(decisions, p))
        curves.append(Curve("rules", name, tuple(rules), tuple(float(t.mean()) for t in test)))
    truth = [float(expected_distance(rule(p.log()), p).mean()) for rule in RULES.values()]
    curves.append(Curve("rules", "bayes", tuple(RULES), tuple(truth)))
    measured = [
        Measured("c", {"loss": name, "protocol": protocol}, _values(found["ce"] - found[name]))
        for protocol, found in (("fixed", fixed), ("tuned", tuned))
        for name in ORDERED
        if name != "ce"
    ]
    return measured, curves


def between_classes(part: str, scale: Scale) -> Results:
    """Whether the value, and a trained network, know the relations of the classes; and what a loss that is told of
    their order gains."""
    if part == "ordered":
        measured, curves = ordered(scale)
        return Results(tuple(measured), tuple(curves))
    difference, curves = rest_split(scale)
    measured, more = similar(scale)
    exact = (
        Measured("a", {"protocol": "exact"}, (difference,)),
        Measured("b", {"protocol": "exact"}, (1 - order_of_minimiser(scale.seed),)),
    )
    return Results((*exact, *measured), (*curves, *more))


def _values(found: Tensor) -> tuple[float, ...]:
    return tuple(found.tolist())


CLAIMS = [
    Claim(
        id="S2-2b",
        sentence=Text(
            "Cross-entropy ignores how the classes are related and cannot capture complex relations between them.",
            "交叉熵不考虑类别之间的相关性，无法捕捉类别间的复杂关系。",
        ),
        statements=(
            Statement(
                "a",
                Text(
                    "the value ignores how the probability of the wrong classes is split among them",
                    "数值与错误类别之间如何分配概率无关",
                ),
                Text(
                    "largest difference over 200 pairs of predictions with the same probability of the label",
                    "200 对标签概率相同的预测之间的最大差异",
                ),
                margin=1e-12,
                unit="plain",
                kind="same",
            ),
            Statement(
                "b",
                Text(
                    "a trained model has lost most of the order of which classes are alike",
                    "训练出的模型丢失了类别相似次序的大部分",
                ),
                Text(
                    "1 − rank correlation of the model's and the true mean log-probabilities of the wrong classes",
                    "1 − 模型与真实的错误类别平均对数概率的秩相关",
                ),
                margin=0.5,
                unit="plain",
                kind="cannot",
            ),
            Statement(
                "c",
                Text(
                    "on ordered classes, a loss that knows the order comes nearer to the true grade",
                    "类别有序时，知道次序的损失更接近真实等级",
                ),
                Text(
                    "mean distance from the grade, cross-entropy minus the other loss, in grades",
                    "与真实等级的平均距离，交叉熵减另一损失，以等级计",
                ),
                margin=0.05,
                unit="plain",
            ),
        ),
        experiment=Experiment(between_classes, ("similar", "ordered")),
        setting=Text(
            "Pairs of predictions, and the minimiser of the expected loss, in float64; a network with 32 hidden units "
            "trained with hard labels on eight Gaussian classes; and six noisy ordered grades with known "
            "probabilities, where fixed means the customary decision (most probable grade, or nearest code) and tuned "
            "the rule that validates best.",
            "float64 下成对的预测，以及期望损失的极小点；在八个高斯类别上用硬标签训练的含 32 个隐藏单元的网络；"
            "以及概率已知、带噪声的六个有序等级：固定协议用惯常决策（概率最大的等级或最近的编码），"
            "调优协议用验证集上最好的规则。",
        ),
        formula="-log p_y depends on p_y alone; E|d - y| is smallest at the median of p",
        instead=Text(
            "Where classes are ordered, keep `whyloss.CrossEntropyLoss()` and decide for the median of its "
            "probabilities, `(p.cumsum(1) < 0.5).sum(1)`.",
            "类别有序时，保留 `whyloss.CrossEntropyLoss()`，并取其概率的中位数 `(p.cumsum(1) < 0.5).sum(1)` 作为决策。",
        ),
        panels=(
            Panel(
                "similar",
                Text("order of the wrong classes", "错误类别的次序"),
                Text("training step", "训练步数"),
                Text("rank correlation with the truth", "与真实次序的秩相关"),
                log_x=True,
            ),
            Panel(
                "rules",
                Text("ordered grades, by decision rule", "有序等级：各决策规则"),
                Text("decision", "决策"),
                Text("mean distance from the grade", "与真实等级的平均距离"),
                mark="bar",
            ),
            Panel(
                "split",
                Text("loss while the rest moves", "其余概率移动时的损失"),
                Text("share of the rest given to one of two wrong classes", "其余概率中分给两个错误类别之一的份额"),
                Text("loss", "损失"),
            ),
        ),
        words={
            "sord": Text("SORD (soft ordinal labels)", "SORD（有序软标签）"),
            "emd": Text("squared earth mover's distance", "平方推土机距离"),
            "argmax": Text("most probable", "概率最大"),
            "median": Text("median", "中位数"),
            "mean": Text("rounded mean", "均值取整"),
            "bayes": Text("true probabilities", "真实概率"),
        },
    ),
    *continuous.CLAIMS,
]

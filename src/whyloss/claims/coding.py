"""Claims about what labels are to a loss: numbers, codes or classes."""

import torch

from whyloss.claims.claim import Claim, Curve, Experiment, Measured, Panel, Results, Scale, Statement, Text
from whyloss.losses.proper import BinaryCrossEntropyLoss, CrossEntropyLoss


def two_names(part: str, scale: Scale) -> Results:
    """Cross-entropy of two classes with logits (0, z), and log loss of the probability sigmoid(z), in float64."""
    z = torch.linspace(-40, 40, 801, dtype=torch.float64)
    y = torch.arange(801) % 2
    pairs = torch.stack([torch.zeros_like(z), z], 1)
    softmax = CrossEntropyLoss(reduction="none")(pairs, y)
    sigmoid = BinaryCrossEntropyLoss(reduction="none")(z, y)
    difference = ((softmax - sigmoid).abs() / sigmoid.abs().clamp_min(1)).max()
    wrong = y == 0
    return Results(
        (Measured("a", {"protocol": "exact"}, (float(difference),)),),
        tuple(
            Curve("value", name, tuple(z[wrong].tolist()), tuple(loss[wrong].tolist()))
            for name, loss in (("ce", softmax), ("log_loss", sigmoid))
        ),
    )


CLAIMS = [
    Claim(
        id="S1-11",
        sentence=Text(
            "Suitable losses for classification are cross-entropy, log loss and others.",
            "分类问题适合使用交叉熵、对数损失等损失函数。",
        ),
        statements=(
            Statement(
                "a",
                Text("cross-entropy and log loss are two different losses", "交叉熵与对数损失是两种不同的损失"),
                Text("largest relative difference over 801 logits", "801 个 logit 上的最大相对差异"),
                margin=1e-12,
                unit="plain",
                kind="cannot",
            ),
        ),
        experiment=Experiment(two_names),
        setting=Text(
            "Cross-entropy of two classes with logits (0, z) and log loss of sigmoid(z), both labels, z from −40 to "
            "40, in float64.",
            "两类交叉熵(logits 为 (0, z))与 sigmoid(z) 的对数损失,两种标签,z 从 −40 到 40,float64。",
        ),
        formula="-log softmax(0, z)_1 = softplus(-z) = -log sigmoid(z)",
        instead=Text(
            "Choose by the shape of the labels: `whyloss.CrossEntropyLoss()` for one class of many, "
            "`whyloss.BinaryCrossEntropyLoss()` for yes-or-no questions.",
            "按标签的形式选择:多类选一用 `whyloss.CrossEntropyLoss()`,是非问题用 `whyloss.BinaryCrossEntropyLoss()`。",
        ),
        panels=(
            Panel("value", Text("loss, label 0", "损失(标签为 0)"), Text("logit z", "logit z"), Text("loss", "损失")),
        ),
        words={"log_loss": Text("log loss", "对数损失")},
    ),
]

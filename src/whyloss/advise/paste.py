"""The lines of code to paste: the loss, and the decision rule that goes with it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from whyloss.advise.candidates import Candidate
from whyloss.advise.rules import Fitted
from whyloss.advise.standing import Task


def code(candidate: Candidate, rule: Fitted, given: Mapping[str, Any], task: Task) -> str:
    """Python that makes the loss and applies the rule."""
    made = {k: v for k, v in given.items() if v is not None}
    lines = [
        "import torch, whyloss",
        "",
        *candidate.code(made),
        "value = loss(logits, target)  # logits [N, C] and class indices [N], as with torch.nn.CrossEntropyLoss",
        *_rule(rule, task),
    ]
    return "\n".join(lines)


def _rule(rule: Fitted, task: Task) -> list[str]:
    p = rule.parameters
    if rule.name == "threshold":
        chosen = int(p["class"])
        if chosen == 1:
            return [f"decision = (logits.softmax(-1)[:, 1] > {p['probability']:.4g}).long()"]
        return [f"decision = (logits.softmax(-1)[:, 0] <= {p['probability']:.4g}).long()"]
    if rule.name == "prior":
        counts = np.bincount(task.label, minlength=len(task.classes))
        shares = [float(f"{n / counts.sum():.4g}") for n in counts]
        return [
            f"prior = torch.tensor({shares})  # share of each class in the training rows",
            f"decision = (logits - {p['tau']:g} * prior.log()).argmax(-1)",
        ]
    if rule.name == "median":
        return ["decision = (logits.softmax(-1).cumsum(-1) < 0.5).sum(-1)  # the median grade"]
    if rule.name == "temperature" and rule.temperature != 1:
        return [f"probability = (logits / {rule.temperature:.4g}).softmax(-1)"]
    if task.metric.needs == "decisions":
        return ["decision = logits.argmax(-1)"]
    return ["probability = logits.softmax(-1)"]

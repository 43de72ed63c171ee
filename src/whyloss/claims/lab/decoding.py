"""What outputs stand for: a class, a grade or a number, and the choice of that rule on validation rows."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from whyloss.claims.lab.training import Metric, Trained

Rules = Mapping[str, Callable[[Tensor], Tensor]]  # what outputs stand for: (..., outputs) -> (...)


def distance(rule: Callable[[Tensor], Tensor]) -> Metric:
    """Minus the mean distance of what the rule says from the labels, so that larger is better."""

    def metric(outputs: Tensor, labels: Tensor) -> Tensor:
        return -(rule(outputs) - labels).abs().double().mean(-1)

    return metric


def tuned_rule(trained: Trained, rules: Rules, judge: Callable[[Tensor], Tensor]) -> tuple[Tensor, list[Tensor]]:
    """What the judge says of the test rows under the rule, rate and step with the least distance on the validation
    rows, per seed; and under every single rule."""
    valid = torch.stack([distance(r)(trained.tuned_valid(distance(r)), trained.task.valid.y) for r in rules.values()])
    test = [judge(rule(trained.tuned(distance(rule)))) for rule in rules.values()]
    return torch.stack(test).gather(0, valid.argmax(0, keepdim=True)).squeeze(0), test

"""How exact losses are in float32, from very wrong to very right; `python tests/accuracy.py` prints a table.

For every loss that reads the log-odds m of the label and nothing else, value and gradient must be within a relative
1e-6 + 1.5e-7 |m| of float64 for m from -1e4 to 80, where float32 itself ends: below its smallest normal number, an
error of that size is allowed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from instances import ROWS, Case, value_and_gradient
from torch import Tensor
from torch.nn.functional import cross_entropy

from whyloss.stats import block

CASES = [
    case
    for case in ROWS
    if case.reads_log_odds_alone and not case.cls.normalized
    if case.build().adjust is None and not case.build().label_smoothing  # cross-entropy, of other logits or labels
]
QUESTIONS = [case for case in CASES if "sigmoid" in case.links]
SMALLEST = torch.finfo(torch.float32).smallest_normal


@dataclass
class Error:
    """The largest relative errors found, and the largest error as a share of what is allowed."""

    value: float = 0.0
    gradient: float = 0.0
    share: float = 0.0

    def include(self, ours: Tensor, exact: Tensor, m: Tensor, what: str) -> None:
        """Rows that `m` has as NaN are left out."""
        ours, exact, m = (x[~torch.isnan(m.expand_as(exact))] for x in (ours, exact, m.expand_as(exact)))
        size, error = exact.abs(), (ours.double() - exact).abs()
        normal = size >= SMALLEST
        allowed = (1e-6 + 1.5e-7 * m.abs()) * size + SMALLEST
        relative = torch.where(normal, error / torch.where(normal, size, 1.0), 0.0)
        setattr(self, what, max(getattr(self, what), float(relative.max())))
        self.share = max(self.share, float((error / allowed).nan_to_num(torch.inf).max()))


def log_odds() -> Tensor:
    """Float32 numbers from -1e4 to 80, dense where losses bend."""
    far = -torch.logspace(1, 4, 400)
    near = torch.linspace(-30, 80, 2201)
    tiny = torch.logspace(-6, 0, 60)
    return torch.cat([far, near, tiny, -tiny])


def layouts() -> dict[str, tuple[Tensor, Tensor]]:
    """Float32 logits, with the label at 0, whose float64 log-odds are m: exactly so, or but for one rounding."""
    m = log_odds()
    two = torch.stack([m, torch.zeros_like(m)], 1)
    negligible = torch.cat([two, torch.full((len(m), 8), -2e4)], 1)
    offset = two + torch.where(m.abs() < 1, 0.0, torch.round(m)).neg().unsqueeze(1)  # the difference stays exact
    equal = torch.cat([m.unsqueeze(1), torch.zeros(len(m), 9)], 1)
    found = {"2 classes": two, "10 classes, one rival": negligible, "2 classes, moved": offset, "10 equal": equal}
    return {name: (z, z[:, 0].double() - torch.logsumexp(z[:, 1:].double(), 1)) for name, z in found.items()}


PerRow = Callable[[Tensor, Tensor], Tensor]


def away_from_roots(values: Tensor, m: Tensor) -> Tensor:
    """m, NaN within 2 of where the values change sign, or end: there the rounding of the logit is all that one sees."""
    ascending, order = m.sort()
    sign = values[order].sign()
    turns = (sign[1:] != sign[:-1]) & (ascending[1:] < 60)  # beyond it values underflow, which is no root
    roots = (ascending[1:] + ascending[:-1])[turns] / 2
    near = (m.unsqueeze(1) - roots).abs() < 2
    return torch.where(near.any(1), torch.nan, m)


def largest_error(loss: Callable[[int], PerRow], exact: Callable[[int], PerRow]) -> Error:
    """Over all layouts; both make, for a number of classes, what gives a value per row of logits and labels."""
    found = Error()
    for z, m in layouts().values():
        # A label's log-odds beyond 80 are where float32 ends.
        z, m = z[m <= 80], m[m <= 80]
        y = torch.zeros(len(z), dtype=torch.int64)
        value, gradient = value_and_gradient(loss(z.shape[1]), z, y)
        true_value, true_gradient = value_and_gradient(exact(z.shape[1]), z.double(), y)
        found.include(value, true_value, m, "value")
        found.include(gradient, true_gradient, m.unsqueeze(1), "gradient")
    return found


def of_case(case: Case, engine: str) -> Error:
    if "softmax" not in case.links:
        return of_questions(case, engine)
    build = partial(case.build, link="softmax", reduction="none")
    return largest_error(partial(build, engine=engine), partial(build, engine="reference"))


def exact_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    m = z[:, 0] - torch.logsumexp(z[:, 1:], 1)
    return -torch.nn.functional.logsigmoid(m)


def of_torch() -> Error:
    torchs = partial(cross_entropy, reduction="none")
    return largest_error(lambda classes: torchs, lambda classes: exact_cross_entropy)


@pytest.mark.parametrize(
    ("case", "engine"), [pytest.param(c, e, id=f"{c}-{e}") for c in CASES if "softmax" in c.links for e in c.engines]
)
def test_value_and_gradient_are_within_what_is_allowed(case: Case, engine: str):
    found = of_case(case, engine)
    assert found.share <= 1, found


@pytest.mark.parametrize("case", [c for c in CASES if "softmax" in c.links and "dense" in c.engines], ids=str)
def test_blocks_of_few_rows_are_as_exact(case: Case, monkeypatch: pytest.MonkeyPatch):
    """One row that is very wrong or very right sends its whole block another way."""
    monkeypatch.setattr(block, "SIZE", 64)
    found = of_case(case, "dense")
    assert found.share <= 1, found


@pytest.mark.parametrize(
    ("case", "engine"), [pytest.param(c, e, id=f"{c}-{e}") for c in QUESTIONS for e in c.binary_engines]
)
def test_so_they_are_under_the_sigmoid_link(case: Case, engine: str):
    found = of_questions(case, engine)
    assert found.share <= 1, found


def of_questions(case: Case, engine: str) -> Error:
    """The same under the sigmoid link, of yeses and noes."""
    loss, exact = (case.build(2, link="sigmoid", reduction="none", engine=e) for e in (engine, "reference"))
    found, m = Error(), log_odds()[log_odds() <= 80]
    for label in (0, 1):
        z, y = m * (2 * label - 1), torch.full(m.shape, label)
        value, gradient = value_and_gradient(loss, z, y)
        true_value, true_gradient = value_and_gradient(exact, z.double(), y)
        found.include(value, true_value, away_from_roots(true_value, m), "value")
        found.include(gradient, true_gradient, away_from_roots(true_gradient, m), "gradient")
    return found


def test_the_reference_itself_is_right_and_torchs_cross_entropy_is_not():
    from whyloss import CrossEntropyLoss

    ours = largest_error(lambda classes: CrossEntropyLoss(reduction="none"), lambda classes: exact_cross_entropy)
    assert ours.share <= 1
    theirs = of_torch()
    assert theirs.value == 1
    assert theirs.gradient > 0.1


def test_enough_losses_are_held_to_it():
    assert len({case.cls for case in CASES}) >= 14


def table() -> list[dict[str, object]]:
    """One row for each loss and setting, torch's cross-entropy first."""
    found = [{"loss": "torch cross_entropy", **vars(of_torch())}]
    return found + [{"loss": str(case), **vars(of_case(case, case.engines[-1]))} for case in CASES]


if __name__ == "__main__":
    print(f"{'loss':50} {'value':>9} {'gradient':>9} {'of allowed':>10}")
    for row in table():
        print(f"{row['loss']:50} {row['value']:9.1e} {row['gradient']:9.1e} {row['share']:10.2f}")

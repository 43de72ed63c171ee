"""Does the order of the classes show in the features?

An order-aware head (the expected code, all classes taken as equally frequent) is scored by quadratic kappa, and so is
the same head on every other order of the codes. Never scored by mean absolute error: always answering the middle class
would look good. Knows codes and probabilities only."""

from itertools import permutations
from math import factorial

import numpy as np

from whyloss.advise.diagnose.case import DISTANCE, Case, Floats, Ints
from whyloss.advise.finding import Finding

ORDERS = 400  # random orders where there are too many to try all
LARGEST = 60  # classes; beyond, an order is not looked for unless it is declared


def order_findings(case: Case) -> list[Finding]:
    count = len(case.classes)
    numeric = _ascending(case.classes)
    if (
        count < 3
        or case.rows < 30
        or not (case.ordered or numeric is not None)
        or count > (1000 if case.ordered else LARGEST)
    ):
        return []
    code = np.arange(count) if case.ordered or numeric is None else np.argsort(np.argsort(numeric))
    head = _head(case)
    own = _kappa(head, case.label, code)
    others = [_kappa(head, case.label, order) for order in _orders(code, case.generator(5))]
    chance = (1 + sum(other >= own - 1e-12 for other in others)) / (1 + len(others))
    low, high = _interval(case, head, code)
    # Three classes have three orders, so the best of them proves little: there the lead itself must be certain.
    shows = low > 0 and (chance <= 0.05 if len(others) >= 19 else own == max([own, *others]) and low > max(others))
    # Numbers that are names fall into order by accident in one case of three, so three classes are never suggested.
    suggest = shows and count > 3
    return [_said(case, own, (low, high), others, chance, shows)] if case.ordered or suggest else []


def _said(
    case: Case, own: float, interval: tuple[float, float], others: list[float], chance: float, shows: bool
) -> Finding:
    figure = f"quadratic kappa {own:.2f} against {np.median(others):.2f} for other orders"
    if case.ordered and shows:
        text, advice = f"The order of the classes shows in the features: {figure}.", ""
    elif case.ordered:
        text = f"The order given for the classes does not show in the features: {figure}."
        advice = "Check the order. If it is right, losses for ordered classes will gain little on these features."
    else:
        text = f"The classes are numbers and their order shows in the features ({figure}), but no order was declared."
        advice = f"If the numbers are grades and not names, say so: --ordered {','.join(case.classes)}"
    matters = case.metric in DISTANCE
    return Finding(
        id="ordered_classes",
        severity="info" if case.ordered and shows else "warning" if case.ordered or matters else "note",
        text=text,
        value=own,
        interval=interval,
        advice=advice,
        details={"kappa": own, "others": others, "p": chance, "shows": shows, "declared": case.ordered},
    )


def _ascending(classes: list[str]) -> Floats | None:
    try:
        values = np.asarray([float(name) for name in classes])
    except ValueError:
        return None
    return values if np.isfinite(values).all() and len(np.unique(values)) == len(values) else None


def _head(case: Case) -> Floats:
    """Probabilities as if every class were equally frequent: a rare grade counts as much as a common one."""
    frequency = np.maximum(np.bincount(case.label, minlength=len(case.classes)) / case.rows, 1e-12)
    even = case.p / frequency
    return even / even.sum(1, keepdims=True)


def _kappa(head: Floats, label: Ints, code: Ints) -> float:
    """Quadratic kappa of the head for one assignment of codes to classes, classes weighing alike.

    The expected code is brought to the mean and spread of the given codes; quadratic kappa is then a correlation."""
    weight = 1 / np.bincount(label)[label]
    weight /= weight.sum()
    given, answer = code[label].astype(float), head @ code
    given -= weight @ given
    answer -= weight @ answer
    spread = np.sqrt((weight @ given**2) * (weight @ answer**2))
    return float(weight @ (given * answer) / spread) if spread > 1e-12 else 0.0


def _interval(case: Case, head: Floats, code: Ints) -> tuple[float, float]:
    generator = case.generator(7)
    drawn: list[float] = []
    for _ in range(100):
        rows = generator.integers(0, case.rows, case.rows)
        drawn.append(_kappa(head[rows], case.label[rows], code))
    return float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


def _orders(code: Ints, generator: np.random.Generator) -> list[Ints]:
    """Other orders, each without its mirror image, which scores the same."""
    count = len(code)
    if factorial(count) // 2 <= ORDERS:
        every = [np.asarray(order) for order in permutations(range(count)) if order[0] < order[-1]]
        return [order for order in every if not ((order == code).all() or (order == count - 1 - code).all())]
    return [generator.permutation(count) for _ in range(ORDERS)]

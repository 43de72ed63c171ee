"""Which losses race, and why: chosen from the task and the findings, each with its reason in words.

A candidate is data (a name and parameters), so that it can travel to another process, be a key of the ledger, and be
printed as the line of code that makes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from whyloss.advise.finding import Finding
from whyloss.losses.algebra import row_sum
from whyloss.losses.catalogue import find
from whyloss.losses.loss import RowLoss


@dataclass(frozen=True)
class Candidate:
    """A loss by name, or several joined by "+", whose parameters are then prefixed with the name ("nce.weight").

    `uses` names fields that come from the training rows ("counts") or from the diagnosis ("transition")."""

    short: str
    reason: str
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    uses: tuple[str, ...] = ()

    def build(self, given: Mapping[str, NDArray[Any]]) -> RowLoss:
        """The loss; `given` holds what `uses` names."""
        from_data = {name: torch.as_tensor(given[name], dtype=torch.float32) for name in self.uses}
        names = self.short.split("+")
        if len(names) > 1:
            return row_sum(tuple(_make(name, {}) for name in names), (1.0,) * len(names))
        return _make(names[0], {**self.parameters, **from_data})

    @property
    def loss(self) -> str:
        """The class name, or the class names joined by " + "."""
        return " + ".join(find(name).__name__ for name in self.short.split("+"))

    def code(self, given: Mapping[str, NDArray[Any]]) -> list[str]:
        """Lines of Python that make the loss."""
        lines, arguments = list[str](), [f"{k}={v!r}" for k, v in self.parameters.items()]
        for name in self.uses:
            values = np.asarray(given[name])
            shown = values.astype(int).tolist() if name == "counts" else np.round(values, 4).tolist()
            lines.append(f"{name} = torch.tensor({shown}, dtype=torch.float32)")
            arguments.append(f"{name}={name}")
        made = [f"whyloss.{find(name).__name__}({', '.join(arguments)})" for name in self.short.split("+")]
        return [*lines, f"loss = {' + '.join(made)}"]


def _make(name: str, parameters: Mapping[str, Any]) -> RowLoss:
    loss = find(name)(**parameters)
    assert isinstance(loss, RowLoss)
    return loss


REFERENCE = Candidate("ce", "the reference that every other loss has to beat")

ALWAYS = (
    Candidate(
        "ls", "often raced against cross-entropy: keeps probabilities from the extremes", {"label_smoothing": 0.1}
    ),
    Candidate("brier", "proper like cross-entropy, and bounded: one row can cost only so much"),
)
NOISE = (
    Candidate("gce", "labels may be wrong: forgives rows whose label the model doubts", {"q": 0.7}),
    Candidate("sce", "labels may be wrong: a little cross-entropy to learn, reverse cross-entropy to forgive"),
    Candidate("nce+rce", "labels may be wrong: both parts are symmetric, so even noise cancels"),
    Candidate("nce+agce", "labels may be wrong: asymmetric, so the majority of clean labels outvotes the rest"),
)
FEW_CLASSES = 4  # the mean absolute error's first gradient shrinks as 2 / C
ABSOLUTE = Candidate("mae", "labels may be wrong and the classes are few: symmetric, the most forgiving")
TRUSTED_NOISE = Candidate("forward", "the noise's transition matrix can be trusted: undoes it", uses=("transition",))
IMBALANCE = (
    Candidate(
        "la", "classes of unequal size: shifts the logits by the prior while training", {"tau": 1.0}, ("counts",)
    ),
    Candidate("cb", "classes of unequal size: the usual weights by inverse frequency", {"beta": None}, ("counts",)),
    Candidate(
        "ldam",
        "classes of unequal size: a larger margin for rarer ones",
        {"max_margin": 0.5, "scale": 4.0},
        ("counts",),
    ),
    Candidate("focal", "classes of unequal size: the folk remedy, expected to do nothing", {"gamma": 2.0}),
)
NOISY, UNEVEN = 0.05, 2.0  # least suspected noise rate, and least ratio of class sizes


def choose(findings: Sequence[Finding], counts: NDArray[np.int64], budget: str) -> list[Candidate]:
    """The candidates, cross-entropy first. The quick budget races at most five."""
    found = {finding.id: finding for finding in findings}
    chosen = [REFERENCE, *ALWAYS]
    noise = found.get("label_noise")
    suspected = noise is not None and noise.severity in ("note", "warning", "serious") and (noise.value or 0) >= NOISY
    if suspected:
        chosen += NOISE
        if len(counts) <= FEW_CLASSES:
            chosen.append(ABSOLUTE)
        if transition(findings) is not None:
            chosen.append(TRUSTED_NOISE)
    else:
        chosen.append(
            Candidate("gce", "no sign of wrong labels, but the usual robust loss costs little to try", {"q": 0.7})
        )
    if counts.max() >= UNEVEN * counts.min():
        chosen += IMBALANCE
    else:
        chosen.append(
            Candidate("focal", "often raced against cross-entropy: turns down rows that are right", {"gamma": 2.0})
        )
    return chosen if budget != "quick" else _few(chosen, suspected)


def _few(chosen: list[Candidate], noisy: bool) -> list[Candidate]:
    order = (
        ["ce", "gce", "sce", "nce+agce", "la", "brier", "ls"] if noisy else ["ce", "ls", "brier", "la", "gce", "focal"]
    )
    return sorted((c for c in chosen if c.short in order), key=lambda c: order.index(c.short))[:5]


def transition(findings: Sequence[Finding]) -> NDArray[np.float64] | None:
    """The noise's transition matrix, where the diagnosis trusts it."""
    for finding in findings:
        if finding.id == "noise_transition" and finding.details.get("trusted"):
            matrix = np.asarray(finding.details["matrix"], dtype=np.float64)
            return matrix / matrix.sum(1, keepdims=True)
    return None

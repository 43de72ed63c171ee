"""What a claim is: a sentence, what it states in measurable terms, and the experiment that measures it.

Data alone. Which verdict a claim gets is computed from its results in verdict.py, and written down nowhere."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Kind = Literal["more", "cannot", "same"]
Unit = Literal["points", "factor", "plain"]
Mark = Literal["line", "bar", "dot"]
Language = Literal["en", "zh"]


@dataclass(frozen=True)
class Text:
    """The same words in English and in Chinese. Code stands between backticks."""

    en: str
    zh: str

    def say(self, language: Language) -> str:
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True)
class Statement:
    """One measurable part of a claim. Its values are turned so that positive is what the claim says.

    kind: "more": the effect is larger than the margin; inside it, both sides are equivalent.
          "cannot": the same of a sentence that leaves no room ("cannot", "always"): inside the margin it is refuted.
          "same": there is no effect beyond the margin.
    unit: "points": a share, shown in hundredths; "factor": a base-2 logarithm, shown as a ratio; "plain": as it is."""

    key: str
    text: Text
    measure: Text
    margin: float
    unit: Unit = "points"
    kind: Kind = "more"


@dataclass(frozen=True)
class Measured:
    """One figure under one condition: a value for each seed, or a single value that is exact.

    where: factor -> level, both keys of the vocabulary. "protocol" is always there: "fixed", "tuned" or, where neither
    a learning rate nor a threshold has a part in it, "exact".
    test_share: rows tested / rows trained on, where the seeds are splits of one table and so share rows; 0 where every
    seed draws fresh data."""

    statement: str
    where: Mapping[str, str]
    values: tuple[float, ...]
    test_share: float = 0.0


@dataclass(frozen=True)
class Curve:
    """One line, set of bars or set of dots in a panel of the claim's picture. `name` is a key of the vocabulary, and so
    is every x of a bar."""

    panel: str
    name: str
    x: tuple[float | str, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Results:
    """What one part of an experiment found."""

    measured: tuple[Measured, ...] = ()
    curves: tuple[Curve, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "measured": [[m.statement, dict(m.where), list(m.values), m.test_share] for m in self.measured],
            "curves": [[c.panel, c.name, list(c.x), list(c.y)] for c in self.curves],
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Results":
        return cls(
            tuple(Measured(s, w, tuple(v), share) for s, w, v, share in found["measured"]),
            tuple(Curve(panel, name, tuple(x), tuple(y)) for panel, name, x, y in found["curves"]),
        )


@dataclass(frozen=True)
class Scale:
    """How much an experiment may cost, and which seeds are its own."""

    seed: int = 0
    quick: bool = False

    def of(self, full: Any, quick: Any) -> Any:
        """The setting for a full run or for a quick one."""
        return quick if self.quick else full

    def seeds(self, full: int = 10, quick: int = 5) -> list[int]:
        """Disjoint for different --seed, so that two runs are two independent repetitions."""
        return (np.arange(quick if self.quick else full) + 1000 * self.seed).tolist()


@dataclass(frozen=True)
class Experiment:
    """A pure function of a part's name and the scale. Parts run in parallel and are kept one by one; claims may share
    an experiment, and it then runs once."""

    run: Callable[[str, Scale], Results]
    parts: tuple[str, ...] = ("all",)

    @property
    def name(self) -> str:
        return f"{self.run.__module__}.{self.run.__qualname__}"


@dataclass(frozen=True)
class Panel:
    """One panel of a claim's picture; the curves bring its data."""

    key: str
    title: Text
    x: Text
    y: Text
    mark: Mark = "line"
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True)
class Claim:
    """A sentence that people repeat. `setting` says what is run; `instead` is what a practitioner should do, in one
    sentence with the class or the command. `words` are vocabulary of this claim alone."""

    id: str
    sentence: Text
    statements: tuple[Statement, ...]
    experiment: Experiment
    setting: Text
    instead: Text
    panels: tuple[Panel, ...]
    formula: str = ""
    words: Mapping[str, Text] = field(default_factory=dict[str, Text])


@dataclass(frozen=True)
class Contradiction:
    """Two claims of the same articles that cannot both be right everywhere; the runs tell where each one is."""

    id: str
    question: Text
    sides: tuple[str, str]  # ids of claims
    instead: Text

"""The two things every part of `advise` can say: a finding, and that the input cannot be used.

Knows nothing of tensors, tables or files, so that everything above may import it."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["info", "note", "warning", "serious"]


class InputError(ValueError):
    """Input that cannot be used. Its message is written for the user: what came, what was expected, the mend."""


@dataclass(frozen=True)
class Finding:
    """One measured fact about the data, with its uncertainty, the rows behind it, and what to do about it."""

    id: str
    severity: Severity
    text: str
    value: float | None = None
    interval: tuple[float, float] | None = None
    rows: list[int] = field(default_factory=list[int])
    advice: str = ""
    details: dict[str, Any] = field(default_factory=dict[str, Any])

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

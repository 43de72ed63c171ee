"""Numbers and names of a report as people read them: points, intervals, per cent, the names of losses and metrics.

Knows single values only, never the layout of a report. Minus signs are ASCII; the page turns them into real ones."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

Interval = Sequence[float] | None

NONE = "–"

# Read as plain figures. Every other metric lives in [0, 1] (or [-1, 1]) and is read in points, hundredths of it.
PLAIN = frozenset({"log_loss", "brier", "mae", "rmse", "mse"})
SMALLER_IS_BETTER = PLAIN | {"ece", "error"}

METRICS = {
    "log_loss": "log loss",
    "mae": "mean absolute error",
    "roc_auc": "ROC AUC",
    "auc": "AUC",
    "f1": "F1",
    "f1_macro": "macro F1",
    "macro_f1": "macro F1",
    "brier": "Brier score",
    "mcc": "Matthews correlation",
}
PROPER_NOUNS = {"Brier", "Dice", "Tversky", "Jaccard", "Jensen", "Shannon", "Huber", "Gauss", "Poly"}


def metric_name(metric: str) -> str:
    return METRICS.get(metric, metric.replace("_", " "))


def value(number: float | None, metric: str) -> str:
    """A level of the metric: points of 100, or the plain figure."""
    if number is None:
        return NONE
    return f"{number:.3f}" if metric in PLAIN else f"{100 * number:.1f}"


def gain(number: float | None, metric: str, unit: bool = True) -> str:
    """A difference, signed: '+1.3 points', '+0.012'. Positive is always better (see the report's definition)."""
    if number is None:
        return NONE
    shown = _zero(f"{number:+.3f}" if metric in PLAIN else f"{100 * number:+.1f}")
    if metric in PLAIN or not unit:
        return shown
    return f"{shown} point" if shown.lstrip("+-") == "1.0" else f"{shown} points"


def span(interval: Interval, metric: str) -> str:
    """'0.2 to 2.4', in the unit of the metric."""
    if interval is None:
        return NONE
    low, high = (_zero(value(end, metric)) for end in interval)
    return f"{low} to {high}"


def gain_sentence(number: float | None, interval: Interval, metric: str) -> str:
    """'+1.3 points, 95 % interval 0.2 to 2.4'."""
    if number is None:
        return "not measured"
    return gain(number, metric) + (f", 95 % interval {span(interval, metric)}" if interval is not None else "")


def probability(number: float | None) -> str:
    if number is None:
        return NONE
    if 0 < number < 0.01:
        return "< 1 %"
    if 0.99 < number < 1:
        return "> 99 %"
    return f"{100 * number:.0f} %"


def figure(number: float | None) -> str:
    """A number whose unit only its sentence knows: three significant digits."""
    if number is None:
        return NONE
    if abs(number) >= 1000 or float(number).is_integer():
        return count(number)
    return f"{number:.3g}"


def count(number: float | None) -> str:
    return NONE if number is None else f"{number:,.0f}"


def learning_rate(number: float | None) -> str:
    return NONE if number is None else f"{number:g}"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return NONE
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"


def loss_name(name: str) -> str:
    """'GeneralizedCrossEntropyLoss' -> 'generalized cross-entropy'."""
    return re.sub(r"[A-Za-z]\w*", lambda match: _spoken(match.group()), name)


def parameters(values: Mapping[str, Any] | None) -> str:
    """'q = 0.7, tau = 1'; long values are cut, so that a list of 1000 class counts stays readable."""
    return ", ".join(f"{name} = {_short(item)}" for name, item in (values or {}).items())


def loss_with_parameters(name: str, values: Mapping[str, Any] | None) -> str:
    inside = parameters(values)
    return loss_name(name) + (f" ({inside})" if inside else "")


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def minus(text: str) -> str:
    """Real minus signs for the page. Terminals and LaTeX want the ASCII one, so this comes last."""
    return re.sub(r"(?<![\w-])-(?=[\d.])", "−", text)


def _spoken(name: str) -> str:
    pieces = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name.removesuffix("Loss"))
    words = [
        piece if piece in PROPER_NOUNS or (piece.isupper() and len(piece) > 1) else piece.lower() for piece in pieces
    ]
    return " ".join(words).replace("cross entropy", "cross-entropy")


def _short(item: Any) -> str:
    if isinstance(item, float):
        return f"{item:g}"
    text = str(item)
    if isinstance(item, list | tuple) and len(item) > 4:
        return f"[{len(item)} values]"
    return text if len(text) <= 40 else text[:39] + "…"


def _zero(text: str) -> str:
    """'-0.0' is a rounding artefact, not a sign."""
    return text.replace("-", "", 1) if text.startswith("-") and not text.strip("-0.") else text

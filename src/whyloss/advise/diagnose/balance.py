"""How many rows there are, of which class, and how many of them are the same row again.

Knows labels and the groups of equal rows; no probabilities are needed for any of this."""

import numpy as np

from whyloss.advise.diagnose.case import EQUAL_CLASSES, MOST_ROWS, Case, counted, percent, share, worst
from whyloss.advise.finding import Finding, Severity


def balance_findings(case: Case) -> list[Finding]:
    return [_imbalance(case), *_small(case), *_duplicates(case), *_conflicts(case)]


def _imbalance(case: Case) -> Finding:
    counts = np.bincount(case.label, minlength=len(case.classes))
    distinct = [len(np.unique(case.duplicates.group[case.label == code])) for code in range(len(case.classes))]
    rare, common = int(counts.argmin()), int(counts.argmax())
    ratio = counts[common] / max(int(counts[rare]), 1)
    cares = case.metric in EQUAL_CLASSES
    if ratio < 3:
        severity: Severity = "info"
    elif cares:
        severity = "serious" if ratio >= 30 else "warning" if ratio >= 10 else "note"
    else:
        severity = "note" if ratio >= 10 else "info"
    text = f"{case.classes[rare]} is the rarest class with {counts[rare]} of {case.rows} rows"
    text += f" ({percent(counts[rare] / case.rows)})"
    text += f", 1 for every {ratio:.1f} of {case.classes[common]}." if ratio >= 1.05 else "; the classes are even."
    if distinct[rare] < counts[rare]:
        text += f" Only {distinct[rare]} of them differ."
    if severity != "info":
        does = (
            "counts every class alike, so this matters"
            if cares
            else "does not count every class alike, so this matters less"
        )
        text += f" The metric {case.metric} {does}."
    return Finding(
        id="class_imbalance",
        severity=severity,
        text=text,
        value=float(counts[rare] / case.rows),
        interval=share(int(counts[rare]), case.rows),
        rows=[int(row) for row in np.flatnonzero(case.label == rare)[:MOST_ROWS]] if severity != "info" else [],
        advice="Tune the threshold, or correct the prior, first: it costs no training. Class weights and focal loss "
        "move calibration more than they move the ranking."
        if severity != "info"
        else "",
        details={
            "counts": {name: int(count) for name, count in zip(case.classes, counts, strict=True)},
            "distinct": dict(zip(case.classes, distinct, strict=True)),
            "intervals": {
                name: list(share(int(count), case.rows)) for name, count in zip(case.classes, counts, strict=True)
            },
            "ratio": float(ratio),
            "metric_cares": cares,
        },
    )


def _small(case: Case) -> list[Finding]:
    """Too few rows to measure a difference with: said by how well even a plain accuracy is known."""
    distinct = len(np.unique(case.duplicates.group))
    correct = case.rows - int(case.wrong.sum())
    low, high = share(round(correct / case.rows * distinct), distinct)
    smallest = int(np.bincount(case.label, minlength=len(case.classes)).min())
    half = (high - low) / 2
    if half < 0.03 and smallest >= 30:
        return []
    severity: Severity = "warning" if distinct < 200 or (smallest < 10 and case.metric in EQUAL_CLASSES) else "note"
    return [
        Finding(
            id="small_data",
            severity=severity,
            text=f"On {distinct} different rows accuracy is known to about ±{100 * half:.1f} points, and the rarest "
            f"class has {smallest} rows. Smaller differences between losses cannot be shown.",
            value=half,
            interval=(low, high),
            advice="More rows of the rarest class are worth more than any loss; else keep the simplest model and loss.",
            details={"rows": case.rows, "distinct": distinct, "smallest_class": smallest},
        )
    ]


def _duplicates(case: Case) -> list[Finding]:
    exact = case.duplicates.exact
    repeated = max(exact, case.duplicates.near)
    if not repeated:
        return []
    _, group, size = np.unique(case.duplicates.group, return_inverse=True, return_counts=True)
    sizes = size[group.reshape(-1)]
    rows = np.flatnonzero(sizes > 1)
    part = repeated / case.rows
    return [
        Finding(
            id="duplicates",
            severity="warning" if part >= 0.05 else "note" if part >= 0.005 else "info",
            text=f"{counted(exact, 'row repeats', 'rows repeat')} an earlier row exactly, and {repeated - exact} more "
            "up to rounding.",
            value=part,
            interval=share(repeated, case.rows),
            rows=worst(rows, sizes[rows].astype(float)),
            advice="Here equal rows stay in one fold. Keep them on one side of your own split too, or accuracy looks "
            "better than it is.",
            details={"exact": exact, "near": repeated, "largest": int(size.max())},
        )
    ]


def _conflicts(case: Case) -> list[Finding]:
    rows = np.asarray(case.duplicates.conflicts)
    if not len(rows):
        return []
    part = len(rows) / case.rows
    return [
        Finding(
            id="conflicting_duplicates",
            severity="warning" if case.duplicates.ceiling < 0.99 else "note",
            text=f"{len(rows)} rows have the same features as a row with another label. No model can be right on "
            f"more than {100 * case.duplicates.ceiling:.2f} % of these data.",
            value=part,
            interval=share(len(rows), case.rows),
            # Sets stand together, so that a reader sees the rows that contradict each other.
            rows=worst(rows, -case.duplicates.group[rows].astype(float)),
            advice="Look at them: settle the label, or add the feature that tells the rows apart.",
            details={"ceiling": case.duplicates.ceiling},
        )
    ]

"""Reading a table for advice: `read` and, under one name, what the next steps need of it.

The only part of `advise` that knows files, column types and label spelling; what leaves it is a clean `Table`.
Knows nothing of models and losses."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from whyloss.advise import columns, labels, leaks, sources
from whyloss.advise.encode import encoder
from whyloss.advise.finding import InputError
from whyloss.advise.names import resolve
from whyloss.advise.splits import Duplicates, duplicates, sample_rows, split
from whyloss.advise.table import Table

__all__ = ["Duplicates", "Table", "duplicates", "encoder", "read", "sample_rows", "split"]


def read(
    source: str | Path | pd.DataFrame | None = None,
    label: str | None = None,
    group: str | None = None,
    ordered: list[str] | None = None,
    drop: list[str] | None = None,
) -> Table:
    """The table in a file, a DataFrame or a bundled set (None: breast_cancer), or an `InputError` with the mend."""
    raw = sources.load(source, label, group)
    frame: Any = raw.frame
    column = raw.label
    names = [str(name) for name in frame.columns]
    dropped = [resolve(name, names, "--drop") for name in drop or []]
    grouping = None if group is None else resolve(group, names, "--group")
    if column in dropped:
        raise InputError(f"The label {column!r} cannot be left out: it is in --drop as well.")
    if grouping == column:
        raise InputError(
            f"The label {column!r} cannot be the group too. --group names what ties rows together, such as a patient."
        )
    codes, classes = labels.encode(frame[column], column, ordered)
    typed = columns.typed(frame.drop(columns=[column, *dropped, *([] if grouping is None else [grouping])]))
    reasons = [{"column": name, "reason": "left out by the user"} for name in dropped] + typed.dropped
    if typed.features.shape[1] == 0:
        raise _nothing_left(column, reasons)
    leaks_found = leaks.check(typed.features, typed.numeric, codes, classes, column)
    return Table(
        name=raw.name,
        features=typed.features,
        label=codes,
        classes=classes,
        groups=None if grouping is None else _groups(frame[grouping], grouping),
        numeric=typed.numeric,
        categorical=typed.categorical,
        ordered=ordered is not None,
        dropped=reasons,
        label_column=column,
        notes=[*raw.notes, *typed.notes, *leaks_found],
    )


def _groups(raw: Any, column: str) -> NDArray[np.int64]:
    """Group numbers; a row whose group is not known is a group of its own."""
    codes, values = pd.factorize(raw)
    lone = codes < 0
    result = codes.astype(np.int64)
    result[lone] = len(values) + np.arange(lone.sum())
    if len(values) + lone.sum() < 2:
        raise InputError(
            f"All rows have the same --group {column!r}, and a group is never cut. At least two groups are needed."
        )
    return result


def _nothing_left(column: str, reasons: list[dict[str, str]]) -> InputError:
    if not reasons:
        return InputError(
            f"There is no column beside the label {column!r}. At least one numeric or categorical feature is needed."
        )
    if all(reason["reason"].startswith(("constant", "every value is missing")) for reason in reasons):
        return InputError(
            f"All features are constant ({_listed(reasons)}): nothing tells the classes of {column!r} apart. "
            "Was the table filtered, or joined on the wrong key?"
        )
    return InputError(
        f"No numeric or categorical feature is left beside the label {column!r}: {_listed(reasons)}. "
        "Add features; for text or images, embeddings from a pretrained model serve well."
    )


def _listed(reasons: list[dict[str, str]]) -> str:
    shown = "; ".join(f"{reason['column']!r} ({reason['reason']})" for reason in reasons[:5])
    return shown if len(reasons) <= 5 else f"{shown}; and {len(reasons) - 5} more"

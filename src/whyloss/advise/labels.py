"""The label column: from raw values to codes and class names, or the reason why it cannot be one.

Knows nothing of features or files."""

import re
from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from whyloss.advise.finding import InputError
from whyloss.advise.names import listing

NO_LABEL = {"", "?", "na", "n/a", "nan", "null", "<na>", "nat"}  # not 'none', which is often a class
MANY = 20  # more different decimals than this are a quantity, not grades


def encode(raw: Any, column: str, ordered: list[str] | None) -> tuple[NDArray[np.int64], list[str]]:
    """Codes (N,) and class names: numbers by size, text by alphabet, or as `ordered` says."""
    raw_codes, distinct = pd.factorize(raw.astype(object))
    uniques: list[Any] = list(distinct)  # pyright: ignore[reportArgumentType]
    raw_names = [_shown(value) for value in uniques]
    _refuse_missing(raw_codes, raw_names, column)
    parsed: Any = pd.to_numeric(pd.Series(raw_names, dtype=object), errors="coerce")
    numbers = parsed.to_numpy(dtype=np.float64)
    is_numeric = not np.isnan(numbers).any()
    if is_numeric:
        names = [str(int(number)) if number.is_integer() else repr(float(number)) for number in numbers]
    else:
        names = raw_names
        _refuse_variants(
            np.bincount(raw_codes, minlength=len(uniques)), [str(value) for value in uniques], names, column
        )
    classes = sorted(set(names), key=float if is_numeric else str)
    code_of = {name: code for code, name in enumerate(classes)}
    codes = np.array([code_of[name] for name in names], dtype=np.int64)[raw_codes]
    _refuse_odd_counts(codes, classes, column, is_numeric)
    if ordered is None:
        return codes, classes
    order = [name.strip() for name in ordered]
    if sorted(order) != sorted(classes):
        lacking, extra = [c for c in classes if c not in order], [c for c in order if c not in classes]
        problem = f" Not listed: {listing(lacking)}." if lacking else ""
        problem += f" Not a class: {listing(extra)}." if extra else ""
        problem += " A class is listed twice." if not lacking and not extra else ""
        raise InputError(
            f"--ordered should list each class of {column!r} once, lowest first.{problem} "
            f"The classes are {listing(classes)}."
        )
    return np.array([order.index(name) for name in classes], dtype=np.int64)[codes], order


def _shown(value: Any) -> str:
    """A label as it is displayed: no white space around it, no quotes around it (ARFF habits), no '.0'."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    name = (value.decode(errors="replace") if isinstance(value, bytes) else str(value)).strip()
    quoted = re.fullmatch(r"(['\"])(.*)\1", name)
    return quoted[2].strip() if quoted else name


def _refuse_missing(raw_codes: NDArray[np.intp], raw_names: list[str], column: str) -> None:
    known = np.array([name.lower() not in NO_LABEL for name in raw_names] + [False])  # code -1 is missing
    rows = np.flatnonzero(~known[raw_codes])
    if not len(rows):
        return
    if len(rows) == len(raw_codes):
        raise InputError(f"The label column {column!r} is empty in all {len(rows)} rows. Is it the right column?")
    some = ", ".join(str(row) for row in rows[:5]) + (", …" if len(rows) > 5 else "")
    raise InputError(
        f"Labels are missing in {column!r}: {len(rows)} of {len(raw_codes)} rows "
        f"(row {some}; counted from 0 without the header). "
        "Every row needs a label: fill them in or drop those rows. If NA is the name of a class, rename it."
    )


def _refuse_variants(counts: NDArray[np.intp], raws: list[str], names: list[str], column: str) -> None:
    """Refuse one class under two spellings: they differ by white space, case or punctuation at the end only."""
    spellings: defaultdict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(names):
        key = name.casefold()
        spellings[key.rstrip(".,;:!").rstrip() or key].append(i)
    twice = [variants for variants in spellings.values() if len(variants) > 1]
    if not twice:
        return
    shown = "; ".join(" and ".join(f"{raws[i]!r} ({counts[i]} rows)" for i in variants) for variants in twice[:5])
    more = f"; and {len(twice) - 5} more" if len(twice) > 5 else ""
    strip = f"df[{column!r}] = df[{column!r}].str.strip().str.rstrip('.').str.lower()"
    raise InputError(
        f"The label in {column!r} is spelled two ways: {shown}{more}. They would count as different classes. "
        f"Write each class one way, for instance with pandas: {strip}. If they really differ, rename one."
    )


def _refuse_odd_counts(codes: NDArray[np.int64], classes: list[str], column: str, is_numeric: bool) -> None:
    rows, found = len(codes), len(classes)
    counts = np.bincount(codes, minlength=found)
    if found == 1:
        raise InputError(
            f"All {rows} labels in {column!r} are {classes[0]!r}: one class. There is nothing to tell apart; "
            "at least two classes are needed. Is it the right column, and the whole file?"
        )
    decimals = is_numeric and any(not float(name).is_integer() for name in classes)
    if is_numeric and ((decimals and found > MANY) or (found > 2.5 * MANY and counts.min() == 1)):
        raise InputError(
            f"The label {column!r} holds {found} different numbers in {rows} rows: a continuous quantity, "
            "not classes. For a quantity use a regression loss (squared error, Huber, quantile) or HL-Gauss, which "
            "trains a classifier over bins; or cut it into classes first, for instance with pandas.qcut. If another "
            "column holds the class, name it with --label."
        )
    if found == rows:
        raise InputError(
            f"All {rows} labels in {column!r} are different ({listing(classes, 3)}): an identifier, not a class. "
            "Name the column that holds the class with --label."
        )
    if found > rows / 2:
        quantity = " If it is a quantity, a regression loss or HL-Gauss fits better." if is_numeric else ""
        raise InputError(
            f"{column!r} has {found} classes for {rows} rows, fewer than two rows per class. "
            f"Is it the right column? If it is, merge classes or bring more rows.{quantity}"
        )
    single = np.flatnonzero(counts == 1)
    if len(single):
        which = listing([classes[code] for code in single], 5)
        places = ", ".join(str(int(np.flatnonzero(codes == code)[0])) for code in single[:5])
        subject = (
            f"Class {which} of {column!r} has one row" if len(single) == 1 else f"Classes {which} have one row each"
        )
        raise InputError(
            f"{subject} (row {places}, counted from 0 without the header), which cannot be both trained and tested on. "
            "Merge it with another class, drop it, or bring more rows of it."
        )

"""Column types: what is a number, a category, a date, and what cannot be learnt from at all.

Looks at the features alone, never at the label. Nothing is imputed or scaled here; that happens inside the folds."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from pandas.api import types

from whyloss.advise.finding import Finding
from whyloss.advise.names import listing
from whyloss.advise.text import MISSING

ID_NAME = re.compile(
    r"(?i:^(?:.*[_\W])?(?:id|uuid|guid)$|^(?:index|idx|rowid|row|unnamed_?: ?\d*|unnamed_\d+)$)|[a-z](?:Id|ID)$"
)
DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ]\d.*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}([T ]\d.*)?")
THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?")
DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")
PROSE = 30  # characters on average: longer unique strings are prose rather than codes
ROW_NUMBERS = 10  # fewer rows than this may count upwards by chance
CATEGORIES = 30  # a column called an id with no more values than this may be a category all the same
STRAY = 0.05  # share of words in a column of numbers that are read as missing
SMALL: tuple[Any, ...] = (np.float16, np.float32, np.uint8, np.int8, np.uint16, np.int16)  # exact in float32
Kind = Literal["number", "date", "category", "other"]
INFINITE = 1e38  # the range of float32; larger numbers are codes for "no value"
BUNDLE = 10  # more columns than this dropped for one reason are listed together


@dataclass(eq=False)
class Typed:
    features: pd.DataFrame = field(default_factory=pd.DataFrame)
    numeric: list[str] = field(default_factory=list[str])
    categorical: list[str] = field(default_factory=list[str])
    dropped: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    notes: list[Finding] = field(default_factory=list[Finding])


def typed(frame: Any) -> Typed:
    """Each column as float (numbers, days) or text (categories), NaN where missing; or dropped, with the reason."""
    result = Typed()
    kept: dict[str, Any] = {}
    dropped: dict[str, list[str]] = {}
    for name in map(str, frame.columns):
        kind, column = _column(name, frame[name], result.notes)
        reason = "a cell holds more than one value" if kind == "other" else _useless(name, kind, column, result.notes)
        if reason:
            dropped.setdefault(reason, []).append(name)
            continue
        kept[name] = column
        (result.categorical if kind == "category" else result.numeric).append(name)
    result.features = pd.DataFrame(kept, index=frame.index)
    for reason, names in dropped.items():
        if len(names) > BUNDLE:
            names = [f"{', '.join(names[:3])} and {len(names) - 3} more"]
        result.dropped += [{"column": name, "reason": reason} for name in names]
    return result


def _column(name: str, raw: Any, notes: list[Finding]) -> tuple[Kind, Any]:
    if types.is_bool_dtype(raw.dtype):
        return "category", raw.astype(object).map({True: "True", False: "False"}).astype(object)
    if types.is_datetime64_any_dtype(raw.dtype):
        return "date", _days(raw)
    if types.is_timedelta64_dtype(raw.dtype):
        return "number", raw.dt.total_seconds() / 86400
    if types.is_complex_dtype(raw.dtype):
        return "other", raw
    if types.is_numeric_dtype(raw.dtype):
        floats = raw.astype("float32" if raw.dtype in SMALL else "float64")
        return "number", floats.where(floats.abs() < INFINITE)
    try:
        codes, uniques = pd.factorize(raw.astype(object))
    except TypeError:  # lists, arrays and other things that cannot be compared
        return "other", raw
    words = pd.Series([str(value).strip().strip("'\"") for value in uniques], dtype=object)
    words[words.isin(MISSING)] = np.nan
    kind, values = _meaning(name, words, np.bincount(codes[codes >= 0], minlength=len(words)), notes)
    lookup = np.append(values.to_numpy(), np.nan)  # code -1 is missing
    return kind, pd.Series(lookup[codes], index=raw.index, name=name)


def _meaning(name: str, words: Any, counts: np.ndarray, notes: list[Finding]) -> tuple[Kind, Any]:
    """Different texts as numbers or days if they are that, else as they are."""
    known = words.notna()
    numbers = _numbers(words)
    stray = known & numbers.isna()
    if not stray.any():
        return "number", numbers
    if counts[stray].sum() <= STRAY * counts[known].sum() and stray.sum() < numbers.notna().sum():
        strays, rows = listing([str(word) for word in words[stray]], 5), counts[stray].sum()
        text = f"Column {name!r} holds numbers and, in {rows} rows, the text {strays}, which is read as missing."
        notes.append(Finding("text_in_numbers", "note", text, advice="Check that these cells mean 'not known'."))
        return "number", numbers
    if all(DATE.fullmatch(str(word)) for word in words[known][:50]):
        first = words[known].str.extract(r"^(\d+)[-/.](\d+)[-/.]\d{4}")[0].astype(float)
        dates: Any = pd.to_datetime(words, errors="coerce", format="mixed", dayfirst=bool((first > 12).any()), utc=True)
        if dates.notna().sum() >= (1 - STRAY) * known.sum():
            return "date", _days(dates)
    return "category", words


def _numbers(words: Any) -> Any:
    """Texts as floats, NaN where they are not numbers; 1,234 is a thousand only if all commas stand like that."""
    known = words.dropna()
    commas = known[known.astype(str).str.contains(",", regex=False)]
    if len(commas) and all(THOUSANDS.fullmatch(word) for word in commas):
        words = words.str.replace(",", "", regex=False)
    elif len(commas) and all(DECIMAL_COMMA.fullmatch(word) for word in commas):
        words = words.str.replace(",", ".", regex=False)
    parsed: Any = pd.to_numeric(words, errors="coerce")
    numbers = parsed.astype("float64")
    return numbers.where(numbers.abs() < INFINITE)


def _days(dates: Any) -> Any:
    zone = dates.dt.tz_convert("UTC").dt.tz_localize(None) if dates.dt.tz is not None else dates
    return (zone - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)


def _useless(name: str, kind: Kind, column: Any, notes: list[Finding]) -> str:
    """Why nothing that holds for new rows can be learnt from this column; '' if something may."""
    known = column.dropna()
    rows, distinct = len(known), known.nunique()
    if not rows:
        return "every value is missing"
    if distinct == 1 and rows == len(column):
        return "constant: one value in every row"
    called_id = ID_NAME.search(name) is not None
    if kind == "date":
        return ""
    if kind == "number":
        whole = bool((known == known.round()).all())
        steps = np.diff(known.to_numpy())
        if whole and rows == len(column) and rows >= ROW_NUMBERS and (steps == 1).all():
            return "row number: counts up by one"
        if not (whole and called_id):
            return ""
    elif distinct == rows and rows > 1:
        return (
            "free text: every row different" if known.str.len().mean() >= PROSE else "identifier: every value different"
        )
    elif distinct > rows / 2 and known.str.len().mean() >= PROSE:
        return "free text: most rows different"
    if called_id and (distinct > CATEGORIES or distinct > rows / 2):
        if distinct < rows:
            text = (
                f"Column {name!r} looks like an identifier: {distinct} values in {rows} rows, so rows belong together."
            )
            advice = f"If rows of one {name!r} are alike, keep them in one fold: --group {name}."
            notes.append(Finding("id_with_repeats", "warning", text, value=float(distinct), advice=advice))
        return "identifier by its name"
    return ""

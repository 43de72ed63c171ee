"""Text tables: delimiter, header, encoding, and the raw frame with its label column left exactly as written.

Knows nothing of column types beyond what it takes to tell a header from data."""

import codecs
import csv
import gzip
import re
import zlib
from pathlib import Path

import pandas as pd

from whyloss.advise.finding import Finding, InputError
from whyloss.advise.names import listing, resolve

HEAD = 1 << 17  # bytes looked at to guess the format
MISSING = ("", "?", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "none", "<NA>", "NaT", "#N/A")
NUMBER = re.compile(r"\s*['\"]?[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?['\"]?\s*")
TYPICAL_LABELS = ("label", "labels", "class", "target", "y", "outcome")


def needed(label: str | None, columns: list[str]) -> str:
    """The label's name, or the refusal for want of one."""
    if label is not None:
        return label
    likely = [column for column in columns if column.strip().lower() in TYPICAL_LABELS]
    hint = f"--label {likely[0]} looks right" if likely else f"the last column would be --label {columns[-1]}"
    raise InputError(f"Which column is the label? Name it with --label; {hint}. The columns are {listing(columns)}.")


def read_text(path: Path, label: str | None, zipped: bool) -> tuple[pd.DataFrame, str, list[Finding]]:
    head, encoding = _head(path, zipped)
    delimiter, rows = _cells(path, head)
    notes: list[Finding] = []
    header = _has_header(rows, label)
    if header:
        names = _distinct([cell.strip() or f"unnamed_{i}" for i, cell in enumerate(rows[0])])
        column = resolve(needed(label, names), names, "--label")
    else:
        names = [f"c{i}" for i in range(len(rows[0]))]
        if label in (None, "label"):
            names[-1] = "label"
        try:
            column = resolve(label or "label", names, "--label")
        except InputError as error:
            raise InputError(f"{error} {path.name} has no header row: name the label by its number, from 0.") from None
        columns = f"the columns are called {names[0]} to {names[-2]}, and the last one is taken as the label"
        if names[-1] != "label":
            columns = f"the columns are called {names[0]} to {names[-1]}"
        notes.append(
            Finding(
                "no_header",
                "info",
                f"The file has no header row: {columns}.",
                advice="Name another label by its number (from 0).",
            )
        )
    options: dict[str, object] = {
        "sep": delimiter,
        "header": 0 if header else None,
        "names": names,
        "index_col": False,
        # The label stays as written, so that two spellings of one class are seen and not mended in silence.
        "dtype": {column: str},
        "na_values": {
            name: [f"{pad}{token}" for pad in ("", " ") for token in MISSING] for name in names if name != column
        },
        "keep_default_na": False,
        "skipinitialspace": _spaced(head, delimiter),
        "compression": "gzip" if zipped else None,
        "low_memory": False,
    }
    frame = _parse(path, encoding, options)
    if frame.empty:
        raise InputError(f"{path.name} has a header ({listing(names)}) but no data rows.")
    return frame, column, notes


def _parse(path: Path, encoding: str, options: dict[str, object]) -> pd.DataFrame:
    try:
        return pd.read_csv(path, encoding=encoding, **options)  # pyright: ignore[reportCallIssue, reportArgumentType]
    except UnicodeDecodeError:  # the first bytes were plain ASCII, a later one is not UTF-8
        return _parse(path, "latin-1", options)
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        reason = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise InputError(
            f"{path.name} is not a regular table: {reason}. Every line needs the same number of cells; a cell that "
            "holds the delimiter must be in double quotes."
        ) from None
    except (EOFError, zlib.error, OSError) as error:
        raise InputError(f"{path.name} cannot be read to its end: {error}. It may be damaged or cut short.") from None


def _head(path: Path, zipped: bool) -> tuple[str, str]:
    try:
        with gzip.open(path) if zipped else path.open("rb") as file:
            start = file.read(HEAD)
    except (EOFError, zlib.error, OSError) as error:
        raise InputError(f"{path.name} is compressed but cannot be unpacked: {error}.") from None
    encodings = ("utf-16",) if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else ("utf-8-sig", "latin-1")
    head, encoding = "", ""
    for encoding in encodings:
        try:
            head = codecs.getincrementaldecoder(encoding)().decode(start)  # a character may be cut at the end
            break
        except UnicodeDecodeError:
            continue
    if not head.strip():
        raise InputError(f"{path.name} is empty: there is no text in it. Was the file written to its end?")
    odd = sum(not (char.isprintable() or char in "\t\r\n") for char in head)
    if "\0" in head or odd > 0.02 * len(head):
        raise InputError(f"{path.name} is not text, so it is not a CSV file. Expected a table with one row per line.")
    if head.lstrip().lower().startswith(("@relation", "%")) and "@attribute" in head.lower():
        raise InputError(
            f"{path.name} is an ARFF file, which is not read here. Save it as CSV (what follows @data is CSV already)."
        )
    return head, encoding


def _cells(path: Path, head: str) -> tuple[str, list[list[str]]]:
    """The delimiter under which most lines have equally many cells, at least two, and the first lines cut by it."""
    lines = head.splitlines(keepends=True)
    lines = lines[:-1] if len(head) >= HEAD // 2 and len(lines) > 1 else lines  # the last may be cut
    best: tuple[float, int, str, list[list[str]]] = (0.0, 1, ",", [])
    for delimiter in (",", ";", "\t"):
        try:
            rows = [
                row
                for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=_spaced(head, delimiter))
                if any(cell.strip() for cell in row)
            ][:200]
        except csv.Error:
            continue
        width = len(rows[0]) if rows else 1
        share = sum(len(row) == width for row in rows) / max(len(rows), 1)
        if width > 1 and (round(share, 1), width) > best[:2]:
            best = (round(share, 1), width, delimiter, rows)
    share, width, delimiter, rows = best
    if share < 0.5:
        raise InputError(
            f"{path.name} is not a table: neither comma, semicolon nor tab cuts its lines into equally many cells. "
            "Expected one row per line, a label column and at least one feature column."
        )
    return delimiter, [row for row in rows if len(row) == width]


def _has_header(rows: list[list[str]], label: str | None) -> bool:
    """Whether the first row names the columns. Strongest sign first."""
    first, below = [cell.strip() for cell in rows[0]], rows[1:]
    numbers = [_number(cell) for cell in first]
    if label is not None and label in first and not _number(label):
        return True
    for name, is_number, cells in zip(first, numbers, zip(*below, strict=True), strict=False):
        known = [cell for cell in cells if cell.strip() not in MISSING]
        if name not in MISSING and not is_number and known and all(_number(cell) for cell in known):
            return True  # a word on top of numbers
    counted = [cell for cell, is_number in zip(first, numbers, strict=True) if is_number]
    if any(numbers):  # numbers in the first row are data, unless they count the columns
        return len(counted) > 3 and counted == [str(i) for i in range(len(counted))]
    if len(set(first)) < len(first):  # column names do not repeat
        return False
    return not below or not all(
        name in {c.strip() for c in cells} for name, cells in zip(first, zip(*below, strict=True), strict=True)
    )


def _spaced(head: str, delimiter: str) -> bool:
    """Whether quotes follow the delimiter only after a space; they would count as text otherwise."""
    return re.search(rf'{delimiter} +"', head) is not None


def _number(cell: str) -> bool:
    return NUMBER.fullmatch(cell) is not None


def _distinct(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    result: list[str] = []
    for name in names:
        seen[name] = seen.get(name, -1) + 1
        result.append(f"{name}.{seen[name]}" if seen[name] else name)
    return result

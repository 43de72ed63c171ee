"""Reports in a folder, each file whole or not at all.

Knows the file system, and neither what a report says nor how it looks."""

import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..finding import InputError
from .view import Report


def write(report: Report, folder: str | Path) -> dict[str, Path]:
    """Write both files and return where they lie: {"html": ..., "json": ...}. The same report gives the same bytes."""
    from .page import render  # the charts' libraries take a moment to load, and only a page needs them

    plain = clean(report)
    paths = put(folder, {"report.json": as_text(plain), "report.html": render(plain)})
    return {kind: paths[f"report.{kind}"] for kind in ("json", "html")}


def put(folder: str | Path, texts: Mapping[str, str]) -> dict[str, Path]:
    """Write files into a folder, which is made if it is not there, each whole or not at all; return where they lie."""
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
        return {name: _replace(place / name, text) for name, text in texts.items()}
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"The report cannot be written to '{place}': {reason}. Name a folder that you may write to with --out."
        ) from None


def as_text(plain: Any) -> str:
    return json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _replace(path: Path, text: str) -> Path:
    """Through a file beside it, so that a reader never sees half a report, nor a crash leaves one."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(draft, 0o644)  # a temporary file is born for its owner's eyes only
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return path


def clean(item: Any) -> Any:
    """Plain JSON: names are strings, NumPy numbers are numbers, and what is not finite is null."""
    if isinstance(item, Mapping):
        return {str(name): clean(inner) for name, inner in item.items()}
    if isinstance(item, str | bool) or item is None:
        return item
    if hasattr(item, "tolist"):  # NumPy arrays and numbers
        return clean(item.tolist())
    if isinstance(item, list | tuple):
        return [clean(inner) for inner in item]
    if isinstance(item, float):
        return item if math.isfinite(item) else None
    return item if isinstance(item, int) else str(item)

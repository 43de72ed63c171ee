"""What was measured, for people and programs: tables in the terminal or in Markdown, bench.json and one page.

Knows the records, never how their figures were got."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whyloss.advise.report.files import as_text, put

from .table import markdown
from .terminal import show

__all__ = ["markdown", "save", "show", "write"]


def save(report: Mapping[str, Any], folder: Path) -> None:
    """bench.json alone."""
    put(folder, {"bench.json": as_text(report)})


def write(report: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """bench.json and bench.html: their names and where they lie."""
    from .page import render  # templates and charts take a moment to load

    return put(folder, {"bench.json": as_text(report), "bench.html": render(report)})

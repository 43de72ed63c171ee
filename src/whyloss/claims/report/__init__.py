"""The results of the claims for people and programs: a table in the terminal, claims.json, and pages that need nothing.

Knows what was found, never how it was run."""

from collections.abc import Sequence
from pathlib import Path

from whyloss.advise.report.files import as_text, clean, put
from whyloss.claims.run import Opposed, Settled

from .records import Record, Run, records
from .terminal import show

__all__ = ["Record", "Run", "records", "show", "write"]


def write(
    settled: Sequence[Settled], opposed: Sequence[Opposed], found: Sequence[Record], run: Run, folder: Path
) -> dict[str, Path]:
    """claims.json, claims.html and a page for each contradiction: their names and where they lie."""
    from .page import render  # the templates and the charts take a moment to load

    plain = clean(list(found))
    return put(folder, {**render(settled, opposed, plain, run), "claims.json": as_text(plain)})

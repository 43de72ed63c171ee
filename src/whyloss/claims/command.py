"""The whole of `whyloss claims`: names of claims in; records, pages and progress out.

Knows the order of the work, and none of it itself."""

from collections.abc import Sequence
from pathlib import Path

import joblib
from rich.console import Console

from whyloss.advise.finding import InputError
from whyloss.advise.report import Steps
from whyloss.claims import book
from whyloss.claims.claim import Language, Scale
from whyloss.claims.report import Record, Run, chrome, records, write
from whyloss.claims.run import oppose, settle, versions


def claims(
    ids: Sequence[str] = (),
    *,
    quick: bool = False,
    seed: int = 0,
    out: Path = Path("whyloss-claims"),
    jobs: int | None = None,
    language: Language = "en",
    console: Console | None = None,
    command: str = "",
) -> list[Record]:
    """Settle what was asked for, all claims if nothing was; write claims.json and the pages into `out`."""
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs is {jobs}, but at least one process is needed.")
    say = chrome.words(language)
    scale = Scale(seed, quick)
    wanted, pairs = book.chosen(ids)
    parts = {(claim.experiment.name, part) for claim in wanted for part in claim.experiment.parts}
    processes = max(1, min(jobs or joblib.cpu_count(), len(parts)))
    try:
        with Steps(console or Console(quiet=True), chrome.STEPS[language]) as steps:
            settled = settle(wanted, scale, out, processes, steps, say["stage"])
    except KeyboardInterrupt:
        raise KeyboardInterrupt(say["interrupted"]) from None
    opposed = oppose(pairs, settled)
    run = Run(scale, language, command, versions())
    found = records(settled, opposed, run)
    write(settled, opposed, found, run, out)
    return found

"""A run of the claims: experiments once each, side by side and resumable; then cells, verdicts and one record a claim.

The only file that knows both how experiments are run and how results are judged."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from whyloss import __version__
from whyloss.advise.finding import InputError
from whyloss.advise.ledger import Records
from whyloss.advise.report import Steps
from whyloss.advise.work import Job, finish
from whyloss.claims.claim import Claim, Contradiction, Curve, Results, Scale
from whyloss.claims.verdict import Cell, Verdict, combine, judge, under

PROTOCOLS = ("fixed", "tuned")


@dataclass(frozen=True)
class Settled:
    """A claim with what the runs found."""

    claim: Claim
    cells: tuple[Cell, ...]
    curves: tuple[Curve, ...]
    verdict: Verdict
    protocols: dict[str, Verdict | None]  # None where the claim has no cell under that protocol
    seconds: float


@dataclass(frozen=True)
class Opposed:
    """A contradiction with its two sides."""

    contradiction: Contradiction
    sides: tuple[Settled, Settled]


def settle(
    claims: Sequence[Claim], scale: Scale, out: Path, jobs: int, steps: Steps, stage: str = "claims"
) -> list[Settled]:
    """Run what the claims need, each experiment once; what an interrupted run has finished is not run again."""
    ledger = Records(out / "trials")
    todo = {
        (claim.experiment.name, part): Job(
            {
                "experiment": claim.experiment.name,
                "part": part,
                "seed": scale.seed,
                "quick": scale.quick,
                **versions(),
            },
            measure,
            (claim.experiment.run, part, scale),
        )
        for claim in claims
        for part in claim.experiment.parts
    }
    steps.start(stage, len(todo))
    found = finish(todo, ledger, jobs, progress=lambda: steps.advance(stage))
    steps.finish()
    return [
        _settled(claim, [found[claim.experiment.name, part] for part in claim.experiment.parts]) for claim in claims
    ]


def measure(run: Any, part: str, scale: Scale) -> dict[str, Any]:
    """One part of an experiment, as it goes into the ledger."""
    torch.set_num_threads(1)  # two busy threads on two busy cores wait for each other
    begun = perf_counter()
    results: Results = run(part, scale)
    return {**results.as_json(), "seconds": perf_counter() - begun}


def _settled(claim: Claim, parts: Sequence[dict[str, Any]]) -> Settled:
    results = [Results.from_json(part) for part in parts]
    statements = {statement.key: statement for statement in claim.statements}
    cells = tuple(
        judge(measured, statements[measured.statement])
        for result in results
        for measured in result.measured
        if measured.statement in statements
    )
    if not cells:
        raise InputError(f"The experiment of {claim.id} measured nothing that the claim states.")
    curves = tuple(curve for result in results for curve in result.curves)
    protocols = {name: combine(chosen) if (chosen := under(cells, name)) else None for name in PROTOCOLS}
    return Settled(claim, cells, curves, combine(cells), protocols, sum(part["seconds"] for part in parts))


def oppose(contradictions: Sequence[Contradiction], settled: Sequence[Settled]) -> list[Opposed]:
    by_id = {item.claim.id: item for item in settled}
    return [Opposed(pair, (by_id[pair.sides[0]], by_id[pair.sides[1]])) for pair in contradictions]


@cache
def versions() -> dict[str, str]:
    """What a result depends on besides its seed: torch, and the code of the experiments and of the losses."""
    digest = hashlib.sha256()
    folders = ("whyloss.claims.sentences", "whyloss.claims.lab", "whyloss.losses", "whyloss.stats")
    for folder in folders:
        for file in sorted(files(folder).iterdir(), key=lambda file: file.name):
            if file.name.endswith(".py"):
                digest.update(file.read_bytes())
    return {"whyloss": __version__, "torch": str(torch.__version__), "code": digest.hexdigest()[:16]}

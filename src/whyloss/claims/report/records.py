"""What the runs found as records for other programs: one for each claim, then one for each contradiction.

The names of their fields are a promise. Knows how results are told, not how they are shown."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from whyloss.claims.claim import Language, Scale
from whyloss.claims.run import PROTOCOLS, Opposed, Settled
from whyloss.claims.verdict import Cell, Verdict, under, weigh

from . import wording
from .wording import OUTCOMES, Speaker, weighed_text

Record = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """How the results were got, and in which language they are told."""

    scale: Scale = field(default_factory=Scale)
    language: Language = "en"
    command: str = "whyloss claims"
    versions: dict[str, str] = field(default_factory=dict[str, str])


def records(settled: Sequence[Settled], opposed: Sequence[Opposed], run: Run) -> list[Record]:
    return [*(claim_record(item, run) for item in settled), *(contradiction_record(pair, run) for pair in opposed)]


def claim_record(settled: Settled, run: Run) -> Record:
    """`verdict` and every key of a condition are the same in all languages; texts are in the language of the run."""
    claim = settled.claim
    speaker = Speaker(claim, run.language)
    return {
        "id": claim.id,
        "sentence": speaker.say(claim.sentence),
        **_verdict(settled.verdict, settled.cells, speaker, run.scale.quick),
        "seconds": settled.seconds,
        **_run(run),
        "protocols": {
            name: _verdict(verdict, under(settled.cells, name), speaker) if verdict else None
            for name in PROTOCOLS
            for verdict in (settled.protocols[name],)
        },
        "protocols_differ": differ(settled),
        "statements": {
            s.key: {
                "text": speaker.say(s.text),
                "measure": speaker.say(s.measure),
                "margin": s.margin,
                "unit": s.unit,
                "kind": s.kind,
            }
            for s in claim.statements
        },
        "cells": [{**_figure(cell, speaker), "answer": cell.answer} for cell in settled.cells],
        "setting": speaker.say(claim.setting),
        "formula": claim.formula,
        "instead": speaker.say(claim.instead),
    }


def contradiction_record(pair: Opposed, run: Run) -> Record:
    """Its figure is the weaker of the two that the sides rest on."""
    found = weigh(pair.sides[0].verdict, pair.sides[1].verdict)
    speakers = [Speaker(side.claim, run.language) for side in pair.sides]
    verdicts = [side.verdict for side in pair.sides]
    weaker = next(s for s, v in zip(speakers, verdicts, strict=True) if v.deciding is found.deciding)
    spoken = list(zip(speakers, verdicts, strict=True))
    return {
        "id": pair.contradiction.id,
        "sentence": speakers[0].say(pair.contradiction.question),
        "verdict": found.word,
        "verdict_text": OUTCOMES[found.word].say(run.language),
        **_figure(found.deciding, weaker),
        "text": weighed_text(found, spoken, run.language, run.scale.quick),
        "seconds": sum(side.seconds for side in pair.sides),
        **_run(run),
        "sides": [
            {
                "id": side.claim.id,
                "sentence": speaker.say(side.claim.sentence),
                "right": right,
                **_verdict(side.verdict, side.cells, speaker),
            }
            for side, speaker, right in zip(pair.sides, speakers, found.right, strict=True)
        ],
        "instead": speakers[0].say(pair.contradiction.instead),
    }


def differ(settled: Settled) -> bool:
    """Whether tuning changes the verdict, of the whole or of a statement."""
    found = [
        (verdict.word, [(key, part.word) for key, part in verdict.parts])
        for verdict in settled.protocols.values()
        if verdict
    ]
    return any(one != found[0] for one in found)


def _verdict(verdict: Verdict, cells: Sequence[Cell], speaker: Speaker, quick: bool = False) -> Record:
    return {
        "verdict": verdict.word,
        "verdict_text": wording.verdict(verdict.word, speaker.language),
        **_figure(verdict.deciding, speaker),
        "condition": [dict(where) for where in verdict.condition],
        "condition_text": speaker.condition(verdict.condition),
        "against": _figure(verdict.against, speaker) if verdict.against else None,
        "text": speaker.text(verdict, cells, quick),
        "parts": [
            {
                "statement": key,
                "claimed": speaker.say(speaker.statement(key).text),
                "verdict": part.word,
                "verdict_text": wording.verdict(part.word, speaker.language),
                "condition": [dict(where) for where in part.condition],
                "condition_text": speaker.condition(part.condition),
                "text": speaker.part(key, part),
            }
            for key, part in verdict.parts
        ],
    }


def _figure(cell: Cell, speaker: Speaker) -> Record:
    """A figure and its interval in its unit: "points" are shares of 1, a "factor" is a base-2 logarithm."""
    return {
        "protocol": cell.where["protocol"],
        "figure": cell.mean,
        "interval": [cell.low, cell.high],
        "margin": cell.margin,
        "unit": speaker.statement(cell.statement).unit,
        "seeds": cell.seeds,
        "statement": cell.statement,
        "where": {name: key for name, key in cell.where.items() if name != "statement"},
        "figure_text": speaker.mean(cell),
        "interval_text": speaker.span(cell),
    }


def _run(run: Run) -> Record:
    return {
        "quick": run.scale.quick,
        "seed": run.scale.seed,
        "language": run.language,
        "command": run.command,
        "versions": run.versions,
    }

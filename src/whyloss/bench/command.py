"""The whole of `whyloss bench`: what to measure in; records, files and progress out.

Knows the order of the work, and none of it itself."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from whyloss.advise.finding import InputError
from whyloss.advise.report.files import clean, put

from . import peers as others
from .case import HEADS, Case, Dtype, chosen
from .edges.run import conform
from .floors import Floors, measure
from .implementations import implementations
from .inputs import make
from .machine import machine, versions
from .memory import exhausted
from .progress import Bar
from .report import save, write
from .run import Effort, Record, compare, first_line
from .subjects import QUICK, Subject, selected

QUICK_EFFORT = Effort(rounds=10, seconds=0.3)


@dataclass
class Report:
    """What bench.json holds. `finished` is false where the run was interrupted."""

    command: str
    seed: int
    machine: dict[str, Any]
    versions: dict[str, str]
    floors: dict[str, Any] = field(default_factory=dict[str, Any])
    peers: list[Record] = field(default_factory=list[Record])
    seconds: float = 0.0
    finished: bool = False
    rows: list[Record] = field(default_factory=list[Record])
    edges: Record | None = None

    def plain(self) -> Record:
        return clean(vars(self))


def bench(
    patterns: Sequence[str] = (),
    *,
    losses: Sequence[str] = (),
    device: str | None = None,
    dtype: Dtype | None = None,
    rounds: int | None = None,
    seconds: float | None = None,
    quick: bool = False,
    compiled: bool | None = None,
    edges: bool = False,
    threads: int = 1,
    seed: int = 0,
    out: Path = Path("whyloss-bench"),
    peers: Sequence[others.Peer] = others.PEERS,
    console: Console | None = None,
    command: str = "whyloss bench",
) -> Record:
    """Measure what was asked for and write bench.json and bench.html into `out`; interrupted, what there is.

    With `edges` the edge contract instead, or besides where cases or losses are named."""
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device is cuda, but torch sees no CUDA device here. Leave it out, or use --device cpu.")
    usual = QUICK_EFFORT if quick else Effort()
    effort = Effort(usual.rounds if rounds is None else rounds, usual.seconds if seconds is None else seconds)
    for name, value in (("rounds", effort.rounds), ("seconds", effort.seconds), ("threads", threads)):
        if not value > 0:
            raise InputError(f"--{name} is {value}, but more than 0 is needed.")
    work = list[tuple[Case, Subject]]()
    report = Report(command, seed, machine(device, threads), versions())
    if not edges or patterns or losses:
        work = _work(chosen(patterns, device, dtype, quick), selected(losses or (QUICK if quick else ())))
        report.peers = _peers(peers, device)
    _check_folder(out)
    began, before = time.perf_counter(), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with Bar(console or Console(quiet=True), len(work) + edges) as bar:
            if edges:
                report.edges = conform(began=lambda name: bar.begin("edges", name))
                bar.done()
            for rows in _measure(work, report, effort, device == "cuda" if compiled is None else compiled, peers, bar):
                report.rows += rows
                report.seconds = time.perf_counter() - began
                save(report.plain(), out)  # a peer that brings the process down costs one comparison
        report.finished = True
    except KeyboardInterrupt:
        kept = f"What was measured is in {out}." if report.rows or report.edges else "Nothing was measured yet."
        raise KeyboardInterrupt(f"Interrupted. {kept}") from None
    except RuntimeError as error:
        if "CUDA error" not in str(error):
            raise
        raise InputError(
            f"The device failed after {len(report.rows)} rows, and cannot be used again in this process: "
            f"{first_line(error)} What was measured is in {out}; measure the remaining cases apart."
        ) from None
    finally:
        torch.set_num_threads(before)
        report.seconds = time.perf_counter() - began
        if report.rows or report.edges:
            write(report.plain(), out)
    return report.plain()


def _check_folder(out: Path) -> None:
    """Before the minutes of work: whether the results can be written at all."""
    put(out, {})
    if not os.access(out, os.W_OK):
        raise InputError(f"Nothing can be written to '{out}'. Name a folder that you may write to with --out.")


def _work(cases: Sequence[Case], subjects: Sequence[Subject]) -> list[tuple[Case, Subject]]:
    work = [(case, subject) for case in cases for subject in subjects if case.kind in subject.kinds]
    if not work:
        kinds = ", ".join(dict.fromkeys(case.kind for case in cases))
        fitting = [s.name for s in selected(()) if any(case.kind in s.kinds for case in cases)]
        raise InputError(f"None of these losses is measured on {kinds}. There it is: {', '.join(fitting)}.")
    return work


def _measure(
    work: Sequence[tuple[Case, Subject]],
    report: Report,
    effort: Effort,
    compiled: bool,
    peers: Sequence[others.Peer],
    bar: Bar,
) -> Iterator[list[Record]]:
    """The records of each comparison as it ends."""
    device = report.machine["device"]
    if not work:
        return
    floors = measure(device, [case.dtype for case, _ in work if case.kind in HEADS])
    report.floors = _told(floors)
    made: Case | None = None
    inputs: Any = None
    for case, subject in work:
        bar.begin(case.name, subject.name)
        try:
            if case != made:
                inputs = None  # the old ones go before the new ones come
                inputs, made = make(case, device, report.seed), case
            ways = implementations(case, subject, inputs, compiled, peers)
            yield compare(case, subject, inputs, ways, floors, effort)
        except (RuntimeError, MemoryError) as error:
            if not exhausted(error):
                raise
            made = None
            yield [_too_large(case, subject, device)]
        bar.done()


def _too_large(case: Case, subject: Subject, device: str) -> Record:
    told = {"case": case.name, "kind": case.kind, "shape": list(case.shape), "dtype": case.dtype, "device": device}
    nothing = dict.fromkeys(
        (
            *("forward_ms", "total_ms", "extra_mib", "of_floor", "error", "ratio", "graph_total_ms"),
            *("value_error", "gradient_error", "floor_forward_ms", "floor_total_ms"),
        )
    )
    note = "The inputs do not fit into the memory of the device."
    about = {"loss": subject.name, "implementation": "all", "family": "whyloss", "note": note, "wrong": False}
    return told | about | nothing


def _told(floors: Floors) -> Record:
    rates = {dtype: rate / 1e12 for dtype, rate in floors.product.items()}
    return {"copy_gb_per_s": floors.copy / 1e9, "product_tflops": rates}


def _peers(peers: Sequence[others.Peer], device: str) -> list[Record]:
    return [
        {"package": peer.package, "version": peer.version, "status": peer.status(device) or "measured"}
        for peer in peers
    ]

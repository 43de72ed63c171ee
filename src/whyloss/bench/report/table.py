"""The rows of a comparison as cells, the same in the terminal, in Markdown and on the page.

Knows the fields of a record."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from . import edges, figures

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """One loss on one case: what was measured, and what was not, with the reason."""

    loss: str
    floor: str
    head: tuple[str, ...]
    measured: tuple[tuple[Record, tuple[str, ...]], ...]
    failed: tuple[Record, ...]


def cases(rows: Sequence[Record]) -> Iterator[tuple[Record, list[Comparison]]]:
    """Each case, told by its first record, and its comparisons."""
    for _, found in groupby(rows, key=lambda row: row["case"]):
        records = list(found)
        yield records[0], [_comparison(list(one)) for _, one in groupby(records, key=lambda row: row["loss"])]


def _comparison(rows: Sequence[Record]) -> Comparison:
    graph = any(row["graph_total_ms"] is not None for row in rows)
    head = ("implementation", "forward", "total", *(("graph",) if graph else ()), "× torch", "floor", "MiB", "error")
    measured = tuple((row, _cells(row, graph)) for row in rows if not row["note"])
    forward, total = (figures.time(rows[0][f"floor_{part}_ms"]) for part in ("forward", "total"))
    failed = tuple(row for row in rows if row["note"])
    return Comparison(rows[0]["loss"], f"floor: {forward} ms forward, {total} ms in all", head, measured, failed)


def _cells(row: Record, graph: bool) -> tuple[str, ...]:
    return (
        row["implementation"],
        figures.time(row["forward_ms"]),
        figures.time(row["total_ms"]),
        *((figures.time(row["graph_total_ms"]),) if graph else ()),
        figures.ratio(row["ratio"]),
        figures.share(row["of_floor"]),
        figures.size(row["extra_mib"]),
        "NaN" if row["error"] is None and row["wrong"] else figures.error(row["error"]),
    )


def about(report: Record) -> list[str]:
    """The machine, the versions and the floors, a line each."""
    machine, floors = report["machine"], report["floors"]
    where = machine["gpu"] or f"{machine['processor']}, {machine['threads']} of {machine['cores']} cores"
    lines = [where, ", ".join(f"{name} {version}" for name, version in report["versions"].items())]
    if floors:
        rates = "".join(f"; {name} product {rate:.3g} TFLOP/s" for name, rate in floors["product_tflops"].items())
        lines.append(f"Measured here: copy {floors['copy_gb_per_s']:,.3g} GB/s{rates}")
    return lines


def summary(report: Record) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each case with its losses, and how much faster than plain torch the engine is that `engine="auto"` takes."""
    found: dict[str, list[tuple[str, str]]] = {}
    for row in report["rows"]:
        if row["implementation"].startswith("whyloss (auto") and row["ratio"] is not None:
            found.setdefault(row["case"], []).append((row["loss"], figures.ratio(row["ratio"])))
    return list(found.items())


def absent(report: Record) -> list[str]:
    """The peers of which nothing was measured, and why."""
    return [
        f"{peer['package']} {peer['version'] or ''}".strip() + f": {peer['status']}"
        for peer in report["peers"]
        if peer["status"] != "measured"
    ]


def markdown(report: Record) -> str:
    """All tables, to paste into an issue or a note."""
    conformance = report.get("edges")
    lines = [*edges.markdown(conformance, report["versions"], report["command"])] if conformance else []
    if conformance and not report["rows"]:
        return "\n".join(lines)
    lines += [*about(report), ""]
    for case, comparisons in cases(report["rows"]):
        for comparison in comparisons:
            lines += [f"**{case['case']}, {comparison.loss}** ({comparison.floor})", ""]
            lines.append("| " + " | ".join(comparison.head) + " |")
            lines.append("| --- |" + " ---: |" * (len(comparison.head) - 1))
            lines += ["| " + " | ".join(cells) + " |" for _, cells in comparison.measured]
            blank = " |" * (len(comparison.head) - 1)
            lines += [f"| {row['implementation']}: {_cell(row['note'])} |{blank}" for row in comparison.failed]
            lines.append("")
    return "\n".join([*lines, *([f"Not measured: {'; '.join(absent(report))}."] if absent(report) else []), ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")

"""The results in a terminal: a table for each loss of each case, in 80 columns.

Knows rich and the cells. Everything goes in as plain text, never as rich's markup."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import edges
from .table import Comparison, Record, about, absent, cases, summary

STYLES = {"whyloss": "bold cyan", "torch": "", "torch.compile": "", "peer": ""}
WIDTHS = {"forward": 7, "total": 7, "graph": 7, "× torch": 7, "floor": 5, "MiB": 6, "error": 6}
MANY = 20  # rows that ask for a summary
LEGEND = (
    "Milliseconds, medians. total: forward and backward. × torch: time of plain torch (the quicker, where there are "
    "two) / this time; above 1 is faster. floor: the least time that memory or matrix products allow, as a share of "
    "total. MiB: most memory at once above the inputs. error: against float64, of value or gradient."
)


def show(report: Record, console: Console, page: Path | None = None) -> None:
    """Print all tables; `page` is where bench.html lies."""
    for line in about(report):
        console.print(Text(line, style="dim"))
    if report["rows"] or not report.get("edges"):
        console.print(Text(LEGEND, style="dim"))
    for case, comparisons in cases(report["rows"]):
        console.print(Text(f"\n{case['case']}", style="bold"), Text(f"{case['dtype']} {case['shape']}", style="dim"))
        for place, comparison in enumerate(comparisons):
            console.print(Text(f"{comparison.loss}  ", style="yellow").append(comparison.floor, style="dim"))
            _print(comparison, console, place == 0)
    if (told := summary(report)) and len(report["rows"]) > MANY:
        console.print(Text("\nIn all: × torch of whyloss (auto)", style="bold"))
        for case, ratios in told:
            text = f"{case}: " + ", ".join(f"{loss}\u00a0{ratio}" for loss, ratio in ratios)
            # Rich would break at the fixed spaces.
            lines = textwrap.fill(text, console.width, subsequent_indent="  ", break_on_hyphens=False)
            console.print(Text(lines.replace("\u00a0", " ")))
    if report.get("edges"):
        edges.show(report["edges"], console)
    if missing := absent(report):
        console.print(Text(f"\nNot measured: {'; '.join(missing)}.", style="dim"))
    if not report["finished"]:
        console.print(Text("\nInterrupted: this is a part of what was asked for.", style="yellow"))
    if page is not None:
        console.print(Text(f"\nPage: {page}"), soft_wrap=True)


def _print(comparison: Comparison, console: Console, headed: bool) -> None:
    if comparison.measured:
        console.print(_table(comparison.head, comparison, console.width, headed))
    for row, cells in comparison.measured:
        if row["overwrites_input"]:
            console.print(Text(f"{cells[0]} writes over its input.", style="dim"))
    for row in comparison.failed:
        text = Text(f"{row['implementation']}: ").append(row["note"], style="not bold")
        text.stylize("red" if row["family"] == "whyloss" else "dim")
        console.print(text)


def _table(head: Sequence[str], comparison: Comparison, room: int, headed: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, show_header=headed, pad_edge=False, header_style="dim")
    table.padding = 0
    figure_columns = head[1:]
    table.add_column(head[0], width=max(16, min(36, room - sum(WIDTHS[name] + 1 for name in figure_columns))))
    for name in figure_columns:
        table.add_column(name, width=WIDTHS[name], justify="right", no_wrap=True)
    for row, cells in comparison.measured:
        style = STYLES[row["family"]]
        last = Text(cells[-1], style="bold red" if row["wrong"] else style)
        table.add_row(*(Text(cell, style=style) for cell in cells[:-1]), last)
    return table

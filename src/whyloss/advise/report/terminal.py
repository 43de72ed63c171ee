"""The report in a terminal: the verdict, the findings, the cheap measures, the race, what to paste.

Knows rich and the view. Everything from the user's file goes in as plain text, never as rich's markup."""

from pathlib import Path

from rich import box
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from . import view, wording
from .view import Report, Row

ANSWERS = {"advised": "green", "worth trying": "yellow", "no difference": "blue", "undecided": "magenta"}
SEVERITIES = {"serious": ("!!", "bold red"), "warning": ("! ", "yellow"), "note": ("* ", "blue"), "info": ("- ", "dim")}
STANDINGS = {"better": "green", "equivalent": "blue", "worse": "red", "screened": "dim", "reference": "bold"}
WIDE = 110  # columns from which the tables have room for everything


def show(report: Report, console: Console, html: str | Path | None = None) -> None:
    """Print the report; `html` is where its page lies."""
    console.print(_verdict(report))
    _section(console, "Findings")
    for finding in view.findings(report):
        marker, style = SEVERITIES.get(finding["severity"], SEVERITIES["info"])
        said = Text(str(finding["text"]))
        if finding.get("advice"):
            said.append(f"\n-> {finding['advice']}", style="italic")
        grid = Table.grid(padding=(0, 1))
        grid.add_row(Text(marker, style=style), said)
        console.print(grid)
    if report.get("rules"):
        _section(console, "Cheaper than another loss")
        console.print(_rules(report, console))
    if report.get("candidates"):
        _section(console, "The race")
        console.print(_candidates(report, console))
    for warning in report.get("warnings") or []:
        console.print(Text(f"Warning: {warning}", style="yellow"))
    _section(console, "Paste this")
    console.print(Text(str(report["code"]).rstrip(), style="cyan"), soft_wrap=True)  # whole lines, to be copied
    _section(console, "Run it again")
    console.print(Text(str(report["command"]), style="cyan"), soft_wrap=True)
    if html is not None:
        console.print(Text(f"\nThe whole report: {html}"), soft_wrap=True)


def _verdict(report: Report) -> Panel:
    answer = str(report["verdict"]["answer"])
    colour = ANSWERS.get(answer, "white")
    parts = [Text(view.headline(report), style=f"bold {colour}")]
    if report["verdict"].get("gain") is not None:
        parts.append(Text(f"{view.gain_label(report)}: {view.gain_sentence(report)}."))
    parts.append(Text(str(report["verdict"]["text"])))
    if steps := view.next_steps(report):
        parts.append(Text("\nDo this next", style="bold"))
        parts += [Text(f"{number}. {step}") for number, step in enumerate(steps, 1)]
    parts.append(Text(f"\n{report['data']['name']}: {view.data_line(report)}", style="dim"))
    title = Text(f" {answer} ", style=f"bold {colour}")
    return Panel(Group(*parts), title=title, title_align="left", border_style=colour, padding=(1, 2))


def _section(console: Console, title: str) -> None:
    console.print(Text(f"\n{title}", style="bold"))


def _table(console: Console, *columns: tuple[str, bool]) -> Table:
    """Columns are (name, whether it holds numbers)."""
    room = (0, 1, 0, 0) if console.width >= WIDE else (0, 0)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim", padding=room)
    for name, number in columns:
        table.add_column(name, justify="right" if number else "left", no_wrap=number)
    return table


def _rules(report: Report, console: Console) -> Table:
    table = _table(
        console, ("measure", False), ("metric", False), ("mean", True), ("gain", True), ("95 % interval", True)
    )
    for rule in report["rules"]:
        metric, plain = str(rule["metric"]), rule["rule"] == "argmax"
        table.add_row(
            Text("plain argmax" if plain else view.rule_action(rule)),
            Text(wording.metric_name(metric)),
            wording.value(rule.get("mean"), metric),
            "base line" if plain else wording.gain(rule.get("gain"), metric, unit=False),
            "" if plain else wording.span(rule.get("gain_interval"), metric),
        )
    return table


def _candidates(report: Report, console: Console) -> Group:
    wide = console.width >= WIDE
    metric = str(report["metric"]["name"])
    unit = "" if metric in wording.PLAIN else ", points"
    columns = [("#", True), ("loss", False), ("mean", True), ("diff.", True), ("95 % int.", True)]
    columns += [("better", True), ("equiv.", True), ("worse", True), ("lr", True)]
    if wide:
        columns[2:2] = [("rule", False)]
        columns.append(("why", False))
    table = _table(console, *columns)
    for row in view.rows(report):
        table.add_row(*_cells(row, wide), style=STANDINGS.get(row.standing, ""))
    note = (
        f"Mean of {wording.metric_name(metric)}{unit}; difference from cross-entropy with its tuned rule, + is better; "
        "how likely it is to be better, equivalent, worse; learning rate"
    )
    if any(row.at_grid_edge for row in view.rows(report)):
        note += " (* at the edge of its grid)"
    return Group(table, Text(note, style="dim"))


def _cells(row: Row, wide: bool) -> list[str | Text]:
    short, _, more = row.label.partition("\n")
    name = Text(short).append((", " if wide else "\n") + more.replace("\n", ", ") if more else "", style="dim")
    shown: list[str | Text] = [row.rank, name, row.mean]
    shown += ["", "reference"] if row.standing == "reference" else [row.difference, row.difference_interval]
    if row.standing in ("reference", "screened"):
        shown += ["", "", "" if row.standing == "reference" else "screened"]
    else:
        shown += [row.p_better, row.p_equivalent, row.p_worse]
    shown.append(row.learning_rate + ("*" if row.at_grid_edge else ""))
    if wide:
        shown.insert(2, Text(row.rule))
        shown.append(Text(row.reason))
    return shown

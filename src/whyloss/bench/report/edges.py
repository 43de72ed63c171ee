"""The edge contract beside other packages: cases by topic, verdicts by package; in Markdown and in a terminal.

Knows the fields of an edge's record."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

Record = Mapping[str, Any]
TITLE = "The edge contract, beside other packages"
CHOSEN = (
    "The cases were chosen to probe weak spots, so the counts are no failure rates. A package is called for what it "
    "has, with as many cases as that gives."
)
STYLES = {"OK": "green", "OTHER": "dim", "MEAN": "yellow", "ROUNDED": "yellow"}
OURS = "whyloss"


def topics(edges: Record) -> Iterator[tuple[str, list[tuple[Record, list[Record]]]]]:
    """Each topic and its cases, told by their first record, with all their records."""
    for topic, found in groupby(edges["rows"], key=lambda row: row["topic"]):
        cases = [list(rows) for _, rows in groupby(found, key=lambda row: row["case"])]
        yield topic, [(rows[0], rows) for rows in cases]


def tally(edges: Record) -> list[tuple[str, str, Counter[str]]]:
    """Each package, its version, and how often each verdict came; ours first."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for row in edges["rows"]:
        found.setdefault((row["library"], row["version"]), Counter())[row["verdict"]] += 1
    first = sorted(found, key=lambda package: (package[0] != OURS, package[0]))
    return [(name, version, found[name, version]) for name, version in first]


def verdicts(edges: Record) -> list[str]:
    """Those that came, in the order of their meanings."""
    came = {row["verdict"] for row in edges["rows"]}
    return [verdict for verdict in edges["meanings"] if verdict in came]


def left_out(edges: Record) -> str:
    """What was not called, or not as usual, in a sentence or two, or nothing."""
    told = ["Triton's kernels ran in its interpreter (TRITON_INTERPRET=1)."] if edges["interpreted"] else []
    if edges["skipped"]:
        why = "; ".join(f"{part['package']} ({part['calls']}: {part['reason']})" for part in edges["skipped"])
        told.append(f"Calls left out: {sum(part['calls'] for part in edges['skipped'])}. {why}.")
    if edges["alone"]:
        told.append(f"Cases without a package to call here: {edges['alone']}; the tests hold ours to them too.")
    return " ".join(told)


def markdown(edges: Record, versions: Mapping[str, str], command: str) -> list[str]:
    """A document of its own."""
    lines = [
        f"# {TITLE}",
        "",
        f"{CHOSEN} The right answers are formulas in float64, and the verdicts are computed.",
        "",
    ]
    lines += [f"As it came out of `{command}` with {', '.join(f'{n} {v}' for n, v in versions.items())}.", ""]
    lines += [*(f"- **{name}**: {meaning}" for name, meaning in edges["meanings"].items()), ""]
    head = verdicts(edges)
    lines += _row(["package", "version", *head]) + _row(["---", "---", *["---:"] * len(head)])
    for name, version, counted in tally(edges):
        lines += _row([name, version, *(str(counted[verdict] or "") for verdict in head)])
    lines += ["", *([left_out(edges), ""] if left_out(edges) else [])]
    for topic, cases in topics(edges):
        lines += [f"## {topic}", "", *_row(["case", "call", "what came", "verdict"]), *_row(["---"] * 4)]
        for case, rows in cases:
            for place, row in enumerate(rows):
                told = f"{case['given']} → *{case['contract']}*" if place == 0 else ""
                verdict = row["verdict"] if row["verdict"] == "OK" else f"**{row['verdict']}**"
                lines += _row([told, f"{row['library']} `{row['call']}`", row["came"], verdict])
        lines.append("")
    return lines


def show(edges: Record, console: Console) -> None:
    for topic, cases in topics(edges):
        console.print(Text(f"\n{topic}", style="bold"))
        for case, rows in cases:
            console.print(Text(f"{case['given']} → ", style="yellow").append(case["contract"], style="dim"))
            console.print(_table(rows))
    console.print(Text("\nIn all", style="bold"))
    for name, version, counted in tally(edges):
        parts = ", ".join(f"{verdict} {counted[verdict]}" for verdict in verdicts(edges) if counted[verdict])
        console.print(Text(f"{name} {version}: ", style="bold cyan" if name == OURS else "").append(parts))
    for verdict in verdicts(edges):
        console.print(Text(f"{verdict}: {edges['meanings'][verdict]}", style="dim"))
    console.print(Text(CHOSEN, style="dim"))
    if told := left_out(edges):
        console.print(Text(told, style="dim"))


def _table(rows: Sequence[Record]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=8, no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        who = Text(f"{row['library']} {row['call']}: ", style="bold cyan" if row["library"] == OURS else "")
        table.add_row(
            Text(row["verdict"], style=STYLES.get(row["verdict"], "red")), who.append(row["came"], "not bold")
        )
    return table


def _row(cells: Sequence[str]) -> list[str]:
    return ["| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"]

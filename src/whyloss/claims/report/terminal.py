"""The results in a terminal: one table for each part of the ledger, then how often each verdict came out.

Knows rich and the records. Everything goes in as plain text, never as rich's markup."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from whyloss.claims.claim import Language
from whyloss.claims.words import VERDICTS

from . import chrome, figures, wording
from .records import Record

STYLES = {
    "holds": "green",
    "both hold": "green",
    "does not hold": "red",
    "neither": "red",
    "equivalent": "blue",
    "one side": "blue",
    "holds only when": "yellow",
    "both under conditions": "yellow",
    "undecided": "magenta",
}
LONG = 150  # letters of a condition
WIDE = 116  # columns from which figure and interval have a column each
# Latin words whole; one Chinese character with the punctuation that must not begin a line.
PIECES = re.compile(r"[（“(]*(?:[A-Za-z0-9_.+%×−/-]+|.)[，。：；、）”？,;:)?]*[ ]*|\s")


def show(found: Sequence[Record], console: Console, language: Language = "en", page: Path | None = None) -> None:
    """Print the ledger; `page` is where claims.html lies."""
    say = chrome.words(language)
    rows = {record["id"]: _row(record, say, language, console.width >= WIDE) for record in found}
    head = _head(say, console.width >= WIDE)
    widths = _widths([head, *rows.values()], console.width)
    headed = False
    for group in wording.GROUPS:
        chosen = [rows[record["id"]] for record in found if wording.group(record["id"]) == group]
        if chosen:
            console.print(Text(f"\n{say[group]}", style="bold"))
            console.print(_table(head, chosen, widths, not headed))
            headed = True
    console.print(Text("\n").append_text(_counts(found, language)))
    if any(record["quick"] for record in found):
        console.print(Text(say["quick_note"], style="yellow"))
    if page is not None:
        colon = "：" if language == "zh" else ": "
        console.print(Text(f"\n{say['page']}{colon}{page}"), soft_wrap=True)


def _head(say: dict[str, str], wide: bool) -> list[Text]:
    names = ["id", "sentence", "verdict", "figure", *(["interval"] if wide else []), "seconds"]
    return [Text(say[name]) for name in names]


def _row(record: Record, say: dict[str, str], language: Language, wide: bool) -> list[Text]:
    figure, interval = record["figure_text"], record["interval_text"]
    took = Text(figures.duration(record["seconds"], language), style="dim")
    middle = [Text(figure), Text(interval)] if wide else [Text(f"{figure}\n{interval}".rstrip())]
    return [Text(record["id"]), Text(record["sentence"]), _verdict(record, say, language), *middle, took]


def _verdict(record: Record, say: dict[str, str], language: Language) -> Text:
    """The word, the condition, and what each protocol or each side says where they differ."""
    colon = "：" if language == "zh" else ": "
    style = STYLES.get(record["verdict"], "")
    text = Text(record["verdict_text"], style=f"bold {style}")
    if record.get("parts") and record["verdict"] == "holds only when":
        text.append("\n" + _in_part(record["parts"], say), style="not bold")
    elif condition := record.get("condition_text"):
        text = Text(
            VERDICTS[record["verdict"]].en if language == "en" else f"{record['verdict_text']}：", f"bold {style}"
        )
        text.append(" " * (language == "en") + shorten(condition), style=f"not bold {style}")
    if record["quick"]:
        quick = f"（{say['quick']}）" if language == "zh" else f" ({say['quick']})"
        text.append(quick, style="not bold dim")
    for label, part in _parts(record, say):
        text.append(f"\n{label}{colon}", style="not bold dim")
        text.append(_side(part, say), style=f"not bold {STYLES.get(part['verdict'], '')}")
    return text


def _side(part: Record, say: dict[str, str]) -> str:
    """What one protocol, or one side of a contradiction, comes to."""
    if not part.get("parts") or part["verdict"] != "holds only when":
        return part["verdict_text"]
    held = sum(statement["verdict"] == "holds" for statement in part["parts"])
    return say["held"].format(held=held, all=len(part["parts"]))


def _in_part(parts: Sequence[Record], say: dict[str, str]) -> str:
    """How many of the statements hold; which they are stands on the page."""
    words = Counter(part["verdict"] for part in parts)
    said = say["statements_hold"].format(held=words["holds"], all=len(parts))
    return said + (say["some_when"].format(some=words["holds only when"]) if words["holds only when"] else "")


def shorten(condition: str) -> str:
    """A long condition stands whole on the page; here it is cut between words."""
    room = LONG if condition.isascii() else LONG // 2
    return condition if len(condition) <= room else f"{condition[:room].rpartition(' ')[0] or condition[:room]} …"


def _parts(record: Record, say: dict[str, str]) -> list[tuple[str, Record]]:
    if "sides" in record:
        return [(side["id"], side) for side in record["sides"]]
    if record["protocols_differ"]:
        return [(say[f"{name}_short"], record["protocols"][name]) for name in ("fixed", "tuned")]
    return []


def _widths(rows: Sequence[Sequence[Text]], room: int) -> list[int]:
    """Columns of figures as wide as they need; what is left goes to the sentence and the verdict."""
    needed = [max(_longest(row[column]) for row in rows) for column in range(len(rows[0]))]
    left = room - sum(needed) + needed[1] + needed[2] - 2 * (len(needed) - 1)
    needed[1] = max(16, min(needed[1], left - min(needed[2], left * 2 // 5)))
    needed[2] = max(12, min(needed[2], left - needed[1]))
    return needed


def _longest(text: Text) -> int:
    return max(cell_len(line) for line in text.plain.split("\n"))


def _table(head: Sequence[Text], rows: Sequence[Sequence[Text]], widths: Sequence[int], headed: bool) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        show_header=headed,
        pad_edge=False,
        header_style="dim",
        padding=(0, 1, 0, 0),
        leading=1,
    )
    for name, width in zip(head, widths, strict=True):
        place = len(table.columns)
        table.add_column(name, width=width, justify="left" if place < 3 else "right", overflow="fold")
    for row in rows:
        table.add_row(
            *(
                _broken(cell, width) if place in (1, 2) else cell
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
        )
    return table


def _broken(text: Text, width: int) -> Text:
    """Lines broken where Chinese may be: between any two characters. Other text is left to rich."""
    if text.plain.isascii() or not re.search(r"[\u4e00-\u9fff]", text.plain):
        return text
    breaks: list[int] = []
    used = 0
    for piece in PIECES.finditer(text.plain):
        if "\n" in piece[0]:
            used = 0
            continue
        if used and used + cell_len(piece[0].rstrip()) > width:
            breaks.append(piece.start())
            used = 0
        used += cell_len(piece[0])
    return Text("\n").join(text.divide(breaks)) if breaks else text


def _counts(found: Sequence[Record], language: Language) -> Text:
    """How often each verdict came out; contradictions are not counted, their sides are."""
    counted = Counter(record["verdict"] for record in found if "sides" not in record)
    text = Text()
    for word in VERDICTS:
        if counted[word]:
            text.append("   " if text else "").append(f"{counted[word]} ", style="bold")
            text.append(wording.verdict(word, language), style=STYLES[word])
    return text

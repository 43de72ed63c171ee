"""The pages: one for all claims, one for each contradiction. Each needs nothing else: no network, no file, no script.

Knows the templates and what goes into them. All text is escaped by Jinja's autoescape; only the pictures that this
package draws itself go in as they are, and the pages' own policy allows one style sheet and nothing more."""

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from whyloss.claims.claim import Language
from whyloss.claims.run import Opposed, Settled
from whyloss.claims.words import VERDICTS

from . import chrome, figures, forest, pictures, wording
from .records import Record, Run

FEW, MANY = 6, 24  # figures of one claim


@dataclass(frozen=True)
class Entry:
    """A claim as the page shows it: its record, the original sentence, its figures and its pictures."""

    record: Record
    original: str
    forest: Sequence[forest.Group]
    pictures: Sequence[pictures.Picture]
    opposed: Sequence[tuple[str, str]]  # the other side of each contradiction, and its page

    @property
    def beside(self) -> bool:
        """One picture and few figures stand side by side."""
        return len(self.pictures) == 1 and len(self.record["cells"]) <= FEW

    @property
    def many(self) -> bool:
        """So many figures that they wait to be unfolded."""
        return len(self.record["cells"]) > MANY


def render(settled: Sequence[Settled], opposed: Sequence[Opposed], found: Sequence[Record], run: Run) -> dict[str, str]:
    """The names of the pages and what they hold."""
    records = {record["id"]: record for record in found}
    entries = {item.claim.id: _entry(item, records[item.claim.id], opposed, run.language) for item in settled}
    frame = _frame(run)
    pages = {
        "claims.html": _template("claims.html.j2").render(
            **frame,
            groups=[
                (group, chosen)
                for group in wording.GROUPS
                if (chosen := [record for record in found if wording.group(record["id"]) == group])
            ],
            entries=entries,
            counts=_counts([item.verdict.word for item in settled], run.language),
            statements=_statements(settled, run.language),
        )
    }
    for pair in opposed:
        pages[wording.page_of(pair.contradiction)] = _template("contradiction.html.j2").render(
            **frame,
            record=records[pair.contradiction.id],
            sides=[entries[side.claim.id] for side in pair.sides],
            original=figures.typeset(pair.contradiction.question.zh, "zh") if run.language == "en" else "",
        )
    return {name: page.replace(" %", "\u00a0%") for name, page in pages.items()}  # 95 % stays on one line


def _entry(settled: Settled, record: Record, opposed: Sequence[Opposed], language: Language) -> Entry:
    claim = settled.claim
    return Entry(
        record,
        figures.typeset(claim.sentence.zh, "zh") if language == "en" else "",
        forest.groups(settled, wording.Speaker(claim, language)),
        pictures.pictures(settled, language),
        [
            (other, wording.page_of(pair.contradiction))
            for pair in opposed
            for other in pair.contradiction.sides
            if claim.id in pair.contradiction.sides and other != claim.id
        ],
    )


def _counts(words: Sequence[str], language: Language) -> list[tuple[str, str, int, float, float]]:
    """Each verdict with its name, how often it came out, and its share of the bar: start and width in per cent."""
    counted, found, start = Counter(words), [], 0.0
    for word in VERDICTS:
        width = 100 * counted[word] / max(1, len(words))
        found.append((word, wording.verdict(word, language), counted[word], round(start, 3), round(width, 3)))
        start += width
    return found


def _statements(settled: Sequence[Settled], language: Language) -> list[tuple[str, int]]:
    """Each verdict and how many statements got it."""
    words = [part.word for item in settled for _, part in item.verdict.parts or [("", item.verdict)]]
    return [(wording.verdict(word, language), Counter(words)[word]) for word in VERDICTS]


def _frame(run: Run) -> dict[str, Any]:
    style = _asset("whyloss.advise.report", "page.css") + _asset(__package__ or "", "page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return {
        "run": run,
        "say": chrome.words(run.language),
        "html_language": "zh-CN" if run.language == "zh" else "en",
        "style": Markup(style),
        "policy": f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
        "form-action 'none'",
        "duration": partial(figures.duration, language=run.language),
        "colon": "：" if run.language == "zh" else ": ",
        "stop": "；" if run.language == "zh" else "; ",
    }


@cache
def _template(name: str) -> Any:
    # StrictUndefined: a field that the template needs and the record lacks is a mistake here, not a blank on the page.
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(lambda asked: _asset(__package__ or "", asked)),
    )
    environment.filters |= {"anchor": wording.anchor, "coded": coded, "drawn": Markup}
    return environment.get_template(name)


def coded(text: str) -> Markup:
    """What stands between backticks as code; the rest is escaped."""
    pieces = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if place % 2 else escape(piece) for place, piece in enumerate(pieces)
    )


@cache
def _asset(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")

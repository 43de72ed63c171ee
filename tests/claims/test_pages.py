"""The report as it is read: pages that stand by themselves, JSON, and a table that fits the terminal."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from claims import planted
from claims.planted import one, settle
from rich.cells import cell_len
from rich.console import Console

from whyloss.claims.claim import Scale, Text
from whyloss.claims.report import Run, chrome, records, show, write
from whyloss.claims.report.page import coded
from whyloss.claims.report.terminal import shorten
from whyloss.claims.run import Settled


@pytest.fixture(scope="module")
def ledger() -> list[Settled]:
    return planted.settled()


class Outline(HTMLParser):
    """What is open and closed, which ids there are and which are pointed at."""

    VOID = ("meta", "link", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        self.ids += [given["id"]] if given.get("id") else []
        self.targets += [given["href"]] if tag == "a" and given.get("href") else []
        self.targets += [f"#{given['aria-labelledby']}"] if given.get("aria-labelledby") else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def pages(ledger: list[Settled], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for language in ("en", "zh"):
        run = Run(Scale(0, language == "zh"), language)
        opposed = planted.opposed(ledger)
        place = tmp_path_factory.mktemp(language)
        paths = write(ledger, opposed, records(ledger, opposed, run), run, place)
        found[language] = {name: path.read_text(encoding="utf-8") for name, path in paths.items()}
    return found


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_pages_stand_and_their_links_lead_somewhere(pages: dict[str, dict[str, str]], language: str) -> None:
    assert set(pages[language]) == {"claims.json", "claims.html", *(f"contradiction-C-{n}.html" for n in range(1, 6))}
    outlines = {name: Outline(text) for name, text in pages[language].items() if name.endswith(".html")}
    for name, outline in outlines.items():
        assert outline.open == []
        assert len(set(outline.ids)) == len(outline.ids)
        for target in outline.targets:
            page, _, place = target.partition("#")
            assert not place or place in outlines[page or name].ids, target
            assert not page or page in outlines
        assert outline.tags[0] == ("html", {"lang": "zh-CN" if language == "zh" else "en"})
        headings = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
        assert headings[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(headings))
        tags = {tag for tag, _ in outline.tags}
        assert not tags & {"script", "img", "iframe", "object", "foreignobject"}
        assert not any("style" in given or any(key.startswith("on") for key in given) for _, given in outline.tags)
        policy = next(given["content"] for tag, given in outline.tags if given.get("http-equiv"))
        assert policy.startswith("default-src 'none'; style-src 'sha256-")


def test_both_languages_say_everything_on_the_page(pages: dict[str, dict[str, str]]) -> None:
    english, chinese = pages["en"]["claims.html"], pages["zh"]["claims.html"]
    assert 'lang="zh-CN">使用 MSE 时' in english, "the original sentence"
    assert "whyloss advise data.csv --label y</code>" in english
    assert "This is a quick run" not in english
    assert "这是快速运行" in chinese
    assert chinese.count("· ") >= 12 or chinese.count("快速运行") >= 12
    body = re.sub(r"<style>.*?</style>|<[^>]*>", " ", chinese, flags=re.S)
    rest = re.findall(r"[A-Za-z]{4,}", re.sub(r"whyloss|digits|logit\w*|focal|sigmoid|softmax", "", body))
    assert set(rest) <= {"advise", "data", "label", "claims", "folk", "float"}
    for name, text in chrome.CHROME.items():
        assert text.en != text.zh or name == "id", name


def test_hostile_words_stay_words(tmp_path: Path) -> None:
    bad = '</script><img src=x onerror="alert(1)">`<b>`'
    claim, results = planted.vanishing()
    text = Text(bad, bad)
    panels = tuple(replace(panel, title=text, x=text, y=text) for panel in claim.panels)
    statement = replace(claim.statements[0], text=text, measure=text)
    words = dict.fromkeys(("far", "near", "ce", "gaussians"), text)
    claim = replace(
        claim,
        sentence=text,
        statements=(statement,),
        setting=text,
        instead=text,
        formula=bad,
        panels=panels,
        words=words,
    )
    found = [settle(claim, results)]
    run = Run(command=f"whyloss claims {bad}", versions={bad: bad})
    page = write(found, [], records(found, [], run), run, tmp_path)["claims.html"].read_text(encoding="utf-8")
    tags = Outline(page).tags
    assert not [tag for tag, given in tags if tag in ("img", "script", "b") and "src" in given]
    assert "<img" not in page
    assert coded("a < `b & c`") == "a &lt; <code>b &amp; c</code>"


def test_many_figures_wait_to_be_unfolded(ledger: list[Settled], tmp_path: Path) -> None:
    item = one(ledger, "S1-5")
    for count, folded in ((24, False), (25, True)):
        found = [replace(item, cells=(item.cells * 3)[:count])]
        page = write(found, [], records(found, [], Run()), Run(), tmp_path)["claims.html"].read_text(encoding="utf-8")
        assert ('<details class="forest">' in page) == folded
        assert page.count('<tr data-verdict="') == count, "they are all there"


def test_a_long_condition_is_cut_between_words_in_the_terminal() -> None:
    assert shorten("a is b") == "a is b"
    cut = shorten("the statement is long " * 20)
    assert cut.endswith(("long …", "is …", "the …", "statement …"))
    assert len(cut) <= 152


def test_json_is_strict_and_the_same_twice(ledger: list[Settled], tmp_path: Path) -> None:
    run = Run()
    for place in ("one", "two"):
        write(ledger, [], records(ledger, [], run), run, tmp_path / place)
    first, second = ((tmp_path / place / "claims.json").read_bytes() for place in ("one", "two"))
    assert first == second
    assert (tmp_path / "one/claims.html").read_bytes() == (tmp_path / "two/claims.html").read_bytes()
    found = json.loads(first, parse_constant=pytest.fail)
    assert isinstance(found, list)
    infinite = [cell for record in found for cell in record["cells"] if cell["figure"] is None]
    assert [cell["figure_text"] for cell in infinite] == ["×∞"]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_table_fits_the_terminal(
    ledger: list[Settled], language: Any, width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(Scale(0, True), language)
    found = records(ledger, planted.opposed(ledger), run)
    show(found, Console(width=width), language, Path("here/claims.html"))
    said = capsys.readouterr().out
    assert max(cell_len(line) for line in said.splitlines()) <= width
    flat = re.sub(r"\s+", "", said)
    for record in found:
        assert record["id"] in said
        assert record["figure_text"] in said
    assert "here/claims.html" in said
    assert ("fixed:holds" if language == "en" else "固定：成立") in flat
    assert (chrome.words(language)["quick_note"].replace(" ", "")) in flat
    assert "…" not in re.sub(r"holdsonlywhen…", "", flat), "nothing is cut"

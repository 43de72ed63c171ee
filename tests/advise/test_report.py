"""The report: one dictionary in; terminal text, JSON, one HTML page and paper tables out."""

import base64
import hashlib
import io
import json
import os
import re
import runpy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from whyloss.advise.finding import InputError
from whyloss.advise.report import Steps, details, latex_table, markdown_table, show, view, wording, write

sample = runpy.run_path(str(Path(__file__).with_name("sample_report.py")))["sample"]
NAMES = ["mammography", "digits", "tiny"]
HOSTILE = """</script><script>alert(1)</script><!--<b onload="x">'"&[red]{{ 7 * 7 }}"""


class Page(HTMLParser):
    """What a browser would see: the elements with their attributes, and the text of the scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.words = ""
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif self._open != "style":
            self.words += data

    def embedded(self, **wanted: str) -> list[Any]:
        return [json.loads(text) for attributes, text in self.scripts if wanted.items() <= attributes.items()]

    def one(self, **wanted: str) -> dict[str, str | None]:
        (found,) = [attributes for _, attributes in self.elements if wanted.items() <= attributes.items()]
        return found


def page_of(report: dict[str, Any], folder: Path) -> Page:
    return Page(write(report, folder)["html"].read_text(encoding="utf-8"))


def printed(report: dict[str, Any], width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    show(report, console, html="out/report.html")
    return console.file.getvalue()  # type: ignore[attr-defined]


def hostile() -> dict[str, Any]:
    """The noisy digits, with every name that a user's file can bring turned against the page."""
    report = sample("digits")
    report["data"] |= {"name": HOSTILE, "label": HOSTILE, "classes": [HOSTILE, "ok"], "counts": {HOSTILE: 3, "ok": 4}}
    report["data"]["dropped"] = [{"column": HOSTILE, "reason": HOSTILE}]
    found = {"counts": {HOSTILE: 3, "ok": 4}, "matrix": [[1, 2], [3, 4]], "labels": [HOSTILE, "ok"], "title": HOSTILE}
    found["suspects"] = [{"row": 3, "given": HOSTILE}]
    report["findings"][0] |= {"text": HOSTILE, "advice": HOSTILE, "details": found}
    report["verdict"]["text"] = report["code"] = report["command"] = HOSTILE
    report["candidates"][0] |= {"reason": HOSTILE, "parameters": {HOSTILE: HOSTILE}}
    return report


@pytest.mark.parametrize("name", NAMES)
def test_writes_json_as_given_and_the_same_bytes_again(name: str, tmp_path: Path) -> None:
    paths = write(sample(name), tmp_path / "new" / "folder")
    assert json.loads(paths["json"].read_text(encoding="utf-8")) == sample(name)
    assert list(json.loads(paths["json"].read_text(encoding="utf-8"))) == list(sample(name))
    again = write(sample(name), tmp_path / "again")
    assert paths["html"].read_bytes() == again["html"].read_bytes()
    assert paths["json"].read_bytes() == again["json"].read_bytes()


def test_what_is_not_finite_becomes_null_and_numpy_becomes_plain(tmp_path: Path) -> None:
    report = sample("digits")
    report["candidates"][0] |= {"log_loss": float("nan"), "scores": np.array([0.5, np.inf]), "rank": np.int64(1)}
    report["findings"][0]["value"] = np.float64("nan")
    written = json.loads(write(report, tmp_path)["json"].read_text(encoding="utf-8"))
    assert written["candidates"][0]["log_loss"] is None
    assert written["candidates"][0]["scores"] == [0.5, None]
    assert written["candidates"][0]["rank"] == 1
    assert written["findings"][0]["value"] is None


def test_a_folder_that_cannot_be_written_is_said_kindly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot be written to '.*file.*--out"):
        write(sample("tiny"), tmp_path / "file" / "folder")


def test_a_write_that_fails_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = write(sample("tiny"), tmp_path)["json"].read_bytes()

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(InputError, match="No space left"):
        write(sample("digits"), tmp_path)
    assert (tmp_path / "report.json").read_bytes() == old
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]


@pytest.mark.parametrize("name", NAMES)
def test_the_page_has_the_verdict_first_and_the_whole_report_inside(name: str, tmp_path: Path) -> None:
    report, page = sample(name), page_of(sample(name), tmp_path)
    assert page.one(id="verdict")["data-answer"] == report["verdict"]["answer"]
    assert page.embedded(id="report") == [report]
    sections = [attributes["id"] for tag, attributes in page.elements if tag == "section"]
    assert sections == ["verdict", "findings", "cheaper", "race", "method"]
    for said in (report["verdict"]["text"], report["command"], *(f["text"] for f in report["findings"])):
        assert said in page.words
    assert page.words.index(report["verdict"]["text"]) < page.words.index(report["findings"][0]["text"])


@pytest.mark.parametrize("name", NAMES)
def test_the_page_needs_no_other_file_and_runs_only_its_own_scripts(name: str, tmp_path: Path) -> None:
    page = page_of(sample(name), tmp_path)
    for tag, attributes in page.elements:
        assert attributes.get("src") is None, tag
        assert (attributes.get("href") or "#").startswith(("#", "data:,")), tag
        assert not any(attribute.startswith("on") for attribute in attributes), tag
    style = re.sub(
        r"/\*.*?\*/", "", write(sample(name), tmp_path)["html"].read_text(encoding="utf-8").split("<style>")[1]
    )
    assert "url(" not in style.split("</style>")[0]
    assert "@import" not in style.split("</style>")[0]
    run = [text for attributes, text in page.scripts if "type" not in attributes]
    assert len(run) == 2  # the chart library once, and the page's own
    policy = page.one(**{"http-equiv": "Content-Security-Policy"})["content"] or ""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run]
    assert re.findall(r"'sha256-([^']+)'", policy) == digests
    assert "default-src 'none'" in policy


def test_accessible_charts_tables_and_headings(tmp_path: Path) -> None:
    page = page_of(sample("digits"), tmp_path)
    charts = [attributes for _, attributes in page.elements if attributes.get("class") == "chart"]
    assert len(charts) == 6 == len(page.embedded(**{"class": "spec"}))
    assert all(len(attributes["aria-label"] or "") > 20 for attributes in charts)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("h1") == 1
    assert tags.count("table") == tags.count("caption")


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    page = page_of(hostile(), tmp_path)
    usual = page_of(sample("digits"), tmp_path)
    assert "b" not in [tag for tag, attributes in page.elements if "onload" in attributes]
    assert [a for a, _ in page.scripts if "type" not in a] == [a for a, _ in usual.scripts if "type" not in a]
    assert page.embedded(id="report") == [hostile()]
    assert HOSTILE in page.words
    specs = json.dumps(page.embedded(**{"class": "spec"}))
    assert json.dumps(HOSTILE)[1:-1] in specs


def test_hostile_names_stay_text_in_a_terminal_and_in_paper() -> None:
    assert "[red]" in printed(hostile(), 200)
    assert "\\&[red]\\{\\{" in latex_table(hostile())
    assert "<script" not in markdown_table(hostile())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [80, 140])
def test_terminal_fits_and_is_plain_where_it_is_no_terminal(name: str, width: int) -> None:
    report, text = sample(name), printed(sample(name), width)
    assert "\x1b" not in text
    copied = {*report["code"].splitlines(), report["command"]}
    assert [line for line in text.splitlines() if len(line) > width and line not in copied] == []
    assert copied <= set(text.splitlines())  # whole lines, to be copied
    assert report["verdict"]["answer"] in text.splitlines()[0]
    assert "out/report.html" in text
    assert "cross-entropy" in text


def test_terminal_uses_the_room_it_has() -> None:
    narrow, wide = printed(sample("digits"), 80), printed(sample("digits"), 140)
    assert "suspected noise" in wide
    assert "suspected noise" not in narrow
    for text in (narrow, wide):
        assert re.search(r"gce.*55\.2 +\+4\.2 +2\.7 to 5\.6 +> 99 % +< 1 % +0 % +0\.01", text)
        assert "0.03*" in text  # the learning rate at the edge of its grid
        assert text.index("!!") < text.index("! ", text.index("!!") + 2)  # serious before warning


def test_terminal_is_coloured_where_it_is_one() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
    show(sample("digits"), console)
    assert "\x1b[" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_report_without_rules_findings_and_candidates(tmp_path: Path) -> None:
    report = sample("tiny") | {"rules": [], "findings": [], "candidates": []}
    report["verdict"] |= {"gain": None, "interval": None, "rows_needed": None, "loss": None, "rule": None}
    assert "Nothing unusual" in page_of(report, tmp_path).words
    assert "Too little data" in printed(report, 80)


@pytest.mark.parametrize(
    ("answer", "rule", "expected"),
    [
        (
            "no difference",
            "threshold",
            "Stay with cross-entropy, and set the threshold to 0.07. No other loss gains",
        ),
        ("no difference", "argmax", "Stay with cross-entropy. No other loss gains enough to matter."),
        (
            "undecided",
            "threshold",
            "Too little data to tell. For now, stay with cross-entropy, and set the threshold to",
        ),
        ("advised", "threshold", "Train on focal (gamma = 2) with its tuned threshold."),
        ("worth trying", "argmax", "Focal (gamma = 2) is worth trying, but not proven better."),
    ],
)
def test_headline(answer: str, rule: str, expected: str) -> None:
    report = sample("mammography")
    report["verdict"] |= {"answer": answer, "rule": rule, "loss": "FocalLoss", "parameters": {"gamma": 2.0}}
    assert view.headline(report).startswith(expected)


def test_next_steps_are_cheapest_first() -> None:
    first, second, third = view.next_steps(sample("digits"))
    assert "mend their labels" in first
    assert second.startswith("Stop training early, at epoch 9: +4.2 points, 95 % interval 2.7 to 5.8")
    assert third.startswith("Train on generalized cross-entropy (q = 0.7)")


def test_a_rule_that_is_not_surely_better_is_no_step() -> None:
    assert view.best_rule(sample("tiny")) is None
    assert view.best_rule(sample("mammography"))["rule"] == "threshold"


def test_labels_differ() -> None:
    twin = {"short": "gce", "parameters": {"q": 0.7}, "rule": "argmax"}
    labels = view.labels(
        [twin, twin | {"parameters": {"q": 0.9}}, twin | {"rule": "prior"}, twin, twin | {"short": "ce"}]
    )
    assert len(set(labels)) == 5
    assert view.names([twin, twin | {"parameters": {"q": 0.9}}, {"short": "ce", "parameters": {"x": 1}}])[2] == "ce"


@pytest.mark.parametrize(
    ("odds", "expected"),
    [
        ((0.97, 0.02, 0.01), ("better", True)),
        ((0.6, 0.4, 0.0), ("better", False)),
        ((0.4, 0.35, 0.25), ("open", False)),
        ((0.0, 0.04, 0.96), ("worse", True)),
        ((None, None, None), ("reference", True)),
    ],
)
def test_standing(odds: tuple[float | None, ...], expected: tuple[str, bool]) -> None:
    assert view.standing(dict(zip(("p_better", "p_equivalent", "p_worse"), odds, strict=True))) == expected


def test_wording() -> None:
    assert wording.gain_sentence(0.013, [0.002, 0.024], "accuracy") == "+1.3 points, 95 % interval 0.2 to 2.4"
    assert wording.gain_sentence(-0.0301, [-0.05, 0.01], "log_loss") == "-0.030, 95 % interval -0.050 to 0.010"
    assert wording.gain(-0.0001, "accuracy") == "0.0 points"
    assert wording.gain(0.01, "accuracy") == "+1.0 point"
    assert wording.minus("-0.5 to -0.1, 3-fold, a-1") == "−0.5 to −0.1, 3-fold, a-1"
    assert [wording.probability(p) for p in (0.0, 0.004, 0.5, 0.996, 1.0)] == [
        "0 %",
        "< 1 %",
        "50 %",
        "> 99 %",
        "100 %",
    ]
    assert wording.loss_name("NormalizedCrossEntropyLoss + MAELoss") == "normalized cross-entropy + MAE"
    assert wording.loss_name("BrierLoss") == "Brier"
    assert wording.parameters({"q": 0.7, "counts": list(range(1000))}) == "q = 0.7, counts = [1000 values]"


def test_paper_tables() -> None:
    latex, markdown = latex_table(sample("mammography")), markdown_table(sample("mammography"))
    assert r"focal (gamma = 2) & threshold & 88.7 & $-$0.4 & $-$1.3 to 0.5 & 3 \% & 83 \% \\" in latex
    assert latex.count(r"\\") == 7  # the head and the six that were raced to the end
    assert "| focal (gamma = 2) | threshold | 88.7 | -0.4 | -1.3 to 0.5 | 3 % | 83 % |" in markdown
    assert len({line.count("|") for line in markdown.splitlines() if line.startswith("|")}) == 1


def test_details_are_recognised_by_their_keys_and_all_else_is_ignored() -> None:
    known = {
        "counts": {"a": 3, "b": 1},
        "matrix": [[1, 0], [2, 3]],
        "labels": ["a", "b"],
        "bins": [{"confidence": 0.5, "accuracy": 0.4, "count": 7}, {"confidence": 0.9, "accuracy": None, "count": 0}],
        "inner": {"curve": [{"x": "first", "y": 0.1}, {"x": "last", "y": 0.2}], "y_title": "share"},
    }
    assert len(details.pictures(known)) == 4
    odd = {
        "counts": {"a": "many"},
        "matrix": [[1, 2, 3]],
        "labels": ["a"],
        "bins": 4,
        "curve": [],
        "ratio": 3.0,
        "p": None,
    }
    assert details.pictures(odd) == []
    many = details.pictures({"counts": {f"class {number}": number for number in range(1000)}})[0]
    assert "of 1000" in many.title
    assert many.spec["height"] < 1200


def test_rows_behind_a_finding_become_a_table() -> None:
    suspects = [{"row": 12345, "given": "cat", "probability_given": 0.00312, "agrees": True, "empty": None}]
    assert details.row_tables({"suspects": suspects, "pairs": [{"errors": 3}]}) == [
        (["row", "given", "probability given", "agrees"], [["12345", "cat", "0.00312", "yes"]])
    ]


def test_steps_in_a_log_and_in_a_terminal() -> None:
    log = Console(file=io.StringIO(), width=80)
    with Steps(log) as steps:
        steps.start("read")
        steps.start("race", total=3)
        steps.advance("race", by=3)
    lines = log.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[:1] + lines[2:3] == ["read ...", "race ... (3 parts)"]
    assert re.fullmatch(r"race done in \d+\.\d s", lines[3])
    assert list(steps.seconds) == ["read", "race"]

    terminal = Console(file=io.StringIO(), width=80, force_terminal=True)
    with Steps(terminal) as steps:
        steps.start("race", total=3)
        steps.advance("race")
        steps.advance("unknown")
    assert "3/3" in terminal.file.getvalue()  # type: ignore[attr-defined]


def test_steps_that_fail_do_not_claim_to_be_done() -> None:
    log = Console(file=io.StringIO(), width=80)

    def fail() -> None:
        with Steps(log) as steps:
            steps.start("race")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert "done" not in log.file.getvalue()  # type: ignore[attr-defined]

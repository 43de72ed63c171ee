"""`whyloss claims`: what is typed arrives, files and table say the same, and an interrupted run goes on."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from claims import planted

import whyloss.claims.book as book
from whyloss.advise.finding import InputError
from whyloss.claims.claim import Claim, Experiment, Results, Scale
from whyloss.claims.command import claims
from whyloss.claims.sentences.contradictions import CONTRADICTIONS
from whyloss.cli import main

PLANTED = {claim.id: (claim, results) for claim, results in (planted.vanishing(), planted.exploding())}
runs: list[tuple[str, Scale]] = []


def vanishing(part: str, scale: Scale) -> Results:
    """What is planted; counts its runs."""
    runs.append((part, scale))
    return PLANTED["S1-5"][1]


def exploding(part: str, scale: Scale) -> Results:
    """Two parts of what is planted; stopped by the keyboard in its second part if a file says so."""
    runs.append((part, scale))
    if part == "two" and os.environ.get("STOP"):
        raise KeyboardInterrupt
    found = PLANTED["S1-6/8"][1]
    half = slice(None, 3) if part == "one" else slice(3, None)
    return Results(found.measured[half], found.curves if part == "one" else ())


@pytest.fixture(autouse=True)
def small_book(monkeypatch: pytest.MonkeyPatch) -> list[Claim]:
    """Two claims that take no time, and the contradiction between them."""
    runs.clear()
    written = [
        replace(PLANTED["S1-5"][0], experiment=Experiment(vanishing)),
        replace(PLANTED["S1-6/8"][0], experiment=Experiment(exploding, ("one", "two"))),
    ]
    monkeypatch.setattr(book, "claims", lambda: list(written))
    monkeypatch.setattr(book, "contradictions", lambda: list(CONTRADICTIONS[:1]))
    return written


def test_files_and_table_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "folder"
    assert main(["claims", "--quick", "--seed", "3", "--out", str(out), "--jobs", "1"]) == 0
    said = capsys.readouterr()
    found = json.loads((out / "claims.json").read_text())
    assert [record["id"] for record in found] == ["S1-5", "S1-6/8", "C-1"]
    for record in found:
        assert record["id"] in said.out
        assert record["figure_text"] in said.out
        assert record["quick"] is True
        assert record["command"] == f"whyloss claims --quick --seed 3 --out {out} --jobs 1"
        assert record["versions"].keys() >= {"whyloss", "torch"}
    assert str(out / "claims.html") in said.out.replace("\n", "")
    assert "3 parts" in said.err, "progress leaves standard output to the table"
    assert (out / "claims.html").exists()
    assert (out / "contradiction-C-1.html").exists()
    assert {scale for _, scale in runs} == {Scale(3, True)}


def test_what_was_done_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = ["claims", "--out", str(tmp_path), "--jobs", "1"]
    monkeypatch.setenv("STOP", "1")
    assert main(typed) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert main([*typed, "--lang", "zh"]) == 130
    assert "再次运行同一命令即可继续" in capsys.readouterr().err
    assert not (tmp_path / "claims.json").exists()
    monkeypatch.delenv("STOP")
    runs.clear()
    assert main(typed) == 0
    assert [part for part, _ in runs] == ["two"]
    whole = (tmp_path / "claims.json").read_bytes()
    assert main(typed) == 0
    assert (tmp_path / "claims.json").read_bytes() == whole


def test_a_contradiction_brings_its_sides_and_a_claim_comes_alone(tmp_path: Path) -> None:
    assert [record["id"] for record in claims(["c-1"], out=tmp_path, jobs=1)] == ["S1-5", "S1-6/8", "C-1"]
    assert [record["id"] for record in claims(["S1-8"], out=tmp_path, jobs=1)] == ["S1-6/8"]


def test_an_unknown_claim_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "none"
    assert main(["claims", "S1-55", "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("whyloss: There is no claim 'S1-55'. Did you mean S1-5")
    assert error.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("claims --lang fr", "--lang"),
        ("claims --seed one", "--seed"),
        ("claims --jobs 0", "--jobs"),
        ("claims --nope", "--nope"),
    ],
)
def test_mistakes_end_with_one_sentence(typed: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(typed.split()) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()
    with pytest.raises(InputError, match="--out"):
        claims(out=place, jobs=1)


def test_all_in_chinese(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "--lang", "zh", "--out", str(tmp_path), "--jobs", "1"]) == 0
    said = capsys.readouterr()
    assert "编号" in said.out
    assert "实验……（共 3 部分）" in said.err
    assert "实验完成，用时" in said.err
    assert "矛盾" in said.out
    records: list[dict[str, Any]] = json.loads((tmp_path / "claims.json").read_text())
    assert records[0]["verdict"] == "holds only when"
    assert records[0]["text"].startswith("仅当")
    assert records[0]["command"].endswith("--lang zh")


def test_help_teaches_and_imports_nothing_heavy() -> None:
    code = """
import sys
from whyloss.cli import main
assert main(["claims", "--help"]) == 0
heavy = ("torch", "sklearn", "pandas", "numpy", "scipy", "altair")
print(*[name for name in heavy if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == []
    text = " ".join(done.stdout.replace("│", " ").split())
    for option in ("quick", "seed", "out", "jobs", "lang"):
        assert f"--{option} " in text
    assert "whyloss claims S1-5 S2-6" in text
    assert text.count("[default: ") >= 5

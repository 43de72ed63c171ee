"""`whyloss bench`: what is typed arrives, files and tables say the same, and what was measured is kept."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from bench import planted
from rich.console import Console

import whyloss
import whyloss.bench.command as command
from whyloss.advise.finding import InputError
from whyloss.bench.command import bench
from whyloss.bench.report import show
from whyloss.cli import main

FIELDS = {"case", "shape", "dtype", "implementation", "forward_ms", "total_ms", "extra_mib", "of_floor", "error"}
TINY = ["logits-40x10", "linear-30x8x20"]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    out = tmp_path_factory.mktemp("bench")
    peers = [
        planted.peer(planted.refusing, planted.double, planted.undefined, planted.overwriting),
        planted.peer(planted.right, package="no-such-package"),
    ]
    return bench(TINY, losses=["ce", "focal"], rounds=3, seconds=0.01, out=out, peers=peers), out


def printed(report: dict[str, Any], width: int = 80) -> str:
    file = io.StringIO()
    show(report, Console(file=file, width=width))
    return file.getvalue()


def test_bench_json(report: tuple[dict[str, Any], Path]):
    found, out = report
    written = json.loads((out / "bench.json").read_text())
    assert written == json.loads(json.dumps(found))
    assert written.keys() >= {"machine", "versions", "floors", "peers", "seconds", "rows", "command", "seed"}
    assert written["finished"]
    assert all(row.keys() >= FIELDS for row in written["rows"])
    assert [peer["status"] for peer in written["peers"]] == ["measured", "not installed"]
    assert {(row["case"], row["loss"]) for row in written["rows"]} == {
        (case, loss) for case in TINY for loss in ("cross-entropy", "focal")
    }
    linear = [row["implementation"] for row in written["rows"] if row["case"] == TINY[1] and row["loss"] == "focal"]
    assert linear[:2] == ["whyloss (auto: linear)", "whyloss (reference)"]
    assert sum("KiB" in name for name in linear) == 2, "memory budgets"


def test_tables_fit_eighty_columns(report: tuple[dict[str, Any], Path]):
    text = printed(report[0])
    assert max(map(len, text.splitlines())) <= 80
    for row in report[0]["rows"]:
        assert row["implementation"] in text
    assert "refusing: RuntimeError: Widths of 10 are not for us." in text
    assert "overwriting writes over its input." in text
    assert "no-such-package: not installed" in text
    assert [line.split()[-1] for line in text.splitlines() if line.startswith(("double", "undefined"))] == [
        "1e+00",
        "NaN",
    ]
    assert "…" not in text, "nothing is cut off"


def test_a_long_report_ends_with_a_summary(report: tuple[dict[str, Any], Path]):
    ratios = [
        f"{row['loss']} {row['ratio']:.2f}"
        for row in report[0]["rows"]
        if row["implementation"].startswith("whyloss (auto")
    ]
    assert len(ratios) == 4
    assert not any(ratio in printed(report[0]) for ratio in ratios)
    many = printed({**report[0], "rows": report[0]["rows"] * 2}).partition("In all")[2]
    assert all(ratio in many for ratio in ratios)
    assert all(
        f"{loss} <b>{figure}</b>" in (report[1] / "bench.html").read_text() for loss, figure in map(str.split, ratios)
    )


def test_columns_for_cuda_graphs_fit_too(report: tuple[dict[str, Any], Path]):
    rows = [{**row, "graph_total_ms": 1234.5, "total_ms": 1234.5} for row in report[0]["rows"] if not row["note"]]
    text = printed({**report[0], "rows": rows})
    assert "graph" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_the_page_needs_nothing_else(report: tuple[dict[str, Any], Path]):
    page = (report[1] / "bench.html").read_text()
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert page.count("<svg viewBox") == 4
    for said in ("Widths of 10 are not for us", "no-such-package: not installed", *TINY):
        assert said in page


def test_markdown(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    typed = ["bench", "logits-30x5", "--loss", "focal", "--seconds", "0.01", "--out", str(tmp_path), "--markdown"]
    assert main(typed) == 0
    said = capsys.readouterr()
    assert "**logits-30x5, focal**" in said.out
    assert "| whyloss (auto: dense) | " in said.out
    assert "logits-30x5" in said.err, "progress leaves standard output to the tables"
    assert json.loads((tmp_path / "bench.json").read_text())["command"].startswith("whyloss bench logits-30x5 --loss")


def test_the_edge_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["bench", "--edges", "--out", str(tmp_path), "--markdown"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("# The edge contract")
    assert "| torch `cross_entropy` | value nan" in said.out
    assert "edges ..." in said.err
    written = json.loads((tmp_path / "bench.json").read_text())
    assert written["finished"]
    assert written["rows"] == written["peers"] == []
    edges = written["edges"]
    assert {row["verdict"] for row in edges["rows"] if row["family"] == "whyloss"} == {"OK"}
    assert edges["rows"][0].keys() == {
        *("case", "topic", "given", "contract", "family", "library", "version", "call", "came", "verdict")
    }
    page, text = (tmp_path / "bench.html").read_text(), printed(written)
    assert "<script" not in page
    assert max(map(len, text.splitlines())) <= 80
    for row in edges["rows"]:
        assert f"<code>{row['call']}</code>" in page or "&#39;" in page
        assert row["call"].split("(")[0] in text
    assert f"whyloss {whyloss.__version__}: OK " in text


def test_the_edge_contract_beside_times(tmp_path: Path):
    found = bench(["logits-30x5"], losses=["ce"], seconds=0.01, out=tmp_path, peers=[], edges=True)
    assert found["rows"]
    assert found["edges"]["rows"]
    page, text = (tmp_path / "bench.html").read_text(), printed(found)
    for said in ("How fast, how much memory", "The edge contract", "logits-30x5"):
        assert said in page
    assert "× torch" in text
    assert "Masked classes" in text


def test_an_interrupted_run_keeps_what_was_measured(tmp_path: Path):
    peers = [planted.peer(planted.interrupted)]
    with pytest.raises(KeyboardInterrupt, match="Nothing was measured yet"):
        bench(["logits-30x5"], losses=["ce"], seconds=0.01, out=tmp_path, peers=peers)
    assert not (tmp_path / "bench.json").exists()
    with pytest.raises(KeyboardInterrupt, match=f"What was measured is in {tmp_path}"):
        bench(["segmentation-1x2x4x4", "logits-30x5"], losses=["ce"], seconds=0.01, out=tmp_path, peers=peers)
    written = json.loads((tmp_path / "bench.json").read_text())
    assert {row["case"] for row in written["rows"]} == {"segmentation-1x2x4x4"}
    assert not written["finished"]
    assert "Interrupted" in (tmp_path / "bench.html").read_text()
    assert "Interrupted" in printed(written)


def test_what_does_not_fit_into_memory_is_said(tmp_path: Path):
    found = bench(["logits-4000000000x4000000", "logits-30x5"], losses=["ce"], seconds=0.01, out=tmp_path, peers=[])
    first, *others = found["rows"]
    assert first["note"] == "The inputs do not fit into the memory of the device."
    assert {row["note"] for row in others} == {""}
    assert "do not fit" in printed(found)


def test_a_device_that_failed_ends_the_run_with_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*given: Any) -> list[dict[str, Any]]:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nMore.")

    monkeypatch.setattr(command, "compare", fail)
    with pytest.raises(InputError, match=r"illegal memory access.*measure the remaining cases apart"):
        bench(["logits-30x5"], losses=["ce"], out=tmp_path, peers=[])


def test_everything_that_is_typed_arrives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    seen: dict[str, Any] = {}
    nothing = {"rows": [], "peers": [], "versions": {}, "floors": {}, "finished": True}
    machine = {"gpu": None, "processor": "", "threads": 1, "cores": 1}

    def bench(cases: list[str], **options: Any) -> dict[str, Any]:
        seen.update(options, cases=cases)
        return {**nothing, "machine": machine}

    monkeypatch.setattr(command, "bench", bench)
    typed = ["a", "b", "--loss", "x", "--loss", "y", "--device", "cpu", "--dtype", "float16", "--rounds", "7"]
    typed += [
        "--seconds",
        "0.5",
        "--quick",
        "--compile",
        "--edges",
        "--threads",
        "2",
        "--seed",
        "3",
        "--out",
        str(tmp_path),
    ]
    assert main(["bench", *typed]) == 0
    assert seen.pop("console").stderr
    assert seen.pop("command").split() == ["whyloss", "bench", *typed]
    assert seen == {
        "cases": ["a", "b"],
        "losses": ["x", "y"],
        "device": "cpu",
        "dtype": "float16",
        "rounds": 7,
        "seconds": 0.5,
        "quick": True,
        "compiled": True,
        "edges": True,
        "threads": 2,
        "seed": 3,
        "out": tmp_path,
    }


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("bench nonsense", "Cases are: logits-512x32000"),
        ("bench logits-7", "no case"),
        ("bench linear-4x5", "linear is NxDxC"),
        ("bench --loss dcie", "These are: cross-entropy"),
        ("bench multilabel --loss dice", "binary-cross-entropy, sigmoid-focal, asymmetric"),
        ("bench --rounds 0", "--rounds is 0"),
        ("bench --threads 0", "--threads is 0"),
        ("bench --seconds -1", "--seconds is -1"),
        ("bench --device tpu", "--device"),
        ("bench --nope", "whyloss bench --help"),
    ],
)
def test_mistakes_end_with_one_sentence(typed: str, said: str, capsys: pytest.CaptureFixture[str]):
    assert main(typed.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("whyloss: ")
    assert said in error
    assert error.count("\n") == 1


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path):
    place = tmp_path / "file"
    place.touch()
    with pytest.raises(InputError, match="--out"):
        bench(["logits-30x5"], out=place)


def test_help_teaches(capsys: pytest.CaptureFixture[str]):
    assert main(["bench", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    options = ("loss", "device", "dtype", "quick", "rounds", "seconds", "compile", "threads", "seed", "out", "markdown")
    for option in options:
        assert f"--{option} " in text
    assert "whyloss bench --quick" in text
    assert text.count("[default: ") >= 8

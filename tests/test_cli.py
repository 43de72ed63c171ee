"""The command line: what is typed arrives, help is there at once, and mistakes end in one sentence and exit code 2."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import whyloss.advise.report
from whyloss.advise.finding import InputError
from whyloss.advise.metrics import METRICS
from whyloss.cli import main


@pytest.fixture
def advised(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `advise` was called with, in place of the hours it may take. Set `raises` to make it fail."""
    seen: dict[str, Any] = {"raises": None, "shown": None}

    def advise(source: str, **options: Any) -> dict[str, Any]:
        seen.update(options, source=source)
        if seen["raises"] is not None:
            raise seen["raises"]
        return {"verdict": {}}

    def show(report: dict[str, Any], console: object, html: object = None) -> None:
        seen["shown"] = (report, html)

    module = ModuleType("whyloss.advise.run")
    module.advise = advise  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "whyloss.advise.run", module)
    monkeypatch.setattr(whyloss.advise.report, "show", show)
    return seen


HEAVY = ("torch", "sklearn", "pandas", "numpy", "scipy", "altair", "joblib")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["advise", "--help"], ["bench", "--help"], ["list", "--help"], ["--version"], []]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import sys
from whyloss.cli import main
assert main({arguments!r}) == 0
print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == []
    assert done.stdout


def test_python_m_whyloss_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "whyloss", "lst"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith('whyloss: Unknown command "lst". Did you mean "list"?')


def test_help_teaches_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advise", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for option in ("label", "metric", "group", "ordered", "drop", "out", "seed", "budget", "jobs", "backend"):
        assert f"--{option} " in text
    assert text.count("[default: ") >= 10
    assert "whyloss advise flowers.csv --label species" in text
    assert [name for name in METRICS if name not in text] == []


def test_everything_that_is_typed_arrives(advised: dict[str, Any]) -> None:
    typed = ["my data.csv", "--label", "-1", "--metric", "f1", "--group", "site", "--ordered", "low, middle,high"]
    typed += ["--drop", "id", "--drop", "a date", "--out", "here", "--seed", "3", "--budget", "quick"]
    typed += ["--jobs", "2", "--backend", "dask://localhost:8786"]
    assert main(["advise", *typed]) == 0
    command = advised.pop("command")
    shown, _, console = advised.pop("shown"), advised.pop("raises"), advised.pop("console")
    assert advised == {
        "source": "my data.csv",
        "label": "-1",
        "metric": "f1",
        "group": "site",
        "ordered": ["low", "middle", "high"],
        "drop": ["id", "a date"],
        "out": Path("here"),
        "seed": 3,
        "budget": "quick",
        "jobs": 2,
        "backend": "dask://localhost:8786",
    }
    assert shown == ({"verdict": {}}, Path("here/report.html"))
    assert console.stderr, "progress leaves standard output to the report"
    assert shlex.split(command) == ["whyloss", "advise", *typed]


def test_the_command_of_a_bare_run_spells_out_its_defaults(advised: dict[str, Any]) -> None:
    assert main(["advise"]) == 0
    assert advised["command"] == "whyloss advise breast_cancer --out whyloss-report --seed 0 --budget normal"
    assert main(shlex.split(advised["command"])[1:]) == 0
    assert advised["source"] == "breast_cancer"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("advise --nope", "Unknown option: --nope"),
        ("advise --budget slow", 'Invalid value "slow" for --budget'),
        ("advise --seed one", "--seed"),
        ("advise --ordered low", "at least two classes"),
        ("show", "NAME"),
        ("show foccal", "Nearest: focal"),
        ("show focal --param gamma=-1", "gamma >= 0 is needed"),
        ("show focal --out focal.gif", "should end in one of .svg"),
        ("show focal --out no/such/folder/focal.json", "cannot be written"),
        ("list --family fancy", "robust"),
    ],
)
def test_mistakes_end_with_one_sentence(typed: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(typed.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("whyloss: ")
    assert said in error
    assert error.count("\n") == 1


def test_bad_input_is_said_as_it_is(advised: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    advised["raises"] = InputError("There is no file 'x.csv'.")
    assert main(["advise", "x.csv"]) == 2
    assert capsys.readouterr().err == "whyloss: There is no file 'x.csv'.\n"


def test_a_missing_extra_is_named(advised: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    advised["raises"] = ModuleNotFoundError("No module named 'sklearn.linear_model'", name="sklearn.linear_model")
    assert main(["advise"]) == 2
    error = capsys.readouterr().err
    assert "sklearn" in error
    assert "pip install 'whyloss[advise]'" in error


def test_without_extras_even_the_first_import_is_explained() -> None:
    code = "import sys; sys.modules['cyclopts'] = None; from whyloss.cli import main; sys.exit(main(['--help']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'whyloss[advise]'" in done.stderr


def test_a_fault_of_ours_keeps_its_traceback(advised: dict[str, Any]) -> None:
    advised["raises"] = ModuleNotFoundError("No module named 'whyloss.advise.gone'", name="whyloss.advise.gone")
    with pytest.raises(ModuleNotFoundError):
        main(["advise"])


def test_an_interrupt_says_that_nothing_is_lost(advised: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    advised["raises"] = KeyboardInterrupt()
    assert main(["advise"]) == 130
    assert "Finished trials are kept" in capsys.readouterr().err


def test_a_closed_pipe_is_no_news() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "whyloss", "list", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_list_and_show_print(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["list", "--family", "region", "--json"]) == 0
    assert {record["family"] for record in json.loads(capsys.readouterr().out)} == {"region"}
    assert main(["list"]) == 0
    assert "BrierLoss" in capsys.readouterr().out
    target = tmp_path / "focal.svg"
    assert main(["show", "focal", "--param", "gamma=0.5", "--out", str(target)]) == 0
    assert "FocalLoss(gamma=0.5)" in capsys.readouterr().out
    assert target.read_text().startswith("<svg")

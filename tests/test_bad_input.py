"""Bad input ends with one clear message on stderr and exit code 2: no traceback, nothing written, nothing lost."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from whyloss.cli import main

GOOD = pd.DataFrame({"size": [1.0, 2.0, 1.5, 2.5, 1.2, 2.2] * 5, "kind": ["cat", "dog"] * 15}).assign(
    weight=lambda t: t["size"] * np.linspace(1, 2, 30)
)


def with_label(label: list[object]) -> pd.DataFrame:
    return GOOD.assign(kind=label)


def csv(table: pd.DataFrame) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        table.to_csv(folder / "table.csv", index=False)
        return str(folder / "table.csv")

    return write


def content(name: str, data: bytes) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        (folder / name).write_bytes(data)
        return str(folder / name)

    return write


def arrays(**named: np.ndarray) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        np.savez(folder / "arrays.npz", **named)
        return str(folder / "arrays.npz")

    return write


def missing(folder: Path) -> str:
    csv(GOOD)(folder)
    return str(folder / "tabel.csv")


RNG = np.random.default_rng(0)
CASES: dict[str, tuple[Callable[[Path], str], list[str], str]] = {
    "file missing": (missing, [], "table.csv"),
    "empty": (content("table.csv", b""), [], "empty"),
    "not a table": (content("table.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256))), [], "table"),
    "npz without X and y": (arrays(a=np.zeros((3, 3, 3))), [], "column"),
    "label column missing": (csv(GOOD), ["--label", "knid"], "kind"),
    "no label named": (csv(GOOD), ["--label", ""], "label"),
    "one class": (csv(with_label(["cat"] * 30)), [], "one class"),
    "a class of one row": (csv(with_label(["cat"] * 15 + ["dog"] * 14 + ["emu"])), [], "emu"),
    "NaN labels": (csv(with_label(["cat", "dog"] * 14 + [None, "dog"])), [], "label"),
    "label spelled two ways": (csv(with_label(["cat", "dog", "Cat"] * 10)), [], "Cat"),
    "all-constant features": (csv(GOOD.assign(size=1.0, weight=2.0)), [], "constant"),
    "no usable feature": (
        csv(GOOD[["kind"]].assign(text=[f"a long sentence number {i} about nothing" for i in range(30)])),
        [],
        "feature",
    ),
    "more classes than rows/2": (csv(with_label([f"kind {i % 20}" for i in range(30)])), [], "class"),
    "a training script": (content("train.py", b"def train(loss):\n    ...\n"), [], "training function"),
    "continuous label": (csv(GOOD.assign(kind=RNG.normal(size=30))), [], "HL-Gauss"),
    "unknown metric": (csv(GOOD), ["--metric", "acuracy"], "accuracy"),
    "group missing": (csv(GOOD), ["--group", "patient"], "patient"),
    "order incomplete": (csv(GOOD), ["--ordered", "cat,emu"], "dog"),
    "multi-label": (arrays(X=RNG.normal(size=(30, 3)), y=RNG.integers(0, 2, (30, 4))), ["--label", "y"], "multi-label"),
    "masks": (
        arrays(images=RNG.normal(size=(8, 6, 6)), labels=RNG.integers(0, 2, (8, 6, 6))),
        ["--label", "labels"],
        "mask",
    ),
    "predictions only": (
        arrays(pred_probs=RNG.dirichlet([1, 1], 30), labels=RNG.integers(0, 2, 30)),
        ["--label", "labels"],
        "predictions",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_clear_message_and_exit_code_2(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    make, options, mention = CASES[name]
    source, out = make(tmp_path), tmp_path / "out"
    label = [] if "--label" in options else ["--label", "kind"]
    code = main(["advise", source, *label, *options, "--budget", "quick", "--out", str(out)])
    shown = capsys.readouterr()
    assert code == 2, shown
    assert mention.lower() in shown.err.lower()
    assert "Traceback" not in shown.err + shown.out
    assert not out.exists()


def test_an_output_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    blocked = tmp_path / "a file"
    blocked.write_text("no folder can be made inside it")
    source, out = csv(GOOD)(tmp_path), str(blocked / "report")
    code = main(["advise", source, "--label", "kind", "--budget", "quick", "--out", out])
    assert code == 2
    assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["advise", "--budgte", "quick"], ["advise", "--budget", "huge"], ["advice"]])
def test_unknown_words_on_the_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err + shown.out

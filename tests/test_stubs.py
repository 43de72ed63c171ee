"""The typed face: functional.pyi is what the classes say, and a type checker catches what a user mistypes."""

import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import whyloss
from whyloss import stubs
from whyloss.losses.catalogue import catalogue, function_name

PYRIGHT = shutil.which("pyright", path=str(Path(sys.executable).parent)) or shutil.which("pyright")


def test_the_stub_file_is_current():
    assert stubs.FILE.read_text(encoding="utf-8") == stubs.text(), "run `make stubs`"


def test_the_stub_file_names_every_function_and_its_own_parameters():
    for cls in catalogue().values():
        if cls.stateful:
            continue  # what remembers earlier calls is no function
        _, found, rest = stubs.text().partition(f"def {function_name(cls)}(\n")
        assert found
        written = {line.strip().partition(":")[0] for line in rest.partition(") ->")[0].splitlines()}
        signature = inspect.signature(getattr(whyloss.functional, function_name(cls)))
        assert written - {"*,", "**options"} <= set(signature.parameters)


GOOD = """\
import torch
import whyloss
from whyloss import functional as F

z, y = torch.zeros(1, 2), torch.tensor([0])
loss = 0.5 * whyloss.FocalLoss(gamma=1.0, reduction="sum") + whyloss.BrierLoss()
value: torch.Tensor = loss(z, y)
F.focal_loss(z, y, gamma=1.0, reduction="sum", sample_weight=torch.ones(1), normalizer=3.0)
F.dice_loss(z, y, over="batch")
F.class_balanced_loss(z, y, counts=torch.ones(2), weight=None)
whyloss.TverskyLoss(alpha=0.2, absent="skip")


class Mine(whyloss.RowLoss):
    q: float = 0.5

    def formula(self, log_p: torch.Tensor) -> torch.Tensor:
        return self.q * log_p


Mine(q=0.3, ignore_index=255)(z, y)
"""
BAD = {
    "whyloss.FocalLoss(gama=2.0)": "gama",
    "F.focal_loss(z, y, gama=2.0)": "gama",
    'whyloss.FocalLoss(reduction="avg")': "avg",
    'F.focal_loss(z, y, reduction="avg")': "avg",
    'F.dice_loss(z, y, over="pixel")': "pixel",
    "F.ldam_loss(z, y)": "counts",
    "Mine(gamma=2.0)": "gamma",
    "whyloss.FocalLoss(2.0)": "positional",
}


@pytest.mark.skipif(PYRIGHT is None, reason="pyright is not installed")
def test_pyright_accepts_what_is_right_and_rejects_what_is_wrong(tmp_path: Path):
    file = tmp_path / "user.py"
    file.write_text(GOOD + "\n" + "\n".join(BAD) + "\n", encoding="utf-8")
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}', encoding="utf-8")
    command = [str(PYRIGHT), "--outputjson", "--pythonpath", sys.executable, "--project", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if not run.stdout.lstrip().startswith("{"):
        pytest.skip(f"pyright cannot run here: {run.stderr[:200]}")
    errors: dict[int, str] = {}
    for found in json.loads(run.stdout)["generalDiagnostics"]:
        line = found["range"]["start"]["line"]
        errors[line] = errors.get(line, "") + found["message"]
    first = len(GOOD.splitlines()) + 1
    assert not {line: text for line, text in errors.items() if line < first}
    for line, (code, word) in enumerate(BAD.items(), first):
        assert word in errors.get(line, ""), (code, errors.get(line))

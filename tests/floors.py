"""The building stands: imports go down only, nothing heavy is loaded unasked, files stay small."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import whyloss

SOURCE = Path(whyloss.__file__).parent
ROOT = SOURCE.parents[1]
FLOORS = {"stats": 0, "losses": 1, "functional": 1, "bridges": 2, "advise": 2, "claims": 3, "bench": 3}
TOP = 4  # the command line and what belongs to it
FILES = sorted(SOURCE.rglob("*.py"))


def floor(module: str) -> int:
    """The floor of whyloss.something; the package itself only passes on the names of the losses."""
    parts = module.split(".")
    return FLOORS["losses"] if len(parts) == 1 else FLOORS.get(parts[1], TOP)


def module_name(file: Path) -> str:
    return ".".join(["whyloss", *file.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")


def imports(file: Path) -> list[str]:
    """Every module that a file may reach by an import, wherever the import stands; relative ones are resolved."""
    found: list[str] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            here = ["whyloss", *file.relative_to(SOURCE).parts[:-1]]
            base = ".".join(here[: len(here) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            found += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(SOURCE)))
def test_imports_go_down_only(file: Path):
    own = module_name(file)
    for name in imports(file):
        if name == own or not name.startswith("whyloss"):
            continue
        known = SOURCE.joinpath(*name.split(".")[1:])
        if name != "whyloss" and not (known.is_dir() or known.with_suffix(".py").exists()):
            continue  # a name that the package passes on, such as whyloss.FocalLoss
        assert floor(name) <= floor(own), f"{own} imports {name}"
        assert not (own.startswith("whyloss.losses") and name == "whyloss"), f"{own} imports the package above it"
        if FLOORS["advise"] <= floor(name) == floor(own) < TOP:  # those side by side see nothing of each other
            assert name.split(".")[1] == own.split(".")[1], f"{own} imports {name}"


@pytest.mark.parametrize("part", ["stats", "losses"])
def test_the_two_lower_floors_know_torch_and_the_standard_library_only(part: str):
    allowed = {*sys.stdlib_module_names, "torch", "whyloss"}
    for file in (SOURCE / part).rglob("*.py"):
        more = {"triton"} if "kernels" in file.parts else set[str]()
        assert {name.split(".")[0] for name in imports(file)} <= allowed | more, file


@pytest.mark.parametrize("name", ["finding.py", "evidence.py"])
def test_evidence_sees_numbers_and_no_tensors(name: str):
    file = SOURCE / "advise" / name
    assert {n.split(".")[0] for n in imports(file)} <= {*sys.stdlib_module_names, "numpy", "scipy", "whyloss"}


def loaded(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after running this."""
    code += "\nimport sys; print('LOADED', *{m.partition('.')[0] for m in sys.modules})"
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.rpartition("LOADED ")[2].split())


def test_importing_whyloss_loads_torch_and_nothing_else():
    with_losses = loaded("import whyloss; whyloss.FocalLoss(); whyloss.functional.focal_loss; whyloss.DiceLoss")
    torch_alone = loaded("import torch")
    assert with_losses - torch_alone - sys.stdlib_module_names <= {"whyloss"}
    assert "torch" not in loaded("import whyloss")


def test_the_command_lines_help_loads_neither_torch_nor_scikit_learn():
    command = [sys.executable, "-X", "importtime", "-m", "whyloss.cli", "--help"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    names = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines() if line.startswith("import time:")}
    assert "whyloss" in names
    assert not names & {"torch", "sklearn", "pandas"}


@pytest.mark.parametrize("folder", ["src", "benchmarks"])
def test_no_file_is_long(folder: str):
    lengths = {str(f): len(f.read_text(encoding="utf-8").splitlines()) for f in (ROOT / folder).rglob("*.py")}
    assert not {name: n for name, n in lengths.items() if n > 400}

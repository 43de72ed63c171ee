"""The catalogue for readers: every loss can be listed and drawn, and what is drawn is the loss."""

import json
import re
from io import StringIO
from pathlib import Path

import pytest
import torch
from rich.console import Console

from whyloss import curves, picture, show
from whyloss.losses.catalogue import FAMILIES
from whyloss.losses.loss import Loss, RowLoss
from whyloss.losses.whole import WholeRowLoss
from whyloss.pages import markdown
from whyloss.picture import Line, Panel

NAMES = [cls.__name__ for cls in show.losses()]


def printed(name: str, parameters: list[str] | None = None, width: int = 80) -> str:
    console = Console(file=StringIO(), width=width)
    show.print_loss(console, show.build(name, parameters or []))
    return console.file.getvalue()  # pyright: ignore


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_is_shown_within_80_columns(name: str) -> None:
    text = printed(name)
    cls = type(show.build(name).loss)
    picture_lines = [line for line in text.splitlines() if re.search("[⠁-⣿]", line)]
    assert len(picture_lines) >= picture.ROWS - 1
    assert cls.source in " ".join(text.split())
    # Examples stay whole, so that they can be copied; everything else fits.
    assert all(len(line) <= 80 for line in text.splitlines() if not line.startswith(("  >>>", "  ...")))


@pytest.mark.parametrize("cls", show.losses(), ids=lambda cls: cls.__name__)
def test_every_loss_explains_itself_and_its_parameters(cls: type[Loss]) -> None:
    assert show.about(cls), "a docstring says what the loss does"
    assert cls.equation
    assert show.example(cls).startswith(">>> import torch, whyloss")
    for parameter in show.parameters(cls):
        assert parameter.meaning, f"Args: does not say what {parameter.name} is"


def test_the_curve_is_the_loss() -> None:
    value, gradient = curves.panels(show.build("focal", ["gamma=3"]).loss, "focal")
    p = torch.tensor(value.x[1:-1], dtype=torch.float64)
    assert value.lines[0].y[1:-1] == pytest.approx((-((1 - p) ** 3) * p.log()).tolist(), rel=1e-9)
    reference = gradient.lines[1]
    assert reference.reference
    assert reference.y[1:-1] == pytest.approx((1 - p).tolist(), rel=1e-9)


def test_the_curve_uses_as_many_classes_as_the_parameters_have() -> None:
    loss = show.build("la", ["counts=[900, 90, 10]"]).loss
    assert isinstance(loss, RowLoss)
    value = curves.panels(loss, "")[0]
    p = value.x[200]
    rest = (1 - p) / 2
    shifted = torch.tensor([900 * rest, 90 * rest, 10 * p], dtype=torch.float64)
    assert value.lines[0].y[200] == pytest.approx(float(-(shifted[2] / shifted.sum()).log()), rel=1e-6)
    assert "3 classes" in curves.caption(loss)


def test_regions_are_drawn_against_their_overlap() -> None:
    shifted, grown = curves.panels(show.build("jaccard").loss, "jaccard")
    half = shifted.x.index(0.5)
    assert shifted.lines[0].y[half] == pytest.approx(1 - 0.5 / 1.5)
    assert shifted.lines[1].y[half] == pytest.approx(0.5)
    assert grown.lines[0].y[grown.x.index(2.0)] == pytest.approx(0.5)
    assert min(grown.lines[0].y) == pytest.approx(0, abs=1e-9)


def test_a_loss_that_reads_what_nothing_is_known_of_says_so() -> None:
    class StrangeLoss(WholeRowLoss):
        reads = ("strange",)

    loss = StrangeLoss()
    assert curves.panels(loss, "") == []
    assert curves.caption(loss).startswith("No curve")


def test_lines_are_told_apart_without_colours() -> None:
    x = [0.0, 1.0]
    looks = picture.strokes([Line("a", x), Line("b", x), Line("c", x, reference=True)])
    assert [stroke.name for stroke in looks] == ["own", "second", "reference"]
    assert len({stroke.dots for stroke in looks}) == 3


def test_a_drawn_line_rises_where_the_curve_does() -> None:
    x = [i / 20 for i in range(21)]
    console = Console(file=StringIO(), width=60)
    console.print(picture.in_terminal([Panel("up", "x", x, [Line("line", x)], 0.0, 1.0)], 60))
    rows = [line[7:] for line in console.file.getvalue().splitlines() if re.search("[⠁-⣿]", line)][: picture.ROWS]  # pyright: ignore
    places = [next(i for i, mark in enumerate(row) if "⠁" <= mark <= "⣿") for row in rows]
    assert places == sorted(places, reverse=True)
    assert places[-1] == 0
    assert places[0] > picture.COLUMNS - 5


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("foccal", [], "Nearest: focal"),
        ("focal", ["gama=1"], "Did you mean gamma?"),
        ("focal", ["gamma"], "name=value"),
        ("focal", ["gamma=-1"], "gamma >= 0 is needed, got -1"),
        ("focal", ["gamma=two"], "cannot be drawn with gamma=two"),
        ("forward", ["transition=[[1, 0]]"], "square transition matrix"),
    ],
)
def test_mistakes_are_answered_with_the_mend(name: str, parameters: list[str], message: str) -> None:
    with pytest.raises((KeyError, ValueError)) as caught:
        show.build(name, parameters)
    assert message in caught.value.args[0]


def test_the_json_holds_every_loss_with_its_parameters() -> None:
    records = {record["name"]: record for record in json.loads(show.as_json())}
    assert list(records) == NAMES
    focal = records["FocalLoss"]
    assert focal["function"] == "focal_loss"
    assert focal["facts"]["bounded"] == "no"
    assert [(p["name"], p["default"]) for p in focal["parameters"]] == [("gamma", 2.0)]
    assert records["LDAMLoss"]["parameters"][0] | {"meaning": ""} == {
        "name": "counts", "type": "Tensor", "default": None, "required": True, "meaning": "",
    }  # fmt: skip


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_family_lists_its_own(family: str) -> None:
    console = Console(file=StringIO(), width=80)
    show.print_list(console, family)
    text = console.file.getvalue()  # pyright: ignore
    assert re.findall(r"^(\w+Loss)\b", text, re.MULTILINE) == [cls.__name__ for cls in show.losses(family)]
    assert {show.family(cls) for cls in show.losses(family)} == {family}
    assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize("ending", ["svg", "png", "html", "json"])
def test_the_picture_goes_to_a_file(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"gce.{ending}"
    show.write(show.build("gce", ["q=0.3"]), path)
    content = path.read_bytes()
    if ending == "png":
        assert content.startswith(b"\x89PNG")
    else:
        assert b"GeneralizedCrossEntropyLoss(q=0.3)" in content
    if ending == "html":
        assert b"<script src=" not in content, "the page needs no network"


def test_the_list_of_losses_is_current_and_the_readme_counts_it() -> None:
    root = Path(__file__).parent.parent
    assert (root / "docs" / "losses.md").read_text(encoding="utf-8") == markdown.text(), "run `make stubs`"
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert f"{len(NAMES)} losses" in readme
    for family in FAMILIES:
        count, named = re.search(rf"^\| {family} \| (\d+) \| (.*) \|$", readme, re.MULTILINE).groups()  # pyright: ignore
        own = {cls.__name__ for cls in show.losses(family)}
        assert int(count) == len(own)
        assert set(re.findall(r"`(\w+)`", named)) <= own

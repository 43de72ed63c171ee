"""The catalogue as pages: every loss has one, with what is true of it, and its picture."""

import math
import re
from pathlib import Path

import pytest

from whyloss import curves, show
from whyloss.cli import main
from whyloss.losses.catalogue import catalogue
from whyloss.pages import write as pages


def test_the_index_leads_to_a_page_for_every_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "page", lambda cls: cls.__name__)
    done: list[str] = []
    text = pages.write(tmp_path / "losses", done.append).read_text(encoding="utf-8")
    assert done == list(catalogue())
    linked = re.findall(r'<th scope="row"><a href="([^"]+)">(\w+)</a>', text)
    assert [name for _, name in linked] == list(catalogue())
    assert all((tmp_path / "losses" / file).read_text(encoding="utf-8") == name for file, name in linked)


@pytest.mark.parametrize(
    "name", ["FocalLoss", "DiceLoss", "ZLPRLoss", "TwoWayLoss", "CenterLoss", "GeneralizedJensenShannonLoss"]
)
def test_a_page_says_what_the_loss_is_and_draws_it(name: str) -> None:
    cls = catalogue()[name]
    text = pages.page(cls)
    for part in (cls.__name__, cls.source, *(p.name for p in show.parameters(cls))):
        assert part.replace("&", "&amp;") in text
    panels = curves.panels(show.build(name).loss, name)
    assert text.count("<svg viewBox=") == len(panels)
    assert "<script" not in text
    assert "http" not in re.sub(r'"http-equiv="|http-equiv|http://www.w3.org/[\w/]+', "", text)


@pytest.mark.parametrize("name", list(catalogue()))
def test_no_loss_is_without_a_picture(name: str) -> None:
    loss = show.build(name).loss
    panels = curves.panels(loss, name)
    assert len(panels) == 2
    assert not curves.caption(loss).startswith("No curve")
    for panel in panels:
        assert panel.bottom < panel.top
        own = [line for line in panel.lines if not line.reference]
        assert all(len(line.y) == len(panel.x) and all(map(math.isfinite, line.y)) for line in own)
        assert any(panel.bottom <= y <= panel.top for line in own for y in line.y)
    # A slope may be the same everywhere, or small beside cross-entropy's; a loss that does not move is no picture.
    height = panels[0].top - panels[0].bottom
    assert any(max(line.y) - min(line.y) > 0.1 * height for line in panels[0].lines if not line.reference)


def test_text_of_a_loss_cannot_become_markup() -> None:
    assert pages._coded("a < b, `c & d`") == "a &lt; b, <code>c &amp; d</code>"


def test_where_pages_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["list", "--out", str(tmp_path / "file")]) == 2
    assert "Pages cannot be written" in capsys.readouterr().err

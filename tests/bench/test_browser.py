"""The page in a real browser with the network off: no requests, no complaints, bars drawn, nothing too wide."""

import runpy
from pathlib import Path
from typing import Any

import pytest
from bench import planted

from whyloss.bench.command import bench

pytestmark = pytest.mark.browser
advise = runpy.run_path(str(Path(__file__).parents[1] / "advise" / "test_browser.py"))
claims = runpy.run_path(str(Path(__file__).parents[1] / "claims" / "test_browser.py"))
browser, look, requests = advise["browser"], advise["look"], advise["requests"]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page")
    peers = [planted.peer(planted.refusing, planted.double, planted.overwriting)]
    cases = ["logits-40x10", "linear-30x8x20", "segmentation-2x2x8x8"]
    bench(cases, losses=["ce", "dice"], rounds=3, seconds=0.01, out=out, peers=peers)
    return out / "bench.html"


@pytest.mark.parametrize(
    ("width", "scheme"), [(1200, "light"), (1200, "dark"), (400, "light"), (360, "dark"), (700, "paper")]
)
def test_opens_without_a_network(browser: Any, page: Path, width: int, scheme: str) -> None:
    look(browser, page, width, scheme)
    assert browser.get_log("browser") == []
    assert [url for url in requests(browser) if not url.startswith("data:")] == [page.as_uri()]
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    sizes = browser.execute_script(claims["DRAWN"])
    assert len(sizes) == 4
    for wide, high in sizes:
        assert wide > 150
        assert high > 50
    assert browser.execute_script(claims["FAINT"]) == []
    tables = browser.execute_script(
        "return [...document.querySelectorAll('.scroll')].map(e => e.scrollWidth - e.clientWidth)"
    )
    assert max(tables) <= 0, tables

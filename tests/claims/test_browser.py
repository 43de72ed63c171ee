"""The pages in a real browser with the network off: no requests, no complaints, charts drawn, nothing too wide."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from claims import planted

from whyloss.claims.claim import Scale
from whyloss.claims.report import Run, records, write

pytestmark = pytest.mark.browser
advise = runpy.run_path(str(Path(__file__).parents[1] / "advise" / "test_browser.py"))
browser, look, requests = advise["browser"], advise["look"], advise["requests"]

PAGES = ("claims.html", "contradiction-C-1.html")
TOO_WIDE = """return [...document.querySelectorAll('main *')].filter(e => {
    const box = e.getBoundingClientRect(), hidden = e.closest('.unseen, svg');
    return !hidden && (box.right > innerWidth + 0.5 || e.scrollWidth > e.clientWidth + 1 && e.clientWidth);
}).map(e => e.tagName + '.' + e.className)"""
DRAWN = """return [...document.querySelectorAll('.drawing svg, .bars svg')].map(e => {
    const box = e.getBoundingClientRect();
    return [box.width, box.height];
})"""
# WCAG's contrast of every text with the first solid background behind it.
FAINT = """
const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const rgb = colour => {
    paint.clearRect(0, 0, 1, 1); paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1);
    return paint.getImageData(0, 0, 1, 1).data;
};
const light = c => [0, 1, 2].map(i => c[i] / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = e => {
    for (; e; e = e.parentElement) {
        const colour = rgb(getComputedStyle(e).backgroundColor);
        if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
};
const speaks = e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
return [...document.querySelectorAll('body *')].filter(speaks).map(e => {
    const style = getComputedStyle(e), ink = e.namespaceURI.endsWith('svg') ? style.fill : style.color;
    const [high, low] = [light(rgb(ink)), light(behind(e))].sort((a, b) => b - a);
    return [(high + 0.05) / (low + 0.05), e.tagName + ' ' + e.textContent.slice(0, 40)];
}).filter(([ratio]) => ratio < 4.5)"""
PAINT = """
const lines = document.querySelectorAll('.drawing path[stroke^="var"]');
return [...lines, document.body].map(e => getComputedStyle(e).stroke + getComputedStyle(e).backgroundColor)"""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = planted.settled()
    opposed = planted.opposed(found)
    places: dict[str, Path] = {}
    for language in ("en", "zh"):
        run = Run(Scale(0, language == "zh"), language)
        places[language] = tmp_path_factory.mktemp(language)
        write(found, opposed, records(found, opposed, run), run, places[language])
    return places


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("width", "scheme"), [(1200, "light"), (1200, "dark"), (360, "dark"), (400, "light"), (700, "paper")]
)
def test_opens_without_a_network(
    browser: Any, places: dict[str, Path], page: str, language: str, width: int, scheme: str
) -> None:
    place = places[language] / page
    look(browser, place, width, scheme)
    assert browser.get_log("browser") == []
    assert [url for url in requests(browser) if not url.startswith("data:")] == [place.as_uri()]
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.execute_script(TOO_WIDE) == []
    sizes = browser.execute_script(DRAWN)
    assert len(sizes) >= 4
    for wide, high in sizes:
        assert wide > 150
        assert high > 10
    assert browser.execute_script(FAINT) == []


def test_colours_follow_the_readers_scheme(browser: Any, places: dict[str, Path]) -> None:
    seen: dict[str, list[str]] = {}
    for scheme in ("light", "dark"):
        look(browser, places["en"] / "claims.html", 1200, scheme)
        seen[scheme] = browser.execute_script(PAINT)
    assert len(seen["light"]) > 5
    assert all(light != dark for light, dark in zip(seen["light"], seen["dark"], strict=True))
    assert not any(colour.startswith("none") for colour in seen["light"][:-1])


def follow(browser: Any, selector: str) -> None:
    browser.execute_script("document.querySelector(arguments[0]).click()", selector)


def test_there_and_back(browser: Any, places: dict[str, Path]) -> None:
    browser.get((places["en"] / "claims.html").as_uri())
    follow(browser, "#group-C a")
    assert browser.current_url.endswith("contradiction-C-1.html")
    assert browser.find_element("tag name", "h1").text == "Do the gradients of MSE vanish, or do they explode?"
    follow(browser, ".side a")
    assert browser.current_url.endswith("claims.html#S1-5")
    assert browser.execute_script("return document.querySelector(':target').matches('article.claim')")
    verdicts = [pill.get_attribute("data-verdict") for pill in browser.find_elements("css selector", ".ledger .pill")]
    assert verdicts == [record["verdict"] for record in json.loads((places["en"] / "claims.json").read_text())]

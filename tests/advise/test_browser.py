"""The page in a real browser with the network off: no requests, no complaints, charts drawn, nothing too wide."""

import json
import runpy
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from whyloss.advise.report import write
from whyloss.advise.run import advise

pytestmark = pytest.mark.browser
sample = runpy.run_path(str(Path(__file__).with_name("sample_report.py")))["sample"]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
)
DRAWN = "return [...document.querySelectorAll('.chart')].map(chart => chart.dataset.drawn ?? '')"
SIZES = """return [...document.querySelectorAll('.chart')].map(chart => {
    const box = chart.querySelector('svg, canvas').getBoundingClientRect();
    return [box.width, box.height, box.right];
})"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs Chromium and chromedriver (on Debian: apt install chromium chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium (pip install whyloss[dev])")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        driver.execute_cdp_cmd("Network.enable", {})
        off = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", off)
        yield driver
    finally:
        driver.quit()


def look(browser: Any, page: Path, width: int, scheme: str = "light") -> None:
    """Open the page at that width and wait until every chart is drawn or has failed."""
    browser.get_log("browser")
    browser.get_log("performance")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    media = {"media": "print" if scheme == "paper" else "", "features": features}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(page.as_uri())
    end = time.monotonic() + 20
    while not all(browser.execute_script(DRAWN)):
        assert time.monotonic() < end, "the charts are not drawn after 20 seconds"
        time.sleep(0.05)


def requests(browser: Any) -> list[str]:
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


def check(browser: Any, page: Path, report: dict[str, Any], width: int) -> None:
    """No complaint, no request, the verdict to read, every chart drawn, nothing wider than the window."""
    assert browser.get_log("browser") == []
    assert [url for url in requests(browser) if not url.startswith("data:")] == [page.as_uri()]

    verdict = browser.find_element("id", "verdict")
    assert verdict.get_attribute("data-answer") == report["verdict"]["answer"]
    assert report["verdict"]["text"] in verdict.text

    assert set(browser.execute_script(DRAWN)) == {"yes"}
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    for wide, high, right in browser.execute_script(SIZES):
        assert wide > 200
        assert high > 50
        assert right <= width


@pytest.mark.parametrize("name", ["mammography", "digits", "tiny"])
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (400, "dark"), (700, "paper")])
def test_opens_without_a_network(browser: Any, name: str, width: int, scheme: str, tmp_path: Path) -> None:
    report = sample(name)
    page = write(report, tmp_path)["html"]
    look(browser, page, width, scheme)

    check(browser, page, report, width)


def test_the_page_of_a_real_run_at_both_widths(browser: Any, tmp_path: Path) -> None:
    report = advise("wine", out=tmp_path, budget="quick", command="whyloss advise wine --budget quick")
    for width in (1200, 400):
        look(browser, tmp_path / "report.html", width)
        check(browser, tmp_path / "report.html", report, width)
    shown = browser.find_element("id", "verdict").get_attribute("data-answer")
    assert shown == json.loads((tmp_path / "report.json").read_text())["verdict"]["answer"]


def test_colours_follow_the_readers_scheme(browser: Any, tmp_path: Path) -> None:
    page, seen = write(sample("digits"), tmp_path)["html"], {}
    paint = "return [document.body, ...document.querySelectorAll('#race svg .mark-text text')].slice(0, 2).map("
    for scheme in ("light", "dark"):
        look(browser, page, 1200, scheme)
        seen[scheme] = browser.execute_script(
            paint + "e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).fill])"
        )
    assert seen["light"][0][0] != seen["dark"][0][0]
    assert seen["light"][1][1] != seen["dark"][1][1]  # the chart, too


def test_a_hostile_class_name_runs_nothing(browser: Any, tmp_path: Path) -> None:
    report, name = sample("digits"), "</script><script>window.hit = 1</script><img src=x onerror='window.hit = 1'>"
    report["data"] |= {"name": name, "label": name, "classes": [name, "ok"]}
    report["findings"][0] |= {"text": name, "details": {"matrix": [[3, 1], [1, 3]], "labels": [name, "ok"]}}
    page = write(report, tmp_path)["html"]
    look(browser, page, 400)
    assert browser.execute_script("return window.hit ?? 'nothing'") == "nothing"
    assert browser.execute_script("return document.images.length") == 0
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert name in browser.find_element("id", "findings").text


def test_copy_button(browser: Any, tmp_path: Path) -> None:
    look(browser, write(sample("digits"), tmp_path)["html"], 1200)
    button = browser.find_element("css selector", ".copy")
    button.click()
    end = time.monotonic() + 5
    while button.text == "Copy" and time.monotonic() < end:
        time.sleep(0.05)
    assert button.text in ("Copied", "Selected")

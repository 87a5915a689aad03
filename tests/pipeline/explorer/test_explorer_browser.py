"""The explorer in a real browser: by mouse and keys, wide and narrow, with nothing fetched from elsewhere."""

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import uvicorn

from pipeline.core.stage import SilentProgress
from pipeline.core.workspace import Workspace
from pipeline.explorer.explorer_app import make_app
from pipeline.explorer.explorer_pages import Explorer
from pipeline.explorer.starting import opened
from pipeline.serving.admission import LOOPBACK
from pipeline.stages.explore_options import ExploreOptions
from tests.browsing import NARROW, WIDE

READABLE = Path(__file__).with_name("readable.js").read_text()


class Served:
    """An explorer that listens."""

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        config = uvicorn.Config(make_app(explorer, hosts=LOOPBACK), port=0, log_level="error")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.02)
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture
def trained_site(explorer) -> Iterator[str]:
    with Served(explorer) as address:
        yield address


@pytest.fixture
def picture_site(pictures) -> Iterator[str]:
    with opened(ExploreOptions(work=pictures / "work"), SilentProgress()) as one, Served(one) as address:
        yield address


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_pages_fit_are_readable_and_have_names_for_everything(browser, trained_site, picture_site, size):
    browser.expected = ("status of 422",)  # a page that says what is wrong
    one = re.search(r'href="(/picture/[\w.-]+)"', browser.open(f"{picture_site}/").content())[1]
    for site, path in [
        (trained_site, "/"),
        (trained_site, "/picture/p007"),
        (trained_site, "/map?location=Nucleoli"),
        (trained_site, "/?order=nonsense"),
        (picture_site, "/"),
        (picture_site, one),
    ]:
        assert browser.open(site + path, size).evaluate(READABLE) == [], path


def test_keys_save_a_label_and_go_on(browser, trained_site, explorer):
    page = browser.open(f"{trained_site}/picture/p007?order=id")
    page.get_by_label("Golgi apparatus").check()
    page.keyboard.press("s")
    page.wait_for_url("**/picture/p008?order=id")
    table = pd.read_csv(explorer.corrections.labels, dtype=str).set_index("Id")["Target"]
    assert "Golgi apparatus" in table["p007"].split("|")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/picture/p007?order=id")
    page.get_by_role("button", name="Undo").click()
    page.wait_for_load_state()
    assert not page.get_by_label("Golgi apparatus").is_checked()
    page.keyboard.press("m")
    ticked = page.evaluate("[...document.querySelectorAll('#labels input:checked')].map((one) => one.value)")
    row = explorer.index.position("p007")
    assert ticked == explorer.index.named(explorer.index.chosen[row])


def test_reasons_come_when_they_are_asked_for(browser, trained_site):
    page = browser.open(f"{trained_site}/picture/p007")
    page.locator("a[data-why]").first.click()
    page.wait_for_selector("#why h3")
    assert page.locator("#why h3").inner_text().startswith("Why ")
    assert page.locator("#why tr").count() >= 3
    assert page.url.endswith("/picture/p007")


def test_a_lasso_on_the_map_shows_the_pictures_inside(browser, trained_site, explorer):
    page = browser.open(f"{trained_site}/map")
    page.wait_for_selector("canvas[data-ready='60']")
    page.locator("canvas").scroll_into_view_if_needed()
    frame = page.locator("canvas").bounding_box()
    corners = [(0.0, 0.5), (0.5, 0.5), (0.5, 0.99), (0.0, 0.99)]  # the lower left quarter
    places = [(frame["x"] + x * frame["width"] + 1, frame["y"] + y * frame["height"]) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in [*places[1:], places[0]]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()
    page.wait_for_url("**/?lasso=*")
    x, y = explorer.space.places.T
    inside = int(((x < 500) & (y < 500)).sum())
    shown = int(page.locator("h1").inner_text().split()[0])
    assert abs(shown - inside) <= 2
    assert shown > 0


def test_channels_outlines_and_cells_follow_the_switches(browser, picture_site, pictures):
    page = browser.open(f"{picture_site}/")
    small = page.locator("img[data-image]").first
    assert "channels=microtubules.protein.nucleus&outlines=1" in small.get_attribute("src")
    page.keyboard.press("1")
    page.keyboard.press("o")
    assert "channels=protein.nucleus&outlines=0" in small.get_attribute("src")
    page.locator("a[href^='/picture/']").first.click()
    page.wait_for_selector("#cells")
    assert not page.get_by_label("microtubules (red)").is_checked()  # it is remembered
    cells = page.locator("path[data-cell]")
    assert cells.count() > 1
    cells.first.focus()
    assert page.locator("tr.here").get_attribute("data-row") == cells.first.get_attribute("data-cell")
    page.select_option("#colour-by", label="area of the cell")
    colours = {cells.nth(k).evaluate("one => one.style.fill") for k in range(cells.count())}
    assert len(colours) > 1
    page.get_by_label(re.compile("cell .* is no cell")).first.check()
    page.get_by_role("button", name="Take the ticked").click()
    page.wait_for_selector("text=Cells were taken out")
    assert list((Workspace(pictures / "work").corrections / "masks").glob("*.tif"))
    page.get_by_role("button", name="Put all back").click()
    page.wait_for_selector("text=Cells were taken out", state="detached")

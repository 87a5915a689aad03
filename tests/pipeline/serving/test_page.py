"""The page to drop pictures on, in a real browser."""

import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from pipeline.data.layouts import COLOURS
from pipeline.serving.service import Terms, make_app
from tests.browsing import NARROW, WIDE
from tests.pipeline.serving.conftest import Trained


@pytest.fixture(scope="module")
def address(trained: Trained) -> Iterator[str]:
    """Serve the model on a free port of this machine."""
    app = make_app(trained.predictor, Terms(max_bytes=2**20, queue=8))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join(10)


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_a_picture_is_answered_with_its_outlines(browser, address, trained, size):
    page = browser.open(address, size)
    name = min(path.name.rsplit("_", 1)[0] for path in trained.images.glob("*_green.png"))
    page.set_input_files("#files", [trained.images / f"{name}_{colour}.png" for colour in COLOURS.values()])
    page.wait_for_selector("#view[data-outlines]:not([hidden])")
    assert int(page.get_attribute("#view", "data-outlines")) > 0
    rows = page.locator("#answer tr").all_inner_texts()
    assert len(rows) == len(trained.predictor.info.locations)
    assert all("needs" in row for row in rows)
    assert page.locator("#why h2").first.inner_text().startswith("Why ")
    assert page.locator("#why li").count() >= 3
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is cut off"


def test_what_is_wrong_with_a_picture_is_told(browser, address, tmp_path):
    browser.expected = ("status of 4",)
    (tmp_path / "a_green.png").write_bytes(b"no picture")
    page = browser.open(address)
    page.set_input_files("#files", [tmp_path / "a_green.png"])
    page.wait_for_selector("#told.bad")
    assert "holds nothing like a PNG, TIFF or JPEG" in page.inner_text("#told")


def test_the_page_is_used_by_keyboard(browser, address):
    page = browser.open(address)
    # a window to choose files opens only for real keys, and not always
    page.evaluate("at('files').addEventListener('click', one => { one.preventDefault(); asked = true })")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "drop"
    page.keyboard.press("Enter")
    page.wait_for_function("window.asked")


def test_the_description_of_requests_needs_no_other_host(browser, address):
    page = browser.open(f"{address}docs")
    page.wait_for_selector("text=/predict")


def test_a_click_on_a_location_fills_the_cells_that_show_it(browser, address):
    page = browser.open(address)
    outline = [[2, 2], [6, 2], [6, 6]]
    cells = [{"label": label, "locations": ["Cytosol"] * (label < 3)} for label in (1, 2, 3)]
    location = {"name": "Cytosol", "probability": 0.9, "chosen": True, "threshold": 0.4}
    pixel = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
    answer = {"locations": [location], "per_cell": cells, "preview": pixel}
    answer["outlines"] = [{"label": label, "outline": outline} for label in (1, 2, 3)]
    page.evaluate("said => { draw(said); list(said); }", answer)
    assert page.inner_text("#cells").startswith("Click a location")
    page.get_by_role("button", name="Cytosol").press("Enter")
    page.wait_for_selector("#view[data-showing='2']")
    assert page.inner_text("#cells") == "2 of 3 cells show Cytosol"
    page.evaluate("said => { draw(said); list(said); }", answer | {"per_cell": []})
    assert page.inner_text("#cells") == ""
    assert page.locator("#answer button").count() == 0

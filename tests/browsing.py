"""Pages in a real browser without a window: Chromium, driven by Playwright."""

import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
"""Names that Chromium is installed by."""

WIDE, NARROW = (1280, 900), (400, 800)
"""Sizes of the window, in pixels: a desk, a telephone."""


class Browsing:
    """A browser that keeps what is wrong with the pages that it opens: errors, and requests to elsewhere."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self.faults: list[str] = []
        self.expected: tuple[str, ...] = ()

    def open(self, address: str, size: tuple[int, int] = WIDE) -> Any:
        """Open a page in a window of its own; return Playwright's page."""
        page = self._browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        page.on("request", lambda request: self._asked(request.url, address))
        page.goto(address)
        return page

    def _asked(self, url: str, address: str) -> None:
        asked, own = urlsplit(url), urlsplit(address)
        if asked.scheme not in {"data", "blob"} and (asked.scheme, asked.netloc) != (own.scheme, own.netloc):
            self.faults.append(f"asks {url}")

    def check(self) -> None:
        """Fail where anything went wrong that was not expected."""
        wrong = [one for one in self.faults if not any(known in one for known in self.expected)]
        assert not wrong


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Return Playwright's browser; tests that need it skip where there is none."""
    driver = pytest.importorskip("playwright.sync_api", reason="pip install -r requirements_dev.txt")
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("no Chromium; apt-get install chromium")
    with driver.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium: Any) -> Iterator[Browsing]:
    """Open pages; a console error, a script's error or a request to another host fails the test."""
    browsing = Browsing(chromium)
    yield browsing
    for context in chromium.contexts:
        context.close()
    browsing.check()

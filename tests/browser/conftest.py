"""Fixtures of tests in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, Response, expect

from tests.browser.chromium import BrowserNotFoundError, open_browser

# On a machine with much other work.
expect.set_options(timeout=30_000)

SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"


class Visitor:
    """Opens pages, and collects what goes wrong in them."""

    def __init__(self, browser: Browser) -> None:
        self.faults: list[str] = []
        self._browser = browser
        self._pages: list[Page] = []

    def open(self, address: str, **options: Any) -> Page:
        """A new page in a profile of its own; options are Playwright's of a context."""
        options = {"viewport": {"width": 1280, "height": 800}, **options}
        page = self._browser.new_context(**options).new_page()
        self._pages.append(page)
        page.on("console", self._note_line)
        page.on("pageerror", self._note_error)
        page.on("response", self._note_answer)
        page.on("requestfailed", self._note_failure)
        page.goto(address)
        return page

    def _note_line(self, line: ConsoleMessage) -> None:
        if line.type == "error":
            self.faults.append(line.text)

    def _note_error(self, error: Error) -> None:
        self.faults.append(str(error))

    def _note_answer(self, answer: Response) -> None:
        if answer.status >= 400:
            self.faults.append(f"{answer.status} {answer.url}")

    def _note_failure(self, request: Request) -> None:
        # Chunks that went out of view are given up on purpose.
        if request.failure != "net::ERR_ABORTED" or "/c/" not in request.url:
            self.faults.append(f"{request.failure} {request.url}")

    def close(self) -> None:
        for page in self._pages:
            page.context.close()


# Not of the session: a later module's `asyncio.run` would fail in the same process.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window, shared by the tests of a module."""
    try:
        with open_browser() as running:
            yield running
    except BrowserNotFoundError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """The folder of pictures that a person can look at after the tests; git ignores it."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    return SCREENSHOTS


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    """Opens pages, and fails the test if the page had an error or a request that failed."""
    visiting = Visitor(browser)
    yield visiting
    visiting.close()
    assert visiting.faults == []

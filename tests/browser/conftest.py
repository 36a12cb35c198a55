"""Fixtures of tests in a real browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import BrowserNotFoundError, open_browser

SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"


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

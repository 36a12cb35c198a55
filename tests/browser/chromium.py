"""The browser that this machine has, for tests and benchmarks of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
# No sandbox: CI runs as root. The others keep the browser from talking to its maker.
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


class BrowserNotFoundError(RuntimeError):
    """No browser is installed."""


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser without a window, closed at the end.

    While it is open, Playwright's event loop counts as running in this thread: `asyncio.run`
    fails. So open it for as short as possible.

    Raises:
        BrowserNotFoundError: None of the known browsers is on PATH.
    """
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        raise BrowserNotFoundError(
            f"no browser on PATH ({', '.join(_NAMES)}); .ci/run installs chromium"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()

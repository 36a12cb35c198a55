"""Measures requests, bytes and seconds to the first picture of the page, at 30 ms a round trip.

    python -m benchmarks.viewer [--round-trip 0.03]

A static host serves the page, a viewer store of 3,000 pings and a catalogue of 10,000 outputs; a browser
without a cache opens them through a proxy. 'First' is when something of the echogram, or the first cards,
can be seen; 'complete' is when nothing is left to fetch. The baseline is the whole store.
Exits with 1 if the page had an error.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from playwright.sync_api import Browser

from benchmarks.measuring.latency_proxy import latency_proxy
from tests.browser.chromium import open_browser
from tests.browser.site import (
    long_catalogue,
    place_page,
    static_host,
    write_catalogue,
    write_viewer_store,
)

COUNT = 10_000
STORE = "cruise/transect.zarr.echogram.zarr"
# In the page: seconds since navigation at which each condition was first true.
_WATCH = """
window.seen = {};
const conditions = {
  first: () => document.querySelector("#gallery:not([hidden]) .card") ||
    document.querySelector("#echogram:is([data-state=coarse], [data-state=complete])"),
  complete: () => document.querySelector("#gallery:not([hidden]) .card") ||
    document.querySelector("#echogram[data-state=complete]"),
};
const look = () => {
  for (const [name, isTrue] of Object.entries(conditions))
    if (!(name in window.seen) && isTrue()) window.seen[name] = performance.now() / 1000;
  if (!("complete" in window.seen)) requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""


def measure(browser: Browser, address: str) -> dict[str, float]:
    """Open an address in a new profile: seconds, requests and bytes until it is complete."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("requestfailed", lambda request: faults.append(request.url))
    page.add_init_script(_WATCH)
    page.goto(address)
    page.wait_for_function("() => 'complete' in (window.seen ?? {})")
    found: dict[str, float] = page.evaluate("window.seen")
    page.wait_for_load_state("networkidle")
    page.context.close()
    if faults:
        sys.exit(f"the page had errors: {faults}")
    return {**found, "requests": len(sizes), "kilobytes": sum(sizes) / 1000}


def main(round_trip: Annotated[float, typer.Option(help="seconds")] = 0.03) -> None:
    """Print a line for the viewer and one for the gallery."""
    with tempfile.TemporaryDirectory(prefix="viewer-") as name:
        folder = Path(name)
        place_page(folder)
        (folder / "cruise").mkdir()
        write_viewer_store(folder / STORE)
        with static_host(folder) as upstream:
            port = urlsplit(upstream).port
            assert port is not None  # noqa: S101 - the host's address has one
            with latency_proxy(port, round_trip) as proxy, open_browser() as browser:
                site = f"http://127.0.0.1:{proxy.port}/"
                write_catalogue(folder, {"outputs": [], "failed": []})
                measure(browser, f"{upstream}#view={STORE}")  # the browser's own start
                _print("viewer", measure(browser, f"{site}#view={STORE}"))
                files = [
                    path.stat().st_size for path in (folder / STORE).rglob("*") if path.is_file()
                ]
                print(f"  the whole store: {len(files)} objects, {sum(files) / 1000:,.0f} kB")
                write_catalogue(folder, long_catalogue(COUNT))
                _print(f"gallery of {COUNT:,}", measure(browser, site))
                packed = len(gzip.compress((folder / "catalog" / "gallery.json").read_bytes(), 1))
                print(
                    f"  its list is {packed / 1000:,.0f} kB where the host compresses, as ours does"
                )


def _print(name: str, found: dict[str, float]) -> None:
    print(
        f"{name}: first {found['first']:.2f} s, complete {found['complete']:.2f} s,"
        f" {found['requests']:.0f} requests, {found['kilobytes']:,.0f} kB"
    )


if __name__ == "__main__":
    typer.run(main)

"""Prefect's own pages in a real browser: what a person clicks finds a failed run and its remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page
from prefect import tags
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.convert_raw_sonar import convert_raw_sonar
from flows.core.outcomes import InvalidParameters
from tests.browser.chromium import BrowserNotFoundError, open_browser
from tests.browser.conftest import SCREENSHOTS

RAW = "s3://inbox/cruise/D%202007.raw"
TAG = "outcome:InvalidParameters"


def choose(page: Page, field: str, option: str) -> None:
    """Choose an option of a filter; the list shows a few options at a time."""
    page.locator(".p-select-button, .p-combobox").filter(has_text=field).first.get_by_role(
        "button"
    ).press("ArrowDown")
    listed = page.locator(".p-select-option").get_by_text(option, exact=True)
    page.locator(".p-select-option").first.hover()
    for _ in range(30):
        if listed.count():
            break
        page.mouse.wheel(0, 100)
        page.wait_for_timeout(100)
    listed.click()
    page.keyboard.press("Escape")


def test_a_failed_run_is_found_by_the_filter_and_its_page_has_the_remedy(
    prefect_api: Callable[..., Any], prefect_api_url: str
) -> None:
    failing = convert_raw_sonar.with_options(flow_run_name="D2007 of the failed upload")
    with temporary_settings({PREFECT_API_URL: prefect_api_url}), tags("echodrop"):
        failing(RAW, "EK90", output_path="s3://output/", return_state=True)
    flow = prefect_api("POST", "/flows/", {"name": convert_raw_sonar.name})["id"]
    made = prefect_api("POST", "/flow_runs/", {"flow_id": flow, "name": "another upload"})["id"]
    for kind in ("RUNNING", "COMPLETED"):
        state = {"state": {"type": kind}, "force": True}
        prefect_api("POST", f"/flow_runs/{made}/set_state", state)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    try:
        with open_browser() as browser:
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            page.set_default_timeout(60_000)
            look_for_the_failed_run(page, prefect_api_url.removesuffix("/api"))
    except BrowserNotFoundError as missing:
        pytest.skip(str(missing))


def look_for_the_failed_run(page: Page, url: str) -> None:
    page.goto(f"{url}/runs")
    failed, other = (
        page.get_by_text("D2007 of the failed upload"),
        page.get_by_text("another upload"),
    )
    other.first.wait_for()
    choose(page, "All run states", "Failed")
    other.first.wait_for(state="hidden")
    failed.first.wait_for()
    assert page.get_by_text(TAG).count()
    page.screenshot(path=SCREENSHOTS / "prefect-failed-runs.png")
    failed.first.click()
    page.get_by_text("Artifacts", exact=True).click()
    page.get_by_text("failure", exact=True).last.click()
    page.get_by_role("heading", name="InvalidParameters").wait_for()
    for text in (
        "sonar_model is 'EK90'",
        f"What to do: {InvalidParameters.remedy}",
        f"echodrop replay {RAW}",
    ):
        page.get_by_text(text).first.wait_for()
    page.screenshot(path=SCREENSHOTS / "prefect-failure.png")

"""The viewer in a real browser: what it shows is what the store has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import zarr
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.site import (
    NO_FIX,
    place_page,
    static_host,
    write_catalogue,
    write_viewer_store,
)
from tests.viewer_contract import violations

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.slow]

VIEWER = "cruise/T 1.zarr.echogram.zarr"
# EK500's twelve steps, from the lowest: Simrad's colours, as echopype and Echoview have them.
EK500 = [
    *("9f9f9f", "5f5f5f", "0000ff", "00007f", "00bf00", "007f00"),
    *("ffff00", "ff7f00", "ff00bf", "ff0000", "a6533c", "783c28"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outputs")
    place_page(folder)
    (folder / "cruise").mkdir()
    write_viewer_store(folder / VIEWER)
    assert violations(folder / VIEWER) == []
    write_catalogue(folder, {"outputs": [], "failed": []})
    return folder


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[str]:
    with static_host(folder) as address:
        yield address


def open_viewer(visitor: Visitor, address: str, **options: Any) -> Page:
    page = visitor.open(address, **options)
    complete(page)
    return page


def complete(page: Page) -> None:
    """Wait until nothing is left to fetch and the picture is of the last state."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(page.locator("#echogram")).to_have_attribute("data-state", "complete")


def reading(page: Page) -> dict[str, Any]:
    """The value that the page shows, and where in the store it is."""
    found: dict[str, Any] = page.evaluate(
        """() => ({...document.getElementById("readout").dataset, ...Object.fromEntries(
            ["time", "vertical", "value", "position", "channel"].map((name) =>
                [`read_${name}`, document.getElementById(`read-${name}`).textContent]))})"""
    )
    return found


def number(text: str) -> float:
    return float(re.findall(r"-?\d+\.\d+", text)[0])


def check_reading(store: zarr.Group, found: dict[str, Any]) -> float:
    """Compare what the page shows with the store, read by zarr; the value in dB."""
    level, channel, ping, sample = (
        int(found[name]) for name in ("level", "channel", "ping", "sample")
    )
    group: Any = store[str(level)]
    value = float(group["Sv"][channel, ping, sample])
    assert number(found["read_value"]) == pytest.approx(value, abs=0.006)
    start, step = (float(group[name][channel, ping]) for name in ("range_start", "range_step"))
    assert number(found["read_vertical"]) == pytest.approx(start + (sample + 0.5) * step, abs=0.006)
    shown = np.datetime64(found["read_time"].removesuffix(" UTC").replace(" ", "T"))
    stored = np.datetime64(int(group["ping_time"][ping]), "ns")
    assert abs(shown - stored) < np.timedelta64(101, "ms")
    return value


def pinch(page: Page) -> None:
    """Two fingers on the echogram, from 80 to 200 pixels apart along both axes."""
    box = page.locator("#echogram").bounding_box()
    assert box
    x, y = box["x"] + 180, box["y"] + 150
    session = page.context.new_cdp_session(page)
    for kind, apart in (("touchStart", 40), ("touchMove", 70), ("touchMove", 100), ("touchEnd", 0)):
        fingers = [
            {"x": x + side * apart, "y": y + side * apart, "id": side + 1} for side in (-1, 1)
        ]
        session.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": fingers if apart else []},
        )


def pixel(page: Page, x: float, y: float) -> str:
    """The colour at a place of the echogram, in CSS pixels, as rrggbb."""
    found: str = page.evaluate(
        """([x, y]) => Array.from(document.getElementById("echogram").getContext("2d")
            .getImageData(x * devicePixelRatio, y * devicePixelRatio, 1, 1).data.slice(0, 3),
            (part) => part.toString(16).padStart(2, "0")).join("")""",
        [x, y],
    )
    return found


def colour_of(value: float, low: float, high: float) -> str:
    if value < low:
        return "ffffff"
    return EK500[min(int((value - low) / (high - low) * 12), 11)]


def test_a_value_and_its_colour_are_the_stores_own_at_each_zoom_channel_and_scale(
    visitor: Visitor, site: str, folder: Path, screenshots: Path
) -> None:
    store = zarr.open_group(folder / VIEWER, mode="r")
    page = open_viewer(visitor, f"{site}#view={VIEWER}")
    expect(page).to_have_title("Test transect · echodrop")
    canvas = page.locator("#echogram")
    box = canvas.bounding_box()
    assert box
    canvas.hover(position={"x": 300, "y": 100})
    complete(page)
    whole = reading(page)
    check_reading(store, whole)
    assert int(whole["level"]) > 0, "the whole file was read at full resolution"
    page.screenshot(path=screenshots / "viewer-whole.png")

    page.select_option("#channel", label="38 kHz")
    for _ in range(9):
        page.mouse.wheel(0, -400)
    page.keyboard.down("Shift")
    for _ in range(9):
        page.mouse.wheel(0, -400)
    page.keyboard.up("Shift")
    complete(page)
    found = reading(page)
    assert (found["level"], found["channel"], found["read_channel"]) == ("0", "1", "38 kHz")
    page.screenshot(path=screenshots / "viewer-zoomed.png")
    # The nearest sample to the cursor, at any place in its cell.
    page.wait_for_timeout(400)  # the address follows a moment later
    shown = parse_qs(urlsplit(page.url).fragment)
    top, bottom = map(float, shown["depth"][0].split(","))
    for y in range(100, 130, 6):
        canvas.hover(position={"x": 300, "y": y})
        complete(page)
        cursor = top + (y - 22) / (box["height"] - 22 - 40) * (bottom - top)
        assert number(reading(page)["read_vertical"]) == pytest.approx(cursor, abs=0.25 / 2 + 0.01)
    canvas.hover(position={"x": 300, "y": 100})
    complete(page)
    value = check_reading(store, reading(page))

    # Away from the cursor's lines; the pixel beside it is of the same sample at this zoom.
    def colour() -> str:
        page.mouse.move(5, 5)
        complete(page)
        return pixel(page, 300, 100)

    assert colour() == colour_of(value, -90, -30)
    page.fill("#low", str(round(value) - 20))
    page.fill("#high", str(round(value) + 1))
    assert colour() == colour_of(value, round(value) - 20, round(value) + 1)
    page.select_option("#colours", "greys")
    assert len(set(re.findall("..", colour()))) == 1


def test_no_position_is_shown_where_the_file_has_none(visitor: Visitor, site: str) -> None:
    page = open_viewer(visitor, f"{site}#view={VIEWER}&channel=1")
    box = page.locator("#echogram").bounding_box()
    assert box

    def position(ping: float) -> str:
        x = 58 + (box["width"] - 58 - 12) * ping / 3600
        page.locator("#echogram").hover(position={"x": x, "y": 200})
        complete(page)
        return str(reading(page)["read_position"])

    assert position(sum(NO_FIX) / 2) == "not known"
    assert number(position(1000)) == pytest.approx(60.01, abs=0.001)


def test_silence_and_empty_pings_are_seen_as_such(visitor: Visitor, site: str) -> None:
    page = open_viewer(visitor, f"{site}#view={VIEWER}&channel=1")
    canvas = page.locator("#echogram")
    box = canvas.bounding_box()
    assert box
    plot = box["width"] - 58 - 12
    # The file lasts 3,600 s; it is silent from 2,000 s to 2,600 s.
    canvas.hover(position={"x": 58 + plot * 2300 / 3600, "y": 200})
    complete(page)
    assert reading(page)["read_value"] == "no ping"
    assert "ping" not in reading(page)
    canvas.hover(position={"x": 58 + plot * 105 / 3600, "y": 200})
    complete(page)
    assert reading(page)["read_value"] == "no data"
    page.mouse.move(5, 5)
    complete(page)
    colours = {
        seconds: {pixel(page, 58 + plot * seconds / 3600, y) for y in range(100, 200)}
        for seconds in (105, 1000, 2300)
    }
    assert len(colours[105]) == 1
    assert len(colours[1000]) > 5
    assert len(colours[2300]) > 1
    assert not colours[2300] & set(EK500)


def test_the_keyboard_is_enough(visitor: Visitor, site: str, folder: Path) -> None:
    store = zarr.open_group(folder / VIEWER, mode="r")
    page = open_viewer(visitor, f"{site}#view={VIEWER}")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "echogram":
            break
    page.keyboard.press("2")
    expect(page.locator("#channel")).to_have_value("1")
    page.keyboard.press("+")
    complete(page)
    before = reading(page)
    check_reading(store, before)
    for key in ("ArrowLeft", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    for _ in range(3):
        page.keyboard.press("PageUp")
    page.keyboard.press("ArrowDown")
    complete(page)
    after = reading(page)
    check_reading(store, after)
    assert after["read_time"] < before["read_time"]
    assert number(after["read_vertical"]) > number(before["read_vertical"])
    expect(page.locator("#readout")).to_have_attribute("aria-live", "polite")
    page.keyboard.press("a")
    expect(page.locator("#channel")).to_have_value("-1")
    page.keyboard.press("0")
    page.wait_for_url(lambda address: "time=" not in address and "depth=" not in address)


def test_the_address_restores_the_view(visitor: Visitor, site: str) -> None:
    page = open_viewer(visitor, f"{site}#view={VIEWER}")
    page.locator("#echogram").hover(position={"x": 500, "y": 100})
    page.select_option("#channel", label="120 kHz")
    page.select_option("#colours", "thermal")
    page.fill("#low", "-85")
    page.mouse.wheel(0, -600)
    page.keyboard.down("Shift")
    page.mouse.wheel(0, -600)
    page.keyboard.up("Shift")
    page.mouse.down()
    page.mouse.move(560, 300, steps=3)
    page.mouse.up()
    complete(page)
    page.wait_for_timeout(400)  # the address follows a moment later
    address = page.url
    shown = page.locator("#echogram").evaluate("(canvas) => canvas.toDataURL()")
    again = open_viewer(visitor, address)
    again.wait_for_function("() => document.getElementById('low').value === '-85'")
    # The cursor's lines are in the first picture.
    again.mouse.move(560, 300)
    complete(again)
    assert reading(again) == reading(page)
    assert again.locator("#echogram").evaluate("(canvas) => canvas.toDataURL()") == shown


def test_a_phone_shows_everything_without_scrolling_sideways(
    visitor: Visitor, site: str, folder: Path, screenshots: Path
) -> None:
    page = open_viewer(
        visitor,
        f"{site}#view={VIEWER}",
        viewport={"width": 360, "height": 740},
        has_touch=True,
        is_mobile=True,
        device_scale_factor=2,
        color_scheme="dark",
    )
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    for control in page.locator("#viewer :is(button, select, input[type=number], a)").all():
        box = control.bounding_box()
        if box is None:
            continue
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
        assert box["height"] >= 20
    page.locator("#zoom-in").tap()
    page.locator("#echogram").tap(position={"x": 200, "y": 150})
    complete(page)
    check_reading(zarr.open_group(folder / VIEWER, mode="r"), reading(page))
    pinch(page)
    complete(page)
    page.wait_for_url("**time=**depth=**")
    page.screenshot(path=screenshots / "viewer-phone.png", full_page=True)


def test_another_host_and_a_signed_query_serve_the_store(
    visitor: Visitor, site: str, folder: Path
) -> None:
    with static_host(folder, token="of this hour") as bucket:
        root = f"{bucket}%3Ftoken=of%20this%20hour"
        page = open_viewer(visitor, f"{site}?root={root}#view={VIEWER}")
        page.locator("#echogram").hover(position={"x": 300, "y": 100})
        complete(page)
        check_reading(zarr.open_group(folder / VIEWER, mode="r"), reading(page))


def test_only_what_is_in_view_is_fetched(visitor: Visitor, site: str) -> None:
    address = (
        f"{site}#view={VIEWER}&channel=2&time=2026-06-01T12:00:00Z/2026-06-01T12:00:30Z&depth=0,20"
    )
    page = visitor.open("about:blank")
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(address)
    complete(page)
    chunks = [url.split(".zarr.echogram.zarr/")[1] for url in fetched if "/c/" in url]
    assert [chunk for chunk in chunks if chunk.startswith("0/Sv")] == ["0/Sv/c/1/0/0"]
    assert len([chunk for chunk in chunks if "Sv" in chunk]) == 2, "and the overview's"


def test_what_is_not_a_store_is_named(visitor: Visitor, site: str) -> None:
    page = visitor.open(f"{site}#view=cruise/none.zarr.echogram.zarr")
    expect(page.locator("#message")).to_contain_text("no viewer store at")
    visitor.faults.clear()  # the browser's line about 404

"""The gallery in a real browser: a long archive stays quick, and everything in it can be found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.site import long_catalogue, place_page, static_host, write_catalogue

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.slow]

COUNT = 10_000
# A card is in sight, or a screen's height away.
MOST_CARDS = 60


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("archive")
    place_page(folder)
    write_catalogue(folder, long_catalogue(COUNT))
    with static_host(folder) as address:
        yield address


def open_gallery(visitor: Visitor, address: str, summary: str, **options: object) -> Page:
    page = visitor.open(address, **options)
    expect(page.locator("#summary")).to_have_text(summary)
    return page


def test_ten_thousand_outputs_are_found_at_once_and_few_are_in_the_page(
    visitor: Visitor, site: str, screenshots: Path
) -> None:
    page = open_gallery(visitor, site, "10,000 outputs")
    expect(page.locator(".card").first).to_be_visible()
    assert page.locator(".card").count() <= MOST_CARDS
    assert page.locator(".heading").first.inner_text().startswith("SH39")
    page.screenshot(path=screenshots / "gallery-10000.png")

    page.locator("#list").evaluate("(list) => list.scrollTo(0, list.scrollHeight)")
    expect(page.get_by_text("D20100101-T000000")).to_be_visible()
    assert page.locator(".card").count() <= MOST_CARDS
    page.locator("#list").evaluate("(list) => list.scrollBy(0, -1000)")
    expect(page.get_by_text("D20100101-T080000")).to_be_attached()
    names = page.locator(".card strong").all_inner_texts()
    assert names == sorted(names, reverse=True), "the Tab key goes through them by time"

    page.fill("#find-text", "sh07 ek80 t0330")
    expect(page.locator("#summary")).to_have_text("6 outputs of 10,000")  # a day each, in 125 hours
    expect(page.locator(".card")).to_have_count(6)
    page.fill("#find-text", "")
    page.fill("#find-from", "2010-01-02")
    page.fill("#find-to", "2010-01-02")
    expect(page.locator("#summary")).to_have_text("48 outputs of 10,000")
    page.click("#find-reset")
    page.select_option("#find-cruise", "SH12")
    expect(page.locator("#summary")).to_have_text("250 outputs of 10,000")
    page.get_by_text("Incomplete", exact=True).first.click()
    expect(page.locator("#summary")).to_have_text("3 outputs of 10,000")
    # Cards are drawn in the next frame.
    expect(page.locator(".card")).to_have_count(3)
    assert set(page.locator(".badge.warn").all_inner_texts()) == {"Incomplete"}


def test_a_place_is_found_by_fields_and_on_the_map(visitor: Visitor, site: str) -> None:
    page = open_gallery(visitor, site, "10,000 outputs")
    for edge, value in (("west", -60.1), ("south", 9.9), ("east", -57.5), ("north", 10.5)):
        page.fill(f"#{edge}", str(value))
    expect(page.locator("#summary")).to_have_text("250 outputs of 10,000")
    expect(page.locator(".heading h2")).to_have_text("SH00")
    page.wait_for_url("**box=-60.1,9.9,-57.5,10.5**")
    again = open_gallery(visitor, page.url, "250 outputs of 10,000")
    expect(again.locator("#north")).to_have_value("10.5")

    page.click("#find-reset")
    expect(page.locator("#summary")).to_have_text("10,000 outputs")
    page.click("#draw-box")
    box = page.locator("#gallery-map").bounding_box()
    assert box
    # The tracks fill the map but for a margin: above its middle row and left of its middle are eight.
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.45, steps=4)
    page.mouse.up()
    expect(page.locator("#summary")).to_have_text("2,000 outputs of 10,000")
    # Headings are drawn in the next frame, the newest cruise first.
    expect(page.locator(".heading").first).to_contain_text("SH35")
    cruises = {text[:4] for text in page.locator(".heading").all_inner_texts()}
    assert cruises <= {f"SH{row * 8 + column:02d}" for row in (3, 4) for column in range(4)}


def test_failed_uploads_say_why(visitor: Visitor, site: str) -> None:
    page = open_gallery(visitor, f"{site}#show=failed", "2 failed uploads")
    row = page.locator(".failed", has_text="SH39/broken.raw")
    expect(row).to_contain_text("BadFile")
    expect(row).to_contain_text("The datagram at byte 4,096 is cut. Upload the file again.")
    expect(row.get_by_role("link")).to_have_attribute(
        "href", f"{site}SH39/broken.zarr.failure.json"
    )


def test_without_a_viewer_store_a_card_opens_the_picture(visitor: Visitor, site: str) -> None:
    page = open_gallery(visitor, f"{site}#find=D20100101-T000000", "1 output of 10,000")
    expect(page.locator(".card")).to_have_attribute(
        "href", f"{site}SH00/D20100101-T000000.zarr.echogram.png"
    )


def test_a_phone_shows_the_list_without_scrolling_sideways(
    visitor: Visitor, site: str, screenshots: Path
) -> None:
    page = open_gallery(
        visitor,
        site,
        "10,000 outputs",
        viewport={"width": 360, "height": 740},
        has_touch=True,
        is_mobile=True,
        color_scheme="dark",
    )
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.get_by_text("Remarks", exact=True).tap()
    expect(page.locator("#summary")).to_have_text("200 outputs of 10,000")
    page.screenshot(path=screenshots / "gallery-phone.png")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(page.get_by_text("D20100101-T000000")).to_be_visible()
    assert page.locator(".card").count() <= MOST_CARDS


def test_keys_reach_the_cards(visitor: Visitor, site: str) -> None:
    page = open_gallery(visitor, f"{site}#find=D20100101-T00", "2 outputs of 10,000")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "card":
            break
    assert page.evaluate("document.activeElement.href").endswith("T003000.zarr.echogram.png")


def test_without_a_catalogue_the_page_says_what_to_type(visitor: Visitor, tmp_path: Path) -> None:
    place_page(tmp_path)
    with static_host(tmp_path) as address:
        page = visitor.open(address)
        expect(page.locator("#message")).to_contain_text("echodrop gallery")
        expect(page.locator("#message")).to_contain_text("echodrop catalog")
    visitor.faults.clear()  # the browser's line about 404


def test_a_page_served_live_shows_new_outputs_by_itself(visitor: Visitor, tmp_path: Path) -> None:
    place_page(tmp_path)
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps({"root": "./", "live": True}))
    catalogue = long_catalogue(40)
    write_catalogue(tmp_path, {**catalogue, "outputs": catalogue["outputs"][:1]})
    with static_host(tmp_path) as address:
        page = open_gallery(visitor, address, "1 output")
        write_catalogue(tmp_path, catalogue)
        expect(page.locator("#summary")).to_have_text("40 outputs", timeout=10_000)


def test_outputs_without_a_track_or_times_and_failed_uploads_are_found(
    visitor: Visitor, tmp_path: Path
) -> None:
    place_page(tmp_path)
    catalogue = long_catalogue(40)
    dated, undated = catalogue["outputs"][:2]
    dated |= {"track": None, "box": [170.0, 10.0, -170.0, 20.0]}
    undated |= {"cruise": dated["cruise"], "first": None, "last": None, "track": None, "box": None}
    other = {**catalogue["failed"][0], "key": "x.raw", "at": None, "report": "x.zarr.failure.json"}
    failed = [*catalogue["failed"], other]
    write_catalogue(tmp_path, {**catalogue, "outputs": [dated, undated], "failed": failed})
    with static_host(tmp_path) as address:
        page = open_gallery(visitor, address, "2 outputs")
        expect(page.locator(".heading")).to_contain_text("2010-01-01 \u2013 2010-01-01")
        # Inside of the output's box, far from its edges; and beside it.
        for west, east, found in ((175, 176, "1 output of 2"), (160, 169, "0 outputs of 2")):
            for edge, value in (("west", west), ("south", 14), ("east", east), ("north", 15)):
                page.fill(f"#{edge}", str(value))
            expect(page.locator("#summary")).to_have_text(found)
        open_failed = (
            ("", "3 failed uploads"),
            ("&from=2013-04-01&to=2013-04-01", "2 failed uploads"),
            ("&from=2013-04-02", "0 failed uploads"),
            ("&cruise=SH00", "0 failed uploads"),
            ("&find=x.raw", "1 failed upload"),
        )
        for more, found in open_failed:
            open_gallery(visitor, f"{address}#show=failed{more}", found)

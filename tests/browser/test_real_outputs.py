"""From a recorded file to a value on the screen: converted, drawn, catalogued, served, opened."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import zarr
from playwright.sync_api import expect

from flows.conversion import convert
from flows.products.make import make_products
from flows.stores.request import ConversionRequest, ConvertParams
from gallery.server import GalleryServer
from operations.catalog.places import FolderPlace
from tests.browser.conftest import Visitor
from tests.browser.test_viewer import check_reading, complete, reading
from tests.http_servers import serving

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.slow]

EK60 = "ek60/D20070724-T042400.zarr"
AD2CP = "ad2cp/SG198_0099_a.zarr"


def converted(real_data: Path, folder: Path, output: str, model: str, **params: object) -> Path:
    raw = next(
        path for path in real_data.glob(output.replace(".zarr", ".*")) if path.suffix != ".bot"
    )
    convert(
        ConversionRequest(
            raw_file=str(raw),
            sonar_model=model,
            output_path=str(folder / output),
            output_type="zarr",
            convert_params=ConvertParams.model_validate(params),
        )
    )
    make_products(str(folder / output))
    return folder / output


@pytest.fixture(scope="module")
def ek60(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the output of an EK60 file."""
    folder = tmp_path_factory.mktemp("outputs")
    converted(real_data, folder, EK60, "EK60", include_bot=True)
    return folder


@pytest.fixture(scope="module")
def site(ek60: Path) -> Iterator[str]:
    server = GalleryServer(FolderPlace(ek60))
    with serving(server):
        yield server.url


@pytest.fixture
def ad2cp(real_data: Path, tmp_path: Path) -> Path:
    """A folder with the output of an AD2CP file, which has a picture but no viewer store."""
    converted(real_data, tmp_path, AD2CP, "AD2CP")
    return tmp_path


def test_a_recorded_file_is_browsed_opened_and_read(
    ek60: Path, site: str, visitor: Visitor, screenshots: Path
) -> None:
    page = visitor.open(site)
    card = page.locator(".card", has_text="D20070724-T042400")
    expect(card).to_contain_text("38 kHz")
    expect(card).to_contain_text("2007-07-24 04:24")
    page.wait_for_function("() => document.querySelector('.card img')?.naturalWidth > 200")
    page.screenshot(path=screenshots / "gallery.png")

    card.click()
    complete(page)
    canvas = page.locator("#echogram")
    expect(page.locator("#channel option")).to_have_count(5)
    page.screenshot(path=screenshots / "viewer.png")
    store = zarr.open_group(f"{ek60 / EK60}.echogram.zarr", mode="r")
    canvas.hover(position={"x": 500, "y": 90})
    complete(page)
    check_reading(store, reading(page))
    page.select_option("#channel", label="120 kHz")
    page.fill("#low", "-100")
    for _ in range(4):
        page.mouse.wheel(0, -300)
    complete(page)
    found = reading(page)
    assert found["channel"] == "2"
    check_reading(store, found)
    assert "40.26" in found["read_position"]
    expect(page.get_by_role("link", name="Manifest")).to_have_attribute(
        "href", f"{site.partition('?')[0]}data/{EK60}.manifest.json"
    )
    picture = page.get_by_role("link", name="Picture").get_attribute("href")
    assert picture
    assert page.request.get(picture).headers["content-type"] == "image/png"
    page.get_by_role("link", name="Gallery").click()
    expect(page.locator("#summary")).to_have_text("1 output")


def test_a_dropped_file_appears_by_itself(
    ek60: Path, ad2cp: Path, site: str, visitor: Visitor
) -> None:
    page = visitor.open(site)
    expect(page.locator("#summary")).to_have_text("1 output")
    try:
        shutil.copytree(ad2cp / "ad2cp", ek60 / "ad2cp")
        expect(page.locator("#summary")).to_have_text("2 outputs", timeout=20_000)
        card = page.locator(".card", has_text="SG198_0099_a")
        expect(card).to_have_attribute("href", f"{site.partition('?')[0]}data/{AD2CP}.echogram.png")
    finally:
        shutil.rmtree(ek60 / "ad2cp")

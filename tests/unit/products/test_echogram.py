"""What an echogram shows: panels, depth or range, the sea floor, passive pings, notes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from flows.products import echogram as module
from flows.products.caption import facts_of, title_of
from flows.products.drawing.colours import BLACK, NO_DATA, PASSIVE
from flows.products.echogram import Echogram, sv_echogram
from flows.products.nortek import nortek_echogram
from flows.products.opened_output import open_output
from flows.products.picture import _DARK_GREY, Caption, draw, thumbnail_of
from flows.products.sv.gridded import gridded
from flows.products.sv.panels import panels_of
from flows.products.sv.platform import METRES_A_MILE, PlatformTrack, sea_floor, transducer_depths
from tests.unit.products.conftest import Converted

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def shown(output: Path) -> tuple[Any, Echogram, dict[str, Any]]:
    """The opened output, its echogram and its manifest."""
    echodata = open_output(str(output))
    manifest = json.loads(Path(f"{output}.manifest.json").read_text())
    if echodata.sonar_model == "AD2CP":
        return echodata, nortek_echogram(echodata), manifest
    return echodata, sv_echogram(echodata, gridded(echodata), manifest), manifest


@pytest.mark.parametrize(
    ("file", "model", "titles", "vertical", "quantity", "note"),
    [
        (
            "ek60/D20070724-T042400.raw",
            "EK60",
            ["18 kHz, CW 1.024 ms, 2000 W", "38 kHz", "120 kHz", "200 kHz"],
            "range",
            "Sv",
            "range from the transducer: the file has no draft",
        ),
        (
            "ek80/EK80_-D20221108-T151353.raw",
            "EK80",
            ["38 kHz, CW 0.256 ms", "70 kHz", "120 kHz", "200 kHz", "333 kHz"],
            "depth",
            "Sv",
            "not calibrated in the field: 120 kHz",
        ),
        (
            "ek80/2917763601822576513.raw",
            "EK80",
            ["38 kHz FM, FM 34 to 45 kHz 1.024 ms, 500 W", "200 kHz FM"],
            "range",
            "Sv",
            "not calibrated in the field: 200 kHz FM",
        ),
        (
            "azfp/15100520-Test.01A",
            "AZFP",
            ["38 kHz, CW 1 ms", "125 kHz", "200 kHz", "455 kHz"],
            "range",
            "Sv",
            "salinity 35 and pressure 50 dbar are assumed: an AZFP does not measure them",
        ),
        (
            "azfp6/20090314_01A.azfp",
            "AZFP6",
            ["125 kHz", "200 kHz", "417 kHz", "769 kHz"],
            "sample",
            "recorded counts",
            "no Sv, because echopype does not calibrate AZFP6",
        ),
        (
            "ad2cp/SG198_0099_a.ad2cp",
            "AD2CP",
            [f"{name}, beam {n}" for name in ("amplitude", "velocity") for n in (2, 3, 4)],
            "range",
            "echo amplitude (dB)",
            "amplitudes are as recorded, not calibrated",
        ),
    ],
)
def test_every_model_has_its_picture(
    converted: Converted,
    *,
    file: str,
    model: str,
    titles: list[str],
    vertical: str,
    quantity: str,
    note: str,
) -> None:
    echodata, echogram, manifest = shown(converted(file, model))
    assert len(echogram.panels) == len(titles)
    for panel, title in zip(echogram.panels, titles, strict=True):
        assert panel.title.startswith(title)
        assert np.isfinite(panel.values).any(axis=1).all()
    assert (echogram.vertical, echogram.quantity) == (vertical, quantity)
    assert note in echogram.notes
    if quantity == "Sv":
        assert {panel.limits for panel in echogram.panels} == {(-90, -30)}
    track = PlatformTrack(echodata)
    caption = Caption(title_of(echodata, manifest), facts_of(echodata, manifest, track))
    drawing = draw(echogram, caption, track, "ek500")
    texts = [written.text for written in drawing.canvas.texts]
    assert [text for text in texts if text.endswith(" pings")] == [p.title for p in echogram.panels]
    label = {"depth": "Depth (m)", "range": "Range (m)", "sample": "Sample"}[vertical]
    assert texts.count(label) == len(titles)
    for box in drawing.boxes:
        left_of = [
            w for w in drawing.canvas.texts if w.x < box.left and box.top <= w.y < box.bottom
        ]
        ticks = sorted((w.y, float(w.text)) for w in left_of if w.text != label)
        assert len(ticks) >= 3
        assert [number for _, number in ticks] == sorted(number for _, number in ticks), (
            "deep is down"
        )
    whole = " ".join(texts)
    assert Path(file).name in whole
    assert note[1:] in whole
    assert f"{model}" in whole


def test_the_sea_floor_is_that_of_the_bot_by_channel(converted: Converted) -> None:
    output = converted("ek60/D20070724-T042400.raw", "EK60")
    echodata, echogram, _ = shown(output)
    bot = xr.open_datatree(output, engine="zarr")["Vendor_specific"].detected_seafloor_depth
    for panel, drawn in zip(panels_of(echodata), echogram.panels, strict=True):
        recorded = bot.sel(channel=panel.channel_id).values
        expected = np.where(recorded > 0, recorded, np.nan)
        np.testing.assert_array_equal(sea_floor(echodata, panel), expected)
        assert drawn.sea_floor is not None
        np.testing.assert_array_equal(drawn.sea_floor, expected)
        # Nothing but noise is below.
        assert recorded.max() < drawn.grid.stop < 1.3 * recorded.max()
    drawing = draw(echogram, Caption("x", []), None, "haline")
    box = drawing.boxes[0]
    black = drawing.canvas.pixels(box) == BLACK
    columns = np.flatnonzero(black.any(axis=0))
    # The second ping is four seconds after the first: between them is no line.
    assert black.shape[1] * 0.8 < columns.size < black.shape[1]
    rows = np.array([np.flatnonzero(black[:, column]).mean() for column in columns])
    depths = (rows + 0.5) / len(black) * echogram.panels[0].grid.stop
    pixel = echogram.panels[0].grid.stop / len(black)
    assert bot.values[0][bot.values[0] > 0].min() - pixel < depths.min()
    assert depths.max() < bot.values[0].max() + pixel
    assert any("black line: sea floor" in note for note in echogram.notes)


def test_depth_is_echopypes_where_the_file_has_a_draft(converted: Converted) -> None:
    from echopype.calibrate import compute_Sv  # noqa: PLC0415 - of this alone
    from echopype.consolidate import add_depth  # noqa: PLC0415

    echodata = open_output(str(converted("ek80/EK80_-D20221108-T151353.raw", "EK80")))
    strength = compute_Sv(echodata, waveform_mode="CW", encode_mode="complex")
    deep = add_depth(strength, echodata, use_platform_vertical_offsets=True)
    for panel in panels_of(echodata):
        depths = transducer_depths(echodata, panel)
        assert depths is not None
        first = deep.depth.isel(channel=panel.channel, range_sample=0).values[panel.pings]
        np.testing.assert_allclose(depths, first, atol=1e-9)
    draft = open_output(str(converted("ek60/D20070724-T042400.raw", "EK60")))
    assert transducer_depths(draft, panels_of(draft)[0]) is None, "nobody entered it"


def test_a_channel_of_two_beam_groups_has_its_draft(converted: Converted) -> None:
    echodata = open_output(str(converted("ek80_power_and_complex_together.raw", "EK80")))
    panels = panels_of(echodata)
    assert len({panel.group for panel in panels}) == 2
    for panel in panels:
        depths = transducer_depths(echodata, panel)
        assert depths is None or depths.size == panel.pings.size
    assert len(gridded(echodata).panels) == len(panels)


def test_a_draft_that_changes_is_that_of_each_channel(converted: Converted) -> None:
    echodata = open_output(str(converted("ek60_depth_changes_midfile.raw", "EK60")))
    assert echodata["Platform"]["water_level"].dims == ("channel", "time2")
    beam = echodata["Sonar/Beam_group1"]
    for panel in panels_of(echodata):
        depths = transducer_depths(echodata, panel)
        assert depths is not None
        own = beam["tx_transducer_depth"].values[panel.channel][panel.pings]
        np.testing.assert_allclose(depths, own, atol=1e-9)


@pytest.mark.parametrize("pause", [60, 36_000])
def test_passive_and_missing_pings_are_visible(echodata: Any, pause: int) -> None:
    beam = echodata["Sonar/Beam_group1"].load()
    mode = beam.channel_mode.copy(data=np.zeros(beam.channel_mode.shape, np.float32))
    mode[:, 3] = 1
    times = beam.ping_time.values.copy()
    times[6:] += np.timedelta64(pause, "s")
    echodata["Sonar/Beam_group1"] = beam.assign(channel_mode=mode).assign_coords(ping_time=times)
    echogram = sv_echogram(echodata, gridded(echodata), {})
    assert "2 of 18 pings are passive (light blue)" in echogram.notes
    first = echogram.panels[0]
    assert np.flatnonzero(first.passive).tolist() == [3]
    assert np.isnan(first.values[3]).all(), "what a passive ping hears is not Sv"
    drawing = draw(echogram, Caption("x", []), None, "ek500")
    pixels = drawing.canvas.pixels(drawing.boxes[0])
    width = pixels.shape[1]
    passive = np.flatnonzero((pixels == PASSIVE).all(axis=0))
    empty = np.flatnonzero((pixels == NO_DATA).all(axis=0))
    if pause == 60:
        # The pause is of 60 s and the pings are of 9 x 5 s: of both the place can be seen.
        times = first.times[:, 0].astype("datetime64[ns]").astype(np.int64) / 1e9
        whole = times[-1] - times[0] + times[1] - times[0]
        assert empty.size / width == pytest.approx(pause / whole, abs=0.01)
        assert passive.size / width == pytest.approx((times[1] - times[0]) / whole, abs=0.01)
        assert passive.max() < empty.min()
        return
    # By time, 45 s of pings in ten hours would be two lines: pings, with a line for the pause.
    assert empty.size == 0
    assert passive.size / width == pytest.approx(1 / 9, abs=0.01)
    assert passive[0] / width == pytest.approx(3 / 9, abs=0.01)
    dashed = np.flatnonzero(
        (pixels[:6] == _DARK_GREY).all(axis=0) & (pixels[6:9] != _DARK_GREY).any(axis=0)
    )
    assert dashed / width == pytest.approx([6 / 9], abs=0.01)


@pytest.mark.parametrize("changed", [0, 36_000])
def test_a_passive_ping_is_visible_among_very_many(echodata: Any, changed: int) -> None:
    echogram = sv_echogram(echodata, gridded(echodata), {})
    panel = echogram.panels[0]
    many = 5000
    panel.values = np.repeat(panel.values[:1], many, axis=0)
    panel.numbers = np.repeat(np.arange(many)[:, None], 2, axis=1)
    seconds = np.arange(many) + changed * (np.arange(many) >= many // 2)
    times = panel.times[0, 0] + seconds.astype("timedelta64[s]")
    panel.times = np.repeat(times[:, None], 2, axis=1)
    panel.passive = np.arange(many) == 17
    echogram.panels[1:] = []
    drawing = draw(echogram, Caption("x", []), None, "ek500")
    pixels = drawing.canvas.pixels(drawing.boxes[0])
    assert (pixels == PASSIVE).all(axis=0).sum() == 1


@pytest.mark.parametrize(
    ("changed", "label"),
    [
        (0, "Time (UTC)"),
        (-3600, "Pings, with their time (UTC); dashed: pauses, or the clock goes back"),
    ],
)
def test_a_clock_that_goes_back_is_drawn_by_ping(echodata: Any, changed: int, label: str) -> None:
    beam = echodata["Sonar/Beam_group1"].load()
    times = beam.ping_time.values.copy()
    times[5:] += np.timedelta64(changed, "s")
    echodata["Sonar/Beam_group1"] = beam.assign_coords(ping_time=times)
    echogram = sv_echogram(echodata, gridded(echodata), {})
    for panel in echogram.panels:
        panel.sea_floor = np.full(len(panel.values), 3.0)
    drawing = draw(echogram, Caption("x", []), None, "ek500")
    assert label in [written.text for written in drawing.canvas.texts]


def test_of_a_huge_file_every_kth_ping_is_drawn(
    echodata: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PICTURE_SAMPLES", 2 * 9 * 700 // 5)
    monkeypatch.setattr(module, "_LEAST_PINGS", 3)
    echogram = sv_echogram(echodata, gridded(echodata), {})
    assert echogram.every_ping == 3
    assert "only one of 3 pings is shown" in echogram.notes
    assert echogram.panels[0].numbers.tolist() == [[0, 0], [3, 3], [6, 6]]


def test_columns_are_linear_means_of_pings(echodata: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sv_echogram(echodata, gridded(echodata), {}).panels[0]
    monkeypatch.setattr(module, "MAX_COLUMNS", 3)
    folded = sv_echogram(echodata, gridded(echodata), {}).panels[0]
    assert folded.numbers.tolist() == [[0, 2], [3, 5], [6, 8]]
    expected = np.nanmean((10 ** (whole.values / 10)).reshape(3, 3, -1), axis=1)
    np.testing.assert_allclose(10 ** (folded.values / 10), expected, rtol=1e-5)


def test_miles_are_those_of_the_positions(echodata: Any) -> None:
    track = PlatformTrack(echodata)
    times = echodata["Sonar/Beam_group1"].ping_time.values
    latitude, longitude = track.at(times)
    assert np.isfinite(latitude).all()
    north = np.radians(np.diff(latitude[[0, -1]]))[0] * 6_371_000
    east = np.radians(np.diff(longitude[[0, -1]]))[0] * 6_371_000 * np.cos(np.radians(latitude[0]))
    assert track.miles(times)[-1] == pytest.approx(np.hypot(north, east) / METRES_A_MILE, rel=0.02)
    far = track.at(times[-1:] + np.timedelta64(1, "h"))
    assert np.isnan(far).all(), "an hour after the last fix nothing is known"


def test_the_thumbnail_is_small_and_of_the_panel_at_38_khz(echodata: Any) -> None:
    echogram = sv_echogram(echodata, gridded(echodata), {})
    echogram.panels[1].values[:] = np.nan
    body = thumbnail_of(echogram, "ek500")
    width, height = (int.from_bytes(body[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == (320, 180)
    assert len(body) < 60_000

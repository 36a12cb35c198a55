"""Converted files of every model are drawn, and the picture shows the file's samples."""

import logging
from pathlib import Path
from typing import Any

import echopype
import matplotlib.image
import numpy as np
import pytest

from sandbox import echogram_panels
from sandbox.echogram import draw_echogram
from sandbox.echogram_panels import picture_of
from sandbox.sea.sample_file import write_sample

pytestmark = pytest.mark.slow

# File, model, settings XML, the panels' titles and the quantity.
REAL_FILES = [
    ("ek60/D20070724-T042400.raw", "EK60", None, ["18 kHz", "38 kHz", "120 kHz", "200 kHz"], "Sv"),
    (
        "ek80/EK80_-D20221108-T151353.raw",
        "EK80",
        None,
        ["38 kHz", "70 kHz", "120 kHz", "200 kHz"],
        "Sv",
    ),
    ("ek80/-1519668699940320059.raw", "EK80", None, ["38 kHz", "120 kHz"], "Sv"),
    ("ek80/2917763601822576513.raw", "EK80", None, ["38 kHz", "200 kHz"], "Sv"),
    (
        "azfp/15100520-Test.01A",
        "AZFP",
        "azfp/15100804.XML",
        ["38 kHz", "125 kHz", "200 kHz", "455 kHz"],
        "Sv",
    ),
    ("ad2cp/SG198_0099_a.ad2cp", "AD2CP", None, ["beam 2", "beam 3", "beam 4"], "echo amplitude"),
]


def _colours(png: Path) -> int:
    pixels = (matplotlib.image.imread(png)[::3, ::3, :3] * 255).astype(int)
    return len(np.unique(pixels @ [65536, 256, 1]))


@pytest.mark.parametrize(("name", "model", "xml", "titles", "quantity"), REAL_FILES)
def test_every_model_is_drawn(
    real_data: Path,
    tmp_path: Path,
    *,
    name: str,
    model: str,
    xml: str | None,
    titles: list[str],
    quantity: str,
) -> None:
    settings = {"xml_path": str(real_data / xml)} if xml else {}
    echodata = echopype.open_raw(str(real_data / name), model, **settings)
    store = tmp_path / "converted.zarr"
    echodata.to_zarr(store)

    picture = picture_of(echodata)
    assert [panel.title for panel in picture.panels] == titles
    assert picture.quantity.startswith(quantity)
    for panel in picture.panels:
        assert panel.decibels.shape == (panel.times.size, panel.ranges.size)
        assert np.isfinite(panel.decibels).any(axis=1).all()
        assert (np.diff(panel.ranges) > 0).all()

    draw_echogram(str(store), tmp_path / "echogram.png", title="Transect 7")
    assert _colours(tmp_path / "echogram.png") > 50


@pytest.fixture
def echodata(tmp_path: Path) -> Any:
    write_sample(tmp_path / "s.raw", pings=6, samples=700, channels=(200_000, 38_000))
    return echopype.open_raw(tmp_path / "s.raw", "EK60")


def test_a_panel_shows_the_calibrated_samples_over_their_ranges(echodata: Any) -> None:
    expected = echopype.calibrate.compute_Sv(echodata).isel(channel=0)
    picture = picture_of(echodata)
    first = picture.panels[0]

    assert first.title == "38 kHz"
    # The TVG begins after the first two samples.
    known = np.isfinite(expected.Sv.values[0])
    np.testing.assert_array_equal(first.times, expected.ping_time.values)
    np.testing.assert_array_equal(first.ranges, expected.echo_range.values[0][known])
    np.testing.assert_array_equal(first.decibels, expected.Sv.values[:, known])
    assert picture.limits == (-90, -30)


def test_neighbouring_ranges_are_averaged_as_energy(
    echodata: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = picture_of(echodata).panels[0]
    monkeypatch.setattr(echogram_panels, "_MAX_RANGES", 100)
    folded = picture_of(echodata).panels[0]
    fold = -(-whole.ranges.size // 100)

    assert folded.ranges.size <= 100
    assert folded.ranges[0] == pytest.approx(whole.ranges[:fold].mean())
    np.testing.assert_allclose(
        10 ** (folded.decibels[:, 0] / 10), (10 ** (whole.decibels[:, :fold] / 10)).mean(axis=1)
    )


def test_a_long_file_is_thinned_before_it_is_calibrated(
    echodata: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = echodata["Sonar/Beam_group1"].ping_time.values
    monkeypatch.setattr(echogram_panels, "_MAX_PINGS", 3)
    # Every second ping would be enough, but with two channels it is every third.
    np.testing.assert_array_equal(picture_of(echodata).panels[0].times, times[::3])


def test_channels_that_ping_in_turn_have_only_their_own_pings(real_data: Path) -> None:
    echodata = echopype.open_raw(str(real_data / "ek80/EK80_-D20221108-T151353.raw"), "EK80")
    assert [panel.times.size for panel in picture_of(echodata).panels] == [2, 2, 2, 2]


def test_without_calibration_the_recorded_samples_are_drawn(
    echodata: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise KeyError("gain_correction")

    # Importing echopype disables warnings in the whole process.
    logging.disable(logging.NOTSET)
    monkeypatch.setattr(echogram_panels, "_volume_backscatter", fail)
    recorded = echodata["Sonar/Beam_group1"].backscatter_r.values
    picture = picture_of(echodata)

    for panel, samples in zip(picture.panels, recorded, strict=True):
        np.testing.assert_array_equal(panel.decibels, samples)
        assert not panel.in_metres
    assert picture.quantity == "recorded level (dB)"
    low, high = picture.limits
    assert recorded.min() < low < high < recorded.max()
    assert "KeyError: 'gain_correction'" in caplog.text


@pytest.mark.parametrize(
    ("scheme", "output"),
    [("", "s.nc"), ("file://", "s.nc"), ("", "s.zarr/"), ("file://", "a b?.zarr")],
)
def test_both_output_types_are_drawn_from_a_path_and_from_a_uri(
    echodata: Any, tmp_path: Path, scheme: str, output: str
) -> None:
    save = echodata.to_netcdf if output.endswith(".nc") else echodata.to_zarr
    save(tmp_path / output)
    draw_echogram(f"{scheme}{tmp_path}/{output}", tmp_path / "s.png")
    assert _colours(tmp_path / "s.png") > 50


@pytest.mark.parametrize("scheme", ["file://", ""])
def test_the_error_names_a_missing_file(tmp_path: Path, scheme: str) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        draw_echogram(f"{scheme}{tmp_path}/absent.zarr", tmp_path / "s.png")
    assert not (tmp_path / "s.png").exists()


def test_a_file_with_a_channel_without_samples_is_drawn(echodata: Any, tmp_path: Path) -> None:
    beam = echodata["Sonar/Beam_group1"]
    silent = beam.backscatter_r.where(beam.channel != beam.channel[0])
    echodata["Sonar/Beam_group1"] = beam.assign(backscatter_r=silent)
    echodata.to_zarr(tmp_path / "s.zarr")
    draw_echogram(str(tmp_path / "s.zarr"), tmp_path / "s.png")
    assert _colours(tmp_path / "s.png") > 50

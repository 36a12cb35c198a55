"""Viewer stores follow the contract of their readers and show what was recorded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from echopype.calibrate import compute_Sv

from flows.products import pyramid_level, viewer_store
from flows.products.opened_output import open_output
from flows.products.sv.gridded import gridded
from flows.products.viewer_store import NotApplicableError, write_viewer_store
from tests.unit.products.conftest import Converted
from tests.viewer_contract import violations

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def write(echodata: Any, folder: Path) -> zarr.Group:
    write_viewer_store(folder, echodata, gridded(echodata), {"title": "a"})
    assert violations(folder) == []
    return zarr.open_group(folder, mode="r")


def decibels(values: Any) -> Any:
    found = np.asarray(values, np.float64)
    return np.where(found < -9000, np.nan, found)


def scales(root: zarr.Group) -> Any:
    return root.attrs["multiscales"]


def array(group: zarr.Group, name: str) -> Any:
    found: Any = group[name]
    return found[...]


def test_the_finest_level_is_sv_and_the_others_its_linear_means(
    echodata: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_draft = echodata["Platform"].assign(water_level=0.0).copy()
    without_draft["transducer_offset_z"] = without_draft["transducer_offset_z"] * 0
    echodata["Platform"] = without_draft
    for module in (viewer_store, pyramid_level):
        monkeypatch.setattr(module, "TILE_PINGS", 4)
        monkeypatch.setattr(module, "TILE_SAMPLES", 256)
    write_viewer_store(tmp_path / "v.zarr", echodata, gridded(echodata), {"title": "a"})
    root = zarr.open_group(tmp_path / "v.zarr", mode="r")
    (scale,) = scales(root)
    factors = [dataset["factors"] for dataset in scale["datasets"]]
    assert factors == [[1, 1], [2, 2], [4, 4]]
    finest = decibels(array(root, "0/Sv"))
    strength = compute_Sv(echodata).sortby("frequency_nominal")
    expected = strength.Sv.transpose("channel", "ping_time", "range_sample").values
    assert finest.shape == expected.shape
    # The precision of a float16 between -128 and -64.
    np.testing.assert_allclose(finest, np.where(np.isfinite(expected), expected, np.nan), atol=0.04)
    step = array(root, "0/range_step")
    np.testing.assert_allclose(step, strength.echo_range.values[0, 0, 1], rtol=1e-5)
    times = array(root, "0/ping_time").view("datetime64[ns]")
    np.testing.assert_array_equal(times, strength.ping_time.values)
    np.testing.assert_array_equal(array(root, "1/ping_time"), array(root, "0/ping_time")[::2])
    power = 10 ** (expected / 10)
    for level, factor in ((1, 2), (2, 4)):
        found = decibels(array(root, f"{level}/Sv"))
        whole = power[:, : 9 // factor * factor, : 700 // factor * factor]
        shape = (2, 9 // factor, factor, 700 // factor, factor)
        means = 10 * np.log10(np.nanmean(whole.reshape(shape), axis=(2, 4)))
        np.testing.assert_allclose(
            found[:, : means.shape[1], 2 : means.shape[2]], means[..., 2:], atol=0.04
        )


def test_a_store_opens_in_xarray_with_positions(echodata: Any, tmp_path: Path) -> None:
    write(echodata, tmp_path / "v.zarr")
    level = xr.open_zarr(tmp_path / "v.zarr", group="0", consolidated=False)
    assert level.Sv.dims == ("channel", "ping", "sample")
    np.testing.assert_array_equal(level.ping_time.values, echodata["Sonar/Beam_group1"].ping_time)
    assert float(level.latitude[0]) == pytest.approx(57.3, abs=0.01)
    ours = json.loads((tmp_path / "v.zarr/zarr.json").read_text())["attributes"]["echodrop"]
    assert [channel["label"] for channel in ours["channels"]] == ["38 kHz", "200 kHz"]
    assert ours["limits"] == [-90, -30]


def test_channels_in_turn_fill_the_columns_and_depth_is_regular(
    converted: Converted, tmp_path: Path
) -> None:
    root = write(
        open_output(str(converted("ek80/EK80_-D20221108-T151353.raw", "EK80"))), tmp_path / "v.zarr"
    )
    values = decibels(array(root, "0/Sv"))
    assert values.shape[:2] == (5, 2), "two pings of five channels, not ten columns"
    assert np.isfinite(values).any(axis=2).all()
    assert scales(root)[0]["verticalRef"] == "depth"
    assert np.unique(array(root, "0/range_start")).tolist() == [0.0]
    above = int(4 / array(root, "0/range_step")[0, 0])
    assert np.isnan(values[:, :, :above]).all(), "the transducers are at 4.8 m"
    assert array(root, "0/transducer_depth") == pytest.approx(4.81, abs=0.02)


def test_the_sea_floor_of_the_bot_is_in_it(converted: Converted, tmp_path: Path) -> None:
    output = converted("ek60/D20070724-T042400.raw", "EK60")
    root = write(open_output(str(output)), tmp_path / "v.zarr")
    bot = xr.open_datatree(output, engine="zarr")["Vendor_specific"].detected_seafloor_depth
    expected = np.where(bot.values > 0, bot.values, np.nan)
    np.testing.assert_allclose(array(root, "0/bottom"), expected, rtol=1e-6)


def test_of_a_huge_file_every_kth_ping_is_in_it(
    echodata: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = array(write(echodata, tmp_path / "whole.zarr"), "0/Sv")
    monkeypatch.setattr(viewer_store, "MAX_CELLS", whole.size // 3)
    root = write(echodata, tmp_path / "v.zarr")
    np.testing.assert_array_equal(array(root, "0/Sv"), whole[:, ::3])
    ours: Any = root.attrs["echodrop"]
    assert "only one of 3 pings is shown" in ours["notes"]


def test_without_sv_there_is_no_viewer_store(converted: Converted, tmp_path: Path) -> None:
    for file, model in (
        ("azfp6/20090314_01A.azfp", "AZFP6"),
        ("ad2cp/SG198_0099_a.ad2cp", "AD2CP"),
    ):
        with pytest.raises(NotApplicableError, match=r"AZFP6|no pings of a calibrated echosounder"):
            write(open_output(str(converted(file, model))), tmp_path / f"{model}.zarr")


def _change(root: zarr.Group, **changes: Any) -> None:
    (scale,) = scales(root)
    root.attrs["multiscales"] = [{**scale, **changes}]


def _remake(root: zarr.Group, name: str, **changes: Any) -> None:
    old: Any = root[name]
    options: dict[str, Any] = {"chunks": old.chunks, "dtype": old.dtype, **changes}
    del root[name]
    root.create_array(name, shape=old.shape, **options)


BREACHES: dict[str, tuple[Callable[[zarr.Group], object], str]] = {
    "no scales": (lambda root: root.attrs.pop("multiscales"), "has no attribute multiscales"),
    "no level": (lambda root: root.__delitem__("1"), "level 1: there is no such group"),
    "no step": (
        lambda root: root.__delitem__("0/range_step"),
        "level 0: it has no array range_step",
    ),
    "float32": (lambda root: _remake(root, "0/Sv", dtype="float32"), "Sv is float32"),
    "chunks": (lambda root: _remake(root, "0/Sv", chunks=(1, 64, 64)), "chunks of (1, 64, 64)"),
    "sharded": (
        lambda root: _remake(root, "0/Sv", shards=(1, 4096, 1024), chunks=(1, 2048, 512)),
        "Sv is sharded",
    ),
    "times": (lambda root: _remake(root, "0/ping_time", dtype="float64"), "ping_time is float64"),
    "factors": (
        lambda root: _change(root, datasets=[{"path": "0", "factors": [1, 2]}]),
        "the first dataset is not the finest",
    ),
    "shape": (
        lambda root: _change(
            root, datasets=[*scales(root)[0]["datasets"], {"path": "1", "factors": [9, 9]}]
        ),
        "its factors give",
    ),
    "vertical": (
        lambda root: _change(root, verticalRef="up"),
        "verticalRef is 'up'",
    ),
}


@pytest.fixture(scope="module")
def whole_store(_sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("viewer") / "v.zarr"
    write(open_output(str(_sample / "s.zarr")), folder)
    return folder


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_of_the_contract_is_named(breach: str, whole_store: Path, tmp_path: Path) -> None:
    store = tmp_path / "v.zarr"
    shutil.copytree(whole_store, store)
    break_it, said = BREACHES[breach]
    root = zarr.open_group(store, mode="r+", use_consolidated=False)
    break_it(root)
    zarr.consolidate_metadata(root.store)
    assert any(said in text for text in violations(store)), violations(store)
    assert violations(tmp_path / "absent.zarr")[0].startswith("it cannot be opened")

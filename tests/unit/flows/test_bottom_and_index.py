"""Bottom and index files next to a raw file, in upper and lower case: their values in the output."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.publishing.publication import Published
from tests import conversions
from tests.conversions import tree_of
from tests.damaged_files import EK60, EK80, datagram_bytes, simrad_datagrams

# A second of NT FILETIME.
SECOND = 10_000_000
PINGS = 4
DISTANCES = np.arange(PINGS) * 0.25
LATITUDES = 42.5 + np.arange(PINGS) / 100
LONGITUDES = -66.25 - np.arange(PINGS) / 100


def index_file(raw: bytes) -> bytes:
    """An index: the raw file's configuration, then an IDX0 datagram for each ping.

    IDX0 (Simrad EK80 interface description): ping number, uint32; distance in nautical
    miles, latitude and longitude in degrees, float64; file offset, uint32.
    """
    configuration = raw[: simrad_datagrams(raw)[0].end]
    first = next(d.start for d in simrad_datagrams(raw) if d.type in {"RAW0", "RAW3"})
    (start,) = struct.unpack_from("<Q", raw, first + 8)
    return configuration + b"".join(
        datagram_bytes(
            b"IDX0",
            struct.pack(
                "<IdddI", n + 1, DISTANCES[n], LATITUDES[n], LONGITUDES[n], len(configuration) + n
            ),
            start + n * SECOND,
        )
        for n in range(PINGS)
    )


def converted(raw: Path, model: str, output_type: str, **changes: Any) -> Published:
    changes = {"verify": "full", "overwrite": True, "output_type": output_type, **changes}
    return conversions.converted(raw, raw.parent / "out", model, **changes)


# Each value with each value of the others.
@pytest.mark.parametrize(
    ("name", "model", "suffix", "output_type"),
    [
        (EK60, "EK60", ".idx", "zarr"),
        (EK60, "EK60", ".IDX", "netcdf"),
        (EK80, "EK80", ".idx", "netcdf"),
        (EK80, "EK80", ".IDX", "zarr"),
    ],
)
def test_an_index_beside_the_file_is_in_the_output(  # noqa: PLR0917 - a table's columns and fixtures
    name: str, model: str, suffix: str, output_type: str, real_data: Path, tmp_path: Path
) -> None:
    raw = tmp_path / "D.raw"
    shutil.copyfile(real_data / name, raw)
    raw.with_suffix(suffix).write_bytes(index_file(raw.read_bytes()))
    done = converted(raw, model, output_type)
    assert [(s["kind"], Path(s["uri"]).name) for s in done.manifest["sidecars"]] == [
        ("idx", f"D{suffix}")
    ]
    with tree_of(done) as tree:
        platform = tree["Platform"].to_dataset().load()
        first = tree["Sonar/Beam_group1"].to_dataset()["ping_time"].values[0]
    assert platform["ping_number_idx"].values.tolist() == [1, 2, 3, 4]
    assert np.array_equal(platform["vessel_distance_idx"], DISTANCES)
    assert np.array_equal(platform["latitude_idx"], LATITUDES)
    assert np.array_equal(platform["longitude_idx"], LONGITUDES)
    assert platform["time4"].values[0] == first


@pytest.mark.parametrize("suffix", [".bot", ".BOT"])
def test_a_bottom_beside_the_file_is_in_the_output_of_both_formats(
    suffix: str, real_data: Path, tmp_path: Path
) -> None:
    raw = tmp_path / "D.raw"
    shutil.copyfile(real_data / EK60, raw)
    shutil.copyfile((real_data / EK60).with_suffix(".bot"), raw.with_suffix(suffix))
    depths = []
    for output_type in ("zarr", "netcdf"):
        done = converted(raw, "EK60", output_type)
        assert [s["kind"] for s in done.manifest["sidecars"]] == ["bot"]
        with tree_of(done) as tree:
            vendor = tree["Vendor_specific"].to_dataset()
            depths.append(vendor["detected_seafloor_depth"].values)
    in_zarr, in_netcdf = depths
    assert np.array_equal(in_zarr, in_netcdf, equal_nan=True)
    assert np.isfinite(in_zarr).any()


def test_both_are_used_together_and_either_can_be_left_out(real_data: Path, tmp_path: Path) -> None:
    raw = tmp_path / "D.raw"
    shutil.copyfile(real_data / EK60, raw)
    shutil.copyfile((real_data / EK60).with_suffix(".bot"), tmp_path / "D.bot")
    (tmp_path / "D.IDX").write_bytes(index_file(raw.read_bytes()))
    both = converted(raw, "EK60", "zarr")
    assert sorted(s["kind"] for s in both.manifest["sidecars"]) == ["bot", "idx"]
    without = converted(raw, "EK60", "zarr", convert_params={"include_idx": False})
    assert [s["kind"] for s in without.manifest["sidecars"]] == ["bot"]
    with tree_of(without) as tree:
        assert "latitude_idx" not in tree["Platform"]
        assert "detected_seafloor_depth" in tree["Vendor_specific"]
    elsewhere = tmp_path / "elsewhere" / "index.idx"
    elsewhere.parent.mkdir()
    (tmp_path / "D.IDX").rename(elsewhere)
    named = converted(raw, "EK60", "zarr", convert_params={"idx_path": str(elsewhere)})
    assert {s["uri"] for s in named.manifest["sidecars"]} >= {str(elsewhere)}


@pytest.mark.parametrize(("name", "model"), [(EK60, "ES70"), (EK80, "ES80"), (EK80, "EA640")])
def test_an_index_of_a_model_that_echopype_takes_none_for_is_in_the_output(
    name: str, model: str, real_data: Path, tmp_path: Path
) -> None:
    raw = tmp_path / "D.raw"
    shutil.copyfile(real_data / name, raw)
    (tmp_path / "D.idx").write_bytes(index_file(raw.read_bytes()))
    done = converted(raw, model, "zarr")
    assert [s["kind"] for s in done.manifest["sidecars"]] == ["idx"]
    with tree_of(done) as tree:
        assert np.array_equal(tree["Platform"]["latitude_idx"], LATITUDES)
        assert tree["Sonar"].attrs["sonar_model"] == model

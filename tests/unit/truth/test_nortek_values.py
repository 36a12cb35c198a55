"""Settings and temperatures of AD2CP records are those of the file's bytes."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.rawfile.nortek import records
from flows.walk.record_index import STRING
from tests.conversions import tree_of
from tests.damaged_files import AD2CP
from tests.unit.truth.test_nortek_and_azfp import (
    AVERAGE,
    BOTTOM_TRACK,
    BURST,
    ECHOSOUNDER,
    INTERLEAVED,
    Record,
    converted,
    record,
    records_of,
)

TEMPERATURES = "temperatures of the pressure sensor and the magnetometer do not overflow"
BLANKING = "blanking in cm is not taken for mm"
OWN = "pings have the settings of their own record, not those of another record, or 0 cells"


def counts_of(manifest: Any) -> dict[str, int]:
    return {each["what"]: each["count"] for each in manifest["corrections"]}


def check_temperatures(tree: Any, dated: list[Record]) -> None:
    """Compare with the bytes (Nortek, Integrator's Guide), and with the water's temperature."""
    vendor = tree["Vendor_specific"]
    sensor = np.array([each.number("B", 37) / 5 - 4 for each in dated])
    magnetometer = [each.number("h", 60) / 1000 for each in dated]
    np.testing.assert_allclose(vendor["temperature_of_pressure_sensor"].values, sensor, atol=1e-9)
    np.testing.assert_allclose(vendor["magnetometer_temperature"].values, magnetometer, atol=1e-9)
    assert np.abs(sensor - tree["Environment"]["temperature"].values).max() < 3


@pytest.mark.parametrize("output_type", ["zarr", "netcdf"])
def test_settings_of_a_recorded_file_are_those_of_its_configuration(
    output_type: str, fleet_files: Path, tmp_path: Path
) -> None:
    raw = fleet_files / "ad2cp/bottom_track_192.ad2cp"
    kept = [each for each in records_of(raw.read_bytes()) if each.id != BOTTOM_TRACK]
    text = next(each.data for each in kept if each.id == STRING)
    configured = [
        float(re.search(rb"%s,[^\r]*BD=([0-9.]+)" % command, text)[1])  # type: ignore[index]
        for command in (b"GETBURST", b"GETECHO")
    ]
    done = converted(raw, tmp_path, "AD2CP", output_type=output_type)
    with tree_of(done) as tree:
        for group, blanking in zip(("Beam_group1", "Beam_group2"), configured, strict=True):
            np.testing.assert_allclose(tree[f"Sonar/{group}"]["blanking"].values, blanking)
        cells = [each.number("H", 30) for each in kept if each.id == ECHOSOUNDER]
        assert tree["Sonar/Beam_group2"]["number_of_cells"].values.tolist() == cells
        assert 0 not in cells
        check_temperatures(tree, [each for each in kept if each.id != STRING])
    bursts = sum(each.id in {BURST, INTERLEAVED} for each in kept)
    expected = {BLANKING: bursts, OWN: len(cells), TEMPERATURES: 2 * (bursts + len(cells))}
    assert counts_of(done.manifest).items() >= expected.items()


def test_temperatures_of_a_glider_are_not_overflowed(real_data: Path, tmp_path: Path) -> None:
    dated = [each for each in records_of((real_data / AD2CP).read_bytes()) if each.id != STRING]
    with tree_of(converted(real_data / AD2CP, tmp_path, "AD2CP")) as tree:
        check_temperatures(tree, dated)


@pytest.mark.parametrize("output_type", ["zarr", "netcdf"])
def test_records_of_one_time_keep_their_own_settings(
    output_type: str, real_data: Path, tmp_path: Path
) -> None:
    """Averages and bursts of one time, with other cells, blanking and velocity scaling."""
    parts: list[bytes] = []
    bursts: list[bytes] = []
    averages: list[Record] = []
    for each in records_of((real_data / AD2CP).read_bytes()):
        parts.append(each.content)
        if each.id == AVERAGE:
            averages.append(each)
            data = bytearray(each.data)
            struct.pack_into("<HH", data, 32, 500, 70 + len(bursts) % 3)
            struct.pack_into("<b", data, 58, -4)
            # Status bit 1: blanking is in cm.
            struct.pack_into("<I", data, 68, each.number("I", 68) | 2)
            bursts.append(bytes(data))
            parts.append(record(BURST, bytes(data)))
        if len(bursts) == 20:
            break
    raw = tmp_path / "D.ad2cp"
    raw.write_bytes(b"".join(parts))
    done = converted(raw, tmp_path / "own", "AD2CP", output_type=output_type)
    with tree_of(done) as tree:
        own, burst = tree["Sonar/Beam_group1"], tree["Sonar/Beam_group2"]
        cells = [each.number("H", 32) / 1000 for each in averages]
        np.testing.assert_allclose(own["cell_size"].values, cells)
        blankings = [each.number("H", 34) / 1000 for each in averages]
        np.testing.assert_allclose(own["blanking"].values, blankings)
        np.testing.assert_allclose(burst["cell_size"].values, 0.5)
        np.testing.assert_allclose(
            burst["blanking"].values, [(70 + n % 3) / 100 for n in range(len(bursts))]
        )
        assert (burst["velocity_scaling"].values == -4).all()
        assert (own["velocity_scaling"].values == -3).all()
    assert counts_of(done.manifest)[OWN] == len(bursts)
    plain = converted(raw, tmp_path, "AD2CP", output_type=output_type, corrections=False)
    assert f"not corrected: {OWN} ({len(bursts)} values)" in plain.manifest["missing"]
    with tree_of(plain) as tree:
        np.testing.assert_allclose(tree["Sonar/Beam_group2"]["cell_size"].values, cells)


def test_a_file_that_is_not_read_by_its_records_names_what_is_not_corrected(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [each.content for each in records_of((real_data / AD2CP).read_bytes())]
    raw = tmp_path / "D.ad2cp"
    raw.write_bytes(b"".join(parts[:20]))
    monkeypatch.setattr(records, "_LAYOUTS_MOST", 0)
    done = converted(raw, tmp_path, "AD2CP")
    assert done.manifest["engine"]["name"] == "whole"
    for what in (TEMPERATURES, BLANKING, OWN):
        assert what in done.manifest["missing"]

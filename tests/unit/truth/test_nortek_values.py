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
from tests.unit.rawfile.test_records import raw_echosounder
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
FREQUENCY = "frequencies of the echosounder are in Hz, not in 0.1 kHz"
COMPRESSED = "pulses are compressed as the configuration says, not always one of three"
UNITS = "amplitudes are in dB, not in dB/count"
ABSENT = "numbers that records do not have, as of an altimeter or AHRS, are NaN, not 0"
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
        frequency = float(re.search(rb"GETECHO,[^\r]*FREQ1=([0-9.]+)", text)[1])  # type: ignore[index]
        echosounder = tree["Sonar/Beam_group2"]
        assert (echosounder["echosounder_frequency"].values == 1000 * frequency).all()
        # Its records have a frequency in the place of the others' ambiguity velocity.
        assert np.isnan(echosounder["ambiguity_velocity"].values).all()
        assert np.isnan(tree["Sonar/Beam_group1"]["echosounder_frequency"].values).all()
        assert (tree["Sonar/Beam_group1"]["ambiguity_velocity"].values > 0).all()
        for group in ("Beam_group1", "Beam_group2"):
            assert tree[f"Sonar/{group}"]["amplitude"].attrs["units"] == "dB"
        check_temperatures(tree, [each for each in kept if each.id != STRING])
    bursts = sum(each.id in {BURST, INTERLEAVED} for each in kept)
    expected = {
        BLANKING: bursts,
        OWN: len(cells),
        TEMPERATURES: 2 * (bursts + len(cells)),
        FREQUENCY: len(cells),
        UNITS: bursts + len(cells),
        ABSENT: len(cells),
    }
    assert counts_of(done.manifest).items() >= expected.items()
    plain = converted(raw, tmp_path / "plain", "AD2CP", output_type=output_type, corrections=False)
    for what in (FREQUENCY, UNITS, ABSENT):
        assert f"not corrected: {what} ({expected[what]} values)" in plain.manifest["missing"]
    with tree_of(plain) as tree:
        echosounder = tree["Sonar/Beam_group2"]
        assert (echosounder["echosounder_frequency"].values == 10 * frequency).all()
        assert (echosounder["ambiguity_velocity"].values == 0).all()
        assert echosounder["amplitude"].attrs["units"] == "dB/count"


@pytest.mark.parametrize("compressed", [(0, 0, 0), (0, 1, 1), (1, 0, 0), (0, 0, 1)])
def test_pulses_are_compressed_as_the_configuration_says(
    compressed: tuple[int, int, int], fleet_files: Path, tmp_path: Path
) -> None:
    """echopype has 1 for the third echogram if none is compressed, and for the first of several alone."""
    parts = list(records_of((fleet_files / "ad2cp/bottom_track_192.ad2cp").read_bytes()))
    first = parts[0].data
    for n, is_so in enumerate(compressed, 1):
        first = re.sub(rb"PULSECOMP%d=\d" % n, b"PULSECOMP%d=%d" % (n, is_so), first)
    raw = tmp_path / "D.ad2cp"
    raw.write_bytes(b"".join([record(STRING, first), *(each.content for each in parts[1:20])]))
    done = converted(raw, tmp_path, "AD2CP")
    with tree_of(done) as tree:
        found = tree["Sonar/Beam_group2"]["pulse_compressed"].values.tolist()
    assert found == list(compressed)
    assert (COMPRESSED in counts_of(done.manifest)) == (sum(compressed) != 1)


def test_bursts_without_velocities_have_their_blanking(fleet_files: Path, tmp_path: Path) -> None:
    """An instrument can be set to leave out velocities (DISV of its configuration)."""
    parts = [*records_of((fleet_files / "ad2cp/one_burst_altimeter.ad2cp").read_bytes())][:20]
    made = [each.content for each in parts if each.id == STRING]
    for each in parts:
        if each.id == INTERLEAVED:
            start, number = each.number("B", 1), each.number("H", 30)
            data = bytearray(each.data)
            struct.pack_into("<H", data, 2, each.number("H", 2) & ~(1 << 5))
            del data[start : start + 2 * (number >> 12) * (number & 0x3FF)]
            made.append(record(INTERLEAVED, bytes(data)))
    raw = tmp_path / "D.ad2cp"
    raw.write_bytes(b"".join(made))
    with tree_of(converted(raw, tmp_path, "AD2CP")) as tree:
        group = tree["Sonar/Beam_group1"]
        assert "range_sample" not in group["velocity"].dims
        np.testing.assert_allclose(group["blanking"].values, 0.5)


@pytest.mark.parametrize("output_type", ["zarr", "netcdf"])
def test_numbers_that_some_records_do_not_have_are_nan(
    output_type: str, real_data: Path, tmp_path: Path
) -> None:
    """AHRS and standard deviations, which only every second record includes."""
    parts: list[bytes] = []
    number = 0
    for each in list(records_of((real_data / AD2CP).read_bytes()))[:21]:
        data = bytearray(each.data)
        if each.id == AVERAGE:
            number += 1
            if number % 2:
                struct.pack_into("<H", data, 2, each.number("H", 2) | 1 << 12 | 1 << 14)
                data += struct.pack("<16f4h", *range(number, number + 16), 1, 2, 3, 4) + bytes(24)
        parts.append(record(each.id, bytes(data)))
    raw = tmp_path / "D.ad2cp"
    raw.write_bytes(b"".join(parts))
    done = converted(raw, tmp_path, "AD2CP", output_type=output_type)
    names = ("ahrs_rotation_matrix_mij", "ahrs_quaternions_wxyz", "ahrs_gyro_xyz", "std_dev_pitch")
    with tree_of(done) as tree:
        vendor = tree["Vendor_specific"]
        for name in names:
            values = vendor[name].values.reshape(number, -1)
            assert np.isnan(values[1::2]).all()
            assert (values[::2] != 0).all()
    assert counts_of(done.manifest)[ABSENT] == (len(names) + 3) * (number // 2)


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
    for what in (TEMPERATURES, BLANKING, OWN, FREQUENCY, COMPRESSED, UNITS, ABSENT):
        assert what in done.manifest["missing"]


@pytest.mark.parametrize("output_type", ["zarr", "netcdf"])
def test_a_raw_echosounder_keeps_its_settings_beside_its_echogram(
    output_type: str, fleet_files: Path, tmp_path: Path
) -> None:
    """Both records of a ping have one time; echopype has 0 for what the first does not have."""
    made: list[bytes] = []
    for each in [*records_of((fleet_files / "ad2cp/bottom_track_192.ad2cp").read_bytes())][:40]:
        made.append(each.content)
        if each.id == ECHOSOUNDER:
            made += [raw_echosounder(each.content, id_, 30, len(made)) for id_ in (0x23, 0x24)]
    raw = tmp_path / "D.ad2cp"
    raw.write_bytes(b"".join(made))
    done = converted(raw, tmp_path / "own", "AD2CP", output_type=output_type)
    with tree_of(done) as tree:
        group = tree["Sonar/Beam_group3"]
        assert group.sizes["ping_time"] > 5
        assert (group["freq_raw_sample_data"].values == 70_000).all()
        assert (group["num_complex_samples"].values == 30).all()
        assert (group["ind_start_samples"].values == 3).all()
        # Those of the echogram of the same ping.
        assert (group["echosounder_frequency"].values == 1e6).all()
        np.testing.assert_allclose(group["cell_size"].values, 0.012)
        np.testing.assert_allclose(group["blanking"].values, 0.1)
    plain = converted(raw, tmp_path, "AD2CP", output_type=output_type, corrections=False)
    assert f"not corrected: {OWN}" in plain.manifest["missing"]
    with tree_of(plain) as tree:
        assert (tree["Sonar/Beam_group3"]["freq_raw_sample_data"].values == 0).all()

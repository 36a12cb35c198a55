"""More files of the same kinds: MRU1 beside MRU0, RAW0 that differs by channel, EK80 without a fix."""

from __future__ import annotations

import functools
import operator
import struct
from pathlib import Path

import numpy as np
import pytest

from tests.damaged_files import datagram_bytes
from tests.unit.truth.test_corrections import by_raw0, converted, items, near, ping_values

pytestmark = pytest.mark.filterwarnings("ignore")


def written(path: Path, parts: list[bytes]) -> Path:
    path.write_bytes(b"".join(parts))
    return path


def test_mru1_beside_mru0_is_kept_beside_it(real_data: Path, tmp_path: Path) -> None:
    content = (real_data / "ek80" / "2917763601822576513.raw").read_bytes()
    parts: list[bytes] = []
    held: list[tuple[float, ...]] = []
    for item in items(content):
        parts.append(datagram_bytes(item.type, item.body, item.ticks))
        if item.type == b"MRU0":
            motion = (1.5 + len(held), -2.5, 200.0 + len(held), 0.25)
            held.append(motion)
            body = struct.pack("<4s16x2d5f76x", b"#KMB", 60.1, 5.2, 0.0, *motion)
            parts.append(datagram_bytes(b"MRU1", body, item.ticks))
    echodata, manifest = converted(written(tmp_path / "both.raw", parts), tmp_path / "out")
    platform = echodata["Platform"]
    for column, name in enumerate(("roll", "pitch", "heading", "vertical_offset")):
        assert platform[f"{name}_mru1"].dims == ("time3",)
        assert platform[f"{name}_mru1"].values.tolist() == [motion[column] for motion in held]
        # MRU0's values stay what they were.
        assert platform[name].sizes == {"time2": len(held)}
        assert not (platform[name].values == [motion[column] for motion in held]).all()
    assert [each["count"] for each in manifest["corrections"]] == [4 * len(held)]


def test_raw0_that_differs_by_channel_is_kept_by_channel(real_data: Path, tmp_path: Path) -> None:
    content = (real_data / "ek60" / "D20070724-T042400.raw").read_bytes()
    parts: list[bytes] = []
    for number, item in enumerate(items(content)):
        body = bytearray(item.body)
        if item.type == b"RAW0":
            # Heave, roll, pitch, temperature, heading; the depth stays the same.
            channel = struct.unpack_from("<h", body)[0]
            struct.pack_into("<f", body, 4, 5.5)
            struct.pack_into(
                "<5f", body, 36, channel / 4, channel, 0.5, 4 + number % 7, number % 360
            )
        parts.append(datagram_bytes(item.type, bytes(body), item.ticks))
    path = written(tmp_path / "motion.raw", parts)
    echodata, _ = converted(path, tmp_path / "out")
    edited = path.read_bytes()
    for name, at in (
        ("platform_vertical_offset", 36),
        ("platform_roll", 40),
        ("platform_heading", 52),
        ("tx_transducer_depth", 4),
    ):
        assert near(ping_values(echodata, name), by_raw0(edited, at))
    # The pitch is the same for all channels: Platform has it.
    assert "platform_pitch" not in echodata["Sonar/Beam_group1"]
    platform = echodata["Platform"]
    channel = str(echodata["Sonar/Beam_group1"]["channel"].values[0])
    own = sorted(row for row in by_raw0(edited, 52) if row[0] == channel)
    assert platform["heading"].values.tolist() == [heading for _, _, heading in own]
    # One depth for all pings stays one number, which add_depth subtracts.
    assert platform["water_level"].dims == ()
    assert float(platform["water_level"]) == -5.5
    temperature = echodata["Environment"]["temperature"].sel(channel=channel).values
    held = sorted(row for row in by_raw0(edited, 48) if row[0] == channel)
    assert temperature.tolist() == [value for _, _, value in held]


def test_a_water_level_of_the_user_stays(fleet_files: Path, tmp_path: Path) -> None:
    for name in ("ek60_depth_changes_midfile", "ek80_two_environments"):
        path = fleet_files / "simrad" / f"{name}.raw"
        echodata, _ = converted(path, tmp_path, convert_params={"water_level": 2.5})
        assert float(echodata["Platform"]["water_level"]) == 2.5


def test_an_ek80_without_a_fix_has_no_position_there(real_data: Path, tmp_path: Path) -> None:
    content = (real_data / "ek80" / "2917763601822576513.raw").read_bytes()
    sentences = [b"GPGGA,042400.00,,,,,0,00,99.99,,,,,,", b"GPRMC,042402.00,V,,,,,,,230707,,,N"]
    parts: list[bytes] = []
    for item in items(content):
        parts.append(datagram_bytes(item.type, item.body, item.ticks))
        if item.type == b"MRU0":
            for sentence in sentences:
                text = b"$%b*%02X" % (sentence, functools.reduce(operator.xor, sentence))
                body = text + bytes(-len(text) % 4)
                parts.append(datagram_bytes(b"NME0", body, item.ticks))
    echodata, manifest = converted(written(tmp_path / "nofix.raw", parts), tmp_path / "out")
    for name in ("latitude", "longitude"):
        assert not (echodata["Platform"][name].values == 0).any()
    count = sum(item.type == b"MRU0" for item in items(content)) * len(sentences)
    fixes = [each for each in manifest["corrections"] if "without a fix" in each["what"]]
    assert [each["count"] for each in fixes] == [count]
    assert np.isnan(echodata["Platform"]["latitude"].values).sum() >= count


def test_only_the_drop_keel_changes(real_data: Path, tmp_path: Path) -> None:
    """Such an Environment has nothing else, and changes nothing else (echopype#1386)."""
    content = (real_data / "ek80" / "2917763601822576513.raw").read_bytes()
    keel = b'<?xml version="1.0"?><Environment DropKeelOffset="%d" DropKeelOffsetIsManual="1"/>'
    parts: list[bytes] = []
    pings = 0
    for item in items(content):
        if item.type == b"RAW3":
            pings += 1
            if pings == 7:
                parts.insert(-1, datagram_bytes(b"XML0", keel % 3, item.ticks))
        parts.append(datagram_bytes(item.type, item.body, item.ticks))
    echodata, manifest = converted(written(tmp_path / "keel.raw", parts), tmp_path / "out")
    assert echodata["Environment"].sizes["time1"] == 1
    offset = echodata["Platform"]["drop_keel_offset"]
    assert offset.values.tolist() == [0, 0, 0, 3, 3, 3]
    assert [each["count"] for each in manifest["corrections"]] == [6]

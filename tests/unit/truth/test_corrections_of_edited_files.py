"""More files of the same kinds: MRU1 beside MRU0, RAW0 that differs by channel, EK80 without a fix."""

from __future__ import annotations

import functools
import operator
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import echopype
import numpy as np
import pytest

from tests.damaged_files import datagram_bytes
from tests.unit.truth.test_corrections import (
    by_parameters,
    by_raw0,
    converted,
    items,
    near,
    ping_values,
)

pytestmark = pytest.mark.filterwarnings("ignore")

# Of a complex Beam group: the equivalent beam angle, and both parts of the samples.
UNITS = 3


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
    assert [each["count"] for each in manifest["corrections"]] == [4 * len(held), UNITS]


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


def test_motion_that_only_one_channel_lacks_is_kept_by_channel(
    real_data: Path, tmp_path: Path
) -> None:
    content = (real_data / "ek60" / "D20070724-T042400.raw").read_bytes()
    parts: list[bytes] = []
    for item in items(content):
        body = bytearray(item.body)
        if item.type == b"RAW0" and struct.unpack_from("<h", body)[0] == 2 and len(parts) > 100:
            struct.pack_into("<f", body, 36, float("nan"))
        parts.append(datagram_bytes(item.type, bytes(body), item.ticks))
    path = written(tmp_path / "motion.raw", parts)
    echodata, _ = converted(path, tmp_path / "out")
    own = [heave for _, _, heave in by_raw0(path.read_bytes(), 36)]
    heaves = echodata["Sonar/Beam_group1"]["platform_vertical_offset"].values
    assert 0 < np.isnan(own).sum() < len(own)
    assert np.isnan(heaves).sum() == np.isnan(own).sum()


def test_a_water_level_of_the_user_stays(fleet_files: Path, tmp_path: Path) -> None:
    for name in ("ek60_depth_changes_midfile", "ek80_two_environments"):
        path = fleet_files / "simrad" / f"{name}.raw"
        echodata, _ = converted(path, tmp_path, convert_params={"water_level": 2.5})
        assert float(echodata["Platform"]["water_level"]) == 2.5


def test_positions_of_old_receivers_are_those_of_their_sentences(
    real_data: Path, tmp_path: Path
) -> None:
    # Without a checksum, the direction is followed by the line's end; minutes without a fraction.
    texts = [
        (b"$INGLL,4015.50,N,07113.50,W\r\n", (40 + 15.5 / 60, -71 - 13.5 / 60)),
        (b"$INGLL,4016,N,07114.,W\r\n", (40 + 16 / 60, -71 - 14 / 60)),
        (b"$GPRMC,042402.00,A,4017.5,S,17915.5,E\r\n", (-40 - 17.5 / 60, 179 + 15.5 / 60)),
        # Its checksum is wrong, so it may say anything.
        (b"$INGLL,4018.5,N,07115.5,W*00\r\n", (np.nan, np.nan)),
    ]
    parts: list[bytes] = []
    expected: list[tuple[float, float]] = []
    for item in items((real_data / "ek60" / "D20070724-T042400.raw").read_bytes()):
        if item.type != b"NME0":
            parts.append(datagram_bytes(item.type, item.body, item.ticks))
        elif len(expected) < len(texts):
            text, position = texts[len(expected)]
            parts.append(datagram_bytes(b"NME0", text + bytes(2), item.ticks))
            expected.append(position)
    echodata, manifest = converted(written(tmp_path / "old.raw", parts), tmp_path / "out")
    platform = echodata["Platform"]
    found = np.stack([platform["latitude"].values, platform["longitude"].values]).T
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    what = "positions of NMEA sentences are those of their text, not 0 or NaN"
    assert {"what": what, "count": 3} in manifest["corrections"]


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
    assert [each["count"] for each in manifest["corrections"]] == [6, UNITS]


SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "text behind a NUL": lambda xml: xml.rstrip(b"\0") + b"\0old text>",
    "a byte order mark": lambda xml: b"\xef\xbb\xbf" + xml,
    "decimal commas": lambda xml: re.sub(rb'(?<!version)="(\d+)\.(\d+)"', rb'="\1,\2"', xml),
    "capitals": lambda xml: re.sub(rb"(</?)(Parameter|Environment)", lambda m: m[0].upper(), xml),
    "a namespace": lambda xml: re.sub(
        rb"<(Parameter|Environment)", rb'<\1 xmlns="http://x.no/1"', xml
    ),
    "a comment": lambda xml: re.sub(
        rb"<(Parameter|Environment)", rb"<!-- <Parameter <Environment --><\1", xml
    ),
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_xml_in_any_spelling_gives_each_ping_its_own_values(
    spell: Callable[[bytes], bytes], real_data: Path, tmp_path: Path
) -> None:
    content = (real_data / "ek80" / "-1519668699940320059.raw").read_bytes()
    plain: list[bytes] = []
    spelled: list[bytes] = []
    environment, pings, speeds = b"", 0, []
    for item in items(content):
        bodies = [item.body]
        if b"<Environment" in item.body:
            environment = item.body
        elif b"<Parameter" in item.body:
            pings += 1
            speeds.append(1491.4925468618 if pings < 7 else 1530.5)
            own = f' SoundVelocity="{1480 + pings}.5" TransducerDepth="{pings}.25" Frequency="{38000 + pings}.5"'
            bodies = [re.sub(rb' Frequency="\d+"', own.encode(), item.body)]
            if pings == 7:
                bodies.insert(0, environment.replace(b"1491.4925468618", b"1530.5"))
        for body in bodies:
            # Two spellings in one file, as after an update of the software.
            odd = b"<Configuration" not in body and item.type == b"XML0" and pings % 2
            plain.append(datagram_bytes(item.type, body, item.ticks))
            spelled.append(datagram_bytes(item.type, spell(body) if odd else body, item.ticks))
    echodata, _ = converted(written(tmp_path / "spelled.raw", spelled), tmp_path / "out")
    for name, attribute in (
        ("transmit_frequency_start", "Frequency"),
        ("sound_speed_at_transducer", "SoundVelocity"),
        ("tx_transducer_depth", "TransducerDepth"),
    ):
        expected = by_parameters(b"".join(plain), attribute)
        assert len(expected) == pings
        assert near(ping_values(echodata, name), expected)
    of_environment = echodata["Environment"]["sound_speed_indicative"]
    times = [item.time for item in items(b"".join(plain)) if item.type == b"RAW3"]
    found = of_environment.interp(time1=np.array(times, "datetime64[ns]"))
    np.testing.assert_allclose(found.values, speeds, rtol=0, atol=1e-9)


def test_the_frequency_of_each_raw0_is_kept(real_data: Path, tmp_path: Path) -> None:
    """As of wideband transceivers, and of software that changes it while it records."""
    content = (real_data / "ek60" / "D20070724-T042400.raw").read_bytes()
    parts: list[bytes] = []
    for number, item in enumerate(items(content)):
        body = bytearray(item.body)
        if item.type == b"RAW0":
            struct.pack_into("<f", body, 8, 40_000 + 100 * (number // 90))
        parts.append(datagram_bytes(item.type, bytes(body), item.ticks))
    path = written(tmp_path / "frequency.raw", parts)
    echodata, manifest = converted(path, tmp_path / "out")
    for name in ("transmit_frequency_start", "transmit_frequency_stop"):
        assert near(ping_values(echodata, name), by_raw0(path.read_bytes(), 8))
    assert {
        "what": "pings have the frequency of their RAW0, not that of the file's start",
        "count": 144,
    } in manifest["corrections"]


def test_modes_of_raw0_that_fit_no_byte_are_kept(real_data: Path, tmp_path: Path) -> None:
    content = (real_data / "ek60" / "D20070724-T042400.raw").read_bytes()
    parts: list[bytes] = []
    modes: list[tuple[int, int]] = []
    for item in items(content):
        body = bytearray(item.body)
        if item.type == b"RAW0":
            (mode,) = struct.unpack_from("<h", body, 2)
            modes.append((mode | (0x500 if len(modes) % 3 else 0), len(modes) * 2))
            struct.pack_into("<h", body, 2, modes[-1][0])
            struct.pack_into("<h", body, 56, modes[-1][1])
        parts.append(datagram_bytes(item.type, bytes(body), item.ticks))
    echodata, _ = converted(written(tmp_path / "modes.raw", parts), tmp_path / "out")
    for column, name in enumerate(("data_type", "channel_mode")):
        found = sorted(value for _, _, value in ping_values(echodata, name))
        assert found == sorted(mode[column] for mode in modes)


def test_survey_and_transect_of_con0_are_kept(real_data: Path, tmp_path: Path) -> None:
    content = (real_data / "ek60" / "D20070724-T042400.raw").read_bytes()
    opened: list[Any] = []
    for transect in (b"T12\0old", b"T13"):
        name = "Fjærsild 2007".encode("latin-1").ljust(128, b"\0") + transect.ljust(128, b"\0")
        path = tmp_path / f"{transect[:3].decode()}.raw"
        written(path, [content[:16], name, content[272:]])
        echodata, manifest = converted(path, tmp_path / "out")
        found = echodata["Sonar"].attrs
        names = found["recorded_survey_name"], found["recorded_transect_name"]
        assert names == ("Fjærsild 2007", path.stem)
        what = "names of survey and transect (CON0) are in Sonar"
        assert manifest["corrections"][0] == {"what": what, "count": 2}
        opened.append(echodata)
    # Files of several transects can still be joined.
    assert echopype.combine_echodata(opened)["Sonar/Beam_group1"].sizes["channel"] == 4


def test_an_environment_between_pings_of_one_time_is_named(real_data: Path, tmp_path: Path) -> None:
    """Environment has one value for a time, so the second channel's cannot have its own."""
    content = (real_data / "ek80" / "-1519668699940320059.raw").read_bytes()
    parts: list[bytes] = []
    environment, seen = b"", set[int]()
    for item in items(content):
        if b"<Environment" in item.body:
            environment = item.body.replace(b"1491.4925468618", b"1530.5")
        if item.type == b"RAW3" and item.ticks in seen and len(seen) == 3:
            parts.insert(-1, datagram_bytes(b"XML0", environment, item.ticks))
        if item.type == b"RAW3":
            seen.add(item.ticks)
        parts.append(datagram_bytes(item.type, item.body, item.ticks))
    _, manifest = converted(written(tmp_path / "between.raw", parts), tmp_path / "out")
    sentence = "the Environment of 1 pings, which have the time of a ping with another one"
    assert manifest["missing"] == sentence


def test_what_no_environment_has_stays_in_the_corrected_group(
    fleet_files: Path, tmp_path: Path
) -> None:
    content = (fleet_files / "simrad" / "ek80_two_environments.raw").read_bytes()
    path = tmp_path / "acidity.raw"
    path.write_bytes(content.replace(b"Acidity", b"Xcidity"))
    echodata, _ = converted(path, tmp_path / "out")
    environment = echodata["Environment"]
    assert environment.sizes["time1"] > 1
    assert environment["acidity"].dims == ("time1",)
    assert np.isnan(environment["acidity"].values).all()

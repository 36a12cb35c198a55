"""AD2CP and AZFP files that are whole and that echopype misreads or refuses.

Each file of the tables is a public one, or one made from a public one (see its folder's
README). Values are compared with what this module reads from the bytes itself.
"""

from __future__ import annotations

import io
import json
import random
import re
import struct
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from echodrop.conversions import DONE
from echodrop.terminal import convert as convert_command
from flows import walk
from flows.core.outcomes import BadFile, BadSidecar, UnsupportedDatagram
from flows.publishing.publication import Published
from flows.rawfile.azfp.settings import read_settings
from flows.rawfile.echopype_reader import import_echopype, open_raw_file
from flows.rawfile.engine import open_file
from flows.walk.ad2cp import KINDS, RAW_ECHOSOUNDER, checksum
from flows.walk.ad2cp_lengths import misreading
from flows.walk.asl.azfp import HEADER_SIZE
from flows.walk.record_index import STRING
from sonar_models import (
    HEAD_BYTES,
    SETTINGS_HEAD_BYTES,
    fitting_settings,
    serial_in_bytes,
    serial_in_settings,
)
from tests import conversions
from tests.conversions import tree_of
from tests.damaged_files import AD2CP, AD2CP_FIRST_PING, AD2CP_PING, AZFP, AZFP_PING, AZFP_XML
from tests.expected_facts import azfp_time
from tests.unit.preflight.azfp6_writer import PINGS, azfp6_file, ping
from tests.unit.rawfile.test_records import raw_echosounder

BURST, AVERAGE, BOTTOM_TRACK, INTERLEAVED, ECHOSOUNDER = 0x15, 0x16, 0x17, 0x18, 0x1C
BURST_ALTIMETER, AVERAGE_ALTIMETER = 0x1A, 0x1F


converted = partial(conversions.converted, verify="full")

AZFP6_FILE = "azfp6/20090314_01A.azfp"


class Record(NamedTuple):
    id: int
    data: bytes
    content: bytes

    def number(self, layout: str, at: int) -> int:
        return int(struct.unpack_from(f"<{layout}", self.data, at)[0])

    @property
    def time(self) -> np.datetime64:
        year, month, day, hour, minute, second, fraction = struct.unpack_from("<6BH", self.data, 8)
        day_ = f"{1900 + year}-{month + 1:02}-{day:02}"
        return np.datetime64(f"{day_}T{hour:02}:{minute:02}:{second:02}.{fraction:04}", "ns")


def records_of(content: bytes) -> Iterator[Record]:
    """The whole records from the beginning (Nortek, Integrator's Guide, "Data formats")."""
    at = 0
    while at + 10 <= len(content):
        size = struct.unpack_from("<H", content, at + 4)[0]
        end = at + content[at + 1] + size
        if end > len(content):
            return
        yield Record(content[at + 2], content[at + 10 : end], content[at:end])
        at = end


def record(id_: int, data: bytes) -> bytes:
    """A record with correct checksums."""
    header = struct.pack("<4BHH", 0xA5, 10, id_, 0x10, len(data), checksum(data))
    return header + struct.pack("<H", checksum(header)) + data


# (file, needs allow_partial, kind of record -> (how many are left out, bytes read of each))
LEFT_OUT: list[tuple[str, bool, dict[int, tuple[int, str]]]] = [
    ("one_burst_altimeter", False, {BURST_ALTIMETER: (1, "reads 116 of the 3100 bytes")}),
    (
        "mhkit-BenchFile01",
        False,
        {
            BURST: (1094, "reads 720 of the 722 bytes"),
            BURST_ALTIMETER: (1, "reads 116 of the 3100 bytes"),
        },
    ),
    ("burst_2_short_last", False, {BURST: (1, "reads 720 of the 722 bytes")}),
    ("bottom_track_192", False, {BOTTOM_TRACK: (159, "reads 128 of the 192 bytes")}),
    ("mhkit-VelEchoBT01", True, {BOTTOM_TRACK: (159, "reads 128 of the 192 bytes")}),
    (
        "mhkit-Sig500_dp_ice",
        True,
        {
            BURST: (218, "reads 800 of the 802 bytes"),
            AVERAGE: (60, "reads 464 of the 466 bytes"),
            BOTTOM_TRACK: (60, "reads 128 of the 192 bytes"),
            BURST_ALTIMETER: (2, "reads 116 of the 6220 bytes"),
            AVERAGE_ALTIMETER: (1, "reads 43806 bytes for the 6036"),
        },
    ),
]


def check_pings(done: Published, kept: list[Record]) -> None:
    """Compare every velocity, amplitude and correlation with those in the records."""
    bursts = [each for each in kept if each.id in {BURST, INTERLEAVED}]
    echograms = [each for each in kept if each.id == ECHOSOUNDER]
    with tree_of(done) as tree:
        group = tree["Sonar/Beam_group1"]
        assert group["ping_time"].values.tolist() == [int(each.time.astype(int)) for each in bursts]
        values = {name: group[name].values for name in ("velocity", "amplitude", "correlation")}
        for row, each in enumerate(bursts):
            beams, cells = each.number("H", 30) >> 12, each.number("H", 30) & 0x3FF
            number, place = beams * cells, each.data[1]
            scale = 10.0 ** each.number("b", 58)
            for name, layout, factor in (
                ("velocity", "<i2", scale),
                ("amplitude", "u1", 0.5),
                ("correlation", "u1", 1.0),
            ):
                raw = np.frombuffer(each.data, layout, number, place).reshape(beams, cells)
                np.testing.assert_array_equal(values[name][row, :beams, :cells], raw * factor)
                place += raw.nbytes
        if echograms:
            group = tree["Sonar/Beam_group2"]
            for row, each in enumerate(echograms):
                cells = each.number("H", 30)
                raw = np.frombuffer(each.data, "<i2", cells, each.data[1]) / 100
                np.testing.assert_array_equal(group["amplitude"].values[row, :cells], raw)


@pytest.mark.parametrize(("name", "is_cut", "left_out"), LEFT_OUT, ids=[c[0] for c in LEFT_OUT])
def test_records_that_echopype_misreads_are_left_out_by_name(
    *,
    name: str,
    is_cut: bool,
    left_out: dict[int, tuple[int, str]],
    fleet_files: Path,
    tmp_path: Path,
) -> None:
    raw = fleet_files / f"ad2cp/{name}.ad2cp"
    if is_cut:
        with pytest.raises(BadFile, match=r"truncated at byte \d+: the file ends inside a record"):
            converted(raw, tmp_path, "AD2CP")
    done = converted(raw, tmp_path, "AD2CP", allow_partial=is_cut)
    content = raw.read_bytes()
    records = list(records_of(content))
    away = [each for each in records if each.id in left_out]
    # Both kinds of burst are in one group: only those of the other id are kept.
    kept = [each for each in records if each.id not in left_out]
    missing = done.manifest["missing"]
    for id_, (count, cause) in left_out.items():
        own = [each for each in away if each.id == id_]
        assert len(own) == count
        label = f"{KINDS[id_]} 0x{id_:02X}"
        named = done.manifest["preflight"]["left_out"][label]
        assert (named["count"], named["bytes"]) == (count, sum(len(r.content) for r in own))
        times = [np.datetime64(named[key][:-6], "us") for key in ("first_time", "last_time")]
        assert times == [own[0].time.astype("M8[us]"), own[-1].time.astype("M8[us]")]
        assert f"{count} {label} left out ({named['bytes']} bytes, {named['first_time']}" in missing
        assert cause in missing
    assert set(done.manifest["preflight"]["left_out"]) == {
        f"{KINDS[i]} 0x{i:02X}" for i in left_out
    }
    assert ("are lost (the file ends inside a record)" in missing) is is_cut
    assert sum(done.manifest["preflight"]["pings"].values()) == sum(
        each.id in {BURST, AVERAGE, INTERLEAVED, ECHOSOUNDER} for each in kept
    )
    with tree_of(done) as tree:
        assert tree["Provenance"].attrs["conversion_missing"] == missing
        times_ = sorted({each.time for each in kept if each.id != STRING})
        assert tree["Platform"]["time1"].values.tolist() == [int(t.astype(int)) for t in times_]
    check_pings(done, kept)


def test_misread_records_are_left_out_of_netcdf_too(fleet_files: Path, tmp_path: Path) -> None:
    raw = fleet_files / "ad2cp/burst_2_short_last.ad2cp"
    done = converted(raw, tmp_path, "AD2CP", output_type="netcdf")
    check_pings(done, [each for each in records_of(raw.read_bytes()) if each.id != BURST])
    with tree_of(done) as tree:
        assert "1 burst 0x15 left out" in tree["Provenance"].attrs["conversion_missing"]


def test_misread_records_are_left_out(fleet_files: Path, tmp_path: Path) -> None:
    raw = tmp_path / "a.ad2cp"
    raw.write_bytes((fleet_files / "ad2cp/bottom_track_192.ad2cp").read_bytes())
    summary = walk.preflight(raw, "AD2CP")
    whole = tmp_path / "whole.ad2cp"
    walk.write_whole_part(raw, summary, whole)

    def parse(path: Path) -> tuple[Any, list[str]]:
        return open_raw_file(path, "AD2CP", None, {}, "raw")

    found = open_file(raw, summary, parse)
    try:
        assert found.engine.name == "streamed"
        expected, _ = parse(whole)
        assert found_groups(found.echodata) == found_groups(expected)
    finally:
        found.close()


def found_groups(echodata: Any) -> dict[str, dict[str, bytes]]:
    return {
        path: {str(n): np.asarray(v).tobytes() for n, v in echodata[path].variables.items()}
        for path in ("Platform", "Environment", "Vendor_specific", "Sonar/Beam_group1")
    }


@pytest.mark.parametrize("output_type", ["zarr", "netcdf"])
def test_beams_that_a_ping_does_not_have_are_nan(
    output_type: str, fleet_files: Path, tmp_path: Path
) -> None:
    """The fifth beam pings in turn with the four others; echopype has 0 m/s for the rest."""
    raw = fleet_files / "ad2cp/bottom_track_192.ad2cp"
    done = converted(raw, tmp_path / "own", "AD2CP", output_type=output_type)
    check_pings(done, [each for each in records_of(raw.read_bytes()) if each.id != BOTTOM_TRACK])
    with tree_of(done) as tree:
        group = tree["Sonar/Beam_group1"]
        single = group["number_of_beams"].values == 1
        assert int(single.sum()) == 160
        for name in ("velocity", "amplitude"):
            assert np.isnan(group[name].values[single, 1:]).all()
            assert not np.isnan(group[name].values[~single]).any()
    what = "velocities and amplitudes of beams and cells that pings do not have are NaN, not 0"
    assert {each["what"]: each["count"] for each in done.manifest["corrections"]} == {
        "temperatures of the pressure sensor and the magnetometer do not overflow": 2 * 479,
        "frequencies of the echosounder are in Hz, not in 0.1 kHz": 159,
        "blanking in cm is not taken for mm": 2 * 160,
        "amplitudes are in dB, not in dB/count": 479,
        "pings have the settings of their own record, not those of another record, or 0 cells": 159,
        "numbers that records do not have, as of an altimeter or AHRS, are NaN, not 0": 159,
        what: 2 * 160,
    }
    assert "the beams of 160 pings of Beam_group1" in done.manifest["missing"]
    plain = converted(raw, tmp_path, "AD2CP", output_type=output_type, corrections=False)
    assert f"not corrected: {what} (320 values)" in plain.manifest["missing"]
    with tree_of(plain) as tree:
        assert (tree["Sonar/Beam_group1"]["velocity"].values[single, 1:] == 0).all()


@pytest.mark.parametrize("id_", [AVERAGE, BURST])
def test_attitude_of_records_of_one_time_is_named(
    id_: int, real_data: Path, tmp_path: Path
) -> None:
    """echopype has one heading for each time; a record that is written twice loses nothing."""
    parts = list(records_of((real_data / AD2CP).read_bytes()))
    at = next(n for n, each in enumerate(parts) if each.id == AVERAGE) + 4
    other = bytearray(parts[at].data)
    struct.pack_into("<H", other, 24, 12_345)
    undated = bytearray(parts[at].data)
    undated[8:16] = b"\xff" * 8
    extra = [parts[at].content, record(id_, bytes(other)), *[record(AVERAGE, bytes(undated))] * 2]
    raw = tmp_path / "a.ad2cp"
    raw.write_bytes(b"".join([*(p.content for p in parts[: at + 1]), *extra]))
    missing = converted(raw, tmp_path, "AD2CP").manifest["missing"]
    assert "1 record of the same time as an earlier one is not converted (heading, pitch" in missing


@pytest.mark.parametrize("id_", [BURST, BURST_ALTIMETER])
def test_a_file_of_misread_records_alone_is_not_supported(
    id_: int, fleet_files: Path, tmp_path: Path
) -> None:
    """It is intact, so it is never called damaged or empty."""
    content = (fleet_files / "ad2cp/mhkit-BenchFile01.ad2cp").read_bytes()
    chosen = [each.content for each in records_of(content) if each.id in {STRING, id_}]
    raw = tmp_path / "only.ad2cp"
    raw.write_bytes(b"".join(chosen))
    assert walk.preflight(raw, "AD2CP").condition == "intact"
    for allow_partial in (False, True):
        with pytest.raises(UnsupportedDatagram) as failure:
            converted(raw, tmp_path, "AD2CP", allow_partial=allow_partial)
        assert f"echopype can read none of the file's pings: {len(chosen) - 1} {KINDS[id_]}" in str(
            failure.value
        )


def consumed(id_: int, data: bytes) -> int | None:
    """How many bytes of a record echopype's own parser reads; None if it fails."""
    import_echopype()
    from echopype.convert.parse_ad2cp import Ad2cpDataPacket  # noqa: PLC0415

    packet = Ad2cpDataPacket.__new__(Ad2cpDataPacket)
    before = SimpleNamespace(
        is_echosounder_raw=lambda: False, is_echosounder_raw_transmit=lambda: False
    )
    packet.parser = SimpleNamespace(packets=[before])
    packet.data = {"id": id_, "data_record_size": len(data), "data_record_checksum": 0}
    # More than any record of these values needs.
    stream = io.BytesIO(data + bytes(300_000))
    try:
        packet._read_data_record(stream)
    except AssertionError:
        # The checksum, after the record is read.
        pass
    except (KeyError, UnicodeDecodeError):
        return None
    return stream.tell()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    id_=st.sampled_from(sorted(set(KINDS) - {STRING})),
    version=st.sampled_from([1, 2, 3]),
    included=st.integers(0, 0xFFFF),
    beams=st.integers(0, 0xFFFF),
    samples=st.integers(0, 300),
    rest=st.integers(0, 400),
    of_echopype=st.booleans(),
)
def test_the_lengths_are_those_of_echopypes_tables(
    *,
    id_: int,
    version: int,
    included: int,
    beams: int,
    samples: int,
    rest: int,
    of_echopype: bool,
) -> None:
    """For every kind and configuration, a record is read if echopype's parser reads all of it."""
    head = bytearray(struct.pack("<BBH", version, 76, included).ljust(240, b"\0"))
    struct.pack_into("<H", head, 30, beams)
    if id_ in RAW_ECHOSOUNDER:
        struct.pack_into("<I", head, 20, samples)
    else:
        # Wherever the number of raw altimeter samples is among the variable data.
        head[76:240] = struct.pack("<H", samples) * 82
    data = bytes(head) + (struct.pack("<H", samples) * 200)[:rest]
    length = consumed(id_, data)
    if of_echopype and length is not None:
        data = data[:length].ljust(length, b"\0")
        length = consumed(id_, data)
    is_read = length == len(data)
    header = 12 if id_ in RAW_ECHOSOUNDER else 10
    assert (misreading(id_, data, header) is None) is is_read


def test_records_whose_header_has_the_other_size_are_whole(real_data: Path, tmp_path: Path) -> None:
    """Nortek's format allows 10 and 12 bytes for each id; echopype takes the size from the id."""
    content = (real_data / AD2CP).read_bytes()
    at = AD2CP_FIRST_PING + 5 * AD2CP_PING
    data = content[at + 10 : at + AD2CP_PING]
    header = struct.pack("<4BIH", 0xA5, 12, AVERAGE, 0x10, len(data), checksum(data))
    longer = header + struct.pack("<H", checksum(header)) + data
    raw = tmp_path / "D.ad2cp"
    raw.write_bytes(content[:at] + longer + content[at + AD2CP_PING : at + 10 * AD2CP_PING])
    done = converted(raw, tmp_path, "AD2CP")
    assert "1 average 0x16 left out (268 bytes, " in done.manifest["missing"]
    assert done.manifest["preflight"]["pings"] == {"average": 14}


@pytest.mark.parametrize("seed", range(3))
def test_records_of_any_length_are_left_out_and_change_nothing_else(
    seed: int, real_data: Path, tmp_path: Path
) -> None:
    """Records are lengthened, shortened, or given other contents; their checksums are right."""
    content = (real_data / AD2CP).read_bytes()
    chooser = random.Random(seed)
    mixed, plain, odd = [content[:AD2CP_FIRST_PING]], [content[:AD2CP_FIRST_PING]], 0
    for at in range(AD2CP_FIRST_PING, AD2CP_FIRST_PING + 60 * AD2CP_PING, AD2CP_PING):
        original = content[at : at + AD2CP_PING]
        mixed.append(original)
        plain.append(original)
        if chooser.random() < 0.3:
            data = bytearray(original[10:])
            kind = chooser.choice([AVERAGE, BURST, INTERLEAVED, BURST_ALTIMETER, AVERAGE_ALTIMETER])
            change = chooser.choice([2, 4, 100, -2, -60, 0])
            data = data[:change] if change < 0 else data + bytes(change)
            if not change:
                # An altimeter's distance, quality and status (Nortek), without room for the last.
                data[3] |= 0x01
                data += bytes(8)
            mixed.append(record(kind, bytes(data)))
            odd += 1
    raw, without = tmp_path / "mixed.ad2cp", tmp_path / "plain.ad2cp"
    raw.write_bytes(b"".join(mixed))
    without.write_bytes(b"".join(plain))
    done = converted(raw, tmp_path / "a", "AD2CP")
    left_out = done.manifest["preflight"]["left_out"]
    assert sum(named["count"] for named in left_out.values()) == odd
    same = converted(without, tmp_path / "b", "AD2CP")
    assert not same.manifest["preflight"]["left_out"]
    with tree_of(done) as tree, tree_of(same) as other:
        for path in ("Platform", "Environment", "Vendor_specific", "Sonar", "Sonar/Beam_group1"):
            assert tree[path].to_dataset().identical(other[path].to_dataset()), path


def test_a_text_that_is_not_utf_8_is_left_out(real_data: Path, tmp_path: Path) -> None:
    content = (real_data / AD2CP).read_bytes()[: AD2CP_FIRST_PING + 5 * AD2CP_PING]
    raw = tmp_path / "a.ad2cp"
    raw.write_bytes(content + record(STRING, b"\x10caf\xe9s"))
    done = converted(raw, tmp_path, "AD2CP")
    named = done.manifest["missing"]
    assert named.startswith("1 string 0xA0 left out (16 bytes; echopype reads only UTF-8 text)")


def test_a_record_without_beams_behind_a_raw_echosounders_is_left_out(
    real_data: Path, tmp_path: Path
) -> None:
    """echopype fails on it, also if the record between them is left out."""
    content = (real_data / AD2CP).read_bytes()[: AD2CP_FIRST_PING + 20 * AD2CP_PING]
    head, pings = content[:AD2CP_FIRST_PING], content[AD2CP_FIRST_PING:]
    without_beams = bytearray(pings[10:AD2CP_PING])
    without_beams[54:56] = bytes(2)
    raw = tmp_path / "a.ad2cp"
    raw.write_bytes(
        head
        + pings
        + raw_echosounder(pings[:AD2CP_PING], 0x23, samples=9, seed=1)
        + record(BURST_ALTIMETER, bytes(without_beams) + bytes(2))
        + record(AVERAGE, bytes(without_beams))
    )
    done = converted(raw, tmp_path, "AD2CP")
    assert set(done.manifest["preflight"]["left_out"]) == {
        "average 0x16",
        "burst altimeter 0x1A",
    }
    assert done.manifest["preflight"]["pings"] == {"average": 20, "raw echosounder": 1}


class AzfpPing(NamedTuple):
    """A ping's header fields and sums, big-endian (ASL, AZFP operator's manual)."""

    content: bytes

    def each(self, at: int, layout: str = "H") -> list[int]:
        """A field with a value for each recorded channel."""
        return list(struct.unpack_from(f">{self.content[78]}{layout}", self.content, at))

    @property
    def frequencies(self) -> list[int]:
        return self.each(100)

    @property
    def size(self) -> int:
        return HEADER_SIZE + 5 * sum(self.each(42))

    def counts(self, slopes: list[float]) -> list[np.ndarray[Any, Any]]:
        """Counts of each channel from its sums and their overflows, as echopype defines them."""
        found, at = [], HEADER_SIZE
        for bins, samples, slope in zip(self.each(42), self.each(50), slopes, strict=True):
            sums = np.frombuffer(self.content, ">u4", bins, at).astype(np.int64)
            sums += np.frombuffer(self.content, "u1", bins, at + 4 * bins).astype(np.int64) * (
                2**32 - 1
            )
            at += 5 * bins
            counts = (np.log10(sums / samples) - 2.5) * (8 * 65535) * slope
            found.append(counts.astype(np.float32))
        return found


def azfp_pings(content: bytes) -> list[AzfpPing]:
    pings = []
    while content:
        pings.append(AzfpPing(content))
        content = content[pings[-1].size :]
    return pings


def check_azfp(done: Published, content: bytes, xml: bytes, places: list[int]) -> None:
    """Compare the counts, settings and times; `places` are those of the channels in the XML."""
    pings = azfp_pings(content)

    def setting(name: str) -> list[float]:
        found = re.findall(rb"<%s>([^<]+)<" % name.encode(), xml)
        return [float(found[place]) for place in places]

    with tree_of(done) as tree:
        beam, vendor = tree["Sonar/Beam_group1"], tree["Vendor_specific"]
        frequencies = pings[0].frequencies
        assert (beam["frequency_nominal"].values / 1000).tolist() == frequencies
        assert beam.sizes["ping_time"] == len(pings)
        for row, ping_ in enumerate(pings):
            for channel, counts in enumerate(ping_.counts(setting("DS"))):
                found = beam["backscatter_r"].values[channel, row]
                np.testing.assert_array_equal(found[: counts.size], counts)
        for name in ("DS", "EL", "TVR", "VTX0"):
            assert vendor[name].values.tolist() == setting(name)
        duration = beam["transmit_duration_nominal"].values
        assert duration.reshape(len(frequencies), -1)[:, 0].tolist() == [
            each / 1e6 for each in pings[0].each(84)
        ]
        assert beam["gain_correction"].values.tolist() == pings[0].each(79, "B")
        assert int(vendor["number_of_frequency"]) == 4


OTHER_INSTRUMENT = "is of instrument 55099, and was used in their place"
# (file, places of its channels in the XML, Sv offsets in dB, words of `missing`)
WHOLE_AZFP: list[tuple[str, list[int], list[float], list[str]]] = [
    (
        "pulse800",
        [0, 1, 2, 3],
        [np.nan, 0.3, 0.3, 0.3],
        ["Sv offset of channel 55078-38-1 is NaN", "38 kHz and a pulse of 800 microseconds"],
    ),
    (
        "freq70",
        [0, 1, 2, 3],
        [0.7, np.nan, 0.3, 0.3],
        ["Sv offset of channel 55078-70-2 is NaN", "has 125 kHz there, which was used instead"],
    ),
    ("one_channel", [1], [0.3], []),
    ("one_ping", [0, 1, 2, 3], [0.7, 0.3, 0.3, 0.3], []),
]


@pytest.mark.parametrize(
    ("name", "places", "offsets", "words", "output_type"),
    [*((*case, "zarr") for case in WHOLE_AZFP), (*WHOLE_AZFP[2], "netcdf")],
    ids=[*(case[0] for case in WHOLE_AZFP), f"{WHOLE_AZFP[2][0]}-netcdf"],
)
def test_a_whole_azfp_file_is_converted(
    *,
    name: str,
    places: list[int],
    offsets: list[float],
    words: list[str],
    output_type: str,
    fleet_files: Path,
    real_data: Path,
    tmp_path: Path,
) -> None:
    raw, xml = fleet_files / f"azfp/{name}.01A", real_data / AZFP_XML
    done = converted(raw, tmp_path, "AZFP", xml_path=str(xml), output_type=output_type)
    missing = done.manifest["missing"]
    for sentence in [*words, OTHER_INSTRUMENT]:
        assert sentence in missing
    assert ("Sv offset" in missing) is bool(np.isnan(offsets).any())
    check_azfp(done, raw.read_bytes(), xml.read_bytes(), places)
    with tree_of(done) as tree:
        np.testing.assert_array_equal(tree["Vendor_specific"]["Sv_offset"].values, offsets)
        assert tree["Provenance"].attrs["conversion_missing"] == missing


@pytest.mark.parametrize(
    ("name", "model", "xml"),
    [(AZFP, "AZFP", AZFP_XML), ("azfp6/20090314_01A.azfp", "AZFP6", None)],
)
def test_files_that_echopype_reads_come_out_as_from_echopype(
    name: str, model: str, xml: str | None, real_data: Path
) -> None:
    """What the parsers' subclasses do for other files changes only these and fractions of seconds."""
    own = ("digitization_rate", "XML_digitization_rate", "cpu")
    raw, settings_ = real_data / name, real_data / xml if xml else None
    arguments = {"sonar_model": model, "xml_path": str(settings_) if settings_ else None}
    expected = import_echopype().open_raw(str(raw), **arguments)
    fetched: Any = SimpleNamespace(path=settings_, location=SimpleNamespace(uri="x"))
    found, _ = open_raw_file(raw, model, fetched if settings_ else None, {}, str(raw))
    for path in ("Environment", "Platform", "Sonar", "Sonar/Beam_group1", "Vendor_specific"):
        ours, theirs = (each[path].drop_vars(own, errors="ignore") for each in (found, expected))
        assert in_seconds(ours).identical(in_seconds(theirs)), path
        for variable in theirs.variables:
            assert found[path][variable].dtype == expected[path][variable].dtype, variable


def in_seconds(group: xr.Dataset) -> xr.Dataset:
    """The group without the fractions of the seconds of its times."""
    times = {n: t for n, t in group.coords.items() if t.dtype.kind == "M"}
    whole = {n: t.copy(data=t.values.astype("M8[s]").astype("M8[ns]")) for n, t in times.items()}
    return group.assign_coords(whole)


@pytest.mark.parametrize("output_type", ["zarr", "netcdf"])
def test_pings_of_an_azfp_have_the_hundredths_of_their_times(
    output_type: str, real_data: Path, tmp_path: Path
) -> None:
    """Two pings a second, over the end of a minute and with the clock set back."""
    content = bytearray((real_data / AZFP).read_bytes())
    starts = range(0, len(content), AZFP_PING)
    for number, at in enumerate(starts):
        second, hundredth = divmod(5700 + 51 * (number % 7), 100)
        struct.pack_into(">3H", content, at + 20, 4 + second // 60, second % 60, hundredth)
    raw = tmp_path / "D.01A"
    raw.write_bytes(content)
    xml = str(real_data / AZFP_XML)
    done = converted(raw, tmp_path, "AZFP", xml_path=xml, output_type=output_type)
    expected = [azfp_time(bytes(content[at:])) for at in starts]
    assert len(set(expected)) == 7
    with tree_of(done) as tree:
        for path, name in (("Sonar/Beam_group1", "ping_time"), ("Environment", "time1")):
            assert tree[path][name].values.tolist() == np.array(expected).tolist()
    what = "times of pings have their hundredths of a second"
    assert done.manifest["corrections"] == [
        {"what": what, "count": 8},
        {"what": "digitization rates are in Hz, not kHz", "count": 4},
        {"what": "the CPU of the settings is kept", "count": 1},
    ]


@pytest.mark.parametrize("corrections", [True, False])
@pytest.mark.parametrize(("file", "model"), [(AZFP, "AZFP"), (AZFP6_FILE, "AZFP6")])
def test_digitization_rates_are_in_hertz_and_the_cpu_is_kept(
    *, file: str, model: str, corrections: bool, real_data: Path, tmp_path: Path
) -> None:
    xml = None if model == "AZFP6" else real_data / AZFP_XML
    settings = (xml or real_data / file).read_bytes()
    options = {"xml_path": str(xml)} if xml else {}
    done = converted(real_data / file, tmp_path, model, corrections=corrections, **options)
    rates = [int(rate) for rate in re.findall(rb'<DigRate units="hz">(\d+)<', settings)]
    with tree_of(done) as tree:
        vendor = tree["Vendor_specific"]
        for name in ("digitization_rate", "XML_digitization_rate"):
            assert vendor[name].values.ravel().tolist() == rates
            assert vendor[name].attrs["units"] == "Hz"
            assert "kHz" not in vendor[name].attrs["long_name"]
        assert vendor["cpu"].item() == int(re.search(rb"<CPU>(\d+)<", settings)[1])  # type: ignore[index]
    named = [each["what"] for each in done.manifest["corrections"]]
    assert "digitization rates are in Hz, not kHz" in named
    assert "the CPU of the settings is kept" in named


def test_pings_and_positions_of_an_azfp6_have_the_hundredths_of_their_times(
    real_data: Path, tmp_path: Path
) -> None:
    content = azfp6_file((real_data / AZFP_XML).read_bytes())
    gps, dated = (struct.pack("<7H", 2021, 6, 1, 12, 0, 10, h) for h in (0, 37))
    assert content.count(gps) == PINGS
    raw = tmp_path / "D.azfp"
    # The last position has no date.
    at = content.rindex(gps)
    content = content[:at].replace(gps, dated) + bytes(len(gps)) + content[at + len(gps) :]
    raw.write_bytes(content)
    done = converted(raw, tmp_path, "AZFP6")
    second = np.datetime64("2021-06-01T12:00:10", "ns")
    with tree_of(done) as tree:
        times = tree["Sonar/Beam_group1"]["ping_time"].values
        half = np.timedelta64(500, "ms")
        assert times.tolist() == [
            (second + np.timedelta64(n, "s") + half).astype(int) for n in range(PINGS)
        ]
        positions = tree["Platform"]["time1"].values
        assert (positions[:-1] == second + np.timedelta64(370, "ms")).all()
        assert np.isnat(positions[-1])


def with_channels(content: bytes, chosen: list[int]) -> bytes:
    """The data with these channels only; the rest of each header's field is left over."""
    made = b""
    for ping_ in azfp_pings(content):
        header = bytearray(ping_.content[:HEADER_SIZE])
        header[78] = len(chosen)
        for at, size in (
            (26, 2),
            (34, 2),
            (42, 2),
            (50, 2),
            (70, 1),
            (79, 1),
            (84, 2),
            (92, 2),
            (100, 2),
        ):
            for place, channel in enumerate(chosen):
                source = at + size * channel
                header[at + size * place : at + size * (place + 1)] = ping_.content[
                    source : source + size
                ]
        starts = np.cumsum([HEADER_SIZE, *(5 * bins for bins in ping_.each(42))]).tolist()
        made += bytes(header)
        for channel in chosen:
            made += ping_.content[starts[channel] : starts[channel + 1]]
    return made


@pytest.mark.parametrize("chosen", [[0], [3], [1, 3], [0, 1, 2]])
def test_channels_get_the_settings_of_their_frequency(
    chosen: list[int], real_data: Path, tmp_path: Path
) -> None:
    content, xml = (real_data / AZFP).read_bytes(), real_data / AZFP_XML
    raw = tmp_path / "a.01A"
    raw.write_bytes(with_channels(content, chosen))
    done = converted(raw, tmp_path, "AZFP", xml_path=str(xml))
    check_azfp(done, raw.read_bytes(), xml.read_bytes(), chosen)


def test_settings_without_the_datas_channel_are_not_the_datas_fault(
    fleet_files: Path, real_data: Path, tmp_path: Path
) -> None:
    xml = tmp_path / "s.xml"
    xml.write_bytes((real_data / AZFP_XML).read_bytes().replace(b">125<", b">67<"))
    with pytest.raises(BadSidecar, match="it has 0 channels of 125 kHz"):
        converted(fleet_files / "azfp/one_channel.01A", tmp_path, "AZFP", xml_path=str(xml))


def test_azfp6_files_of_one_ping_or_an_unknown_pulse_are_converted(
    real_data: Path, tmp_path: Path
) -> None:
    content = azfp6_file((real_data / AZFP_XML).read_bytes())
    pulses = struct.pack("<4H", 1000, 1000, 1000, 1000)
    cases = {
        "one": (content[: content.index(ping(0)) + len(ping(0))], 1),
        "pulse": (content.replace(pulses, struct.pack("<4H", 1000, 801, 1000, 1000)), PINGS),
    }
    for name, (made, pings) in cases.items():
        raw = tmp_path / f"{name}.azfp"
        raw.write_bytes(made)
        done = converted(raw, tmp_path / name, "AZFP6")
        with tree_of(done) as tree:
            assert tree["Sonar/Beam_group1"].sizes["ping_time"] == pings
            values = tree["Sonar/Beam_group1"]["backscatter_r"].values[2, :, 0].tolist()
            assert values == [9000 + number for number in range(pings)]
        words = "125 kHz and a pulse of 801 microseconds" if name == "pulse" else ""
        assert words in (done.manifest["missing"] or "")


def azfp6_pings(content: bytes) -> Iterator[bytes]:
    """The pings of a recorded AZFP6 file, whose headers have 254 bytes; the first part is its XML."""
    at = 16 + struct.unpack_from("<I", content, 4)[0]
    yield content[:at]
    while at < len(content):
        end = at + 16 + struct.unpack_from("<I", content, at + 4)[0]
        yield content[at:end]
        at = end


# The records of the GPS's date and position, the last before the header's end.
GPS = slice(8 + 254 - 4 - 34, 8 + 254 - 4)


def with_position(ping: bytes, latitude: float) -> bytes:
    date = struct.pack("<H7H", 0xA026, 2020, 9, 3, 14, 51, int(latitude), 0)
    position = struct.pack("<H2d", 0xA1C1, latitude, 5.0 if latitude else 0.0)
    return ping[: GPS.start] + date + position + ping[GPS.stop :]


def without_gps(ping: bytes) -> bytes:
    """A ping of an instrument without the two records of a GPS."""
    length = struct.pack("<I", len(ping) - 16 - 34)
    size = struct.pack("<H", 254 - 34)
    body = ping[8:14] + size + ping[16 : GPS.start] + ping[GPS.stop : -4]
    return ping[:4] + length + body + length


@pytest.mark.parametrize("output_type", ["zarr", "netcdf"])
def test_pings_of_an_azfp6_without_a_fix_are_not_at_0_n_0_e(
    output_type: str, real_data: Path, tmp_path: Path
) -> None:
    xml, *pings = azfp6_pings((real_data / AZFP6_FILE).read_bytes())
    raw = tmp_path / "D.azfp"
    # A receiver may know the date before its position.
    before = [*pings[:2], with_position(pings[2], 0.0)]
    after = [with_position(ping, 10.0 + n) for n, ping in enumerate(pings[3:])]
    raw.write_bytes(b"".join([xml, *before, *after]))
    done = converted(raw, tmp_path, "AZFP6", output_type=output_type)
    with tree_of(done) as tree:
        latitude = tree["Platform"]["latitude"].values
    assert np.isnan(latitude[:3]).all()
    assert latitude[3:].tolist() == [10.0 + n for n in range(len(pings) - 3)]
    what = "positions of pings without a fix are NaN, not 0 N 0 E"
    assert {"what": what, "count": 3} in done.manifest["corrections"]


def test_an_azfp6_without_a_gps_is_converted(real_data: Path, tmp_path: Path) -> None:
    xml, *pings = azfp6_pings((real_data / AZFP6_FILE).read_bytes())
    own, raw = tmp_path / "own.azfp", tmp_path / "D.azfp"
    own.write_bytes((real_data / AZFP6_FILE).read_bytes())
    raw.write_bytes(b"".join([xml, *map(without_gps, pings)]))
    beams = []
    for path in (own, raw):
        with tree_of(converted(path, tmp_path, "AZFP6")) as tree:
            beams.append(tree["Sonar/Beam_group1"].to_dataset().load())
            assert np.isnan(tree["Platform"]["latitude"].values).all()
    xr.testing.assert_equal(*beams)


@pytest.mark.parametrize("begins", ["with", "without"])
def test_a_gps_of_an_azfp6_may_come_and_go(begins: str, real_data: Path, tmp_path: Path) -> None:
    xml, *pings = azfp6_pings((real_data / AZFP6_FILE).read_bytes())
    has_gps = [(n % 3 == 0) == (begins == "with") for n in range(len(pings))]
    parts = [
        with_position(each, 10.0 + n) if has else without_gps(each)
        for n, (each, has) in enumerate(zip(pings, has_gps, strict=True))
    ]
    own, raw = tmp_path / "own.azfp", tmp_path / "D.azfp"
    own.write_bytes(b"".join([xml, *pings]))
    raw.write_bytes(b"".join([xml, *parts]))
    with tree_of(converted(own, tmp_path / "own", "AZFP6")) as tree:
        expected = tree["Sonar/Beam_group1"].to_dataset().load()
    with tree_of(converted(raw, tmp_path, "AZFP6")) as tree:
        xr.testing.assert_identical(tree["Sonar/Beam_group1"].to_dataset().load(), expected)
        platform = tree["Platform"].to_dataset().load()
    latitudes = [10.0 + n if has else np.nan for n, has in enumerate(has_gps)]
    np.testing.assert_array_equal(platform["latitude"].values, latitudes)
    dated = ~np.isnat(platform["time1"].values)
    assert dated.tolist() == has_gps
    seconds = platform["time1"].values[dated].astype("datetime64[s]").astype(np.int64) % 60
    assert seconds.tolist() == [10 + n for n, has in enumerate(has_gps) if has]


def test_positions_of_an_azfp6_without_dates_have_their_pings_times(
    real_data: Path, tmp_path: Path
) -> None:
    xml, *pings = azfp6_pings((real_data / AZFP6_FILE).read_bytes())
    undated = struct.pack("<8H", 0xA026, *bytes(7))
    parts = [
        each.replace(each[GPS.start : GPS.start + 16], undated)
        for each in (with_position(ping, 10.0 + n) for n, ping in enumerate(pings))
    ]
    raw = tmp_path / "D.azfp"
    raw.write_bytes(b"".join([xml, *parts]))
    with tree_of(converted(raw, tmp_path, "AZFP6")) as tree:
        latitude = tree["Platform"]["latitude"].values.tolist()
        times = tree["Platform"]["time1"].values.tolist()
        assert times == tree["Sonar/Beam_group1"]["ping_time"].values.tolist()
    assert latitude == [10.0 + n for n in range(len(pings))]


@pytest.mark.parametrize("chosen", [[1], [3], [1, 3]])
def test_azfp6_channels_get_the_settings_of_their_frequency(
    chosen: list[int], real_data: Path, tmp_path: Path
) -> None:
    xml = (real_data / AZFP_XML).read_bytes()
    raw = tmp_path / "a.azfp"
    raw.write_bytes(azfp6_file(xml, chosen))
    done = converted(raw, tmp_path, "AZFP6")
    with tree_of(done) as tree:
        for name in ("DS", "TVR"):
            found = re.findall(rb"<%s>([^<]+)<" % name.encode(), xml)
            expected = [float(found[place]) for place in chosen]
            assert tree["Vendor_specific"][name].values.tolist() == expected
        beam = tree["Sonar/Beam_group1"]
        frequencies = (beam["frequency_nominal"].values / 1000).tolist()
        assert frequencies == [(38, 125, 200, 455)[place] for place in chosen]
        if 3 in chosen:
            values = beam["backscatter_r"].values[-1, :, 0].tolist()
            assert values == [9000 + number for number in range(PINGS)]
    assert done.manifest["missing"] is None


def indented(xml: bytes) -> bytes:
    root = ET.fromstring(xml)  # noqa: S314 - a file of the tests
    ET.indent(root, "\t")
    return ET.tostring(root)


def with_attributes_reversed(xml: bytes) -> bytes:
    root = ET.fromstring(xml)  # noqa: S314 - a file of the tests
    for element in root.iter():
        if element.tag == "Phase":
            element.attrib = {"Name": "normal", **element.attrib, "Zone": "2"}
        element.attrib = dict(reversed(element.attrib.items()))
    return ET.tostring(root)


def with_empty_elements(xml: bytes) -> bytes:
    return xml.replace(b"<AZFP>", b"<AZFP><Comment/><Place> \t </Place><Place></Place>", 1)


def with_texts(xml: bytes) -> bytes:
    return xml.replace(b"<AZFP>", b"<AZFP><Note>after the repair</Note><Board>594d5007</Board>", 1)


SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "indented": indented,
    "CRLF": lambda xml: indented(xml).replace(b"\n", b"\r\n"),
    "BOM": lambda xml: b"\xef\xbb\xbf" + xml,
    "UTF-16": lambda xml: xml.decode().encode("utf-16"),
    "declaration": lambda xml: b'\n <?xml version="1.0" encoding="ISO-8859-1"?>\n' + xml,
    "namespace": lambda xml: xml.replace(b"<AZFP>", b'<AZFP xmlns="http://asl/azfp">', 1),
    "prefixes": lambda xml: re.sub(rb"<(/?)(\w)", rb"<\1a:\2", xml).replace(
        b"<a:AZFP>", b'<a:AZFP xmlns:a="http://asl/azfp">', 1
    ),
    "comments": lambda xml: re.sub(
        rb"(<(?:DS|SerialNumber|Phase)\b[^>]*>)",
        rb"<!-- <SerialNumber>7</SerialNumber> -->\1<!-- x -->",
        xml,
    ),
    "attributes": with_attributes_reversed,
    "blanks": lambda xml: re.sub(rb">([^<>\s]+)</", rb"> \n\1\t</", xml),
    "empty elements": with_empty_elements,
    "texts": with_texts,
}


def by_echopype(xml: Path) -> dict[str, Any]:
    import_echopype()
    from echopype.convert.parse_azfp import ParseAZFP  # noqa: PLC0415

    parser = ParseAZFP("a.01A", str(xml))
    parser.load_AZFP_xml()
    return dict(parser.parameters)


def as_lists(parameters: dict[str, Any]) -> dict[str, list[Any]]:
    return {k: v if isinstance(v, list) else [v] for k, v in parameters.items()}


@pytest.mark.parametrize("spelling", [None, *SPELLINGS])
def test_settings_are_read_in_any_spelling(
    spelling: str | None, real_data: Path, tmp_path: Path
) -> None:
    """The parameters are those that echopype reads from the instrument's own XML."""
    original = real_data / AZFP_XML
    xml = tmp_path / "s.xml"
    content = original.read_bytes()
    xml.write_bytes(SPELLINGS[spelling](content) if spelling else content)
    found = as_lists(read_settings(xml).parameters)
    added = {"phase_name", "phase_zone", "note", "board"}
    assert {k: v for k, v in found.items() if k not in added} == as_lists(by_echopype(original))
    assert serial_in_settings(xml.read_bytes()[:SETTINGS_HEAD_BYTES]) == 55099


@pytest.mark.parametrize("seed", range(4))
def test_settings_in_several_spellings_at_once(seed: int, real_data: Path, tmp_path: Path) -> None:
    chooser = random.Random(seed)
    content = (real_data / AZFP_XML).read_bytes()
    for name in chooser.sample(["indented", "comments", "blanks", "empty elements", "CRLF"], 3):
        content = SPELLINGS[name](content)
    content = SPELLINGS[chooser.choice(["BOM", "UTF-16", "prefixes", "namespace"])](content)
    xml = tmp_path / "s.xml"
    xml.write_bytes(content)
    read = as_lists(read_settings(xml).parameters)
    assert read == as_lists(by_echopype(real_data / AZFP_XML))


def test_an_indented_xml_gives_the_same_output(
    fleet_files: Path, real_data: Path, tmp_path: Path
) -> None:
    raw, xml = real_data / AZFP, real_data / AZFP_XML
    done = converted(raw, tmp_path / "a", "AZFP", xml_path=str(xml))
    other = converted(raw, tmp_path / "b", "AZFP", xml_path=str(fleet_files / "azfp/indented.XML"))
    check_azfp(other, raw.read_bytes(), xml.read_bytes(), [0, 1, 2, 3])
    with tree_of(done) as tree, tree_of(other) as same:
        for path in ("Environment", "Platform", "Vendor_specific", "Sonar/Beam_group1"):
            assert tree[path].to_dataset().identical(same[path].to_dataset()), path


@pytest.mark.parametrize(
    ("tags", "lacking"),
    [
        (["VTX1", "VTX2", "VTX3"], "VTX1, VTX2, VTX3"),
        (["ka"], "ka"),
        (["X_a", "X_b"], "X_a, X_b"),
        (["Gain"], "gain_phase1"),
    ],
)
def test_settings_that_the_xml_lacks_are_nan_and_named(
    tags: list[str], lacking: str, real_data: Path, tmp_path: Path
) -> None:
    content = (real_data / AZFP_XML).read_bytes()
    for tag in tags:
        content = re.sub(rb"<%s[^>]*>[^<]*</%s>" % (tag.encode(), tag.encode()), b"", content)
    xml = tmp_path / "s.xml"
    xml.write_bytes(content)
    done = converted(real_data / AZFP, tmp_path, "AZFP", xml_path=str(xml))
    assert f"settings that {xml} does not have: {lacking};" in done.manifest["missing"]


@pytest.mark.parametrize(
    ("xml", "serial"), [("azfp/17041823.XML", 55075), ("../data/azfp/15100804.XML", 55099)]
)
def test_settings_of_another_instrument_are_reported(
    *,
    xml: str,
    serial: int,
    fleet_files: Path,
    real_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    raw, settings_ = real_data / AZFP, fleet_files / xml
    out = str(tmp_path / "o")
    assert convert_command([str(raw)], out, xml=str(settings_), model="AZFP") == DONE
    sentence = (
        "settings of the instrument 55078, which recorded the data: "
        f"{settings_} is of instrument {serial}, and was used in their place"
    )
    printed = capsys.readouterr()
    assert f"missing: {sentence}" in printed.err
    manifest = json.loads(Path(f"{printed.out.strip()}.manifest.json").read_text())
    assert manifest["missing"] == sentence


def test_settings_of_the_datas_instrument_leave_nothing_missing(
    real_data: Path, tmp_path: Path
) -> None:
    xml = tmp_path / "s.xml"
    xml.write_bytes((real_data / AZFP_XML).read_bytes().replace(b"55099", b"55078"))
    done = converted(real_data / AZFP, tmp_path, "AZFP", xml_path=str(xml))
    assert done.manifest["missing"] is None


def test_the_serial_numbers_say_which_settings_fit(real_data: Path, fleet_files: Path) -> None:
    xmls = {
        "a": serial_in_settings((real_data / AZFP_XML).read_bytes()[:SETTINGS_HEAD_BYTES]),
        "b": serial_in_settings((fleet_files / "azfp/17041823.XML").read_bytes()),
        "c": serial_in_settings(b"<AZFP/>"),
    }
    assert xmls == {"a": 55099, "b": 55075, "c": None}
    assert serial_in_bytes((real_data / AZFP).read_bytes()[:HEAD_BYTES]) == 55078
    assert fitting_settings(55078, xmls) == []
    assert fitting_settings(55075, xmls) == ["b"]
    assert fitting_settings(55075, {**xmls, "d": 55075}) == ["b", "d"]
    assert fitting_settings(None, xmls) == []
    # Other models do not have it there.
    assert serial_in_bytes((real_data / AD2CP).read_bytes()[:HEAD_BYTES]) is None

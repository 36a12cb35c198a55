"""An AD2CP file read record by record equals echopype's result in every bit and attribute."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from flows import walk
from flows.core.locations import OutputType
from flows.core.outcomes import UnsupportedDatagram
from flows.encoding.chunking import chunk_regions
from flows.encoding.netcdf_encoding import write_netcdf
from flows.encoding.zarr_encoding import encode_zarr
from flows.publishing.identity import differences, groups_as_compared
from flows.publishing.verification import compare_tree
from flows.rawfile.echopype_reader import open_raw_file
from flows.rawfile.engine import OpenedFile, open_file
from flows.rawfile.nortek import records
from flows.rawfile.nortek.layouts import Layout
from flows.rawfile.nortek.records import RecordRows
from flows.stores.request import VerifyMode
from flows.walk.ad2cp import checksum
from tests.conversions import converted, tree_of
from tests.damaged_files import AD2CP, AD2CP_FIRST_PING, AD2CP_PING
from tests.model_files import three_kinds_of_ping
from tests.unit.rawfile.test_streamed_samples import found_differences

HEADER, RAW_HEADER = 10, 12
# From cases/README.md: ids and sizes that echopype 0.11.1 misreads.
MISREAD = {0x16, 0x17, 0x1A, 0x1F}


def with_checksums(record: bytes) -> bytes:
    made = bytearray(record)
    header = made[1]
    struct.pack_into("<H", made, header - 4, checksum(bytes(made[header:])))
    struct.pack_into("<H", made, header - 2, checksum(bytes(made[: header - 2])))
    return bytes(made)


def records_of(content: bytes) -> list[bytes]:
    return [
        content[at : at + AD2CP_PING] for at in range(AD2CP_FIRST_PING, len(content), AD2CP_PING)
    ]


def beginning(content: bytes) -> bytes:
    """The configuration and 120 pings: echopype takes some time for each."""
    return content[: AD2CP_FIRST_PING + 120 * AD2CP_PING]


def raw_echosounder(record: bytes, id_: int, samples: int, seed: int) -> bytes:
    """A raw echosounder record, or one of its transmit pulse, with the time of another record."""
    head = struct.pack("<BB", 1, 0) + record[HEADER + 8 : HEADER + 16]
    head += struct.pack("<HIIIIf", 0, seed, 100125, samples, 3, 70000.0) + bytes(208)
    values = np.random.default_rng(seed).integers(-(2**31), 2**31, 2 * samples, "<i4")
    data = head + values.tobytes()
    header = struct.pack("<4BIHH", 0xA5, RAW_HEADER, id_, 0x10, len(data), 0, 0)
    return with_checksums(header + data)


def as_it_is(content: bytes) -> bytes:
    return content


def out_of_order(content: bytes) -> bytes:
    """Times that go back, repeat or are invalid; two instruments; beams that appear and disappear."""
    content = three_kinds_of_ping(content)
    chooser = random.Random(1)
    records = records_of(content)
    chooser.shuffle(records)
    made = []
    for number, record in enumerate(records[:110]):
        changed = bytearray(record)
        if number % 17 == 3:
            changed[HEADER + 9] = 40
        if number % 23 == 5:
            changed[HEADER + 8 : HEADER + 16] = records[max(0, number - 50)][18:26]
        if number % 50 == 7:
            changed[HEADER + 4] ^= 1
        if number % 40 == 9:
            changed[HEADER + 55] &= 0x0F
        made.append(with_checksums(bytes(changed)))
    made.insert(60, content[:AD2CP_FIRST_PING])
    return content[:AD2CP_FIRST_PING] + b"".join(made)


def the_same_again(content: bytes) -> bytes:
    return content + content[AD2CP_FIRST_PING : AD2CP_FIRST_PING + 60 * AD2CP_PING]


def with_raw_echosounder(content: bytes) -> bytes:
    """Complex samples of two lengths, their transmit pulses, and averages between."""
    made = []
    for number, record in enumerate(records_of(content)[:60]):
        made.append(record)
        if number % 3 == 0:
            made.append(raw_echosounder(record, 0x23, 40 if number % 2 else 25, number))
        if number % 9 == 0:
            made.append(raw_echosounder(record, 0x24, 7, number))
    return content[:AD2CP_FIRST_PING] + b"".join(made)


def with_empty_echosounder(content: bytes) -> bytes:
    """Some records of complex samples have none."""
    made = []
    for number, record in enumerate(records_of(content)[:60]):
        made.append(record)
        if number % 6 == 0:
            made.append(raw_echosounder(record, 0x23, 0 if number % 12 else 30, number))
    return content[:AD2CP_FIRST_PING] + b"".join(made)


def many_instruments(content: bytes) -> bytes:
    """Each record with a serial number of its own: 70 layouts."""
    pings = enumerate(records_of(content)[:70])
    made = (with_checksums(p[: HEADER + 4] + bytes([n]) + p[HEADER + 5 :]) for n, p in pings)
    return content[:AD2CP_FIRST_PING] + b"".join(made)


def changing_scales(content: bytes) -> bytes:
    """Scalings of velocities and bits of status0 that change from record to record."""
    made = []
    for number, record in enumerate(records_of(content)[:90]):
        changed = bytearray(record)
        changed[HEADER + 58] = (-1 - number % 3) & 0xFF
        changed[HEADER + 66] = number % 5
        changed[HEADER + 67] = 0x80 * (number % 4 > 0)
        changed[HEADER + 68] = number
        made.append(with_checksums(bytes(changed)))
    return content[:AD2CP_FIRST_PING] + b"".join(made)


def of_1900(content: bytes) -> bytes:
    """The last record has the format's time zero."""
    last = content[-AD2CP_PING:]
    zero = bytes([0, 0, 1, 0, 0, 0, 0, 0])
    return content + with_checksums(last[: HEADER + 8] + zero + last[HEADER + 16 :])


MADE: list[Callable[[bytes], bytes]] = [
    as_it_is,
    three_kinds_of_ping,
    out_of_order,
    the_same_again,
    with_raw_echosounder,
    with_empty_echosounder,
    many_instruments,
    changing_scales,
    of_1900,
]


def parse(path: Path) -> tuple[Any, list[str]]:
    return open_raw_file(path, "AD2CP", None, {}, "raw")


@contextmanager
def opened(path: Path) -> Iterator[OpenedFile]:
    """The file as opened by a conversion."""
    folder = path.parent / "opened"
    folder.mkdir(exist_ok=True)
    link = folder / path.name
    link.unlink(missing_ok=True)
    link.symlink_to(path)
    found = open_file(link, walk.preflight(path, "AD2CP"), parse)
    try:
        yield found
    finally:
        found.close()


def by_echopype(path: Path) -> Any:
    whole = path.with_name("whole.ad2cp")
    walk.write_whole_part(path, walk.preflight(path, "AD2CP"), whole)
    return parse(whole)[0]


def assert_the_same(theirs: Any, ours: Any) -> None:
    """Values, attributes, dtypes, encodings, and the order of variables."""
    assert found_differences(theirs, ours) == []
    for node in theirs._tree.subtree:
        if node.path == "/Provenance":
            continue
        expected, found = node.to_dataset(), ours._tree[node.path].to_dataset()
        xr.testing.assert_identical(expected, found)
        assert list(expected.variables) == list(found.variables)
        for name, variable in expected.variables.items():
            assert variable.encoding == found.variables[name].encoding
            assert variable.dtype == found.variables[name].dtype


@pytest.mark.parametrize("make", MADE)
def test_records_are_read_as_by_echopype(
    real_data: Path,
    tmp_path: Path,
    make: Callable[[bytes], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records, "_BLOCK", 1_000)
    path = tmp_path / "raw.ad2cp"
    path.write_bytes(make(beginning((real_data / AD2CP).read_bytes())))
    with opened(path) as ours:
        assert ours.engine.name == "streamed", ours.engine.reason
        assert ours.engine.compared_pings > 0
        assert ours.engine.compared_samples > 0
        assert_the_same(by_echopype(path), ours.echodata)


def cases(real_data: Path) -> list[Path]:
    return sorted((real_data.parent / "cases" / "ad2cp").glob("*.ad2cp"))


def test_every_case_ends_as_with_echopype_alone(real_data: Path, tmp_path: Path) -> None:
    found = cases(real_data)
    if not found:
        pytest.skip("no files as fleets produce them beside the real ones")
    for number, path in enumerate(found):
        own = tmp_path / str(number) / "raw.ad2cp"
        own.parent.mkdir()
        own.write_bytes(path.read_bytes())
        try:
            theirs = by_echopype(own)
        except UnsupportedDatagram:
            with pytest.raises(UnsupportedDatagram), opened(own):
                pass
            continue
        with opened(own) as ours:
            assert_the_same(theirs, ours.echodata)


def test_cases_without_what_echopype_misreads_are_streamed(real_data: Path, tmp_path: Path) -> None:
    """Real files of bursts, interleaved bursts and echosounder pings."""
    found = cases(real_data)
    if not found:
        pytest.skip("no files as fleets produce them beside the real ones")
    streamed = 0
    for number, path in enumerate(found):
        content, summary = path.read_bytes(), walk.preflight(path, "AD2CP")
        assert summary.records is not None
        own = tmp_path / str(number) / "raw.ad2cp"
        own.parent.mkdir()
        columns = (summary.records.offset, summary.records.end, summary.records.id)
        own.write_bytes(
            b"".join(
                content[start:end]
                for start, end, id_ in zip(*(c.tolist() for c in columns), strict=True)
                if id_ not in MISREAD and end < 250_000
            )
        )
        try:
            theirs = by_echopype(own)
        except UnsupportedDatagram:
            continue
        with opened(own) as ours:
            assert ours.engine.name == "streamed", ours.engine.reason
            assert_the_same(theirs, ours.echodata)
        streamed += 1
    assert streamed >= 3


@pytest.mark.parametrize("make", [three_kinds_of_ping, out_of_order])
def test_outputs_are_those_of_the_whole(
    real_data: Path, tmp_path: Path, make: Callable[[bytes], bytes]
) -> None:
    """The same bytes of a Zarr store, and the same netCDF file."""
    path = tmp_path / "raw.ad2cp"
    path.write_bytes(make(beginning((real_data / AD2CP).read_bytes())))
    theirs = by_echopype(path)
    with opened(path) as ours:
        expected = encode_zarr(theirs)
        made = encode_zarr(ours.echodata)
        assert expected.keys() == made.keys()
        assert [
            key for key in expected if expected[key] != made[key] and "Provenance" not in key
        ] in ([], ["zarr.json"])
        for key, body in made.items():
            (tmp_path / "out.zarr" / key).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "out.zarr" / key).write_bytes(body)
        with xr.open_datatree(tmp_path / "out.zarr", engine="zarr", chunks=None) as tree:
            compare_tree("out.zarr", groups_as_compared(ours.echodata), tree, whole=True)
        write_netcdf(ours.echodata, tmp_path / "out.nc")
        with xr.open_datatree(tmp_path / "out.nc", engine="netcdf4", chunks=None) as tree:
            assert differences(ours.echodata, tree, string_widths=False) == []


@pytest.mark.parametrize(("output_type", "verify"), [("zarr", "sampled"), ("netcdf", "full")])
def test_a_conversion_is_verified_and_named(
    real_data: Path, tmp_path: Path, output_type: OutputType, verify: VerifyMode
) -> None:
    path = tmp_path / "raw.ad2cp"
    path.write_bytes(three_kinds_of_ping(beginning((real_data / AD2CP).read_bytes())))
    theirs = by_echopype(path)
    done = converted(
        path, tmp_path, "AD2CP", output_type=output_type, verify=verify, corrections=False
    )
    assert done.manifest["engine"]["name"] == "streamed"
    assert done.manifest["contents"]["pings"] == {f"Sonar/Beam_group{n}": 40 for n in (1, 2, 3)}
    with tree_of(done) as tree:
        found = differences(theirs, tree, string_widths=output_type == "zarr")
        assert {difference.group for difference in found} <= {"Provenance"}


def test_echopype_opens_the_whole_file_if_values_differ_from_its_own(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "raw.ad2cp"
    path.write_bytes(beginning((real_data / AD2CP).read_bytes()))
    read = Layout.read

    def other_values(layout: Layout, name: str, *where: Any, **options: Any) -> Any:
        values = read(layout, name, *where, **options)
        return values if values is None or name != "velocity_data_average" else values + 1

    monkeypatch.setattr(Layout, "read", other_values)
    with opened(path) as ours:
        assert ours.engine.name == "whole"
        assert "velocity of Sonar/Beam_group1 differs" in str(ours.engine.reason)
        assert_the_same(by_echopype(path), ours.echodata)


def test_regions_are_those_of_the_whole_variable(real_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "raw.ad2cp"
    path.write_bytes(out_of_order(beginning((real_data / AD2CP).read_bytes())))
    with opened(path) as ours:
        for data in (
            ours.echodata["Vendor_specific"]["magnetometer_raw"].variable.data,
            ours.echodata["Sonar/Beam_group1"]["velocity"].variable.data,
        ):
            assert isinstance(data, RecordRows)
            whole = np.asarray(data)
            for _, region in chunk_regions(data.shape, [7, *(2 for _ in data.shape[1:])]):
                assert np.array_equal(data[region], whole[region], equal_nan=True)


def test_echopype_opens_the_whole_file_if_there_are_too_many_layouts(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "_LAYOUTS_MOST", 60)
    path = tmp_path / "raw.ad2cp"
    path.write_bytes(many_instruments(beginning((real_data / AD2CP).read_bytes())))
    with opened(path) as ours:
        assert ours.engine.name == "whole"
        assert "70 layouts" in str(ours.engine.reason)
        assert ours.engine.compared_pings == 0

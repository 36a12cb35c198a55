"""The faster functions of echopype's parser read what echopype's own functions read."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from flows.rawfile.echopype_reader import import_echopype
from flows.rawfile.faster_parser import (
    parsed_once,
    with_filters_filled_in,
    with_plain_times,
)
from tests.unit.rawfile.test_streamed_samples import REAL

SMALL = "ek80/-1519668699940320059.raw"


def untouched(name: str) -> ModuleType:
    """A second copy of a module of echopype, with its own functions."""
    import_echopype()
    spec = find_spec(f"echopype.{name}")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def own_reader() -> Any:
    module, parsers = (
        untouched(f"convert.utils.{name}") for name in ("ek_raw_io", "ek_raw_parsers")
    )
    reader = module.RawSimradFile
    reader.DGRAM_TYPE_KEY = {
        type_: getattr(parsers, type(parser).__name__)()
        for type_, parser in reader.DGRAM_TYPE_KEY.items()
    }
    return reader


def faster_reader() -> Any:
    import_echopype()
    from echopype.convert.utils.ek_raw_io import RawSimradFile  # noqa: PLC0415 - a slow import

    return RawSimradFile


def read(reader: Any, path: Path) -> Iterator[Any]:
    """Each datagram, and then the error that ends the file, with echopype's counters."""
    with reader(str(path), "r") as file:
        while True:
            try:
                datagram = file.read(1)
            except Exception as error:  # noqa: BLE001 - whichever it is, both must raise it
                yield type(error).__name__, file.tell()
                return
            yield datagram, file.tell()


def parsed(path: Path) -> Any:
    """echopype's parser after it has read the file."""
    model = "EK60" if path.parent.name == "ek60" else "EK80"
    parser = import_echopype().core.SONAR_MODELS[model]["parser"](
        str(path), bot_file="", idx_file="", storage_options={}, sonar_model=model
    )
    parser.parse_raw()
    return parser


def assert_same(path: Path) -> None:
    expected, found = list(read(own_reader(), path)), list(read(faster_reader(), path))
    assert len(expected) > 1
    np.testing.assert_equal(found, expected)


@pytest.mark.parametrize("name", REAL)
def test_every_datagram_of_the_real_files(real_data: Path, name: str) -> None:
    assert_same(real_data / name)


@pytest.mark.parametrize("name", REAL)
def test_the_parsers_sentences_are_those_that_echopypes_own_reader_finds(
    real_data: Path, name: str
) -> None:
    parser = parsed(real_data / name)
    found = [datagram for datagram, _ in read(own_reader(), real_data / name)]
    own = [each for each in found if isinstance(each, dict) and each["type"].startswith("NME")]
    assert parser.nmea["nmea_string"] == [each["nmea_string"] for each in own]
    assert parser.nmea["timestamp"] == [
        np.datetime64(each["timestamp"].replace(tzinfo=None), "ns") for each in own
    ]


def _untimed(datagram: bytearray) -> None:
    datagram[8:16] = bytes(8)


def _without_samples(datagram: bytearray) -> None:
    datagram[84:88] = bytes(4)


def _of_angles_alone(datagram: bytearray) -> None:
    datagram[18:20] = (2).to_bytes(2, "little")


@pytest.mark.parametrize("edit", [None, _untimed, _without_samples, _of_angles_alone])
@pytest.mark.parametrize("name", [name for name in REAL if name.startswith("ek60")])
def test_the_parsers_pings_are_those_that_echopypes_own_reader_finds(
    real_data: Path, tmp_path: Path, name: str, edit: Callable[[bytearray], None] | None
) -> None:
    """Also with pings and a sentence between others that the faster reader leaves to echopype."""
    path = tmp_path / "ek60" / "edited.raw"
    path.parent.mkdir()
    content = bytearray((real_data / name).read_bytes())
    for kind, number in (("RAW0", 3), ("RAW0", 4), ("NME0", 2)) if edit else ():
        at = [found.start() for found in re.finditer(kind.encode(), content)][number] - 4
        datagram = content[at : at + int.from_bytes(content[at : at + 4], "little") + 8]
        if kind == "RAW0" or edit is _untimed:
            assert edit is not None
            edit(datagram)
        content[at : at + len(datagram)] = datagram
    path.write_bytes(content)
    pings: defaultdict[str, defaultdict[int, list[Any]]] = defaultdict(lambda: defaultdict(list))
    sentences: list[str] = []
    for datagram, _ in read(own_reader(), path):
        if isinstance(datagram, dict) and datagram["type"] == "RAW0":
            time = np.datetime64(datagram["timestamp"].replace(tzinfo=None), "ns")
            for field, value in {**datagram, "timestamp": time}.items():
                pings[field][datagram["channel"]].append(value)
        elif isinstance(datagram, dict) and datagram["type"] == "NME0":
            sentences.append(datagram["nmea_string"])
    parser = parsed(path)
    assert parser.nmea["nmea_string"] == sentences
    assert list(parser.ping_data_dict) == list(pings)
    for field, channels in pings.items():
        found = parser.ping_data_dict[field]
        assert list(found) == list(channels)
        for channel, values in channels.items():
            np.testing.assert_equal(found[channel], values)
            assert list(map(type, found[channel])) == list(map(type, values))
    for channel, values in pings["timestamp"].items():
        np.testing.assert_array_equal(parser.ping_time[channel], np.array(values))


@pytest.mark.parametrize("name", [name for name in REAL if name.startswith("ek80")])
def test_filters_are_where_echopypes_own_method_puts_them(real_data: Path, name: str) -> None:
    """Filters of two times, of which some are shorter, lack or have another stage."""
    slow = untouched("convert.set_groups_ek80").SetGroupsEK80._add_filter_params
    parser = parsed(real_data / name)
    keys = [key for key in parser.fil if key != "timestamp"]
    for channel, stage, what, time in keys[1:]:
        value = parser.fil[channel, stage, what, time]
        later = time + np.timedelta64(5, "s")
        parser.fil[channel, stage, what, later] = value[:-2] if what == "coeffs" else 7
        parser.fil[channel, 9, what, time] = value
        parser.fil["timestamp"].append(later)
    channels = sorted({channel for channel, *_ in keys})
    groups = SimpleNamespace(parser_obj=parser, sorted_channel={"all": channels})
    vendor = xr.Dataset(coords={"channel": channels})

    found = with_filters_filled_in(slow)(groups, vendor)
    xr.testing.assert_identical(found, slow(groups, vendor))
    assert keys
    assert found.sizes["filter_time"] > 1
    parser.fil = defaultdict(list)
    none = with_filters_filled_in(slow)(groups, vendor)
    xr.testing.assert_identical(none, slow(groups, vendor))


def test_times_are_those_that_echopype_decodes() -> None:
    slow = untouched("utils.coding")._encode_time_dataarray
    known = np.array([0, 1, 1_669_000_000_123_456_789, -(2**40)], "datetime64[ns]")
    for times in (
        known,
        known.reshape(2, 2),
        known[:0],
        np.append(known, np.datetime64("NaT")),
        known.astype("datetime64[us]"),
        known.astype(np.int64),
    ):
        found, expected = with_plain_times(slow)(times), slow(times)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    assert with_plain_times(slow)(known) is not known


def cut(content: bytearray, _at: int, _end: int) -> None:
    del content[-7:]


def wrong_trailer(content: bytearray, _at: int, end: int) -> None:
    content[end - 4] ^= 1


def no_time(content: bytearray, at: int, _end: int) -> None:
    content[at + 8 : at + 16] = bytes(8)


def too_short(content: bytearray, at: int, _end: int) -> None:
    content[at : at + 4] = b"\x08\x00\x00\x00"


def beyond_the_end(content: bytearray, at: int, _end: int) -> None:
    content[at : at + 4] = b"\xff\xff\xff\x7f"


@pytest.mark.parametrize("damage", [cut, wrong_trailer, no_time, too_short, beyond_the_end])
def test_what_is_not_a_whole_datagram(
    real_data: Path, tmp_path: Path, damage: Callable[[bytearray, int, int], None]
) -> None:
    """A raw file with one damaged datagram, the third."""
    content, at = bytearray((real_data / SMALL).read_bytes()), 0
    for _ in range(2):
        at += int.from_bytes(content[at : at + 4], "little") + 8
    damage(content, at, at + int.from_bytes(content[at : at + 4], "little") + 8)
    path = tmp_path / "damaged.raw"
    path.write_bytes(content)
    assert_same(path)


def test_the_table_of_ad2cp_s_fields_is_parsed_once_and_as_before() -> None:
    # It has no types.
    yaml: Any = import_module("yaml")
    table = Path(import_echopype().__path__[0], "convert", "ad2cp_fields.yaml")
    fields = parsed_once(yaml.safe_load)
    read = []
    for _ in range(2):
        with table.open() as file:
            read.append(fields(file))
    assert read[0] is read[1]
    assert read[0] == yaml.safe_load(table.read_text())

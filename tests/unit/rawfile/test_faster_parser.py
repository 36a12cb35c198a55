"""The faster functions of echopype's parser read what echopype's own functions read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from flows.rawfile.echopype_reader import import_echopype
from flows.rawfile.faster_parser import parsed_once
from tests.unit.rawfile.test_streamed_samples import REAL

SMALL = "ek80/-1519668699940320059.raw"


def untouched(name: str) -> ModuleType:
    """A second copy of a module of echopype's parser, with its own functions."""
    import_echopype()
    spec = find_spec(f"echopype.convert.utils.{name}")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def own_reader() -> Any:
    module, parsers = untouched("ek_raw_io"), untouched("ek_raw_parsers")
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
    models = import_echopype().core.SONAR_MODELS
    model = "EK60" if name.startswith("ek60") else "EK80"
    parser = models[model]["parser"](
        str(real_data / name), bot_file="", idx_file="", storage_options={}, sonar_model=model
    )
    parser.parse_raw()
    found = [datagram for datagram, _ in read(own_reader(), real_data / name)]
    own = [each for each in found if isinstance(each, dict) and each["type"].startswith("NME")]
    assert parser.nmea["nmea_string"] == [each["nmea_string"] for each in own]
    assert parser.nmea["timestamp"] == [
        np.datetime64(each["timestamp"].replace(tzinfo=None), "ns") for each in own
    ]


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

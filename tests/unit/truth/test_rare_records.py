"""Whole datagrams in an unusual order, number or encoding: none is lost in silence."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.unit.truth.edited_files import Datagram, File, content_of, datagrams_of
from tests.unit.truth.test_corrections import converted

pytestmark = pytest.mark.filterwarnings("ignore")

POWER = "ek80/-1519668699940320059.raw"
FM = "ek80/2917763601822576513.raw"
EK60 = "ek60/D20070724-T042400.raw"
KEEL = b'<Environment DropKeelOffset="2.5" DropKeelOffsetIsManual="1"/>'
KEEL_ALONE = b'<Environment DropKeelOffset="2.5"/>'
LEVEL = b'<Environment WaterLevelDraft="4" WaterLevelDraftIsManual="1"/>'


def output(folder: Path, file: File) -> tuple[Any, dict[str, Any]]:
    """The output of a file as echopype opens it, and its manifest."""
    folder.mkdir(exist_ok=True)
    (folder / "file.raw").write_bytes(content_of(file))
    return converted(folder / "file.raw", folder)


def rows_of(file: File, wanted: Callable[[Datagram], bool]) -> list[int]:
    return [row for row, datagram in enumerate(file) if wanted(datagram)]


def is_ping(datagram: Datagram) -> bool:
    return datagram.type in {b"RAW0", b"RAW3"}


def is_parameter(datagram: Datagram) -> bool:
    return datagram.is_xml(b"Parameter")


def same_beams(one: Any, other: Any) -> bool:
    """Whether two outputs have the same channels, pings, samples and parameters."""
    paths = [f"Sonar/{name}" for name in one["Sonar"]["beam_group"].values]
    return all(one[path].drop_attrs().identical(other[path].drop_attrs()) for path in paths)


@pytest.mark.parametrize(
    ("xml", "level", "keel"),
    [
        (KEEL, 0.0, 2.5),
        (KEEL_ALONE, 0.0, 2.5),
        (LEVEL, 4.0, 0.0),
        (b"<Environment/>", 0.0, 0.0),
        (b'<Environment Latitude="45"/>', 0.0, 0.0),
    ],
)
@pytest.mark.parametrize(("source", "at"), [(POWER, "before all pings"), (FM, "between pings")])
def test_an_environment_changes_only_what_it_names(  # noqa: PLR0917 - a table's columns and fixtures
    real_data: Path, tmp_path: Path, source: str, xml: bytes, level: float, keel: float, at: str
) -> None:
    """echopype would take it in place of the one before, whose sound speed would be lost."""
    file = datagrams_of((real_data / source).read_bytes())
    parameters = rows_of(file, is_parameter)
    row = parameters[0] if at == "before all pings" else parameters[6]
    sound_speed = output(tmp_path / "own", file)[0]["Environment"]["sound_speed_indicative"]
    file.insert(row, Datagram(b"XML0", file[row].ticks - 1, xml))
    echodata, manifest = output(tmp_path / "edited", file)
    assert not manifest["repairs"]
    xr.testing.assert_equal(echodata["Environment"]["sound_speed_indicative"], sound_speed)
    platform = echodata["Platform"]
    times = echodata["Sonar/Beam_group1"]["ping_time"].values
    for name, value in (("water_level", level), ("drop_keel_offset", keel)):
        found = platform[name]
        if found.dims:
            found = found.sel(time2=times, method="ffill")
        of_pings = np.broadcast_to(found.values, times.shape)
        before = times < times[3] if at == "between pings" else np.zeros(times.shape, bool)
        assert (of_pings[~before] == value).all()
        assert (of_pings[before] == 0).all()


def test_a_file_with_nothing_but_a_drop_keel_keeps_it(real_data: Path, tmp_path: Path) -> None:
    file = datagrams_of((real_data / POWER).read_bytes())
    file = [replace(d, body=KEEL) if d.is_xml(b"Environment") else d for d in file]
    echodata, _ = output(tmp_path, file)
    assert float(echodata["Platform"]["drop_keel_offset"]) == 2.5
    assert np.isnan(echodata["Environment"]["sound_speed_indicative"].values).all()


ENCODINGS = {
    "UTF-16": lambda text: text.replace("utf-8", "utf-16").encode("utf-16"),
    "UTF-16, big-endian, no mark": lambda text: text.encode("utf-16-be") + b"\x00\x00",
    "UTF-16 declared only": lambda text: text.replace("utf-8", "utf-16").encode(),
    "UTF-16, a line break before it, one byte too many": lambda text: (
        ("\r\n" + text).encode("utf-16-le") + b"\x00"
    ),
    "a line break before it": lambda text: ("\r\n" + text).encode(),
    "a byte order mark": lambda text: text.encode("utf-8-sig"),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("source", [POWER, FM])
def test_xml_in_any_encoding_gives_the_same_output(
    real_data: Path, tmp_path: Path, source: str, encoding: str
) -> None:
    file = datagrams_of((real_data / source).read_bytes())
    encoded = [
        replace(d, body=ENCODINGS[encoding](d.body.strip(b"\x00").decode("utf-8-sig")))
        if d.type == b"XML0"
        else d
        for d in file
    ]
    own, _ = output(tmp_path / "own", file)
    echodata, manifest = output(tmp_path / "encoded", encoded)
    assert same_beams(own, echodata)
    for name in ("Environment", "Platform"):
        xr.testing.assert_equal(own[name], echodata[name])
    assert manifest["missing"] is None
    texts = [str(each["Vendor_specific"]["config_xml"].values) for each in (own, echodata)]
    plain, other = (re.sub(r'encoding="[^"]*"|[\x00\ufeff]|\s', "", text) for text in texts)
    assert plain == other


@pytest.mark.parametrize("source", [POWER, FM])
@pytest.mark.parametrize("with_pulses", [False, True])
def test_parameters_of_all_channels_before_their_pings(
    real_data: Path, tmp_path: Path, source: str, *, with_pulses: bool
) -> None:
    """echopype has one set of parameters at a time, and fails if it is another channel's."""
    file = datagrams_of((real_data / source).read_bytes())
    if with_pulses:
        head = struct.pack("<h2sii", 1 << 8 | 8, b"", 0, 10)
        file = [
            each
            for d in file
            for each in (
                [replace(d, type=b"RAW4", body=d.body[:128] + head + d.body[-80:]), d]
                if is_ping(d)
                else [d]
            )
        ]
    own, _ = output(tmp_path / "own", file)
    parameters = rows_of(file, is_parameter)
    for first, second in zip(parameters[::2], parameters[1::2], strict=True):
        # The second channel's move up behind the first channel's.
        file.insert(first + 1, file.pop(second))
    echodata, manifest = output(tmp_path / "edited", file)
    assert same_beams(own, echodata)
    assert manifest["engine"]["compared_pings"] > 0
    (repair,) = [each for each in manifest["repairs"] if "parameters" in each["what"]]
    assert repair["count"] == len(parameters)


@pytest.mark.parametrize("source", [EK60, POWER])
def test_a_configuration_that_is_written_twice_is_no_second_file(
    real_data: Path, tmp_path: Path, source: str
) -> None:
    file = datagrams_of((real_data / source).read_bytes())[:60]
    own, _ = output(tmp_path / "own", file)
    echodata, _ = output(tmp_path / "edited", [file[0], *file])
    assert same_beams(own, echodata)


@pytest.mark.parametrize("ticks", [1, 36_000_000_000, 2**63 - 1, 2**64 - 1])
def test_a_text_of_an_impossible_time_is_no_damage_and_is_named(
    real_data: Path, tmp_path: Path, ticks: int
) -> None:
    """As from a clock at 1601 with a time zone: the zero of Windows."""
    file = datagrams_of((real_data / EK60).read_bytes())[:60]
    row = rows_of(file, lambda d: d.type == b"NME0")[2]
    texts = sum(d.type == b"NME0" for d in file)
    file[row] = replace(file[row], ticks=ticks)
    echodata, manifest = output(tmp_path, file)
    assert (
        "1 datagram with a time before 1678 or after 2262 is not converted" in (manifest["missing"])
    )
    assert echodata["Platform/NMEA"].sizes["nmea_time"] == texts - 1


def test_a_transmit_pulse_without_a_ping_is_named(real_data: Path, tmp_path: Path) -> None:
    file = datagrams_of((real_data / POWER).read_bytes())
    row = rows_of(file, is_ping)[4]
    ping = file[row]
    for number in (1.0, 2.0):
        samples = struct.pack("<20f", *[number] * 20)
        body = ping.body[:128] + struct.pack("<h2sii", 1 << 8 | 8, b"", 0, 10) + samples
        file.insert(row, replace(ping, type=b"RAW4", body=body))
    echodata, manifest = output(tmp_path, file)
    assert "1 RAW4 without a ping is not converted" in manifest["missing"]
    # The last before the ping is its own.
    pulses = echodata["Sonar/Beam_group1"]["transmit_pulse_r"].values
    assert set(pulses[~np.isnan(pulses)].tolist()) == {1.0}


def test_a_filter_in_place_of_another_is_named(real_data: Path, tmp_path: Path) -> None:
    """Two filters of one channel, stage and time, as before CW and FM pings; twins are one."""
    file = datagrams_of((real_data / FM).read_bytes())
    row = rows_of(file, lambda d: d.type == b"FIL1")[0]
    other = replace(file[row], body=file[row].body[:-8] + struct.pack("<2f", 0.5, 0.25))
    _, manifest = output(tmp_path, [*file[: row + 1], file[row], other, *file[row + 1 :]])
    assert "1 FIL1 in place of another one of its time is not converted" in manifest["missing"]


@pytest.mark.parametrize("change", ["spare bytes", "behind the channel's end", "less than 1 us"])
def test_a_filter_that_echopype_takes_for_another_is_named(
    real_data: Path, tmp_path: Path, change: str
) -> None:
    """echopype knows a filter by its channel up to its NUL, its stage and its microsecond."""
    file = datagrams_of((real_data / FM).read_bytes())
    row = rows_of(file, lambda d: d.type == b"FIL1")[0]
    ticks, body = file[row].ticks, file[row].body[:-8] + struct.pack("<2f", 0.5, 0.25)
    match change:
        case "spare bytes":
            body = body[:2] + b"\x07\x07" + body[4:]
        case "behind the channel's end":
            body = body[:131] + b"x" + body[132:]
        case _:
            ticks += 1 if ticks % 10 < 9 else -1
    other = replace(file[row], ticks=ticks, body=body)
    _, manifest = output(tmp_path, [*file[: row + 1], other, *file[row + 1 :]])
    assert "1 FIL1 in place of another one of its time is not converted" in manifest["missing"]


def test_a_filter_of_a_channel_that_is_not_configured_is_named(
    real_data: Path, tmp_path: Path
) -> None:
    file = datagrams_of((real_data / FM).read_bytes())
    row = rows_of(file, lambda d: d.type == b"FIL1")[0]
    other = replace(file[row], body=file[row].body[:4] + b"X" + file[row].body[5:])
    _, manifest = output(tmp_path, [*file[: row + 1], other, *file[row + 1 :]])
    assert "1 FIL1 of a channel that the configuration lacks" in manifest["missing"]


def test_an_environment_after_the_last_ping_is_named(real_data: Path, tmp_path: Path) -> None:
    file = datagrams_of((real_data / POWER).read_bytes())
    last = file[rows_of(file, is_ping)[-1]]
    _, manifest = output(tmp_path / "other", [*file, Datagram(b"XML0", last.ticks + 1, KEEL)])
    assert "1 XML0 Environment that no ping follows is not converted" in manifest["missing"]
    own = next(d for d in file if d.is_xml(b"Environment"))
    _, manifest = output(tmp_path / "same", [*file, replace(own, ticks=last.ticks + 1)])
    assert manifest["missing"] is None


def test_what_is_no_number_in_an_environment_of_the_keel_is_noted(
    real_data: Path, tmp_path: Path
) -> None:
    file = datagrams_of((real_data / POWER).read_bytes())
    row = rows_of(file, is_parameter)[0]
    xml = KEEL.replace(b"2.5", b"abc")
    assert xml != KEEL
    file.insert(row, Datagram(b"XML0", file[row].ticks - 1, xml))
    _, manifest = output(tmp_path, file)
    (repair,) = manifest["repairs"]
    assert "DropKeelOffset of Environment is not a number" in repair["what"]

"""Rare content of Simrad files: transmit pulses, an ADCP, duplicate pings, datagrams without time."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from flows.core.outcomes import BadFile, OutputMismatch, UnsupportedDatagram
from flows.rawfile.parsed_pings import compare_pings
from flows.walk import FileSummary, decide, preflight, write_whole_part
from flows.walk.search import BLOCK
from tests.conversions import converted
from tests.damaged_files import EK60, EK80, datagram_bytes, simrad_datagrams
from tests.unit.preflight.simrad_writer import (
    CHANNELS,
    Piece,
    con0,
    configuration,
    joined,
    nme0,
    parameters,
    raw0,
    raw3,
    xml0,
)

ONE, TWO = CHANNELS
ADCP = "EC150-3C 100003-15 EC150"


def _open(path: Path, model: str) -> Any:
    import echopype  # noqa: PLC0415 - 3 s that most tests here do not need

    return echopype.open_raw(str(path), model)


def _walk(tmp_path: Path, pieces: list[Piece] | bytes, model: str = "EK80") -> FileSummary:
    path = tmp_path / "made.raw"
    path.write_bytes(pieces if isinstance(pieces, bytes) else joined(pieces))
    return preflight(path, model)


def _with_transmit_pulses(content: bytes) -> bytes:
    """A file with a RAW4 of ten complex samples before each RAW3."""
    parts: list[bytes] = []
    for item in simrad_datagrams(content):
        datagram = content[item.start : item.end]
        if item.type == "RAW3":
            body = datagram[16:144] + struct.pack("<h2sii", 1 << 8 | 8, b"", 0, 10)
            ticks = struct.unpack_from("<Q", datagram, 8)[0]
            parts.append(datagram_bytes(b"RAW4", body + struct.pack("<20f", *range(20)), ticks))
        parts.append(datagram)
    return b"".join(parts)


def test_transmit_pulses_belong_to_their_pings(real_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "pulses.raw"
    path.write_bytes(_with_transmit_pulses((real_data / EK80).read_bytes()))
    summary = preflight(path, "EK80")
    decide(summary, "EK80")
    assert summary.datagrams["RAW4"] == summary.datagrams["RAW3"] == 12
    compare_pings(_open(path, "EK80"), summary)


@pytest.mark.parametrize("lost", ["RAW3", "RAW4", "XML0"])
def test_a_ping_goes_with_its_transmit_pulse(lost: str, real_data: Path, tmp_path: Path) -> None:
    content = bytearray(_with_transmit_pulses((real_data / EK80).read_bytes()))
    item = [d for d in simrad_datagrams(bytes(content)) if d.type == lost][6]
    content[item.end - 4 : item.end] = b"\xff\xff\xff\xff"
    path, part = tmp_path / "holed.raw", tmp_path / "part.raw"
    path.write_bytes(content)
    summary = preflight(path, "EK80")
    with pytest.raises(BadFile, match=f"hole at byte {item.start}"):
        decide(summary, "EK80")
    assert sum(summary.pings.values()) == 11
    assert summary.pings_unusable == (lost != "RAW3")
    decide(summary, "EK80", allow_partial=True)
    write_whole_part(path, summary, part)
    assert preflight(part, "EK80").datagrams["RAW4"] == 11
    compare_pings(_open(part, "EK80"), summary)


def test_parameters_before_damage_are_not_those_of_a_ping_behind_it(tmp_path: Path) -> None:
    lost = parameters(ONE, 2)
    broken = Piece(lost.content[:-4] + bytes(4), "XML0")
    summary = _walk(
        tmp_path,
        [configuration(), parameters(ONE, 1), raw3(ONE, 1), broken, raw3(ONE, 2), raw3(ONE, 3)],
    )
    assert (summary.pings, summary.pings_unusable) == ({ONE: 1}, 2)
    with pytest.raises(BadFile, match="2 whole pings after it lost their parameters"):
        decide(summary, "EK80")


def test_a_ping_without_the_transmit_pulse_that_others_have_is_a_ping(tmp_path: Path) -> None:
    with_pulse = [parameters(ONE, 1), raw3(ONE, 1, type_=b"RAW4"), raw3(ONE, 1)]
    summary = _walk(tmp_path, [configuration(), *with_pulse, parameters(ONE, 2), raw3(ONE, 2)])
    decide(summary, "EK80")
    assert summary.pings == {ONE: 2}
    assert summary.samples is not None
    assert (summary.samples.transmit >= 0).tolist() == [True, False]


@pytest.mark.parametrize("shift", range(-9, 10))
def test_what_is_whole_again_at_the_border_of_a_search_is_found(shift: int, tmp_path: Path) -> None:
    head = [con0(1), raw0(1, 1, 30)]
    # The search begins one byte after the hole's beginning, plus the length field.
    hole = bytes(BLOCK + 1 + shift)
    summary = _walk(tmp_path, joined(head) + hole + raw0(1, 2, 30).content, "EK60")
    assert summary.pings == {"GPT 1": 2}
    assert summary.bytes_unaccounted == len(hole)


def test_a_file_that_ends_behind_a_transmit_pulse_is_truncated(tmp_path: Path) -> None:
    pieces = [configuration(), parameters(ONE, 1), raw3(ONE, 1), parameters(ONE, 2)]
    whole = len(joined(pieces))
    summary = _walk(tmp_path, [*pieces, raw3(ONE, 2, type_=b"RAW4")])
    assert summary.condition == "truncated"
    assert summary.last_good_byte == whole
    assert summary.pings == {ONE: 1}


def test_the_pings_of_an_adcp_are_reported_as_not_converted(tmp_path: Path) -> None:
    summary = _walk(
        tmp_path,
        [
            configuration((ONE, ADCP)),
            parameters(ONE, 1),
            parameters(ADCP, 1),
            raw3(ADCP, 1),
            raw3(ONE, 1),
        ],
    )
    decide(summary, "EK80")
    assert summary.pings == {ONE: 1}
    # Such a file is intact, but its output does not have all of it.
    assert summary.is_whole
    assert any("1 pings of an ADCP" in sentence for sentence in summary.missing)


def test_a_ping_behind_the_parameters_of_another_channel_is_not_supported(tmp_path: Path) -> None:
    summary = _walk(
        tmp_path, [configuration(), parameters(ONE, 1), raw3(ONE, 1), raw3(TWO, 1), nme0(1, b"$")]
    )
    with pytest.raises(UnsupportedDatagram, match=f"parameters .*{TWO}"):
        decide(summary, "EK80")
    decide(summary, "EK80", allow_partial=True)
    assert summary.pings == {ONE: 1}
    assert summary.pings_unusable == 1


def test_complex_samples_beside_power_in_one_channel_are_pings(tmp_path: Path) -> None:
    head = struct.pack("<128sh2sii", ONE.encode(), 4 << 8 | 8, b"", 0, 10)
    sectors = Piece(datagram_bytes(b"RAW3", head + bytes(320)), "RAW3", ONE)
    summary = _walk(
        tmp_path, [configuration(), parameters(ONE, 1), raw3(ONE, 1), parameters(ONE, 2), sectors]
    )
    decide(summary, "EK80")
    assert summary.pings == {ONE: 2}
    assert summary.samples is not None
    assert summary.samples.sectors.tolist() == [0, 4]


def test_complex_samples_of_unknown_numbers_are_not_supported(tmp_path: Path) -> None:
    head = struct.pack("<128sh2sii", ONE.encode(), 4 << 8, b"", 0, 10)
    unknown = Piece(datagram_bytes(b"RAW3", head + bytes(160)), "RAW3", ONE)
    pieces = [configuration(), parameters(ONE, 1), raw3(ONE, 1), parameters(ONE, 2), unknown]
    summary = _walk(tmp_path, pieces)
    with pytest.raises(UnsupportedDatagram, match="neither float16 nor float32"):
        decide(summary, "EK80")
    decide(summary, "EK80", allow_partial=True)


@pytest.mark.parametrize(("spare", "is_spare"), [(3, True), (4, True), (200, True), (400, False)])
def test_a_few_spare_bytes_behind_the_samples_are_no_damage(
    spare: int, *, is_spare: bool, tmp_path: Path
) -> None:
    ping = raw0(1, 1, 300).content
    longer = Piece(datagram_bytes(b"RAW0", ping[16:-4] + bytes([7]) * spare), "RAW0", "GPT 1")
    summary = _walk(tmp_path, [con0(1), longer], "EK60")
    assert (summary.condition == "intact") == is_spare
    assert any(f"{spare} spare bytes" in text for text in summary.missing) == (
        is_spare and spare > 3
    )


@pytest.mark.parametrize(
    ("text", "is_damage"),
    [
        ('<Environment Name="R&D"></Environment>', False),
        ('<Environment Depth="1"', True),
        ('<Environment Depth="\x01\x02"></Environment>', True),
    ],
)
def test_xml_with_an_error_is_refused_but_bytes_in_it_are_damage(
    text: str, *, is_damage: bool, tmp_path: Path
) -> None:
    pieces = [configuration(), xml0(text), parameters(ONE, 1), raw3(ONE, 1)]
    summary = _walk(tmp_path, pieces)
    with pytest.raises(BadFile if is_damage else UnsupportedDatagram):
        decide(summary, "EK80")
    decide(summary, "EK80", allow_partial=True)
    assert summary.pings == {ONE: 1}


def test_pings_that_only_lack_something_in_text_are_left_out(tmp_path: Path) -> None:
    """They are whole: the file is not damaged, and the others can be converted."""
    interval = f'<Parameter><Channel ChannelID="{ONE}" SampleInterval="1"/></Parameter>'
    pieces = [configuration((ONE,)), xml0(interval), raw3(ONE, 1)]
    for lacking in (
        [parameters(ONE, 2), raw3(ONE, 2)],
        [xml0("<Parameter/>"), raw3(ONE, 2)],
        [raw3(TWO, 2)],
    ):
        summary = _walk(tmp_path, [*pieces, *lacking])
        with pytest.raises(UnsupportedDatagram):
            decide(summary, "EK80")
        decide(summary, "EK80", allow_partial=True)
        assert summary.pings == {ONE: 1}
        assert summary.missing


def test_a_sentence_before_the_configuration_is_not_another_file(tmp_path: Path) -> None:
    pieces = [nme0(0, b"$SDVLW"), configuration(), parameters(ONE, 1), raw3(ONE, 1)]
    summary = _walk(tmp_path, pieces)
    decide(summary, "EK80")
    assert (summary.condition, summary.pings) == ("intact", {ONE: 1})


def test_a_second_configuration_is_a_second_file_other_xml_is_not(tmp_path: Path) -> None:
    first = [
        configuration(),
        xml0('<Environment Depth="100"/>'),
        xml0("<PingSequence/>"),
        parameters(ONE, 1),
        raw3(ONE, 1),
    ]
    assert _walk(tmp_path, first).condition == "intact"
    for second in (configuration(), con0(2)):
        summary = _walk(tmp_path, [*first, second, nme0(3, b"$GPGGA")])
        assert summary.condition == "joined"
        assert summary.last_good_byte == len(joined(first))
        with pytest.raises(BadFile, match=f"second file begins at byte {len(joined(first))}"):
            decide(summary, "EK80")


def test_an_ek80_file_behind_an_ek60_file_is_a_second_file(tmp_path: Path) -> None:
    first = [con0(1), raw0(1, 1, 30)]
    summary = _walk(tmp_path, [*first, configuration(), parameters(ONE, 1)], "EK60")
    assert summary.condition == "joined"
    assert summary.last_good_byte == len(joined(first))


def test_an_untimed_text_is_no_damage_and_is_named(real_data: Path, tmp_path: Path) -> None:
    content = (real_data / EK60).read_bytes()
    at = simrad_datagrams(content)[5].start
    path = tmp_path / "untimed.raw"
    # echopype takes text in it for a length, and fails.
    texts = [bytes(8), b"$GPGGA,,,,"]
    untimed = [datagram_bytes(type_, t, ticks=0) for t in texts for type_ in (b"NME0", b"TAG0")]
    path.write_bytes(content[:at] + b"".join(untimed) + content[at:])
    with pytest.raises(Exception, match="Short read"):
        _open(path, "EK60")
    done = converted(path, tmp_path)
    assert "4 datagram with a time of zero are not converted" in done.manifest["missing"]
    assert done.manifest["preflight"]["pings"] == preflight(real_data / EK60, "EK60").pings
    with xr.open_datatree(done.output, engine="zarr") as tree:
        assert "annotation_text" not in tree["Platform"]
        assert tree["Platform/NMEA"].sizes["nmea_time"] == 125


def test_twin_pings_are_one_but_pings_that_differ_are_two(real_data: Path, tmp_path: Path) -> None:
    content = (real_data / EK80).read_bytes()
    items = simrad_datagrams(content)
    ping = next(n for n, item in enumerate(items) if item.type == "RAW3")
    start, end = items[ping - 1].start, items[ping].end
    path = tmp_path / "twins.raw"
    path.write_bytes(content[:end] + content[start:end] + content[end:])
    summary = preflight(path, "EK80")
    assert max(summary.pings.values()) == 7
    assert any("recorded twice" in note for note in summary.notes)
    compare_pings(_open(path, "EK80"), summary)
    other = bytearray(content[start:end])
    other[-100] ^= 1
    path.write_bytes(content[:end] + other + content[end:])
    with pytest.raises(OutputMismatch, match="read 6 of 7 pings"):
        compare_pings(_open(path, "EK80"), preflight(path, "EK80"))


def test_a_ping_with_a_hole_among_its_samples_goes_with_its_transmit_pulse(tmp_path: Path) -> None:
    pieces = [configuration()]
    for second in range(3):
        pieces += [
            parameters(ONE, second),
            raw3(ONE, second, type_=b"RAW4"),
            raw3(ONE, second, 2000),
        ]
    content = bytearray(joined(pieces))
    second_ping = [d for d in simrad_datagrams(bytes(content)) if d.type == "RAW3"][1]
    sector = (second_ping.start + 1000) // 512 * 512
    content[sector : sector + 512] = bytes(512)
    summary = _walk(tmp_path, bytes(content))
    assert summary.last_good_byte == second_ping.start
    assert summary.pings == {ONE: 2}
    part = tmp_path / "part.raw"
    write_whole_part(tmp_path / "made.raw", summary, part)
    assert preflight(part, "EK80").datagrams == {"XML0": 4, "RAW3": 2, "RAW4": 2}


def test_idle_transceivers_are_no_holes(tmp_path: Path) -> None:
    """A ping with only zeros was recorded that way."""
    pieces = [con0(1)]
    for second in range(4):
        head = struct.pack("<hh13fh6sii", 1, 1, *[1.0] * 13, 0, b"", 0, 2000)
        ticks = 132_539_328_000_000_000 + second * 10_000_000
        pieces.append(Piece(datagram_bytes(b"RAW0", head + bytes(4000), ticks), "RAW0", "GPT 1"))
    summary = _walk(tmp_path, pieces, "EK60")
    assert summary.condition == "intact"
    assert summary.pings == {"GPT 1": 4}


def test_a_file_beyond_two_gigabytes_is_walked_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "large.raw"
    block = 1_200_000_000
    inner = b"TAG0" + struct.pack("<Q", 132_539_328_000_000_000)
    with path.open("wb") as file:
        file.write(con0(1).content)
        for second in range(2):
            file.write(struct.pack("<i", block) + inner)
            file.seek(block - len(inner), os.SEEK_CUR)  # sparse: takes no room on the disk
            file.write(struct.pack("<i", block) + raw0(1, second, 30).content)
    summary = preflight(path, "EK60")
    assert summary.bytes_total > 2**31
    assert (summary.condition, summary.pings) == ("intact", {"GPT 1": 2})
    os.truncate(path, summary.bytes_total - 1)
    cut = preflight(path, "EK60")
    assert cut.condition == "truncated"
    assert cut.last_good_byte == summary.bytes_total - len(raw0(1, 1, 30).content)


def test_an_unknown_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ME70.*EK60"):
        preflight(tmp_path / "any.raw", "ME70")

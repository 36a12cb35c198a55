"""Damaged variants of real files, each with its expected outcome.

A case is a function from the real file's bytes to the damaged bytes and the expected
parts of the failure's message. Its offsets come from the small parsers here, which are
independent of the code under test.
"""

from __future__ import annotations

import gzip
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from tests.unit.preflight import azfp6_writer

Outcome = Literal["BadFile", "WrongModel", "UnsupportedDatagram", "Completed"]
Made = tuple[bytes, tuple[str, ...]]

EK60 = "ek60/D20070724-T042400.raw"
EK80 = "ek80/-1519668699940320059.raw"
EK80_COMPLEX = "ek80/EK80_-D20221108-T151353.raw"
AZFP = "azfp/15100520-Test.01A"
AZFP_XML = "azfp/15100804.XML"
AD2CP = "ad2cp/SG198_0099_a.ad2cp"
SUFFIX = {
    **dict.fromkeys(("EK60", "ES70", "EK80", "ES80", "EA640"), ".raw"),
    "AZFP": ".01A",
    "AZFP6": ".azfp",
    "AD2CP": ".ad2cp",
}

AZFP_PING = 124 + 4 * 838 * 5
AD2CP_FIRST_PING = 2250
AD2CP_PING = 266


@dataclass(frozen=True)
class DamagedFile:
    """One damaged file: declared as `model`, made from the real file `source`."""

    name: str
    model: str
    source: str
    outcome: Outcome
    make: Callable[[bytes], Made]

    def write(self, real_data: Path, folder: Path) -> tuple[Path, tuple[str, ...]]:
        """Write the file into `folder`; return its path, and the expected parts of the message."""
        content, says = self.make((real_data / self.source).read_bytes())
        path = folder / (self.name + SUFFIX[self.model])
        path.write_bytes(content)
        return path, says

    def xml_path(self, real_data: Path) -> Path | None:
        """The settings XML for the file."""
        return real_data / AZFP_XML if self.model == "AZFP" else None


DAMAGED_FILES: list[DamagedFile] = []


def _case(
    model: str, source: str, outcome: Outcome = "BadFile"
) -> Callable[[Callable[[bytes], Made]], Callable[[bytes], Made]]:
    def register(make: Callable[[bytes], Made]) -> Callable[[bytes], Made]:
        name = make.__name__.strip("_").replace("_", "-")
        DAMAGED_FILES.append(DamagedFile(name, model, source, outcome, make))
        return make

    return register


class DatagramSpan(NamedTuple):
    """A datagram of an intact Simrad file: its beginning, end and type."""

    start: int
    end: int
    type: str


def simrad_datagrams(content: bytes) -> list[DatagramSpan]:
    """The datagrams of an intact Simrad file."""
    found: list[DatagramSpan] = []
    at = 0
    while at < len(content):
        length, type_ = struct.unpack_from("<i4s", content, at)
        found.append(DatagramSpan(at, at + length + 8, type_.decode()))
        at += length + 8
    return found


def datagram_bytes(type_: bytes, body: bytes, ticks: int = 128297246406888251) -> bytes:
    """The bytes of one datagram in a file."""
    inner = type_ + struct.pack("<Q", ticks) + body
    size = struct.pack("<i", len(inner))
    return size + inner + size


def _nth(content: bytes, type_: str, number: int) -> DatagramSpan:
    """The `number`-th datagram of a type, from 0; from the end if negative."""
    return [d for d in simrad_datagrams(content) if d.type == type_][number]


def _filled(content: bytes, start: int, end: int, seed: int | None = None) -> bytes:
    """`content` with zeros, or with random bytes, in `[start, end)`."""
    size = end - start
    hole = bytes(size) if seed is None else random.Random(seed).randbytes(size)
    return content[:start] + hole + content[end:]


def _patched(content: bytes, at: int, patch: bytes) -> bytes:
    return content[:at] + patch + content[at + len(patch) :]


def _truncated(start: int, *more: str) -> tuple[str, ...]:
    return (f"truncated at byte {start}", f"intact up to byte {start}", *more)


def _hole(start: int, *more: str) -> tuple[str, ...]:
    return (f"hole at byte {start}", f"intact up to byte {start}", *more)


# EK60: cuts.


@_case("EK60", EK60)
def ek60_cut_inside_the_first_length(content: bytes) -> Made:
    return content[:3], ("truncated at byte 0",)


@_case("EK60", EK60)
def ek60_cut_inside_the_configuration(content: bytes) -> Made:
    return content[:700], ("truncated at byte 0", "CON0")


@_case("EK60", EK60)
def ek60_cut_inside_a_leading_length(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 72)
    return content[: ping.start + 2], _truncated(ping.start, "72 pings before")


@_case("EK60", EK60)
def ek60_cut_inside_a_type(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 40)
    return content[: ping.start + 6], _truncated(ping.start)


@_case("EK60", EK60)
def ek60_cut_inside_a_time(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 41)
    return content[: ping.start + 11], _truncated(ping.start, "RAW0")


@_case("EK60", EK60)
def ek60_cut_inside_the_samples(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 100)
    last = "2007-07-24T04:24:28.688826"
    return content[: ping.start + 5000], _truncated(ping.start, "RAW0", last)


@_case("EK60", EK60)
def ek60_cut_before_a_trailing_length(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 55)
    return content[: ping.end - 4], _truncated(ping.start)


@_case("EK60", EK60)
def ek60_cut_inside_a_trailing_length(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 10)
    return content[: ping.end - 2], _truncated(ping.start, "10 pings before")


@_case("EK60", EK60)
def ek60_one_byte_short(content: bytes) -> Made:
    return content[:-1], _truncated(_nth(content, "RAW0", -1).start, "143 pings before")


@_case("EK60", EK60)
def ek60_cut_inside_nmea(content: bytes) -> Made:
    nmea = _nth(content, "NME0", 60)
    return content[: nmea.start + 20], _truncated(nmea.start, "NME0")


@_case("EK60", EK60, "Completed")
def ek60_cut_between_datagrams(content: bytes) -> Made:
    # Its bytes are those of a shorter recording.
    return content[: _nth(content, "RAW0", 71).end], ()


# EK60: holes, and wrong lengths.


@_case("EK60", EK60)
def ek60_zeros_over_the_first_sector(content: bytes) -> Made:
    return _filled(content, 0, 512), ("hole at byte 0", "configuration", "lost")


@_case("EK60", EK60)
def ek60_zeros_over_a_length(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 20)
    hole = _filled(content, ping.start, ping.start + 4)
    return hole, _hole(ping.start, f"{ping.end - ping.start} bytes lost", "123 after")


@_case("EK60", EK60)
def ek60_zeros_over_4_kilobytes(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 80)
    return _filled(content, ping.end - 2000, ping.end + 2096), _hole(ping.start)


@_case("EK60", EK60)
def ek60_zeros_over_64_kilobytes(content: bytes) -> Made:
    first = next(d for d in simrad_datagrams(content) if d.end > 700_000)
    return _filled(content, 700_000, 765_536), _hole(first.start)


@_case("EK60", EK60)
def ek60_zeros_to_the_end(content: bytes) -> Made:
    first = next(d for d in simrad_datagrams(content) if d.end > 1_000_000)
    return _filled(content, 1_000_000, len(content)), _hole(first.start)


@_case("EK60", EK60)
def ek60_a_lost_block_inside_the_samples(content: bytes) -> Made:
    ping = next(d for d in simrad_datagrams(content) if d.type == "RAW0" and d.start % 4096 < 1000)
    block = (ping.start + 88 + 511) // 512 * 512
    return _filled(content, block, block + 2048), _hole(ping.start, "zeros among the samples")


@_case("EK60", EK60)
def ek60_random_bytes_over_4_kilobytes(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 30)
    return _filled(content, ping.end - 3000, ping.end + 1096, seed=1), _hole(ping.start)


@_case("EK60", EK60)
def ek60_random_bytes_over_200_kilobytes(content: bytes) -> Made:
    first = next(d for d in simrad_datagrams(content) if d.end > 300_000)
    return _filled(content, 300_000, 500_000, seed=2), _hole(first.start)


@_case("EK60", EK60)
def ek60_two_holes(content: bytes) -> Made:
    first, second = _nth(content, "RAW0", 15), _nth(content, "RAW0", 115)
    once = _filled(content, first.start, first.start + 16)
    twice = _filled(once, second.end - 8, second.end, seed=3)
    return twice, _hole(first.start, f"hole at byte {second.start}", "15 pings before")


@_case("EK60", EK60)
def ek60_leading_length_flipped(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 60)
    flipped = bytes(byte ^ 0xFF for byte in content[ping.start : ping.start + 4])
    return _patched(content, ping.start, flipped), _hole(ping.start)


@_case("EK60", EK60)
def ek60_leading_length_of_two_gigabytes(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 61)
    return _patched(content, ping.start, struct.pack("<i", 2**31 - 1)), _hole(ping.start)


@_case("EK60", EK60)
def ek60_trailing_length_flipped(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 62)
    flipped = bytes(byte ^ 0xFF for byte in content[ping.end - 4 : ping.end])
    return _patched(content, ping.end - 4, flipped), _hole(ping.start, "81 after")


@_case("EK60", EK60)
def ek60_bytes_missing_in_the_middle(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 50)
    return content[: ping.start + 1000] + content[ping.start + 5000 :], _hole(ping.start)


@_case("EK60", EK60)
def ek60_ping_of_an_unknown_transceiver(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 70)
    return _patched(content, ping.start + 16, b"\x63\x00"), _hole(ping.start, "transceiver 99")


@_case("EK60", EK60)
def ek60_more_samples_than_bytes(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 70)
    return _patched(content, ping.start + 84, struct.pack("<i", 9999)), _hole(ping.start, "9999")


@_case("EK60", EK60)
def ek60_fewer_samples_than_bytes(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 70)
    return _patched(content, ping.start + 84, struct.pack("<i", 100)), _hole(ping.start, "100")


@_case("EK60", EK60)
def ek60_no_samples_in_spite_of_its_bytes(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 70)
    return _patched(content, ping.start + 84, bytes(4)), _hole(ping.start, "the 0 samples")


@_case("EK60", EK60)
def ek60_ping_without_a_time(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 70)
    return _patched(content, ping.start + 8, bytes(8)), _hole(ping.start, "time")


@_case("EK60", EK60)
def ek60_garbage_behind_the_end(content: bytes) -> Made:
    return content + b"\n-- end of transfer --\n" * 20, _hole(len(content), "144 pings before")


# EK60: other things in the file.


@_case("EK60", EK60)
def ek60_header_alone(content: bytes) -> Made:
    return content[: _nth(content, "CON0", 0).end], ("no pings",)


@_case("EK60", EK60)
def ek60_pings_missing(content: bytes) -> Made:
    kept = [content[d.start : d.end] for d in simrad_datagrams(content) if d.type != "RAW0"]
    return b"".join(kept), ("no pings",)


@_case("EK60", EK60)
def ek60_header_missing(content: bytes) -> Made:
    return content[_nth(content, "CON0", 0).end :], ("configuration", "lost")


@_case("EK60", EK60)
def ek60_two_files_in_one(content: bytes) -> Made:
    return content + content, (f"second file begins at byte {len(content)}",)


@_case("EK60", EK60, "UnsupportedDatagram")
def ek60_datagram_of_an_unknown_type(content: bytes) -> Made:
    at = _nth(content, "NME0", 5).start
    return content[:at] + datagram_bytes(b"XYZ7", b"12345678") + content[at:], (
        "XYZ7",
        f"byte {at}",
    )


@_case("EK60", EK60, "UnsupportedDatagram")
def ek60_ping_datagram_of_another_version(content: bytes) -> Made:
    at = _nth(content, "RAW0", 5).start
    return content[:at] + datagram_bytes(b"RAW1", bytes(200)) + content[at:], ("RAW1",)


@_case("EK60", EK60, "Completed")
def ek60_power_becomes_power_and_angle(content: bytes) -> Made:
    # As after a change of settings: the ping has no angles, and its header shows that.
    ping = _nth(content, "RAW0", 70)
    body = content[ping.start + 4 : ping.end - 4]
    mode, samples = struct.unpack_from("<h", body, 14)[0], struct.unpack_from("<i", body, 80)[0]
    assert mode == 3
    power = body[:14] + struct.pack("<h", 1) + body[16 : 84 + 2 * samples]
    length = struct.pack("<i", len(power))
    patched = content[: ping.start] + length + power + length + content[ping.end :]
    return patched, ()


@_case("EK60", EK60, "UnsupportedDatagram")
def ek60_two_transceivers_with_one_channel_id(content: bytes) -> Made:
    first = content[532:660]
    ping = next(d for d in simrad_datagrams(content) if content[d.start + 16 :][:1] == b"\x02")
    says = ("transceivers 1 and 2", first.rstrip(b"\x00").decode(), f"byte {ping.start}")
    return _patched(content, 532 + 320, first), says


@_case("EK60", EK60)
def ek60_kind_of_samples_flipped(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 70)
    return _patched(content, ping.start + 18, struct.pack("<h", 1)), _hole(ping.start, "samples")


@_case("EK60", EK60, "Completed")
def ek60_annotation_added(content: bytes) -> Made:
    at = _nth(content, "NME0", 5).start
    return content[:at] + datagram_bytes(b"TAG0", b"trawl in\x00\x00\x00\x00") + content[at:], ()


# Files that are not raw files.


@_case("EK60", EK60)
def zero_length(content: bytes) -> Made:
    return b"", ("empty",)


@_case("EK60", EK60)
def text_named_raw(content: bytes) -> Made:
    return b"cruise log, leg 2\n" * 500, ("not an EK60 file",)


@_case("EK60", EK60)
def random_bytes_named_raw(content: bytes) -> Made:
    return random.Random(4).randbytes(100_000), ("not an EK60 file",)


@_case("EK60", EK60)
def zeros_named_raw(content: bytes) -> Made:
    return bytes(100_000), ("not an EK60 file",)


@_case("EK60", EK60)
def compressed_but_named_raw(content: bytes) -> Made:
    return gzip.compress(content, compresslevel=1, mtime=0), ("not an EK60 file",)


@_case("EK80", EK80)
def netcdf_named_raw(content: bytes) -> Made:
    return b"\x89HDF\r\n\x1a\n" + bytes(64) + random.Random(5).randbytes(5000), (
        "not an EK80 file",
    )


# Another model than declared.


@_case("EK80", EK60, "WrongModel")
def ek60_declared_as_ek80(content: bytes) -> Made:
    return content, ("declared as EK80", "EK60")


@_case("EK60", EK80, "WrongModel")
def ek80_declared_as_ek60(content: bytes) -> Made:
    return content, ("declared as EK60", "EK80")


@_case("AZFP", EK60, "WrongModel")
def ek60_declared_as_azfp(content: bytes) -> Made:
    return content, ("declared as AZFP", "EK60")


@_case("EK60", AZFP, "WrongModel")
def azfp_declared_as_ek60(content: bytes) -> Made:
    return content, ("declared as EK60", "AZFP")


@_case("AD2CP", EK80, "WrongModel")
def ek80_declared_as_ad2cp(content: bytes) -> Made:
    return content, ("declared as AD2CP", "EK80")


@_case("EK80", AD2CP, "WrongModel")
def ad2cp_declared_as_ek80(content: bytes) -> Made:
    return content, ("declared as EK80", "AD2CP")


@_case("ES70", EK80, "WrongModel")
def ek80_declared_as_es70(content: bytes) -> Made:
    return content, ("declared as ES70", "EK80")


@_case("EA640", EK60, "WrongModel")
def ek60_declared_as_ea640(content: bytes) -> Made:
    return content, ("declared as EA640", "EK60")


@_case("AZFP", AZFP_XML, "WrongModel")
def azfp6_declared_as_azfp(content: bytes) -> Made:
    return azfp6_writer.azfp6_file(content), ("declared as AZFP", "AZFP6")


@_case("AZFP6", AZFP, "WrongModel")
def azfp_declared_as_azfp6(content: bytes) -> Made:
    return content, ("declared as AZFP6", "AZFP")


# Models that share a format.


@_case("ES70", EK60)
def es70_cut_inside_the_samples(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 100)
    return content[: ping.start + 5000], _truncated(ping.start, "RAW0", "100 pings before")


@_case("ES70", EK60)
def es70_zeros_over_4_kilobytes(content: bytes) -> Made:
    ping = _nth(content, "RAW0", 80)
    return _filled(content, ping.end - 2000, ping.end + 2096), _hole(ping.start)


@_case("ES80", EK80_COMPLEX)
def es80_a_lost_block_inside_complex_samples(content: bytes) -> Made:
    ping = _nth(content, "RAW3", 4)
    block = (ping.start + 20_000) // 512 * 512
    return _filled(content, block, block + 8192), _hole(ping.start, "zeros among the samples")


@_case("ES80", EK80)
def es80_header_alone(content: bytes) -> Made:
    return content[: _nth(content, "XML0", 0).end], ("no pings",)


@_case("EA640", EK80)
def ea640_one_byte_short(content: bytes) -> Made:
    return content[:-1], _truncated(simrad_datagrams(content)[-1].start)


@_case("EA640", EK80)
def ea640_trailing_length_flipped(content: bytes) -> Made:
    ping = _nth(content, "RAW3", 5)
    return _patched(content, ping.end - 4, b"\xff\xff\xff\xff"), _hole(ping.start)


# EK80.


@_case("EK80", EK80)
def ek80_cut_inside_the_configuration(content: bytes) -> Made:
    return content[:5000], ("truncated at byte 0", "XML0")


@_case("EK80", EK80)
def ek80_cut_inside_parameters(content: bytes) -> Made:
    xml = _nth(content, "XML0", 6)
    return content[: xml.start + 100], _truncated(xml.start, "XML0")


@_case("EK80", EK80_COMPLEX)
def ek80_cut_inside_complex_samples(content: bytes) -> Made:
    ping = _nth(content, "RAW3", 7)
    return content[: ping.start + 60_000], _truncated(ping.start, "RAW3", "7 pings before")


@_case("EK80", EK80_COMPLEX)
def ek80_one_byte_short(content: bytes) -> Made:
    return content[:-1], _truncated(_nth(content, "RAW3", -1).start, "9 pings before")


@_case("EK80", EK80_COMPLEX)
def ek80_zeros_over_a_ping_and_its_parameters(content: bytes) -> Made:
    xml = _nth(content, "XML0", 10)
    return _filled(content, xml.start + 50, xml.start + 80_000), _hole(xml.start)


@_case("EK80", EK80_COMPLEX)
def ek80_a_lost_block_inside_complex_samples(content: bytes) -> Made:
    ping = _nth(content, "RAW3", 4)
    block = (ping.start + 20_000) // 512 * 512
    return _filled(content, block, block + 8192), _hole(ping.start, "zeros among the samples")


@_case("EK80", EK80)
def ek80_random_bytes_over_parameters(content: bytes) -> Made:
    xml = _nth(content, "XML0", 6)
    return _filled(content, xml.start + 30, xml.start + 200, seed=6), _hole(xml.start, "XML")


@_case("EK80", EK80)
def ek80_random_bytes_over_a_channel_name(content: bytes) -> Made:
    ping = _nth(content, "RAW3", 3)
    return _filled(content, ping.start + 16, ping.start + 60, seed=7), _hole(ping.start, "channel")


@_case("EK80", EK80)
def ek80_fewer_samples_than_bytes(content: bytes) -> Made:
    ping = _nth(content, "RAW3", 5)
    return _patched(content, ping.start + 152, struct.pack("<i", 3)), _hole(ping.start, "3 samples")


@_case("EK80", EK80)
def ek80_trailing_length_flipped(content: bytes) -> Made:
    ping = _nth(content, "RAW3", 5)
    return _patched(content, ping.end - 4, b"\xff\xff\xff\xff"), _hole(ping.start)


@_case("EK80", EK80)
def ek80_header_alone(content: bytes) -> Made:
    return content[: _nth(content, "XML0", 0).end], ("no pings",)


@_case("EK80", EK80)
def ek80_two_files_in_one(content: bytes) -> Made:
    return content + content, (f"second file begins at byte {len(content)}",)


@_case("EK80", EK80)
def ek80_header_missing(content: bytes) -> Made:
    return content[_nth(content, "XML0", 0).end :], ("configuration", "lost")


@_case("EK80", EK80, "UnsupportedDatagram")
def ek80_parameters_missing(content: bytes) -> Made:
    # Removed completely: all bytes are intact, but the ping has no parameters.
    first = _nth(content, "RAW3", 0)
    before = [d for d in simrad_datagrams(content) if d.type == "XML0" and d.end <= first.start][-1]
    return content[: before.start] + content[before.end :], ("RAW3", "parameters")


# AZFP.


@_case("AZFP", AZFP)
def azfp_cut_inside_a_header(content: bytes) -> Made:
    return content[: 3 * AZFP_PING + 60], _truncated(3 * AZFP_PING, "header", "3 pings before")


@_case("AZFP", AZFP)
def azfp_cut_inside_the_counts(content: bytes) -> Made:
    return content[: 5 * AZFP_PING + 9000], _truncated(5 * AZFP_PING, "5 pings before")


@_case("AZFP", AZFP)
def azfp_one_byte_short(content: bytes) -> Made:
    return content[:-1], _truncated(9 * AZFP_PING)


@_case("AZFP", AZFP)
def azfp_cut_inside_the_first_ping(content: bytes) -> Made:
    return content[:1000], ("truncated at byte 0",)


@_case("AZFP", AZFP, "Completed")
def azfp_cut_between_pings(content: bytes) -> Made:
    return content[: 6 * AZFP_PING], ()


@_case("AZFP", AZFP)
def azfp_month_13(content: bytes) -> Made:
    at = 2 * AZFP_PING
    return _patched(content, at + 14, b"\x00\x0d"), _hole(at, "date", "2015-13-05")


@_case("AZFP", AZFP)
def azfp_flag_broken(content: bytes) -> Made:
    at = 4 * AZFP_PING
    return _patched(content, at, b"\xfd\x03"), _hole(at, "flag", "4 pings before", "5 after")


@_case("AZFP", AZFP)
def azfp_zeros_over_20_kilobytes(content: bytes) -> Made:
    at = 6 * AZFP_PING
    return _filled(content, at + 8000, at + 28_000), _hole(at)


@_case("AZFP", AZFP)
def azfp_a_lost_kilobyte_inside_the_counts(content: bytes) -> Made:
    at = 6 * AZFP_PING
    return _filled(content, at + 1000, at + 2024), _hole(at, "zeros among the counts")


@_case("AZFP", AZFP)
def azfp_random_bytes_over_a_header(content: bytes) -> Made:
    at = 7 * AZFP_PING
    return _filled(content, at, at + 124, seed=8), _hole(at)


@_case("AZFP", AZFP)
def azfp_more_bins_than_bytes(content: bytes) -> Made:
    at = 3 * AZFP_PING
    return _patched(content, at + 42, b"\x07\xd0"), _hole(at)


@_case("AZFP", AZFP)
def azfp_one_bin_less_than_counts(content: bytes) -> Made:
    at = 3 * AZFP_PING
    return _patched(content, at + 42, b"\x03\x45"), _hole(at, "no ping's flag at the end")


@_case("AZFP", AZFP)
def azfp_bytes_missing_in_the_middle(content: bytes) -> Made:
    at = 5 * AZFP_PING
    return content[: at + 3000] + content[at + 3012 :], _hole(at, "some of its bytes are missing")


@_case("AZFP", AZFP)
def azfp_bytes_missing_before_the_last_ping(content: bytes) -> Made:
    at = 8 * AZFP_PING
    return content[: at + 200] + content[at + 204 :], _hole(at, "some of its bytes are missing")


@_case("AZFP", AZFP)
def azfp_garbage_behind_the_end(content: bytes) -> Made:
    return content + b"garbage " * 40, _hole(len(content), "10 pings before")


@_case("AZFP", AZFP, "UnsupportedDatagram")
def azfp_gain_changes(content: bytes) -> Made:
    at = 8 * AZFP_PING
    return _patched(content, at + 79, b"\x01"), ("ping 9", "gain")


@_case("AZFP", "azfp/15100520-Test-Corrupt.01A")
def azfp_as_found_broken(content: bytes) -> Made:
    return content, _hole(AZFP_PING, "2015-13-05", f"hole at byte {6 * AZFP_PING}")


@_case("AZFP", "azfp/15100520-Test-Var_Chans.01A", "UnsupportedDatagram")
def azfp_bins_change_between_pings(content: bytes) -> Made:
    # Of its ten pings, the first two have other bins than the rest.
    return content, ("ping 1", "number of bins", "837", "838")


@_case("AZFP", AZFP)
def azfp_text(content: bytes) -> Made:
    return b"AZFP deployment notes\n" * 100, ("not an AZFP file",)


# AZFP6: a synthetic file, because there is no real one.


@_case("AZFP6", AZFP_XML)
def azfp6_cut_inside_a_ping(content: bytes) -> Made:
    whole = azfp6_writer.azfp6_file(content)
    start = len(whole) - 2 * len(azfp6_writer.ping(0))
    return whole[: start + 400], _truncated(start, "3 pings before")


@_case("AZFP6", AZFP_XML)
def azfp6_one_byte_short(content: bytes) -> Made:
    whole = azfp6_writer.azfp6_file(content)
    return whole[:-1], _truncated(len(whole) - len(azfp6_writer.ping(0)), "4 pings before")


@_case("AZFP6", AZFP_XML)
def azfp6_zeros_over_an_end_flag(content: bytes) -> Made:
    whole = azfp6_writer.azfp6_file(content)
    end = len(whole) - 2 * len(azfp6_writer.ping(0))
    return _filled(whole, end - 8, end - 4), _hole(end - len(azfp6_writer.ping(0)), "end flag")


@_case("AZFP6", AZFP_XML)
def azfp6_settings_broken(content: bytes) -> Made:
    return azfp6_writer.azfp6_file(content).replace(b"</AZFP>", b"</OOPS>", 1), (
        "settings XML is broken",
    )


@_case("AZFP6", AZFP_XML)
def azfp6_text(content: bytes) -> Made:
    return b"AZFP6 deployment notes\n" * 100, ("not an AZFP6 file",)


# AD2CP.


@_case("AD2CP", AD2CP)
def ad2cp_cut_inside_a_header(content: bytes) -> Made:
    at = AD2CP_FIRST_PING + 100 * AD2CP_PING
    return content[: at + 5], _truncated(at, "header", "100 pings before")


@_case("AD2CP", AD2CP)
def ad2cp_cut_inside_the_data(content: bytes) -> Made:
    at = AD2CP_FIRST_PING + 200 * AD2CP_PING
    return content[: at + 100], _truncated(at, "200 pings before")


@_case("AD2CP", AD2CP)
def ad2cp_one_byte_short(content: bytes) -> Made:
    return content[:-1], _truncated(len(content) - AD2CP_PING, "419 pings before")


@_case("AD2CP", AD2CP, "Completed")
def ad2cp_cut_between_records(content: bytes) -> Made:
    return content[: AD2CP_FIRST_PING + 50 * AD2CP_PING], ()


@_case("AD2CP", AD2CP)
def ad2cp_header_checksum_wrong(content: bytes) -> Made:
    at = AD2CP_FIRST_PING + 30 * AD2CP_PING
    wrong = bytes([content[at + 8] ^ 1])
    return _patched(content, at + 8, wrong), _hole(at, "checksum of the record's header")


@_case("AD2CP", AD2CP)
def ad2cp_data_checksum_wrong(content: bytes) -> Made:
    at = AD2CP_FIRST_PING + 40 * AD2CP_PING
    wrong = bytes([content[at + 150] ^ 0x10])
    return _patched(content, at + 150, wrong), _hole(at, "checksum of the record's data")


@_case("AD2CP", AD2CP)
def ad2cp_zeros_over_a_kilobyte(content: bytes) -> Made:
    at = AD2CP_FIRST_PING + 60 * AD2CP_PING
    return _filled(content, at + 20, at + 1044), _hole(at, "60 pings before", "356 after")


@_case("AD2CP", AD2CP)
def ad2cp_random_bytes_over_10_kilobytes(content: bytes) -> Made:
    at = AD2CP_FIRST_PING + 70 * AD2CP_PING
    return _filled(content, at, at + 10_000, seed=9), _hole(at, "70 pings before")


@_case("AD2CP", AD2CP)
def ad2cp_configuration_alone(content: bytes) -> Made:
    return content[:AD2CP_FIRST_PING], ("no pings",)


@_case("AD2CP", AD2CP)
def ad2cp_configuration_missing(content: bytes) -> Made:
    return content[AD2CP_FIRST_PING:], ("configuration", "lost")


@_case("AD2CP", AD2CP, "UnsupportedDatagram")
def ad2cp_record_of_an_unknown_id(content: bytes) -> Made:
    data = bytes(16)
    body = struct.pack("<BBBBHH", 0xA5, 10, 0x99, 0x10, len(data), 0xB58C)
    own = (0xB58C + sum(struct.unpack("<4H", body))) & 0xFFFF
    return content + body + struct.pack("<H", own) + data, ("0x99",)


@_case("AD2CP", AD2CP, "UnsupportedDatagram")
def ad2cp_record_of_an_unknown_id_with_the_longer_header(content: bytes) -> Made:
    body = struct.pack("<BBBBIH", 0xA5, 12, 0x99, 0x10, 16, 0xB58C)
    own = (0xB58C + sum(struct.unpack("<5H", body))) & 0xFFFF
    return content + body + struct.pack("<H", own) + bytes(16), ("0x99",)


@_case("AD2CP", AD2CP)
def ad2cp_garbage_behind_the_end(content: bytes) -> Made:
    return content + b"\x00" * 300, _hole(len(content), "420 pings before")

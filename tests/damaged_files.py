"""Damaged variants of real files, each with its expected outcome.

A case makes, of the real file's bytes, the damaged bytes and the expected parts of the
failure's message. Its offsets come from the small parsers here, which are independent of
the code under test.
"""

from __future__ import annotations

import gzip
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from tests.unit.preflight import azfp6_writer

Outcome = Literal["BadFile", "WrongModel", "UnsupportedDatagram", "Completed"]
Made = tuple[bytes, tuple[str, ...]]
Make = Callable[[bytes], Made]

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
    make: Make

    def write(self, real_data: Path, folder: Path) -> tuple[Path, tuple[str, ...]]:
        """Write the file into `folder`; return its path, and the expected parts of the message."""
        content, says = self.make((real_data / self.source).read_bytes())
        path = folder / (self.name + SUFFIX[self.model])
        path.write_bytes(content)
        return path, says

    def xml_path(self, real_data: Path) -> Path | None:
        """The settings XML for the file."""
        return real_data / AZFP_XML if self.model == "AZFP" else None


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


Place = Callable[[bytes], DatagramSpan]


def _nth(type_: str, number: int) -> Place:
    """The `number`-th datagram of a type, from 0; from the end if negative."""
    return lambda content: [d for d in simrad_datagrams(content) if d.type == type_][number]


def _raw0(number: int) -> Place:
    return _nth("RAW0", number)


def _raw3(number: int) -> Place:
    return _nth("RAW3", number)


def _azfp(number: int) -> Place:
    return lambda _: DatagramSpan(number * AZFP_PING, (number + 1) * AZFP_PING, "")


def _ad2cp(number: int) -> Place:
    start = AD2CP_FIRST_PING + number * AD2CP_PING
    return lambda _: DatagramSpan(start, start + AD2CP_PING, "")


def _filled(content: bytes, start: int, end: int, seed: int | None = None) -> bytes:
    """`content` with zeros, or with random bytes, in `[start, end)`."""
    size = end - start
    hole = bytes(size) if seed is None else random.Random(seed).randbytes(size)
    return content[:start] + hole + content[end:]


def _truncated(start: int, *more: str) -> tuple[str, ...]:
    return (f"truncated at byte {start}", f"intact up to byte {start}", *more)


def _hole(start: int, *more: str) -> tuple[str, ...]:
    return (f"hole at byte {start}", f"intact up to byte {start}", *more)


# Offsets count from the datagram's start; negative ones from its end.


def _at(span: DatagramSpan, offset: int) -> int:
    return (span.end if offset < 0 else span.start) + offset


def _cut(place: Place, offset: int, *says: str) -> Make:
    """The file ends inside a datagram."""

    def make(content: bytes) -> Made:
        span = place(content)
        return content[: _at(span, offset)], _truncated(span.start, *says)

    return make


def _edit(place: Place, offset: int, says: Sequence[str], edit: Callable[[bytes], bytes]) -> Make:
    """The bytes from an offset in a datagram on become others."""

    def make(content: bytes) -> Made:
        span = place(content)
        at = _at(span, offset)
        return content[:at] + edit(content[at:]), _hole(span.start, *says)

    return make


def _fill(place: Place, offset: int, size: int, *says: str, seed: int | None = None) -> Make:
    """A hole of zeros, or of random bytes."""
    return _edit(place, offset, says, lambda rest: _filled(rest, 0, size, seed))


def _patch(place: Place, offset: int, patch: bytes, *says: str) -> Make:
    return _edit(place, offset, says, lambda rest: patch + rest[len(patch) :])


def _flip(place: Place, offset: int, *says: str, size: int = 4, mask: int = 0xFF) -> Make:
    """Bits of some bytes are flipped."""
    return _edit(
        place, offset, says, lambda rest: bytes(b ^ mask for b in rest[:size]) + rest[size:]
    )


def _drop(place: Place, offset: int, size: int, *says: str) -> Make:
    """Bytes are missing."""
    return _edit(place, offset, says, lambda rest: rest[size:])


def _fill_from(start: int, end: int | None, seed: int | None = None) -> Make:
    """A hole from one byte of the file to another, or to its end."""

    def make(content: bytes) -> Made:
        first = next(d for d in simrad_datagrams(content) if d.end > start)
        return _filled(content, start, end or len(content), seed), _hole(first.start)

    return make


def _lost_block(place: Place, offset: int, size: int) -> Make:
    """Sectors of 512 bytes inside the samples of a datagram are zeros."""

    def make(content: bytes) -> Made:
        start = place(content).start
        block = (start + offset) // 512 * 512
        return _filled(content, block, block + size), _hole(start, "zeros among the samples")

    return make


def _insert(place: Place, type_: bytes, body: bytes, *says: str) -> Make:
    """A datagram before another; `{at}` in what the message says is its place."""

    def make(content: bytes) -> Made:
        at = place(content).start
        inserted = content[:at] + datagram_bytes(type_, body) + content[at:]
        return inserted, tuple(each.format(at=at) for each in says)

    return make


def _behind(garbage: bytes, *says: str) -> Make:
    return lambda content: (content + garbage, _hole(len(content), *says))


def _kept(of: slice, *says: str) -> Make:
    return lambda content: (content[of], says)


def _whole(*says: str) -> Make:
    return lambda content: (content, says)


def _other(content: bytes, *says: str) -> Make:
    return lambda _: (content, says)


def _up_to(place: Place, *says: str) -> Make:
    return lambda content: (content[: place(content).end], says)


def _from(place: Place, *says: str) -> Make:
    return lambda content: (content[place(content).end :], says)


def _doubled(content: bytes) -> Made:
    return content * 2, (f"second file begins at byte {len(content)}",)


def _two_holes(content: bytes) -> Made:
    first, second = _raw0(15)(content), _raw0(115)(content)
    once = _filled(content, first.start, first.start + 16)
    twice = _filled(once, second.end - 8, second.end, seed=3)
    return twice, _hole(first.start, f"hole at byte {second.start}", "15 pings before")


def _zeros_over_a_length(content: bytes) -> Made:
    ping = _raw0(20)(content)
    return _fill(_raw0(20), 0, 4, f"{ping.end - ping.start} bytes lost", "123 after")(content)


def _pings_missing(content: bytes) -> Made:
    kept = [content[d.start : d.end] for d in simrad_datagrams(content) if d.type != "RAW0"]
    return b"".join(kept), ("no pings",)


def _power_without_angles(content: bytes) -> Made:
    # As after a change of settings: the ping has no angles, and its header shows that.
    ping = _raw0(70)(content)
    body = content[ping.start + 4 : ping.end - 4]
    mode, samples = struct.unpack_from("<h", body, 14)[0], struct.unpack_from("<i", body, 80)[0]
    assert mode == 3
    power = body[:14] + struct.pack("<h", 1) + body[16 : 84 + 2 * samples]
    length = struct.pack("<i", len(power))
    return content[: ping.start] + length + power + length + content[ping.end :], ()


def _one_channel_id(content: bytes) -> Made:
    first = content[532:660]
    ping = next(d for d in simrad_datagrams(content) if content[d.start + 16 :][:1] == b"\x02")
    says = ("transceivers 1 and 2", first.rstrip(b"\x00").decode(), f"byte {ping.start}")
    return content[:852] + first + content[980:], says


def _parameters_missing(content: bytes) -> Made:
    # Removed completely: all bytes are intact, but the ping has no parameters.
    first = _raw3(0)(content)
    before = [d for d in simrad_datagrams(content) if d.type == "XML0" and d.end <= first.start][-1]
    return content[: before.start] + content[before.end :], ("RAW3", "parameters")


def _azfp6(edit: Callable[[bytes, int], Made]) -> Make:
    """Of a synthetic file, because there is no real one; `edit` gets the size of a ping, too."""
    return lambda xml: edit(azfp6_writer.azfp6_file(xml), len(azfp6_writer.ping(0)))


def _azfp6_whole(*says: str) -> Make:
    return _azfp6(lambda whole, _: (whole, says))


def _unknown_record(layout: str, header: int, length: int) -> Make:
    body = struct.pack(layout, 0xA5, header, 0x99, 0x10, length, 0xB58C)
    own = (0xB58C + sum(struct.unpack(f"<{len(body) // 2}H", body))) & 0xFFFF
    return lambda content: (content + body + struct.pack("<H", own) + bytes(length), ("0x99",))


# By the declared model and the real file.
_BAD: dict[tuple[str, str], dict[str, Make]] = {
    ("EK60", EK60): {
        "ek60-cut-inside-the-first-length": _kept(slice(3), "truncated at byte 0"),
        "ek60-cut-inside-the-configuration": _kept(slice(700), "truncated at byte 0", "CON0"),
        "ek60-cut-inside-a-leading-length": _cut(_raw0(72), 2, "72 pings before"),
        "ek60-cut-inside-a-type": _cut(_raw0(40), 6),
        "ek60-cut-inside-a-time": _cut(_raw0(41), 11, "RAW0"),
        "ek60-cut-inside-the-samples": _cut(_raw0(100), 5000, "RAW0", "2007-07-24T04:24:28.688826"),
        "ek60-cut-before-a-trailing-length": _cut(_raw0(55), -4),
        "ek60-cut-inside-a-trailing-length": _cut(_raw0(10), -2, "10 pings before"),
        "ek60-one-byte-short": _cut(_raw0(-1), -1, "143 pings before"),
        "ek60-cut-inside-nmea": _cut(_nth("NME0", 60), 20, "NME0"),
        "ek60-zeros-over-the-first-sector": lambda content: (
            _filled(content, 0, 512),
            ("hole at byte 0", "configuration", "lost"),
        ),
        "ek60-zeros-over-a-length": _zeros_over_a_length,
        "ek60-zeros-over-4-kilobytes": _fill(_raw0(80), -2000, 4096),
        "ek60-zeros-over-64-kilobytes": _fill_from(700_000, 765_536),
        "ek60-zeros-to-the-end": _fill_from(1_000_000, None),
        "ek60-a-lost-block-inside-the-samples": _lost_block(
            lambda content: next(
                d for d in simrad_datagrams(content) if d.type == "RAW0" and d.start % 4096 < 1000
            ),
            88 + 511,
            2048,
        ),
        "ek60-random-bytes-over-4-kilobytes": _fill(_raw0(30), -3000, 4096, seed=1),
        "ek60-random-bytes-over-200-kilobytes": _fill_from(300_000, 500_000, seed=2),
        "ek60-two-holes": _two_holes,
        "ek60-leading-length-flipped": _flip(_raw0(60), 0),
        "ek60-leading-length-of-two-gigabytes": _patch(_raw0(61), 0, b"\xff\xff\xff\x7f"),
        "ek60-trailing-length-flipped": _flip(_raw0(62), -4, "81 after"),
        "ek60-bytes-missing-in-the-middle": _drop(_raw0(50), 1000, 4000),
        "ek60-ping-of-an-unknown-transceiver": _patch(_raw0(70), 16, b"\x63\0", "transceiver 99"),
        "ek60-more-samples-than-bytes": _patch(_raw0(70), 84, struct.pack("<i", 9999), "9999"),
        "ek60-fewer-samples-than-bytes": _patch(_raw0(70), 84, struct.pack("<i", 100), "100"),
        "ek60-no-samples-in-spite-of-its-bytes": _patch(_raw0(70), 84, bytes(4), "the 0 samples"),
        "ek60-ping-without-a-time": _patch(_raw0(70), 8, bytes(8), "time"),
        "ek60-garbage-behind-the-end": _behind(
            b"\n-- end of transfer --\n" * 20, "144 pings before"
        ),
        "ek60-header-alone": _up_to(_nth("CON0", 0), "no pings"),
        "ek60-pings-missing": _pings_missing,
        "ek60-header-missing": _from(_nth("CON0", 0), "configuration", "lost"),
        "ek60-two-files-in-one": _doubled,
        "ek60-kind-of-samples-flipped": _patch(_raw0(70), 18, struct.pack("<h", 1), "samples"),
        "zero-length": _other(b"", "empty"),
        "text-named-raw": _other(b"cruise log, leg 2\n" * 500, "not an EK60 file"),
        "random-bytes-named-raw": _other(random.Random(4).randbytes(100_000), "not an EK60 file"),
        "zeros-named-raw": _other(bytes(100_000), "not an EK60 file"),
        "compressed-but-named-raw": lambda content: (
            gzip.compress(content, compresslevel=1, mtime=0),
            ("not an EK60 file",),
        ),
    },
    ("ES70", EK60): {
        "es70-cut-inside-the-samples": _cut(_raw0(100), 5000, "RAW0", "100 pings before"),
        "es70-zeros-over-4-kilobytes": _fill(_raw0(80), -2000, 4096),
    },
    ("ES80", EK80_COMPLEX): {
        "es80-a-lost-block-inside-complex-samples": _lost_block(_raw3(4), 20_000, 8192),
    },
    ("ES80", EK80): {"es80-header-alone": _up_to(_nth("XML0", 0), "no pings")},
    ("EA640", EK80): {
        "ea640-one-byte-short": _cut(lambda content: simrad_datagrams(content)[-1], -1),
        "ea640-trailing-length-flipped": _patch(_raw3(5), -4, b"\xff\xff\xff\xff"),
    },
    ("EK80", EK80): {
        "netcdf-named-raw": _other(
            b"\x89HDF\r\n\x1a\n" + bytes(64) + random.Random(5).randbytes(5000),
            "not an EK80 file",
        ),
        "ek80-cut-inside-the-configuration": _kept(slice(5000), "truncated at byte 0", "XML0"),
        "ek80-cut-inside-parameters": _cut(_nth("XML0", 6), 100, "XML0"),
        "ek80-random-bytes-over-parameters": _fill(_nth("XML0", 6), 30, 170, "XML", seed=6),
        "ek80-random-bytes-over-a-channel-name": _fill(_raw3(3), 16, 44, "channel", seed=7),
        "ek80-fewer-samples-than-bytes": _patch(_raw3(5), 152, struct.pack("<i", 3), "3 samples"),
        "ek80-trailing-length-flipped": _patch(_raw3(5), -4, b"\xff\xff\xff\xff"),
        "ek80-header-alone": _up_to(_nth("XML0", 0), "no pings"),
        "ek80-two-files-in-one": _doubled,
        "ek80-header-missing": _from(_nth("XML0", 0), "configuration", "lost"),
    },
    ("EK80", EK80_COMPLEX): {
        "ek80-cut-inside-complex-samples": _cut(_raw3(7), 60_000, "RAW3", "7 pings before"),
        "ek80-one-byte-short": _cut(_raw3(-1), -1, "9 pings before"),
        "ek80-zeros-over-a-ping-and-its-parameters": _fill(_nth("XML0", 10), 50, 79_950),
        "ek80-a-lost-block-inside-complex-samples": _lost_block(_raw3(4), 20_000, 8192),
    },
    ("AZFP", AZFP): {
        "azfp-cut-inside-a-header": _cut(_azfp(3), 60, "header", "3 pings before"),
        "azfp-cut-inside-the-counts": _cut(_azfp(5), 9000, "5 pings before"),
        "azfp-one-byte-short": _cut(_azfp(9), -1),
        "azfp-cut-inside-the-first-ping": _kept(slice(1000), "truncated at byte 0"),
        "azfp-month-13": _patch(_azfp(2), 14, b"\x00\x0d", "date", "2015-13-05"),
        "azfp-flag-broken": _patch(_azfp(4), 0, b"\xfd\x03", "flag", "4 pings before", "5 after"),
        "azfp-zeros-over-20-kilobytes": _fill(_azfp(6), 8000, 20_000),
        "azfp-a-lost-kilobyte-inside-the-counts": _fill(
            _azfp(6), 1000, 1024, "zeros among the counts"
        ),
        "azfp-random-bytes-over-a-header": _fill(_azfp(7), 0, 124, seed=8),
        "azfp-more-bins-than-bytes": _patch(_azfp(3), 42, b"\x07\xd0"),
        "azfp-one-bin-less-than-counts": _patch(
            _azfp(3), 42, b"\x03\x45", "no ping's flag at the end"
        ),
        "azfp-bytes-missing-in-the-middle": _drop(
            _azfp(5), 3000, 12, "some of its bytes are missing"
        ),
        "azfp-bytes-missing-before-the-last-ping": _drop(
            _azfp(8), 200, 4, "some of its bytes are missing"
        ),
        "azfp-garbage-behind-the-end": _behind(b"garbage " * 40, "10 pings before"),
        "azfp-text": _other(b"AZFP deployment notes\n" * 100, "not an AZFP file"),
    },
    ("AZFP", "azfp/15100520-Test-Corrupt.01A"): {
        "azfp-as-found-broken": _whole(
            *_hole(AZFP_PING, "2015-13-05", f"hole at byte {6 * AZFP_PING}")
        ),
    },
    ("AZFP6", AZFP_XML): {
        "azfp6-cut-inside-a-ping": _azfp6(
            lambda whole, ping: (
                whole[: len(whole) - 2 * ping + 400],
                _truncated(len(whole) - 2 * ping, "3 pings before"),
            )
        ),
        "azfp6-one-byte-short": _azfp6(
            lambda whole, ping: (whole[:-1], _truncated(len(whole) - ping, "4 pings before"))
        ),
        "azfp6-zeros-over-an-end-flag": _azfp6(
            lambda whole, ping: (
                _filled(whole, len(whole) - 2 * ping - 8, len(whole) - 2 * ping - 4),
                _hole(len(whole) - 3 * ping, "end flag"),
            )
        ),
        "azfp6-settings-broken": _azfp6(
            lambda whole, _: (
                whole.replace(b"</AZFP>", b"</OOPS>", 1),
                ("settings XML is broken",),
            )
        ),
        "azfp6-text": _other(b"AZFP6 deployment notes\n" * 100, "not an AZFP6 file"),
    },
    ("AD2CP", AD2CP): {
        "ad2cp-cut-inside-a-header": _cut(_ad2cp(100), 5, "header", "100 pings before"),
        "ad2cp-cut-inside-the-data": _cut(_ad2cp(200), 100, "200 pings before"),
        "ad2cp-one-byte-short": lambda content: (
            content[:-1],
            _truncated(len(content) - AD2CP_PING, "419 pings before"),
        ),
        "ad2cp-header-checksum-wrong": _flip(
            _ad2cp(30), 8, "checksum of the record's header", size=1, mask=1
        ),
        "ad2cp-data-checksum-wrong": _flip(
            _ad2cp(40), 150, "checksum of the record's data", size=1, mask=0x10
        ),
        "ad2cp-zeros-over-a-kilobyte": _fill(_ad2cp(60), 20, 1024, "60 pings before", "356 after"),
        "ad2cp-random-bytes-over-10-kilobytes": _fill(
            _ad2cp(70), 0, 10_000, "70 pings before", seed=9
        ),
        "ad2cp-configuration-alone": _kept(slice(AD2CP_FIRST_PING), "no pings"),
        "ad2cp-configuration-missing": _kept(
            slice(AD2CP_FIRST_PING, None), "configuration", "lost"
        ),
        "ad2cp-garbage-behind-the-end": _behind(b"\x00" * 300, "420 pings before"),
    },
}
# Its bytes are those of a shorter recording, or whole.
_COMPLETED: dict[tuple[str, str], dict[str, Make]] = {
    ("EK60", EK60): {
        "ek60-cut-between-datagrams": _up_to(_raw0(71)),
        "ek60-power-becomes-power-and-angle": _power_without_angles,
        "ek60-annotation-added": _insert(_nth("NME0", 5), b"TAG0", b"trawl in\x00\x00\x00\x00"),
    },
    ("AZFP", AZFP): {"azfp-cut-between-pings": _kept(slice(6 * AZFP_PING))},
    ("AD2CP", AD2CP): {
        "ad2cp-cut-between-records": _kept(slice(AD2CP_FIRST_PING + 50 * AD2CP_PING))
    },
}
_UNSUPPORTED: dict[tuple[str, str], dict[str, Make]] = {
    ("EK60", EK60): {
        "ek60-datagram-of-an-unknown-type": _insert(
            _nth("NME0", 5), b"XYZ7", b"12345678", "XYZ7", "byte {at}"
        ),
        "ek60-ping-datagram-of-another-version": _insert(_raw0(5), b"RAW1", bytes(200), "RAW1"),
        "ek60-two-transceivers-with-one-channel-id": _one_channel_id,
    },
    ("EK80", EK80): {"ek80-parameters-missing": _parameters_missing},
    ("AZFP", AZFP): {
        "azfp-gain-changes": lambda content: (
            _patch(_azfp(8), 79, b"\x01")(content)[0],
            ("ping 9", "gain"),
        ),
    },
    ("AZFP", "azfp/15100520-Test-Var_Chans.01A"): {
        # Of its ten pings, the first two have other bins than the rest.
        "azfp-bins-change-between-pings": _whole("ping 1", "number of bins", "837", "838"),
    },
    ("AD2CP", AD2CP): {
        "ad2cp-record-of-an-unknown-id": _unknown_record("<BBBBHH", 10, 16),
        "ad2cp-record-of-an-unknown-id-with-the-longer-header": _unknown_record("<BBBBIH", 12, 16),
    },
}
# The model of the file, and the declared one.
_WRONG_MODEL = {
    ("EK60", EK60): ("EK80", "AZFP", "EA640"),
    ("EK80", EK80): ("EK60", "AD2CP", "ES70"),
    ("AZFP", AZFP): ("EK60", "AZFP6"),
    ("AD2CP", AD2CP): ("EK80",),
    ("AZFP6", AZFP_XML): ("AZFP",),
}


def _damaged_files() -> Iterator[DamagedFile]:
    outcomes: dict[Outcome, dict[tuple[str, str], dict[str, Make]]] = {
        "BadFile": _BAD,
        "Completed": _COMPLETED,
        "UnsupportedDatagram": _UNSUPPORTED,
    }
    for outcome, cases in outcomes.items():
        for (model, source), makes in cases.items():
            for name, make in makes.items():
                yield DamagedFile(name, model, source, outcome, make)
    for (model, source), others in _WRONG_MODEL.items():
        for declared in others:
            says = (f"declared as {declared}", model)
            make = _azfp6_whole(*says) if model == "AZFP6" else _whole(*says)
            name = f"{model.lower()}-declared-as-{declared.lower()}"
            yield DamagedFile(name, declared, source, "WrongModel", make)


DAMAGED_FILES = list(_damaged_files())

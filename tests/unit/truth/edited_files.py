"""Real Simrad files with seeded edits of the kinds that fleets produce; every datagram stays whole.

The edits and the account of what a file holds read the bytes themselves, and share no code with the
walk or the repairs.
"""

from __future__ import annotations

import random
import re
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.damaged_files import datagram_bytes, simrad_datagrams

PINGS = {b"RAW0", b"RAW3"}
# A file without these holds no ping that can be placed in water or time.
_NEEDED = re.compile(rb"^(ChannelID|SampleInterval|encoding|version)$")
_ATTRIBUTE = re.compile(rb' ([A-Za-z0-9]+)="([^"]*)"')


@dataclass(frozen=True)
class Datagram:
    """A datagram: type, time (NT FILETIME) and body."""

    type: bytes
    ticks: int
    body: bytes

    @property
    def channel(self) -> bytes:
        """What names a ping's channel in its body."""
        return self.body[:2] if self.type == b"RAW0" else self.body[:128]

    @property
    def count_at(self) -> int:
        """Offset of the number of samples in the body of a ping."""
        return 68 if self.type == b"RAW0" else 136

    @property
    def header(self) -> int:
        """Bytes of the body before its samples."""
        return self.count_at + 4

    @property
    def kind(self) -> int:
        """The kind of samples as in RAW3's data type."""
        at = 2 if self.type == b"RAW0" else 128
        number = int(struct.unpack_from("<h", self.body, at)[0])
        return number & 3 if self.type == b"RAW0" else number

    def with_kind(self, kind: int) -> Datagram:
        """The ping with another kind in its header."""
        at = 2 if self.type == b"RAW0" else 128
        return replace(self, body=self.body[:at] + struct.pack("<h", kind) + self.body[at + 2 :])

    @property
    def count(self) -> int:
        """The number of samples."""
        return int(struct.unpack_from("<i", self.body, self.count_at)[0])

    def is_xml(self, root: bytes) -> bool:
        """Whether it is an XML with this root."""
        return self.type == b"XML0" and b"<" + root in self.body


File = list[Datagram]
Edit = Callable[[random.Random, File], File]


def datagrams_of(content: bytes) -> File:
    """The datagrams of a file."""
    return [
        Datagram(
            content[d.start + 4 : d.start + 8],
            struct.unpack_from("<Q", content, d.start + 8)[0],
            content[d.start + 16 : d.end - 4],
        )
        for d in simrad_datagrams(content)
    ]


def content_of(file: File) -> bytes:
    """The bytes of a file."""
    return b"".join(datagram_bytes(d.type, d.body, d.ticks) for d in file)


def pings_of(file: File) -> Counter[tuple[bytes, int, bytes]]:
    """The different pings of a file: channel, time and body, with their number."""
    return Counter((d.channel, d.ticks, d.body) for d in file if d.type in PINGS)


def _some(rng: random.Random, file: File, wanted: Callable[[Datagram], bool]) -> set[int]:
    rows = [row for row, d in enumerate(file) if wanted(d)]
    return set(rng.sample(rows, rng.randint(1, len(rows)))) if rows else set()


def _is_ping(datagram: Datagram) -> bool:
    return datagram.type in PINGS


def drop_a_type(rng: random.Random, file: File) -> File:
    """Without all or some datagrams of a type that is not a ping's."""
    kinds: list[Callable[[Datagram], bool]] = [
        lambda d: d.is_xml(b"Environment"),
        lambda d: d.type == b"FIL1",
        lambda d: d.type == b"NME0",
        lambda d: d.type == b"MRU0",
    ]
    kind = rng.choice(kinds)
    gone = (
        _some(rng, file, kind) if rng.random() < 0.5 else {n for n, d in enumerate(file) if kind(d)}
    )
    return [d for n, d in enumerate(file) if n not in gone]


def change_attributes(rng: random.Random, file: File) -> File:
    """Attributes of an XML that are missing, empty, with a decimal comma, or floats."""
    roots = [
        r for r in (b"Configuration", b"Environment", b"Parameter") for d in file if d.is_xml(r)
    ]
    if not roots:
        return file
    root = rng.choice(roots)
    rows = _some(rng, file, lambda d: d.is_xml(root))
    names = {m[1] for row in rows for m in _ATTRIBUTE.finditer(file[row].body)}
    chosen = rng.choice(sorted(name for name in names if not _NEEDED.match(name)))
    how = rng.choice(["missing", "empty", "comma", "float"])

    def changed(match: re.Match[bytes]) -> bytes:
        if match[1] != chosen or rng.random() < 0.3:
            return match[0]
        value = match[2]
        if how == "missing":
            return b""
        if how == "comma":
            value = value.replace(b".", b",")
        if how == "float" and value.isdigit():
            value += rng.choice([b".0", b".5"])
        return b' %s="%s"' % (chosen, b"" if how == "empty" else value)

    return [
        replace(d, body=_ATTRIBUTE.sub(changed, d.body)) if row in rows else d
        for row, d in enumerate(file)
    ]


def repeat_pings(rng: random.Random, file: File) -> File:
    """Pings that are written twice, byte for byte."""
    rows = _some(rng, file, _is_ping)
    return [d for row, one in enumerate(file) for d in ([one, one] if row in rows else [one])]


def share_a_time(rng: random.Random, file: File) -> File:
    """Pings with the time of the ping of their channel before them."""
    last: dict[bytes, int] = {}
    made = []
    for d in file:
        one = d
        if _is_ping(d):
            if d.channel in last and rng.random() < 0.3:
                one = replace(d, ticks=last[d.channel])
            last[d.channel] = one.ticks
        made.append(one)
    return made


def empty_pings(rng: random.Random, file: File) -> File:
    """Pings without samples, of some or all pings of a channel."""
    channels = sorted({d.channel for d in file if _is_ping(d)})
    channel = rng.choice(channels)
    rows = _some(rng, file, lambda d: _is_ping(d) and d.channel == channel)
    if rng.random() < 0.3:
        rows = {n for n, d in enumerate(file) if _is_ping(d) and d.channel == channel}
    no_kind = rng.random() < 0.5
    made = []
    for row, d in enumerate(file):
        one = d
        if row in rows:
            one = replace(d, body=d.body[: d.count_at] + bytes(4))
            one = one.with_kind(0) if no_kind else one
        made.append(one)
    return made


def change_kinds(rng: random.Random, file: File) -> File:
    """Pings with fewer parts of the samples than others of their channel, or float16."""
    rows = _some(rng, file, lambda d: _is_ping(d) and d.count > 0)
    made = []
    for row, d in enumerate(file):
        one = d
        if row in rows and d.kind & 3 == 3:
            end = d.header + 2 * d.count
            keep_power = rng.random() < 0.7
            body = d.body[:end] if keep_power else d.body[: d.header] + d.body[end:]
            one = replace(d, body=body).with_kind(1 if keep_power else 2)
        elif row in rows and d.kind >> 8 and d.kind & 8:
            numbers = struct.unpack_from(f"<{2 * d.count * (d.kind >> 8)}f", d.body, d.header)
            if rng.random() < 0.5:
                small = [max(min(x, 6e4), -6e4) for x in numbers]
                body = d.body[: d.header] + struct.pack(f"<{len(small)}e", *small)
                one = replace(d, body=body).with_kind(d.kind & ~8 | 4)
            else:
                power = bytes(2 * d.count)
                one = replace(d, body=d.body[: d.header] + power).with_kind(1)
        made.append(one)
    return made


def spare_bytes(rng: random.Random, file: File) -> File:
    """Bytes behind the samples."""
    extra = rng.randbytes(4 * rng.randint(1, 30))
    rows = _some(rng, file, lambda d: _is_ping(d) and d.count > 0)
    return [replace(d, body=d.body + extra) if r in rows else d for r, d in enumerate(file)]


def odd_spares(rng: random.Random, file: File) -> File:
    """Garbage in a ping's spare bytes."""
    rows = _some(rng, file, _is_ping)
    made = []
    for row, d in enumerate(file):
        at, size = (58, 6) if d.type == b"RAW0" else (130, 2)
        garbage = bytes(rng.choice(b"\\x\xffNu\x00") for _ in range(size))
        made.append(
            replace(d, body=d.body[:at] + garbage + d.body[at + size :]) if row in rows else d
        )
    return made


def odd_sentences(rng: random.Random, file: File) -> File:
    """NMEA sentences and annotations that are not plain text; a sentence at the beginning."""
    texts = [b"$GPGGA,\x00,1", b"$GPXYZ,\xe5\xf8", "$GPTXT,Bergen Ø".encode(), b"", b"\xff" * 20]
    made = list(file)
    for _ in range(rng.randint(1, 5)):
        at = rng.randint(1, len(made))
        type_ = rng.choice([b"NME0", b"NME0", b"TAG0"])
        made.insert(at, Datagram(type_, made[at - 1].ticks, rng.choice(texts)))
    return made


def odd_names(rng: random.Random, file: File) -> File:
    """A channel with a name that is not ASCII (EK80), or with old text behind its end (EK60)."""
    if file[0].type == b"CON0":
        at = 516 + 320 * rng.randint(0, 1)
        name = file[0].body[at : at + 128]
        changed = name.rstrip(b"\x00") + b"\x00old text"
        body = file[0].body[:at] + changed.ljust(128, b"\x00") + file[0].body[at + 128 :]
        return [replace(file[0], body=body), *file[1:]]
    name = rng.choice(sorted({d.channel.rstrip(b"\x00") for d in file if _is_ping(d)}))
    other = rng.choice(
        [name + " Bå".encode(), name + " №".encode(), name + b" a\\b", b"GPT  38 kHz 00907 1 ES38"]
    )
    made = []
    for d in file:
        body = d.body
        if d.type == b"XML0":
            body = body.replace(b'ChannelID="%s"' % name, b'ChannelID="%s"' % other)
        elif d.type in {b"RAW3", b"RAW4"} and d.channel.rstrip(b"\x00") == name:
            body = other.ljust(128, b"\x00") + body[128:]
        elif d.type == b"FIL1" and body[4:132].rstrip(b"\x00") == name:
            body = body[:4] + other.ljust(128, b"\x00") + body[132:]
        made.append(replace(d, body=body))
    return made


def some_pulses(rng: random.Random, file: File) -> File:
    """Transmit pulses (RAW4) before some pings of EK80's format."""
    rows = _some(rng, file, lambda d: d.type == b"RAW3")
    made = []
    for row, d in enumerate(file):
        if row in rows:
            head = d.body[:128] + struct.pack("<h2sii", 1 << 8 | 8, b"", 0, 10)
            made.append(Datagram(b"RAW4", d.ticks, head + struct.pack("<20f", *range(20))))
        made.append(d)
    return made


def clock_back(rng: random.Random, file: File) -> File:
    """A clock that is set back by an hour."""
    at = rng.randint(1, len(file) - 1)
    return [
        replace(d, ticks=d.ticks - 36_000_000_000) if n >= at else d for n, d in enumerate(file)
    ]


EDITS: tuple[Edit, ...] = (
    drop_a_type,
    change_attributes,
    change_attributes,
    change_attributes,
    repeat_pings,
    share_a_time,
    empty_pings,
    change_kinds,
    spare_bytes,
    odd_spares,
    odd_sentences,
    odd_names,
    some_pulses,
    clock_back,
)


def edited(seed: int, content: bytes) -> tuple[File, list[str]]:
    """A file with one to three edits, and their names."""
    rng = random.Random(seed)
    file = datagrams_of(content)
    # The first edit goes through the table, so that every kind occurs.
    edits = [EDITS[seed % len(EDITS)], *rng.sample(EDITS, rng.randint(0, 2))]
    for edit in edits:
        file = edit(rng, file)
    return file, [edit.__name__ for edit in edits]

"""Sample datagrams (RAW0, RAW3, RAW4) with fewer samples, or as echopype can read them.

echopype stores all pings of a channel in one array, so each must have every part of the
samples (power, angles, complex) that another ping of the channel has, and at least one
sample. What a ping lacks is filled with zeros here; the output has NaN there, because its
samples are read from the raw file (`flows.rawfile.samples`).
"""

from __future__ import annotations

import functools
import struct
from typing import NamedTuple

import numpy as np

from flows.rawfile.reading import read_exactly
from flows.walk.sample_index import (
    ANGLE,
    FLOAT16,
    FLOAT32,
    POWER,
    SECTORS_SHIFT,
    Int64s,
    SampleIndex,
)

# Offsets in a datagram with its leading length: time, kind of samples (RAW0's mode, RAW3's data
# type), spare bytes, channel.
_TIME = 8
_KIND = {88: 18, 156: 144}
_SPARE = {88: slice(74, 80), 156: slice(146, 148)}
CHANNEL = slice(16, 144)
# RAW0's mode and transmit mode: variable -> offset, and the bits that echopype needs.
_MODES = {"data_type": (18, POWER | ANGLE), "channel_mode": (72, 0)}
_RAW3_HEADER = 156

_int32 = struct.Struct("<i")
_kind = struct.Struct("<h")
_time = struct.Struct("<Q")


class Cut(NamedTuple):
    """How a sample datagram is written: `kept` of its `number` samples, with the kind `written`.

    `kind` and `written` have the bits of `SampleIndex`. `shift` are ticks to add to its time.
    `lacks_pulse` is 1 if other pings of its channel have a transmit pulse, and this one has none.
    """

    offset: int
    end: int
    number: int
    kind: int
    kept: int
    written: int
    shift: int = 0
    channel: str = ""
    lacks_pulse: int = 0


def written_kinds(index: SampleIndex) -> Int64s:
    """The kind of samples that each ping gets in a file for echopype (int64, one per ping).

    All pings of a channel get the same: all parts that one of them has, with float32.
    """
    written = index.kind.copy()
    for number in np.unique(index.channel).tolist():
        own = index.channel == number
        parts = int(np.bitwise_or.reduce(index.kind[own] & (POWER | ANGLE)))
        sectors = int(index.sectors[own].max())
        if parts or not sectors:
            # echopype reads angles only beside power.
            parts |= POWER
        same = parts | (sectors << SECTORS_SHIFT | FLOAT32 if sectors else 0)
        written[own] = same
    return written


def rebuilt(fd: int, cut: Cut, header: int) -> bytes:
    """The datagram as `cut` says, with its leading and trailing length.

    `header`: bytes from its beginning to its first sample. OSError: the file ends before that.
    """
    head = bytearray(read_exactly(fd, header, cut.offset))
    body = b"".join(_parts(fd, cut, header))
    length = header - 4 + len(body)
    _int32.pack_into(head, 0, length)
    _int32.pack_into(head, header - 4, cut.kept)
    if cut.written != cut.kind or not cut.number:
        # RAW0's mode is only the bits of power and angles; other bits of it stay.
        at = _KIND[header]
        kept = _kind.unpack_from(head, at)[0] & ~3 if header != _RAW3_HEADER else 0
        _kind.pack_into(head, at, kept | cut.written)
    if cut.shift:
        _time.pack_into(head, _TIME, _time.unpack_from(head, _TIME)[0] + cut.shift)
    return bytes(head) + body + _int32.pack(length)


def _parts(fd: int, cut: Cut, header: int) -> list[bytes]:
    own = dict(_layout(cut.kind))
    at = cut.offset + header
    places = {}
    for part, size in own.items():
        places[part] = at
        at += size * cut.number
    there = min(cut.kept, cut.number)
    parts = []
    for part, size in _layout(cut.written):
        held = own.get(part, 0)
        body = read_exactly(fd, there * held, places[part]) if held else b""
        if part == "complex" and held:
            body = _as_float32(body, cut.kind, cut.written)
        parts.append(body.ljust(size * cut.kept, b"\x00"))
    return parts


def repair_of_samples(cut: Cut) -> str | None:
    """What is repaired in the samples of a ping, if anything."""
    if not cut.number:
        return "a ping has no samples: NaN"
    if cut.kind & 3 != cut.written & 3 or cut.kind >> 8 != cut.written >> 8:
        return "a ping has other kinds of samples than others of its channel"
    if cut.kind & FLOAT16 and cut.kind >> 8 and not cut.kind & FLOAT32:
        return "complex samples of float16, which echopype misreads, are float32"
    return None


@functools.lru_cache(256)
def _layout(kind: int) -> tuple[tuple[str, int], ...]:
    """Each part of the samples with its bytes per sample, in the order of the file."""
    found = tuple((part, 2) for part, flag in (("power", POWER), ("angle", ANGLE)) if kind & flag)
    sectors = kind >> SECTORS_SHIFT
    return (*found, ("complex", sectors * (8 if kind & FLOAT32 else 4))) if sectors else found


def _as_float32(body: bytes, kind: int, written: int) -> bytes:
    """Complex samples as float32, with sectors of zeros if others of the channel have more."""
    sectors, wanted = kind >> SECTORS_SHIFT, written >> SECTORS_SHIFT
    numbers = np.frombuffer(body, "<f4" if kind & FLOAT32 else "<f2").reshape(-1, sectors, 2)
    padded = np.zeros((len(numbers), wanted, 2), "<f4")
    padded[:, :sectors] = numbers
    return padded.tobytes()


def pulse_of_zeros(head: bytes) -> bytes:
    """A transmit pulse (RAW4) of one sample of zero, before the ping with this head."""
    body = b"RAW4" + head[8:144] + struct.pack("<h2sii", 1 << SECTORS_SHIFT | FLOAT32, b"", 0, 1)
    length = len(body) + 8
    return _int32.pack(length) + body + bytes(8) + _int32.pack(length)


def readable(datagram: bytes, header: int, channel: bytes | None) -> tuple[bytes, list[str]]:
    """A sample datagram whose text echopype can decode, and a sentence for each repair.

    echopype reads the spare bytes and the channel as text with escape sequences. `header`: bytes
    before its first sample; `channel`: the channel's name to write, None to keep it.
    """
    notes = []
    changed = bytearray(datagram)
    spare = _SPARE[header]
    if not _is_decodable(datagram[spare]):
        changed[spare] = bytes(spare.stop - spare.start)
        notes.append("spare bytes of a ping that echopype cannot decode are left out")
    if channel is not None and datagram[CHANNEL].rstrip(b"\x00") != channel:
        changed[CHANNEL] = channel.ljust(CHANNEL.stop - CHANNEL.start, b"\x00")
    return (bytes(changed) if changed != datagram else datagram), notes


def modes_in_a_byte(ping: bytes) -> tuple[bytes, dict[str, float]]:
    """A RAW0 whose modes fit into a byte, as which echopype stores them.

    Also returns, by variable of the output, the modes that do not fit.
    """
    changed, modes = bytearray(ping), {}
    for name, (at, kept) in _MODES.items():
        (mode,) = _kind.unpack_from(ping, at)
        if not -128 <= mode < 128:
            modes[name] = float(mode)
            _kind.pack_into(changed, at, mode & kept)
    return bytes(changed), modes


def _is_decodable(field: bytes) -> bool:
    try:
        field.decode("unicode_escape")
    except UnicodeDecodeError:
        return False
    return True

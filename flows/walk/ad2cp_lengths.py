"""Which AD2CP records echopype misreads, from each record's own header.

echopype 0.11.1 computes a record's length from its fields and ignores the length that the
record's header gives. Where the two differ it reads beyond the record or stops inside it,
and fails. Sizes are those of its tables in `parse_ad2cp.py`
(`BURST_AVERAGE_VERSION3_DATA_RECORD_FORMAT` and others); a test compares them. The tables
lack fields of Nortek's Integrator's Guide: the status behind an altimeter's quality, the 32
bits of the number of raw altimeter samples, the velocities of altimeter records, and the
AHRS data of bottom tracks.
"""

from __future__ import annotations

import functools
import struct
from typing import Final

from flows.walk.record_index import BOTTOM_TRACK, RAW, RAW_TRANSMIT, STRING

_FIXED: Final = 76
_FIXED_BOTTOM_TRACK: Final = 78
_FIXED_RAW: Final = 240
# Records whose velocity, amplitude and correlation echopype reads.
_WITH_CELLS: Final = {0x15, 0x16, 0x18, 0x1C}
# Bits of the configuration, and the bytes of what they include.
_VELOCITY, _AMPLITUDE, _CORRELATION = 5, 6, 7
_RAW_ALTIMETER, _ECHOSOUNDER, _PERCENTAGE_GOOD = 9, 11, 13
_ALTIMETER, _AST, _AHRS, _STANDARD_DEVIATION = (8, 6), (10, 20), (12, 64), (14, 32)
_BOTTOM_TRACK_BITS: Final = ((5, 4), (8, 4), (9, 2))

_uint16 = struct.Struct("<H").unpack_from
_uint32 = struct.Struct("<I").unpack_from


def misreading(  # noqa: PLR0911 - one return for each cause
    id_: int, data: bytes, header: int, *, after_raw: bool = False
) -> str | None:
    """Why echopype misreads this record, None if it reads the record right.

    `id_` is one of `flows.walk.ad2cp.KINDS`, `header` the size of its header in bytes. `after_raw`:
    whether the record before it, which echopype reads, is of a raw echosounder.
    """
    if header != (12 if id_ in {RAW, RAW_TRANSMIT} else 10):
        return f"echopype expects another size of its header than {header} bytes"
    if id_ == STRING:
        try:
            data[1:].decode()
        except UnicodeDecodeError:
            return "echopype reads only UTF-8 text"
        return None if data else "echopype expects a byte before the text"
    if id_ not in {RAW, RAW_TRANSMIT} | BOTTOM_TRACK:
        if data[:1] == b"\x02":
            return "echopype fails on version 2 of the record"
        if after_raw and data[54:56] == bytes(2):
            # It takes the raw echosounder's beam from the next record.
            return "echopype fails on a record without beams behind a raw echosounder's"
    length = parsed_length(id_, data)
    size = header + len(data)
    if length < len(data):
        return f"echopype reads {header + length} of the {size} bytes of a record"
    if length > len(data):
        return f"echopype reads {header + length} bytes for the {size} of a record"
    return None


def parsed_length(id_: int, data: bytes) -> int:
    """How many bytes of data echopype reads for a record that is not a string.

    If the record ends before a field that determines the length, the result is only some
    number larger than the record.
    """
    if id_ in {RAW, RAW_TRANSMIT}:
        # Pairs of int32.
        return _FIXED_RAW + (8 * int(_uint32(data, 20)[0]) if len(data) >= _FIXED_RAW else 0)
    if id_ in BOTTOM_TRACK:
        if len(data) < _FIXED_BOTTOM_TRACK:
            return _FIXED_BOTTOM_TRACK
        included, beams = _uint16(data, 2)[0], _uint16(data, 30)[0] >> 12
        each = sum(size for bit, size in _BOTTOM_TRACK_BITS if included >> bit & 1)
        return _FIXED_BOTTOM_TRACK + int(beams) * each
    return _burst_or_average(id_, data) if len(data) >= _FIXED else _FIXED


def _burst_or_average(id_: int, data: bytes) -> int:
    included, number = int(_uint16(data, 2)[0]), int(_uint16(data, 30)[0])
    before, behind = _around_raw_altimeter(id_, included, number)
    if not included >> _RAW_ALTIMETER & 1:
        return before + behind
    samples = int(_uint16(data, before)[0]) if before + 2 <= len(data) else 0
    return before + 4 + 2 * samples + behind


@functools.lru_cache(256)
def _around_raw_altimeter(id_: int, included: int, number: int) -> tuple[int, int]:
    """Bytes before and behind the number, distance and samples of a raw altimeter.

    A file has few configurations, so they are not computed for each of its records.
    """

    def has(bit: int) -> int:
        return included >> bit & 1

    # With an echogram, the number of beams and cells is the number of its cells.
    beams, cells = (0, 0) if has(_ECHOSOUNDER) else (number >> 12, number & 0x3FF)
    before = _FIXED
    if id_ in _WITH_CELLS:
        before += beams * cells * (2 * has(_VELOCITY) + has(_AMPLITUDE) + has(_CORRELATION))
    before += sum(size * has(bit) for bit, size in (_ALTIMETER, _AST))
    behind = sum(size * has(bit) for bit, size in (_AHRS, _STANDARD_DEVIATION))
    return before, behind + 2 * number * has(_ECHOSOUNDER) + cells * has(_PERCENTAGE_GOOD)

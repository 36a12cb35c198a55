"""Faster versions of a few functions of echopype's Simrad parser, with the same results.

A skeleton has few samples, so most of the time goes into the frames and headers of its
datagrams.
"""

from __future__ import annotations

import functools
import importlib
import io
import struct
from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace
from typing import Any, TextIO

import numpy as np

_int32 = struct.Struct("<i").unpack
_times = struct.Struct("<2L").unpack_from

# Bytes of a length, of type and time, and of an untimed datagram's time.
_LENGTH, _SHORTEST, _NO_TIME = 4, 16, bytes(8)
# Bytes before the text of an NMEA datagram.
_SENTENCES = {b"NME0": 12, b"NME1": 44}
# Methods of the base of echopype's datagram parsers whose results depend on the arguments alone.
_PURE = ("header_fmt", "header_size", "header_fields", "validate_data_header")


def speed_up_parser() -> None:
    """Replace the slow functions in echopype's modules; called once, after its import."""
    parsers: Any = importlib.import_module("echopype.convert.utils.ek_raw_parsers")
    parsers.camelcase2snakecase = functools.cache(parsers.camelcase2snakecase)
    base = parsers._SimradDatagramParser  # noqa: SLF001 - echopype has no public way
    for name in _PURE:
        setattr(base, name, functools.lru_cache(256)(getattr(base, name)))
    nt_to_unix = importlib.import_module("echopype.convert.utils.ek_date_conversion").nt_to_unix
    reader: Any = importlib.import_module("echopype.convert.utils.ek_raw_io").RawSimradFile
    reader._read_next_dgram = with_two_reads(reader._read_next_dgram, nt_to_unix)  # noqa: SLF001
    parser: Any = importlib.import_module("echopype.convert.parse_base").ParseEK
    parser._read_datagrams = with_sentences(parser._read_datagrams)  # noqa: SLF001
    groups: Any = importlib.import_module("echopype.convert.set_groups_ad2cp")
    groups.yaml = SimpleNamespace(safe_load=parsed_once(groups.yaml.safe_load))


def parsed_once(slow: Callable[[str], Any]) -> Callable[[TextIO], Any]:
    """A reader of a file that parses each text once.

    echopype parses AD2CP's table of fields, which it does not change, for each file: 0.05 s.
    """
    parsed = functools.cache(slow)
    return lambda file: parsed(file.read())


def with_sentences(slow: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """The method `slow` of echopype's parser, whose file adds the NMEA sentences to its lists.

    A file may have several times more of them than pings.
    """

    def read_datagrams(parser: Any, file: Any) -> None:  # noqa: ANN401 - echopype ships no types
        file.sentences = parser.nmea
        slow(parser, file)

    return read_datagrams


def with_two_reads(
    slow: Callable[[Any], Any], nt_to_unix: Callable[[tuple[int, int]], datetime]
) -> Callable[[Any], Any]:
    """The method `slow` of echopype's raw file, with two reads for a datagram instead of five.

    Whatever is not a whole datagram with a time is left to `slow`. While echopype's parser
    reads, NMEA sentences go into its lists, and the next other datagram is returned.
    """
    # `file.read` would count datagrams.
    read = io.BufferedReader.read

    def read_next(file: Any) -> Any:  # noqa: ANN401 - echopype ships no types
        lists: Any = getattr(file, "sentences", None)
        while (datagram := read_whole(file)) is not None:
            start = _SENTENCES.get(datagram[:4], len(datagram) + 1)
            is_sentence = lists is not None and start <= len(datagram)
            if is_sentence:
                time = nt_to_unix(_times(datagram, 4)).replace(tzinfo=None)
                lists["timestamp"].append(np.datetime64(time, "ns"))
                text = datagram[start:].strip(b"\x00")
                lists["nmea_string"].append(str(text, "ascii", errors="replace"))
            elif not file._return_raw:  # noqa: SLF001 - as in `slow`
                datagram = file._convert_raw_datagram(datagram, len(datagram) + 20)  # noqa: SLF001
            file._current_dgram_offset += 1  # noqa: SLF001
            if not is_sentence:
                return datagram
        return slow(file)

    def read_whole(file: Any) -> bytes | None:  # noqa: ANN401 - as above
        """The next datagram; None, and nothing is read, if it is not whole or has no time."""
        length = read(file, _LENGTH)
        size = _int32(length)[0] if len(length) == _LENGTH else 0
        rest = read(file, size + _LENGTH) if size >= _SHORTEST else b""
        if len(rest) != size + _LENGTH or rest[-4:] != length or rest[4:12] == _NO_TIME:
            io.BufferedReader.seek(file, -len(length) - len(rest), io.SEEK_CUR)
            return None
        return rest[:size]

    return read_next

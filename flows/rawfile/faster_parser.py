"""Faster versions of a few functions of echopype's conversion, with the same results.

A skeleton has few samples, so most of the time goes into the frames and headers of its
datagrams, and into xarray's work on small groups.
"""

from __future__ import annotations

import functools
import importlib
import io
import struct
from collections.abc import Callable, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any, TextIO

import numpy as np

from flows.rawfile.collected_datagrams import CollectedDatagrams

_int32 = struct.Struct("<i").unpack
_times = struct.Struct("<2L").unpack_from

# Bytes of a length, of type and time, and of an untimed datagram's time.
_LENGTH, _SHORTEST, _NO_TIME = 4, 16, bytes(8)
# The stages of an EK80's filters, as echopype names them.
_STAGES = {1: "WBT", 2: "PC"}
# Methods of the base of echopype's datagram parsers whose results depend on the arguments alone.
_PURE = ("header_fmt", "header_size", "header_fields", "validate_data_header")


def speed_up_parser() -> None:
    """Replace the slow functions in echopype's modules; called once, after its import."""
    parsers: Any = importlib.import_module("echopype.convert.utils.ek_raw_parsers")
    parsers.camelcase2snakecase = functools.cache(parsers.camelcase2snakecase)
    base = parsers._SimradDatagramParser  # noqa: SLF001 - echopype has no public way
    for name in _PURE:
        setattr(base, name, functools.lru_cache(256)(getattr(base, name)))
    xml = parsers.SimradXMLParser
    xml._unpack_contents = with_known_parameters(xml._unpack_contents, parsers.nt_to_unix)  # noqa: SLF001
    reader: Any = importlib.import_module("echopype.convert.utils.ek_raw_io").RawSimradFile
    reader._read_next_dgram = with_two_reads(reader._read_next_dgram)  # noqa: SLF001
    parser: Any = importlib.import_module("echopype.convert.parse_base").ParseEK
    pings = parsers.SimradRawParser().header(0)
    parser._read_datagrams = with_columns(parser._read_datagrams, pings)  # noqa: SLF001
    coding: Any = importlib.import_module("echopype.utils.coding")
    coding._encode_time_dataarray = with_plain_times(coding._encode_time_dataarray)  # noqa: SLF001
    ek80: Any = importlib.import_module("echopype.convert.set_groups_ek80").SetGroupsEK80
    ek80._add_filter_params = with_filters_filled_in(ek80._add_filter_params)  # noqa: SLF001
    groups: Any = importlib.import_module("echopype.convert.set_groups_ad2cp")
    groups.yaml = SimpleNamespace(safe_load=parsed_once(groups.yaml.safe_load))


def parsed_once(slow: Callable[[str], Any]) -> Callable[[TextIO], Any]:
    """A reader of a file that parses each text once.

    echopype parses AD2CP's table of fields, which it does not change, for each file: 0.05 s.
    """
    parsed = functools.cache(slow)
    return lambda file: parsed(file.read())


def with_known_parameters(
    slow: Callable[..., dict[str, Any]], nt_to_unix: Callable[[tuple[int, int]], datetime]
) -> Callable[[Any, bytes, int, int], dict[str, Any]]:
    """The method `slow` of echopype's XML parser, which parses equal parameters once.

    Each ping has its channel's parameters, mostly the same text. echopype only reads them.
    """

    @functools.lru_cache(256)
    def parsed(parser: Any, datagram: bytes, version: int) -> dict[str, Any]:  # noqa: ANN401 - echopype ships no types
        return slow(parser, datagram, 0, version)

    def unpack(parser: Any, datagram: bytes, size: int, version: int) -> dict[str, Any]:  # noqa: ANN401 - as above
        if b"<Parameter" not in datagram:
            return slow(parser, datagram, size, version)
        found = parsed(parser, datagram[:4] + _NO_TIME + datagram[12:], version)
        if found.get("subtype") != "parameter":
            # It has the word in another place. echopype changes what these return.
            return slow(parser, datagram, size, version)
        low, high = _times(datagram, 4)
        own = {"timestamp": nt_to_unix((low, high)), "bytes_read": size}
        return {**found, "low_date": low, "high_date": high, **own}

    return unpack


def with_columns(
    slow: Callable[[Any, Any], None], pings: Sequence[tuple[str, str]]
) -> Callable[[Any, Any], None]:
    """The method `slow` of echopype's parser, whose file collects most datagrams by itself.

    `pings` are the fields of a RAW0 datagram.
    """

    def read_datagrams(parser: Any, file: Any) -> None:  # noqa: ANN401 - echopype ships no types
        collected = CollectedDatagrams(parser, pings)
        file.collected = collected
        slow(parser, file)

    return read_datagrams


def with_two_reads(slow: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The method `slow` of echopype's raw file, with two reads for a datagram instead of five.

    Whatever is not a whole datagram with a time is left to `slow`. While echopype's parser
    reads, the next datagram that is not collected for it is returned.
    """
    # `file.read` would count datagrams.
    read = io.BufferedReader.read

    def read_next(file: Any) -> Any:  # noqa: ANN401 - echopype ships no types
        collected: CollectedDatagrams | None = getattr(file, "collected", None)
        while (datagram := read_whole(file)) is not None:
            is_taken = collected is not None and collected.take(datagram)
            if not is_taken and not file._return_raw:  # noqa: SLF001 - as in `slow`
                datagram = file._convert_raw_datagram(datagram, len(datagram) + 20)  # noqa: SLF001
            file._current_dgram_offset += 1  # noqa: SLF001
            if not is_taken:
                return datagram
        if collected is not None:
            # Also at the file's end; what `slow` reads comes after it.
            collected.add()
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


def with_plain_times(slow: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function `slow` of echopype, which encodes times as integers and decodes them.

    That changes no nanoseconds, and takes milliseconds for each of the many variables.
    """

    def encoded_and_decoded(times: Any) -> Any:  # noqa: ANN401 - echopype ships no types
        if times.dtype == np.dtype("datetime64[ns]") and not np.isnat(times).any():
            return times.copy()
        return slow(times)

    return encoded_and_decoded


class _EmptyFilters(dict[Any, Any]):
    """The filters of a file for a method that finds out their lengths, and then sets none."""

    def get(self, key: Any, default: Any = None) -> Any:  # noqa: ANN401 - echopype ships no types
        return None if default is None else super().get(key, default)


def with_filters_filled_in(slow: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The method `slow` of echopype's EK80 groups, which adds filters to the vendor's group.

    `slow` only makes their variables: it would set each value by xarray's labels, 0.1 s for
    five channels.
    """

    def add_filters(groups: Any, vendor: Any) -> Any:  # noqa: ANN401 - as above
        filters = groups.parser_obj.fil
        # A file without filters lacks the list.
        groups.parser_obj.fil = _EmptyFilters(filters, timestamp=filters["timestamp"])
        try:
            vendor = slow(groups, vendor)
        finally:
            groups.parser_obj.fil = filters
        channels = vendor["channel"].values.tolist()
        times = vendor["filter_time"].values
        for key in filters.keys() - {"timestamp"}:
            channel, stage, what, time = key
            if stage not in _STAGES or channel not in channels:
                continue
            place = channels.index(channel), int(np.searchsorted(times, time))
            if what == "deci_fac":
                vendor[f"{_STAGES[stage]}_deci_fac"].values[place] = filters[key]
                continue
            for part, of in (("real", np.real), ("imag", np.imag)):
                row = vendor[f"{_STAGES[stage]}_coeffs_{part}"].values[place]
                # As in `slow`: the imaginary part of what is missing is 0.
                row[:] = of(
                    np.pad(filters[key], (0, row.size - len(filters[key])), constant_values=np.nan)
                )
        return vendor

    return add_filters

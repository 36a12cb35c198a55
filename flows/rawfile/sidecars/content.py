"""Reads a `.bot` or `.idx`, and finds damage in it.

They are Simrad files: a configuration, then BOT0 or IDX0 datagrams. Layouts (Simrad EK80
interface description, as in echopype's `SimradBottomParser` and `SimradIDXParser`):
BOT0 is an int32 count and as many float64 depths in metres; IDX0 is a uint32 ping
number, float64 distance in nautical miles, latitude and longitude in degrees, and the
uint32 offset of the ping in the raw file.
"""

from __future__ import annotations

import os
import struct
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.stores.sidecars import DAMAGED, Kind
from flows.walk.simrad.ek60 import CONFIGURATION_LENGTH, TRANSCEIVER_LENGTH
from flows.walk.simrad.fields import is_dated, ticks_to_times
from flows.walk.simrad.framing import Datagram, Gap, datagrams
from flows.walk.simrad.walk import SHORTEST
from flows.walk.simrad.xml import read_xml
from flows.walk.summary import Times

TYPES: Mapping[Kind, bytes] = {"bot": b"BOT0", "idx": b"IDX0"}
_CONFIGURATIONS = {b"CON0", b"XML0"}
_HEAD = 12
# Offset of the number of transceivers in the body of a CON0.
_COUNT = 524
_int32 = struct.Struct("<i").unpack_from
INDEX = np.dtype(
    [
        ("ping_number", "<u4"),
        ("distance", "<f8"),
        ("latitude", "<f8"),
        ("longitude", "<f8"),
        ("file_offset", "<u4"),
    ]
)


class UnfitSidecarError(ValueError):
    """A sidecar is damaged, or has another `fault`; the text is the cause and its place."""

    def __init__(self, cause: str, fault: str = DAMAGED) -> None:
        super().__init__(cause)
        self.fault = fault


@dataclass(frozen=True)
class SidecarContent:
    """What a `.bot` or `.idx` holds.

    `channels` are those of its own configuration, in order. `times` and `values` have one row for each
    datagram: `bot` float64 by column, `idx` `INDEX`. `others` counts datagrams of other types, and those
    without a time. `column_channels`: of a `bot`, once its raw file is known.
    """

    kind: Kind
    channels: tuple[str, ...]
    times: Times
    values: NDArray[Any]
    others: Mapping[str, int]
    column_channels: tuple[str, ...] = ()

    @property
    def columns(self) -> int:
        """Columns of a `.bot`."""
        return int(self.values.shape[1]) if self.values.ndim > 1 else 0


def read_sidecar(path: Path, kind: Kind) -> SidecarContent:
    """Read a `.bot` or `.idx`.

    Raises:
        UnfitSidecarError: it is damaged.
        OSError: it cannot be read.
    """
    type_ = TYPES[kind]
    ticks: list[int] = []
    bodies: list[bytes] = []
    others: Counter[str] = Counter()
    with path.open("rb", buffering=0) as file:
        fd = file.fileno()
        size = os.fstat(fd).st_size
        if size == 0:
            raise UnfitSidecarError("it is empty (0 bytes)")
        for item in map(_whole, datagrams(fd, size)):
            if item.offset == 0:
                continue
            if item.type != type_:
                others[item.name] += 1
                continue
            body = _body(fd, item, kind)
            if item.ticks == 0:
                others[f"{item.name} without a time"] += 1
            elif not is_dated(item.ticks):
                raise UnfitSidecarError(f"the {item.name} at byte {item.offset} has no valid time")
            else:
                ticks.append(item.ticks)
                bodies.append(body)
        channels = _channels_in_order(fd)
    lengths = {len(body) for body in bodies}
    if len(lengths) > 1:
        fewest, most = min(lengths) // 8, max(lengths) // 8
        raise UnfitSidecarError(f"its {type_.decode()} have {fewest} to {most} channels")
    joined = b"".join(bodies)
    if kind == "idx":
        values: NDArray[Any] = np.frombuffer(joined, INDEX)
    else:
        columns = lengths.pop() // 8 if lengths else 0
        values = np.frombuffer(joined, "<f8").reshape(len(bodies), columns)
    times = ticks_to_times(np.asarray(ticks, dtype=np.int64))
    return SidecarContent(kind, channels, times, values, dict(others))


def _whole(item: Datagram | Gap) -> Datagram:
    if isinstance(item, Gap):
        raise UnfitSidecarError(
            f"it ends inside a datagram that begins at byte {item.start}"
            if item.cut
            else f"no whole datagram at bytes {item.start} to {item.end}"
        )
    if item.offset == 0 and item.type not in _CONFIGURATIONS:
        raise UnfitSidecarError(f"it begins with {item.name}, not with a configuration")
    if item.type.startswith(b"RAW"):
        raise UnfitSidecarError(f"it has pings: {item.name} at byte {item.offset}")
    return item


def _body(fd: int, item: Datagram, kind: Kind) -> bytes:
    """The depths of a BOT0, or the fields of an IDX0."""
    start = item.offset + 4 + _HEAD
    needed = SHORTEST[item.type] - _HEAD
    skipped = 0
    if kind == "bot" and item.length >= SHORTEST[item.type]:
        skipped = 4
        needed += 8 * max(_int32(item.head, 4 + _HEAD)[0], 0)
    if item.length < needed + _HEAD:
        raise UnfitSidecarError(
            f"the {item.name} at byte {item.offset} is shorter than its content"
        )
    return os.pread(fd, needed - skipped, start + skipped)


def plain(channel: str) -> str:
    """A channel's name without what follows a NUL, so that two readings of it are equal."""
    return channel.partition("\x00")[0].strip()


def _channels_in_order(fd: int) -> tuple[str, ...]:
    """The channels of the configuration that the file begins with; () if it cannot be read.

    EK60: the transceivers of CON0; EK80: the `Channel` elements of the configuration
    XML. Datagrams with a value for each channel, such as BOT0, follow this order.
    """
    head = os.pread(fd, 16, 0)
    if len(head) < 16:
        return ()
    length, type_ = _int32(head)[0], head[4:8]
    body = os.pread(fd, max(length, 0), 4)
    if type_ == b"CON0" and len(body) >= CONFIGURATION_LENGTH:
        count = _int32(body, _COUNT)[0]
        starts = [CONFIGURATION_LENGTH + n * TRANSCEIVER_LENGTH for n in range(max(count, 0))]
        names = [body[at : at + 128].decode("latin_1") for at in starts if at + 128 <= len(body)]
    elif type_ == b"XML0":
        try:
            root = read_xml(body[12:]).root
        except ET.ParseError:
            return ()
        names = [channel.get("ChannelID", "") for channel in root.iter("Channel")]
    else:
        return ()
    return tuple(name for name in map(plain, names) if name)

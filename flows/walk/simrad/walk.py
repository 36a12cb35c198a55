"""The common part of the walks over EK60 and EK80 files.

The walk checks what echopype relies on (its `ek_raw_parsers.py` and `parse_base.py`):
echopype reads a datagram that passes; on one that fails it raises, or it drops the
datagram silently.
"""

from __future__ import annotations

import os
import struct
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np

from flows.walk.account import MISDATED, UNTIMED, NotConverted, as_datetime, reasons
from flows.walk.simrad.fields import is_dated, ticks_to_times
from flows.walk.simrad.framing import Datagram, Gap, datagrams
from flows.walk.simrad.pings import SimradPings
from flows.walk.summary import Span
from flows.walk.tally import Tally

# Shortest possible length field (type and time included) of each type and
# version that echopype parses, whatever the sounder.
SHORTEST = {
    b"NME0": 12,
    b"NME1": 44,
    b"TAG0": 12,
    b"MRU0": 28,
    b"MRU1": 144,
    b"FIL1": 148,
    b"BOT0": 16,
    b"DEP0": 16,
    b"IDX0": 44,
}
# Bytes per element, and the offset in the datagram (with its leading length) of the number of
# elements: int16 for the filters, int32 for the others.
ELEMENTS = {b"FIL1": (8, 148, "<h"), b"BOT0": (8, 16, "<i"), b"DEP0": (12, 16, "<i")}


class Samples(NamedTuple):
    """A ping's description of its samples: flags, sectors of complex samples, number."""

    power: int
    angle: int
    sectors: int
    number: int


Handler = Callable[[Datagram], str | None]

# Why a field is not converted that the account does not know.
_UNKNOWN_FIELD = "echopype has no variable for it"
# A ping is as long as its samples; some sounders round it up to whole words.
_PADDING = 3
# Some sounders leave spare bytes behind the samples. If there are more, or if there are no samples,
# the number of samples is damaged.
_MOST_SPARE = 256


class SimradWalk(ABC):
    """One walk over a Simrad file: every byte is counted as whole or as lost.

    The handler of a datagram type keeps the datagram, or returns what is wrong with it.
    """

    # Bytes from the beginning of a ping's datagram to its first sample.
    header: ClassVar[int]
    # The account of the format, by its name.
    account: ClassVar[str]

    def __init__(self, fd: int, tally: Tally) -> None:
        self.fd = fd
        self.tally = tally
        self.pings = SimradPings()
        self.transmits: dict[str, Span] = {}  # RAW4 whose RAW3 did not come yet
        self.without_interval: list[int] = []  # rows of pings without a sample interval
        self._first_configuration: bytes | None = None
        self.broken = False  # something was lost before the current datagram
        self._held: dict[str, list[int]] = {}  # type -> times (NT ticks) of what is not converted
        self._spare = Counter[str]()  # bytes behind samples, and the pings that have them

    @abstractmethod
    def handlers(self) -> dict[bytes, Handler]:
        """The handlers of the format's own datagram types."""

    def walk(self) -> None:
        """Count every byte of the file."""
        handlers = self.handlers()
        tally = self.tally
        named = {type_.encode() for type_ in reasons(self.account)}
        counts: Counter[bytes] = Counter()
        for item in datagrams(self.fd, tally.size):
            if isinstance(item, Gap):
                self._gap(item)
                continue
            handler = handlers.get(item.type, self._other)
            if is_dated(item.ticks):
                cause = handler(item)
                if cause is None and item.type in named:
                    self.hold(item.name, item)
            elif item.type in SHORTEST:
                # echopype may fail to skip it: it does not get it (`flows.rawfile.repairs`).
                cause = None
                self.hold(MISDATED if item.ticks else UNTIMED, item)
                self.keep(item)
            else:
                cause = f"the {item.name} datagram has an invalid time"
            if tally.second_file is not None:
                break
            if cause is None:
                counts[item.type] += 1
            else:
                self.lose(item.offset, item.end, cause)
        for type_, count in counts.items():
            tally.datagrams[type_.decode("ascii")] = count
        self._finish()

    def is_own(self, item: Datagram, configuration: bytes) -> bool:
        """Whether this configuration is the file's: its only one before the first ping."""
        first = self._first_configuration = self._first_configuration or configuration
        early = not (self.broken or len(self.pings)) and configuration == first
        if item.offset > 0 and not early:
            self.tally.second_file = item.offset
            return False
        return True

    def keep(self, item: Datagram) -> None:
        """Count the datagram as convertible."""
        self.tally.keep(item.offset, item.end)

    def refuse(self, item: Datagram, cause: str, *, removable: bool = True) -> None:
        """Leave out a whole datagram that echopype cannot read."""
        time = ticks_to_times(np.array([item.ticks]))[0] if item.ticks > 0 else None
        self.tally.refuse(item.name, cause, removable=removable, time=as_datetime(time))

    def hold(self, type_: str, item: Datagram) -> None:
        """Count a datagram that the output does not have, or not with all fields."""
        self._held.setdefault(type_, []).append(item.ticks)

    def lose(self, start: int, end: int, cause: str) -> None:
        """Count bytes as lost, and with them what later pings depend on."""
        self.tally.damage(start, end, cause, len(self.pings))
        self.broken = True
        for span in self.transmits.values():
            self.tally.dropped.append(span)
        self.transmits.clear()

    def has_length(self, item: Datagram, length: int, samples: Samples) -> bool:
        """Whether a ping is as long as its content, apart from spare bytes, which are counted."""
        spare = item.length - length
        if not 0 <= spare <= (_MOST_SPARE if samples.number else _PADDING):
            return False
        if spare > _PADDING:
            self._spare.update(bytes=spare, pings=1)
        return True

    def _other(self, item: Datagram) -> str | None:
        shortest = SHORTEST.get(item.type)
        if shortest is None:
            self.refuse(item, f"echopype has no parser for this type (byte {item.offset})")
            return None
        if item.type in ELEMENTS and item.length >= shortest:
            size, at, layout = ELEMENTS[item.type]
            shortest += size * max(struct.unpack_from(layout, item.head, at)[0], 0)
        if item.length < shortest:
            return f"the {item.name} datagram is shorter than its content"
        self.keep(item)
        return None

    def _gap(self, gap: Gap) -> None:
        self.tally.truncated = gap.cut
        if gap.cut:
            type_ = os.pread(self.fd, 4, gap.start + 4)
            inside = f" {type_.decode('ascii', errors='replace')}" if len(type_) == 4 else ""
            cause = f"the file ends inside a{inside} datagram"
        else:
            cause = "no whole datagram there"
        self.lose(gap.start, gap.end, cause)

    def _finish(self) -> None:
        if self.transmits and self.tally.second_file is None:
            start = min(span[0] for span in self.transmits.values())
            self.lose(start, self.tally.size, "the file ends between a transmit pulse and its ping")
            self.tally.truncated = True
        whys = reasons(self.account)
        for type_, ticks in self._held.items():
            known = ticks_to_times(np.array([each for each in ticks if is_dated(each)], np.int64))
            why = whys.get(type_, _UNKNOWN_FIELD)
            self.tally.not_converted.append(NotConverted.of(type_, len(ticks), known, why))
        if self._spare:
            self.tally.unconverted.append(
                f"{self._spare['bytes']} spare bytes behind the samples of {self._spare['pings']} "
                "pings are not converted"
            )

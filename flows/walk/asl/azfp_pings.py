"""The walk for both AZFP formats: consecutive pings.

A file has pings of several settings if a phase of the instrument's schedule ends in it. An
output has one of each setting, so it gets the pings of the settings that most pings have.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import NamedTuple

import numpy as np

from flows.walk.search import next_whole
from flows.walk.tally import Tally

# 128 linear sums that are all exactly zero are lost bytes, not a noise floor.
ZERO_RUN = bytes(512)
# Whole years of datetime64[ns].
_YEARS = range(1678, 2262)


Settings = dict[str, tuple[float, ...]]


class Ping(NamedTuple):
    """One ping: its size in the file, its time, its settings.

    `settings` are those of which an output has one for all pings, `sums` the (offset in the ping, bytes) of each channel's sums.
    """

    size: int
    time: np.datetime64
    settings: Settings
    sums: tuple[tuple[int, int], ...]


class _Place(NamedTuple):
    """Where a ping is in the file, its time, and its number from 1."""

    start: int
    end: int
    time: np.datetime64
    number: int


# Reads the ping at an offset, or the reason why there is none. It gets the first ping of the file,
# because later pings are compared with it.
Reader = Callable[[int, Ping | None], Ping | str]


class AzfpPings:
    """The whole pings of an AZFP file, in file order.

    Attributes:
        first: the first ping.
        settings: those of the pings that can be converted; empty without pings.
        times: of the pings that can be converted.
        total: number of all pings.
        last_good: time of the last ping before the first damage.
    """

    def __init__(self) -> None:
        self.first: Ping | None = None
        self.settings: Settings = {}
        self.times: list[np.datetime64] = []
        self.total = 0
        self.last_good: np.datetime64 | None = None
        self._kinds: dict[tuple[tuple[float, ...], ...], list[_Place]] = {}

    def walk(
        self, fd: int, tally: Tally, start: int, read: Reader, mark: re.Pattern[bytes]
    ) -> None:
        """Count every byte from `start` on as part of a ping or as lost."""
        position = start
        while position < tally.size:
            ping = read(position, self.first)
            if isinstance(ping, Ping):
                self._add(tally, position, ping)
                position += ping.size
                continue
            first = self.first
            found = next_whole(
                fd,
                tally.size,
                position + 1,
                mark,
                lambda at: isinstance(read(at, first), Ping),  # noqa: B023 - called within this turn of the loop
            )
            end = tally.size if found is None else found
            tally.truncated = found is None and ping.startswith("the file ends")
            tally.damage(position, end, ping, self.total)
            position = end
        if self.total:
            tally.datagrams["ping"] = self.total
            self._choose(tally)

    def _add(self, tally: Tally, position: int, ping: Ping) -> None:
        self.first = self.first or ping
        self.total += 1
        place = _Place(position, position + ping.size, ping.time, self.total)
        self._kinds.setdefault(tuple(ping.settings.values()), []).append(place)
        if not tally.damages:
            self.last_good = ping.time
        tally.keep(place.start, place.end)

    def _choose(self, tally: Tally) -> None:
        """Refuse the pings that have other settings than most."""
        assert self.first is not None  # noqa: S101 - there are pings
        chosen = max(self._kinds, key=lambda kind: len(self._kinds[kind]))
        self.settings = dict(zip(self.first.settings, chosen, strict=True))
        self.times = [place.time for place in self._kinds.pop(chosen)]
        others = [(place, kind) for kind, found in self._kinds.items() for place in found]
        for place, kind in sorted(others, key=lambda other: other[0].start):
            changes = [
                f"{name} {value} instead of {most}"
                for (name, most), value in zip(self.settings.items(), kind, strict=True)
                if value != most
            ]
            cause = (
                f"an output has one of each setting; ping {place.number} at byte {place.start} has "
                f"{', '.join(changes)}"
            )
            tally.refuse("ping", cause, removable=True)
            tally.drop(place.start, place.end)
        times = [place.time for place, _ in others]
        if times:
            tally.refused_times["ping"] = min(times), max(times)


def time_of(written: Iterable[int]) -> np.datetime64:
    """The time (datetime64[ns]) of a header's date: year to second, and hundredths of a second.

    Raises:
        ValueError: it is not a date, or an output cannot have it.
    """
    year, month, day, hour, minute, second, hundredths = written
    if year not in _YEARS:
        # numpy would count its nanoseconds beyond 64 bits, and have a date of another century.
        raise ValueError(f"year {year}")
    seconds, hundredths = divmod(100 * second + hundredths, 100)
    moment = datetime(year, month, day, hour, minute, seconds)  # noqa: DTZ001 - UTC by the format, and numpy has no time zones
    return np.datetime64(moment, "ns") + np.timedelta64(10 * hundredths, "ms")


def zeros_among_counts(fd: int, position: int, ping: Ping) -> str | None:
    """What is wrong with the counts of the ping at `position`: a run of zeros, or None."""
    content = os.pread(fd, ping.size, position)
    for start, length in ping.sums:
        if content.find(ZERO_RUN, start, start + length) >= 0:
            return "zeros among the counts of a ping"
    return None


def channel_names(frequencies: Iterable[float]) -> list[str]:
    """A name for each channel: its frequency in kHz, with a number if it occurs twice."""
    names: list[str] = []
    for frequency in frequencies:
        name = f"{frequency:g} kHz"
        names.append(name if name not in names else f"{name} ({len(names) + 1})")
    return names

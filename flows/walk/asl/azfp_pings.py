"""The walk for both AZFP formats: consecutive pings.

A file has pings of several settings if a phase of the instrument's schedule ends in it. An
output has one of each setting, so it gets the pings of the settings that most pings have.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import numpy as np

from flows.walk.account import as_datetime
from flows.walk.search import whole_items
from flows.walk.summary import FileSummary
from flows.walk.tally import Tally, summarize

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


@dataclass
class AzfpPings:
    """The whole pings of an AZFP file, in file order.

    Attributes:
        first: the first ping.
        settings: those of the pings that can be converted; empty without pings.
        times: of the pings that can be converted.
        total: number of all pings.
        last_good: time of the last ping before the first damage.
    """

    first: Ping | None = None
    settings: Settings = field(default_factory=dict)
    times: list[np.datetime64] = field(default_factory=list)
    total: int = 0
    last_good: np.datetime64 | None = None
    _kinds: dict[tuple[tuple[float, ...], ...], list[_Place]] = field(default_factory=dict)

    def walk(
        self,
        fd: int,
        tally: Tally,
        start: int,
        read: Callable[[int], Ping | str],
        mark: re.Pattern[bytes],
    ) -> FileSummary:
        """Summary of a file with these pings; every byte from `start` on is part of one, or lost.

        `read` returns the ping at an offset, or the reason why there is none.
        """
        for position, ping in whole_items(fd, tally, start, read, mark, lambda: self.total):
            self._add(tally, position, ping)
        if self.total:
            tally.datagrams["ping"] = self.total
            self._choose(tally)
        # Settings of an AZFP are in its XML, which is another file.
        tally.configured = tally.configured or (tally.found == "AZFP" and self.first is not None)
        count = int(self.settings["number of channels"][0]) if self.settings else 0
        names = channel_names(self.settings["frequency"][:count] if self.settings else ())
        times = np.asarray(self.times, dtype="datetime64[ns]")
        return summarize(
            tally,
            pings=dict.fromkeys(names, len(self.times)),
            total=self.total,
            ping_times=dict.fromkeys(names, times),
            last_good_ping=self.last_good,
        )

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
            tally.refuse("ping", cause, removable=True, time=as_datetime(place.time))
            tally.dropped.append((place.start, place.end))


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

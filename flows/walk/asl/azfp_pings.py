"""The walk for both AZFP formats: consecutive pings with the same settings."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import numpy as np

from flows.walk.search import whole_items
from flows.walk.summary import FileSummary
from flows.walk.tally import Tally, summarize

# 128 linear sums that are all exactly zero are lost bytes, not a noise floor.
ZERO_RUN = bytes(512)


class Ping(NamedTuple):
    """One ping: its size in the file, its time, its settings.

    `settings` are those that echopype requires to be the same in every ping, `sums` the
    (offset in the ping, bytes) of each channel's sums.
    """

    size: int
    time: np.datetime64
    settings: dict[str, tuple[float, ...]]
    sums: tuple[tuple[int, int], ...]


@dataclass
class AzfpPings:
    """The whole pings of an AZFP file: the first, and the times of all in file order."""

    first: Ping | None = None
    times: list[np.datetime64] = field(default_factory=list)
    last_good: np.datetime64 | None = None

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
        for position, ping in whole_items(fd, tally, start, read, mark, lambda: len(self.times)):
            self._add(tally, position, ping)
        if self.times:
            tally.datagrams["ping"] = len(self.times)
        # Settings of an AZFP are in its XML, which is another file.
        tally.configured = tally.configured or (tally.found == "AZFP" and self.first is not None)
        settings = self.first.settings if self.first else {}
        count = int(settings["number of channels"][0]) if settings else 0
        names = channel_names(settings["frequency"][:count] if settings else ())
        times = np.asarray(self.times, dtype="datetime64[ns]")
        return summarize(
            tally,
            pings=dict.fromkeys(names, len(self.times)),
            total=len(self.times),
            ping_times=dict.fromkeys(names, times),
            last_good_ping=self.last_good,
        )

    def _add(self, tally: Tally, position: int, ping: Ping) -> None:
        self.first = self.first or ping
        self.times.append(ping.time)
        for name, value in ping.settings.items():
            before = self.first.settings.get(name)
            if value != before:
                cause = (
                    f"the {name} changes from {before} to {value} at byte {position}, "
                    f"ping {len(self.times)}"
                )
                tally.refuse("ping", cause, removable=False)
        if not tally.damages:
            self.last_good = ping.time
        tally.keep(position, position + ping.size)


def time_of(written: Iterable[int]) -> np.datetime64:
    """The time (datetime64[ns]) of a header's date: year to second, and hundredths of a second.

    Raises:
        ValueError: it is not a date.
    """
    year, month, day, hour, minute, second, hundredths = written
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

"""The walk for both AZFP formats: consecutive pings with the same settings."""

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


class Ping(NamedTuple):
    """One ping: its size in the file, its time, its settings.

    `settings` are those that echopype requires to be the same in every ping, `sums` the
    (offset in the ping, bytes) of each channel's sums.
    """

    size: int
    time: np.datetime64
    settings: dict[str, tuple[float, ...]]
    sums: tuple[tuple[int, int], ...]


# Reads the ping at an offset, or the reason why there is none. It gets the first ping of the file,
# because later pings are compared with it.
Reader = Callable[[int, Ping | None], Ping | str]


class AzfpPings:
    """The whole pings of an AZFP file, in file order."""

    def __init__(self) -> None:
        self.first: Ping | None = None
        self.times: list[np.datetime64] = []
        self.last_good: np.datetime64 | None = None

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
            tally.damage(position, end, ping, len(self.times))
            position = end
        if self.times:
            tally.datagrams["ping"] = len(self.times)

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

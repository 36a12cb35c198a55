"""Separates pings of one channel that have the same time: echopype keeps one for each time."""

from __future__ import annotations

import numpy as np

from flows.walk.sample_index import Int64s
from flows.walk.simrad.nt_time import ticks_to_times

# 100 ns: a step of the file's times. Times of an EchoData have steps of 1 to 2 microseconds.
_STEP = 1


def shifts_of_shared_times(ticks: Int64s) -> Int64s:
    """Ticks to add to the time of each ping of one channel, so that all times differ (int64).

    The first ping of a time keeps it; each further one gets the next free time that an
    EchoData can express. Nearly all files need no shift.

    Args:
        ticks: times of the pings in file order, NT FILETIME.
    """
    times = ticks_to_times(ticks).astype(np.int64)
    shifts = np.zeros(ticks.size, dtype=np.int64)
    _, first = np.unique(times, return_index=True)
    if first.size == ticks.size:
        return shifts
    taken = set(times.tolist())
    for row in np.setdiff1d(np.arange(ticks.size), first).tolist():
        shift = 0
        while True:
            shift += _STEP
            time = int(ticks_to_times(ticks[row : row + 1] + shift).astype(np.int64)[0])
            if time not in taken:
                break
        taken.add(time)
        shifts[row] = shift
    return shifts

"""The summary of a Simrad raw file."""

from __future__ import annotations

import numpy as np

from flows.walk.simrad.ek60 import EK60Walk
from flows.walk.simrad.ek80 import EK80Walk
from flows.walk.simrad.pings import without_repeats
from flows.walk.simrad.walk import SimradWalk
from flows.walk.simrad.zero_sectors import pings_with_zero_sectors
from flows.walk.summary import FileSummary, Times
from flows.walk.tally import summarize


def walk_simrad(fd: int, size: int, *, file: str, sonar_model: str, found: str) -> FileSummary:
    """Summary of the Simrad file open as `fd`, which has format `found`."""
    walk: SimradWalk = (EK60Walk if found == "EK60" else EK80Walk)(fd, size)
    walk.walk()
    tally, pings = walk.tally, walk.pings
    times, channel = pings.times, pings.channel
    whole = np.ones(len(pings), dtype=bool)
    for row in pings_with_zero_sectors(fd, size, *pings.samples).tolist():
        span = pings.span(row)
        tally.damage(*span, "sectors of zeros among the samples of a ping", row)
        for lost in (span, pings.transmit(row)):
            if lost is not None:
                tally.drop(*lost)
        whole[row] = False
    by_channel: dict[str, int] = {}
    ping_times: dict[str, Times] = {}
    for number, name in enumerate(pings.names):
        rows = np.flatnonzero((channel == number) & whole)
        if rows.size:
            by_channel[name] = int(rows.size)
            once = without_repeats(fd, pings, rows, times)
            ping_times[name] = times[once]
            if once.size < rows.size:
                tally.notes.append(f"{rows.size - once.size} pings of {name} are recorded twice")
    first_damage = min((damage.start for damage in tally.damages), default=size)
    before = times[whole & (pings.offset < first_damage)]
    return summarize(
        tally,
        file=file,
        sonar_model=sonar_model,
        found=found,
        pings=by_channel,
        total=sum(by_channel.values()),
        ping_times=ping_times,
        last_good_ping=before[-1] if before.size else None,
        samples=pings.index(np.flatnonzero(whole), walk.header),
    )

"""The summary of a Simrad raw file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from flows.walk.repair_log import RepairLog
from flows.walk.sample_index import POWER, Int64s, SampleIndex
from flows.walk.simrad.ek60 import EK60Walk
from flows.walk.simrad.ek80 import EK80Walk
from flows.walk.simrad.pings import without_repeats
from flows.walk.simrad.shared_times import shifts_of_shared_times
from flows.walk.simrad.walk import SimradWalk
from flows.walk.simrad.zero_sectors import pings_with_zero_sectors
from flows.walk.summary import FileSummary, Times
from flows.walk.tally import summarize


def walk_simrad(fd: int, size: int, *, file: str, sonar_model: str, found: str) -> FileSummary:
    """Summary of the Simrad file open as `fd`, which has format `found`."""
    walk: SimradWalk = (EK60Walk if found == "EK60" else EK80Walk)(fd, size)
    walk.walk()
    tally, pings = walk.tally, walk.pings
    times, ticks, channel = pings.times, pings.ticks, pings.channel
    whole = _convertible(fd, size, walk)
    log = RepairLog()
    by_channel: dict[str, int] = {}
    ping_times: dict[str, Times] = {}
    kept: list[Int64s] = []
    shift = np.zeros(len(pings), dtype=np.int64)
    for number, name in enumerate(pings.names):
        rows = np.flatnonzero((channel == number) & whole)
        if not rows.size:
            continue
        by_channel[name] = int(rows.size)
        once = without_repeats(fd, pings, rows, times)
        kept.append(once)
        ping_times[name] = times[once]
        if once.size < rows.size:
            tally.notes.append(f"{rows.size - once.size} pings of {name} are recorded twice")
        for row in np.setdiff1d(rows, once).tolist():
            log.note(
                f"a ping of {name} is recorded twice, byte for byte: once in the output",
                int(ticks[row]),
            )
        shift[once] = shifts_of_shared_times(ticks[once])
        for row in once[shift[once] > 0].tolist():
            log.note(
                f"two pings of {name} have the same time: the later one in the file is moved by the "
                "smallest step that echopype's times resolve",
                int(ticks[row]),
            )
    kept_rows = np.sort(np.concatenate(kept)) if kept else np.empty(0, dtype=np.int64)
    first_damage = min((damage.start for damage in tally.damages), default=size)
    before = times[whole & (pings.offset < first_damage)]
    summary = summarize(
        tally,
        file=file,
        sonar_model=sonar_model,
        found=found,
        pings=by_channel,
        total=sum(by_channel.values()),
        ping_times=ping_times,
        last_good_ping=before[-1] if before.size else None,
        samples=_with_kinds(pings.index(kept_rows, walk.header, shift[kept_rows])),
    )
    repeated = np.setdiff1d(np.flatnonzero(whole), kept_rows).tolist()
    spans = [span for row in repeated for span in (pings.transmit(row), pings.span(row)) if span]
    return replace(
        summary,
        ping_times=_ping_times(summary),
        repeated=tuple(sorted(spans)),
        repairs=log.repairs(),
    )


def _convertible(fd: int, size: int, walk: SimradWalk) -> npt.NDArray[np.bool_]:
    """Which pings are converted; damage that is not in their frames is counted as damage."""
    tally, pings = walk.tally, walk.pings
    whole = np.ones(len(pings), dtype=bool)
    for row in pings_with_zero_sectors(fd, size, *pings.samples).tolist():
        cause = "sectors of zeros among the samples of a ping"
        tally.damage(*pings.span(row), cause, row)
        whole[row] = False
    if len(walk.without_interval) < len(pings):
        for row in walk.without_interval:
            cause = f"its parameters have no SampleInterval (byte {pings.span(row)[0]})"
            tally.refuse("RAW3", cause, removable=True)
            whole[row] = False
    for row in np.flatnonzero(~whole).tolist():
        for span in (pings.span(row), pings.transmit(row)):
            if span is not None:
                tally.drop(*span)
    # Pings that turned out to be damaged are not counted as whole ones before a later damage.
    tally.damages[:] = [
        replace(d, pings_before=int(np.count_nonzero(whole[: d.pings_before])))
        for d in tally.damages
    ]
    return whole


def _ping_times(summary: FileSummary) -> dict[str, Times]:
    """By channel, the times of the pings after the repairs."""
    index = summary.samples
    assert index is not None  # noqa: S101 - every Simrad file has one
    found = {n: index.times[index.channel == number] for number, n in enumerate(index.names)}
    return {name: found[name] for name in summary.ping_times}


def _with_kinds(index: SampleIndex) -> SampleIndex:
    """The index, in which each empty ping has the kind of the first ping of its channel."""
    kind = index.kind.copy()
    unknown = (index.sectors == 0) & ~index.has_power
    for number in np.unique(index.channel[unknown]).tolist():
        own = index.channel == number
        known = kind[own & ~unknown]
        kind[own & unknown] = known[0] if known.size else POWER
    return replace(index, kind=kind)

"""The summary of a Simrad raw file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.walk.repair_log import RepairLog
from flows.walk.sample_index import POWER, Int64s, SampleIndex
from flows.walk.simrad.ek60 import EK60Walk
from flows.walk.simrad.ek80 import EK80Walk
from flows.walk.simrad.fields import ticks_to_times
from flows.walk.simrad.pings import (
    pings_with_zero_sectors,
    shifts_of_shared_times,
    spans_of,
    without_repeats,
)
from flows.walk.simrad.walk import SimradWalk
from flows.walk.summary import FileSummary, Times
from flows.walk.tally import Tally, summarize


def walk_simrad(fd: int, tally: Tally) -> FileSummary:
    """Summary of the Simrad file open as `fd`, which has the format `tally.found`."""
    walk: SimradWalk = (EK60Walk if tally.found == "EK60" else EK80Walk)(fd, tally)
    walk.walk()
    pings, table = walk.pings, walk.pings.table()
    times = ticks_to_times(table["ticks"])
    whole = _convertible(fd, walk, table)
    log = RepairLog()
    by_channel: dict[str, int] = {}
    ping_times: dict[str, Times] = {}
    kept: list[Int64s] = []
    shift = np.zeros(len(table), dtype=np.int64)
    for number, name in enumerate(pings.names):
        rows = np.flatnonzero((table["channel"] == number) & whole)
        if not rows.size:
            continue
        by_channel[name] = int(rows.size)
        once = without_repeats(fd, table, rows, times)
        kept.append(once)
        ping_times[name] = times[once]
        if once.size < rows.size:
            tally.notes.append(f"{rows.size - once.size} pings of {name} are recorded twice")
        shift[once] = shifts_of_shared_times(table["ticks"][once])
        noted = {
            f"a ping of {name} is recorded twice, byte for byte: once in the output": np.setdiff1d(
                rows, once
            ),
            f"two pings of {name} have the same time: the later one in the file is moved by the "
            "smallest step that echopype's times resolve": once[shift[once] > 0],
        }
        for what, repaired in noted.items():
            for ticks in table["ticks"][repaired].tolist():
                log.note(what, ticks)
    rows = np.sort(np.concatenate(kept)) if kept else np.empty(0, dtype=np.int64)
    samples = _with_kinds(pings.index(rows, walk.header, shift[rows]))
    first_damage = min((damage.start for damage in tally.damages), default=tally.size)
    before = times[whole & (table["offset"] < first_damage)]
    summary = summarize(
        tally,
        pings=by_channel,
        total=sum(by_channel.values()),
        ping_times=ping_times,
        last_good_ping=before[-1] if before.size else None,
        samples=samples,
    )
    repeated = table[np.setdiff1d(np.flatnonzero(whole), rows)]
    spans = sorted(span for ping in repeated for span in spans_of(ping))
    after_repairs = {
        name: samples.times[samples.channel == pings.names.index(name)] for name in ping_times
    }
    return replace(summary, ping_times=after_repairs, repeated=tuple(spans), repairs=log.repairs())


def _convertible(fd: int, walk: SimradWalk, table: NDArray[Any]) -> NDArray[np.bool_]:
    """Which pings are converted; damage that is not in their frames is counted as damage."""
    tally = walk.tally
    whole = np.ones(len(table), dtype=bool)
    for row in pings_with_zero_sectors(fd, tally.size, table, walk.header).tolist():
        cause = "sectors of zeros among the samples of a ping"
        tally.damage(*spans_of(table[row])[-1], cause, row)
        whole[row] = False
    if len(walk.without_interval) < len(table):
        for row in walk.without_interval:
            cause = f"its parameters have no SampleInterval (byte {table['offset'][row]})"
            tally.refuse("RAW3", cause, removable=True)
            whole[row] = False
    tally.dropped += [span for ping in table[~whole] for span in spans_of(ping)]
    # Pings that turned out to be damaged are not counted as whole ones before a later damage.
    tally.damages[:] = [
        replace(d, pings_before=int(np.count_nonzero(whole[: d.pings_before])))
        for d in tally.damages
    ]
    return whole


def _with_kinds(index: SampleIndex) -> SampleIndex:
    """The index, in which each empty ping has the kind of the first ping of its channel."""
    kind = index.kind.copy()
    unknown = (index.sectors == 0) & ~index.has_power
    for number in np.unique(index.channel[unknown]).tolist():
        own = index.channel == number
        known = kind[own & ~unknown]
        kind[own & unknown] = known[0] if known.size else POWER
    return replace(index, kind=kind)

"""Decides whether a `.bot` or `.idx` is of this raw file, and what it proves about the file.

Pure: times and names in, decision out. A sounder stamps a BOT0 or IDX0 with the time of
its ping, so each of its times is that of a ping in the file.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from flows.walk.summary import Times


@dataclass(frozen=True)
class TimeFit:
    """How the times of a sidecar fit the pings of a file.

    `is_of_this_file`: any of them lies between the first and the last ping. `without_ping`: its times
    (datetime64[ns], ascending) that no ping has, if the others show that they should be there.
    `is_proof`: these show that pings of the file are lost. They do not if as many pings beside them have
    none of its times, or if the times have the same intervals as the pings: then another clock stamped it.
    """

    is_of_this_file: bool
    without_ping: Times
    is_proof: bool = False


def time_fit(times: Times, channels: Sequence[Times]) -> TimeFit:
    """Compare the times of a sidecar with those of the pings of each channel, all datetime64[ns].

    A time without a ping shows a lost ping only if at least half of the pings have their time in
    the sidecar: other software may stamp its datagrams differently. A channel that pings at each of
    these times lacks those after its last ping, even if the other channels have them.
    """
    own = _known(times)
    each = [known for channel in channels if (known := _known(channel)).size]
    nothing = own[:0]
    if not own.size or not each:
        return TimeFit(is_of_this_file=True, without_ping=nothing)
    pings = np.unique(np.concatenate(each))
    margin = np.median(np.diff(pings)) / 2 if pings.size > 1 else np.timedelta64(0, "ns")
    if own[-1] < pings[0] - margin or own[0] > pings[-1] + margin:
        return TimeFit(is_of_this_file=False, without_ping=nothing)
    shared = np.isin(own, pings)
    if 2 * int(shared.sum()) < pings.size:
        return TimeFit(is_of_this_file=True, without_ping=nothing)
    cut_off = np.concatenate([_cut_off(own[shared], channel) for channel in each])
    without_ping = np.union1d(own[~shared], cut_off)
    is_of_another_clock = np.array_equal(np.diff(own), np.diff(pings))
    are_more = _are_more(own[~shared], pings, own[shared]) and not is_of_another_clock
    return TimeFit(
        is_of_this_file=True,
        without_ping=without_ping,
        is_proof=bool(cut_off.size) or are_more,
    )


def _are_more(times: Times, pings: Times, shared: Times) -> bool:
    """Whether there are more `times` than other pings somewhere between two shared times."""
    alone = pings[~np.isin(pings, shared)]
    places = (np.searchsorted(shared, each) for each in (times, alone))
    of_times, of_pings = (np.bincount(each, minlength=shared.size + 1) for each in places)
    return bool((of_times > of_pings).any())


def _known(times: Times) -> Times:
    known: Times = np.unique(times[~np.isnat(times)])
    return known


def _cut_off(own: Times, channel: Times) -> Times:
    """The times after the last ping of a channel that has pinged at each of them before."""
    is_before = own <= channel[-1]
    pings_at_each = channel.size > 1 and bool(np.isin(own[is_before], channel).all())
    after: Times = own[~is_before]
    return after if pings_at_each and 2 * channel.size >= own.size else own[:0]


def column_channels(
    columns: int, configured: Sequence[str], pinging: Collection[str]
) -> tuple[str, ...] | None:
    """The channel of each column of a `.bot`, None if their number fits nothing.

    The columns follow the order of the configuration: of its channels that ping, or of
    all of them (echopype issue 1318: echopype 0.11 takes the order of the alphabet).
    """
    active = tuple(channel for channel in configured if channel in pinging)
    return next((names for names in (active, tuple(configured)) if len(names) == columns), None)

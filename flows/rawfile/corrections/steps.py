"""Values that change in steps, as knots between which linear interpolation is exact.

echopype's calibration interpolates the Environment linearly to the ping times. Each
value therefore has two knots: where it begins, and at the last ping that it applies to.
The very last one is a nanosecond later: if the knots were the ping times themselves,
echopype would rename the dimension, which fails for FM pings.
"""

from __future__ import annotations

import numpy as np

from flows.rawfile.corrections.correction import Int64s, Times


def knots(ping_times: Times, states: Int64s, began: Times) -> tuple[Times, Int64s]:
    """Times and states of the knots, ascending, each time once.

    Args:
        ping_times: time of each ping, in any order.
        states: state in force at each ping.
        began: by state, the time since when the file has it. A state begins there if
            that lies between the pings around it, else at its first ping: the order in
            the file counts, and clocks may disagree.
    """
    times, first = np.unique(ping_times, return_index=True)
    states = states[first]
    changes = np.flatnonzero(np.diff(states)) + 1
    starts = np.concatenate([[0], changes])
    stops = np.concatenate([changes - 1, [times.size - 1]])
    found: dict[np.datetime64, int] = {}
    runs: list[tuple[np.datetime64, np.datetime64]] = []
    before = np.datetime64("NaT", "ns")
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        state = int(states[start])
        after_others = np.isnat(before) or before < began[state]
        begin = began[state] if after_others and began[state] <= times[start] else times[start]
        found[begin] = found[times[stop]] = state
        before = times[stop]
        runs.append((begin, before))
    found[before + np.timedelta64(1, "ns")] = int(states[-1])
    if before != begin:
        del found[before]
    # States of no ping are kept where they change no ping's value.
    for state in set(range(began.size)) - set(states.tolist()):
        if not any(begin <= began[state] <= end for begin, end in runs):
            found.setdefault(began[state], state)
    ascending = sorted(found)
    return np.array(ascending, "datetime64[ns]"), np.array([found[t] for t in ascending], np.int64)


def with_another_state(ping_times: Times, states: Int64s) -> int:
    """How many pings have another state than the first ping in the file of the same time."""
    _, first, of_times = np.unique(ping_times, return_index=True, return_inverse=True)
    return int(np.count_nonzero(states != states[first[of_times]]))


def states_at(times: Times, knot_times: Times, knot_states: Int64s) -> Int64s:
    """The state in force at each time: that of the last knot before it, else the first."""
    at = np.searchsorted(knot_times, times, side="right") - 1
    return knot_states[np.maximum(at, 0)]

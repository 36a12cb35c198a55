"""Each ping's own Environment, where echopype applies the last one to all pings (echopype#1386).

echopype's calibration interpolates the Environment linearly to the ping times. So values that
change in steps are given as knots between which linear interpolation is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from flows.rawfile.corrections.correction import Correction, Floats, Int64s, Times
from flows.rawfile.corrections.facts import SimradFacts
from flows.rawfile.corrections.platform import with_times
from flows.rawfile.corrections.xml_values import Environment

PROFILE = "sound_velocity_profile"
_PROFILE_DEPTH = "sound_velocity_profile_depth"


def in_another_environment(facts: SimradFacts) -> int:
    """How many pings share their time with an earlier ping in the file that has another Environment."""
    states = _of_pings(facts, lambda e: tuple(map(_key, (e.environment, e.profile, e.platform))))[0]
    _, first, of_times = np.unique(facts.index.times, return_index=True, return_inverse=True)
    return int(np.count_nonzero(states != states[first[of_times]]))


def correct_environment(
    group: xr.Dataset, facts: SimradFacts
) -> tuple[xr.Dataset, Correction] | None:
    """The Environment group, with a `time1` of one element, with a step for each change; None without."""
    of_pings, last, steps = _of_pings(facts, lambda e: (_key(e.environment), _key(e.profile)))
    wrong = int(np.count_nonzero(of_pings != last))
    if not wrong:
        return None
    times, numbers = steps()
    chosen = [facts.environments[n] for n in numbers.tolist()]
    names = dict.fromkeys(name for each in chosen for name in each.environment)
    variables: dict[str, Any] = {
        name: (("time1",), _column([e.environment.get(name) for e in chosen]), _attrs(group, name))
        for name in names
    }
    # What no Environment of the file has, and calibration reads all the same.
    variables |= {
        str(name): (("time1",), np.repeat(variable.values, len(chosen)), variable.attrs)
        for name, variable in group.data_vars.items()
        if variable.dims == ("time1",) and name not in names
    }
    depths = sorted({depth for e in chosen for depth in e.profile if not np.isnan(depth)})
    if depths:
        speeds = [[e.profile.get(depth, np.nan) for depth in depths] for e in chosen]
        dims = ("time1", _PROFILE_DEPTH)
        variables[PROFILE] = (dims, np.array(speeds, np.float64), _attrs(group, PROFILE))
    else:
        depths = [np.nan]
    coordinates = {
        "time1": ("time1", times, group["time1"].attrs),
        _PROFILE_DEPTH: (_PROFILE_DEPTH, depths, _attrs(group, _PROFILE_DEPTH)),
    }
    others = {
        name: variable.variable
        for name, variable in group.data_vars.items()
        if "time1" not in variable.dims and name not in variables
    }
    corrected = xr.Dataset({**variables, **others}, coordinates, group.attrs)
    what = "pings have the Environment that precedes them, not the last one of the file"
    return corrected, Correction(what, wrong)


def correct_platform(
    group: xr.Dataset, facts: SimradFacts, keep: Collection[str] = ()
) -> tuple[xr.Dataset, Correction] | None:
    """Water level and drop keel by `time2`, if they change; None if they do not.

    echopype's Platform group has scalars of the last Environment that it got. `time2` has the
    times of motion data; without any, it gets those of the changes. `keep` are variables that
    the user has set.
    """
    environments = facts.environments
    given = dict.fromkeys(n for e in environments for n in e.platform if n not in keep)
    names = [n for n in given if n in group and group[n].dims == ()]
    table = np.array([[e.platform.get(n, np.nan) for n in names] for e in environments])
    theirs = np.array([float(group[n]) for n in names])
    differing = np.logical_or.reduce(_differ(table, theirs), axis=1)
    wrong = int(np.count_nonzero(differing[np.maximum(facts.environment, 0)]))
    if not wrong:
        return None
    _, _, steps = _of_pings(facts, lambda e: _key({n: e.platform.get(n) for n in names}))
    times, numbers = steps()
    changing = np.logical_or.reduce(_differ(table[numbers], table[numbers[0]]), axis=0)
    if facts.has_mru0 or facts.motion_times.size:
        # The last knot before each time, else the first.
        at = np.searchsorted(times, group["time2"].values, side="right") - 1
        numbers = numbers[np.maximum(at, 0)]
    elif changing.any():
        group = with_times(group, times)
    columns = {
        name: xr.Variable("time2" if changes else (), values if changes else values[0], attrs)
        for name, values, changes, attrs in zip(
            names, table[numbers].T, changing, [group[name].attrs for name in names], strict=True
        )
    }
    what = "pings have the water level and drop keel of the Environment that precedes them"
    return group.assign(columns), Correction(what, wrong)


def _differ(values: Floats, others: Floats) -> NDArray[np.bool_]:
    return np.asarray((values != others) & ~(np.isnan(values) & np.isnan(others)))


def _of_pings(
    facts: SimradFacts, key: Callable[[Environment], Hashable]
) -> tuple[Int64s, int, Callable[[], tuple[Times, Int64s]]]:
    """The state of each ping, the last state, and what makes the knots of all.

    A state is the number of the first of a row of Environments that are equal by `key`; it
    has the time of that one.
    """
    numbers: list[int] = []
    for number, environment in enumerate(facts.environments):
        same = number > 0 and key(environment) == key(facts.environments[number - 1])
        numbers.append(numbers[-1] if same else number)
    began = np.array([facts.environments[n].time for n in numbers], "datetime64[ns]")
    of_pings = np.array(numbers, np.int64)[np.maximum(facts.environment, 0)]
    return of_pings, numbers[-1], lambda: knots(facts.index.times, of_pings, began)


def knots(ping_times: Times, states: Int64s, began: Times) -> tuple[Times, Int64s]:
    """Times and states of the knots, ascending, each time once.

    Each state has two: where it begins, and at the last ping that it applies to. The very last
    one is a nanosecond later: if the knots were the ping times themselves, echopype would rename
    the dimension, which fails for FM pings.

    `states` are those in force at each ping. `began` has, by state, the time since when the file has it.
    A state begins there if that lies between the pings around it, else at its first ping: the order in
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


def _key(values: Any) -> Hashable:  # noqa: ANN401 - a mapping of any two types
    # NaN differs from itself; its text does not.
    return tuple(map(str, values.items()))


def _column(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    if any(isinstance(value, str) for value in values):
        return np.array([value or "" for value in values])
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _attrs(group: xr.Dataset, name: str) -> dict[Any, Any]:
    return group[name].attrs if name in group.variables else {}

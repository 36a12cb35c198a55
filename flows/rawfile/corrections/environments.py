"""Each ping's own Environment, where echopype applies the last one to all pings (echopype#1386)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from flows.rawfile.corrections.correction import Correction, Floats, Int64s, Times
from flows.rawfile.corrections.steps import knots, states_at, with_another_state
from flows.rawfile.corrections.xml_values import Environment

PROFILE = "sound_velocity_profile"
_PROFILE_DEPTH = "sound_velocity_profile_depth"


def in_another_environment(
    environments: Sequence[Environment], own: Int64s, ping_times: Times
) -> int:
    """How many pings share their time with an earlier ping in the file that has another Environment.

    Args:
        environments: the file's Environments.
        own: number of the Environment of each ping, -1 before the first.
        ping_times: time of each ping.
    """
    states = _states(
        environments, lambda e: tuple(map(_key, (e.environment, e.profile, e.platform)))
    )
    return with_another_state(ping_times, states[np.maximum(own, 0)])


def correct_environment(
    group: xr.Dataset, environments: Sequence[Environment], own: Int64s, ping_times: Times
) -> tuple[xr.Dataset, Correction] | None:
    """The Environment group with a step for each change; None if there is no change.

    Args:
        group: echopype's Environment group, with a `time1` of one element.
        environments: the file's Environments.
        own: number of the Environment of each ping, -1 before the first.
        ping_times: time of each ping.
    """
    states = _states(environments, lambda e: (_key(e.environment), _key(e.profile)))
    of_pings = states[np.maximum(own, 0)]
    wrong = int(np.count_nonzero(of_pings != states[-1]))
    if not wrong:
        return None
    times, numbers = knots(ping_times, of_pings, _began(environments, states))
    chosen = [environments[n] for n in numbers.tolist()]
    names = dict.fromkeys(name for each in chosen for name in each.environment)
    variables: dict[str, Any] = {
        name: (("time1",), _column([e.environment.get(name) for e in chosen]), _attrs(group, name))
        for name in names
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
    group: xr.Dataset,
    environments: Sequence[Environment],
    own: Int64s,
    ping_times: Times,
    *,
    has_motion: bool,
    keep: Collection[str] = (),
) -> tuple[xr.Dataset, Correction] | None:
    """Water level and drop keel by `time2`, if they change; None if they do not.

    Args:
        group: echopype's Platform group, with scalars of the last Environment that it got.
        environments: the file's Environments.
        own: number of the Environment of each ping, -1 before the first.
        ping_times: time of each ping.
        has_motion: whether `time2` has the times of motion data; if not, it gets those
            of the changes.
        keep: variables that the user has set.
    """
    given = dict.fromkeys(n for e in environments for n in e.platform if n not in keep)
    names = [n for n in given if n in group and group[n].dims == ()]
    table = np.array([[e.platform.get(n, np.nan) for n in names] for e in environments])
    theirs = np.array([float(group[n]) for n in names])
    differing = np.logical_or.reduce(_differ(table, theirs), axis=1)
    wrong = int(np.count_nonzero(differing[np.maximum(own, 0)]))
    if not wrong:
        return None
    states = _states(environments, lambda e: _key({n: e.platform.get(n) for n in names}))
    of_pings = states[np.maximum(own, 0)]
    times, numbers = knots(ping_times, of_pings, _began(environments, states))
    changing = np.logical_or.reduce(_differ(table[numbers], table[numbers[0]]), axis=0)
    if has_motion:
        numbers = states_at(group["time2"].values, times, numbers)
    elif changing.any():
        group = with_times(group, "time2", times)
    columns = {
        name: xr.Variable(*_by_time(values, changes=changes), group[name].attrs)
        for name, values, changes in zip(names, table[numbers].T, changing, strict=True)
    }
    what = "pings have the water level and drop keel of the Environment that precedes them"
    return group.assign(columns), Correction(what, wrong)


def _differ(values: Floats, others: Floats) -> NDArray[np.bool_]:
    return np.asarray((values != others) & ~(np.isnan(values) & np.isnan(others)))


def _by_time(values: Floats, *, changes: bool) -> tuple[tuple[str, ...], Any]:
    """Dimensions and values of a variable of the Platform group."""
    return (("time2",), values) if changes else ((), values[0])


def with_times(group: xr.Dataset, dimension: str, times: Times) -> xr.Dataset:
    """The group with other times in one dimension, for which it has only NaN."""
    variables = {}
    for name, variable in group.data_vars.items():
        if dimension in variable.dims:
            shape = [times.size if d == dimension else variable.sizes[d] for d in variable.dims]
            variables[name] = (variable.dims, np.full(shape, np.nan), variable.attrs)
    coordinate = {dimension: (dimension, times, group[dimension].attrs)}
    return group.drop_dims(dimension).assign_coords(coordinate).assign(variables)


def _states(environments: Sequence[Environment], key: Callable[[Environment], Hashable]) -> Int64s:
    """By Environment, the number of the first of a row of equal ones."""
    numbers: list[int] = []
    for number, environment in enumerate(environments):
        same = number > 0 and key(environment) == key(environments[number - 1])
        numbers.append(numbers[-1] if same else number)
    return np.array(numbers, np.int64)


def _began(environments: Sequence[Environment], states: Int64s) -> Times:
    """By state, the time of its Environment; repeated Environments have that of the first."""
    return np.array([environments[n].time for n in states.tolist()], "datetime64[ns]")


def _key(values: Any) -> Hashable:  # noqa: ANN401 - a mapping of any two types
    # NaN differs from itself; its text does not.
    return tuple(map(str, values.items()))


def _column(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    if any(isinstance(value, str) for value in values):
        return np.array([value or "" for value in values])
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _attrs(group: xr.Dataset, name: str) -> dict[Any, Any]:
    return group[name].attrs if name in group.variables else {}

"""What the Platform group lacks: annotations, motion of MRU1, and which positions have a fix."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import xarray as xr

from flows.rawfile.corrections.correction import Correction, Times
from flows.rawfile.corrections.facts import SimradFacts

_ANNOTATION_TIME = "annotation_time"
# NMEA 0183: fields of the position in each sentence, and where it says whether there is a fix.
_LATITUDE = {"GGA": 2, "GLL": 1, "RMC": 3}
_STATUS = {"GGA": (6, "0"), "GLL": (6, "V"), "RMC": (2, "V")}
_NUMBER = re.compile(r"\d+(\.\d*)?", re.ASCII)
# Field of MRU1 -> variable of the Platform group, in which echopype has that of MRU0.
_MOTION = {"pitch": "pitch", "roll": "roll", "heave": "vertical_offset", "heading": "heading"}
_COMMENT = "From the MRU1 datagrams (Kongsberg Maritime binary)."


def add_annotations(
    platform: xr.Dataset, times: Times, texts: Sequence[str]
) -> tuple[xr.Dataset, Correction] | None:
    """The Platform group with the texts of TAG0, which echopype drops; None without any.

    SONAR-netCDF4 has a group /Annotation for them. echopype opens a store with it, but its
    `combine_echodata` then fails, so they are here, by a time of their own. Several
    annotations of one time get a nanosecond between them: `combine_echodata` needs each time
    once.
    """
    if not texts:
        return None
    apart: list[np.datetime64] = []
    for time in times:
        while time in apart:
            time += np.timedelta64(1, "ns")  # noqa: PLW2901 - the next free one
        apart.append(time)
    text = xr.Variable(
        (_ANNOTATION_TIME,), np.array(texts), {"long_name": "Annotation text (TAG0)"}
    )
    attrs = {"axis": "T", "long_name": "Timestamps of annotations", "standard_name": "time"}
    group = platform.assign(annotation_text=text)
    group = group.assign_coords(
        {_ANNOTATION_TIME: (_ANNOTATION_TIME, np.array(apart, "datetime64[ns]"), attrs)}
    )
    return group, Correction("annotations (TAG0) are in Platform", len(texts))


def correct_motion(
    platform: xr.Dataset, facts: SimradFacts
) -> tuple[xr.Dataset, Correction] | None:
    """The Platform group with the values of MRU1; None without MRU1.

    echopype keeps its position only (echopype#1239). Without MRU0 they become `pitch`, `roll`,
    `vertical_offset` and `heading`, by `time2`, which echopype's `add_depth` reads. With MRU0
    they stand beside them as `…_mru1`, by `time3`, as echopype's `latitude_mru1`.
    """
    times = facts.motion_times
    if not times.size:
        return None
    dimension, suffix = ("time3", "_mru1") if facts.has_mru0 else ("time2", "")
    group = platform if facts.has_mru0 else with_times(platform, times)
    variables = {
        f"{name}{suffix}": xr.Variable(
            (dimension,), facts.motion[field], {**platform[name].attrs, "comment": _COMMENT}
        )
        for field, name in _MOTION.items()
    }
    what = "motion and heading of MRU1 datagrams are in Platform"
    return group.assign(variables), Correction(what, len(_MOTION) * times.size)


def with_times(group: xr.Dataset, times: Times) -> xr.Dataset:
    """The Platform group with other times in `time2`, for which it has only NaN."""
    variables = {}
    for name, variable in group.data_vars.items():
        if "time2" in variable.dims:
            shape = [times.size if d == "time2" else variable.sizes[d] for d in variable.dims]
            variables[name] = (variable.dims, np.full(shape, np.nan), variable.attrs)
    coordinate = {"time2": ("time2", times, group["time2"].attrs)}
    return group.drop_dims("time2").assign_coords(coordinate).assign(variables)


def correct_positions(
    platform: xr.Dataset, nmea: xr.Dataset
) -> tuple[xr.Dataset, Correction] | None:
    """The Platform group with NaN for positions without a fix; None if all have one.

    echopype has them at 0 N 0 E (echopype#1286). The group's positions are those of the GGA,
    GLL and RMC sentences in Platform/NMEA, in order.
    """
    sentences = [text for text in map(str, nmea["NMEA_datagram"].values) if text[3:6] in _LATITUDE]
    if len(sentences) != platform.sizes["time1"]:
        return None
    fixed = np.array([has_fix(sentence) for sentence in sentences])
    names = ("latitude", "longitude")
    wrong = ~fixed & ~np.isnan(np.stack([platform[name].values for name in names])).all(axis=0)
    if not wrong.any():
        return None
    columns = {
        name: platform[name].copy(data=np.where(fixed, platform[name].values, np.nan))
        for name in names
    }
    what = "positions of NMEA sentences without a fix are NaN, not 0 N 0 E"
    return platform.assign(columns), Correction(what, int(np.count_nonzero(wrong)))


def has_fix(sentence: str) -> bool:
    """Whether a GGA, GLL or RMC sentence has a position that its receiver calls valid."""
    fields = sentence.strip().partition("*")[0].split(",")
    kind = sentence[3:6]
    at = _LATITUDE[kind]
    position = fields[at : at + 4]
    if len(position) < 4 or not (_NUMBER.fullmatch(position[0]) and _NUMBER.fullmatch(position[2])):
        return False
    if position[1] not in {"N", "S"} or position[3] not in {"E", "W"}:
        return False
    status, void = _STATUS[kind]
    # GLL has no status before NMEA 2.0.
    return len(fields) <= status or fields[status] != void

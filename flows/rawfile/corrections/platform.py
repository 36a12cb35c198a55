"""What the Platform group lacks: annotations, motion of MRU1, and positions that echopype misreads."""

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
_NUMBER = re.compile(r"(\d*)(\d\d(?:\.\d*)?)", re.ASCII)
_SIGN = {"N": 1, "E": 1, "S": -1, "W": -1}
_NAMES = ("latitude", "longitude")
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
    apart: dict[np.datetime64, None] = {}
    for time in times:
        while time in apart:
            time += np.timedelta64(1, "ns")  # noqa: PLW2901 - the next free one
        apart[time] = None
    text = xr.Variable(
        (_ANNOTATION_TIME,), np.array(texts), {"long_name": "Annotation text (TAG0)"}
    )
    attrs = {"axis": "T", "long_name": "Timestamps of annotations", "standard_name": "time"}
    group = platform.assign(annotation_text=text)
    group = group.assign_coords(
        {_ANNOTATION_TIME: (_ANNOTATION_TIME, np.array(list(apart), "datetime64[ns]"), attrs)}
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
) -> tuple[xr.Dataset, list[Correction]]:
    """The Platform group with each sentence's position, NaN without a fix.

    echopype has those without a fix at 0 N 0 E (echopype#1286), one whose direction is the
    sentence's last field, before the line's end, with 0 in its place, and one in full minutes as NaN.

    Args:
        platform: echopype's Platform group; its positions are those of the GGA, GLL and
            RMC sentences, in order.
        nmea: echopype's Platform/NMEA group.
    """
    sentences = [text for text in map(str, nmea["NMEA_datagram"].values) if text[3:6] in _LATITUDE]
    if len(sentences) != platform.sizes["time1"]:
        return platform, []
    parsed = platform["sentence_type"].values.astype(str) != "nan"
    found = np.stack([platform[name].values for name in _NAMES])
    none = (np.nan, np.nan)
    own = np.array([position_of(text) or none for text in sentences]).reshape(-1, 2).T
    fixed = ~np.isnan(own).any(axis=0)
    void = ~fixed & ~np.isnan(found).all(axis=0)
    # A sentence that echopype refuses as a whole has a wrong checksum.
    misread = fixed & parsed & ~np.isclose(found, own, rtol=0, atol=1e-6).all(axis=0)
    if not (void | misread).any():
        return platform, []
    corrected = np.where(misread, own, np.where(fixed, found, np.nan))
    columns = {
        name: platform[name].copy(data=row) for name, row in zip(_NAMES, corrected, strict=True)
    }
    kinds = {
        "positions of NMEA sentences without a fix are NaN, not 0 N 0 E": void,
        "positions of NMEA sentences are those of their text, not 0 or NaN": misread,
    }
    done = [Correction(what, int(which.sum())) for what, which in kinds.items() if which.any()]
    return platform.assign(columns), done


def position_of(sentence: str) -> tuple[float, float] | None:
    """Latitude and longitude (degrees) of a GGA, GLL or RMC sentence.

    None if it has none, or its receiver does not call it valid.
    """
    fields = sentence.strip().partition("*")[0].split(",")
    kind = sentence[3:6]
    at = _LATITUDE[kind]
    position = fields[at : at + 4]
    if len(position) < 4 or position[1] not in {"N", "S"} or position[3] not in {"E", "W"}:
        return None
    status, void = _STATUS[kind]
    # GLL has no status before NMEA 2.0.
    if len(fields) > status and fields[status] == void:
        return None
    degrees = []
    for text, direction in (position[:2], position[2:]):
        written = _NUMBER.fullmatch(text)
        if written is None:
            return None
        degrees.append(_SIGN[direction] * (int(written[1] or 0) + float(written[2]) / 60))
    return degrees[0], degrees[1]

"""Finds the rows of a segment's own records, and their places in the file's arrays."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from flows.rawfile.in_segments import Segment, Segments
from flows.rawfile.streamed import UnknownLayoutError
from flows.walk.ad2cp import BEAM_GROUPS
from flows.walk.record_index import RAW_TRANSMIT
from flows.walk.sample_index import Int64s

# Dimensions of all records, of pings of one kind, and of transmit pulses.
TIME, PING_TIME, TRANSMIT_TIME = "time1", "ping_time", "ping_time_transmit"
TIME_DIMENSIONS = (TIME, PING_TIME, TRANSMIT_TIME)


def kept_rows(
    segments: Segments, segment: Segment, path: str, group: xr.Dataset
) -> dict[str, Int64s]:
    """Time dimension -> rows to keep of a group of a segment (int64).

    Args:
        segments: segments of the file.
        segment: the segment that was opened.
        path: path of the group, without leading slash.
        group: echopype's group.

    Raises:
        UnknownLayoutError: its times differ from those of the segment's records.
    """
    own = slice(segment.start, segment.stop)
    ids, times = segments.records.id[own], segments.records.times[own]
    kept = {}
    for dimension in TIME_DIMENSIONS:
        if dimension not in group.dims:
            continue
        found = group[dimension].values
        if dimension == TIME:
            # echopype sorts these records and keeps the first of each time.
            expected = np.sort(times[segments.is_first[own]])
            rows = np.flatnonzero(np.isin(found.view(np.int64), expected.view(np.int64)))
        else:
            is_kind = np.isin(ids, _ids(segments, path, dimension))
            expected = times[is_kind]
            rows = np.arange(found.size - expected.size, found.size)
        lacks = found.size < expected.size
        if lacks or not np.array_equal(found[rows], expected, equal_nan=True):
            raise UnknownLayoutError(f"{dimension} of {path} differs from the times of its records")
        kept[dimension] = rows
    return kept


def _ids(segments: Segments, path: str, dimension: str) -> list[int]:
    """Ids of the records that are the rows of a dimension of a beam group."""
    if dimension == TRANSMIT_TIME:
        return [RAW_TRANSMIT]
    present = set(segments.records.id.tolist())
    kinds = list(dict.fromkeys(k for id_, k in BEAM_GROUPS.items() if id_ in present))
    names = [f"Sonar/Beam_group{number}" for number in range(1, len(kinds) + 1)]
    if path not in names:
        raise UnknownLayoutError(f"{path} has a {dimension}")
    kind = kinds[names.index(path)]
    return [id_ for id_, name in BEAM_GROUPS.items() if name == kind]


def sorting(times: NDArray[np.datetime64]) -> Int64s | None:
    """Rows sorted by time; None if they are already sorted."""
    order = np.argsort(times, kind="stable")
    return None if (np.diff(order) == 1).all() else order

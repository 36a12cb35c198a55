"""Annotations (TAG0), such as start and end of a transect, which echopype drops.

SONAR-netCDF4 has a group /Annotation for them. echopype opens a store with it, but its
`combine_echodata` then fails, so they are in the Platform group, by a time of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from flows.rawfile.corrections.correction import Correction, Times

_TIME = "annotation_time"


def add_annotations(
    platform: xr.Dataset, times: Times, texts: Sequence[str]
) -> tuple[xr.Dataset, Correction] | None:
    """The Platform group with `annotation_text` by `annotation_time`; None without any.

    Several annotations of one time get a nanosecond between them: `combine_echodata`
    needs each time once.

    Args:
        platform: echopype's Platform group.
        times: times of the TAG0 datagrams, in file order.
        texts: their texts.
    """
    if not texts:
        return None
    apart: list[np.datetime64] = []
    for time in times:
        while time in apart:
            time += np.timedelta64(1, "ns")  # noqa: PLW2901 - the next free one
        apart.append(time)
    text = xr.Variable((_TIME,), np.array(texts), {"long_name": "Annotation text (TAG0)"})
    attrs = {"axis": "T", "long_name": "Timestamps of annotations", "standard_name": "time"}
    group = platform.assign(annotation_text=text)
    group = group.assign_coords({_TIME: (_TIME, np.array(apart, "datetime64[ns]"), attrs)})
    return group, Correction("annotations (TAG0) are in Platform", len(texts))

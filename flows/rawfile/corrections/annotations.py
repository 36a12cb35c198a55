"""Annotations (TAG0), such as start and end of a transect, which echopype drops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from flows.rawfile.corrections.correction import Times

# A group of SONAR-netCDF4; echopype has no name for it, but opens it with the others.
ANNOTATION = "Annotation"


def annotation_group(times: Times, texts: Sequence[str]) -> xr.Dataset:
    """SONAR-netCDF4's Annotation group: `annotation_text` by `time`, in file order."""
    return xr.Dataset(
        {"annotation_text": ("time", np.array(texts), {"long_name": "Annotation text"})},
        {
            "time": (
                "time",
                times,
                {"axis": "T", "long_name": "Timestamps of annotations", "standard_name": "time"},
            )
        },
        {"description": "Annotations of the sounder's operator (TAG0 datagrams)"},
    )

"""Motion and heading of EK80's MRU1, of which echopype keeps the position only (echopype#1239)."""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr

from flows.rawfile.corrections.correction import Correction, Floats, Times
from flows.rawfile.corrections.environments import with_times

# Field of MRU1 -> variable of the Platform group, in which echopype has that of MRU0.
_VARIABLES = {
    "pitch": "pitch",
    "roll": "roll",
    "heave": "vertical_offset",
    "heading": "heading",
}
_COMMENT = "From the MRU1 datagrams (Kongsberg Maritime binary)."


def correct_motion(
    platform: xr.Dataset, times: Times, motion: Mapping[str, Floats], *, has_mru0: bool
) -> tuple[xr.Dataset, Correction] | None:
    """The Platform group with the values of MRU1; None without MRU1.

    Without MRU0 they become `pitch`, `roll`, `vertical_offset` and `heading`, by `time2`,
    which echopype's `add_depth` reads. With MRU0 they stand beside them as `…_mru1`, by
    `time3`, as echopype's `latitude_mru1`.

    Args:
        platform: echopype's Platform group.
        times: times of the MRU1 datagrams.
        motion: roll, pitch and heading in degrees and heave in metres, by field.
        has_mru0: whether there are MRU0 datagrams, too.
    """
    if not times.size:
        return None
    dimension, suffix = ("time3", "_mru1") if has_mru0 else ("time2", "")
    group = platform if has_mru0 else with_times(platform, "time2", times)
    group = group.assign(
        {
            f"{name}{suffix}": xr.Variable(
                (dimension,), motion[field], {**platform[name].attrs, "comment": _COMMENT}
            )
            for field, name in _VARIABLES.items()
        }
    )
    what = "motion and heading of MRU1 datagrams are in Platform"
    return group, Correction(what, len(_VARIABLES) * times.size)

"""Directions of beams, and units of a Beam group, that echopype has wrong for Simrad files."""

from __future__ import annotations

import numpy as np
import xarray as xr

_AXES = ("beam_direction_x", "beam_direction_y", "beam_direction_z")
# The equivalent beam angle is 10 lg of steradians; complex samples are voltages at the receiver.
_ANGLE = "equivalent_beam_angle"
_COMPLEX = ("backscatter_r", "backscatter_i")


def correct_directions(group: xr.Dataset) -> tuple[xr.Dataset, int]:
    """The Beam group of an EK80 with unit vectors, and the number of channels corrected.

    echopype has the angles of the XML (`TransducerAlphaX` and others, degrees) as the components
    of a vector, and NaN if all are 0. With all at 0 the transducer points straight down
    (Simrad EK80 installation manual, "Transducer installation"); a positive rotation is clockwise
    in the positive direction of its axis (Simrad ST90 reference manual), which are forward,
    starboard and down. Rotations about x, y and z follow each other; their order changes
    what is of second order in the angles.
    """
    x, y, z = (np.radians(group[name].values) for name in _AXES)
    known = ~np.isnan(x + y + z)
    if not known.any():
        return group, 0
    ahead, aside = np.cos(x) * np.sin(y), -np.sin(x)
    vector = (
        ahead * np.cos(z) - aside * np.sin(z),
        ahead * np.sin(z) + aside * np.cos(z),
        np.cos(x) * np.cos(y),
    )
    columns = {n: group[n].copy(data=v) for n, v in zip(_AXES, vector, strict=True)}
    return group.assign(columns), int(np.count_nonzero(known))


def correct_units(group: xr.Dataset) -> tuple[xr.Dataset, int]:
    """The Beam group with the units of its values, and the number of variables corrected."""
    units = {_ANGLE: "dB"} | dict.fromkeys(_COMPLEX if _COMPLEX[1] in group else (), "V")
    columns = {}
    for name, unit in units.items():
        before = group[name].variable
        attrs = {key: value for key, value in before.attrs.items() if key != "valid_range"}
        attrs["units"] = unit
        columns[name] = xr.Variable(before.dims, before.data, attrs, before.encoding)
    return group.assign(columns), len(columns)

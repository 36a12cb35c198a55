"""Values of each EK60 ping (RAW0) that echopype drops, or keeps for the first ping or channel only."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from flows.rawfile.corrections.correction import Correction, Floats, Int64s, places, spread
from flows.rawfile.corrections.ping_values import TRANSDUCER_DEPTH, add_ping_values

# Field of RAW0 -> variable of the Platform group, and of SONAR-netCDF4 2.0's Beam group.
_MOTION = {
    "pitch": ("pitch", "platform_pitch"),
    "roll": ("roll", "platform_roll"),
    "heave": ("vertical_offset", "platform_vertical_offset"),
    "heading": ("heading", "platform_heading"),
}
# As echopype has them for EK80.
_HEADING = {
    "long_name": "Platform heading (true)",
    "standard_name": "platform_orientation",
    "units": "degrees_north",
    "valid_min": 0.0,
    "valid_max": 360.0,
}
_TEMPERATURE = {
    "long_name": "Temperature of the water, from the RAW0 datagrams",
    "standard_name": "sea_water_temperature",
    "units": "degree_C",
}


def add_depths(beam: xr.Dataset, cells: Int64s, depth: Floats) -> tuple[xr.Dataset, int]:
    """The Beam group with the transducer depth of each ping in m, unless all are 0."""
    return add_ping_values(beam, cells, depth, TRANSDUCER_DEPTH) if depth.any() else (beam, 0)


def correct_water_level(
    platform: xr.Dataset, beam: xr.Dataset, cells: Int64s, depth: Floats
) -> tuple[xr.Dataset, Correction] | None:
    """The Platform group with the water level that gives each ping's transducer depth.

    SONAR-netCDF4 and echopype's `add_depth` have depth = transducer_offset_z -
    (water_level + vertical_offset). echopype has the depth of the first ping as water
    level, which puts a transducer at 6 m to 6 m above the water. The result has the
    dimensions (channel, time2), or none if all its values are equal. None if every
    depth is 0.

    Args:
        platform: echopype's Platform group; its `time2` are ping times.
        beam: its Beam group.
        cells: number of the ping by channel and ping time, -1 without one.
        depth: transducer depth of each ping in m, positive down.
    """
    if not depth.any():
        return None
    offsets = platform["transducer_offset_z"].sel(channel=beam["channel"].values).values
    times = beam["ping_time"].values
    levels = np.full((len(cells), platform.sizes["time2"]), np.nan)
    for c, row in enumerate(cells):
        held = np.flatnonzero(row >= 0)
        if not held.size:
            continue
        held = held[np.argsort(times[held], kind="stable")]
        at = np.searchsorted(times[held], platform["time2"].values, side="right") - 1
        levels[c] = offsets[c] - depth[row[held]][np.maximum(at, 0)]
    attrs = platform["water_level"].attrs
    if (levels == levels[0, 0]).all():
        variable = xr.Variable((), levels[0, 0], attrs)
    else:
        variable = xr.Variable(("channel", "time2"), levels, attrs)
    corrected = platform.assign(water_level=variable)
    what = "water level gives the transducer depth of each RAW0, not the negative one of the first"
    return corrected, Correction(what, int(np.count_nonzero(cells >= 0)))


def add_heading(platform: xr.Dataset, beam: xr.Dataset, own: Floats) -> xr.Dataset:
    """The Platform group with the heading by `time2`, from the channel that echopype takes.

    Args:
        platform: echopype's Platform group, whose `time2` are the ping times of the
            first channel.
        beam: its Beam group.
        own: heading by channel and ping time of the Beam group.
    """
    at = places(platform["time2"].values, beam["ping_time"].values)
    return platform.assign(heading=xr.Variable(("time2",), spread(at, own[0]), _HEADING))


def add_motion_of_channels(
    beam: xr.Dataset, cells: Int64s, pings: Mapping[str, Floats]
) -> tuple[xr.Dataset, int]:
    """The Beam group with motion and heading by channel, where they differ between channels.

    Returns the group and the number of pings that differ from the first channel's.
    """
    count = 0
    for field, (_, name) in _MOTION.items():
        own = spread(cells, pings[field])
        same = (own == own[0]) | (np.isnan(own) & np.isnan(own[0]))
        differing = int(np.count_nonzero((cells >= 0) & ~same))
        if differing:
            long_name = f"Platform {field} at time of the ping"
            attrs = {"long_name": long_name, "units": "m" if field == "heave" else "arc_degree"}
            beam = beam.assign({name: xr.Variable(("channel", "ping_time"), own, attrs)})
            count += differing
    return beam, count


def add_temperature(environment: xr.Dataset, beam: xr.Dataset, own: Floats) -> xr.Dataset:
    """The Environment group with the temperature in degrees Celsius by channel and `time1`.

    Args:
        environment: echopype's Environment group, whose `time1` are the ping times.
        beam: its Beam group.
        own: temperature by channel and ping time of the Beam group.
    """
    at = places(environment["time1"].values, beam["ping_time"].values)
    values = np.stack([spread(at, row) for row in own])
    return environment.assign(temperature=xr.Variable(("channel", "time1"), values, _TEMPERATURE))

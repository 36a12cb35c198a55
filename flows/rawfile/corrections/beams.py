"""Values of each ping that echopype changes or drops: frequencies, depths, motion, transmit pulses.

An EK60's ping has them in its RAW0, an EK80's in its Parameter XML; `cells` is the number of the
ping by the Beam group's channel and ping time, -1 without one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from flows.rawfile.corrections.correction import Correction, Floats, Int64s, places, spread
from flows.rawfile.samples import Part, PingSamples
from flows.rawfile.streamed import ping_cells
from flows.walk.sample_index import SampleIndex

_DIMS = ("channel", "ping_time")
# As in echopype's convention file (echodata/convention/1.0.yml).
_FREQUENCY = {"units": "Hz", "standard_name": "sound_frequency", "valid_min": 0.0}
_FREQUENCIES = {
    "transmit_frequency_start": "Start frequency in transmitted pulse",
    "transmit_frequency_stop": "Stop frequency in transmitted pulse",
}
# Names and attributes of SONAR-netCDF4 2.0, "Beam_group".
SOUND_SPEED = (
    "sound_speed_at_transducer",
    {
        "long_name": "Indicative sound speed at ping time and transducer depth",
        "standard_name": "speed_of_sound_in_sea_water",
        "units": "m/s",
        "valid_min": 0.0,
    },
)
TRANSDUCER_DEPTH = (
    "tx_transducer_depth",
    {
        "long_name": "Tx transducer depth below waterline at time of the ping",
        "standard_name": "depth",
        "units": "m",
        "positive": "down",
    },
)
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
# Field of RAW0 -> variable of SONAR-netCDF4 2.0's Beam group.
_MOTION = {
    "pitch": "platform_pitch",
    "roll": "platform_roll",
    "heave": "platform_vertical_offset",
    "heading": "platform_heading",
}
_COMMENT = "Only exist for Simrad EK80 file with RAW4 datagrams"
_PARTS: tuple[tuple[str, Part, str], ...] = (
    ("transmit_pulse_r", "real", "Real part of the transmit pulse"),
    ("transmit_pulse_i", "imaginary", "Imaginary part of the transmit pulse"),
)


def correct_frequencies(
    group: xr.Dataset, cells: Int64s, start: Floats, stop: Floats
) -> tuple[xr.Dataset, int]:
    """The Beam group with the transmitted frequencies, and the number of pings corrected.

    echopype has the transducer's nominal frequency for EK60 and power samples, none for
    complex CW samples, and those of FM pings. A group in which they are right stays as it is.
    `start` and `stop` are the first and the last transmitted frequency of each ping in Hz.
    """
    wrong = np.zeros(cells.shape, bool)
    columns: dict[str, xr.Variable] = {}
    for (name, long_name), of_pings in zip(_FREQUENCIES.items(), (start, stop), strict=True):
        ours = spread(cells, of_pings)
        theirs = group[name] if name in group else group["frequency_nominal"]
        theirs = theirs.broadcast_like(group["sample_interval"]).transpose(*_DIMS)
        known = ~np.isnan(ours)
        wrong |= known & (ours != theirs.values)
        values = np.where(known | (cells < 0), ours, theirs.values)
        attrs = group[name].attrs if name in group else {"long_name": long_name, **_FREQUENCY}
        columns[name] = xr.Variable(_DIMS, values, attrs)
    count = int(np.count_nonzero(wrong))
    return (group.assign(columns), count) if count else (group, 0)


def add_ping_values(
    group: xr.Dataset, cells: Int64s, values: Floats, named: tuple[str, Mapping[str, object]]
) -> tuple[xr.Dataset, int]:
    """The Beam group with one more variable, and the number of pings that have a value.

    `values` are those of each ping, NaN without one; `named` is the variable's name and attributes.
    """
    spread_out = spread(cells, values)
    count = int(np.count_nonzero(~np.isnan(spread_out)))
    if not count:
        return group, 0
    name, attrs = named
    return group.assign({name: xr.Variable(_DIMS, spread_out, attrs)}), count


def correct_water_level(
    platform: xr.Dataset, beam: xr.Dataset, cells: Int64s, depth: Floats
) -> tuple[xr.Dataset, Correction] | None:
    """The Platform group with the water level that gives each ping's transducer depth.

    SONAR-netCDF4 and echopype's `add_depth` have depth = transducer_offset_z -
    (water_level + vertical_offset). echopype has the depth of the first ping as water
    level, which puts a transducer at 6 m to 6 m above the water. The result has the
    dimensions (channel, time2), or none if all its values are equal. None if every
    depth is 0.
    `depth` is each ping's in m, positive down; the Platform group's `time2` are ping times.
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
    """The Platform group with the heading by `time2`, the ping times of the first channel.

    `own` is the heading by channel and ping time of the Beam group.
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
    for field, name in _MOTION.items():
        own = spread(cells, pings[field])
        same = (own == own[0]) | (np.isnan(own) & np.isnan(own[0]))
        differing = int(np.count_nonzero((cells >= 0) & ~same))
        if differing:
            long_name = f"Platform {field} at time of the ping"
            attrs = {"long_name": long_name, "units": "m" if field == "heave" else "arc_degree"}
            beam = beam.assign({name: xr.Variable(_DIMS, own, attrs)})
            count += differing
    return beam, count


def add_temperature(environment: xr.Dataset, beam: xr.Dataset, own: Floats) -> xr.Dataset:
    """The Environment group with the temperature in degrees Celsius by channel and `time1`, the ping times.

    `own` is the temperature by channel and ping time of the Beam group.
    """
    at = places(environment["time1"].values, beam["ping_time"].values)
    values = np.stack([spread(at, row) for row in own])
    return environment.assign(temperature=xr.Variable(("channel", "time1"), values, _TEMPERATURE))


def add_pulses(group: xr.Dataset, fd: int, pulses: SampleIndex) -> tuple[xr.Dataset, int]:
    """A complex Beam group with its pulses, as echopype has those of power groups, and their number.

    echopype drops them (echopype#713). They are read lazily from `fd`, which must stay open.
    """
    cells = ping_cells(group, pulses, is_complex=None)
    rows = cells[cells >= 0]
    if not rows.size:
        return group, 0
    width = int(pulses.count[rows].max())
    shape = (*cells.shape, width)
    variables = {
        name: xr.Variable(
            ("channel", "ping_time", "transmit_sample"),
            PingSamples(fd, pulses, part, cells, shape, np.dtype("float64")),
            {"long_name": long_name, "units": "V", "comment": _COMMENT},
        )
        for name, part, long_name in _PARTS
    }
    numbers = xr.Variable(
        ("transmit_sample",),
        np.arange(width),
        {"long_name": "Transmit pulse sample number, base 0", "comment": _COMMENT},
    )
    return group.assign(variables).assign_coords(transmit_sample=numbers), int(rows.size)

"""Values of each ping: frequency, and of EK80's Parameter XML sound speed, transducer depth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from flows.rawfile.corrections.correction import Floats, Int64s, spread

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


def correct_frequencies(
    group: xr.Dataset, cells: Int64s, start: Floats, stop: Floats
) -> tuple[xr.Dataset, int]:
    """The Beam group with the transmitted frequencies, and the number of pings corrected.

    echopype has the transducer's nominal frequency for EK60 and power samples, none for
    complex CW samples, and those of FM pings. A group in which they are right stays as it is.

    Args:
        group: a Beam group.
        cells: number of the ping by channel and ping time, -1 without one.
        start: first transmitted frequency of each ping in Hz.
        stop: last transmitted frequency of each ping in Hz.
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

    Args:
        group: a Beam group.
        cells: number of the ping by channel and ping time, -1 without one.
        values: value of each ping, NaN without one.
        named: name and attributes of the variable.
    """
    spread_out = spread(cells, values)
    count = int(np.count_nonzero(~np.isnan(spread_out)))
    if not count:
        return group, 0
    name, attrs = named
    return group.assign({name: xr.Variable(_DIMS, spread_out, attrs)}), count

"""Transmit pulses (RAW4) of complex channels, which echopype drops (echopype#713)."""

from __future__ import annotations

import numpy as np
import xarray as xr

from flows.rawfile.samples import Part, PingSamples
from flows.rawfile.streamed import ping_cells
from flows.walk.sample_index import SampleIndex

_COMMENT = "Only exist for Simrad EK80 file with RAW4 datagrams"
_PARTS: tuple[tuple[str, Part, str], ...] = (
    ("transmit_pulse_r", "real", "Real part of the transmit pulse"),
    ("transmit_pulse_i", "imaginary", "Imaginary part of the transmit pulse"),
)


def add_pulses(group: xr.Dataset, fd: int, pulses: SampleIndex) -> tuple[xr.Dataset, int]:
    """A complex Beam group with its pulses, as echopype has those of power groups.

    Args:
        group: the Beam group.
        fd: the raw file, which must stay open for reading.
        pulses: index of the transmit pulses.

    Returns:
        The group and the number of pulses; they are read lazily.
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

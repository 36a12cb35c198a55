"""The picture of an AD2CP: echo amplitude and velocity of each beam, and its echosounder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.products.calibration import BLOCK_SAMPLES
from flows.products.depth_bins import (
    Linear,
    VerticalGrid,
    bin_means,
    grid_over,
    in_decibels,
    linear,
)
from flows.products.echogram import MAX_BINS, DrawnPanel, Echogram, column_means, percentiles

_AMPLITUDE = "echo amplitude (dB)"
_VELOCITY = "velocity (m s⁻¹)"
#: `coordinate_system` of a data record.
_AXES = {0: ("east", "north", "up"), 1: ("x", "y", "z")}


def nortek_echogram(echodata: Any) -> Echogram:  # noqa: ANN401 - echopype ships no types
    """A panel for the amplitude of each beam and of the echosounder, then for each velocity."""
    panels: dict[str, list[DrawnPanel]] = {"amplitude": [], "velocity": []}
    groups = sorted(path for path in echodata.group_paths if path.startswith("Sonar/Beam_group"))
    for group in groups:
        beams = echodata[group]
        for name, found in panels.items():
            if name not in beams or "range_sample" not in beams[name].dims:
                continue
            for number in range(beams.sizes["beam"]) if "beam" in beams[name].dims else (None,):
                one = beams[[name, "blanking", "cell_size", "coordinate_system"]]
                one = one if number is None else one.isel(beam=number)
                drawn = _drawn(one, name, number)
                if drawn is not None:
                    found.append(drawn)
    notes = ["amplitudes are as recorded, not calibrated", "range along the beam"]
    return Echogram([*panels["amplitude"], *panels["velocity"]], "range", notes=notes)


def _drawn(one: Any, name: str, number: int | None) -> DrawnPanel | None:  # noqa: ANN401 - a dataset of xarray
    samples = one[name].transpose("ping_time", "range_sample")
    # Records of other beams have no values.
    pings = np.flatnonzero(np.isfinite(samples.isel(range_sample=0).values))
    if not pings.size:
        return None
    cell = one["cell_size"].values.astype(np.float64)[pings]
    first = one["blanking"].values.astype(np.float64)[pings] + cell
    cells = samples.sizes["range_sample"]
    is_amplitude = name == "amplitude"
    ends = first - cell / 2, first + cell * (cells - 0.5)
    grid = grid_over(float(ends[0].min()), float(ends[1].max()), float(cell.min()), MAX_BINS)
    parts = _parts(samples, pings, first, cell, grid, is_amplitude=is_amplitude)
    means, places = column_means(parts, pings.size, 1, grid.count)
    values = in_decibels(means) if is_amplitude else means
    low, high = percentiles(values)
    fastest = max(abs(low), abs(high))
    title = "echosounder" if number is None else f"beam {one['beam'].item()}"
    axes = _AXES.get(int(one["coordinate_system"].values[pings[0]]))
    if not is_amplitude and axes and number is not None:
        title = axes[min(number, len(axes) - 1)]
    return DrawnPanel(
        title=f"{'amplitude' if is_amplitude else 'velocity'}, {title}, {pings.size:,} pings",
        quantity=_AMPLITUDE if is_amplitude else _VELOCITY,
        limits=(low, high) if is_amplitude else (-fastest, fastest),
        times=one["ping_time"].values[pings][places],
        numbers=pings[places],
        values=values,
        grid=grid,
        passive=np.zeros(len(places), bool),
        colours="viridis" if is_amplitude else "RdBu_r",
    )


def _parts(
    samples: Any,  # noqa: ANN401 - an array of xarray
    pings: NDArray[np.intp],
    first: NDArray[np.float64],
    cell: NDArray[np.float64],
    grid: VerticalGrid,
    *,
    is_amplitude: bool,
) -> Iterator[tuple[NDArray[np.intp], Linear]]:
    """The pings' means by bin, a block of pings at a time."""
    block = max(1, BLOCK_SAMPLES // samples.sizes["range_sample"])
    for begin in range(0, pings.size, block):
        places = np.arange(begin, min(begin + block, pings.size))
        values = samples.isel(ping_time=pings[places]).values.astype(np.float32)
        power = linear(values) if is_amplitude else values
        yield places, bin_means(power, first[places], cell[places], grid)

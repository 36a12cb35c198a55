"""The picture of an AD2CP: echo amplitude and velocity of each beam, and its echosounder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.products.echogram import MAX_BINS, DrawnPanel, Echogram, column_means, percentiles
from flows.products.sv.depth_bins import (
    Linear,
    VerticalGrid,
    bin_means,
    grid_over,
    in_decibels,
    linear,
)

# Samples that are read at once.
_READ_SAMPLES = 1_000_000
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
            small = ["blanking", "cell_size", "coordinate_system"]
            if "beam" not in beams[name].dims:
                found.append(_drawn(beams[[name, *small]], name, "echosounder", slice(None)))
                continue
            for place, beam, pings in _beams(beams):
                one = beams[[name, *small]].isel(beam=place)
                axes = _AXES.get(int(one["coordinate_system"].values[pings[0]]), ())
                named = name == "velocity" and place < len(axes)
                found.append(_drawn(one, name, axes[place] if named else f"beam {beam}", pings))
    notes = ["amplitudes are as recorded, not calibrated", "range along the beam"]
    return Echogram([*panels["amplitude"], *panels["velocity"]], "range", notes=notes)


def _beams(beams: Any) -> Iterator[tuple[int, int, NDArray[np.intp]]]:  # noqa: ANN401 - a dataset of xarray
    """Each beam of the instrument: its place among the record's beams, its number, and its pings.

    `data_set_description` has four bits for the beam at each place: a file may have
    records of four beams and records of the fifth in turn.
    """
    described = beams["data_set_description"].values.astype(np.int64)
    for place in range(beams.sizes["beam"]):
        numbers = (described >> 4 * place) & 15
        for beam in np.unique(numbers[numbers > 0]).tolist():
            yield place, beam, np.flatnonzero(numbers == beam)


def _drawn(one: Any, name: str, title: str, chosen: slice | NDArray[np.intp]) -> DrawnPanel:  # noqa: ANN401 - as above
    samples = one[name].transpose("ping_time", "range_sample")
    pings = np.arange(samples.sizes["ping_time"])[chosen]
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
    block = max(1, _READ_SAMPLES // samples.sizes["range_sample"])
    for begin in range(0, pings.size, block):
        places = np.arange(begin, min(begin + block, pings.size))
        first_ping, last_ping = pings[places[[0, -1]]]
        # All between, of which the pings are taken: a selection in the store takes longer.
        read = samples.isel(ping_time=slice(int(first_ping), int(last_ping) + 1)).values
        values = read[pings[places] - first_ping].astype(np.float32)
        power = linear(values) if is_amplitude else values
        yield places, bin_means(power, first[places], cell[places], grid)

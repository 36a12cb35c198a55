"""The viewer store: a pyramid of Sv for a browser, as NOAA's AA-SI_EchogramGL reads it.

One regular grid of depths (or ranges) for all channels and pings, so that heave does not
smear, and one column for each ping. Each level halves what is larger than one tile, by
linear means. `tests/viewer_contract.py` checks a store.
"""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec
from zarr.errors import ZarrUserWarning

from flows.products.echogram import SV_LIMITS, every_ping_note
from flows.products.pyramid_level import TILE_PINGS, TILE_SAMPLES, PyramidLevel, halved
from flows.products.sv.depth_bins import grid_over, in_decibels
from flows.products.sv.gridded import SV_LABEL, Gridded, GriddedPanel, source_of_columns
from flows.products.sv.panels import Floats, Ints
from flows.products.sv.platform import PlatformTrack, sea_floor

#: As the contract has it; a float16 holds it as -10000.
NODATA = -9999.0
#: Bins of the finest level; its step grows beyond.
MAX_SAMPLES = 4096
#: Cells of the finest level, which take four bytes of temporary disk each, and samples that are read
#: (see `Gridded.cost`); of more, every k-th ping.
MAX_CELLS, MAX_COST = 600_000_000, 200_000_000
#: A missing chunk is an error in a browser's console, and 403 in a bucket that it may not list.
_EVERY_CHUNK: Any = {"write_empty_chunks": True}


class NotApplicableError(Exception):
    """The output has nothing of which this product is made; the text says why."""


def write_viewer_store(
    folder: Path,
    echodata: Any,  # noqa: ANN401 - echopype ships no types
    source: Gridded,
    described: Mapping[str, Any],
) -> None:
    """Write the viewer store of an output into an empty folder, in bounded memory.

    Args:
        folder: of the store.
        echodata: the opened output, for positions and the sea floor.
        source: its panels.
        described: more attributes: `title`, `source_manifest` and so on.

    Raises:
        NotApplicableError: no channel has Sv.
    """
    panels = [each for each in source.panels if each.panel.pings.size]
    if not panels or panels[0].quantity != SV_LABEL:
        nothing = "the file has no pings of a calibrated echosounder"
        raise NotApplicableError("; ".join(source.notes) if panels else nothing)
    firsts, lasts, steps = zip(*(each.extent for each in panels), strict=True)
    first = 0.0 if source.vertical == "depth" else min(firsts)
    grid = grid_over(first, max(lasts), min(steps), MAX_SAMPLES)
    longest = max(panels, key=lambda each: each.panel.pings.size)
    cells = longest.panel.pings.size * grid.count * len(panels)
    every = max(1, math.ceil(cells / MAX_CELLS), math.ceil(source.cost() / MAX_COST))
    columns = np.arange(0, longest.panel.pings.size, every)
    times = longest.panel.times[columns]
    sources = [source_of_columns(each, times, longest, columns) for each in panels]
    floors = [sea_floor(echodata, each.panel) for each in panels]
    found = [
        np.full(columns.size, np.nan) if floor is None else np.where(s >= 0, floor[s], np.nan)
        for floor, s in zip(floors, sources, strict=True)
    ]
    beside: dict[str, NDArray[Any]] = {"ping_time": times}
    latitude, longitude = PlatformTrack(echodata).at(times)
    if np.isfinite(latitude).any():
        beside |= {"latitude": latitude, "longitude": longitude}
    if source.vertical == "depth":
        beside["transducer_depth"] = longest.offsets[columns]
    root = zarr.open_group(folder, mode="w", zarr_format=3)
    with tempfile.TemporaryDirectory(prefix="echodrop-viewer-", dir=folder.parent) as scratch:
        level = PyramidLevel(Path(scratch) / "0", len(panels), columns.size, grid)
        for channel, (each, source_of) in enumerate(zip(panels, sources, strict=True)):
            _fill(level, channel, each, source_of, every)
        factors = (1, 1)
        datasets: list[dict[str, Any]] = []
        while True:
            path = str(len(datasets))
            smaller = level.next(Path(scratch) / str(len(datasets) + 1))
            group = root.create_group(path)
            _write_level(group, level, smaller)
            _write_beside(group, level, beside, np.array(found), factors[0])
            datasets.append({"path": path, "factors": list(factors)})
            level.close()
            if smaller is None:
                break
            halved = (level.columns > smaller.columns, level.grid.count > smaller.grid.count)
            factors = (factors[0] * (1 + halved[0]), factors[1] * (1 + halved[1]))
            level = smaller
    root.attrs.update(
        _attributes(
            panels,
            source,
            datasets,
            {**described, "notes": [*source.notes, *source.cut_notes(), *every_ping_note(every)]},
        )
    )
    with warnings.catch_warnings():
        # Zarr 3 does not name it yet, but readers that know it need one request in place of many.
        warnings.simplefilter("ignore", ZarrUserWarning)
        zarr.consolidate_metadata(root.store, zarr_format=3)


def _fill(
    level: PyramidLevel, channel: int, each: GriddedPanel, source_of: Ints, every: int
) -> None:
    """Write the finest level of one channel."""
    known = np.flatnonzero(source_of >= 0)
    places_of = source_of[known]
    step = every if np.array_equal(places_of % every, np.zeros(places_of.size)) else 1
    for places, means in each.means(level.grid, step):
        first, last = np.searchsorted(places_of, [places[0], places[-1] + 1])
        here = slice(int(first), int(last))
        rows = np.searchsorted(places, places_of[here])
        for run in np.split(np.arange(rows.size), np.flatnonzero(np.diff(known[here]) > 1) + 1):
            if run.size:
                level.write(channel, int(known[here][run[0]]), means[rows[run]])


def _write_level(group: zarr.Group, level: PyramidLevel, smaller: PyramidLevel | None) -> None:
    """Write a level's Sv, and the linear means of the next into its file."""
    array = group.create_array(
        "Sv",
        shape=(level.channels, level.columns, level.grid.count),
        chunks=(1, TILE_PINGS, TILE_SAMPLES),
        dtype="float16",
        fill_value=np.float16(NODATA),
        compressors=ZstdCodec(level=1),
        config=_EVERY_CHUNK,
        dimension_names=("channel", "ping", "sample"),
        attributes={"units": "dB", "long_name": "Volume backscattering strength (Sv re 1 m-1)"},
    )
    for channel in range(level.channels):
        for column in range(0, level.columns, TILE_PINGS):
            power = level.read(channel, column, TILE_PINGS)
            decibels = np.nan_to_num(in_decibels(power), nan=NODATA).astype(np.float16)
            array[channel, column : column + len(power)] = decibels
            if smaller is not None:
                if smaller.columns < level.columns:
                    power, column = halved(power, 0), column // 2  # noqa: PLW2901 - of the level above
                if smaller.grid.count < level.grid.count:
                    power = halved(power, 1)
                smaller.write(channel, column, power)


def _write_beside(
    group: zarr.Group,
    level: PyramidLevel,
    beside: Mapping[str, NDArray[Any]],
    floor: Floats,
    factor: int,
) -> None:
    """Write what belongs to the pings; of several in a column, that of the first."""
    shape = (level.channels, level.columns)
    arrays: dict[str, tuple[NDArray[Any], dict[str, Any]]] = {
        # A cell reaches from start + step * number to start + step * (number + 1).
        "range_start": (np.full(shape, level.grid.start, np.float32), {"units": "m"}),
        "range_step": (np.full(shape, level.grid.step, np.float32), {"units": "m"}),
    }
    if np.isfinite(floor).any():
        arrays["bottom"] = (floor[:, ::factor].astype(np.float32), {"units": "m"})
    for name, values in beside.items():
        one = values[::factor]
        if name == "ping_time":
            units = {"units": "nanoseconds since 1970-01-01", "calendar": "standard"}
            arrays[name] = (one.astype("datetime64[ns]").astype(np.int64), units)
        else:
            degrees = {"latitude": "degrees_north", "longitude": "degrees_east"}
            arrays[name] = (one, {"units": degrees.get(name, "m")})
    for name, (values, attributes) in arrays.items():
        dimensions = ("channel", "ping") if values.ndim == 2 else ("ping",)
        array = group.create_array(
            name,
            shape=values.shape,
            chunks=values.shape,
            dtype=values.dtype,
            compressors=ZstdCodec(level=1),
            config=_EVERY_CHUNK,
            dimension_names=dimensions,
            attributes=attributes,
        )
        array[...] = values


def _attributes(
    panels: list[GriddedPanel],
    source: Gridded,
    datasets: list[dict[str, Any]],
    described: Mapping[str, Any],
) -> dict[str, Any]:
    """The root attributes: those of the contract, and ours under `echodrop`."""
    return {
        "multiscales": [
            {
                "name": "Sv",
                "axes": ["ping", "sample"],
                "datasets": datasets,
                "aggregation": "linear_mean",
                "nodata": NODATA,
                "dataType": "Sv",
                "channelDim": "channel",
                "verticalRef": source.vertical,
            }
        ],
        "echodrop": {
            "channels": [
                {
                    "id": each.panel.channel_id,
                    "frequency_hz": each.panel.frequency,
                    "label": each.panel.label,
                    "pulse": each.panel.pulse,
                }
                for each in panels
            ],
            "quantity": "Sv",
            "units": "dB re 1 m-1",
            "limits": list(SV_LIMITS),
            **described,
        },
    }

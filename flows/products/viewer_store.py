"""The viewer store: a pyramid of Sv for a browser, as NOAA's AA-SI_EchogramGL reads it.

One regular grid of depths (or ranges) for all channels and pings, so that heave does not
smear, and one column for each ping. Each level halves what is larger than one tile, by
linear means. `viewer_contract.py` checks a store.
"""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec
from zarr.errors import ZarrUserWarning

from flows.products.depth_bins import Linear, VerticalGrid, grid_over, in_decibels
from flows.products.echogram import SV_LABEL, SV_LIMITS, Gridded, GriddedPanel, every_ping_note
from flows.products.panels import Floats, Ints, Times
from flows.products.platform import Track, sea_floor

TILE_PINGS, TILE_SAMPLES = 2048, 512
#: As the contract has it; a float16 holds it as -10000.
NODATA = -9999.0
#: Bins of the finest level; its step grows beyond.
MAX_SAMPLES = 4096
#: Cells of the finest level, which take four bytes of temporary disk each, and samples that are read
#: (see `Gridded.cost`); of more, every k-th ping.
MAX_CELLS, MAX_COST = 600_000_000, 400_000_000
#: A missing chunk is an error in a browser's console, and 403 in a bucket that it may not list.
_EVERY_CHUNK: Any = {"write_empty_chunks": True}
#: A channel's ping is repeated in the columns of others that ping in turn, for so many of its intervals.
_REPEATED = 1.5


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
    if not panels or not all(each.quantity == SV_LABEL for each in panels):
        nothing = "the file has no pings of a calibrated echosounder"
        raise NotApplicableError("; ".join(source.notes) if panels else nothing)
    grid = _common_grid(panels, source.vertical)
    longest = max(panels, key=lambda each: each.panel.pings.size)
    cells = longest.panel.pings.size * grid.count * len(panels)
    every = max(1, math.ceil(cells / MAX_CELLS), math.ceil(source.cost() / MAX_COST))
    columns = np.arange(0, longest.panel.pings.size, every)
    times = longest.panel.times[columns]
    notes = [*source.notes, *every_ping_note(every)]
    sources = [_source_of_columns(each, times, longest, columns) for each in panels]
    floors = [sea_floor(echodata, each.panel) for each in panels]
    found = [
        np.full(columns.size, np.nan) if floor is None else np.where(s >= 0, floor[s], np.nan)
        for floor, s in zip(floors, sources, strict=True)
    ]
    beside = {"ping_time": times, **_positions(echodata, times)}
    if source.vertical == "depth":
        beside["transducer_depth"] = longest.offsets[columns]
    root = zarr.open_group(folder, mode="w", zarr_format=3)
    with tempfile.TemporaryDirectory(prefix="echodrop-viewer-", dir=folder.parent) as scratch:
        level = _Level(Path(scratch) / "0", len(panels), columns.size, grid)
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
    root.attrs.update(_attributes(panels, source, datasets, {**described, "notes": notes}))
    with warnings.catch_warnings():
        # Zarr 3 does not name it yet, but readers that know it need one request in place of many.
        warnings.simplefilter("ignore", ZarrUserWarning)
        zarr.consolidate_metadata(root.store, zarr_format=3)


def _common_grid(panels: list[GriddedPanel], vertical: str) -> VerticalGrid:
    first = 0.0 if vertical == "depth" else min(each.first for each in panels)
    finest = min(each.finest for each in panels)
    return grid_over(first, max(each.last for each in panels), finest, MAX_SAMPLES)


def _source_of_columns(
    each: GriddedPanel, times: Times, longest: GriddedPanel, columns: Ints
) -> Ints:
    """The place of the panel's ping in each column; -1 where it has none.

    Channels that ping in turn have one ping each between two columns.
    """
    panel = each.panel
    if np.array_equal(panel.times, longest.panel.times):
        return columns
    own = np.maximum.accumulate(panel.times.astype("datetime64[ns]").astype(np.int64))
    starts = np.maximum.accumulate(times.astype("datetime64[ns]").astype(np.int64))
    intervals = np.diff(own)
    usual = float(np.median(intervals)) if intervals.size else 0.0
    ends = np.append(starts[1:], starts[-1] + usual if starts.size else 0)
    found = np.searchsorted(own, ends, side="left") - 1
    age = starts - own[np.maximum(found, 0)]
    return np.where((found >= 0) & (age <= _REPEATED * usual), found, -1)


def _fill(level: _Level, channel: int, each: GriddedPanel, source_of: Ints, every: int) -> None:
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


@dataclass(eq=False)
class _Level:
    """One level in a temporary file: linear Sv, 0 where there is none (channel, column, bin)."""

    path: Path
    channels: int
    columns: int
    grid: VerticalGrid

    def __post_init__(self) -> None:
        self._file: BinaryIO = self.path.open("w+b", buffering=0)
        self._file.truncate(self.channels * self.columns * self.grid.count * 4)

    def close(self) -> None:
        """Remove the file."""
        self._file.close()
        self.path.unlink()

    def write(self, channel: int, column: int, values: Linear) -> None:
        """Write some columns of a channel, from `column` on."""
        self._file.seek(self._offset(channel, column))
        self._file.write(np.nan_to_num(values, nan=0.0, posinf=0.0).astype("<f4").tobytes())

    def read(self, channel: int, column: int, count: int) -> Linear:
        """At most `count` columns of a channel, from `column` on."""
        count = min(count, self.columns - column)
        self._file.seek(self._offset(channel, column))
        body = self._file.read(count * self.grid.count * 4)
        return np.frombuffer(body, "<f4").reshape(count, self.grid.count)

    def _offset(self, channel: int, column: int) -> int:
        return (channel * self.columns + column) * self.grid.count * 4

    def next(self, path: Path) -> _Level | None:
        """The level above, empty; None if this one is a single tile."""
        grid, columns = self.grid, self.columns
        if columns <= TILE_PINGS and grid.count <= TILE_SAMPLES:
            return None
        if columns > TILE_PINGS:
            columns = -(-columns // 2)
        if grid.count > TILE_SAMPLES:
            grid = VerticalGrid(grid.start, grid.step * 2, -(-grid.count // 2))
        return _Level(path, self.channels, columns, grid)


def halved(values: Linear, axis: int) -> Linear:
    """Means of two neighbours along an axis; one without a value does not count."""
    if values.shape[axis] % 2:
        widths = [(0, int(number == axis)) for number in range(values.ndim)]
        values = np.pad(values, widths)
    shape = list(values.shape)
    shape[axis : axis + 1] = [shape[axis] // 2, 2]
    pairs = values.reshape(shape)
    sums, counts = pairs.sum(axis=axis + 1), (pairs > 0).sum(axis=axis + 1)
    found: Linear = sums / np.maximum(counts, 1).astype(np.float32)
    return found


def _write_level(group: zarr.Group, level: _Level, smaller: _Level | None) -> None:
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
    group: zarr.Group, level: _Level, beside: Mapping[str, NDArray[Any]], floor: Floats, factor: int
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


def _positions(echodata: Any, times: Times) -> dict[str, NDArray[Any]]:  # noqa: ANN401 - as above
    latitude, longitude = Track(echodata).at(times)
    known = np.isfinite(latitude).any()
    return {"latitude": latitude, "longitude": longitude} if known else {}


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

"""An EchoData whose samples are read lazily from the raw file."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from flows.rawfile.parsed_pings import beam_groups, has_ping
from flows.rawfile.repairs.restored import without_stand_ins
from flows.rawfile.samples import Part, PingSamples
from flows.walk.sample_index import ANGLE, FLOAT16, FLOAT32, SECTORS_SHIFT, Int64s, SampleIndex

# Variable -> part of the samples, by the variable's dimensions: power groups have no beam.
_SAMPLES = ("channel", "ping_time", "range_sample")
_PULSES = ("channel", "ping_time", "transmit_sample")
_PARTS: dict[tuple[str, tuple[str, ...]], Part] = {
    ("backscatter_r", _SAMPLES): "power",
    ("angle_athwartship", _SAMPLES): "athwartship",
    ("angle_alongship", _SAMPLES): "alongship",
    ("backscatter_r", (*_SAMPLES, "beam")): "real",
    ("backscatter_i", (*_SAMPLES, "beam")): "imaginary",
    ("transmit_pulse_r", _PULSES): "real",
    ("transmit_pulse_i", _PULSES): "imaginary",
}

# Offsets of RAW4's data type and number of samples in the datagram.
_PULSE_KIND, _PULSE_COUNT = 144, 152


class UnknownLayoutError(Exception):
    """A file with samples that this index does not support; echopype reads it whole."""


@dataclass(frozen=True)
class RawSamples:
    """The samples of the pings, and of the transmit pulses, of a Simrad file, open until `close`.

    `pulses` has one row for each ping with one.
    """

    fd: int
    pings: SampleIndex
    pulses: SampleIndex

    @classmethod
    def open(cls, path: Path, pings: SampleIndex) -> RawSamples:
        """Open a raw file with the index of its pings.

        Raises:
            OSError: it cannot be read.
            UnknownLayoutError: it has transmit pulses of an unsupported kind.
        """
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return cls(fd, pings, pulse_index(fd, pings))
        except BaseException:
            os.close(fd)
            raise

    def close(self) -> None:
        """Close the file; its variables can no longer be read."""
        os.close(self.fd)


def pulse_index(fd: int, pings: SampleIndex) -> SampleIndex:
    """The index of the transmit pulses, one row each, with time and channel of their pings.

    Raises:
        UnknownLayoutError: they are not float32 pairs of one sector.
    """
    rows = np.flatnonzero(pings.transmit >= 0)
    heads = [os.pread(fd, _PULSE_COUNT + 4, at) for at in pings.transmit[rows].tolist()]
    kinds = np.array([struct.unpack_from("<h", h, _PULSE_KIND)[0] for h in heads], np.int64)
    counts = np.array([struct.unpack_from("<i", h, _PULSE_COUNT)[0] for h in heads], np.int64)
    lengths = np.array([struct.unpack_from("<i", h)[0] for h in heads], np.int64)
    # The bits for power and angles have no meaning in a RAW4.
    kinds &= ~3
    kinds = np.where(counts > 0, kinds, 1 << SECTORS_SHIFT | FLOAT32)
    held = counts * np.where(kinds & FLOAT32, 8, 4)
    known = (kinds >> SECTORS_SHIFT == 1) & (kinds & (FLOAT16 | FLOAT32) > 0)
    if (~known | (held > lengths)).any():
        raise UnknownLayoutError("transmit pulses (RAW4) are not pairs of floats")
    start = pings.transmit[rows]
    return SampleIndex(
        names=pings.names,
        header=pings.header,
        channel=pings.channel[rows],
        times=pings.times[rows],
        offset=start,
        end=start + lengths + 8,
        transmit=np.full(rows.size, -1, np.int64),
        count=counts,
        kind=kinds,
    )


def pulses_or_none(fd: int, pings: SampleIndex) -> SampleIndex | None:
    """The index of the transmit pulses; None if their layout is unknown."""
    with suppress(UnknownLayoutError):
        return pulse_index(fd, pings)
    return None


def attach_samples(echodata: Any, samples: RawSamples) -> None:  # noqa: ANN401 - echopype ships no types
    """Replace the samples of a skeleton's EchoData with those of the file.

    Raises:
        UnknownLayoutError: a sample variable is not supported, or echopype has a ping
            that the file does not have.
    """
    for path, group in beam_groups(echodata).items():
        echodata[path] = _with_samples(without_stand_ins(group, samples.pings), samples)


def _with_samples(group: xr.Dataset, samples: RawSamples) -> xr.Dataset:
    # By sample dimension, the index of its datagrams, and whether their samples are complex.
    indices: dict[str, tuple[SampleIndex, bool | None]] = {
        "range_sample": (samples.pings, "backscatter_i" in group),
        "transmit_sample": (samples.pulses, None),
    }
    cells, widths = {}, {}
    for dimension, (index, is_complex) in indices.items():
        cells[dimension] = ping_cells(group, index, is_complex=is_complex)
        rows = _rows_of(group, index, is_complex=is_complex)
        widths[dimension] = int(index.count[rows].max(initial=0))
    if ((cells["range_sample"] < 0) & has_ping(group)).any():
        raise UnknownLayoutError("echopype has a ping that is not in the index")
    variables: dict[str, xr.Variable] = {}
    for name, variable in group.variables.items():
        dims = tuple(map(str, variable.dims))
        sampled = next((d for d in indices if d in dims), None)
        if sampled is None:
            continue
        if dims == (sampled,):
            numbers = np.arange(widths[sampled], dtype=variable.dtype)
            variables[str(name)] = xr.Variable(dims, numbers, variable.attrs, variable.encoding)
        else:
            part = _PARTS.get((str(name), dims))
            if part is None:
                raise UnknownLayoutError(f"{name} has the dimensions {', '.join(dims)}")
            shape = tuple(widths.get(d, group.sizes[d]) for d in dims)
            dtype = variable.dtype
            if dtype.kind == "i" and _lacks_angles(cells["range_sample"], samples.pings):
                # As echopype does for pings that are shorter.
                dtype = np.dtype("float64")
            index, at = indices[sampled][0], cells[sampled]
            data = PingSamples(samples.fd, index, part, at, shape, dtype)
            variables[str(name)] = xr.Variable(dims, data, variable.attrs, variable.encoding)
    return with_variables(group, variables)


def with_variables(group: xr.Dataset, variables: dict[str, xr.Variable]) -> xr.Dataset:
    """The group with these in place of its own variables and coordinates of the same names."""
    every = {str(name): variables.get(str(name), v) for name, v in group.variables.items()}
    coordinates = {name: every.pop(name) for name in map(str, group.coords)}
    return xr.Dataset(every, coordinates, group.attrs)


def _lacks_angles(cells: NDArray[np.int64], index: SampleIndex) -> bool:
    rows = cells[cells >= 0]
    return bool((index.count[rows] != index.count[rows].max(initial=0)).any()) or bool(
        (index.kind[rows] & ANGLE == 0).any()
    )


def _rows_of(group: xr.Dataset, index: SampleIndex, *, is_complex: bool | None) -> Int64s:
    """Rows of the pings with the group's channels and kind."""
    channels = set(map(str, group["channel"].values))
    number = [n for n, name in enumerate(index.names) if name in channels]
    chosen = np.isin(index.channel, number)
    if is_complex is not None:
        chosen &= index.sectors > 0 if is_complex else index.has_power
    return np.flatnonzero(chosen)


def ping_cells(
    group: xr.Dataset, index: SampleIndex, *, is_complex: bool | None
) -> NDArray[np.int64]:
    """Row of the index by the Beam group's channel and ping time (int64), -1 without a ping.

    `is_complex`: whether the group's samples are complex; None for any ping of its channels.

    A channel has a ping at a common ping time if it has a sample interval there. If a
    time occurs twice in the group, as in EK60 files, the pings do too, in file order;
    if not, echopype has kept the first of them.
    """
    present = has_ping(group)
    cells = np.full(present.shape, -1, dtype=np.int64)
    places = {key: at for at, key in enumerate(numbered(group["ping_time"].values))}
    rows = _rows_of(group, index, is_complex=is_complex)
    numbers = {name: number for number, name in enumerate(index.names)}
    for c, channel in enumerate(map(str, group["channel"].values)):
        own = rows[index.channel[rows] == numbers.get(channel, -1)]
        for row, key in zip(own.tolist(), numbered(index.times[own]), strict=True):
            if (at := places.get(key)) is not None:
                cells[c, at] = row
    cells[~present] = -1
    return cells


def numbered(times: NDArray[np.datetime64]) -> Iterator[tuple[int, int]]:
    """Each time, with the number of its earlier occurrences."""
    seen: dict[int, int] = {}
    for time in times.astype(np.int64).tolist():
        before = seen.get(time, 0)
        seen[time] = before + 1
        yield time, before

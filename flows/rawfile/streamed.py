"""An EchoData whose samples are read lazily from the raw file."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

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
SAMPLE_DIMENSIONS = ("range_sample", "transmit_sample")

# Offsets of RAW4's data type and number of samples in the datagram.
_PULSE_KIND, _PULSE_COUNT = 144, 152


class UnknownLayoutError(Exception):
    """A file with samples that this index does not support; echopype reads it whole."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True)
class RawSamples:
    """The samples of one Simrad file, open for reading until `close`.

    Attributes:
        pings: index of the samples of its pings.
        pulses: index of the samples of its transmit pulses, one row for each ping with one.
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


def attach_samples(echodata: Any, samples: RawSamples) -> None:  # noqa: ANN401 - echopype ships no types
    """Replace the samples of a skeleton with those of the file.

    Args:
        echodata: echopype's EchoData of the skeleton; its Beam groups are replaced.
        samples: samples of the file.

    Raises:
        UnknownLayoutError: a sample variable is not supported, or echopype has a ping
            that the file does not have.
    """
    for name in echodata["Sonar"]["beam_group"].values:
        path = f"Sonar/{name}"
        own = without_stand_ins(echodata[path], samples.pings)
        echodata[path] = _with_samples(own, samples)


def _with_samples(group: xr.Dataset, samples: RawSamples) -> xr.Dataset:
    is_complex = "backscatter_i" in group
    pings = ping_cells(group, samples.pings, is_complex=is_complex)
    if ((pings < 0) & _present(group)).any():
        raise UnknownLayoutError("echopype has a ping that is not in the index")
    pulses = ping_cells(group, samples.pulses, is_complex=None)
    widths = {
        "range_sample": _width(group, samples.pings, is_complex=is_complex),
        "transmit_sample": _width(group, samples.pulses, is_complex=None),
    }
    variables: dict[str, xr.Variable] = {}
    for name, variable in group.variables.items():
        dims = tuple(map(str, variable.dims))
        sampled = next((d for d in SAMPLE_DIMENSIONS if d in dims), None)
        if sampled is None:
            variables[str(name)] = variable
        elif dims == (sampled,):
            numbers = np.arange(widths[sampled], dtype=variable.dtype)
            variables[str(name)] = xr.Variable(dims, numbers, variable.attrs, variable.encoding)
        else:
            part = _PARTS.get((str(name), dims))
            if part is None:
                raise UnknownLayoutError(f"{name} has the dimensions {', '.join(dims)}")
            of_pulses = sampled == "transmit_sample"
            shape = tuple(widths.get(d, group.sizes[d]) for d in dims)
            dtype = variable.dtype
            if dtype.kind == "i" and _lacks_angles(pings, samples.pings):
                # As echopype does for pings that are shorter.
                dtype = np.dtype("float64")
            data = PingSamples(
                samples.fd,
                samples.pulses if of_pulses else samples.pings,
                part,
                pulses if of_pulses else pings,
                shape,
                dtype,
            )
            variables[str(name)] = xr.Variable(dims, data, variable.attrs, variable.encoding)
    coordinates = set(map(str, group.coords))
    return xr.Dataset(
        {n: v for n, v in variables.items() if n not in coordinates},
        {n: v for n, v in variables.items() if n in coordinates},
        group.attrs,
    )


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


def _width(group: xr.Dataset, index: SampleIndex, *, is_complex: bool | None) -> int:
    rows = _rows_of(group, index, is_complex=is_complex)
    return int(index.count[rows].max(initial=0))


def _present(group: xr.Dataset) -> NDArray[np.bool_]:
    """Whether a channel has a ping at a time of the group, by channel and ping time."""
    interval = group["sample_interval"].transpose("channel", "ping_time").values
    return np.asarray(~np.isnan(interval))


def ping_cells(
    group: xr.Dataset, index: SampleIndex, *, is_complex: bool | None
) -> NDArray[np.int64]:
    """Row of the index by the Beam group's channel and ping time (int64), -1 without a ping.

    `is_complex`: whether the group's samples are complex; None for any ping of its channels.

    A channel has a ping at a common ping time if it has a sample interval there. If a
    time occurs twice in the group, as in EK60 files, the pings do too, in file order;
    if not, echopype has kept the first of them.
    """
    present = _present(group)
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

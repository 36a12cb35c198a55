"""The samples of one variable, read lazily from the raw file.

Layouts: Simrad EK80 interface description ("RAW3", "RAW4") and EK60 reference
manual ("RAW0"). Power is int16 in steps of 10*log10(2)/256 dB; angles are int8,
athwartship before alongship; complex samples are float32 or float16 pairs, sector by
sector.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from flows.core.packing import COMPLEX_PACKING, POWER_CODEC, SIMRAD_POWER_STEP, Packing
from flows.rawfile.lazy_array import LazyArray, Region
from flows.rawfile.reading import read_exactly
from flows.walk.sample_index import ANGLE, FLOAT32, POWER, Int64s, SampleIndex

Part: TypeAlias = Literal["power", "athwartship", "alongship", "real", "imaginary"]

_INT16_FILL, _INT32_FILL = -(2**15), -(2**31)
_DTYPES = {
    "power": "<i2",
    "athwartship": "i1",
    "alongship": "i1",
    "real": "<f4",
    "imaginary": "<f4",
}
_COLUMNS = {"power": 0, "athwartship": 0, "alongship": 1, "real": 0, "imaginary": 1}


@dataclass(frozen=True)
class Layouts:
    """The place of one part of each ping's samples, by row of the index (int64).

    `start` and `step` are the offset of the first byte, and the bytes per sample; `count` is 0 if the
    ping lacks the part. A last row without samples serves the cells without a ping, which have row -1.
    """

    start: Int64s
    count: Int64s
    sectors: Int64s
    step: Int64s
    is_half: NDArray[np.bool_]


def layouts_of(index: SampleIndex, part: Part) -> Layouts:
    """The layout of `part` of every ping of the index."""
    power, angle = ((index.kind & kind > 0).astype(np.int64) for kind in (POWER, ANGLE))
    start, sectors = index.offset + index.header, np.ones_like(index.count)
    is_half = np.zeros(len(index), bool)
    if part == "power":
        has, step = power, 2 * sectors
    elif part in {"athwartship", "alongship"}:
        start += 2 * index.count * power
        has, step = angle, 2 * sectors
    else:
        start += 2 * index.count * (power + angle)
        sectors, is_half = index.sectors, index.kind & FLOAT32 == 0
        has, step = np.minimum(sectors, 1), sectors * np.where(is_half, 4, 8)
    columns = (start, index.count * has, sectors, step)
    start, count, sectors, step = (np.append(column, 0) for column in columns)
    return Layouts(start, count, sectors, step, np.append(is_half, np.False_))


class PingSamples(LazyArray):
    """One variable of a Beam group, by channel, ping, sample and, if complex, beam.

    Its values are bit for bit those that echopype reads from the file, except that
    imaginary parts of exactly 0 stay 0, which echopype turns into NaN.

    `fd` is the raw file, which must stay open for reading; `index` is of its pings, or of its transmit
    pulses; `cells` are rows of the index by channel and ping (int64), -1 without a ping. The dtype is
    float64, or int8 for angles without NaN.
    """

    def __init__(  # noqa: PLR0917 - one call, by keywords
        self,
        fd: int,
        index: SampleIndex,
        part: Part,
        cells: NDArray[np.int64],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        super().__init__(shape, dtype)
        self._fd = fd
        self._index = index
        self._part = part
        self._cells = cells
        self._zero_is_nan = False

    @functools.cached_property
    def _layouts(self) -> Layouts:
        return layouts_of(self._index, self._part)

    @functools.cached_property
    def _has_least(self) -> bool:
        """Whether a power sample is the least possible, which is the fill value of int16."""
        return any(block.min() == _INT16_FILL for block in self._all_pings())

    def packing(self) -> Packing | None:
        """The packing that decodes to the same bits; None if the samples are not packed.

        Power with a sample of -32768, the int16 fill value for NaN, is stored as int32.
        Reads all power samples, once.
        """
        if self._part == "power":
            stored, fill = ("int32", _INT32_FILL) if self._has_least else ("int16", _INT16_FILL)
            return Packing(np.dtype(stored), SIMRAD_POWER_STEP, fill, POWER_CODEC)
        return COMPLEX_PACKING if self._part in {"real", "imaginary"} else None

    def sectors_of(self, channel: int, ping: int) -> int:
        """How many sectors the samples of this part have in a ping, 0 if it has no such samples."""
        row = int(self._cells[channel, ping])
        return int(self._layouts.sectors[row]) if row >= 0 and self._layouts.count[row] else 0

    def zeros(self) -> int:
        """How many samples are exactly 0. Reads all of them."""
        return sum(int(np.count_nonzero(block == 0)) for block in self._all_pings())

    def zeros_as_nan(self) -> None:
        """From now on, imaginary parts of exactly 0 are NaN, as in echopype."""
        self._zero_is_nan = self._part == "imaginary"

    def packed(self, region: Region, packing: Packing) -> NDArray[Any]:
        """One region in the packing of `packing()`."""
        raw, missing = self._raw(region)
        stored = raw.astype(packing.stored, copy=False)
        if packing.fill is not None and missing is not None:
            stored[missing] = packing.fill
        return stored

    def read(self, region: Region) -> NDArray[Any]:
        """The values of one region, as in echopype."""
        raw, missing = self._raw(region)
        if self._part == "power":
            values = raw.astype(np.float32) * np.float64(SIMRAD_POWER_STEP)
        else:
            values = raw.astype(self.dtype, copy=False)
        if missing is not None:
            values[missing] = np.nan
        return values

    def _raw(self, region: Region) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """One region in the file's dtype, and a mask of missing samples; None if none is missing.

        Missing floats are NaN.
        """
        channels, pings, samples, *beams = region
        shape = tuple(s.stop - s.start for s in region)
        beam = beams[0] if beams else slice(0, 1)
        rows = self._cells[channels, pings].reshape(-1)
        counts = np.clip(self._layouts.count[rows], samples.start, samples.stop) - samples.start
        lacks = counts < shape[2]
        dtype = np.dtype(_DTYPES[self._part]).newbyteorder("=")
        # Not `np.zeros`: most pages would be written twice.
        out = np.empty((rows.size, shape[2], beam.stop - beam.start), dtype)
        out[lacks | (self._layouts.sectors[rows] < beam.stop)] = np.nan if dtype.kind == "f" else 0
        missing = None
        if dtype.kind != "f" and lacks.any():
            missing = (np.arange(shape[2]) >= counts[:, None]).reshape(shape)
        for place, found in self._pings(rows, counts, samples.start):
            sectors = found[:, beam]
            out[place, : len(sectors), : sectors.shape[1]] = sectors
        if self._zero_is_nan:
            out[out == 0] = np.nan
        return out.reshape(shape), missing

    def _pings(
        self, rows: Int64s, counts: Int64s, first: int
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        """Place in `rows`, and samples by sample and sector, of each ping that has some.

        `rows` of the index (int64), of which `counts` samples are read, from the sample `first` on.
        """
        at, column = self._layouts, _COLUMNS[self._part]
        dtypes = np.dtype(_DTYPES[self._part]), np.dtype("<f2")
        places = np.flatnonzero(counts)
        rows, counts = rows[places], counts[places]
        starts = at.start[rows] + first * at.step[rows]
        columns = (
            places,
            starts,
            counts,
            counts * at.step[rows],
            at.sectors[rows],
            at.is_half[rows],
        )
        for place, start, count, length, sectors, is_half in zip(
            *(each.tolist() for each in columns), strict=True
        ):
            numbers = np.frombuffer(read_exactly(self._fd, length, start), dtypes[is_half])
            yield place, numbers.reshape(count, sectors, -1)[:, :, column]

    def _all_pings(self) -> Iterator[NDArray[Any]]:
        rows = self._cells[self._cells >= 0]
        counts = np.minimum(self._layouts.count[rows], self.shape[2])
        return (found for _, found in self._pings(rows, counts, 0))

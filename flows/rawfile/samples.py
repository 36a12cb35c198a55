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

from flows.core.packing import COMPLEX_PACKING, SIMRAD_POWER_STEP, Packing
from flows.rawfile.lazy_array import LazyArray, Region
from flows.rawfile.reading import read_exactly
from flows.walk.sample_index import ANGLE, FLOAT32, POWER, SECTORS_SHIFT, SampleIndex

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
class Layout:
    """The place of one part of a ping's samples.

    Attributes:
        start: offset of its first byte.
        count: number of samples.
        width: numbers per sample and sector: 1, or 2 for pairs.
        sectors: sectors per sample.
    """

    start: int
    count: int
    width: int
    sectors: int


def layout_of(index: SampleIndex, row: int, part: Part) -> Layout:
    """The layout of `part` of the ping in this row of the index; no samples if it lacks the part."""
    count, kind = int(index.count[row]), int(index.kind[row])
    start = int(index.offset[row]) + index.header
    if part == "power":
        return Layout(start, count * bool(kind & POWER), 1, 1)
    start += 2 * count * bool(kind & POWER)
    if part in {"athwartship", "alongship"}:
        return Layout(start, count * bool(kind & ANGLE), 2, 1)
    start += 2 * count * bool(kind & ANGLE)
    sectors = kind >> SECTORS_SHIFT
    return Layout(start, count * bool(sectors), 2, sectors)


class PingSamples(LazyArray):
    """One variable of a Beam group, by channel, ping, sample and, if complex, beam.

    Its values are bit for bit those that echopype reads from the file, except that
    imaginary parts of exactly 0 stay 0, which echopype turns into NaN.

    Args:
        fd: the raw file, which must stay open for reading.
        index: index of its pings, or of its transmit pulses.
        part: the kind of samples.
        cells: row of the index by channel and ping (int64), -1 without a ping.
        shape: shape of the variable.
        dtype: dtype of the variable: float64, or int8 for angles without NaN.
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
    def _packing(self) -> Packing | None:
        """See `packing`."""
        if self._part == "power":
            taken = any((block == _INT16_FILL).any() for block in self._all_pings())
            if taken:
                return Packing(np.dtype("int32"), SIMRAD_POWER_STEP, _INT32_FILL)
            return Packing(np.dtype("int16"), SIMRAD_POWER_STEP, _INT16_FILL)
        if self._part in {"real", "imaginary"}:
            return COMPLEX_PACKING
        return None

    def packing(self) -> Packing | None:
        """The packing that decodes to the same bits; None if the samples are not packed.

        Power with a sample of -32768, the int16 fill value for NaN, is stored as int32.
        Reads all power samples, once.
        """
        return self._packing

    def has_samples(self, channel: int, ping: int) -> bool:
        """Whether the ping of this channel has samples of this part."""
        row = int(self._cells[channel, ping])
        return row >= 0 and layout_of(self._index, row, self._part).count > 0

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
        dtype = np.dtype(_DTYPES[self._part]).newbyteorder("=")
        is_float = dtype.kind == "f"
        out = np.full(shape, np.nan, dtype) if is_float else np.zeros(shape, dtype)
        missing: NDArray[np.bool_] | None = None
        for c, row_of in enumerate(self._cells[channels, pings].tolist()):
            for p, row in enumerate(row_of):
                found = self._ping(row, samples)
                there = 0 if found is None else len(found)
                if found is not None:
                    if beams:
                        sectors = found[:, beams[0]]
                        out[c, p, :there, : sectors.shape[1]] = sectors
                    else:
                        out[c, p, :there] = found[:, 0]
                if there < shape[2] and not is_float:
                    if missing is None:
                        missing = np.zeros(shape, dtype=bool)
                    missing[c, p, there:] = True
        if self._zero_is_nan:
            out[out == 0] = np.nan
        return out, missing

    def _ping(self, row: int, samples: slice) -> NDArray[Any] | None:
        """Samples of one ping, by sample and sector; None if it has none in this range."""
        if row < 0:
            return None
        at = layout_of(self._index, row, self._part)
        stop = min(at.count, samples.stop)
        if stop <= samples.start:
            return None
        dtype = np.dtype(_DTYPES[self._part])
        if self._part in {"real", "imaginary"} and not self._index.kind[row] & FLOAT32:
            dtype = np.dtype("<f2")
        step = dtype.itemsize * at.width * at.sectors
        length = (stop - samples.start) * step
        body = read_exactly(self._fd, length, at.start + samples.start * step)
        numbers = np.frombuffer(body, dtype).reshape(-1, at.sectors, at.width)
        return numbers[:, :, _COLUMNS[self._part]]

    def _all_pings(self) -> Iterator[NDArray[Any]]:
        whole = slice(0, self.shape[2])
        for row in self._cells[self._cells >= 0].tolist():
            found = self._ping(row, whole)
            if found is not None:
                yield found

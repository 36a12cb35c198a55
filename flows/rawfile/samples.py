"""The samples of one variable, read from the raw file when they are asked for.

Layouts: Simrad EK80 interface description ("RAW3", "RAW4") and EK60 reference
manual ("RAW0"). Power is int16 in steps of 10*log10(2)/256 dB; angles are int8,
athwartship before alongship; complex samples are float32 pairs, sector by sector.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from flows.encoding import COMPLEX_PACKING, SIMRAD_POWER_STEP, Packing
from flows.rawfile.sample_index import ANGLE, POWER, SampleIndex
from flows.rawfile.skeleton import read_exactly

Part: TypeAlias = Literal["power", "athwartship", "alongship", "real", "imaginary"]
Region: TypeAlias = tuple[slice, ...]
# numpy's protocols hand on whatever they were called with.
Anything: TypeAlias = Any

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
    """Where one part of a ping's samples is.

    Attributes:
        start: offset of its first byte.
        count: number of samples.
        width: numbers a sample and sector: 1, or 2 for pairs.
        sectors: sectors a sample.
    """

    start: int
    count: int
    width: int
    sectors: int


def layout_of(index: SampleIndex, row: int, part: Part) -> Layout:
    """Where `part` of the ping in this row of the index is."""
    count, kind = int(index.count[row]), int(index.kind[row])
    start = int(index.offset[row]) + index.header
    if part == "power":
        return Layout(start, count, 1, 1)
    start += 2 * count * bool(kind & POWER)
    if part in {"athwartship", "alongship"}:
        return Layout(start, count, 2, 1)
    start += 2 * count * bool(kind & ANGLE)
    return Layout(start, count, 2, int(index.sectors[row]))


class PingSamples(NDArrayOperatorsMixin):
    """One variable of a Beam group, by channel, ping, sample and, if complex, beam.

    A duck array: xarray indexes it as it does a numpy array, and only what is asked
    for is read. Its values are, bit for bit, those that echopype makes of the file;
    imaginary parts of exactly 0 are 0, where echopype makes NaN of them.

    Args:
        fd: the raw file, open for reading for as long as this is used.
        index: of its pings, or of its transmit pulses.
        part: which samples.
        cells: row of the index by channel and ping (int64), -1 where there is no ping.
        shape: of the variable.
        dtype: of the variable: float64, or int8 for angles that need no NaN.
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
        self.shape = shape
        self.dtype = dtype
        self._fd = fd
        self._index = index
        self._part = part
        self._cells = cells

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape))

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
        """How the samples are stored so that they decode to their own bits; None: as they are.

        Power that holds -32768, the value of int16 that stands for NaN, is stored as
        int32. Reads all power samples, once.
        """
        return self._packing

    def zeros(self) -> int:
        """How many samples are exactly 0. Reads all of them."""
        return sum(int(block.size - np.count_nonzero(block)) for block in self._all_pings())

    def packed(self, region: Region, packing: Packing) -> NDArray[Any]:
        """One region as it is stored, in the packing of `packing()`."""
        raw, missing = self._raw(region)
        stored = raw.astype(packing.stored, copy=False)
        if packing.fill is not None and missing is not None:
            stored[missing] = packing.fill
        return stored

    def __getitem__(self, key: Anything) -> NDArray[Any]:
        """The values of one region, as echopype makes them."""
        region, rest = _plain(key, self.shape)
        raw, missing = self._raw(region)
        if self._part == "power":
            values = raw.astype(np.float32) * np.float64(SIMRAD_POWER_STEP)
        else:
            values = raw.astype(self.dtype, copy=False)
        if missing is not None:
            values[missing] = np.nan
        return values if rest is None else values[rest]

    def __array__(self, dtype: Anything = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001 - numpy's protocol
        """All values, in memory."""
        if copy is False:
            raise ValueError("the samples are in the file, so reading them makes a copy")
        return np.asarray(self[...], dtype=dtype)

    def __array_function__(
        self, func: Callable[..., Any], _types: Anything, args: Anything, kwargs: Anything
    ) -> Anything:
        """Any other use of the array reads it."""
        return func(*_as_numpy(args), **kwargs)

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Anything, **kwargs: Anything
    ) -> Anything:
        """Arithmetic reads it, too."""
        return getattr(ufunc, method)(*_as_numpy(inputs), **kwargs)

    def _raw(self, region: Region) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """One region as the file has it, and where it has nothing; None if nowhere.

        Floats are NaN where the file has nothing.
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
        return out, missing

    def _ping(self, row: int, samples: slice) -> NDArray[Any] | None:
        """Samples of one ping, by sample and sector; None where it has none there."""
        if row < 0:
            return None
        at = layout_of(self._index, row, self._part)
        stop = min(at.count, samples.stop)
        if stop <= samples.start:
            return None
        dtype = np.dtype(_DTYPES[self._part])
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


def _plain(key: Anything, shape: tuple[int, ...]) -> tuple[Region, tuple[Any, ...] | None]:
    """A key as slices of step 1, and what is left to do with what they give."""
    keys = key if isinstance(key, tuple) else (key,)
    at = next((i for i, part in enumerate(keys) if part is Ellipsis), None)
    if at is not None:
        keys = keys[:at] + (slice(None),) * (len(shape) - len(keys) + 1) + keys[at + 1 :]
    keys += (slice(None),) * (len(shape) - len(keys))
    region: list[slice] = []
    rest: list[Any] = []
    for part, length in zip(keys, shape, strict=True):
        if isinstance(part, slice) and part.step in {None, 1}:
            start, stop, _ = part.indices(length)
            region.append(slice(start, max(start, stop)))
            rest.append(slice(None))
        elif isinstance(part, int | np.integer):
            at = int(part) % length
            region.append(slice(at, at + 1))
            rest.append(0)
        else:
            region.append(slice(0, length))
            rest.append(part)
    simple = all(isinstance(part, slice) and part == slice(None) for part in rest)
    return tuple(region), None if simple else tuple(rest)


def _as_numpy(arguments: Anything) -> Anything:
    if isinstance(arguments, PingSamples):
        return np.asarray(arguments)
    if isinstance(arguments, list | tuple):
        return type(arguments)(_as_numpy(argument) for argument in arguments)
    return arguments

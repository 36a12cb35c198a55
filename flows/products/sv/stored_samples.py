"""The samples of one panel as they are stored: of each chunk only the blocks that are used are decoded."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Protocol

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.abc.store import Store
from zarr.codecs import BloscCodec, BytesCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore

from flows.products.sv.blosc_blocks import decoded_rows
from flows.products.sv.panels import Ints, Panel

#: Values that are read at once, unless a chunk has more.
_READ_VALUES = 3_000_000
#: Of what is read to find a panel's extent, so much is kept until its blocks are read.
_KEPT_BYTES = 64_000_000

#: `backscatter_r`, and `backscatter_i` of complex samples: pings by samples, or by samples and sectors.
Stored = dict[str, NDArray[Any]]


class _Rows(Protocol):
    """One variable of one channel.

    Attributes:
        row: shape of a ping, its samples first.
        chunk: pings of a chunk.
        attributes: of the variable, undecoded.
    """

    row: tuple[int, ...]
    chunk: int
    attributes: dict[str, Any]

    def read(self, pings: Ints, *, is_read_again: bool = False) -> NDArray[Any]:
        """Pings in ascending order (n by row)."""


class _VariableRows:
    """Of a netCDF file, or of a Zarr array with other codecs than echodrop's own."""

    def __init__(self, variable: xr.Variable, channel: int) -> None:
        self._variable = variable.isel(channel=channel)
        self.row = self._variable.shape[1:]
        preferred = variable.encoding.get("preferred_chunks", {})
        self.chunk = max(1, int(preferred.get("ping_time", 1)))
        self.attributes = dict(variable.attrs)

    def read(self, pings: Ints, *, is_read_again: bool = False) -> NDArray[Any]:  # noqa: ARG002 - its library has a cache
        """See _Rows."""
        first, last = int(pings[0]), int(pings[-1]) + 1
        # Whole chunks, of which the pings are taken: a selection in the store takes longer.
        values: NDArray[Any] = self._variable.isel(ping_time=slice(first, last)).values
        return values if pings.size == last - first else values[pings - first]


class _ChunkRows:
    """Of a Zarr array whose chunks are of one channel and of whole pings, and compressed by Blosc."""

    def __init__(self, array: zarr.Array[Any], channel: int, attributes: dict[str, Any]) -> None:
        self._array = array
        self._channel = channel
        self.row = array.shape[2:]
        self.chunk = array.chunks[1]
        self.attributes = attributes
        self._kept: dict[int, memoryview | None] = {}

    @staticmethod
    def can_read(array: zarr.Array[Any]) -> bool:
        """Whether the array is stored in that way."""
        codecs: tuple[Any, ...] = getattr(array.metadata, "codecs", ())
        return (
            [type(codec) for codec in codecs] == [BytesCodec, BloscCodec]
            and array.chunks[0] == 1
            and array.chunks[2:] == array.shape[2:]
            and getattr(codecs[0].endian, "value", sys.byteorder) == sys.byteorder
        )

    def read(self, pings: Ints, *, is_read_again: bool = False) -> NDArray[Any]:
        """See _Rows."""
        chunks = pings // self.chunk
        row = np.empty(self.row, self._array.dtype)
        parts = []
        for part in np.split(pings, np.flatnonzero(np.diff(chunks)) + 1):
            number = int(part[0]) // self.chunk
            body = self._body(number, is_read_again=is_read_again)
            if body is None:
                missing = np.full((part.size, *self.row), self._array.fill_value, row.dtype)
                parts.append(missing)
            else:
                parts.append(decoded_rows(body, row, part % self.chunk))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _body(self, number: int, *, is_read_again: bool) -> memoryview | None:
        """A chunk as it is stored; None if all of it are fill values."""
        if number in self._kept:
            body = self._kept.pop(number)
        else:
            place = (self._channel, number, *(0 for _ in self.row))
            key = f"{self._array.path}/{self._array.metadata.encode_chunk_key(place)}".lstrip("/")
            body = _stored(self._array.store, key)
        held = sum(len(each or b"") for each in (body, *self._kept.values()))
        if is_read_again and held <= _KEPT_BYTES:
            self._kept[number] = body
        return body


def _stored(store: Store, key: str) -> memoryview | None:
    """An object's bytes; None if there is none."""
    if isinstance(store, LocalStore):
        # Mapped: not copied, and not by another thread.
        with suppress(FileNotFoundError), (store.root / key).open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return None
    found = sync(store.get(key, default_buffer_prototype()))
    return None if found is None else found.as_numpy_array().data


class StoredSamples:
    """Reads the samples of a panel's pings, in units that end where chunks do.

    Attributes:
        width: samples of a ping, padding included.
        sectors: of a ping.
    """

    def __init__(self, echodata: Any, panel: Panel) -> None:  # noqa: ANN401 - echopype ships no types
        stored: dict[tuple[str, str], xr.Variable] = echodata.stored_samples
        arrays: dict[tuple[str, str], zarr.Array[Any]] = echodata.stored_arrays
        self._rows: dict[str, _Rows] = {}
        for name in ("backscatter_r", "backscatter_i"):
            key = (panel.group, name)
            variable, array = stored.get(key), arrays.get(key)
            if variable is not None and array is not None and _ChunkRows.can_read(array):
                attributes = dict(variable.attrs)
                self._rows[name] = _ChunkRows(array, panel.channel, attributes)
            elif variable is not None:
                self._rows[name] = _VariableRows(variable, panel.channel)
        real = self._rows["backscatter_r"]
        self.width, *sectors = real.row
        self.sectors = sectors[0] if sectors else 1
        most = max(1, _READ_VALUES // max(1, self.width * self.sectors))
        self._pings = panel.pings
        self._units = panel.pings // (max(1, most // real.chunk) * real.chunk)

    def units(self, every: int) -> Iterator[tuple[Ints, Stored]]:
        """Every `every`-th place of the panel's pings with its samples, a unit at a time."""
        places = np.arange(0, self._pings.size, every)
        for part in np.split(places, np.flatnonzero(np.diff(self._units[places])) + 1):
            pings = self._pings[part]
            yield part, {name: rows.read(pings) for name, rows in self._rows.items()}

    def last_sample(self, place: int) -> int | None:
        """The last sample of a ping, before all pings are read; None if it has none."""
        name = "backscatter_r"
        read = self._rows[name].read(self._pings[[place]], is_read_again=True)
        samples = self.decoded({name: read}, name).reshape(self.width, -1)
        known = np.flatnonzero(np.isfinite(samples[:, 0]))
        return int(known[-1]) if known.size else None

    def decoded(self, stored: Stored, name: str) -> NDArray[Any]:
        """Values as the output's readers have them: scaled, NaN where there is no sample.

        Of integers of two bytes they are float32, which is as exact. May be `stored` itself
        unless those are integers.
        """
        attributes, values = self._rows[name].attributes, stored[name]
        packed = attributes.keys() & {"_FillValue", "missing_value", "add_offset"}
        if values.dtype.kind == "f" and not packed and attributes.get("scale_factor", 1) == 1:
            return values
        if values.dtype == np.int16 and packed <= {"_FillValue"}:
            scaled = values * np.float32(attributes.get("scale_factor", 1))
            missing = values == attributes.get("_FillValue")
            if missing.any():
                scaled[missing] = np.nan
            return scaled
        dimensions = [str(number) for number in range(values.ndim)]
        found = xr.conventions.decode_cf_variable(name, xr.Variable(dimensions, values, attributes))
        return np.array(found.values, np.float64)

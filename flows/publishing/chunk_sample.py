"""The arrays of a Zarr store, and the chunks of its large ones that are read back."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import xarray as xr
import zarr

from flows.encoding.chunking import chunk_lengths, chunk_regions, is_large
from flows.rawfile.lazy_array import Region

Item = TypeVar("Item")

_CHUNKS_OF_A_LARGE_VARIABLE = 2
# Values compared at a time: their temporary arrays fit in the processor's cache.
_BLOCK_BYTES = 2**20
_BLOCKS_OF_A_CHUNK = 16


def arrays_of(store: Any) -> dict[str, zarr.Array[Any]]:  # noqa: ANN401 - zarr's store
    """The arrays of a Zarr store by path."""
    members = zarr.open_group(store, mode="r").members(max_depth=None)
    return {path: each for path, each in members if isinstance(each, zarr.Array)}


def chunk_keys(path: str, array: zarr.Array[Any]) -> list[tuple[str, Region]]:
    """Each chunk's key in the store, and its region of the array."""
    return [
        (f"{path}/{array.metadata.encode_chunk_key(index)}", region)
        for index, region in chunk_regions(array.shape, array.chunks)
    ]


def chunks_to_decode(
    arrays: Mapping[str, zarr.Array[Any]], *, all_of_them: bool
) -> dict[str, tuple[str, Region]]:
    """Key -> array path and region: of each large array the last chunk and another, or all."""
    chosen: dict[str, tuple[str, Region]] = {}
    for path, array in arrays.items():
        if is_large(array.shape):
            chunks = chunk_keys(path, array)
            if not all_of_them:
                chunks = _some(chunks, _CHUNKS_OF_A_LARGE_VARIABLE)
            chosen.update({key: (path, region) for key, region in chunks})
    return chosen


def _some(items: Sequence[Item], wanted: int) -> list[Item]:
    """The last, which may be shorter than the others, and random ones before it."""
    before = items[:-1]
    return [*random.sample(before, min(wanted - 1, len(before))), items[-1]]


def blocks_to_compare(
    variable: xr.Variable, chunk: Region, *, all_of_them: bool
) -> list[tuple[Region, Region]]:
    """Small parts of a chunk, some of them or all: their regions in the variable, and in the chunk."""
    shape = [part.stop - part.start for part in chunk]
    extent = (tuple(map(str, variable.dims)), shape, variable.dtype.itemsize)
    lengths = chunk_lengths({"": extent}, limit=_BLOCK_BYTES)[""]
    blocks = [
        (
            tuple(
                slice(c.start + w.start, c.start + w.stop)
                for c, w in zip(chunk, within, strict=True)
            ),
            within,
        )
        for _, within in chunk_regions(shape, lengths)
    ]
    return blocks if all_of_them else _some(blocks, _BLOCKS_OF_A_CHUNK)

"""The arrays of a Zarr store, and the chunks of its large ones that are read back."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import xarray as xr

from flows.encoding.chunking import chunk_lengths, chunk_regions, is_large
from flows.encoding.zarr_documents import chunk_key
from flows.rawfile.lazy_array import Region

Item = TypeVar("Item")

_CHUNKS_OF_A_LARGE_VARIABLE = 3
# Values compared at a time: their temporary arrays fit in the processor's cache.
_BLOCK_BYTES = 2**20
_BLOCKS_OF_A_CHUNK = 16


@dataclass(frozen=True)
class ChunkedArray:
    """The part of an array's metadata that sampling needs."""

    path: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    zarr_format: Literal[2, 3]

    @property
    def is_large(self) -> bool:
        """Whether only some of its chunks are read back."""
        return is_large(self.shape)

    def chunk_keys(self) -> list[tuple[str, Region]]:
        """Each chunk's key in the store, and its region of the array."""
        return [
            (f"{self.path}/{chunk_key(index, self.zarr_format)}", region)
            for index, region in chunk_regions(self.shape, self.chunks)
        ]


def arrays_of(encoded: Mapping[str, bytes]) -> list[ChunkedArray]:
    """The arrays in a store's metadata, whose keys and documents are given."""
    arrays = []
    for key, body in encoded.items():
        folder, _, name = key.rpartition("/")
        if name == ".zarray":
            document = json.loads(body)
            arrays.append(
                ChunkedArray(folder, tuple(document["shape"]), tuple(document["chunks"]), 2)
            )
        elif name == "zarr.json" and folder:
            document = json.loads(body)
            if document["node_type"] == "array":
                chunks = document["chunk_grid"]["configuration"]["chunk_shape"]
                arrays.append(ChunkedArray(folder, tuple(document["shape"]), tuple(chunks), 3))
    return arrays


def chunks_to_decode(
    arrays: Iterable[ChunkedArray], *, all_of_them: bool
) -> dict[str, tuple[str, Region]]:
    """Key -> array path and region: of each large array the first, last and some others, or all."""
    chosen: dict[str, tuple[str, Region]] = {}
    for array in filter(lambda array: array.is_large, arrays):
        chunks = array.chunk_keys()
        if not all_of_them:
            chunks = _some(chunks, _CHUNKS_OF_A_LARGE_VARIABLE)
        chosen.update({key: (array.path, region) for key, region in chunks})
    return chosen


def _some(items: Sequence[Item], wanted: int) -> list[Item]:
    """The first, the last, and random ones between them."""
    between = items[1:-1]
    chosen = random.sample(between, min(wanted - 2, len(between)))
    return [items[0], *chosen, items[-1]] if len(items) > 1 else list(items)


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

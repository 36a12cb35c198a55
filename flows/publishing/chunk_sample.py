"""The arrays of a Zarr store, and the chunks of its large ones that are read back."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from flows.encoding.chunking import chunk_regions, is_large
from flows.encoding.zarr_documents import chunk_key

_CHUNKS_OF_A_LARGE_VARIABLE = 3


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

    def chunk_keys(self) -> list[tuple[str, tuple[slice, ...]]]:
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
) -> dict[str, tuple[str, tuple[slice, ...]]]:
    """Key -> array path and region: of each large array the first, last and some others, or all."""
    chosen: dict[str, tuple[str, tuple[slice, ...]]] = {}
    for array in filter(lambda array: array.is_large, arrays):
        chunks = array.chunk_keys()
        if not all_of_them:
            between = chunks[1:-1]
            wanted = min(_CHUNKS_OF_A_LARGE_VARIABLE - 2, len(between))
            chunks = list(dict([chunks[0], *random.sample(between, wanted), chunks[-1]]).items())
        chosen.update({key: (array.path, region) for key, region in chunks})
    return chosen

"""Verify a Zarr store: that its bytes decode to the EchoData, and that these bytes are what readers get.

Decoding asks no store, so that it is done while requests are under way. Reading
back compares bytes: of every object by the listing
(key, size, entity tag; S3 itself has compared each put with its SHA-256), of
root metadata, ping times and chunks of every large variable by reading them
from where readers will. `full` decodes and reads everything.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import xarray as xr
import zarr.storage
from zarr.core.buffer.cpu import Buffer

from flows.chunking import chunk_regions
from flows.contents import groups_of
from flows.identity import differences
from flows.object_store import Listed
from flows.outcomes import OutputMismatch
from flows.request import VerifyMode
from flows.verification import LARGE_ELEMENTS, compare_tree
from flows.zarr_documents import chunk_key
from flows.zarr_layers import ROOT_KEYS

if TYPE_CHECKING:
    from echopype.echodata import EchoData

_CHUNKS_OF_A_LARGE_VARIABLE = 3


class ReadBack(Protocol):
    """A store as its readers see it; keys are relative to its root."""

    def list(self) -> dict[str, Listed]:
        """Every object of the store."""
        ...

    def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The bodies of these objects; one that is not there is left out."""
        ...


@dataclass(frozen=True)
class _Array:
    """An array's metadata as far as sampling needs it."""

    path: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    zarr_format: Literal[2, 3]

    @property
    def is_large(self) -> bool:
        return math.prod(self.shape) >= LARGE_ELEMENTS

    def chunk_keys(self) -> list[tuple[str, tuple[slice, ...]]]:
        return [
            (f"{self.path}/{chunk_key(index, self.zarr_format)}", region)
            for index, region in chunk_regions(self.shape, self.chunks)
        ]


class ZarrVerification:
    """Both halves for one store, over the same sample of its chunks.

    Args:
        output: for the message.
        encoded: relative key -> body, as it is put.
        echodata: what was encoded.
        mode: how much to decode and to read.
    """

    def __init__(
        self, output: str, encoded: Mapping[str, bytes], echodata: EchoData, mode: VerifyMode
    ) -> None:
        self._output = output
        self._encoded = encoded
        self._echodata = echodata
        self._mode = mode
        self._arrays = _arrays(encoded)
        self._sampled = _sampled_chunks(self._arrays)

    def decode(self) -> None:
        """Open what was encoded through xarray, and compare it with the EchoData bit for bit.

        Sampled chunks of large variables, everything else whole; in `full` all of it.

        Raises:
            OutputMismatch: the first things that are not as they should be.
        """
        # Any: xarray takes zarr's stores, its annotation does not know them.
        store: Any = zarr.storage.MemoryStore(
            {key: Buffer.from_bytes(body) for key, body in self._encoded.items()}, read_only=True
        )
        whole = self._mode == "full"
        with xr.open_datatree(
            store, engine="zarr", chunks=None, create_default_indexes=False
        ) as tree:
            compare_tree(self._output, self._echodata, tree, whole=whole)
            if not whole:
                self._compare_sampled(tree)

    def read_back(
        self, store: ReadBack, etags: Mapping[str, str], leftovers: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Compare what readers get with what was encoded; the manifest's `verification`.

        Args:
            store: as its readers see it.
            etags: relative key -> entity tag that the put was answered with; empty
                where the store has none.
            leftovers: keys of an older store that are still to be removed.

        Raises:
            OutputMismatch: the first things that are not as they should be.
        """
        keys = list(self._encoded) if self._mode == "full" else self._sampled_keys()
        with ThreadPoolExecutor(1) as pool:
            listing = pool.submit(store.list)
            found = store.read(keys)
            compare_listing(self._output, self._encoded, etags, listing.result(), set(leftovers))
        for key in keys:
            if found.get(key) != self._encoded[key]:
                raise OutputMismatch(self._output, f"{key} reads back as other bytes than were put")
        return {
            "mode": self._mode,
            "objects_listed": len(self._encoded),
            "objects_read": len(keys),
            "bytes_read": sum(len(body) for body in found.values()),
        }

    def _sampled_keys(self) -> list[str]:
        """Root metadata, the sample of each large variable, and all ping times."""
        return sorted(
            {key for key in ROOT_KEYS if key in self._encoded}
            | {key for chunks in self._sampled.values() for key, _ in chunks}
            | {
                key
                for array in self._arrays
                if array.path.rpartition("/")[2] == "ping_time"
                for key, _ in array.chunk_keys()
            }
        )

    def _compare_sampled(self, tree: xr.DataTree) -> None:
        expected = groups_of(self._echodata)
        for path, chunks in self._sampled.items():
            group, _, name = path.rpartition("/")
            for key, region in chunks:
                ours = expected[group].variables[name][region]
                theirs = tree[f"/{group}"].to_dataset().variables[name][region]
                if not _same_bits(ours, theirs):
                    raise OutputMismatch(
                        self._output, f"{key} decodes to other values than were encoded"
                    )


def compare_listing(
    output: str,
    encoded: Mapping[str, bytes],
    etags: Mapping[str, str],
    listed: Mapping[str, Listed],
    leftovers: set[str],
) -> None:
    """Compare a listing with what was put, key by key.

    Raises:
        OutputMismatch: the first thing that is not as it should be.
    """
    if missing := sorted(encoded.keys() - listed.keys()):
        raise OutputMismatch(output, f"{len(missing)} objects are missing, the first {missing[0]}")
    if strange := sorted(listed.keys() - encoded.keys() - leftovers):
        raise OutputMismatch(output, f"{len(strange)} objects are too many, the first {strange[0]}")
    for key, body in encoded.items():
        entry = listed[key]
        if entry.size != len(body):
            raise OutputMismatch(output, f"{key} has {entry.size} bytes, {len(body)} were put")
        if key in etags and entry.etag != etags[key]:
            raise OutputMismatch(output, f"{key} has entity tag {entry.etag}, not {etags[key]}")


def _arrays(encoded: Mapping[str, bytes]) -> list[_Array]:
    arrays = []
    for key, body in encoded.items():
        folder, _, name = key.rpartition("/")
        if name == ".zarray":
            told = json.loads(body)
            arrays.append(_Array(folder, tuple(told["shape"]), tuple(told["chunks"]), 2))
        elif name == "zarr.json" and folder:
            told = json.loads(body)
            if told["node_type"] == "array":
                chunks = told["chunk_grid"]["configuration"]["chunk_shape"]
                arrays.append(_Array(folder, tuple(told["shape"]), tuple(chunks), 3))
    return arrays


def _sampled_chunks(
    arrays: Iterable[_Array],
) -> dict[str, list[tuple[str, tuple[slice, ...]]]]:
    """Array path -> key and region of its first, last and some chunks in between."""
    sampled = {}
    for array in arrays:
        if array.is_large:
            chunks = array.chunk_keys()
            between = random.sample(
                chunks[1:-1], min(_CHUNKS_OF_A_LARGE_VARIABLE - 2, max(0, len(chunks) - 2))
            )
            sampled[array.path] = list(dict([chunks[0], *between, chunks[-1]]).items())
    return sampled


def _same_bits(ours: xr.Variable, theirs: xr.Variable) -> bool:
    left, right = (
        xr.DataTree(xr.Dataset({"part": (variable.dims, variable.values)}))
        for variable in (ours, theirs)
    )
    return not differences(left, right)

"""Read a published output back and compare it with what was encoded and with the EchoData.

`sampled`: the listing (every key, size and entity tag), the root metadata, all
ping times, and chunks of every large variable are read from where readers will
read them. What is not read again has been checked by the store itself, which
compared each put with its SHA-256, and by the listing. `full` reads it all.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
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
from flows.zarr_documents import chunk_key
from flows.zarr_layers import ROOT_KEYS

if TYPE_CHECKING:
    from echopype.echodata import EchoData

# Elements from which on a variable is sampled by its chunks, not compared whole.
_LARGE_ELEMENTS = 2**16
_CHUNKS_OF_A_LARGE_VARIABLE = 3
_DIFFERENCES_TOLD = 5


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
        return math.prod(self.shape) >= _LARGE_ELEMENTS

    def chunk_keys(self) -> list[tuple[str, tuple[slice, ...]]]:
        return [
            (f"{self.path}/{chunk_key(index, self.zarr_format)}", region)
            for index, region in chunk_regions(self.shape, self.chunks)
        ]


def verify_zarr(
    output: str,
    encoded: Mapping[str, bytes],
    etags: Mapping[str, str],
    echodata: EchoData,
    read_back: ReadBack,
    *,
    mode: VerifyMode,
    leftovers: Iterable[str] = (),
) -> dict[str, Any]:
    """The manifest's `verification` of a Zarr store that is as it should be.

    Args:
        output: for the message.
        encoded: relative key -> body, as it was put.
        etags: relative key -> entity tag that the put was answered with; empty
            where the store has none.
        echodata: what was encoded.
        read_back: the store as its readers see it.
        mode: how much to read.
        leftovers: keys of an older store that are still to be removed.

    Raises:
        OutputMismatch: the first things that are not as they should be.
    """
    arrays = _arrays(encoded)
    sampled = _sampled_chunks(arrays)
    if mode == "full":
        keys = list(encoded)
    else:
        keys = sorted(
            {key for key in ROOT_KEYS if key in encoded}
            | {key for chunks in sampled.values() for key, _ in chunks}
            | {
                key
                for array in arrays
                if array.path.rpartition("/")[2] == "ping_time"
                for key, _ in array.chunk_keys()
            }
        )
    with ThreadPoolExecutor(1) as pool:
        listing = pool.submit(read_back.list)
        found = read_back.read(keys)
        _compare_listing(output, encoded, etags, listing.result(), set(leftovers))
    for key in keys:
        if found.get(key) != encoded[key]:
            raise OutputMismatch(output, f"{key} reads back as other bytes than were put")
    _compare_values(output, {**encoded, **found}, echodata, sampled, whole=mode == "full")
    return {
        "mode": mode,
        "objects_listed": len(encoded),
        "objects_read": len(keys),
        "bytes_read": sum(len(body) for body in found.values()),
    }


def _compare_listing(
    output: str,
    encoded: Mapping[str, bytes],
    etags: Mapping[str, str],
    listed: Mapping[str, Listed],
    leftovers: set[str],
) -> None:
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


def _compare_values(
    output: str,
    bodies: Mapping[str, bytes],
    echodata: EchoData,
    sampled: Mapping[str, list[tuple[str, tuple[slice, ...]]]],
    *,
    whole: bool,
) -> None:
    """Open the store through xarray and compare with the EchoData, bit for bit."""
    # Any: xarray takes zarr's stores, its annotation does not know them.
    store: Any = zarr.storage.MemoryStore(
        {key: Buffer.from_bytes(body) for key, body in bodies.items()}, read_only=True
    )
    expected = groups_of(echodata)
    with xr.open_datatree(store, engine="zarr", chunks=None) as tree:
        _compare_tree(output, echodata, tree, whole=whole)
        if whole:
            return
        for path, chunks in sampled.items():
            group, _, name = path.rpartition("/")
            for key, region in chunks:
                ours = expected[group].variables[name][region]
                theirs = tree[f"/{group}"].to_dataset().variables[name][region]
                if not _same_bits(ours, theirs):
                    raise OutputMismatch(output, f"{key} decodes to other values than were encoded")


def verify_netcdf(
    output: str, path: Path, echodata: EchoData, *, mode: VerifyMode
) -> dict[str, Any]:
    """The manifest's `verification` of a netCDF file that was read back whole to `path`.

    Its bytes have been compared by the caller; here they are opened.

    Raises:
        OutputMismatch: the first things that are not as they should be.
    """
    with xr.open_datatree(path, engine="netcdf4", chunks=None) as tree:
        _compare_tree(output, echodata, tree, whole=mode == "full", string_widths=False)
    return {
        "mode": mode,
        "objects_listed": 1,
        "objects_read": 1,
        "bytes_read": path.stat().st_size,
    }


def _compare_tree(
    output: str, echodata: EchoData, tree: xr.DataTree, *, whole: bool, string_widths: bool = True
) -> None:
    """Groups, dimensions, dtypes and attributes; values of all but large variables, or of all."""
    compared = {
        path: {
            str(name)
            for name, variable in group.variables.items()
            if whole or name == "ping_time" or variable.size < _LARGE_ELEMENTS
        }
        for path, group in groups_of(echodata).items()
    }
    told = differences(echodata, tree, only=compared, string_widths=string_widths)
    if told:
        raise OutputMismatch(output, "; ".join(map(str, told[:_DIFFERENCES_TOLD])))


def _same_bits(ours: xr.Variable, theirs: xr.Variable) -> bool:
    left, right = (
        xr.DataTree(xr.Dataset({"part": (variable.dims, variable.values)}))
        for variable in (ours, theirs)
    )
    return not differences(left, right)

"""Verifies a Zarr store: readers get what was written, and it decodes to the EchoData.

Reading back compares bytes. All objects are compared through the listing (key, size,
entity tag; S3 has compared each put with its SHA-256). Root metadata, ping times and
some chunks of every large variable are read from the store. Some blocks of these chunks,
16 MiB of each, are decoded and compared with the EchoData, which decodes them from the
raw file again. Small variables are decoded from memory.
`full` reads and decodes everything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

import xarray as xr
import zarr.storage
from zarr.core.buffer.cpu import Buffer

from flows.core.outcomes import OutputMismatch
from flows.encoding.written_store import Digest, WrittenStore
from flows.encoding.zarr_layers import ROOT_KEYS, is_metadata
from flows.publishing.chunk_sample import (
    arrays_of,
    blocks_to_compare,
    chunk_keys,
    chunks_to_decode,
)
from flows.publishing.identity import equal_bits, groups_as_compared
from flows.publishing.verification import compare_tree
from flows.stores.object_store import ObjectEntry
from flows.stores.request import VerifyMode

if TYPE_CHECKING:
    from echopype.echodata import EchoData

# Number of chunks, of up to some tens of megabytes, in memory at a time while they are read back.
_KEYS_AT_A_TIME = 8


class ReadBack(Protocol):
    """A store as its readers see it; keys are relative to its root."""

    def list(self) -> dict[str, ObjectEntry]:
        """Every object of the store."""
        ...

    def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The bodies of these objects; missing ones are left out."""
        ...


class ZarrVerification:
    """Both parts of the verification for one store.

    Creating it compares everything except the values of large variables; that needs no
    request. `read_back` does the rest; `read_arrays` may do most of that before the metadata of
    groups is there.

    Raises:
        OutputMismatch: with the first differences.
    """

    def __init__(
        self, output: str, written: WrittenStore, echodata: EchoData, mode: VerifyMode
    ) -> None:
        self._output = output
        self._written = written
        self._expected = groups_as_compared(echodata)
        self._mode = mode
        self._objects: dict[str, zarr.core.buffer.Buffer] = {
            key: Buffer.from_bytes(body) for key, body in written.bodies.items()
        }
        # Any: xarray accepts zarr's stores, but its annotation does not.
        store: Any = zarr.storage.MemoryStore(self._objects, read_only=True)
        self._arrays = arrays_of(store)
        self._chunks = chunks_to_decode(self._arrays, all_of_them=mode == "full")
        tree = xr.open_datatree(
            store,
            engine="zarr",
            chunks=None,
            # A coordinate is read below to be an index, when chunks are missing: they must be
            # read again.
            cache=False,
            decode_cf=False,
            create_default_indexes=False,
        )
        self._undecoded = {node.path.strip("/"): node.to_dataset() for node in tree.subtree}
        decoded = {path: xr.decode_cf(group) for path, group in self._undecoded.items()}
        compare_tree(output, self._expected, decoded, whole=False)
        self._bytes_read: dict[str, int] = {}

    def read_arrays(self, store: ReadBack) -> None:
        """Compare the chunks that are read back, before the store is complete.

        Raises:
            OutputMismatch: with the first difference.
        """
        self._read(store, [key for key in self._keys_to_read() if not is_metadata(key)])

    def read_back(
        self, store: ReadBack, etags: Mapping[str, str], leftovers: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Compare the store with the encoded data; return the manifest's `verification`.

        `etags` are those in the responses to the puts, by relative key; empty if the store has
        none. `leftovers` are keys of an older store that are not deleted yet.

        Raises:
            OutputMismatch: with the first differences.
        """
        digests = self._written.digests
        with ThreadPoolExecutor(1) as pool:
            listing = pool.submit(store.list)
            self._read(store, [key for key in self._keys_to_read() if key not in self._bytes_read])
            compare_listing(self._output, digests, etags, listing.result(), set(leftovers))
        return {
            "mode": self._mode,
            "objects_listed": len(digests),
            "objects_read": len(self._bytes_read),
            "bytes_read": sum(self._bytes_read.values()),
        }

    def _read(self, store: ReadBack, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), _KEYS_AT_A_TIME):
            some = keys[start : start + _KEYS_AT_A_TIME]
            found = store.read(some)
            for key in some:
                if key not in found or not _matches(self._written.digests[key], found[key]):
                    raise OutputMismatch(
                        self._output, f"{key}: the bytes read back differ from those put"
                    )
                self._bytes_read[key] = len(found[key])
            self._compare_chunks({key: found[key] for key in some if key in self._chunks})

    def _keys_to_read(self) -> list[str]:
        """Root metadata, chunks of large variables, and all ping times; in `full` every object."""
        if self._mode == "full":
            return list(self._written.digests)
        return sorted(
            {key for key in ROOT_KEYS if key in self._written.digests}
            | self._chunks.keys()
            | {
                key
                for path, array in self._arrays.items()
                if path.rpartition("/")[2] == "ping_time"
                for key, _ in chunk_keys(path, array)
            }
        )

    def _compare_chunks(self, bodies: Mapping[str, bytes]) -> None:
        """Decode the chunks of large variables that were read back, and compare their values.

        Only chunks in memory can be decoded: a missing chunk reads as fill values.
        """
        added = bodies.keys() - self._objects.keys()
        self._objects.update({key: Buffer.from_bytes(bodies[key]) for key in added})
        for key in bodies:
            path, region = self._chunks[key]
            group, _, name = path.rpartition("/")
            ours = self._expected[group].variables[name]
            # Decompressed as a whole, but decoded block by block.
            stored = self._undecoded[group].variables[name][region].load()
            theirs = xr.conventions.decode_cf_variable(name, stored)
            for block, within in blocks_to_compare(ours, region, all_of_them=self._mode == "full"):
                if not equal_bits(ours[block].values, theirs[within].values).all():
                    raise OutputMismatch(
                        self._output, f"{key}: the decoded values differ from those encoded"
                    )
        for key in added:
            del self._objects[key]


def _matches(digest: Digest, body: bytes) -> bool:
    return digest == Digest(len(body), hashlib.sha256(body).hexdigest())


def compare_listing(
    output: str,
    written: Mapping[str, Digest],
    etags: Mapping[str, str],
    listed: Mapping[str, ObjectEntry],
    leftovers: set[str],
) -> None:
    """Compare a listing with the objects that were put, key by key.

    Raises:
        OutputMismatch: with the first difference.
    """
    if missing := sorted(written.keys() - listed.keys()):
        raise OutputMismatch(output, f"{len(missing)} objects are missing, the first {missing[0]}")
    if strange := sorted(listed.keys() - written.keys() - leftovers):
        raise OutputMismatch(output, f"{len(strange)} unexpected objects, the first {strange[0]}")
    for key, (size, _) in written.items():
        entry = listed[key]
        if entry.size != size:
            raise OutputMismatch(output, f"{key} has {entry.size} bytes, but {size} were put")
        if key in etags and entry.etag != etags[key]:
            raise OutputMismatch(output, f"{key} has entity tag {entry.etag}, not {etags[key]}")

"""Reads and writes the files beside an output, locally or on S3; each is there whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from flows.core.locations import MANIFEST_SUFFIX, LocalLocation, S3Location, parse_location
from flows.publishing.manifest import read_manifest
from flows.stores.durable_files import (
    StoreFolder,
    partial,
    remove,
    swap,
    sync_folder,
    write_synced,
)
from flows.stores.object_store import ObjectStore
from flows.stores.parallel_requests import CONNECTIONS, in_parallel
from flows.stores.s3_client import s3_client

_ROOT = "zarr.json"


class ProductFiles(Protocol):
    """What is beside an output, named by what follows the output's name: `.echogram.png`."""

    def read(self, suffix: str) -> bytes | None:
        """A file's content; None if it does not exist."""

    def write(self, suffix: str, body: bytes) -> None:
        """Write one file, in place of the one before."""

    def write_store(self, suffix: str, folder: Path) -> None:
        """Write a local Zarr store in place of the one before."""

    def remove(self, suffix: str) -> None:
        """Remove a file or a store if it exists."""


def product_files(output: str, storage_options: Mapping[str, Any] | None = None) -> ProductFiles:
    """The files beside `output`, a path or an s3:// URI.

    Raises:
        ValueError: it is an http(s) URL, or the options are not those of S3.
    """
    location = parse_location(output.rstrip("/"))
    if isinstance(location, LocalLocation):
        return LocalProductFiles(location)
    if isinstance(location, S3Location):
        store = ObjectStore(s3_client(dict(storage_options or {})), location.bucket)
        return S3ProductFiles(location, store)
    raise ValueError(f"{output}: products can be written to S3 or a local folder only")


class OutputReplacedError(RuntimeError):
    """Another run has replaced the output, or does so now: the products are that run's matter."""

    def __init__(self, output: str) -> None:
        super().__init__(f"{output} was replaced while its products were made: nothing to do here")


class FilesOfVersion:
    """The files beside an output, as long as it has this checksum.

    Each change first reads the manifest again, so that the products of a newer output stay.

    Raises:
        OutputReplacedError: from each change, if the output is another, or incomplete.
    """

    def __init__(self, files: ProductFiles, output: str, sha256: str) -> None:
        self._files, self._output, self._sha256 = files, output, sha256
        self._read = b""

    def read(self, suffix: str) -> bytes | None:
        """See ProductFiles."""
        return self._files.read(suffix)

    def write(self, suffix: str, body: bytes) -> None:
        """See ProductFiles."""
        self._check()
        self._files.write(suffix, body)

    def write_store(self, suffix: str, folder: Path) -> None:
        """See ProductFiles."""
        self._check()
        self._files.write_store(suffix, folder)

    def remove(self, suffix: str) -> None:
        """See ProductFiles."""
        self._check()
        self._files.remove(suffix)

    def _check(self) -> None:
        body = self._files.read(MANIFEST_SUFFIX) or b""
        if body and body == self._read:
            return
        manifest = body and read_manifest(body, self._output + MANIFEST_SUFFIX)
        if not manifest or manifest["output"]["sha256"] != self._sha256:
            raise OutputReplacedError(self._output)
        self._read = body


class LocalProductFiles:
    """Files and folders beside a local output; each is written under another name and renamed.

    What is written is on the disk before it has its name.
    """

    def __init__(self, output: LocalLocation) -> None:
        self._output = output

    def _path(self, suffix: str) -> Path:
        return self._output.sibling(self._output.name + suffix).path

    def read(self, suffix: str) -> bytes | None:
        """See ProductFiles."""
        try:
            return self._path(suffix).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, suffix: str, body: bytes) -> None:
        """See ProductFiles."""
        temporary = partial(self._path(suffix))
        try:
            write_synced(temporary, body)
            self._place(temporary, suffix)
        finally:
            remove(temporary)

    def write_store(self, suffix: str, folder: Path) -> None:
        """See ProductFiles."""
        temporary = partial(self._path(suffix))
        try:
            store = StoreFolder(temporary)
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    store.write(path.relative_to(folder).as_posix(), path.read_bytes())
            store.sync()
            self._place(temporary, suffix)
        finally:
            remove(temporary)

    def remove(self, suffix: str) -> None:
        """See ProductFiles."""
        remove(self._path(suffix))
        sync_folder(self._path(suffix).parent)

    def _place(self, temporary: Path, suffix: str) -> None:
        final = self._path(suffix)
        swap(temporary, final)
        sync_folder(final.parent)


class S3ProductFiles:
    """Objects beside an output on S3."""

    def __init__(self, output: S3Location, store: ObjectStore) -> None:
        self._output = output
        self._store = store

    def _key(self, suffix: str) -> str:
        return self._output.key + suffix

    def read(self, suffix: str) -> bytes | None:
        """See ProductFiles."""
        found = self._store.get(self._key(suffix))
        return None if found is None else found.body

    def write(self, suffix: str, body: bytes) -> None:
        """See ProductFiles."""
        self._store.put(self._key(suffix), body)

    def write_store(self, suffix: str, folder: Path) -> None:
        """See ProductFiles.

        The root metadata of the store before are removed first and those of the new one
        are written last: a store that can be opened is whole.
        """
        prefix = f"{self._key(suffix)}/"
        before = self._store.list(prefix)
        if prefix + _ROOT in before:
            self._store.delete([prefix + _ROOT])
        files = {
            prefix + path.relative_to(folder).as_posix(): path
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        last = files.pop(prefix + _ROOT)
        in_parallel(
            lambda item: self._store.put(item[0], item[1].read_bytes()),
            files.items(),
            connections=CONNECTIONS,
        )
        if left := sorted(before.keys() - files.keys() - {prefix + _ROOT}):
            self._store.delete(left)
        self._store.put(prefix + _ROOT, last.read_bytes())

    def remove(self, suffix: str) -> None:
        """See ProductFiles."""
        key = self._key(suffix)
        found = [
            name for name in self._store.list(key) if name == key or name.startswith(f"{key}/")
        ]
        if found:
            self._store.delete(sorted(found))

"""Downloads one version of a raw file or a sidecar to a local path, and hashes it.

The first response has the first part of the file and its version. The rest comes in
parallel ranges, each bound to that version, so that a file that is replaced in between
causes an error and never a mix.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from flows.core.locations import Location
from flows.core.outcomes import SourceChanged, Superseded, TransientFault
from flows.core.source_version import SourceVersion
from flows.core.transient_faults import retrying
from flows.stores.errors import named_ends
from flows.stores.parallel_requests import request_pool
from flows.stores.sources import SourceFile, current_source, source_of

PART_BYTES = 16 * 1024 * 1024
CONNECTIONS = 8
_ATTEMPTS = 6

ByteCount = Callable[[int, int | None], None]


class TooLargeError(Exception):
    """A file is larger than allowed; `size` is its size as far as known."""

    def __init__(self, size: int, at_most: int) -> None:
        super().__init__(f"{size:,} bytes, at most {at_most:,} are allowed")
        self.size = size
        self.at_most = at_most


@dataclass(frozen=True)
class FetchedFile:
    """A local copy (for a local file: a link) with metadata of its source."""

    location: Location
    path: Path
    size: int
    sha256: str
    version: SourceVersion
    last_modified: datetime | None


def fetch(
    location: Location,
    target: Path,
    options: dict[str, Any],
    *,
    wanted: SourceVersion | None = None,
    on_bytes: ByteCount | None = None,
    at_most: int | None = None,
) -> FetchedFile:
    """Download a file to `target`.

    `target` does not exist yet, but its folder does. `wanted` is the notified version; None for
    the current one. `on_bytes` is called with the bytes so far, and the total if known. `at_most`
    is in bytes.

    Raises:
        TooLargeError: it is larger; raised before the bytes are on the disk.
        FileNotFoundError: the file does not exist.
        AccessDenied: access is denied.
        Archived: it must be restored first.
        Superseded: the current version is not the one wanted.
        SourceChanged: it was replaced during the download.
        TransientFault: the store did not answer after all retries.
        DiskFault: the disk is full.
    """
    with named_ends(location.uri):
        source = source_of(location, options)
        if source.path is not None:
            if at_most is not None and source.path.is_file():
                _check_size(source.path.stat().st_size, at_most)
            return _link(source, source.path, location, target, wanted)
        return download(source, location, target, wanted=wanted, on_bytes=on_bytes, at_most=at_most)


def download(
    reader: SourceFile,
    location: Location,
    target: Path,
    *,
    wanted: SourceVersion | None = None,
    on_bytes: ByteCount | None = None,
    at_most: int | None = None,
) -> FetchedFile:
    """Download a remote file to `target`; arguments and errors as for `fetch`."""

    def attempt() -> FetchedFile:
        beginning = reader.begin(PART_BYTES)
        version = beginning.version
        if wanted is not None and version.differs_from(wanted):
            raise Superseded(location.uri, str(wanted), str(version))
        _check_size(beginning.size, at_most)
        digest = hashlib.sha256()
        size = 0
        with target.open("wb") as file:
            for block in _whole(beginning.body, beginning.size, reader, version):
                # For a server that did not send the size.
                _check_size(size + len(block), at_most)
                file.write(block)
                digest.update(block)
                size += len(block)
                if on_bytes is not None:
                    on_bytes(size, beginning.size)
        if beginning.size is not None and size != beginning.size:
            raise TransientFault(location.uri, f"only {size} of {beginning.size} bytes received")
        modified = beginning.last_modified
        return FetchedFile(location, target, size, digest.hexdigest(), version, modified)

    # An incomplete body is requested again from its beginning.
    return retrying(attempt, attempts=_ATTEMPTS)


def _whole(
    first: Iterator[bytes], size: int | None, reader: SourceFile, version: SourceVersion
) -> Iterator[bytes]:
    """The body of the first response and then the rest in order, a few ranges ahead."""
    begun = 0
    for block in first:
        begun += len(block)
        yield block
    if size is None or begun >= size:
        return
    if begun < min(size, PART_BYTES):
        raise TransientFault("the first part", f"only {begun} bytes received")
    starts = iter(range(begun, size, PART_BYTES))
    ahead: deque[Future[bytes]] = deque()
    with request_pool(CONNECTIONS) as pool:

        def submit() -> None:
            start = next(starts, None)
            if start is not None:
                length = min(PART_BYTES, size - start)
                ahead.append(pool.submit(_part, reader, start, length, version))

        for _ in range(CONNECTIONS):
            submit()
        while ahead:
            block = ahead.popleft().result()
            submit()
            yield block


def _part(reader: SourceFile, start: int, length: int, version: SourceVersion) -> bytes:
    def read() -> bytes:
        body = reader.read(start, length, version)
        if len(body) != length:
            raise TransientFault(f"bytes {start} to {start + length}", f"only {len(body)} received")
        return body

    return retrying(read, attempts=_ATTEMPTS)


def _check_size(size: int | None, at_most: int | None) -> None:
    if size is not None and at_most is not None and size > at_most:
        raise TooLargeError(size, at_most)


def _link(
    source: SourceFile, path: Path, location: Location, target: Path, wanted: SourceVersion | None
) -> FetchedFile:
    """A link instead of a copy, because the file may be large and only needs another name."""
    facts = source.current()
    if facts is None or facts.size is None:
        raise FileNotFoundError(location.uri)
    if wanted is not None and facts.version.differs_from(wanted):
        raise Superseded(location.uri, str(wanted), str(facts.version))
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (IsADirectoryError, NotADirectoryError) as error:
        raise FileNotFoundError(f"{location.uri} is not a file") from error
    target.symlink_to(path)
    modified = facts.last_modified
    fetched = FetchedFile(location, target, facts.size, digest, facts.version, modified)
    check_unchanged(fetched)
    return fetched


def check_unchanged(fetched: FetchedFile) -> None:
    """Check that a linked local file is unchanged since it was hashed.

    Raises:
        SourceChanged: it was changed, replaced or removed.
    """
    if not fetched.path.is_symlink():
        return
    now = current_source(fetched.location, {})
    if now is None or now.version != fetched.version:
        found = str(now.version) if now else "nothing"
        raise SourceChanged(fetched.location.uri, str(fetched.version), found)

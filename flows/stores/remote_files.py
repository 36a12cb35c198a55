"""The reader of a remote file, and the first bytes of any file."""

from __future__ import annotations

from typing import Any

from flows.core.locations import HttpLocation, LocalLocation, Location, S3Location
from flows.stores.errors import named_ends
from flows.stores.range_readers import HttpReader, RangeReader, S3Reader, http_headers
from flows.stores.s3_client import s3_client


def reader_of(location: S3Location | HttpLocation, options: dict[str, Any]) -> RangeReader:
    """The reader of a remote file; `options` are its storage options."""
    if isinstance(location, HttpLocation):
        return HttpReader(location, http_headers(options))
    return S3Reader(s3_client(options), location)


def first_bytes(location: Location, length: int, options: dict[str, Any]) -> bytes:
    """At most `length` bytes from a file's beginning, by one request.

    Raises:
        FileNotFoundError: the file does not exist, or is a folder.
        AccessDenied, TransientFault, DiskFault: see `flows.stores.errors.named_ends`.
    """
    with named_ends(location.uri):
        if isinstance(location, LocalLocation):
            try:
                with location.path.open("rb", buffering=0) as raw:
                    return raw.read(length)
            except (IsADirectoryError, NotADirectoryError) as error:
                raise FileNotFoundError(f"{location.uri} is not a file") from error
        head = b""
        for block in reader_of(location, options).begin(length).body:
            head += block
            # A server without ranges sends the whole file.
            if len(head) >= length:
                break
        return head[:length]

"""Files to read, in the place that their URI names: S3, http(s) or this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from flows.core.locations import HttpLocation, LocalLocation, Location, S3Location
from flows.core.outcomes import SourceChanged
from flows.core.source_version import SourceVersion
from flows.stores.errors import named_ends
from flows.stores.http_source import (
    BLOCK_BYTES,
    Beginning,
    HttpSource,
    SourceFacts,
    http_headers,
)
from flows.stores.object_store import ObjectStore, error_code
from flows.stores.s3_client import check_options, s3_client

if TYPE_CHECKING:  # the stubs are installed for development alone
    from mypy_boto3_s3 import S3Client


def source_of(location: Location, options: dict[str, Any]) -> SourceFile:
    """The file at a location; `options` are the storage options of its place."""
    match location:
        case S3Location():
            return S3Source(s3_client(options), location)
        case HttpLocation():
            return HttpSource(location, http_headers(options))
        case _:
            return LocalSource(location)


def check_storage(location: Location, options: Mapping[str, Any]) -> None:
    """Check the storage options of a location's place.

    Raises:
        ValueError: they are invalid.
    """
    match location:
        case S3Location():
            check_options(options)
        case HttpLocation():
            http_headers(options)


def first_bytes(location: Location, length: int, options: dict[str, Any]) -> bytes:
    """At most `length` bytes from a file's beginning, by one request.

    Raises:
        FileNotFoundError: the file does not exist, or is a folder.
        AccessDenied, TransientFault, DiskFault: see `flows.stores.errors.named_ends`.
    """
    with named_ends(location.uri):
        head = b""
        for block in source_of(location, options).begin(length).body:
            head += block
            # A server without ranges sends the whole file.
            if len(head) >= length:
                break
        return head[:length]


def current_source(location: Location, options: dict[str, Any]) -> SourceFacts | None:
    """The current state of a file, None if it does not exist; one request, or two without HEAD.

    Raises:
        AccessDenied: access is denied.
        TransientFault: the store did not answer.
    """
    with named_ends(location.uri):
        return source_of(location, options).current()


class LocalSource:
    """A file on this machine; its version is its size and modification time.

    `path` is the file itself, which needs no copy. Methods are those of `S3Source`.
    """

    def __init__(self, location: LocalLocation) -> None:
        self.path: Path | None = location.path
        self._location = location

    def begin(self, length: int) -> Beginning:
        """See `S3Source`."""
        facts = self.current()
        try:
            with self._location.path.open("rb", buffering=0) as raw:
                head = raw.read(length)
        except (IsADirectoryError, NotADirectoryError) as error:
            raise FileNotFoundError(f"{self._location.uri} is not a file") from error
        assert facts is not None  # noqa: S101 - it could be opened
        return Beginning(facts.size, facts.version, facts.last_modified, iter((head,)))

    def read(self, start: int, length: int, version: SourceVersion) -> bytes:
        """Not needed: see `path`."""
        raise NotImplementedError

    def current(self) -> SourceFacts | None:
        """See `S3Source`."""
        try:
            stat: os.stat_result = self._location.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        version = SourceVersion(f"{stat.st_size:x}-{stat.st_mtime_ns:x}")
        return SourceFacts(stat.st_size, version, datetime.fromtimestamp(stat.st_mtime, UTC))

    def beside(self, stem: str, endings: Sequence[str]) -> set[str]:
        """See `S3Source`."""
        return {end for end in endings if self._location.sibling(stem + end).path.is_file()}


class S3Source:
    """An object in one version, by If-Match and its version id, if it has one."""

    path: Path | None = None

    def __init__(self, client: S3Client, location: S3Location) -> None:
        self._client = client
        self._location = location

    def begin(self, length: int) -> Beginning:
        """The first `length` bytes of the current version.

        Raises:
            FileNotFoundError: the file does not exist.
            ClientError, AccessDenied: access is denied; `flows.stores.errors` handles the
                store's error.
        """
        where: dict[str, Any] = {"Bucket": self._location.bucket, "Key": self._location.key}
        try:
            answer = self._client.get_object(**where, Range=f"bytes=0-{length - 1}")
            size = int(answer["ContentRange"].rpartition("/")[2])
            body: Iterator[bytes] = answer["Body"].iter_chunks(BLOCK_BYTES)
        except ClientError as error:
            status, code = error_code(error)
            if status == 404 and code != "NoSuchBucket":
                raise FileNotFoundError(self._location.uri) from error
            if status != 416:
                raise
            # An empty object has no first byte, so the range fails.
            empty = self._client.head_object(**where)
            version = SourceVersion(empty["ETag"], empty.get("VersionId"))
            return Beginning(0, version, empty["LastModified"], iter(()))
        version = SourceVersion(answer["ETag"], answer.get("VersionId"))
        return Beginning(size, version, answer["LastModified"], body)

    def read(self, start: int, length: int, version: SourceVersion) -> bytes:
        """A range of exactly this version.

        Raises:
            SourceChanged: the file has another version now, or was removed.
        """
        pinned: dict[str, Any] = {"IfMatch": f'"{version.etag}"'}
        if version.version_id is not None:
            pinned["VersionId"] = version.version_id
        try:
            answer = self._client.get_object(
                Bucket=self._location.bucket,
                Key=self._location.key,
                Range=f"bytes={start}-{start + length - 1}",
                **pinned,
            )
        except ClientError as error:
            status, code = error_code(error)
            if status in {404, 412, 416}:
                raise SourceChanged(self._location.uri, str(version), code) from error
            raise
        return answer["Body"].read()

    def current(self) -> SourceFacts | None:
        """The current state of the file, None if it does not exist; errors as for `begin`."""
        head = ObjectStore(self._client, self._location.bucket).head(self._location.key)
        if head is None:
            return None
        return SourceFacts(head.size, SourceVersion(head.etag, head.version_id), None)

    def beside(self, stem: str, endings: Sequence[str]) -> set[str]:
        """Which endings a file of this stem has in the file's folder."""
        prefix = self._location.sibling(stem).key
        listing = self._client.list_objects_v2(Bucket=self._location.bucket, Prefix=f"{prefix}.")
        found = {entry["Key"].removeprefix(prefix) for entry in listing.get("Contents", [])}
        return found & set(endings)


SourceFile = S3Source | HttpSource | LocalSource

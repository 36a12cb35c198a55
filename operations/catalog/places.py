"""Output buckets and folders: listed a folder at a time, read by ranges, written on a condition.

Paths are relative to the root and separated by '/'. An entity tag changes with the content; in a
folder it is made from a file's size and time.
"""

from __future__ import annotations

import fcntl
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from flows.core.locations import HttpLocation, LocalLocation, parse_location
from flows.stores.durable_files import partial
from flows.stores.object_store import ObjectStore, error_code
from flows.stores.s3_client import s3_client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class ChangedMeanwhileError(Exception):
    """Another writer has replaced the file."""


class RangeInvalidError(Exception):
    """The range begins after the end of the file."""


@dataclass(frozen=True)
class FolderListing:
    """A folder: files with their entity tags and times (seconds since 1970); folders end in '/'."""

    files: dict[str, str]
    folders: list[str]
    times: dict[str, float]


@dataclass(frozen=True)
class FileContent:
    """A file, or a part of one.

    Attributes:
        body: the bytes from `start`; None if the caller has this version.
        start: offset of the first byte.
    """

    body: IO[bytes] | None
    etag: str
    start: int = 0
    length: int = 0
    size: int = 0

    def read(self) -> bytes:
        """Read and close the body."""
        with self.body or io.BytesIO() as stream:
            return stream.read()


ByteRange = tuple[int, int | None]  # first and last byte; a negative first one is from the end


def place_at(named: str, options: dict[str, Any] | None = None) -> Place:
    """The place that `s3://bucket/prefix/` or a folder names; `options` are fsspec's for S3.

    Raises:
        ValueError: it is neither.
        FileNotFoundError: the folder does not exist.
    """
    location = parse_location(named)
    if isinstance(location, HttpLocation):
        raise ValueError(f"{named}: give a folder, or s3://bucket/ of an output bucket")  # noqa: TRY004 - the value is wrong
    if isinstance(location, LocalLocation):
        if not location.path.is_dir():
            raise FileNotFoundError(f"{named}: no such folder")
        return FolderPlace(location.path)
    return BucketPlace(s3_client(options or {}), location.bucket, location.as_prefix().key)


class BucketPlace:
    """The keys of a bucket below a prefix, which is `''` or ends in '/'."""

    def __init__(self, s3: S3Client, bucket: str, prefix: str = "") -> None:
        self.uri = f"s3://{bucket}/{prefix}"
        self._store, self._prefix = ObjectStore(s3, bucket), prefix

    def list(self, folder: str) -> FolderListing:
        """List a folder, `''` or ending in '/': one request for a thousand names."""
        found, cut = FolderListing({}, [], {}), len(self._prefix)
        pages = self._store.client.get_paginator("list_objects_v2").paginate(
            Bucket=self._store.bucket, Prefix=self._prefix + folder, Delimiter="/"
        )
        for page in pages:
            for item in page.get("Contents", []):
                path = item["Key"][cut:]
                found.files[path] = item["ETag"].strip('"')
                found.times[path] = item["LastModified"].timestamp()
            found.folders.extend(each["Prefix"][cut:] for each in page.get("CommonPrefixes", []))
        return found

    def open(
        self, path: str, part: ByteRange | None = None, known: str | None = None
    ) -> FileContent | None:
        """Open a file, or a range of it, by one request; None if it does not exist.

        `known` is a version that the caller has.

        Raises:
            RangeInvalidError: the range begins after the end.
        """
        asked: dict[str, Any] = {"IfNoneMatch": known} if known else {}
        if part is not None:
            first, last = part
            end = "" if last is None else last
            asked["Range"] = f"bytes={first}" if first < 0 else f"bytes={first}-{end}"
        try:
            found = self._store.client.get_object(
                Bucket=self._store.bucket, Key=self._prefix + path, **asked
            )
        except ClientError as error:
            status, code = error_code(error)
            if status == 304 and known:
                return FileContent(None, known)
            if status == 416:
                raise RangeInvalidError(path) from error
            if status == 404 and code != "NoSuchBucket":
                return None
            raise
        start, size = 0, found["ContentLength"]
        if "ContentRange" in found:
            span, _, whole = found["ContentRange"].removeprefix("bytes ").partition("/")
            start, size = int(span.partition("-")[0]), int(whole)
        body = cast("IO[bytes]", found["Body"])
        return FileContent(body, found["ETag"].strip('"'), start, found["ContentLength"], size)

    def write(self, path: str, body: bytes, kind: str, replaces: str | None = None) -> str:
        """Write a file of a media type by one conditional put; return its entity tag.

        `replaces` is the version to replace, `''` for none; None replaces any.

        Raises:
            ChangedMeanwhileError: the file is not this version.
        """
        asked = {"ContentType": kind}
        if replaces is not None:
            asked |= {"IfMatch": replaces} if replaces else {"IfNoneMatch": "*"}
        try:
            return self._store.put(self._prefix + path, body, **asked)
        except ClientError as error:
            # 404: it was removed. 409: another put of it has not ended.
            if replaces is not None and error_code(error)[0] in {404, 409, 412}:
                raise ChangedMeanwhileError(path) from error
            raise

    def delete(self, paths: Iterable[str]) -> None:
        """Delete files, a thousand in one request; missing ones count as deleted."""
        self._store.delete(self._prefix + path for path in paths)


class FolderPlace:
    """The files of a folder. Symbolic links to folders are not followed."""

    def __init__(self, root: Path) -> None:
        self.uri, self._root = f"{root}/", root.resolve()

    def list(self, folder: str) -> FolderListing:
        """As a bucket's, by one reading of the folder."""
        found = FolderListing({}, [], {})
        # A folder that is being replaced may be gone.
        with suppress(FileNotFoundError), os.scandir(self._root / folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    found.folders.append(f"{folder}{entry.name}/")
                    continue
                # So may a file; the rest of the folder is still there.
                with suppress(FileNotFoundError):
                    if entry.is_file():
                        facts = entry.stat()
                        found.files[folder + entry.name] = _etag(facts)
                        found.times[folder + entry.name] = facts.st_mtime
        return found

    def open(
        self, path: str, part: ByteRange | None = None, known: str | None = None
    ) -> FileContent | None:
        """As a bucket's; links that lead out of the folder do not exist."""
        try:
            real = (self._root / path).resolve()
            if not real.is_relative_to(self._root) or not real.is_file():
                return None
            body = real.open("rb")
        except (OSError, ValueError):
            return None
        facts = os.fstat(body.fileno())
        etag, size = _etag(facts), facts.st_size
        first, last = part or (0, None)
        start = max(0, size + first) if first < 0 else first
        if etag == known or (part is not None and start >= size):
            body.close()
            if etag == known:
                return FileContent(None, etag)
            raise RangeInvalidError(path)
        body.seek(start)
        length = min(size, size if last is None else last + 1) - start
        return FileContent(body, etag, start, length, size)

    def write(self, path: str, body: bytes, kind: str, replaces: str | None = None) -> str:
        """As a bucket's: written beside its place and renamed; a lock makes the condition hold."""
        del kind
        target = self._root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = partial(target)
        beside.write_bytes(body)
        with _locked(target) if replaces is not None else nullcontext():
            now = _etag(target.stat()) if target.exists() else ""
            if replaces is not None and replaces != now:
                beside.unlink()
                raise ChangedMeanwhileError(path)
            etag = _etag(beside.stat())
            beside.replace(target)
        return etag

    def delete(self, paths: Iterable[str]) -> None:
        """Delete the files, and the folders that become empty."""
        for path in paths:
            target = self._root / path
            target.unlink(missing_ok=True)
            with suppress(OSError):
                target.parent.rmdir()


Place = BucketPlace | FolderPlace


def _etag(facts: os.stat_result) -> str:
    return f"{facts.st_mtime_ns:x}-{facts.st_size:x}"


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    with target.with_name(f".{target.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

"""What an archive holds: a listing, an S3 inventory, or a list of keys; read as a stream, and from any place on.

Formats: "Locating your inventory list" and "Amazon S3 Inventory lists" in the
S3 user guide. Keys in an inventory's CSV are quoted as in a URL.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import unquote_plus

from flows.locations import S3Location, parse_location

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK = 1024 * 1024
_LISTS = (".txt", ".csv", ".txt.gz", ".csv.gz")


class ArchiveError(ValueError):
    """What should name the archive's objects can't be read; says where."""


@dataclass(frozen=True, slots=True)
class ArchiveItem:
    """One object; bytes and entity tag where they are told. `place` is where to go on behind it."""

    bucket: str
    key: str
    place: str
    size: int | None = None
    etag: str | None = None


class Archive(Protocol):
    """Names objects, in an order that stays."""

    def items(self, after: str = "") -> Iterator[ArchiveItem]:
        """Name the objects behind a place, `''` for all.

        Raises:
            ArchiveError, OSError, ClientError: it can't be read.
        """

    def content(self) -> str:
        """What a place holds in: another where it would be another's; `''` where a place says it all.

        Raises:
            OSError, ClientError: it can't be read.
        """


@dataclass(frozen=True)
class Listing:
    """The objects of a bucket whose keys start with a prefix; a place is a key."""

    s3: S3Client
    bucket: str
    prefix: str = ""

    def items(self, after: str = "") -> Iterator[ArchiveItem]:
        """List page by page, in the order of the keys."""
        asked: dict[str, Any] = {"Bucket": self.bucket, "Prefix": self.prefix}
        if after:
            asked["StartAfter"] = after
        for page in self.s3.get_paginator("list_objects_v2").paginate(**asked):
            for found in page.get("Contents", []):
                key, etag = found["Key"], found["ETag"].strip('"')
                yield ArchiveItem(self.bucket, key, key, found["Size"], etag)

    def content(self) -> str:
        """Nothing: a key is a place in any listing."""
        return ""


@dataclass(frozen=True)
class KeyList:
    """A file of keys; a place is how many of its lines were read.

    A text names a key or an `s3://` URI a line, as it is. A CSV has a first row
    that names its columns (`key`; perhaps `bucket`, `size`, `etag`), or is of
    an inventory: bucket and quoted key first.
    """

    name: str
    open_binary: Callable[[], IO[bytes]]
    bucket: str

    def items(self, after: str = "") -> Iterator[ArchiveItem]:
        """Read line by line."""
        with _text(self.name, self.open_binary()) as lines:
            rows = csv.reader(lines) if ".csv" in self.name else ([line] for line in lines)
            read = _columns_of_header if ".csv" in self.name else _text_line
            columns: Callable[[list[str]], _Fields | None] | None = None
            for number, row in enumerate(_readable(self.name, rows), start=1):
                if columns is None:
                    columns, is_header = read(row)
                    if is_header:
                        continue
                if number > int(after or 0) and (found := columns(row)):
                    yield _item(found, self.bucket, str(number))

    def content(self) -> str:
        """SHA-256 of the file: a line's number is a place in this very list alone."""
        with closing(self.open_binary()) as stream:
            digest = hashlib.sha256()
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()


@dataclass(frozen=True)
class InventoryReport:
    """An S3 inventory by its manifest.json; a place is how many rows of its files were read."""

    s3: S3Client
    bucket: str
    key: str

    def items(self, after: str = "") -> Iterator[ArchiveItem]:
        """Read its files one after another; old versions and delete markers are left out."""
        where, body = f"s3://{self.bucket}/{self.key}", self._manifest()
        try:
            told = json.loads(body)
            files = [str(file["key"]) for file in told["files"]]
            names = [name.strip().lower() for name in told["fileSchema"].split(",")]
            form, source = told["fileFormat"], told["sourceBucket"]
            holder = told["destinationBucket"].rpartition(":")[2]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArchiveError(f"{where}: no manifest of an S3 inventory: {error!r}") from error
        if form != "CSV":
            raise ArchiveError(f"{where}: the inventory is {form}, only CSV is read")
        columns = _Columns(names, quoted=True)
        number, start = 0, int(after or 0)
        for key in files:
            stream = cast("IO[bytes]", self.s3.get_object(Bucket=holder, Key=key)["Body"])
            with _text(key, stream) as lines:
                for row in _readable(f"s3://{holder}/{key}", csv.reader(lines)):
                    number += 1
                    if number > start and (found := columns(row)):
                        yield _item(found, source, str(number))

    def content(self) -> str:
        """SHA-256 of the manifest, which has the sums of its files."""
        return hashlib.sha256(self._manifest()).hexdigest()

    def _manifest(self) -> bytes:
        return self.s3.get_object(Bucket=self.bucket, Key=self.key)["Body"].read()


def archive_at(named: str, s3: S3Client, inbox_bucket: str) -> Archive:
    """What a name names: `s3://bucket/prefix`, an inventory's manifest.json, or a list (.txt, .csv, .gz of these).

    Args:
        named: an S3 URI or a local path.
        s3: its client.
        inbox_bucket: of keys in a list that names no bucket.

    Raises:
        ArchiveError: it is none of these.
    """
    if not named.startswith("s3://"):
        path = Path(named)
        if not named.endswith(_LISTS):
            raise ArchiveError(f"{named}: a list of keys ends in {', '.join(_LISTS)}")
        return KeyList(named, lambda: path.open("rb"), inbox_bucket)
    try:
        place = parse_location(named)
    except ValueError as error:
        raise ArchiveError(str(error)) from error
    if not isinstance(place, S3Location):
        raise ArchiveError(f"{named} names no bucket")
    bucket, key = place.bucket, place.key
    if key.endswith("manifest.json"):
        return InventoryReport(s3, bucket, key)
    if key.endswith(_LISTS):

        def stream() -> IO[bytes]:
            return cast("IO[bytes]", s3.get_object(Bucket=bucket, Key=key)["Body"])

        return KeyList(named, stream, inbox_bucket)
    return Listing(s3, bucket, key)


# Bucket ('' where it is not told), key, bytes, entity tag.
_Fields = tuple[str, str, int | None, str | None]


@dataclass(frozen=True)
class _Columns:
    """Reads rows by the names of their columns."""

    names: list[str]
    quoted: bool

    def __call__(self, row: list[str]) -> _Fields | None:
        told = dict(zip(self.names, row, strict=False))
        key = told.get("key", "")
        if not key or told.get("islatest") == "false" or told.get("isdeletemarker") == "true":
            return None
        size = told.get("size", "")
        return (
            told.get("bucket", ""),
            unquote_plus(key) if self.quoted else key,
            int(size) if size.isdigit() else None,
            told.get("etag", "").strip('"') or None,
        )


def _columns_of_header(row: list[str]) -> tuple[Callable[[list[str]], _Fields | None], bool]:
    names = [name.strip().lower() for name in row]
    if "key" in names:
        return _Columns(names, quoted=False), True
    return _Columns(["bucket", "key"], quoted=True), False


def _text_line(row: list[str]) -> tuple[Callable[[list[str]], _Fields | None], bool]:
    del row

    def read(line: list[str]) -> _Fields | None:
        key = line[0].rstrip("\r\n")
        return ("", key, None, None) if key else None

    return read, False


def _item(fields: _Fields, bucket: str, place: str) -> ArchiveItem:
    own, key, size, etag = fields
    if not own and key.startswith("s3://"):
        own, _, key = key.removeprefix("s3://").partition("/")
    return ArchiveItem(own or bucket, key, place, size, etag)


def _text(name: str, stream: IO[bytes]) -> IO[str]:
    plain = gzip.GzipFile(fileobj=stream) if name.endswith(".gz") else stream
    return io.TextIOWrapper(io.BufferedReader(cast("Any", _Raw(plain))), "utf-8", newline="\n")


class _Raw(io.RawIOBase):
    """What `TextIOWrapper` needs of a stream that only reads, as S3's body is."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401 - any stream
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - a writable buffer
        found = self._stream.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def close(self) -> None:
        self._stream.close()
        super().close()


def _readable(name: str, rows: Iterator[list[str]]) -> Iterator[list[str]]:
    try:
        yield from rows
    except (UnicodeDecodeError, csv.Error, EOFError, gzip.BadGzipFile) as error:
        raise ArchiveError(f"{name}: {error}") from error

"""Reads the objects of an archive as a stream: from a listing, an S3 inventory or a list of keys.

Reading can resume at any place. Formats: "Locating your inventory list" and "Amazon S3 Inventory lists" in the
S3 user guide. Keys in an inventory's CSV are quoted as in a URL.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import unquote_plus

from flows.core.locations import S3Location, parse_location
from operations.inventory.listings import listed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_LISTS = (".txt", ".csv", ".txt.gz", ".csv.gz")
# S3 makes an inventory each day or each week; if the newest is older, it was switched off.
OLDEST = timedelta(days=8)

log = logging.getLogger(__name__)


class ArchiveError(ValueError):
    """The listing, inventory or list of keys can't be read."""


@dataclass(frozen=True, slots=True)
class ArchiveItem:
    """One object. `size` and `etag` are None if unknown; reading resumes after `place`."""

    bucket: str
    key: str
    place: str
    size: int | None = None
    etag: str | None = None


@dataclass(frozen=True)
class Listing:
    """The objects of a bucket whose keys start with a prefix; a place is a key."""

    s3: S3Client
    bucket: str
    prefix: str = ""

    def items(self, after: str = "") -> Iterator[ArchiveItem]:
        """List page by page, in the order of the keys."""
        for found in listed(self.s3, self.bucket, self.prefix, after):
            yield ArchiveItem(found.bucket, found.key, found.key, found.size, found.etag)

    def content(self) -> str:
        """Return `''`: a key is a valid place in any listing."""
        return ""


@dataclass(frozen=True)
class KeyList:
    """A file of keys; a place is the number of lines that were read.

    A text file has one key or `s3://` URI on each line, unquoted. A CSV has a first row
    that names its columns (`key`, and optionally `bucket`, `size`, `etag`), or is part of
    an inventory, with the bucket and the quoted key first.
    """

    name: str
    open_binary: Callable[[], IO[bytes]]
    bucket: str

    def items(self, after: str = "") -> Iterator[ArchiveItem]:
        """Read line by line."""
        columns, quoted = ["key"], False
        for number, row in enumerate(_rows(self.name, self.name, self.open_binary()), start=1):
            if ".csv" in self.name and number == 1:
                columns = [name.strip().lower() for name in row]
                if "key" in columns:
                    continue
                columns, quoted = ["bucket", "key"], True
            if number > int(after or 0):
                yield from _item(columns, row, self.bucket, number, quoted=quoted)

    def content(self) -> str:
        """SHA-256 of the file: a line number is a place only in this list."""
        with closing(self.open_binary()) as stream:
            return hashlib.file_digest(cast("Any", stream), "sha256").hexdigest()


@dataclass(frozen=True)
class InventoryReport:
    """An S3 inventory, given by its manifest.json; a place is the number of rows that were read."""

    s3: S3Client
    bucket: str
    key: str

    def items(self, after: str = "") -> Iterator[ArchiveItem]:
        """Read its files one after another; skip old versions and delete markers."""
        found = self._fields()
        if found.form != "CSV":
            raise ArchiveError(f"{self.uri}: the inventory is {found.form}, only CSV is supported")
        number, start = 0, int(after or 0)
        for key in found.files:
            stream = _body(self.s3, found.holder, key)
            for row in _rows(f"s3://{found.holder}/{key}", key, stream):
                number += 1
                if number > start:
                    yield from _item(found.columns, row, found.source, number, quoted=True)

    def content(self) -> str:
        """SHA-256 of the manifest, which contains the checksums of its files."""
        return hashlib.sha256(self._manifest()).hexdigest()

    @property
    def uri(self) -> str:
        """Where its manifest is."""
        return S3Location(self.bucket, self.key).uri

    def why_unusable(self, now: datetime) -> str:
        """Why it can't replace a listing of the bucket that it is in; empty if it can."""
        try:
            found = self._fields()
        except ArchiveError as error:
            return str(error)
        if found.source != self.bucket:
            return f"it lists bucket {found.source}"
        if found.form != "CSV" or "size" not in found.columns:
            return f"it must be CSV with sizes, but is {found.form} of {', '.join(sorted(found.columns))}"
        return f"it was made on {found.made:%Y-%m-%d}" if now - found.made > OLDEST else ""

    def _manifest(self) -> bytes:
        return _body(self.s3, self.bucket, self.key).read()

    def _fields(self) -> _InventoryFields:
        try:
            manifest = json.loads(self._manifest())
            return _InventoryFields(
                [str(file["key"]) for file in manifest["files"]],
                [name.strip().lower() for name in manifest["fileSchema"].split(",")],
                manifest["fileFormat"],
                manifest["sourceBucket"],
                manifest["destinationBucket"].rpartition(":")[2],
                datetime.fromtimestamp(int(manifest.get("creationTimestamp", 0)) / 1000, UTC),
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ArchiveError(
                f"{self.uri}: not the manifest of an S3 inventory: {error!r}"
            ) from error


@dataclass(frozen=True, slots=True)
class _InventoryFields:
    """A manifest: keys of its `files` in the bucket `holder`, which list the bucket `source`."""

    files: list[str]
    columns: list[str]
    form: str
    source: str
    holder: str
    made: datetime


# Each lists its `items` after a place, always in the same order, `''` lists all; `content` identifies
# what places refer to, `''` if they stay valid when the content changes. Both raise ArchiveError
# or OSError if the archive can't be read.
Archive = Listing | KeyList | InventoryReport


def archive_at(named: str, s3: S3Client, inbox_bucket: str) -> Archive:
    """Open `s3://bucket/prefix`, an inventory's manifest.json, or a list (.txt, .csv, or either as .gz).

    Keys in a list that names no bucket are of `inbox_bucket`.

    Raises:
        ArchiveError: the name is none of these.
    """
    if not named.startswith("s3://"):
        if not named.endswith(_LISTS):
            raise ArchiveError(f"{named}: a list of keys ends in {', '.join(_LISTS)}")
        return KeyList(named, lambda: Path(named).open("rb"), inbox_bucket)
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
        return KeyList(named, lambda: _body(s3, bucket, key), inbox_bucket)
    return Listing(s3, bucket, key)


def newest_inventory(
    s3: S3Client, bucket: str, prefix: str, now: datetime
) -> InventoryReport | None:
    """Find an inventory to read instead of listing `bucket`; None if there is no usable one.

    S3 delivers it into the output bucket itself, beside the reports, where the reconciliation has
    access. It lies below `prefix`.
    """
    manifests = [item for item in listed(s3, bucket, prefix) if item.key.endswith("/manifest.json")]
    for item in sorted(manifests, key=lambda each: each.modified, reverse=True):
        found = InventoryReport(s3, bucket, item.key)
        if not (why := found.why_unusable(now)):
            return found
        log.warning("inventory %s is not used: %s", item.uri, why)
    return None


def _body(s3: S3Client, bucket: str, key: str) -> IO[bytes]:
    return cast("IO[bytes]", s3.get_object(Bucket=bucket, Key=key)["Body"])


def _rows(named: str, key: str, stream: IO[bytes]) -> Iterator[list[str]]:
    """The rows of a CSV, or the lines of a text; a `key` that ends in .gz is unpacked."""
    plain: Any = gzip.GzipFile(fileobj=stream) if key.endswith(".gz") else stream
    buffered: Any = plain if isinstance(plain, io.BufferedIOBase) else io.BufferedReader(plain)
    try:
        with io.TextIOWrapper(buffered, "utf-8", newline="\n") as lines:
            yield from csv.reader(lines) if ".csv" in key else ([x.rstrip("\r\n")] for x in lines)
    except (UnicodeDecodeError, csv.Error, EOFError, gzip.BadGzipFile) as error:
        raise ArchiveError(f"{named}: {error}") from error


def _item(
    names: list[str], row: list[str], bucket: str, place: int, *, quoted: bool
) -> Iterator[ArchiveItem]:
    """Yield the object of a row; none for an old version or a delete marker."""
    columns = dict(zip(names, row, strict=False))
    own, key, size = (columns.get(name, "") for name in ("bucket", "key", "size"))
    if not key or columns.get("islatest") == "false" or columns.get("isdeletemarker") == "true":
        return
    key = unquote_plus(key) if quoted else key
    if not own and key.startswith("s3://"):
        own, _, key = key.removeprefix("s3://").partition("/")
    etag = columns.get("etag", "").strip('"') or None
    yield ArchiveItem(own or bucket, key, str(place), int(size) if size.isdigit() else None, etag)

"""Reads the objects of an archive as a stream: from a listing, an S3 inventory or a list of keys.

Reading can resume at any place. Formats: "Locating your inventory list" and "Amazon S3 Inventory lists" in the
S3 user guide. Keys in an inventory's CSV are quoted as in a URL.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from flows.core.locations import S3Location, parse_location
from operations.inventory.key_rows import (
    ArchiveError,
    KeyColumns,
    KeyFields,
    columns_of_header,
    readable,
    text_of,
)
from operations.inventory.listings import listed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_LISTS = (".txt", ".csv", ".txt.gz", ".csv.gz")


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
        with text_of(self.name, self.open_binary()) as lines:
            is_table = ".csv" in self.name
            texts = ([line.rstrip("\r\n")] for line in lines)
            columns = KeyColumns(["key"], quoted=False)
            rows = readable(self.name, csv.reader(lines) if is_table else texts)
            for number, row in enumerate(rows, start=1):
                if is_table and number == 1:
                    columns, is_header = columns_of_header(row)
                    if is_header:
                        continue
                if number > int(after or 0) and (found := columns(row)):
                    yield _item(found, self.bucket, str(number))

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
        where, body = f"s3://{self.bucket}/{self.key}", self._manifest()
        try:
            manifest = json.loads(body)
            files = [str(file["key"]) for file in manifest["files"]]
            names = [name.strip().lower() for name in manifest["fileSchema"].split(",")]
            form, source = manifest["fileFormat"], manifest["sourceBucket"]
            holder = manifest["destinationBucket"].rpartition(":")[2]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArchiveError(
                f"{where}: not the manifest of an S3 inventory: {error!r}"
            ) from error
        if form != "CSV":
            raise ArchiveError(f"{where}: the inventory is {form}, only CSV is supported")
        columns = KeyColumns(names, quoted=True)
        number, start = 0, int(after or 0)
        for key in files:
            stream = cast("IO[bytes]", self.s3.get_object(Bucket=holder, Key=key)["Body"])
            with text_of(key, stream) as lines:
                for row in readable(f"s3://{holder}/{key}", csv.reader(lines)):
                    number += 1
                    if number > start and (found := columns(row)):
                        yield _item(found, source, str(number))

    def content(self) -> str:
        """SHA-256 of the manifest, which contains the checksums of its files."""
        return hashlib.sha256(self._manifest()).hexdigest()

    def _manifest(self) -> bytes:
        return self.s3.get_object(Bucket=self.bucket, Key=self.key)["Body"].read()


# Each lists its `items` after a place, always in the same order, `''` lists all; `content` identifies
# what places refer to, `''` if they stay valid when the content changes. Both raise ArchiveError,
# OSError or ClientError if the archive can't be read.
Archive = Listing | KeyList | InventoryReport


def archive_at(named: str, s3: S3Client, inbox_bucket: str) -> Archive:
    """Open `s3://bucket/prefix`, an inventory's manifest.json, or a list (.txt, .csv, or either as .gz).

    Keys in a list that names no bucket are of `inbox_bucket`.

    Raises:
        ArchiveError: the name is none of these.
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


def _item(fields: KeyFields, bucket: str, place: str) -> ArchiveItem:
    own, key, size, etag = fields
    if not own and key.startswith("s3://"):
        own, _, key = key.removeprefix("s3://").partition("/")
    return ArchiveItem(own or bucket, key, place, size, etag)


# S3 makes one each day or each week; if the newest is older, the inventory was switched off.
OLDEST = timedelta(days=8)

log = logging.getLogger(__name__)


def newest_inventory(
    s3: S3Client, bucket: str, prefix: str, now: datetime
) -> InventoryReport | None:
    """Find an inventory to read instead of listing `bucket`; None if there is no usable one.

    S3 delivers it into the output bucket itself, beside the reports, where the reconciliation has
    access. It lies below `prefix`.
    """
    manifests = [item for item in listed(s3, bucket, prefix) if item.key.endswith("/manifest.json")]
    for item in sorted(manifests, key=lambda each: each.modified, reverse=True):
        if why := _why_unusable(
            s3.get_object(Bucket=bucket, Key=item.key)["Body"].read(), bucket, now
        ):
            log.warning("inventory %s is not used: %s", item.uri, why)
            continue
        return InventoryReport(s3, bucket, item.key)
    return None


def _why_unusable(manifest: bytes, bucket: str, now: datetime) -> str:
    """Why an inventory can't replace a listing; empty if it can."""
    try:
        fields = json.loads(manifest)
        made = datetime.fromtimestamp(int(fields["creationTimestamp"]) / 1000, UTC)
        source, form = fields["sourceBucket"], fields["fileFormat"]
        columns = {name.strip().lower() for name in fields["fileSchema"].split(",")}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        return f"it is not the manifest of an S3 inventory: {error!r}"
    if source != bucket:
        return f"it lists bucket {source}"
    if form != "CSV" or "size" not in columns:
        return f"it must be CSV with sizes, but is {form} of {', '.join(sorted(columns))}"
    if now - made > OLDEST:
        return f"it was made on {made:%Y-%m-%d}"
    return ""

"""Which uploads were found done, kept from one look to the next, so that they cost no request again.

One object beside the reports: a line of JSON, then sixteen bytes for each upload.
They are a hash of all that the finding came from, so that an upload that is
replaced, a settings XML that changes and a rule that maps it elsewhere are
looked at again. No time is compared: S3 dates an object that came in parts by
the first of them, which may be a week before there was anything to list.
What a run does to its output afterwards is looked at because of that run; what
else happens to it is for the looks at everything to find.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, TYPE_CHECKING

from botocore.exceptions import ClientError

from operations.findings import Source

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from operations.reconcile_report import Place

VERSION = 1
NAME = "settled"
MARK_BYTES = 16
_LOADED_AT_ONCE = 10_000
# The last one: it was removed.
_WRITTEN_MEANWHILE = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"}


class SettledUnreadableError(ValueError):
    """What was kept cannot be read; the look is at everything then, and keeps it anew."""

    def __init__(self, uri: str, why: str) -> None:
        super().__init__(f"{uri}: {why}")
        self.uri = uri


def mark_of(source: Source, output: str, *settings: str) -> bytes:
    """A hash of an upload, of its output's key and of the settings that it was converted with."""
    told = json.dumps([source.bucket, source.key, source.etag, source.size, output, *settings])
    return hashlib.blake2b(told.encode(), digest_size=MARK_BYTES).digest()


@dataclass
class Settled:
    """The marks of one look: those that it began with, and those that it keeps.

    Attributes:
        whole_began: when the last look at everything began.
        looks_at_all: whether this look is one: no mark is known to it.
        began_with: how many marks there were.
        version: the entity tag of the object that they come from.
        kept_by: when the look began that kept them.
    """

    whole_began: datetime
    looks_at_all: bool = True
    began_with: int = 0
    version: str = ""
    kept_by: datetime | None = None
    _new: int = field(default=0, init=False)
    # An empty name is a database of one's own in a temporary file.
    _database: sqlite3.Connection = field(default_factory=lambda: sqlite3.connect(""), init=False)

    def __post_init__(self) -> None:
        # Marks come in no order: without room for a million of them each asks the disk.
        self._database.execute("PRAGMA cache_size = -65536")
        self._database.execute("CREATE TABLE mark (mark BLOB PRIMARY KEY, kept INT) WITHOUT ROWID")

    def close(self) -> None:
        """Give the room on the disk back."""
        self._database.close()

    def knows(self, mark: bytes) -> bool:
        """Whether this was found done before; then it is kept."""
        changed = self._database.execute("UPDATE mark SET kept = 1 WHERE mark = ?", (mark,))
        return changed.rowcount == 1

    def keep(self, mark: bytes) -> None:
        """Keep what this look found done."""
        added = self._database.execute("INSERT OR IGNORE INTO mark VALUES (?, 1)", (mark,))
        self._new += added.rowcount == 1

    def add_known(self, body: IO[bytes]) -> None:
        """Take in what an earlier look kept.

        Raises:
            ValueError: it ends amid a mark.
        """
        while chunk := body.read(MARK_BYTES * _LOADED_AT_ONCE):
            if len(chunk) % MARK_BYTES:
                raise ValueError("it ends amid a mark")
            rows = ((chunk[at : at + MARK_BYTES],) for at in range(0, len(chunk), MARK_BYTES))
            self._database.executemany("INSERT INTO mark VALUES (?, 0)", rows)
            self.began_with += len(chunk) // MARK_BYTES

    def save(self, s3: S3Client, place: Place, began: datetime) -> bool:
        """Write what is kept by the look that began then, where that is another than before; whether it was written.

        Where another look has written meanwhile, its marks stay: this look's would bring
        back what that one found damaged. What is missing then is looked at once more.

        Raises:
            ClientError: the bucket refuses.
        """
        (kept,) = self._database.execute("SELECT count(*) FROM mark WHERE kept = 1").fetchone()
        if not self.looks_at_all and not self._new and kept == self.began_with:
            return False
        with tempfile.TemporaryFile() as file:
            head = {
                "version": VERSION,
                "whole_began": self.whole_began.isoformat(),
                "began": began.isoformat(),
                "count": kept,
            }
            file.write(json.dumps(head).encode() + b"\n")
            file.writelines(self._kept())
            file.seek(0)
            key = place.prefix + NAME
            if self.looks_at_all:
                s3.put_object(Bucket=place.bucket, Key=key, Body=file)
                return True
            try:
                s3.put_object(Bucket=place.bucket, Key=key, Body=file, IfMatch=self.version)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in _WRITTEN_MEANWHILE:
                    return False
                raise
        return True

    def _kept(self) -> Iterator[bytes]:
        with closing(self._database.cursor()) as cursor:
            for (mark,) in cursor.execute("SELECT mark FROM mark WHERE kept = 1"):
                yield mark


def load_settled(s3: S3Client, place: Place) -> Settled | None:
    """What the last look kept; None where there was none.

    Raises:
        SettledUnreadableError: it is of another version, or cut.
        ClientError: the bucket refuses.
    """
    key = place.prefix + NAME
    try:
        answer = s3.get_object(Bucket=place.bucket, Key=key)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "NoSuchKey":
            return None
        raise
    with tempfile.TemporaryFile() as file:
        for chunk in answer["Body"].iter_chunks(1024 * 1024):
            file.write(chunk)
        file.seek(0)
        try:
            return _read(file, answer["ETag"])
        except (ValueError, KeyError, TypeError, sqlite3.IntegrityError) as error:
            told = f"{type(error).__name__}: {error}"
            raise SettledUnreadableError(f"s3://{place.bucket}/{key}", told) from error


def _read(file: IO[bytes], version: str) -> Settled:
    head = json.loads(file.readline())
    if head["version"] != VERSION:
        raise ValueError(f"it is of version {head['version']!r}")
    whole_began, began = (datetime.fromisoformat(head[each]) for each in ("whole_began", "began"))
    found = Settled(whole_began, looks_at_all=False, version=version, kept_by=began)
    found.add_known(file)
    if found.began_with != head["count"]:
        raise ValueError(f"{found.began_with} marks in place of {head['count']}")
    return found

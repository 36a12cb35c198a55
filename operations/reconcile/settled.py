"""Keeps the uploads that were found done, so that the next run sends no requests about them.

They are in one object beside the reports: a line of JSON, then sixteen bytes for each
upload. The bytes are a hash of everything that the finding depends on, so an upload is
checked again if it is replaced, its settings XML changes, or a rule maps it elsewhere.
Times are not compared: S3 dates a multipart upload by its start, which may be a week
before the object can be listed. If a run changes an output later, the upload is checked
because of that run; other changes are found when everything is checked.
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

from operations.findings.findings import Source

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from operations.reconcile.reconcile_report import ReportLocation

VERSION = 1
NAME = "settled"
MARK_BYTES = 16
_LOADED_AT_ONCE = 10_000
# The last code: the object was removed.
_WRITTEN_MEANWHILE = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"}


class SettledUnreadableError(ValueError):
    """The stored marks can't be read; everything is then checked and stored again."""

    def __init__(self, uri: str, why: str) -> None:
        super().__init__(f"{uri}: {why}")
        self.uri = uri


def mark_of(source: Source, output: str, *settings: str) -> bytes:
    """Hash an upload, the key of its output, and the settings that it was converted with."""
    fields = json.dumps([source.bucket, source.key, source.etag, source.size, output, *settings])
    return hashlib.blake2b(fields.encode(), digest_size=MARK_BYTES).digest()


@dataclass
class Settled:
    """The marks of one run: those that it loaded, and those that it keeps.

    Attributes:
        whole_began: when the last check of everything began.
        checks_everything: whether this run checks everything; it then loads no marks.
        began_with: how many marks were loaded.
        version: the entity tag of the object that they were loaded from.
        kept_by: when the run that stored them began.
    """

    whole_began: datetime
    checks_everything: bool = True
    began_with: int = 0
    version: str = ""
    kept_by: datetime | None = None
    _new: int = field(default=0, init=False)
    # An empty name makes a private database in a temporary file.
    _database: sqlite3.Connection = field(default_factory=lambda: sqlite3.connect(""), init=False)

    def __post_init__(self) -> None:
        # Marks are not sorted: without a cache for a million of them, each one needs a disk access.
        self._database.execute("PRAGMA cache_size = -65536")
        self._database.execute("CREATE TABLE mark (mark BLOB PRIMARY KEY, kept INT) WITHOUT ROWID")

    def close(self) -> None:
        """Delete the temporary database."""
        self._database.close()

    def knows(self, mark: bytes) -> bool:
        """Whether this mark was found done before; if so, it is kept."""
        changed = self._database.execute("UPDATE mark SET kept = 1 WHERE mark = ?", (mark,))
        return changed.rowcount == 1

    def keep(self, mark: bytes) -> None:
        """Keep the mark of an upload that this run found done."""
        added = self._database.execute("INSERT OR IGNORE INTO mark VALUES (?, 1)", (mark,))
        self._new += added.rowcount == 1

    def add_known(self, body: IO[bytes]) -> None:
        """Load the marks that an earlier run stored.

        Raises:
            ValueError: the last mark is cut.
        """
        while chunk := body.read(MARK_BYTES * _LOADED_AT_ONCE):
            if len(chunk) % MARK_BYTES:
                raise ValueError("the last mark is cut")
            rows = ((chunk[at : at + MARK_BYTES],) for at in range(0, len(chunk), MARK_BYTES))
            self._database.executemany("INSERT INTO mark VALUES (?, 0)", rows)
            self.began_with += len(chunk) // MARK_BYTES

    def save(self, s3: S3Client, place: ReportLocation, began: datetime) -> bool:
        """Store the marks that this run keeps, if they changed; return whether they were stored.

        If another run has stored its marks meanwhile, those stay: the marks of this run could
        include an upload that the other one found damaged. Missing uploads are checked again.

        Raises:
            ClientError: S3 refuses.
        """
        (kept,) = self._database.execute("SELECT count(*) FROM mark WHERE kept = 1").fetchone()
        if not self.checks_everything and not self._new and kept == self.began_with:
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
            if self.checks_everything:
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


def load_settled(s3: S3Client, place: ReportLocation) -> Settled | None:
    """Load the marks that the last run stored; None if there are none.

    Raises:
        SettledUnreadableError: they have another version, or are cut.
        ClientError: S3 refuses.
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
            reason = f"{type(error).__name__}: {error}"
            raise SettledUnreadableError(f"s3://{place.bucket}/{key}", reason) from error


def _read(file: IO[bytes], version: str) -> Settled:
    head = json.loads(file.readline())
    if head["version"] != VERSION:
        raise ValueError(f"it has version {head['version']!r}")
    whole_began, began = (datetime.fromisoformat(head[each]) for each in ("whole_began", "began"))
    found = Settled(whole_began, checks_everything=False, version=version, kept_by=began)
    found.add_known(file)
    if found.began_with != head["count"]:
        raise ValueError(f"{found.began_with} marks instead of {head['count']}")
    return found

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
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from flows.stores.object_store import ObjectStore, error_code
from operations.findings.findings import Source

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from flows.core.locations import S3Location

VERSION = 1
NAME = "settled"
MARK_BYTES = 16
# The last code: the object was removed.
_WRITTEN_MEANWHILE = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"}


class SettledUnreadableError(ValueError):
    """The stored marks can't be read; everything is then checked and stored again."""


def mark_of(source: Source, output: str, *settings: str) -> bytes:
    """Hash an upload, the key of its output, and the settings that it was converted with."""
    fields = json.dumps([source.bucket, source.key, source.etag, source.size, output, *settings])
    return hashlib.blake2b(fields.encode(), digest_size=MARK_BYTES).digest()


@dataclass
class Settled:
    """The marks of one run, some hundred bytes each: those that it loaded, and those that it keeps.

    Attributes:
        checks_everything: whether this run checks everything; it then loads no marks.
        version: the entity tag of the object that they were loaded from.
        kept_by: when the run that stored them began.
    """

    whole_began: datetime
    checks_everything: bool = True
    known: frozenset[bytes] = frozenset()
    version: str = ""
    kept_by: datetime | None = None
    _kept: set[bytes] = field(default_factory=set, init=False)

    def knows(self, mark: bytes) -> bool:
        """Whether this mark was found done before; if so, it is kept."""
        if mark in self.known:
            self._kept.add(mark)
        return mark in self.known

    def keep(self, mark: bytes) -> None:
        """Keep the mark of an upload that this run found done."""
        self._kept.add(mark)

    def save(self, s3: S3Client, place: S3Location, began: datetime) -> bool:
        """Store the marks that this run keeps, if they changed; return whether they were stored.

        If another run has stored its marks meanwhile, those stay: the marks of this run could
        include an upload that the other one found damaged. Missing uploads are checked again.
        """
        if not self.checks_everything and self._kept == self.known:
            return False
        head = {
            "version": VERSION,
            "whole_began": self.whole_began.isoformat(),
            "began": began.isoformat(),
            "count": len(self._kept),
        }
        body = json.dumps(head).encode() + b"\n" + b"".join(self._kept)
        condition: Any = {} if self.checks_everything else {"IfMatch": self.version}
        try:
            ObjectStore(s3, place.bucket).put(place.key + NAME, body, **condition)
        except ClientError as error:
            if condition and error_code(error)[1] in _WRITTEN_MEANWHILE:
                return False
            raise
        return True


def load_settled(s3: S3Client, place: S3Location) -> Settled | None:
    """Load the marks that the last run stored; None if there are none.

    Raises:
        SettledUnreadableError: they have another version, or are cut.
    """
    key = place.key + NAME
    if (found := ObjectStore(s3, place.bucket).get(key)) is None:
        return None
    try:
        return _read(found.body, found.etag)
    except (ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise SettledUnreadableError(f"s3://{place.bucket}/{key}: {reason}") from error


def _read(body: bytes, version: str) -> Settled:
    first, _, rest = body.partition(b"\n")
    head = json.loads(first)
    if head["version"] != VERSION:
        raise ValueError(f"it has version {head['version']!r}")
    whole_began, began = (datetime.fromisoformat(head[each]) for each in ("whole_began", "began"))
    known = frozenset(rest[at : at + MARK_BYTES] for at in range(0, len(rest), MARK_BYTES))
    if not len(rest) == MARK_BYTES * len(known) == MARK_BYTES * head["count"]:
        raise ValueError(f"{len(rest)} bytes of marks instead of {head['count']} marks")
    return Settled(
        whole_began, checks_everything=False, known=known, version=version, kept_by=began
    )

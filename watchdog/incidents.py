"""Counts the incidents that tasks have recorded, reports their growth, and deletes them.

`flows/failures/incidents.py` describes the objects: each incident has the alert of its first
file as `incident.json`, and the alert of each later file. The task of the first file
reports the incident at once and marks it as reported. The watchdog reports an incident
without the mark, reports again when more files have failed, and once more at its end.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

if TYPE_CHECKING:  # the stubs are installed for development alone
    from mypy_boto3_s3 import S3Client

HEAD, REPORTED = "incident.json", "reported.json"
# The same window as in tasks: a later failure starts another incident.
WINDOW = timedelta(hours=1)
# A task makes three attempts to report an incident; it has given up by then.
REPORT_GRACE = timedelta(seconds=45)
FILES_NAMED = 10

_DELETES_A_REQUEST = 1000

State = Literal["open", "growing", "closed"]


@dataclass(frozen=True)
class IncidentNote:
    """One object of an incident; its `etag` is without quotes."""

    key: str
    modified: datetime
    etag: str


@dataclass(frozen=True)
class Incident:
    """One incident: the note of its first file, the notes of later files, and the mark.

    If the head is missing, the incident was deleted or replaced while a task added a
    file to it, and is over.
    """

    id: str
    head: IncidentNote | None
    followers: Sequence[IncidentNote]
    reported: IncidentNote | None

    @property
    def notes(self) -> Sequence[IncidentNote]:
        """The notes of all its files, the first one first."""
        return [*([self.head] if self.head else []), *self.followers]

    @property
    def count(self) -> int:
        """How many files failed."""
        return len(self.notes)

    def state(self, now: datetime, reported_count: int) -> State | None:
        """The state to report; None if there is nothing new.

        `reported_count` files were already reported.
        """
        if self.is_over(now):
            return (
                "closed"
                if self.count and (self.count > reported_count or reported_count > 1)
                else None
            )
        if reported_count:
            return "growing" if reported_count == 1 < self.count else None
        if self.head is None or now - self.head.modified <= REPORT_GRACE:
            return None
        return "growing" if self.count > 1 else "open"

    def is_over(self, now: datetime) -> bool:
        """Whether its window has passed."""
        return self.head is None or now - self.head.modified > WINDOW


def read_incidents(notes: Sequence[IncidentNote], prefix: str) -> list[Incident]:
    """Group the notes of a listing into incidents."""
    heads: dict[tuple[str, str], IncidentNote] = {}
    marks: dict[tuple[str, str], IncidentNote] = {}
    followers: dict[tuple[str, str], list[IncidentNote]] = defaultdict(list)
    for note in notes:
        match note.key.removeprefix(prefix).split("/"):
            case [identity, name] if name == HEAD:
                heads[identity, note.etag] = note
            case [identity, opening, name] if name == REPORTED:
                marks[identity, opening] = note
            case [identity, opening, _]:
                followers[identity, opening].append(note)
    return [
        Incident(
            opening[0],
            heads.get(opening),
            sorted(followers[opening], key=lambda note: (note.modified, note.key)),
            marks.get(opening),
        )
        for opening in sorted(heads.keys() | marks.keys() | followers.keys())
    ]


def update_of(
    incident: Incident, state: State, first_files: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The message that reports the size of an incident, as JSON values."""
    first = first_files[0]
    return {
        "event": "incident",
        "state": state,
        "incident": incident.id,
        "count": incident.count,
        "first_files": [alert.get("file") for alert in first_files],
        "began_at": incident.notes[0].modified.isoformat(),
        **{
            name: first.get(name)
            for name in (
                *("outcome", "why", "kind", "cruise", "sonar_model"),
                *("run_url", "replay", "remedy"),
            )
        },
    }


@dataclass(frozen=True)
class IncidentStore:
    """The objects in which tasks record incidents."""

    s3: S3Client
    bucket: str
    prefix: str

    def incidents(self) -> list[Incident]:
        """All incidents."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix
        )
        notes = [
            IncidentNote(item["Key"], item["LastModified"], item["ETag"].strip('"'))
            for page in pages
            for item in page.get("Contents", [])
        ]
        return read_incidents(notes, self.prefix)

    def update(self, incident: Incident, now: datetime) -> dict[str, Any] | None:
        """The message that is due for an incident; None if there is nothing new."""
        state = incident.state(now, self._reported_count(incident))
        if state is None:
            return None
        first = [self._read(note) for note in incident.notes[:FILES_NAMED]]
        return update_of(incident, state, first)

    def settle(self, incident: Incident, now: datetime, *, reported: bool) -> None:
        """Mark an incident as reported, or remove it if it is over."""
        if incident.is_over(now):
            self._remove(incident)
        elif reported and incident.head:
            self.s3.put_object(
                Bucket=self.bucket,
                Key=incident.reported.key
                if incident.reported
                else f"{self.prefix}{incident.id}/{incident.head.etag}/{REPORTED}",
                Body=json.dumps({"count": incident.count}).encode(),
            )

    def _reported_count(self, incident: Incident) -> int:
        if incident.reported is None:
            return 0
        try:
            return int(json.loads(self._body(incident.reported))["count"])
        except (ValueError, KeyError, TypeError):
            # If the mark can't be read, the incident is reported twice.
            return 0

    def _read(self, note: IncidentNote) -> dict[str, Any]:
        """The alert of a file; if it can't be read, the alert names the object instead."""
        try:
            alert = json.loads(self._body(note))
        except ValueError:
            alert = None
        if isinstance(alert, dict):
            return alert
        return {"file": f"s3://{self.bucket}/{note.key} (unreadable)"}

    def _body(self, note: IncidentNote) -> bytes:
        return self.s3.get_object(Bucket=self.bucket, Key=note.key)["Body"].read()

    def _remove(self, incident: Incident) -> None:
        # The head is last: without it the others would be reported as another incident.
        keys = [note.key for note in incident.followers]
        keys += [incident.reported.key] if incident.reported else []
        for start in range(0, len(keys), _DELETES_A_REQUEST):
            batch = keys[start : start + _DELETES_A_REQUEST]
            answer = self.s3.delete_objects(
                Bucket=self.bucket,
                Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True},
            )
            if kept := answer.get("Errors"):
                text = f"{len(kept)} not deleted, first {kept[0].get('Key')}"
                code = kept[0].get("Code", "")
                raise ClientError({"Error": {"Code": code, "Message": text}}, "DeleteObjects")
        if incident.head:
            self.s3.delete_object(Bucket=self.bucket, Key=incident.head.key)

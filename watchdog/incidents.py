"""Counts incidents that tasks have noted, tells how far they grew, and clears them away.

What lies there is described in `flows/incidents.py`: of each incident the alert
of its first file as `incident.json`, and that of each file that followed. The
task of the first one tells people at once and marks it as told; this tells of
one without the mark, once more when others have joined it, and a last time when
it is over.
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

HEAD, TOLD = "incident.json", "told.json"
# As of tasks: what fails later is another incident.
WINDOW = timedelta(hours=1)
# A task that tries for three times to tell has given up by then.
TELLING = timedelta(seconds=45)
FILES_NAMED = 10

_DELETES_A_REQUEST = 1000

State = Literal["open", "growing", "closed"]


@dataclass(frozen=True)
class Note:
    """One object of an incident; `etag` is its entity tag without quotes."""

    key: str
    modified: datetime
    etag: str


@dataclass(frozen=True)
class Incident:
    """One opening of an incident: the first file's note, those of the files that followed, the mark.

    Without a head it was cleared away or taken over while a task noted a file
    in it, and is over.
    """

    id: str
    head: Note | None
    followers: Sequence[Note]
    told: Note | None

    @property
    def notes(self) -> Sequence[Note]:
        """Of all its files, the first one first."""
        return [*([self.head] if self.head else []), *self.followers]

    @property
    def count(self) -> int:
        """How many files failed."""
        return len(self.notes)

    def state(self, now: datetime, told_count: int) -> State | None:
        """What there is to say of it; None: nothing new.

        Args:
            now: the time of the look.
            told_count: how many files people know of.
        """
        if self.is_over(now):
            return "closed" if self.count and (self.count > told_count or told_count > 1) else None
        if told_count:
            return "growing" if told_count == 1 < self.count else None
        if self.head is None or now - self.head.modified <= TELLING:
            return None
        return "growing" if self.count > 1 else "open"

    def is_over(self, now: datetime) -> bool:
        """Whether its window has passed."""
        return self.head is None or now - self.head.modified > WINDOW


def read_incidents(notes: Sequence[Note], prefix: str) -> list[Incident]:
    """The incidents of a listing."""
    heads: dict[tuple[str, str], Note] = {}
    told: dict[tuple[str, str], Note] = {}
    followers: dict[tuple[str, str], list[Note]] = defaultdict(list)
    for note in notes:
        match note.key.removeprefix(prefix).split("/"):
            case [identity, name] if name == HEAD:
                heads[identity, note.etag] = note
            case [identity, opening, name] if name == TOLD:
                told[identity, opening] = note
            case [identity, opening, _]:
                followers[identity, opening].append(note)
    return [
        Incident(
            opening[0],
            heads.get(opening),
            sorted(followers[opening], key=lambda note: (note.modified, note.key)),
            told.get(opening),
        )
        for opening in sorted(heads.keys() | told.keys() | followers.keys())
    ]


def update_of(
    incident: Incident, state: State, first_files: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The message that tells how far an incident grew, JSON values."""
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
    """The place where tasks note incidents."""

    s3: S3Client
    bucket: str
    prefix: str

    def incidents(self) -> list[Incident]:
        """All that are there."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix
        )
        notes = [
            Note(item["Key"], item["LastModified"], item["ETag"].strip('"'))
            for page in pages
            for item in page.get("Contents", [])
        ]
        return read_incidents(notes, self.prefix)

    def update(self, incident: Incident, now: datetime) -> dict[str, Any] | None:
        """The message that is due of an incident; None: nothing new.

        Raises:
            ClientError, BotoCoreError: S3 refuses or does not answer.
        """
        state = incident.state(now, self._told_count(incident))
        if state is None:
            return None
        first = [self._read(note) for note in incident.notes[:FILES_NAMED]]
        return update_of(incident, state, first)

    def settle(self, incident: Incident, now: datetime, *, told: bool) -> None:
        """Note what was told of an incident, and remove one that is over.

        Raises:
            ClientError, BotoCoreError: S3 refuses or does not answer.
        """
        if incident.is_over(now):
            self._remove(incident)
        elif told and incident.head:
            self.s3.put_object(
                Bucket=self.bucket,
                Key=f"{self.prefix}{incident.id}/{incident.head.etag}/{TOLD}",
                Body=json.dumps({"count": incident.count}).encode(),
            )

    def _told_count(self, incident: Incident) -> int:
        if incident.told is None:
            return 0
        try:
            return int(json.loads(self._body(incident.told))["count"])
        except (ValueError, KeyError, TypeError):
            # One that can't be read says nothing: better told twice.
            return 0

    def _read(self, note: Note) -> dict[str, Any]:
        """The alert of a file; one that can't be read is told of by where it lies."""
        try:
            told = json.loads(self._body(note))
        except ValueError:
            told = None
        if isinstance(told, dict):
            return told
        return {"file": f"s3://{self.bucket}/{note.key} (unreadable)"}

    def _body(self, note: Note) -> bytes:
        return self.s3.get_object(Bucket=self.bucket, Key=note.key)["Body"].read()

    def _remove(self, incident: Incident) -> None:
        # The head last: without it the followers would be told of as another incident.
        keys = [note.key for note in incident.followers]
        keys += [incident.told.key] if incident.told else []
        for start in range(0, len(keys), _DELETES_A_REQUEST):
            batch = keys[start : start + _DELETES_A_REQUEST]
            answer = self.s3.delete_objects(
                Bucket=self.bucket,
                Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True},
            )
            if kept := answer.get("Errors"):
                told = f"{len(kept)} not deleted, first {kept[0].get('Key')}"
                code = kept[0].get("Code", "")
                raise ClientError({"Error": {"Code": code, "Message": told}}, "DeleteObjects")
        if incident.head:
            self.s3.delete_object(Bucket=self.bucket, Key=incident.head.key)

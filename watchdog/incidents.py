"""Counts incidents that tasks have noted, tells how far they grew, and clears them away.

What lies there is described in `flows/incidents.py`: of each incident the alert
of its first file as `incident.json`, and that of each file that followed. People
were told of the first one at once; they are told once more when others have
joined it, and a last time when it is over.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:  # the stubs are installed for development alone
    from mypy_boto3_s3 import S3Client

HEAD, TOLD = "incident.json", "told.json"
# As of tasks: what fails later is another incident.
WINDOW = timedelta(hours=1)
FILES_NAMED = 10

State = Literal["growing", "closed"]


@dataclass(frozen=True)
class Note:
    """One object of an incident."""

    key: str
    modified: datetime

    @property
    def name(self) -> str:
        """What stands behind the last slash."""
        return self.key.rpartition("/")[2]


@dataclass(frozen=True)
class Incident:
    """One incident as its notes tell it: the first file's, and those of the files that followed."""

    id: str
    notes: Sequence[Note]
    told: Note | None

    @property
    def count(self) -> int:
        """How many files failed."""
        return len(self.notes)

    def state(self, now: datetime, told_count: int) -> State | None:
        """What there is to say of it; None: nothing new."""
        if self.is_over(now):
            return "closed" if self.count > max(told_count, 1) or told_count else None
        return "growing" if self.count > 1 and not told_count else None

    def is_over(self, now: datetime) -> bool:
        """Whether its window has passed."""
        return now - self.notes[0].modified > WINDOW


def read_incidents(listing: Mapping[str, datetime], prefix: str) -> list[Incident]:
    """The incidents of a listing (key to the time it was stored)."""
    notes: dict[str, list[Note]] = defaultdict(list)
    told: dict[str, Note] = {}
    for key, modified in listing.items():
        identity, slash, name = key.removeprefix(prefix).partition("/")
        if not slash:
            continue
        note = Note(key, modified)
        if name == TOLD:
            told[identity] = note
        else:
            notes[identity].append(note)
    return [
        Incident(
            identity,
            # The head first where two were stored within one second.
            sorted(found, key=lambda note: (note.modified, note.name != HEAD)),
            told.get(identity),
        )
        for identity, found in notes.items()
    ]


def update_of(
    incident: Incident, state: State, first_files: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The message that tells how far an incident grew, JSON values."""
    head = first_files[0]
    return {
        "event": "incident",
        "state": state,
        "incident": incident.id,
        "count": incident.count,
        "first_files": [alert.get("file") for alert in first_files],
        "began_at": incident.notes[0].modified.isoformat(),
        **{
            name: head.get(name)
            for name in ("outcome", "why", "kind", "cruise", "sonar_model", "run_url", "remedy")
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
        listing = {
            item["Key"]: item["LastModified"] for page in pages for item in page.get("Contents", [])
        }
        return read_incidents(listing, self.prefix)

    def updates(self, now: datetime) -> Iterator[dict[str, Any]]:
        """Each message that is due. What was told is noted, and what is over removed, once it is taken."""
        for incident in self.incidents():
            told_count = int(self._read(incident.told)["count"]) if incident.told else 0
            state = incident.state(now, told_count)
            if state is not None:
                first = [self._read(note) for note in incident.notes[:FILES_NAMED]]
                yield update_of(incident, state, first)
            if incident.is_over(now):
                self._remove(incident)
            elif state is not None:
                self._note_told(incident)

    def _read(self, note: Note) -> dict[str, Any]:
        body = self.s3.get_object(Bucket=self.bucket, Key=note.key)["Body"].read()
        told: dict[str, Any] = json.loads(body)
        return told

    def _note_told(self, incident: Incident) -> None:
        self.s3.put_object(
            Bucket=self.bucket,
            Key=f"{self.prefix}{incident.id}/{TOLD}",
            Body=json.dumps({"count": incident.count}).encode(),
        )

    def _remove(self, incident: Incident) -> None:
        # The head last: without it the next failure would open an incident among these notes.
        keys = [note.key for note in incident.notes if note.name != HEAD]
        keys += [incident.told.key] if incident.told else []
        keys += [note.key for note in incident.notes if note.name == HEAD]
        for key in keys:
            self.s3.delete_object(Bucket=self.bucket, Key=key)

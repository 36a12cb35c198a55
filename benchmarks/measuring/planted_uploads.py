"""The class of each upload of a generated inbox, and what it has: a run, an output."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
NOW = WHEN + timedelta(days=30)
LOST, DAMAGED = 17, 42

LONG, SHORT = timedelta(days=2), timedelta(minutes=1)
# By class: extension and age of the upload, state of its run (type, name and age), and its output.
PLANTED: dict[str, tuple[str, timedelta, tuple[str, str, timedelta] | None, str]] = {
    "ignored": ("bot", LONG, None, ""),
    "rejected": ("mp3", LONG, None, ""),
    "arriving": ("raw", SHORT, None, ""),
    "waiting": ("01A", SHORT, None, ""),
    "waiting too long": ("01A", LONG, None, ""),
    "queued": ("raw", LONG, ("SCHEDULED", "Scheduled", SHORT), ""),
    "late": ("raw", LONG, ("SCHEDULED", "Late", LONG), ""),
    "running": ("raw", LONG, ("RUNNING", "Running", SHORT), ""),
    "stuck": ("raw", LONG, ("RUNNING", "Running", LONG), ""),
    "paused": ("raw", LONG, ("PAUSED", "Suspended", LONG), ""),
    "cancelled": ("raw", LONG, ("CANCELLED", "Cancelled", LONG), ""),
    "never notified": ("raw", timedelta(hours=2), None, ""),
    "backlog": ("raw", LONG, None, ""),
    "quarantined": ("raw", LONG, ("FAILED", "BadFile", LONG), ""),
    "failed": ("raw", LONG, ("FAILED", "TransientFault", LONG), ""),
    "crashed": ("raw", LONG, ("CRASHED", "Crashed", LONG), ""),
    "torn": ("raw", LONG, ("CRASHED", "Crashed", LONG), "objects"),
    "superseded": ("raw", LONG, None, "of an older upload"),
    "contested": ("raw", LONG, None, "of another upload"),
    "output missing": ("raw", LONG, ("COMPLETED", "Completed", LONG), ""),
    "output damaged": ("raw", LONG, ("COMPLETED", "Completed", LONG), "damaged"),
    "output without source": ("", LONG, None, "whole"),
}


@dataclass(frozen=True)
class World:
    """The class of each upload: planted problems, two problems in each hundred, the rest done."""

    uploads: int
    objects: int

    def kind(self, number: int) -> str:
        """Class of an upload."""
        step = self.uploads // (len(PLANTED) + 1)
        place, behind = divmod(number, step)
        if behind == 0 and 0 < place <= len(PLANTED):
            return list(PLANTED)[place - 1]
        of_hundred = {LOST: "backlog", DAMAGED: "output damaged"}
        return of_hundred.get(number % 100, "done")

    def planted(self) -> dict[int, str]:
        """Planted classes by upload, one of each."""
        step = self.uploads // (len(PLANTED) + 1)
        return {step * (place + 1): kind for place, kind in enumerate(PLANTED)}

    def key(self, number: int) -> str:
        """Key of an upload."""
        extension = PLANTED[kind][0] if (kind := self.kind(number)) in PLANTED else "raw"
        return f"{name(number)}.{extension}"

    def output(self, number: int) -> str:
        """The state of an output: nothing, an intact store, or a store with a problem."""
        kind = self.kind(number)
        return PLANTED[kind][3] if kind in PLANTED else "whole"


def name(number: int) -> str:
    """Name an upload without its extension."""
    return f"d{number:08}"


def etag(number: int) -> str:
    """Return an upload's entity tag."""
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()

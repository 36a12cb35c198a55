"""Reads the outcome of each upload from the triggers' logs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class TriggerOutcome:
    """One outcome of the trigger: Submitted, Waiting, Ignored or Rejected.

    Attributes:
        key: the object's key; empty if the notification has none.
        outcome: the outcome.
        reason: its reason, one of a fixed set.
        detail: the details of this object.
        message: the id of the queue message; empty without a queue.
    """

    key: str
    outcome: str
    reason: str
    detail: str
    message: str = ""


class TriggerLog:
    """Reads new lines of the triggers' logs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read_to: dict[Path, int] = {}

    def new_outcomes(self) -> Iterator[TriggerOutcome]:
        """Yield the outcomes since the last call, one log after another."""
        for path in sorted(self._folder.glob("trigger-*.log")):
            with path.open("rb") as log:
                log.seek(self._read_to.get(path, 0))
                yield from _outcomes(log)
                self._read_to[path] = log.tell()


def _outcomes(log: BinaryIO) -> Iterator[TriggerOutcome]:
    while line := log.readline():
        if not line.endswith(b"\n"):
            # Incomplete: the next call reads the line.
            log.seek(-len(line), 1)
            return
        if not line.startswith(b"{"):
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if "outcome" in entry:
            yield TriggerOutcome(
                key=entry.get("key") or "",
                outcome=entry["outcome"],
                reason=entry.get("reason") or "",
                detail=entry.get("detail") or "",
                message=entry.get("message_id") or "",
            )

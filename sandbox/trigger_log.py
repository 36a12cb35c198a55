"""What the triggers of a sandbox have said became of each upload."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class TriggerOutcome:
    """One outcome of the trigger: Submitted, Waiting, Ignored or Rejected.

    Attributes:
        key: the object's key; empty where a notification named none.
        outcome: which of the four.
        reason: its reason, a word of the closed set.
        detail: what differs from object to object.
        message: the queue's id of the message that told of it; empty without a queue.
    """

    key: str
    outcome: str
    reason: str
    detail: str
    message: str = ""


class TriggerLog:
    """Reads the triggers' logs on from where it stopped the last time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read_to: dict[Path, int] = {}

    def new_outcomes(self) -> Iterator[TriggerOutcome]:
        """Yield the outcomes that were written since the last call, log by log."""
        for path in sorted(self._folder.glob("trigger-*.log")):
            with path.open("rb") as log:
                log.seek(self._read_to.get(path, 0))
                yield from _outcomes(log)
                self._read_to[path] = log.tell()


def _outcomes(log: BinaryIO) -> Iterator[TriggerOutcome]:
    while line := log.readline():
        if not line.endswith(b"\n"):
            # Still being written: the next call reads it whole.
            log.seek(-len(line), 1)
            return
        if not line.startswith(b"{"):
            continue
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if "outcome" in told:
            yield TriggerOutcome(
                key=told.get("key") or "",
                outcome=told["outcome"],
                reason=told.get("reason") or "",
                detail=told.get("detail") or "",
                message=told.get("message_id") or "",
            )

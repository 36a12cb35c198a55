"""Reads the outcome of each upload from the triggers' logs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.aws.new_lines import NewLines


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
    """Reads new outcomes from the triggers' logs."""

    def __init__(self, folder: Path) -> None:
        self._lines = NewLines(folder, "trigger-*.log")

    def new_outcomes(self) -> Iterator[TriggerOutcome]:
        """Yield the outcomes since the last call, one log after another."""
        for line in self._lines.read():
            try:
                entry = json.loads(line) if line.startswith("{") else {}
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

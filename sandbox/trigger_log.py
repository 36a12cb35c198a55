"""Reads the outcome of each upload from the triggers' logs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TriggerOutcome:
    """One outcome of the trigger: Submitted, Waiting, Ignored or Rejected.

    `key`, `message` (the id of the queue message) and `run` (the id of the flow run) are empty if
    there is none.
    """

    key: str
    outcome: str
    reason: str
    detail: str
    message: str = ""
    run: str = ""


class NewLines:
    """Reads the lines that were added to the log files of a folder."""

    def __init__(self, folder: Path, pattern: str = "*.log") -> None:
        self._folder, self._pattern = folder, pattern
        self._read_to: dict[Path, int] = {}

    def read(self) -> list[str]:
        """Return all complete lines since the last call, one file after another."""
        lines: list[str] = []
        for path in sorted(self._folder.glob(self._pattern)):
            start = self._read_to.get(path, 0)
            with path.open("rb") as file:
                file.seek(start)
                complete, newline, _ = file.read().rpartition(b"\n")
            self._read_to[path] = start + len(complete) + len(newline)
            lines += complete.decode(errors="replace").split("\n")
        return lines


class TriggerLog(NewLines):
    """Reads new outcomes from the triggers' logs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "trigger-*.log")

    def new_outcomes(self) -> Iterator[TriggerOutcome]:
        """Yield the outcomes since the last call, one log after another."""
        names = ("key", "outcome", "reason", "detail", "message_id", "flow_run_id")
        for line in self.read():
            try:
                entry = json.loads(line) if line.startswith("{") else {}
            except ValueError:
                continue
            if "outcome" in entry:
                yield TriggerOutcome(*(entry.get(name) or "" for name in names))

"""Repairs of a file's datagrams, counted by name for the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_NT_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Repair:
    """One kind of repair: what was done to so many datagrams, and what is missing.

    `first` and `last` are the times of the first and the last of them, ISO 8601 in UTC.
    """

    what: str
    count: int
    first: str
    last: str

    def __str__(self) -> str:
        """The sentence, with the number of datagrams."""
        return f"{self.what} ({self.count} times)" if self.count > 1 else self.what


class RepairLog:
    """Counts repairs by their sentence."""

    def __init__(self) -> None:
        self._found: dict[str, list[int]] = {}

    def note(self, what: str, ticks: int) -> None:
        """Count one repair of a datagram with this time (NT FILETIME)."""
        entry = self._found.setdefault(what, [0, ticks, ticks])
        entry[0] += 1
        entry[1:] = min(entry[1], ticks), max(entry[2], ticks)

    def repairs(self) -> tuple[Repair, ...]:
        """All repairs, in the order of their first occurrence."""
        return tuple(
            Repair(what, count, _iso(first), _iso(last))
            for what, (count, first, last) in self._found.items()
        )


def _iso(ticks: int) -> str:
    return (_NT_EPOCH + timedelta(microseconds=ticks // 10)).isoformat()

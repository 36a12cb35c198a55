"""Prints findings, as tables or as JSON."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from operations.findings.findings import NEEDS_ATTENTION, REMEDIES, Kind, UploadFinding
from operations.sending.fixing import FixResult

_STYLES = {Kind.DONE: "green", Kind.IGNORED: "dim"}


def age(since: datetime | None, now: datetime) -> str:
    """Format an age in the largest unit that fits: `3 d`, `5 h`, `20 min`."""
    if since is None:
        return ""
    minutes = max(0, int((now - since).total_seconds() // 60))
    if minutes >= 2 * 24 * 60:
        return f"{minutes // (24 * 60)} d"
    return f"{minutes // 60} h" if minutes >= 120 else f"{minutes} min"


def json_line(values: object) -> str:
    """Format values as one line of JSON."""
    return json.dumps(values, ensure_ascii=False)


@dataclass
class FindingTally:
    """Counts of every class, and the oldest uploads of each.

    Attributes:
        shown: how many uploads of a class are listed.
        quiet: classes that are counted but not listed, unless an output lacks something.
        done: how many fixes succeeded.
        notes: how many findings have each note.
    """

    shown: int = 10
    quiet: frozenset[Kind] = frozenset({Kind.DONE, Kind.IGNORED})
    counts: Counter[Kind] = field(default_factory=Counter)
    fixes: Counter[str] = field(default_factory=Counter)
    done: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    _listed: dict[Kind, list[UploadFinding]] = field(default_factory=lambda: defaultdict(list))

    def add(self, finding: UploadFinding) -> None:
        """Count a finding, and keep it if it is among the oldest of its class."""
        self.counts[finding.kind] += 1
        if finding.note:
            self.notes[finding.note] += 1
        is_remarkable = finding.kind is Kind.DONE and finding.detail
        if finding.kind in self.quiet and not is_remarkable:
            return
        kept = self._listed[finding.kind]
        kept.append(finding)
        if len(kept) > 10 * self.shown:
            self._cut(finding.kind)

    def add_result(self, result: FixResult) -> None:
        """Count what --fix did, or why it did nothing."""
        self.fixes[result.what.partition(":")[0]] += 1
        self.done += result.done

    @property
    def needs_attention(self) -> bool:
        """Whether any finding needs attention."""
        return any(count and kind in NEEDS_ATTENTION for kind, count in self.counts.items())

    def oldest(self, kind: Kind) -> list[UploadFinding]:
        """The oldest of a class, at most `shown` of them."""
        self._cut(kind)
        return self._listed[kind]

    def summary(self) -> dict[str, object]:
        """The counts by class and by fix, as JSON values."""
        return {
            "counts": {kind.value: self.counts[kind] for kind in Kind if self.counts[kind]},
            "needs_attention": self.needs_attention,
            "fixed": dict(self.fixes),
            **({"notes": dict(self.notes)} if self.notes else {}),
        }

    def print(self, console: Console, now: datetime) -> None:
        """Print counts with remedies, then each class's oldest."""
        counts = Table("class", "uploads", "what to do", box=None)
        counts.columns[1].justify = "right"
        for kind in Kind:
            if self.counts[kind]:
                counts.add_row(
                    self._styled(kind), f"{self.counts[kind]:,}", escape(REMEDIES.get(kind, ""))
                )
        console.print(counts)
        listed = Table("class", "since", "upload", "why", box=None, title_justify="left")
        for kind in Kind:
            for finding in self.oldest(kind):
                listed.add_row(
                    self._styled(kind),
                    age(finding.since, now),
                    escape(finding.uri),
                    escape(finding.detail[:200]),
                )
            more = self.counts[kind] - self.shown
            if more > 0 and kind not in self.quiet:
                listed.add_row("", "", f"… and {more:,} more", "")
        if listed.row_count:
            console.print()
            console.print(listed)
        for what, count in self.fixes.items():
            console.print(f"{escape(what)}: {count:,}", highlight=False)
        for note, count in self.notes.items():
            console.print(f"{count:,} {escape(note)}", highlight=False)

    def _cut(self, kind: Kind) -> None:
        oldest = sorted(
            self._listed[kind], key=lambda one: one.since.timestamp() if one.since else 0.0
        )
        self._listed[kind] = oldest[: self.shown]

    @staticmethod
    def _styled(kind: Kind) -> str:
        style = _STYLES.get(kind, "red" if kind in NEEDS_ATTENTION else "yellow")
        return f"[{style}]{kind.value}[/{style}]"

"""Prints findings, as tables or as JSON."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Console

from operations.console.printing import write, write_grouped
from operations.findings.findings import (
    NEEDS_ATTENTION,
    REMEDIES,
    ChangeResult,
    Kind,
    UploadFinding,
)

# A listed upload of this class has a remark.
_TITLES = {
    Kind.DONE: "done, but the output lacks something, or a quality fact is above its threshold"
}
_STYLES = {Kind.DONE: "green", Kind.IGNORED: "dim"}


def age(since: datetime | None, now: datetime) -> str:
    """Format an age in the largest unit that fits: `3 d`, `5 h`, `20 min`."""
    if since is None:
        return ""
    minutes = max(0, int((now - since).total_seconds() // 60))
    if minutes >= 2 * 24 * 60:
        return f"{minutes // (24 * 60)} d"
    return f"{minutes // 60} h" if minutes >= 120 else f"{minutes} min"


@dataclass
class FindingTally:
    """Counts of every class, and the oldest uploads of each; `done` counts fixes that succeeded."""

    shown: int = 10
    counts: Counter[Kind] = field(default_factory=Counter)
    fixes: Counter[str] = field(default_factory=Counter)
    done: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    _listable: Counter[Kind] = field(default_factory=Counter)
    _listed: dict[Kind, list[UploadFinding]] = field(default_factory=lambda: defaultdict(list))

    def add(self, finding: UploadFinding) -> None:
        """Count a finding, and keep it if it is among the oldest of its class."""
        self.counts[finding.kind] += 1
        if finding.note:
            self.notes[finding.note] += 1
        if not finding.is_remarkable:
            return
        self._listable[finding.kind] += 1
        kept = self._listed[finding.kind]
        kept.append(finding)
        if len(kept) > 10 * self.shown:
            self._cut(finding.kind)

    def record(
        self, findings: Iterable[UploadFinding], write: Callable[[dict[str, object]], object]
    ) -> Iterator[UploadFinding]:
        """Count findings, write each that is not done or ignored, and pass them on."""
        for found in findings:
            self.add(found)
            if found.is_remarkable:
                write(found.as_json())
            yield found

    def add_result(self, result: ChangeResult) -> None:
        """Count what --fix did, or why it did nothing."""
        self.fixes[result.name] += 1
        self.done += result.done

    @property
    def needing_attention(self) -> dict[str, int]:
        """Counts of the classes that need attention, fixed just now or not."""
        return {
            kind.value: self.counts[kind]
            for kind in Kind
            if self.counts[kind] and kind in NEEDS_ATTENTION
        }

    def oldest(self, kind: Kind) -> list[UploadFinding]:
        """The oldest of a class, at most `shown` of them."""
        self._cut(kind)
        return self._listed[kind]

    def summary(self) -> dict[str, object]:
        """The counts by class and by fix, as JSON values."""
        return {
            "counts": {kind.value: self.counts[kind] for kind in Kind if self.counts[kind]},
            "needs_attention": bool(self.needing_attention),
            "fixed": dict(self.fixes),
            **({"notes": dict(self.notes)} if self.notes else {}),
        }

    def print(self, console: Console, now: datetime) -> None:
        """Print counts with remedies, then each class's oldest by their reasons."""
        for kind in Kind:
            if self.counts[kind]:
                remedy = f": {REMEDIES[kind]}" if kind in REMEDIES else ""
                if kind is Kind.DONE and (marked := self._listable[kind]):
                    remedy = f", {marked:,} of them with a remark: see below"
                write(console, f"{self.counts[kind]:,} {kind}{remedy}", style=_style(kind))
        for kind in Kind:
            oldest = self.oldest(kind)
            if not oldest:
                continue
            console.print()
            write(console, _TITLES.get(kind, kind.value), style=_style(kind))
            rows = ((each.reason, _name(each, now)) for each in oldest)
            write_grouped(console, rows, indent=2)
            more = self._listable[kind] - len(oldest)
            if more > 0:
                write(console, f"… and {more:,} more", indent=2)
        if self.fixes:
            console.print()
        for what, count in self.fixes.items():
            write(console, f"{what}: {count:,}")
        for note, count in self.notes.items():
            write(console, f"{count:,} {note}")

    def _cut(self, kind: Kind) -> None:
        oldest = sorted(
            self._listed[kind], key=lambda one: one.since.timestamp() if one.since else 0.0
        )
        self._listed[kind] = oldest[: self.shown]


def _name(finding: UploadFinding, now: datetime) -> str:
    since = age(finding.since, now)
    return f"{finding.uri}  ({since})" if since else finding.uri


def _style(kind: Kind) -> str:
    return _STYLES.get(kind, "red" if kind in NEEDS_ATTENTION else "yellow")

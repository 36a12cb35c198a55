"""Applies fixes: sends notifications through the trigger's queue, and retries runs.

Attempts are counted where the count can't be lost: Prefect counts the starts and
retries of a run; a new run has its generation in its identity, and a tag that marks it
as a repair. `classification.ATTEMPTS` limits both. A notification of generation 0
creates a run only if there is none, so it needs no limit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, zip_longest

from events.notifications import NotifiedObject, eventbridge_event
from events.sending import BATCH, Message, Target
from lambda_trigger.decisions.outcomes import BACKFILL
from operations.clients.prefect_runs import PrefectRuns
from operations.findings.classification import ATTEMPTS
from operations.findings.findings import (
    ChangeResult,
    End,
    Kind,
    Notify,
    Retry,
    Source,
    UploadFinding,
)
from operations.sending.back_pressure import RUNS, Pace

# Uploads that one call fixes, and how many a second: a fault of the system must not double
# its load.
FIX_LIMIT = 500
RATE = 5.0


# A finding, and what was done about it.
Fixed = tuple[UploadFinding, ChangeResult]


def notification_of(source: Source, action: Notify) -> Message:
    """The message that notifies the trigger of an upload."""
    item = NotifiedObject(
        bucket=source.bucket,
        key=source.key,
        size=source.size,
        etag=source.etag,
        stored_at=source.modified.isoformat(),
        generation=action.generation,
        lane=action.lane,
        is_repair=action.is_repair,
        allow_partial=action.allow_partial,
    )
    return Message(source.uri, json.dumps(eventbridge_event(item)))


@dataclass(frozen=True)
class Fixer:
    """Carries out the actions of findings.

    Attributes:
        attempts: how often a run is started in total; None for no limit.
        limit: maximum number of fixes; failed ones do not count.
    """

    queue: Target
    runs: PrefectRuns
    attempts: int | None = ATTEMPTS
    dry_run: bool = False
    pace: Pace = field(default_factory=lambda: Pace(None))
    limit: int | None = None

    def fix(self, findings: Iterable[UploadFinding]) -> Iterator[Fixed]:
        """Carry out the action of each finding that has one.

        If several findings name one run, as the files of a batch do, the run is changed once.
        """
        waiting = (finding for finding in findings if finding.action is not None)
        changed: dict[str, ChangeResult] = {}
        done = 0
        while left := BATCH if self.limit is None else min(BATCH, self.limit - done):
            batch = list(islice(waiting, left))
            if not batch:
                return
            self.pace.take(len(batch))
            for finding, result in self._act(batch, changed):
                done += result.done or self.dry_run
                yield finding, result

    def _act(self, batch: list[UploadFinding], changed: dict[str, ChangeResult]) -> Iterator[Fixed]:
        yield from self._notify(batch)
        for finding in batch:
            action = finding.action
            if isinstance(action, Retry | End):
                if action.run_id not in changed:
                    changed[action.run_id] = self._change(action, finding.detail)
                yield finding, changed[action.run_id]

    def _notify(self, findings: list[UploadFinding]) -> Iterator[Fixed]:
        notifications = [
            (finding, notification_of(finding.source, finding.action))
            for finding in findings
            if finding.source is not None and isinstance(finding.action, Notify)
        ]
        if self.dry_run or not notifications:
            yield from ((finding, ChangeResult("would notify")) for finding, _ in notifications)
            return
        rows = self.queue.send([message for _, message in notifications])
        for (finding, _), row in zip(notifications, rows, strict=True):
            sent = row.outcome == "Sent"
            refused = ChangeResult("not sent", why=row.detail)
            yield finding, ChangeResult("notified", done=True) if sent else refused

    def _change(self, action: Retry | End, why: str) -> ChangeResult:
        if isinstance(action, Retry):
            if self.dry_run:
                return ChangeResult("would retry")
            return self.runs.retry(action.run_id, action.state_id, at_most=self.attempts)
        if self.dry_run:
            return ChangeResult("would end and retry" if action.retry else "would end")
        at_most = self.attempts if action.retry else 0
        return self.runs.end(action.run_id, action.state_id, why, retry_at_most=at_most)


# Findings of a class that are kept until the listing ends; the next call finds the others again.
KEPT = 5_000


@dataclass
class FixQueue:
    """Findings with an action, the newest `kept` of each class and lane.

    One class comes after another, so that no class delays another and an old archive does not
    delay today's uploads. Uploads older than a day go into the backfill lane, as far as it has
    room: if a backfill fills the lane, none.
    """

    kept: int = KEPT
    _newest: dict[tuple[bool, Kind], list[UploadFinding]] = field(default_factory=dict, init=False)

    def add(self, finding: UploadFinding) -> None:
        """Keep a finding if it has an action and is among the newest."""
        if finding.action is None:
            return
        action = finding.action
        in_backfill_lane = isinstance(action, Notify) and action.lane == BACKFILL
        newest = self._newest.setdefault((in_backfill_lane, finding.kind), [])
        newest.append(finding)
        if len(newest) > 2 * self.kept:
            self._cut(newest)

    def in_turn(self, room: int) -> Iterator[UploadFinding]:
        """Yield live uploads, class after class, newest first; then as many others as there is room for."""
        yield from self._of_lane(backfill=False)
        yield from islice(self._of_lane(backfill=True), room)

    def _of_lane(self, *, backfill: bool) -> Iterator[UploadFinding]:
        lane = [self._cut(newest) for (each, _), newest in self._newest.items() if each == backfill]
        for turn in zip_longest(*lane):
            yield from (finding for finding in turn if finding)

    def _cut(self, newest: list[UploadFinding]) -> list[UploadFinding]:
        newest.sort(key=lambda each: each.since.timestamp() if each.since else 0.0, reverse=True)
        del newest[self.kept :]
        return newest


def fix_in_order(findings: Iterable[UploadFinding], fixer: Fixer) -> Iterator[Fixed]:
    """Read all findings first, then fix them in order, as far as the limits allow."""
    fix_queue = FixQueue(max(KEPT, fixer.limit or 0))
    for finding in findings:
        fix_queue.add(finding)
    if fixer.limit != 0:
        room = max(0, RUNS - fixer.runs.unfinished_in(BACKFILL))
        yield from fixer.fix(fix_queue.in_turn(room))

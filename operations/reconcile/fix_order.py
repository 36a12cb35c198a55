"""Chooses which findings --fix acts on, and in which order, if there are more than its limit.

It takes the newest of each class, one class after another, so that no class delays
another and an old archive does not delay today's uploads. Uploads older than a day
go into the backfill lane, as far as it has room: if a backfill fills the lane, none.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from lambda_trigger.decisions.outcomes import BACKFILL
from operations.clients.prefect_runs import PrefectRuns
from operations.findings.findings import Kind, Notify, UploadFinding
from operations.sending.back_pressure import room_in_lane
from operations.sending.fixing import Fixer, FixResult

# Findings of a class that are kept until the listing ends; the next call finds the others again.
KEPT = 5_000


@dataclass
class FixQueue:
    """Findings with an action, the newest `kept` of each class and lane."""

    kept: int = KEPT
    _newest: dict[tuple[bool, Kind], list[tuple[float, int, UploadFinding]]] = field(
        default_factory=dict, init=False
    )
    _seen: int = field(default=0, init=False)

    def add(self, finding: UploadFinding) -> None:
        """Keep a finding if it has an action and is among the newest."""
        if finding.action is None:
            return
        self._seen += 1
        newest = self._newest.setdefault((_in_backfill_lane(finding), finding.kind), [])
        since = finding.since.timestamp() if finding.since else 0.0
        # The number orders findings of the same time.
        entry = (since, -self._seen, finding)
        if len(newest) < self.kept:
            heapq.heappush(newest, entry)
        else:
            heapq.heappushpop(newest, entry)

    def in_turn(self, room: int) -> Iterator[UploadFinding]:
        """Yield live uploads, class after class, newest first; then as many others as there is room for."""
        yield from self._of_lane(backfill=False)
        for _, finding in zip(range(room), self._of_lane(backfill=True), strict=False):
            yield finding

    def _of_lane(self, *, backfill: bool) -> Iterator[UploadFinding]:
        classes = [
            iter(sorted(newest, reverse=True))
            for (in_backfill_lane, _), newest in self._newest.items()
            if in_backfill_lane == backfill
        ]
        while classes:
            for each in list(classes):
                if (entry := next(each, None)) is None:
                    classes.remove(each)
                else:
                    yield entry[2]


def fix_in_order(
    findings: Iterable[UploadFinding], fixer: Fixer, lane: PrefectRuns
) -> Iterator[FixResult]:
    """Read all findings first, then fix them in order, as far as the limits allow.

    Raises:
        ClientError: SQS refuses; PrefectUnavailableError: Prefect does not answer.
    """
    fix_queue = FixQueue(max(KEPT, fixer.limit or 0))
    for finding in findings:
        fix_queue.add(finding)
    if fixer.limit != 0:
        yield from fixer.fix(fix_queue.in_turn(room_in_lane(lane, BACKFILL)))


def _in_backfill_lane(finding: UploadFinding) -> bool:
    return isinstance(finding.action, Notify) and finding.action.lane == BACKFILL

"""Which findings --fix acts on, and in which order, where there are more than one call may mend.

The newest of each class, the classes in turn, so that no class stands in
another's way and no old archive in the way of today's uploads. What is older
than a day goes into the backfill lane, and only as much as that has room for:
beside a backfill that fills the lane, nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from lambda_trigger.outcomes import BACKFILL
from operations.back_pressure import Lane, room_in_lane
from operations.findings import Finding, Kind, Notify
from operations.mending import Mended, Mender

# Of a class that are kept until all is looked at; what is beyond is found again by the next look.
KEPT = 5_000


@dataclass
class ToMend:
    """Findings with an action, the newest `kept` of each class and lane."""

    kept: int = KEPT
    _newest: dict[tuple[bool, Kind], list[tuple[float, int, Finding]]] = field(
        default_factory=dict, init=False
    )
    _seen: int = field(default=0, init=False)

    def add(self, finding: Finding) -> None:
        """Keep a finding if something is to be done about it, and it is among the newest."""
        if finding.action is None:
            return
        self._seen += 1
        newest = self._newest.setdefault((_is_of_backfill(finding), finding.kind), [])
        since = finding.since.timestamp() if finding.since else 0.0
        # The number keeps findings of one moment apart, and in their order.
        entry = (since, -self._seen, finding)
        if len(newest) < self.kept:
            heapq.heappush(newest, entry)
        else:
            heapq.heappushpop(newest, entry)

    def in_turn(self, room: int) -> Iterator[Finding]:
        """Give live uploads class by class in turn, the newest first; then as many of the others as there is room for."""
        yield from self._of_lane(backfill=False)
        for _, finding in zip(range(room), self._of_lane(backfill=True), strict=False):
            yield finding

    def _of_lane(self, *, backfill: bool) -> Iterator[Finding]:
        classes = [
            iter(sorted(newest, reverse=True))
            for (is_of_backfill, _), newest in self._newest.items()
            if is_of_backfill == backfill
        ]
        while classes:
            for each in list(classes):
                if (entry := next(each, None)) is None:
                    classes.remove(each)
                else:
                    yield entry[2]


def mend_in_order(findings: Iterable[Finding], mender: Mender, lane: Lane) -> Iterator[Mended]:
    """Look at everything first, then mend what there is to mend, in its order and as far as there is room.

    Raises:
        ClientError: the queue refuses; PrefectUnavailableError: no answer.
    """
    to_mend = ToMend(max(KEPT, mender.limit or 0))
    for finding in findings:
        to_mend.add(finding)
    if mender.limit != 0:
        yield from mender.mend(to_mend.in_turn(room_in_lane(lane, BACKFILL)))


def _is_of_backfill(finding: Finding) -> bool:
    return isinstance(finding.action, Notify) and finding.action.lane == BACKFILL

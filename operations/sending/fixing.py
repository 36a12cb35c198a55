"""Applies fixes: sends notifications through the trigger's queue, and retries runs.

Attempts are counted where the count can't be lost: Prefect counts the starts and
retries of a run; a new run has its generation in its identity, and a tag that marks it
as a repair. `classification.ATTEMPTS` limits both. A notification of generation 0
creates a run only if there is none, so it needs no limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from events.notifications import ENVELOPES, NotifiedObject
from events.sending import BATCH, Message, Target
from operations.clients.prefect_runs import PrefectRuns
from operations.findings.classification import ATTEMPTS
from operations.findings.findings import ChangeResult, End, Notify, Retry, Source, UploadFinding
from operations.sending.pacing import Pace

# Uploads that one call fixes, and how many a second: a fault of the system must not double
# its load.
FIX_LIMIT = 500
RATE = 5.0


@dataclass(frozen=True, slots=True)
class FixResult:
    """A finding with what was done about it."""

    finding: UploadFinding
    result: ChangeResult

    @property
    def what(self) -> str:
        """The result in words."""
        return str(self.result)

    @property
    def done(self) -> bool:
        """Whether the fix succeeded."""
        return self.result.done


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
    return Message(source.uri, ENVELOPES["eventbridge"](item))


@dataclass(frozen=True)
class Fixer:
    """Carries out the actions of findings.

    Attributes:
        queue: the trigger's queue.
        runs: the runs in Prefect.
        attempts: how often a run is started in total; None for no limit.
        dry_run: only report what would be done.
        pace: uploads a second.
        limit: maximum number of fixes; failed ones do not count.
    """

    queue: Target
    runs: PrefectRuns
    attempts: int | None = ATTEMPTS
    dry_run: bool = False
    pace: Pace = field(default_factory=lambda: Pace(None))
    limit: int | None = None

    def fix(self, findings: Iterable[UploadFinding]) -> Iterator[FixResult]:
        """Carry out the action of each finding that has one.

        If several findings name one run, as the files of a batch do, the run is changed once.

        Raises:
            ClientError: SQS refuses; PrefectUnavailableError: Prefect does not answer.
        """
        waiting = (finding for finding in findings if finding.action is not None)
        acted: dict[str, FixResult] = {}
        done = 0
        while left := BATCH if self.limit is None else min(BATCH, self.limit - done):
            batch = list(islice(waiting, left))
            if not batch:
                return
            self.pace.take(len(batch))
            for result in self._act(batch, acted):
                done += result.done or self.dry_run
                yield result

    def _act(self, batch: list[UploadFinding], acted: dict[str, FixResult]) -> Iterator[FixResult]:
        yield from self._notify([each for each in batch if isinstance(each.action, Notify)])
        for finding in batch:
            if isinstance(finding.action, Retry | End):
                run_id = finding.action.run_id
                if run_id not in acted:
                    acted[run_id] = self._change(finding, finding.action)
                yield replace(acted[run_id], finding=finding)

    def _change(self, finding: UploadFinding, action: Retry | End) -> FixResult:
        return (
            self._retry(finding, action)
            if isinstance(action, Retry)
            else self._end(finding, action)
        )

    def _notify(self, findings: list[UploadFinding]) -> Iterator[FixResult]:
        notifications = [
            (finding, notification_of(finding.source, finding.action))
            for finding in findings
            if finding.source is not None and isinstance(finding.action, Notify)
        ]
        if self.dry_run or not notifications:
            yield from (
                FixResult(finding, ChangeResult("would notify")) for finding, _ in notifications
            )
            return
        rows = self.queue.send([message for _, message in notifications])
        for (finding, _), row in zip(notifications, rows, strict=True):
            sent = ChangeResult("notified", done=True)
            refused = ChangeResult("not sent", why=row.detail)
            yield FixResult(finding, sent if row.outcome == "Sent" else refused)

    def _retry(self, finding: UploadFinding, action: Retry) -> FixResult:
        if self.dry_run:
            return FixResult(finding, ChangeResult("would retry"))
        retried = self.runs.retry(action.run_id, action.state_id, at_most=self.attempts)
        return FixResult(finding, retried)

    def _end(self, finding: UploadFinding, action: End) -> FixResult:
        if self.dry_run:
            would = "would end and retry" if action.retry else "would end"
            return FixResult(finding, ChangeResult(would))
        at_most = self.attempts if action.retry else 0
        return FixResult(
            finding,
            self.runs.end(action.run_id, action.state_id, finding.detail, retry_at_most=at_most),
        )

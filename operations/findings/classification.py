"""Puts an upload into a class. Pure: facts in, finding out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from flows.failures.failure_report import failure_named
from lambda_trigger.decisions.inbox_rules import SettingsXml
from lambda_trigger.decisions.outcomes import BACKFILL, LIVE, Ignored, Reason, Rejected, Waiting
from lambda_trigger.decisions.rules_document import Rules
from lambda_trigger.decisions.wording import counted
from operations.findings.findings import End, Kind, Notify, Retry, RunFacts, Source, UploadFinding
from operations.findings.output_state import FailureFacts, OutputState

ATTEMPTS = 3
# A notification may wait in the trigger's queue for that long without a fault,
# and so may a run until the worker starts its task.
GRACE_MINUTES = 15.0

# An output that reads back wrong twice is a defect, not a transient fault.
MAX_STARTS = {"OutputMismatch": 2}


@dataclass(frozen=True, slots=True)
class ClassificationLimits:
    """Time limits, and the number of attempts.

    Attributes:
        live: an upload older than this is sent again in the backfill lane, behind the
            live uploads.
        arriving: an upload without a run counts as lost after this time.
        starting: how long a run may wait for its task.
        taskless: a run that the worker took counts as dead after this time without a task.
        running: how long a run may take.
        waiting: how long an upload may wait for its settings XML, or its restore.
        attempts: how often a run is started in total, and how many new generations
            --fix makes of an upload, before an operator has to act.
    """

    live: timedelta = timedelta(hours=24)
    arriving: timedelta = timedelta(minutes=GRACE_MINUTES)
    starting: timedelta = timedelta(hours=1)
    taskless: timedelta = timedelta(minutes=GRACE_MINUTES)
    running: timedelta = timedelta(hours=6)
    waiting: timedelta = timedelta(hours=24)
    attempts: int = ATTEMPTS

    @classmethod
    def of(
        cls, rules: Rules, grace_minutes: float = GRACE_MINUTES, attempts: int = ATTEMPTS
    ) -> Self:
        """The limits by the rules of the inbox and an operator's options."""
        grace = timedelta(minutes=grace_minutes)
        waiting = timedelta(hours=rules.waiting_limit_hours)
        return cls(arriving=grace, taskless=grace, waiting=waiting, attempts=attempts)


def not_converted(source: Source, verdict: SettingsXml | Ignored | Rejected) -> UploadFinding:
    """The finding for an upload that the rules ignore or reject, or for a settings XML."""
    if isinstance(verdict, SettingsXml):
        verdict = Ignored(Reason.SIDECAR_USED, "settings XML")
    kind = Kind.IGNORED if isinstance(verdict, Ignored) else Kind.REJECTED
    detail = f"{verdict.reason}: {verdict.detail}" if verdict.detail else str(verdict.reason)
    return UploadFinding(kind, source.uri, detail, source.modified, source)


def waiting_finding(
    source: Source, verdict: Waiting, limits: ClassificationLimits, now: datetime
) -> UploadFinding:
    """The finding for an upload that has to wait before the trigger requests a run."""
    kind = Kind.OVERDUE if now - source.modified > limits.waiting else Kind.WAITING
    detail = f"{verdict.reason}: {verdict.detail}"
    return UploadFinding(kind, source.uri, detail, source.modified, source)


def classify(  # noqa: PLR0917 - the facts that decide
    source: Source,
    runs: Sequence[RunFacts],
    output: OutputState,
    limits: ClassificationLimits,
    now: datetime,
    failure: FailureFacts | None = None,
) -> UploadFinding:
    """Put an upload that the trigger would convert into its class.

    `runs` are those of its identity, one for each generation, in any order; `output` was read
    after them. `failure` is given if there is no run.
    """
    if output[0] is Kind.DONE:
        return UploadFinding(Kind.DONE, source.uri, output[1], source.modified, source)
    run = max(runs, key=lambda run: run.generation, default=None)
    if run is None and failure is not None and failure.is_about(source):
        # Prefect has deleted the run, but the file is still faulty.
        detail = f"{failure.outcome}: {failure.message}"
        return UploadFinding(Kind.QUARANTINED, source.uri, detail, source.modified, source)
    if run is None:
        return _without_run(source, output, limits, now)
    if run.state_type == "COMPLETED":
        following = None
        if sum(each.is_repair and each.generation > 0 for each in runs) < limits.attempts:
            lane, partial = _lane(source, limits, now), run.allows_partial
            following = Notify(run.generation + 1, True, lane, partial)  # noqa: FBT003 - its fields in order
        return _completed_but_not_current(source, run, output, following)
    if run.state_type in {"FAILED", "CRASHED"}:
        return _failed_or_crashed(source, run, output, limits)
    return unfinished_finding(source.uri, run, limits, now, source)


def _without_run(
    source: Source, output: OutputState, limits: ClassificationLimits, now: datetime
) -> UploadFinding:
    lane = _lane(source, limits, now)
    kind, remark = output
    if kind is Kind.CONTESTED:
        return UploadFinding(kind, source.uri, remark, source.modified, source)
    if kind is Kind.OUTPUT_MISSING:
        kind = Kind.NEVER_NOTIFIED if lane == LIVE else Kind.BACKLOG
    if now - source.modified < limits.arriving:
        return UploadFinding(Kind.ARRIVING, source.uri, "no run yet", source.modified, source)
    detail = "; ".join(part for part in ("no run", remark) if part)
    # A batch would skip a damaged output, whose manifest is there; a repair has a run of its own.
    action = Notify(0, is_repair=kind is Kind.OUTPUT_DAMAGED, lane=lane)
    return UploadFinding(kind, source.uri, detail, source.modified, source, action=action)


def _lane(source: Source, limits: ClassificationLimits, now: datetime) -> str:
    """The lane in which an upload is sent again."""
    return LIVE if now - source.modified < limits.live else BACKFILL


def _completed_but_not_current(
    source: Source, run: RunFacts, output: OutputState, following: Notify | None
) -> UploadFinding:
    kind, remark = output
    action = following
    detail = "; ".join(part for part in (f"its run is {run.state_name}", remark) if part)
    if kind is Kind.CONTESTED:
        action = None
    elif action is None:
        detail += "; --fix has made as many new generations as it may"
    return UploadFinding(kind, source.uri, detail, run.since, source, run.id, action)


def _failed_or_crashed(
    source: Source, run: RunFacts, output: OutputState, limits: ClassificationLimits
) -> UploadFinding:
    crashed = run.state_type == "CRASHED"
    kind = Kind.CRASHED if crashed else Kind.FAILED
    if output[0] is Kind.TORN:
        kind = Kind.TORN
    detail = f"{run.state_name}: {run.message}" if run.message else run.state_name
    failure = failure_named(run.state_name)
    if not crashed and not failure.is_retryable:
        # The run reported it, and nothing is retried: a task that still exists is stopping,
        # or converts the other files of a batch.
        kind = Kind.QUARANTINED if failure.of_the_file else Kind.FAILED
        return UploadFinding(kind, source.uri, detail, run.since, source, run.id)
    if run.has_task:
        # The event of a task's end may arrive late, and belong to an earlier attempt.
        detail = f"its task still exists, though {detail}"
        return UploadFinding(Kind.RUNNING, source.uri, detail, run.since, source, run.id)
    max_starts = MAX_STARTS.get(run.state_name, limits.attempts)
    action: Retry | Notify | None = retry_action(run)
    if run.starts >= max_starts and not run.in_batch:
        action = None
        detail += f" (started {counted(run.starts, 'time')})"
    return UploadFinding(kind, source.uri, detail, run.since, source, run.id, action)


def retry_action(run: RunFacts) -> Retry | Notify:
    """How to repeat a run that failed or crashed.

    A batch would convert all its files again, and a batch of the same files would be
    found by its identity, as it ended. So the file gets its own run.
    """
    if run.in_batch:
        return Notify(
            run.generation, is_repair=True, lane=run.lane, allow_partial=run.allows_partial
        )
    return Retry(run.id, run.state_id)


def unfinished_finding(
    upload: str,
    run: RunFacts,
    limits: ClassificationLimits,
    now: datetime,
    source: Source | None = None,
) -> UploadFinding:
    """The finding for an upload (by URI) whose run has not completed, failed or crashed.

    Without `source` a dead run is ended and not retried.
    """
    lasted = now - run.since
    if is_dead(run, limits, now):
        retry = source is not None and run.starts < limits.attempts
        detail = f"{run.state_name}, but it has no task"
        action = End(run.id, run.state_id, retry)
        return UploadFinding(Kind.STUCK, upload, detail, run.since, source, run.id, action)
    if run.state_type in {"SCHEDULED", "PENDING"}:
        # Runs of a backfill may wait for days.
        waits_for_its_lane = run.state_type == "SCHEDULED" and run.lane == BACKFILL
        is_late = lasted > limits.starting and not waits_for_its_lane
        kind = Kind.LATE if is_late else Kind.QUEUED
    elif run.state_type == "PAUSED":
        kind = Kind.PAUSED
    elif run.state_type == "CANCELLED":
        kind = Kind.CANCELLED
    else:
        kind = Kind.STUCK if lasted > limits.running else Kind.RUNNING
    return UploadFinding(kind, upload, run.state_name, run.since, source, run.id)


def is_dead(run: RunFacts, limits: ClassificationLimits, now: datetime) -> bool:
    """Whether a run waits for a task that is gone or was never started."""
    needs_task = run.state_type in {"PENDING", "RUNNING", "CANCELLING"}
    return needs_task and run.has_task is False and now - run.since > limits.taskless

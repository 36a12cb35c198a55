"""Which class an upload belongs to, given all that is known of it. Pure: facts in, finding out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from flows.failure_report import FILE_FAULTS, FINAL_FAILURES
from lambda_trigger.outcomes import BACKFILL, LIVE, Ignored, Rejected, Waiting
from operations.findings import End, Finding, Kind, Notify, Retry, Source
from operations.output_state import Held, OutputState

ATTEMPTS = 3
# The trigger's queue may hold a notification for that long while all is well,
# and the worker a run before its task is there.
GRACE_MINUTES = 15.0

# What read back wrong twice is a defect to look at, not a fault that passes.
STARTS_AT_MOST = {"OutputMismatch": 2}


@dataclass(frozen=True, slots=True)
class Limits:
    """How long is too long, and how often is often enough.

    Attributes:
        live: up to which age an upload goes before what is older: what it is told of
            again is behind the live ones from then on, as a backfill is.
        arriving: how old an upload without a run may be before it counts as lost.
        starting: how long a run may wait for its task.
        taskless: how long a run that was taken by the worker may be without a
            task, before it counts as dead.
        running: how long a run may take.
        waiting: how long an upload may wait for its settings XML, or its restore.
        attempts: how often a run is started in all, and how many new
            generations --fix makes of an upload, before it leaves it to people.
    """

    live: timedelta = timedelta(hours=24)
    arriving: timedelta = timedelta(minutes=GRACE_MINUTES)
    starting: timedelta = timedelta(hours=1)
    taskless: timedelta = timedelta(minutes=GRACE_MINUTES)
    running: timedelta = timedelta(hours=6)
    waiting: timedelta = timedelta(hours=24)
    attempts: int = ATTEMPTS


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A flow run as Prefect tells it.

    Attributes:
        starts: how often it was started, or was to be: a task that never came counts
            where the run was looked at closely.
        since: when its state began.
        work_pool: name of the pool that it runs in.
        cluster: that its task is started in, where it says so itself; else the pool's.
        lane: the work queue.
        mends: whether it was asked for to mend something.
        has_task: whether there is a task of it, as `living_tasks` was told
            after Prefect was asked; None where nobody knows.
        version: of the deployment, when the run was asked for.
        in_batch: whether it converts other files too; state, message and
            `since` are then the file's own, as far as it has begun.
    """

    id: str
    state_id: str
    state_type: str
    state_name: str
    message: str
    starts: int
    since: datetime
    raw_file: str = ""
    generation: int = 0
    work_pool: str = ""
    cluster: str = ""
    lane: str = LIVE
    mends: bool = False
    has_task: bool | None = None
    version: str = ""
    in_batch: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)


def turned_away(source: Source, verdict: Ignored | Rejected) -> Finding:
    """The finding of an upload that the rules turn away."""
    kind = Kind.IGNORED if isinstance(verdict, Ignored) else Kind.REJECTED
    detail = f"{verdict.reason}: {verdict.detail}" if verdict.detail else str(verdict.reason)
    return Finding(kind, source.uri, detail, source.modified, source)


def waits(source: Source, verdict: Waiting, limits: Limits, now: datetime) -> Finding:
    """The finding of an upload that the trigger lets wait."""
    kind = Kind.OVERDUE if now - source.modified > limits.waiting else Kind.WAITING
    detail = f"{verdict.reason}: {verdict.detail}"
    return Finding(kind, source.uri, detail, source.modified, source)


def classify(  # noqa: PLR0917 - the facts that decide
    source: Source,
    runs: Sequence[RunFacts],
    output: OutputState,
    limits: Limits,
    now: datetime,
    held: Held | None = None,
) -> Finding:
    """Class an upload that the trigger would convert.

    Args:
        source: the upload.
        runs: those of its identity, one a generation, in any order.
        output: what lies at its output, looked at after the runs were.
        limits: how long is too long.
        now: with its time zone.
        held: what the failure report beside the output says, where there is no run.
    """
    if output.state == "current":
        return Finding(Kind.DONE, source.uri, source=source, since=source.modified)
    run = max(runs, key=lambda run: run.generation, default=None)
    if run is None and held is not None and held.holds(source):
        # Prefect has forgotten the run; what is at fault still is.
        detail = f"{held.outcome}: {held.message}"
        return Finding(Kind.QUARANTINED, source.uri, detail, source.modified, source)
    if run is None:
        return _without_run(source, output, limits, now)
    if run.state_type == "COMPLETED":
        following = None
        if sum(each.mends and each.generation > 0 for each in runs) < limits.attempts:
            following = Notify(run.generation + 1, mends=True, lane=_lane(source, limits, now))
        return _although_completed(source, run, output, following)
    if run.state_type in {"FAILED", "CRASHED"}:
        return _ended_badly(source, run, output, limits)
    return under_way(source.uri, run, limits, now, source)


_TROUBLE_OF_OUTPUT = {
    "absent": Kind.OUTPUT_MISSING,
    "half": Kind.TORN,
    "outdated": Kind.SUPERSEDED,
    "damaged": Kind.OUTPUT_DAMAGED,
    "contested": Kind.CONTESTED,
}


def _without_run(source: Source, output: OutputState, limits: Limits, now: datetime) -> Finding:
    lane = _lane(source, limits, now)
    kind = Kind.NEVER_NOTIFIED if lane == LIVE else Kind.BACKLOG
    if output.state != "absent":
        kind = _TROUBLE_OF_OUTPUT[output.state]
    if kind is Kind.CONTESTED:
        return Finding(kind, source.uri, output.detail, source.modified, source)
    if now - source.modified < limits.arriving:
        return Finding(Kind.ARRIVING, source.uri, "no run yet", source.modified, source)
    detail = "; ".join(part for part in ("no run of it", output.detail) if part)
    action = Notify(0, lane=lane)
    return Finding(kind, source.uri, detail, source.modified, source, action=action)


def _lane(source: Source, limits: Limits, now: datetime) -> str:
    """The lane in which an upload is told of again."""
    return LIVE if now - source.modified < limits.live else BACKFILL


def _although_completed(
    source: Source, run: RunFacts, output: OutputState, following: Notify | None
) -> Finding:
    kind = _TROUBLE_OF_OUTPUT[output.state]
    action = following
    detail = "; ".join(part for part in (f"its run is {run.state_name}", output.detail) if part)
    if kind is Kind.CONTESTED:
        action = None
    elif action is None:
        detail += "; the new generations that --fix may make were not enough"
    return Finding(kind, source.uri, detail, run.since, source, run.id, action)


def _ended_badly(source: Source, run: RunFacts, output: OutputState, limits: Limits) -> Finding:
    crashed = run.state_type == "CRASHED"
    kind = Kind.CRASHED if crashed else Kind.FAILED
    if output.state == "half":
        kind = Kind.TORN
    detail = f"{run.state_name}: {run.message}" if run.message else run.state_name
    if not crashed and run.state_name in FINAL_FAILURES:
        # The run itself said so, and nothing is tried again: a task that is still there winds down,
        # or converts the other files of a batch.
        kind = Kind.QUARANTINED if run.state_name in FILE_FAULTS else Kind.FAILED
        return Finding(kind, source.uri, detail, run.since, source, run.id)
    if run.has_task:
        # What tells of a task's end may tell it late, of an attempt before this one.
        detail = f"its task is still there, though {detail}"
        return Finding(Kind.RUNNING, source.uri, detail, run.since, source, run.id)
    starts_at_most = STARTS_AT_MOST.get(run.state_name, limits.attempts)
    action: Retry | Notify | None = again(run)
    if run.starts >= starts_at_most and not run.in_batch:
        action = None
        detail += f" (started {run.starts} times)"
    return Finding(kind, source.uri, detail, run.since, source, run.id, action)


def again(run: RunFacts) -> Retry | Notify:
    """How a run that ended badly is run again.

    A batch would convert all its files once more, and in the same company would
    be found by its identity, as it ended: the file gets a run of its own.
    """
    if run.in_batch:
        return Notify(run.generation, mends=True, lane=run.lane)
    return Retry(run.id, run.state_id)


def under_way(
    upload: str, run: RunFacts, limits: Limits, now: datetime, source: Source | None = None
) -> Finding:
    """The finding of an upload (by URI) whose run has not come to an end of its own.

    Without `source` it is not for the upload's sake: a dead run is ended, and not retried.
    """
    lasted = now - run.since
    if is_dead(run, limits, now):
        retry = source is not None and run.starts < limits.attempts
        detail = f"{run.state_name}, and there is no task of it"
        action = End(run.id, run.state_id, retry)
        return Finding(Kind.STUCK, upload, detail, run.since, source, run.id, action)
    if run.state_type in {"SCHEDULED", "PENDING"}:
        # A backfill's runs wait for days, by intent.
        waits_for_its_lane = run.state_type == "SCHEDULED" and run.lane == BACKFILL
        is_late = lasted > limits.starting and not waits_for_its_lane
        kind = Kind.LATE if is_late else Kind.QUEUED
    elif run.state_type == "PAUSED":
        kind = Kind.PAUSED
    elif run.state_type == "CANCELLED":
        kind = Kind.CANCELLED
    else:
        kind = Kind.STUCK if lasted > limits.running else Kind.RUNNING
    return Finding(kind, upload, run.state_name, run.since, source, run.id)


def is_dead(run: RunFacts, limits: Limits, now: datetime) -> bool:
    """Whether a run waits for the end of a task that is gone, or for one that never came."""
    needs_task = run.state_type in {"PENDING", "RUNNING", "CANCELLING"}
    return needs_task and run.has_task is False and now - run.since > limits.taskless

"""The classes of uploads and outputs, with the remedy for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from lambda_trigger.decisions.outcomes import LIVE


class Kind(StrEnum):
    """The class that an upload, or an output, belongs to."""

    DONE = "done"
    IGNORED = "ignored"
    REJECTED = "rejected"
    ARRIVING = "arriving"
    WAITING = "waiting"
    OVERDUE = "waiting too long"
    QUEUED = "queued"
    LATE = "late"
    RUNNING = "running"
    STUCK = "stuck"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    NEVER_NOTIFIED = "never notified"
    BACKLOG = "backlog"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    CRASHED = "crashed"
    TORN = "torn"
    SUPERSEDED = "superseded"
    CONTESTED = "contested"
    OUTPUT_MISSING = "output missing"
    OUTPUT_DAMAGED = "output damaged"
    OUTPUT_WITHOUT_SOURCE = "output without source"


# What an operator, or --fix, can do about these classes.
REMEDIES: dict[Kind, str] = {
    Kind.REJECTED: "correct name, size or declaration and upload again, or remove it",
    Kind.OVERDUE: "upload what it waits for, or restore it from the archive tier",
    Kind.LATE: "check that the worker is running and the work pool is not paused; it then starts by itself",
    Kind.STUCK: "reconcile --fix ends and retries a run without a task; otherwise see the log, and cancel the run",
    Kind.NEVER_NOTIFIED: "reconcile --fix sends it to the trigger again",
    Kind.BACKLOG: "older than a day: reconcile --fix sends it gradually in the backfill lane; or run backfill",
    Kind.QUARANTINED: "the file is faulty: upload a corrected copy under the same key",
    Kind.FAILED: "see the outcome in docs/runbook.md; reconcile --fix retries what may succeed",
    Kind.CRASHED: "reconcile --fix retries the run; if exit code 137 recurs, use a larger task",
    Kind.TORN: "the output is incomplete and can't be opened; reconcile --fix publishes it again",
    Kind.SUPERSEDED: "the output is from an older upload; reconcile --fix converts the current one",
    Kind.CONTESTED: "two uploads have the same output: rename one and upload it again",
    Kind.OUTPUT_MISSING: "reconcile --fix converts it again, as a new generation",
    Kind.OUTPUT_DAMAGED: "reconcile --fix converts it again, as a new generation",
    Kind.OUTPUT_WITHOUT_SOURCE: "if the upload was removed on purpose, remove the output too",
}
NEEDS_ATTENTION = frozenset(REMEDIES)
# A run will come to its end, or somebody has to end it.
IN_PROGRESS = frozenset({Kind.QUEUED, Kind.LATE, Kind.RUNNING, Kind.STUCK, Kind.PAUSED})

# A note of a finding: nothing is wrong with the output.
WITHOUT_PRODUCTS = "outputs have no current picture: echodrop draw s3://OUTPUT/ makes them"


@dataclass(frozen=True, slots=True)
class Notify:
    """Notify the trigger of the upload; a `generation` above 0 requests a new run of a known identity.

    `is_repair` requests a run for this file alone, and tags it as a repair. `allow_partial`
    asks for the intact part of a damaged file.
    """

    generation: int
    is_repair: bool = False
    lane: str = LIVE
    allow_partial: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """Retry a run in Prefect, if it is still in the state in which it was seen."""

    run_id: str
    state_id: str


@dataclass(frozen=True, slots=True)
class End:
    """End a run whose task is gone, if it is still in the state in which it was seen; then `retry` it or not."""

    run_id: str
    state_id: str
    retry: bool


@dataclass(frozen=True, slots=True)
class Source:
    """One upload as listed in the inbox: `size` in bytes, entity tag without quotes."""

    bucket: str
    key: str
    size: int
    etag: str
    modified: datetime

    @property
    def uri(self) -> str:
        """The upload as `s3://bucket/key`."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What Prefect knows about a flow run.

    Attributes:
        starts: how often it was started. `upload_inspection` also counts starts whose task
            never appeared.
        state_name: its outcome if it failed, else the name of its state.
        since: when its state began.
        cluster: cluster of its task, if the run names one; else the pool's.
        is_repair: whether it was requested as a repair.
        has_task: whether `ecs_tasks` found a task of it after Prefect answered;
            None if unknown.
        version: version of the deployment when the run was requested.
        in_batch: whether it also converts other files. State, message and `since` are
            then those of the file, once it has begun.
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
    is_repair: bool = False
    has_task: bool | None = None
    version: str = ""
    in_batch: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def allows_partial(self) -> bool:
        """Whether it converts the intact part of a damaged file."""
        return self.parameters.get("allow_partial") is True


Action = Notify | Retry | End


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """What became of a request to change something: its name, whether it was `done`, and why not."""

    name: str
    done: bool = False
    why: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.why}" if self.why else self.name


@dataclass(frozen=True, slots=True)
class UploadFinding:
    """The class of one upload, or of an output without an upload.

    `uri` is that of the upload, or of the output if there is no upload. `action` is
    what --fix would do, None if it can do nothing. `latest` is the run of the highest
    generation; `parameters_changed` is true if the trigger would now request other
    parameters. `note` is counted, and changes no class.
    """

    kind: Kind
    uri: str
    detail: str = ""
    since: datetime | None = None
    source: Source | None = None
    run_id: str = ""
    action: Action | None = None
    latest: RunFacts | None = None
    parameters_changed: bool = False
    note: str = ""

    @property
    def needs_attention(self) -> bool:
        """Whether an operator, or --fix, should act."""
        return self.kind in NEEDS_ATTENTION

    @property
    def next_generation(self) -> int:
        """The generation of another conversion.

        If Prefect has forgotten the run of a published upload, its generation 0 is over all the same:
        a batch would skip it, even if the output is damaged.
        """
        published = self.kind in {Kind.DONE, Kind.OUTPUT_DAMAGED}
        return self.latest.generation + 1 if self.latest else int(published)

    @property
    def is_remarkable(self) -> bool:
        """Whether there is anything to say: it is not done or ignored, or it lacks something."""
        return self.kind is not Kind.IGNORED and (self.kind is not Kind.DONE or bool(self.detail))

    @property
    def reason(self) -> str:
        """The detail without the upload's own name, so that equal reasons are equal texts."""
        return self.detail.replace(f"{self.uri}: ", "")

    @property
    def remedy(self) -> str:
        """What to do about it; empty if nothing is needed."""
        return REMEDIES.get(self.kind, "")

    def as_json(self) -> dict[str, Any]:
        """The finding as JSON values."""
        return {
            "class": self.kind.value,
            "uri": self.uri,
            "detail": self.detail,
            "since": self.since.isoformat() if self.since else None,
            "flow_run_id": self.run_id or None,
            "needs_attention": self.needs_attention,
            "remedy": self.remedy or None,
            "fix": _described(self.action),
        }


def _described(action: Action | None) -> str | None:
    match action:
        case Notify(generation, lane=lane):
            return f"notify in lane {lane}, generation {generation}"
        case Retry(run_id):
            return f"retry flow run {run_id}"
        case End(run_id, retry=retry):
            return f"end {'and retry ' if retry else ''}flow run {run_id}"
        case None:
            return None

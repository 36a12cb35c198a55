"""What an operator can be told of one upload, or of one output: the classes and their remedies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from lambda_trigger.outcomes import LIVE

if TYPE_CHECKING:
    from operations.classification import RunFacts


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


# What these ask of an operator, and what --fix does about them where it can.
REMEDIES: dict[Kind, str] = {
    Kind.REJECTED: "mend name, size or declaration and upload again, or remove it",
    Kind.OVERDUE: "upload what it waits for, or restore it from the archive tier",
    Kind.LATE: "is the worker alive, and the work pool unpaused? Then it starts by itself",
    Kind.STUCK: "--fix ends and retries one without a task; else see its log, and cancel it",
    Kind.NEVER_NOTIFIED: "--fix notifies the trigger of it",
    Kind.BACKLOG: "older than a day: --fix notifies of it in the backfill lane, by and by; or backfill",
    Kind.QUARANTINED: "the file is at fault: upload a corrected copy under the same key",
    Kind.FAILED: "see the outcome in docs/runbook.md; --fix retries what may pass",
    Kind.CRASHED: "--fix retries the run; exit code 137 again: give it a larger task",
    Kind.TORN: "nothing of it can be opened; --fix has it published anew",
    Kind.SUPERSEDED: "the output is of an older upload; --fix has the current one converted",
    Kind.CONTESTED: "two uploads have one output: rename one and upload it again",
    Kind.OUTPUT_MISSING: "--fix has it converted anew, as a new generation",
    Kind.OUTPUT_DAMAGED: "--fix has it converted anew, as a new generation",
    Kind.OUTPUT_WITHOUT_SOURCE: "if the upload was removed on purpose, remove the output too",
}
NEEDS_ATTENTION = frozenset(REMEDIES)


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell the trigger of the upload; `generation` above 0 asks for a new run of a known identity.

    `mends` asks for a run of its own, whoever would share one, and marks it as made to mend.
    """

    generation: int
    mends: bool = False
    lane: str = LIVE


@dataclass(frozen=True, slots=True)
class Retry:
    """Have Prefect start a run once more, in the state in which it was seen."""

    run_id: str
    state_id: str


@dataclass(frozen=True, slots=True)
class End:
    """Have Prefect end a run whose task is gone, in the state in which it was seen; then `retry` it or not."""

    run_id: str
    state_id: str
    retry: bool


@dataclass(frozen=True, slots=True)
class Source:
    """One upload as the inbox lists it: `size` in bytes, entity tag without quotes."""

    bucket: str
    key: str
    size: int
    etag: str
    modified: datetime

    @property
    def uri(self) -> str:
        """The upload as `s3://bucket/key`."""
        return f"s3://{self.bucket}/{self.key}"


Action = Notify | Retry | End


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one upload (or of an output without one).

    `uri` is the upload's, or the output's where there is no upload. `action` is
    what --fix would do, None where it can do nothing. `latest` is the run of the
    highest generation; `asks_otherwise` tells that the trigger would ask for a
    run with other parameters by now.
    """

    kind: Kind
    uri: str
    detail: str = ""
    since: datetime | None = None
    source: Source | None = None
    run_id: str = ""
    action: Action | None = None
    latest: RunFacts | None = None
    asks_otherwise: bool = False

    @property
    def needs_attention(self) -> bool:
        """Whether an operator, or --fix, has something to do."""
        return self.kind in NEEDS_ATTENTION

    @property
    def remedy(self) -> str:
        """What to do about it; empty where there is nothing to be done."""
        return REMEDIES.get(self.kind, "")

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "class": self.kind.value,
            "uri": self.uri,
            "detail": self.detail,
            "since": self.since.isoformat() if self.since else None,
            "flow_run_id": self.run_id or None,
            "needs_attention": self.needs_attention,
            "remedy": self.remedy or None,
            "fix": _told(self.action),
        }


def _told(action: Action | None) -> str | None:
    match action:
        case Notify(generation, lane=lane):
            return f"notify in lane {lane}, generation {generation}"
        case Retry(run_id):
            return f"retry flow run {run_id}"
        case End(run_id, retry=retry):
            return f"end {'and retry ' if retry else ''}flow run {run_id}"
        case None:
            return None

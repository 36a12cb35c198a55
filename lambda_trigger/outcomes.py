"""The one outcome each notified object ends in, and the closed set of reasons.

Reasons are dimensions of CloudWatch metrics and words in the operator's
runbook, so there is a fixed set of them; what differs from object to object
goes into the detail.
"""

from dataclasses import dataclass
from enum import StrEnum

# Work queues of the pool: what is uploaded goes first, a backfill takes what is left.
LIVE, BACKFILL = "live", "backfill"
LANES = (LIVE, BACKFILL)
# What a completed restore is called, by EventBridge and by S3 itself.
RESTORED, S3_RESTORED = "Object Restore Completed", "ObjectRestore:Completed"
RESTORES = (RESTORED, S3_RESTORED)


class Reason(StrEnum):
    """Why an outcome is what it is."""

    # Submitted
    NEW = "new"
    EXISTING = "existing"
    PAUSED = "paused"
    ENLARGED = "enlarged"
    RESTORED = "restored"

    # Waiting
    SIDECAR = "sidecar"
    RESTORE = "restore"

    # Ignored
    TEST_EVENT = "test-event"
    SUBSCRIPTION_MESSAGE = "subscription-message"
    DELETED = "deleted"
    NOT_AN_UPLOAD = "not-an-upload"
    SUPERSEDED = "superseded"
    FOLDER = "folder"
    HIDDEN = "hidden"
    TEMPORARY = "temporary"
    OWN_OUTPUT = "own-output"
    COMPANION = "companion"
    SIDECAR_USED = "sidecar-used"
    SIDECAR_ALONE = "sidecar-alone"
    OUTSIDE_PREFIXES = "outside-prefixes"
    TASK_SETTLED = "task-settled"

    # Rejected
    MALFORMED = "malformed"
    FOREIGN_BUCKET = "foreign-bucket"
    UNSAFE_NAME = "unsafe-name"
    KEY_TOO_LONG = "key-too-long"
    UNKNOWN_EXTENSION = "unknown-extension"
    EMPTY = "empty"
    TOO_LARGE = "too-large"
    UNKNOWN_MODEL = "unknown-model"
    UNKNOWN_CONTENT = "unknown-content"
    CONTRADICTION = "contradiction"
    AMBIGUOUS_SIDECAR = "ambiguous-sidecar"
    OUT_OF_MEMORY = "out-of-memory"


@dataclass(frozen=True, slots=True)
class Submitted:
    """A flow run exists for the upload: made now, found by its identity, or to start once more.

    `size` names the task that it gets (task_sizes).
    """

    reason: Reason
    flow_run_id: str
    flow_run_name: str
    sonar_model: str
    detail: str = ""
    size: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The upload can start once something else arrives; its arrival finds the upload."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing is to be done, and nobody needs to be told."""

    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Somebody meant this to be converted and it cannot be; an operator is told why."""

    reason: Reason
    detail: str


Outcome = Submitted | Waiting | Ignored | Rejected


@dataclass(frozen=True, slots=True)
class Upload:
    """One object of S3, as far as its notification names it.

    `size` is in bytes. `version_id` is None where the bucket is not versioned
    or the notification does not say. `generation` is 0 but in a forced replay.
    `lane` names the work queue; it is no part of the run's identity. `mends` is
    set where it is told of again because something went wrong: it has a run of
    its own then, whatever went wrong in company, and that run is tagged.
    `request_id` is that of the S3 request which stored the object. `after` is
    only set where a settings XML set so much data free that one invocation could
    not queue them all: the next one goes on behind this key.
    """

    bucket: str
    key: str
    size: int | None = None
    etag: str | None = None
    version_id: str | None = None
    event_name: str = ""
    event_time: str = ""
    request_id: str = ""
    envelope: str = ""
    generation: int = 0
    lane: str = LIVE
    mends: bool = False
    after: str = ""

    @property
    def is_restore(self) -> bool:
        """Whether its notification says that it was brought back from an archive tier."""
        return self.event_name in RESTORES

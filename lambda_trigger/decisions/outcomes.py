"""The outcomes of notified objects and the fixed set of reasons.

Each object has exactly one outcome. A reason is a dimension of CloudWatch
metrics and appears in the runbook, so the set is fixed. What differs between
objects goes into the detail.
"""

from dataclasses import dataclass
from enum import StrEnum

# The work queues of the pool: uploads run first, a backfill uses what is left.
LIVE, BACKFILL = "live", "backfill"
LANES = (LIVE, BACKFILL)
# The names of a completed restore in EventBridge and in S3 events.
RESTORED, S3_RESTORED = "Object Restore Completed", "ObjectRestore:Completed"
RESTORES = (RESTORED, S3_RESTORED)


class Reason(StrEnum):
    """The reason for an outcome."""

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
    DOCUMENT = "document"
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
    """A flow run exists for the upload: it is new, it existed, or it starts again.

    `size` names the size of its task (task_sizes).
    """

    reason: Reason
    flow_run_id: str
    flow_run_name: str
    sonar_model: str
    detail: str = ""
    size: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The upload starts when a missing object arrives or a restore completes."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """The object needs no conversion and no alert."""

    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The object should be converted but cannot be; the operator gets the reason."""

    reason: Reason
    detail: str


Outcome = Submitted | Waiting | Ignored | Rejected


@dataclass(frozen=True, slots=True)
class Upload:
    """One S3 object, as its notification describes it.

    `size` is in bytes. `version_id` is None if the bucket is not versioned or the
    notification does not give it. `generation` is 0 unless a replay forced a new
    conversion. `lane` names the work queue and is not part of the run's identity.
    `is_repair` marks a notification that was sent again to fix a failure: the upload
    gets a run of its own, and that run has the tag `repair`. `allow_partial` asks for the
    intact part of a damaged file. `request_id` is the
    id of the S3 request that stored the object. `after` is set when one invocation
    could not queue all the data of a settings XML: the next one continues after
    this key.
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
    is_repair: bool = False
    allow_partial: bool = False
    after: str = ""

    @property
    def is_restore(self) -> bool:
        """Whether the notification reports a completed restore from an archive tier."""
        return self.event_name in RESTORES

"""What a submission asks of the services around it; tests answer in their place."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from lambda_trigger.aws_api import Listed, ObjectHead, Unreadable
from lambda_trigger.clock import Deadline
from lambda_trigger.flow_runs import FlowRun, RunRequest, RunState


class Storage(Protocol):
    """What is asked of S3 and SQS; aws_api.AwsApi does it."""

    def read_head(
        self, bucket: str, key: str, *, etag: str | None, count: int, deadline: Deadline
    ) -> ObjectHead | Unreadable:
        """Read an object's first bytes."""

    def tags(self, bucket: str, key: str, deadline: Deadline) -> dict[str, str]:
        """Read an object's tags."""

    def list_objects(
        self, bucket: str, prefix: str, deadline: Deadline, *, below: bool, after: str = ""
    ) -> Iterator[Listed]:
        """List a folder in the order of its keys."""

    def send_messages(self, queue_arn: str, bodies: Sequence[str], deadline: Deadline) -> None:
        """Put messages into a queue."""


class FlowRuns(Protocol):
    """What is asked of Prefect for an upload; flow_runs.PrefectApi does it."""

    def create_run(self, wanted: RunRequest, deadline: Deadline) -> FlowRun:
        """Give the one run of an identity."""

    def set_state(
        self, run_id: str, state: dict[str, Any], deadline: Deadline, *, force: bool = False
    ) -> bool:
        """Propose a state for a run."""


class KnownRuns(Protocol):
    """What is asked of Prefect for a run that was killed; flow_runs.PrefectApi does it."""

    def run_state(self, run_id: str, deadline: Deadline) -> RunState | None:
        """Read a run."""

    def set_state(
        self, run_id: str, state: dict[str, Any], deadline: Deadline, *, force: bool = False
    ) -> bool:
        """Propose a state for a run."""

    def change_run(self, run_id: str, changes: dict[str, Any], deadline: Deadline) -> bool:
        """Change tags and job variables of a run that waits."""


class Prefect(FlowRuns, KnownRuns, Protocol):
    """All that is asked of Prefect."""

"""The interfaces of the services that the trigger calls. Tests replace them."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from lambda_trigger.clients.aws_answers import ObjectHead, Unreadable
from lambda_trigger.clients.clock import Deadline
from lambda_trigger.clients.flow_runs import FlowRun, RunState
from lambda_trigger.decisions.run_identity import RunRequest
from lambda_trigger.decisions.sidecars import ListedObject


class Storage(Protocol):
    """The calls to S3 and SQS; aws_api.AwsApi implements them."""

    def read_head(
        self, bucket: str, key: str, *, etag: str | None, count: int, deadline: Deadline
    ) -> ObjectHead | Unreadable:
        """Read an object's first bytes."""

    def tags(self, bucket: str, key: str, deadline: Deadline) -> dict[str, str]:
        """Read an object's tags."""

    def list_objects(
        self, bucket: str, prefix: str, deadline: Deadline, *, below: bool, after: str = ""
    ) -> Iterator[ListedObject]:
        """List a folder in the order of its keys."""

    def send_messages(self, queue_arn: str, bodies: Sequence[str], deadline: Deadline) -> None:
        """Send messages to a queue."""


class RunCreation(Protocol):
    """The calls to Prefect for an upload; flow_runs.PrefectApi implements them."""

    def create_run(self, wanted: RunRequest, deadline: Deadline) -> FlowRun:
        """Create or find the one run of an identity."""

    def existing(self, identities: Sequence[str], deadline: Deadline) -> set[str]:
        """Find which of these identities have a run, or a place in a batch."""

    def set_state(
        self, run_id: str, state: dict[str, Any], deadline: Deadline, *, force: bool = False
    ) -> bool:
        """Propose a state for a run."""


class RunUpdates(Protocol):
    """The calls to Prefect for a killed run; flow_runs.PrefectApi implements them."""

    def run_state(self, run_id: str, deadline: Deadline) -> RunState | None:
        """Read a run."""

    def set_state(
        self, run_id: str, state: dict[str, Any], deadline: Deadline, *, force: bool = False
    ) -> bool:
        """Propose a state for a run."""

    def change_run(self, run_id: str, changes: dict[str, Any], deadline: Deadline) -> bool:
        """Change tags and job variables of a scheduled run."""


class Prefect(RunCreation, RunUpdates, Protocol):
    """All calls to Prefect."""

"""The services that the commands use: S3, the trigger's decision, Prefect and ECS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lambda_trigger.decisions.rules_document import Rules
from operations.clients.ecs_tasks import Tasks
from operations.clients.prefect_runs import PrefectRuns
from operations.clients.trigger_decision import TriggerDecisions

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class OperationsServices:
    """S3, the trigger's decision, the runs in Prefect, and their tasks."""

    s3: S3Client
    decisions: TriggerDecisions
    runs: PrefectRuns
    tasks: Tasks

    @property
    def rules(self) -> Rules:
        """The rules of the inbox."""
        return self.decisions.rules

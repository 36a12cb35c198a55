"""The failure as Prefect's UI shows it: a page of the run, its progress, and an event."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterType,
)
from prefect.client.schemas.objects import FlowRun
from prefect.events import emit_event
from prefect.logging import get_logger

from flows.core.only_warned import only_warned
from flows.core.outcomes import OutputConflict
from flows.failures.failure_report import FailureReport
from flows.runs.failed_runs import what_to_do
from flows.runs.run_progress import DONE, stopped_at

# Prefect's automations expect it (flows/deployment/automations.toml).
EVENT = "echodrop.run.failed"
# A page that people read; the table `batch` has every file.
_FILES_SHOWN = 20


def show_failure(
    flow_run: FlowRun, reports: Sequence[FailureReport], *, ended_by_itself: bool
) -> None:
    """Show the reports of a run's failed files in Prefect; an error is logged.

    `ended_by_itself` is False if the run crashed or took too long: Prefect's own events report
    it.
    """
    log = get_logger("flows.runs.failure_page")
    # First, because people are called by it; the page is for reading.
    if ended_by_itself:
        with only_warned(log, "failure not shown"):
            emit_failure(flow_run, reports)
    with only_warned(log, "failure not shown"), get_client(sync_client=True) as client:
        client.create_artifact(
            ArtifactCreate(
                key="failure",
                type="markdown",
                description="Outcome, reason and remedy",
                data=failure_page(reports),
                flow_run_id=flow_run.id,
            )
        )
        if not ended_by_itself:
            _end_progress(client, flow_run.id, reports[0].outcome)


def failure_page(reports: Sequence[FailureReport]) -> str:
    """For each failed file, in Markdown: outcome, reason, remedy and the command to type."""
    # Markdown shows an indented line as code.
    pages = [
        "\n\n".join([f"## {each.outcome}", each.message, *what_to_do(each.end, each.source)])
        for each in reports[:_FILES_SHOWN]
    ]
    if more := len(reports) - len(pages):
        pages.append(f"{more} more files failed: the table `batch` has each.")
    return "\n\n".join(pages)


def _end_progress(client: SyncPrefectClient, run_id: UUID, outcome: str) -> None:
    """Say in the progress of a process that died that it goes no further."""
    bars = client.read_artifacts(
        artifact_filter=ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]),
            type=ArtifactFilterType(any_=["progress"]),
        )
    )
    for bar in bars:
        if isinstance(bar.data, int | float) and bar.data < DONE:
            stopped = stopped_at(str(bar.description), outcome)
            client.update_artifact(bar.id, ArtifactUpdate(description=stopped))


def emit_failure(flow_run: FlowRun, reports: Sequence[FailureReport]) -> None:
    """Emit the event of a run that its own process ended, with its most urgent failure."""
    # One automation expects alerts, another conflicts among notices.
    first = min(reports, key=lambda each: (each.is_notice, each.outcome != OutputConflict.outcome))
    emit_event(
        EVENT,
        resource={
            "prefect.resource.id": f"prefect.flow-run.{flow_run.id}",
            "prefect.resource.name": flow_run.name,
            "echodrop.outcome": first.outcome,
            "echodrop.urgency": "notice" if first.is_notice else "alert",
        },
        related=[
            {"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"}
            for tag in flow_run.tags
        ],
        payload=first.as_alert(),
    )

"""Reconciliation on a schedule: what makes a lost notification harmless though nobody looks.

The run ends Completed; named Mended where something was sent again or retried,
or NeedsAttention where what is left asks for people: a signal, and no page,
for a bad file is no fault of the system. It fails only where it could not look.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas import State
from prefect.logging import get_run_logger
from prefect.states import Completed
from pydantic import NonNegativeFloat, NonNegativeInt

from events.sending import QueueTarget
from flows.deployment_specs import DeploymentSpec
from flows.locations import S3Location, parse_location
from operations.classification import ATTEMPTS, GRACE_MINUTES, Limits
from operations.connections import Connections, connect
from operations.findings import REMEDIES, Finding, Kind
from operations.mending import Mender
from operations.reconciliation import Reconciliation, Scope
from operations.report import Tally, json_line
from operations.stack_settings import QUEUE, SettingMissingError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# An S3 URI, ending in '/': where reports go.
REPORTS = "ECHODROP_REPORTS"
NAMESPACE = "echodrop"
# Uploads that one run mends: a fault of the system's own must not double its load.
MENDED_AT_MOST = 500
# Seven minutes past each hour, away from what others do on the hour.
CRON = "7 * * * *"


def reconcile_spec(stack: str, cron: str = CRON) -> DeploymentSpec:
    """The deployment of the scheduled reconciliation on a stack's work pool.

    Args:
        stack: its name; the task definition `<stack>-operations` is its.
        cron: when it runs, in UTC.
    """
    return DeploymentSpec(
        "operations.reconcile_flow.reconcile_inbox",
        cron=cron,
        job_variables={"task_family": f"{stack}-operations", "cpu": 1024, "memory": 2048},
        tags=("echodrop", "operations"),
    )


@flow(name="reconcile-inbox", persist_result=False)
def reconcile_inbox(
    prefix: str = "",
    *,
    fix: bool = True,
    limit: NonNegativeInt = MENDED_AT_MOST,
    attempts: NonNegativeInt = ATTEMPTS,
    grace_minutes: NonNegativeFloat = GRACE_MINUTES,
    verify: bool = False,
) -> dict[str, Any]:
    """Compare the inbox with outputs and runs, mend what was lost, and write down what was found.

    Args:
        prefix: only uploads whose keys start so.
        fix: send what was lost again, retry what may pass.
        limit: uploads to mend at most.
        attempts: how often one upload is tried.
        grace_minutes: how young an upload without a run, or a run without a task, may be.
        verify: read every output whole and compare its checksum.

    Returns:
        The counts by class and by what was done, and the report's URI.
    """
    place = _reports(os.environ.get(REPORTS))
    connections = connect()
    rules = connections.services.rules
    limits = Limits(
        arriving=timedelta(minutes=grace_minutes),
        taskless=timedelta(minutes=grace_minutes),
        waiting=timedelta(hours=rules.waiting_limit_hours),
        attempts=attempts,
    )
    look = Reconciliation(connections.services, Scope(prefix, verify=verify), limits)
    tally = Tally()
    with tempfile.TemporaryFile() as report:
        _look(look, connections, tally, report, attempts=attempts, limit=limit if fix else 0)
        seconds = (datetime.now(UTC) - look.now).total_seconds()
        told = tally.summary() | {"began": look.now.isoformat(), "seconds": round(seconds, 1)}
        told["report"] = _kept(connections.services.s3, place, look.now, report, told)
    _measure(connections, tally, seconds)
    _show(tally, told["report"])
    return _state(tally, told)  # type: ignore[return-value]  # Prefect takes a state for its data


def _look(
    look: Reconciliation,
    connections: Connections,
    tally: Tally,
    report: IO[bytes],
    *,
    attempts: int,
    limit: int,
) -> None:
    queue_url = os.environ.get(QUEUE)
    if limit and not queue_url:
        raise SettingMissingError(f"not set: {QUEUE}")
    region = connections.services.s3.meta.region_name
    queue = QueueTarget(connections.session.client("sqs", region_name=region), queue_url or "")
    findings = _noted(look.findings(), tally, report)
    for mended in Mender(queue, connections.runs, attempts).mend(
        islice((found for found in findings if found.action is not None), limit)
    ):
        tally.add_mended(mended)
        _write(report, {"uri": mended.finding.uri, "fix": mended.what})
    # What is not mended is noted all the same.
    for _ in findings:
        pass


def _noted(findings: Iterator[Finding], tally: Tally, report: IO[bytes]) -> Iterator[Finding]:
    for found in findings:
        tally.add(found)
        if found.kind not in tally.quiet:
            _write(report, found.as_json())
        yield found


def _write(report: IO[bytes], values: object) -> None:
    report.write(json_line(values).encode() + b"\n")


@dataclass(frozen=True)
class _Reports:
    bucket: str
    prefix: str


def _reports(named: str | None) -> _Reports:
    place = parse_location(named) if named else None
    if not isinstance(place, S3Location):
        raise SettingMissingError(f"not set: {REPORTS}, s3://bucket/prefix/ for reports")
    return _Reports(place.bucket, f"{place.key.rstrip('/')}/" if place.key else "")


def _kept(
    s3: S3Client, place: _Reports, began: datetime, report: IO[bytes], told: dict[str, object]
) -> str:
    """Keep the report as lines of JSON, the summary last; give its URI."""
    _write(report, told)
    report.seek(0)
    key = f"{place.prefix}{began:%Y/%m/%d/%H%M%S}.jsonl"
    s3.put_object(Bucket=place.bucket, Key=key, Body=report, ContentType="application/x-ndjson")
    return f"s3://{place.bucket}/{key}"


def _measure(connections: Connections, tally: Tally, seconds: float) -> None:
    """Put the counts into CloudWatch; that it can't be told does not undo what was mended."""
    needs_attention = sum(count for kind, count in tally.counts.items() if kind in REMEDIES)
    measured = {
        "Reconciled": (sum(tally.counts.values()), "Count"),
        "NeedAttention": (needs_attention, "Count"),
        "NeverNotified": (tally.counts[Kind.NEVER_NOTIFIED], "Count"),
        "Mended": (sum(tally.mended.values()), "Count"),
        "Seconds": (seconds, "Seconds"),
    }
    region = connections.services.s3.meta.region_name
    try:
        connections.session.client("cloudwatch", region_name=region).put_metric_data(
            Namespace=NAMESPACE,
            MetricData=[
                {
                    "MetricName": name,
                    "Dimensions": [{"Name": "service", "Value": "reconcile"}],
                    "Value": value,
                    "Unit": unit,  # type: ignore[typeddict-item]  # the stubs want literals
                }
                for name, (value, unit) in measured.items()
            ],
        )
    # BLE001: see above; the missing figure is an alarm's to notice.
    except Exception as error:  # noqa: BLE001
        get_run_logger().warning("figures not told: %s", error)


def _show(tally: Tally, report: object) -> None:
    rows = [
        {
            "class": kind.value,
            "uploads": f"{tally.counts[kind]:,}",
            "oldest": ", ".join(found.uri for found in tally.oldest(kind)[:3]),
            "what to do": REMEDIES.get(kind, ""),
        }
        for kind in Kind
        if tally.counts[kind]
    ]
    try:
        create_table_artifact(rows, key="reconcile", description=f"All of it: {report}")
    # BLE001: the report is kept, whatever the UI comes to show.
    except Exception as error:  # noqa: BLE001
        get_run_logger().warning("artifact not shown: %s", error)


def _state(tally: Tally, told: dict[str, object]) -> State[Any]:
    left = {
        kind.value: tally.counts[kind] for kind in Kind if tally.counts[kind] and kind in REMEDIES
    }
    done = sum(tally.mended.values())
    message = f"{sum(tally.counts.values()):,} looked at, {done:,} mended; report {told['report']}"
    if left:
        message += "; " + ", ".join(f"{name} {count:,}" for name, count in left.items())
    get_run_logger().info(message)
    if not left:
        return Completed(message=message, data=told)
    # All that needs attention was just sent again, or retried.
    name = "Mended" if done == sum(left.values()) else "NeedsAttention"
    return Completed(name=name, message=message, data=told)

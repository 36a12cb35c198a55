"""The scheduled reconciliation, which makes a lost notification harmless.

Each hour it checks the uploads that no earlier run found done: new ones, and those
with a fault. Each week it checks everything, including all outputs. Then it brings the catalogue
up to date.

The run ends Completed. The state's name is Repaired if everything that needed attention
was sent again or retried, or NeedsAttention if an operator has to act. This pages
nobody, because a bad file is not a fault of the system. The run fails only if it
could not do its checks.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.logging import get_run_logger
from prefect.states import Completed
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat

from events.sending import QueueTarget
from flows.core.locations import S3Location
from flows.deployment.deployment_specs import DeploymentSpec
from operations.catalog.terminal import update_after
from operations.clients.connections import OperationsServices, connect
from operations.clients.stack_settings import QUEUE, STACK, SettingMissingError
from operations.console.report import FindingTally
from operations.findings.classification import ATTEMPTS, GRACE_MINUTES, ClassificationLimits
from operations.inventory.archive_items import InventoryReport, newest_inventory
from operations.inventory.upload_inspection import Scope
from operations.reconcile.reconcile_report import (
    NAMESPACE,
    REPORTS,
    Report,
    figures,
    place_of,
    rows,
    verdict,
)
from operations.reconcile.reconciliation import Reconciliation
from operations.reconcile.settled import Settled, SettledUnreadableError, load_settled
from operations.sending.back_pressure import Pace
from operations.sending.fixing import FIX_LIMIT, RATE, Fixer, fix_in_order

# Corrupt bytes are found within this time; docs/sizes-and-costs.md has the cost of reading.
VERIFY_DAYS = 28
# Seven minutes past each hour, because many jobs run on the hour.
CRON = "7 * * * *"
# At night, between two hourly runs.
WHOLE_CRONS = {"daily": "37 2 * * *", "weekly": "37 2 * * 0"}
WEEKLY = "weekly"


def reconcile_specs(
    stack: str, cron: str = CRON, whole: str = WEEKLY
) -> tuple[DeploymentSpec, DeploymentSpec]:
    """The deployments of the scheduled reconciliation on a stack's work pool: hourly, and of everything.

    Each deployment has one run at a time. A run that starts during another is cancelled: it would
    check the same, and the next one finds what it would have found. If it waited instead,
    outdated runs would queue up behind a long one. The two deployments may run together: neither
    repeats a fix of the other. `cron` is in UTC; everything is checked `daily` or `weekly`.
    """
    hourly = DeploymentSpec(
        "operations.reconcile.reconcile_flow.reconcile_inbox",
        cron=cron,
        job_variables={"task_family": f"{stack}-operations", "cpu": 1024, "memory": 2048},
        tags=("echodrop", "operations"),
        concurrency_limit=1,
        collision="CANCEL_NEW",
    )
    # The hourly reconciliation reads the outputs, a share of them each hour.
    parameters = {"whole": True, "verify_days": 0}
    return hourly, replace(hourly, name="whole", cron=WHOLE_CRONS[whole], parameters=parameters)


@flow(name="reconcile-inbox", persist_result=False)
def reconcile_inbox(
    prefix: str = "",
    *,
    whole: bool = False,
    fix: bool = True,
    limit: NonNegativeInt = FIX_LIMIT,
    rate: PositiveFloat = RATE,
    attempts: NonNegativeInt = ATTEMPTS,
    grace_minutes: NonNegativeFloat = GRACE_MINUTES,
    verify: bool = False,
    verify_days: NonNegativeInt = VERIFY_DAYS,
) -> dict[str, Any]:
    """Compare the inbox with outputs and runs, fix what was lost, and write a report.

    Args:
        prefix: only uploads whose keys start with this; all of them are checked.
        whole: check everything, not only what no earlier run found done.
        fix: send lost uploads again, and retry runs that may succeed.
        limit: maximum uploads to fix, see `FixQueue`.
        rate: maximum uploads a second to fix.
        attempts: how often an upload is attempted.
        grace_minutes: time until a new upload must have a run, and a run its task.
        verify: read every output in full and compare its checksum.
        verify_days: read each output once in so many days, a share of them in each hour;
            the period doubles if there are too many outputs. 0 reads none.

    Returns:
        The counts by class and by fix, and the URI of the report.
    """
    place = place_of(os.environ.get(REPORTS))
    # This comes first: without it the alarms get no metrics.
    if not (stack := os.environ.get(STACK)):
        raise SettingMissingError(f"not set: {STACK}, the stack's name")
    services = connect()
    limits = ClassificationLimits.of(services.rules, grace_minutes, attempts)
    scope = Scope(prefix, verify=verify, verify_days=verify_days)
    look = Reconciliation(services, scope, limits)
    tally = FindingTally()
    if not prefix:
        look.settled = _settled(services, place, look.now, whole=whole)
        if look.settled.checks_everything:
            look.inventory_of_outputs = _inventory(services, place, look.now)
    with tempfile.TemporaryFile() as file:
        report = Report(file)
        at_most = limit if fix else 0
        _look(look, services, tally, report, attempts=attempts, rate=rate, limit=at_most)
        seconds = (datetime.now(UTC) - look.now).total_seconds()
        summary = tally.summary() | {"began": look.now.isoformat(), "seconds": round(seconds, 1)}
        kept = report.keep(services.s3, place, look.now, summary)
    age = look.now - look.settled.whole_began if look.settled is not None else None
    with _harmless("metrics not written"):
        services.session.client("cloudwatch", region_name=services.region).put_metric_data(
            Namespace=NAMESPACE, MetricData=figures(stack, tally, seconds, age)
        )
    if look.settled is not None:
        look.settled.save(services.s3, place, look.now)
    with _harmless("artifact not shown"):
        create_table_artifact(rows(tally), key="reconcile", description=f"All of it: {kept}")
    name, message = verdict(tally, kept)
    summary["catalog"], fault = update_after(place)
    message += fault and f"; the catalogue is not up to date: {fault}"
    get_run_logger().info(message)
    # Prefect unpacks the data of a returned state.
    return Completed(name=name, message=message, data=summary | {"report": kept})  # type: ignore[return-value]


def _settled(
    services: OperationsServices, place: S3Location, now: datetime, *, whole: bool
) -> Settled:
    """The uploads that were found done before; empty if everything is to be checked."""
    found = None
    try:
        found = None if whole else load_settled(services.s3, place)
    except SettledUnreadableError as error:
        get_run_logger().warning("checking everything: %s", error)
    return found or Settled(now)


def _inventory(
    services: OperationsServices, place: S3Location, now: datetime
) -> InventoryReport | None:
    """The S3 inventory of the output bucket, which lies beside the reports."""
    above = place.key.rstrip("/").rpartition("/")
    prefix = f"{above[0]}{above[1]}inventory/"
    bucket = services.rules.output_bucket
    found = newest_inventory(services.s3, bucket, prefix, now)
    source = f"inventory s3://{bucket}/{found.key}" if found else "a listing"
    get_run_logger().info("checking all outputs, from %s", source)
    return found


def _look(
    look: Reconciliation,
    services: OperationsServices,
    tally: FindingTally,
    report: Report,
    *,
    attempts: int,
    rate: float,
    limit: int,
) -> None:
    queue_url = os.environ.get(QUEUE)
    if limit and not queue_url:
        raise SettingMissingError(f"not set: {QUEUE}")
    queue = QueueTarget(services.sqs, queue_url or "")
    fixer = Fixer(queue, services.runs, attempts, pace=Pace(rate), limit=limit)
    findings = tally.record(look.findings(), report.write)
    for finding, result in fix_in_order(findings, fixer):
        tally.add_result(result)
        report.write({"uri": finding.uri, "fix": str(result)})


@contextmanager
def _harmless(what: str) -> Iterator[None]:
    """Warn of an error: an alarm reports missing metrics, and the report is stored in any case."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - see above
        get_run_logger().warning("%s: %s", what, error)

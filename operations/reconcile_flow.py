"""Reconciliation on a schedule: what makes a lost notification harmless though nobody looks.

Each hour it looks at what no look before has found done, which is what is new
and what is in trouble; each week at everything, for what became of the outputs.

The run ends Completed; named Mended where something was sent again or retried,
or NeedsAttention where what is left asks for people: a signal, and no page,
for a bad file is no fault of the system. It fails only where it could not look.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.logging import get_run_logger
from prefect.states import Completed
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat

from events.sending import QueueTarget
from flows.deployment_specs import DeploymentSpec
from operations.archive_items import InventoryReport
from operations.classification import ATTEMPTS, GRACE_MINUTES, Limits
from operations.connections import Connections, connect
from operations.mending import MENDED_AT_MOST, RATE, Mender
from operations.mending_order import mend_in_order
from operations.output_listing import newest_inventory
from operations.pacing import Pace
from operations.reconcile_report import (
    NAMESPACE,
    REPORTS,
    Place,
    Report,
    figures,
    place_of,
    rows,
    verdict,
)
from operations.reconciliation import Reconciliation
from operations.report import Tally
from operations.scope import Scope
from operations.settled import Settled, SettledUnreadableError, load_settled
from operations.stack_settings import QUEUE, STACK, SettingMissingError

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import MetricDatumTypeDef

# By then a byte that has rotted is known of; what reading costs, docs/sizes-and-costs.md says.
VERIFY_DAYS = 28
# Seven minutes past each hour, away from what others do on the hour.
CRON = "7 * * * *"
# Amid two hourly looks, at night.
WHOLE_CRONS = {"daily": "37 2 * * *", "weekly": "37 2 * * 0"}
WEEKLY = "weekly"


def reconcile_specs(
    stack: str, cron: str = CRON, whole: str = WEEKLY
) -> tuple[DeploymentSpec, DeploymentSpec]:
    """The deployments of the scheduled reconciliation on a stack's work pool: the hourly look, and that at everything.

    One run of each at a time. A run that comes while one is at work is cancelled: it
    would look at the same, and the next one finds what it would have found. Put into
    a line instead, runs of hours that are long over would wait behind a long one.
    The two may meet: neither sends nor retries what the other has.

    Args:
        stack: its name; the task definition `<stack>-operations` is its.
        cron: when the hourly look runs, in UTC.
        whole: how often everything is looked at, `daily` or `weekly`.
    """
    hourly = DeploymentSpec(
        "operations.reconcile_flow.reconcile_inbox",
        cron=cron,
        job_variables={"task_family": f"{stack}-operations", "cpu": 1024, "memory": 2048},
        tags=("echodrop", "operations"),
        concurrency_limit=1,
        collision="CANCEL_NEW",
    )
    # Outputs are read in turn by the hourly look, the hours of a day each.
    parameters = {"whole": True, "verify_days": 0}
    return hourly, replace(hourly, name="whole", cron=WHOLE_CRONS[whole], parameters=parameters)


@flow(name="reconcile-inbox", persist_result=False)
def reconcile_inbox(
    prefix: str = "",
    *,
    whole: bool = False,
    fix: bool = True,
    limit: NonNegativeInt = MENDED_AT_MOST,
    rate: PositiveFloat = RATE,
    attempts: NonNegativeInt = ATTEMPTS,
    grace_minutes: NonNegativeFloat = GRACE_MINUTES,
    verify: bool = False,
    verify_days: NonNegativeInt = VERIFY_DAYS,
) -> dict[str, Any]:
    """Compare the inbox with outputs and runs, mend what was lost, and write down what was found.

    Args:
        prefix: only uploads whose keys start so; these are all looked at then.
        whole: look at everything, and not only at what no earlier look found done.
        fix: send what was lost again, retry what may pass.
        limit: uploads to mend at most, see `mending_order`.
        rate: uploads a second to mend at most.
        attempts: how often one upload is tried.
        grace_minutes: how young an upload without a run, or a run without a task, may be.
        verify: read every output whole and compare its checksum.
        verify_days: read each output once in so many days, or in a time that is doubled
            where they are too many, a share of them in the hour that it is; 0: none.

    Returns:
        The counts by class and by what was done, and the report's URI.
    """
    place = place_of(os.environ.get(REPORTS))
    stack = _stack()
    connections = connect()
    rules = connections.services.rules
    limits = Limits(
        arriving=timedelta(minutes=grace_minutes),
        taskless=timedelta(minutes=grace_minutes),
        waiting=timedelta(hours=rules.waiting_limit_hours),
        attempts=attempts,
    )
    scope = Scope(prefix, verify=verify, verify_days=verify_days)
    look = Reconciliation(connections.services, scope, limits)
    tally = Tally()
    with contextlib.ExitStack() as open_until_then:
        if not prefix:
            look.settled = _settled(connections, place, look.now, whole=whole)
            open_until_then.callback(look.settled.close)
            if look.settled.looks_at_all:
                look.inventory_of_outputs = _inventory(connections, place, look.now)
        report = Report(open_until_then.enter_context(tempfile.TemporaryFile()))
        at_most = limit if fix else 0
        _look(look, connections, tally, report, attempts=attempts, rate=rate, limit=at_most)
        seconds = (datetime.now(UTC) - look.now).total_seconds()
        told = tally.summary() | {"began": look.now.isoformat(), "seconds": round(seconds, 1)}
        kept = report.keep(connections.services.s3, place, look.now, told)
        age = look.now - look.settled.whole_began if look.settled is not None else None
        _measure(connections, figures(stack, tally, seconds, age))
        if look.settled is not None:
            look.settled.save(connections.services.s3, place, look.now)
    _show(tally, kept)
    name, message = verdict(tally, kept)
    get_run_logger().info(message)
    # Prefect takes a state for its data.
    return Completed(name=name, message=message, data=told | {"report": kept})  # type: ignore[return-value]


def _settled(connections: Connections, place: Place, now: datetime, *, whole: bool) -> Settled:
    """What need not be looked at again: nothing where everything is to be, or nobody kept it."""
    found = None
    try:
        found = None if whole else load_settled(connections.services.s3, place)
    except SettledUnreadableError as error:
        get_run_logger().warning("looking at everything: %s", error)
    return found or Settled(now)


def _inventory(connections: Connections, place: Place, now: datetime) -> InventoryReport | None:
    """The S3 inventory of the output bucket, beside the reports."""
    above = place.prefix.rstrip("/").rpartition("/")
    prefix = f"{above[0]}{above[1]}inventory/"
    bucket = connections.services.rules.output_bucket
    found = newest_inventory(connections.services.s3, bucket, prefix, now)
    told = f"of inventory s3://{bucket}/{found.key}" if found else "as they are listed"
    get_run_logger().info("looking at all outputs, %s", told)
    return found


def _look(
    look: Reconciliation,
    connections: Connections,
    tally: Tally,
    report: Report,
    *,
    attempts: int,
    rate: float,
    limit: int,
) -> None:
    queue_url = os.environ.get(QUEUE)
    if limit and not queue_url:
        raise SettingMissingError(f"not set: {QUEUE}")
    region = connections.services.s3.meta.region_name
    queue = QueueTarget(connections.session.client("sqs", region_name=region), queue_url or "")
    mender = Mender(queue, connections.runs, attempts, pace=Pace(rate), limit=limit)
    findings = report.noted(look.findings(), tally)
    for mended in mend_in_order(findings, mender, connections.runs):
        tally.add_mended(mended)
        report.write({"uri": mended.finding.uri, "fix": mended.what})


def _stack() -> str:
    """Return whose figures this run tells; asked for first, as without it the alarms hear nothing."""
    if not (stack := os.environ.get(STACK)):
        raise SettingMissingError(f"not set: {STACK}, the stack's name")
    return stack


def _measure(connections: Connections, told: list[MetricDatumTypeDef]) -> None:
    """Put the counts into CloudWatch; that it can't be told does not undo what was mended."""
    region = connections.services.s3.meta.region_name
    try:
        connections.session.client("cloudwatch", region_name=region).put_metric_data(
            Namespace=NAMESPACE, MetricData=told
        )
    # BLE001: see above; the missing figure is an alarm's to notice.
    except Exception as error:  # noqa: BLE001
        get_run_logger().warning("figures not told: %s", error)


def _show(tally: Tally, report: str) -> None:
    try:
        create_table_artifact(rows(tally), key="reconcile", description=f"All of it: {report}")
    # BLE001: the report is kept, whatever the UI comes to show.
    except Exception as error:  # noqa: BLE001
        get_run_logger().warning("artifact not shown: %s", error)

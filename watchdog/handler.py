"""The Lambda's handler: checks queues, Prefect, incidents, inbox and brake, and writes metrics for each.

A failure in one part does not stop the others. A metric whose value is unknown is
missing, and the alarms treat that as a fault. Errors are raised after all metrics are
written.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from watchdog.cost_brake import Spend
from watchdog.emf import emf_line
from watchdog.incidents import Incident, IncidentStore
from watchdog.pool_brake import NoteStore, WorkPool, brake, observe, spend_of_month
from watchdog.prefect_http import PrefectHttp, PrefectUnreachableError, authorization
from watchdog.prefect_look import FILE_OUTCOMES, PrefectLook
from watchdog.settings import WatchdogSettings, read_settings

if TYPE_CHECKING:  # the stubs are installed for development alone
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

# SNS allows 100 ASCII characters in a subject.
_SUBJECT_LENGTH = 99
_QUEUE_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


@dataclass(frozen=True)
class WatchdogClients:
    """The AWS clients that the watchdog uses."""

    s3: S3Client
    sqs: SQSClient
    sns: SNSClient
    secrets: SecretsManagerClient
    budgets: Any


@dataclass(frozen=True)
class PartResult:
    """The result of one part: metrics (`emf.UNITS`), facts that explain them, and errors."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)
    faults: Sequence[Exception] = ()


def handler(event: object, context: object) -> dict[str, float]:
    """Run all checks; return the metrics, for calls by hand.

    Raises:
        SettingsError: a setting is missing or invalid.
        ExceptionGroup: some checks or messages failed; the others succeeded.
    """
    del event, context
    # A service that hangs must leave time for the others.
    config = Config(
        connect_timeout=3, read_timeout=7, retries={"mode": "standard", "total_max_attempts": 2}
    )
    services = WatchdogClients(
        boto3.client("s3", config=config),
        boto3.client("sqs", config=config),
        boto3.client("sns", config=config),
        boto3.client("secretsmanager", config=config),
        boto3.client("budgets", config=config),
    )
    now = datetime.now(UTC)
    metrics: dict[str, float] = {}
    faults: list[Exception] = []
    settings = read_settings(os.environ)
    for result in look(settings, services, now):
        facts = {**result.facts}
        if result.faults:
            facts["faults"] = [f"{type(fault).__name__}: {fault}" for fault in result.faults]
        now_ms = int(now.timestamp() * 1000)
        sys.stdout.write(emf_line(settings.stack, result.metrics, facts, now_ms) + "\n")
        sys.stdout.flush()
        metrics |= result.metrics
        faults += result.faults
    if faults:
        raise ExceptionGroup("some checks or messages failed", faults)
    return metrics


def look(
    settings: WatchdogSettings, services: WatchdogClients, now: datetime
) -> Iterator[PartResult]:
    """Run the checks one after another and yield their results."""
    for part in (_queues, _prefect, _incidents, _quiet, _brake):
        try:
            yield part(settings, services, now)
        # BLE001: an error in one part must not stop the others; it is raised after them.
        except Exception as error:  # noqa: BLE001
            yield PartResult(faults=[error])


def _queues(settings: WatchdogSettings, services: WatchdogClients, now: datetime) -> PartResult:
    del now
    queues: list[dict[Any, str]] = [
        {**services.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]}
        for url in settings.dead_letter_urls
    ]
    letters = sum(int(counts[name]) for counts in queues for name in _QUEUE_COUNTS)
    return PartResult({"DeadLetters": letters})


def _prefect(settings: WatchdogSettings, services: WatchdogClients, now: datetime) -> PartResult:
    http, look_back = _http(settings, services), timedelta(seconds=settings.look_back_seconds)
    check = PrefectLook(http, settings.work_pool, now, look_back)
    try:
        return PartResult({"PrefectReachable": 1, **check.metrics()})
    except PrefectUnreachableError as error:
        return PartResult({"PrefectReachable": 0}, {"prefect": str(error)})


def _http(settings: WatchdogSettings, services: WatchdogClients) -> PrefectHttp:
    fields = {}
    if arn := settings.prefect_secret_arn:
        fields = json.loads(services.secrets.get_secret_value(SecretId=arn)["SecretString"])
    header = authorization(fields.get("api_key"), fields.get("auth_string"))
    return PrefectHttp(settings.prefect_api_url, header, timeout=5)


def _incidents(settings: WatchdogSettings, services: WatchdogClients, now: datetime) -> PartResult:
    store = IncidentStore(services.s3, *settings.incidents)
    incidents = store.incidents()
    reported = 0
    faults: list[Exception] = []
    for incident in incidents:
        try:
            reported += _settle(incident, store, settings, services.sns, now)
        except (ClientError, BotoCoreError) as error:
            faults.append(error)
    still_open = sum(not incident.is_over(now) for incident in incidents)
    return PartResult({"IncidentsOpen": still_open, "IncidentsReported": reported}, faults=faults)


def _quiet(settings: WatchdogSettings, services: WatchdogClients, now: datetime) -> PartResult:
    if not settings.quiet_hours:
        return PartResult()
    quiet = quiet_prefixes(services.s3, settings.inbox_bucket, settings.quiet_hours, now)
    return PartResult({"QuietPrefixes": len(quiet)}, {"quiet": quiet})


def _brake(settings: WatchdogSettings, services: WatchdogClients, now: datetime) -> PartResult:
    limits = settings.brake
    if not limits.any_is_set:
        return PartResult({"BrakePulled": 0})
    spend: Spend | None = None
    faults: list[Exception] = []
    if limits.budget_percent is not None and settings.budget_arn:
        try:
            spend = spend_of_month(services.budgets, settings.budget_arn)
        except (ClientError, BotoCoreError) as error:
            faults.append(error)
    pool = WorkPool(_http(settings, services), settings.work_pool)
    try:
        seen = observe(pool, limits, now, spend)
    except PrefectUnreachableError as error:
        return PartResult(facts={"brake": str(error)}, faults=faults)

    def publish(subject: str, text: str) -> None:
        services.sns.publish(TopicArn=settings.alert_topic, Subject=subject, Message=text)

    notes = NoteStore(services.s3, *settings.brake_note)
    is_pulled = brake(pool, notes, limits, seen, publish)
    runs = {} if seen.runs is None else {"RunsStarted": seen.runs}
    facts = {} if spend is None else {"spend_of_month": spend.actual, "budget": spend.budget}
    return PartResult({"BrakePulled": int(is_pulled), **runs}, facts, faults)


def _settle(
    incident: Incident,
    store: IncidentStore,
    settings: WatchdogSettings,
    sns: SNSClient,
    now: datetime,
) -> bool:
    """Publish an update of an incident if one is due, then mark or remove it; return whether it was due."""
    update = store.update(incident, now)
    if update is not None:
        is_notice = update["outcome"] in FILE_OUTCOMES
        sns.publish(
            TopicArn=settings.notice_topic if is_notice else settings.alert_topic,
            Subject=subject(update),
            Message=json.dumps(update, indent=1, ensure_ascii=False),
        )
    store.settle(incident, now, reported=update is not None)
    return update is not None


def subject(update: Mapping[str, Any]) -> str:
    """The subject of a mail: at most 99 printable ASCII characters."""
    where = f" ({update['cruise']})" if update["cruise"] else ""
    count = update["count"]
    files = "1 file" if count == 1 else f"{count} files"
    text = f"{update['outcome']}: {files}{where}, {update['state']}"
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:_SUBJECT_LENGTH]


def quiet_prefixes(
    s3: S3Client, bucket: str, quiet_hours: Mapping[str, float], now: datetime
) -> list[str]:
    """List the prefixes whose newest object is older than their limit, or that have no object.

    A request lists a thousand objects, and the search ends at the first recent one. So
    configure the prefix of a running cruise, not that of an archive.
    """
    return [
        prefix
        for prefix, hours in quiet_hours.items()
        if not _has_upload_since(s3, bucket, prefix, now - timedelta(hours=hours))
    ]


def _has_upload_since(s3: S3Client, bucket: str, prefix: str, since: datetime) -> bool:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return any(item["LastModified"] >= since for page in pages for item in page.get("Contents", []))

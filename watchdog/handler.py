"""The Lambda's handler: one look at Prefect, the queues, the incidents and the inbox; one line of metrics.

What can't be learnt is left out of the line, and the alarms take that for the
fault it is; only a fault of the watchdog's own, or of AWS, raises.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3

from watchdog.emf import emf_line
from watchdog.incidents import IncidentStore
from watchdog.prefect_look import (
    NOT_THE_SYSTEMS,
    PrefectLook,
    PrefectUnreachableError,
    authorization_of,
)
from watchdog.quiet_inbox import quiet_prefixes
from watchdog.settings import Settings, read_settings

if TYPE_CHECKING:  # the stubs are installed for development alone
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

# SNS takes 100 characters of ASCII in a subject.
_SUBJECT_LENGTH = 99
_QUEUE_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


@dataclass(frozen=True)
class Services:
    """What is asked."""

    s3: S3Client
    sqs: SQSClient
    sns: SNSClient
    secrets: SecretsManagerClient


def handler(event: object, context: object) -> dict[str, float]:
    """Look once; answer with the metrics, for who calls it by hand.

    Raises:
        SettingsError: the environment lacks something.
        ClientError, BotoCoreError: AWS refuses or does not answer.
    """
    del event, context
    services = Services(
        boto3.client("s3"),
        boto3.client("sqs"),
        boto3.client("sns"),
        boto3.client("secretsmanager"),
    )
    now = datetime.now(UTC)
    metrics, facts = look(read_settings(os.environ), services, now)
    sys.stdout.write(emf_line(metrics, facts, int(now.timestamp() * 1000)) + "\n")
    sys.stdout.flush()
    return metrics


def look(
    settings: Settings, services: Services, now: datetime
) -> tuple[dict[str, float], dict[str, object]]:
    """Learn and tell what there is; return metrics (`emf.UNITS`) and facts that explain them."""
    metrics: dict[str, float] = {}
    facts: dict[str, object] = {}
    in_queue = _messages(services.sqs, [settings.upload_queue_url])
    dead = _messages(services.sqs, settings.dead_letter_urls)
    metrics["DeadLetters"] = dead
    try:
        of_prefect = _prefect_metrics(settings, services, now)
    except PrefectUnreachableError as error:
        metrics["PrefectReachable"] = 0
        facts["prefect"] = str(error)
    else:
        metrics |= of_prefect | {"PrefectReachable": 1}
        metrics["UploadsWithoutOutcome"] += in_queue + dead
    store = IncidentStore(services.s3, settings.incidents_bucket, settings.incidents_prefix)
    metrics["IncidentsTold"] = len(list(_told(store, settings, services.sns, now)))
    metrics["IncidentsOpen"] = len(store.incidents())
    if settings.quiet_hours:
        quiet = quiet_prefixes(services.s3, settings.inbox_bucket, settings.quiet_hours, now)
        metrics["QuietPrefixes"] = len(quiet)
        facts["quiet"] = quiet
    return metrics, facts


def _prefect_metrics(settings: Settings, services: Services, now: datetime) -> dict[str, float]:
    authorization = None
    if settings.prefect_secret_arn:
        secret = services.secrets.get_secret_value(SecretId=settings.prefect_secret_arn)
        authorization = authorization_of(secret["SecretString"])
    return PrefectLook(
        settings.prefect_api_url,
        authorization,
        settings.work_pool,
        now,
        timedelta(seconds=settings.look_back_seconds),
    ).metrics()


def _messages(sqs: SQSClient, urls: Iterable[str]) -> int:
    counts = 0
    for url in urls:
        answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        attributes = {str(name): value for name, value in answer["Attributes"].items()}
        counts += sum(int(attributes[name]) for name in _QUEUE_COUNTS)
    return counts


def _told(
    store: IncidentStore, settings: Settings, sns: SNSClient, now: datetime
) -> Iterator[Mapping[str, Any]]:
    for update in store.updates(now):
        is_notice = update["outcome"] in NOT_THE_SYSTEMS
        sns.publish(
            TopicArn=settings.notice_topic if is_notice else settings.alert_topic,
            Subject=subject(update),
            Message=json.dumps(update, indent=1, ensure_ascii=False),
        )
        yield update


def subject(update: Mapping[str, Any]) -> str:
    """What stands in a mail's subject; printable ASCII, 99 characters."""
    where = f" ({update['cruise']})" if update["cruise"] else ""
    told = f"{update['outcome']}: {update['count']} files{where}, {update['state']}"
    return "".join(c if " " <= c <= "~" else "?" for c in told)[:_SUBJECT_LENGTH]

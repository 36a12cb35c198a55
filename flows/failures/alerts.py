"""Sends one SNS message for each incident, as soon as its first file fails.

Nothing here changes how a run ends. If a message cannot be sent, the error is logged
and the incident is not marked as reported, so the watchdog reports it. The watchdog and
the rule on stopped tasks send their own messages.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import boto3
from botocore.config import Config

from flows.core.locations import S3Location, parse_location
from flows.core.only_warned import only_warned
from flows.failures.failure_report import FailureReport
from flows.failures.incidents import incident_id, mark_reported, opens_incident
from flows.stores.object_store import ObjectStore
from flows.stores.parallel_requests import in_parallel
from flows.stores.s3_client import store_of

ALERT_TOPIC = "ECHODROP_ALERT_TOPIC_ARN"
NOTICE_TOPIC = "ECHODROP_NOTICE_TOPIC_ARN"
INCIDENTS = "ECHODROP_INCIDENTS"

# SNS takes 100 characters of ASCII in a subject.
_SUBJECT_LENGTH = 99

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Channels:
    """The ARNs of the SNS topics; `incidents` is the S3 location of the incident counts."""

    alerts: str | None
    notices: str | None
    incidents: S3Location | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Read the channels from the environment; a topic that is not set gets no messages.

        Raises:
            ValueError: ECHODROP_INCIDENTS is not an S3 URI.
        """
        place = environment.get(INCIDENTS)
        incidents = parse_location(place) if place else None
        if incidents is not None and not isinstance(incidents, S3Location):
            raise ValueError(f"{INCIDENTS} is {place!r}, not s3://bucket/prefix")
        return cls(environment.get(ALERT_TOPIC), environment.get(NOTICE_TOPIC), incidents)

    def topic_of(self, report: FailureReport) -> str | None:
        """The topic for a failure: the notice topic if it can wait, else the alert topic."""
        return self.notices if report.is_notice else self.alerts


def send_alerts(reports: Sequence[FailureReport], channels: Channels | None = None) -> None:
    """Send one message for each incident that these failures open; never raise."""
    with only_warned(_log, "alerts not sent"):
        ways = channels or Channels.of(os.environ)
        place = ways.incidents
        store = None if place is None else store_of(place, {})
        root = "" if place is None else place.key
        in_parallel(lambda report: _send_alert(report, ways.topic_of(report), store, root), reports)


def _send_alert(
    report: FailureReport, topic: str | None, store: ObjectStore | None, root: str
) -> None:
    """Send the message if this failure opens an incident, or if that is not known."""
    if topic is None:
        return
    with only_warned(_log, f"{report.source}: alert not sent to {topic}"):
        mark, is_first = None, True
        # A second message is better than none.
        with only_warned(_log, f"{report.source}: incident not recorded"):
            if store is not None:
                is_first = bool(mark := opens_incident(store, root, report))
        if is_first:
            _publish(topic, report)
        if store is not None and mark is not None:
            mark_reported(store, mark)


def _publish(topic: str, report: FailureReport) -> None:
    message = report.as_alert() | {"incident": incident_id(report)}
    attributes = {
        "event": "failure",
        "outcome": report.outcome,
        "cruise": report.cruise,
        "sonar_model": report.sonar_model,
        "urgency": "notice" if report.is_notice else "alert",
    }
    # A topic that does not answer delays the end of a task by seconds, not minutes.
    config = Config(
        connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}
    )
    sns = boto3.Session().client("sns", region_name=topic.split(":")[3], config=config)
    sns.publish(
        TopicArn=topic,
        Subject=subject(report),
        Message=json.dumps(message, indent=1, ensure_ascii=False),
        MessageAttributes={
            name: {"DataType": "String", "StringValue": text}
            for name, text in attributes.items()
            if text
        },
    )


def subject(report: FailureReport) -> str:
    """The subject of the mail: outcome, file and cruise, at most 99 printable ASCII characters."""
    name = report.source.rpartition("/")[2]
    more = f" and {report.files - 1} more" if report.files > 1 else ""
    text = f"{report.outcome}: {name}{more}" + (f" ({report.cruise})" if report.cruise else "")
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:_SUBJECT_LENGTH]

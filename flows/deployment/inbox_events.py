"""Connects an inbox that existed before the stack to EventBridge.

S3 has one notification configuration for a bucket, and a new one replaces it. Other
targets are notified in future only if their entries are written again with the new one.

Source: "PutBucketNotificationConfiguration", Amazon S3 API reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from flows.deployment.stack_finding import Finding

EVENTS = "EventBridgeConfiguration"
_OTHERS = ("TopicConfigurations", "QueueConfigurations", "LambdaFunctionConfigurations")


def with_events(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration from S3 with EventBridge added, in the form that S3 accepts."""
    return {name: configuration[name] for name in _OTHERS if configuration.get(name)} | {EVENTS: {}}


def connect_inbox(
    s3: Any,  # noqa: ANN401 - boto3's client
    bucket: str,
    say: Callable[[str], object],
    *,
    dry_run: bool = False,
) -> None:
    """Add EventBridge to the bucket's notifications, and keep all others.

    S3 has no conditional form of this request, so a change that another person makes
    between the read and the write is lost.

    Raises:
        ClientError: S3 refuses to read or write the configuration.
    """
    configuration = s3.get_bucket_notification_configuration(Bucket=bucket)
    if EVENTS in configuration:
        say(f"inbox {bucket} already sends events to EventBridge")
        return
    wanted = with_events(configuration)
    kept = sum(len(wanted.get(name, ())) for name in _OTHERS)
    change = f"send events of inbox {bucket} to EventBridge; its {kept} other notifications stay"
    if dry_run:
        say(f"would {change}")
        return
    s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration=wanted,
        # S3 accepted the other destinations before; one that was deleted since must not prevent
        # this.
        SkipDestinationValidation=True,
    )
    say(change)


def check_inbox(s3: Any, bucket: str, stack: str) -> Finding:  # noqa: ANN401 - boto3's client
    """Check whether a bucket sends events to EventBridge."""
    subject = f"inbox {bucket}"
    try:
        configuration = s3.get_bucket_notification_configuration(Bucket=bucket)
    except ClientError as error:
        return Finding(subject, str(error), None)
    if EVENTS not in configuration:
        problem = "does not send events to EventBridge"
        return Finding(subject, problem, f"echodrop deploy --stack {stack} --connect-inbox")
    return Finding(subject)

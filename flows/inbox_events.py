"""Have an inbox that existed before the stack tell EventBridge of its uploads.

S3 keeps one configuration of notifications for a bucket, and a new one replaces
it: whoever else is notified of the bucket stays notified only if what is there
is put again along with what is new.

Source: "PutBucketNotificationConfiguration", Amazon S3 API reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from flows.stack_finding import Finding

EVENTS = "EventBridgeConfiguration"
_OTHERS = ("TopicConfigurations", "QueueConfigurations", "LambdaFunctionConfigurations")


def with_events(told: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as S3 returned it, EventBridge added, in the form that S3 takes."""
    return {name: told[name] for name in _OTHERS if told.get(name)} | {EVENTS: {}}


def connect_inbox(
    s3: Any,  # noqa: ANN401 - boto3's client
    bucket: str,
    say: Callable[[str], object],
    *,
    dry_run: bool = False,
) -> None:
    """Add EventBridge to what the bucket notifies, and keep all else that it notifies.

    S3 knows no condition for this request: what another person changes between the
    read and the write, a moment later, is lost.

    Args:
        s3: boto3's client.
        bucket: the inbox.
        say: takes what is done as a line for people.
        dry_run: say what would be written, and write nothing.

    Raises:
        ClientError: S3 refuses to show or to take the configuration.
    """
    told = s3.get_bucket_notification_configuration(Bucket=bucket)
    if EVENTS in told:
        say(f"inbox {bucket} tells EventBridge already")
        return
    wanted = with_events(told)
    kept = sum(len(wanted.get(name, ())) for name in _OTHERS)
    change = f"have inbox {bucket} tell EventBridge of uploads; its {kept} other notifications stay"
    if dry_run:
        say(f"would {change}")
        return
    s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration=wanted,
        # S3 took the others' destinations before; one that is gone since must not hinder this.
        SkipDestinationValidation=True,
    )
    say(change)


def check_inbox(s3: Any, bucket: str, stack: str) -> Finding:  # noqa: ANN401 - boto3's client
    """Whether a bucket tells EventBridge of its uploads."""
    subject = f"inbox {bucket}"
    try:
        told = s3.get_bucket_notification_configuration(Bucket=bucket)
    except ClientError as error:
        return Finding(subject, str(error), None)
    if EVENTS not in told:
        problem = "does not tell EventBridge of uploads"
        return Finding(subject, problem, f"echodrop deploy --stack {stack} --connect-inbox")
    return Finding(subject)

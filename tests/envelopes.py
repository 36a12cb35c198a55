"""Notifications in the envelopes that echodrop reads and does not make.

Formats: "Event message structure" in the S3 user guide, "HTTP/HTTPS notification JSON format" in
SNS's.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote_plus

from events.notifications import ACCOUNT, REGION, NotifiedObject, eventbridge_event

TOPIC_ARN = f"arn:aws:sns:{REGION}:{ACCOUNT}:echodrop-uploads"


def s3_event(items: Iterable[NotifiedObject]) -> dict[str, Any]:
    """An S3 event of several objects."""
    return {"Records": [_s3_record(item) for item in items]}


def _s3_record(item: NotifiedObject) -> dict[str, Any]:
    """One record of an S3 event; S3 quotes the key."""
    detail = eventbridge_event(item)["detail"]
    fields = {
        "key": quote_plus(item.key, safe="/"),
        "size": item.size,
        "eTag": item.etag,
        "sequencer": detail["object"]["sequencer"],
        "versionId": item.version_id,
    }
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": item.stored_at,
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:AIDAEXAMPLE"},
        "requestParameters": {"sourceIPAddress": "192.0.2.1"},
        "responseElements": {"x-amz-request-id": detail["request-id"], "x-amz-id-2": "echodrop"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "echodrop",
            "bucket": {
                "name": item.bucket,
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": f"arn:aws:s3:::{item.bucket}",
            },
            "object": {name: fact for name, fact in fields.items() if fact is not None},
        },
    }
    return record | ({"echodrop": detail["echodrop"]} if "echodrop" in detail else {})


def in_sns(body: str) -> dict[str, Any]:
    """Wrap a message into a notification of SNS."""
    return {
        "Type": "Notification",
        "MessageId": str(uuid.uuid5(uuid.NAMESPACE_URL, body)),
        "TopicArn": TOPIC_ARN,
        "Subject": "Amazon S3 Notification",
        "Message": body,
        "Timestamp": "1970-01-01T00:00:00.000Z",
        "SignatureVersion": "1",
        "Signature": "EXAMPLE",
        "SigningCertURL": f"https://sns.{REGION}.amazonaws.com/SimpleNotificationService-0.pem",
        "UnsubscribeURL": f"https://sns.{REGION}.amazonaws.com/?Action=Unsubscribe",
    }


def _s3(item: NotifiedObject) -> str:
    return json.dumps(s3_event([item]))


def _eventbridge(item: NotifiedObject) -> str:
    return json.dumps(eventbridge_event(item))


# The four envelopes, as message bodies.
ENVELOPES: Mapping[str, Callable[[NotifiedObject], str]] = {
    "s3": _s3,
    "eventbridge": _eventbridge,
    "sns-s3": lambda item: json.dumps(in_sns(_s3(item))),
    "sns-eventbridge": lambda item: json.dumps(in_sns(_eventbridge(item))),
}

"""Makes notifications in AWS's formats, in any envelope.

Formats: "Event message structure" and "EventBridge event message structure" in
the S3 user guide, "HTTP/HTTPS notification JSON format" in SNS's, "Using Lambda
with Amazon SQS" in Lambda's.
"""

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from lambda_trigger.decisions.outcomes import LIVE

REGION = "eu-west-1"
ACCOUNT = "123456789012"
QUEUE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:echodrop-uploads"
TOPIC_ARN = f"arn:aws:sns:{REGION}:{ACCOUNT}:echodrop-uploads"


@dataclass(frozen=True, slots=True)
class NotifiedObject:
    """An object to send a notification of. `size` is in bytes, `stored_at` in ISO 8601.

    If size or entity tag is None, the notification leaves it out. A `generation` above 0
    requests another conversion of a converted upload, `lane` is 'live' or 'backfill',
    `is_repair` requests a run for this file alone, tagged as a repair, and `allow_partial`
    converts the intact part of a damaged file.
    """

    bucket: str
    key: str
    size: int | None
    etag: str | None
    version_id: str | None = None
    stored_at: str = "1970-01-01T00:00:00.000Z"
    generation: int = 0
    lane: str = LIVE
    is_repair: bool = False
    allow_partial: bool = False


def s3_record(item: NotifiedObject, event_name: str = "ObjectCreated:Put") -> dict[str, Any]:
    """Make one record of an S3 event; S3 quotes the key."""
    fields = _known_fields(
        key=quote_plus(item.key, safe="/"),
        size=item.size,
        eTag=item.etag,
        sequencer=_sequencer(item),
        versionId=item.version_id,
    )
    record: dict[str, Any] = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": item.stored_at,
        "eventName": event_name,
        "userIdentity": {"principalId": "AWS:AIDAEXAMPLE"},
        "requestParameters": {"sourceIPAddress": "192.0.2.1"},
        "responseElements": {"x-amz-request-id": _request_id(item), "x-amz-id-2": "echodrop"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "echodrop",
            "bucket": {
                "name": item.bucket,
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": f"arn:aws:s3:::{item.bucket}",
            },
            "object": fields,
        },
    }
    return record | _echodrop_field(item)


def s3_event(
    items: Iterable[NotifiedObject], event_name: str = "ObjectCreated:Put"
) -> dict[str, Any]:
    """Make an S3 event of several objects."""
    return {"Records": [s3_record(item, event_name) for item in items]}


def eventbridge_event(
    item: NotifiedObject, detail_type: str = "Object Created", reason: str = "PutObject"
) -> dict[str, Any]:
    """Make an EventBridge event; its key is not quoted."""
    fields = _known_fields(
        **{"version-id": item.version_id},
        key=item.key,
        size=item.size,
        etag=item.etag,
        sequencer=_sequencer(item),
    )
    return {
        "version": "0",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{item.bucket}/{item.key}/{item.etag}")),
        "detail-type": detail_type,
        "source": "aws.s3",
        "account": ACCOUNT,
        "time": item.stored_at,
        "region": REGION,
        "resources": [f"arn:aws:s3:::{item.bucket}"],
        "detail": {
            "version": "0",
            "bucket": {"name": item.bucket},
            "object": fields,
            "request-id": _request_id(item),
            "requester": ACCOUNT,
            "source-ip-address": "192.0.2.1",
            "reason": reason,
            **_echodrop_field(item),
        },
    }


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


def in_sqs(bodies: Sequence[str], queue_arn: str = QUEUE_ARN) -> dict[str, Any]:
    """Wrap messages into an event that Lambda receives from SQS, with ids message-0, message-1 and so on."""
    return {
        "Records": [
            {
                "messageId": f"message-{index}",
                "receiptHandle": f"receipt-{index}",
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": "0",
                    "SenderId": "AIDAEXAMPLE",
                    "ApproximateFirstReceiveTimestamp": "0",
                },
                "messageAttributes": {},
                "md5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
                "eventSource": "aws:sqs",
                "eventSourceARN": queue_arn,
                "awsRegion": REGION,
            }
            for index, body in enumerate(bodies)
        ]
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


def _known_fields(**facts: str | int | None) -> dict[str, Any]:
    return {name: fact for name, fact in facts.items() if fact is not None}


def _echodrop_field(item: NotifiedObject) -> dict[str, Any]:
    """Make the field that echodrop adds to S3's fields; nothing for a plain upload."""
    marks = {"repair": True} if item.is_repair else {}
    marks |= {"allow_partial": True} if item.allow_partial else {}
    if not item.generation and item.lane == LIVE and not marks:
        return {}
    return {"echodrop": {"generation": item.generation, "lane": item.lane, **marks}}


def _sequencer(item: NotifiedObject) -> str:
    return "00" + hashlib.sha256(item.stored_at.encode()).hexdigest()[:14].upper()


def _request_id(item: NotifiedObject) -> str:
    return hashlib.sha256(f"{item.key} {item.etag}".encode()).hexdigest()[:16].upper()

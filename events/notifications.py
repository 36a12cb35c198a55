"""Makes the notifications that echodrop sends, as EventBridge does, and wraps messages as SQS does.

Formats: "EventBridge event message structure" in the S3 user guide, "Using Lambda with Amazon SQS"
in Lambda's.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lambda_trigger.decisions.outcomes import LIVE

REGION = "eu-west-1"
ACCOUNT = "123456789012"
QUEUE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:echodrop-uploads"


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


def eventbridge_event(item: NotifiedObject) -> dict[str, Any]:
    """Make an EventBridge event; its key is not quoted. A plain upload has S3's fields alone."""
    fields = {
        "key": item.key,
        "size": item.size,
        "etag": item.etag,
        "sequencer": "00" + _digest(item.stored_at)[:14],
        "version-id": item.version_id,
    }
    marks = {"repair": True} if item.is_repair else {}
    marks |= {"allow_partial": True} if item.allow_partial else {}
    is_plain = not item.generation and item.lane == LIVE and not marks
    ours = {"generation": item.generation, "lane": item.lane, **marks}
    return {
        "version": "0",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{item.bucket}/{item.key}/{item.etag}")),
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": ACCOUNT,
        "time": item.stored_at,
        "region": REGION,
        "resources": [f"arn:aws:s3:::{item.bucket}"],
        "detail": {
            "version": "0",
            "bucket": {"name": item.bucket},
            "object": {name: fact for name, fact in fields.items() if fact is not None},
            "request-id": _digest(f"{item.key} {item.etag}")[:16],
            "requester": ACCOUNT,
            "source-ip-address": "192.0.2.1",
            "reason": "PutObject",
            **({} if is_plain else {"echodrop": ours}),
        },
    }


def in_sqs(bodies: Sequence[str]) -> dict[str, Any]:
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
                "eventSourceARN": QUEUE_ARN,
                "awsRegion": REGION,
            }
            for index, body in enumerate(bodies)
        ]
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest().upper()

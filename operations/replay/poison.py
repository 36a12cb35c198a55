"""Stores dead letters that failed again, for an operator to inspect."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from operations.replay.dead_letter_queue import DeadLetter

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Quarantine:
    """Stores poison messages: one JSON object for each message body, below a prefix of a bucket."""

    def __init__(self, s3: S3Client, bucket: str, prefix: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = prefix

    def put(self, letter: DeadLetter, reason: str) -> str:
        """Store a message with the reason; return the URI of the object.

        The object holds `reason`, `uploads`, `message_id` (which identifies the `Retried`
        lines in the trigger's log), `replays`, `attributes`, `set_aside_at` and the
        unchanged `body`.
        """
        key = f"{self._prefix}{hashlib.sha256(letter.body.encode()).hexdigest()[:32]}.json"
        content = {
            "reason": reason,
            "uploads": letter.uploads,
            "message_id": letter.id,
            "replays": letter.replays,
            "attributes": letter.attributes,
            "set_aside_at": datetime.now(UTC).isoformat(),
            "body": letter.body,
        }
        body = json.dumps(content, indent=1, ensure_ascii=False).encode()
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType="application/json")
        return f"s3://{self._bucket}/{key}"

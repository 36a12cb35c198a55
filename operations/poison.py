"""Where dead letters that failed once more are kept, for a person to look at."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from operations.dead_letter_queue import DeadLetter

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Quarantine:
    """Where poison is kept: one object of JSON a message body, below a prefix of a bucket."""

    def __init__(self, s3: S3Client, bucket: str, prefix: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = prefix

    def put(self, letter: DeadLetter, reason: str) -> str:
        """Keep a message with its reason; give the object's URI.

        The object holds `reason`, `uploads`, `message_id` (by which the trigger's
        log has its `Retried` lines), `replays`, `attributes`, `set_aside_at` and
        the `body` as it was.
        """
        key = f"{self._prefix}{hashlib.sha256(letter.body.encode()).hexdigest()[:32]}.json"
        told = {
            "reason": reason,
            "uploads": letter.uploads,
            "message_id": letter.id,
            "replays": letter.replays,
            "attributes": letter.attributes,
            "set_aside_at": datetime.now(UTC).isoformat(),
            "body": letter.body,
        }
        body = json.dumps(told, indent=1, ensure_ascii=False).encode()
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType="application/json")
        return f"s3://{self._bucket}/{key}"

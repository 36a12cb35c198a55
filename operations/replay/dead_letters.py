"""Sends dead letters through the trigger's queue again, and quarantines those that fail again.

An attribute of the message counts how often it was sent again; SQS keeps the
attribute when it moves the message back. A message that comes back is a poison
message: it goes into a bucket, with the reason. A message is deleted only after it
is in the queue or in the bucket. After an interruption, the next call resumes: a
message that was sent and not yet deleted is sent twice, which is harmless because
its run has the same identity, and a message that is set aside twice is one object.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from events.sending import Message, ReplayRow
from flows.core.locations import S3Location
from lambda_trigger.decisions.wording import counted
from operations.replay.dead_letter_queue import REPLAYS, DeadLetter, DeadLetterQueue

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

# Older SQS queues accept 256 KiB a request, including attributes.
_BYTES_A_REQUEST = 240_000

What = Literal["sent", "set aside", "settled", "kept", "would send", "would set aside"]


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result for one message. `detail` is where it was set aside, or why it was kept."""

    letter: DeadLetter
    what: What
    detail: str = ""


class Quarantine:
    """Stores poison messages: one JSON object for each message body, below a prefix of a bucket."""

    def __init__(self, s3: S3Client, place: S3Location) -> None:
        self._s3, self._place = s3, place

    def put(self, letter: DeadLetter, reason: str) -> str:
        """Store a message with the reason; return the URI of the object.

        The object holds `reason`, `uploads`, `message_id` (which identifies the `Retried`
        lines in the trigger's log), `replays`, `attributes`, `set_aside_at` and the
        unchanged `body`.
        """
        name = f"{hashlib.sha256(letter.body.encode()).hexdigest()[:32]}.json"
        place = S3Location(self._place.bucket, self._place.key + name)
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
        self._s3.put_object(
            Bucket=place.bucket, Key=place.key, Body=body, ContentType="application/json"
        )
        return place.uri


# Calls the trigger in this process with the messages, and returns the outcome of each record.
Diagnose = Callable[[Sequence[Message]], list[ReplayRow]]


@dataclass
class DeadLetterReplay:
    """One pass over a dead-letter queue.

    Attributes:
        quarantine: where poison messages go.
        diagnose: finds the reason by calling the trigger; None if its settings are missing.
        rate: maximum messages a second; None for no limit.
    """

    dead: DeadLetterQueue
    sqs: SQSClient
    queue_url: str
    quarantine: Quarantine
    diagnose: Diagnose | None = None
    rate: float | None = None
    limit: int | None = None
    sleep: Callable[[float], None] = time.sleep

    def run(self) -> Iterator[Replayed]:
        """Send or set aside every message, and yield the result of each.

        Raises:
            ClientError: SQS or S3 refuses.
        """
        try:
            for letters in self.dead.received(self.limit):
                began = time.monotonic()
                poison = [each for each in letters if each.replays]
                for letter in poison:
                    yield self._set_aside(letter)
                for lot in _lots([each for each in letters if not each.replays]):
                    yield from self._send(lot)
                if self.rate:
                    spent = time.monotonic() - began
                    self.sleep(max(0.0, len(letters) / self.rate - spent))
        finally:
            self.dead.release()

    def preview(self) -> Iterator[Replayed]:
        """Yield once for each message what would be done; the messages stay in the queue.

        In a long queue the first messages become visible again before the end: that ends the preview.
        """
        seen: set[str] = set()
        try:
            for letters in self.dead.received(self.limit):
                new = [letter for letter in letters if letter.id not in seen]
                if not new:
                    return
                seen.update(letter.id for letter in new)
                for letter in new:
                    yield Replayed(letter, "would set aside" if letter.replays else "would send")
        finally:
            self.dead.release()

    def _send(self, letters: list[DeadLetter]) -> Iterator[Replayed]:
        answer = self.sqs.send_message_batch(
            QueueUrl=self.queue_url,
            Entries=[
                {
                    "Id": str(index),
                    "MessageBody": letter.body,
                    "MessageAttributes": {
                        REPLAYS: {"DataType": "Number", "StringValue": str(letter.replays + 1)}
                    },
                }
                for index, letter in enumerate(letters)
            ],
        )
        refused = {int(entry["Id"]): entry.get("Message", "") for entry in answer.get("Failed", [])}
        self.dead.delete([each for index, each in enumerate(letters) if index not in refused])
        for index, letter in enumerate(letters):
            if index in refused:
                yield Replayed(letter, "kept", refused[index])
            else:
                yield Replayed(letter, "sent")

    def _set_aside(self, letter: DeadLetter) -> Replayed:
        times = f"failed again after it was sent {counted(letter.replays, 'time')}"
        why = letter.undelivered
        reason = f"{times}: {why}" if why else times
        if self.diagnose is not None:
            rows = self.diagnose([Message(letter.id, letter.body)])
            faults = [row for row in rows if row.outcome == "Retried"]
            if rows and not faults:
                # The fault is gone: the trigger has just accepted the message.
                self.dead.delete([letter])
                outcomes = ", ".join(f"{row.outcome}: {row.reason}" for row in rows)
                return Replayed(letter, "settled", outcomes)
            reason = "; ".join([times, *(f"{row.reason}: {row.detail}" for row in faults)])
        place = self.quarantine.put(letter, reason)
        self.dead.delete([letter])
        return Replayed(letter, "set aside", f"{place}: {reason}")


def _lots(letters: list[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """Split messages into batches that fit into one request to SQS."""
    lot: list[DeadLetter] = []
    size = 0
    for letter in letters:
        length = len(letter.body.encode()) + 100
        if lot and size + length > _BYTES_A_REQUEST:
            yield lot
            lot, size = [], 0
        lot.append(letter)
        size += length
    if lot:
        yield lot

"""Sends dead letters through the trigger's queue again, and sets aside those that fail once more.

A message that is sent again carries how often that was done, as an attribute
that SQS keeps when it moves the message back. One that comes back is poison:
it goes, with its reason, into a bucket. A message leaves the dead-letter queue
only after it is in the queue, or in the bucket. Stopped at any point, the next
call goes on: what was sent and not yet deleted is sent twice, which run
identity makes harmless, and what is set aside twice is one object.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from events.sending import BATCH, Message, ReplayRow
from lambda_trigger.notifications import read_body
from lambda_trigger.outcomes import Upload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

REPLAYS = "echodrop-replays"

# Long enough to send and delete a batch; what a killed command held comes back then.
_HIDDEN_SECONDS = 120
_POLL_SECONDS = 2
# SQS takes 256 KiB a request where it is old-fashioned, attributes included.
_BYTES_A_REQUEST = 240_000

What = Literal["sent", "set aside", "settled", "kept", "would send", "would set aside"]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message of the dead-letter queue; `replays` is how often it was sent again before."""

    id: str
    receipt: str
    body: str
    replays: int
    attributes: dict[str, str]

    @property
    def uploads(self) -> list[str]:
        """URIs of the uploads it tells of."""
        told = (notice for notice in read_body(self.body) if isinstance(notice, Upload))
        return [f"s3://{upload.bucket}/{upload.key}" for upload in told]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of one message. `detail` is where it was set aside, or why it was kept."""

    letter: DeadLetter
    what: What
    detail: str = ""


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


# Calls the trigger with the messages, here, and tells what became of each record.
Diagnose = Callable[[Sequence[Message]], list[ReplayRow]]


@dataclass
class DeadLetterReplay:
    """One pass over a dead-letter queue.

    Attributes:
        sqs: its client.
        dlq_url: of the dead-letter queue.
        queue_url: of the trigger's queue.
        quarantine: where poison goes.
        diagnose: asks the trigger for the reason; None where its settings are not at hand.
        replays: how often a message is sent again before it counts as poison.
        rate: messages a second at most; None as fast as it goes.
        limit: messages at most.
    """

    sqs: SQSClient
    dlq_url: str
    queue_url: str
    quarantine: Quarantine
    diagnose: Diagnose | None = None
    replays: int = 1
    rate: float | None = None
    limit: int | None = None
    sleep: Callable[[float], None] = time.sleep
    _held: dict[str, DeadLetter] = field(default_factory=dict)

    def run(self) -> Iterator[Replayed]:
        """Send or set aside every message there is, giving each as it is done.

        Raises:
            ClientError: a queue or the bucket refuses.
        """
        try:
            for letters in self._received():
                began = time.monotonic()
                poison = [each for each in letters if each.replays >= self.replays]
                for letter in poison:
                    yield self._set_aside(letter)
                for lot in _lots([each for each in letters if each.replays < self.replays]):
                    yield from self._send(lot)
                if self.rate:
                    spent = time.monotonic() - began
                    self.sleep(max(0.0, len(letters) / self.rate - spent))
        finally:
            self._give_back()

    def preview(self) -> Iterator[Replayed]:
        """Say of each message what would be done; all stay where they are."""
        try:
            for letters in self._received():
                for letter in letters:
                    is_poison = letter.replays >= self.replays
                    yield Replayed(letter, "would set aside" if is_poison else "would send")
        finally:
            self._give_back()

    def left(self) -> int:
        """About how many messages the dead-letter queue holds, those in flight included."""
        answer = self.sqs.get_queue_attributes(
            QueueUrl=self.dlq_url,
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
            ],
        )
        return sum(int(number) for number in answer["Attributes"].values())

    def _received(self) -> Iterator[list[DeadLetter]]:
        taken = 0
        while self.limit is None or taken < self.limit:
            answer = self.sqs.receive_message(
                QueueUrl=self.dlq_url,
                MaxNumberOfMessages=min(BATCH, (self.limit or taken + BATCH) - taken),
                VisibilityTimeout=_HIDDEN_SECONDS,
                WaitTimeSeconds=_POLL_SECONDS,
                MessageAttributeNames=["All"],
                AttributeNames=["All"],
            )
            letters = [_letter(message) for message in answer.get("Messages", [])]
            if not letters:
                return
            self._held.update((letter.receipt, letter) for letter in letters)
            taken += len(letters)
            yield letters

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
        self._delete([each for index, each in enumerate(letters) if index not in refused])
        for index, letter in enumerate(letters):
            if index in refused:
                yield Replayed(letter, "kept", refused[index])
            else:
                yield Replayed(letter, "sent")

    def _set_aside(self, letter: DeadLetter) -> Replayed:
        times = f"failed again after it was sent {letter.replays} times"
        told = _told_by_eventbridge(letter)
        reason = f"{times}: {told}" if told else times
        if self.diagnose is not None:
            rows = self.diagnose([Message(letter.id, letter.body)])
            faults = [row for row in rows if row.outcome == "Retried"]
            if rows and not faults:
                # What was in its way is gone by now: the trigger has just taken it.
                self._delete([letter])
                outcomes = ", ".join(f"{row.outcome}: {row.reason}" for row in rows)
                return Replayed(letter, "settled", outcomes)
            reason = "; ".join([times, *(f"{row.reason}: {row.detail}" for row in faults)])
        place = self.quarantine.put(letter, reason)
        self._delete([letter])
        return Replayed(letter, "set aside", f"{place}: {reason}")

    def _delete(self, letters: list[DeadLetter]) -> None:
        if not letters:
            return
        answer = self.sqs.delete_message_batch(
            QueueUrl=self.dlq_url,
            Entries=[
                {"Id": str(index), "ReceiptHandle": letter.receipt}
                for index, letter in enumerate(letters)
            ],
        )
        refused = {int(entry["Id"]) for entry in answer.get("Failed", [])}
        for index, letter in enumerate(letters):
            if index not in refused:
                self._held.pop(letter.receipt, None)

    def _give_back(self) -> None:
        """Show what is held and not done to the next call at once."""
        receipts = list(self._held)
        for start in range(0, len(receipts), BATCH):
            self.sqs.change_message_visibility_batch(
                QueueUrl=self.dlq_url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                    for index, receipt in enumerate(receipts[start : start + BATCH])
                ],
            )
        self._held.clear()


def _letter(message: Any) -> DeadLetter:  # noqa: ANN401 - SQS's own dictionary
    attributes = {
        name: str(value.get("StringValue", ""))
        for name, value in message.get("MessageAttributes", {}).items()
    }
    replays = attributes.get(REPLAYS, "0")
    return DeadLetter(
        id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        body=message["Body"],
        replays=int(replays) if replays.isdigit() else 0,
        attributes={**message.get("Attributes", {}), **attributes},
    )


def _told_by_eventbridge(letter: DeadLetter) -> str:
    """Why EventBridge could not deliver it, where its dead-letter queue this is."""
    parts = (letter.attributes.get("ERROR_CODE"), letter.attributes.get("ERROR_MESSAGE"))
    return " ".join(part for part in parts if part)


def _lots(letters: list[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """Batches that one request to SQS may carry."""
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

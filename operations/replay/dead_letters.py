"""Sends dead letters through the trigger's queue again, and quarantines those that fail again.

Messages are hidden in the dead-letter queue while they are in use, then deleted or released. An
attribute of the message counts how often it was sent again; SQS keeps it when it moves the
message back. A message that comes back is a poison message: it goes into a bucket, with the
reason. A message is deleted only after it is in the queue or in the bucket. After an interruption,
the next call resumes: a message that was sent and not yet deleted is sent twice, which is harmless
because its run has the same identity, and a message that is set aside twice is one object.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from events.sending import BATCH, Message, ReplayRow
from flows.core.locations import S3Location
from flows.stores.object_store import ObjectStore
from lambda_trigger.decisions.notifications import read_body
from lambda_trigger.decisions.outcomes import Upload
from lambda_trigger.decisions.wording import counted
from operations.sending.back_pressure import Pace, messages_in

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

REPLAYS = "echodrop-replays"
# Where poison messages are in the output bucket.
QUARANTINE = "quarantine/dead-letters/"

# Long enough to send and delete a batch; if the command is killed, its messages reappear after it.
_HIDDEN_SECONDS = 120
_POLL_SECONDS = 2
# Older SQS queues accept 256 KiB a request, including attributes.
_BYTES_A_REQUEST = 240_000

# Calls the trigger in this process with the messages, and returns the outcome of each record.
Diagnose = Callable[[Sequence[Message]], list[ReplayRow]]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message of the dead-letter queue; `replays` is how often it was already sent again."""

    id: str
    receipt: str
    body: str
    replays: int
    attributes: dict[str, str]

    @property
    def notified_uploads(self) -> list[Upload]:
        """The uploads that the message names."""
        return [notice for notice in read_body(self.body) if isinstance(notice, Upload)]

    @property
    def uploads(self) -> list[str]:
        """Their URIs."""
        return [S3Location(each.bucket, each.key).uri for each in self.notified_uploads]


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result for one message.

    `what` is 'sent', 'set aside', 'settled', 'kept', 'would send' or 'would set aside'; `detail`
    is where it was set aside, or why it was kept.
    """

    letter: DeadLetter
    what: str
    detail: str = ""


@dataclass
class DeadLetterReplay:
    """One pass over the dead-letter queue at `dlq_url`.

    Attributes:
        poison: the bucket where poison messages go, below `prefix`.
        diagnose: finds the reason by calling the trigger; None if its settings are missing.
    """

    sqs: SQSClient
    dlq_url: str
    queue_url: str
    poison: ObjectStore
    prefix: str = QUARANTINE
    diagnose: Diagnose | None = None
    pace: Pace = field(default_factory=lambda: Pace(None))
    limit: int | None = None
    _held: dict[str, None] = field(default_factory=dict, init=False)

    def count(self) -> int:
        """The approximate number of dead letters, including those in flight."""
        return messages_in(self.sqs, self.dlq_url)

    def run(self, *, dry_run: bool = False) -> Iterator[Replayed]:
        """Send or set aside every message, and yield the result of each.

        With `dry_run` the messages stay in the queue. In a long queue the first ones become
        visible again before the end: that ends it.
        """
        seen: set[str] = set()
        try:
            for letters in self._received():
                if dry_run:
                    new = {each.id: each for each in letters if each.id not in seen}
                    if not new:
                        return
                    seen.update(new)
                    for each in new.values():
                        yield Replayed(each, "would set aside" if each.replays else "would send")
                    continue
                self.pace.sent(len(letters))
                yield from (self._set_aside(each) for each in letters if each.replays)
                for lot in _lots(each for each in letters if not each.replays):
                    yield from self._send(lot)
        finally:
            self._release()

    def _received(self) -> Iterator[list[DeadLetter]]:
        """Receive the messages, one list for each request, and hide them in the queue."""
        taken = 0
        while self.limit is None or taken < self.limit:
            # Before, because what is received stays hidden for a limited time.
            self.pace.wait()
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
            self._held |= dict.fromkeys(letter.receipt for letter in letters)
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
                # One receive may return a message twice, so its id is not distinct.
                for index, letter in enumerate(letters)
            ],
        )
        kept = {int(entry["Id"]): entry.get("Message", "") for entry in answer.get("Failed", [])}
        self._delete([each for index, each in enumerate(letters) if index not in kept])
        for index, each in enumerate(letters):
            yield Replayed(each, "kept" if index in kept else "sent", kept.get(index, ""))

    def _set_aside(self, letter: DeadLetter) -> Replayed:
        times = f"failed again after it was sent {counted(letter.replays, 'time')}"
        # EventBridge's reason; messages that SQS moved have none.
        why = " ".join(filter(None, map(letter.attributes.get, ("ERROR_CODE", "ERROR_MESSAGE"))))
        reason = f"{times}: {why}" if why else times
        if self.diagnose is not None:
            rows = self.diagnose([Message(letter.id, letter.body)])
            faults = [row for row in rows if row.outcome == "Retried"]
            if rows and not faults:
                # The fault is gone: the trigger has just accepted the message.
                self._delete([letter])
                outcomes = ", ".join(f"{row.outcome}: {row.reason}" for row in rows)
                return Replayed(letter, "settled", outcomes)
            reason = "; ".join([times, *(f"{row.reason}: {row.detail}" for row in faults)])
        place = self._quarantine(letter, reason)
        self._delete([letter])
        return Replayed(letter, "set aside", f"{place}: {reason}")

    def _quarantine(self, letter: DeadLetter, reason: str) -> str:
        """Store a message with the reason, one JSON object for each body; return its URI.

        `message_id` identifies the `Retried` lines in the trigger's log.
        """
        content = {
            "reason": reason,
            "uploads": letter.uploads,
            "message_id": letter.id,
            "replays": letter.replays,
            "attributes": letter.attributes,
            "set_aside_at": datetime.now(UTC).isoformat(),
            "body": letter.body,
        }
        key = f"{self.prefix}{hashlib.sha256(letter.body.encode()).hexdigest()[:32]}.json"
        body = json.dumps(content, indent=1, ensure_ascii=False).encode()
        self.poison.put(key, body, ContentType="application/json")
        return S3Location(self.poison.bucket, key).uri

    def _delete(self, letters: list[DeadLetter]) -> None:
        """Delete messages; one that SQS refuses to delete stays hidden."""
        if not letters:
            return
        entries: Any = [{"Id": str(n), "ReceiptHandle": it.receipt} for n, it in enumerate(letters)]
        answer = self.sqs.delete_message_batch(QueueUrl=self.dlq_url, Entries=entries)
        for entry in answer.get("Successful", []):
            self._held.pop(letters[int(entry["Id"])].receipt, None)

    def _release(self) -> None:
        """Make messages that were not deleted visible again at once."""
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


def _letter(message: Any) -> DeadLetter:  # noqa: ANN401 - a message
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


def _lots(letters: Iterable[DeadLetter]) -> Iterable[list[DeadLetter]]:
    """Split messages into batches that fit into one request to SQS."""
    lots: list[list[DeadLetter]] = [[]]
    for letter in letters:
        if sum(len(each.body.encode()) + 100 for each in [*lots[-1], letter]) > _BYTES_A_REQUEST:
            lots.append([])
        lots[-1].append(letter)
    return filter(None, lots)

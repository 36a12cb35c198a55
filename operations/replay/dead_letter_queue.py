"""The dead-letter queue: messages are hidden while in use, then deleted or released."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from events.sending import BATCH
from lambda_trigger.decisions.notifications import read_body
from lambda_trigger.decisions.outcomes import Upload
from operations.sending.back_pressure import messages_in

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# How often a message was sent again: an attribute that SQS keeps when it moves the message.
REPLAYS = "echodrop-replays"

# Long enough to send and delete a batch; if the command is killed, its messages reappear after it.
_HIDDEN_SECONDS = 120
_POLL_SECONDS = 2


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
        return [f"s3://{upload.bucket}/{upload.key}" for upload in self.notified_uploads]

    @property
    def undelivered(self) -> str:
        """Why EventBridge could not deliver it; empty for messages that SQS moved."""
        parts = (self.attributes.get("ERROR_CODE"), self.attributes.get("ERROR_MESSAGE"))
        return " ".join(part for part in parts if part)


@dataclass
class DeadLetterQueue:
    """The dead-letter queue at `url`."""

    sqs: SQSClient
    url: str
    _held: dict[str, DeadLetter] = field(default_factory=dict, init=False)

    def count(self) -> int:
        """The approximate number of messages in the queue, including those in flight."""
        return messages_in(self.sqs, self.url)

    def received(self, limit: int | None = None) -> Iterator[list[DeadLetter]]:
        """Receive the messages, at most `limit`, one list for each request, and hide them in the queue.

        Raises:
            ClientError: the queue refuses.
        """
        taken = 0
        while limit is None or taken < limit:
            answer = self.sqs.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=min(BATCH, (limit or taken + BATCH) - taken),
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

    def delete(self, letters: list[DeadLetter]) -> None:
        """Delete messages; one that SQS refuses to delete stays hidden."""
        if not letters:
            return
        answer = self.sqs.delete_message_batch(
            QueueUrl=self.url,
            Entries=[
                {"Id": str(index), "ReceiptHandle": letter.receipt}
                for index, letter in enumerate(letters)
            ],
        )
        refused = {int(entry["Id"]) for entry in answer.get("Failed", [])}
        for index, letter in enumerate(letters):
            if index not in refused:
                self._held.pop(letter.receipt, None)

    def release(self) -> None:
        """Make messages that were not deleted visible again at once."""
        receipts = list(self._held)
        for start in range(0, len(receipts), BATCH):
            self.sqs.change_message_visibility_batch(
                QueueUrl=self.url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                    for index, receipt in enumerate(receipts[start : start + BATCH])
                ],
            )
        self._held.clear()


def _letter(message: Any) -> DeadLetter:  # noqa: ANN401 - a message of SQS
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

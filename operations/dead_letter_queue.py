"""The dead-letter queue: its messages, held while they are worked on, then gone or given back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from events.sending import BATCH
from lambda_trigger.notifications import read_body
from lambda_trigger.outcomes import Upload

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# How often a message was sent again: an attribute of it that SQS keeps when it moves it.
REPLAYS = "echodrop-replays"

# Long enough to send and delete a batch; what a killed command held comes back then.
_HIDDEN_SECONDS = 120
_POLL_SECONDS = 2


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message of the dead-letter queue; `replays` is how often it was sent again before."""

    id: str
    receipt: str
    body: str
    replays: int
    attributes: dict[str, str]

    @property
    def tells_of(self) -> list[Upload]:
        """The uploads it tells of."""
        return [notice for notice in read_body(self.body) if isinstance(notice, Upload)]

    @property
    def uploads(self) -> list[str]:
        """Their URIs."""
        return [f"s3://{upload.bucket}/{upload.key}" for upload in self.tells_of]

    @property
    def undelivered(self) -> str:
        """Why EventBridge could not deliver it, where its dead-letter queue this is."""
        parts = (self.attributes.get("ERROR_CODE"), self.attributes.get("ERROR_MESSAGE"))
        return " ".join(part for part in parts if part)


@dataclass
class DeadLetterQueue:
    """The queue at `url`."""

    sqs: SQSClient
    url: str
    _held: dict[str, DeadLetter] = field(default_factory=dict, init=False)

    def left(self) -> int:
        """About how many messages the dead-letter queue holds, those in flight included."""
        answer = self.sqs.get_queue_attributes(
            QueueUrl=self.url,
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
            ],
        )
        return sum(int(number) for number in answer["Attributes"].values())

    def received(self, limit: int | None = None) -> Iterator[list[DeadLetter]]:
        """Take what there is, a request's worth at a time, so many at most; it is held from then on.

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
        """Take messages out for good; one that the queue would not part with is still held."""
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

    def give_back(self) -> None:
        """Show what is held and not done to the next call at once."""
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

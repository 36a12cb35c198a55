"""Messages for the trigger, the targets that they are sent to, and their outcomes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

BATCH = 10


@dataclass(frozen=True, slots=True)
class Message:
    """A message body to send. `source` is a label: the name of a fixture, a key, or a message id."""

    source: str
    body: str


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """The outcome of one record: a row of the table that replay prints.

    `outcome` is Submitted, Waiting, Ignored, Rejected, Retried (the record failed and
    must be sent again), or Sent (it is in the queue).
    """

    source: str
    key: str
    outcome: str
    reason: str
    detail: str
    flow_run_id: str = ""


class Target(Protocol):
    """Accepts messages."""

    def send(self, messages: Sequence[Message]) -> list[ReplayRow]:
        """Send up to ten messages and return their outcomes."""


class QueueTarget:
    """The trigger's queue."""

    def __init__(self, sqs: "SQSClient", queue_url: str) -> None:
        self._sqs = sqs
        self._queue_url = queue_url

    def send(self, messages: Sequence[Message]) -> list[ReplayRow]:
        """Send the messages to the queue."""
        answer = self._sqs.send_message_batch(
            QueueUrl=self._queue_url,
            Entries=[
                {"Id": str(index), "MessageBody": message.body}
                for index, message in enumerate(messages)
            ],
        )
        failed = {int(entry["Id"]): entry for entry in answer.get("Failed", [])}
        return [
            ReplayRow(message.source, "", "Retried", "not-sent", failed[index].get("Message", ""))
            if index in failed
            else ReplayRow(message.source, "", "Sent", "queue", self._queue_url)
            for index, message in enumerate(messages)
        ]

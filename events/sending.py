"""Messages to send to the trigger, what became of each, and its queue to send them to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

BATCH = 10


@dataclass(frozen=True, slots=True)
class Message:
    """A message body to send. `source` names it for people: a fixture, a key, a message of a queue."""

    source: str
    body: str
    expected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """What became of one record: a line of the table that replay shows.

    `outcome` is Submitted, Waiting, Ignored, Rejected, or Retried (the record
    failed and has to be sent again), or Sent where only the queue knows.
    `expected` is the fixture's, as 'Outcome: reason', where there is one.
    """

    source: str
    key: str
    outcome: str
    reason: str
    detail: str
    flow_run_id: str = ""
    expected: str = ""

    @property
    def came_as_expected(self) -> bool:
        """Tell whether the outcome is the expected one; true where none was expected."""
        return self.expected in {"", f"{self.outcome}: {self.reason}"}


class Target(Protocol):
    """Where messages go."""

    def send(self, messages: Sequence[Message]) -> list[ReplayRow]:
        """Send up to ten messages and say what became of them."""


class QueueTarget:
    """The trigger's queue."""

    def __init__(self, sqs: "SQSClient", queue_url: str) -> None:
        self._sqs = sqs
        self._queue_url = queue_url

    def send(self, messages: Sequence[Message]) -> list[ReplayRow]:
        """Put the messages into the queue."""
        answer = self._sqs.send_message_batch(
            QueueUrl=self._queue_url,
            Entries=[
                {"Id": str(index), "MessageBody": message.body}
                for index, message in enumerate(messages)
            ],
        )
        failed = {int(entry["Id"]): entry for entry in answer.get("Failed", [])}
        rows = []
        for index, message in enumerate(messages):
            if index in failed:
                rows.append(
                    unknown_row(message, 0, "Retried", "not-sent", failed[index].get("Message", ""))
                )
            else:
                rows.append(ReplayRow(message.source, "", "Sent", "queue", self._queue_url))
        return rows


def unknown_row(message: Message, number: int, outcome: str, reason: str, detail: str) -> ReplayRow:
    """Give the row of a record whose key nobody told."""
    return ReplayRow(
        message.source, "", outcome, reason, detail, expected=expected_of(message, number)
    )


def expected_of(message: Message, number: int) -> str:
    """Give what a message's record of this number was to become, 'Outcome: reason'; '' for anything."""
    if not message.expected:
        return ""
    return message.expected[number] if number < len(message.expected) else "nothing more"

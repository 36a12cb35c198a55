"""Messages for the trigger, the targets that they are sent to, and their outcomes."""

from __future__ import annotations

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
    expected: tuple[str, ...] = ()

    def expects(self, number: int) -> str:
        """The expected outcome of its nth record as 'Outcome: reason'; '' if there is none."""
        if number < len(self.expected):
            return self.expected[number]
        return "nothing more" if self.expected else ""

    def failed(self, reason: str, detail: str) -> ReplayRow:
        """The row of a record that must be sent again, and whose key is unknown."""
        return ReplayRow(self.source, "", "Retried", reason, detail, expected=self.expects(0))


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """The outcome of one record: a row of the table that replay prints.

    `outcome` is Submitted, Waiting, Ignored, Rejected, Retried (the record failed and
    must be sent again), or Sent (it is in the queue). `expected` is the fixture's
    expectation as 'Outcome: reason', or empty.
    """

    source: str
    key: str
    outcome: str
    reason: str
    detail: str
    flow_run_id: str = ""
    expected: str = ""

    @property
    def is_expected(self) -> bool:
        """Whether the outcome is the expected one; true if nothing was expected."""
        return self.expected in {"", f"{self.outcome}: {self.reason}"}


class Target(Protocol):
    """Accepts messages."""

    def send(self, messages: Sequence[Message]) -> list[ReplayRow]:
        """Send up to ten messages and return their outcomes."""


class QueueTarget:
    """The trigger's queue."""

    def __init__(self, sqs: SQSClient, queue_url: str) -> None:
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
        rows = []
        for index, message in enumerate(messages):
            if index in failed:
                rows.append(message.failed("not-sent", failed[index].get("Message", "")))
            else:
                rows.append(ReplayRow(message.source, "", "Sent", "queue", self._queue_url))
        return rows

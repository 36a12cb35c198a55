"""Sends notifications through the trigger again: here, by its queue, or deployed."""

import base64
import contextlib
import io
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from events.fixture_files import INBOX, load_fixture
from events.notifications import in_sqs
from lambda_trigger.handler import handler

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient

BATCH = 10
LOCAL_SECONDS = 120


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


class LocalHandler:
    """The handler in this process, with the environment that it needs (see lambda_trigger.settings)."""

    def send(self, messages: Sequence[Message]) -> list[ReplayRow]:
        """Call the handler with the messages as one batch."""
        written = io.StringIO()
        with contextlib.redirect_stdout(written):
            handler(in_sqs([message.body for message in messages]), _LocalContext())
        lines = [json.loads(line) for line in written.getvalue().splitlines()]
        return _rows(messages, lines)


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
                    _row(message, 0, "Retried", "not-sent", failed[index].get("Message", ""))
                )
            else:
                rows.append(ReplayRow(message.source, "", "Sent", "queue", self._queue_url))
        return rows


class FunctionTarget:
    """The deployed function, called directly."""

    def __init__(self, functions: "LambdaClient", function_name: str) -> None:
        self._functions = functions
        self._function_name = function_name

    def send(self, messages: Sequence[Message]) -> list[ReplayRow]:
        """Call the function once a message: an answer carries only the last 4 KB of its log."""
        return [row for message in messages for row in self._send_one(message)]

    def _send_one(self, message: Message) -> list[ReplayRow]:
        answer = self._functions.invoke(
            FunctionName=self._function_name,
            LogType="Tail",
            Payload=json.dumps(in_sqs([message.body])).encode(),
        )
        if answer.get("FunctionError"):
            return [
                _row(
                    message, 0, "Retried", "function-error", answer["Payload"].read().decode()[:500]
                )
            ]
        log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
        return _rows([message], list(_json_lines(log)))


def fixture_messages(paths: Iterable[Path], inbox_bucket: str = INBOX) -> Iterator[Message]:
    """Read fixtures, or files that are a notification alone, as messages."""
    for path in paths:
        fixture = load_fixture(path, inbox_bucket)
        expected = tuple(f"{item.outcome}: {item.reason}" for item in fixture.expected)
        yield Message(fixture.name, fixture.body, expected)


def replay(messages: Iterable[Message], target: Target) -> Iterator[ReplayRow]:
    """Send messages in batches, in order, and give each record's row as it is known."""
    waiting = iter(messages)
    while batch := list(islice(waiting, BATCH)):
        yield from target.send(batch)


class _LocalContext:
    function_name = "local"
    invoked_function_arn = "local"
    memory_limit_in_mb = 0

    def __init__(self) -> None:
        self.aws_request_id = str(uuid.uuid4())

    def get_remaining_time_in_millis(self) -> int:
        return LOCAL_SECONDS * 1000


def _json_lines(text: str) -> Iterator[dict[str, Any]]:
    # The log also holds Lambda's own START, END and REPORT lines, and may begin in the midst of one.
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            value = json.loads(line)
            if isinstance(value, dict):
                yield value


def _rows(messages: Sequence[Message], lines: Sequence[dict[str, Any]]) -> list[ReplayRow]:
    """Give each message its rows, by the message ids that in_sqs gave."""
    rows = []
    for index, message in enumerate(messages):
        own = [line for line in lines if line.get("message_id") == f"message-{index}"]
        if not own:
            rows.append(_row(message, 0, "Retried", "no-line", "the log shows no outcome"))
        for number, line in enumerate(own):
            rows.append(
                ReplayRow(
                    source=message.source,
                    key=str(line.get("key", "")),
                    outcome=str(line["outcome"]),
                    reason=str(line["reason"]),
                    detail=str(line.get("detail") or line.get("error") or ""),
                    flow_run_id=str(line.get("flow_run_id", "")),
                    expected=_expected(message, number),
                )
            )
    return rows


def _row(message: Message, number: int, outcome: str, reason: str, detail: str) -> ReplayRow:
    return ReplayRow(
        message.source, "", outcome, reason, detail, expected=_expected(message, number)
    )


def _expected(message: Message, number: int) -> str:
    if not message.expected:
        return ""
    return message.expected[number] if number < len(message.expected) else "nothing more"

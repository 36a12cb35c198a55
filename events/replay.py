"""Replays notifications: with the trigger in this process, through its queue, or deployed."""

import base64
import contextlib
import io
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from events.notifications import in_sqs
from events.sending import BATCH, Message, QueueTarget, ReplayRow, Target
from lambda_trigger.clients.transport_errors import TransportError
from lambda_trigger.decisions.wording import counted
from lambda_trigger.handler import handler

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

# The inbox of the fixtures.
INBOX = "echodrop-inbox"
LOCAL_SECONDS = 120
_STYLES = {"Submitted": "green", "Sent": "green", "Rejected": "red", "Retried": "red"}


class LocalHandler:
    """Runs the trigger in this process; the environment has its settings (lambda_trigger.settings)."""

    def send(self, messages: Sequence[Message]) -> list[ReplayRow]:
        """Call the trigger with the messages as one batch."""
        written = io.StringIO()
        with contextlib.redirect_stdout(written):
            handler(in_sqs([message.body for message in messages]), _LocalContext())
        lines = [json.loads(line) for line in written.getvalue().splitlines()]
        return _rows(messages, lines)


class FunctionTarget:
    """Calls the deployed function directly."""

    def __init__(self, functions: "LambdaClient", function_name: str) -> None:
        self._functions = functions
        self._function_name = function_name

    def send(self, messages: Sequence[Message]) -> list[ReplayRow]:
        """Call the function once for each message, because an answer contains only the last 4 KB of the log."""
        return [row for message in messages for row in self._send_one(message)]

    def _send_one(self, message: Message) -> list[ReplayRow]:
        answer = self._functions.invoke(
            FunctionName=self._function_name,
            LogType="Tail",
            Payload=json.dumps(in_sqs([message.body])).encode(),
        )
        if answer.get("FunctionError"):
            return [message.failed("function-error", answer["Payload"].read().decode()[:500])]
        log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
        return _rows([message], list(_json_lines(log)))


def fixture_messages(paths: Iterable[Path], inbox_bucket: str = INBOX) -> Iterator[Message]:
    """Read fixtures, or files that contain only a notification, as messages.

    A fixture is JSON: `about` says what it shows, `inbox` holds the objects in the inbox
    (tests/event_fixtures.py), `notification` is the message body, as JSON or, if it is not JSON, as a
    text, and `expected` are the outcomes, in order, as `{"key", "outcome", "reason"}`.
    `inbox_bucket` replaces echodrop-inbox.

    Raises:
        OSError: a file can't be read; ValueError: a fixture lacks a field.
    """
    for path in paths:
        text = path.read_text().replace(INBOX, inbox_bucket)
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        if not (isinstance(content, dict) and {"notification", "expected"} <= content.keys()):
            yield Message(path.stem, text)
            continue
        body = content["notification"]
        try:
            expected = tuple(f"{each['outcome']}: {each['reason']}" for each in content["expected"])
        except KeyError as error:
            raise ValueError(f"{path}: the fixture has no {error}") from error
        yield Message(path.stem, body if isinstance(body, str) else json.dumps(body), expected)


def replay(messages: Iterable[Message], target: Target) -> Iterator[ReplayRow]:
    """Send messages in batches, in order, and yield the row of each record."""
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
    # The log also contains Lambda's START, END and REPORT lines, and may begin within a line.
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            value = json.loads(line)
            if isinstance(value, dict):
                yield value


def _rows(messages: Sequence[Message], lines: Sequence[dict[str, Any]]) -> list[ReplayRow]:
    """Match log lines to messages, by the message ids of `in_sqs`."""
    rows = []
    for index, message in enumerate(messages):
        own = [line for line in lines if line.get("message_id") == f"message-{index}"]
        if not own:
            rows.append(message.failed("no-line", "the log shows no outcome"))
        for number, line in enumerate(own):
            rows.append(
                ReplayRow(
                    source=message.source,
                    key=str(line.get("key", "")),
                    outcome=str(line["outcome"]),
                    reason=str(line["reason"]),
                    detail=str(line.get("detail") or line.get("error") or ""),
                    flow_run_id=str(line.get("flow_run_id", "")),
                    expected=message.expects(number),
                )
            )
    return rows


def replay_at_terminal(
    fixtures: Sequence[Path],
    *,
    queue_url: str | None = None,
    function: str | None = None,
    inbox: str | None = None,
    dry_run: bool = False,
) -> int:
    """Send fixtures through the trigger and print the outcome of each record.

    They go to the queue, else to the deployed function, else to the trigger in this process.

    Returns:
        An exit code: 1 if a record must be sent again, 2 if the settings are wrong.
    """
    err = Console(stderr=True)
    console = Console()
    again = 0
    try:
        messages = fixture_messages(fixtures, inbox or INBOX)
        if dry_run:
            for message in messages:
                _print(console, f"would send {message.source}")
            return 0
        for row in replay(messages, _target(queue_url, function)):
            style = _STYLES.get(row.outcome, "yellow")
            detail = row.flow_run_id or row.detail
            differs = "" if row.is_expected else f"the fixture expects {row.expected}"
            parts = (f"{row.outcome}: {row.reason}", row.source, row.key, detail, differs)
            _print(console, "  ".join(part for part in parts if part), style)
            again += row.outcome == "Retried"
    except BrokenPipeError:
        raise
    except (TransportError, ValueError, OSError) as error:
        _print(err, str(error), "red")
        return 2
    if again:
        _print(err, f"{counted(again, 'record')} must be sent again", "red")
    return 1 if again else 0


def _target(queue_url: str | None, function: str | None) -> Target:
    import boto3  # noqa: PLC0415 - takes half a second, and the local handler does not need it

    if queue_url:
        return QueueTarget(boto3.client("sqs"), queue_url)
    if function:
        return FunctionTarget(boto3.client("lambda"), function)
    return LocalHandler()


def _print(console: Console, line: str, style: str = "") -> None:
    """Print one line whole, so that no key is cut."""
    console.print(Text(line, style), soft_wrap=True)
